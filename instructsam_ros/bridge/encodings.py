# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image encodings: one layout per name, and how each becomes RGB.

Names as in ``sensor_msgs/image_encodings``. What has no colour convention of its own (8UC3, 8UC4)
is taken as BGR, as OpenCV does.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels of an encoding lie in memory.

    Attributes:
        dtype: element type.
        channels: elements per pixel in a row (two for packed YUV 4:2:2).
        to_rgb: OpenCV's conversion code for it; None when there is nothing to convert.
        picture: false for what is no picture, such as depth.
        rows_per_row: rows of memory for each row of the picture (chroma planes come below).
        width_multiple, height_multiple: what sizes must be divisible by.
    """

    dtype: DTypeLike
    channels: int
    to_rgb: int | None = None
    picture: bool = True
    rows_per_row: Fraction = Fraction(1)
    width_multiple: int = 1
    height_multiple: int = 1


def _colour(bits: int) -> dict[str, PixelLayout]:
    dtype = np.uint8 if bits == 8 else np.uint16
    return {
        f'rgb{bits}': PixelLayout(dtype, 3),
        f'bgr{bits}': PixelLayout(dtype, 3, cv2.COLOR_BGR2RGB),
        f'rgba{bits}': PixelLayout(dtype, 4, cv2.COLOR_RGBA2RGB),
        f'bgra{bits}': PixelLayout(dtype, 4, cv2.COLOR_BGRA2RGB),
        f'mono{bits}': PixelLayout(dtype, 1, cv2.COLOR_GRAY2RGB),
    }


# OpenCV names a pattern by its second row's second and third pixel: RGGB is its "BG"
BAYER = {
    f'bayer_{pattern}{bits}': code
    for bits in (8, 16)
    for pattern, code in (
        ('rggb', cv2.COLOR_BayerBG2RGB),
        ('bggr', cv2.COLOR_BayerRG2RGB),
        ('gbrg', cv2.COLOR_BayerGR2RGB),
        ('grbg', cv2.COLOR_BayerGB2RGB),
    )
}
_UYVY = PixelLayout(np.uint8, 2, cv2.COLOR_YUV2RGB_UYVY, width_multiple=2)
_YUYV = PixelLayout(np.uint8, 2, cv2.COLOR_YUV2RGB_YUY2, width_multiple=2)
_HALF_MORE = Fraction(3, 2)

ENCODINGS: dict[str, PixelLayout] = {
    **_colour(8),
    **_colour(16),
    '8UC1': PixelLayout(np.uint8, 1, cv2.COLOR_GRAY2RGB),
    '8UC3': PixelLayout(np.uint8, 3, cv2.COLOR_BGR2RGB),
    '8UC4': PixelLayout(np.uint8, 4, cv2.COLOR_BGRA2RGB),
    **{
        name: PixelLayout(np.uint16 if name.endswith('16') else np.uint8, 1, code)
        for name, code in BAYER.items()
    },
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
    'nv12': PixelLayout(np.uint8, 1, cv2.COLOR_YUV2RGB_NV12, True, _HALF_MORE, 2, 2),
    'nv21': PixelLayout(np.uint8, 1, cv2.COLOR_YUV2RGB_NV21, True, _HALF_MORE, 2, 2),
    '16UC1': PixelLayout(np.uint16, 1, picture=False),
    '32FC1': PixelLayout(np.float32, 1, picture=False),
}


def layout_named(encoding: str) -> PixelLayout:
    """Return the layout of an encoding. Raises ValueError for an unknown one, naming the known."""
    if encoding not in ENCODINGS:
        known = ', '.join(ENCODINGS)
        raise ValueError(
            f'image encoding {encoding!r} is not supported: set the camera driver to one of {known}'
        )
    return ENCODINGS[encoding]


def to_rgb(pixels: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
    """Return pixels in the encoding's own layout as RGB uint8 [H, W, 3].

    Raises ValueError for an encoding that is no picture.
    """
    layout = layout_named(encoding)
    if not layout.picture:
        raise ValueError(
            f'image encoding {encoding} holds depth, not a picture: remap `image` to the colour '
            'topic'
        )
    if encoding in BAYER:
        return mosaic_to_rgb(pixels, encoding)
    if pixels.dtype == np.uint16:
        pixels = _to_8_bit(pixels)
    if layout.to_rgb is None:
        return np.ascontiguousarray(pixels)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), layout.to_rgb), np.uint8)


def mosaic_to_rgb(pixels: NDArray[Any], encoding: str) -> NDArray[np.uint8]:
    """Return a Bayer mosaic [H, W] as RGB uint8 [H, W, 3]. Raises ValueError if it is too small."""
    height, width = pixels.shape
    if min(height, width) < 3:
        raise ValueError(
            f'the image is {width}x{height} {encoding}, too small for a Bayer pattern: '
            'use at least 3x3 pixels'
        )
    if pixels.dtype == np.uint16:
        pixels = _to_8_bit(pixels)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), BAYER[encoding]), np.uint8)


def _to_8_bit(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    # 65535 is 257 times 255
    return np.asarray(cv2.convertScaleAbs(np.ascontiguousarray(pixels), alpha=1 / 257), np.uint8)
