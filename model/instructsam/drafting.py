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

# tokens that are guessed at once where a draft went wrong
MAX_GUESS = 16

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
        sequence: all rows, on the CPU.
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
        self.sequence = sequence = self.writer.finish()
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

    def phrases_in(self, tokens: int) -> int:
        """Return how many phrases with a place for instances the first tokens of the draft end."""
        return sum(self.writer.rows_of(number).has_phrase for number in range(tokens))


class Guesses:
    """What may follow a token that a draft did not foresee: the draft from that token on.

    An answer mostly differs from the last one by a phrase that came, went or changed. Whatever is
    guessed is checked like the draft itself, so that a bad guess only costs its rows.

    Args:
        draft: the tokens that were expected.
        phrase_end: no guess goes beyond the next one of these.
    """

    def __init__(self, draft: Sequence[int], phrase_end: int) -> None:
        self._draft = list(draft)
        self._phrase_end = phrase_end
        self._next = 0  # the token of the draft that is expected next
        self._before = 0  # what that was before the last guess
        self._confirmed = True

    def confirm(self) -> None:
        """Note that the token that was expected next came."""
        self._next += 1
        self._confirmed = True

    def after(self, token: int, *, refuted: bool) -> list[int]:
        """Return tokens that may follow one that came in place of the expected one.

        ``refuted`` says that another token had been expected, not that none was left.
        """
        if refuted and not self._confirmed:  # not one token of the last guess was right
            self._next = self._before
        doubtful = not self._confirmed
        self._before = self._next
        ahead, behind = self._draft[self._next:], self._draft[:self._next]
        if token in ahead:  # something was left out
            self._next += ahead.index(token) + 1
        elif token in behind:  # something was put in
            self._next = behind.index(token) + 1
        elif doubtful:
            return []
        else:  # it may stand for the one expected
            self._next += 1
        guess = self._draft[self._next:self._next + MAX_GUESS]
        if self._phrase_end in guess:
            guess = guess[:guess.index(self._phrase_end) + 1]
        self._confirmed = not guess
        return guess


def quoted_phrases(instruction: str) -> tuple[str, ...]:
    """Return what an instruction puts in quotes: "Please segment 'red mug'." names its answer."""
    found = (next(filter(None, match.groups())) for match in _QUOTED.finditer(instruction))
    return tuple(words for words in (' '.join(one.split()) for one in found) if words)
