# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The language model in passes of fixed shapes, as CUDA graphs need them.

Two kinds of pass, over tensors that stay where they are: prompt and draft, and the rows of some
tokens of the answer, both padded to a bucket. Rows see a prefix of the sequence (see `sequence`),
so padding at the end changes nothing, nor do rows of a dropped draft that are still in the cache:
what lies beyond a row's reach is masked. Which token follows is computed on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from instructsam.decoding import DecodingSession, Pass
from instructsam.drafting import MAX_GUESS, DraftedPrompt
from instructsam.graphs import Lane, Recording, Shelf, bucket, fill
from instructsam.row_cache import RowCache
from instructsam.sequence import SequenceWriter, attention_from_reach
from instructsam.vlm import VlmImageFeatures, run_language

if TYPE_CHECKING:
    from instructsam.modeling import InstructSAM

_ROW_BUCKET = 64
_ANSWER_BUCKET = 32
_COLUMN_BUCKET = 512
_PREFILLS = 8
_STEPS = 12
_STEP_BUCKET = 16
# how much longer than the first a sequence may be before a picture waits for a recording
_WARM_ROWS = 192
_NO_QUERY = -1


class _Inputs:
    """What a pass over R rows reads; filled from the CPU.

    Attributes:
        ids: [R] tokens.
        positions: [3, R].
        reach: [R], the last row that each may attend to.
        queries: [R], which learned query stands in a row, or -1.
        rows: [R], places in the cache.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.long, device=device)

        self.ids, self.positions, self.reach = zeros(count), zeros(3, count), zeros(count)
        self.rows = zeros(count)
        self.queries = torch.full((count,), _NO_QUERY, device=device)

    def embed(self, model: InstructSAM) -> Tensor:
        """Embeddings [R, H] of tokens and queries."""
        learned = model.model.mask_queries.index_select(0, self.queries.clamp(min=0))
        is_query = (self.queries >= 0).unsqueeze(-1)
        embeddings = model.embed(self.ids)
        return torch.where(is_query, learned.to(embeddings.dtype), embeddings)


@dataclass
class Prefill:
    """A pass over prompt and draft, for all prompts of one bucket.

    Attributes:
        hidden: [L, H] of every row, also of the padding.
        likeliest: [A], the token that the model expects at each place of the draft and after it.
        slots: [P, Q, H] of the draft's phrases; beyond them something finite.
    """

    inputs: _Inputs
    image_rows: Tensor
    answer_rows: Tensor
    slot_rows: Tensor
    hidden: Tensor
    likeliest: Tensor
    slots: Tensor
    run: Recording
    loaded: DraftedPrompt | None = None


class StaticLanguage:
    """The language model's passes for the pictures of one size.

    Args:
        model: the network.
        vlm: where the vision tower leaves its image; always the same tensors.
        rows: of prompt, answer and query blocks at their longest.
        lane: what the passes run in.
    """

    def __init__(self, model: InstructSAM, vlm: VlmImageFeatures, rows: int, lane: Lane) -> None:
        self.model = model
        self._vlm = vlm
        self._lane = lane
        # padding needs places too
        self._spare = bucket(2 * model.config.block_size + MAX_GUESS, _STEP_BUCKET)
        self.cache = RowCache(model, bucket(rows + self._spare, _COLUMN_BUCKET))
        self._prefills: Shelf[tuple[int, int], Prefill] = Shelf(_PREFILLS)
        self._steps: Shelf[tuple[int, int], tuple[_Inputs, Recording]] = Shelf(_STEPS)

    @property
    def room(self) -> int:
        """Rows that a sequence may have."""
        return len(self.cache) - self._spare

    def prefill(self, prompt: DraftedPrompt) -> Prefill:
        """Run prompt and draft; nothing is read back.

        Raises:
            ValueError: the sequence is longer than the cache.
        """
        if len(prompt) > self.room:
            raise ValueError(f'{len(prompt)} rows, but the cache has room for {self.room}')
        found = self._prefill(bucket(len(prompt), _ROW_BUCKET),
                              bucket(len(prompt.answer_rows), _ANSWER_BUCKET), prompt)
        self._load(found, prompt)
        found.hidden, found.likeliest, found.slots = found.run()
        return found

    def step(self, writer: SequenceWriter, start: int) -> tuple[Tensor, Tensor]:
        """Run the rows that were written from `start` on; nothing is read back.

        Returns hidden [R, H] and the token [R] that the model expects after each row, both valid
        until the next step.
        """
        count = len(writer) - start
        width = 1 if count == 1 else bucket(count, _STEP_BUCKET)
        inputs, run = self._step(width, bucket(start + width, _COLUMN_BUCKET))
        padding = width - count
        queries = torch.full((width,), _NO_QUERY)
        each = torch.arange(self.model.config.max_seg_nums)
        for block in writer.block_starts:
            if block >= start:
                queries[block - start + 2:block - start + 2 + len(each)] = each
        places = torch.arange(start, start + width)
        fill(inputs.queries, queries)
        fill(inputs.ids, _padded(writer.input_ids(start), padding))
        fill(inputs.positions, _padded(writer.position_ids(start), padding))
        fill(inputs.reach, torch.cat((writer.reach(start), places[count:])))
        fill(inputs.rows, places)
        hidden, likeliest = run()
        return hidden[:count], likeliest[:count]

    def warm_up(self, prompt: DraftedPrompt) -> None:
        """Record what a prompt takes, and longer ones with longer answers; else when needed."""
        answers = bucket(len(prompt.answer_rows), _ANSWER_BUCKET)
        for rows in range(bucket(len(prompt), _ROW_BUCKET),
                          bucket(len(prompt) + _WARM_ROWS, _ROW_BUCKET) + 1, _ROW_BUCKET):
            self._prefill(rows, answers, prompt)
        # a token, a query block, a phrase with its block
        for width in (1, _STEP_BUCKET, 2 * _STEP_BUCKET):
            self._step(width, bucket(len(prompt) + _WARM_ROWS, _COLUMN_BUCKET))

    def _prefill(self, rows: int, answers: int, prompt: DraftedPrompt) -> Prefill:
        return self._prefills.get(
            (rows, answers), lambda: self._make_prefill(rows, answers, prompt))

    def _make_prefill(self, rows: int, answers: int, prompt: DraftedPrompt) -> Prefill:
        # closures hold no `self`: without a circle memory goes as soon as nobody needs it
        model, cache, vlm = self.model, self.cache, self._vlm
        config, device = model.config, model.device
        inputs = _Inputs(rows, device)
        image_rows = prompt.sequence.image_rows.to(device)
        answer_rows = torch.zeros(answers, dtype=torch.long, device=device)
        slot_rows = torch.zeros(config.max_phrases * config.max_seg_nums, dtype=torch.long,
                                device=device)

        def work() -> tuple[Tensor, ...]:
            embeddings = inputs.embed(model)
            image = torch.cat(vlm.tokens).to(embeddings.dtype)
            embeddings = embeddings.index_copy(0, image_rows, image)
            cache.rows = None
            hidden = run_language(
                model.language_model, embeddings.unsqueeze(0), inputs.positions.unsqueeze(1),
                attention_from_reach(inputs.reach, rows)[None, None], cache=cache,
                image_index=image_rows,
                deepstack=[torch.cat(level) for level in vlm.deepstack])[0]
            logits = model.logits(hidden.index_select(0, answer_rows))
            slots = hidden.index_select(0, slot_rows).unflatten(0, (-1, config.max_seg_nums))
            return hidden, logits.argmax(-1), slots

        nothing = torch.zeros(0)
        return Prefill(inputs, image_rows, answer_rows, slot_rows, nothing, nothing, nothing,
                       self._lane.record(work))

    def _load(self, prefill: Prefill, prompt: DraftedPrompt) -> None:
        """Copy a prompt to the device, unless it is there."""
        if prefill.loaded is prompt:
            return
        sequence, inputs = prompt.sequence, prefill.inputs
        length, width = len(sequence), len(inputs.ids)
        padding = width - length
        queries = torch.full((width,), _NO_QUERY)
        each = self.model.config.max_seg_nums
        queries[sequence.query_rows] = torch.arange(each).repeat(len(sequence.query_rows) // each)
        fill(inputs.queries, queries)
        fill(inputs.ids, _padded(sequence.input_ids, padding))
        fill(inputs.positions, _padded(sequence.position_ids, padding))
        fill(inputs.reach, torch.cat((sequence.reach, torch.arange(length, width))))
        fill(prefill.image_rows, sequence.image_rows)
        answers = torch.cat((sequence.answer_rows, torch.tensor([length - 1])))
        fill(prefill.answer_rows, _padded(answers, len(prefill.answer_rows) - len(answers)))
        slots = sequence.slot_rows.flatten()[:len(prefill.slot_rows)]
        fill(prefill.slot_rows, _padded(slots, len(prefill.slot_rows) - len(slots)))
        prefill.loaded = prompt

    def _step(self, width: int, columns: int) -> tuple[_Inputs, Recording]:
        return self._steps.get((width, columns), lambda: self._make_step(width, columns))

    def _make_step(self, width: int, columns: int) -> tuple[_Inputs, Recording]:
        model, cache = self.model, self.cache
        inputs = _Inputs(width, model.device)
        # where padding goes: recording runs the pass, and a sequence may be in the cache
        fill(inputs.rows, torch.arange(len(cache) - width, len(cache)))

        def work() -> tuple[Tensor, ...]:
            cache.rows, cache.columns = inputs.rows, columns
            hidden = run_language(
                model.language_model, inputs.embed(model).unsqueeze(0),
                inputs.positions.unsqueeze(1),
                attention_from_reach(inputs.reach, columns)[None, None], cache=cache)[0]
            return hidden, model.logits(hidden).argmax(-1)

        return inputs, self._lane.record(work)


class StaticSession(DecodingSession):
    """A `DecodingSession` whose first pass is done: the answer is compared with it, and goes on.

    Args:
        language: the passes; its cache holds those of `prompt`.
        prompt: laid out with its draft.
        hidden: [L, H], of the first pass.
        likeliest: token that the model expects at each place of the draft and after it.
    """

    @torch.inference_mode()
    def __init__(self, language: StaticLanguage, prompt: DraftedPrompt, hidden: Tensor,
                 likeliest: Sequence[int]) -> None:
        self._begin(language.model, prompt)
        self._language = language
        self.hidden = hidden[:len(prompt)]
        self._pass = Pass(self.hidden, 0, 0, list(likeliest))

    def _forget_rows(self, rows: int) -> None:
        """Nothing: no row looks beyond its reach."""

    def _extend(self, tokens: Sequence[int]) -> Pass:
        writer, count = self._writer, self._count
        start = len(writer)
        for token in tokens:
            writer.write(token)
        hidden, expected = self._language.step(writer, start)
        known = expected.tolist()  # the one place where decoding waits for the device
        likeliest = [known[writer.rows_of(count + number).stop - 1 - start]
                     for number in range(len(tokens))]
        # a copy: the next step is put in the same place
        return Pass(hidden.clone(), start, count + 1, likeliest)


def _padded(rows: Tensor, padding: int) -> Tensor:
    return torch.cat((rows, rows.new_zeros((*rows.shape[:-1], padding))), dim=-1)
