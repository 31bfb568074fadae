# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results to messages and back: instances, targets, detections, labels, points, markers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.bridge.clouds import point_cloud, read_cloud
from instructsam_ros.bridge.detections import detections_2d, detections_3d
from instructsam_ros.bridge.images import image_to_array
from instructsam_ros.bridge.markers import MarkerBoard
from instructsam_ros.bridge.pictures import label_image, label_info, label_map, overlay
from instructsam_ros.bridge.poses import rotation_of
from instructsam_ros.bridge.results import (
    instance_array,
    instances_of,
    masks_of,
    target_array,
    targets_of,
)
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus

from builtin_interfaces.msg import Time  # isort: skip
from std_msgs.msg import Header  # isort: skip
from visualization_msgs.msg import Marker  # isort: skip

SHAPE = (40, 60)
HEADER = Header(stamp=Time(sec=12, nanosec=5), frame_id='eye')


@dataclass(frozen=True)
class Found:
    mask: np.ndarray
    score: float = 0.9
    phrase: str = 'red mug'
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Answer:
    instances: tuple[Found, ...]
    answer: str = 'red mug, bowl'
    phrases: tuple[str, ...] = ('red mug', 'bowl')
    timings: dict[str, float] = field(default_factory=dict)


def rectangle(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y:y + height, x:x + width] = True
    return mask


def geometry(angle: float = 0.3) -> TargetGeometry:
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, 3] = 0.1, -0.2, 0.9
    covariance = np.diag([1e-6, 2e-6, 3e-6, 4e-4, 5e-4, 6e-4])
    centroid = np.array([0.1, -0.2, 0.85])
    return TargetGeometry(pose, np.array([0.1, 0.08, 0.12]), centroid, np.array([0.0, 0.0, -1.0]),
                          covariance, float(np.linalg.norm(centroid)))


def result_of(masks: list[np.ndarray], *, lost: tuple[int, ...] = (), first_id: int = 1,
              scores: tuple[float, ...] = ()) -> PerceptionResult:
    """One target per mask; those at the places in ``lost`` have no depth."""
    instances = tuple(
        Found(mask, scores[k] if scores else 0.9 - 0.1 * k, f'thing {k}')
        for k, mask in enumerate(masks))
    targets = tuple(
        Target(first_id + k, one.phrase, one.score,
               TargetStatus.NO_DEPTH if k in lost else TargetStatus.OCCLUDED,
               None if k in lost else geometry(), 0 if k in lost else 123, 0.5)
        for k, one in enumerate(instances))
    return PerceptionResult('the red mug', 12.0, Answer(instances), targets, {})


def holed() -> np.ndarray:
    """A mask in two pieces, one with a hole: contours alone would lose both."""
    mask = rectangle(5, 4, 20, 12)
    mask[8:11, 10:14] = False
    mask[30:36, 40:50] = True
    return mask


# instances


def test_instances_carry_everything() -> None:
    result = result_of([holed(), rectangle(50, 30, 10, 10)], first_id=7)
    message = instance_array(result, HEADER, SHAPE, 3)
    assert message.header == HEADER and message.instruction_id == 3
    assert (message.instruction, message.answer) == ('the red mug', 'red mug, bowl')
    assert (message.height, message.width) == SHAPE
    assert [one.id for one in message.instances] == [7, 8]
    one = message.instances[0]
    assert one.phrase == 'thing 0' and one.score == pytest.approx(0.9)
    roi = one.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (5, 4, 45, 32)
    assert not roi.do_rectify
    assert (one.mask.encoding, one.mask.width, one.mask.height, one.mask.step) == (
        'mono8', 45, 32, 45)
    assert one.mask.header == HEADER and set(one.mask.data) == {0, 255}


def test_masks_come_back_with_holes_and_pieces() -> None:
    masks = [holed(), rectangle(50, 30, 10, 10), rectangle(0, 0, 60, 40), np.zeros(SHAPE, bool)]
    message = instance_array(result_of(masks), HEADER, SHAPE, 1)
    for found, mask in zip(masks_of(message), masks, strict=True):
        np.testing.assert_array_equal(found, mask)
        assert found.dtype == np.bool_
    assert (message.instances[3].roi.width, len(message.instances[3].mask.data)) == (0, 0)
    first = instances_of(message)[0]
    assert (first.id, first.phrase, first.box) == (1, 'thing 0', (5.0, 4.0, 50.0, 36.0))


