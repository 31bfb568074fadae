# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gravity-aligned boxes around visible surfaces, completed where the camera cannot see."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.camera import CameraModel

Array = NDArray[np.float64]
Points = NDArray[np.float32]

# extents leave out this share of the points on either side: outliers, not the object
_TRIM = 0.003
# more of them at the top: depth noise lifts a flat top's highest points, outlines do not widen
_TRIM_HEIGHT = 0.015
# metres: planners refuse boxes without a volume, and no depth camera sees less
_THINNEST = 1e-3
# a rectangle must save this share of area before its direction means anything
_MIN_SAVING = 0.04
_HULL_POINTS = 500
_HIDDEN_STEPS = np.linspace(0.0, 1.0, 11)
_MIRRORED_POINTS = 150
# pixels by which smoothing rounds the edges of the visible surface
_ROUNDED = 3.0
# share of mirrored points that may contradict the picture (noise at the outline)
_MAX_CONTRADICTION = 0.01


@dataclass(frozen=True)
class LevelBox:
    """A box with vertical z in a level frame (z up, origin at the camera).

    Attributes:
        centre: [3] metres.
        axis: [2] unit vector of the box's x in the horizontal plane; x is the longer side.
        size: [3] metres along the box's own x, y, z.
        guessed: [3] metres of size that were inferred, not seen.
    """

    centre: Array
    axis: Array
    size: Array
    guessed: Array


@dataclass(frozen=True)
class SightCheck:
    """What the picture says about a guess: would it have been seen?

    Attributes:
        mask: uint8 [H, W], the object's mask.
        depth: [H, W] metres, NaN unknown.
        camera: intrinsics of that picture.
        rotation: [3, 3] optical frame -> level frame.
        tolerance: metres by which depth may differ.
    """

    mask: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera: CameraModel
    rotation: Array
    tolerance: float

    def contradicted(self, points: Points) -> NDArray[np.bool_]:
        """Tell which points [..., 3] of the level frame the camera would have seen, but did not.

        A point is possible when it is out of the picture, behind the object's own mask, or
        behind something nearer.
        """
        optical = points @ self.rotation.astype(np.float32)
        height, width = self.mask.shape
        with np.errstate(invalid='ignore'):
            pixels = np.nan_to_num(np.rint(self.camera.project(optical)), nan=-1.0)
        u = np.clip(pixels[..., 0], -1, width).astype(np.intp)
        v = np.clip(pixels[..., 1], -1, height).astype(np.intp)
        outside = (u < 0) | (v < 0) | (u >= width) | (v >= height)
        u[outside] = v[outside] = 0
        with np.errstate(invalid='ignore'):
            hidden = self.depth[v, u] < optical[..., 2] - self.tolerance
        return ~(outside | (self.mask[v, u] > 0) | hidden)


def fit_box(
    points: Points, support: float | None, spacing: float, check: SightCheck | None
) -> LevelBox:
    """Fit a box to the visible points [N, 3] of a level frame.

    The box goes down to ``support`` (height, metres) when that is known. Horizontally it is the
    minimum-area rectangle of the visible points, completed by symmetry: the visible surface is
    mirrored in the vertical planes parallel to the box's sides, as far away from the camera as
    the picture allows (``check``), but never deeper than wide. ``spacing`` is the distance
    between neighbouring points: each stands for a patch of that size.
    """
    low, top = _extent(points[:, 2], _TRIM_HEIGHT)
    bottom = low if support is None else min(support, top - 1e-3)
    flat = points[:, :2]
    axis = _direction(flat)
    across = np.array([-axis[1], axis[0]])
    along = flat @ np.stack([axis, across], axis=1).astype(np.float32)
    low2, high2 = np.transpose([_extent(along[:, 0], _TRIM), _extent(along[:, 1], _TRIM)])
    low2 -= spacing / 2
    high2 += spacing / 2
    seen = high2 - low2
    guessed = np.array([0.0, 0.0, max(low - bottom, 0.0)])
    if check is not None:
        axes = np.stack([axis, across])
        low2, high2 = _complete(points, along, axes, low2, high2, spacing, check)
        guessed[:2] = (high2 - low2) - seen
    sides = high2 - low2
    middle = (low2 + high2) / 2
    centre = np.append(middle[0] * axis + middle[1] * across, (bottom + top) / 2)
    if sides[1] > sides[0]:
        axis, sides, guessed[:2] = across, sides[::-1], guessed[1::-1].copy()
    size = np.maximum(np.append(sides, top - bottom), _THINNEST)
    return LevelBox(centre, axis, size, guessed)


def _extent(values: Points, trim: float) -> Array:
    """Lowest and highest value, but for the share ``trim`` on either side."""
    last = len(values) - 1
    trimmed = int(trim * last)
    return np.partition(values, (trimmed, last - trimmed))[[trimmed, last - trimmed]].astype(float)


def _direction(flat: Points) -> Array:
    """Direction [2] of the minimum-area rectangle; the frame's x where no direction stands out."""
    hull = cv2.convexHull(np.ascontiguousarray(flat[:: 1 + len(flat) // _HULL_POINTS]))
    _, sides, degrees = cv2.minAreaRect(hull)
    upright = np.ptp(hull[:, 0], axis=0)
    if sides[0] * sides[1] > (1 - _MIN_SAVING) * upright[0] * upright[1]:
        return np.array([1.0, 0.0])
    angle = np.deg2rad(degrees)
    return np.array([np.cos(angle), np.sin(angle)])


def _complete(
    points: Points,
    along: Points,
    axes: Array,
    low: Array,
    high: Array,
    spacing: float,
    check: SightCheck,
) -> tuple[Array, Array]:
    """Extend the rectangle away from the camera by what a mirrored surface could hide there."""
    low, high = low.copy(), high.copy()
    step = max(1, len(points) // _MIRRORED_POINTS)
    thin, thin_along = points[::step], along[::step]
    # the camera is the origin of the level frame
    middle = (low + high) / 2
    order = np.argsort(-np.abs(middle))
    for k in order:
        away = 1.0 if middle[k] > 0 else -1.0
        near, far = (low[k], high[k]) if away > 0 else (high[k], low[k])
        side = abs(far - near)
        most = max(high[1 - k] - low[1 - k] - side, 0.0)
        if most < 0.03 * side:
            continue
        ends = far + away * most * _HIDDEN_STEPS
        shift = (near + ends)[:, None] - 2 * thin_along[None, :, k]
        mirrored = np.repeat(thin[None], len(ends), axis=0)
        mirrored[..., :2] += (shift[..., None] * axes[k]).astype(np.float32)
        share = np.count_nonzero(check.contradicted(mirrored), axis=1) / len(thin)
        # the visible surface itself touches the outline here and there
        limit = share[0] + _MAX_CONTRADICTION
        beyond = np.flatnonzero(share > limit)
        if len(beyond):
            first = beyond[0]
            part = (limit - share[first - 1]) / (share[first] - share[first - 1])
            reach = most * (first - 1 + part) / (len(ends) - 1)
            # edges that smoothing rounded fit into the outline a little further than sharp ones
            end = far + away * max(reach - _ROUNDED * spacing, 0.0)
        else:
            end = ends[-1]
        if away > 0:
            high[k] = end
        else:
            low[k] = end
    return low, high
