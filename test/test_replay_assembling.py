# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a bag are those that the live node would have had, with TF at their stamps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bags
import hypothesis
import hypothesis.strategies as st
import pytest

from instructsam_ros.bridge import synchronising
from instructsam_ros.bridge.images import depth_to_metres, image_to_array
from instructsam_ros.bridge.interfaces import InstanceArray
from instructsam_ros.bridge.synchronising import FrameSynchronizer, SyncSettings
from instructsam_ros.bridge.transforms import TransformSource, TransformUnavailable
from instructsam_ros.nodes import inputs
from instructsam_ros.replay.assembling import FrameAssembler
from instructsam_ros.replay.reading import BagError, BagReader
from instructsam_ros.replay.topics import choose_topics

from sensor_msgs.msg import CameraInfo, Image  # isort: skip
from std_msgs.msg import Header  # isort: skip

TRUTH = '/camera/camera/ground_truth/instances'


def assemble(path: Path, settings: SyncSettings | None = None, **options: Any) -> Any:
    """Return the frames of a bag, and the assembler."""
    window = {name: options.pop(name) for name in ('start', 'stop') if name in options}
    with BagReader(path) as bag:
        made = FrameAssembler(bag, choose_topics(bag), settings, **options)
        return list(made.frames(**window)), made


def number(frame: Any) -> int:
    return int(image_to_array(frame.image)[0, 0, 0])


def test_a_frame_has_the_messages_of_its_moment(tmp_path):
    frames, made = assemble(bags.write(tmp_path / 'bag', bags.camera(8)))
    assert [number(one) for one in frames] == list(range(8))
    assert [one.index for one in frames] == list(range(8))
    for one in frames:
        assert one.stamp_ns == one.bag_ns == bags.at(one.index / 10)
        assert depth_to_metres(one.depth)[0, 0] == pytest.approx(1 + one.index / 1000)
        assert one.info.header.stamp == one.image.header.stamp and one.is_live
    assert (made.sync.images, made.sync.frames) == (8, 8)
    assert not made.sync.unmatched and not made.sync.flat and made.restarts == 0


def test_a_part_of_the_bag(tmp_path):
    path = bags.write(tmp_path / 'bag', bags.camera(10))
    frames, _ = assemble(path, start=bags.at(0.3), stop=bags.at(0.6))
    assert [number(one) for one in frames] == [3, 4, 5]


def test_images_without_depth_are_counted_with_the_reason(tmp_path):
    """Lost depth, depth half a period away, depth for every image but twice the images."""
    written = bags.camera(10)
    lost = [one for one in written if not (one[0] == bags.DEPTH and one[2] in (0.3, 0.4))]
    frames, made = assemble(bags.write(tmp_path / 'lost', lost))
    assert [number(one) for one in frames] == [0, 1, 2, 5, 6, 7, 8, 9]
    assert made.sync.unmatched == {synchronising.BEYOND_SLOP: 2}

    shifted = [(topic, bags.depth(0, t + 0.05) if topic == bags.DEPTH else m, t)
               for topic, m, t in written]
    frames, made = assemble(bags.write(tmp_path / 'shifted', shifted))
    assert frames == [] and made.sync.unmatched == {synchronising.BEYOND_SLOP: 10}
    frames, made = assemble(tmp_path / 'shifted', SyncSettings(sync_slop=0.06))
    assert len(frames) >= 9

    twice = [*written, *((bags.IMAGE, bags.image(100 + n, n / 10 + 0.005), n / 10 + 0.005)
                         for n in range(10))]
    frames, made = assemble(bags.write(tmp_path / 'twice', twice))
    assert len(frames) == 10 and made.sync.unmatched == {synchronising.DEPTH_TAKEN: 10}


def test_without_depth_frames_go_on_flat_after_the_node_s_patience(tmp_path):
    written = [one for one in bags.camera(50) if one[0] != bags.DEPTH or not 1.0 <= one[2] < 4.0]
    frames, made = assemble(bags.write(tmp_path / 'bag', written))
    flat = [number(one) for one in frames if one.depth is None]
    # two seconds after the first image without depth, until depth comes again
    assert flat == list(range(31, 40))
    assert made.sync.flat == {synchronising.DEPTH_LOST: 9}
    assert sum(made.sync.unmatched.values()) == 21
    assert made.sync.frames + 21 == made.sync.images == 50


