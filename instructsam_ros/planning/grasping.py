# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture's depth, camera and segments as grasp networks read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from instructsam_ros.perception.camera import CameraModel

# segment numbers are int32, which all readers take; ids of targets are uint32
_LARGEST_ID = 2**31 - 1


class Segment(Protocol):
    """An instance with its id, such as ``bridge.results.ReceivedInstance``."""

    @property
    def id(self) -> int:
        """The target's id, 1 to 2147483647."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Boolean mask [H, W]."""

    @property
    def score(self) -> float:
        """Confidence in 0..1."""

    @property
    def phrase(self) -> str:
        """What it is called."""


@dataclass(frozen=True, eq=False)
class AnyGraspInput:
    """The arguments of AnyGrasp's ``get_grasp(points, colors, lims=lims)``.

    Attributes:
        points: float32 [N, 3], metres, in the camera's optical frame.
        colors: float32 [N, 3], RGB in 0..1.
        lims: [x_min, x_max, y_min, y_max, z_min, z_max], metres: grasps outside are dropped.
    """

    points: NDArray[np.float32]
    colors: NDArray[np.float32]
    lims: list[float]


@dataclass(frozen=True, eq=False)
class GraspBundle:
    """What a grasp network needs of one picture; make one with ``from_arrays``.

    Attributes:
        depth: float32 [H, W], metres along the optical axis, 0 where invalid.
        k: float64 [3, 3], the camera matrix of a pinhole camera without distortion.
        segmap: int32 [H, W], the id of the target at each pixel, 0 for background.
        rgb: uint8 [H, W, 3], RGB, or None.
        phrases: id -> phrase of every instance, also of those that others cover wholly.
    """

    depth: NDArray[np.float32]
    k: NDArray[np.float64]
    segmap: NDArray[np.int32]
    rgb: NDArray[np.uint8] | None = None
    phrases: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def from_arrays(
        cls,
        depth: NDArray[np.float32],
        camera: CameraModel | ArrayLike,
        instances: Sequence[Segment],
        rgb: NDArray[np.uint8] | None = None,
    ) -> GraspBundle:
        """Put together depth [H, W] in metres, camera (or its K [3, 3]), instances and picture.

        Depth is invalid where it is NaN, infinite or not positive. Where masks overlap, the
        higher score wins, as in the label image; of equal scores the one with the smaller median
        depth. Grasp networks know K only: with a distorted camera everything is undistorted by
        the nearest pixel. Raises ValueError for sizes that differ and ids that are none.
        """
        if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
            raise ValueError(
                f'depth must be float metres [H, W], this is {depth.dtype} {depth.shape}: '
                '16-bit depth is in millimetres, divide it by 1000')
        height, width = depth.shape
        if not isinstance(camera, CameraModel):
            camera = CameraModel.from_k(camera, width, height)
        if (camera.height, camera.width) != depth.shape:
            raise ValueError(
                f'the camera is for {camera.width}x{camera.height}, depth is {width}x{height}: '
                'use CameraModel.scaled')
        if rgb is not None and (rgb.shape != (height, width, 3) or rgb.dtype != np.uint8):
            raise ValueError(
                f'the picture must be uint8 RGB of {width}x{height} like depth, it is {rgb.dtype} '
                f'{rgb.shape}: use depth registered to the picture')
        valid = np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)
        metres = np.maximum(valid, 0.0).astype(np.float32)
        segmap = _segmap(metres, instances)
        if camera.distortion_model:
            source = _sources(camera)
            metres, segmap = _taken(metres, source), _taken(segmap, source)
            rgb = None if rgb is None else _taken(rgb, source)
        phrases = {int(one.id): one.phrase for one in instances}
        return cls(metres, camera.matrix, segmap, rgb, phrases)

    @property
    def ids(self) -> list[int]:
        """The ids that have at least one pixel in ``segmap``, ascending."""
        return [int(one) for one in np.unique(self.segmap) if one]

    def save(self, path: str | Path) -> Path:
        """Write the file that Contact-GraspNet's inference takes as ``--np_path``; return its path.

        Its keys are ``depth``, ``K``, ``segmap`` and, if there is a picture, ``rgb``, which is
        stored blue first, because the reader swaps the channels. Raises ValueError for a name
        that does not end with .npz, by which the reader knows the format.
        """
        path = Path(path)
        if path.suffix != '.npz':
            raise ValueError(f'{path}: call it something.npz, the reader goes by the name')
        arrays: dict[str, Any] = {'depth': self.depth, 'K': self.k, 'segmap': self.segmap}
        if self.rgb is not None:
            arrays['rgb'] = np.ascontiguousarray(self.rgb[..., ::-1])
        np.savez_compressed(path, **arrays)
        return path

    def points(self, target_id: int | None = None) -> NDArray[np.float32]:
        """Return the points [N, 3] of a target, or of everything, in the optical frame, metres.

        Raises LookupError for a target that has no pixel with depth; says which have.
        """
        chosen = self.depth > 0
        if target_id is not None:
            chosen &= self.segmap == target_id
            if not chosen.any():
                seen = ', '.join(f'{one} {self.phrases.get(one, "")!r}' for one in self.ids)
                raise LookupError(
                    f'target {target_id} has no pixel with depth; in the picture: '
                    f'{seen or "nothing"}')
        v, u = np.nonzero(chosen)
        z = self.depth[v, u].astype(np.float64)
        x = (u - self.k[0, 2]) * z / self.k[0, 0]
        y = (v - self.k[1, 2]) * z / self.k[1, 1]
        return np.column_stack([x, y, z]).astype(np.float32)

    def as_anygrasp(
        self, target_id: int | None = None, *, margin: float = 0.05,
        max_depth: float | None = None,
    ) -> AnyGraspInput:
        """Return the arguments of AnyGrasp's ``get_grasp``.

        The points are those of the whole scene (up to ``max_depth`` metres), since a target cut
        out of its surroundings gives grasps that collide with them; ``lims`` is the box around
        the target's points with ``margin`` metres on each side, or around all points. Raises
        ValueError without a picture, LookupError like ``points`` and when nothing is left.
        """
        if self.rgb is None:
            raise ValueError('AnyGrasp needs colours: make the bundle with the picture')
        points = self.points()
        colors = self.rgb[self.depth > 0].astype(np.float32) / np.float32(255)
        if max_depth is not None:
            near = points[:, 2] <= max_depth
            points, colors = points[near], colors[near]
        aim = points if target_id is None else self.points(target_id)
        if max_depth is not None:
            aim = aim[aim[:, 2] <= max_depth]
        if not len(aim):
            what = 'the picture' if target_id is None else f'target {target_id}'
            limit = '' if max_depth is None else f' nearer than {max_depth:g} m'
            raise LookupError(f'{what} has no depth{limit}')
        low, high = aim.min(axis=0) - margin, aim.max(axis=0) + margin
        lims = [float(side) for axis in range(3) for side in (low[axis], high[axis])]
        return AnyGraspInput(points, colors, lims)


