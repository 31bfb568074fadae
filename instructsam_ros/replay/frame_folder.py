# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A folder of pictures as a camera's recording: what is in it, frame by frame.

Pictures, and where there are any depth images, label images and poses, lie either side by side
(``color_003.jpg``, ``depth_003.png``, ``labels_003.png``, ``pose_003.txt``) or in folders
(``color/003.jpg``, ``depth/003.png`` ...). What has the same number or name belongs together;
frames are in the order of their numbers.

- colour: ``color``, ``rgb``, ``image`` or ``images``; JPEG, PNG, ...
- depth: ``depth``; registered to colour; 16-bit PNG in millimetres (or in units of
  ``depth_scale_to_metres``) with 0 invalid, or 32-bit float TIFF or NPY in metres.
- labels: ``labels``, ``label``, ``masks`` or ``mask``; 8- or 16-bit PNG: 0 is background, k is
  object k, the same object in all frames.
- pose: ``pose`` or ``poses``; text of 4x4 numbers that lead from the optical frame to a world whose
  z points up, metres.
- calibration: ``meta.json``, ``camera.json``, ``camera_info.yaml`` or ``camera.yaml``: ``K``,
  ``width``, ``height``, and if need be ``D``; ROS camera_info files too. In JSON also, all
  optional: ``depth_scale_to_metres``, ``rate_hz``, ``labels`` (``{"1": "carrot"}``),
  ``instructions`` (``[{"text": "the carrot", "labels": [1], "kind": "category"}]``).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.camera_file import CameraFile, read_camera_file
from instructsam_ros.perception.images import read_depth, read_image
from instructsam_ros.replay.errors import BagError

CALIBRATIONS = ('meta.json', 'camera.json', 'camera_info.yaml', 'camera.yaml')
_ROLES = {
    'color': ('color', 'rgb', 'images', 'image'),
    'depth': ('depth',),
    'labels': ('labels', 'label', 'masks', 'mask'),
    'pose': ('poses', 'pose'),
}
_SUFFIXES = {
    'color': ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'),
    'depth': ('.png', '.tif', '.tiff', '.npy'),
    'labels': ('.png',),
    'pose': ('.txt',),
}
_MILLIMETRE = 0.001
# what the label of an object must be, and an instruction in the calibration file
_FIELDS = {'text': str, 'labels': list, 'kind': str}


