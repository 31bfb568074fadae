# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m instructsam.evaluate`: the figures of a checkpoint on a split of the tabletop."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from instructsam.tabletop.splits import SPLITS, TabletopSample, load

if TYPE_CHECKING:
    from instructsam.evaluation import Evaluation
    from instructsam.metrics import Metrics

ABLATIONS = ('mean-slots', 'no-phrase')
SWEEP = tuple(round(0.1 + 0.05 * i, 2) for i in range(15))
_AHEAD = 4


class _Rate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        """Show the rate once it is known."""
        return Text('' if task.speed is None else f'{task.speed:.1f} frames/s')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 for a wrong request."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = 100
    try:
        report, evaluation = _run(options, console)
    except (ValueError, FileNotFoundError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    _print(console, report, evaluation)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
        console.print(f'figures written to {options.json}')
    return 0


def samples(split: str, count: int, workers: int) -> Iterator[TabletopSample]:
    """Yield the first frames of a split in order, rendered ahead by worker processes.

    Args:
        split: a name of `SPLITS`.
        count: number of frames.
        workers: processes; 0 renders in this one.
    """
    if workers == 0:
        for index in range(count):
            yield load(split, index)
        return
    # Forking would copy a process that already runs threads and perhaps a GPU.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        waiting: deque[Future[TabletopSample]] = deque()
        for index in range(count):
            waiting.append(pool.submit(load, split, index))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m instructsam.evaluate', description='Measure a checkpoint on a split of '
        'the tabletop world, end to end: with the answers that the model itself gives.')
    parser.add_argument('--split', default='test', choices=[s for s in SPLITS if s != 'train'])
    parser.add_argument('--model', help='checkpoint directory or hub id (default: the one that '
                        'comes with the package)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'),
                        help='default: bfloat16 on CUDA, float32 elsewhere')
    parser.add_argument('--limit', type=int, metavar='N', help='only the first N frames')
    parser.add_argument('--threshold', type=float, metavar='T',
                        help="least score of an instance (default: the checkpoint's own)")
    parser.add_argument('--ablate', choices=ABLATIONS,
                        help='replace each slot by its mean, or each phrase by the mean phrase')
    parser.add_argument('--sweep', action='store_true', help='also report other thresholds')
    parser.add_argument('--workers', type=int, default=1, metavar='N',
                        help='processes that render frames; 0: none (default: 1)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all figures there')
    return parser


def _run(options: argparse.Namespace, console: Console) -> tuple[dict[str, Any], Evaluation]:
    if options.limit is not None and options.limit < 1:
        raise ValueError(f'--limit is {options.limit}: give at least 1 frame')
    if options.workers < 0:
        raise ValueError(f'--workers is {options.workers}: give 0 or more')
    if options.json is not None and options.json.is_dir():
        raise ValueError(f'--json {options.json} is a directory: name a file')
    # Here, so that rendering processes do not load the network's libraries.
    import torch

    from instructsam.evaluation import evaluate
    from instructsam.segmenter import InstructSAMSegmenter

    dtype = None if options.dtype is None else getattr(torch, options.dtype)
    segmenter = InstructSAMSegmenter.from_pretrained(options.model, options.device, dtype)
    length = SPLITS[options.split].length or 0
    count = length if options.limit is None else min(length, options.limit)
    passes = 1 if options.ablate is None else 2
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), _Rate(),
               TimeRemainingColumn())
    begun = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(options.split, total=count * passes)
        evaluation = evaluate(
            segmenter, lambda: samples(options.split, count, options.workers),
            threshold=options.threshold, ablate=options.ablate,
            sweep=SWEEP if options.sweep else (), on_frame=lambda: progress.advance(task))
    report = {
        'split': options.split, 'model': options.model or 'default', 'ablate': options.ablate,
        'device': str(segmenter.device), 'dtype': str(segmenter.model.dtype).split('.')[-1],
        'seconds': round(time.perf_counter() - begun, 1), **evaluation.to_dict()}
    return report, evaluation


_COLUMNS = ('gIoU', 'cIoU', 'AP', 'AP50', 'AP75', 'P@0.5', 'P@0.9', 'absent')


def _cells(figures: Metrics) -> list[str]:
    values = figures.to_dict()
    values['absent'] = values['absent_accuracy']
    return [str(figures.queries), *('-' if values[name] is None else f'{values[name]:.3f}'
                                    for name in _COLUMNS)]


def _print(console: Console, report: dict[str, Any], evaluation: Evaluation) -> None:
    ablated = f", {report['ablate']}" if report['ablate'] else ''
    table = _table(
        f"{report['split']}: {report['frames']} frames, threshold {evaluation.threshold:g}"
        f"{ablated} ({report['device']}, {report['dtype']}, {report['seconds']:.0f} s)",
        'kind', 'queries', *_COLUMNS, 'answer')
    rows = evaluation.rows()
    last = [name for name in rows if name in evaluation.asked][-1]
    for name, (figures, rate) in rows.items():
        table.add_row(name, *_cells(figures), '-' if rate is None else f'{rate:.3f}',
                      end_section=name == last)
    console.print(table)
    counts = _table('by number of true objects', 'objects', 'queries', *_COLUMNS)
    for name, figures in evaluation.own.by_count().items():
        counts.add_row(name, *_cells(figures))
    console.print(counts)
    if len(evaluation.metrics) > 1:
        sweep = _table('by threshold', 'threshold', 'queries', *_COLUMNS)
        for threshold, metrics in evaluation.metrics.items():
            sweep.add_row(f'{threshold:g}', *_cells(metrics.overall()))
        console.print(sweep)


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0, collapse_padding=True)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify='right', no_wrap=True)
    return table


if __name__ == '__main__':
    sys.exit(main())
