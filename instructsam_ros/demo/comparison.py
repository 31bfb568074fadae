# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets beside the truth of a drawn scene."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.pipeline import PerceptionResult

# an instance that overlaps less with a wanted object is not that object
_MIN_IOU = 0.1


@dataclass(frozen=True)
class TrueObject:
    """What is known of a wanted object.

    Attributes:
        name: what to call it.
        mask: bool [H, W], its visible pixels.
        centroid: [3] metres, centroid of its visible surface in the optical frame.
        centre: [3] metres, centre of its whole box in the optical frame.
        size: [3] metres, its side lengths.
    """

    name: str
    mask: NDArray[np.bool_]
    centroid: NDArray[np.float64]
    centre: NDArray[np.float64]
    size: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One row: a target and the object that it should be; either may be missing.

    Errors are None where there is nothing to compare: ``distance_error`` and ``centroid_error``
    (metres) are about the visible surface's centroid, ``centre_error`` (metres) about the whole
    box, ``size_error`` is the median relative error of the sorted side lengths.
    """

    wanted: str | None
    found: str | None
    target_id: int | None
    iou: float
    distance: float | None
    distance_error: float | None = None
    centroid_error: float | None = None
    centre_error: float | None = None
    size_error: float | None = None

    @property
    def verdict(self) -> str:
        """'found', 'missed' or 'wrong'."""
        if self.found is None:
            return 'missed'
        return 'found' if self.wanted is not None and self.iou >= 0.5 else 'wrong'


def visible_centroid(
    mask: NDArray[np.bool_], depth: NDArray[np.float32], camera: CameraModel
) -> NDArray[np.float64]:
    """Centroid [3] of the visible surface under a mask, from noise-free depth in metres."""
    at = mask & np.isfinite(depth)
    z = depth[at].astype(np.float64)
    if not len(z):
        return np.full(3, np.nan)
    return np.append((camera.rays()[at] * z[:, None]).mean(axis=0), z.mean())


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 1 when both are empty."""
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def compare(result: PerceptionResult, wanted: Sequence[TrueObject]) -> list[Comparison]:
    """Match instances to wanted objects for the largest total IoU; one row each, extras last."""
    instances = result.segmentation.instances
    overlap = np.array([[iou(one.mask, true.mask) for one in instances] for true in wanted])
    overlap = overlap.reshape(len(wanted), len(instances))
    matches = {
        int(row): int(column)
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True)
        if overlap[row, column] >= _MIN_IOU
    }
    rows = []
    for row, true in enumerate(wanted):
        if row in matches:
            rows.append(_matched(result, matches[row], true, float(overlap[row, matches[row]])))
        else:
            rows.append(Comparison(true.name, None, None, 0.0, None))
    for number, target in enumerate(result.targets):
        if number not in matches.values():
            geometry = target.geometry
            distance = None if geometry is None else geometry.distance
            rows.append(Comparison(None, target.phrase, target.id, 0.0, distance))
    return rows


def _matched(
    result: PerceptionResult, number: int, true: TrueObject, overlap: float
) -> Comparison:
    target = result.targets[number]
    geometry = target.geometry
    if geometry is None:
        return Comparison(true.name, target.phrase, target.id, overlap, None)
    ratio = np.sort(geometry.size) / np.sort(true.size)
    return Comparison(
        true.name,
        target.phrase,
        target.id,
        overlap,
        geometry.distance,
        distance_error=abs(geometry.distance - float(np.linalg.norm(true.centroid))),
        centroid_error=float(np.linalg.norm(geometry.centroid - true.centroid)),
        centre_error=float(np.linalg.norm(geometry.position - true.centre)),
        size_error=float(np.median(np.abs(ratio - 1))),
    )
