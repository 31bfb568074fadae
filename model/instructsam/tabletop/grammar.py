# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions about a frame, their answers and what they mean.

`sample_instruction` draws one instruction of a kind.  Meaning is geometry (`reference`), wording is
data (`sentences`, `affordances`).  Kinds of `REFERRING_KINDS` are answered with the bare category
or "object": at least two objects fit those words and only some are meant, so that the answer alone
never tells which.  Plain categories and attributes keep their words.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import sentences
from .absent import absent, absent_attribute, absent_noun
from .phrases import Draw, NounPhrase, Phrase, all_of, be, plain
from .reference import SceneView, view_of
from .referring import negation, reasoning, relation, superlative

KINDS = ('category', 'attribute', 'several_phrases', 'several_instances', 'relation', 'superlative',
         'negation', 'reasoning', 'absent')
REFERRING_KINDS = ('relation', 'superlative', 'negation', 'reasoning')

KIND_WEIGHTS: dict[str, float] = {
    'category': 0.05, 'attribute': 0.08, 'several_phrases': 0.16, 'several_instances': 0.05,
    'relation': 0.18, 'superlative': 0.14, 'negation': 0.08, 'reasoning': 0.09, 'absent': 0.17,
}
"""How often `sample_instruction` tries each kind when none is asked for."""

REF_START, REF_END = '<|object_ref_start|>', '<|object_ref_end|>'


@dataclass(frozen=True)
class Instruction:
    """An instruction, its kind and the phrases of its answer."""

    text: str
    kind: str
    phrases: tuple[Phrase, ...]

    @property
    def answer(self) -> str:
        """What the language model has to say, without query blocks and end marker."""
        return answer_text([phrase.text for phrase in self.phrases])

    @property
    def objects(self) -> tuple[int, ...]:
        """All objects meant, sorted."""
        return tuple(sorted({i for phrase in self.phrases for i in phrase.objects}))


def answer_text(phrases: Sequence[str]) -> str:
    """The answer naming these phrases, in the published format."""
    return ', '.join(f'{REF_START}{phrase}{REF_END}' for phrase in phrases)


def sample_instruction(frame: Any, rng: np.random.Generator, *, kind: str | None = None,
                       forms: str = 'train') -> Instruction | None:
    """Draw an instruction about a `TabletopFrame`; None where the scene allows none of that kind.

    `kind` None draws by `KIND_WEIGHTS`.  `forms` 'held_out' uses only sentence frames that 'train'
    never uses.  Raises ValueError for an unknown kind or form.
    """
    if forms not in ('train', 'held_out'):
        raise ValueError(f"unknown forms '{forms}'; use 'train' or 'held_out'")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"unknown kind '{kind}'; use one of {', '.join(KINDS)}")
    draw = Draw(view_of(frame), rng, forms)
    if kind is not None:
        return _of_kind(draw, kind)
    # Gumbel keys order the kinds by weighted drawing without replacement.
    keys = {name: np.log(weight) - np.log(-np.log(rng.random()))
            for name, weight in KIND_WEIGHTS.items()}
    for name in sorted(keys, key=lambda name: -keys[name]):
        instruction = _of_kind(draw, name)
        if instruction is not None:
            return instruction
    return None


def _of_kind(draw: Draw, kind: str) -> Instruction | None:
    for _ in range(_TRIES.get(kind, 4)):
        parts = _MAKERS[kind](draw)
        if parts is not None and all(_fair(draw.view, kind, part.phrase) for part in parts):
            return Instruction(_sentence(draw, parts), kind, tuple(p.phrase for p in parts))
    return None


def _fair(view: SceneView, kind: str, phrase: Phrase) -> bool:
    """Whether a referring answer leaves open which objects are meant."""
    if kind not in REFERRING_KINDS:
        return True
    fitting = view.matching(None if phrase.text == 'object' else phrase.text, None)
    return len(fitting) >= 2 and 0 < len(phrase.objects) < len(fitting)


