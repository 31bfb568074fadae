# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables for the terminal."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.segmenter import Instance
from instructsam_ros.perception.targets import Target


def target_table(results: Sequence[tuple[str, PerceptionResult]], *, title: str) -> Table:
    """Return one row per target of each named picture, and one where nothing was found."""
    several = len(results) > 1
    table = Table(title=escape(title), title_justify='left')
    if several:
        table.add_column('picture', overflow='fold')
    table.add_column('id', justify='right')
    table.add_column('phrase', overflow='fold')
    table.add_column('score', justify='right')
    table.add_column('box px', overflow='fold')
    table.add_column('position m', overflow='fold')
    table.add_column('size cm')
    table.add_column('remarks', overflow='fold')
    for name, result in results:
        first = [escape(name)] if several else []
        if not result.targets:
            phrases = escape(', '.join(result.segmentation.phrases))
            table.add_row(*first, '-', phrases, '-', '-', '-', '-', 'nothing found')
        for one, target in zip(result.segmentation.instances, result.targets, strict=True):
            table.add_row(*first, *_cells(one, target))
    table.caption = 'position: centre of the box; x right, y down, z forward of the camera'
    table.caption_justify = 'left'
    return table


def _cells(one: Instance, target: Target) -> list[str]:
    x0, y0, x1, y1 = (round(value) for value in one.box)
    cells = [str(target.id), escape(target.phrase), f'{target.score:.2f}', f'{x0},{y0} {x1},{y1}']
    geometry = target.geometry
    if geometry is None:
        cells += ['-', '-']
    else:
        cells.append(' '.join(f'{value:+.3f}' for value in geometry.position))
        cells.append(' x '.join(f'{100 * side:.1f}' for side in geometry.size))
    cells.append(', '.join(name.lower() for name in target.status.names))
    return cells
