# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth encodings: one trait per encoding of REP-118, all to float32 metres with NaN.

The encoding alone decides the unit, never a parameter: wrong units put targets a thousand times
too far away.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

DepthImage = NDArray[np.float32]


@dataclass(frozen=True)
class DepthEncoding:
    """How one encoding stores depth.

    Attributes:
        names: ROS image encodings that mean this (``sensor_msgs/Image.encoding``).
        dtype: element type of the raw array.
        metres_per_unit: what one step of the raw numbers means.
        description: unit and invalid values, in words, for error messages.
        decode: raw array -> new float32 array in metres, NaN where invalid.
    """

    names: tuple[str, ...]
    dtype: DTypeLike
    metres_per_unit: float
    description: str
    decode: Callable[[NDArray, float], DepthImage]


def _decode_integer(raw: NDArray, metres_per_unit: float) -> DepthImage:
    depth = raw.astype(np.float32)
    depth *= np.float32(metres_per_unit)
    depth[raw == 0] = np.nan
    return depth


def _decode_float(raw: NDArray, metres_per_unit: float) -> DepthImage:
    depth = raw.astype(np.float32)
    depth *= np.float32(metres_per_unit)
    # written so that NaN fails the comparison too
    depth[~((depth > 0) & (depth < np.inf))] = np.nan
    return depth


MILLIMETRES_16 = DepthEncoding(
    ('16UC1', 'mono16'),
    np.uint16,
    0.001,
    '16-bit integers in millimetres, 0 invalid',
    _decode_integer,
)
METRES_32F = DepthEncoding(
    ('32FC1',),
    np.float32,
    1.0,
    '32-bit floats in metres, NaN, Inf or <= 0 invalid',
    _decode_float,
)
ENCODINGS = (MILLIMETRES_16, METRES_32F)


def encoding_named(name: str) -> DepthEncoding:
    """Return the trait of a ROS image encoding.

    Raises ValueError for an encoding that holds no depth, naming those that do.
    """
    for encoding in ENCODINGS:
        if name in encoding.names:
            return encoding
    supported = '; '.join(f'{"/".join(e.names)} ({e.description})' for e in ENCODINGS)
    raise ValueError(f'depth encoding {name!r} is not supported: publish {supported}')


def to_metres(raw: NDArray, encoding: str, *, metres_per_unit: float | None = None) -> DepthImage:
    """Decode a raw depth image [H, W] to float32 metres, NaN where invalid (REP-118).

    ``metres_per_unit`` overrides the unit for files that state their own (a data set's scale);
    ROS messages never need it. Raises ValueError for an unknown encoding or a wrong array.
    """
    trait = encoding_named(encoding)
    if raw.ndim != 2:
        raise ValueError(
            f'depth must have one channel, this has shape {raw.shape}: pass the raw depth image, '
            'not a coloured view of it'
        )
    if raw.dtype != trait.dtype:
        raise ValueError(
            f'depth encoding {encoding} means {trait.description}, this array is {raw.dtype}'
        )
    unit = trait.metres_per_unit if metres_per_unit is None else metres_per_unit
    if not (np.isfinite(unit) and unit > 0):
        raise ValueError(f'depth scale must be a positive number of metres, got {unit}')
    return trait.decode(raw, unit)
