# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes as MoveIt's messages, and what MoveIt's world becomes by them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from test_planning_scene import message, target

from instructsam_ros.embedded.interfaces import message_class, serialize, type_hash
from instructsam_ros.embedded.interfaces.declared_messages import MESSAGES
from instructsam_ros.perception.targets import TargetStatus
from instructsam_ros.planning import (
    CollisionScene,
    MoveItMissingError,
    SceneSettings,
    collision_objects,
    planning_scene,
)

ROOT = Path(__file__).resolve().parent.parent

# ---- messages


def fields_of(one: Any) -> set[str]:
    return set(one.get_fields_and_field_types())


@pytest.mark.parametrize('plain', [False, True])
def test_an_added_box_as_moveit_reads_it(plain: bool) -> None:
    scene = CollisionScene(SceneSettings(padding=0.005))
    diff = scene.update(message(target(3, yaw=0.4), seconds=12.000000005))
    (one,) = collision_objects(diff, plain=plain)
    assert fields_of(one) == {
        'header', 'pose', 'id', 'type', 'primitives', 'primitive_poses', 'meshes', 'mesh_poses',
        'planes', 'plane_poses', 'subframe_names', 'subframe_poses', 'operation'}
    assert (one.ADD, one.REMOVE, one.APPEND, one.MOVE) == (b'\0', b'\1', b'\2', b'\3')
    assert (one.id, one.operation, one.type.key) == ('instructsam_3', one.ADD, 'red mug')
    assert (one.header.frame_id, one.header.stamp.sec, one.header.stamp.nanosec) == (
        'base_link', 12, 5)
    (shape,), (offset,) = one.primitives, one.primitive_poses
    assert shape.type == shape.BOX == 1
    np.testing.assert_allclose(list(shape.dimensions), (0.09, 0.07, 0.11))
    # the pose is the object's; the shape is at its origin
    assert (offset.position.x, offset.position.y, offset.position.z) == (0, 0, 0)
    assert offset.orientation.w == 1
    assert (one.pose.position.x, one.pose.position.y, one.pose.position.z) == (0.5, 0.1, 0.05)
    assert one.pose.orientation.z == pytest.approx(math.sin(0.2))
    assert one.pose.orientation.w == pytest.approx(math.cos(0.2))


def test_moved_and_removed_boxes_have_no_shapes() -> None:
    scene = CollisionScene(SceneSettings(keep_seconds=0.0))
    scene.update(message(target(3)))
    (moved,) = collision_objects(scene.update(message(target(3, position=(0.9, 0, 0)), seconds=1)))
    (removed,) = collision_objects(scene.update(message(seconds=2)))
    assert (moved.operation, removed.operation) == (moved.MOVE, moved.REMOVE)
    assert moved.pose.position.x == 0.9
    for one in (moved, removed):
        assert one.id == 'instructsam_3'
        assert not any((one.primitives, one.primitive_poses, one.meshes, one.mesh_poses,
                        one.planes, one.plane_poses, one.subframe_poses))


def test_the_scene_message_is_a_diff_that_leaves_the_robot_alone() -> None:
    diff = CollisionScene().update(message(target(3), target(4)))
    for plain in (False, True):
        scene = planning_scene(diff, plain=plain)
        assert scene.is_diff is True
        assert scene.robot_state.is_diff is True
        assert [one.id for one in scene.world.collision_objects] == [
            'instructsam_3', 'instructsam_4']
        assert not scene.name and not scene.allowed_collision_matrix.entry_names


def test_moveits_messages_are_the_same_for_an_independent_implementation() -> None:
    own = {name: text for name, text in MESSAGES.items()
           if name.split('/')[0] in ('moveit_msgs', 'object_recognition_msgs', 'octomap_msgs')}
    assert len(own) == 13
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in own.items():
        store.register(get_types_from_msg(text, name))
    for name in own:
        assert type_hash(message_class(name)) == store.hash_rihs01(name), name
    scene = CollisionScene(SceneSettings(keep_seconds=0.0))
    diff = scene.update(message(target(3, yaw=0.4), target(4), seconds=12.5))
    for one in (diff, scene.update(message(target(4, position=(0, 0, 0.2)), seconds=13))):
        written = planning_scene(one)
        read = store.deserialize_cdr(serialize(written), 'moveit_msgs/msg/PlanningScene')
        assert read.is_diff and read.robot_state.is_diff
        assert [(made.id, bytes([made.operation])) for made in read.world.collision_objects] == [
            (made.id, made.operation) for made in written.world.collision_objects]
        assert bytes(store.serialize_cdr(read, 'moveit_msgs/msg/PlanningScene')) == serialize(
            written)
    assert read.world.collision_objects[0].pose.position.z == 0.2


