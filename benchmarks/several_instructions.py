# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What several instructions about each picture cost, with and without sharing its encoders.

    python benchmarks/several_instructions.py [--pictures 8] [--model CHECKPOINT]

Processor time per drawn picture, one stream per instruction; the first picture, for which there
are no drafts yet, is left out. Ends with 1 if results differ. Shared are the encoders of passes
that are not recorded: on CUDA, set INSTRUCTSAM_STATIC=0.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from instructsam.segmenter import InstructSAMSegmenter
from instructsam.tabletop.film import draw_shot
from instructsam.tabletop.motion import sample_motion

INSTRUCTIONS = ('the red mug', 'the cubes', 'something to drink from', 'everything but the box',
                'the carrot')


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--pictures', type=int, default=8)
    parser.add_argument('--model')
    options = parser.parse_args()
    segmenter = InstructSAMSegmenter.from_pretrained(options.model)
    motion = sample_motion(0, width=640, height=480)
    pictures = [draw_shot(motion, number / 30, shot=number).image
                for number in range(options.pictures + 1)]
    spent: dict[bool, list[float]] = {False: [], True: []}
    results: dict[bool, Any] = {}
    # by turns: other work on the machine then disturbs both alike
    for _ in range(2):
        for shared, seconds in spent.items():
            results[shared], took = ask(segmenter, pictures, shared)
            seconds.extend(took[1:])
    alone, together = (1000 * float(np.median(spent[shared])) for shared in (False, True))
    Console().print(
        f'{len(INSTRUCTIONS)} instructions, {options.pictures} pictures of 640x480: '
        f'{alone:.0f} ms of the processor per picture alone, {together:.0f} ms with shared '
        f'encoders ({together / alone:.0%})')
    if results[False] != results[True]:
        sys.exit('results differ')


def ask(
    segmenter: InstructSAMSegmenter, pictures: Sequence[Any], shared: bool
) -> tuple[list[Any], list[float]]:
    """Return all that was found, and the seconds that each picture took."""
    first = segmenter.stream()
    streams = [first, *(first.sibling() if shared else segmenter.stream()
                        for _ in INSTRUCTIONS[1:])]
    found, took = [], []
    for image in pictures:
        begun = time.process_time()
        answers = [stream.segment(image, text)
                   for stream, text in zip(streams, INSTRUCTIONS, strict=True)]
        took.append(time.process_time() - begun)
        found.append([(one.answer, [(thing.phrase, thing.score, thing.mask.tobytes())
                                    for thing in one.instances]) for one in answers])
    return found, took


if __name__ == '__main__':
    main()
