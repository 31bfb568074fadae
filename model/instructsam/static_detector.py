# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM3's detector in passes of fixed shapes: some phrases of one picture at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from instructsam.features import ImageFeatures
from instructsam.graphs import Lane, Recording, Shelf, bucket, fill
from instructsam.segmentation import positive_bounds

if TYPE_CHECKING:
    from instructsam.modeling import InstructSAM

_TOKEN_BUCKET = 8
_PASSES = 12


@dataclass(frozen=True)
class Detections:
    """What the detector says about P phrases, on the device, valid until it is run again.

    Attributes:
        scores: fp32 [P, Q], 0..1.
        bounds: [P, Q, 4], what is positive in each mask (see ``positive_bounds``).
        mask_logits: of each phrase [Q, h, w].
    """

    scores: Tensor
    bounds: Tensor
    mask_logits: list[Tensor]


class StaticDetector:
    """The detector for the pictures of one size.

    Args:
        model: the network.
        features: where SAM3's encoder leaves its picture; always the same tensors.
        lane: what the passes run in.
        phrase_batch: phrases that are run at once.

    Attributes:
        slots: [max phrases, Q, H]; to be filled before a run.
    """

    def __init__(self, model: InstructSAM, features: ImageFeatures, lane: Lane,
                 phrase_batch: int) -> None:
        config = model.config
        self._model = model
        self._features = features
        self._lane = lane
        self._batch = phrase_batch
        self.slots = torch.zeros((config.max_phrases, config.max_seg_nums, config.hidden_size),
                                 dtype=model.language_dtype, device=model.device)
        shape = (config.max_phrases, bucket(config.phrase_max_tokens, _TOKEN_BUCKET))
        self._ids = torch.zeros(shape, dtype=torch.long, device=model.device)
        self._mask = torch.zeros(shape, dtype=torch.bool, device=model.device)
        self._passes: Shelf[tuple[int, int, int], Recording] = Shelf(_PASSES)
        self._none = torch.zeros((0, config.max_seg_nums), device=model.device)

    def run(self, phrase_ids: Tensor, phrase_mask: Tensor) -> Detections:
        """Find the instances of phrases whose slots are in place; nothing is read back.

        Args:
            phrase_ids: [P, T] token ids, at most `max_phrases` phrases.
            phrase_mask: bool [P, T], True for real tokens.
        """
        count, tokens = phrase_ids.shape
        if count == 0:
            return Detections(self._none, self._none[..., None].expand(-1, -1, 4), [])
        width = bucket(tokens, _TOKEN_BUCKET)
        self._mask.zero_()
        fill(self._ids[:count, :tokens], phrase_ids)
        fill(self._mask[:count, :tokens], phrase_mask)
        scores, bounds = [], []
        masks: list[Tensor] = []
        for start in range(0, count, self._batch):
            # every part has tensors of its own: results of the first outlive the second
            found = self._pass(start, min(self._batch, count - start), width)()
            scores.append(found[0])
            bounds.append(found[1])
            masks += found[2].unbind()
        return Detections(torch.cat(scores), torch.cat(bounds), masks)

    def _pass(self, start: int, count: int, tokens: int) -> Recording:
        part = slice(start, start + count)
        # the closure holds no `self`: without a circle memory goes as soon as nobody needs it
        model, features = self._model, self._features
        slots, ids, mask = self.slots[part], self._ids[part, :tokens], self._mask[part, :tokens]

        def work() -> tuple[Tensor, ...]:
            rows = torch.zeros(count, dtype=torch.long, device=model.device)
            found = model.ground(features.select(rows), slots, ids, mask)
            return (found.score_logits.float().sigmoid(), positive_bounds(found.mask_logits),
                    found.mask_logits)

        return self._passes.get((start, count, tokens), lambda: self._lane.record(work))
