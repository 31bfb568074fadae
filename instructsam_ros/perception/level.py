# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A visible surface in a level frame: z up, origin at the camera, and where it stands."""

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.support import hangs_free, support_height
from instructsam_ros.perception.surface import Surface

Array = NDArray[np.float64]
Points = NDArray[np.float32]

# what lies so near to an end of the surface, as a share of its extent, is at that end
_END = 0.15
# an end of which more than this share is cut is not the object's own end
_CUT = 0.3
_FEWEST_AT_END = 3
# an end faces the camera when the line of sight has at least this cosine to it
_FACING = 0.15
_THINNEST = 1e-3  # metres


class LevelView:
    """An object's surface and surroundings in a level frame.

    Attributes:
        points: float32 [3, N] metres, of the visible surface.
        ordered: float32 [3, N], each coordinate of the points in ascending order.
        spacing: metres between neighbouring points.
    """

    def __init__(self, surface: Surface, rotation: Array) -> None:
        """``rotation`` [3, 3] optical frame -> level frame."""
        turn = rotation.astype(np.float32)
        # one row per coordinate: numpy works along rows ten times as fast
        self.points: Points = turn @ surface.points.T
        self.ordered: Points = np.sort(self.points, axis=1)
        self.spacing = surface.spacing
        self._ring_heights = surface.surroundings @ turn[2]
        self._outline: Points = turn @ surface.outline.T
        self._cut = surface.cut
        self._is_occluded = surface.occluded

    @property
    def middle(self) -> Array:
        """Middle [3] of the visible surface's extents, metres."""
        ends: Array = self.ordered[:, [0, -1]].astype(np.float64)
        return ends.sum(axis=1) / 2

    def support(self, sigma: float) -> float | None:
        """Return the height of what the object stands on, None where it stands on nothing in sight.

        ``sigma`` is the depth noise in metres.
        """
        height = support_height(self.ordered[2], self._ring_heights, sigma)
        if height is None:
            return None
        # a bottom that something hides tells nothing about hanging
        low, high = self.ordered[2, [0, -1]]
        if self._is_occluded or self._is_cut(self._outline[2], low, high):
            return height
        return None if hangs_free(self.ordered, height, self.spacing) else height

    def cut_ends(self, axis: Array) -> Array:
        """Return [3, 2]: how much of the low and high end along x, y, z of a box is cut off, 0..1.

        That is the share of the outline there that is not the object's own. An end that faces the
        camera, and is seen over the whole height nevertheless, is where it is seen to be. ``axis``
        [2] is the box's x in the level frame.
        """
        cut = np.zeros((3, 2))
        if not self._cut.any():
            return cut
        x, y = axis.astype(np.float32)
        turn = np.array([[x, y, 0], [-y, x, 0], [0, 0, 1]], np.float32)
        outlines, points = turn @ self._outline, turn @ self.points
        low, high = points.min(axis=1), points.max(axis=1)
        middle = (low + high) / max(float(np.linalg.norm(low + high)), _THINNEST)
        for k in range(3):
            zone = _END * (high[k] - low[k])
            near = outlines[k] < low[k] + zone, outlines[k] > high[k] - zone
            for side in range(2):
                at_end = self._cut[near[side]]
                if len(at_end) < _FEWEST_AT_END or not at_end.any():
                    continue
                cut[k, side] = np.count_nonzero(at_end) / len(at_end)
                if k < 2 and (1 - 2 * side) * middle[k] > _FACING:
                    end = 2 * self.spacing
                    last = points[k] < low[k] + end if side == 0 else points[k] > high[k] - end
                    heights = points[2, last]
                    seen = (heights.max() - heights.min()) / max(high[2] - low[2], _THINNEST)
                    cut[k, side] *= 1 - min(float(seen), 1.0)
        return cut

    def _is_cut(self, outline: Points, low: float, high: float) -> bool:
        at_end = self._cut[outline < low + _END * (high - low)]
        return len(at_end) >= _FEWEST_AT_END and bool(
            np.count_nonzero(at_end) > _CUT * len(at_end)
        )
