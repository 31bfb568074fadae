# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Resizing 8-bit pictures with antialiasing, to the bit the same on every device.

The arithmetic is that of Pillow and of torch's own CPU kernel: a separable filter, stretched when
it shrinks a picture, with its weights as 16-bit integers; columns first, each axis rounded to
8 bits. torch resizes only floats on a GPU, which differs by a grey level in many pixels. Integers
leave nothing to the device: each tap of the filter is one gather and one multiplication.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

Filter = Literal['bilinear', 'bicubic']

_RADIUS = {'bilinear': 1.0, 'bicubic': 2.0}
_MAX_PRECISION = 22
_CUBIC_SHARPNESS = -0.5  # Keys 1981, as Pillow has it


def resize_uint8(batch: Tensor, height: int, width: int, kind: Filter) -> Tensor:
    """Resize uint8 [G, C, H, W] with antialiasing, without waiting for the device.

    Args:
        batch: pictures of any number of channels.
        height, width: of the result, pixels.
        kind: the filter.

    Returns:
        uint8 [G, C, height, width], what ``F.interpolate(..., antialias=True)`` gives on a CPU.
    """
    for axis, size in ((3, width), (2, height)):
        if batch.shape[axis] != size:
            batch = _resize_axis(batch, axis, size, kind)
    return batch


def _resize_axis(batch: Tensor, axis: int, size: int, kind: Filter) -> Tensor:
    index, weights, precision = _taps(batch.shape[axis], size, kind, batch.device)
    shape = [1] * batch.ndim
    shape[axis] = size
    # shifting right rounds down: half a step makes it round to nearest
    total: Tensor | int = 1 << (precision - 1)
    for column, weight in zip(index, weights, strict=True):
        total = batch.index_select(axis, column).int() * weight.view(shape) + total
    assert isinstance(total, Tensor)
    return (total >> precision).clamp_(0, 255).to(torch.uint8)


@lru_cache(maxsize=64)
def _taps(size: int, resized: int, kind: Filter,
          device: torch.device) -> tuple[Tensor, Tensor, int]:
    """Return where each tap of every new pixel reads, how much it weighs, and 1.0 as a power of 2.

    Index [taps, resized] and weights [taps, resized], int32; a tap beyond the picture weighs 0.
    """
    # Never inference tensors, even if first asked for by inference.
    with torch.inference_mode(False), torch.no_grad():
        scale = size / resized
        stretch = max(scale, 1.0)
        support = _RADIUS[kind] * stretch
        centre = scale * (torch.arange(resized, dtype=torch.float64) + 0.5)
        first = (centre - support + 0.5).long().clamp(min=0)
        count = (centre + support + 0.5).long().clamp(max=size) - first
        taps = math.ceil(support) * 2 + 1
        count = count.clamp(0, taps)
        taps = int(count.max())
        offset = torch.arange(taps)[:, None]
        weights = _filter((offset + first - centre + 0.5) / stretch, kind)
        weights = weights.masked_fill(offset >= count, 0)
        weights = weights / weights.sum(0)
        # as many bits as 16-bit weights have room for
        largest, precision = float(weights.max()), 0
        while precision < _MAX_PRECISION and int(
                0.5 + largest * (1 << (precision + 1))) < 1 << 15:
            precision += 1
        fixed = weights * (1 << precision)
        fixed = (fixed + torch.where(fixed < 0, -0.5, 0.5)).trunc().int()
        index = (first + offset).clamp(max=size - 1).int()
        return index.to(device), fixed.to(device), precision


def _filter(x: Tensor, kind: Filter) -> Tensor:
    x = x.abs()
    if kind == 'bilinear':
        return (1 - x).clamp(min=0)
    a = _CUBIC_SHARPNESS
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
