# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A minute of a fast camera and a slow network: memory stays flat, results stay fresh.

INSTRUCTSAM_SOAK_SECONDS sets another duration: a release wants 600.
"""

import os
import time

import numpy as np
import pytest
from live import Neighbours, NodeProcess, Picture, Robot, seconds_of

from instructsam_ros.bridge.interfaces import TargetArray

from sensor_msgs.msg import Image, PointCloud2  # isort: skip
from visualization_msgs.msg import MarkerArray  # isort: skip

pytestmark = pytest.mark.timed

# 1800 pictures, some 300 results: a hundredth of either is more than one
SECONDS = float(os.environ.get('INSTRUCTSAM_SOAK_SECONDS', '60'))
DELAY = 0.15
# seconds; the bound for what a result may be older than its inference took
BEYOND = 0.05
# cores that others use; below, a step that needs a processor gets it at once
QUIET = 0.2
_WINDOW = 0.25


def test_memory_is_flat_and_results_are_fresh(ros_domain):
    process = NodeProcess('--delay', DELAY)
    robot = Robot()
    ages = []

    def note_age(message, info):
        sent = info['source_timestamp'] * 1e-9
        ages.append((sent, sent - seconds_of(message.header)))

    try:
        process.wait_for('ready:')
        robot.wait_for_node()
        robot.node.create_subscription(TargetArray, '/instructsam/targets', note_age, 10)
        # raw: to look into these pictures would only keep the camera's thread waiting
        for kind, topic in ((Image, 'overlay'), (Image, 'label_image'), (PointCloud2, 'points'),
                            (MarkerArray, 'markers')):
            robot.node.create_subscription(
                kind, f'/instructsam/{topic}', lambda _: None, 5, raw=True)
        robot.ask('the red thing')
        robot.film(Picture(640, 480), rate=30)
        robot.next('targets')
        ages.clear()
        samples, windows = [], []
        neighbours = Neighbours(process.process.pid)
        begin = opened = time.time()
        while opened - begin < SECONDS:
            time.sleep(_WINDOW)
            windows.append((opened, time.time(), neighbours.cores()))
            opened = windows[-1][1]
            if opened - begin > len(samples) + 1:
                samples.append(process.resident_kb())
                for topic in ('targets', 'instances', 'diagnostics'):
                    robot.received[topic].clear()
        robot.stop_camera()
        figures = [age for _, age in ages]
        # at least every second inference of those that fit in was delivered
        assert len(figures) > 0.5 * SECONDS / (DELAY + 0.05)
        # whatever else runs here: three slices of a busy scheduler's time, 30 ms each, more
        assert np.percentile(figures, 90) < DELAY + BEYOND + 0.1, np.percentile(
            figures, [50, 90, 100])
        calm = [age for sent, age in ages if _is_calm(windows, sent - age, sent)]
        late = [round(age, 4) for age in calm if age > DELAY + BEYOND]
        # no kernel here promises a time: one in a hundred may miss the bound, by as much again
        assert len(late) <= 0.01 * len(calm) + 1, (late, len(calm))
        assert all(age < DELAY + 2 * BEYOND for age in late), (late, len(calm))
        quarter = len(samples) // 4
        grown = np.median(samples[-quarter:]) - np.median(samples[quarter:2 * quarter])
        # of pictures of 1.5 MB (VGA and its depth) 900 come in between: were every hundredth kept,
        # it would be 14 MB; the allocator takes 4 MB more now and then
        assert grown < 8 * 1024, samples
    finally:
        robot.close()
        assert process.end() == 0, process.report()


def _is_calm(windows, begin, end):
    """Whether the machine was the test's own from ``begin`` to ``end``, Unix time."""
    met = [cores for opened, closed, cores in windows if opened < end and begin < closed]
    return bool(met) and max(met) < QUIET
