# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions that pick among several: relations, superlatives, negation, reasoning.

Each maker returns a noun phrase or a whole question whose answer is the bare category or "object",
or None where the draw does not fit the scene.  Something else that fits the answer is always there.
"""
from __future__ import annotations

from collections.abc import Sequence

from . import sentences
from .affordances import AFFORDANCES, THING_FRAMES
from .phrases import Draw, NounPhrase, Phrase, bare, be, unique_label
from .reference import (
    RELATIONS,
    SUPERLATIVES,
    beside,
    between,
    closest_to,
    extreme,
    in_row,
    related,
)

_RELATION_WHEEL = ('left', 'right', 'front', 'behind') * 2 + (
    'closest', 'closest', 'farthest', 'beside', 'beside', 'between', 'between')


def relation(draw: Draw, noun_phrase: bool = False) -> NounPhrase | None:
    """'The mug left of the red box', 'which ball is between the can and the bowl?' ..."""
    view = draw.view
    # 'the mug between the box and the can and the ball' would not parse.
    name = draw.pick(_RELATION_WHEEL[:-2] if noun_phrase else _RELATION_WHEEL)
    references = _references(draw, 2 if name == 'between' else 1)
    if references is None:
        return None
    indices, words = references
    category = _category(draw, indices)
    pool = [i for i in view.matching(category, None) if i not in indices]
    color = None
    if len(pool) > 2 and draw.chance(0.15):
        color = view.color[draw.pick(pool)]
    candidates = [i for i in pool if color is None or view.color[i] == color]
    found = _related(draw, name, candidates, indices)
    if not found or len(found) == len(pool):
        return None
    return _modified(draw, category, color, found, _relation_words(draw, name, words), noun_phrase)


def superlative(draw: Draw, noun_phrase: bool = False) -> NounPhrase | None:
    """'The leftmost mug', 'the two balls closest to the camera', 'which is the largest?' ..."""
    view = draw.view
    category = _category(draw, ())
    color = view.color[draw.pick(view.matching(category, None))] if draw.chance(0.15) else None
    candidates = view.matching(category, color)
    if len(candidates) < 2:
        return None
    if len(candidates) >= 3 and draw.chance(0.15):
        return _ordinal(draw, category, color, candidates)
    name = draw.pick(SUPERLATIVES)
    count = 2 if len(candidates) >= 3 and draw.chance(0.15) else 1
    found = extreme(view, name, candidates, count)
    if found is None:
        return None
    adjective = draw.pick(sentences.SUPERLATIVE_ADJECTIVES[name])
    if draw.form == 0 and draw.chance(0.4):
        label = draw.label(category, color, count > 1)
        number = 'two ' if count > 1 else ''
        order = f'{adjective} {number}' if number and draw.chance(0.3) else f'{number}{adjective} '
        return NounPhrase(f'the {order}{label}', Phrase(bare(category), found), plural=count > 1)
    words = draw.wording(sentences.SUPERLATIVE_PHRASES[name])
    if count == 1 and draw.chance(0.25):
        words = f'the {adjective}'
    return _modified(draw, category, color, found, words, noun_phrase, exact=True)


def negation(draw: Draw) -> NounPhrase | None:
    """'Everything but the bowl', 'all mugs that are not blue', 'the red can, not the green one'."""
    make = draw.pick((_exclusion, _exclusion, _not_color, _not_color, _not_color, _contrast,
                      _not_superlative))
    return make(draw)


def reasoning(draw: Draw) -> NounPhrase | None:
    """'Something to drink from', 'what would a rabbit like?': answered with 'object'."""
    return _reasoning(draw, present=True)


def absent_relation(draw: Draw) -> NounPhrase | None:
    """A relation that none of the objects asked for fulfils, or one about an absent category."""
    view = draw.view
    name = draw.pick((*RELATIONS, 'between'))
    references = _references(draw, 2 if name == 'between' else 1)
    if references is None:
        return None
    indices, words = references
    if draw.chance(0.12):
        category = _absent_category(draw)
    else:
        category = _category(draw, indices)
        candidates = [i for i in view.matching(category, None) if i not in indices]
        if not candidates or _related(draw, name, candidates, indices) != ():
            return None
    if category is None:
        return None
    return _modified(draw, category, None, (), _relation_words(draw, name, words), False)


def absent_superlative(draw: Draw) -> NounPhrase | None:
    """The leftmost (largest, nearest ...) of a category that is not there."""
    category = _absent_category(draw)
    if category is None:
        return None
    name = draw.pick(SUPERLATIVES)
    if draw.form == 0 and draw.chance(0.5):
        adjective = draw.pick(sentences.SUPERLATIVE_ADJECTIVES[name])
        return NounPhrase(f'the {adjective} {draw.noun(category)}', Phrase(category, ()))
    words = draw.wording(sentences.SUPERLATIVE_PHRASES[name])
    return _modified(draw, category, None, (), words, False, exact=True)


def absent_reasoning(draw: Draw) -> NounPhrase | None:
    """A use that nothing in the scene serves."""
    return _reasoning(draw, present=False)


def _category(draw: Draw, references: Sequence[int]) -> str | None:
    """The category asked about (None: any object): mostly one that occurs several times."""
    view = draw.view
    if draw.chance(0.2):
        return None
    several = [name for i, name in enumerate(view.category)
               if i not in references and view.category.count(name) > 1]
    return str(draw.pick(several)) if several and draw.chance(0.95) else None


def _absent_category(draw: Draw) -> str | None:
    gone = [name for name in sentences.CATEGORY_NAMES if name not in draw.view.category]
    return str(draw.pick(gone)) if gone else None


def _references(draw: Draw, count: int) -> tuple[tuple[int, ...], tuple[str, ...]] | None:
    """Distinct objects with a description that fits each alone."""
    indices: list[int] = []
    words: list[str] = []
    for index in draw.shuffled(range(len(draw.view))):
        label = unique_label(draw, index)
        if label is not None and label not in words:
            indices.append(index)
            words.append(label)
            if len(indices) == count:
                return tuple(indices), tuple(words)
    return None


def _related(draw: Draw, name: str, candidates: Sequence[int],
             indices: Sequence[int]) -> tuple[int, ...] | None:
    view = draw.view
    if name in RELATIONS:
        return related(view, name, candidates, indices[0])
    if name == 'between':
        return between(view, candidates, *indices)
    if name == 'beside':
        one = beside(view, candidates, indices[0])
    else:
        one = closest_to(view, candidates, indices[0], farthest=name == 'farthest')
    return None if one is None else (one,)


def _relation_words(draw: Draw, name: str, words: Sequence[str]) -> str:
    text = draw.mixed(sentences.RELATION_WORDS[name])
    return text.format(r=words[0], a=words[0], b=words[-1])


def _modified(draw: Draw, category: str | None, color: str | None, found: tuple[int, ...],
              words: str, noun_phrase: bool, exact: bool = False) -> NounPhrase:
    """A noun with a modifier, as a noun phrase or a question; `exact` counts a plural."""
    plural = len(found) > 1
    phrase = Phrase(bare(category), found)
    label = draw.label(category, color, plural)
    if exact and plural:
        label = f'{sentences.NUMBERS[len(found)]} {label}'
    if not noun_phrase and draw.chance(0.35):
        if category is None and color is None and not exact and not plural and draw.chance(0.5):
            return NounPhrase(draw.wording(sentences.WHAT_FRAMES).format(m=words), phrase,
                              fixed=True)
        frame = draw.wording(sentences.WHICH_FRAMES)
        if plural and 'one' in frame.lower().split():
            frame = 'Which {n} {be} {m}?' if draw.form == 0 else sentences.WHICH_FRAMES[1][0]
        many = draw.label(category, color, True)
        return NounPhrase(frame.format(n=label, ns=many, m=words, be=be(plural)), phrase,
                          fixed=True)
    article = draw.pick(('the ', 'all ', 'all the ')) if plural and not exact else 'the '
    frame = draw.mixed(sentences.MODIFIER_FRAMES)
    if words.startswith(('the ', 'not ')) or ' than ' in words or words.endswith(' size'):
        frame = '{n} that {be} {m}'
    return NounPhrase(frame.format(n=article + label, m=words, be=be(plural)), phrase,
                      plural=plural)


def _ordinal(draw: Draw, category: str | None, color: str | None,
             candidates: Sequence[int]) -> NounPhrase | None:
    row = in_row(draw.view, candidates)
    if row is None:
        return None
    place = {'second_left': row[1], 'second_right': row[-2]}
    if len(row) % 2:
        place['middle'] = row[len(row) // 2]
    name = draw.pick(sorted(place))
    words = draw.mixed(sentences.ORDINAL_PHRASES[name]).format(n=draw.label(category, color))
    return NounPhrase(f'the {words}', Phrase(bare(category), (place[name],)))


def _exclusion(draw: Draw) -> NounPhrase | None:
    view = draw.view
    excluded: set[int] = set()
    words = []
    for index in draw.shuffled(range(len(view)))[:2 if draw.chance(0.25) else 1]:
        label = unique_label(draw, index) if draw.chance(0.6) else None
        if label is None:
            category: str | None = view.category[index]
            color: str | None = view.color[index] if draw.chance(0.4) else None
            if color and draw.chance(0.3):
                category = None
            found = view.matching(category, color)
            label = 'the ' + draw.label(category, color, len(found) > 1)
        else:
            found = (index,)
        if excluded & set(found):
            return None
        excluded |= set(found)
        words.append(label)
    rest = tuple(i for i in range(len(view)) if i not in excluded)
    if not rest:
        return None
    text = draw.mixed(sentences.EXCLUSION_FRAMES).format(x=' and '.join(words))
    return NounPhrase(text, Phrase(bare(None), rest), plural=text.startswith('all'))


def _not_color(draw: Draw) -> NounPhrase | None:
    view = draw.view
    category = _category(draw, ())
    pool = view.matching(category, None)
    color = view.color[draw.pick(pool)]
    rest = tuple(i for i in pool if view.color[i] != color)
    if not rest:
        return None
    shade = draw.shade(color)
    plural = len(rest) > 1
    if draw.chance(0.3):
        return _modified(draw, category, None, rest, f'not {shade}', False)
    if not plural and draw.chance(0.7):
        text = draw.mixed(sentences.NOT_COLOR_ONE).format(n=draw.noun(category), c=shade)
        return NounPhrase(text, Phrase(bare(category), rest))
    text = draw.mixed(sentences.NOT_COLOR_FRAMES)
    ones = 'ones' if len(pool) - len(rest) > 1 else 'one'
    text = text.format(n=draw.noun(category), ns=draw.noun(category, True), c=shade, ones=ones)
    return NounPhrase(text, Phrase(bare(category), rest),
                      plural=not text.startswith('every'))


def _contrast(draw: Draw) -> NounPhrase | None:
    view = draw.view
    category = _category(draw, ())
    pool = view.matching(category, None)
    colors = sorted({view.color[i] for i in pool})
    single = [c for c in colors if len(view.matching(category, c)) == 1]
    if len(single) < 2:
        return None
    color, other = draw.shuffled(single)[:2]
    text = draw.mixed(sentences.CONTRAST_FRAMES).format(
        n=draw.noun(category), c=draw.shade(color), d=draw.shade(other))
    return NounPhrase(text, Phrase(bare(category), view.matching(category, color)))


def _not_superlative(draw: Draw) -> NounPhrase | None:
    category = _category(draw, ())
    pool = draw.view.matching(category, None)
    if len(pool) < 3:
        return None
    name = draw.pick(SUPERLATIVES)
    found = extreme(draw.view, name, pool)
    if found is None:
        return None
    text = draw.mixed(sentences.NOT_SUPERLATIVE).format(
        n=draw.noun(category), ns=draw.noun(category, True),
        s=draw.pick(sentences.SUPERLATIVE_ADJECTIVES[name]))
    return NounPhrase(text, Phrase(bare(category), tuple(i for i in pool if i not in found)),
                      plural=text.startswith('all'))


def _reasoning(draw: Draw, present: bool) -> NounPhrase | None:
    view = draw.view
    fitting = []
    for use in AFFORDANCES:
        served = sum(category in use.categories for category in view.category)
        if (0 < served < len(view)) if present else not served:
            fitting.append(use)
    if not fitting:
        return None
    use = draw.pick(fitting)
    found = tuple(i for i, category in enumerate(view.category) if category in use.categories)
    phrase = Phrase(bare(None), found)
    if draw.chance(0.5):
        text = draw.wording(THING_FRAMES).format(t=draw.wording(use.things))
        return NounPhrase(text, phrase)
    text = draw.wording(use.questions)
    return NounPhrase(text + (sentences.REASONING_SUFFIX if draw.chance(0.5) else ''), phrase,
                      fixed=True)
