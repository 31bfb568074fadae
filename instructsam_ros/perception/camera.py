# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pinhole camera model: pixels to rays through K and D (raw images) or P (rectified ones).

Frames follow REP-103: optical frame, z forward, x right, y down; a pixel's centre has integer
coordinates. Rays have z = 1, so that ray times depth is the point.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

# coefficients of each ROS distortion model (sensor_msgs/distortion_models.hpp): allowed counts
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
}
# a ray whose distorted image is farther than this from its pixel has no valid inverse
_MAX_UNDISTORTION_ERROR_PX = 0.5


@dataclass(frozen=True)
class CameraModel:
    """Intrinsics of one camera at one image size; hashable, so that its rays are cached.

    Attributes:
        width, height: image size in pixels.
        fx, fy, cx, cy: focal lengths and principal point in pixels.
        distortion_model: '' for a rectified or ideal camera, else a key of DISTORTION_MODELS.
        distortion: its coefficients, in OpenCV's order.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ''
    distortion: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse intrinsics that cannot give rays (ValueError)."""
        if self.width < 1 or self.height < 1:
            raise ValueError(
                f'camera info has image size {self.width}x{self.height}: '
                'set width and height to those of the calibrated image'
            )
        values = {'fx': self.fx, 'fy': self.fy, 'cx': self.cx, 'cy': self.cy}
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f'camera matrix K has {name} = {value}: calibrate the camera')
        for name in ('fx', 'fy'):
            if values[name] <= 0:
                raise ValueError(
                    f'camera matrix K has {name} = {values[name]:g}, it must be positive: '
                    'the camera is not calibrated'
                )
        if not self.distortion_model:
            return
        if self.distortion_model not in DISTORTION_MODELS:
            raise ValueError(
                f'distortion model {self.distortion_model!r} is not supported: '
                f'use one of {", ".join(DISTORTION_MODELS)}, or rectified images with P'
            )
        allowed = DISTORTION_MODELS[self.distortion_model]
        if len(self.distortion) not in allowed:
            raise ValueError(
                f'distortion model {self.distortion_model} needs '
                f'{" or ".join(map(str, allowed))} coefficients, D has {len(self.distortion)}'
            )
        if not all(map(math.isfinite, self.distortion)):
            raise ValueError('distortion coefficients D contain NaN or Inf: calibrate the camera')

    @classmethod
    def from_k(
        cls,
        k: ArrayLike,
        width: int,
        height: int,
        *,
        d: Sequence[float] = (),
        distortion_model: str = 'plumb_bob',
    ) -> 'CameraModel':
        """Build from a raw image's K (3x3 or 9 numbers, row-major) and distortion D.

        All-zero or empty D means no distortion. Raises ValueError for values that give no rays.
        """
        matrix = _matrix(k, (3, 3), 'K')
        coefficients = tuple(float(value) for value in d)
        if not any(coefficients):
            distortion_model, coefficients = '', ()
        elif distortion_model == 'plumb_bob' and len(coefficients) > 5:
            # drivers call eight coefficients plumb_bob too; OpenCV tells them by their number
            distortion_model = 'rational_polynomial'
        return cls(
            int(width), int(height), *_focal_and_centre(matrix), distortion_model, coefficients
        )

    @classmethod
    def from_p(cls, p: ArrayLike, width: int, height: int) -> 'CameraModel':
        """Build from a rectified image's P (3x4 or 12 numbers, row-major); no distortion left."""
        matrix = _matrix(p, (3, 4), 'P')
        return cls(int(width), int(height), *_focal_and_centre(matrix))

    @property
    def matrix(self) -> NDArray[np.float64]:
        """K as a 3x3 array."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def scaled(self, width: int, height: int) -> 'CameraModel':
        """Return the camera for the same picture resized to width x height.

        Pixel centres are integers, so the principal point moves by half a pixel's growth
        (REP-104 binning is the case width = self.width / n). Raises ValueError when the aspect
        ratio differs by more than 1 %, which is a crop, not a resize.
        """
        if (width, height) == (self.width, self.height):
            return self
        sx, sy = width / self.width, height / self.height
        if abs(sx / sy - 1) > 0.01:
            raise ValueError(
                f'camera info is for {self.width}x{self.height}, the image is {width}x{height}, '
                'another aspect ratio: give the camera info of this image'
            )
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, x_offset: int, y_offset: int, width: int, height: int) -> 'CameraModel':
        """Return the camera of a region of interest of the image (REP-104)."""
        return replace(
            self, width=width, height=height, cx=self.cx - x_offset, cy=self.cy - y_offset
        )

    def rays(self) -> NDArray[np.float32]:
        """Return x/z and y/z of every pixel, float32 [H, W, 2], read-only and cached per camera.

        NaN where the lens model has no inverse.
        """
        return _rays(self)

    def ray(self, u: float, v: float) -> NDArray[np.float64]:
        """Return the ray (x/z, y/z, 1) through pixel (u, v)."""
        x, y = _undistort(self, np.array([[u, v]], np.float64))[0]
        return np.array([x, y, 1.0])

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Project points [..., 3] in the optical frame (z > 0) to pixels [..., 2]."""
        array = np.asarray(points, np.float64)
        with np.errstate(divide='ignore', invalid='ignore'):
            normalised = array[..., :2] / array[..., 2:]
        return _distort(self, normalised.reshape(-1, 2)).reshape(normalised.shape)


