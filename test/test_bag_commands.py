# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros bag``: recordings of drawn tables and of folders of pictures, with truth."""

from __future__ import annotations

import json
from pathlib import Path

import bags
import cv2
import numpy as np
import pytest
import rclpy

from instructsam_ros.bridge.cameras import camera_model
from instructsam_ros.bridge.images import (
    compressed_to_array,
    depth_to_metres,
    image_to_array,
)
from instructsam_ros.bridge.results import instances_of, targets_of
from instructsam_ros.bridge.transforms import TransformSource
from instructsam_ros.cli import main
from instructsam_ros.nodes.tabletop_camera_node import TabletopCameraNode
from instructsam_ros.perception.targets import TargetStatus
from instructsam_ros.replay.assembling import FrameAssembler
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.record_tabletop import TabletopRecording, record_tabletop
from instructsam_ros.replay.topics import choose_topics

from std_msgs.msg import String  # isort: skip

SMALL = {'width': 160, 'height': 120}


def everything(path: Path) -> dict[str, list]:
    """All messages by topic."""
    found: dict[str, list] = {}
    with BagReader(path) as bag:
        for one in bag.messages():
            found.setdefault(one.topic, []).append(one.message)
    return found


def run(*words: object) -> int:
    return main([str(word) for word in words])


# ---- record-tabletop


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    """Three seconds, three instructions about two tables."""
    path = tmp_path_factory.mktemp('tabletop') / 'bag'
    recording = TabletopRecording(
        seconds=3, rate=4, seed=5, instructions=3, scenes=2, moving_objects=1, **SMALL)
    assert record_tabletop(path, recording) == 12
    return path


def test_replay_finds_all_it_needs_in_a_recording(recorded):
    with BagReader(recorded) as bag:
        found = choose_topics(bag)
    named = found.named()
    assert found.notes == ()
    assert named == {
        'image': '/camera/color/image_raw',
        'depth': '/camera/aligned_depth_to_color/image_raw',
        'camera_info': '/camera/color/camera_info',
        'depth_camera_info': '/camera/aligned_depth_to_color/camera_info',
        'instruction': '/instruction',
        'truth_instances': '/camera/camera/ground_truth/instances',
        'truth_targets': '/camera/camera/ground_truth/targets',
        'meant_instances': '/camera/camera/ground_truth/meant_instances',
        'schedule': '/camera/camera/ground_truth/schedule', 'tf': '/tf', 'tf_static': '/tf_static'}


def test_topics_types_and_frames_are_those_of_the_drawn_camera(recorded, ros_domain):
    rclpy.init()
    try:
        node = TabletopCameraNode(parameter_overrides=[
            rclpy.parameter.Parameter(name, value=value) for name, value in SMALL.items()])
        live = {publisher.topic_name: publisher.msg_type for publisher in node.publishers}
        node.close(5.0)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    own = {'/instruction', '/camera/camera/ground_truth/meant_instances',
           '/camera/camera/ground_truth/schedule'}
    messages = everything(recorded)
    assert {name: type(found[0]) for name, found in messages.items() if name not in own} == {
        name: kind for name, kind in live.items() if name in messages}
    assert len(messages) == 8 + len(own)
    frames = {one.child_frame_id: one.header.frame_id
              for name in ('/tf', '/tf_static') for found in messages[name]
              for one in found.transforms}
    assert frames == {
        'camera_link': 'world', 'camera_color_frame': 'camera_link',
        'camera_color_optical_frame': 'camera_color_frame'}


def test_instructions_have_a_schedule_and_their_truth(recorded):
    messages = everything(recorded)
    texts = [one.data for one in messages['/instruction']]
    schedule = [json.loads(one.data) for one in messages['/camera/camera/ground_truth/schedule']]
    assert [one['text'] for one in schedule] == texts and len(texts) == 3
    assert [one['instruction_id'] for one in schedule] == [1, 2, 3]
    assert len({one['kind'] for one in schedule}) == 3, 'kinds take turns'
    assert [one['scene'] for one in schedule] == [0, 0, 1]
    meant = messages['/camera/camera/ground_truth/meant_instances']
    all_ = messages['/camera/camera/ground_truth/instances']
    assert [one.instruction_id for one in meant] == [1] * 4 + [2] * 4 + [3] * 4
    assert [one.instruction_id for one in all_] == [0] * 8 + [1] * 4
    for part, whole in zip(meant, all_, strict=True):
        entry = schedule[part.instruction_id - 1]
        assert part.instruction == entry['text'] and part.header == whole.header
        chosen = [one for one in whole.instances if one.id in entry['objects']]
        assert part.instances == chosen
    assert any(one.instances for one in meant)
    with BagReader(recorded) as bag:
        starts = [one.bag_ns for one in bag.messages(['/instruction'])]
        pictures = [one.bag_ns for one in bag.messages(['/camera/color/image_raw'])]
    # each stands from just before the first picture that it is about
    assert [sum(one < start for one in pictures) for start in starts] == [0, 4, 8]


