# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets to boxes of a planning scene: added, moved, removed, left alone."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from instructsam_ros.bridge.interfaces import TargetArray
from instructsam_ros.bridge.results import target_message
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus
from instructsam_ros.planning import CollisionScene, Operation, SceneDiff, SceneSettings

ADD, MOVE, REMOVE = Operation.ADD, Operation.MOVE, Operation.REMOVE


def geometry(
    position: tuple[float, float, float] = (0.5, 0.1, 0.05), yaw: float = 0.0,
    size: tuple[float, float, float] = (0.08, 0.06, 0.1),
) -> TargetGeometry:
    pose = np.eye(4)
    pose[:2, :2] = [[math.cos(yaw), -math.sin(yaw)], [math.sin(yaw), math.cos(yaw)]]
    pose[:3, 3] = position
    centroid = np.array(position) - (0.02, 0.0, 0.0)
    return TargetGeometry(
        pose, np.array(size), centroid, np.array([-1.0, 0.0, 0.0]), np.eye(6) * 1e-6, 0.5)


def target(
    number: int, phrase: str = 'red mug', *, score: float = 0.9,
    status: TargetStatus = TargetStatus.OK, **shape: Any,
) -> Any:
    """A target message; without geometry where the status says so."""
    unmeasured = status & (TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA)
    made = None if unmeasured else geometry(**shape)
    return target_message(Target(number, phrase, score, status, made))


def message(*targets: Any, seconds: float = 0.0, frame: str = 'base_link', instruction: int = 1
            ) -> Any:
    made = TargetArray(targets=list(targets), instruction_id=instruction)
    made.header.frame_id = frame
    made.header.stamp.sec, made.header.stamp.nanosec = divmod(round(seconds * 1e9), 10**9)
    return made


def short(diff: SceneDiff) -> list[tuple[Operation, str]]:
    return [(one.operation, one.box.name) for one in diff.changes]


# ---- what changes


def test_a_target_is_added_once_and_then_left_in_peace() -> None:
    scene = CollisionScene()
    diff = scene.update(message(target(3)))
    assert short(diff) == [(ADD, 'instructsam_3')]
    box = diff.changes[0].box
    assert (box.target_id, box.phrase, diff.frame) == (3, 'red mug', 'base_link')
    np.testing.assert_allclose(box.position, (0.5, 0.1, 0.05))
    np.testing.assert_allclose(box.size, (0.08, 0.06, 0.1))
    # 4 mm, 2 degrees and 9 mm are within the tolerances of 5 mm, 0.05 rad and 10 mm
    near = target(3, position=(0.504, 0.1, 0.05), yaw=math.radians(2), size=(0.089, 0.06, 0.1))
    assert scene.update(message(near, seconds=1)).is_empty
    assert scene.names == ['instructsam_3']


@pytest.mark.parametrize('shape', [
    {'position': (0.506, 0.1, 0.05)}, {'yaw': 0.06}, {'yaw': math.pi}])
def test_another_pose_moves_the_box_and_keeps_its_shape(shape: dict[str, Any]) -> None:
    scene = CollisionScene()
    scene.update(message(target(3)))
    diff = scene.update(message(target(3, size=(0.081, 0.06, 0.1), **shape), seconds=1))
    assert short(diff) == [(MOVE, 'instructsam_3')]
    np.testing.assert_allclose(diff.changes[0].box.size, (0.08, 0.06, 0.1))
    np.testing.assert_allclose(
        diff.changes[0].box.position, shape.get('position', (0.5, 0.1, 0.05)))


def test_two_quaternions_of_one_rotation_are_the_same() -> None:
    scene, other = CollisionScene(), target(3, yaw=0.3)
    scene.update(message(target(3, yaw=0.3)))
    for axis in 'xyzw':
        setattr(other.pose.pose.orientation, axis, -getattr(other.pose.pose.orientation, axis))
    assert scene.update(message(other, seconds=1)).is_empty


