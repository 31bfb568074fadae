# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Size and yaw of targets over time: the best view is held, and axes keep their names.

All targets of a picture go through each step together: single small arrays take far longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

# the other side must be longer by this factor before it becomes x: no 90 degree flips by noise
_HYSTERESIS = 1.1
# metres and radians that a single view is never surer of
_LEAST_LENGTH, _LEAST_YAW = 0.002, 0.01
# a belief never gets surer than this share of the best view's variance: views share errors
_SHARED = 0.1
# radians by which what is left of a box may be turned, for each part of its length that is missing
_TURN_OF_PARTS = 0.3
# metres and radians, and deviations, by which a view contradicts; after so many contradictions in
# a row it counts alone. Of views that are smaller, inside of what is believed, and of which
# nothing else tells that they are parts, it takes more
_OTHER_LENGTH, _OTHER_YAW, _OTHER_DEVIATIONS = 0.005, 0.05, 3.0
_CONTRADICTIONS, _SMALLER = 4, 0.2
_QUARTER = np.pi / 2
# metres, and deviations, by which a view that shows a part only may stick out of the whole
_STICK_OUT, _STICK_OUT_DEVIATIONS = 0.004, 3.0


@dataclass(frozen=True, eq=False)
class SeenBoxes:
    """Boxes of n targets as one picture has them, in the fixed frame.

    Attributes:
        centres: [n, 3] metres.
        rotations: [n, 3, 3], box -> fixed frame, z up.
        sizes: [n, 3] metres along their axes.
        covariances: [n, 6, 6] of their poses.
        partial: [n] a part is hidden, or outside of the picture: lengths are lower bounds.
        inside: [n] the box lies inside of the remembered one.
        turns: [n] radians about z that lead to the remembered yaw, within 45 degrees.
        missing: [n, 3] metres by which it falls short of the remembered box, and noise does not
            explain it.
    """

    centres: Array
    rotations: Array
    sizes: Array
    covariances: Array
    partial: Bools
    inside: Bools
    turns: Array
    missing: Array

    @classmethod
    def measured(
        cls, centres: Array, rotations: Array, sizes: Array, covariances: Array, partial: Bools
    ) -> SeenBoxes:
        """Return boxes that were not compared with anything yet."""
        count = len(centres)
        return cls(
            centres, rotations, sizes, covariances, partial,
            np.zeros(count, np.bool_), np.zeros(count), np.zeros((count, 3)),
        )

    @property
    def hidden(self) -> Array:
        """Covariances [n, 3, 3] of the centres due to what is missing: it may be on one side."""
        scaled = self.rotations * (self.missing / 2)[:, None, :] ** 2
        covariances: Array = scaled @ self.rotations.transpose(0, 2, 1)
        return covariances

    @property
    def yaw_variances(self) -> Array:
        """Variances [n] of the yaws, rad^2."""
        return _along(self.rotations[:, :, 2:], self.covariances[:, 3:, 3:])[:, 0]


@dataclass(eq=False)
class BoxMemory:
    """What is believed of one target's size and yaw.

    Attributes:
        rotation: [3, 3], box -> fixed frame.
        size: [3] metres.
        lengths, best_lengths: [3] variances of the size: of the belief and of the best view.
        yaw, best_yaw: variances of the yaw, likewise.
        doubt: how many views in a row contradict.
    """

    rotation: Array
    size: Array
    lengths: Array
    best_lengths: Array
    yaw: float
    best_yaw: float
    doubt: float = 0.0


