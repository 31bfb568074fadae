# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drafts: answers that the model is expected to give, laid out to be checked in one pass."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from instructsam.configuration import InstructSAMConfig
from instructsam.sequence import Grid, SequenceWriter, attention_from_reach

# Between words an apostrophe is a letter: "the cat's bowl" quotes nothing.
_QUOTED = re.compile(r"""(?<!\w)'(.+?)'(?!\w)|"([^"]+)"|‘([^’]+)’|“([^”]+)”""")


class DraftedPrompt:
    """A prompt and a drafted answer, laid out once for any number of pictures of one size.

    Args:
        config: names the layout, the attention and the special tokens.
        prompt_ids: token ids of the prompt, image placeholders already repeated.
        grids: (t, h, w) in patches of every image of the prompt.
        draft: expected answer tokens; from the token on that would end the answer they are left
            out, for nothing follows it.
        device: where the tensors go.

    Attributes:
        writer: the sequence with its draft; shared, so take a `fork` to write on.
        draft: the tokens of the draft that have rows in the sequence.
        input_ids: [L].
        position_ids: [3, L].
        attention: bool [1, 1, L, L], or None for a causal sequence.
        image_rows: [N], rows that image tokens replace.
        query_rows: [M], rows that the instance queries replace.
        answer_rows: [A + 1], the row that predicts each token of the draft, and what follows it.

    Raises:
        ValueError: the prompt is empty, or its placeholders do not match the grids.
    """

    def __init__(self, config: InstructSAMConfig, prompt_ids: Sequence[int] | Tensor,
                 grids: Sequence[Grid], draft: Sequence[int] = (), *,
                 device: torch.device | str = 'cpu') -> None:
        ends = (config.im_end_token_id, config.endoftext_token_id)
        self.writer = SequenceWriter(config, prompt_ids, grids)
        for token in draft:
            if token in ends:
                break
            self.writer.write(token)
        self.draft = tuple(self.writer.answer_ids)
        sequence = self.writer.finish()
        rows = len(sequence)
        self.input_ids = sequence.input_ids.to(device)
        self.position_ids = sequence.position_ids.to(device)
        self.attention: Tensor | None = None
        if self.writer.block_starts:
            mask = attention_from_reach(sequence.reach, rows)
            self.attention = mask[None, None].to(device)
        self.image_rows = sequence.image_rows.to(device)
        self.query_rows = sequence.query_rows.to(device)
        last = torch.tensor([rows - 1])
        self.answer_rows = torch.cat((sequence.answer_rows, last)).to(device)

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])


def quoted_phrases(instruction: str) -> tuple[str, ...]:
    """Return what an instruction puts in quotes: "Please segment 'red mug'." names its answer."""
    found = (next(filter(None, match.groups())) for match in _QUOTED.finditer(instruction))
    return tuple(words for words in (' '.join(one.split()) for one in found) if words)
