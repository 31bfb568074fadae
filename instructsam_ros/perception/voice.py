# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transcripts of speech to instructions: recogniser formats, fillers, wake word, "never mind".

Understood are plain text and the JSON of Vosk (``{"text": …}``, ``{"partial": …}``,
``{"alternatives": […]}``) and Whisper (``{"text": …, "segments": […]}``, ``{"transcription": …}``).
Politeness stays: models are trained with it, and "please" changes no meaning.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import Any


class UtteranceKind(Enum):
    """What an utterance is for."""

    INSTRUCTION = 'instruction'
    CLEAR = 'clear'
    IGNORED = 'ignored'


@dataclass(frozen=True)
class Utterance:
    """One transcript after normalisation.

    Attributes:
        kind: what to do with it.
        text: the words that were meant; for IGNORED whatever was heard.
        reason: why it was ignored, else empty.
    """

    kind: UtteranceKind
    text: str
    reason: str = ''


_FORMATS = 'send plain text, or JSON with "text" as Vosk and Whisper do'
# what recognisers write for sounds that are no words: [BLANK_AUDIO], (music playing), *sighs*
_NOISE = re.compile(r'\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫]+')
_FILLER = re.compile(
    r'\b(?:u+h+m*|u+m+|e+r+m+|e+r|h+m+|m{2,}|a+h+|e+h+)\b(?:\s*(?:,|\.{2,}|…))*', re.IGNORECASE
)
# only where they are set off: "do you know where the mug is" is a question
_ASIDE = re.compile(
    r'(?:(?<=,)|^)\s*(?:you know|i mean|let me see|let\'s see)\s*(?:,|$)', re.IGNORECASE
)
_OPENING = re.compile(
    r'^(?:okay|ok|so|well|now|alright|all right|hey|hi|hello|yes|yeah|and|then|oh)\b'
    r'(?![\'-])[\s,.!]*',
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r'[\s,.!]+(?:thanks|thank you(?: very much| so much)?|okay|ok)[\s.!]*$', re.IGNORECASE
)
_STUTTER = re.compile(r'\b(the|a|an|to|of|in|on|and|is)(?:\s+\1\b)+', re.IGNORECASE)
_CLEAR = frozenset({
    'stop', 'stop it', 'stop that', 'stop now', 'stop looking', 'stop searching', 'halt', 'abort',
    'never mind', 'nevermind', 'never mind that', 'forget it', 'forget that', 'forget about it',
    'cancel', 'cancel it', 'cancel that', 'clear', 'clear it', 'clear that', 'that is all',
    'thats all', 'no stop', 'no cancel', 'oh stop',
})  # fmt: skip
# taken back within the same breath
_TAKEN_BACK = re.compile(r'\b(?:never ?mind|forget (?:it|that|about it)|cancel that)$')


def parse_voice(data: str, wake_word: str = '') -> Utterance:
    """Return what a voice message asks for.

    ``data`` is a transcript, plain or JSON; with a ``wake_word`` only what is said after it
    counts. Partial results, silence and speech without the wake word are IGNORED. Raises
    ValueError for JSON that is broken or has no transcript.
    """
    transcript = _transcript(data)
    if transcript is None:
        return Utterance(UtteranceKind.IGNORED, '', 'a partial result: the final one will follow')
    heard = _tidy(_NOISE.sub(' ', unicodedata.normalize('NFC', transcript)))
    if not heard:
        return Utterance(UtteranceKind.IGNORED, '', 'nothing was said')
    if wake_word.strip():
        after = _after_wake_word(heard, wake_word)
        if after is None:
            reason = f'the wake word "{wake_word}" was not said'
            return Utterance(UtteranceKind.IGNORED, heard, reason)
        heard = after
    text = without_fillers(heard)
    if not re.search(r'\w', text):
        return Utterance(UtteranceKind.IGNORED, heard, 'nothing but fillers was said')
    if is_clear_command(text):
        return Utterance(UtteranceKind.CLEAR, text)
    return Utterance(UtteranceKind.INSTRUCTION, text)


def without_fillers(text: str) -> str:
    """Return a sentence without hesitations, openings like "okay, so" and closing thanks."""
    text = _STUTTER.sub(r'\1', _tidy(_FILLER.sub(' ', text)))
    before = None
    while before != text:
        before = text
        text = _tidy(_ASIDE.sub(' ', text))
        text = _CLOSING.sub('', _OPENING.sub('', text))
        # inside the loop: an opening may stand behind stray points
        text = re.sub(r'[\s,;:…-]+$', '', re.sub(r'^[\s,;:.…!-]+', '', text))
    return text


def is_clear_command(text: str) -> bool:
    """Return whether a sentence takes the standing instruction back ("stop", "never mind")."""
    words = re.findall(r'[^\W\d_]+', text.lower().replace("'", '').replace('’', ''))
    words = [word for word in words if word not in ('please', 'robot', 'now')]
    spoken = ' '.join(
        word for place, word in enumerate(words) if place == 0 or word != words[place - 1]
    )
    return spoken in _CLEAR or _TAKEN_BACK.search(spoken) is not None


def _transcript(data: str) -> str | None:
    """Return the transcript in a message, None for a partial one."""
    text = data.strip()
    if not text.startswith(('{', '[')):
        return text
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.startswith('['):
            return text  # "[BLANK_AUDIO]" and the like
        detail = error.msg if isinstance(error, json.JSONDecodeError) else 'it is too deep'
        raise ValueError(f'the voice message is broken JSON ({detail}): {_FORMATS}') from None
    if isinstance(document, list):
        return _joined(document)
    return _from_object(document)


def _from_object(document: dict[str, Any]) -> str | None:
    for key in ('final', 'is_final'):
        if document.get(key) is False:
            return None
    for key in ('text', 'transcript'):
        value = document.get(key)
        if isinstance(value, str):
            return value
    if 'partial' in document:
        return None
    alternatives = document.get('alternatives')
    if isinstance(alternatives, list) and alternatives:
        return _joined(alternatives[:1])
    for key in ('transcription', 'segments'):
        if isinstance(document.get(key), list):
            return _joined(document[key])
    found = ', '.join(sorted(map(str, document))[:5]) or 'nothing'
    raise ValueError(f'the voice message has no transcript (it has {found[:80]}): {_FORMATS}')


def _joined(parts: list[Any]) -> str:
    """Join the texts of Whisper's segments."""
    texts = []
    for part in parts:
        text = part.get('text', part.get('transcript')) if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise ValueError(f'the voice message has a part without text: {_FORMATS}')
        texts.append(text)
    return ' '.join(texts)


def _after_wake_word(text: str, wake_word: str) -> str | None:
    words = [re.escape(word) for word in re.findall(r'\w+', wake_word)]
    if not words:
        raise ValueError(f'the wake word {wake_word!r} has no letters: name a word, or leave it '
                         'empty')  # fmt: skip
    found = re.search(r'\b' + r'\W+'.join(words) + r'\b', text, re.IGNORECASE)
    return None if found is None else text[found.end():].lstrip(' ,.!?:;-–…')  # fmt: skip


def _tidy(text: str) -> str:
    """Collapse white space, and commas that stand alone after a removal."""
    text = re.sub(r'\s+', ' ', text)
    text = re.sub(r'\s+([,.?!])', r'\1', text)
    return re.sub(r',(?:\s*,)+', ',', text).strip()