def test_truth_picture_depth_and_tf_agree(recorded):
    """An object's box, in the world by TF, stays where it is while the camera moves."""
    with BagReader(recorded) as bag:
        topics = choose_topics(bag)
        made = FrameAssembler(
            bag, topics, companions=(topics.truth_instances, topics.truth_targets))
        source = TransformSource(made.buffer)
        places: dict[tuple[int, int], list[np.ndarray]] = {}
        for frame in made.frames():
            assert image_to_array(frame.image).shape == (120, 160, 3)
            depth = depth_to_metres(frame.depth)
            camera = camera_model(frame.info)
            instances = frame.companions[topics.truth_instances]
            targets = targets_of(frame.companions[topics.truth_targets])
            pose = source.pose('world', frame.image.header.frame_id, frame.image.header.stamp)
            for one, target in zip(instances_of(instances), targets, strict=True):
                assert one.id == target.id
                z = depth[one.mask & np.isfinite(depth)]
                # the surface under the mask is where the truth says, but for noise and edges
                assert np.median(z) == pytest.approx(target.geometry.centroid[2], abs=0.03)
                u = camera.fx * target.geometry.centroid[0] / target.geometry.centroid[2]
                assert abs(u + camera.cx - np.nonzero(one.mask)[1].mean()) < 3
                places.setdefault((instances.instruction_id, one.id), []).append(
                    pose @ target.geometry.pose)
    assert not made.unaccompanied and len(places) >= 4
    spread = {key: np.ptp([one[:3, 3] for one in found], axis=0).max()
              for key, found in places.items() if len(found) > 1}
    assert sum(one < 1e-6 for one in spread.values()) >= len(spread) - 2, 'one slides per table'
    assert all(one < 0.2 for one in spread.values())


def test_the_same_seed_gives_the_same_bag(tmp_path, recorded):
    options = TabletopRecording(seconds=1, rate=3, instructions=1, **SMALL)
    for name in ('a', 'b'):
        record_tabletop(tmp_path / name / 'bag', options)
    assert (tmp_path / 'a/bag/bag.mcap').read_bytes() == (tmp_path / 'b/bag/bag.mcap').read_bytes()


def test_the_command_records_and_info_shows_it(tmp_path, capsys):
    out = tmp_path / 'bag'
    code = run('bag', 'record-tabletop', out, '--seconds', 1, '--rate', 4, '--instructions', 2,
               '--width', 160, '--height', 120, '--speed', 0, '--compressed',
               '--storage', 'sqlite3', '--depth-noise', 0)
    assert code == 0 and f'4 pictures are in {out}' in capsys.readouterr().out
    messages = everything(out)
    assert '/tf' not in messages, 'a camera that stands still'
    static = [one.child_frame_id for one in messages['/tf_static'][0].transforms]
    assert 'camera_link' in static
    picture = compressed_to_array(messages['/camera/color/image_raw/compressed'][0])
    assert picture.shape == (120, 160, 3)
    depths = messages['/camera/aligned_depth_to_color/image_raw/compressedDepth']
    assert depth_to_metres(depths[0]).shape == (120, 160)
    true = messages['/camera/camera/ground_truth/targets'][0].targets
    assert {one.valid_depth_ratio for one in true} == {1.0}, 'exact depth has no holes'
    assert run('bag', 'info', out) == 0
    shown = capsys.readouterr().out
    for part in ('sqlite3, 1 file', 'messages in 0.751 s', '/tf_static', 'latched',
                 'image: /camera/color/image_raw/compressed', 'instruction: /instruction'):
        assert part in shown


