# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Running the stock Qwen3-VL parts: images in a batch, and any prefix mask with a KV cache.

The weights and sub-layers are those of transformers; only the loops are ours. The stock loops
take one image after the other, find image rows by a boolean mask (a host sync on a GPU), and
rebuild the position tables of the same image size at every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, Qwen3VLTextModel, Qwen3VLVisionModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    Qwen3VLVisionRotaryEmbedding,
    apply_rotary_pos_emb_vision,
)
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class VlmImageFeatures:
    """What the language model takes of G images.

    Attributes:
        grids: (t, h, w) of each image, in patches.
        tokens: G tensors [n, H], one row per merged patch.
        deepstack: per early language layer G tensors [n, H] that are added to its output.
    """

    grids: tuple[Grid, ...]
    tokens: tuple[Tensor, ...]
    deepstack: tuple[tuple[Tensor, ...], ...]

    def select(self, index: Sequence[int] | Tensor) -> VlmImageFeatures:
        """Return the images `index`, in that order and as often; nothing is copied.

        Keep the index on the CPU: reading it from a GPU waits for the device.
        """
        order = index.tolist() if isinstance(index, Tensor) else list(index)
        return VlmImageFeatures(
            grids=tuple(self.grids[i] for i in order),
            tokens=tuple(self.tokens[i] for i in order),
            deepstack=tuple(tuple(level[i] for i in order) for level in self.deepstack))


def as_grids(grids: Tensor | Sequence[Sequence[int]]) -> tuple[Grid, ...]:
    """Turn [G, 3] into tuples of (t, h, w)."""
    rows = grids.tolist() if isinstance(grids, Tensor) else grids
    return tuple((int(t), int(h), int(w)) for t, h, w in rows)


