# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One camera frame: what the perception pipeline takes in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.camera import CameraModel

# below this nothing can be recognised, and resizing networks misbehave
MIN_SIDE = 16


@dataclass(frozen=True)
class Frame:
    """A picture with whatever geometry is known about it.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        depth: float32 [H, W] in metres along the optical axis, NaN where invalid; None without.
        camera: intrinsics for this image size; None when unknown (then results are 2D only).
        camera_pose: float [4, 4], optical frame -> gravity-aligned frame (z up), metres; None when
            gravity is unknown.
        stamp: acquisition time in seconds, for the caller's book-keeping.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32] | None = None
    camera: CameraModel | None = None
    camera_pose: NDArray[np.float64] | None = None
    stamp: float = 0.0

    def __post_init__(self) -> None:
        """Check shapes and types (ValueError)."""
        image = self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f'image must be uint8 [H, W, 3] RGB, got {image.dtype} {image.shape}')
        height, width = image.shape[:2]
        if min(height, width) < MIN_SIDE:
            raise ValueError(
                f'image is {width}x{height} pixels, too small to see anything: '
                f'use one of at least {MIN_SIDE}x{MIN_SIDE}'
            )
        if self.depth is not None and self.depth.shape != (height, width):
            shape = 'x'.join(str(side) for side in reversed(self.depth.shape))
            raise ValueError(
                f'depth is {shape}, the image {width}x{height}: '
                'use depth registered to the colour image'
            )
        if self.depth is not None and self.depth.dtype != np.float32:
            raise ValueError(f'depth must be float32 metres, got {self.depth.dtype}')
        if self.camera is not None and (self.camera.height, self.camera.width) != (height, width):
            raise ValueError(
                f'camera is for {self.camera.width}x{self.camera.height}, the image '
                f'{width}x{height}: use CameraModel.scaled'
            )
        if self.camera_pose is not None:
            _check_pose(self.camera_pose)


def _check_pose(pose: NDArray[np.float64]) -> None:
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError('camera pose must be a finite 4x4 matrix')
    rotation = pose[:3, :3]
    if (
        np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3
        or np.linalg.det(rotation) < 0
        or not np.array_equal(pose[3], [0, 0, 0, 1])
    ):
        raise ValueError('camera pose must be a rigid transform (rotation and translation)')
