# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image features of SAM3's encoder and the position tables that go with them.

All tables are fp32 whatever the dtype of the network; see `TableCache`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Through importlib: the package's own names for these classes ask for torchvision.
_sam3 = importlib.import_module('transformers.models.sam3.modeling_sam3')

_SINE_TEMPERATURE = 10000.0


class TableCache:
    """Position tables in fp32, made once per device and never cast with the module.

    They are deliberately no buffers: buffers would follow ``module.to(torch.bfloat16)`` (SAM3's
    angles then are off by up to 0.04 rad) and would stay empty after a build on ``meta``.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[Any, ...], tuple[Tensor, ...]] = {}

    def get(
        self, key: tuple[Any, ...], device: torch.device, make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Return the tables of ``key`` on ``device``; ``make`` builds them, on the CPU."""
        full_key = (*key, device)
        if full_key not in self._tables:
            # A table made under inference_mode could not be used by a later training step.
            with torch.inference_mode(False), torch.no_grad(), torch.device('cpu'):
                self._tables[full_key] = tuple(table.to(device) for table in make())
        return self._tables[full_key]

    def clear(self) -> None:
        """Forget all tables, on every device."""
        self._tables.clear()


class AxialRope(nn.Module):
    """Rotary tables of SAM3's ViT (cos and sin, each [1, tokens, head dim]), always fp32.

    Takes the place of the stock rotary module in every layer of one kind (windowed or global), so
    that the tables are made once and not in each layer of each forward pass.
    """

    def __init__(self, config: Any, window_size: int) -> None:
        super().__init__()
        self._config = config
        self._window_size = window_size
        self._cache = TableCache()

    def turns(self, device: torch.device) -> Tensor:
        """Return e^(i angle) of each pair of numbers, complex64 [tokens, 1, head dim / 2].

        Tokens are in the order of `vit.run_layers`: window by window.
        """
        return self._cache.get(('turns',), device, self._make_turns)[0]

    def _make_turns(self) -> tuple[Tensor]:
        cos, sin = (table[0, :, ::2] for table in self._make())
        turns = torch.complex(cos, sin)
        if not self._window_size:
            window = self._config.window_size
            count = math.isqrt(len(turns)) // window
            grid = turns.unflatten(0, (count, window, count, window))
            turns = grid.transpose(1, 2).flatten(0, 3)
        return (turns.unsqueeze(1),)

    def _make(self) -> tuple[Tensor, Tensor]:
        positions = _sam3.Sam3ViTLayer.precompute_positions(self._config, self._window_size)
        frequencies, _ = _sam3.Sam3ViTRotaryEmbedding.compute_axial_rope_parameters(self._config)
        angles = (positions[..., None].float() * frequencies).flatten(1).repeat_interleave(2, -1)
        return angles.cos()[None], angles.sin()[None]

    def forward(self, hidden: Tensor, position_ids: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return (cos, sin) on ``hidden``'s device; ``position_ids`` is not needed."""
        return self._cache.get((), hidden.device, self._make)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AxialRope:
        self._cache.clear()  # moved away from a GPU, the module must not keep memory there
        super()._apply(fn, recurse)
        return self


def sine_table(height: int, width: int, channels: int) -> Tensor:
    """Return SAM3's 2D sine position encoding [1, channels, height, width] in fp32.

    The first half of the channels encodes the row, the second the column, each as DETR does
    (arXiv 2005.12872) with positions 1..n scaled to 2 pi.
    """
    half = channels // 2
    frequency = sine_frequencies(half)

    def encode(size: int) -> Tensor:
        position = torch.arange(1, size + 1, dtype=torch.float32)
        angle = (position / (position[-1] + 1e-6) * (2 * math.pi))[:, None] / frequency
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    rows = encode(height)[:, None].expand(height, width, half)
    columns = encode(width)[None].expand(height, width, half)
    return torch.cat((rows, columns), dim=2).permute(2, 0, 1)[None].contiguous()


def sine_frequencies(count: int) -> Tensor:
    """Return the divisors [count] of DETR's sine encoding: each pair of channels shares one."""
    pair = torch.div(torch.arange(count), 2, rounding_mode='floor').float()
    return _SINE_TEMPERATURE ** (2 * pair / count)


class ImageFeatures:
    """Image features of SAM3's encoder, and which image each row looks at.

    ``select`` only notes the rows: what all phrases of an image have in common is computed once
    per image, and rows are gathered where phrases begin to differ.

    Attributes:
        image_levels: feature maps of the G images, finest first, each [G, C, h, w].
        index: LongTensor [P], the image of each row; None when the rows are the images.
    """

    def __init__(
        self,
        image_levels: tuple[Tensor, ...],
        position_table: Callable[[int, int], Tensor],
        index: Tensor | None = None,
    ) -> None:
        self.image_levels = image_levels
        self.index = index
        self._position_table = position_table

    @property
    def levels(self) -> tuple[Tensor, ...]:
        """Feature maps of the rows, finest first, each [P, C, h, w]."""
        return tuple(self.gather(level) for level in self.image_levels)

    @property
    def positions(self) -> tuple[Tensor, ...]:
        """Sine encodings of the levels, each [1, C, h, w] in the features' dtype."""
        return tuple(
            self._position_table(level.shape[-2], level.shape[-1]).to(level.dtype)
            for level in self.image_levels
        )

    @property
    def coarse_position(self) -> Tensor:
        """Sine encoding of the coarsest level as tokens [1, h*w, C]."""
        level = self.image_levels[-1]
        table = self._position_table(level.shape[-2], level.shape[-1])
        return table.flatten(2).transpose(1, 2).to(level.dtype)

    @property
    def coarse_size(self) -> tuple[int, int]:
        """Height and width of the coarsest level, which the DETR parts work on."""
        return self.image_levels[-1].shape[-2], self.image_levels[-1].shape[-1]

    @property
    def rows(self) -> int:
        """Number of rows P."""
        return len(self.image_levels[-1]) if self.index is None else len(self.index)

    def gather(self, per_image: Tensor) -> Tensor:
        """Turn one row per image [G, ...] into one per row [P, ...]."""
        if self.index is None:
            return per_image
        if per_image.ndim == 4 and not per_image.is_contiguous():
            # index_select would turn channels-last maps into plain ones, five times slower.
            return per_image.permute(0, 2, 3, 1).index_select(0, self.index).permute(0, 3, 1, 2)
        return per_image.index_select(0, self.index)

    def add_to(self, rows: Tensor, per_image: Tensor) -> Tensor:
        """Add its image's tensor [G, ...] to each row [P, ...]."""
        if self.index is None:
            return rows + per_image
        sums: Tensor = _AddPerImage.apply(rows, per_image, self.index)
        return sums

    def select(self, index: Tensor) -> ImageFeatures:
        """Return features whose row p is this object's row ``index[p]`` (LongTensor [P])."""
        index = index.to(self.image_levels[-1].device)
        if self.index is not None:
            index = self.index.index_select(0, index)
        return ImageFeatures(self.image_levels, self._position_table, index)


class _AddPerImage(torch.autograd.Function):
    """Rows plus their image's tensor, without copying that tensor for every row.

    The backward pass of plain indexing scatters row by row, several times slower on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, per_image: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.images = len(per_image)
        if len(per_image) == 1:
            return rows + per_image
        if rows.device.type != 'cpu':
            return rows + per_image.index_select(0, index)
        return torch.stack([row + per_image[i]
                            for row, i in zip(rows, index.tolist(), strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        (index,) = ctx.saved_tensors
        if gradient.is_cuda:
            total = gradient.new_zeros(ctx.images, *gradient.shape[1:])
            return gradient, total.index_add_(0, index, gradient), None
        parts = [gradient[index == image].sum(0) for image in range(ctx.images)]
        return gradient, torch.stack(parts), None
