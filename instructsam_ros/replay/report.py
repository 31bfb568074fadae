# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``report.html``: one self-contained page about a replay, made from its ``metrics.json``."""

import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from instructsam_ros.replay import charts

Json = Mapping[str, Any]

_COLUMNS = ('cIoU', 'AP', 'AP50', 'AP75', 'P@0.5', 'P@0.9', 'absent_accuracy')
_SECTIONS = {
    'best': ('Best', 'Highest IoU between what was found and what was meant.'),
    'worst': ('Worst of what was found', 'Something was found, but it covers the truth least.'),
    'failed': ('Missed', 'There was something to find, and nothing or something else was found.'),
    'absent': ('Not there', 'What was asked for was not in the picture.'),
    'examples': ('Examples', 'Pictures spread over the bag; there is no ground truth to judge by.'),
}
_MAX_LANES = 24
_COUNTS = {'0': 'nothing there', '1': 'one there', '>=2': 'several there'}


def render_report(metrics: Json, pictures: Mapping[str, bytes]) -> str:
    """Return the page.

    ``metrics`` as in ``metrics.json``; ``pictures`` are the JPEG files that its cases name. Raises
    KeyError for a case whose picture is missing.
    """
    per_frame = metrics['per_frame']
    # HTML is escaped wherever it comes from a bag or a model
    pages = Environment(
        loader=PackageLoader('instructsam_ros.replay'), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    return pages.get_template('report.html.jinja').render(
        title=f'Replay of {Path(metrics["bag"]["path"]).name}',
        subtitle=_subtitle(metrics),
        warnings=metrics.get('warnings', []),
        tiles=_tiles(metrics),
        groups=_groups(metrics),
        group_name='kind of instruction',
        columns=[name.replace('_', ' ') for name in _shown_columns(metrics)],
        speed=_speed(per_frame),
        stages=_stages(metrics['timings']),
        pictures=_picture_rows(metrics['frames']),
        space=_space(per_frame),
        lanes=Markup(charts.lanes(_lanes(per_frame), _end(per_frame))),
        lanes_note='One row per true object, numbered within its scene. Another colour is another '
                   'id; ids begin anew with every instruction.',
        sections=_sections(metrics, pictures),
        command=metrics['command'],
        environment=[*flat(metrics['environment']), *flat(metrics['settings'])],
    )


def write_report(path: Path, metrics: Json, pictures: Mapping[str, bytes]) -> None:
    """Write the page to a file (see ``render_report``)."""
    path.write_text(render_report(metrics, pictures), encoding='utf-8')


def figure(value: float | None, digits: int = 3) -> str:
    """Return a share or score as text, a dash where there is none."""
    return '–' if value is None else f'{value:.{digits}f}'


def _subtitle(metrics: Json) -> str:
    frames, bag = metrics['frames'], metrics['bag']
    seconds = round(bag['duration'])
    duration = f'{seconds} s' if seconds < 120 else str(timedelta(seconds=seconds))
    instructions = len({one['instruction'] for one in metrics['per_frame']})
    return (f'{frames["processed"]} pictures of {duration} ({bag["storage"]}), '
            f'{instructions} instruction{"s" if instructions != 1 else ""}')


def _tiles(metrics: Json) -> list[dict[str, str]]:
    tiles = []
    summary = metrics['summary']
    for name, title in (('gIoU', 'gIoU'), ('AP50', 'AP50'), ('absent_accuracy', 'absent accuracy')):
        one = summary.get(name)
        if one and one['value'] is not None:
            tiles.append({'name': title, 'value': figure(one['value']),
                          'note': f'95 %: {figure(one["low"], 2)} to {figure(one["high"], 2)}'})
    tracking = metrics.get('tracking')
    if tracking:
        tiles.append({'name': 'IDF1', 'value': figure(tracking['IDF1']),
                      'note': f'HOTA {figure(tracking["HOTA"])}; '
                              f'{tracking["id_switches_per_minute"]:.1f} id switches a minute'})
    errors = metrics.get('errors_3d') or {}
    for name, title in (('centroid_m', 'centroid error'), ('centre_m', 'centre error')):
        one = errors.get(name)
        if one and one['n']:
            tiles.append({'name': title, 'value': f'{1000 * one["median"]:.1f} mm',
                          'note': f'median; 95 %: {1000 * one["p95"]:.1f} mm'})
    whole = metrics['timings'].get('frame')
    if whole:
        tiles.append({'name': 'a picture takes', 'value': f'{1000 * whole["p50"]:.0f} ms',
                      'note': f'median; 95 %: {1000 * whole["p95"]:.0f} ms'})
    return tiles


def _shown_columns(metrics: Json) -> list[str]:
    """Leave out columns that no row has a figure for."""
    rows = [metrics['summary'], *metrics['by_kind'].values()]
    return [name for name in _COLUMNS
            if any(row.get(name, {}).get('value') is not None for row in rows)]


def _groups(metrics: Json) -> list[dict[str, Any]]:
    if metrics['summary'].get('gIoU', {}).get('value') is None:
        return []
    columns = _shown_columns(metrics)
    rows = [('all', metrics['summary'], True)]
    rows += [(name.replace('_', ' '), one, False) for name, one in metrics['by_kind'].items()]
    rows += [(_COUNTS.get(name, name), one, False) for name, one in metrics['by_count'].items()]
    found = []
    for name, one, is_all in rows:
        giou = one['gIoU']
        bar = ''
        if giou['value'] is not None:
            bar = charts.interval_bar(giou['value'], giou['low'], giou['high'])
        found.append({
            'name': name, 'queries': one['queries'], 'all': is_all, 'bar': Markup(bar),
            'giou': figure(giou['value']),
            'cells': [figure(_value(one, column)) for column in columns]})
    return found


def _value(group: Json, column: str) -> float | None:
    """Return a figure of a group, None where it means nothing: areas of what is not there."""
    if column == 'cIoU' and group.get('mIoU', {}).get('value') is None:
        return None
    value: float | None = group.get(column, {}).get('value')
    return value


def _speed(per_frame: Sequence[Json]) -> list[dict[str, Any]]:
    took = [1000 * one['timings']['frame'] for one in per_frame]
    times = [one['time'] for one in per_frame]
    if not took:
        return []
    marks = _marks(took)
    return [
        {'title': 'Milliseconds per picture', 'note': '',
         'svg': Markup(charts.histogram(took, 'milliseconds', marks=marks))},
        {'title': 'Milliseconds per picture, over the bag', 'note': '',
         'svg': Markup(charts.series(times, {'milliseconds': took}, 'milliseconds'))},
    ]


def _marks(values: Sequence[float]) -> dict[str, float]:
    median, high = (float(v) for v in np.percentile(values, (50, 95)))
    return {f'median {median:.4g}': median, f'95 %: {high:.4g}': high}


def _stages(timings: Json) -> list[dict[str, Any]]:
    return [{'name': name, 'cells': [f'{1000 * one[key]:.1f}' for key in ('p50', 'p95', 'max')]}
            for name, one in timings.items()]


def _picture_rows(frames: Json) -> list[tuple[str, int]]:
    rows = [('in the bag', frames['images']), ('made a frame', frames['matched'])]
    rows += [(f'made none: {reason}', count) for reason, count in frames['unmatched'].items()]
    rows += [(f'complete, but {reason}', count) for reason, count in frames['flat'].items()]
    rows += [(f'not searched: {reason}', count) for reason, count in frames['dropped'].items()]
    return [*rows, ('searched', frames['processed'])]


def _space(per_frame: Sequence[Json]) -> list[dict[str, Any]]:
    shown = []
    titles = {'centroid_error': 'Error of the visible centroid, mm',
              'centre_error': "Error of the object's centre, mm"}
    for key, title in titles.items():
        known = [(one['time'], 1000 * target[key])
                 for one in per_frame for target in one['targets']
                 if target.get(key) is not None]
        if not known:
            continue
        times, values = zip(*known, strict=True)
        marks = _marks(values)
        shown.append({'title': title, 'note': f'{len(known)} targets that were found and measured.',
                      'svg': Markup(charts.histogram(values, 'mm', marks=marks))})
        shown.append({'title': f'{title}, over the bag', 'note': '',
                      'svg': Markup(charts.series(times, {'mm': values}, 'mm'))})
    return shown


def _lanes(per_frame: Sequence[Json]) -> dict[str, list[charts.Span]]:
    """Return for each true object the spans of time in which it had one id.

    Colours begin anew with every instruction, for ids do.
    """
    spans: dict[str, list[charts.Span]] = {}
    colors: dict[tuple[str, int], dict[int, int]] = {}
    steps = [b['time'] - a['time'] for a, b in zip(per_frame, per_frame[1:], strict=False)]
    # longer gaps than a few pictures are gaps, not one span
    longest = 3 * sorted(steps)[len(steps) // 2] if steps else 0.0
    for one in per_frame:
        number, time = one.get('instruction_id', 0), one['time']
        for target in one['targets']:
            if target.get('truth_id') is None:
                continue
            name, identity = f'{target["truth_id"]} {target["phrase"]}', target['id']
            known = colors.setdefault((name, number), {})
            color = known.setdefault(identity, len(known))
            text = f'{one["instruction"]}: id {identity}'
            lane = spans.setdefault(name, [])
            if lane and lane[-1].text == text and time - lane[-1].stop <= longest:
                lane[-1] = lane[-1]._replace(stop=time)
            else:
                lane.append(charts.Span(time, time, text, color))
    most_seen = sorted(spans, key=lambda name: -sum(one.stop - one.start for one in spans[name]))
    chosen = sorted(most_seen[:_MAX_LANES], key=lambda name: (spans[name][0].start, name))
    return {name: spans[name] for name in chosen}


def _end(per_frame: Sequence[Json]) -> float:
    return max((one['time'] for one in per_frame), default=0.0)


def _sections(metrics: Json, pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    sections = []
    for status, (title, note) in _SECTIONS.items():
        cases = [_case(one, pictures) for one in metrics['cases'] if one['status'] == status]
        if cases:
            sections.append({'title': title, 'note': note, 'cases': cases})
    return sections


def _case(one: Json, pictures: Mapping[str, bytes]) -> dict[str, Any]:
    judged = '' if one['iou'] is None else f'IoU {one["iou"]:.2f}'
    found = ', '.join(one['found']) or 'nothing'
    meant = one.get('meant')
    text = f'Found: {found}.'
    if meant is not None:
        text += f' Meant: {", ".join(meant) or "nothing"}.'
    encoded = base64.b64encode(pictures[one['picture']]).decode('ascii')
    return {
        'instruction': one['instruction'], 'text': text, 'right': one['right'],
        'alt': f'picture {one["index"]} with what was found drawn in',
        'note': ', '.join(part for part in (
            judged, (one['kind'] or '').replace('_', ' '), f'picture {one["index"]}',
            f'{one["time"]:.1f} s') if part),
        'picture': f'data:image/jpeg;base64,{encoded}',
    }


def flat(values: Json, prefix: str = '') -> list[tuple[str, str]]:
    """Return nested settings as rows of name and text; those that are None or '' are left out."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f'{prefix}{name}'.replace('_', ' ')
        if isinstance(value, Mapping):
            rows += flat(value, f'{label}: ')
        elif value not in (None, ''):
            rows.append((label, ', '.join(map(str, value)) if isinstance(value, list)
                         else str(value)))
    return rows
