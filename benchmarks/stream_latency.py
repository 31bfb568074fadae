# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time of a picture under a standing instruction, answered in several ways.

    python benchmarks/stream_latency.py [--published] [--device cuda] [--dtype bfloat16]
        [--threads 1] [--repeats 30] [--out latency.json] [--plot latency.png]

(a) as the authors' release does it (`plain_path`), (b) this package, token by token, (c) the
stream with a right draft, (d) the stream when the first phrase of the answer changes from picture
to picture, (e) when all phrases change. They take turns within one run, for every picture size and
number of phrases. The model is made to give answers that name so many phrases, after it has chosen
its own tokens, so that nothing is saved. (a) and (c) must find the same: in fp32 a difference ends
the run, in bf16 it is reported.

Without --published the included checkpoint runs on a drawn table; with it a network of the
published dimensions with random weights, where the threshold keeps two instances a phrase.
Times on CUDA are measured by events, whole pictures between synchronisations.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import torch
from floors import floors, measure_ceilings
from random_network import published_segmenter
from rich.console import Console
from rich.table import Table
from stream_plot import draw_bars
from stream_ways import WAYS, Bench

from instructsam.segmenter import InstructSAMSegmenter
from instructsam.stages import STAGES
from instructsam.tabletop import splits

WARM_UP = 3
_COLUMNS = ('whole', 'processor', *STAGES)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what was asked for."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype) if options.dtype else None
    if options.published:
        segmenter = published_segmenter(options.device, dtype, options.layers)
    else:
        segmenter = InstructSAMSegmenter.from_pretrained(options.model, options.device, dtype)
    ceilings = measure_ceilings(segmenter.device, segmenter.model.dtype)
    picture = splits.load('test', 0).frame.image
    report: dict[str, Any] = {
        'machine': _machine(segmenter, options.threads), 'published': options.published,
        'layers': options.layers, 'ceilings': ceilings.__dict__, 'cases': []}
    for size in options.sizes:
        width, height = (int(side) for side in size.split('x'))
        image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        for phrases in options.phrases:
            bench = Bench(segmenter, image, phrases, options.ways, calibrate=options.published)
            case = bench.measure(options.repeats, options.warm_up)
            case['floors_ms'] = _milliseconds(floors(
                segmenter, image, bench.prompt, ceilings, bench.threshold))
            report['cases'].append(case)
            _print(case)
    if options.soak:
        report['soak'] = _soak(bench, options.soak)
        print(report['soak'])
    report['peak_memory_gb'] = _peak_memory(segmenter)
    print(f'peak memory {report["peak_memory_gb"]:.2f} GB')
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    if options.plot:
        draw_bars(report, options.plot)
    return report


def _milliseconds(values: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {stage: {**one, 'floor': round(one['floor'] * 1000, 3)}
            for stage, one in values.items()}


def _print(case: dict[str, Any]) -> None:
    table = Table(title=f'{case["width"]}x{case["height"]}, {case["phrases"]} phrases, '
                        f'{case["answer_tokens"]} tokens, {case["instances"]} instances; '
                        'ms, median (95 %)')
    table.add_column('')
    for stage in _COLUMNS:
        table.add_column(stage, justify='right')
    table.add_column('x as fast', justify='right')  # by the clock (by processor time)
    slowest = next(iter(case['milliseconds'].values()))
    for name, stages in case['milliseconds'].items():
        cells = [f'{stages[one]["p50"]:.1f} ({stages[one]["p95"]:.1f})'
                 for one in _COLUMNS]
        table.add_row(f'({name}) {WAYS[name]}', *cells,
                      f'{slowest["whole"]["p50"] / stages["whole"]["p50"]:.2f} '
                      f'({slowest["processor"]["p50"] / stages["processor"]["p50"]:.2f})')
    lowest = case['floors_ms']
    table.add_row('floor of (c)', f'{sum(one["floor"] for one in lowest.values()):.1f}', '',
                  *(f'{lowest[one]["floor"]:.1f}' if one in lowest else '' for one in STAGES), '')
    console = Console(width=190)
    console.print(table)
    if case['agreement_of_a_and_c']:
        console.print('(a) and (c):', case['agreement_of_a_and_c'])


def _soak(bench: Bench, pictures: int) -> dict[str, float]:
    """Memory before and after many pictures of (c), and the slowest of them."""
    longest, before = 0.0, _memory(bench.segmenter)
    for _ in range(pictures):
        begin = time.perf_counter()
        bench.confirmed()
        longest = max(longest, time.perf_counter() - begin)
    return {'pictures': pictures, 'before_gb': before, 'after_gb': _memory(bench.segmenter),
            'longest_ms': 1000 * longest}


def _memory(segmenter: InstructSAMSegmenter) -> float:
    if segmenter.device.type == 'cuda':
        return torch.cuda.memory_allocated(segmenter.device) / 1e9
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e9


def _peak_memory(segmenter: InstructSAMSegmenter) -> float:
    if segmenter.device.type == 'cuda':
        return torch.cuda.max_memory_allocated(segmenter.device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _machine(segmenter: InstructSAMSegmenter, threads: int) -> dict[str, Any]:
    device = segmenter.device
    name = (torch.cuda.get_device_name(device) if device.type == 'cuda'
            else platform.processor() or platform.machine())
    return {'device': str(device), 'name': name, 'threads': threads, 'torch': torch.__version__,
            'dtype': str(segmenter.model.dtype).removeprefix('torch.')}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--model', help='checkpoint folder or hub id (default: the tabletop one)')
    parser.add_argument('--published', action='store_true',
                        help='the published dimensions with random weights')
    parser.add_argument('--layers', type=int, help='with --published: only so many layers')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'))
    parser.add_argument('--threads', type=int, default=1, help="PyTorch's threads")
    parser.add_argument('--repeats', type=int, default=30)
    parser.add_argument('--warm-up', type=int, default=WARM_UP, help='rounds before that')
    parser.add_argument('--sizes', nargs='+', default=['640x480', '1280x720'])
    parser.add_argument('--phrases', nargs='+', type=int, default=[1, 3, 10])
    parser.add_argument('--ways', default=''.join(WAYS), help='default: %(default)s')
    parser.add_argument('--soak', type=int, default=0, help='at the end, so many pictures of (c)')
    parser.add_argument('--out', type=Path, help='JSON file')
    parser.add_argument('--plot', type=Path, help='PNG file')
    return parser


if __name__ == '__main__':
    main()
