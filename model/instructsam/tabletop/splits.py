# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The named splits of the tabletop world: every sample follows from (split, index) alone.

`train` has no end; `val` and `test` are new scenes of the same world; `test_compositional` asks
about combinations of colour and category that training never shows; `test_phrasing` uses sentence
frames that training never uses.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .grammar import KINDS, Instruction, sample_instruction
from .render import TabletopFrame, sample_frame
from .scene import HELD_OUT


@dataclass(frozen=True)
class Split:
    """A split: its stream of random numbers, number of frames (None: no end) and rules."""

    name: str
    stream: int
    length: int | None
    held_out_pairs: bool = False
    forms: str = 'train'
    sizes: tuple[tuple[int, int], ...] = ((640, 480), (640, 480), (640, 360))


@dataclass(frozen=True, eq=False)
class TabletopSample:
    """A frame and the instructions about it."""

    frame: TabletopFrame
    instructions: tuple[Instruction, ...]


SPLITS: dict[str, Split] = {split.name: split for split in (
    Split('train', 101, None, sizes=((320, 240),)),
    Split('val', 202, 100),
    Split('test', 303, 300),
    Split('test_compositional', 404, 150, held_out_pairs=True),
    Split('test_phrasing', 505, 150, forms='held_out'),
)}

INSTRUCTIONS_PER_FRAME = 6

# Twice the kinds that many scenes have no room for.
_TURNS = (*KINDS, 'relation', 'reasoning')


def length(split: str) -> int | None:
    """Number of frames of a split; None for `train`, which has no end."""
    return _split(split).length


def load(split: str, index: int, *, width: int | None = None,
         height: int | None = None, instructions: int | None = None) -> TabletopSample:
    """The sample `index` of a split, always the same for the same arguments.

    `width` and `height` (px, both or neither) replace the split's own image size; `instructions`
    is how many a `train` frame gets at most (6 unless told).  Raises
    ValueError for an unknown split, an index outside it or only one of the two.
    """
    rules = _split(split)
    if index < 0 or (rules.length is not None and index >= rules.length):
        raise ValueError(f"split '{split}' has frames 0 to {(rules.length or 0) - 1}, not {index}; "
                         'choose an index among them')
    if (width is None) != (height is None):
        raise ValueError('give both width and height, or neither')
    own_width, own_height = rules.sizes[index % len(rules.sizes)]
    width, height = width or own_width, height or own_height
    if rules.length is None:
        frame = train_frame(index, width, height)
        return TabletopSample(frame, train_instructions(frame, (index,), instructions))
    rng = np.random.default_rng([rules.stream, index])
    # Some scenes leave no room for instructions about a held-out pair: draw another scene.
    while True:
        frame = sample_frame(rng, width=width, height=height, held_out=rules.held_out_pairs)
        found = _test_instructions(frame, rng, rules, index)
        if found:
            return TabletopSample(frame, found)


def train_frame(index: int, width: int, height: int) -> TabletopFrame:
    """Frame `index` of the training stream, without instructions."""
    rng = np.random.default_rng([SPLITS['train'].stream, index])
    return sample_frame(rng, width=width, height=height)


def train_instructions(frame: TabletopFrame, seed: tuple[int, ...],
                       count: int | None = None) -> tuple[Instruction, ...]:
    """At least one and at most `count` (6 unless told) instructions about a training frame."""
    rng = np.random.default_rng([SPLITS['train'].stream, 1, *seed])
    found: list[Instruction] = []
    while not found:
        drawn = (sample_instruction(frame, rng) for _ in range(count or INSTRUCTIONS_PER_FRAME))
        found = [instruction for instruction in drawn if instruction is not None]
    return tuple(found)


def iterate(split: str, limit: int | None = None) -> Iterator[TabletopSample]:
    """All samples of a split in order, at most `limit` frames."""
    end = _split(split).length
    count = limit if end is None else end if limit is None else min(end, limit)
    index = 0
    while count is None or index < count:
        yield load(split, index)
        index += 1


def _split(name: str) -> Split:
    if name not in SPLITS:
        raise ValueError(f"unknown split '{name}'; use one of {', '.join(SPLITS)}")
    return SPLITS[name]


def _test_instructions(frame: TabletopFrame, rng: np.random.Generator, rules: Split,
                       index: int) -> tuple[Instruction, ...]:
    """Kinds in turn, so that all occur about equally often."""
    found: list[Instruction] = []
    # One more than a frame has: every kind comes first in some frames.
    start = index * (INSTRUCTIONS_PER_FRAME + 1)
    for turn in range(2 * len(_TURNS)):
        if len(found) == INSTRUCTIONS_PER_FRAME:
            break
        kind = _TURNS[(start + turn) % len(_TURNS)]
        for _ in range(12 if rules.held_out_pairs else 3):
            new = sample_instruction(frame, rng, kind=kind, forms=rules.forms)
            if new is not None and all(new.text.lower() != old.text.lower() for old in found) \
                    and (not rules.held_out_pairs or _about_held_out(frame, new)):
                found.append(new)
                break
    return tuple(found)


def _about_held_out(frame: TabletopFrame, instruction: Instruction) -> bool:
    objects = [frame.scene.objects[i] for i in instruction.objects]
    return any((one.color, one.category) in HELD_OUT for one in objects)