def test_a_bag_without_depth_or_calibration_gives_flat_frames_at_once(tmp_path):
    only = [one for one in bags.camera(5) if one[0] == bags.IMAGE]
    frames, made = assemble(bags.write(tmp_path / 'bag', only))
    assert len(frames) == 5 and all(one.depth is one.info is None for one in frames)
    assert made.sync.flat == {synchronising.NO_DEPTH_TOPIC: 5}
    late = [one for one in bags.camera(5) if one[0] != bags.INFO or one[2] > 0.25]
    frames, made = assemble(bags.write(tmp_path / 'late', late))
    assert [one.info is None for one in frames] == [True, True, True, False, False]
    assert made.sync.flat == {synchronising.NO_INFO: 3}


# ---- TF


def test_transforms_of_around_the_stamp_are_there_when_the_frame_comes(tmp_path):
    """TF is recorded later than the images that it is about, here by 40 ms, at 20 Hz."""
    moving = [('/tf', bags.transform('camera', 'world', t, t), t + 0.04)
              for t in (n / 20 for n in range(-2, 30))]
    fixed = [('/tf_static', bags.transform(bags.FRAME, 'camera', 5.0, 0), 0.35)]
    path = bags.write(tmp_path / 'bag', [*bags.camera(10, rate=11), *moving, *fixed])
    with BagReader(path) as bag:
        made = FrameAssembler(bag, choose_topics(bag))
        source = TransformSource(made.buffer)
        places = [(one.stamp_ns, source.pose('world', bags.FRAME, one.image.header.stamp))
                  for one in made.frames()]
    assert len(places) == 10
    for stamp, pose in places:
        # the static transform holds from the start; between two transforms lies their mean
        assert pose[0, 3] == pytest.approx(5.0 + (stamp - bags.BEGIN) * 1e-9, abs=1e-6)


def test_static_transforms_that_change_hold_from_then_on(tmp_path):
    fixed = [('/tf_static', bags.transform(bags.FRAME, 'world', x, t), t)
             for t, x in ((0.05, 1.0), (0.55, 2.0))]
    path = bags.write(tmp_path / 'bag', [*bags.camera(10), *fixed])

    def places(**window: Any) -> list[float]:
        with BagReader(path) as bag:
            made = FrameAssembler(bag, choose_topics(bag), tf_lookahead=0.0)
            return [float(TransformSource(made.buffer).pose(
                'world', bags.FRAME, one.image.header.stamp)[0, 3])
                for one in made.frames(**window)]

    assert places() == [1.0] * 6 + [2.0] * 4
    assert places(start=bags.at(0.7)) == [2.0] * 3
    assert places(start=bags.at(0.2), stop=bags.at(0.4)) == [1.0] * 2


def test_missing_tf_says_what_is_missing(tmp_path):
    path = bags.write(tmp_path / 'bag', [
        *bags.camera(3), ('/tf', bags.transform('gripper', 'world', 0, 0.1), 0.1)])
    _, made = assemble(path)
    with pytest.raises(TransformUnavailable, match='camera_color_optical_frame'):
        TransformSource(made.buffer).pose('world', bags.FRAME, bags.header(0.1).stamp)


# ---- companions


def test_truth_comes_with_its_frame_by_stamp(tmp_path):
    """Also when it is written late, and when frames or truth are lost."""
    truth = [(TRUTH, InstanceArray(header=bags.header(n / 10), instruction_id=n), n / 10 + 0.08)
             for n in range(10) if n != 4]
    written = [one for one in bags.camera(10) if one[0] != bags.DEPTH or one[2] != 0.6]
    frames, made = assemble(bags.write(tmp_path / 'bag', [*written, *truth]), companions=(TRUTH,))
    assert [number(one) for one in frames] == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    found = {number(one): one.companions.get(TRUTH) for one in frames}
    assert found.pop(4) is None
    assert all(message.instruction_id == key for key, message in found.items())
    assert made.unaccompanied == {TRUTH: 1}


# ---- time


def test_a_clock_that_goes_back_begins_anew(tmp_path):
    """The recorder's clock and the camera's jump back by a minute: nothing is lost or mixed."""
    moved = [(topic, message, seconds) for topic, message, seconds in [
        *bags.camera(20), *bags.camera(20, first=-600)]]
    path = bags.write(tmp_path / 'bag', moved)
    frames, made = assemble(path)
    assert [one.stamp_ns for one in frames] == [
        bags.at(n / 10) for n in (*range(20), *range(-600, -580))]
    assert made.restarts == 1 and made.sync.restarts == 1