def _sentence(draw: Draw, parts: Sequence[NounPhrase]) -> str:
    """Put the noun phrases into a frame, with the spelling habits of typed and spoken text."""
    if parts[0].fixed:
        text = parts[0].text
    else:
        texts = [part.text for part in parts]
        joined = texts[0] if len(texts) == 1 else ', '.join(texts[:-1]) + ' and ' + texts[-1]
        plural = len(texts) > 1 or parts[0].plural
        text = _frame(draw, joined, plural, any(part.bare_all for part in parts))
    style = draw.pick(range(20))
    if style < 4:
        return text.lower().rstrip('.?')
    if style == 4:
        return text.upper()
    return text[0].upper() + text[1:] if style < 12 else text


def _frame(draw: Draw, joined: str, plural: bool, only_quoted: bool) -> str:
    if draw.form == 0 and (only_quoted or draw.chance(0.35)):
        frame = draw.pick(sentences.QUOTED_FRAMES)
        if draw.chance(0.15):
            frame = frame.replace("'{p}'", "the text '{p}'")
        elif draw.chance(0.25):
            frame = frame.replace("'{p}'", '{p}')
        return str(frame).format(p=joined)
    return draw.wording(sentences.PLAIN_FRAMES).format(p=joined, be=be(plural))


def _category(draw: Draw) -> list[NounPhrase] | None:
    category = draw.pick(draw.view.category)
    return [plain(draw, category, None)]


def _attribute(draw: Draw) -> list[NounPhrase] | None:
    view = draw.view
    # Prefer a colour that has to tell two objects apart.
    for index in draw.shuffled(range(len(view)))[:4]:
        color, category = view.color[index], view.category[index]
        if draw.chance(0.2):
            category = None
        if len(view.matching(category, None)) > 1 or draw.chance(0.4):
            return [plain(draw, category, color)]
    return None


def _several_instances(draw: Draw) -> list[NounPhrase] | None:
    view = draw.view
    groups: list[tuple[str | None, str | None]] = [
        (category, color) for category in sorted(set(view.category))
        for color in (None, *sorted(set(view.color)))]
    groups += [(None, k) for k in sorted(set(view.color))]
    for category, color in draw.shuffled(groups):
        found = view.matching(category, color)
        if len(found) >= 2:
            return [all_of(draw, category, color, found)]
    return [all_of(draw, None, None, tuple(range(len(view))))] if len(view) >= 2 else None


def _several_phrases(draw: Draw) -> list[NounPhrase] | None:
    view = draw.view
    wanted = 2 if draw.chance(0.65) else 3
    last = draw.pick((relation, superlative))(draw, noun_phrase=True) if draw.chance(0.3) else None
    parts: list[NounPhrase] = [] if last is None else [last]
    taken = set() if last is None else set(last.phrase.objects)
    for index in draw.shuffled(range(len(view))):
        if len(parts) == wanted:
            break
        part = plain(draw, view.category[index], view.color[index] if draw.chance(0.6) else None)
        words = part.phrase.text
        if taken & set(part.phrase.objects) or any(p.phrase.text == words for p in parts):
            continue
        taken |= set(part.phrase.objects)
        # The referring part stays last: 'the mug left of the box and the ball' would not parse.
        parts.insert(len(parts) - (last is not None), part)
    if len(parts) > 1 and draw.chance(0.12):
        missing = absent_attribute(draw) if draw.chance(0.6) else absent_noun(draw)
        if missing is not None and all(p.phrase.text != missing.phrase.text for p in parts):
            parts[0] = missing
    return parts if len(parts) > 1 else None


def _alone(make: Callable[[Draw], NounPhrase | None]) -> Callable[[Draw], list[NounPhrase] | None]:
    def made(draw: Draw) -> list[NounPhrase] | None:
        part = make(draw)
        return None if part is None else [part]
    return made


_MAKERS: dict[str, Callable[[Draw], list[NounPhrase] | None]] = {
    'category': _category, 'attribute': _attribute, 'several_phrases': _several_phrases,
    'several_instances': _several_instances, 'relation': _alone(relation),
    'superlative': _alone(superlative), 'negation': _alone(negation),
    'reasoning': _alone(reasoning), 'absent': _alone(absent),
}
_TRIES = {'relation': 12, 'superlative': 8, 'negation': 8, 'reasoning': 1}
