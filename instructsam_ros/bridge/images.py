# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages and arrays, without a copy per pixel in Python and without cv_bridge.

Arrays that come from a message may share its memory: read them, do not write into them.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from instructsam_ros.bridge.buffers import byte_array, bytes_of, decode_picture
from instructsam_ros.bridge.compressed_depth import (
    compressed_depth_to_metres,
    depth_to_compressed,
)
from instructsam_ros.bridge.encodings import (
    BAYER,
    ENCODINGS,
    PixelLayout,
    layout_named,
    mosaic_to_rgb,
    to_rgb,
)
from instructsam_ros.perception.depth import DepthImage, to_metres

Picture = NDArray[np.uint8]

__all__ = [
    'array_to_compressed',
    'array_to_image',
    'compressed_to_array',
    'depth_to_compressed',
    'depth_to_metres',
    'image_to_array',
]


def image_to_array(message: Image) -> Picture:
    """Return a colour or grey image message as RGB uint8 [H, W, 3].

    Understands every encoding in ``ENCODINGS``: 8 and 16 bit colour and grey, Bayer patterns,
    YUV 4:2:2 and 4:2:0. 16 bit are scaled to 8. Raises ValueError naming cause and mend for
    another encoding, or for sizes that contradict each other.
    """
    return to_rgb(_pixels(message, layout_named(message.encoding)), message.encoding)


def depth_to_metres(message: Image | CompressedImage) -> DepthImage:
    """Return a depth message as float32 metres [H, W], NaN where invalid (REP-118).

    The encoding decides the unit: 16UC1 and mono16 hold millimetres, 32FC1 metres. Compressed
    messages are those of the compressedDepth transport (PNG) and 16-bit PNG of the compressed
    one. Raises ValueError naming cause and mend.
    """
    if hasattr(message, 'format'):
        return compressed_depth_to_metres(message)
    layout = ENCODINGS.get(message.encoding)
    if layout is None or layout.dtype == np.uint8 or layout.channels != 1:
        # the list of depth encodings is in one place
        return to_metres(np.empty((0, 0)), message.encoding)
    return to_metres(_pixels(message, layout), message.encoding)


def compressed_to_array(message: CompressedImage) -> Picture:
    """Return a compressed colour or grey image (JPEG, PNG, ...) as RGB uint8 [H, W, 3].

    The picture is never turned by its EXIF tag: it must fit the camera info. Raises ValueError
    naming cause and mend.
    """
    if 'compressedDepth' in message.format:
        raise ValueError(
            f'the compressed image has format {message.format!r}, which is depth: remap `image` '
            'to the colour topic'
        )
    raw = decode_picture(bytes_of(message.data), message.format)
    origin, _, how = (part.strip() for part in message.format.partition(';'))
    if raw.dtype not in (np.uint8, np.uint16):
        raise ValueError(f'the compressed image has {raw.dtype} pixels: publish 8 or 16 bit')
    if raw.ndim == 2:
        if origin in BAYER and 'mono' not in how:
            return mosaic_to_rgb(raw, origin)
        return to_rgb(raw, 'mono16' if raw.dtype == np.uint16 else 'mono8')
    # codecs write BGR; publishers that hand them RGB say so
    order = 'rgb' if 'compressed rgb' in how else 'bgr'
    alpha = 'a' if raw.shape[2] == 4 else ''
    return to_rgb(raw, f'{order}{alpha}{16 if raw.dtype == np.uint16 else 8}')


def array_to_image(pixels: NDArray[Any], encoding: str, header: Header) -> Image:
    """Return an image message of ``pixels`` [H, W] or [H, W, channels] in ``encoding``.

    Raises ValueError if shape or type are not those of the encoding.
    """
    layout = layout_named(encoding)
    channels = 1 if pixels.ndim == 2 else pixels.shape[-1]
    if pixels.ndim not in (2, 3) or channels != layout.channels or pixels.dtype != layout.dtype:
        raise ValueError(
            f'encoding {encoding} needs {np.dtype(layout.dtype)} with {layout.channels} '
            f'channel(s), this array is {pixels.dtype} {pixels.shape}'
        )
    height, width = pixels.shape[:2]
    message = Image()
    message.header = header
    message.height, message.width = height, width
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = width * channels * pixels.itemsize
    message.data = byte_array(pixels.astype(pixels.dtype.newbyteorder('<'), copy=False))
    return message


def array_to_compressed(image: Picture, header: Header, quality: int = 80) -> CompressedImage:
    """Return RGB uint8 [H, W, 3] as a JPEG message; ``quality`` 1 to 100.

    Raises ValueError for a quality or an array that JPEG does not know.
    """
    if not 1 <= quality <= 100:
        raise ValueError(f'JPEG quality {quality} is out of range: use 1 to 100')
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f'JPEG needs uint8 [H, W, 3] RGB, this array is {image.dtype} '
                         f'{image.shape}')
    swapped = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode('.jpg', swapped, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise ValueError(f'OpenCV cannot write JPEG of {image.shape[1]}x{image.shape[0]} pixels')
    message = CompressedImage()
    message.header = header
    message.format = 'rgb8; jpeg compressed bgr8'
    message.data = byte_array(data)
    return message


def _pixels(message: Image, layout: PixelLayout) -> NDArray[Any]:
    """View the message's bytes as an array in the encoding's own layout, padding cut off."""
    width, height = int(message.width), int(message.height)
    what = f'the image is {width}x{height} {message.encoding}'
    if width < 1 or height < 1:
        raise ValueError(f'{what}, it has no pixels: check the camera driver')
    if width % layout.width_multiple or height % layout.height_multiple:
        raise ValueError(
            f'{what}, but this encoding needs a width divisible by {layout.width_multiple} and a '
            f'height divisible by {layout.height_multiple}: choose another size or encoding'
        )
    dtype = np.dtype(layout.dtype)
    row = width * layout.channels * dtype.itemsize
    rows = int(height * layout.rows_per_row)
    step = int(message.step)
    if step < row or step % dtype.itemsize:
        raise ValueError(
            f'{what} with step {step}, but a row has {row} bytes: the publisher must set step to '
            'the length of a row in bytes'
        )
    data = bytes_of(message.data)
    needed = step * (rows - 1) + row
    if data.size < needed:
        raise ValueError(
            f'{what} with step {step}, which needs {needed} bytes, but has {data.size}: the '
            'publisher must fill data, height and step alike'
        )
    if message.is_bigendian:
        dtype = dtype.newbyteorder('>')
    if step == row:
        lines = data[:needed].view(dtype).reshape(rows, -1)
    else:
        # the last row may come without its padding
        lines = np.lib.stride_tricks.as_strided(
            data[: dtype.itemsize].view(dtype), (rows, row // dtype.itemsize),
            (step, dtype.itemsize), writeable=False)
    if not dtype.isnative:
        lines = lines.astype(dtype.newbyteorder('='))
    return lines if layout.channels == 1 else lines.reshape(rows, width, layout.channels)
