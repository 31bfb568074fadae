# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An example for planners: keeps the targets in MoveIt's planning scene.

Topics are relative: in come ``targets``, ``instruction_status`` and MoveIt's
``attached_collision_object``, out goes ``planning_scene`` (moveit_msgs/PlanningScene, diffs only),
which move_group and other planning scene monitors subscribe to. Needs the package moveit_msgs.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node

from instructsam_ros.bridge.interfaces import InstructionStatus, TargetArray
from instructsam_ros.bridge.parameters import Parameters, setting
from instructsam_ros.bridge.qos import (
    command_qos,
    publisher_options,
    result_qos,
    status_qos,
    subscription_options,
)
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.running import run_node
from instructsam_ros.perception.targets import TargetStatus
from instructsam_ros.planning.boxes import SceneDiff
from instructsam_ros.planning.messages import (
    MoveItMissingError,
    planning_scene,
    require_moveit,
)
from instructsam_ros.planning.scene import EXCLUDED, CollisionScene, SceneSettings

# seconds between two looks for planners that have begun to listen
_LOOK_AROUND = 0.5


@dataclass(frozen=True)
class PlanningSceneSettings:
    """The parameters; all but the prefix may change while the node runs."""

    padding: float = setting(
        SceneSettings.padding, 'added to every side of a box', unit='m', minimum=0.0, maximum=1.0)
    keep_seconds: float = setting(
        SceneSettings.keep_seconds,
        'a target must be missing for so long before its box is removed', unit='s', minimum=0.0,
        maximum=3600.0)
    position_tolerance: float = setting(
        SceneSettings.position_tolerance, 'a box that is farther off is moved', unit='m',
        minimum=0.0, maximum=1.0)
    angle_tolerance: float = setting(
        SceneSettings.angle_tolerance, 'a box that is turned further is moved', unit='rad',
        minimum=0.0, maximum=3.2)
    size_tolerance: float = setting(
        SceneSettings.size_tolerance, 'a box with a side that is farther off is added anew',
        unit='m', minimum=0.0, maximum=1.0)
    min_score: float = setting(
        SceneSettings.min_score, 'targets with a lower score are not added', minimum=0.0,
        maximum=1.0)
    skip: tuple[str, ...] = setting(
        (), 'targets with one of these statuses are not added, such as SPARSE_DEPTH')
    exclude: tuple[str, ...] = setting(
        (), 'boxes that others hold, by name: nothing is done about them')
    frame: str = setting(
        SceneSettings.frame, 'only targets in this frame are taken; empty: whatever they come in')
    keep_previous: bool = setting(
        SceneSettings.keep_previous, 'keep the boxes of earlier instructions')
    prefix: str = setting(
        SceneSettings.prefix, "a box is called prefix and its target's id", read_only=True)

    def problem(self) -> str | None:
        """Return what is wrong between parameters, None if nothing is."""
        known = [bit.name for bit in TargetStatus if bit]
        for name in self.skip:
            if name not in known:
                return f'skip has {name!r}: there are {", ".join(filter(None, known))}'
        try:
            self.for_scene()
        except ValueError as error:
            return str(error)
        return None

    def for_scene(self) -> SceneSettings:
        """Return the same as the scene takes it. Raises ValueError for what makes no sense."""
        skip = TargetStatus.OK
        for name in self.skip:
            skip |= TargetStatus[name]
        return SceneSettings(
            self.padding, self.keep_seconds, self.position_tolerance, self.angle_tolerance,
            self.size_tolerance, self.min_score, skip, self.frame, self.keep_previous, self.prefix)


class PlanningSceneNode(Node):
    """Publishes what the targets change in the planning scene."""

    def __init__(self, **options: Any) -> None:
        """Declare parameters and begin to listen."""
        # where it is absent, main says so
        from moveit_msgs.msg import AttachedCollisionObject, PlanningScene

        super().__init__('instructsam_scene', **options)
        self._table = Parameters(self, PlanningSceneSettings, self._on_parameters)
        self._scene = CollisionScene(self._table.values.for_scene())
        # name of a box that the robot holds -> the link that it is attached to
        self._held: dict[str, str] = {}
        self._planners = 0
        self._notices = Notices(self.get_logger().warning, self.get_logger().info)
        self._publisher = self.create_publisher(
            PlanningScene, 'planning_scene',
            **publisher_options(self, 'planning_scene', result_qos(20)))
        self._listen(TargetArray, 'targets', self._on_targets, result_qos())
        self._listen(InstructionStatus, 'instruction_status', self._on_status, status_qos())
        self._listen(AttachedCollisionObject, 'attached_collision_object', self._on_attached,
                     command_qos())
        self.create_timer(_LOOK_AROUND, self._look_around)

    def _listen(self, kind: type, topic: str, callback: Any, qos: Any) -> None:
        self.create_subscription(
            kind, topic, callback, **subscription_options(self, topic, qos))

    def _on_parameters(self, old: PlanningSceneSettings, new: PlanningSceneSettings) -> None:
        self._scene.settings = new.for_scene()

    def _on_targets(self, message: TargetArray) -> None:
        diff = self._scene.update(message, exclude={*self._held, *self._table.values.exclude})
        self._publish(diff)
        told = [one for one in diff.skipped if one.reason != EXCLUDED]
        if told:
            self._notices.report('skipped', f'left as it is: {"; ".join(map(str, told))}')
        else:
            self._notices.fine('skipped', 'all targets are in the planning scene again')

    def _on_status(self, message: InstructionStatus) -> None:
        cleared = message.state == InstructionStatus.STATE_CLEARED
        if cleared and not self._table.values.keep_previous:
            self._publish(self._scene.clear())

    def _on_attached(self, message: Any) -> None:
        """Leave alone what the robot takes; as MoveIt, an empty id means all of a link, or all."""
        name, link = message.object.id, message.link_name
        if message.object.operation in (message.object.ADD, message.object.APPEND):
            self._held[name] = link
        elif message.object.operation == message.object.REMOVE:
            self._held = {
                one: where for one, where in self._held.items()
                if one != name and (name or (link and where != link))}

    def _look_around(self) -> None:
        """Send everything when somebody has begun to listen, who knows nothing yet."""
        before, self._planners = self._planners, self._publisher.get_subscription_count()
        if self._planners > before:
            self._publish(self._scene.full())

    def _publish(self, diff: SceneDiff) -> None:
        if not diff.is_empty:
            self._publisher.publish(planning_scene(diff))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; return the exit code, 2 without moveit_msgs."""
    try:
        require_moveit()
    except MoveItMissingError as error:
        print(f'the node cannot start: {error}', file=sys.stderr)
        return 2
    return run_node(PlanningSceneNode, args, threads=2)


if __name__ == '__main__':
    sys.exit(main())
