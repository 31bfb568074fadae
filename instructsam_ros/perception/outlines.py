# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks cropped to their rectangles: where they are once the camera has moved, how they overlap."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.bounds import mask_bounds

Array = NDArray[np.float64]

# pixels by which a corner may move before the mask is drawn anew
_SAME_PLACE = 0.5


@dataclass(frozen=True, eq=False)
class Outline:
    """A mask without the empty picture around it.

    Attributes:
        mask: uint8 [h, w], 1 is the object.
        x, y: pixel of the mask's upper left corner in the picture.
        area: pixels of the object; 0 for an empty mask.
    """

    mask: NDArray[np.uint8]
    x: int
    y: int
    area: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom; the last two are outside."""
        height, width = self.mask.shape
        return self.x, self.y, self.x + width, self.y + height

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that it takes up."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)

    @property
    def centre(self) -> Array:
        """Middle of the rectangle [2], pixels."""
        left, top, right, bottom = self.corners
        return np.array([(left + right - 1) / 2, (top + bottom - 1) / 2])

    def moved(self, motion: Array, shape: tuple[int, int]) -> 'Outline':
        """Return where an affine ``motion`` [2, 3] of pixels takes it.

        What leaves the picture, of ``shape`` (H, W), is cut off.
        """
        left, top, right, bottom = self.corners
        (a, b, x), (c, d, y) = motion.tolist()
        # plain numbers: four corners are too few for arrays to pay
        corners = ((left, top), (right, top), (left, bottom), (right, bottom))
        placed = [(a * u + b * v + x, c * u + d * v + y) for u, v in corners]
        inside = bottom <= shape[0] and right <= shape[1]
        if inside and all(
            abs(p - u) < _SAME_PLACE and abs(q - v) < _SAME_PLACE
            for (p, q), (u, v) in zip(placed, corners, strict=True)
        ):
            return self
        low_x = max(math.floor(min(p for p, _ in placed)), 0)
        low_y = max(math.floor(min(q for _, q in placed)), 0)
        width = min(math.ceil(max(p for p, _ in placed)), shape[1]) - low_x
        height = min(math.ceil(max(q for _, q in placed)), shape[0]) - low_y
        if not self.area or width <= 0 or height <= 0:
            return Outline(np.zeros((0, 0), np.uint8), low_x, low_y, 0)
        shifted = np.array(
            [[a, b, a * left + b * top + x - low_x], [c, d, c * left + d * top + y - low_y]]
        )
        mask = np.asarray(
            cv2.warpAffine(self.mask, shifted, (width, height), flags=cv2.INTER_NEAREST), np.uint8
        )
        return Outline(mask, low_x, low_y, cv2.countNonZero(mask))

    def common(self, other: 'Outline') -> int:
        """Return how many pixels belong to both."""
        left, top, right, bottom = self.corners
        x0, y0, x1, y1 = other.corners
        low_x, high_x = max(left, x0), min(right, x1)
        low_y, high_y = max(top, y0), min(bottom, y1)
        if low_x >= high_x or low_y >= high_y:
            return 0
        mine = self.mask[low_y - top : high_y - top, low_x - left : high_x - left]
        its = other.mask[low_y - y0 : high_y - y0, low_x - x0 : high_x - x0]
        return cv2.countNonZero(cv2.bitwise_and(mine, its))

    def within(
        self, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)
    ) -> NDArray[np.bool_]:
        """Return the mask [H, W] of a rectangle of the picture, as large as ``shape``.

        ``corner`` is its left upper pixel, x and y; all of the outline must lie inside.
        """
        whole = np.zeros(shape, np.bool_)
        left, top, right, bottom = self.corners
        x, y = corner
        whole[top - y : bottom - y, left - x : right - x] = self.mask.view(np.bool_)
        return whole


def common_window(outlines: Iterable[Outline]) -> tuple[slice, slice]:
    """Return the rows and columns of the smallest rectangle around all; empty if there is none."""
    corners = [one.corners for one in outlines if one.area]
    if not corners:
        return slice(0, 0), slice(0, 0)
    left, top, right, bottom = zip(*corners, strict=True)
    return slice(min(top), max(bottom)), slice(min(left), max(right))


def outline_of(mask: NDArray[np.bool_]) -> Outline:
    """Return the outline of a mask, bool [H, W]."""
    mask = np.asarray(mask, np.bool_)
    x, y, width, height = mask_bounds(mask)
    crop = np.ascontiguousarray(mask[y : y + height, x : x + width]).view(np.uint8)
    return Outline(crop, x, y, cv2.countNonZero(crop) if crop.size else 0)