def test_nothing_found_is_a_message_too() -> None:
    message = instance_array(result_of([]), HEADER, SHAPE, 4)
    assert message.instances == [] and message.height == 40 and message.instruction_id == 4
    assert target_array(result_of([]), HEADER, 4).targets == []
    assert masks_of(message) == []


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_any_mask_comes_back(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random(SHAPE) < share
    message = instance_array(result_of([mask]), HEADER, SHAPE, 1)
    np.testing.assert_array_equal(masks_of(message)[0], mask)


def test_ids_count_where_there_are_no_targets() -> None:
    full = result_of([holed(), holed()])
    without = PerceptionResult(full.instruction, 0.0, full.segmentation, (), {})
    assert [one.id for one in instance_array(without, HEADER, SHAPE, 1).instances] == [1, 2]


@pytest.mark.parametrize(('change', 'reason'), [
    (lambda one: setattr(one.roi, 'x_offset', 50), 'reaches beyond the 60x40'),
    (lambda one: setattr(one.roi, 'width', 44), 'cropped'),
    (lambda one: setattr(one.mask, 'data', one.mask.data[:-1]), 'cropped'),
    (lambda one: setattr(one.mask, 'step', 3), 'cropped'),
])
def test_contradicting_masks_are_named(change: object, reason: str) -> None:
    message = instance_array(result_of([holed()]), HEADER, SHAPE, 1)
    change(message.instances[0])
    with pytest.raises(ValueError, match=f'instance 1.*{reason}'):
        masks_of(message)


# targets


def test_targets_carry_everything() -> None:
    result = result_of([holed()], first_id=5)
    message = target_array(result, HEADER, 2)
    assert message.header == HEADER and message.instruction_id == 2
    one, wanted = message.targets[0], result.targets[0].geometry
    assert (one.id, one.phrase, one.visible_points) == (5, 'thing 0', 123)
    assert one.status == TargetStatus.OCCLUDED and one.valid_depth_ratio == pytest.approx(0.5)
    np.testing.assert_allclose(rotation_of(one.pose.pose.orientation), wanted.pose[:3, :3],
                               atol=1e-12)
    assert (one.pose.pose.position.x, one.pose.pose.position.z) == pytest.approx((0.1, 0.9))
    np.testing.assert_array_equal(one.pose.covariance, wanted.covariance.ravel())
    assert (one.size.x, one.size.y, one.size.z) == (0.1, 0.08, 0.12)
    assert (one.centroid.z, one.normal.z) == (0.85, -1.0)


def test_a_target_without_depth_is_zero_with_unknown_covariance_and_says_so() -> None:
    one = target_array(result_of([holed()], lost=(0,)), HEADER, 2).targets[0]
    assert one.status == TargetStatus.NO_DEPTH
    assert list(one.pose.covariance) == [-1, *35 * [0]]
    turn = one.pose.pose.orientation
    assert (turn.x, turn.y, turn.z, turn.w) == (0, 0, 0, 1)
    for part in (one.pose.pose.position, one.size, one.centroid, one.normal):
        assert (part.x, part.y, part.z) == (0, 0, 0)


def test_targets_in_another_frame() -> None:
    turn = np.array([[0.0, 0, 1, 1.0], [-1, 0, 0, 2.0], [0, -1, 0, 3.0], [0, 0, 0, 1]])
    result = result_of([holed()])
    moved = targets_of(target_array(result, HEADER, 1, transform=turn), turn[:3, 3])[0]
    wanted = result.targets[0].geometry.transformed(turn)
    # quaternions of float64 and back
    np.testing.assert_allclose(moved.geometry.pose, wanted.pose, atol=1e-12)
    np.testing.assert_allclose(moved.geometry.centroid, wanted.centroid)
    np.testing.assert_allclose(moved.geometry.normal, wanted.normal)
    np.testing.assert_allclose(moved.geometry.covariance, wanted.covariance)
    assert moved.geometry.size == pytest.approx([0.1, 0.08, 0.12])
    # the camera is as far away as before
    assert moved.geometry.distance == pytest.approx(wanted.distance)


def test_targets_come_back() -> None:
    result = result_of([holed(), rectangle(1, 1, 5, 5)], lost=(1,))
    first, second = targets_of(target_array(result, HEADER, 1))
    assert (first.id, first.phrase, first.status, first.visible_points) == (
        1, 'thing 0', TargetStatus.OCCLUDED, 123)
    np.testing.assert_allclose(first.geometry.pose, result.targets[0].geometry.pose, atol=1e-12)
    assert first.geometry.distance == pytest.approx(result.targets[0].geometry.distance)
    assert second.geometry is None and second.status == TargetStatus.NO_DEPTH


def test_extra_status_goes_to_every_target() -> None:
    message = target_array(result_of([holed(), holed()], lost=(1,)), HEADER, 1,
                           status=TargetStatus.NO_TF)
    assert [one.status for one in message.targets] == [
        TargetStatus.NO_TF | TargetStatus.OCCLUDED, TargetStatus.NO_TF | TargetStatus.NO_DEPTH]


def test_a_target_without_rotation_is_named() -> None:
    message = target_array(result_of([holed()]), HEADER, 1)
    message.targets[0].pose.pose.orientation.w = 0.0
    message.targets[0].pose.pose.orientation.z = 0.0
    with pytest.raises(ValueError, match='target 1: quaternion .* is no rotation'):
        targets_of(message)


# vision_msgs


def test_detections_2d() -> None:
    message = detections_2d(result_of([rectangle(10, 20, 8, 6)], first_id=9), HEADER)
    one = message.detections[0]
    assert message.header == one.header == HEADER and one.id == '9'
    assert (one.bbox.center.position.x, one.bbox.center.position.y) == (14.0, 23.0)
    assert (one.bbox.size_x, one.bbox.size_y, one.bbox.center.theta) == (8.0, 6.0, 0.0)
    assert one.results[0].hypothesis.class_id == 'thing 0'
    assert one.results[0].hypothesis.score == pytest.approx(0.9)


def test_detections_3d_leave_out_what_has_no_geometry() -> None:
    result = result_of([holed(), holed()], lost=(0,), first_id=3)
    message = detections_3d(result, HEADER)
    one, = message.detections
    assert one.id == '4' and one.results[0].hypothesis.class_id == 'thing 1'
    assert (one.bbox.size.x, one.bbox.size.z) == (0.1, 0.12)
    assert one.bbox.center.position.z == pytest.approx(0.9)
    np.testing.assert_array_equal(one.results[0].pose.covariance,
                                  result.targets[1].geometry.covariance.ravel())


# pictures


def test_label_image_and_its_legend() -> None:
    result = result_of([rectangle(0, 0, 10, 10), rectangle(5, 5, 10, 10)], first_id=4)
    message = label_image(result, HEADER, SHAPE)
    assert (message.encoding, message.step, message.header) == ('16UC1', 120, HEADER)
    labels = np.frombuffer(message.data, np.uint16).reshape(SHAPE)
    # the first has the higher score
    assert labels[7, 7] == 1 and labels[2, 2] == 1 and labels[12, 12] == 2 and labels[30, 30] == 0
    info = label_info(result, HEADER, 0.25)
    assert [(c.class_id, c.class_name) for c in info.class_map] == [
        (0, 'background'), (1, 'thing 0 #4'), (2, 'thing 1 #5')]
    assert info.threshold == 0.25 and info.header == HEADER


def test_the_higher_score_wins_whatever_the_order() -> None:
    result = result_of([rectangle(0, 0, 10, 10), rectangle(5, 5, 10, 10)], scores=(0.3, 0.8))
    assert label_map(result, SHAPE)[7, 7] == 2


def test_labels_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match='mask has shape'):
        label_map(result_of([holed()]), (41, 60))


