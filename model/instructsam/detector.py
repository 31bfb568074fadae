# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM3's detector, driven by queries that the language model has made.

InstructSAM (arXiv 2605.26102) leaves SAM3's detector as it is and gives it its queries
and its text from outside: slots of the language model in place of the learned query embeddings,
projected phrase embeddings in place of CLIP's. Stock transformers parts hold the weights; this
module holds the data flow between them.

Shape letters: G images, P phrases (rows), Q queries per phrase, T phrase tokens, C channels,
S image side in pixels. Boxes are (cx, cy, w, h) as fractions of the image's width and height.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Sam3Config

from instructsam.detector_layers import (
    BoxPlaces,
    attend_text,
    decoder_layer,
    encoder_layer,
    merge_level,
    normed,
    refined,
    self_attention,
)
from instructsam.features import AxialRope, ImageFeatures, TableCache, sine_table
from instructsam.folding import can_fold
from instructsam.vit import pyramid_level, run_layers

# Through importlib: the package's own names for these classes ask for torchvision.
_sam3 = importlib.import_module('transformers.models.sam3.modeling_sam3')


@dataclass(frozen=True)
class DecoderOutput:
    """What the detector's decoder says after each of its layers.

    Attributes:
        hidden: query states after the output norm [layers, P, Q, C].
        references: refined boxes [layers, P, Q, 4] in fp32, (cx, cy, w, h) in 0..1;
            ``references[-1]`` are the predicted boxes.
    """

    hidden: Tensor
    references: Tensor


