# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The network: Qwen3-VL with instance queries, joined to SAM3's detector (arXiv 2605.26102)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3VLTextModel, Qwen3VLVisionModel

from instructsam import checkpoint
from instructsam.configuration import InstructSAMConfig
from instructsam.detector import Sam3Detector
from instructsam.features import ImageFeatures
from instructsam.sequence import SequenceBatch
from instructsam.vlm import (
    VlmImageFeatures,
    as_grids,
    encode_images,
    reset_position_tables,
    run_language,
)

_IMAGE_ENCODERS = ('model.visual.', 'model.grounding_model.model.vision_encoder.')


@dataclass(frozen=True)
class Grounding:
    """What the detector says about Q slots of P phrases.

    Attributes:
        score_logits: [P, Q].
        boxes: [P, Q, 4], cxcywh as fractions of the image.
        mask_logits: [P, Q, h, w], at the detector's finest level.
    """

    score_logits: Tensor
    boxes: Tensor
    mask_logits: Tensor


class InstructSAM(nn.Module):
    """The whole network; its state dict has exactly the published checkpoint's names.

    Args:
        config: dimensions, token ids and sequence layout.
    """

    def __init__(self, config: InstructSAMConfig) -> None:
        super().__init__()
        self.config = config
        self.model = _Parts(config)

    @property
    def detector(self) -> Sam3Detector:
        """The SAM3 detector that external queries drive."""
        return self.model.grounding_model.model

    @property
    def language_model(self) -> Qwen3VLTextModel:
        """The language model; its embeddings are also the output head."""
        return self.model.language_model

    @property
    def visual(self) -> Qwen3VLVisionModel:
        """The language model's vision tower."""
        return self.model.visual

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.mask_queries.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the image encoders' weights, in which most of the products are."""
        return self.visual.patch_embed.proj.weight.dtype

    @property
    def language_dtype(self) -> torch.dtype:
        """The type of all other weights: `dtype`, or fp32 (see `from_pretrained`)."""
        return self.model.mask_queries.dtype

    def encode_vlm_image(self, pixel_values: Tensor,
                         image_grid_thw: Tensor | Sequence[Sequence[int]]) -> VlmImageFeatures:
        """Encode G images for the language model.

        Args:
            pixel_values: [patches of all images, D] in merge order, normalised.
            image_grid_thw: [G, 3], (t, h, w) in patches; keep it on the CPU.
        """
        return encode_images(self.visual, pixel_values, as_grids(image_grid_thw))

    def embed(self, input_ids: Tensor) -> Tensor:
        """Token embeddings [..., H]."""
        return self.language_model.embed_tokens(input_ids)

    def language(self, batch: SequenceBatch, vlm: VlmImageFeatures) -> Tensor:
        """Run whole sequences in one differentiable pass.

        Args:
            batch: B sequences with their query blocks.
            vlm: the images of those sequences, in order (see `VlmImageFeatures.select`).

        Returns:
            Hidden states [B, L, H] after the final norm.

        Raises:
            ValueError: the images do not fill the sequences' placeholders.
        """
        flat = self.embed(batch.input_ids).flatten(0, 1)
        tokens = torch.cat(vlm.tokens).to(flat.dtype)
        if tokens.shape[0] != batch.image_index.shape[0]:
            raise ValueError(f'the images give {tokens.shape[0]} tokens but the sequences have '
                             f'{batch.image_index.shape[0]} places for them')
        flat = flat.index_copy(0, batch.image_index, tokens)
        blocks = batch.query_index.shape[0] // self.config.max_seg_nums
        if blocks:
            queries = self.model.mask_queries.to(flat.dtype).repeat(blocks, 1)
            flat = flat.index_copy(0, batch.query_index, queries)
        return run_language(
            self.language_model, flat.view(*batch.input_ids.shape, -1), batch.position_ids,
            batch.attention, image_index=batch.image_index,
            deepstack=[torch.cat(level) for level in vlm.deepstack])

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits [..., V] of hidden states [..., H]; the embeddings are tied."""
        return F.linear(hidden, self.language_model.embed_tokens.weight)

    def slots(self, hidden: Tensor, batch: SequenceBatch) -> Tensor:
        """Gather the instance slots [P, Q, H] of a batch's phrases from hidden states [B, L, H]."""
        rows = hidden.flatten(0, 1).index_select(0, batch.slot_index)
        return rows.view(-1, self.config.max_seg_nums, hidden.shape[-1])

    def phrase_text(self, phrase_ids: Tensor, phrase_mask: Tensor) -> Tensor:
        """Describe P phrases to the detector: [P, T, C], zero where `phrase_mask` is False.

        Args:
            phrase_ids: [P, T] token ids.
            phrase_mask: bool [P, T], True for real tokens.
        """
        text = self.model.text_hidden_fcs[0](self.embed(phrase_ids))
        return text * phrase_mask.unsqueeze(-1)

    def project_slots(self, slots: Tensor) -> Tensor:
        """Project slots [P, Q, H] to the detector's queries [P, Q, C]."""
        return self.model.mask_hidden_fcs[0](slots)

    def ground(self, features: ImageFeatures, slots: Tensor, phrase_ids: Tensor,
               phrase_mask: Tensor, *, threshold: float | None = None) -> Grounding:
        """Find the instances of P phrases.

        Args:
            features: the detector's image features, one row per phrase.
            slots: [P, Q, H] hidden states of the queries.
            phrase_ids: [P, T] token ids.
            phrase_mask: bool [P, T], True for real tokens.
            threshold: no masks (logits of 0) for phrases without a score above it, 0..1. To know
                them, the device is waited for.
        """
        detector = self.detector
        text = self.phrase_text(phrase_ids, phrase_mask)
        states = detector.fuse(features, text, phrase_mask)
        decoded = detector.decode(self.project_slots(slots), states, features, text, phrase_mask)
        hidden = decoded.hidden[-1]
        scores = detector.score_logits(hidden, text, phrase_mask)
        some = torch.arange(len(slots), device=slots.device)
        if threshold is not None:
            some = (scores.float().sigmoid() > threshold).any(-1).nonzero().flatten()
        if len(some) < len(slots):
            features = features.select(some)
            states, text, phrase_mask, hidden = (
                part.index_select(0, some) for part in (states, text, phrase_mask, hidden))
        if len(some):
            masks = detector.mask_logits(
                hidden, detector.pixel_embedding(states, features, text, phrase_mask))
        if len(some) < len(slots):
            size = features.image_levels[0].shape[-2:]
            every = states.new_zeros(*scores.shape, *size)
            masks = every.index_copy_(0, some, masks) if len(some) else every
        return Grounding(score_logits=scores, boxes=decoded.references[-1], mask_logits=masks)

    @classmethod
    def from_pretrained(cls, path_or_id: str | os.PathLike[str], *,
                        device: str | torch.device = 'cpu',
                        dtype: torch.dtype | None = None) -> InstructSAM:
        """Load a checkpoint directory or a Hugging Face hub id, ready for inference.

        Args:
            path_or_id: a directory with `config.json` and safetensors, or `owner/name`.
            device: where the weights go.
            dtype: float32 or bfloat16; None: bfloat16 on CUDA, float32 elsewhere. On a CPU bfloat16
                is for the two image encoders: the rest has products too small to gain by it, and
                in fp32 a stream's answer is exactly that of decoding step by step.

        Raises:
            FileNotFoundError: there is no such directory or hub id, or it lacks a file.
            ValueError: the device is not there, or the tensors are not those of this network.
        """
        device, dtype = checkpoint.resolve_device(device, dtype)
        directory = checkpoint.resolve(path_or_id)
        config = InstructSAMConfig.load(directory)
        checkpoint.fit_reference_points(config, directory)
        with torch.device('meta'):
            model = cls(config)
        rest = torch.float32 if device.type == 'cpu' else dtype
        checkpoint.load_weights(model, directory, device=device, dtype_of=lambda name: (
            dtype if name.startswith(_IMAGE_ENCODERS) else rest))
        model.reset_position_tables(device)
        return model.eval()

    def save_pretrained(self, directory: str | os.PathLike[str], *, tokenizer: Any = None,
                        dtype: torch.dtype | None = None) -> None:
        """Write config, weights, generation defaults and, if given, the tokenizer.

        Args:
            directory: made if it is not there.
            tokenizer: saved beside the weights, with its chat template.
            dtype: of the stored weights; None keeps the model's own.
        """
        checkpoint.save(self, self.config, directory, tokenizer=tokenizer, dtype=dtype)

    def reset_position_tables(self, device: torch.device | str | None = None) -> None:
        """Recompute every position table in fp32, on `device` or where the table is now."""
        target = torch.device(device) if device is not None else None
        reset_position_tables(self.language_model, self.visual, target)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> InstructSAM:
        # A cast to bf16 goes through here and would round the position tables.
        super()._apply(fn, recurse)
        self.reset_position_tables()
        return self


class _Parts(nn.Module):
    """What the published names call `model`."""

    def __init__(self, config: InstructSAMConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.visual = Qwen3VLVisionModel(config.qwen.vision_config)
        self.language_model = Qwen3VLTextModel(config.qwen.text_config)
        self.mask_queries = nn.Parameter(torch.empty(config.max_seg_nums, width))
        nn.init.normal_(self.mask_queries, std=config.qwen.text_config.initializer_range)
        self.mask_hidden_fcs = nn.ModuleList([_projector(width, config.out_dim)])
        self.text_hidden_fcs = nn.ModuleList([_projector(width, config.out_dim)])
        self.grounding_model = _Grounder(config)


class _Grounder(nn.Module):
    """What the published names call `model.grounding_model`."""

    def __init__(self, config: InstructSAMConfig) -> None:
        super().__init__()
        self.model = Sam3Detector(config.sam3, unused_parts=config.unused_sam3_parts)


def _projector(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
