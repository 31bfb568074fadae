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

    def cut_ends(self, axis: Array) -> NDArray[np.bool_]:
        """Return [3, 2], whether something hides the low and high end along x, y, z of a box.

        ``axis`` [2] is the box's x in the level frame.
        """
        if not self._cut.any():
            return np.zeros((3, 2), np.bool_)
        x, y = axis.astype(np.float32)
        turn = np.array([[x, y, 0], [-y, x, 0], [0, 0, 1]], np.float32)
        ends = []
        for outline, points in zip(turn @ self._outline, turn @ self.points, strict=True):
            low, high = points.min(), points.max()
            ends.append([
                self._is_cut(outline, low, high), self._is_cut(-outline, -high, -low)
            ])
        return np.array(ends)

    def _is_cut(self, outline: Points, low: float, high: float) -> bool:
        at_end = self._cut[outline < low + _END * (high - low)]
        return len(at_end) >= _FEWEST_AT_END and bool(
            np.count_nonzero(at_end) > _CUT * len(at_end)
        )
