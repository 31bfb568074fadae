# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How prompt, answer and query blocks stand in the language model's sequence.

At every phrase end the block `ref_end, mask_start, [SEG] x Q, mask_end` takes the place of
`ref_end` (arXiv 2605.26102, hybrid attention). Two layouts exist, because the released inference
differs from the released training:

                     'released'                             'training'
positions            0, 1, 2 ... also over image tokens     M-RoPE, as Qwen3-VL
a block's positions  one ahead; the next token takes the    contiguous
                     block's last position again
queries see          the past and the whole block           the past and each other
mask_end sees        the past and the whole block           the past and the whole block
a phrase's tokens    with both markers                      the words alone

Every row sees a prefix of the sequence, so one number per row, its *reach* (the last row it may
attend to), is the whole attention mask. The same writer serves one-shot sequences and
step-by-step decoding, which is why both give the same slots.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from instructsam.configuration import InstructSAMConfig

IGNORED_LABEL = -100
Grid = Sequence[int]  # (t, h, w) of one image, in patches


@dataclass(frozen=True)
class TokenSequence:
    """One sequence of L rows: prompt, answer and P query blocks of Q queries.

    Attributes:
        input_ids: [L]; query rows hold the [SEG] token, whose embedding is never used.
        position_ids: [3, L], time, height, width.
        reach: [L], the last row that each row may attend to.
        image_rows: [N], rows that image tokens replace.
        slot_rows: [P, Q], rows of the queries of each phrase that can be grounded.
        phrase_ids: P vectors with the token ids that describe each phrase to the detector.
        query_rows: [M], rows of every injected query, also of blocks without a usable phrase.
        answer_rows: [A], the row whose logits predict each answer token.
        labels: [L], next-token targets, -100 where there is none.
    """

    input_ids: Tensor
    position_ids: Tensor
    reach: Tensor
    image_rows: Tensor
    slot_rows: Tensor
    phrase_ids: tuple[Tensor, ...]
    query_rows: Tensor
    answer_rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])

    @property
    def attention(self) -> Tensor:
        """Bool [L, L]: row i may attend to column j."""
        return attention_from_reach(self.reach, len(self))


@dataclass(frozen=True)
class Rows:
    """Rows `start`..`stop - 1` that one token added: a single row, or a whole query block."""

    start: int
    stop: int
    is_block: bool
    has_phrase: bool


def attention_from_reach(reach: Tensor, columns: int) -> Tensor:
    """Turn reach [..., R] into a bool mask [..., R, columns], True where attending is allowed."""
    return torch.arange(columns, device=reach.device) <= reach.unsqueeze(-1)


