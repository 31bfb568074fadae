# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The small steps of SAM3's detector, on the weights of the stock transformers parts.

At ten queries a step costs more to start than to compute, so the steps are few and call PyTorch
directly: the stock forward passes took twice the time for the same result.

Shape letters as in `detector`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructsam.features import ImageFeatures, TableCache, sine_frequencies
from instructsam.folding import can_fold, folded

_REFERENCE_EPS = 1e-3
_Make = Callable[[], tuple[Tensor, ...]]


def linear(layer: Any, values: Tensor) -> Tensor:
    """Apply an ``nn.Linear``."""
    return F.linear(values, layer.weight, layer.bias)


def normed(layer: Any, values: Tensor) -> Tensor:
    """Apply an ``nn.LayerNorm``."""
    return torch.layer_norm(values, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def mlp(part: Any, values: Tensor) -> Tensor:
    """Apply an MLP of two or three layers with ReLU between them."""
    values = F.relu(linear(part.layer1, values))
    if part.layer3 is not None:
        values = F.relu(linear(part.layer2, values))
        return linear(part.layer3, values)
    return linear(part.layer2, values)


def attend(attention: Any, query: Tensor, keys: Tensor, values: Tensor,
           mask: Tensor | None = None) -> Tensor:
    """Attention of [P, N, C] to [P, M, C]; the mask [P, 1 or heads, N, M] is bool or added."""
    shape = (len(query), -1, attention.num_attention_heads, attention.head_dim)
    q = linear(attention.q_proj, query).view(shape).transpose(1, 2)
    k = linear(attention.k_proj, keys).view(shape).transpose(1, 2)
    v = linear(attention.v_proj, values).view(shape).transpose(1, 2)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return linear(attention.o_proj, out.transpose(1, 2).flatten(2))


def attend_text(attention: Any, query: Tensor, text: Tensor, mask: Tensor) -> Tensor:
    """Attention of rows [P, N, C] to the T tokens of their phrases; mask bool [P, 1, 1, T].

    Many rows, few tokens: for inference the products with the weights of queries and output are
    done on the side of the tokens, and the softmax runs over rows that lie side by side.
    """
    heads, size = attention.num_attention_heads, attention.head_dim
    tokens = text.shape[1]
    if not can_fold(query) or heads * tokens >= query.shape[-1] or query.shape[1] < 2 * size:
        return attend(attention, query, text, text, mask)
    ask, say = attention.q_proj, attention.o_proj
    shape = (len(text), tokens, heads, size)
    keys = (linear(attention.k_proj, text) * attention.scaling).view(shape).transpose(1, 2)
    # values of nothing, and scores that are finite: a phrase without words attends to nothing
    known = mask.transpose(-1, -2)
    values = linear(attention.v_proj, text).view(shape).transpose(1, 2) * known
    keys_asked = (keys @ ask.weight.view(heads, size, -1)).flatten(1, 2)  # [P, heads * T, C]
    values_said = (values @ say.weight.view(-1, heads, size).permute(1, 2, 0)).flatten(1, 2)
    offset = keys @ ask.bias.view(heads, size, 1)  # [P, heads, T, 1]
    offset = offset.masked_fill(~known, torch.finfo(offset.dtype).min).flatten(1, 2)
    scores = torch.baddbmm(offset, keys_asked, query.transpose(1, 2))
    shares = scores.unflatten(1, (heads, tokens)).softmax(2).flatten(1, 2)  # [P, heads * T, N]
    return torch.baddbmm(say.bias, shares.transpose(1, 2), values_said)


def self_attention(layer: Any, hidden: Tensor, position: Tensor) -> Tensor:
    """Let the tokens of an encoder layer attend to each other."""
    values = normed(layer.layer_norm1, hidden)
    placed = values + position
    return attend(layer.self_attn, placed, placed, values)


def encoder_layer(layer: Any, hidden: Tensor, attended: Tensor, text: Tensor,
                  text_mask: Tensor) -> Tensor:
    """Run what of an encoder layer comes after its self-attention."""
    hidden = _dropped(layer.dropout, attended) + hidden
    attended = attend_text(layer.cross_attn, normed(layer.layer_norm2, hidden), text, text_mask)
    hidden = _dropped(layer.dropout, attended) + hidden
    return _dropped(layer.dropout, layer.mlp(normed(layer.layer_norm3, hidden))) + hidden


def decoder_layer(layer: Any, hidden: Tensor, position: Tensor, values: Tensor, keys: Tensor,
                  bias: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
    """Run a decoder layer without the presence row that its own forward expects."""
    placed = hidden + position
    attended = attend(layer.self_attn, placed, placed, hidden)
    hidden = hidden + _dropped(layer.self_attn_dropout, attended)
    hidden = normed(layer.self_attn_layer_norm, hidden)
    attended = attend(layer.text_cross_attn, hidden + position, text, text, text_mask)
    hidden = hidden + _dropped(layer.text_cross_attn_dropout, attended)
    hidden = normed(layer.text_cross_attn_layer_norm, hidden)
    attended = attend(layer.vision_cross_attn, hidden + position, keys, values, bias)
    hidden = hidden + _dropped(layer.vision_cross_attn_dropout, attended)
    hidden = normed(layer.vision_cross_attn_layer_norm, hidden)
    hidden = hidden + _dropped(layer.mlp_dropout, layer.mlp(hidden))
    return normed(layer.mlp_layer_norm, hidden)


class BoxPlaces:
    """Where the decoder's queries look, from their boxes.

    All is fp32 whatever the weights.

    Args:
        decoder: the stock decoder.
        tables: where position tables are kept.
    """

    def __init__(self, decoder: Any, tables: TableCache) -> None:
        self._decoder = decoder
        self._tables = tables

    def first(self, queries: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes [1, Q, 4], positions and bias before the first layer: no picture counts."""
        decoder = self._decoder
        points = decoder.reference_points.weight

        def make() -> tuple[Tensor, Tensor, Tensor]:
            boxes = points[:queries].float().sigmoid()[None]
            return boxes, self.positions(boxes), self.bias(boxes, side)

        if not can_fold(points):
            return make()
        weights = [points, *decoder.ref_point_head.parameters(), *self._box_weights()]
        return folded(decoder, ('first', queries, side), weights, make)

    def positions(self, boxes: Tensor) -> Tensor:
        """Return position embeddings [P, Q, C] of boxes [P, Q, 4]."""
        head = self._decoder.ref_point_head
        return mlp(head, self._sines(boxes).to(head.layer1.weight.dtype))

    def _sines(self, boxes: Tensor) -> Tensor:
        """Return sine encodings [P, Q, 2C] of boxes [P, Q, 4], in the order y, x, w, h."""
        half = self._decoder.ref_point_head.layer1.in_features // 4

        def make() -> tuple[Tensor, ...]:
            # the cosine of every second one is the sine of a quarter turn more
            phase = torch.tensor([0.0, math.pi / 2]).repeat(half // 2)
            return torch.tensor([1, 0, 2, 3]), 2 * math.pi / sine_frequencies(half), phase

        order, scale, phase = self._tables.get(('box',), boxes.device, make)
        angles = torch.addcmul(phase, boxes.index_select(-1, order)[..., None], scale)
        return angles.sin().flatten(2)

    def bias(self, boxes: Tensor, side: int) -> Tensor:
        """Return attention biases [P, heads, Q, side*side] from boxes [P, Q, 4].

        BoxRPB (arXiv 2308.01904): an MLP on the log-scaled distances of each column to the box's
        left and right edge, one on those of each row to its top and bottom edge, added.
        """
        centre, half = boxes[..., :2], 0.5 * boxes[..., 2:]
        edges = torch.stack((centre - half, centre + half), dim=-1)  # [P, Q, xy, low/high]
        grid, = self._tables.get(
            ('grid', side), boxes.device,
            lambda: (torch.arange(side, dtype=torch.float32)[:, None] / side,))
        distance = 8 * (grid - edges.permute(2, 0, 1, 3).unsqueeze(3))  # [xy, P, Q, side, 2]
        scaled = torch.copysign(torch.log1p(distance.abs()) / math.log(8), distance)
        first, first_bias, second, second_bias = self._box_mlps()
        with _exactly(boxes.device.type):
            hidden = torch.baddbmm(first_bias, scaled.flatten(1, 3), first).relu()
            both = torch.baddbmm(second_bias, hidden, second)
        # [xy, P, heads, Q, side]; in one piece, else the sum below takes five times the time
        both = both.view(*scaled.shape[:4], -1).permute(0, 1, 4, 2, 3).contiguous()
        columns, rows = both.unbind()
        return (rows[..., :, None] + columns[..., None, :]).flatten(3)

    def _box_weights(self) -> list[Tensor]:
        parts = (self._decoder.box_rpb_embed_x, self._decoder.box_rpb_embed_y)
        return [weight for layers in ((part.layer1 for part in parts),
                                      (part.layer2 for part in parts))
                for layer in layers for weight in (layer.weight, layer.bias)]

    def _box_mlps(self) -> tuple[Tensor, ...]:
        """Return weights [2, in, out] and biases [2, 1, out] of both layers of the two MLPs."""
        weights = self._box_weights()

        def make() -> tuple[Tensor, ...]:
            joined: list[Tensor] = []
            for x, x_bias, y, y_bias in (weights[:4], weights[4:]):
                joined += (torch.stack((x, y)).float().transpose(1, 2),
                           torch.stack((x_bias, y_bias)).float().unsqueeze(1))
            return tuple(joined)

        return folded(self._decoder, 'rpb', weights, make) if can_fold(weights[0]) else make()


def refined(box_head: Any, state: Tensor, reference: Tensor) -> Tensor:
    """Return boxes [P, Q, 4] in fp32: references [P or 1, Q, 4] moved by what the head says."""
    odds = reference.clamp(min=_REFERENCE_EPS) / (1 - reference).clamp(min=_REFERENCE_EPS)
    return (mlp(box_head, state).float() + odds.log()).sigmoid()


def merge_level(conv: nn.Conv2d, pixels: Tensor, level: Tensor, features: ImageFeatures) -> Tensor:
    """Return conv(upsampled pixels + level) for pixels [P, C, h, w] and level [G, C, H, W]."""
    doubled = (2 * pixels.shape[-2], 2 * pixels.shape[-1]) == tuple(level.shape[-2:])
    if features.rows <= len(level) or not doubled or conv.kernel_size != (3, 3):
        pixels = F.interpolate(pixels, size=level.shape[-2:], mode='nearest')
        return conv(pixels + features.gather(level))
    # Several phrases per image. The convolution is linear, so the image's share is computed once;
    # a 3x3 convolution after doubling is a 4x4 transposed one: 4/9 of the work, equal to 5e-6.
    last = pixels.is_contiguous(memory_format=torch.channels_last)

    def make() -> Tensor:
        padded = F.pad(conv.weight, (1, 1, 1, 1))
        columns = padded[..., 1:] + padded[..., :-1]
        kernel = (columns[..., 1:, :] + columns[..., :-1, :]).flip(-1, -2).transpose(0, 1)
        # otherwise a CPU takes twice the time, and so do the steps that follow
        return kernel.contiguous(memory_format=torch.channels_last) if last else kernel

    kernel = folded(conv, ('doubled', last), [conv.weight], make) if can_fold(pixels) else make()
    merged = F.conv_transpose2d(pixels, kernel, stride=2, padding=1)
    if len(level) == 1 and can_fold(merged):
        return merged.add_(conv(level))
    return features.add_to(merged, conv(level))


def _exactly(kind: str) -> AbstractContextManager[None]:
    """Keep autocast on a kind of device from rounding, where there is such a thing."""
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def _dropped(dropout: Any, values: Tensor) -> Tensor:
    dropped: Tensor = dropout(values) if dropout.training else values
    return dropped