def _matrix(values: ArrayLike, shape: tuple[int, int], name: str) -> NDArray[np.float64]:
    try:
        matrix = np.asarray(values, np.float64).reshape(shape)
    except (TypeError, ValueError):
        raise ValueError(
            f'camera matrix {name} must be {shape[0] * shape[1]} numbers, row by row'
        ) from None
    if not np.isfinite(matrix).all():
        raise ValueError(f'camera matrix {name} contains NaN or Inf: calibrate the camera')
    return matrix


def _focal_and_centre(matrix: NDArray[np.float64]) -> tuple[float, float, float, float]:
    return float(matrix[0, 0]), float(matrix[1, 1]), float(matrix[0, 2]), float(matrix[1, 2])


def _distort(camera: CameraModel, normalised: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ideal normalised coordinates [N, 2] -> pixels [N, 2]."""
    if not camera.distortion_model:
        return normalised * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    if not len(normalised):
        return normalised
    coefficients = np.array(camera.distortion)
    if camera.distortion_model == 'equidistant':
        pixels = cv2.fisheye.distortPoints(normalised[:, None], camera.matrix, coefficients)
    else:
        points = np.column_stack([normalised, np.ones(len(normalised))])
        zero = np.zeros(3)
        pixels, _ = cv2.projectPoints(points, zero, zero, camera.matrix, coefficients)
    return np.asarray(pixels, np.float64).reshape(-1, 2)


def _undistort(camera: CameraModel, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels [N, 2] -> ideal normalised coordinates [N, 2], NaN without an inverse."""
    plain = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    if not camera.distortion_model:
        return plain
    coefficients = np.array(camera.distortion)
    inverse = (
        cv2.fisheye.undistortPoints
        if camera.distortion_model == 'equidistant'
        else cv2.undistortPoints
    )
    rays = np.asarray(inverse(pixels[:, None], camera.matrix, coefficients), np.float64)
    rays = rays.reshape(-1, 2)
    # OpenCV stops after five rounds; go on where the image of the ray is not its pixel yet
    error = pixels - _distort(camera, rays)
    for _ in range(20):
        rough = ~(np.abs(error) < 1e-4).all(axis=1)
        if not rough.any():
            break
        rays[rough] += error[rough] / (camera.fx, camera.fy)
        error[rough] = pixels[rough] - _distort(camera, rays[rough])
    rays[~(np.abs(error) < _MAX_UNDISTORTION_ERROR_PX).all(axis=1)] = np.nan
    return rays


@lru_cache(maxsize=8)
def _rays(camera: CameraModel) -> NDArray[np.float32]:
    u, v = np.meshgrid(
        np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64)
    )
    pixels = np.column_stack([u.ravel(), v.ravel()])
    rays = _undistort(camera, pixels).astype(np.float32)
    rays = rays.reshape(camera.height, camera.width, 2)
    rays.setflags(write=False)
    return rays
