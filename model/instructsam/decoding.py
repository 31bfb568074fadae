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

from instructsam.drafting import DraftedPrompt, Guesses
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


@dataclass(frozen=True)
class Pass:
    """Rows that were run together, with what the model expects at each of their tokens.

    Attributes:
        hidden: [R, H].
        row: the sequence's row that comes first.
        token: how many tokens the answer has where `likeliest` begins.
        likeliest: what follows so many tokens of the answer, one more, and so on; empty: what
            the session's logits say.
        logits: [A, V] of these, where they are kept.
    """

    hidden: Tensor
    row: int
    token: int
    likeliest: list[int]
    logits: Tensor | None = None


class DecodingSession:
    """The language model's state while one answer is written.

    With a drafted prompt the first pass runs over prompt, draft and query blocks together. What
    the draft foresaw is then there already, tokens and slots; the first token that differs drops
    the rest of it. What of the draft may follow that token is run along with it (see `Guesses`):
    an answer with a phrase more or less costs a few passes, not one a token. Rows never see later
    ones (a query block its own rows only), so the answer is that of decoding step by step,
    whatever the draft.

    Args:
        model: the network.
        prompt: a prompt laid out with a draft, or its token ids alone, image placeholders
            already repeated.
        vlm: the encoded images of the prompt.

    Attributes:
        logits: [V], what the model expects next.
        cache: keys and values of every row so far, and of what was run ahead.

    Raises:
        ValueError: the prompt's image placeholders do not match the images.
    """

    _pass: Pass | None

    @torch.inference_mode()
    def __init__(self, model: InstructSAM, prompt: DraftedPrompt | Sequence[int] | Tensor,
                 vlm: VlmImageFeatures) -> None:
        if not isinstance(prompt, DraftedPrompt):
            prompt = DraftedPrompt(model.config, prompt, vlm.grids, device=model.device)
        self._begin(model, prompt)
        self.cache = DynamicCache(config=model.language_model.config)
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
        # of the prompt only what its last row expects is asked for
        start = prompt.writer.prompt_length - 1 if prompt.attention is not None else 0
        self.hidden = self._run(prompt.position_ids, embeddings, prompt.attention,
                                prompt.image_rows, [torch.cat(level) for level in vlm.deepstack],
                                start)
        if prompt.draft:
            first = self._expectations(self.hidden, start, 0, prompt.answer_rows - start)
            assert first.logits is not None
            self._pass, self.logits = first, first.logits[0]

    def _begin(self, model: InstructSAM, prompt: DraftedPrompt) -> None:
        self.model = model
        self._writer = prompt.writer  # the answer, and beyond it what was run ahead
        self._owns_writer = False
        self._count = 0  # tokens of the answer
        self._foreseen = 0
        self._pass = None
        self._guesses = Guesses(prompt.draft, model.config.ref_end_token_index)
        self._slots: list[Tensor] = []

    @property
    def answer_ids(self) -> list[int]:
        """The answer so far, without query blocks."""
        return self._writer.answer_ids[:self._count]

    @property
    def phrase_count(self) -> int:
        """Query blocks so far."""
        return self.answer_ids.count(self.model.config.ref_end_token_index)

    def likeliest(self) -> int:
        """Return the token that the model expects next."""
        if self._pass is not None and self._pass.likeliest:
            return self._pass.likeliest[self._count - self._pass.token]
        return int(self.logits.argmax())

    @torch.inference_mode()
    def feed(self, token: int) -> Tensor:
        """Append an answer token, a phrase end with its query block; return their hidden [R, H]."""
        ahead = self._writer.answer_ids[self._count:]
        if ahead and token == ahead[0]:
            assert self._pass is not None
            self._guesses.confirm()
            self._foreseen += not self._owns_writer
        else:
            self._drop_ahead()
            self._pass = self._extend([token, *self._guesses.after(token, refuted=bool(ahead))])
        rows = self._writer.rows_of(self._count)
        self._count += 1
        begin = self._pass.row
        self.hidden = self._pass.hidden[rows.start - begin:rows.stop - begin]
        if self._pass.logits is not None:
            self.logits = self._pass.logits[self._count - self._pass.token]
        if rows.has_phrase:
            self._slots.append(self.hidden[self._queries])
        return self.hidden

    def sequence(self) -> TokenSequence:
        """Everything so far as a one-shot sequence."""
        self._drop_ahead()
        return self._writer.finish()

    @torch.inference_mode()
    def finish(self, ending: Ending, end_token: int | None = None) -> DecodedAnswer:
        """Return the answer, with the token that ended it, and its slots."""
        model, writer = self.model, self._writer
        if self._count < len(writer.answer_ids):
            writer = writer.fork(self._count)
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

    def _drop_ahead(self) -> None:
        """Forget what was run ahead of the answer."""
        rows = len(self._writer)
        if not self._owns_writer or self._count < len(self._writer.answer_ids):
            self._writer = self._writer.fork(self._count)
            self._owns_writer = True
        if len(self._writer) < rows:
            self._forget_rows(rows - len(self._writer))

    def _forget_rows(self, rows: int) -> None:
        """Take the last rows out of the cache."""
        self.cache.crop(-rows)

    def _extend(self, tokens: Sequence[int]) -> Pass:
        """Write tokens and run their rows."""
        model, writer, count = self.model, self._writer, self._count
        start = len(writer)
        for token in tokens:
            writer.write(token)
        embeddings = model.embed(writer.input_ids(start).to(model.device))
        for block in writer.block_starts:
            if block >= start:
                queries = writer.query_rows_of(block)
                embeddings[queries.start - start:queries.stop - start] = model.model.mask_queries
        attention = None
        if len(writer) > start + 1:
            attention = attention_from_reach(writer.reach(start), len(writer))
            attention = attention[None, None].to(model.device)
        positions = writer.position_ids(start).to(model.device)
        hidden = self._run(positions, embeddings, attention)
        if len(tokens) == 1:
            return Pass(hidden, start, count + 1, [])
        ends = [writer.rows_of(count + number).stop - 1 - start for number in range(len(tokens))]
        return self._expectations(hidden, start, count + 1,
                                  torch.tensor(ends, device=model.device))

    def _expectations(self, hidden: Tensor, row: int, token: int, places: Tensor) -> Pass:
        """Make the pass of rows whose hidden states at some places tell the next tokens."""
        logits = self.model.logits(hidden.index_select(0, places))
        # one copy from the device for all
        return Pass(hidden, row, token, logits.argmax(-1).tolist(), logits)

    def _run(self, positions: Tensor, embeddings: Tensor, attention: Tensor | None,
             image_index: Tensor | None = None, deepstack: Sequence[Tensor] = (),
             first_row: int = 0) -> Tensor:
        hidden = run_language(
            self.model.language_model, embeddings.unsqueeze(0), positions.unsqueeze(1), attention,
            cache=self.cache, image_index=image_index, deepstack=deepstack,
            first_row=first_row)[0]
        if not first_row:  # else a draft asks for more
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
