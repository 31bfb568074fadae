# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The outline of an object seen from above: which way it points, and whether it is round.

An outline is judged by its support function h(a): how far the points reach in direction a. That of
a circle is c . u(a) + r, linear in centre and radius; two of them, a half turn apart, make a width.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Points = NDArray[np.float32]

# directions in which outlines are compared with circles, every 5 degrees
_DIRECTIONS = 72
_ANGLES = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
_CIRCLE = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES), np.ones(_DIRECTIONS)])
# unit vectors [72, 2] of the directions
DIRECTIONS = _CIRCLE[:, :2]
# circles are fitted to arcs of 155 degrees, which leave out a handle or a hidden back
_ARC = 31
_ARC_STEP = 3
_IN_ARC = np.stack([
    np.roll(np.arange(_DIRECTIONS) < _ARC, start) for start in range(0, _DIRECTIONS, _ARC_STEP)
]).astype(np.float64)
# support function -> centre and radius of each arc's circle, one below the other
_SOLVE = np.concatenate([np.linalg.pinv(_CIRCLE * arc[:, None]) * arc for arc in _IN_ARC])
# share of the radius by which a round outline may differ from its circle (root mean square, and
# anywhere); a square's arcs differ by 0.06
_ROUND = 0.04
_MATCH = 0.06
# a handle sticks out by more than this share of the radius, and over no more than this angle
_HANDLE = 0.2
_HANDLE_DIRECTIONS = 30
# half a circle is half as deep as it is wide; with a handle, somewhat less
_SLENDER = 0.35
# depth that is missing makes dents of up to this share of the radius
_MAX_DENT = 0.25
# boxes fill more of their smallest rectangle, also with rounded corners (a disc: 0.785)
_RECTANGLE = 0.85
# variances along the principal axes differ by this share before their direction means anything
_OBLONG = 0.1
_HULL_POINTS = 2000
# directions with a smaller cosine to the camera's are the back
_BACK = 0.2


@dataclass(frozen=True)
class RoundBody:
    """A round outline, possibly with a handle.

    Attributes:
        centre: [2] metres.
        radius: metres.
        handle: [2] from the centre to the handle's end, metres; None without one.
        is_whole: the outline is seen all around, not only from the front.
    """

    centre: Array
    radius: float
    handle: Array | None = None
    is_whole: bool = True


class Footprint:
    """The outline of points of the horizontal plane, metres, with the camera at the origin."""

    def __init__(self, flat: Points) -> None:
        """Take the outline of points [2, N]."""
        few = flat[:, :: 1 + flat.shape[1] // _HULL_POINTS]
        self._hull = cv2.convexHull(np.ascontiguousarray(few.T))
        self._rectangle = cv2.minAreaRect(self._hull)
        corners = self._hull[:, 0].astype(np.float64)
        self._middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        self._corners = corners - self._middle

    @property
    def fill(self) -> float:
        """Share of its smallest rectangle that the outline fills, 0..1; 0.5 is a triangle."""
        _, sides, _ = self._rectangle
        area = float(sides[0]) * float(sides[1])
        return min(cv2.contourArea(self._hull) / area, 1.0) if area > 0 else 1.0

    def round_body(self, rim: Array) -> RoundBody | None:
        """Return the circle that the outline is, None if it is not round.

        Any arc of 155 degrees tells, since the back is often hidden and a handle may be in the
        way; but only the back may fall short of the circle. ``rim`` [72] is by how much the
        object reaches farther than its points in each of the ``DIRECTIONS``, metres.
        """
        _, sides, _ = self._rectangle
        if min(sides) < _SLENDER * max(sides):
            return None
        reach = (self._corners @ _CIRCLE[:, :2].T).max(axis=0) + rim
        facing = np.cos(_ANGLES - np.arctan2(-self._middle[1], -self._middle[0]))
        circle = _best_circle(reach, facing)
        if circle is None:
            return None
        radius = float(circle[2])
        beyond = reach - _CIRCLE @ circle
        if (beyond[facing > _BACK] < -_MAX_DENT * radius).any():
            return None
        centre = circle[:2] + self._middle
        is_whole = bool(beyond.min() > -_MAX_DENT * radius)
        sticking = np.where(beyond > _MATCH * radius, beyond, 0.0)
        if sticking.max() < _HANDLE * radius:
            return RoundBody(centre, radius, None, is_whole)
        towards = sticking @ _CIRCLE[:, :2]
        length = float(np.linalg.norm(towards))
        # what sticks out to all sides is no handle
        if np.count_nonzero(sticking) > _HANDLE_DIRECTIONS or length < 0.8 * sticking.sum():
            return None
        handle = towards / length
        end = float(((self._corners - circle[:2]) @ handle).max())
        return RoundBody(centre, radius, handle * end, is_whole)

    def direction(self) -> Array | None:
        """Return the direction [2] of the smallest rectangle, None where none stands out.

        The rectangle lies along an edge of the hull, which is right for boxes only: it is off by
        half the apex for what tapers, by 30 degrees for a cup with a handle. What fills less of
        its rectangle than boxes do takes its principal axis.
        """
        _, _, degrees = self._rectangle
        angle = np.deg2rad(degrees)
        moments = cv2.moments(self._hull)
        if self.fill < _RECTANGLE:
            oblong, slanted = moments['mu20'] - moments['mu02'], 2 * moments['mu11']
            if np.hypot(oblong, slanted) < _OBLONG * (moments['mu20'] + moments['mu02']):
                return None
            angle = np.arctan2(slanted, oblong) / 2
        return np.array([np.cos(angle), np.sin(angle)])


def _best_circle(reach: Array, facing: Array) -> Array | None:
    """Return centre x, y and radius of the circle that most of the outline lies on, or None.

    ``reach`` [n] is the support function, ``facing`` [n] the cosine of each direction's angle to
    the camera: what faces it counts twice.
    """
    circles = (_SOLVE @ reach).reshape(-1, 3)
    radii = circles[:, 2]
    residuals = reach - circles @ _CIRCLE.T
    error = np.sqrt((residuals**2 * _IN_ARC).sum(axis=1) / _ARC)
    good = (radii > 0) & (error < _ROUND * radii)
    if not good.any():
        return None
    agreeing = np.abs(residuals) < _MATCH * radii[:, None]
    votes = agreeing @ (1.5 + 0.5 * facing)
    best = agreeing[np.where(good, votes, -1.0).argmax()]
    matrix = _CIRCLE[best]
    refined = np.linalg.solve(matrix.T @ matrix, matrix.T @ reach[best])
    return refined if refined[2] > 0 else None
