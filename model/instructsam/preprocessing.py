# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures to network inputs, in torch alone, on the device of the picture.

Both ways into the network (SAM3's square image, Qwen3-VL's patches) resize with antialiasing on
8-bit values, as the reference processors do, and scale to -1..1. Every device gives the same 8-bit
values; a GPU may round the scaling otherwise (1e-7). Nothing here waits for the device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from instructsam.resampling import Filter, resize_uint8

MAX_ASPECT_RATIO = 200
MIN_SIDE = 2


def to_rgb_uint8(image: Any) -> npt.NDArray[np.uint8]:
    """Turn a picture into an RGB array [H, W, 3] of dtype uint8, contiguous.

    Args:
        image: array (or anything ``numpy.asarray`` takes) [H, W] or [H, W, C] with C = 1 (grey),
            2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha), of dtype uint8, uint16 (its full range is
            scaled to 8 bits) or bool; or a PIL image of any mode, which is turned upright as its
            EXIF data say. Alpha is dropped.

    Raises:
        ValueError: the picture is empty or one pixel across, or of another shape or dtype.
    """
    if hasattr(image, 'mode') and hasattr(image, 'convert'):
        image = _from_pil(image)
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(
            f'image of shape {array.shape}: give one picture as height x width or '
            f'height x width x channels'
        )
    height, width, channels = array.shape
    _check_size(height, width)
    if channels not in (1, 2, 3, 4):
        raise ValueError(
            f'image of shape {array.shape}: the last axis must be 1 to 4 channels '
            f'(grey, grey + alpha, RGB, RGB + alpha); move the channel axis to the end'
        )
    if array.dtype == np.uint16:
        # 65535 / 255 = 257: divide and round without leaving integers.
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype != np.uint8:
        raise ValueError(
            f'image of dtype {array.dtype}: convert it to uint8 (0..255) or uint16 (0..65535)'
        )
    if channels <= 2:
        array = np.repeat(array[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(array[:, :, :3])


def _from_pil(image: Any) -> npt.NDArray[Any]:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in ('I', 'I;16', 'I;16B', 'I;16L', 'I;16N'):  # 16-bit greyscale files
        return np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
    if image.mode in ('RGBA', 'RGBX', 'LA', 'L', 'RGB', '1'):
        return np.asarray(image)
    return np.asarray(image.convert('RGB'))


def sam_pixels(image: Tensor, size: int) -> Tensor:
    """Make SAM3's input: stretched to size x size (aspect not kept), values in -1..1.

    Args:
        image: uint8 RGB, [H, W, 3], [3, H, W], or a batch of the latter [G, 3, H, W].
        size: side of the square in pixels, the network's ``image_size``.

    Returns:
        fp32 [G, 3, size, size], G = 1 for a single picture.

    Raises:
        ValueError: wrong shape or dtype, or a picture that is empty or one pixel across.
    """
    batch = _as_batch(image)
    return _normalise(_resize(batch, size, size, 'bilinear'))


def smart_resize(
    height: int, width: int, factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """Return the (height, width) at which Qwen's vision tower sees a picture.

    Both are multiples of ``factor``, their product lies in min_pixels..max_pixels where that is
    possible, and the aspect ratio changes as little as that allows (Qwen2-VL, arXiv 2409.12191).

    Raises:
        ValueError: an empty picture, or one side over 200 times the other.
    """
    if height <= 0 or width <= 0:
        raise ValueError(_empty_message(height, width))
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise ValueError(
            f'image of {width}x{height} pixels: one side is more than {MAX_ASPECT_RATIO} times '
            f'the other; crop it or stitch it into a squarer one'
        )
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif rows * columns < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows = math.ceil(height * grow / factor) * factor
        columns = math.ceil(width * grow / factor) * factor
    return rows, columns


def vlm_pixels(
    image: Tensor,
    patch_size: int,
    merge_size: int,
    temporal_patch_size: int,
    min_pixels: int,
    max_pixels: int,
) -> tuple[Tensor, Tensor]:
    """Make Qwen3-VL's input: the picture cut into patches, those of one merged token in a row.

    Args:
        image: uint8 RGB, [H, W, 3], [3, H, W], or a batch of the latter [G, 3, H, W].
        patch_size: side of a patch in pixels.
        merge_size: a token is merge_size x merge_size patches.
        temporal_patch_size: frames per patch; the picture is repeated that often.
        min_pixels: least area of the resized picture.
        max_pixels: largest area of the resized picture.

    Returns:
        ``pixel_values`` fp32 [G * patches, 3 * temporal_patch_size * patch_size**2] in -1..1,
        picture after picture, on the picture's device, and ``grid_thw`` int64 [G, 3], each
        picture's frames, rows and columns of patches, on the CPU.

    Raises:
        ValueError: wrong shape or dtype, a picture that is empty or one pixel across, or one
            side over 200 times the other.
    """
    batch = _as_batch(image)
    count, _, height, width = batch.shape
    rows, columns = smart_resize(height, width, patch_size * merge_size, min_pixels, max_pixels)
    pixels = _normalise(_resize(batch, rows, columns, 'bicubic'))
    grid = (rows // patch_size, columns // patch_size)
    patches = pixels.reshape(
        count, 3,
        grid[0] // merge_size, merge_size, patch_size,
        grid[1] // merge_size, merge_size, patch_size,
    )
    # To [G, block row, block column, row, column, channel, y, x].
    patches = patches.permute(0, 2, 5, 3, 6, 1, 4, 7)
    patches = patches.unsqueeze(6).expand(*[-1] * 6, temporal_patch_size, -1, -1)
    grid_thw = torch.tensor([[1, *grid]]).expand(count, 3)
    return patches.reshape(count * grid[0] * grid[1], -1), grid_thw.contiguous()


def _as_batch(image: Tensor) -> Tensor:
    if image.dtype != torch.uint8:
        raise ValueError(f'image of dtype {image.dtype}: give uint8 RGB, see to_rgb_uint8')
    if image.ndim == 3 and image.shape[-1] == 3:
        image = image.permute(2, 0, 1)
    if image.ndim == 3:
        image = image[None]
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(
            f'image of shape {list(image.shape)}: give RGB as [H, W, 3], [3, H, W] or '
            f'[G, 3, H, W], see to_rgb_uint8'
        )
    _check_size(image.shape[2], image.shape[3])
    return image


def _check_size(height: int, width: int) -> None:
    if height <= 0 or width <= 0:
        raise ValueError(_empty_message(height, width))
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f'image of {width}x{height} pixels: one pixel across shows nothing; '
            f'give one of at least {MIN_SIDE} pixels a side'
        )


def _empty_message(height: int, width: int) -> str:
    return f'image of {width}x{height} pixels is empty: give one with pixels in it'


def _resize(batch: Tensor, height: int, width: int, kind: Filter) -> Tensor:
    """Resize uint8 [G, 3, H, W] with antialiasing; the result is uint8 too."""
    if batch.shape[-2:] == (height, width):
        return batch
    if batch.device.type == 'cpu':  # the same values, a few times faster
        return F.interpolate(batch, (height, width), mode=kind, antialias=True)
    return resize_uint8(batch, height, width, kind)


def _normalise(batch: Tensor) -> Tensor:
    return batch.float().div_(255).sub_(0.5).div_(0.5)