def compare(
    memories: Sequence[BoxMemory | None], seen: SeenBoxes, centres: Array, accuracies: Array
) -> SeenBoxes:
    """Return the boxes with axes named so that each yaw is nearest to the remembered one.

    A quarter turn about z with x and y swapped, or a half turn, is the same box. A box that is
    smaller than the remembered one, but inside of it, is a part, whatever the reason; ``centres``
    [n, 3] and ``accuracies`` [n, 3, 3], their covariances, tell where it is believed to be. What
    is remembered of nobody stays as it is.
    """
    rows = [k for k, memory in enumerate(memories) if memory is not None]
    if not rows:
        return seen
    known = _stacked([memory for memory in memories if memory is not None])
    x = known.rotation[:, :, 0]
    rotations = seen.rotations[rows]
    angles = np.arctan2(
        (x * rotations[:, :, 1]).sum(axis=1), (x * rotations[:, :, 0]).sum(axis=1)
    )
    quarters = np.rint(angles / _QUARTER)
    rotations = rotations @ _about_z(quarters * _QUARTER)
    sizes = seen.sizes[rows]
    odd = quarters % 2 == 1
    sizes[odd] = sizes[odd][:, [1, 0, 2]]
    covariances = seen.covariances[rows, :3, :3]
    off = np.abs(((seen.centres - centres)[rows, None] @ known.rotation)[:, 0])
    doubt = np.sqrt(_along(known.rotation, accuracies[rows] + covariances))
    stick_out = off + (sizes - known.size) / 2
    inside = (stick_out < _STICK_OUT + _STICK_OUT_DEVIATIONS * doubt).all(axis=1)
    short = np.maximum(known.size - sizes, 0.0)
    # noise, and the error that all views so far share
    noise = known.best_lengths + _length_variances(rotations, covariances)
    part = (seen.partial[rows] | inside)[:, None]
    missing = np.where((short**2 > noise) & part, short, 0.0)
    values = {
        'rotations': rotations, 'sizes': sizes, 'inside': inside,
        'turns': angles - quarters * _QUARTER, 'missing': missing,
    }
    changed = {name: getattr(seen, name).copy() for name in values}
    for name, new in values.items():
        changed[name][rows] = new
    return replace(seen, **changed)


def learn(
    memories: Sequence[BoxMemory | None], seen: SeenBoxes, moved: Bools
) -> list[BoxMemory]:
    """Return what is believed after the views that ``compare`` returned.

    ``moved`` [n]: the object was moved, and may have been turned.
    """
    lengths = _length_variances(seen.rotations, seen.covariances[:, :3, :3])
    # a hidden part may turn the rest by any angle
    lost = seen.missing[:, :2].max(axis=1) / seen.sizes[:, :2].max(axis=1)
    yaws = seen.yaw_variances + _LEAST_YAW**2 + (_TURN_OF_PARTS * lost) ** 2
    fresh = [
        BoxMemory(
            seen.rotations[k], seen.sizes[k].copy(), lengths[k], lengths[k].copy(),
            float(yaws[k]), float(yaws[k]),
        )
        for k in range(len(lengths))
    ]
    rows = [
        k for k, memory in enumerate(memories)
        if memory is not None and (seen.partial[k] or not moved[k])
    ]
    if rows:
        known = [memory for memory in (memories[k] for k in rows) if memory is not None]
        _learn(known, seen, rows, lengths[rows], yaws[rows], moved[rows])
        for k, memory in zip(rows, known, strict=True):
            fresh[k] = memory if memory.doubt < _CONTRADICTIONS else fresh[k]
    for memory in fresh:
        if memory.size[1] > _HYSTERESIS * memory.size[0]:
            _rename(memory)
    return fresh


def rotation_covariances(memories: Sequence[BoxMemory], seen: SeenBoxes) -> Array:
    """Return covariances [n, 3, 3] of the rotations: the views', but for the held yaws."""
    up = seen.rotations[:, :, 2]
    held = np.array([max(memory.yaw, 0.5 * memory.best_yaw) for memory in memories])
    surer = np.minimum(held - seen.yaw_variances, 0.0)
    turned: Array = seen.covariances[:, 3:, 3:] + surer[:, None, None] * (
        up[:, :, None] * up[:, None, :]
    )
    return turned


