# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exact depth of boxes, balls and upright cylinders on a plane, for tests of the 3D stages.

World: z up, the plane at z = 0, metres. Independent of the tabletop renderer on purpose.
"""

from dataclasses import dataclass

import numpy as np

from instructsam_ros.perception.camera import CameraModel


@dataclass(frozen=True)
class Box:
    """A box with side lengths ``size`` [3], turned by ``yaw`` about z."""

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float = 0.0

    def hit(self, origin, rays):
        """Ray parameter of the first hit, inf for none (slab method)."""
        turn = np.array(
            [[np.cos(self.yaw), np.sin(self.yaw), 0], [-np.sin(self.yaw), np.cos(self.yaw), 0],
             [0, 0, 1]]
        )
        o = turn @ (origin - np.array(self.centre))
        d = rays @ turn.T
        half = np.array(self.size) / 2
        with np.errstate(divide='ignore', invalid='ignore'):
            a, b = (-half - o) / d, (half - o) / d
        near = np.minimum(a, b).max(axis=-1)
        far = np.maximum(a, b).min(axis=-1)
        return np.where((near <= far) & (far > 0), near, np.inf)


@dataclass(frozen=True)
class Ball:
    """A ball of the given radius."""

    centre: tuple[float, float, float]
    radius: float

    def hit(self, origin, rays):
        """Ray parameter of the first hit, inf for none."""
        o = origin - np.array(self.centre)
        a = (rays**2).sum(axis=-1)
        b = rays @ o
        discriminant = b**2 - a * (o @ o - self.radius**2)
        root = np.sqrt(np.maximum(discriminant, 0))
        return np.where(discriminant > 0, (-b - root) / a, np.inf)


@dataclass(frozen=True)
class Cylinder:
    """An upright cylinder."""

    centre: tuple[float, float, float]
    radius: float
    height: float

    def hit(self, origin, rays):
        """Ray parameter of the first hit on side or top, inf for none."""
        o = origin - np.array(self.centre)
        a = (rays[..., :2] ** 2).sum(axis=-1)
        b = rays[..., :2] @ o[:2]
        discriminant = b**2 - a * (o[:2] @ o[:2] - self.radius**2)
        side = (-b - np.sqrt(np.maximum(discriminant, 0))) / a
        height = o[2] + side * rays[..., 2]
        side = np.where((discriminant > 0) & (np.abs(height) <= self.height / 2), side, np.inf)
        cap = (self.height / 2 - o[2]) / rays[..., 2]
        at = o[:2] + cap[..., None] * rays[..., :2]
        cap = np.where((at**2).sum(axis=-1) <= self.radius**2, cap, np.inf)
        return np.minimum(side, cap)


def look_at(eye, target) -> np.ndarray:
    """Pose [4, 4] optical -> world of a camera at ``eye`` that looks at ``target``."""
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    z = target - eye
    z /= np.linalg.norm(z)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x = x / np.linalg.norm(x) if np.linalg.norm(x) > 1e-6 else np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = eye
    return pose


def render(shapes, camera: CameraModel, pose: np.ndarray, *, plane: bool = True):
    """Return depth float32 [H, W], NaN where nothing is hit, and the index map, 0 for the plane."""
    rays = camera.rays().astype(float)
    rays = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1) @ pose[:3, :3].T
    origin = pose[:3, 3]
    with np.errstate(divide='ignore'):
        floor = -origin[2] / rays[..., 2]
    floor = np.where(floor > 0, floor, np.inf) if plane else np.full(rays.shape[:2], np.inf)
    hits = np.stack([floor, *(shape.hit(origin, rays) for shape in shapes)])
    depth = hits.min(axis=0)
    index = hits.argmin(axis=0).astype(np.uint8)
    return np.where(np.isfinite(depth), depth, np.nan).astype(np.float32), index
