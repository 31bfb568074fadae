# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``result.json`` and how files of a run get onto disk: all of them, or none.

Schema ``instructsam_ros/result/1``::

    {"schema": "instructsam_ros/result/1",
     "results": [{
       "image": "path as given", "height": 480, "width": 640, "overlay": "file name or null",
       "instruction": "...", "answer": "the model's text", "phrases": ["..."],
       "instances": [{"id": 1, "phrase": "...", "score": 0.97,
                      "box": [x0, y0, x1, y1],                     pixels
                      "area": 1234,                                pixels
                      "segmentation": {"size": [H, W], "counts": "..."}}],   COCO RLE
       "frame": "camera_optical",                                  REP-103
       "targets": [{"id": 1, "status": ["NO_TF"], "visible_points": 900,
                    "valid_depth_ratio": 0.98,
                    "geometry": null or {
                      "position": [x, y, z],        box centre, metres
                      "orientation": [x, y, z, w],  of the box, its z up
                      "size": [x, y, z],            metres along the box's axes
                      "centroid": [x, y, z], "normal": [x, y, z], "distance": 0.81,
                      "covariance": [36 numbers]}}],
       "timings": {"segment": 0.12, "project": 0.01}}]}            seconds
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.segmenter import Instance
from instructsam_ros.perception.targets import Target, TargetGeometry

SCHEMA = 'instructsam_ros/result/1'


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask [H, W] as compressed COCO run-length encoding, ready for JSON."""
    return encode_outline(outline_of(mask), (mask.shape[0], mask.shape[1]))


def encode_outline(outline: Outline, shape: tuple[int, int]) -> dict[str, Any]:
    """Return the mask of a picture of ``shape`` (H, W) like ``encode_rle``."""
    height, width = shape
    left, top = outline.x, outline.y
    rows, columns = outline.mask.shape
    # an empty row below, so that every run ends in its column
    inside = np.zeros((columns, rows + 1), np.int8)
    inside[:, :rows] = outline.mask.T
    changes = np.flatnonzero(np.diff(inside.ravel(), prepend=np.int8(0)))
    # from places in the rectangle to places in the picture, both column by column
    column, row = np.divmod(changes, rows + 1)
    places = (left + column) * height + top + row
    # a run that ends where the next one begins goes on
    apart = np.diff(places, prepend=-1, append=height * width) > 0
    places = places[apart[:-1] & apart[1:]]
    counts = np.diff(places, prepend=0, append=height * width)
    encoded = coco_mask.frPyObjects({'size': [height, width], 'counts': counts.tolist()},
                                    height, width)
    return {
        'size': [int(side) for side in encoded['size']],
        'counts': encoded['counts'].decode('ascii'),
    }


def decode_rle(encoded: dict[str, Any]) -> NDArray[np.bool_]:
    """Return the mask [H, W] of a COCO run-length encoding."""
    return np.asarray(coco_mask.decode(encoded), np.bool_)


def result_record(
    result: PerceptionResult, image: str, shape: tuple[int, int], overlay: str | None = None
) -> dict[str, Any]:
    """Return one entry of ``results`` for the picture named ``image`` of ``shape`` (H, W)."""
    segmentation = result.segmentation
    ids = [target.id for target in result.targets]
    return {
        'image': image,
        'height': shape[0],
        'width': shape[1],
        'overlay': overlay,
        'instruction': result.instruction,
        'answer': segmentation.answer,
        'phrases': list(segmentation.phrases),
        'instances': [
            _instance_record(identity, one, outline)
            for identity, one, outline in zip(
                ids, segmentation.instances, result.outlines, strict=True)
        ],
        'frame': 'camera_optical',
        'targets': [_target_record(target) for target in result.targets],
        'timings': {name: round(seconds, 6) for name, seconds in result.timings.items()},
    }


def result_document(records: list[dict[str, Any]]) -> str:
    """Return the text of ``result.json``. Raises ValueError if a number is not finite."""
    return json.dumps({'schema': SCHEMA, 'results': records}, indent=1, allow_nan=False) + '\n'


def _instance_record(identity: int, one: Instance, outline: Outline) -> dict[str, Any]:
    return {
        'id': identity,
        'phrase': one.phrase,
        'score': float(one.score),
        'box': [float(value) for value in one.box],
        'area': outline.area,
        'segmentation': encode_outline(outline, (one.mask.shape[0], one.mask.shape[1])),
    }


def _target_record(target: Target) -> dict[str, Any]:
    return {
        'id': target.id,
        'status': target.status.names,
        'visible_points': target.visible_points,
        'valid_depth_ratio': round(target.valid_depth_ratio, 4),
        'geometry': None if target.geometry is None else _geometry_record(target.geometry),
    }


def _geometry_record(geometry: TargetGeometry) -> dict[str, Any]:
    def numbers(values: NDArray[np.float64], digits: int = 6) -> list[float]:
        return [round(float(value), digits) for value in values.ravel()]

    return {
        'position': numbers(geometry.position),
        'orientation': numbers(geometry.quaternion),
        'size': numbers(geometry.size),
        'centroid': numbers(geometry.centroid),
        'normal': numbers(geometry.normal),
        'distance': round(geometry.distance, 6),
        # variances of a millimetre would vanish in six digits
        'covariance': numbers(geometry.covariance, 12),
    }


@contextmanager
def staged_output(folder: Path) -> Iterator[Path]:
    """Give a staging folder whose files move to ``folder`` when the block succeeds.

    When it raises, nothing of it remains, and a folder that was made for it goes too. Each file
    appears whole, by rename. Raises ValueError when ``folder`` cannot be used.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix='.instructsam-', dir=folder))
    except OSError as error:
        raise ValueError(
            f'{folder}: cannot write there ({error.strerror}), choose another folder'
        ) from None
    try:
        yield staging
        for path in sorted(staging.iterdir()):
            os.replace(path, folder / path.name)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        for path in missing:
            # not empty when somebody else used it meanwhile
            _remove_if_empty(path)
        raise
    shutil.rmtree(staging, ignore_errors=True)


def _remove_if_empty(path: Path) -> None:
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
