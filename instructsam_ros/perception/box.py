# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gravity-aligned boxes around visible surfaces, completed where the camera cannot see."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.completion import ROUNDED, THINNEST, complete, far_edge
from instructsam_ros.perception.footprint import DIRECTIONS, Footprint, RoundBody
from instructsam_ros.perception.level import LevelView
from instructsam_ros.perception.sight import SightCheck

Array = NDArray[np.float64]
Points = NDArray[np.float32]

# extents leave out this share of the points on either side: outliers, not the object
_TRIM = 0.003
# more of them at the top: depth noise lifts a flat top's highest points, outlines do not widen
_TRIM_HEIGHT = 0.015
# and still more where the top is a rim: smoothing lets its far side stand up
_TRIM_RIM = 0.04
# points within this share of the radius tell whether a round top is open: at least so many of all
# are at the top, up to this share of the height below it, when it is not
_INNER, _CLOSED, _AT_TOP = 0.6, 0.03, 0.12
_MIRRORED_POINTS = 150
# share of the points of a round body that may contradict the picture when it is turned
_MAX_ROUND_CONTRADICTION = 0.1
# what is farther out than this, in radii, is no part of a round body
_NEAR_CIRCLE = 1.08
_FRAME_X = np.array([1.0, 0.0])
# sides that differ by less than this share are equal
_SQUARE = 0.1
# angles at which box axes begin to turn over, off those at which people put things
_SQUARE_FROM, _OBLONG_FROM = np.deg2rad(-22.5), np.deg2rad(-67.5)


@dataclass(frozen=True)
class LevelBox:
    """A box with vertical z in a level frame (z up, origin at the camera).

    Attributes:
        centre: [3] metres.
        axis: [2] unit vector of the box's x in the horizontal plane (see ``canonical``).
        size: [3] metres along the box's own x, y, z.
        guessed: [3] metres of size that were inferred, not seen.
        directed: the outline has a direction; else ``axis`` is the frame's x.
        cut: [3, 2], how much of the outline at the low and high end along x, y, z is not the
            object's own, 0..1: there an occluder or the picture's border cuts it off.
        fill: share of the smallest rectangle that the outline fills, 0..1.
        is_round: the outline is round, but for a handle.
        hollow: round and seen to be open at the top, as cups and plates are.
    """

    centre: Array
    axis: Array
    size: Array
    guessed: Array
    directed: bool = True
    cut: Array = field(default_factory=lambda: np.zeros((3, 2)))
    fill: float = 1.0
    is_round: bool = False
    hollow: bool = False


