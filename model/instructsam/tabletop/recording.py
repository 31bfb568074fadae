# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences in files: drawing one takes a minute, reading it a second.

A file is a zip archive: for each frame the picture, its depth in mm and its instance map (0 none,
k for the object with id k) as PNG, lossless, and `truth.npz` with all the rest.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from .scene import Camera
from .sequences import (
    FRAMES,
    HEIGHT,
    RATE,
    VERSION,
    WIDTH,
    SequenceFrame,
    SequenceObject,
    metres,
    sequence,
)

_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def recorded(number: int, folder: Path) -> Iterator[SequenceFrame]:
    """Return the frames of sequence ``number`` from a file in ``folder``, made where it is missing.

    They equal those of ``sequence(number).frames()`` bit by bit. Raises ValueError for a number
    that does not exist.
    """
    return _read(record(number, folder))


def record(number: int, folder: Path) -> Path:
    """Return the file of sequence ``number`` in ``folder``; draw it where it is missing.

    An interrupted drawing leaves no file behind that counts.
    """
    path = folder / f'sequence-v{VERSION}-{number:02d}.zip'
    if path.exists():
        return path
    frames = sequence(number).frames()
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f'.{os.getpid()}.partial')
    try:
        _write(partial, frames)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _write(path: Path, frames: Iterator[SequenceFrame]) -> None:
    truth: dict[str, list[object]] = {
        name: [] for name in ('K', 'camera', 'pose', 'centroid', 'visible', 'moving')}
    with zipfile.ZipFile(path, 'w') as archive:
        for frame in frames:
            ids = np.zeros(frame.depth.shape, np.uint8)
            for one in frame.objects:
                ids[one.mask] = one.id
            depth = np.rint(np.nan_to_num(frame.depth, nan=0.0) * 1000).astype(np.uint16)
            for name, array in (
                    ('color', cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)), ('depth', depth),
                    ('ids', ids)):
                archive.writestr(
                    f'{frame.number:03d}_{name}.png',
                    cv2.imencode('.png', array, _FAST)[1].tobytes())
            truth['K'].append(frame.camera.K)
            truth['camera'].append(frame.camera.pose)
            for name in ('pose', 'centroid', 'visible', 'moving'):
                truth[name].append([getattr(one, name) for one in frame.objects])
        buffer = io.BytesIO()
        np.savez(
            buffer, allow_pickle=False,
            name=[one.name for one in frame.objects], size=[one.size for one in frame.objects],
            **{name: np.array(values) for name, values in truth.items()})
        archive.writestr('truth.npz', buffer.getvalue())


def _read(path: Path) -> Iterator[SequenceFrame]:
    with zipfile.ZipFile(path) as archive:
        with np.load(io.BytesIO(archive.read('truth.npz'))) as stored:
            truth = dict(stored)
        for index in range(FRAMES):
            image, depth, ids = (
                _picture(archive.read(f'{index:03d}_{name}.png'))
                for name in ('color', 'depth', 'ids'))
            objects = tuple(
                SequenceObject(
                    k + 1, str(name), ids == k + 1, float(truth['visible'][index, k]),
                    truth['pose'][index, k], truth['size'][k], truth['centroid'][index, k],
                    bool(truth['moving'][index, k]))
                for k, name in enumerate(truth['name']))
            yield SequenceFrame(
                index, index / RATE, cv2.cvtColor(image, cv2.COLOR_BGR2RGB), metres(depth),
                Camera(WIDTH, HEIGHT, truth['K'][index], truth['camera'][index]), objects)


def _picture(data: bytes) -> np.ndarray:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError('a picture in the file cannot be read; delete the file to draw it anew')
    return array