def test_without_moveit_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('moveit_msgs', 'moveit_msgs.msg'):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv('ROS_DISTRO', 'kilted')
    diff = CollisionScene().update(message(target(3)))
    with pytest.raises(MoveItMissingError, match='apt install ros-kilted-moveit-msgs'):
        collision_objects(diff)
    assert collision_objects(diff, plain=True)[0].id == 'instructsam_3'


def test_planning_needs_no_ros() -> None:
    code = (
        'import sys\n'
        'from instructsam_ros.planning import CollisionScene, planning_scene\n'
        "diff = CollisionScene().update([], frame='world')\n"
        'planning_scene(diff, plain=True)\n'
        "print({'rclpy', 'moveit_msgs', 'sensor_msgs', 'torch', 'cyclonedds'} & set(sys.modules))")
    path = os.pathsep.join([str(ROOT), str(ROOT / 'model')])
    done = subprocess.run([sys.executable, '-c', code], env={**os.environ, 'PYTHONPATH': path},
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == 'set()', done.stderr


# ---- any sequence of events leaves MoveIt's world as it should be


class World:
    """A planning scene that obeys as MoveIt does, and objects where MoveIt would."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {'table': None}
        self.attached: dict[str, Any] = {}

    def apply(self, one: Any) -> None:
        assert one.id, 'MoveIt takes REMOVE without an id as: remove everything'
        if one.operation == one.ADD:
            assert one.primitives and one.header.frame_id
            self.objects[one.id] = (one.pose, one.primitives[0].dimensions)
        elif one.operation == one.MOVE:
            assert one.id in self.objects, 'it does not exist, cannot move'
            assert not one.primitives
            self.objects[one.id] = (one.pose, self.objects[one.id][1])
        else:
            assert one.operation == one.REMOVE
            del self.objects[one.id]

    def hold(self, names: set[str]) -> None:
        """Attach these to the robot, as far as they are there; put the others back."""
        for name in names & self.objects.keys():
            self.attached[name] = self.objects.pop(name)
        for name in self.attached.keys() - names:
            # MoveIt does not replace what has come into its place
            self.objects.setdefault(name, self.attached.pop(name))


TARGETS = st.builds(
    target, st.integers(1, 4), score=st.sampled_from([0.2, 0.9]),
    status=st.sampled_from([TargetStatus.OK, TargetStatus.NO_DEPTH, TargetStatus.NO_TF]),
    position=st.tuples(*[st.sampled_from([0.0, 0.003, 0.006, 0.3])] * 3),
    yaw=st.sampled_from([0.0, 0.04, 1.5]),
    size=st.tuples(*[st.sampled_from([0.05, 0.056, 0.1])] * 3))
EVENTS = st.lists(st.tuples(
    st.floats(0.0, 3.0), st.lists(TARGETS, max_size=4, unique_by=lambda one: one.id),
    st.sampled_from(['base_link', 'base_link', 'base_link', 'map']),
    st.sampled_from([1, 1, 1, 2]), st.sets(st.integers(1, 4), max_size=1)), max_size=12)


@settings(deadline=None, max_examples=150)
@given(EVENTS, st.sampled_from([0.0, 2.0]), st.booleans())
def test_the_planners_world_follows_the_targets(
    events: list[tuple[float, list[Any], str, int, set[int]]], keep_seconds: float,
    keep_previous: bool,
) -> None:
    rules = SceneSettings(keep_seconds=keep_seconds, min_score=0.5, padding=0.01,
                          keep_previous=keep_previous)
    scene, world = CollisionScene(rules), World()
    now = 0.0
    for seconds, targets, frame, instruction, held in events:
        now += seconds
        names = {scene.name(one) for one in held}
        world.hold(names)
        diff = scene.update(message(
            *targets, seconds=now, frame=frame, instruction=instruction), exclude=held)
        for one in collision_objects(diff, plain=True):
            assert one.id not in names
            world.apply(one)
        assert 'table' in world.objects
        assert set(scene.names) == world.objects.keys() - {'table'}
        skipped = {one.target_id for one in diff.skipped}
        for one in targets:
            if one.id not in skipped:
                pose, size = world.objects[scene.name(one.id)]
                place, wanted = one.pose.pose.position, one.size
                # the tolerances, and a hair for rounding
                assert math.dist((pose.position.x, pose.position.y, pose.position.z),
                                 (place.x, place.y, place.z)) <= 0.005 + 1e-9
                assert np.abs(np.array(size) - 0.02 - (
                    wanted.x, wanted.y, wanted.z)).max() <= 0.01 + 1e-9
    for one in collision_objects(scene.clear(), plain=True):
        world.apply(one)
    assert world.objects.keys() == {'table'}
