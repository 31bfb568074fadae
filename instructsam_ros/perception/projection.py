# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks, depth and camera to targets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.box import LevelBox, fit_box
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.covariance import LevelAccuracy, pose_covariance
from instructsam_ros.perception.level import LevelView
from instructsam_ros.perception.noise import DepthNoise
from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.segmenter import Instance
from instructsam_ros.perception.sight import SightCheck
from instructsam_ros.perception.support import level_rotation, plane_normal
from instructsam_ros.perception.surface import Surface, extract_surfaces
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus

Array = NDArray[np.float64]

# a box of which more than this share of the height, and of metres, is below what is seen has an
# inferred bottom
_HIDDEN_BOTTOM, _HIDDEN_METRES = 0.35, 0.01
_NO_THICKNESS = 0.002  # metres
_NORMAL_POINTS = 500


@dataclass(frozen=True)
class ProjectionSettings:
    """What the projector takes for granted.

    Attributes:
        low_score: below it a target gets LOW_SCORE.
        sparse_ratio, sparse_points: below either a target gets SPARSE_DEPTH.
        min_depth, max_depth: metres; depth outside counts as invalid.
        complete: infer the hidden back by symmetry.
        noise: the depth camera's noise model.
    """

    low_score: float = 0.5
    sparse_ratio: float = 0.3
    sparse_points: int = 50
    min_depth: float = 0.05
    max_depth: float = 10.0
    complete: bool = True
    noise: DepthNoise = field(default_factory=DepthNoise)


@dataclass(frozen=True)
class _Level:
    """Which way is up, and how that is known."""

    rotation: Array
    accuracy: LevelAccuracy
    status: TargetStatus


class Projector:
    """Turns instances into targets; holds settings only, so it may be shared between threads."""

    def __init__(self, settings: ProjectionSettings | None = None) -> None:
        """Use the given settings, or the defaults."""
        self.settings = settings or ProjectionSettings()

    def project(
        self,
        instances: Sequence[Instance],
        depth: NDArray[np.float32] | None,
        camera: CameraModel | None,
        rotation: Array | None = None,
        outlines: Sequence[Outline] | None = None,
    ) -> tuple[Target, ...]:
        """Return one target per instance, in order, with geometry in the optical frame.

        ``depth`` float32 [H, W] metres with NaN; ``camera`` for that size; ``rotation`` [3, 3],
        optical frame -> any frame whose z is up, None when gravity is unknown (then the support
        plane in sight stands in for it, and NO_TF says so). ``outlines`` are those of the masks,
        if they are known. Without depth or camera the targets carry the reason and no geometry.
        Raises ValueError for sizes that do not match.
        """
        masks = [np.ascontiguousarray(one.mask, np.bool_).view(np.uint8) for one in instances]
        bounds = [_bounds(one) for one in outlines or [
            outline_of(one.mask) for one in instances]]
        statuses = [
            self._status_2d(one, mask, bound)
            for one, mask, bound in zip(instances, masks, bounds, strict=True)
        ]
        if depth is None or camera is None:
            missing = TargetStatus.OK if camera else TargetStatus.NO_CAMERA
            missing |= TargetStatus.OK if depth is not None else TargetStatus.NO_DEPTH
            return tuple(
                _without_geometry(number, one, status | missing)
                for number, (one, status) in enumerate(zip(instances, statuses, strict=True), 1)
            )
        _check_sizes(masks, depth, camera)
        # unknown depth is NaN all the way
        with np.errstate(divide='ignore', invalid='ignore'):
            depth = np.ascontiguousarray(depth, np.float32)
            if camera.distortion_model:
                depth = np.where(np.isnan(camera.rays()[..., 0]), np.float32(np.nan), depth)
            surfaces = self._surfaces(masks, bounds, depth, camera)
            level = self._level(surfaces, rotation)
            targets = []
            for index, (one, surface) in enumerate(zip(instances, surfaces, strict=True)):
                status = statuses[index]
                if surface is None:
                    status |= TargetStatus.NO_DEPTH
                    targets.append(_without_geometry(index + 1, one, status))
                    continue
                tolerance = self.settings.noise.jump(float(surface.points[0, 2]))
                check = SightCheck(
                    masks[index], depth, camera, level.rotation, tolerance, self.settings.min_depth
                )
                targets.append(self._target(index + 1, one, surface, level, status, check))
            return tuple(targets)

    def _surfaces(
        self,
        masks: Sequence[NDArray[np.uint8]],
        bounds: Sequence[tuple[int, int, int, int]],
        depth: NDArray[np.float32],
        camera: CameraModel,
    ) -> list[Surface | None]:
        settings = self.settings
        limits = settings.min_depth, settings.max_depth
        rays, focal = camera.rays(), (camera.fx + camera.fy) / 2
        return extract_surfaces(masks, bounds, depth, rays, focal, settings.noise, limits)

    def _level(self, surfaces: Sequence[Surface | None], rotation: Array | None) -> _Level:
        if rotation is not None:
            return _Level(np.asarray(rotation, np.float64), LevelAccuracy.GRAVITY, TargetStatus.OK)
        rings = [surface.surroundings for surface in surfaces if surface is not None]
        # the same in whatever order the instances come
        rings.sort(key=lambda ring: tuple(ring[:1].ravel().tolist()))
        normal = plane_normal(rings, self.settings.noise)
        if normal is not None:
            return _Level(level_rotation(normal), LevelAccuracy.PLANE, TargetStatus.NO_TF)
        picture_up = np.array([0.0, -1.0, 0.0])
        return _Level(
            level_rotation(picture_up),
            LevelAccuracy.NONE,
            TargetStatus.NO_TF | TargetStatus.CAMERA_ALIGNED,
        )

    def _status_2d(
        self, one: Instance, mask: NDArray[np.uint8], bounds: tuple[int, int, int, int]
    ) -> TargetStatus:
        status = TargetStatus.OK
        x, y, width, height = bounds
        if width and (
            x == 0 or y == 0 or x + width == mask.shape[1] or y + height == mask.shape[0]
        ):
            status |= TargetStatus.TOUCHES_BORDER
        if one.score < self.settings.low_score:
            status |= TargetStatus.LOW_SCORE
        return status

    def _target(
        self,
        number: int,
        one: Instance,
        surface: Surface,
        level: _Level,
        status: TargetStatus,
        check: SightCheck,
    ) -> Target:
        settings = self.settings
        # numpy's mean over rows of three is ten times slower
        weights = np.full(len(surface.points), 1 / len(surface.points), np.float32)
        centroid = (weights @ surface.points).astype(np.float64)
        sigma = settings.noise.sigma(float(centroid[2]))
        scene = LevelView(surface, level.rotation)
        support = None
        if not level.status & TargetStatus.CAMERA_ALIGNED:
            support = scene.support(sigma)
        box = fit_box(scene, support, check if settings.complete else None)
        status |= level.status
        if support is None:
            status |= TargetStatus.NO_SUPPORT
        elif box.guessed[2] > max(_HIDDEN_BOTTOM * box.size[2], _HIDDEN_METRES):
            status |= TargetStatus.INFERRED_BOTTOM
        if surface.occluded:
            status |= TargetStatus.OCCLUDED
        if (
            surface.ragged
            or surface.valid_ratio < settings.sparse_ratio
            or surface.visible_points < settings.sparse_points
            # no thickness but noise: all points on a line or in a plane
            or box.size.min() < max(sigma, _NO_THICKNESS)
        ):
            status |= TargetStatus.SPARSE_DEPTH
        covariance, persistent = pose_covariance(
            box,
            scene,
            surface,
            level.rotation,
            level.accuracy,
            sigma,
            support is not None,
            TargetStatus.SPARSE_DEPTH in status,
        )
        geometry = TargetGeometry(
            pose=_pose(box, level.rotation),
            size=box.size,
            centroid=centroid,
            normal=_surface_normal(surface.points, centroid),
            covariance=covariance,
            distance=float(np.linalg.norm(centroid)),
            persistent=persistent,
        )
        return Target(
            number,
            one.phrase,
            float(one.score),
            status,
            geometry,
            surface.visible_points,
            surface.valid_ratio,
        )


