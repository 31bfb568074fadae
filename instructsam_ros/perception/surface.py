# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The visible surface of one mask: clean points, without flying pixels and without leaks."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.noise import DepthNoise

# larger masks are read on a coarser grid of at most about twice this, which bounds time
_MAX_PIXELS = 2_000
_MAX_RING = 1_000
# steepest surface, in pixels of depth change per pixel, that is not a jump (tan 75 degrees x 2)
_STEEP = 7.5
# a pixel between two surfaces, off the nearer by this share of a jump, belongs to neither
_FLYING = 0.3
# pieces of a mask smaller than this share of its largest piece are noise
_MIN_PIECE = 0.02


@dataclass(frozen=True)
class Surface:
    """What the camera sees of an object, in the optical frame.

    Attributes:
        points: float32 [N, 3] metres, one per grid pixel of the mask; pixels without usable depth
            near good ones take their neighbours' depth, so that points cover the silhouette.
        surroundings: float32 [M, 3], points of a ring of background around the mask.
        visible_points: full-resolution pixels with usable measured depth.
        valid_ratio: share of the mask's pixels with valid depth.
        occluded: something nearer adjoins a good part of the outline.
        spacing: metres between neighbouring points at the object's distance.
    """

    points: NDArray[np.float32]
    surroundings: NDArray[np.float32]
    visible_points: int
    valid_ratio: float
    occluded: bool
    spacing: float


def extract_surface(
    mask: NDArray[np.uint8],
    bounds: tuple[int, int, int, int],
    depth: NDArray[np.float32],
    rays: NDArray[np.float32],
    focal: float,
    noise: DepthNoise,
) -> Surface | None:
    """Return the visible surface of a mask, or None where it is empty or has no usable depth.

    ``mask`` uint8 [H, W] (0 or 1) with bounding rectangle ``bounds`` (x, y, width, height);
    ``depth`` [H, W] metres, NaN where invalid or without a ray; ``rays`` [H, W, 2]
    (CameraModel.rays); ``focal`` in pixels.

    Eroded by a pixel and cut at depth jumps, split into connected pieces, pieces that lie
    together in 3D joined, the largest kept; then grown back to the silhouette.
    """
    x, y, width, height = bounds
    if not width:
        return None
    stride = max(1, int(np.ceil(np.sqrt(width * height / (2 * _MAX_PIXELS)))))
    margin = stride * (6 + int(0.15 * max(width, height) / stride))
    rows = slice(max(y - margin, 0), min(y + height + margin, mask.shape[0]), stride)
    columns = slice(max(x - margin, 0), min(x + width + margin, mask.shape[1]), stride)
    inside = np.ascontiguousarray(mask[rows, columns])
    z = np.ascontiguousarray(depth[rows, columns])
    ray = np.ascontiguousarray(rays[rows, columns])
    valid = np.equal(z, z).view(np.uint8)  # false for NaN, and faster than isfinite
    total = cv2.countNonZero(inside)
    inside_valid = inside & valid
    seen = cv2.countNonZero(inside_valid)
    if not seen:
        return None
    typical = _median(z[inside_valid.view(bool)])
    focal = focal / stride
    jump = noise.jump(typical) + _STEEP * typical / focal
    smooth = valid & ~_jumps(z, valid, jump)
    kept = _main_piece(_eroded(inside, _SQUARE) & smooth, z, ray, jump)
    if kept is None:
        # too small or too ragged to be choosy
        kept = _main_piece(inside_valid, z, ray, jump)
        if kept is None:
            return None
    # the outline's own depth counts too where no jump is near, as at the contact with a table
    kept = kept | (_dilated(kept, _SQUARE) & inside & smooth)
    surface_z, covered = _grow(kept, inside, z, valid, jump)
    picked = covered.view(bool)
    near = surface_z[picked]
    ring = np.flatnonzero(_ring(inside, smooth))
    ring = ring[:: 1 + len(ring) // _MAX_RING]
    return Surface(
        points=_points(near, ray[picked]),
        surroundings=_points(z.ravel()[ring], ray.reshape(-1, 2)[ring]),
        visible_points=cv2.countNonZero(kept) * stride**2,
        valid_ratio=seen / total,
        occluded=_occluded(covered, inside, surface_z, z, valid, jump),
        spacing=_median(near) / focal,
    )


_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)
_NEIGHBOURHOOD = np.ones((5, 5), np.uint8)
_RADIUS = 3
_MIN_IN_WINDOW = 7.5
_STIFFNESS = 1.0
_WINDOW = np.ones((2 * _RADIUS + 1, 2 * _RADIUS + 1), np.uint8)
_OFFSETS = np.arange(-_RADIUS, _RADIUS + 1, dtype=np.float32)
_ONES = np.ones_like(_OFFSETS)
# separable kernels along x and y for the moments 1, x, y, xx, xy, yy
_MOMENTS = (
    (_ONES, _ONES),
    (_OFFSETS, _ONES),
    (_ONES, _OFFSETS),
    (_OFFSETS**2, _ONES),
    (_OFFSETS, _OFFSETS),
    (_ONES, _OFFSETS**2),
)