@dataclass(frozen=True)
class AskedFor:
    """An instruction about the whole recording, and the labels of what it means."""

    text: str
    labels: frozenset[int]
    kind: str = ''


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; None for what there is not."""

    key: str
    color: Path
    depth: Path | None = None
    labels: Path | None = None
    pose: Path | None = None


@dataclass(frozen=True)
class FolderFrame:
    """One frame.

    Attributes:
        image: uint8 RGB [H, W, 3].
        depth: [H, W], uint16 millimetres or float32 metres; None without.
        labels: [H, W] whole numbers, 0 is background; None without.
        pose: [4, 4], optical frame -> world; None without.
        camera: for this image size.
    """

    image: NDArray[np.uint8]
    depth: NDArray[Any] | None
    labels: NDArray[Any] | None
    pose: NDArray[np.float64] | None
    camera: CameraModel


@dataclass(frozen=True)
class FrameFolder:
    """What a folder holds; ``frame`` reads one frame of it.

    ``rate`` in Hz as the folder says, None where it does not.
    """

    path: Path
    files: tuple[FrameFiles, ...]
    calibration: CameraFile
    rate: float | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    asked_for: tuple[AskedFor, ...] = ()

    @property
    def has_depth(self) -> bool:
        """Whether any frame has depth."""
        return any(one.depth for one in self.files)

    @property
    def has_labels(self) -> bool:
        """Whether any frame has labels."""
        return any(one.labels for one in self.files)

    def frame(self, number: int) -> FolderFrame:
        """Read a frame. Raises BagError for pictures that contradict each other, OSError."""
        files = self.files[number]
        try:
            image = read_image(files.color)
            shape = image.shape[:2]
            return FolderFrame(
                image,
                None if files.depth is None else self._depth(files.depth, shape),
                None if files.labels is None else _labels(files.labels, shape),
                None if files.pose is None else _pose(files.pose),
                self.calibration.camera.scaled(shape[1], shape[0]),
            )
        except BagError:
            raise
        except ValueError as error:
            raise BagError(f'{files.color.name}: {error}') from None

    def _depth(self, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
        scale = self.calibration.depth_scale_to_metres
        metres = read_depth(path, metres_per_unit=scale)
        _check_size(path, metres, shape)
        if path.suffix != '.png' or scale not in (None, _MILLIMETRE):
            return metres
        # as it was: sixteen bits hold every millimetre exactly
        return np.rint(np.nan_to_num(metres, nan=0.0) / _MILLIMETRE).astype(np.uint16)


def read_frame_folder(path: str | Path) -> FrameFolder:
    """Look through a folder. Raises FileNotFoundError, or BagError naming what is missing."""
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f'{path}: no such folder')
    found = {role: _files_of(path, role) for role in _ROLES}
    if not found['color']:
        raise BagError(
            f'{path}: no colour pictures: expected color_*, rgb_* or image_* files, or a folder '
            'color, rgb or images')
    place = next((path / name for name in CALIBRATIONS if (path / name).is_file()), None)
    if place is None:
        raise BagError(
            f'{path}: no calibration: add one of {", ".join(CALIBRATIONS)} with K, width and '
            'height')
    files = tuple(
        FrameFiles(key, color, found['depth'].get(key), found['labels'].get(key),
                   found['pose'].get(key))
        for key, color in sorted(found['color'].items(), key=lambda item: _natural(item[0])))
    for role in ('depth', 'labels', 'pose'):
        if found[role] and not found[role].keys() & found['color'].keys():
            example = next(iter(found[role].values())).name
            raise BagError(
                f'{path}: no {role} file has the number of a colour picture ({example} beside '
                f'{files[0].color.name})')
    calibration = read_camera_file(place)
    more = _more(place)
    try:
        rate = None if more.get('rate_hz') is None else float(more['rate_hz'])
        names = {int(label): str(name) for label, name in dict(more.get('labels') or {}).items()}
        asked_for = tuple(_asked_for(one) for one in more.get('instructions') or ())
    except (TypeError, ValueError) as error:
        raise BagError(f'{place}: {error}') from None
    return FrameFolder(path, files, calibration, rate, names, asked_for)


def _files_of(folder: Path, role: str) -> dict[str, Path]:
    """Return key -> file of a role, from its own folder or by the beginning of names."""
    for name in _ROLES[role]:
        inner = folder / name
        if inner.is_dir():
            return {one.stem: one for one in sorted(inner.iterdir())
                    if one.suffix.lower() in _SUFFIXES[role]}
    for name in _ROLES[role]:
        beside = sorted(folder.glob(f'{name}[_-]*'))
        found = {one.stem[len(name):].lstrip('_-'): one for one in beside
                 if one.suffix.lower() in _SUFFIXES[role]}
        if found:
            return found
    return {}


def _more(place: Path) -> dict[str, Any]:
    """Return what a JSON calibration file says beyond the calibration."""
    if place.suffix != '.json':
        return {}
    return dict(json.loads(place.read_text(encoding='utf-8')))


def _asked_for(record: Any) -> AskedFor:
    if not isinstance(record, dict) or not record.keys() <= _FIELDS.keys() or 'text' not in record:
        raise ValueError(f'an instruction is {record!r}: expected text, labels and kind')
    for name, value in record.items():
        if not isinstance(value, _FIELDS[name]):
            raise ValueError(f'the {name} of an instruction is {value!r}')
    labels = frozenset(int(label) for label in record.get('labels', ()))
    return AskedFor(record['text'], labels, record.get('kind', '' if labels else 'absent'))


def _labels(path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
    data = np.fromfile(path, np.uint8)
    labels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if labels is None or labels.ndim != 2 or labels.dtype not in (np.uint8, np.uint16):
        raise BagError(f'{path}: is no label image: expected one channel of 8 or 16 bits')
    _check_size(path, labels, shape)
    return labels


def _pose(path: Path) -> NDArray[np.float64]:
    try:
        pose = np.loadtxt(path, dtype=np.float64).reshape(4, 4)
    except ValueError:
        raise BagError(f'{path}: is no pose: expected 4x4 numbers') from None
    rotation = pose[:3, :3]
    if not np.isfinite(pose).all() or np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3:
        raise BagError(f'{path}: is no pose: its rotation is not one')
    return pose


def _check_size(path: Path, pixels: NDArray[Any], shape: tuple[int, ...]) -> None:
    if pixels.shape != shape[:2]:
        raise BagError(
            f'{path}: is {pixels.shape[1]}x{pixels.shape[0]}, its colour picture '
            f'{shape[1]}x{shape[0]}: both must be registered')


def _natural(key: str) -> list[Any]:
    """Sort 2 before 10."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r'(\d+)', key)]
