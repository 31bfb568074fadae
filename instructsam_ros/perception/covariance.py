# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How sure a target's pose is."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.box import LevelBox

Array = NDArray[np.float64]


class LevelAccuracy(Enum):
    """Standard deviation of the "up" direction, radians, by where it comes from."""

    GRAVITY = 0.01
    PLANE = 0.05
    NONE = 0.8


# neighbouring depth pixels share their error: so many pixels make one independent measurement
_CORRELATED_PIXELS = 50
_HALF_TURN_DEVIATION = np.pi / np.sqrt(12)


def pose_covariance(
    box: LevelBox,
    rotation: Array,
    accuracy: LevelAccuracy,
    sigma: float,
    points: NDArray[np.float32],
    centroid: Array,
    spacing: float,
) -> Array:
    """Return the covariance [6, 6] of a box's pose in the optical frame (m, rad; row-major).

    Position: depth noise ``sigma`` along the view ray and the pixel ``spacing`` across it, both
    averaged over the independent measurements among the visible ``points`` [N, 3]; the points'
    own spread about their ``centroid``; and, per box axis, the inferred length, of which the true
    end may lie anywhere (uniform: variance length**2 / 12, halved by the centre). Rotation: the
    "up" direction's accuracy, and a yaw that is worth what sigma and spacing leave of the longer
    side; unknown where both sides are equal. ``rotation`` maps the optical to the level frame.
    """
    independent = max(1.0, len(points) / _CORRELATED_PIXELS)
    view = centroid / np.linalg.norm(centroid)
    along = np.outer(view, view)
    noise = (sigma**2 * along + spacing**2 * (np.eye(3) - along)) / independent
    thin = points[:: max(1, len(points) // 500)] - centroid
    spread = thin.T @ thin / (len(thin) * len(points))
    turn = np.array(
        [[box.axis[0], -box.axis[1], 0.0], [box.axis[1], box.axis[0], 0.0], [0.0, 0.0, 1.0]]
    )
    axes = rotation.T @ turn
    unseen = axes @ np.diag(box.guessed**2 / 48) @ axes.T
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = noise + spread + unseen
    longer, shorter = max(box.size[0], 1e-4), box.size[1]
    distinct = max(1 - shorter / longer, 0.0)
    edge = np.hypot(sigma, spacing) / longer
    yaw = min(edge / max(distinct, 1e-3), _HALF_TURN_DEVIATION)
    level = np.diag([accuracy.value**2, accuracy.value**2, yaw**2])
    covariance[3:, 3:] = rotation.T @ level @ rotation
    return covariance
