# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth from a camera beside the colour camera, brought into the colour picture.

Each depth pixel is a small patch at its depth. Patches are moved to the colour camera's optical
frame and painted over all pixels whose centres they cover; where several do, the nearest stays.
Patches of neighbouring pixels touch, so that a picture with more pixels than depth has no gaps.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.camera import CameraModel

Array = NDArray[np.float64]
DepthImage = NDArray[np.float32]

# pixels by which patches overlap: on slopes neighbours move apart by a fraction of a pixel
_OVERLAP = np.float32(0.1)
# share of the picture's extent outside of which a lens model is not to be trusted
_BEYOND = 0.05
# larger patches are those of a picture that has far more pixels than the depth
_MOST_PIXELS = 16
# so many depth pixels are worked on at a time, since they fit into a processor's cache
_BAND_PIXELS = 32_768


class DepthRegistration:
    """From one depth camera to one colour camera; make it once, for it prepares what it can."""

    def __init__(self, depth_camera: CameraModel, camera: CameraModel, transform: Array) -> None:
        """``transform`` [4, 4], rigid: optical frame of the depth camera -> that of ``camera``.

        Raises ValueError when it is not rigid.
        """
        turn = np.asarray(transform, np.float64)
        if turn.shape != (4, 4) or not np.isfinite(turn).all() or not np.allclose(
            turn[:3, :3] @ turn[:3, :3].T, np.eye(3), atol=1e-3
        ) or np.linalg.det(turn[:3, :3]) < 0:
            raise ValueError(
                'the transform from the depth to the colour camera must be a rigid [4, 4] matrix, '
                'a rotation without scale and a shift in metres'
            )
        self.depth_camera, self.camera, self.transform = depth_camera, camera, turn
        self._is_same = depth_camera == camera and np.array_equal(turn, np.eye(4))
        self._lens = _lens(camera)
        # where a pixel's point is: depth times ray, plus shift
        rays = depth_camera.rays()
        turned = rays @ turn[:3, :2].T.astype(np.float32) + turn[:3, 2].astype(np.float32)
        self._rays = np.ascontiguousarray(np.moveaxis(turned, -1, 0))
        self._shift = turn[:3, 3].astype(np.float32)
        self._half = self._half_patches()

    def __call__(self, depth: DepthImage) -> DepthImage:
        """Return depth in the colour camera's picture, float32 [H, W] metres, NaN where none is.

        ``depth`` float32 metres, NaN or <= 0 where invalid, as large as the depth camera says
        (ValueError otherwise). The result is along the colour camera's optical axis.
        """
        source = self.depth_camera
        if depth.shape != (source.height, source.width):
            raise ValueError(
                f'depth is {depth.shape[1]}x{depth.shape[0]}, its camera info is for '
                f'{source.width}x{source.height}: give the camera info of this depth image'
            )
        depth = np.asarray(depth, np.float32)
        if self._is_same:
            return np.where(depth > 0, depth, np.float32(np.nan))
        picture = np.full(self.camera.height * self.camera.width, np.inf, np.float32)
        step = max(1, _BAND_PIXELS // source.width)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            for start in range(0, source.height, step):
                self._paint(picture, depth, slice(start, start + step))
        picture[picture == np.inf] = np.nan
        return picture.reshape(self.camera.height, self.camera.width)

    def _half_patches(self) -> NDArray[np.float32]:
        """Half the extent of each patch in colour pixels, [2, H, W], if it were far away."""
        x, y, z = self._rays
        with np.errstate(divide='ignore', invalid='ignore'):
            places = np.stack(self._lens(x / z, y / z))
            extent = np.abs(_difference(places, 1)) + np.abs(_difference(places, 2))
        return (extent / 2).astype(np.float32)

    def _paint(self, picture: NDArray[np.float32], depth: DepthImage, band: slice) -> None:
        """Paint some rows of the depth image into a flat picture [H * W] that keeps the nearest."""
        width, height = self.camera.width, self.camera.height
        depth = depth[band]
        x, y, ahead = self._rays[:, band] * depth
        z = ahead + self._shift[2]
        inverse = 1 / z
        u, v = self._lens((x + self._shift[0]) * inverse, (y + self._shift[1]) * inverse)
        # what is nearer to the colour camera than to the depth camera grows
        half = self._half[:, band] * (ahead * inverse) + _OVERLAP
        left, top = np.ceil(u - half[0]), np.ceil(v - half[1])
        right, bottom = np.floor(u + half[0]), np.floor(v + half[1])
        # false for NaN; patches between the centres of pixels cover none
        seen = (depth > 0) & (z > 0) & (right >= left) & (bottom >= top)
        seen &= (right >= 0) & (left < width) & (bottom >= 0) & (top < height)
        places = np.flatnonzero(seen)
        if not len(places):
            return
        z = z.take(places)
        first, last = (
            np.clip(edge.take(places), 0, size - 1).astype(np.int32)
            for edge, size in ((left, width), (right, width))
        )
        upper, lower = (
            np.clip(edge.take(places), 0, size - 1).astype(np.int32)
            for edge, size in ((top, height), (bottom, height))
        )
        corner = upper.astype(np.int64) * width + first
        across, down = last - first, lower - upper
        for row in range(min(int(down.max()), _MOST_PIXELS) + 1):
            for column in range(min(int(across.max()), _MOST_PIXELS) + 1):
                if row or column:
                    covered = np.flatnonzero((across >= column) & (down >= row))
                    pixels = corner.take(covered) + (row * width + column)
                    np.minimum.at(picture, pixels, z.take(covered))
                else:
                    np.minimum.at(picture, corner, z)


def _difference(places: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """How far apart neighbours along an axis are; the last has none and takes that before it."""
    steps = np.diff(places, axis=axis)
    if not steps.shape[axis]:
        return np.ones_like(places)
    last = np.take(steps, [-1], axis=axis)
    return np.concatenate([steps, last], axis=axis)


def _lens(
    camera: CameraModel,
) -> Callable[
    [NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]:
    """Return the map from ideal normalised coordinates to pixels, NaN outside the field of view.

    OpenCV's own takes several times as long as all the rest.
    """
    fx, fy, cx, cy = (np.float32(value) for value in (camera.fx, camera.fy, camera.cx, camera.cy))
    if not camera.distortion_model:
        return lambda x, y: (x * fx + cx, y * fy + cy)
    # far outside a polynomial turns back into the picture
    rays = camera.rays()
    low, high = np.nanmin(rays, axis=(0, 1)), np.nanmax(rays, axis=(0, 1))
    low, high = low - _BEYOND * (high - low), high + _BEYOND * (high - low)
    distort = _equidistant if camera.distortion_model == 'equidistant' else _brown
    coefficients = np.zeros(14, np.float32)
    coefficients[: len(camera.distortion)] = camera.distortion

    def project(
        x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outside = ~((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
        x, y = distort(x, y, coefficients)
        u, v = x * fx + cx, y * fy + cy
        u[outside] = np.nan
        return u, v

    def project_tilted(
        x: NDArray[np.float32], y: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outside = ~((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))
        points = np.stack([x, y, np.ones_like(x)], axis=-1)
        points[outside] = 0, 0, 1
        u, v = np.moveaxis(camera.project(points).astype(np.float32), -1, 0)
        u[outside] = np.nan
        return u, v

    return project_tilted if coefficients[12:].any() else project


def _brown(
    x: NDArray[np.float32], y: NDArray[np.float32], d: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distort by the rational and thin prism model, of which plumb_bob is a part."""
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = d[:12]
    xx, yy, xy = x * x, y * y, x * y
    r = xx + yy
    scale = 1 + r * (k1 + r * (k2 + r * k3))
    if k4 or k5 or k6:
        scale /= 1 + r * (k4 + r * (k5 + r * k6))
    return (
        x * scale + 2 * p1 * xy + p2 * (r + 2 * xx) + r * (s1 + s2 * r),
        y * scale + p1 * (r + 2 * yy) + 2 * p2 * xy + r * (s3 + s4 * r),
    )


def _equidistant(
    x: NDArray[np.float32], y: NDArray[np.float32], d: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distort by the fisheye model (Kannala and Brandt 2006)."""
    k1, k2, k3, k4 = d[:4]
    radius = np.sqrt(x * x + y * y)
    angle = np.arctan(radius)
    t = angle * angle
    bent = angle * (1 + t * (k1 + t * (k2 + t * (k3 + t * k4))))
    scale = np.where(radius > 0, bent / radius, np.float32(1))
    return x * scale, y * scale
