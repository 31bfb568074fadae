# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures and depth images from files."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.depth import METRES_32F, MILLIMETRES_16, DepthImage, to_metres


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read any picture as uint8 RGB [H, W, 3], turned upright by its EXIF tag.

    Greyscale is repeated, alpha dropped, 16-bit divided by 257. Raises FileNotFoundError or
    ValueError.
    """
    raw = _decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, 'a picture')
    if raw.dtype == np.uint16:
        raw = ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif raw.dtype != np.uint8:
        raise ValueError(f'{path}: pixels are {raw.dtype}, use an 8- or 16-bit picture')
    return np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGR2RGB), np.uint8)


def read_depth(path: str | Path, *, metres_per_unit: float | None = None) -> DepthImage:
    """Read a depth file as float32 metres [H, W], NaN where invalid.

    16-bit PNG or TIFF holds millimetres (or ``metres_per_unit``) with 0 invalid; 32-bit float
    TIFF and .npy hold metres. Raises FileNotFoundError or ValueError.
    """
    path = Path(path)
    if path.suffix == '.npy':
        raw = _load_npy(path)
    else:
        raw = _decode(path, cv2.IMREAD_UNCHANGED, 'a depth image')
    if raw.dtype == np.uint16:
        encoding, unit = MILLIMETRES_16.names[0], metres_per_unit
    elif raw.dtype == np.float32 or raw.dtype == np.float64:
        encoding, unit = METRES_32F.names[0], None
        raw = raw.astype(np.float32)
    else:
        raise ValueError(
            f'{path}: depth pixels are {raw.dtype}, use 16-bit millimetres (PNG) or 32-bit '
            'float metres (TIFF, NPY)'
        )
    try:
        return to_metres(raw, encoding, metres_per_unit=unit)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 RGB [H, W, 3] as the format of the file name. Raises OSError on failure."""
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f'{path}: cannot write the picture')


def _load_npy(path: Path) -> NDArray:
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise ValueError(f'{path}: not a NumPy array file') from None


def _decode(path: str | Path, flags: int, what: str) -> NDArray:
    path = Path(path)
    if path.is_dir():
        raise ValueError(f'{path}: is a folder, give the files in it')
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    data = np.fromfile(path, np.uint8)
    with _quiet_codecs():
        try:
            raw = cv2.imdecode(data, flags) if data.size else None
        except cv2.error:
            raw = None
    if raw is None:
        raise ValueError(f'{path}: cannot be read as {what}, use PNG, JPEG or TIFF')
    return raw


@contextmanager
def _quiet_codecs() -> Iterator[None]:
    """Keep what OpenCV and libpng print about broken files off the terminal; we say what matters.

    libpng writes to file descriptor 2 itself, so that is turned away for the moment.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
