# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the demo tells what happened: a live table, a summary and a page with the pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from rich import box
from rich.markup import escape as plain
from rich.table import Table

from instructsam_ros.demo.comparison import Comparison

_STYLES = {'found': 'green', 'missed': 'red', 'wrong': 'red', 'nothing, rightly': 'green'}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>instructsam-ros demo</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
        color: #222; background: #fafafa }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr));
        gap: 1rem; align-items: start; margin-top: 1.5rem }}
article {{ background: #fff; border: 1px solid #ddd; border-top: 4px solid #b00020;
           border-radius: 6px; overflow: hidden }}
article.right {{ border-top-color: #2e7d32 }}
article img {{ width: 100%; display: block }}
article div {{ padding: .6rem .8rem }}
h2 {{ font-size: 1rem; margin: 0 }}
small {{ color: #666 }}
ul {{ margin: .4rem 0 0; padding-left: 1.1rem }}
p {{ margin: .2rem 0 }}
.bad {{ color: #b00020 }}
</style>
<h1>What was asked, and what was found</h1>
{summary}
<main>
{articles}
</main></html>
"""


@dataclass(frozen=True)
class DemoStep:
    """One instruction of the demo and what came of it.

    Attributes:
        scene: number of the scene, from 1.
        kind: the instruction's kind, as the grammar names it.
        way: how it was sent: topic, voice or service.
        instruction, answer: what was asked and what the model said.
        picture: file name of the overlay.
        comparisons: one per wanted object or found instance; empty when there was nothing to find
            and nothing was found.
        seconds: from sending the instruction to its first targets.
        latency: seconds from the picture's stamp to its targets.
    """

    scene: int
    kind: str
    way: str
    instruction: str
    answer: str
    picture: str
    comparisons: Sequence[Comparison]
    seconds: float
    latency: float

    @property
    def right(self) -> bool:
        """Whether exactly the wanted objects were found."""
        return all(one.verdict == 'found' for one in self.comparisons)


def comparison_table(steps: Sequence[DemoStep]) -> Table:
    """Return the table of targets beside the truth."""
    table = Table(title='Targets beside the truth', title_justify='left',
                  box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column('', justify='right', no_wrap=True)
    # sentences get what 80 columns leave, not the first six of them
    table.add_column('instruction', min_width=18, max_width=30)
    for name in ('wanted', 'found'):
        table.add_column(name, min_width=7, max_width=12)
    for name in ('IoU', 'm', 'error\nmm'):
        table.add_column(name, justify='right', no_wrap=True)
    table.add_column('', min_width=8)
    table.add_column('s', justify='right', no_wrap=True)
    for step in steps:
        rows = [_row(one) for one in step.comparisons]
        rows = rows or [['-', '-', '', '', '', 'nothing, rightly']]
        for number, row in enumerate(rows):
            head, tail = ['', ''], ''
            if number == 0:
                head = [str(step.scene), f'{plain(step.instruction)} [dim]({step.way})[/]']
                tail = f'{step.seconds:.2f}'
            verdict = row[-1]
            table.add_row(*head, *row[:-1], f'[{_STYLES[verdict]}]{verdict}[/]', tail)
        table.add_section()
    return table


def summary(steps: Sequence[DemoStep]) -> list[str]:
    """Return a few lines of figures, each with what it is the median of."""
    right = sum(step.right for step in steps)
    lines = [f'{right} of {len(steps)} instructions answered exactly right.']
    found = [one for step in steps for one in step.comparisons if one.verdict == 'found']
    if found:
        lines.append(f'Median IoU of the {len(found)} objects found: '
                     f'{np.median([one.iou for one in found]):.2f}.')
    errors = [one for one in found if one.distance_error is not None]
    if errors:
        distance, centroid, centre = (
            1000 * float(np.median([getattr(one, name) for one in errors]))
            for name in ('distance_error', 'centroid_error', 'centre_error')
        )
        lines.append(
            f'Median errors: distance {distance:.1f} mm, centroid of the visible surface '
            f'{centroid:.1f} mm, centre of the whole object {centre:.1f} mm.'
        )
    if steps:
        waited, latency = (
            1000 * float(np.median([getattr(step, name) for step in steps]))
            for name in ('seconds', 'latency')
        )
        lines.append(
            f'Median times: {waited:.0f} ms from an instruction to its targets, {latency:.0f} ms '
            "from a picture's stamp to its targets."
        )
    return lines


def write_page(path: Path, steps: Sequence[DemoStep]) -> None:
    """Write the HTML index beside the pictures."""
    articles = '\n'.join(_article(step) for step in steps)
    figures = '\n'.join(f'<p>{escape(line)}</p>' for line in summary(steps))
    path.write_text(_PAGE.format(summary=figures, articles=articles), encoding='utf-8')


def _row(one: Comparison) -> list[str]:
    return [
        plain(one.wanted or '-'),
        plain(one.found or '-'),
        f'{one.iou:.2f}' if one.wanted and one.found else '',
        '' if one.distance is None else f'{one.distance:.3f}',
        '' if one.distance_error is None else f'{1000 * one.distance_error:.1f}',
        one.verdict,
    ]


def _article(step: DemoStep) -> str:
    items = ''.join(f'<li{_mark(one)}>{escape(_sentence(one))}</li>' for one in step.comparisons)
    items = items or '<li>nothing to find, nothing found</li>'
    name = escape(step.picture, quote=True)
    judged = ' class=right' if step.right else ''
    return (
        f'<article{judged}><a href="{name}"><img src="{name}" alt="" loading="lazy"></a><div>'
        f'<h2>{escape(step.instruction)}</h2>'
        f'<small>scene {step.scene}, {escape(step.kind.replace("_", " "))}, by {step.way}; '
        f'answered in {step.seconds:.2f} s: {escape(step.answer)}</small>'
        f'<ul>{items}</ul></div></article>'
    )


def _mark(one: Comparison) -> str:
    return '' if one.verdict == 'found' else ' class="bad"'


def _sentence(one: Comparison) -> str:
    if one.found is None:
        return f'{one.wanted}: missed'
    if one.wanted is None:
        return f'found a "{one.found}" that was not asked for'
    text = f'{one.wanted}: IoU {one.iou:.2f}'
    if one.distance is not None and one.distance_error is not None:
        text += f', {one.distance:.3f} m away (error {1000 * one.distance_error:.1f} mm)'
    return text
