# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training examples, and the batches that the trainer takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from instructsam.configuration import InstructSAMConfig
from instructsam.preprocessing import sam_pixels, vlm_pixels
from instructsam.prompts import PromptBuilder, answer_text, image_token_count
from instructsam.sequence import build_sequence
from instructsam.training.dense import SAM_DETAIL, VLM_DETAIL, DenseTarget, label_cells
from instructsam.training.matching import assign_to_anchors
from instructsam.training.packing import PackedBatch, pack


@dataclass
class ExamplePhrase:
    """A phrase of an answer and the masks (by index) that it names."""

    text: str
    masks: tuple[int, ...]


@dataclass
class ExampleInstruction:
    """An instruction, its kind (for figures by kind), and the phrases of its answer."""

    text: str
    phrases: tuple[ExamplePhrase, ...]
    kind: str = 'recorded'


@dataclass
class Example:
    """An image with object masks and instructions about them.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        masks: bool [n, H, W].
        instructions: at least one.
        categories: [n] index of each object's category, where it is known; else None.
        colors: [n] likewise.
    """

    image: np.ndarray
    masks: np.ndarray
    instructions: tuple[ExampleInstruction, ...]
    categories: np.ndarray | None = None
    colors: np.ndarray | None = None


@dataclass
class TrainingBatch:
    """G images with P phrases in all, and M objects that phrases name.

    Attributes:
        sam_images: [G, 3, S, S], normalised.
        vlm_patches: [patches, D]; ``grids`` [G, 3] says which are whose.
        grids: [G, 3] (t, h, w) in patches.
        sequences: one per image, instructions packed.
        target_phrase: [M] index of the phrase.
        target_slot: [M] slot by anchors, −1 where none was left.
        target_mask: [M, h, w] share of each mask cell that the object covers.
        target_box: [M, 4] (cx, cy, w, h) in 0..1.
        dense_sam: labels of [G · 2h' · 2w'] cells of the second FPN level, or None.
        dense_vlm: labels of the language model's image tokens, or None.
        mask_phrases: [K] phrases whose masks are predicted and compared.
        kinds: [P] kind of the instruction of each phrase.
    """

    sam_images: Tensor
    vlm_patches: Tensor
    grids: Tensor
    sequences: PackedBatch
    target_phrase: Tensor
    target_slot: Tensor
    target_mask: Tensor
    target_box: Tensor
    dense_sam: DenseTarget | None
    dense_vlm: DenseTarget | None
    mask_phrases: Tensor
    kinds: list[str]

    def to(self, device: torch.device) -> TrainingBatch:
        """Return the batch on a device."""
        return _moved(self, device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor | PackedBatch):
        return value.to(device, non_blocking=True)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: _moved(getattr(value, f.name), device)
                              for f in fields(value)})
    return value


class Collator:
    """Turns examples into a batch; cheap to send to worker processes.

    Args:
        config: of the network.
        tokenizer: of the network.
        anchors: [Q, 2] places of the slots in 0..1, or None when slots are matched later.
        mask_size: side of the predicted masks.
        background: dense label of cells without an object; None leaves the dense labels out.
        mask_share: share of the phrases with objects whose masks are predicted.
    """

    def __init__(
        self, config: InstructSAMConfig, tokenizer: PreTrainedTokenizerBase,
        anchors: np.ndarray | None, mask_size: int, background: int | None,
        mask_share: float = 1.0,
    ) -> None:
        self.config, self.anchors = config, anchors
        self.prompts = PromptBuilder(tokenizer, config)
        self.mask_size, self.background, self.mask_share = mask_size, background, mask_share

    def __call__(self, examples: Sequence[Example]) -> TrainingBatch:
        """Build the tensors of one batch."""
        config = self.config
        sam_images, patches, grids, groups = [], [], [], []
        dense_sam, dense_vlm = [], []
        phrase_index: list[int] = []
        kinds: list[str] = []
        slots, masks, boxes = [], [], []
        for example in examples:
            image = torch.from_numpy(np.ascontiguousarray(example.image)).permute(2, 0, 1)
            sam_images.append(sam_pixels(image, config.image_size))
            pixels, grid = vlm_pixels(
                image, config.patch_size, config.merge_size, config.temporal_patch_size,
                config.min_pixels, config.max_pixels)
            patches.append(pixels)
            grids.append(grid)
            full = torch.from_numpy(example.masks).float()
            small = F.adaptive_avg_pool2d(full[None], (self.mask_size, self.mask_size))[0]
            places = boxes_of(example.masks)
            image_tokens = image_token_count(grid[0].tolist(), config.merge_size)
            group = []
            for instruction in example.instructions:
                prompt = self.prompts.prompt_ids(instruction.text, image_tokens)
                group.append(build_sequence(
                    config, prompt, self.answer_ids(instruction), grid))
                for phrase in instruction.phrases:
                    ids = list(phrase.masks)
                    if self.anchors is not None:
                        slots.append(torch.from_numpy(
                            assign_to_anchors(places[ids][:, :2].numpy(), self.anchors)))
                    else:
                        slots.append(torch.full((len(ids),), -1, dtype=torch.long))
                    phrase_index += [len(kinds)] * len(ids)
                    masks.append(small[ids])
                    boxes.append(places[ids])
                    kinds.append(instruction.kind)
            groups.append(group)
            if self.background is not None and example.categories is not None:
                labels = (torch.from_numpy(example.categories), torch.from_numpy(example.colors),
                          places, self.background)
                side = self.mask_size // 2
                dense_sam.append(label_cells(full, *labels, side, side, SAM_DETAIL))
                _, rows, columns = (grid[0] // config.merge_size).tolist()
                dense_vlm.append(label_cells(full, *labels, rows, columns, VLM_DETAIL))
        return TrainingBatch(
            torch.cat(sam_images), torch.cat(patches), torch.cat(grids),
            pack(groups, config.vision_end_token_id),
            torch.tensor(phrase_index, dtype=torch.long), torch.cat(slots), torch.cat(masks),
            torch.cat(boxes), _concatenate(dense_sam), _concatenate(dense_vlm),
            self._draw(phrase_index), kinds)

    def _draw(self, phrase_index: list[int]) -> Tensor:
        """Evenly spaced phrases among those with objects; instructions are random already."""
        named = sorted(set(phrase_index))
        count = math.ceil(self.mask_share * len(named))
        return torch.tensor([named[k * len(named) // count] for k in range(count)],
                            dtype=torch.long)

    def answer_ids(self, instruction: ExampleInstruction) -> list[int]:
        """Token ids of the answer, without query blocks, ended by im_end."""
        return self.prompts.answer_ids(answer_text([p.text for p in instruction.phrases]))


def _concatenate(parts: list[DenseTarget]) -> DenseTarget | None:
    if not parts:
        return None
    return DenseTarget(*(torch.cat([getattr(p, name) for p in parts])
                         for name in ('category', 'color', 'box', 'cover')))


def boxes_of(masks: np.ndarray) -> Tensor:
    """Tight boxes (cx, cy, w, h) in 0..1 of [n, H, W] masks: [n, 4]; an empty mask gives zeros."""
    count, height, width = masks.shape
    boxes = np.zeros((count, 4), np.float32)
    for i, mask in enumerate(masks):
        xs, ys = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if len(xs):
            x0, x1, y0, y1 = xs[0], xs[-1] + 1, ys[0], ys[-1] + 1
            boxes[i] = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height,
                        (x1 - x0) / width, (y1 - y0) / height)
    return torch.from_numpy(boxes)