def test_camera_stamps_that_go_back_begin_anew(tmp_path):
    """A camera that was restarted, or simulated time; the recorder's clock goes on."""
    again = [(bags.IMAGE, bags.image(100 + n, n / 10), 2 + n / 10) for n in range(5)] + [
        (bags.DEPTH, bags.depth(n, n / 10), 2 + n / 10) for n in range(5)]
    frames, made = assemble(bags.write(tmp_path / 'bag', [*bags.camera(20), *again]))
    assert [number(one) for one in frames] == [*range(20), *range(100, 105)]
    assert made.sync.restarts == 1


def test_of_a_damaged_bag_all_whole_frames_come_before_the_error(tmp_path):
    path = bags.write(tmp_path / 'bag', bags.camera(200), compress=False)
    (path / 'metadata.yaml').unlink()
    file = path / 'bag.mcap'
    file.write_bytes(file.read_bytes()[:int(0.7 * file.stat().st_size)])
    found = []
    with BagReader(path) as bag, pytest.raises(BagError, match='everything else was read'):
        found += (number(one) for one in FrameAssembler(bag, choose_topics(bag)).frames())
    assert found == list(range(len(found))) and 100 < len(found) < 150


# ---- the same as the node


class _Node:
    """As much of a node as FrameInputs takes, to call its subscriptions by hand."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}

    def resolve_topic_name(self, name: str) -> str:
        return name

    def create_subscription(self, kind: type, topic: str, callback: Any, **_: Any) -> str:
        self.callbacks[topic] = callback
        return topic

    def create_timer(self, *_: Any, **__: Any) -> None:
        return None

    def count_publishers(self, topic: str) -> int:
        return 1

    def get_logger(self) -> Any:
        raise AssertionError('nothing to tell')


def _event(kind: str, stamp: int, index: int) -> Any:
    made = CameraInfo if kind == 'camera_info' else Image
    message = made(header=Header(frame_id=f'{kind} {index}'))
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    return message


EVENTS = st.lists(st.tuples(
    st.sampled_from(['image', 'depth', 'image', 'depth', 'camera_info']),
    st.integers(0, 3).map(lambda n: n * 15_000_000),  # ns between messages
    st.sampled_from([0, 0, 0, 10_000_000, 40_000_000, -2_000_000_000]),  # ns off their stamp
    st.integers(0, 40),  # whether the camera falls silent for three seconds
), max_size=80)


@hypothesis.given(events=EVENTS, patience=st.sampled_from([0.1, 2.0]))
@hypothesis.settings(max_examples=150, deadline=None)
def test_frames_are_those_of_the_live_node(events, patience):
    """The same messages at the same times, in any order, with gaps, lags and leaps."""
    settings = SimpleNamespace(
        image_transport='raw', depth_transport='raw', use_depth=True, sync_slop=0.02,
        sync_queue_size=3, sync_patience=patience)
    clock = [100.0]
    live: list[tuple[str, ...]] = []
    offline: list[tuple[str, ...]] = []

    def names(*messages: Any) -> tuple[str, ...]:
        return tuple('' if one is None else one.header.frame_id for one in messages)

    node = _Node()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs.time, 'monotonic', lambda: clock[0])
        patch.setattr(inputs, 'subscription_options', lambda *_: {})
        patch.setattr(inputs, 'Clock', lambda **_: None)
        made = inputs.FrameInputs(
            node, lambda: settings, None,
            lambda frame: live.append(names(frame.image, frame.depth, frame.info)))
        made.start()
        synchronizer = FrameSynchronizer(
            SyncSettings(0.02, 3, patience),
            lambda image, depth, info: offline.append(names(image, depth, info)))
        now = bags.BEGIN
        for index, (kind, step, off, silence) in enumerate(events):
            now += step + (3_000_000_000 if silence == 0 else 0)
            clock[0] = 100.0 + (now - bags.BEGIN) * 1e-9
            message = _event(kind, now + off, index)
            node.callbacks[kind](message)
            if kind == 'image':
                synchronizer.image(message, now)
            else:
                (synchronizer.depth if kind == 'depth' else synchronizer.info)(message)
    assert offline == live
    synchronizer.finish()
    # every image is a frame, or is counted with the reason
    assert synchronizer.frames + sum(synchronizer.unmatched.values()) == synchronizer.images
