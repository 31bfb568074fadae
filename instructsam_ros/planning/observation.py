# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What planning reads of a target, the same for messages and for ``perception.targets.Target``.

Messages are read by the names of their fields alone, so those of every ROS 2 client will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.targets import TargetStatus

Array = NDArray[np.float64]

#: The target was seen, but nothing of it is known in 3D.
UNMEASURED = TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA
# shorter quaternions are no rotation
_LEAST_LENGTH = 1e-9


@dataclass(frozen=True)
class Geometry:
    """An oriented box, finite numbers only: metres, in the frame that the targets are in.

    Attributes:
        position: [3] centre.
        quaternion: [4] x, y, z, w of unit length, box -> frame.
        size: [3] full side lengths along the box's own axes.
        centroid: [3] of the visible surface.
    """

    position: Array
    quaternion: Array
    size: Array
    centroid: Array


@dataclass(frozen=True)
class Observation:
    """One target as planning sees it.

    Attributes:
        id, phrase, score, status: of the target.
        geometry: None when it was not measured.
        problem: why not; '' when it was.
    """

    id: int
    phrase: str
    score: float
    status: TargetStatus
    geometry: Geometry | None
    problem: str = ''

    def __str__(self) -> str:
        return f'{self.id} {self.phrase!r}'


def targets_of(targets: Any) -> Sequence[Any]:
    """Return the targets of a TargetArray, or the sequence itself."""
    found: Sequence[Any] = getattr(targets, 'targets', targets)
    return found


def observe(target: Any) -> Observation:
    """Read a target, a message or a ``perception.targets.Target``; never raises for bad numbers."""
    status = TargetStatus(int(target.status))
    geometry, problem = _measured(target, status)
    return Observation(
        int(target.id), str(target.phrase), float(target.score), status, geometry, problem)


def _measured(target: Any, status: TargetStatus) -> tuple[Geometry | None, str]:
    missing = status & UNMEASURED
    if missing:
        return None, f'it was not measured ({", ".join(missing.names)})'
    if hasattr(target, 'geometry'):
        if target.geometry is None:
            return None, 'it was not measured'
        one = target.geometry
        return _checked(one.position, one.quaternion, one.size, one.centroid)
    # the convention of sensor_msgs for what is not known
    if target.pose.covariance[0] == -1.0:
        return None, 'it was not measured (its covariance begins with -1)'
    pose = target.pose.pose
    q = pose.orientation
    return _checked(
        _numbers(pose.position), np.array([q.x, q.y, q.z, q.w], np.float64),
        _numbers(target.size), _numbers(target.centroid))


def _checked(
    position: Array, quaternion: Array, size: Array, centroid: Array
) -> tuple[Geometry | None, str]:
    # publishers older than the -1 write NaN
    for name, values in (('position', position), ('orientation', quaternion), ('size', size)):
        if not np.isfinite(values).all():
            return None, f'its {name} is not finite'
    length = float(np.linalg.norm(quaternion))
    if length < _LEAST_LENGTH:
        return None, 'its orientation is no rotation (all zero)'
    if (size < 0).any():
        return None, 'its size is negative'
    if not np.isfinite(centroid).all():
        centroid = position
    return Geometry(position, quaternion / length, size, centroid), ''


def _numbers(vector: Any) -> Array:
    return np.array([vector.x, vector.y, vector.z], np.float64)
