# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Running the stock Qwen3-VL parts: images in a batch, and any prefix mask with a KV cache.

The weights and sub-layers are those of transformers; only the loops are ours. The stock loops
take one image after the other, find image rows by a boolean mask (a host sync on a GPU), and
rebuild the position tables of the same image size at every call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3VLTextModel, Qwen3VLVisionModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionRotaryEmbedding
from transformers.vision_utils import (
    get_vision_interpolation_indices_and_weights,
    get_vision_position_ids,
)

from instructsam.folding import can_fold, folded

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
        pixel_values: [patches of all images, 3 * temporal * patch * patch], or, of still
            pictures, whose patches repeat one frame, that frame alone [.., 3 * patch * patch].
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

    hidden = _embed_patches(visual.patch_embed.proj, pixel_values)
    hidden = hidden + _positions(visual, tuple(grids), indices, weights).to(hidden.dtype)
    deepstack: list[Tensor] = []
    taps = list(config.deepstack_visual_indexes)
    for number, block in enumerate(visual.blocks):
        hidden = hidden + _attend(block.attn, block.norm1(hidden), lengths, cos, sin)
        hidden = hidden + _mlp(block.mlp, block.norm2(hidden), config.hidden_act)
        if number in taps:
            deepstack.append(visual.deepstack_merger_list[taps.index(number)](hidden))
    merged = visual.merger(hidden)
    counts = [length // config.spatial_merge_size**2 for length in lengths]
    return VlmImageFeatures(
        grids=tuple(grids), tokens=torch.split(merged, counts),
        deepstack=tuple(torch.split(level, counts) for level in deepstack))


def _embed_patches(patch: Any, pixels: Tensor) -> Tensor:
    """Project patches: a convolution whose kernel is the patch.

    As a product it takes a quarter of the time on a CPU.
    """
    kernel = patch.weight
    if pixels.shape[1] < kernel[0].numel():  # each frame is this one: half the work for two
        kernel = (folded(patch, 'still', [patch.weight], lambda: patch.weight.sum(2))
                  if can_fold(pixels) else patch.weight.sum(2))
    return F.linear(pixels.to(kernel.dtype), kernel.flatten(1), patch.bias)


def _mlp(mlp: Any, hidden: Tensor, activation: str) -> Tensor:
    inner = mlp.linear_fc1(hidden)
    if can_fold(inner) and inner.dtype == torch.float32 and activation == 'gelu_pytorch_tanh':
        # (1 + tanh x) / 2 is the logistic of 2x, which a CPU is done with in a third of the time
        slope = inner.new_tensor(2 * math.sqrt(2 / math.pi))
        grown = torch.addcmul(slope, inner, inner, value=0.044715 * float(slope)).mul_(inner)
        inner = grown.sigmoid_().mul_(inner)
    else:
        inner = mlp.act_fn(inner)
    projected: Tensor = mlp.linear_fc2(inner)
    return projected


def _positions(visual: Qwen3VLVisionModel, grids: tuple[Grid, ...], indices: Tensor,
               weights: Tensor) -> Tensor:
    """Interpolate the position table [n, C], in fp32 whatever the weights' type."""
    def interpolate() -> Tensor:
        return (visual.pos_embed(indices).float() * weights.unsqueeze(-1)).sum(1)

    if not can_fold(indices):
        return interpolate()
    return folded(visual, grids, [visual.pos_embed.weight], interpolate)


def run_language(language_model: Qwen3VLTextModel, embeddings: Tensor, position_ids: Tensor,
                 attention: Tensor | None, *, cache: Any = None,
                 image_index: Tensor | None = None,
                 deepstack: Sequence[Tensor] = (), first_row: int = 0) -> Tensor:
    """Run the language model over rows that are embedded already.

    Args:
        language_model: the stock text model.
        embeddings: [B, L, H].
        position_ids: [3, B, L].
        attention: bool [B, 1, L, past + L], or None: causal, or one row that sees everything.
        cache: keys and values of the past, with the `update` of a transformers cache; grows by L.
        image_index: flat rows of [B * L] that hold image tokens.
        deepstack: per early layer what is added to those rows, [N, H].
        first_row: rows before it are not asked for: of these the last layer makes no more than
            keys and values. Needs `attention`.

    Returns:
        Hidden states [B, L - first_row, H] after the final norm.
    """
    hidden = embeddings
    cos, sin = language_model.rotary_emb(hidden, position_ids)
    cos, sin = cos.unsqueeze(2), _signed(sin).unsqueeze(2)
    last = len(language_model.layers) - 1
    spared = first_row if last >= len(deepstack) else 0
    for number, layer in enumerate(language_model.layers):
        start = spared if number == last else 0
        normed = _rms_norm(layer.input_layernorm, hidden)
        attended = _attend_causally(layer.self_attn, normed, cos, sin, attention, cache, start)
        hidden = hidden[:, start:] + attended
        hidden = hidden + layer.mlp(_rms_norm(layer.post_attention_layernorm, hidden))
        if image_index is not None and number < len(deepstack):
            added = deepstack[number].to(hidden.dtype)
            hidden = hidden.flatten(0, 1).index_add(0, image_index, added).view_as(hidden)
    return _rms_norm(language_model.norm, hidden[:, first_row - spared:])


def _rms_norm(norm: Any, hidden: Tensor) -> Tensor:
    return F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _attend_causally(attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor,
                     mask: Tensor | None, cache: Any, start: int) -> Tensor:
    """Self-attention of the language model from row `start` on; rope tables [B, L, 1, d]."""
    def split(rows: Tensor) -> Tensor:
        return rows.view(*rows.shape[:-1], -1, attention.head_dim)

    asking = hidden[:, start:]
    q = _rms_norm(attention.q_norm, split(attention.q_proj(asking)))
    k = _rms_norm(attention.k_norm, split(attention.k_proj(hidden)))
    q = _rotate(q, cos[:, start:], sin[:, start:]).transpose(1, 2)
    k = _rotate(k, cos, sin).transpose(1, 2)
    v = split(attention.v_proj(hidden)).transpose(1, 2)
    if cache is not None:
        k, v = cache.update(k, v, attention.layer_idx)
    if mask is not None:  # CUDA's fast kernels take a mask or grouped heads, not both
        mask = mask[:, :, start:]
        k, v = (x.repeat_interleave(attention.num_key_value_groups, dim=1) for x in (k, v))
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None and q.shape[2] > 1,
        dropout_p=attention.attention_dropout if attention.training else 0.0,
        enable_gqa=mask is None)
    projected: Tensor = attention.o_proj(out.transpose(1, 2).flatten(2))
    return projected


