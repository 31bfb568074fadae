# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets: what a robot needs to know of an object in 3D."""

from dataclasses import dataclass, field, replace
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class TargetStatus(IntFlag):
    """Why a target is less than perfect; OK (0) when nothing is wrong. Bits combine."""

    OK = 0
    #: No depth image, or no valid depth under the mask: there is no geometry, only the 2D result.
    NO_DEPTH = 1
    #: No camera intrinsics: there is no geometry, only the 2D result.
    NO_CAMERA = 2
    #: Few valid depth pixels under the mask, or all in a line or plane: geometry is coarse.
    SPARSE_DEPTH = 4
    #: The mask reaches the picture's edge: the object goes on outside, size and centre are short.
    TOUCHES_BORDER = 8
    #: Gravity unknown: "up" is the normal of the support plane in sight.
    NO_TF = 16
    #: Gravity unknown and no support plane in sight: "up" is the picture's up (set with NO_TF).
    CAMERA_ALIGNED = 32
    #: No support surface found under the object (it may hang): the box ends at its lowest visible
    #: point.
    NO_SUPPORT = 64
    #: Something nearer hides part of the object: size and centre may be short.
    OCCLUDED = 128
    #: Score below the level at which one should act on it.
    LOW_SCORE = 256
    #: The lower part is hidden: that the box reaches down to the support is inferred, not seen.
    INFERRED_BOTTOM = 512

    @property
    def names(self) -> list[str]:
        """Names of the bits that are set, lowest first; empty when OK."""
        return [flag.name for flag in TargetStatus if flag and flag in self and flag.name]


@dataclass(frozen=True)
class TargetGeometry:
    """An object in 3D, in one frame (the camera's optical frame as the projector returns it).

    Attributes:
        pose: [4, 4], box -> frame; origin at the box's centre, z up, x along the longer horizontal
            side, or one of them if they are equal within 10 % (``box.canonical``).
        size: [3] full side lengths along the box's x, y, z, metres.
        centroid: [3] centroid of the visible surface, each pixel of the mask counting once.
        normal: [3] unit normal of the visible surface near the centroid, towards the camera.
        covariance: [6, 6] of the pose: x, y, z, rotation about the frame's x, y, z (m, rad),
            row-major as in geometry_msgs/PoseWithCovariance.
        distance: metres from the camera to the centroid.
        persistent: [3, 3] m^2, the part of the position's covariance that stays the same from
            frame to frame (hidden back, mask, calibration, gravity), so that no filter averages
            it out; covariance[:3, :3] is the whole.
    """

    pose: Array
    size: Array
    centroid: Array
    normal: Array
    covariance: Array
    distance: float
    persistent: Array = field(default_factory=lambda: np.zeros((3, 3)))

    @property
    def position(self) -> Array:
        """Centre of the box [3]."""
        return self.pose[:3, 3]

    @property
    def quaternion(self) -> Array:
        """Orientation of the box as x, y, z, w with w >= 0."""
        return quaternion_from_rotation(self.pose[:3, :3])

    def transformed(self, transform: Array) -> 'TargetGeometry':
        """Return the geometry in another frame; ``transform`` [4, 4] maps this frame to it.

        Sizes belong to the box and stay; the pose turns, and with it normal and covariances.
        """
        rotation = transform[:3, :3]
        twice = np.zeros((6, 6))
        twice[:3, :3] = twice[3:, 3:] = rotation
        return replace(
            self,
            pose=transform @ self.pose,
            centroid=rotation @ self.centroid + transform[:3, 3],
            normal=rotation @ self.normal,
            covariance=twice @ self.covariance @ twice.T,
            persistent=rotation @ self.persistent @ rotation.T,
        )


@dataclass(frozen=True)
class Target:
    """One instance as something to act on.

    Attributes:
        id: 1-based, the instance's place in the segmentation (trackers give lasting ids).
        phrase, score: of the instance.
        status: what is wrong, if anything.
        geometry: None exactly when status has NO_DEPTH or NO_CAMERA.
        visible_points: number of mask pixels with depth that the geometry rests on.
        valid_depth_ratio: share of the mask's pixels with valid depth, 0..1.
    """

    id: int
    phrase: str
    score: float
    status: TargetStatus
    geometry: TargetGeometry | None = None
    visible_points: int = 0
    valid_depth_ratio: float = 0.0

    def transformed(self, transform: Array) -> 'Target':
        """Return the target with its geometry in another frame (see TargetGeometry)."""
        if self.geometry is None:
            return self
        return replace(self, geometry=self.geometry.transformed(transform))


def quaternion_from_rotation(rotation: Array) -> Array:
    """Return x, y, z, w (w >= 0, unit length) of a 3x3 rotation matrix."""
    # Bar-Itzhack 2000: the quaternion is the top eigenvector of this symmetric matrix, stable
    # for every rotation, also near half turns
    m = rotation
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)],
        ]
    )
    quaternion = np.linalg.eigh(k, UPLO='L')[1][:, -1]
    return -quaternion if quaternion[3] < 0 else quaternion
