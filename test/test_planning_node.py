# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The planning scene node as a process, and the programs in docs/planning.md, over DDS."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live import PATIENCE, Companion, NodeProcess, header_of, wait_until
from test_docs import blocks, parameter_table
from test_planning_grasps import messages as picture_messages
from test_planning_scene import message, target

from instructsam_ros.bridge.interfaces import InstanceArray, InstructionStatus, TargetArray
from instructsam_ros.bridge.poses import pose_to_matrix
from instructsam_ros.bridge.qos import status_qos
from instructsam_ros.nodes.planning_scene_node import PlanningSceneSettings

pytest.importorskip('moveit_msgs', reason='this ROS 2 has no moveit_msgs')
from moveit_msgs.msg import AttachedCollisionObject, CollisionObject, PlanningScene  # isort: skip
from rclpy.qos import qos_profile_sensor_data  # isort: skip
from sensor_msgs.msg import CameraInfo, Image  # isort: skip

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / 'docs/planning.md').read_text(encoding='utf-8')
ADD, MOVE, REMOVE = CollisionObject.ADD, CollisionObject.MOVE, CollisionObject.REMOVE


class Planner(Companion):
    """A perception that publishes what it is told, and a MoveIt that listens when it is told."""

    def __init__(self) -> None:
        super().__init__('planner')
        self.scenes: list[Any] = []
        self.start()

    def publisher(self, kind: type, topic: str, qos: Any = 10) -> Any:
        """A publisher that has a subscriber."""
        made = self.node.create_publisher(kind, topic, qos)
        wait_until(made.get_subscription_count, explain=lambda: f'nobody listens on {topic}')
        return made

    def listen(self) -> None:
        self.node.create_subscription(PlanningScene, 'planning_scene', self.scenes.append, 10)

    def next(self) -> tuple[Any, list[tuple[bytes, str]]]:
        """The next scene, and its operations and ids."""
        scene = wait_until(lambda: self.scenes and self.scenes.pop(0))
        return scene, [(one.operation, one.id) for one in scene.world.collision_objects]


@pytest.fixture
def planner(ros_domain: int) -> Iterator[Planner]:
    made = Planner()
    yield made
    made.close()


@pytest.fixture
def process(ros_domain: int) -> Iterator[Callable[..., NodeProcess]]:
    started: list[NodeProcess] = []

    def start(*ros: str) -> NodeProcess:
        started.append(NodeProcess(
            'run', 'planning_scene_node', module='instructsam_ros.cli', ros=ros))
        return started[-1]

    yield start
    for one in started:
        if one.is_alive:
            one.end()


def test_moveit_follows_the_targets(
    planner: Planner, process: Callable[..., NodeProcess]
) -> None:
    running = process('-p', 'padding:=0.01', '-p', 'keep_seconds:=1.0')
    targets = planner.publisher(TargetArray, 'targets')
    attached = planner.publisher(AttachedCollisionObject, 'attached_collision_object')
    status = planner.publisher(InstructionStatus, 'instruction_status', status_qos())
    lost = target(2)
    lost.pose.covariance[0] = -1.0
    targets.publish(message(target(1), lost, target(3), seconds=1))
    running.wait_for("target 2 'red mug': it was not measured")
    # MoveIt starts late and learns what was said before
    planner.listen()
    scene, operations = planner.next()
    assert operations == [(ADD, 'instructsam_1'), (ADD, 'instructsam_3')]
    assert scene.is_diff and scene.robot_state.is_diff
    one = scene.world.collision_objects[0]
    assert one.header.frame_id == 'base_link' and one.type.key == 'red mug'
    np.testing.assert_allclose(list(one.primitives[0].dimensions), (0.1, 0.08, 0.12))
    targets.publish(message(target(1, position=(0.6, 0.1, 0.05)), target(3), seconds=1.1))
    scene, operations = planner.next()
    assert operations == [(MOVE, 'instructsam_1')]
    assert scene.world.collision_objects[0].pose.position.x == 0.6

    # the robot takes 1: whatever is seen of it means nothing
    taken = AttachedCollisionObject(link_name='hand')
    taken.object.id, taken.object.operation = 'instructsam_1', ADD
    attached.publish(taken)
    in_hand = target(1, size=(0.3, 0.3, 0.3))
    wait_until(lambda: _is_left_alone(planner, targets, in_hand))
    # it puts it down
    taken.object.id, taken.object.operation = '', REMOVE
    attached.publish(taken)
    wait_until(lambda: _is_added_again(planner, targets, target(1)))
    planner.scenes.clear()

    status.publish(InstructionStatus(state=InstructionStatus.STATE_CLEARED, instruction_id=1))
    _, operations = planner.next()
    assert sorted(operations) == [(REMOVE, 'instructsam_1'), (REMOVE, 'instructsam_3')]
    assert running.end() == 0


def _is_left_alone(planner: Planner, targets: Any, one: Any) -> bool:
    """Whether a new size of 1 is not passed on, but a new place of 3 sent after it is."""
    planner.scenes.clear()
    shift = time.monotonic() % 100
    targets.publish(message(one, target(3, position=(shift, 0.0, 0.0)), seconds=2))
    one.size.x += 0.1
    return planner.next()[1] == [(MOVE, 'instructsam_3')]


def _is_added_again(planner: Planner, targets: Any, one: Any) -> bool:
    targets.publish(message(one, target(3), seconds=3))
    return any((changed.id, changed.operation) == ('instructsam_1', ADD)
               for scene in planner.scenes for changed in scene.world.collision_objects)


