# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Several instructions about one image in one sequence.

Prompts about the same image begin alike: chat header and image tokens, most of the sequence.
Text is causal, so these rows do not depend on what follows; they are computed once and every
instruction attends to them, but not to its neighbours. The numbers are those of separate
sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from instructsam.sequence import SequenceBatch, TokenSequence


@dataclass(frozen=True)
class PackedBatch(SequenceBatch):
    """A batch whose sequences each hold a shared beginning and several independent tails.

    Attributes:
        tail_start: [B, L], first row of the tail that each row belongs to (0 at the beginning).
        shared: [B], rows that all tails of a sequence see.
    """

    tail_start: Tensor
    shared: Tensor

    @property
    def attention(self) -> Tensor:
        """Bool [B, 1, L, L]: row i may attend to column j."""
        columns = torch.arange(self.input_ids.shape[1], device=self.input_ids.device)
        own = columns >= self.tail_start[..., None]
        return (super().attention[:, 0] & (own | (columns < self.shared[:, None, None])))[:, None]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> PackedBatch:
        """Return the batch on a device."""
        return replace(self, **{
            f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
            for f in fields(self)})


def pack(groups: Sequence[Sequence[TokenSequence]], vision_end: int) -> PackedBatch:
    """Join each group of sequences, which must begin alike up to the end of the image.

    Args:
        groups: for each image, the sequences of its instructions.
        vision_end: the token that ends an image.

    Raises:
        ValueError: a sequence has no image, or the members of a group begin differently.
    """
    joined = [_join(group, vision_end) for group in groups]
    batch = SequenceBatch.collate([sequence for sequence, _, _ in joined])
    tail_start = torch.zeros_like(batch.input_ids)
    for row, (_, starts, _) in enumerate(joined):
        tail_start[row, :len(starts)] = starts
    return PackedBatch(**{f.name: getattr(batch, f.name) for f in fields(batch)},
                       tail_start=tail_start, shared=torch.tensor([s for *_, s in joined]))


def _join(
    sequences: Sequence[TokenSequence], vision_end: int
) -> tuple[TokenSequence, Tensor, int]:
    first = sequences[0]
    ends = (first.input_ids == vision_end).nonzero()
    if not len(ends):
        raise ValueError('cannot pack sequences without an image')
    shared = int(ends[0, 0]) + 1
    if any(not torch.equal(s.input_ids[:shared], first.input_ids[:shared]) for s in sequences):
        raise ValueError('cannot pack sequences about different images')
    starts, shift = [], 0
    for s in sequences:
        starts.append(shared + shift)
        shift += len(s) - shared
    moves = [start - shared for start in starts]

    def join(name: str, move: bool = False) -> Tensor:
        tails = [getattr(s, name)[..., shared:] + (by if move else 0)
                 for s, by in zip(sequences, moves, strict=True)]
        return torch.cat([getattr(first, name)[..., :shared], *tails], -1)

    def rows(name: str) -> Tensor:
        return torch.cat([getattr(s, name) + by for s, by in zip(sequences, moves, strict=True)])

    packed = TokenSequence(
        input_ids=join('input_ids'), position_ids=join('position_ids'),
        reach=join('reach', move=True), image_rows=first.image_rows,
        slot_rows=rows('slot_rows'), query_rows=rows('query_rows'),
        answer_rows=rows('answer_rows'), labels=join('labels'),
        phrase_ids=tuple(ids for s in sequences for ids in s.phrase_ids))
    tail_start = torch.cat([torch.zeros(shared, dtype=torch.long)] + [
        torch.full((len(s) - shared,), start) for s, start in zip(sequences, starts, strict=True)])
    return packed, tail_start, shared
