# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transform and pose messages and matrices [4, 4]."""

import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray

from instructsam_ros.perception.targets import quaternion_from_rotation

Array = NDArray[np.float64]


def rotation_of(quaternion: Quaternion) -> Array:
    """Return the rotation matrix [3, 3] of a quaternion message, whatever its length.

    Raises ValueError for a quaternion of zeros or one that is not finite.
    """
    q = np.array([quaternion.x, quaternion.y, quaternion.z, quaternion.w], np.float64)
    length = math.sqrt(float(q @ q))
    if not 1e-9 < length < math.inf:
        raise ValueError(
            f'quaternion ({q[0]:g}, {q[1]:g}, {q[2]:g}, {q[3]:g}) is no rotation: w = 1 is "none"'
        )
    x, y, z, w = (q / length).tolist()
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_message(rotation: Array) -> Quaternion:
    """Return the quaternion message of a rotation matrix [3, 3], with w >= 0."""
    x, y, z, w = quaternion_from_rotation(rotation).tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


def transform_to_matrix(transform: Transform) -> Array:
    """Return a Transform message as [4, 4], metres. Raises ValueError for an unusable rotation."""
    return _matrix(transform.translation, transform.rotation)


def matrix_to_transform(matrix: Array) -> Transform:
    """Return [4, 4] as a Transform message."""
    x, y, z = matrix[:3, 3].tolist()
    return Transform(
        translation=Vector3(x=x, y=y, z=z), rotation=quaternion_message(matrix[:3, :3])
    )


def pose_to_matrix(pose: Pose) -> Array:
    """Return a Pose message as [4, 4], metres. Raises ValueError for an unusable rotation."""
    return _matrix(pose.position, pose.orientation)


def matrix_to_pose(matrix: Array) -> Pose:
    """Return [4, 4] as a Pose message."""
    x, y, z = matrix[:3, 3].tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=quaternion_message(matrix[:3, :3]))


def stamped_transform(matrix: Array, parent: str, child: str, stamp: Time) -> TransformStamped:
    """Return [4, 4], child -> parent, as a message for TF."""
    message = TransformStamped()
    message.header.stamp = stamp
    message.header.frame_id = parent
    message.child_frame_id = child
    message.transform = matrix_to_transform(matrix)
    return message


def _matrix(position: Any, orientation: Quaternion) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_of(orientation)
    matrix[:3, 3] = position.x, position.y, position.z
    return matrix