def test_without_moveit_the_node_ends_and_names_the_package() -> None:
    code = (
        'import runpy, sys\n'
        "sys.modules['moveit_msgs'] = sys.modules['moveit_msgs.msg'] = None\n"
        "runpy.run_path('scripts/planning_scene_node', run_name='__main__')\n")
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, env=environment(ROS_DISTRO='jazzy'),
        capture_output=True, text=True, timeout=2 * PATIENCE)
    assert done.returncode == 2
    assert 'sudo apt install ros-jazzy-moveit-msgs' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(('values', 'said'), [
    ({'skip': ('SPARSE',)}, "skip has 'SPARSE': there are NO_DEPTH"),
    ({'prefix': 'a/b'}, 'leave it out'), ({'skip': ('SPARSE_DEPTH', 'NO_TF')}, None)])
def test_parameters_are_checked(values: dict[str, Any], said: str | None) -> None:
    problem = PlanningSceneSettings(**values).problem()
    assert (problem is None) if said is None else (problem and said in problem)


def test_statuses_are_named_as_in_the_message() -> None:
    settings = PlanningSceneSettings(skip=('SPARSE_DEPTH', 'LOW_SCORE')).for_scene()
    kind = type(target(1))
    assert settings.skip == kind.STATUS_SPARSE_DEPTH | kind.STATUS_LOW_SCORE


# ---- the document


def test_parameters_are_documented() -> None:
    assert parameter_table(PlanningSceneSettings) in DOCUMENT


def test_topics_are_documented() -> None:
    source = (ROOT / 'instructsam_ros/nodes/planning_scene_node.py').read_text()
    rows = re.findall(r'^\| `(\w+)` \| (\w+)/(\w+) \|', DOCUMENT, re.MULTILINE)
    assert len(rows) == 4
    for topic, _, kind in rows:
        assert re.search(rf"\b{kind}, '{topic}'", re.sub(r'\s+', ' ', source)), topic


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / 'model')])
    return {**os.environ, 'PYTHONPATH': path, **more}


def programs() -> list[str]:
    found = blocks(DOCUMENT, 'python')
    for code in found:
        compile(code, 'planning.md', 'exec')
    assert len(found) == 3
    assert '# Needs MoveIt 2' in found[1], 'the block that cannot run here says so'
    return [found[0], found[2]]


def run_beside(code: str, folder: Path, publish: Callable[[], object]) -> str:
    """Run a program of the document while something is published; return what it prints."""
    file = folder / 'program.py'
    file.write_text(code)
    child = subprocess.Popen(
        [sys.executable, str(file)], cwd=folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 2 * PATIENCE
        while child.poll() is None and time.monotonic() < end:
            publish()
            time.sleep(0.05)
        out, err = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
    assert child.returncode == 0, err
    return str(out)


def test_the_picker_picks_and_tells_moveit(planner: Planner, tmp_path: Path) -> None:
    targets = planner.node.create_publisher(TargetArray, '/instructsam/targets', 10)
    planner.listen()
    bowl = target(1, 'bowl')
    mug = target(2, 'red mug', position=(0.4, -0.2, 0.05), yaw=0.5, size=(0.1, 0.06, 0.08))
    stamps = iter(range(1, 10**6))

    def publish() -> None:
        # the mug comes when MoveIt listens
        if planner.node.get_publishers_info_by_topic('/planning_scene'):
            targets.publish(message(bowl, mug, seconds=next(stamps)))

    out = run_beside(programs()[0], tmp_path, publish)
    assert 'red mug: wait at (0.400, -0.200, 0.240) m in base_link' in out
    assert planner.next()[1] == [(ADD, 'instructsam_1'), (ADD, 'instructsam_2')]


def test_the_gripper_waits_above_with_its_fingers_across_the_shorter_side() -> None:
    code = programs()[0]
    start = code.index('def pre_grasp')
    space: dict[str, Any] = {'FRAME': 'base_link'}
    function = code[start:code.index('rclpy.init')]
    exec(f'from geometry_msgs.msg import PoseStamped\n{function}', space)
    mug = target(2, yaw=0.5)
    gripper = pose_to_matrix(space['pre_grasp'](mug).pose)[:3, :3]
    box = pose_to_matrix(mug.pose.pose)[:3, :3]
    np.testing.assert_allclose(gripper[:, 2], (0, 0, -1), atol=1e-9)
    # x of a box is along its longer side
    np.testing.assert_allclose(gripper[:, 1], box[:, 1], atol=1e-9)


def test_the_bundler_writes_what_grasp_networks_read(planner: Planner, tmp_path: Path) -> None:
    kinds = {
        'instances': (InstanceArray, '/instructsam/instances', 10),
        'depth': (Image, '/camera/aligned_depth_to_color/image_raw', qos_profile_sensor_data),
        'camera_info': (CameraInfo, '/camera/color/camera_info', qos_profile_sensor_data),
        'image': (Image, '/camera/color/image_raw', qos_profile_sensor_data)}
    ends = {name: planner.node.create_publisher(*kind) for name, kind in kinds.items()}
    given = picture_messages()

    def publish() -> None:
        header = header_of(time.time(), 'camera_optical')
        for name in ('depth', 'camera_info', 'image', 'instances'):
            given[name].header = header
            ends[name].publish(given[name])

    out = run_beside(programs()[1], tmp_path, publish)
    assert '3 red mug (400, 3)\n70000 red mug (200, 3)\nscene.npz (4800, 3) [' in out
    with np.load(tmp_path / 'scene.npz') as data:
        assert np.unique(data['segmap']).tolist() == [0, 3, 70_000]


def test_the_script_is_the_node() -> None:
    space = runpy.run_path(str(ROOT / 'scripts/planning_scene_node'), run_name='not_main')
    assert space['main'].__module__ == 'instructsam_ros.nodes.planning_scene_node'
