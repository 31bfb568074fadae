# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time of a picture under a standing instruction: step by step, and as a stream.

    python benchmarks/stream_latency.py [--model DIR] [--device cpu] [--threads 1] [--repeats 30]

For answers of one and of several phrases, in turn within one run: every picture by itself
(tokens one after the other), the stream whose draft is right (one pass), and the stream whose
draft is wrong from its second token on. Results are the same in all three; see test_streaming.py.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from instructsam.drafting import DraftedPrompt
from instructsam.segmentation import Segmentation
from instructsam.segmenter import InstructSAMSegmenter
from instructsam.tabletop import splits

WARM_UP = 3
SHOWN = ('whole', 'sam_encode', 'vlm_encode', 'prefill', 'decode', 'detect')


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', help='checkpoint folder or hub id (default: the tabletop one)')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threads', type=int, default=1, help="PyTorch's threads")
    parser.add_argument('--repeats', type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    segmenter = InstructSAMSegmenter.from_pretrained(options.model, options.device)
    image = splits.load('test', 0).frame.image
    for text in ('Please segment the red thing.', 'Find the balls, the mugs and the boxes.'):
        _compare(segmenter, image, text, options.repeats)


def _compare(
    segmenter: InstructSAMSegmenter, image: np.ndarray, text: str, repeats: int
) -> None:
    stream = segmenter.stream()
    ways: dict[str, Callable[[], Segmentation]] = {
        'every picture by itself': lambda: segmenter.segment(image, text),
        'stream, draft right': lambda: stream.segment(image, text),
        'stream, draft wrong': lambda: segmenter.answer(image, text, None, wrong)[0],
    }
    given = segmenter.answer(image, text, None, segmenter.prompt)[1].answer_ids
    # the same token twice: no answer begins so
    drafts: dict[object, DraftedPrompt] = {}

    def wrong(instruction: str, grid: tuple[int, int, int]) -> DraftedPrompt:
        if grid not in drafts:
            drafts[grid] = segmenter.prompt(instruction, grid, (given[0], given[0], *given[1:-1]))
        return drafts[grid]

    seconds: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in ways}
    for repeat in range(WARM_UP + repeats):
        for name, way in ways.items():
            begin = time.perf_counter()
            found = way()
            whole = time.perf_counter() - begin
            if repeat >= WARM_UP:
                seconds[name]['whole'].append(whole)
                for stage, value in found.timings.items():
                    seconds[name][stage].append(value)
    table = Table(title=f'"{text}" -> {found.answer}: {len(given)} tokens; ms, median (95 %)')
    table.add_column('')
    for stage in SHOWN:
        table.add_column(stage, justify='right')
    table.add_column('faster by', justify='right')
    first = np.median(seconds['every picture by itself']['whole'])
    for name, stages in seconds.items():
        cells = ['{:.1f} ({:.1f})'.format(*(1000 * np.percentile(stages[one], (50, 95))))
                 for one in SHOWN]
        table.add_row(name, *cells, f'{first / np.median(stages["whole"]):.2f}')
    Console(width=150).print(table)


if __name__ == '__main__':
    main()
