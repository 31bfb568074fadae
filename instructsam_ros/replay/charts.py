# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Charts of the report as inline SVG: no scripts, no network; colours come from the page's CSS."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

_WIDTH = 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 38
# more dots than a chart is wide cannot be told apart, and make the page large
_SLOTS = 500


def histogram(
    values: Sequence[float], label: str, *, marks: Mapping[str, float] | None = None, bins: int = 40
) -> str:
    """Return how often values occur; empty without any.

    ``label`` names the axis with its unit; ``marks`` are vertical lines by name. The highest
    percent of the values is gathered in the last bin, lest one outlier flattens everything.
    """
    if not len(values):
        return ''
    data = np.asarray(values, float)
    low, high = float(data.min()), float(np.percentile(data, 99))
    high = max([high, *(marks or {}).values()])
    if high <= low:
        high = low + max(abs(low), 1.0) * 0.1
    counts, edges = np.histogram(np.minimum(data, high), bins=bins, range=(low, high))
    # names of marks stand above the bars
    room = 1.3 if marks else 1.0
    frame = _Frame(low, high, 0, room * float(counts.max()), height=190)
    bars = ''.join(
        f'<rect class="bar" x="{frame.x(left):.1f}" y="{frame.y(count):.1f}" '
        f'width="{max(frame.x(right) - frame.x(left) - 1, 0.5):.1f}" '
        f'height="{frame.y(0) - frame.y(count):.1f}"><title>{left:.3g} to {right:.3g}: '
        f'{count}</title></rect>'
        for left, right, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if count
    )
    return frame.svg(bars + frame.marks(marks or {}), label, f'{label}: {len(data)} values')


def series(
    times: Sequence[float], values: Mapping[str, Sequence[float | None]], label: str,
    *, gaps: Sequence[float] = (),
) -> str:
    """Return values over time as dots, one colour per name; ``gaps`` are times of lost pictures.

    ``times`` in seconds since the start of the bag. Of many values in nearly one moment the least
    and the greatest are shown.
    """
    known = [v for one in values.values() for v in one if v is not None]
    if not known:
        return ''
    everything = [*times, *gaps]
    frame = _Frame(min(everything), max(everything) or 1.0, 0, max(known) or 1.0, height=210)
    parts = [
        f'<line class="gap" x1="{frame.x(t):.1f}" x2="{frame.x(t):.1f}" y1="{frame.y(0) - 8:.1f}" '
        f'y2="{frame.y(0):.1f}"/>' for t in gaps
    ]
    for number, one in enumerate(values.values()):
        parts += [
            f'<circle class="c{number}" cx="{frame.x(t):.1f}" cy="{frame.y(v):.1f}" r="2.2"/>'
            for t, v in _thinned(times, one)
        ]
    chart = frame.svg(''.join(parts), 'seconds since the start', label)
    return _legend(list(values)) + chart if len(values) > 1 else chart


def _thinned(
    times: Sequence[float], values: Sequence[float | None]
) -> list[tuple[float, float]]:
    """Return the points that show; not more than two in each of as many slots as fit."""
    points = [(t, v) for t, v in zip(times, values, strict=True) if v is not None]
    if len(points) <= 2 * _SLOTS:
        return points
    first, last = min(points)[0], max(points)[0]
    slots: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        slots.setdefault(
            int((point[0] - first) / max(last - first, 1e-9) * _SLOTS), []).append(point)
    # a lone point is both
    return [one for slot in slots.values() for one in dict.fromkeys((
        min(slot, key=lambda point: point[1]), max(slot, key=lambda point: point[1])))]


class Span(NamedTuple):
    """A stretch of time, seconds, with what to say about it and the number of its colour."""

    start: float
    stop: float
    text: str
    color: int = 0


