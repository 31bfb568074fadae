# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All words that the grammar can say."""
from __future__ import annotations

from . import affordances, everyday, sentences

_GLUE = 'the all both every and not a than is are that one ones user assistant system text'
_NAMES = ('CATEGORY_NAMES', 'OBJECT_NAMES', 'COLOR_NAMES')


def grammar_words(*, forms: str | None = None, nouns: bool = True) -> frozenset[str]:
    """Every lower-case word of the wordings; `forms` 'train' or 'held_out' keeps one side of them.

    `nouns` adds the names of absent everyday things.
    """
    tables = [value for name, value in vars(sentences).items()
              if name.isupper() and name not in _NAMES]
    tables += [affordances.THING_FRAMES]
    for use in affordances.AFFORDANCES:
        tables += [use.things, use.questions]
    words = set(_GLUE.split())
    for name in _NAMES:
        words.update(sentences.strings_in(getattr(sentences, name)))
    for table in tables:
        for text in sentences.strings_in(_side(table, forms)):
            words.update(sentences.words_of(text))
    if nouns:
        words.update(everyday.NOUNS)
    return frozenset(words)


def _side(table: object, forms: str | None) -> object:
    """Keep one side of (train, held_out) pairs: pairs of tuples of strings."""
    if forms is None:
        return table
    if isinstance(table, dict):
        return [_side(value, forms) for value in table.values()]
    if isinstance(table, tuple) and len(table) == 2 and all(
            isinstance(side, tuple) and all(isinstance(s, str) for s in side) for side in table):
        return table[0 if forms == 'train' else 1]
    return table
