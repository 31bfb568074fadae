# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding with a KV cache; every phrase end brings its block of instance queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from transformers import DynamicCache

from instructsam.sequence import SequenceWriter, TokenSequence, attention_from_reach, pad_phrases
from instructsam.vlm import VlmImageFeatures, run_language

if TYPE_CHECKING:
    from instructsam.modeling import InstructSAM

Ending = Literal['stop', 'max_phrases', 'max_new_tokens']


@dataclass(frozen=True)
class DecodedAnswer:
    """An answer and the slots of its P phrases.

    Attributes:
        answer_ids: the tokens in order, without query blocks; the last is im_end if `ending`
            is 'stop'.
        phrase_words: the token ids of each phrase's words, markers left out.
        phrase_ids: [P, T] token ids that describe the phrases to the detector, padded.
        phrase_mask: bool [P, T], True for real tokens.
        slots: [P, Q, H] hidden states of the queries.
        ending: why decoding ended.
    """

    answer_ids: tuple[int, ...]
    phrase_words: tuple[tuple[int, ...], ...]
    phrase_ids: Tensor
    phrase_mask: Tensor
    slots: Tensor
    ending: Ending


class DecodingSession:
    """The language model's state while one answer is written.

    Args:
        model: the network.
        prompt_ids: token ids of the prompt, image placeholders already repeated.
        vlm: the encoded images of the prompt.

    Attributes:
        logits: [V], what the model expects next.
        cache: keys and values of every row so far.

    Raises:
        ValueError: the prompt's image placeholders do not match the images.
    """

    @torch.inference_mode()
    def __init__(self, model: InstructSAM, prompt_ids: Sequence[int] | Tensor,
                 vlm: VlmImageFeatures) -> None:
        self.model = model
        self.cache = DynamicCache(config=model.language_model.config)
        self._writer = SequenceWriter(model.config, prompt_ids, vlm.grids)
        self._slots: list[Tensor] = []
        device = model.device
        embeddings = model.embed(self._writer.input_ids().to(device))
        image_index = self._writer.image_rows.to(device)
        tokens = torch.cat(vlm.tokens).to(embeddings.dtype)
        embeddings = embeddings.index_copy(0, image_index, tokens)
        self.hidden = self._run(0, embeddings, None, image_index,
                                [torch.cat(level) for level in vlm.deepstack])

    @property
    def answer_ids(self) -> list[int]:
        """The answer so far, without query blocks."""
        return self._writer.answer_ids

    @property
    def phrase_count(self) -> int:
        """Query blocks so far."""
        return len(self._writer.block_starts)

    @torch.inference_mode()
    def feed(self, token: int) -> Tensor:
        """Append an answer token, a phrase end with its query block; return their hidden [R, H]."""
        model, writer = self.model, self._writer
        rows = writer.write(token)
        embeddings = model.embed(writer.input_ids(rows.start).to(model.device))
        attention = None
        if rows.is_block:
            queries = slice(2, 2 + model.config.max_seg_nums)
            embeddings[queries] = model.model.mask_queries
            attention = attention_from_reach(writer.reach(rows.start), rows.stop)
            attention = attention[None, None].to(model.device)
        self.hidden = self._run(rows.start, embeddings, attention)
        if rows.has_phrase:
            self._slots.append(self.hidden[queries])
        return self.hidden

    def sequence(self) -> TokenSequence:
        """Everything so far as a one-shot sequence."""
        return self._writer.finish()

    @torch.inference_mode()
    def finish(self, ending: Ending, end_token: int | None = None) -> DecodedAnswer:
        """Return the answer, with the token that ended it, and its slots."""
        model, writer = self.model, self._writer
        phrase_ids, phrase_mask = pad_phrases(writer.phrase_ids)
        slots = (torch.stack(self._slots) if self._slots
                 else self.hidden.new_zeros((0, model.config.max_seg_nums,
                                             model.config.hidden_size)))
        return DecodedAnswer(
            answer_ids=(*writer.answer_ids, *([] if end_token is None else [end_token])),
            phrase_words=tuple(tuple(words) for words in writer.phrase_words),
            phrase_ids=phrase_ids.to(model.device), phrase_mask=phrase_mask.to(model.device),
            slots=slots, ending=ending)

    def _run(self, start: int, embeddings: Tensor, attention: Tensor | None,
             image_index: Tensor | None = None, deepstack: Sequence[Tensor] = ()) -> Tensor:
        positions = self._writer.position_ids(start).to(self.model.device)
        hidden = run_language(
            self.model.language_model, embeddings.unsqueeze(0), positions.unsqueeze(1), attention,
            cache=self.cache, image_index=image_index, deepstack=deepstack)[0]
        self.logits = self.model.logits(hidden[-1])
        return hidden


def greedy(session: DecodingSession, *, max_new_tokens: int | None = None,
           max_phrases: int | None = None) -> DecodedAnswer:
    """Let the model answer, always taking the most likely token.

    Decoding ends with im_end or endoftext, or at one of the two bounds, by default those of
    the model's config. Answers that are not well-formed are no error: a phrase end without a
    beginning or without words still gets its query block but is not grounded.
    """
    config = session.model.config
    max_new_tokens = config.max_new_tokens if max_new_tokens is None else max_new_tokens
    max_phrases = config.max_phrases if max_phrases is None else max_phrases
    ends = (config.im_end_token_id, config.endoftext_token_id)
    while len(session.answer_ids) < max_new_tokens:
        token = int(session.logits.argmax())
        if token in ends:
            return session.finish('stop', token)
        session.feed(token)
        if session.phrase_count >= max_phrases:
            return session.finish('max_phrases')
    return session.finish('max_new_tokens')
