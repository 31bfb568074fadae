# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Noun phrases with their meaning, and the random choices that build them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import sentences
from .reference import SceneView


@dataclass(frozen=True)
class Phrase:
    """One phrase of an answer and the objects it stands for (0-based into `scene.objects`)."""

    text: str
    objects: tuple[int, ...]


@dataclass(frozen=True)
class NounPhrase:
    """A way to name objects inside a sentence; `fixed` marks a complete sentence."""

    text: str
    phrase: Phrase
    plural: bool = False
    fixed: bool = False
    bare_all: bool = False
    """A bare singular for several objects: only the quoted forms read it that way."""


class Draw:
    """Random choices and the scene that one instruction is drawn from."""

    def __init__(self, view: SceneView, rng: np.random.Generator, forms: str) -> None:
        self.view = view
        self.form = 0 if forms == 'train' else 1
        self._random = rng.random

    def chance(self, probability: float) -> bool:
        """True with a probability."""
        return self._random() < probability

    def pick(self, items: Sequence[Any]) -> Any:
        """One of the items."""
        return items[int(self._random() * len(items))]

    def wording(self, pair: sentences.Pair) -> str:
        """One of the wordings of the forms in use."""
        return str(self.pick(pair[self.form]))

    def mixed(self, pair: sentences.Pair) -> str:
        """A wording inside a noun phrase: held-out forms also keep trained ones."""
        return str(self.pick(pair[self.form if self.chance(0.7) else 0]))

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        """The items in random order."""
        return sorted(items, key=lambda _: self._random())

    def noun(self, category: str | None, plural: bool = False) -> str:
        """A name of a category (None: any object); its own name most of the time."""
        names = sentences.OBJECT_NAMES if category is None else sentences.CATEGORY_NAMES[category]
        return str((names[0] if self.chance(0.7) else self.pick(names))[int(plural)])

    def shade(self, color: str) -> str:
        """A name of a colour."""
        names = sentences.COLOR_NAMES[color]
        return names[0] if self.chance(0.8) else str(self.pick(names))

    def label(self, category: str | None, color: str | None, plural: bool = False) -> str:
        """Colour and noun, without an article."""
        noun = self.noun(category, plural)
        return noun if color is None else f'{self.shade(color)} {noun}'


def bare(category: str | None) -> str:
    """The answer phrase of a referring instruction about a category (None: any object)."""
    return category or 'object'


def be(plural: bool) -> str:
    """The verb of a noun phrase."""
    return 'are' if plural else 'is'


def unique_label(draw: Draw, index: int) -> str | None:
    """A definite description that fits object `index` alone, or None."""
    view = draw.view
    category, color = view.category[index], view.color[index]
    ways: list[tuple[str | None, str | None]] = []
    if len(view.matching(category, None)) == 1:
        ways += [(category, None), (category, color)]
    elif len(view.matching(category, color)) == 1:
        ways += [(category, color), (category, color)]
    if len(view.matching(None, color)) == 1:
        ways.append((None, color))
    return 'the ' + draw.label(*draw.pick(ways)) if ways else None


def plain(draw: Draw, category: str | None, color: str | None) -> NounPhrase:
    """A category or attribute phrase for everything that matches."""
    found = draw.view.matching(category, color)
    if len(found) > 1:
        if draw.form == 0 and draw.chance(0.4):
            label = draw.label(category, color)
            return NounPhrase(label, Phrase(label, found), bare_all=True)
        return all_of(draw, category, color, found)
    if draw.chance(0.08):
        return all_of(draw, category, color, found)
    label = draw.label(category, color)
    article = draw.pick(('the ', 'the ', 'the ', ''))
    return NounPhrase(article + label, Phrase(label, found))


def all_of(draw: Draw, category: str | None, color: str | None,
            found: tuple[int, ...]) -> NounPhrase:
    """A plural for all that match, with or without their number."""
    label = draw.label(category, color, plural=True)
    heads = ['all ', 'all the ', 'the ', '']
    if len(found) > 1:
        heads += [f'the {sentences.NUMBERS[len(found)]} ']
        heads += ['both '] * 2 if len(found) == 2 else [f'all {sentences.NUMBERS[len(found)]} ']
    return NounPhrase(draw.pick(heads) + label, Phrase(label, found), plural=True)
