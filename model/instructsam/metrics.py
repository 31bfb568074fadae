# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of merit for instruction-driven instance segmentation, as the paper reports them.

A query is one instruction on one image with its set of true masks (none if the thing is absent).
Union masks (all instances together) give the IoU of a query, single masks the average precision.
Each query is reduced to a few numbers when it is added; no mask is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from instructsam.tracking_metrics import mask_overlaps, mask_window

AP_THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
PRECISION_THRESHOLDS: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)

# Weights of resampled queries in one go: 32 MB.
_MOST_WEIGHTS = 4_000_000

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Metrics:
    """Figures of a group of queries; None where the group has nothing to measure it on.

    Attributes:
        queries: number of queries.
        g_iou: mean over all queries of the union IoU; an absent thing counts `empty_iou` if
            nothing is predicted, else 0.
        c_iou: sum of intersections / (sum of unions + 1e-10) over all queries.
        ap, ap50, ap75: all predictions ranked by score, each matched greedily to the best
            unmatched true mask of its query, all-point interpolation; `ap` averages IoU
            0.50:0.05:0.95. Predictions for absent things count as false.
        precision: P@t, the share of queries with true masks whose union IoU is at least t.
        o_iou, m_iou: like c_iou and g_iou, over the queries with true masks only.
        absent_accuracy: share of the queries without true masks where nothing is predicted.
    """

    queries: int
    g_iou: float | None
    c_iou: float | None
    ap: float | None
    ap50: float | None
    ap75: float | None
    precision: dict[float, float | None]
    o_iou: float | None
    m_iou: float | None
    absent_accuracy: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures with plain keys, fit for JSON."""
        values: dict[str, Any] = {
            'queries': self.queries, 'gIoU': self.g_iou, 'cIoU': self.c_iou, 'AP': self.ap,
            'AP50': self.ap50, 'AP75': self.ap75, 'oIoU': self.o_iou, 'mIoU': self.m_iou,
            'absent_accuracy': self.absent_accuracy}
        return values | {f'P@{t:g}': value for t, value in self.precision.items()}


@dataclass(frozen=True, eq=False)
class MaskCounts:
    """Pixels that the masks of one query have, and share: all that figures are made of.

    Attributes:
        found, true: [M] and [N] pixels of each predicted and each true mask.
        shared: [M, N] pixels of each pair.
        intersection, union: of all predicted masks together and all true ones together.
    """

    found: npt.NDArray[np.float64]
    true: npt.NDArray[np.float64]
    shared: npt.NDArray[np.float64]
    intersection: int
    union: int

    @property
    def ious(self) -> npt.NDArray[np.float64]:
        """Intersection over union [M, N] of each pair; 0 for two empty masks."""
        ious: npt.NDArray[np.float64] = self.shared / np.maximum(
            self.found[:, None] + self.true[None] - self.shared, 1)
        return ious


@dataclass(frozen=True)
class _Query:
    kind: str
    truths: int
    intersection: int
    union: int
    scores: npt.NDArray[np.float64]
    # [predictions, thresholds]: whether each prediction found a true mask of its own.
    hits: BoolArray

    @property
    def iou(self) -> float | None:
        return self.intersection / self.union if self.union else None


class SegmentationMetrics:
    """Collects queries and reports their figures, together or by group.

    Args:
        empty_iou: union IoU of a query where neither truth nor prediction has a pixel: 1 (as for
            gRefCOCO and Inst2Seg, and here by default) or 0 (as for ReasonSeg).
    """

    def __init__(self, empty_iou: float = 1.0) -> None:
        self.empty_iou = empty_iou
        self._queries: list[_Query] = []

    def __len__(self) -> int:
        return len(self._queries)

    def add(self, predicted: Sequence[BoolArray] | BoolArray,
            scores: Sequence[float] | npt.NDArray[np.floating],
            truth: Sequence[BoolArray] | BoolArray, *, kind: str = 'all') -> float:
        """Add a query and return its union IoU.

        Args:
            predicted: M bool masks [H, W], those above the score threshold.
            scores: M scores.
            truth: N bool masks [H, W]; none where the thing is absent.
            kind: the group that the query belongs to.

        Raises:
            ValueError: numbers or shapes do not fit together.
        """
        if len(predicted) != len(scores):
            raise ValueError(f'{len(predicted)} masks but {len(scores)} scores: give one each')
        shapes = {np.shape(mask) for mask in (*predicted, *truth)}
        if len(shapes) > 1:
            raise ValueError(f'masks of different shapes {sorted(shapes)}: resize them to the '
                             'image first')
        return self.add_counts(_count(predicted, truth), scores, kind=kind)

    def add_counts(self, counts: MaskCounts, scores: Sequence[float] | npt.NDArray[np.floating],
                   *, kind: str = 'all') -> float:
        """Add a query whose pixels are counted already, like ``add``."""
        values = np.asarray(scores, dtype=np.float64).reshape(len(counts.found))
        query = _Query(kind, len(counts.true), counts.intersection, counts.union, values,
                       _match(values, counts.ious))
        self._queries.append(query)
        return self.empty_iou if query.iou is None else query.iou

    def overall(self) -> Metrics:
        """Return the figures of all queries."""
        return self._figures(self._queries)

    def by_kind(self) -> dict[str, Metrics]:
        """Return the figures by kind, in the order in which the kinds first came."""
        return self._grouped(lambda query: query.kind)

    def by_count(self) -> dict[str, Metrics]:
        """Return the figures by the number of true masks: 0, 1, >=2."""
        groups = self._grouped(lambda query: str(query.truths) if query.truths < 2 else '>=2')
        return {name: groups[name] for name in ('0', '1', '>=2') if name in groups}

    def select(self, kinds: Iterable[str]) -> Metrics:
        """Return the figures of some kinds together."""
        wanted = set(kinds)
        return self._figures([query for query in self._queries if query.kind in wanted])

    def intervals(self, kinds: Iterable[str] | None = None, *, blocks: Sequence[int] | None = None,
                  resamples: int = 300, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return 95 % bootstrap intervals (percentile method, Efron 1979) by name.

        Args:
            kinds: only queries of these; None: all.
            blocks: one number per query added; queries of one number stay together, for those of
                one image are no independent samples. None: each query by itself.
            resamples: how many.
            seed: the same queries and seed give the same intervals.

        Raises:
            ValueError: not one block number per query.
        """
        numbers = list(range(len(self._queries))) if blocks is None else list(blocks)
        if len(numbers) != len(self._queries):
            raise ValueError(f'{len(numbers)} block numbers for {len(self._queries)} queries: '
                             'give one each')
        wanted = None if kinds is None else set(kinds)
        groups: dict[int, list[_Query]] = {}
        for number, query in zip(numbers, self._queries, strict=True):
            if wanted is None or query.kind in wanted:
                groups.setdefault(number, []).append(query)
        if not groups:
            return {}
        queries = [query for part in groups.values() for query in part]
        places = np.repeat(np.arange(len(groups)), [len(part) for part in groups.values()])
        drawn: dict[str, list[npt.NDArray[np.float64]]] = {}
        rng = np.random.default_rng(seed)
        choices = rng.integers(len(groups), size=(resamples, len(groups)))
        at_once = max(_MOST_WEIGHTS // max(len(queries), sum(q.scores.size for q in queries)), 1)
        for first in range(0, resamples, at_once):
            # how often each query was drawn
            weights = np.stack([np.bincount(choice, minlength=len(groups))[places]
                                for choice in choices[first: first + at_once]]).astype(np.float64)
            for name, values in _weighted_figures(queries, weights, self.empty_iou).items():
                drawn.setdefault(name, []).append(values)
        intervals = {}
        for name, pieces in drawn.items():
            known = np.concatenate(pieces)
            known = known[np.isfinite(known)]
            if known.size:
                low, high = np.percentile(known, (2.5, 97.5))
                intervals[name] = float(low), float(high)
        return intervals

    def _grouped(self, key: Callable[[_Query], str]) -> dict[str, Metrics]:
        groups: dict[str, list[_Query]] = {}
        for query in self._queries:
            groups.setdefault(key(query), []).append(query)
        return {name: self._figures(queries) for name, queries in groups.items()}

    def _figures(self, queries: Sequence[_Query]) -> Metrics:
        present = [query for query in queries if query.truths]
        absent = [query for query in queries if not query.truths]

        def iou(query: _Query) -> float:
            return self.empty_iou if query.iou is None else query.iou

        precisions = _average_precisions(queries)
        return Metrics(
            queries=len(queries), g_iou=_mean([iou(q) for q in queries]), c_iou=_ratio(queries),
            ap=None if precisions is None else float(precisions.mean()),
            ap50=None if precisions is None else float(precisions[0]),
            ap75=None if precisions is None else float(precisions[5]),
            precision={t: _mean([float(iou(q) >= t) for q in present])
                       for t in PRECISION_THRESHOLDS},
            o_iou=_ratio(present), m_iou=_mean([iou(q) for q in present]),
            absent_accuracy=_mean([float(q.scores.size == 0) for q in absent]))


def _weighted_figures(
    queries: Sequence[_Query], weights: npt.NDArray[np.float64], empty_iou: float
) -> dict[str, npt.NDArray[np.float64]]:
    """Figures [R] by name, as if each query had come weights [R, Q] times; NaN where none is."""
    ious = np.array([empty_iou if query.iou is None else query.iou for query in queries])
    shared = np.array([query.intersection for query in queries], np.float64)
    unions = np.array([query.union for query in queries], np.float64)
    truths = np.array([query.truths for query in queries], np.float64)
    silent = np.array([query.scores.size == 0 for query in queries], np.float64)
    present = (truths > 0).astype(np.float64)
    absent = 1.0 - present
    with np.errstate(invalid='ignore', divide='ignore'):
        there, absentees = weights @ present, weights @ absent
        figures = {
            'gIoU': (weights @ ious) / weights.sum(axis=1),
            'cIoU': (weights @ shared) / (weights @ unions + 1e-10),
            'oIoU': np.where(there > 0, (weights @ (shared * present))
                             / (weights @ (unions * present) + 1e-10), np.nan),
            'mIoU': (weights @ (ious * present)) / there,
            'absent_accuracy': (weights @ (silent * absent)) / absentees}
        figures |= {f'P@{t:g}': (weights @ ((ious >= t) * present)) / there
                    for t in PRECISION_THRESHOLDS}
        scores = np.concatenate([query.scores for query in queries])
        order = np.argsort(-scores, kind='stable')
        hits = np.concatenate([query.hits for query in queries])[order]
        owners = np.repeat(np.arange(len(queries)), [query.scores.size for query in queries])
        times = weights[:, owners[order]]
        seen = np.maximum(np.cumsum(times, axis=1), 1.0)
        total = weights @ truths
        precisions = np.empty((len(AP_THRESHOLDS), len(weights)))
        for row, hit in zip(precisions, hits.T, strict=True):
            found = times * hit
            envelope = np.maximum.accumulate(
                (np.cumsum(found, axis=1) / seen)[:, ::-1], axis=1)[:, ::-1]
            row[:] = (found * envelope).sum(axis=1) / total
    figures |= {'AP': precisions.mean(axis=0), 'AP50': precisions[0], 'AP75': precisions[5]}
    return figures


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _ratio(queries: Sequence[_Query]) -> float | None:
    if not queries:
        return None
    return sum(q.intersection for q in queries) / (sum(q.union for q in queries) + 1e-10)


def _count(predicted: Sequence[BoolArray] | BoolArray,
           truth: Sequence[BoolArray] | BoolArray) -> MaskCounts:
    masks = [np.asarray(mask, dtype=bool) for mask in (*predicted, *truth)]
    if not masks:
        return MaskCounts(np.zeros(0), np.zeros(0), np.zeros((0, 0)), 0, 0)
    windows = [window for window in map(mask_window, masks) if window[0].stop]
    if not windows:
        masks = [mask[:0, :0] for mask in masks]
    else:
        # Only the rectangle that holds any mask matters.
        rows, columns = (slice(min(one[axis].start for one in windows),
                               max(one[axis].stop for one in windows)) for axis in (0, 1))
        masks = [mask[rows, columns] for mask in masks]
    areas = np.array([np.count_nonzero(mask) for mask in masks], np.float64)
    number = len(predicted)
    found, real = np.zeros_like(masks[0]), np.zeros_like(masks[0])
    for place, mask in enumerate(masks):
        union = found if place < number else real
        union |= mask
    intersection = int(np.count_nonzero(found & real))
    return MaskCounts(
        areas[:number], areas[number:], mask_overlaps(masks[:number], masks[number:]),
        intersection, int(np.count_nonzero(found) + np.count_nonzero(real)) - intersection)


def _match(scores: npt.NDArray[np.float64], ious: npt.NDArray[np.float64]) -> BoolArray:
    """Whether each prediction, best score first, finds a free true mask: [M, thresholds]."""
    hits = np.zeros((len(scores), len(AP_THRESHOLDS)), dtype=bool)
    if not ious.size:
        return hits
    order = np.argsort(-scores, kind='stable')
    for column, threshold in enumerate(AP_THRESHOLDS):
        free = np.ones(ious.shape[1], dtype=bool)
        for one in order:
            best = int(np.argmax(np.where(free, ious[one], -1.0)))
            if free[best] and ious[one, best] >= threshold:
                free[best] = False
                hits[one, column] = True
    return hits


def _average_precisions(queries: Sequence[_Query]) -> npt.NDArray[np.float64] | None:
    """AP at each threshold over these queries; None without any true mask."""
    truths = sum(query.truths for query in queries)
    if not truths:
        return None
    scores = np.concatenate([query.scores for query in queries])
    # Equal scores keep the order in which they were added.
    order = np.argsort(-scores, kind='stable')
    hits = np.concatenate([query.hits for query in queries])[order]
    precision = np.cumsum(hits, axis=0) / np.arange(1, len(hits) + 1)[:, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    # Recall grows by 1 / truths at every hit: the area under the envelope is a sum over hits.
    result: npt.NDArray[np.float64] = np.where(hits, envelope, 0.0).sum(axis=0) / truths
    return result