def _attend(attention: Any, hidden: Tensor, lengths: list[int], cos: Tensor,
            sin: Tensor) -> Tensor:
    """Self-attention inside each image; images of one length go in one call."""
    total = hidden.shape[0]
    heads = attention.num_heads
    qkv = attention.qkv(hidden).view(total, 3, heads, -1)
    q, k = _rotate(qkv[:, :2], cos[:, None, None], sin[:, None, None]).unbind(1)
    v = qkv[:, 2]
    if len(set(lengths)) == 1:
        q, k, v = (x.view(len(lengths), lengths[0], heads, -1).transpose(1, 2) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(total, -1)
    else:
        parts = zip(*(x.transpose(0, 1).split(lengths, dim=1) for x in (q, k, v)), strict=True)
        out = torch.cat([F.scaled_dot_product_attention(*(x.unsqueeze(0) for x in part))[0]
                         for part in parts], dim=1).transpose(0, 1).reshape(total, -1)
    return attention.proj(out)


def _rotate(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn vectors [..., d] by rope angles (arXiv 2104.09864), in the tables' type.

    The first half of ``sin`` is negative: what comes of rolling a vector by half its length is
    then what rope wants, in two passes over memory less.
    """
    turned = torch.addcmul(vectors * cos, vectors.roll(vectors.shape[-1] // 2, -1), sin)
    return turned.to(vectors.dtype)


def _signed(sin: Tensor) -> Tensor:
    """Negate the first half of rope sines [..., d], for `_rotate`."""
    first, second = sin.chunk(2, dim=-1)
    return torch.cat((-first, second), dim=-1)


@lru_cache(maxsize=64)
def _grid_tables(grid: Grid, side: int, merge: int, head_dim: int, theta: float,
                 device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Position tables of one image size: taps [n, 4], their weights, rope for `_rotate` [n, d]."""
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
                _signed(angles.sin()).to(device))


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