class SequenceWriter:
    """Writes a sequence token by token: first the prompt, then an answer.

    Args:
        config: names the layout, the attention and the special tokens.
        prompt_ids: token ids of the prompt, image placeholders already repeated.
        grids: (t, h, w) in patches of every image of the prompt; None where there is none.

    Raises:
        ValueError: the placeholders do not match the grids, or the prompt is empty.
    """

    def __init__(self, config: InstructSAMConfig, prompt_ids: Sequence[int] | Tensor,
                 grids: Sequence[Grid] | Grid | Tensor | None) -> None:
        self.config = config
        prompt = torch.as_tensor(prompt_ids, dtype=torch.long).reshape(-1).cpu()
        if prompt.numel() == 0:
            raise ValueError('the prompt is empty: give it at least one token')
        self._prompt = prompt
        self.image_rows = (prompt == config.image_token_id).nonzero().flatten()
        grid_list = _as_grids(grids)
        expected = sum(t * h * w for t, h, w in grid_list) // config.merge_size**2
        if expected != self.image_rows.numel():
            raise ValueError(f'the prompt has {self.image_rows.numel()} image tokens but the image '
                             f'grids {grid_list} need {expected}')
        self._prompt_positions = self._positions_of_prompt(grid_list)
        self._begin_answer()

    def _begin_answer(self) -> None:
        self._next_position = int(self._prompt_positions.max()) + 1
        # Rows after the prompt; their three position axes are always equal.
        self._ids: list[int] = []
        self._positions: list[int] = []
        self._reach: list[int] = []
        self._open_phrase: list[int] | None = None
        self.answer_ids: list[int] = []
        self._rows: list[Rows] = []
        self.block_starts: list[int] = []
        self.phrase_starts: list[int] = []
        self.phrase_ids: list[list[int]] = []
        self.phrase_words: list[list[int]] = []

    def __len__(self) -> int:
        return self._prompt.numel() + len(self._ids)

    @property
    def prompt_length(self) -> int:
        """Rows of the prompt."""
        return self._prompt.numel()

    def write(self, token: int) -> Rows:
        """Append an answer token; a phrase end appends its whole query block."""
        config = self.config
        start = len(self)
        is_block = token == config.ref_end_token_index
        has_phrase = False
        if is_block:
            self._write_block(start)
            has_phrase = self._close_phrase(start)
        else:
            if token == config.ref_start_token_index:
                self._open_phrase = []
            elif self._open_phrase is not None:
                self._open_phrase.append(token)
            self._ids.append(token)
            self._positions.append(self._next_position)
            self._reach.append(start)
            self._next_position += 1
        rows = Rows(start, len(self), is_block, has_phrase)
        self.answer_ids.append(token)
        self._rows.append(rows)
        return rows

    def rows_of(self, number: int) -> Rows:
        """Return the rows that token `number` (from 0) of the answer added."""
        return self._rows[number]

    def fork(self, tokens: int) -> SequenceWriter:
        """Return a writer of the same prompt and the first `tokens` of the answer."""
        other = copy.copy(self)
        other._begin_answer()
        for token in self.answer_ids[:tokens]:
            other.write(token)
        return other

    def input_ids(self, start: int = 0) -> Tensor:
        """Token ids [R] of the rows from `start` on."""
        return _tail(self._prompt, self._ids, start)

    def position_ids(self, start: int = 0) -> Tensor:
        """Positions [3, R] of the rows from `start` on."""
        columns = self._prompt.numel()
        tail = torch.tensor(self._positions[max(start - columns, 0):], dtype=torch.long)
        return torch.cat((self._prompt_positions[:, start:], tail.expand(3, -1)), dim=1)

    def reach(self, start: int = 0) -> Tensor:
        """Reach [R] of the rows from `start` on."""
        return _tail(torch.arange(self._prompt.numel()), self._reach, start)

    def query_rows_of(self, block_start: int) -> range:
        """The rows of the queries in the block that begins at `block_start`."""
        return range(block_start + 2, block_start + 2 + self.config.max_seg_nums)

    def finish(self) -> TokenSequence:
        """Return all that was written as one sequence."""
        config = self.config
        labels = torch.full((len(self),), IGNORED_LABEL, dtype=torch.long)
        answer_rows = torch.tensor([rows.start - 1 for rows in self._rows], dtype=torch.long)
        labels[answer_rows] = torch.tensor(self.answer_ids, dtype=torch.long)
        if self.block_starts:
            # The release supervises mask_start but neither [SEG] nor mask_end.
            labels[self.block_starts] = config.seg_start_token_index
        slot_rows = [list(self.query_rows_of(start)) for start in self.phrase_starts]
        query_rows = [row for start in self.block_starts for row in self.query_rows_of(start)]
        return TokenSequence(
            input_ids=self.input_ids(), position_ids=self.position_ids(), reach=self.reach(),
            image_rows=self.image_rows,
            slot_rows=torch.tensor(slot_rows, dtype=torch.long).reshape(-1, config.max_seg_nums),
            phrase_ids=tuple(torch.tensor(ids) for ids in self.phrase_ids),
            query_rows=torch.tensor(query_rows, dtype=torch.long),
            answer_rows=answer_rows, labels=labels)

    def _write_block(self, start: int) -> None:
        config = self.config
        size = config.block_size
        self.block_starts.append(start)
        self._ids += [config.ref_end_token_index, config.seg_start_token_index,
                      *[config.seg_token_index] * config.max_seg_nums,
                      config.seg_end_token_index]
        skip = 1 if config.layout == 'released' else 0
        first = self._next_position + skip
        self._positions += range(first, first + size)
        self._next_position += size
        last = start + size - 1
        reach = list(range(start, start + size))
        if config.attention == 'hybrid':
            shared = last if config.layout == 'released' else last - 1
            for row in self.query_rows_of(start):
                reach[row - start] = shared
        self._reach += reach

    def _close_phrase(self, start: int) -> bool:
        """Keep the phrase that ends here, unless it has no beginning or no words."""
        words, self._open_phrase = self._open_phrase, None
        if not words:
            return False
        config = self.config
        tokens = words
        if config.layout == 'released':
            tokens = [config.ref_start_token_index, *words, config.ref_end_token_index]
        self.phrase_starts.append(start)
        self.phrase_words.append(words)
        self.phrase_ids.append(tokens[:config.phrase_max_tokens])
        return True

    def _positions_of_prompt(self, grids: list[tuple[int, int, int]]) -> Tensor:
        length = self._prompt.numel()
        plain = torch.arange(length).expand(3, -1)
        if self.config.layout == 'released' or not grids:
            return plain.clone()
        merge = self.config.merge_size
        parts: list[Tensor] = []
        position = row = 0
        first_rows = self.image_rows.tolist()
        used = 0
        for t, h, w in grids:
            count = t * h * w // merge**2
            begin = first_rows[used]
            used += count
            parts.append(torch.arange(position, position + begin - row).expand(3, -1))
            position += begin - row
            axes = torch.meshgrid(torch.arange(t), torch.arange(h // merge),
                                  torch.arange(w // merge), indexing='ij')
            parts.append(torch.stack(axes).reshape(3, -1) + position)
            position += max(h, w) // merge
            row = begin + count
        parts.append(torch.arange(position, position + length - row).expand(3, -1))
        return torch.cat(parts, dim=1)


def build_sequence(config: InstructSAMConfig, prompt_ids: Sequence[int] | Tensor,
                   answer_ids: Sequence[int] | Tensor,
                   grid_thw: Sequence[Grid] | Grid | Tensor | None) -> TokenSequence:
    """Lay out a prompt and its known answer for one forward pass.

    Args:
        config: names the layout and the special tokens.
        prompt_ids: token ids of the prompt, image placeholders already repeated.
        answer_ids: what greedy decoding emits (ref_start, words, ref_end, separators, im_end),
            without mask_start, [SEG] and mask_end: blocks are put in at every ref_end.
        grid_thw: (t, h, w) in patches of the prompt's image, or one row per image.

    Raises:
        ValueError: image placeholders and grid do not match.
    """
    writer = SequenceWriter(config, prompt_ids, grid_thw)
    for token in torch.as_tensor(answer_ids).reshape(-1).tolist():
        writer.write(int(token))
    return writer.finish()


@dataclass(frozen=True)
class SequenceBatch:
    """B sequences, padded on the right to L rows; P phrases in all, in sequence order.

    Flat indices count rows of the [B * L] flattened batch.

    Attributes:
        input_ids: [B, L]; padding holds token 0.
        position_ids: [3, B, L].
        reach: [B, L]; padding rows reach themselves and no real row reaches padding.
        lengths: [B].
        labels: [B, L], next-token targets, -100 where there is none.
        image_index: flat [N], rows that image tokens replace, sequence after sequence.
        query_index: flat [M], rows that hold a query.
        slot_index: flat [P * Q], the queries of groundable phrases; reshape to [P, Q].
        phrase_ids: [P, T], padded with token 0.
        phrase_mask: bool [P, T], True for real tokens.
        phrase_sequence: [P], the sequence that each phrase belongs to.
    """

    input_ids: Tensor
    position_ids: Tensor
    reach: Tensor
    lengths: Tensor
    labels: Tensor
    image_index: Tensor
    query_index: Tensor
    slot_index: Tensor
    phrase_ids: Tensor
    phrase_mask: Tensor
    phrase_sequence: Tensor

    @property
    def attention(self) -> Tensor:
        """Bool [B, 1, L, L]: row i may attend to column j."""
        return attention_from_reach(self.reach, self.input_ids.shape[1]).unsqueeze(1)

    @classmethod
    def collate(cls, sequences: Sequence[TokenSequence]) -> SequenceBatch:
        """Pad and join sequences.

        Raises:
            ValueError: there are none.
        """
        if not sequences:
            raise ValueError('cannot make a batch of no sequences')
        lengths = torch.tensor([len(s) for s in sequences])
        count, width = len(sequences), int(lengths.max())
        input_ids = torch.zeros((count, width), dtype=torch.long)
        position_ids = torch.zeros((3, count, width), dtype=torch.long)
        reach = torch.arange(width).repeat(count, 1)
        labels = torch.full((count, width), IGNORED_LABEL, dtype=torch.long)
        for i, s in enumerate(sequences):
            n = len(s)
            input_ids[i, :n] = s.input_ids
            position_ids[:, i, :n] = s.position_ids
            reach[i, :n] = s.reach
            labels[i, :n] = s.labels
        phrase_ids, phrase_mask = pad_phrases([ids for s in sequences for ids in s.phrase_ids])
        counts = torch.tensor([len(s.phrase_ids) for s in sequences])
        return cls(
            input_ids=input_ids, position_ids=position_ids, reach=reach, lengths=lengths,
            labels=labels,
            image_index=torch.cat([s.image_rows + i * width for i, s in enumerate(sequences)]),
            query_index=torch.cat([s.query_rows + i * width for i, s in enumerate(sequences)]),
            slot_index=torch.cat(
                [s.slot_rows.flatten() + i * width for i, s in enumerate(sequences)]),
            phrase_ids=phrase_ids, phrase_mask=phrase_mask,
            phrase_sequence=torch.repeat_interleave(torch.arange(count), counts))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> SequenceBatch:
        """Return the batch on a device."""
        return replace(self, **{
            f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
            for f in fields(self)})


def pad_phrases(phrases: Sequence[Sequence[int] | Tensor]) -> tuple[Tensor, Tensor]:
    """Pad P phrases to ids [P, T] (0 where padded) and a bool mask [P, T], True for real tokens."""
    width = max((len(ids) for ids in phrases), default=0)
    padded = torch.zeros((len(phrases), width), dtype=torch.long)
    mask = torch.zeros((len(phrases), width), dtype=torch.bool)
    for row, ids in enumerate(phrases):
        padded[row, :len(ids)] = torch.as_tensor(ids, dtype=torch.long)
        mask[row, :len(ids)] = True
    return padded, mask


def _tail(head: Tensor, rest: list[int], start: int) -> Tensor:
    count = head.numel()
    return torch.cat((head[start:], torch.tensor(rest[max(start - count, 0):], dtype=torch.long)))


def _as_grids(grids: Sequence[Grid] | Grid | Tensor | None) -> list[tuple[int, int, int]]:
    if grids is None:
        return []
    table = torch.as_tensor(grids, dtype=torch.long).reshape(-1, 3).tolist()
    return [(int(t), int(h), int(w)) for t, h, w in table]