def encode_images(visual: Qwen3VLVisionModel, pixel_values: Tensor,
                  grids: Sequence[Grid]) -> VlmImageFeatures:
    """Encode G images that are packed as patches in merge order.

    Args:
        visual: the vision tower.
        pixel_values: [patches of all images, 3 * temporal * patch * patch].
        grids: (t, h, w) of each image, in patches.

    Raises:
        ValueError: the patches do not match the grids.
    """
    config = visual.config
    lengths = [t * h * w for t, h, w in grids]
    if sum(lengths) != pixel_values.shape[0]:
        raise ValueError(f'image grids {list(grids)} need {sum(lengths)} patches but '
                         f'{pixel_values.shape[0]} were given')
    head_dim = config.hidden_size // config.num_heads
    tables = [_grid_tables(grid, visual.num_grid_per_side, config.spatial_merge_size, head_dim,
                           config.rope_parameters['rope_theta'], pixel_values.device)
              for grid in grids]
    indices, weights, cos, sin = (torch.cat(parts) if len(grids) > 1 else parts[0]
                                  for parts in zip(*tables, strict=True))

    hidden = visual.patch_embed(pixel_values)
    # In fp32 whatever the weights' type: the interpolation is a position table.
    positions = (visual.pos_embed(indices).float() * weights.unsqueeze(-1)).sum(1)
    hidden = hidden + positions.to(hidden.dtype)
    deepstack: list[Tensor] = []
    taps = list(config.deepstack_visual_indexes)
    for number, block in enumerate(visual.blocks):
        hidden = hidden + _attend(block.attn, block.norm1(hidden), lengths, cos, sin)
        hidden = hidden + block.mlp(block.norm2(hidden))
        if number in taps:
            deepstack.append(visual.deepstack_merger_list[taps.index(number)](hidden))
    merged = visual.merger(hidden)
    counts = [length // config.spatial_merge_size**2 for length in lengths]
    return VlmImageFeatures(
        grids=tuple(grids), tokens=torch.split(merged, counts),
        deepstack=tuple(torch.split(level, counts) for level in deepstack))


def run_language(language_model: Qwen3VLTextModel, embeddings: Tensor, position_ids: Tensor,
                 attention: Tensor | None, *, cache: DynamicCache | None = None,
                 image_index: Tensor | None = None,
                 deepstack: Sequence[Tensor] = ()) -> Tensor:
    """Run the language model over rows that are embedded already.

    Args:
        language_model: the stock text model.
        embeddings: [B, L, H].
        position_ids: [3, B, L].
        attention: bool [B, 1, L, past + L], or None: causal, or one row that sees everything.
        cache: keys and values of the past; grows by L.
        image_index: flat rows of [B * L] that hold image tokens.
        deepstack: per early layer what is added to those rows, [N, H].

    Returns:
        Hidden states [B, L, H] after the final norm.
    """
    hidden = embeddings
    rotary = language_model.rotary_emb(hidden, position_ids)
    for number, layer in enumerate(language_model.layers):
        hidden = layer(hidden, position_embeddings=rotary, attention_mask=attention,
                       past_key_values=cache)
        if image_index is not None and number < len(deepstack):
            added = deepstack[number].to(hidden.dtype)
            hidden = hidden.flatten(0, 1).index_add(0, image_index, added).view_as(hidden)
    return language_model.norm(hidden)


def _attend(attention: Any, hidden: Tensor, lengths: list[int], cos: Tensor,
            sin: Tensor) -> Tensor:
    """Self-attention inside each image; images of one length go in one call."""
    total = hidden.shape[0]
    heads = attention.num_heads
    q, k, v = attention.qkv(hidden).view(total, 3, heads, -1).unbind(1)
    q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
    if len(set(lengths)) == 1:
        q, k, v = (x.view(len(lengths), lengths[0], heads, -1).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(total, -1)
    else:
        parts = zip(*(x.transpose(0, 1).split(lengths, dim=1) for x in (q, k, v)), strict=True)
        out = torch.cat([F.scaled_dot_product_attention(*(x.unsqueeze(0) for x in part))[0]
                         for part in parts], dim=1).transpose(0, 1).reshape(total, -1)
    return attention.proj(out)


@lru_cache(maxsize=64)
def _grid_tables(grid: Grid, side: int, merge: int, head_dim: int, theta: float,
                 device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position tables of one image size: taps [n, 4], their weights, rope cos and sin [n, d]."""
    # Never inference tensors, even if first asked for by inference: training shares them.
    with torch.inference_mode(False), torch.no_grad():
        table = torch.tensor([grid])
        indices, weights = get_vision_interpolation_indices_and_weights(
            table, num_grid_per_side=side, mode='bilinear', align_corners=True,
            spatial_merge_size=merge)
        position_ids = get_vision_position_ids(table, merge)
        # Not the module's own buffer: a cast of the network to bf16 may have rounded that.
        half = head_dim // 2
        frequencies = 1.0 / (theta ** (torch.arange(0, half, 2, dtype=torch.float32) / half))
        angles = (position_ids[..., None].float() * frequencies).flatten(1).repeat(1, 2)
        return (indices.to(device), weights.float().to(device), angles.cos().to(device),
                angles.sin().to(device))


def reset_position_tables(language_model: Qwen3VLTextModel, visual: Qwen3VLVisionModel,
                          device: torch.device | None = None) -> None:
    """Recompute the rope frequencies in fp32, on `device` or where they are now.

    They are not part of a checkpoint, and a cast of the whole network to bf16 rounds them.
    """
    for rotary in (language_model.rotary_emb, visual.rotary_pos_emb):
        if isinstance(rotary, Qwen3VLVisionRotaryEmbedding):
            frequencies, _ = rotary.compute_axial_rope_parameters(rotary.config)
        else:
            frequencies, _ = rotary.compute_default_rope_parameters(rotary.config)
        frequencies = frequencies.to(device or rotary.inv_freq.device)
        rotary.inv_freq = frequencies
        rotary.original_inv_freq = frequencies.clone()
