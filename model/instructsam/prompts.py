# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Chat prompts and answers as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from instructsam.configuration import InstructSAMConfig

MAX_INSTRUCTION_CHARACTERS = 2000
# Stands for the instruction while the chat template is filled in; no tokenizer knows it.
_PLACE = '\ue000instruction\ue000'
# Qwen's chat with the image first and no system message, for tokenizers without a template.
_PLAIN_CHAT = ('<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>' + _PLACE
               + '<|im_end|>\n<|im_start|>assistant\n')


def check_instruction(instruction: str) -> str:
    """Return the instruction without surrounding white space.

    Raises:
        ValueError: it is empty or longer than 2,000 characters.
    """
    text = instruction.strip()
    if not text:
        raise ValueError('the instruction is empty: say what to segment, such as "the red mug"')
    if len(text) > MAX_INSTRUCTION_CHARACTERS:
        raise ValueError(f'the instruction has {len(text):,} characters: shorten it to at most '
                         f'{MAX_INSTRUCTION_CHARACTERS:,}')
    return text


def answer_text(phrases: Sequence[str]) -> str:
    """Return the answer that names these phrases, with markers and without query blocks."""
    return ', '.join(f'<|object_ref_start|>{phrase}<|object_ref_end|>' for phrase in phrases)


def image_token_count(grid_thw: Sequence[int], merge_size: int) -> int:
    """Return how many tokens an image of (t, h, w) patches takes."""
    t, h, w = (int(n) for n in grid_thw)
    return t * h * w // merge_size**2


class PromptBuilder:
    """Builds prompts for one tokenizer.

    Args:
        tokenizer: a transformers tokenizer; its chat template is used if it has one.
        config: names the special tokens.

    Raises:
        ValueError: the chat template leaves out the image or the text.
    """

    def __init__(self, tokenizer: Any, config: InstructSAMConfig) -> None:
        self._tokenizer = tokenizer
        self._config = config
        chat = _PLAIN_CHAT
        if getattr(tokenizer, 'chat_template', None):
            content = [{'type': 'image'}, {'type': 'text', 'text': _PLACE}]
            chat = tokenizer.apply_chat_template(
                [{'role': 'user', 'content': content}], tokenize=False,
                add_generation_prompt=True)
        before, place, after = chat.partition(_PLACE)
        self._before = self._encode(before)
        self._after = self._encode(after)
        if not place or self._before.count(config.image_token_id) != 1:
            raise ValueError("the tokenizer's chat template does not show one image and the text: "
                             'use the template of a Qwen3-VL checkpoint')

    def prompt_ids(self, instruction: str, image_tokens: int) -> list[int]:
        """Return the prompt's token ids with `image_tokens` image placeholders.

        Special tokens that are spelled out in the instruction are read as plain text.

        Raises:
            ValueError: the instruction is empty or too long.
        """
        text = self._encode(check_instruction(instruction), plain=True)
        image = self._config.image_token_id
        at = self._before.index(image)
        return [*self._before[:at], *[image] * image_tokens, *self._before[at + 1:], *text,
                *self._after]

    def answer_ids(self, answer: str) -> list[int]:
        """Return an answer's token ids, `im_end` added; its phrase markers are special tokens."""
        return [*self._encode(answer), self._config.im_end_token_id]

    def decode_words(self, ids: Sequence[int]) -> str:
        """Return the text of a phrase's words."""
        return ' '.join(self._decode(ids).split())

    def decode_answer(self, ids: Sequence[int]) -> str:
        """Return an answer as text, without markers: "red mug, blue cup"."""
        config = self._config
        markers = {config.ref_start_token_index, config.ref_end_token_index,
                   config.seg_start_token_index, config.seg_end_token_index,
                   config.seg_token_index, config.im_end_token_id, config.endoftext_token_id}
        return self.decode_words([token for token in ids if token not in markers])

    def _encode(self, text: str, *, plain: bool = False) -> list[int]:
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=plain)
        return list(encoded['input_ids'])

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
