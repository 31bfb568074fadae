# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the demo asks for: sentences of many kinds about each scene, by every way in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from instructsam.tabletop.grammar import KINDS, sample_instruction
from instructsam.tabletop.motion import sample_motion
from instructsam.tabletop.render import render

WAYS = ('topic', 'voice', 'service')


@dataclass(frozen=True)
class Request:
    """One sentence.

    Attributes:
        scene: number of the scene, from 0.
        kind: of the sentence, as the grammar names it.
        text: the sentence.
        way: how it is sent, one of ``WAYS``.
        wanted: ids of the objects that are meant, as the camera's ground truth counts them.
    """

    scene: int
    kind: str
    text: str
    way: str
    wanted: frozenset[int]


def requests(
    seed: int, scenes: int, each: int, *, width: int = 640, height: int = 480
) -> Iterator[Request]:
    """Yield ``each`` sentences about each scene, the kinds that came least first.

    The objects are those of the scene's first frame: the camera moves so little that what is left
    or nearest stays so.
    """
    asked: Counter[str] = Counter()
    turn = 0
    for scene in range(scenes):
        frame = render(sample_motion(seed, scene, width=width, height=height).scene)
        rng = np.random.default_rng((seed, scene))
        given = 0
        for kind in sorted(KINDS, key=lambda kind: (asked[kind], KINDS.index(kind))):
            if given == each:
                break
            instruction = sample_instruction(frame, rng, kind=kind)
            if instruction is None:
                continue
            asked[kind] += 1
            wanted = frozenset(number + 1 for number in instruction.objects)
            yield Request(scene, kind, instruction.text, WAYS[turn % len(WAYS)], wanted)
            turn += 1
            given += 1