def _segmap(depth: NDArray[np.float32], instances: Sequence[Segment]) -> NDArray[np.int32]:
    """Return int32 [H, W]: ids, those that win drawn last."""
    ids = [int(one.id) for one in instances]
    if len(set(ids)) < len(ids):
        raise ValueError(f'ids {ids} are not unique: give each instance one of its own')
    for one in instances:
        if not 1 <= int(one.id) <= _LARGEST_ID:
            raise ValueError(f'id {one.id} is no segment: use 1 to {_LARGEST_ID}, 0 is background')
        if one.mask.shape != depth.shape:
            raise ValueError(
                f'the mask of {one.id} {one.phrase!r} is {one.mask.shape[1]}x{one.mask.shape[0]}, '
                f'depth is {depth.shape[1]}x{depth.shape[0]}: use depth registered to the picture')
    segmap = np.zeros(depth.shape, np.int32)
    for one in sorted(instances, key=lambda one: (one.score, -_median_depth(depth, one.mask))):
        segmap[one.mask] = one.id
    return segmap


def _median_depth(depth: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    inside = depth[mask]
    inside = inside[inside > 0]
    return float(np.median(inside)) if len(inside) else np.inf


def _sources(camera: CameraModel) -> NDArray[np.float32]:
    """Return float32 [H, W, 2]: where each pixel of the pinhole picture is in the distorted one."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = np.stack(
        [(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
    return camera.project(rays).astype(np.float32)


def _taken(pixels: NDArray[Any], source: NDArray[np.float32]) -> NDArray[Any]:
    """Return the pixels at the places of ``source``, 0 outside; nothing is mixed."""
    at = np.rint(source)
    height, width = pixels.shape[:2]
    with np.errstate(invalid='ignore'):
        inside = (at[..., 0] >= 0) & (at[..., 0] < width) & (at[..., 1] >= 0) & (
            at[..., 1] < height)
    at = np.where(inside[..., None], at, 0).astype(np.intp)
    taken = pixels[at[..., 1], at[..., 0]]
    taken[~inside] = 0
    return taken