def _without_geometry(number: int, one: Instance, status: TargetStatus) -> Target:
    return Target(number, one.phrase, float(one.score), status)


def _bounds(outline: Outline) -> tuple[int, int, int, int]:
    """Return x, y, width, height of the mask's bounding rectangle; width 0 when it is empty."""
    height, width = outline.mask.shape
    return outline.x, outline.y, width, height


def _check_sizes(
    masks: Sequence[NDArray[np.uint8]], depth: NDArray[np.float32], camera: CameraModel
) -> None:
    if (camera.height, camera.width) != depth.shape:
        raise ValueError(
            f'camera is for {camera.width}x{camera.height}, depth is '
            f'{depth.shape[1]}x{depth.shape[0]}: use CameraModel.scaled'
        )
    for mask in masks:
        if mask.shape != depth.shape:
            raise ValueError(f'mask has shape {mask.shape}, depth {depth.shape}: use one size')


def _pose(box: LevelBox, rotation: Array) -> Array:
    pose = np.eye(4)
    axes = np.array(
        [[box.axis[0], -box.axis[1], 0.0], [box.axis[1], box.axis[0], 0.0], [0.0, 0.0, 1.0]]
    )
    pose[:3, :3] = rotation.T @ axes
    pose[:3, 3] = rotation.T @ box.centre
    return pose


def _surface_normal(points: NDArray[np.float32], centroid: Array) -> Array:
    """Unit normal, towards the camera, of the visible surface near the centroid.

    Plane fit (smallest principal axis) over the tenth of the points that is nearest to it.
    """
    thin = points[:: max(1, len(points) // _NORMAL_POINTS)] - centroid.astype(np.float32)
    distance = np.einsum('ij,ij->i', thin, thin)
    count = min(len(thin), max(12, len(thin) // 10))
    patch = thin[np.argpartition(distance, count - 1)[:count]].astype(np.float64)
    middle = patch.sum(axis=0) / count
    normal = np.linalg.eigh(patch.T @ patch - count * np.outer(middle, middle))[1][:, 0]
    return -normal if normal @ (centroid + middle) > 0 else normal