def lanes(spans: Mapping[str, Sequence[Span]], end: float) -> str:
    """Return one lane per object with the ids that it had.

    An object that keeps its id is one unbroken bar; a switch shows as a change of colour.
    """
    if not spans:
        return ''
    pitch = 22
    height = pitch * len(spans) + 44
    left = 140
    scale = (_WIDTH - left - _RIGHT) / max(end, 1e-9)
    parts = []
    for row, (name, pieces) in enumerate(spans.items()):
        y = 8 + row * pitch
        shown = name if len(name) <= 22 else f'{name[:21]}…'
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 12}" text-anchor="end">'
                     f'{escape(shown)}</text>')
        parts += [
            f'<rect class="c{one.color % 6}" x="{left + one.start * scale:.1f}" y="{y}" rx="2" '
            f'width="{max((one.stop - one.start) * scale, 2):.1f}" height="{pitch - 8}">'
            f'<title>{escape(name)}, {escape(one.text)}, {one.start:.1f} to {one.stop:.1f} s'
            '</title></rect>' for one in pieces]
    for tick in _ticks(0, end):
        x = left + tick * scale
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 22}" text-anchor="middle">'
                     f'{tick:g}</text>')
    parts.append(f'<text class="axis" x="{(left + _WIDTH) / 2:.0f}" y="{height - 4}" '
                 'text-anchor="middle">seconds since the start</text>')
    return _svg(''.join(parts), height, 'ids of each object over time')


def interval_bar(value: float, low: float, high: float) -> str:
    """Return a bar from 0 to 1 with its confidence interval, for a cell of a table."""
    width, height = 120, 12
    return (
        f'<svg class="interval" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{value:.2f}, between {low:.2f} and {high:.2f}">'
        f'<rect class="rail" width="{width}" height="{height}" rx="2"/>'
        f'<rect class="bar" width="{width * value:.1f}" height="{height}" rx="2"/>'
        f'<line class="whisker" x1="{width * low:.1f}" x2="{width * high:.1f}" y1="6" y2="6"/>'
        '</svg>')


class _Frame:
    """Axes: from values to pixels of the drawing."""

    def __init__(
        self, x_low: float, x_high: float, y_low: float, y_high: float, *, height: int
    ) -> None:
        self.x_range = (x_low, x_high if x_high > x_low else x_low + 1)
        self.y_range = (y_low, y_high if y_high > y_low else y_low + 1)
        self.height = height

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (value - low) / (high - low)
        return self.height - _BOTTOM - share * (self.height - _BOTTOM - _TOP)

    def marks(self, marks: Mapping[str, float]) -> str:
        """Return vertical lines with their names, each name a step lower than the one before."""
        parts = []
        for number, (name, value) in enumerate(marks.items()):
            x = self.x(value)
            # at the right end the name goes to the left of its line
            place, anchor = (x - 4, 'end') if x > 0.75 * _WIDTH else (x + 4, 'start')
            parts.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
                f'y2="{self.height - _BOTTOM}"/><text class="tick name" x="{place:.1f}" '
                f'y="{_TOP + 11 + 13 * number}" text-anchor="{anchor}">{escape(name)}</text>')
        return ''.join(parts)

    def svg(self, content: str, x_label: str, title: str) -> str:
        """Return the drawing with axes around its content."""
        base = self.height - _BOTTOM
        parts = [f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" '
                 f'y2="{base}"/>']
        for tick in _ticks(*self.x_range):
            parts.append(f'<text class="tick" x="{self.x(tick):.1f}" y="{base + 15}" '
                         f'text-anchor="middle">{tick:g}</text>')
        for tick in _ticks(*self.y_range, count=4):
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
                         f'y2="{y:.1f}"/><text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" '
                         f'text-anchor="end">{tick:g}</text>')
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        parts.append(f'<text class="axis" x="{middle}" y="{self.height - 4}" '
                     f'text-anchor="middle">{escape(x_label)}</text>')
        return _svg(''.join(parts) + content, self.height, title)


def _svg(content: str, height: int, title: str) -> str:
    return (f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="{escape(title, quote=True)}">{content}</svg>')


def _legend(names: Sequence[str]) -> str:
    items = ''.join(f'<span><i class="k{number}"></i>{escape(name)}</span>'
                    for number, name in enumerate(names))
    return f'<p class="legend">{items}</p>'


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return round numbers between two, about ``count`` of them."""
    span = max(high - low, 1e-12)
    step = 10.0 ** np.floor(np.log10(span / count))
    step *= next((m for m in (1, 2, 5, 10) if span / (step * m) <= count), 10)
    first = np.ceil(low / step - 1e-9)
    last = np.floor(high / step + 1e-9)
    # + 0.0: no minus before a zero
    return [round(float(n * step), 10) + 0.0 for n in np.arange(first, last + 1)]