def test_small_steps_add_up() -> None:
    scene = CollisionScene()
    operations = []
    for step in range(10):  # 9.9 mm in all, none of them by itself worth a message
        one = target(3, position=(0.5 + step * 1.1e-3, 0.1, 0.05))
        operations += short(scene.update(message(one, seconds=step)))
    # at 5.5 mm; from there the tolerance of 5 mm begins anew
    assert operations == [(ADD, 'instructsam_3'), (MOVE, 'instructsam_3')]


def test_another_size_adds_the_box_anew() -> None:
    scene = CollisionScene()
    scene.update(message(target(3)))
    diff = scene.update(message(target(3, size=(0.08, 0.06, 0.111)), seconds=1))
    assert short(diff) == [(ADD, 'instructsam_3')]
    np.testing.assert_allclose(diff.changes[0].box.size, (0.08, 0.06, 0.111))


def test_padding_grows_every_side_twice_and_flat_boxes_keep_a_volume() -> None:
    scene = CollisionScene(SceneSettings(padding=0.01))
    box = scene.update(message(target(1, size=(0.1, 0.0, 0.05)))).changes[0].box
    np.testing.assert_allclose(box.size, (0.12, 0.02, 0.07))
    flat = CollisionScene().update(message(target(1, size=(0.1, 0.0, 0.05)))).changes[0].box
    assert flat.size.min() > 0


def test_changed_padding_is_applied_to_what_is_there() -> None:
    scene = CollisionScene()
    scene.update(message(target(1)))
    scene.settings = dataclasses.replace(scene.settings, padding=0.02)
    assert short(scene.update(message(target(1), seconds=1))) == [(ADD, 'instructsam_1')]


# ---- what vanishes


def test_a_missed_frame_removes_nothing_but_staying_away_does() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=2.0))
    scene.update(message(target(1), target(2)))
    # also after a long pause in which nothing was published
    assert scene.update(message(target(1), seconds=60)).is_empty
    assert scene.update(message(target(1), target(2), seconds=61)).is_empty
    assert scene.update(message(target(1), seconds=62)).is_empty
    assert scene.update(message(target(1), seconds=63.9)).is_empty
    assert short(scene.update(message(target(1), seconds=64))) == [(REMOVE, 'instructsam_2')]
    assert scene.update(message(target(1), seconds=99)).is_empty
    assert short(scene.update(message(target(2), seconds=100))) == [(ADD, 'instructsam_2')]


def test_without_keep_time_a_missed_target_goes_at_once() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=0.0))
    scene.update(message(target(1)))
    assert short(scene.update(message(seconds=0.1))) == [(REMOVE, 'instructsam_1')]


def test_a_clock_that_goes_back_removes_nothing_early_and_nothing_too_late() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=2.0))
    scene.update(message(target(1), seconds=1000))
    assert scene.update(message(seconds=1001)).is_empty
    assert scene.update(message(seconds=0)).is_empty
    assert scene.update(message(seconds=1.9)).is_empty
    assert short(scene.update(message(seconds=2))) == [(REMOVE, 'instructsam_1')]


@pytest.mark.parametrize('status', [
    TargetStatus.NO_DEPTH, TargetStatus.NO_CAMERA | TargetStatus.LOW_SCORE])
def test_what_is_seen_but_not_measured_stays_where_it_was(status: TargetStatus) -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=1.0))
    scene.update(message(target(1)))
    for second in range(1, 5):
        diff = scene.update(message(target(1, status=status), seconds=second))
        assert diff.is_empty
        (skipped,) = diff.skipped
        assert str(skipped).startswith("target 1 'red mug': it was not measured (NO_")


def nan_target() -> Any:
    """As publishers before the -1 sent it, with a status that they forgot."""
    made = target(7)
    for vector in (made.pose.pose.position, made.size, made.centroid):
        vector.x = vector.y = vector.z = math.nan
    return made


def unknown_target() -> Any:
    made = target(7)
    made.pose.covariance[0] = -1.0
    return made


def turned_to_nothing() -> Any:
    made = target(7)
    made.pose.pose.orientation.z = made.pose.pose.orientation.w = 0.0
    return made