def test_overlay_shows_the_masks_and_leaves_the_picture_alone() -> None:
    image = np.full((*SHAPE, 3), 128, np.uint8)
    drawn = overlay(result_of([rectangle(20, 5, 20, 20)]), image)
    assert (image == 128).all() and drawn.shape == image.shape
    assert np.abs(drawn[10, 25].astype(int) - 128).max() > 20


# points


def scene() -> tuple[np.ndarray, np.ndarray, CameraModel]:
    image = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    depth = np.random.default_rng(1).uniform(0.5, 2.0, SHAPE).astype(np.float32)
    return image, depth, CameraModel(60, 40, 50.0, 55.0, 30.0, 20.0)


def test_points_are_those_of_the_masks() -> None:
    image, depth, camera = scene()
    depth[12, 22] = np.nan
    result = result_of([rectangle(20, 10, 5, 4), rectangle(40, 20, 3, 3)])
    message = point_cloud(result, HEADER, image, depth, camera)
    points = read_cloud(message)
    assert [f.name for f in message.fields] == ['x', 'y', 'z', 'rgb', 'label']
    assert message.is_dense and message.height == 1 and message.width == 5 * 4 - 1 + 9
    assert message.row_step == len(message.data) == message.point_step * message.width
    assert np.unique(points['label']).tolist() == [1, 2]
    one = points[points['label'] == 2][0]
    z = depth[20, 40]
    # float32 points a metre away
    assert (one['x'], one['y'], one['z']) == pytest.approx((z * 10 / 50, 0.0, z), abs=1e-6)
    red, green, blue = image[20, 40].tolist()
    assert one['rgb'] == red << 16 | green << 8 | blue


