# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far an object goes on behind what the camera sees of it."""

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.sight import SightCheck

Array = NDArray[np.float64]
Points = NDArray[np.float32]

# metres: planners refuse boxes without a volume, and no depth camera sees less
THINNEST = 1e-3
# pixels by which smoothing rounds the edges of the visible surface
ROUNDED = 3.0
_HIDDEN_STEPS = np.linspace(0.0, 1.0, 11)
_EDGE_POINTS = 3
# share of mirrored points that may contradict the picture (noise at the outline)
_MAX_CONTRADICTION = 0.01
# what does not even fit when mirrored in its own middle is not symmetric
_MAX_ASYMMETRY = 0.15


def complete(
    level: Points,
    thin: Points,
    axes: Array,
    low: Array,
    high: Array,
    spacing: float,
    check: SightCheck,
    heights: tuple[float, float],
) -> tuple[Array, Array]:
    """Extend a rectangle away from the camera by what can be hidden there.

    That is what a mirrored surface could hide, or what a far end that curves down hides of itself.
    ``level`` [3, N] are the visible points in a level frame with the camera at its origin,
    ``thin`` some of them; ``axes`` [2, 2] the unit vectors of the rectangle's sides, ``low`` and
    ``high`` [2] its ends along them, of which the extended ones are returned; ``heights`` those of
    the box's bottom and top, and ``spacing`` the distance of neighbouring points. All in metres.
    """
    low, high = low.copy(), high.copy()
    # the camera is the origin of the level frame
    middle = (low + high) / 2
    order = np.argsort(-np.abs(middle))
    for k in order:
        away = 1.0 if middle[k] > 0 else -1.0
        near, far = (low[k], high[k]) if away > 0 else (high[k], low[k])
        side = abs(far - near)
        axis = axes[k].astype(np.float32)
        base = axis @ thin[:2]
        edge = float(far_edge(level, away * (axis @ level[:2]), away * far, spacing)[2])
        # cotangent of the angle at which the far end is seen from above, along this axis
        slant = abs(middle[k]) / max(-edge, THINNEST)
        # nothing hidden reaches beyond its shadow on the support
        shadow = max(edge - heights[0], 0.0) * slant
        most = min(max(high[1 - k] - low[1 - k] - side, 0.0), shadow)
        hidden = _curved_part(edge, heights, side, slant, spacing)
        if most >= 0.03 * side:
            mirrored = _mirrored_part(thin, base, axis, near, far, away * most, check)
            # edges that smoothing rounded fit into the outline a little further than sharp ones
            hidden = max(mirrored - ROUNDED * spacing if mirrored < most else most, hidden)
        if away > 0:
            high[k] += hidden
        else:
            low[k] -= hidden
    return low, high


def _mirrored_part(
    thin: Points,
    base: Points,
    axis: Points,
    near: float,
    far: float,
    most: float,
    check: SightCheck,
) -> float:
    """Length beyond the far end, up to ``most`` (signed), at which the mirror image still fits."""
    ends = far + most * _HIDDEN_STEPS
    share = _contradiction(thin, base, axis, near + ends, check)
    if share[0] > _MAX_ASYMMETRY:
        return 0.0
    # the visible surface itself touches the outline here and there
    limit = share[0] + _MAX_CONTRADICTION
    beyond = np.flatnonzero(share > limit)
    if not len(beyond):
        return abs(most)
    first = beyond[0]
    part = (limit - share[first - 1]) / (share[first] - share[first - 1])
    return float(abs(most) * (first - 1 + part) / (len(ends) - 1))


def _curved_part(
    edge: float, heights: tuple[float, float], side: float, slant: float, spacing: float
) -> float:
    """Length that a far end hides of itself, judged by the height of its ``edge``.

    A sharp edge is as high as the top and hides nothing. On a round cross-section of radius r,
    seen from an elevation e, it is r (1 - cos e) lower, and r (1 - sin e) is hidden behind it.
    """
    bottom, top = heights
    radius = min(top - bottom, side) / 2
    sine = 1 / np.hypot(1.0, slant)
    lower = radius * (1 - slant * sine)
    # smoothing rounds sharp edges too, by about a pixel
    share = min(max((top - edge - spacing) / max(lower, THINNEST), 0.0), 1.0)
    return float(radius * (1 - sine) * share)


def _contradiction(
    thin: Points, base: Points, axis: Points, twice: Array, check: SightCheck
) -> Array:
    """Share of the points that the picture contradicts when mirrored in vertical planes.

    The planes are perpendicular to ``axis`` [2], along which the points [n] are at ``base`` and
    the planes at half of ``twice`` [m], metres; returns [m].
    """
    shift = twice.astype(np.float32)[:, None] - 2 * base
    mirrored = np.empty((3, *shift.shape), np.float32)
    mirrored[:2] = thin[:2, None] + shift * axis[:, None, None]
    mirrored[2] = thin[2]
    return np.count_nonzero(check.contradicted(mirrored), axis=1) / thin.shape[1]


def far_edge(level: Points, away: Points, end: float, spacing: float) -> Array:
    """Mean [3] of the highest of the points near the far end.

    ``away`` [n] are the points' places in the direction away from the camera, ``end`` is where
    they end. The highest, because a side that is seen reaches there at all heights.
    """
    places = np.flatnonzero(away > end - 2 * spacing)
    if len(places) > _EDGE_POINTS:
        heights = level[2].take(places)
        places = places[np.argpartition(heights, -_EDGE_POINTS)[-_EDGE_POINTS:]]
    middle: Array = level.take(places, axis=1).mean(axis=1)
    return middle