def test_lost_pictures_leave_unmatched_ones(tmp_path):
    options = TabletopRecording(seconds=2, rate=10, instructions=0, drop_rate=0.3, **SMALL)
    record_tabletop(tmp_path / 'bag', options)
    with BagReader(tmp_path / 'bag') as bag:
        made = FrameAssembler(bag, choose_topics(bag))
        frames = list(made.frames())
    assert 0 < len(frames) < made.sync.images < 20
    assert len(frames) + sum(made.sync.unmatched.values()) == made.sync.images


# ---- from-frames


def folder(
    path: Path, frames: int = 3, *, nested: bool = False, labelled: bool = True, **meta
) -> Path:
    """A folder of pictures: a square object 1 one metre away, before a wall at two metres."""
    path.mkdir(exist_ok=True)

    def place(role: str, number: int, suffix: str) -> str:
        if nested:
            (path / role).mkdir(exist_ok=True)
            return str(path / role / f'{number}{suffix}')
        return str(path / f'{role}_{number}{suffix}')

    for number in range(frames):
        image = np.full((48, 64, 3), 10 * number, np.uint8)
        depth = np.full((48, 64), 2000, np.uint16)
        depth[10:30, 20 + number:40 + number] = 1000
        depth[0, :] = 0
        cv2.imwrite(place('color', number, '.png'), image)
        cv2.imwrite(place('depth', number, '.png'), depth)
        if labelled:
            # a second object at the border
            found = np.where(depth == 1000, 1, 0).astype(np.uint8)
            found[40:, :8] = 2
            cv2.imwrite(place('labels', number, '.png'), found)
    calibration = {'K': [[50, 0, 31.5], [0, 50, 23.5], [0, 0, 1]], 'width': 64, 'height': 48}
    (path / 'meta.json').write_text(json.dumps({**calibration, **meta}))
    return path


@pytest.mark.parametrize('nested', [False, True])
def test_a_folder_becomes_a_bag_with_its_labels_as_truth(tmp_path, nested, capsys):
    source = folder(tmp_path / 'in', 12, nested=nested)
    out = tmp_path / 'bag'
    assert run('bag', 'from-frames', source, out, '--label', '1=box', '--rate', 5) == 0
    assert f'12 pictures are in {out}' in capsys.readouterr().out
    with BagReader(out) as bag:
        topics = choose_topics(bag)
        assert bag.duration == pytest.approx(11 / 5)
        assert topics.notes == () and topics.instruction is topics.meant_instances is None
        made = FrameAssembler(
            bag, topics, companions=(topics.truth_instances, topics.truth_targets))
        frames = list(made.frames())
    # numbers, not names, give the order
    assert [int(image_to_array(one.image)[0, 0, 0]) for one in frames] == list(range(0, 120, 10))
    for number, frame in enumerate(frames):
        assert frame.depth.encoding == '16UC1'
        depth = depth_to_metres(frame.depth)
        assert depth[20, 35] == 1.0 and np.isnan(depth[0, 0])
        box, other = instances_of(frame.companions[topics.truth_instances])
        assert (box.id, box.phrase, other.id, other.phrase) == (1, 'box', 2, 'object 2')
        assert box.mask.sum() == 400 and box.mask[10:30, 20 + number:40 + number].all()
        truth, border = frame.companions[topics.truth_targets].targets
        assert truth.pose.covariance[0] == -1 and truth.size.x == 0, 'the box is unknown'
        assert (truth.centroid.x, truth.centroid.y, truth.centroid.z) == pytest.approx(
            ((29.5 + number - 31.5) / 50, (19.5 - 23.5) / 50, 1.0), abs=1e-6)
        assert truth.status == TargetStatus.OK and truth.valid_depth_ratio == 1.0
        assert border.status == TargetStatus.TOUCHES_BORDER


