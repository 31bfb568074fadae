# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Greedy decoding with a KV cache; every phrase end brings its block of instance queries.

A drafted answer is checked in the pass over the prompt, as in speculative decoding (arXiv
2211.17192), here without a draft model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from transformers import DynamicCache

from instructsam.drafting import DraftedPrompt
from instructsam.sequence import TokenSequence, attention_from_reach, pad_phrases
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
        foreseen: how many of the tokens a draft had foreseen.
    """

    answer_ids: tuple[int, ...]
    phrase_words: tuple[tuple[int, ...], ...]
    phrase_ids: Tensor
    phrase_mask: Tensor
    slots: Tensor
    ending: Ending
    foreseen: int = 0


class DecodingSession:
    """The language model's state while one answer is written.

    With a drafted prompt the first pass runs over prompt, draft and query blocks together. What
    the draft foresaw is then there already, tokens and slots; the first token that differs drops
    the rest of it. Rows never see later ones (a query block its own rows only), so the answer is
    that of decoding step by step, whatever the draft.

    Args:
        model: the network.
        prompt: a prompt laid out with a draft, or its token ids alone, image placeholders
            already repeated.
        vlm: the encoded images of the prompt.

    Attributes:
        logits: [V], what the model expects next.
        cache: keys and values of every row so far, and of the rest of the draft.

    Raises:
        ValueError: the prompt's image placeholders do not match the images.
    """

    @torch.inference_mode()
    def __init__(self, model: InstructSAM, prompt: DraftedPrompt | Sequence[int] | Tensor,
                 vlm: VlmImageFeatures) -> None:
        if not isinstance(prompt, DraftedPrompt):
            prompt = DraftedPrompt(model.config, prompt, vlm.grids, device=model.device)
        self.model = model
        self.cache = DynamicCache(config=model.language_model.config)
        self._draft = prompt.draft
        self._foreseen = 0  # tokens of the draft that the answer has taken
        self._writer = prompt.writer
        self._owns_writer = False
        self._slots: list[Tensor] = []
        embeddings = model.embed(prompt.input_ids)
        tokens = torch.cat(vlm.tokens).to(embeddings.dtype)
        if len(tokens) != len(prompt.image_rows):
            raise ValueError(f'the prompt has {len(prompt.image_rows)} image tokens but the '
                             f'images give {len(tokens)}')
        embeddings = embeddings.index_copy(0, prompt.image_rows, tokens)
        blocks = len(prompt.writer.block_starts)
        if blocks:
            queries = model.model.mask_queries.to(embeddings.dtype).repeat(blocks, 1)
            embeddings = embeddings.index_copy(0, prompt.query_rows, queries)
        self.hidden = self._run(prompt.position_ids, embeddings, prompt.attention,
                                prompt.image_rows, [torch.cat(level) for level in vlm.deepstack])
        if self._draft:
            self._drafted_hidden = self.hidden
            self._drafted_logits = model.logits(self.hidden.index_select(0, prompt.answer_rows))
            # one copy from the device for the whole draft
            self._likeliest = self._drafted_logits.argmax(-1).tolist()
            self.logits = self._drafted_logits[0]

    @property
    def answer_ids(self) -> list[int]:
        """The answer so far, without query blocks."""
        return self._writer.answer_ids[:None if self._owns_writer else self._foreseen]

    @property
    def phrase_count(self) -> int:
        """Query blocks so far."""
        if self._owns_writer:
            return len(self._writer.block_starts)
        return self._draft[:self._foreseen].count(self.model.config.ref_end_token_index)

    def likeliest(self) -> int:
        """Return the token that the model expects next."""
        if self._draft and not self._owns_writer:
            return int(self._likeliest[self._foreseen])
        return int(self.logits.argmax())

    @torch.inference_mode()
    def feed(self, token: int) -> Tensor:
        """Append an answer token, a phrase end with its query block; return their hidden [R, H]."""
        if not self._owns_writer:
            if self._foreseen < len(self._draft) and token == self._draft[self._foreseen]:
                return self._take_foreseen()
            self._drop_draft()
        model, writer = self.model, self._writer
        rows = writer.write(token)
        embeddings = model.embed(writer.input_ids(rows.start).to(model.device))
        attention = None
        if rows.is_block:
            embeddings[self._queries] = model.model.mask_queries
            attention = attention_from_reach(writer.reach(rows.start), rows.stop)
            attention = attention[None, None].to(model.device)
        positions = writer.position_ids(rows.start).to(model.device)
        self.hidden = self._run(positions, embeddings, attention)
        if rows.has_phrase:
            self._slots.append(self.hidden[self._queries])
        return self.hidden

    def sequence(self) -> TokenSequence:
        """Everything so far as a one-shot sequence."""
        self._drop_draft()
        return self._writer.finish()

    @torch.inference_mode()
    def finish(self, ending: Ending, end_token: int | None = None) -> DecodedAnswer:
        """Return the answer, with the token that ended it, and its slots."""
        model, writer = self.model, self._writer
        if not self._owns_writer and self._foreseen < len(self._draft):
            writer = writer.fork(self._foreseen)
        phrase_ids, phrase_mask = pad_phrases(writer.phrase_ids)
        slots = (torch.stack(self._slots) if self._slots
                 else self.hidden.new_zeros((0, model.config.max_seg_nums,
                                             model.config.hidden_size)))
        return DecodedAnswer(
            answer_ids=(*writer.answer_ids, *([] if end_token is None else [end_token])),
            phrase_words=tuple(tuple(words) for words in writer.phrase_words),
            phrase_ids=phrase_ids.to(model.device), phrase_mask=phrase_mask.to(model.device),
            slots=slots, ending=ending, foreseen=self._foreseen)

    @property
    def _queries(self) -> slice:
        """Where the queries are in a block."""
        return slice(2, 2 + self.model.config.max_seg_nums)

    def _take_foreseen(self) -> Tensor:
        """Go on by one token that the first pass has run already."""
        rows = self._writer.rows_of(self._foreseen)
        self._foreseen += 1
        self.hidden = self._drafted_hidden[rows.start:rows.stop]
        self.logits = self._drafted_logits[self._foreseen]
        if rows.has_phrase:
            self._slots.append(self.hidden[self._queries])
        return self.hidden

    def _drop_draft(self) -> None:
        """Forget what the draft foresaw beyond the answer so far; from here on go by steps."""
        if self._owns_writer:
            return
        rows = len(self._writer)
        self._writer = self._writer.fork(self._foreseen)
        self._owns_writer = True
        if len(self._writer) < rows:
            self.cache.crop(len(self._writer) - rows)

    def _run(self, positions: Tensor, embeddings: Tensor, attention: Tensor | None,
             image_index: Tensor | None = None, deepstack: Sequence[Tensor] = ()) -> Tensor:
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
        token = session.likeliest()
        if token in ends:
            return session.finish('stop', token)
        session.feed(token)
        if session.phrase_count >= max_phrases:
            return session.finish('max_phrases')
    return session.finish('max_new_tokens')
