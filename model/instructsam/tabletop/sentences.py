# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The wordings of the grammar: names, sentence frames, relations, superlatives, exclusions.

Everything is data.  In frames `{p}` is a noun phrase and `{be}` its verb (is/are); in relation
wordings `{r}` is the reference object (`{a}` and `{b}` two of them).  Entries come as
(train, held_out): held-out wordings never occur in the train forms, yet use only words that do,
so that they test the sentence and not an untrained embedding.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Names = tuple[tuple[str, str], ...]
Pair = tuple[tuple[str, ...], tuple[str, ...]]

CATEGORY_NAMES: dict[str, Names] = {
    'ball': (('ball', 'balls'), ('sphere', 'spheres')),
    'cube': (('cube', 'cubes'),),
    'box': (('box', 'boxes'),),
    'can': (('can', 'cans'), ('tin', 'tins')),
    'mug': (('mug', 'mugs'), ('cup', 'cups')),
    'bowl': (('bowl', 'bowls'),),
    'bottle': (('bottle', 'bottles'),),
    'plate': (('plate', 'plates'),),
    'banana': (('banana', 'bananas'),),
    'carrot': (('carrot', 'carrots'),),
}
"""Singular and plural of every name of a category, its own first."""

OBJECT_NAMES: Names = (('object', 'objects'), ('thing', 'things'), ('item', 'items'))

COLOR_NAMES: dict[str, tuple[str, ...]] = {
    'red': ('red',), 'orange': ('orange',), 'yellow': ('yellow',), 'green': ('green',),
    'blue': ('blue',), 'purple': ('purple', 'violet'), 'white': ('white',), 'black': ('black',),
}

NUMBERS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight')

QUOTED_FRAMES = (
    "Please segment '{p}'.",
    "Can you segment '{p}' in this image?",
    "Please segment '{p}' in this image.",
    "Could you provide a segmentation mask for '{p}' in this image?",
    "Please identify and segment '{p}' in this image.",
    "Where is '{p}' in this image? Please respond with a segmentation mask.",
    "Can you highlight '{p}' in this image with a segmentation mask?",
)
"""The forms of the published training set; the text variant puts `the text` before the quotes."""

PLAIN_FRAMES: Pair = ((
    '{p}', '{p}', '{p}, please',
    'Segment {p}.', 'Please segment {p}.', 'Please segment {p} in this image.',
    'Can you segment {p} in this image?', 'Highlight {p}.',
    'Pick up {p}.', 'Pick {p} up.', 'Please pick up {p}.', 'Could you pick up {p}?',
    'Robot, pick up {p}.', 'Grab {p}.', 'Please grab {p} for me.', 'Take {p}.',
    'Find {p}.', 'Please find {p}.', 'Can you find {p}?', 'Look for {p}.',
    'Where {be} {p}?', 'Do you see {p}?', 'Show me {p}.', 'Show me where {p} {be}.',
    'Bring me {p}.', 'Please bring me {p}.', 'Give me {p}.', 'Please hand me {p}.',
    'Could you give me {p}, please?', 'I need {p}.', 'I want {p}.', 'I want you to move {p}.',
    'Point at {p}.', 'Put {p} away.', 'Move your gripper to {p}.', 'Get {p} from the table.',
), (
    'Please find and pick up {p}.', 'Can you show me where {p} {be} in this image?',
    'Robot, where {be} {p}?', 'Please point at {p} for me.', 'I need you to find {p}.',
    'Could you look for {p} in this image?', 'Get me {p} from the table, please.',
    'Robot, please give {p} to me.', 'Can you grab {p} for me?',
    'Show me a segmentation mask for {p}.', 'Do you see where {p} {be}?',
    'I want a mask for {p} in this image.',
))

MODIFIER_FRAMES: Pair = (('{n} {m}', '{n} {m}', '{n} that {be} {m}'),
                         ('{n} here {m}', '{n} you see {m}', '{n} which {be} {m}'))
"""Noun `{n}` (with its article) and modifier `{m}` to a noun phrase."""

WHICH_FRAMES: Pair = ((
    'Which {n} {be} {m}?', 'Which of the {ns} {be} {m}?', 'Which one of the {ns} {be} {m}?',
    'Show me which {n} {be} {m}.', 'Here are some {ns}. Which one {be} {m}?',
), (
    'Can you see which {n} {be} {m}?', 'Of the {ns} here, which one {be} {m}?',
    'Please show me which one of the {ns} {be} {m}.',
))
"""Questions that pick among several of a kind; with 'one' only in the singular."""

WHAT_FRAMES: Pair = (('What is {m}?', 'What do you see {m}?', 'Find what is {m}.'),
                     ('Can you see what is {m}?', 'Show me what is {m}, please.'))