def test_all_pictures_come_once_for_each_instruction(tmp_path):
    source = folder(tmp_path / 'in', 3, labels={'1': 'box', '2': 'mat'})
    out = tmp_path / 'bag'
    assert run('bag', 'from-frames', source, out, '--instruction', 'the box=1',
               '--instruction', 'all of a = b=box, mat', '--instruction', 'a drill=') == 0
    messages = everything(out)
    schedule = [json.loads(one.data) for one in messages['/camera/camera/ground_truth/schedule']]
    assert [(one['text'], one['objects'], one['kind']) for one in schedule] == [
        ('the box', [1], ''), ('all of a = b', [1, 2], ''), ('a drill', [], 'absent')]
    meant = messages['/camera/camera/ground_truth/meant_instances']
    assert [(one.instruction_id, [i.id for i in one.instances]) for one in meant] == [
        *[(1, [1])] * 3, *[(2, [1, 2])] * 3, *[(3, [])] * 3]
    assert len(messages['/camera/color/image_raw']) == 9
    stamps = [one.header.stamp for one in messages['/camera/color/image_raw']]
    assert len({(one.sec, one.nanosec) for one in stamps}) == 9


def test_the_folder_itself_may_name_rate_labels_and_instructions(tmp_path):
    source = folder(tmp_path / 'in', 2, rate_hz=2, instructions=[
        {'text': 'the thing', 'labels': [2], 'kind': 'category'}, {'text': 'a cow'}])
    assert run('bag', 'from-frames', source, tmp_path / 'bag') == 0
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.duration == pytest.approx(1.5, abs=0.002)
        texts = [one.message.data for one in bag.messages(['/instruction'])]
    assert texts == ['the thing', 'a cow']


def test_float_depth_other_units_and_poses(tmp_path):
    source = folder(tmp_path / 'in', 1, depth_scale_to_metres=0.0005)
    pose = np.eye(4)
    pose[:3, 3] = 1, 2, 3
    np.savetxt(source / 'pose_0.txt', pose)
    assert run('bag', 'from-frames', source, tmp_path / 'bag') == 0
    with BagReader(tmp_path / 'bag') as bag:
        made = FrameAssembler(bag, choose_topics(bag))
        (frame,) = made.frames()
        found = TransformSource(made.buffer).pose(
            'world', frame.image.header.frame_id, frame.image.header.stamp)
    assert found == pytest.approx(pose, abs=1e-9)
    assert frame.depth.encoding == '32FC1'
    assert depth_to_metres(frame.depth)[20, 30] == pytest.approx(0.5)
    (source / 'depth_0.png').unlink()
    np.save(source / 'depth_0.npy', np.full((48, 64), 1.25, np.float32))
    assert run('bag', 'from-frames', source, tmp_path / 'other', '--compressed') == 0
    depth = everything(tmp_path / 'other')[
        '/camera/aligned_depth_to_color/image_raw/compressedDepth'][0]
    # quantised in inverse depth, finer than a millimetre at this distance
    assert depth_to_metres(depth)[20, 30] == pytest.approx(1.25, abs=1e-3)


def test_pictures_alone_are_enough(tmp_path):
    source = folder(tmp_path / 'in', 2, labelled=False)
    for one in source.glob('depth_*'):
        one.unlink()
    assert run('bag', 'from-frames', source, tmp_path / 'bag') == 0
    with BagReader(tmp_path / 'bag') as bag:
        topics = choose_topics(bag)
        assert (topics.depth, topics.truth_instances) == (None, None)
        assert len(list(FrameAssembler(bag, topics).frames())) == 2


def test_real_frames_with_labels(tmp_path, shared_dir):
    """A carrot and a ball in a bin, hand-held camera: they move little in the picture."""
    source = shared_dir / 'data' / 'bin_sequence'
    assert run('bag', 'from-frames', source, tmp_path / 'bag', '--label', '1=carrot', '--label',
               '2=ball', '--instruction', 'the carrot=carrot') == 0
    with BagReader(tmp_path / 'bag') as bag:
        topics = choose_topics(bag)
        made = FrameAssembler(bag, topics, companions=(
            topics.truth_instances, topics.truth_targets, topics.meant_instances))
        frames = list(made.frames())
    assert len(frames) == 10 and not made.unaccompanied
    ball = []
    for frame in frames:
        named = {one.phrase for one in frame.companions[topics.truth_instances].instances}
        assert named == {'carrot', 'ball'}
        (meant,) = frame.companions[topics.meant_instances].instances
        assert meant.phrase == 'carrot'
        centroids = {one.phrase: one.centroid
                     for one in frame.companions[topics.truth_targets].targets}
        ball.append(centroids['ball'].z)
    # a table-top distance, and a hand does not move by decimetres between frames at 10 Hz
    assert min(ball) > 0.2 and max(ball) < 2.0
    assert np.abs(np.diff(ball)).max() < 0.1


