# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two replays of the same pictures side by side: what changed, and is it more than chance?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from scipy import stats

from instructsam_ros.replay import charts
from instructsam_ros.replay.report import figure, flat

Json = Mapping[str, Any]

_RESAMPLES = 2000
_SHOWN = 20
# smaller changes of an IoU would read 0.000
_LEAST_SHOWN = 0.0005
_METHOD = (
    'Queries are paired by picture stamp and instruction. Intervals: bootstrap over pairs. p: '
    'Wilcoxon signed-rank test of the paired differences, two-sided; the smaller, the less likely '
    'is such a difference by chance. Neighbouring pictures of a bag are much alike, so p is too '
    'small rather than too large.'
)


@dataclass(frozen=True)
class Difference:
    """How a figure changed from A to B over n pairs.

    Attributes:
        a, b: means over the pairs.
        low, high: 95 % interval of the mean of b - a.
        p: Wilcoxon's p; 1 where no pair differs.
        n: number of pairs.
    """

    a: float
    b: float
    low: float
    high: float
    p: float
    n: int

    @property
    def value(self) -> float:
        """B minus A."""
        return self.b - self.a


def paired_difference(a: Sequence[float], b: Sequence[float], *, seed: int = 0) -> Difference:
    """Compare two equally long lists of at least one paired value.

    Bootstrap percentile interval (Efron 1979) and Wilcoxon's signed-rank test (1945). Raises
    ValueError for lists that are empty or not equally long.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape or not len(first):
        raise ValueError(f'{len(first)} and {len(second)} values: give pairs, one at least')
    change = second - first
    rng = np.random.default_rng(seed)
    means = change[rng.integers(len(change), size=(_RESAMPLES, len(change)))].mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    p = float(stats.wilcoxon(change).pvalue) if change.any() else 1.0
    return Difference(float(first.mean()), float(second.mean()), float(low), float(high), p,
                      len(change))


def render_comparison(a: Json, b: Json) -> str:
    """Return the page for two ``metrics.json``.

    Raises ValueError when they have no picture with the same instruction in common.
    """
    pairs = _pairs(a, b)
    if not pairs:
        raise ValueError('the two replays have no picture with the same instruction in common: '
                         'compare replays of one bag with the same instructions')
    judged = [(one, two) for one, two in pairs
              if one['iou'] is not None and two['iou'] is not None]
    rows = _rows(pairs, judged)
    pages = Environment(
        loader=PackageLoader('instructsam_ros.replay'), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    names = [Path(one['bag']['path']).name for one in (a, b)]
    return pages.get_template('compare.html.jinja').render(
        title='Two replays compared',
        subtitle=f'A: {names[0]}, B: {names[1]}; {len(pairs)} queries in common',
        warnings=_warnings(a, b, len(pairs)),
        tiles=[{'name': row['name'], 'value': row['difference'], 'trend': row['trend'],
                'note': f'{row["a"]} to {row["b"]}; p {row["p"]}'} for row in rows[:4]],
        rows=rows, method=_METHOD,
        chart=Markup(charts.histogram(
            [two['iou'] - one['iou'] for one, two in judged], 'IoU of B minus IoU of A',
            marks={'no change': 0.0})) if judged else '',
        changes=_changes(judged), settings=_settings(a, b),
        command_a=a['command'], command_b=b['command'])


def _pairs(a: Json, b: Json) -> list[tuple[Json, Json]]:
    known = {(one['stamp_ns'], one['instruction']): one for one in a['per_frame']}
    return [(known[key], two) for two in b['per_frame']
            if (key := (two['stamp_ns'], two['instruction'])) in known]


def _rows(
    pairs: Sequence[tuple[Json, Json]], judged: Sequence[tuple[Json, Json]]
) -> list[dict[str, str]]:
    rows = []
    if judged:
        rows.append(_row('gIoU', paired_difference(*_columns(judged, 'iou')), 1))
        for kind in sorted({one['kind'] for one, _ in judged if one['kind']}):
            part = [pair for pair in judged if pair[0]['kind'] == kind]
            rows.append(_row(f'gIoU, {kind.replace("_", " ")}',
                             paired_difference(*_columns(part, 'iou')), 1))
    for key, name in (('centroid_error', 'centroid error'), ('centre_error', 'centre error')):
        values = _matched_errors(pairs, key)
        if values:
            rows.append(_row(f'{name}, mm', paired_difference(*zip(*values, strict=True)), -1,
                             scale=1000, digits=2))
    took = [tuple(one['timings']['frame'] for one in pair) for pair in pairs]
    rows.append(_row('milliseconds per picture', paired_difference(*zip(*took, strict=True)), -1,
                     scale=1000, digits=1))
    return rows


def _columns(pairs: Sequence[tuple[Json, Json]], key: str) -> tuple[list[float], list[float]]:
    return [one[key] for one, _ in pairs], [two[key] for _, two in pairs]


def _matched_errors(
    pairs: Sequence[tuple[Json, Json]], key: str
) -> list[tuple[float, float]]:
    """Return the errors of true objects that both replays found in the same picture."""
    found = []
    for pair in pairs:
        first, second = ({t['truth_id']: t[key] for t in one['targets']
                          if t.get('truth_id') is not None and t.get(key) is not None}
                         for one in pair)
        found += [(first[name], second[name]) for name in first.keys() & second.keys()]
    return found


def _row(
    name: str, change: Difference, better: int, *, scale: float = 1, digits: int = 3
) -> dict[str, str]:
    sure = change.low > 0 or change.high < 0
    trend = '' if not sure else 'up' if change.value * better > 0 else 'down'
    return {
        'name': f'{name} (n = {change.n})', 'a': figure(scale * change.a, digits),
        'b': figure(scale * change.b, digits),
        'difference': _signed(scale * change.value, digits), 'trend': trend,
        'interval': f'{_signed(scale * change.low, digits)} to '
                    f'{_signed(scale * change.high, digits)}',
        'p': '< 0.001' if change.p < 0.001 else f'{change.p:.3f}'}


def _changes(judged: Sequence[tuple[Json, Json]]) -> list[dict[str, Any]]:
    def change(pair: tuple[Json, Json]) -> float:
        return float(pair[1]['iou'] - pair[0]['iou'])

    largest = sorted((pair for pair in judged if abs(change(pair)) >= _LEAST_SHOWN),
                     key=lambda pair: -abs(change(pair)))
    return [{'index': two['index'], 'instruction': two['instruction'], 'a': figure(one['iou']),
             'b': figure(two['iou']), 'difference': _signed(change((one, two)), 3),
             'trend': 'up' if change((one, two)) > 0 else 'down'}
            for one, two in largest[:_SHOWN]]


def _signed(value: float, digits: int) -> str:
    """Return a change as text, without a sign where it rounds to nothing."""
    text = f'{value:+.{digits}f}'
    return text if float(text) else text[1:]


def _settings(a: Json, b: Json) -> list[tuple[str, str, str]]:
    first, second = (dict([*flat(one['environment']), *flat(one['settings'])]) for one in (a, b))
    return [(name, first.get(name, '–'), second.get(name, '–'))
            for name in {**first, **second} if first.get(name) != second.get(name)]


def _warnings(a: Json, b: Json, common: int) -> list[str]:
    sizes = [len(one['per_frame']) for one in (a, b)]
    if common == max(sizes):
        return []
    return [f'Only {common} queries are in both: A has {sizes[0]}, B {sizes[1]}.']