@pytest.mark.parametrize(('made', 'reason'), [
    (nan_target(), 'its position is not finite'), (unknown_target(), 'begins with -1'),
    (turned_to_nothing(), 'is no rotation'),
    (target(7, status=TargetStatus.NO_DEPTH), 'not measured (NO_DEPTH)'),
    (target(7, size=(0.1, -0.1, 0.1)), 'its size is negative')])
def test_targets_without_usable_numbers_are_skipped_with_the_reason(made: Any, reason: str) -> None:
    diff = CollisionScene().update(message(made))
    assert diff.is_empty
    assert diff.skipped[0].target_id == 7
    assert reason in diff.skipped[0].reason


def test_scores_and_statuses_can_keep_targets_out() -> None:
    scene = CollisionScene(SceneSettings(min_score=0.5, skip=TargetStatus.OCCLUDED))
    diff = scene.update(message(
        target(1, score=0.4), target(2, status=TargetStatus.OCCLUDED | TargetStatus.NO_SUPPORT),
        target(3, status=TargetStatus.NO_SUPPORT)))
    assert short(diff) == [(ADD, 'instructsam_3')]
    assert [one.reason for one in diff.skipped] == [
        'its score of 0.40 is below 0.5', 'it has OCCLUDED']
    # what is in already stays in: an obstacle does not go because its score drops
    assert scene.update(message(target(3, score=0.1), seconds=9)).is_empty
    assert scene.names == ['instructsam_3']


# ---- frames and instructions


def test_another_frame_begins_anew() -> None:
    scene = CollisionScene()
    scene.update(message(target(1), target(2)))
    diff = scene.update(message(target(1), seconds=1, frame='map'))
    assert diff.frame == 'map'
    assert short(diff) == [
        (REMOVE, 'instructsam_1'), (REMOVE, 'instructsam_2'), (ADD, 'instructsam_1')]


def test_a_late_transform_does_not_change_the_frame() -> None:
    scene = CollisionScene()
    scene.update(message(target(1)))
    lost = message(target(1, status=TargetStatus.NO_TF), seconds=1, frame='camera_optical')
    diff = scene.update(lost)
    assert diff.is_empty
    assert "TF was not there to bring it into 'base_link'" in diff.skipped[0].reason
    # an empty list says nothing of a frame
    assert scene.update(message(seconds=2, frame='camera_optical')).is_empty
    assert scene.update(message(target(1), seconds=3)).is_empty


def test_without_tf_from_the_beginning_the_cameras_frame_will_do() -> None:
    lost = target(1, status=TargetStatus.NO_TF)
    diff = CollisionScene().update(message(lost, frame='camera_optical'))
    assert (diff.frame, short(diff)) == ('camera_optical', [(ADD, 'instructsam_1')])


def test_a_wanted_frame_refuses_all_others() -> None:
    scene = CollisionScene(SceneSettings(frame='base_link'))
    diff = scene.update(message(target(1), frame='map'))
    assert diff.is_empty and "'map'" in diff.skipped[0].reason
    assert not scene.update(message(target(1))).is_empty
    assert CollisionScene().update(message(target(1), frame='')).is_empty


def test_a_new_instruction_removes_the_boxes_of_the_last_one() -> None:
    scene = CollisionScene()
    scene.update(message(target(1), target(2)))
    diff = scene.update(message(target(3, 'bowl'), seconds=0.1, instruction=2))
    assert short(diff) == [
        (REMOVE, 'instructsam_1'), (REMOVE, 'instructsam_2'), (ADD, 'instructsam_3')]


def test_a_new_instruction_can_keep_the_boxes() -> None:
    scene = CollisionScene(SceneSettings(keep_previous=True, keep_seconds=1.0))
    scene.update(message(target(1), target(2)))
    assert short(scene.update(message(target(3), seconds=1, instruction=2))) == [
        (ADD, 'instructsam_3')]
    # for good: nobody looks for them any more
    assert scene.update(message(target(3), seconds=99, instruction=2)).is_empty
    # one that is found again is like any other
    scene.update(message(target(1), target(3), seconds=100, instruction=2))
    scene.update(message(target(3), seconds=101, instruction=2))
    assert short(scene.update(message(target(3), seconds=102, instruction=2))) == [
        (REMOVE, 'instructsam_1')]
    assert short(scene.clear()) == [(REMOVE, 'instructsam_2'), (REMOVE, 'instructsam_3')]