# ---- mistakes


@pytest.mark.parametrize('change, told', [
    (lambda path: [one.unlink() for one in path.glob('color_*')], 'no colour pictures'),
    (lambda path: (path / 'meta.json').unlink(), 'no calibration: add one of meta.json'),
    (lambda path: (path / 'meta.json').write_text('{"K": [1, 2]}'), 'meta.json'),
    (lambda path: (path / 'color_0.png').write_bytes(b'no picture'), 'cannot be read as a picture'),
    (lambda path: cv2.imwrite(str(path / 'depth_0.png'), np.ones((8, 8), np.uint16)),
     'must be registered'),
    (lambda path: cv2.imwrite(str(path / 'labels_0.png'), np.ones((48, 64, 3), np.uint8)),
     'is no label image'),
    (lambda path: [one.rename(path / f'depth_x{one.name}') for one in path.glob('depth_*')],
     'no depth file has the number of a colour picture'),
    (lambda path: (path / 'pose_0.txt').write_text('1 2 3'), 'is no pose'),
])
def test_a_folder_that_is_not_as_it_should_be_is_told_before_anything_is_written(
    tmp_path, capsys, change, told
):
    source = folder(tmp_path / 'in', 1)
    change(source)
    assert run('bag', 'from-frames', source, tmp_path / 'bag') == 2
    error = capsys.readouterr().err
    assert told in error and error.count('\n') == 1
    assert not (tmp_path / 'bag').exists()


@pytest.mark.parametrize('words, told', [
    (['--instruction', 'the box'], 'expected TEXT=LABELS'),
    (['--instruction', 'the box=cup'], "no label 'cup'"),
    (['--label', 'box=1'], 'is not NUMBER=NAME'),
    (['--rate', '0'], 'is not a number above 0'),
])
def test_arguments_that_make_no_sense_are_told(tmp_path, capsys, words, told):
    source = folder(tmp_path / 'in', 1)
    try:
        code = run('bag', 'from-frames', source, tmp_path / 'bag', *words)
    except SystemExit as end:
        code = end.code
    assert code == 2 and told in capsys.readouterr().err


def test_labels_of_instructions_need_label_images(tmp_path, capsys):
    source = folder(tmp_path / 'in', 1, labelled=False)
    assert run('bag', 'from-frames', source, tmp_path / 'bag', '--instruction', 'it=1') == 2
    assert 'has no label images' in capsys.readouterr().err


def test_a_later_frame_that_is_broken_keeps_those_before(tmp_path, capsys):
    source = folder(tmp_path / 'in', 4)
    (source / 'depth_2.png').write_bytes(b'')
    assert run('bag', 'from-frames', source, tmp_path / 'bag') == 2
    assert 'depth_2.png' in capsys.readouterr().err
    assert len(everything(tmp_path / 'bag')['/camera/color/image_raw']) == 2


def test_recording_refuses_what_cannot_be(tmp_path, capsys):
    assert run('bag', 'record-tabletop', tmp_path / 'bag', '--seconds', 0.1, '--rate', 1) == 2
    assert 'are no picture' in capsys.readouterr().err
    assert run('bag', 'record-tabletop', tmp_path / 'bag', '--seconds', 1, '--rate', 2,
               '--instructions', 5) == 2
    assert 'give more --seconds' in capsys.readouterr().err
    bags.write(tmp_path / 'taken', bags.strings(1))
    assert run('bag', 'record-tabletop', tmp_path / 'taken', '--seconds', 1) == 2
    assert 'exists already' in capsys.readouterr().err


def test_info_tells_of_troubles_and_of_what_is_missing(tmp_path, capsys):
    path = bags.write(
        tmp_path / 'bag', [('/count', String(data='x' * 20000), n / 10) for n in range(100)],
        compress=False)
    (path / 'metadata.yaml').unlink()
    (path / 'bag.mcap').write_bytes((path / 'bag.mcap').read_bytes()[:-500_000])
    assert run('bag', 'info', path) == 0
    shown = capsys.readouterr().out
    assert 'note: metadata.yaml is missing' in shown and 'damage: ' in shown
    assert 'replay: ' in shown and 'no image topic' in shown
    assert run('bag', 'info', tmp_path / 'nothing') == 2
    error = capsys.readouterr().err
    assert 'no such bag' in error and error.count('\n') == 1
