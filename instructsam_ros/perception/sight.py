# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a picture says about points that are only guessed: would they have been seen?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.camera import CameraModel

Array = NDArray[np.float64]
Points = NDArray[np.float32]


@dataclass(frozen=True)
class SightCheck:
    """A picture in which a guess must be possible.

    Attributes:
        mask: uint8 [H, W], the object's mask.
        depth: [H, W] metres, NaN unknown.
        camera: intrinsics of that picture.
        rotation: [3, 3] optical frame -> level frame.
        tolerance: metres by which depth may differ.
        nearest: metres; smaller depth is invalid.
    """

    mask: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera: CameraModel
    rotation: Array
    tolerance: float
    nearest: float

    def contradicted(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points [3, ...] of the level frame the camera would have seen, but did not.

        A point is possible when it is out of the picture, behind the object's own mask, or
        behind something nearer.
        """
        turn = self.rotation.T.astype(np.float32)
        x, y, z = turn @ points.reshape(3, -1)
        camera = self.camera
        if camera.distortion_model:
            u, v = camera.project(np.stack([x, y, z], axis=1)).T.astype(np.float32)
        else:
            u = x / z * np.float32(camera.fx) + np.float32(camera.cx)
            v = y / z * np.float32(camera.fy) + np.float32(camera.cy)
        # rounded, but for the border's outer half; a negative number is a huge unsigned one
        column = (u + np.float32(0.5)).astype(np.int32).view(np.uint32)
        row = (v + np.float32(0.5)).astype(np.int32).view(np.uint32)
        inside = (column < camera.width) & (row < camera.height) & (z > 0)
        place = np.where(inside, row * np.uint32(camera.width) + column, 0)
        depth = self.depth.ravel().take(place)
        hidden = (depth < z - np.float32(self.tolerance)) & (depth > np.float32(self.nearest))
        inside &= ~(hidden | self.mask.ravel().take(place).view(np.bool_))
        return inside.reshape(points.shape[1:])
