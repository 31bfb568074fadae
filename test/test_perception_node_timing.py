# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How soon the live node answers while inference runs, and how old its results are."""

import time

import numpy as np
import pytest
from live import in_time, seconds_of, values_of, wait_until

from instructsam_ros.bridge.interfaces import SetInstruction

from rcl_interfaces.srv import GetParameters  # isort: skip
from std_srvs.srv import Trigger  # isort: skip

pytestmark = pytest.mark.timed


def test_only_the_newest_frame_is_processed_and_drops_are_counted(live):
    delay = 0.15
    _, robot = live
    robot.ask('the red thing in 150 ms')
    before = {**values_of(robot.diagnosis('inference')), **values_of(robot.diagnosis('input'))}
    robot.film(rate=30)
    robot.next('targets')
    robot.received['targets'].clear()
    wait_until(lambda: len(robot.received['targets']) >= 25)
    arrived = list(robot.received['targets'])
    ages = np.array([when - seconds_of(message.header) for when, message in arrived])
    # the median, since other programs may take the processor at any moment
    assert np.median(ages) < in_time(delay + 0.05), ages
    # had frames queued, the age would have grown by 4 frames per inference, to seconds
    assert ages.max() < in_time(delay + 0.3), ages
    stamps = [seconds_of(message.header) for _, message in arrived]
    assert all(np.diff(stamps) > 0)
    robot.stop_camera()
    time.sleep(2 * delay)
    after = {**values_of(robot.diagnosis('inference')), **values_of(robot.diagnosis('input'))}
    frames, processed, dropped = (
        int(after[name]) - int(before[name]) for name in ('frames', 'processed', 'dropped'))
    # of 30 frames a second some 6 are processed
    assert dropped > 2 * processed
    # all are accounted for, but those that came between the two messages of one second
    assert abs(frames - processed - dropped) <= 2
    latency, overhead = (float(after[f'{name} p50 [ms]']) for name in ('latency', 'overhead'))
    assert latency < in_time(1000 * (delay + 0.05))
    # what is not inference; medians need not add up, and waiting differs by up to a period
    assert overhead == pytest.approx(latency - float(after['inference p50 [ms]']), abs=20)
    assert float(after['overhead max [ms]']) >= overhead > 0


def test_services_answer_while_inference_runs(live):
    _, robot = live
    robot.film(rate=30)
    robot.ask('the red thing in 600 ms')
    robot.next('targets')
    get = robot.node.create_client(GetParameters, '/instructsam/get_parameters')
    times = []
    for turn in range(30):
        began = time.monotonic()
        if turn % 3 == 0:
            robot.call(robot.set_instruction, SetInstruction.Request(
                text='the blue thing in 600 ms'))
        elif turn % 3 == 1:
            robot.call(robot.clear, Trigger.Request())
        else:
            found = robot.call(get, GetParameters.Request(names=['max_rate']))
            assert found.values[0].double_value == 0.0
        times.append(time.monotonic() - began)
        time.sleep(0.02)
    # of 30 calls three may meet a moment when others have the processor
    assert sorted(times)[-4] < in_time(0.1), times
