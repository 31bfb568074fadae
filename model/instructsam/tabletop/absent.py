# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions about what is not there: the phrase is answered, nothing is meant."""
from __future__ import annotations

import itertools

from . import everyday, sentences
from .phrases import Draw, NounPhrase, Phrase
from .referring import absent_reasoning, absent_relation, absent_superlative
from .scene import HELD_OUT


def absent(draw: Draw) -> NounPhrase | None:
    """A noun phrase or question about something absent."""
    level = draw.pick(range(100))
    for limit, make in ((48, absent_attribute), (55, _absent_category), (70, absent_noun),
                        (86, absent_relation), (93, absent_superlative), (100, absent_reasoning)):
        if level < limit:
            # The easy ways always work: without patience they would crowd out the hard ones.
            for _ in range(10):
                part = make(draw)
                if part is not None:
                    return part
    return None


def absent_attribute(draw: Draw) -> NounPhrase | None:
    """A colour and a category that are there, but not in one object (or a colour that is not)."""
    view = draw.view
    there = set(zip(view.color, view.category, strict=True))
    colors = sorted(set(view.color)) if draw.chance(0.93) else list(sentences.COLOR_NAMES)
    # A held-out pair asked for here would teach that it never exists.
    pairs = [(color, category)
             for color, category in itertools.product(colors, sorted(set(view.category)))
             if (color, category) not in there and (color, category) not in HELD_OUT]
    if draw.chance(0.08):
        gone = [color for color in sentences.COLOR_NAMES if color not in view.color]
        return _named(draw, None, draw.pick(gone)) if gone else None
    if not pairs:
        return None
    color, category = draw.pick(pairs)
    return _named(draw, category, color)


def _absent_category(draw: Draw) -> NounPhrase | None:
    gone = [name for name in sentences.CATEGORY_NAMES if name not in draw.view.category]
    if not gone:
        return None
    category = draw.pick(gone)
    color = draw.pick(draw.view.color) if draw.chance(0.4) else None
    return _named(draw, category, None if (color, category) in HELD_OUT else color)


def absent_noun(draw: Draw) -> NounPhrase:
    """An everyday thing outside the world, or a word that does not exist."""
    noun = invented(draw) if draw.chance(0.1) else draw.pick(everyday.NOUNS)
    label = f'{draw.shade(draw.pick(list(sentences.COLOR_NAMES)))} {noun}' \
        if draw.chance(0.25) else str(noun)
    return NounPhrase(('the ' if draw.chance(0.75) else '') + label, Phrase(label, ()))


def _named(draw: Draw, category: str | None, color: str | None) -> NounPhrase:
    plural = draw.chance(0.2)
    label = draw.label(category, color, plural)
    article = draw.pick(('all ', 'the ', '')) if plural else draw.pick(('the ', 'the ', ''))
    return NounPhrase(article + label, Phrase(label, ()), plural=plural)


def invented(draw: Draw) -> str:
    """A word that does not exist: unknown words must be copied and found absent."""
    syllables = draw.pick((2, 2, 3))
    return ''.join(draw.pick('bcdfghjklmnprstvwz') + draw.pick('aeiou') for _ in range(syllables)) \
        + draw.pick(('', 'n', 'r', 't', 'x'))
