# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Outcomes of single pictures to ``metrics.json``: figures with intervals, by kind and count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from instructsam.metrics import MaskCounts, Metrics, SegmentationMetrics
from instructsam.tracking_metrics import (
    SAME_PLACE,
    TrackedFrame,
    TrackingScore,
    score_sequence,
)
from instructsam_ros.perception.outlines import Outline, common_window
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.targets import TargetGeometry
from instructsam_ros.replay.assembling import BagFrame
from instructsam_ros.replay.schedule import Query
from instructsam_ros.replay.truth import TrueObject

_ERRORS = ('centroid_error', 'centre_error')
# more than all overlaps of a picture together: what belonged together before still does
_LOYALTY = 1000.0
_DIGITS = 6


@dataclass(frozen=True)
class Outcome:
    """What one query found in one picture, beside what is true.

    Attributes:
        time: seconds since the start of the bag.
        truth: None where nobody knows.
        timings: seconds by stage; ``frame`` is all of it.
    """

    frame: BagFrame
    time: float
    query: Query
    result: PerceptionResult
    truth: Sequence[TrueObject] | None
    timings: Mapping[str, float]


class Evaluator:
    """Takes outcomes in and gives figures out; keeps no masks."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._metrics = SegmentationMetrics()
        self._blocks: list[int] = []
        self._kinds: dict[str, None] = {}
        self._tracks: dict[tuple[str, int, int], list[TrackedFrame]] = {}
        self._spans: dict[tuple[str, int, int], list[float]] = {}
        # true id -> found id, by sequence
        self._partners: dict[tuple[str, int, int], dict[int, int]] = {}
        self._scene = 0
        self.per_frame: list[dict[str, Any]] = []

    def add(self, outcome: Outcome) -> dict[str, Any]:
        """Take in an outcome; return its entry of ``per_frame``."""
        found, query = outcome.result.segmentation.instances, outcome.query
        entry: dict[str, Any] = {
            'index': outcome.frame.index, 'stamp_ns': outcome.frame.stamp_ns,
            'time': round(outcome.time, _DIGITS), 'instruction': query.text, 'kind': query.kind,
            'instruction_id': query.number, 'answer': outcome.result.segmentation.answer,
            'found': [one.phrase for one in found], 'meant': None, 'iou': None,
            'targets': [], 'timings': {k: round(v, _DIGITS) for k, v in outcome.timings.items()}}
        pairs: dict[int, tuple[TrueObject, float]] = {}
        if outcome.truth is not None:
            truth = outcome.truth
            kind = query.kind or ('present' if truth else 'absent')
            _check_shapes([*(one.mask.shape for one in found), *(one.shape for one in truth)])
            counts = count_pixels(outcome.result.outlines, [one.outline for one in truth])
            entry['kind'] = kind
            entry['meant'] = [one.phrase for one in truth]
            entry['iou'] = round(self._metrics.add_counts(
                counts, [one.score for one in found], kind=kind), _DIGITS)
            self._blocks.append(outcome.frame.index)
            self._kinds[kind] = None
            pairs = self._track(outcome, truth, counts.ious)
        entry['targets'] = [
            _target_entry(number, outcome, pairs.get(number)) for number in range(len(found))]
        self.per_frame.append(entry)
        return entry

    def figures(self) -> dict[str, Any]:
        """Return the parts of ``metrics.json`` that come from outcomes."""
        kinds = self._metrics.by_kind()
        counts = self._metrics.by_count()
        whole = _figures(self._metrics.overall(), self._metrics.intervals(blocks=self._blocks)
                         if self._blocks else {})
        by_kind = {name: _figures(kinds[name], self._metrics.intervals(
            [name], blocks=self._blocks)) for name in self._kinds}
        return {
            'summary': whole,
            'by_kind': by_kind if set(by_kind) - {'present', 'absent'} else {},
            'by_count': {name: _figures(one, {}) for name, one in counts.items()},
            'tracking': self._tracking(),
            'errors_3d': self._errors(),
            'timings': self._timings(),
            'per_frame': self.per_frame,
        }

    def _track(
        self, outcome: Outcome, truth: Sequence[TrueObject], overlaps: np.ndarray
    ) -> dict[int, tuple[TrueObject, float]]:
        """Take in who is who; return which found objects belong to which true ones."""
        ids = [target.id for target in outcome.result.targets]
        if truth:
            self._scene = truth[0].scene
        key = (outcome.query.text, outcome.query.number, self._scene)
        self._tracks.setdefault(key, []).append(
            TrackedFrame([one.id for one in truth], ids, overlaps.T))
        self._spans.setdefault(key, []).append(outcome.time)
        partners = self._partners.setdefault(key, {})
        pairs = _pairs(overlaps, truth, ids, partners)
        partners |= {one.id: ids[number] for number, (one, _) in pairs.items()}
        return pairs

    def _tracking(self) -> dict[str, Any] | None:
        if not any(one.truth or one.found for frames in self._tracks.values() for one in frames):
            return None
        score = sum((score_sequence(frames) for frames in self._tracks.values()), TrackingScore())
        minutes = sum(max(times) - min(times) for times in self._spans.values()) / 60
        figures: dict[str, Any] = {
            name: round(value, _DIGITS) for name, value in score.to_dict().items()}
        figures['id_switches_per_minute'] = round(
            score.switches / minutes if minutes else 0.0, _DIGITS)
        return figures

    def _errors(self) -> dict[str, Any]:
        figures = {}
        for name in _ERRORS:
            values = [target[name] for one in self.per_frame for target in one['targets']
                      if target[name] is not None]
            figures[name.replace('_error', '_m')] = {
                'n': len(values),
                'median': _rounded(np.median(values)) if values else None,
                'p95': _rounded(np.percentile(values, 95)) if values else None,
                'rms': _rounded(np.sqrt(np.mean(np.square(values)))) if values else None}
        return figures

    def _timings(self) -> dict[str, dict[str, float]]:
        stages: dict[str, list[float]] = {}
        for one in self.per_frame:
            for name, value in one['timings'].items():
                stages.setdefault(name, []).append(value)
        return {name: {
            'p50': _rounded(np.median(values)), 'p95': _rounded(np.percentile(values, 95)),
            'max': _rounded(max(values)), 'mean': _rounded(np.mean(values))}
            for name, values in stages.items()}


def count_pixels(found: Sequence[Outline], true: Sequence[Outline]) -> MaskCounts:
    """Return what found and true masks of one picture have and share, pixels."""
    rows, columns = common_window([*found, *true])
    corner = columns.start, rows.start
    unions = []
    for group in (found, true):
        union = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        for one in group:
            if one.area:
                down, across = (
                    slice(side.start - start, side.stop - start)
                    for side, start in zip(one.window, corner[::-1], strict=True))
                union[down, across] |= one.mask
        unions.append(union)
    either = sum(int(np.count_nonzero(union)) for union in unions)
    both = int(np.count_nonzero(unions[0] & unions[1]))
    shared = np.array([a.common(b) for a in found for b in true], np.float64)
    return MaskCounts(
        _areas(found), _areas(true), shared.reshape(len(found), len(true)), both, either - both)


def _areas(outlines: Sequence[Outline]) -> np.ndarray:
    return np.array([one.area for one in outlines], np.float64)


def _check_shapes(shapes: Sequence[tuple[int, ...]]) -> None:
    if len(set(shapes)) > 1:
        raise ValueError(
            f'masks of different shapes {sorted(set(shapes))}: the truth must be as large as the '
            'pictures')


def _rounded(value: Any) -> float:
    return round(float(value), _DIGITS)


def _figures(metrics: Metrics, intervals: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, value in metrics.to_dict().items():
        if name == 'queries':
            figures[name] = value
            continue
        low, high = intervals.get(name, (value, value))
        figures[name] = {key: None if one is None else _rounded(one)
                         for key, one in (('value', value), ('low', low), ('high', high))}
    return figures


def _pairs(
    overlaps: np.ndarray, truth: Sequence[TrueObject], ids: Sequence[int],
    partners: Mapping[int, int],
) -> dict[int, tuple[TrueObject, float]]:
    """Match found and true objects one to one; those that share too little stay alone.

    ``partners`` (true id -> found id) stay together while they share enough, as for id switches.
    """
    loyal = np.array([[partners.get(one.id) == number for one in truth] for number in ids], bool)
    enough = overlaps >= SAME_PLACE
    weights = np.where(enough, overlaps + _LOYALTY * loyal.reshape(overlaps.shape), 0.0)
    rows, columns = linear_sum_assignment(-weights)
    return {int(row): (truth[int(column)], float(overlaps[row, column]))
            for row, column in zip(rows, columns, strict=True) if enough[row, column]}


def _target_entry(
    number: int, outcome: Outcome, pair: tuple[TrueObject, float] | None
) -> dict[str, Any]:
    target = outcome.result.targets[number]
    entry: dict[str, Any] = {
        'id': target.id, 'phrase': target.phrase, 'score': _rounded(target.score),
        'status': target.status.names, 'truth_id': None, 'iou': None}
    entry |= dict.fromkeys(_ERRORS)
    if pair is not None:
        truth, overlap = pair
        entry['truth_id'], entry['iou'] = truth.id, _rounded(overlap)
        entry |= _errors_of(target.geometry, truth.geometry)
    return entry


def _errors_of(found: TargetGeometry | None, true: TargetGeometry | None) -> dict[str, Any]:
    if found is None or true is None:
        return {}
    errors = {'centroid_error': _rounded(np.linalg.norm(found.centroid - true.centroid))}
    # truth may be a centroid without a box: see sensor_msgs about a covariance of -1
    if true.covariance[0, 0] >= 0 and (true.size > 0).all():
        errors['centre_error'] = _rounded(np.linalg.norm(found.position - true.position))
    return errors