def test_points_in_another_frame() -> None:
    image, depth, camera = scene()
    result = result_of([rectangle(20, 10, 5, 4)])
    turn = np.array([[0.0, 0, 1, 1.0], [-1, 0, 0, 2.0], [0, -1, 0, 3.0], [0, 0, 0, 1]])
    plain = read_cloud(point_cloud(result, HEADER, image, depth, camera))
    moved = read_cloud(point_cloud(result, HEADER, image, depth, camera, transform=turn))
    np.testing.assert_allclose(moved['x'], plain['z'] + 1, atol=1e-6)
    np.testing.assert_allclose(moved['z'], -plain['y'] + 3, atol=1e-6)


def test_no_depth_or_no_instance_is_an_empty_cloud() -> None:
    image, depth, camera = scene()
    for message in (point_cloud(result_of([holed()]), HEADER, image, None, camera),
                    point_cloud(result_of([holed()]), HEADER, image, depth, None),
                    point_cloud(result_of([]), HEADER, image, depth, camera)):
        assert message.width == 0 and len(message.data) == 0 and len(message.fields) == 5
        assert len(read_cloud(message)) == 0


def test_other_sizes_and_other_clouds_are_refused() -> None:
    image, depth, camera = scene()
    with pytest.raises(ValueError, match='differ in size'):
        point_cloud(result_of([holed()]), HEADER, image, depth[:-1], camera)
    message = point_cloud(result_of([]), HEADER, image, depth, camera)
    message.fields = message.fields[:3]
    with pytest.raises(ValueError, match='fields "x y z"'):
        read_cloud(message)


# markers


def actions(message: object) -> list[tuple[int, str, int]]:
    return [(marker.action, marker.ns, marker.id) for marker in message.markers]


def test_markers_appear_stay_and_vanish() -> None:
    board = MarkerBoard()
    first = board.update(result_of([holed(), holed()], first_id=1), HEADER)
    assert actions(first)[0] == (Marker.DELETEALL, '', 0)
    assert len(first.markers) == 1 + 2 * 3
    second = board.update(result_of([holed()], first_id=2), HEADER)
    assert sorted(actions(second)) == sorted(
        [(Marker.ADD, ns, 2) for ns in ('box', 'centroid', 'text')]
        + [(Marker.DELETE, ns, 1) for ns in ('box', 'centroid', 'text')])
    third = board.update(result_of([]), HEADER)
    assert actions(third) == [(Marker.DELETE, ns, 2) for ns in ('box', 'centroid', 'text')]
    assert board.update(result_of([]), HEADER).markers == []
    assert actions(board.clear(HEADER)) == [(Marker.DELETEALL, '', 0)]
    assert board.update(result_of([]), HEADER).markers == []


def test_a_target_that_loses_its_depth_loses_its_markers() -> None:
    board = MarkerBoard()
    board.update(result_of([holed()]), HEADER)
    message = board.update(result_of([holed()], lost=(0,)), HEADER)
    assert {marker.action for marker in message.markers} == {Marker.DELETE}


def test_what_markers_show() -> None:
    box, dot, text = MarkerBoard().update(result_of([holed()]), HEADER).markers[1:]
    assert (box.type, dot.type, text.type) == (
        Marker.CUBE, Marker.SPHERE, Marker.TEXT_VIEW_FACING)
    assert (box.scale.x, box.scale.y, box.scale.z) == (0.1, 0.08, 0.12)
    assert box.pose.position.z == pytest.approx(0.9) and dot.pose.position.z == 0.85
    assert text.text.startswith('1 thing 0 0.90') and text.pose.position.z > 0.9 + 0.06
    assert all(marker.color.a > 0 and marker.header == HEADER for marker in (box, dot, text))
    assert all(min(m.scale.x, m.scale.y, m.scale.z) > 0 for m in (box, dot))


def test_ids_beyond_int32_are_deleted_under_the_number_they_were_shown_with() -> None:
    board = MarkerBoard()
    shown = board.update(result_of([holed()], first_id=2**32 - 1), HEADER).markers[1]
    gone = board.update(result_of([]), HEADER).markers[0]
    assert gone.id == shown.id


def test_label_image_reads_as_no_picture() -> None:
    with pytest.raises(ValueError, match='16UC1'):
        image_to_array(label_image(result_of([holed()]), HEADER, SHAPE))
