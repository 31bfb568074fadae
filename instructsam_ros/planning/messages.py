# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Planning and messages: diffs to MoveIt's messages, results and pictures to a grasp bundle.

ROS is imported by those functions only that need it, when they are called.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.planning.boxes import BoxChange, Operation, SceneDiff
from instructsam_ros.planning.grasping import GraspBundle

# full name, such as 'geometry_msgs/msg/Pose' -> its class
Types = Callable[[str], Any]


class MoveItMissingError(ImportError):
    """The package moveit_msgs is not installed; says how to get it."""


def require_moveit() -> None:
    """Make sure that MoveIt's messages can be imported, of ROS 2 or of the embedded client.

    Raises MoveItMissingError.
    """
    from instructsam_ros.ros import provide_ros

    provide_ros()
    try:
        import moveit_msgs.msg  # noqa: F401
    except ImportError:
        distribution = os.environ.get('ROS_DISTRO', 'jazzy')
        raise MoveItMissingError(
            'the package moveit_msgs is not installed, the messages that MoveIt understands: sudo '
            f'apt install ros-{distribution}-moveit-msgs') from None


def collision_objects(diff: SceneDiff, *, plain: bool = False) -> list[Any]:
    """Return the diff as moveit_msgs/CollisionObject messages, to be applied in this order.

    ADD has one box of ``primitives`` at the object's origin, the pose in ``pose`` and the phrase
    in ``type.key``; MOVE has the pose only, REMOVE the id only. ``plain`` makes objects with the
    same fields that need neither ROS nor MoveIt. Raises MoveItMissingError.
    """
    types = _types(plain)
    return [_collision_object(one, diff, types) for one in diff.changes]


def planning_scene(diff: SceneDiff, *, plain: bool = False) -> Any:
    """Return the diff as a moveit_msgs/PlanningScene that changes nothing else.

    ``plain`` as for ``collision_objects``. Raises MoveItMissingError.
    """
    scene = _types(plain)('moveit_msgs/msg/PlanningScene')()
    scene.is_diff = True
    # else the robot's state counts as given, and as one without attached objects
    scene.robot_state.is_diff = True
    scene.world.collision_objects = collision_objects(diff, plain=plain)
    return scene


def grasp_bundle(
    instances: Any, depth: Any, camera_info: Any, image: Any = None, *,
    rectified: bool = False, max_gap: float = 0.05,
) -> GraspBundle:
    """Make a grasp bundle from an InstanceArray and the picture's depth, calibration and image.

    ``depth`` is a sensor_msgs/Image or a CompressedImage of the compressedDepth transport,
    registered to the picture; ``image`` a sensor_msgs/Image or CompressedImage. ``rectified``
    takes P of ``camera_info``, for rectified pictures. Raises ValueError when sizes or frames
    differ, when stamps are more than ``max_gap`` seconds apart, and for what cannot be decoded.
    """
    # bridge imports ROS
    from instructsam_ros.bridge.cameras import camera_for_image
    from instructsam_ros.bridge.images import depth_to_metres
    from instructsam_ros.bridge.results import instances_of

    height, width = int(instances.height), int(instances.width)
    metres = depth_to_metres(depth)
    if metres.shape != (height, width):
        raise ValueError(
            f'depth is {metres.shape[1]}x{metres.shape[0]}, the picture of the instances is '
            f'{width}x{height}: use depth registered to it')
    for name, one in (('depth', depth), ('the image', image)):
        if one is not None:
            _check_partner(name, one.header, instances.header, max_gap)
    camera = camera_for_image(camera_info, height, width, rectified=rectified)
    picture = None if image is None else _picture(image)
    return GraspBundle.from_arrays(metres, camera, instances_of(instances), picture)


def _types(plain: bool) -> Types:
    """Return what finds message classes: the ROS in use, or the plain ones."""
    if plain:
        from instructsam_ros.embedded.interfaces import message_class

        return message_class
    require_moveit()
    return _installed


def _installed(name: str) -> Any:
    package, kind, short = name.split('/')
    return getattr(importlib.import_module(f'{package}.{kind}'), short)


def _collision_object(change: BoxChange, diff: SceneDiff, types: Types) -> Any:
    message = types('moveit_msgs/msg/CollisionObject')()
    box = change.box
    message.header.frame_id = diff.frame
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(diff.stamp_ns, 10**9)
    message.id = box.name
    message.operation = {
        Operation.ADD: message.ADD, Operation.MOVE: message.MOVE, Operation.REMOVE: message.REMOVE,
    }[change.operation]
    if change.operation is Operation.REMOVE:
        return message
    message.pose = _pose(box.position, box.quaternion, types)
    if change.operation is Operation.ADD:
        shape = types('shape_msgs/msg/SolidPrimitive')()
        shape.type = shape.BOX
        shape.dimensions = [float(side) for side in box.size]
        message.primitives = [shape]
        message.primitive_poses = [types('geometry_msgs/msg/Pose')()]
        message.type.key = box.phrase
    return message


def _pose(position: NDArray[np.float64], quaternion: NDArray[np.float64], types: Types) -> Any:
    pose = types('geometry_msgs/msg/Pose')()
    for part, names, values in (
        (pose.position, 'xyz', position), (pose.orientation, 'xyzw', quaternion),
    ):
        for name, value in zip(names, values, strict=True):
            setattr(part, name, float(value))
    return pose


def _check_partner(name: str, header: Any, other: Any, max_gap: float) -> None:
    if header.frame_id and other.frame_id and header.frame_id != other.frame_id:
        raise ValueError(
            f'{name} is from {header.frame_id!r}, the instances are from {other.frame_id!r}: all '
            'must be of one picture, depth registered to it')
    gap = abs(_seconds(header.stamp) - _seconds(other.stamp))
    if gap > max_gap:
        raise ValueError(
            f'{name} and the instances are {gap:.3f} s apart: keep pictures until the instances '
            'with the same stamp come, or raise max_gap')


def _seconds(stamp: Any) -> float:
    return float(int(stamp.sec) + int(stamp.nanosec) * 1e-9)


def _picture(image: Any) -> NDArray[np.uint8]:
    from instructsam_ros.bridge.images import compressed_to_array, image_to_array

    return compressed_to_array(image) if hasattr(image, 'format') else image_to_array(image)