RELATION_WORDS: dict[str, Pair] = {
    'left': (('left of {r}', 'to the left of {r}', 'on the left side of {r}'),
             ('on the left of {r}', 'to the left side of {r}')),
    'right': (('right of {r}', 'to the right of {r}', 'on the right side of {r}'),
              ('on the right of {r}', 'to the right side of {r}')),
    'front': (('in front of {r}', 'closer to the camera than {r}', 'nearer to us than {r}'),
              ('nearer to the camera than {r}', 'closer to us than {r}')),
    'behind': (('behind {r}', 'further from the camera than {r}', 'in back of {r}'),
               ('further from us than {r}', 'further away from us than {r}')),
    'closest': (('closest to {r}', 'nearest to {r}'), ('the closest to {r}', 'the nearest to {r}')),
    'farthest': (('farthest from {r}', 'furthest from {r}', 'farthest away from {r}'),
                 ('the farthest from {r}', 'the furthest away from {r}')),
    'beside': (('next to {r}', 'beside {r}', 'right next to {r}'),
               ('just beside {r}', 'just next to {r}')),
    'between': (('between {a} and {b}', 'in between {a} and {b}'),
                ('in the middle between {a} and {b}', 'just between {a} and {b}')),
}

SUPERLATIVE_ADJECTIVES: dict[str, tuple[str, ...]] = {
    'leftmost': ('leftmost',), 'rightmost': ('rightmost',),
    'nearest': ('nearest', 'closest'), 'farthest': ('farthest', 'furthest'),
    'largest': ('largest', 'biggest'), 'smallest': ('smallest',),
}

SUPERLATIVE_PHRASES: dict[str, Pair] = {
    'leftmost': (('furthest to the left', 'on the far left', 'farthest left'),
                 ('farthest to the left', 'to the far left')),
    'rightmost': (('furthest to the right', 'on the far right', 'farthest right'),
                  ('farthest to the right', 'to the far right')),
    'nearest': (('closest to the camera', 'nearest to the camera', 'closest to us', 'closest'),
                ('nearest to us', 'the nearest to the camera')),
    'farthest': (('farthest from the camera', 'furthest away', 'farthest away from us'),
                 ('furthest from the camera', 'farthest from us')),
    'largest': (('the largest', 'the biggest', 'bigger than all others', 'biggest in size'),
                ('bigger than the others', 'the largest in size')),
    'smallest': (('the smallest', 'smaller than all others', 'smallest in size'),
                 ('the smallest in size', 'smaller than the others')),
}
"""Complements ('the mug closest to the camera'); those of size only after 'that is' or 'which'."""

ORDINAL_PHRASES: dict[str, Pair] = {
    'second_left': (('second {n} from the left', 'second leftmost {n}'),
                    ('{n} that is second from the left',)),
    'second_right': (('second {n} from the right', 'second rightmost {n}'),
                     ('{n} that is second from the right',)),
    'middle': (('middle {n}', '{n} in the middle'), ('{n} that is in the middle',)),
}

EXCLUSION_FRAMES: Pair = ((
    'everything except {x}', 'everything but {x}', 'all objects except {x}',
    'all things but {x}', 'every item except {x}', 'everything other than {x}',
), (
    'every object but {x}', 'all items other than {x}', 'all the things except {x}',
))
"""All objects but the excluded noun phrase `{x}`."""

NOT_COLOR_FRAMES: Pair = ((
    'all {ns} that are not {c}', 'the {ns} that are not {c}', 'every {n} that is not {c}',
    'every {n} except the {c} {ones}', 'the {ns} but not the {c} {ones}',
    'all {ns} apart from the {c} {ones}',
), (
    'all the {ns} but not the {c} {ones}', 'every one of the {ns} that is not {c}',
    'all {ns} except {c} {ones}',
))
"""The `{ns}` of other colours than `{c}`; `{ones}` is one or ones."""

NOT_COLOR_ONE: Pair = (('the {n} that is not {c}', 'the only {n} that is not {c}'),
                       ('the one {n} that is not {c}',))
CONTRAST_FRAMES: Pair = (('the {c} {n}, not the {d} one', 'the {c} {n} and not the {d} one',
                          'not the {d} {n} but the {c} one'),
                         ('the {c} {n} but not the {d} one', 'not the {d} {n}, the {c} one'))
NOT_SUPERLATIVE: Pair = (('every {n} except the {s} one', 'all {ns} but the {s} one'),
                         ('all the {ns} except the {s} one',))

REASONING_SUFFIX = ' Please output the segmentation mask.'

_MARKER = re.compile(r'\{\w+\}')


def words_of(text: str) -> list[str]:
    """The lower-case words of a text as the tokenizer separates them."""
    return re.findall(r'\w+', _MARKER.sub(' ', text).lower())


def strings_in(value: Any) -> Iterator[str]:
    """All strings of a nest of dicts, tuples and frozensets (dict values only)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)
    elif isinstance(value, (tuple, list, frozenset)):
        for item in value:
            yield from strings_in(item)
