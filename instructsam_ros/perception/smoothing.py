# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Smooth depth under a mask, also beside its edge: local linear regression of 1/z."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

_RADIUS = 3
_MIN_IN_WINDOW = 7.5
_STIFFNESS = np.float32(1.0)
# share of the depth by which a surface may differ from its mean within the window
_REACH = np.float32(0.03)
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


def local_planes(
    pieces: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]],
) -> list[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Fit planes to the pixels around each pixel: 1/z is linear in the pixel on a plane.

    A mean would be off centre along the outline and push sloped surfaces out of place there.
    For each piece, kept pixels (0 or 1) and depth [H, W], returns depth and where it is known:
    windows with enough kept pixels, also beside them. All at once, since for small pictures the
    calls take longer than the work.
    """
    if not pieces:
        return []
    # one below the other, with a gap that no window reaches across
    starts = np.cumsum([0, *(len(kept) + _RADIUS for kept, _ in pieces)]).tolist()
    shape = starts[-1], max(kept.shape[1] for kept, _ in pieces)
    all_kept, inverse = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    places = [
        (slice(start, start + kept.shape[0]), slice(0, kept.shape[1]))
        for start, (kept, _) in zip(starts, pieces, strict=False)
    ]
    for place, (kept, z) in zip(places, pieces, strict=True):
        all_kept[place] = kept
        np.divide(np.float32(1), z, out=inverse[place], where=kept.view(np.bool_))
    smoothed, known = _fitted(all_kept, inverse)
    return [(smoothed[place], known[place]) for place in places]


def _fitted(
    kept: NDArray[np.uint8], inverse: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    # moments within the window, about its centre: correlation with 1, x, y, xx, xy, yy
    n, x, y, xx, xy, yy = (_window(kept, kernel) for kernel in _MOMENTS)
    w, wx, wy = (_window(inverse, kernel) for kernel in _MOMENTS[:3])
    share = 1 / np.maximum(n, 1)
    mx, my, mean = x * share, y * share, w * share
    # a little stiffness keeps the slope at bay where the window is nearly a line
    sxx, syy = xx - x * mx + _STIFFNESS, yy - y * my + _STIFFNESS
    sxy, sx, sy = xy - x * my, wx - mean * x, wy - mean * y
    slope = ((syy * sx - sxy * sy) * mx + (sxx * sy - sxy * sx) * my) / (sxx * syy - sxy * sxy)
    # extrapolation beside a crease can run away
    fitted = mean - np.minimum(np.maximum(slope, -_REACH * mean), _REACH * mean)
    known = n > _MIN_IN_WINDOW
    return np.asarray(1 / np.where(known, fitted, 1), np.float32), known


def _window(
    image: NDArray, kernel: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Correlate with a separable kernel, nothing beyond the grid."""
    return cv2.sepFilter2D(  # type: ignore[return-value]
        image, cv2.CV_32F, *kernel, borderType=cv2.BORDER_CONSTANT
    )
