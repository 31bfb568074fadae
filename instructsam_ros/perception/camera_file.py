# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera calibration files: ROS camera_info YAML, `ros2 topic echo` dumps and JSON with K."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from instructsam_ros.perception.camera import CameraModel


@dataclass(frozen=True)
class CameraFile:
    """What a calibration file says: the camera and, where stated, the depth files' unit."""

    camera: CameraModel
    depth_scale_to_metres: float | None


def read_camera_file(path: str | Path, *, rectified: bool = False) -> CameraFile:
    """Read a calibration file.

    Understands ``camera_info`` YAML (``camera_matrix``, ``distortion_coefficients``,
    ``projection_matrix``), the dump of a CameraInfo message (``k``, ``d``, ``p``) and JSON with
    ``K``, ``width``, ``height`` and ``depth_scale_to_metres``. ``rectified`` takes P in place of
    K and D. Raises FileNotFoundError, or ValueError naming what is missing or wrong.
    """
    path = Path(path)
    fields = _load_mapping(path)
    try:
        return _parse(fields, rectified)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def _load_mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such camera info file')
    try:
        text = path.read_text(encoding='utf-8')
        # a topic dump holds several documents; the first is as good as any
        content = json.loads(text) if path.suffix == '.json' else next(yaml.safe_load_all(text))
    except (ValueError, yaml.YAMLError, StopIteration):
        raise ValueError(
            f'{path}: not a camera info file, expected YAML or JSON with K, width and height'
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f'{path}: not a camera info file, it holds no keys')
    return {str(key).lower(): value for key, value in content.items()}


def _parse(fields: dict[str, Any], rectified: bool) -> CameraFile:
    width = _positive_integer(fields, 'width', 'image_width')
    height = _positive_integer(fields, 'height', 'image_height')
    if rectified:
        p = _numbers(fields, 'p', 'projection_matrix')
        if p is None:
            raise ValueError('no projection matrix P, which rectified images need')
        camera = CameraModel.from_p(p, width, height)
    else:
        k = _numbers(fields, 'k', 'camera_matrix')
        if k is None:
            raise ValueError('no camera matrix: add K (9 numbers) or camera_matrix')
        camera = CameraModel.from_k(
            k,
            width,
            height,
            d=_numbers(fields, 'd', 'distortion_coefficients') or [],
            distortion_model=str(fields.get('distortion_model') or 'plumb_bob'),
        )
    return CameraFile(camera, _depth_scale(fields))


def _depth_scale(fields: dict[str, Any]) -> float | None:
    if 'depth_scale_to_metres' not in fields:
        return None
    try:
        scale = float(fields['depth_scale_to_metres'])
    except (TypeError, ValueError):
        scale = -1.0
    if not 0 < scale < float('inf'):
        raise ValueError('depth_scale_to_metres must be a positive number')
    return scale


def _positive_integer(fields: dict[str, Any], *names: str) -> int:
    for name in names:
        if name in fields:
            value = fields[name]
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
            raise ValueError(f'{name} must be a positive whole number, got {value!r}')
    raise ValueError(f'no {names[0]}: add {" or ".join(names)}')


def _numbers(fields: dict[str, Any], *names: str) -> list[float] | None:
    """Return the first of the named entries as a flat list of floats; None where all lack."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, dict):
            value = value.get('data')
        if value is None:
            continue
        try:
            rows = [row if isinstance(row, list) else [row] for row in value]
            return [float(number) for row in rows for number in row]
        except (TypeError, ValueError):
            raise ValueError(f'{name} must be a list of numbers') from None
    return None
