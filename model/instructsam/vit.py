# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SAM3's image encoder: the layers of its ViT, and the pyramid of feature maps on top.

Most layers attend inside windows. The stock layers cut the picture into windows and put it
together again in each of them; here tokens are put in window order once, and back at the end.
Only the position tables of the global layers must know of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructsam.folding import can_fold, folded


def run_layers(backbone: Any, hidden: Tensor) -> Tensor:
    """Run all layers of a stock backbone whose rotary modules are `AxialRope`.

    Args:
        backbone: the stock ViT; its grid is a whole number of windows.
        hidden: normalised patch embeddings [G, side, side, C].

    Returns:
        [G, side, side, C].
    """
    side, window = hidden.shape[1], backbone.config.window_size
    count = side // window
    hidden = hidden.unflatten(2, (count, window)).unflatten(1, (count, window))
    hidden = hidden.transpose(2, 3).flatten(1, 4)
    for layer in backbone.layers:
        normed = layer.layer_norm1(hidden)
        parts = normed.view(-1, window * window, normed.shape[-1]) if layer.window_size else normed
        turns = layer.rotary_emb.turns(normed.device)
        hidden = hidden + _attend(layer.attention, parts, turns).view_as(hidden)
        hidden = hidden + layer.dropout(layer.mlp(layer.layer_norm2(hidden)))
    hidden = hidden.unflatten(1, (count, count, window, window)).transpose(2, 3)
    return hidden.flatten(3, 4).flatten(1, 2)


def pyramid_level(level: Any, hidden: Tensor) -> Tensor:
    """Run a stock FPN level on maps [G, C, side, side].

    A level that ends with a transposed, a 1x1 and a 3x3 convolution is linear from there on. For
    inference on a CPU the three become one transposed 4x4 convolution: half the work for the
    finest level, equal to 5e-6.
    """
    *first, last = level.scale_layers or [None]
    if not can_fold(hidden) or not isinstance(last, nn.ConvTranspose2d):
        features: Tensor = level(hidden)
        return features
    for layer in first:
        hidden = layer(hidden)
    joined: tuple[Any, ...] = (last, level.proj1, level.proj2)
    parts: list[Tensor] = [part for one in joined for part in (one.weight, one.bias)]
    end = folded(level, 'end', parts, lambda: _join_end(parts))
    inside = end.corners[:, 1, 1]
    maps = F.conv_transpose2d(hidden, end.kernel, inside, stride=2, padding=1)
    border = end.corners - inside[:, None, None]
    for edge in (0, -1):
        maps[:, :, edge, 1:-1] += border[:, edge, 1:2]
        maps[:, :, 1:-1, edge] += border[:, 1:2, edge]
        for other in (0, -1):
            maps[:, :, edge, other] += border[:, edge, other]
    return maps


@dataclass(frozen=True)
class _End:
    """The linear end of an FPN level as one convolution.

    Attributes:
        kernel: [C in, C out, 4, 4], channels-last like the maps.
        corners: [C out, 3, 3], what the biases add at the corners, at the edges, and inside,
            where the 3x3 kernel does not reach past the border.
    """

    kernel: Tensor
    corners: Tensor


def _join_end(parts: Sequence[Tensor]) -> _End:
    """Join weights and biases of a transposed, a 1x1 and a 3x3 convolution."""
    dtype = parts[0].dtype
    wide, offset, mix, shift, kernel, bias = (part.detach().float() for part in parts)
    mix = mix[:, :, 0, 0]
    first = torch.einsum('imyx,cm->icyx', wide, mix)
    whole = F.conv_transpose2d(first, kernel.transpose(0, 1).flip(-1, -2))
    constant = (mix @ offset + shift)[:, None, None].expand(-1, 3, 3)
    corners = F.conv2d(constant, kernel, bias, padding=1)
    return _End(whole.to(dtype, memory_format=torch.channels_last), corners.to(dtype))


def _attend(attention: Any, hidden: Tensor, turns: Tensor) -> Tensor:
    """Self-attention among the tokens [..., T, C] of each row."""
    shape = (*hidden.shape[:-1], attention.num_attention_heads, attention.head_dim)
    q, k = (_turn(project(hidden).view(shape), turns).transpose(1, 2)
            for project in (attention.q_proj, attention.k_proj))
    v = attention.v_proj(hidden).view(shape).transpose(1, 2)
    out = F.scaled_dot_product_attention(
        q, k, v, dropout_p=attention.attention_dropout if attention.training else 0.0)
    projected: Tensor = attention.o_proj(out.transpose(1, 2).flatten(2))
    return projected


def _turn(vectors: Tensor, turns: Tensor) -> Tensor:
    """Rotate each pair of numbers of vectors [B, T, heads, d], in fp32."""
    pairs = torch.view_as_complex(vectors.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(-2).to(vectors.dtype)
