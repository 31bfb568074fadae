# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The compressedDepth transport: a 12-byte header, then a 16-bit PNG.

The header holds a format number (int32) and two quantisation parameters a, b (float32). With
16UC1 the PNG holds millimetres as they are. With 32FC1 it holds inverse depth q:
metres = a / (q - b), and 0 is invalid.
"""

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from instructsam_ros.bridge.buffers import byte_array, bytes_of, decode_picture
from instructsam_ros.perception.depth import DepthImage, encoding_named, to_metres

_HEADER = struct.Struct('<iff')
_PNG = b'\x89PNG'
_INVERSE_DEPTH = 1
# as the transport's own defaults: finest at 1 m, nothing beyond 10 m
_FINEST_AT = 100.0
_FARTHEST = 10.0


def compressed_depth_to_metres(message: CompressedImage) -> DepthImage:
    """Return a compressed depth message as float32 metres [H, W], NaN where invalid.

    Raises ValueError naming cause and mend.
    """
    encoding, _, how = (part.strip() for part in message.format.partition(';'))
    if 'rvl' in how:
        raise ValueError(
            f'depth has format {message.format!r}, and RVL is not supported: set the '
            "publisher's parameter `<topic>.compressedDepth.format` to png"
        )
    trait = encoding_named(encoding)
    data = bytes_of(message.data)
    if data[:4].tobytes() == _PNG:
        parameters, payload = None, data
    elif data.size > _HEADER.size:
        parameters = _HEADER.unpack(data[: _HEADER.size].tobytes())[1:]
        payload = data[_HEADER.size :]
    else:
        raise ValueError(f'compressed depth has only {data.size} bytes: the message was cut short')
    raw = decode_picture(payload, message.format)
    if raw.ndim != 2 or raw.dtype != np.uint16:
        raise ValueError(
            f'compressed depth holds {raw.dtype} {raw.shape} pixels, not 16 bit in one channel: '
            'JPEG cannot hold depth, use the compressedDepth transport'
        )
    if trait.dtype == np.uint16:
        return to_metres(raw, encoding)
    if parameters is None:
        raise ValueError(
            f'depth has format {message.format!r} without quantisation parameters: use the '
            'compressedDepth transport'
        )
    a, b = parameters
    with np.errstate(divide='ignore', invalid='ignore'):
        metres = np.float32(a) / (raw.astype(np.float32) - np.float32(b))
    metres[raw == 0] = np.nan
    return to_metres(metres, encoding)


def depth_to_compressed(depth: NDArray[Any], header: Header) -> CompressedImage:
    """Return depth [H, W] as a compressedDepth message (PNG).

    uint16 is millimetres (16UC1, lossless); float32 is metres (32FC1), quantised in inverse
    depth, NaN or farther than 10 m invalid. Raises ValueError for another array.
    """
    if depth.ndim != 2 or depth.dtype not in (np.uint16, np.float32) or not depth.size:
        raise ValueError(
            f'depth must be uint16 millimetres or float32 metres [H, W], this array is '
            f'{depth.dtype} {depth.shape}'
        )
    if depth.dtype == np.uint16:
        encoding, a, b, levels = '16UC1', 0.0, 0.0, depth
    else:
        encoding, a = '32FC1', _FINEST_AT * (_FINEST_AT + 1)
        b = 1 - a / _FARTHEST
        with np.errstate(divide='ignore', invalid='ignore'):
            inverse = a / depth + b
            usable = (depth > 0) & (depth < _FARTHEST) & (inverse <= np.iinfo(np.uint16).max)
        levels = np.where(usable, inverse, 0).astype(np.uint16)
    done, data = cv2.imencode('.png', levels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f'OpenCV cannot write PNG of {depth.shape[1]}x{depth.shape[0]} pixels')
    message = CompressedImage()
    message.header = header
    message.format = f'{encoding}; compressedDepth png'
    message.data = byte_array(_HEADER.pack(_INVERSE_DEPTH, a, b), data)
    return message