class Sam3Detector(nn.Module):
    """SAM3's image encoder, fusion encoder, decoder, mask head and score head.

    The submodules have the names of the published checkpoint. ``unused_parts`` also builds
    ``geometry_encoder`` and ``text_projection``, which that checkpoint holds and nothing uses.

    Raises:
        ValueError: the image size, patch, window and FPN levels do not fit together.
    """

    def __init__(self, sam3_config: Sam3Config, *, unused_parts: bool) -> None:
        super().__init__()
        config: Any = copy.deepcopy(sam3_config)
        for part in (
            config,
            config.vision_config,
            config.vision_config.backbone_config,
            config.detr_encoder_config,
            config.detr_decoder_config,
            config.mask_decoder_config,
            config.geometry_encoder_config,
        ):
            part._attn_implementation = 'sdpa'
        self.image_size = _check_geometry(config)
        self.channels: int = config.detr_encoder_config.hidden_size
        self.num_queries: int = config.detr_decoder_config.num_queries
        self._cache = TableCache()

        self.vision_encoder = _sam3.Sam3VisionModel(config.vision_config)
        self.detr_encoder = _sam3.Sam3DetrEncoder(config.detr_encoder_config)
        self.detr_decoder = _sam3.Sam3DetrDecoder(config.detr_decoder_config)
        self.mask_decoder = _sam3.Sam3MaskDecoder(config.mask_decoder_config)
        self.dot_product_scoring = _sam3.Sam3DotProductScoring(config)
        if unused_parts:
            self.geometry_encoder = _sam3.Sam3GeometryEncoder(config.geometry_encoder_config)
            self.text_projection = nn.Linear(config.text_config.hidden_size, self.channels)
        # Slots carry their own score, so the released network has no presence token.
        for name in ('presence_token', 'presence_head', 'presence_layer_norm'):
            delattr(self.detr_decoder, name)
        self._places = BoxPlaces(self.detr_decoder, self._cache)
        self._replace_rope()

    def _replace_rope(self) -> None:
        ropes: dict[int, AxialRope] = {}
        backbone = self.vision_encoder.backbone
        for layer in backbone.layers:
            window = layer.window_size
            if window not in ropes:
                ropes[window] = AxialRope(backbone.config, window)
            layer.rotary_emb = ropes[window]
            layer.position_ids = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Sam3Detector:
        self._cache.clear()
        super()._apply(fn, recurse)
        return self

    def encode_image(self, pixel_values: Tensor) -> ImageFeatures:
        """Encode images [G, 3, S, S], normalised to -1..1; once per image for all phrases.

        Raises:
            ValueError: the images are not of the configured size.
        """
        size = self.image_size
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[1:]) != (3, size, size):
            raise ValueError(
                f'SAM3 image of shape {tuple(pixel_values.shape)}: this model needs '
                f'[images, 3, {size}, {size}]; make it with preprocessing.sam_pixels(image, {size})'
            )
        backbone = self.vision_encoder.backbone
        hidden = backbone.embeddings(pixel_values.to(backbone.layer_norm.weight.dtype))
        side = size // backbone.config.patch_size
        hidden = backbone.layer_norm(hidden.unflatten(1, (side, side)))
        hidden = run_layers(backbone, hidden).permute(0, 3, 1, 2)
        # The coarsest FPN level is in the checkpoint but nothing reads it.
        # The encoder may be of another type than the rest: see `InstructSAM.from_pretrained`.
        dtype = self.detr_decoder.reference_points.weight.dtype
        levels = tuple(pyramid_level(level, hidden).to(dtype)
                       for level in self.vision_encoder.neck.fpn_layers[:-1])
        return ImageFeatures(levels, self._position_table)

    def _position_table(self, height: int, width: int) -> Tensor:
        channels = self.channels
        device = self.detr_decoder.reference_points.weight.device
        return self._cache.get(
            ('sine', height, width), device, lambda: (sine_table(height, width, channels),)
        )[0]

    def fuse(self, features: ImageFeatures, text: Tensor, text_mask: Tensor) -> Tensor:
        """Let the image tokens of each row attend to each other and to the row's phrase.

        Args:
            features: one row per phrase.
            text: projected phrase embeddings [P, T, C].
            text_mask: bool [P, T], True for real tokens.

        Returns:
            Encoder states [P, h*w, C] on the coarsest level's grid.

        Raises:
            ValueError: the number of phrases is not the number of feature rows.
        """
        _check_rows(features, text)
        mask = _attention_mask(text_mask)
        position = features.coarse_position
        # Before the first cross-attention nothing depends on the phrase: once per image.
        images = features.image_levels[-1].flatten(2).transpose(1, 2)
        attended = self_attention(self.detr_encoder.layers[0], images, position)
        hidden, attended = features.gather(images), features.gather(attended)
        for number, layer in enumerate(self.detr_encoder.layers):
            if number > 0:
                attended = self_attention(layer, hidden, position)
            hidden = encoder_layer(layer, hidden, attended, text, mask)
        return hidden

    def decode(
        self,
        queries: Tensor,
        encoder_states: Tensor,
        features: ImageFeatures,
        text: Tensor,
        text_mask: Tensor,
        *,
        detach_references: bool = False,
    ) -> DecoderOutput:
        """Refine the queries layer by layer, each with its box (iterative box refinement).

        References, their sine encoding and the box-relative bias are fp32 whatever the weights.

        Args:
            queries: projected slots [P, Q, C].
            encoder_states: what ``fuse`` returned [P, h*w, C].
            features: as given to ``fuse``.
            text: phrase embeddings [P, T, C].
            text_mask: bool [P, T].
            detach_references: stop gradients between layers through the boxes, as the DETR
                family trains (arXiv 2010.04159).

        Raises:
            ValueError: more queries than the decoder has reference points.
        """
        _check_rows(features, text)
        decoder = self.detr_decoder
        if queries.shape[1] > self.num_queries:
            raise ValueError(
                f'{queries.shape[1]} queries, but the detector has {self.num_queries} reference '
                f'points: set detr_decoder_config.num_queries to the number of queries'
            )
        mask = _attention_mask(text_mask)
        keys = encoder_states + features.coarse_position
        side = features.coarse_size[0]
        # One row: it becomes P rows after the first layer, before that all rows are equal.
        reference, position, bias = self._places.first(queries.shape[1], side)
        hidden = queries
        states, references = [], []
        for number, layer in enumerate(decoder.layers):
            if number > 0:
                position, bias = self._places.positions(reference), self._places.bias(
                    reference, side)
            hidden = decoder_layer(layer, hidden, position, encoder_states, keys,
                                   bias.to(hidden.dtype), text, mask)
            state = normed(decoder.output_layer_norm, hidden)
            box = refined(decoder.box_head, state, reference)
            reference = box.detach() if detach_references else box
            states.append(state)
            references.append(box)
        return DecoderOutput(torch.stack(states), torch.stack(references))

    def score_logits(self, hidden: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        """Score query states [..., P, Q, C] against their phrase: logits [..., P, Q], +-12."""
        flat = hidden.reshape(-1, *hidden.shape[-3:])
        scores = self.dot_product_scoring(flat, text, text_mask)
        return scores.reshape(hidden.shape[:-1])

    def pixel_embedding(
        self, encoder_states: Tensor, features: ImageFeatures, text: Tensor, text_mask: Tensor
    ) -> Tensor:
        """Return per-pixel features [P, C, h, w] at the finest level, for ``mask_logits``."""
        _check_rows(features, text)
        decoder = self.mask_decoder
        attended = attend_text(
            decoder.prompt_cross_attn, normed(decoder.prompt_cross_attn_norm, encoder_states),
            text, _attention_mask(text_mask))
        states = encoder_states + decoder.prompt_cross_attn_dropout(attended)
        # A permuted view is channels-last, what the convolutions below run fastest on. Not a
        # transposed one: the stride of a single row would hide it.
        pixels = states.view(len(states), *features.coarse_size, -1).permute(0, 3, 1, 2)
        pyramid = decoder.pixel_decoder
        for conv, norm, level in zip(
            pyramid.conv_layers, pyramid.norms, reversed(features.image_levels[:-1]), strict=False
        ):
            merged = norm(merge_level(conv, pixels, level, features))
            pixels = F.relu(merged, inplace=can_fold(merged))
        return pixels

    def mask_logits(self, hidden: Tensor, pixel_embedding: Tensor) -> Tensor:
        """Return mask logits [..., P, Q, h, w] of query states [P, Q, C] or [layers, P, Q, C]."""
        # q·(Wx + b) = (Wᵀq)·x + q·b: projecting a few queries beats projecting every pixel
        queries = self.mask_decoder.mask_embedder(hidden)
        projection = self.mask_decoder.instance_projection
        offset = queries @ projection.bias
        queries = queries @ projection.weight[:, :, 0, 0]
        if queries.ndim == 4:
            layers = len(queries)
            stacked = queries.transpose(0, 1).flatten(1, 2) @ pixel_embedding.flatten(2)
            masks = stacked.unflatten(1, (layers, -1)).transpose(0, 1)
        else:
            masks = queries @ pixel_embedding.flatten(2)
        return (masks + offset[..., None]).unflatten(-1, pixel_embedding.shape[-2:])


def _attention_mask(text_mask: Tensor) -> Tensor:
    return text_mask.bool()[:, None, None, :]


def _check_rows(features: ImageFeatures, text: Tensor) -> None:
    if features.rows != len(text):
        raise ValueError(
            f'{len(text)} phrases for {features.rows} rows of image features: '
            f'use features.select(image_of_each_phrase) first'
        )


def _check_geometry(config: Any) -> int:
    """Return the image side in pixels after checking that the configured sizes fit."""
    vision = config.vision_config
    vit = vision.backbone_config
    size, patch = vit.image_size, vit.patch_size
    if isinstance(size, (list, tuple)):
        if len(set(size)) != 1:
            raise ValueError(f'SAM3 image_size {size} is not square: give one number')
        size = size[0]
    if not isinstance(patch, int):
        raise ValueError(f'SAM3 patch_size {patch} must be one number')
    if size % patch or (size // patch) % vit.window_size:
        raise ValueError(
            f'SAM3 image_size {size}, patch_size {patch} and window_size {vit.window_size} do not '
            f'fit: image_size must be a multiple of patch_size * window_size'
        )
    if len(vision.scale_factors) < 2 or vision.scale_factors[-2] != 1.0:
        raise ValueError(
            f'SAM3 scale_factors {vision.scale_factors}: the last but one level must be 1.0, the '
            f'grid of the ViT, and the last (dropped) one coarser'
        )
    return int(size)