def _points(z: NDArray[np.float32], ray: NDArray[np.float32]) -> NDArray[np.float32]:
    points = np.empty((len(z), 3), np.float32)
    np.multiply(ray, z[:, None], out=points[:, :2])
    points[:, 2] = z
    return points


def _window(
    image: NDArray[np.float32], kernel: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Correlate with a separable kernel, nothing beyond the crop."""
    return np.asarray(
        cv2.sepFilter2D(image, cv2.CV_32F, *kernel, borderType=cv2.BORDER_CONSTANT), np.float32
    )


def _eroded(mask: NDArray[np.uint8], kernel: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.erode(mask, kernel), np.uint8)


def _dilated(mask: NDArray[np.uint8], kernel: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)


def _median(values: NDArray[np.float32]) -> float:
    """Median of up to 500 of the values; numpy's own spends longer on its arguments than on it."""
    few = np.sort(values[:: 1 + len(values) // 500])
    return float(few[len(few) // 2])


def _jumps(z: NDArray[np.float32], valid: NDArray[np.uint8], jump: float) -> NDArray[np.uint8]:
    """Mark flying pixels and the far side of depth jumps, by their 3x3 neighbourhood.

    The near side stays: it is the true outline, and thin things like handles have no inside.
    """
    known = valid.view(bool)
    # invalid pixels must neither raise the maximum nor lower the minimum
    behind = cv2.dilate(np.where(known, z, np.float32(-1e3)), _SQUARE) - z
    ahead = z - cv2.erode(np.where(known, z, np.float32(1e3)), _SQUARE)
    with np.errstate(invalid='ignore'):
        between = (behind > jump) & (ahead > _FLYING * jump)
        return ((ahead > jump) | between).view(np.uint8)


def _main_piece(
    candidate: NDArray[np.uint8], z: NDArray[np.float32], ray: NDArray[np.float32], jump: float
) -> NDArray[np.uint8] | None:
    """Return the largest 3D cluster of the candidate pixels; None when hardly any are there."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(candidate, connectivity=8)
    if count < 2:
        return None
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    largest = int(areas.argmax())
    if areas[largest] < 4:
        return None
    pieces = [
        int(piece)
        for piece in np.argsort(-areas)[:8]
        if areas[piece] > max(3, _MIN_PIECE * areas[largest])
    ]
    if len(pieces) == 1:
        return np.equal(labels, largest).view(np.uint8)
    clouds = [_thin(_points(z[at], ray[at])) for at in (labels == piece for piece in pieces)]
    group = _linked_groups(clouds, jump)
    weight = np.bincount(group, weights=areas[pieces])
    chosen = [piece for piece, g in zip(pieces, group, strict=True) if g == weight.argmax()]
    return np.isin(labels, chosen).view(np.uint8)


def _thin(points: NDArray[np.float32], most: int = 100) -> NDArray[np.float32]:
    return points[:: max(1, len(points) // most)]


def _linked_groups(clouds: list[NDArray[np.float32]], jump: float) -> NDArray[np.intp]:
    """Group pieces whose gap is small against their own extent (an occluder cuts objects)."""
    extents = [float(np.linalg.norm(np.ptp(cloud, axis=0))) for cloud in clouds]
    group = np.arange(len(clouds))
    for i, first in enumerate(clouds):
        for j in range(i):
            difference = first[:, None] - clouds[j][None]
            gap = float(np.sqrt((difference**2).sum(axis=2).min()))
            reach = min(max(0.5 * max(extents[i], extents[j]), jump), 0.12)
            if gap < reach:
                group[group == group[i]] = group[j]
    return group


def _grow(
    kept: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    z: NDArray[np.float32],
    valid: NDArray[np.uint8],
    jump: float,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Smooth the kept depth and carry it out to the mask's outline and over its holes.

    Returns depth float32 and the covered pixels; pixels of the mask whose own depth disagrees
    with their kept neighbours (another surface under a leaking mask) stay uncovered.
    """
    # only around the mask, not over all its surroundings
    x, y, width, height = cv2.boundingRect(inside)
    around = (slice(y, y + height), slice(x, x + width))
    smoothed = np.zeros_like(z)
    known = np.zeros(z.shape, np.bool_)
    smoothed[around], known[around] = _local_planes(kept[around], z[around])
    if not known.any():
        # too few pixels for any window
        return z, kept
    missing = inside & ~known
    if missing.any():
        # larger holes take the nearest known depth, up to a tenth of the object's width
        distance, nearest = cv2.distanceTransformWithLabels(
            (~known).view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
        )
        table = np.zeros(int(nearest.max()) + 1, np.float32)
        table[nearest[known]] = smoothed[known]
        smoothed = np.where(known, smoothed, table[nearest])
        known = distance < 2 + 0.1 * np.sqrt(cv2.countNonZero(inside))
    with np.errstate(invalid='ignore'):
        disagrees = (valid.view(bool) & (np.abs(z - smoothed) > 0.5 * jump)) & ~kept.view(bool)
    return smoothed, inside & (known & ~disagrees).view(np.uint8)


def _local_planes(
    kept: NDArray[np.uint8], z: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Local linear regression of 1/z, which is linear in the pixel on a plane.

    A mean would be off centre along the outline and push sloped surfaces out of place there.
    Returns depth and where it is known: windows with enough kept pixels, also beside them.
    """
    weight = kept.astype(np.float32)
    with np.errstate(divide='ignore', invalid='ignore'):
        inverse = np.where(kept, 1 / z, np.float32(0))
    # moments within the window, about its centre: correlation with 1, x, y, xx, xy, yy
    n, x, y, xx, xy, yy = (_window(weight, kernel) for kernel in _MOMENTS)
    w, wx, wy = (_window(inverse, kernel) for kernel in _MOMENTS[:3])
    count = np.maximum(n, 1)
    mx, my, mean = x / count, y / count, w / count
    # a little stiffness keeps the slope at bay where the window is nearly a line
    sxx, syy = xx - x * mx + _STIFFNESS, yy - y * my + _STIFFNESS
    sxy, sx, sy = xy - x * my, wx - mean * x, wy - mean * y
    determinant = sxx * syy - sxy * sxy
    slope_x = (syy * sx - sxy * sy) / determinant
    slope_y = (sxx * sy - sxy * sx) / determinant
    fitted = mean - slope_x * mx - slope_y * my
    # extrapolation beside a crease can run away: stay near what the window holds
    highest = cv2.dilate(inverse, _WINDOW)
    lowest = cv2.erode(np.where(kept, inverse, np.float32(1e3)), _WINDOW)
    slack = 0.25 * (highest - lowest)
    fitted = np.clip(fitted, lowest - slack, highest + slack)
    known = (n > _MIN_IN_WINDOW) & (fitted > 0.5 * mean)
    return (1 / np.where(known, fitted, 1)).astype(np.float32), known


def _ring(inside: NDArray[np.uint8], smooth: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Clean background pixels of the crop, off the mask by at least two pixels."""
    near = _dilated(inside, _NEIGHBOURHOOD)
    return (smooth & (1 - near)).view(bool)


def _occluded(
    covered: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    surface_z: NDArray[np.float32],
    z: NDArray[np.float32],
    valid: NDArray[np.uint8],
    jump: float,
) -> bool:
    """Whether a nearer surface borders on at least a tenth of the outline."""
    outside = valid & (1 - inside)
    nearest = cv2.erode(np.where(outside.view(bool), z, np.float32(1e3)), _WINDOW)
    outline = covered & ~_eroded(covered, _CROSS)
    nearer = outline & np.less(nearest, surface_z - jump).view(np.uint8)
    return cv2.countNonZero(nearer) > 0.1 * cv2.countNonZero(outline)
