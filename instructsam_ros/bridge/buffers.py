# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of uint8[] message fields, and picture files in them."""

from array import array
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def byte_array(*parts: NDArray[Any] | bytes) -> 'array[int]':
    """Return the parts' bytes, one after the other, as a uint8[] field takes them fastest."""
    data = array('B')
    for part in parts:
        if len(part):
            whole = memoryview(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
            data.frombytes(whole.cast('B'))
    return data


def bytes_of(data: Any) -> NDArray[np.uint8]:
    """Return a view of a uint8[] field (array.array, bytes, memoryview or ndarray)."""
    return np.frombuffer(data, np.uint8) if len(data) else np.empty(0, np.uint8)


def decode_picture(data: NDArray[np.uint8], stated: str) -> NDArray[Any]:
    """Decode a JPEG, PNG or other picture file as it is: BGR, BGRA or grey, 8 or 16 bit.

    It is never turned by an EXIF tag. ``stated`` is the message's format, for the error message.
    Raises ValueError.
    """
    decoded: NDArray[Any] | None = None
    if data.size:
        try:
            decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        except cv2.error:
            decoded = None
    if decoded is None:
        raise ValueError(
            f'the compressed image (format {stated!r}, {data.size} bytes) cannot be decoded: it '
            'was cut short, or is not JPEG or PNG; set the camera driver to one of them'
        )
    return decoded
