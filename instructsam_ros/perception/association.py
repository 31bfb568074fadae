# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which instance of a picture is which of the objects known so far."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from instructsam_ros.perception.outlines import Outline

Array = NDArray[np.float64]

# masks of one object overlap at least by so much (intersection over union), if it rests
_SOME_OVERLAP = 0.1
# by so much under another phrase
_MUCH_OVERLAP = 0.3
# masks alone suffice from here on, whatever the depth says: it may be that of something else
_SAME_MASK = 0.5
# squared distances in units of size and uncertainty: surely elsewhere; the same place
_ELSEWHERE = 2.25
_SAME_PLACE = 0.5
# without 3D: in units of the mask's radius
_ELSEWHERE_2D = 9.0
# what moved while nobody saw it has a similar size again, or less when something hides a part
_LEAST_SIZE, _MOST_SIZE = 0.4, 1.6
_OTHER_PHRASE = 0.5
# of two that fit alike, the one that was seen more often
_YOUNG, _YOUNG_SIGHTINGS = 0.1, 3
# a pair must be cheaper; above all that is allowed
_NO_PAIR = 3.0


@dataclass(frozen=True)
class Candidates:
    """n objects on one side of the comparison: known ones as they should look now, or seen ones.

    Attributes:
        outlines: masks in the present picture.
        phrases: normalised.
        centres: [n, 3] metres, one frame for both sides; NaN where unknown.
        covariances: [n, 3, 3] m^2 of the centres.
        extents: [n] metres from the centre to the ends.
    """

    outlines: Sequence[Outline]
    phrases: Sequence[str]
    centres: Array
    covariances: Array
    extents: Array


@dataclass(frozen=True)
class Overlaps:
    """How masks of t known and n seen objects overlap.

    Attributes:
        union: [t, n] intersection over union.
        lesser: [t, n] intersection over the smaller of both.
    """

    union: Array
    lesser: Array


def overlaps(known: Sequence[Outline], seen: Sequence[Outline]) -> Overlaps:
    """Compare all masks of the two sides."""
    union, lesser = np.zeros((len(known), len(seen))), np.zeros((len(known), len(seen)))
    if not union.size:
        return Overlaps(union, lesser)
    a, b = (np.array([one.corners for one in side]) for side in (known, seen))
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    for i, j in np.argwhere((low < high).all(axis=2)).tolist():
        common = known[i].common(seen[j])
        if common:
            union[i, j] = common / (known[i].area + seen[j].area - common)
            lesser[i, j] = common / min(known[i].area, seen[j].area)
    return Overlaps(union, lesser)


def associate(
    known: Candidates,
    seen: Candidates,
    masks: Overlaps,
    reach: Array,
    may_stray: NDArray[np.bool_],
    sightings: NDArray[np.intp],
) -> list[tuple[int, int]]:
    """Return pairs (known, seen), each at most once, that are cheapest all together.

    ``reach`` [t]: metres that each known object may have moved since it was seen; ``may_stray``
    [t]: it may be elsewhere, since it is not seen where it was; ``sightings`` [t]: how often it
    was seen.
    """
    if not masks.union.size:
        return []
    same = np.array([[a == b for b in seen.phrases] for a in known.phrases])
    flat = _distances_2d(known.outlines, seen.outlines)
    touching = (masks.union >= _SOME_OVERLAP) | (masks.lesser >= _SAME_MASK)
    allowed = np.where(same, touching | (flat < _ELSEWHERE_2D), masks.union >= _MUCH_OVERLAP)
    far = flat
    solid = ~np.isnan(known.centres[:, :1]) & ~np.isnan(seen.centres[:, 0])
    if solid.any():
        apart, gap, ratio = _distances(known, seen)
        reached = gap <= reach[:, None]
        fits = (ratio > _LEAST_SIZE) & (ratio < _MOST_SIZE)
        strays = may_stray[:, None] & fits
        here = reached & (touching | (apart < _ELSEWHERE) | strays)
        renamed = reached & ((masks.union >= _MUCH_OVERLAP) | (apart < _SAME_PLACE))
        by_place = np.where(same, here | (masks.union >= _SAME_MASK), renamed)
        allowed = np.where(solid, by_place, allowed)
        far = np.where(solid, apart, flat)
    cost = 2 - masks.union - 1 / (1 + far)
    cost += _OTHER_PHRASE * ~same + (_YOUNG * (sightings < _YOUNG_SIGHTINGS))[:, None]
    # pairs that are not allowed are worth as much as none
    worth = np.where(allowed, cost - _NO_PAIR, 0.0)
    rows, columns = linear_sum_assignment(worth)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if worth[i, j] < 0]


def _distances(known: Candidates, seen: Candidates) -> tuple[Array, Array, Array]:
    """Squared distances [t, n] in units of uncertainty and size, gaps in metres, size ratios.

    The gap is what uncertainty and size do not explain. Zeros and ones where a place is unknown.
    """
    away = np.nan_to_num(seen.centres[None] - known.centres[:, None])
    covariance = known.covariances[:, None] + seen.covariances[None]
    # of something that is hidden but for a sliver, the known extent counts
    extent = np.maximum(known.extents[:, None], seen.extents[None])
    spread = covariance + (extent**2)[..., None, None] * np.eye(3)
    apart = (away * np.linalg.solve(spread, away[..., None])[..., 0]).sum(axis=2)
    deviation = np.sqrt(np.trace(covariance, axis1=2, axis2=3))
    gap = np.sqrt((away**2).sum(axis=2)) - extent - 3 * deviation
    ratio = seen.extents[None] / np.maximum(known.extents[:, None], 1e-6)
    return apart, gap, ratio


def _distances_2d(known: Sequence[Outline], seen: Sequence[Outline]) -> Array:
    """Squared distances [t, n] between the masks' middles in units of their mean radius."""
    a, b = (np.array([one.centre for one in side]) for side in (known, seen))
    area_a, area_b = (np.array([float(one.area) for one in side]) for side in (known, seen))
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    # an empty mask is nowhere
    area = np.where(area_b > 0, area_a[:, None] + area_b, 1e-6)
    return np.where(area_a[:, None] > 0, squared / (area / (2 * np.pi)), np.inf)