def fit_box(view: LevelView, support: float | None, check: SightCheck | None) -> LevelBox:
    """Fit a box to a visible surface.

    The box goes down to ``support`` (height, metres) when that is known. Its direction is that of
    the outline seen from above (``footprint``). A round outline gives its circle's extents, as
    far as the picture allows (``check``). Any other is completed by symmetry: the visible surface
    is mirrored in the vertical planes parallel to the box's sides, as far away from the camera as
    the picture allows, but never deeper than wide.
    """
    level, spacing = view.points, view.spacing
    low, top = _extent(view.ordered[2], _TRIM_HEIGHT)
    bottom = low if support is None else min(support, top - THINNEST)
    outline = Footprint(level[:2])
    thin = level[:, :: max(1, level.shape[1] // _MIRRORED_POINTS)]
    sight = (view.ordered[:, 0] + view.ordered[:, -1]).astype(np.float64)
    sight = sight[:2] / max(float(np.linalg.norm(sight)), THINNEST)
    body = outline.round_body(_rim(DIRECTIONS, sight, spacing))
    if body is not None and check is not None:
        fits = body.is_whole or _has_room(thin, body, check, spacing)
        body = body if fits and _hides_back(level, body, sight, bottom, spacing) else None
    hollow = body is not None and _is_hollow(level, body, bottom, top)
    if hollow:
        top = max(_extent(view.ordered[2], _TRIM_RIM)[1], bottom + THINNEST)
    direction = outline.direction() if body is None else body.handle
    axis = _FRAME_X if direction is None else direction / np.linalg.norm(direction)
    axes = np.array([axis, [-axis[1], axis[0]]])
    along = axes.astype(np.float32) @ level[:2]
    along.sort(axis=1)
    low2, high2 = np.transpose([_extent(along[0], _TRIM), _extent(along[1], _TRIM)])
    low2 -= _rim(-axes, sight, spacing)
    high2 += _rim(axes, sight, spacing)
    seen = high2 - low2
    if check is not None:
        if body is not None:
            low2, high2 = _round_extents(axes, body, low2, high2)
        else:
            low2, high2 = complete(level, thin, axes, low2, high2, spacing, check, (bottom, top))
    guessed = np.append(np.maximum(high2 - low2 - seen, 0.0), max(low - bottom, 0.0))
    centre = np.append((low2 + high2) / 2 @ axes, (bottom + top) / 2)
    sides = np.append(high2 - low2, top - bottom)
    axis, order = canonical(axes, sides[:2])
    size = np.maximum(sides[[*order, 2]], THINNEST)
    return LevelBox(
        centre,
        axis,
        size,
        guessed[[*order, 2]],
        direction is not None,
        view.cut_ends(axis),
        outline.fill,
        body is not None,
        hollow,
    )


def canonical(axes: Array, sides: Array) -> tuple[Array, tuple[int, int]]:
    """Return a box's x axis [2], and which of its two sides are along its x and y.

    A rectangle looks the same after half a turn, a square after a quarter. So that noise does not
    turn boxes over: x is along the longer side, at -67.5 to 112.5 degrees; where the sides are
    equal (within 10 %), x is along the one at -22.5 to 67.5 degrees. These limits lie between the
    directions in which things are put down. ``axes`` [2, 2] are the unit vectors of the sides.
    """
    is_square = sides.min() > (1 - _SQUARE) * sides.max()
    first = 0 if is_square or sides[0] >= sides[1] else 1
    start, period = (_SQUARE_FROM, np.pi / 2) if is_square else (_OBLONG_FROM, np.pi)
    before = np.arctan2(axes[first, 1], axes[first, 0])
    angle = (before - start) % period + start
    quarters = round((angle - before) / (np.pi / 2))
    if quarters % 2:
        first = 1 - first
    return np.array([np.cos(angle), np.sin(angle)]), (first, 1 - first)


def _extent(values: Points, trim: float) -> Array:
    """Lowest and highest of ascending values, but for the share ``trim`` on either side."""
    last = len(values) - 1
    trimmed = int(trim * last)
    return values[[trimmed, last - trimmed]].astype(float)


def _rim(directions: Array, sight: Array, spacing: float) -> Array:
    """By how much an object reaches farther than its points in directions [n, 2], metres.

    Each point stands for a patch as wide as the ``spacing``, but what faces the camera ends at its
    points. ``sight`` [2] is the horizontal part of the unit vector from the camera to the object.
    """
    return spacing / 2 * (1 - np.maximum(-directions @ sight, 0.0))


def _has_room(thin: Points, body: RoundBody, check: SightCheck, spacing: float) -> bool:
    """Whether the picture has room for the visible points turned half about the body's middle."""
    away = thin[:2] - body.centre.astype(np.float32)[:, None]
    round_part = (away**2).sum(axis=0) < (_NEAR_CIRCLE * body.radius) ** 2
    turned = thin.copy()
    # drawn in by a pixel or two: outlines are not more exact
    turned[:2] -= np.float32(2 - min(1.5 * spacing / body.radius, 0.5)) * away
    both = check.contradicted(np.stack([thin, turned], axis=1))[:, round_part]
    # the visible surface itself touches the outline here and there
    seen, guessed = np.count_nonzero(both, axis=1)
    return bool(guessed - seen < _MAX_ROUND_CONTRADICTION * both.shape[1])


def _hides_back(
    level: Points, body: RoundBody, sight: Array, bottom: float, spacing: float
) -> bool:
    """Whether what is seen can hide the back of a body in its shadow."""
    length = float(np.linalg.norm(sight))
    if length < THINNEST:
        # seen from straight above
        return True
    away = sight / length
    places = away.astype(np.float32) @ level[:2]
    hidden = away @ body.centre + body.radius - places.max()
    x, y, edge = far_edge(level, places, float(places.max()), spacing)
    shadow = max(edge - bottom, 0.0) * np.hypot(x, y) / max(-edge, THINNEST)
    return bool(hidden < shadow + ROUNDED * spacing)


def _is_hollow(level: Points, body: RoundBody, bottom: float, top: float) -> bool:
    """Whether a round body is open at the top, as a cup: nothing is seen in its middle up there."""
    away = level[:2] - body.centre.astype(np.float32)[:, None]
    inner = (away**2).sum(axis=0) < (_INNER * body.radius) ** 2
    inner &= level[2] > top - _AT_TOP * (top - bottom)
    return bool(np.count_nonzero(inner) < _CLOSED * level.shape[1])


def _round_extents(
    axes: Array, body: RoundBody, low: Array, high: Array
) -> tuple[Array, Array]:
    """Lowest and highest place of the body along both axes, or of what clearly sticks out."""
    middle, radius = axes @ body.centre, body.radius
    beyond = _NEAR_CIRCLE * radius
    low = np.where(low < middle - beyond, low, middle - radius)
    high = np.where(high > middle + beyond, high, middle + radius)
    if body.handle is not None:
        # so few points that extents may leave it out
        high[0] = middle[0] + np.linalg.norm(body.handle)
    return low, high
