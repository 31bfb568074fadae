# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a stream finds what decoding token by token finds, in fp32 and in bf16.

    python benchmarks/stream_agreement.py [--frames 500] [--dtypes float32 bfloat16]

For each drawn frame one of its instructions is answered step by step, and by a stream that has
seen the frame before under the same instruction (its draft is then often wrong), and once more by
the same stream (its draft is then right). Beside that, bf16 is compared with fp32, both step by
step. Where the language model is in bf16 (on CUDA), sums in another order are other numbers: an
instance whose score is all but the threshold may be kept by one way and not by the other.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from agreement import mask_iou, partners
from rich.console import Console
from rich.table import Table

from instructsam.segmentation import Segmentation
from instructsam.segmenter import InstructSAMSegmenter
from instructsam.tabletop import splits

GOOD_IOU = 0.99
DTYPES = ('float32', 'bfloat16')


@dataclass
class Tally:
    """How two ways compare over many frames.

    Attributes:
        frames: compared.
        answers_differ: frames with other words.
        instances: that the first way kept.
        unmatched: instances that only one of the two kept, in frames with the same answer.
        margins: of these, how far their scores are from the threshold.
        low_masks: pairs of masks with an IoU below 0.99.
        least_iou: of any pair.
        score_difference: the largest of any pair.
    """

    frames: int = 0
    answers_differ: int = 0
    instances: int = 0
    unmatched: int = 0
    margins: list[float] = field(default_factory=list)
    low_masks: int = 0
    least_iou: float = 1.0
    score_difference: float = 0.0

    def add(self, one: Segmentation, other: Segmentation, threshold: float) -> None:
        """Compare one frame."""
        self.frames += 1
        self.instances += len(one.instances)
        if one.answer != other.answer:
            self.answers_differ += 1
            return
        pairs, alone = partners(one, other)
        self.unmatched += len(alone)
        self.margins += [abs(instance.score - threshold) for instance in alone]
        ious = [mask_iou(a.mask, b.mask) for a, b in pairs]
        self.low_masks += sum(iou < GOOD_IOU for iou in ious)
        self.least_iou = min(self.least_iou, *ious, 1.0)
        self.score_difference = max(
            self.score_difference, *(abs(a.score - b.score) for a, b in pairs), 0.0)


def main(arguments: Sequence[str] | None = None) -> dict[str, Tally]:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--model', help='checkpoint folder or hub id (default: the tabletop one)')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--dtypes', nargs='+', choices=DTYPES, default=DTYPES)
    parser.add_argument('--frames', type=int, default=500)
    parser.add_argument('--threads', type=int, default=1, help="PyTorch's threads")
    parser.add_argument('--out', type=Path, help='JSON file')
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    segmenters = {name: InstructSAMSegmenter.from_pretrained(
        options.model, options.device, getattr(torch, name)) for name in options.dtypes}
    tallies = compare(segmenters, options.frames)
    if options.out:
        options.out.write_text(json.dumps(
            {name: asdict(tally) for name, tally in tallies.items()}, indent=1) + '\n')
    table = Table(title=f'{options.frames} frames')
    for head in ('', 'answers differ', 'instances', 'kept by one only', 'masks below 0.99',
                 'least IoU', 'scores differ by'):
        table.add_column(head, justify='right')
    for name, tally in tallies.items():
        table.add_row(name, str(tally.answers_differ), str(tally.instances), str(tally.unmatched),
                      str(tally.low_masks), f'{tally.least_iou:.4f}',
                      f'{tally.score_difference:.1e}')
        if tally.margins:
            table.add_row('', *[''] * 2, f'at most {max(tally.margins):.1e} from the threshold')
    Console(width=150).print(table)
    return tallies


def compare(segmenters: dict[str, InstructSAMSegmenter], frames: int) -> dict[str, Tally]:
    """Answer so many frames in all ways."""
    tallies: dict[str, Tally] = {}
    streams = {name: segmenter.stream() for name, segmenter in segmenters.items()}
    before: np.ndarray | None = None
    for image, text in _frames(frames):
        steps = {name: one.segment(image, text) for name, one in segmenters.items()}
        for name, stream in streams.items():
            threshold = segmenters[name].model.config.score_threshold
            stream.reset()
            if before is not None:
                stream.segment(before, text)
            for draft in ('of the frame before', 'right'):
                tally = tallies.setdefault(f'{name}: draft {draft}', Tally())
                tally.add(steps[name], stream.segment(image, text), threshold)
        if len(steps) > 1:
            one, other = list(steps)[:2]
            tallies.setdefault(f'{one} and {other}, step by step', Tally()).add(
                steps[one], steps[other], threshold)
        before = image
    return tallies


def _frames(count: int) -> Iterator[tuple[np.ndarray, str]]:
    """Yield frames that no training saw, each with one of its instructions in turn."""
    number = 0
    for split in ('test', 'test_compositional', 'val'):
        for index in range(splits.length(split) or 0):
            if number == count:
                return
            sample = splits.load(split, index)
            texts = sample.instructions
            yield sample.frame.image, texts[number % len(texts)].text
            number += 1


if __name__ == '__main__':
    main()
