# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The included checkpoint on a bag, live between processes and offline, again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bags
import numpy as np
import pytest
from live import NodeProcess, in_time

from instructsam_ros.bridge.results import masks_of, targets_of
from instructsam_ros.bridge.synchronising import stamp_ns
from instructsam_ros.cli import main
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.record_tabletop import TabletopRecording, record_tabletop

FRAMES = 7
EVERYTHING = 'everything on the table'


@pytest.fixture(scope='module')
def tabletop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second and a half of a table, under a camera that moves."""
    path = tmp_path_factory.mktemp('bags') / 'table'
    record_tabletop(path, TabletopRecording(
        seconds=FRAMES / 5, rate=5, seed=3, instructions=2, width=320, height=240))
    return path


def results_of(path: Path, name: str) -> dict[int, Any]:
    """Messages of the node by the stamp of their picture."""
    with BagReader(path) as bag:
        assert not bag.notes and not bag.damage
        found = [one.message for one in bag.messages([f'/instructsam/{name}'])]
    by_stamp = {stamp_ns(one): one for one in found}
    assert len(by_stamp) == len(found)
    return by_stamp


def without_timings(value: Any) -> Any:
    """Drop what may differ between two runs."""
    if isinstance(value, dict):
        return {k: without_timings(v) for k, v in value.items() if k != 'timings'}
    return [without_timings(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope='module')
def offline(tabletop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a replay of every picture with the bag's own instructions."""
    out = tmp_path_factory.mktemp('offline') / 'one'
    assert main(['replay', str(tabletop), '--out', str(out)]) == 0
    return out


def test_two_replays_differ_in_nothing_but_times(tabletop: Path, offline: Path) -> None:
    texts = []
    for again in (False, True):
        if again:
            # into the same folder: the settings are in the metrics
            assert main(['replay', str(tabletop), '--out', str(offline)]) == 0
        metrics = json.loads((offline / 'metrics.json').read_text())
        assert metrics['frames']['processed'] == FRAMES and metrics['summary']['queries'] == FRAMES
        texts.append((
            json.dumps(without_timings(metrics), sort_keys=True),
            {one.name: one.read_bytes() for one in (offline / 'pictures').iterdir()},
            (offline / 'results/results.mcap').read_bytes()))
    assert texts[0] == texts[1]


def test_live_and_offline_agree(tabletop: Path, tmp_path: Path, ros_domain: int) -> None:
    """On the pictures that the live node was fast enough for."""
    live, offline = tmp_path / 'live', tmp_path / 'offline'
    launched = NodeProcess(
        'launch', 'replay.launch.yaml', f'bag:={tabletop}', 'camera:=tabletop_camera',
        f'instruction:={EVERYTHING}', f'record:={live}', 'linger:=1.0',
        module='instructsam_ros.cli')
    try:
        assert launched.process.wait(in_time(60.0)) == 0, launched.report()
    finally:
        launched.end()
    assert not launched.said('Traceback'), launched.report()
    assert main(['replay', str(tabletop), '--instruction', EVERYTHING, '--frames-of', str(live),
                 '--out', str(offline)]) == 0
    seen, expected = (results_of(one, 'instances') for one in (live, offline / 'results'))
    assert seen.keys() == expected.keys() and seen
    for stamp, found in seen.items():
        other = expected[stamp]
        assert found.instruction == other.instruction == EVERYTHING
        assert found.answer == other.answer and len(found.instances) > 2
        # ids too: both followed the same pictures
        assert [(one.id, one.phrase) for one in found.instances] == [
            (one.id, one.phrase) for one in other.instances]
        # the two processes may add up in other orders: float32 logits differ by 1e-5 or so, and a
        # pixel whose logit is nearer to 0 falls on the other side
        np.testing.assert_allclose([one.score for one in found.instances],
                                   [one.score for one in other.instances], atol=1e-4)
        for one, two in zip(masks_of(found), masks_of(other), strict=True):
            assert (one & two).sum() >= 0.99 * (one | two).sum()
    seen, expected = (results_of(one, 'targets') for one in (live, offline / 'results'))
    assert seen.keys() == expected.keys()
    for stamp, found in seen.items():
        for one, two in zip(targets_of(found), targets_of(expected[stamp]), strict=True):
            assert (one.id, one.status) == (two.id, two.status)
            if one.geometry is None or two.geometry is None:
                assert one.geometry is two.geometry
                continue
            # filtered over the same pictures; a few pixels move a place by less than a millimetre
            np.testing.assert_allclose(one.geometry.position, two.geometry.position, atol=1e-3)
            np.testing.assert_allclose(one.geometry.centroid, two.geometry.centroid, atol=1e-3)
            np.testing.assert_allclose(one.geometry.size, two.geometry.size, atol=2e-3)
    with BagReader(live) as bag:
        # timed as the bag that was played, not by the wall
        assert bags.at(-1) < bag.start_ns and bag.end_ns < bags.at(3)
        assert bag.topics['/tf_static'].latched and bag.topics['/tf'].count == FRAMES
        assert '/instructsam/overlay' not in bag.topics