# ---- what others hold


def test_nothing_is_done_about_what_is_excluded() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=1.0))
    scene.update(message(target(1), target(2)))
    held = scene.update(message(target(1, position=(0.6, 0, 0.3)), seconds=1), exclude=[1])
    assert held.is_empty and held.skipped[0].reason == 'it is excluded'
    # neither its absence nor the rest of the world matters
    later = scene.update(message(seconds=9, instruction=2), exclude=['instructsam_1'])
    assert short(later) == [(REMOVE, 'instructsam_2')]
    assert scene.full().is_empty
    assert scene.clear().is_empty


def test_what_is_given_back_is_added_anew_where_it_is_seen() -> None:
    scene = CollisionScene()
    scene.update(message(target(1)))
    scene.update(message(seconds=1), exclude=[1])
    diff = scene.update(message(target(1), seconds=2))
    # nobody knows where it was put down: also in its old place it is sent
    assert short(diff) == [(ADD, 'instructsam_1')]


def test_what_is_given_back_and_never_seen_again_is_removed() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=1.0))
    scene.update(message(target(1)))
    scene.update(message(seconds=50), exclude=[1])
    assert scene.update(message(seconds=51)).is_empty
    # MoveIt has put it back into the world under its old name
    assert short(scene.update(message(seconds=52))) == [(REMOVE, 'instructsam_1')]


def test_what_is_held_is_not_missing_and_belongs_to_no_instruction() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=0.0, keep_previous=True))
    scene.update(message(target(1)))
    assert scene.update(message(seconds=1, instruction=2), exclude=[1]).is_empty
    # put down and out of sight: it does not stay for good as those of the last instruction do
    assert short(scene.update(message(seconds=2, instruction=2))) == [(REMOVE, 'instructsam_1')]


def test_what_was_never_added_is_never_removed() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=0.0))
    scene.update(message(target(1)), exclude=[1])
    assert scene.update(message(seconds=1)).is_empty
    assert scene.clear().is_empty


def test_exclude_wants_a_list() -> None:
    with pytest.raises(TypeError, match='give a list'):
        CollisionScene().update(message(), exclude='instructsam_1')


# ---- the whole, other sources, settings


def test_a_planner_that_comes_late_gets_everything() -> None:
    scene = CollisionScene()
    scene.update(message(target(1), target(2)))
    scene.update(message(target(1, position=(0.7, 0.1, 0.05)), target(2), seconds=1))
    full = scene.full()
    assert short(full) == [(ADD, 'instructsam_1'), (ADD, 'instructsam_2')]
    assert full.changes[0].box.position[0] == 0.7
    assert (full.frame, full.stamp_ns) == ('base_link', 10**9)


def test_targets_of_this_program_will_do_too() -> None:
    found = Target(4, 'bowl', 0.9, TargetStatus.OK, geometry(yaw=0.3))
    lost = Target(5, 'bowl', 0.9, TargetStatus.NO_DEPTH)
    scene, other = CollisionScene(), CollisionScene()
    diff = scene.update([found, lost], frame='base_link', stamp_ns=5, instruction_id=1)
    same = other.update(message(target_message(found), target_message(lost)))
    assert short(diff) == short(same) == [(ADD, 'instructsam_4')]
    for name in ('position', 'quaternion', 'size'):
        np.testing.assert_allclose(
            getattr(diff.changes[0].box, name), getattr(same.changes[0].box, name))
    assert diff.skipped == same.skipped
    with pytest.raises(ValueError, match='frame'):
        scene.update([found])


@pytest.mark.parametrize(('values', 'match'), [
    ({'padding': -0.01}, 'padding is -0.01'), ({'keep_seconds': math.nan}, 'keep_seconds is nan'),
    ({'prefix': 'left/'}, 'prefix')])
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SceneSettings(**values)