def _learn(
    memories: Sequence[BoxMemory],
    seen: SeenBoxes,
    rows: list[int],
    lengths: Array,
    yaws: Array,
    moved: Bools,
) -> None:
    """Change memories by the given rows of what was seen; variances are of those rows."""
    known = _stacked(memories)
    sizes, turns, missing = seen.sizes[rows], seen.turns[rows], seen.missing[rows]
    apart = np.abs(sizes - known.size) - _OTHER_LENGTH
    other = (apart > _OTHER_DEVIATIONS * np.sqrt(known.lengths + lengths)).any(axis=1)
    turned = np.abs(turns) - _OTHER_YAW > _OTHER_DEVIATIONS * np.sqrt(known.yaw + yaws)
    more = np.where(seen.inside[rows] & ~turned, _SMALLER, 1.0)
    doubts = np.where(other | turned, known.doubt + more, 0.0)
    doubts = np.where(seen.partial[rows], known.doubt, doubts)
    best_lengths = np.minimum(known.best_lengths, lengths)
    # views share most of their errors, so that many poor ones do not outweigh a good one; what is
    # short because a part is hidden says little
    gain = known.lengths / (known.lengths + lengths**2 / best_lengths + missing**2)
    sizes = known.size + gain * (sizes - known.size)
    left = np.maximum((1 - gain) * known.lengths, _SHARED * best_lengths)
    best_yaws = np.minimum(known.best_yaw, yaws)
    weights = np.where(moved, 1.0, known.yaw / (known.yaw + yaws**2 / best_yaws))
    # up is that of the view; the yaw is on the way from the view's to the remembered one
    rotations = seen.rotations[rows] @ _about_z((1 - weights) * turns)
    yaw_left = np.where(
        moved, yaws, np.maximum((1 - weights) * known.yaw, _SHARED * best_yaws))
    for k, memory in enumerate(memories):
        memory.rotation, memory.size = rotations[k], sizes[k]
        memory.lengths, memory.best_lengths = left[k], best_lengths[k]
        memory.yaw, memory.best_yaw = float(yaw_left[k]), float(best_yaws[k])
        memory.doubt = float(doubts[k])


@dataclass(frozen=True, eq=False)
class _Stack:
    """Fields of several memories, stacked."""

    rotation: Array
    size: Array
    lengths: Array
    best_lengths: Array
    yaw: Array
    best_yaw: Array
    doubt: Array


def _stacked(memories: Sequence[BoxMemory]) -> _Stack:
    return _Stack(
        np.array([one.rotation for one in memories]),
        np.array([one.size for one in memories]),
        np.array([one.lengths for one in memories]),
        np.array([one.best_lengths for one in memories]),
        np.array([one.yaw for one in memories]),
        np.array([one.best_yaw for one in memories]),
        np.array([one.doubt for one in memories]),
    )


def _rename(memory: BoxMemory) -> None:
    """Call y x: a quarter turn of the axes."""
    memory.rotation = memory.rotation @ _about_z(np.array([_QUARTER]))[0]
    for name in ('size', 'lengths', 'best_lengths'):
        setattr(memory, name, getattr(memory, name)[[1, 0, 2]])


def _length_variances(rotations: Array, covariances: Array) -> Array:
    """Variances [n, 3] of the lengths: a face that is off by d moves the centre by d / 2."""
    return 4 * _along(rotations, covariances) + _LEAST_LENGTH**2


def _along(axes: Array, covariances: Array) -> Array:
    """Variances [n, m] along the columns of ``axes`` [n, 3, m]."""
    variances: Array = (axes * (covariances @ axes)).sum(axis=1)
    return variances


def _about_z(angles: Array) -> Array:
    turns = np.zeros((len(angles), 3, 3))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angles)
    turns[:, 1, 0] = np.sin(angles)
    turns[:, 0, 1] = -turns[:, 1, 0]
    turns[:, 2, 2] = 1.0
    return turns
