# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of merit for ids over time: HOTA, IDF1, MOTA and id switches.

HOTA: Luiten et al., IJCV 129 (2021), at the 19 thresholds 0.05, 0.10 … 0.95 of the similarity.
IDF1: Ristani et al., ECCV Workshops (2016). MOTA and id switches: Bernardin and Stiefelhagen,
EURASIP JIVP (2008). The last three count a similarity of 0.5 or more as the same place.

Several sequences are pooled, not averaged: all counts add up, so that AssA is the mean over all
true positives of all sequences, as in the evaluation code of HOTA's authors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

THRESHOLDS = np.arange(1, 20) / 20
SAME_PLACE = 0.5

# Similarities are ratios of counts: one that equals a threshold reaches it.
_ROUNDING = 1e-9
# More than all similarities of a frame together: who was matched before stays so.
_LOYALTY = 1000.0

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """What is there and what was found in one frame.

    ``truth`` [n] and ``found`` [m] are ids, each at most once in a frame; ``similarity`` [n, m] of
    their places, 0 to 1, such as the IoU of masks.
    """

    truth: Sequence[int]
    found: Sequence[int]
    similarity: Array


def _zeros() -> Array:
    return np.zeros(len(THRESHOLDS))


@dataclass(frozen=True, eq=False)
class TrackingScore:
    """Counts of one sequence, or of several: scores add up.

    Attributes:
        matched: true positives at each threshold [19].
        association: sum over these of their association's Jaccard index [19].
        overlap: sum over these of their similarity [19].
        truths, found: detections in all frames.
        identified: detections under the best one-to-one match of whole tracks (IDTP).
        located: detections matched frame by frame at `SAME_PLACE`.
        switches: how often a true track went on under another id than before.
    """

    matched: Array = field(default_factory=_zeros)
    association: Array = field(default_factory=_zeros)
    overlap: Array = field(default_factory=_zeros)
    truths: int = 0
    found: int = 0
    identified: int = 0
    located: int = 0
    switches: int = 0

    def __add__(self, other: TrackingScore) -> TrackingScore:
        return TrackingScore(
            *(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def detection_accuracy(self) -> Array:
        """DetA at each threshold [19]."""
        return self.matched / np.maximum(self.truths + self.found - self.matched, 1)

    @property
    def association_accuracy(self) -> Array:
        """AssA at each threshold [19]."""
        return self.association / np.maximum(self.matched, 1)

    @property
    def localisation_accuracy(self) -> Array:
        """LocA at each threshold [19], 1 where nothing is matched."""
        return np.where(self.matched > 0, self.overlap / np.maximum(self.matched, 1), 1.0)

    @property
    def hota(self) -> float:
        """Mean over the thresholds of the geometric mean of DetA and AssA."""
        return float(np.sqrt(self.detection_accuracy * self.association_accuracy).mean())

    @property
    def idf1(self) -> float:
        """Share of the detections, true and found, that carry the right id."""
        return 2 * self.identified / max(self.truths + self.found, 1)

    @property
    def mota(self) -> float:
        """1 minus misses, false detections and switches per true detection; may be negative."""
        wrong = self.truths + self.found - 2 * self.located + self.switches
        return 1 - wrong / self.truths if self.truths else 0.0

    def to_dict(self) -> dict[str, float | int]:
        """Return the figures with plain keys, fit for JSON."""
        return {
            'HOTA': self.hota, 'DetA': float(self.detection_accuracy.mean()),
            'AssA': float(self.association_accuracy.mean()),
            'LocA': float(self.localisation_accuracy.mean()),
            'IDF1': self.idf1, 'MOTA': self.mota, 'id_switches': self.switches,
            'truths': self.truths, 'found': self.found}


def score_sequence(frames: Iterable[TrackedFrame]) -> TrackingScore:
    """Return the counts of one sequence. Raises ValueError where shapes or ids do not fit."""
    frames = [_numbered(frame) for frame in frames]
    truths = _Census(frame.truth for frame in frames)
    found = _Census(frame.found for frame in frames)
    rows = [truths.places(frame.truth) for frame in frames]
    columns = [found.places(frame.found) for frame in frames]
    overlaps = [frame.similarity for frame in frames]
    matched, association, overlap = _hota_counts(rows, columns, overlaps, truths, found)
    located, switches = _clear_counts(rows, columns, overlaps, len(truths.counts))
    return TrackingScore(
        matched, association, overlap, int(truths.counts.sum()), int(found.counts.sum()),
        _identified(rows, columns, overlaps, truths, found), located, switches)


def mask_overlaps(first: Sequence[BoolArray], second: Sequence[BoolArray]) -> Array:
    """Return the shared pixels [n, m] of two groups of masks of one size."""
    windows = [[mask_window(mask) for mask in group] for group in (first, second)]
    shared = np.zeros((len(first), len(second)))
    for i, (one, (rows, columns)) in enumerate(zip(first, windows[0], strict=True)):
        for j, (other, (others_rows, others_columns)) in enumerate(
                zip(second, windows[1], strict=True)):
            # most masks have nothing in common: only where both may be is looked at
            common = (_common(rows, others_rows), _common(columns, others_columns))
            shared[i, j] = np.count_nonzero(one[common] & other[common])
    return shared


def mask_ious(first: Sequence[BoolArray], second: Sequence[BoolArray]) -> Array:
    """Return the intersection over union [n, m] of two groups of masks; 0 for two empty ones."""
    shared = mask_overlaps(first, second)
    areas = [np.array([np.count_nonzero(one) for one in group]) for group in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1] - shared, 1)


def mask_window(mask: BoolArray) -> tuple[slice, slice]:
    """Return the rows and columns that a mask [H, W] occupies; empty slices for an empty one."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    inside = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[inside].any(axis=0))
    return inside, slice(int(columns[0]), int(columns[-1]) + 1)


def _common(one: slice, other: slice) -> slice:
    start = max(one.start, other.start)
    return slice(start, max(min(one.stop, other.stop), start))


class _Census:
    """All ids of a sequence: ``counts`` [k] says in how many frames each occurs."""

    def __init__(self, frames: Iterable[Sequence[int]]) -> None:
        ids = [one for frame in frames for one in frame]
        self._ids, counts = np.unique(np.array(ids, np.int64), return_counts=True)
        self.counts = counts.astype(float)

    def places(self, ids: Sequence[int]) -> npt.NDArray[np.intp]:
        """Return the places of ids among all ids."""
        return np.searchsorted(self._ids, np.array(ids, np.int64))


def _numbered(frame: TrackedFrame) -> TrackedFrame:
    shape = (len(frame.truth), len(frame.found))
    similarity = np.asarray(frame.similarity, float)
    if similarity.size == 0:
        similarity = similarity.reshape(shape)
    if similarity.shape != shape:
        raise ValueError(f'similarity has shape {similarity.shape}, the ids make it {shape}')
    for ids in (frame.truth, frame.found):
        if len(set(ids)) != len(ids):
            raise ValueError(f'an id occurs twice in one frame: {sorted(ids)}')
    return TrackedFrame(frame.truth, frame.found, similarity)


_Places = list[npt.NDArray[np.intp]]


def _hota_counts(
    rows: _Places, columns: _Places, overlaps: list[Array], truths: _Census, found: _Census
) -> tuple[Array, Array, Array]:
    # How well whole tracks fit each other decides which detections are matched in a frame.
    shared = np.zeros((len(truths.counts), len(found.counts)))
    for row, column, overlap in zip(rows, columns, overlaps, strict=True):
        either = overlap.sum(axis=0) + overlap.sum(axis=1)[:, None] - overlap
        shared[np.ix_(row, column)] += np.divide(
            overlap, either, out=np.zeros_like(overlap), where=either > _ROUNDING)
    fit = shared / (truths.counts[:, None] + found.counts - shared)
    together = np.zeros((len(THRESHOLDS), *shared.shape))
    sums = _zeros()
    for row, column, overlap in zip(rows, columns, overlaps, strict=True):
        a, b = linear_sum_assignment(-fit[np.ix_(row, column)] * overlap)
        reached = overlap[a, b] >= THRESHOLDS[:, None] - _ROUNDING
        together[:, row[a], column[b]] += reached
        sums += (overlap[a, b] * reached).sum(axis=1)
    jaccard = together / (truths.counts[:, None] + found.counts - together)
    return together.sum(axis=(1, 2)), (together * jaccard).sum(axis=(1, 2)), sums


def _identified(
    rows: _Places, columns: _Places, overlaps: list[Array], truths: _Census, found: _Census
) -> int:
    together = np.zeros((len(truths.counts), len(found.counts)))
    for row, column, overlap in zip(rows, columns, overlaps, strict=True):
        together[np.ix_(row, column)] += overlap >= SAME_PLACE - _ROUNDING
    # Pairs of least wrong detections are those of most common ones: the rest is the same for all.
    return int(together[linear_sum_assignment(-together)].sum())


def _clear_counts(
    rows: _Places, columns: _Places, overlaps: list[Array], tracks: int
) -> tuple[int, int]:
    """Return matched detections and switches; a match of the frame before is kept if it can."""
    located = switches = 0
    known = np.full(tracks, -1)  # the last match of each true track, however long ago
    before = np.full(tracks, -1)
    for row, column, overlap in zip(rows, columns, overlaps, strict=True):
        near = overlap >= SAME_PLACE - _ROUNDING
        value = overlap + _LOYALTY * (before[row][:, None] == column)
        value[~near] = 0
        a, b = linear_sum_assignment(-value)
        kept = near[a, b]
        true, other = row[a[kept]], column[b[kept]]
        located += len(true)
        switches += int(((known[true] >= 0) & (known[true] != other)).sum())
        known[true] = other
        before[:] = -1
        before[true] = other
    return located, switches
