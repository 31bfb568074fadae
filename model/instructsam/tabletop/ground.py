# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The flat surfaces of a scene: table, floor beyond it, bin floor and walls, with their marks.

On a plane ``n . x = d`` seen from ``o`` along the ray ``r(u, v)`` the inverse depth is
``n . r / (d - n . o)``: affine in the pixel. So the nearest wall of the (convex) inside of a bin
is the largest of five affine functions, and the plane's own coordinates are ratios of such.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .appearance import PATTERN_SIZE, Surface, collages, patterns
from .scene import Bin, Camera, Scene

_EPS = 1e-6
MAX_DEPTH = 4.0  # metres; farther background has no depth


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane through ``origin`` with two in-plane axes; ``normal`` is their cross product."""

    origin: np.ndarray
    across: np.ndarray
    along: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """Return the unit normal [3]."""
        return np.cross(self.across, self.along)


@dataclass(frozen=True, eq=False)
class Ground:
    """What flat surface each pixel sees, objects left aside.

    ``inverse_depth`` float32 [H, W] (1/m, 0 for nothing in range), ``index`` uint8 [H, W]: 0 the
    support, 1 to 4 the inner walls of a bin, and the constants below; ``planes`` of 0 to 4.
    """

    inverse_depth: np.ndarray
    index: np.ndarray
    planes: tuple[Plane, ...]


AROUND, BEYOND, OUTSIDE = 254, 255, 253  # table around a bin, floor beyond the table, outer walls


def bin_planes(tray: Bin) -> list[Plane]:
    """Return the four inner walls; in-plane origin at the middle of their foot, normal inwards."""
    c, s = np.cos(tray.yaw), np.sin(tray.yaw)
    x, y = np.array([c, s, 0.0]), np.array([-s, c, 0.0])
    center = np.array([*tray.center, 0.0])
    planes = []
    for out, half, side in (
        (x, tray.size[0], y), (-x, tray.size[0], -y), (y, tray.size[1], -x), (-y, tray.size[1], x)
    ):
        up = np.array([0, 0, 1.0]) + tray.slope * out
        planes.append(Plane(center + out * half / 2, -side, up / np.linalg.norm(up)))
    return planes


class _View:
    """Affine functions of the pixel for one camera."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.origin = camera.pose[:3, 3]
        self.rays = camera.pose[:3, :3] @ np.linalg.inv(camera.K)
        self.u = np.arange(camera.width, dtype=np.float64)
        self.v = np.arange(camera.height, dtype=np.float64)

    def affine(
        self, direction: np.ndarray, window: tuple[slice, slice] | None = None
    ) -> np.ndarray:
        """Return ``direction . r(u, v)`` float32 over the image or a window of it."""
        a, b, c = direction @ self.rays
        v, u = (self.v, self.u) if window is None else (self.v[window[0]], self.u[window[1]])
        result: np.ndarray = np.add.outer(
            (b * v + c).astype(np.float32), (a * u).astype(np.float32)
        )
        return result

    def inverse_depth(self, plane: Plane) -> np.ndarray:
        """Return the inverse depth of the plane, float32 [H, W]; negative behind the camera."""
        normal = plane.normal
        return self.affine(normal / (normal @ (plane.origin - self.origin)))

    def coordinates(
        self, plane: Plane, depth: np.ndarray, window: tuple[slice, slice] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the in-plane coordinates (m) of the pixels (of a window) at ``depth``."""
        offset = self.origin - plane.origin
        results = []
        for axis in (plane.across, plane.along):
            value = self.affine(axis, window)
            value *= depth
            value += np.float32(axis @ offset)
            results.append(value)
        return results[0], results[1]


def measure_ground(scene: Scene) -> Ground:
    """Return the flat surfaces' depth and which of them each pixel sees."""
    view = _View(scene.camera)
    top, floor = _table_planes(scene)
    if scene.bin is None:
        inverse = np.zeros((scene.camera.height, scene.camera.width), np.float32)
        index = np.full(inverse.shape, BEYOND, np.uint8)
        planes: tuple[Plane, ...] = (top,)
        inside = None
    else:
        inverse, index, planes = _measure_bin(scene.bin, view)
        inside = index != BEYOND
    if inside is None or not inside.all():
        table = np.maximum(view.inverse_depth(top), 1e-3)
        x, y = view.coordinates(top, 1 / table)
        half = np.array(scene.table.size, np.float32) / 2
        on_table = (np.abs(x) < half[0]) & (np.abs(y) < half[1]) & (table > 2e-3)
        if not on_table.all():
            np.copyto(table, np.maximum(view.inverse_depth(floor), 1e-3), where=~on_table)
        if inside is None:
            inverse = table
            index[on_table] = 0
        else:
            np.copyto(inverse, table, where=~inside)
            index[on_table & ~inside] = AROUND
            _measure_outside(scene.bin, view, planes, inverse, index)
    inverse[inverse < 1 / MAX_DEPTH] = 0
    return Ground(inverse, index, planes)


def _table_planes(scene: Scene) -> tuple[Plane, Plane]:
    table = scene.table
    c, s = np.cos(table.yaw), np.sin(table.yaw)
    top = Plane(np.array([*table.center, 0.0]), np.array([c, s, 0.0]), np.array([-s, c, 0.0]))
    return top, Plane(top.origin - [0, 0, table.drop], top.across, top.along)


def _measure_bin(
    tray: Bin, view: _View
) -> tuple[np.ndarray, np.ndarray, tuple[Plane, ...]]:
    c, s = np.cos(tray.yaw), np.sin(tray.yaw)
    bottom = Plane(np.array([*tray.center, 0.0]), np.array([c, s, 0.0]), np.array([-s, c, 0.0]))
    planes = (bottom, *bin_planes(tray))
    nearest = view.inverse_depth(bottom)
    index = np.zeros(nearest.shape, np.uint8)
    back = []
    for k, plane in enumerate(planes[1:], start=1):
        if float(plane.normal @ (view.origin - plane.origin)) <= _EPS:
            back.append(plane)
            continue
        depth = view.inverse_depth(plane)
        index[depth > nearest] = k
        np.maximum(nearest, depth, out=nearest)
    np.maximum(nearest, 1e-3, out=nearest)
    rise = view.affine(np.array([0, 0, 1.0]))
    inside = (nearest > 1e-3) & (rise < (tray.height - view.origin[2]) * nearest)
    # Where the camera stands outside a wall's plane, only what passes over that wall is inside.
    for plane in back:
        entry = view.inverse_depth(plane)
        inside &= (entry <= 1e-3) | (rise >= (tray.height - view.origin[2]) * entry)
    index[~inside] = BEYOND
    return nearest, index, planes


def _measure_outside(
    tray: Bin | None, view: _View, planes: tuple[Plane, ...], inverse: np.ndarray, index: np.ndarray
) -> None:
    """Add the outer faces of walls that turn their back to the camera."""
    assert tray is not None
    for k in range(1, 5):
        plane = planes[k]
        if float(plane.normal @ (view.origin - plane.origin)) > _EPS:
            continue
        entry = view.inverse_depth(plane)
        x, y = view.coordinates(plane, 1 / np.maximum(entry, 1e-3))
        half = (tray.size[1] if k < 3 else tray.size[0]) / 2
        lean = float(np.hypot(1, tray.slope))
        mask = (entry > 1e-3) & (y > 0) & (y < lean * tray.height) & (entry > inverse)
        mask &= np.abs(x) < half + tray.slope * y / lean
        inverse[mask] = entry[mask]
        index[mask] = OUTSIDE


_Window = tuple[slice, slice]


def _windows(index: np.ndarray) -> list[tuple[int, _Window, np.ndarray | None]]:
    """Return for each surface its window in the image and, if it does not fill it, its mask."""
    found = []
    for k in np.flatnonzero(np.bincount(index.ravel(), minlength=256)).tolist():
        mask = index == k
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        cut = mask[window]
        found.append((k, window, None if cut.all() else cut))
    return found


def paint_ground(scene: Scene, ground: Ground) -> np.ndarray:
    """Return the colour of everything flat, lit but without shadows, float32 [H, W, 3]."""
    look, tray = scene.appearance, scene.bin
    view = _View(scene.camera)
    top, floor = _table_planes(scene)
    image = np.empty((*ground.index.shape, 3), np.float32)
    level = np.array([0, 0, 1.0])
    for k, window, mask in _windows(ground.index):
        if k == OUTSIDE:
            away = level * 0.3 - ground.planes[1].normal
            color = look.walls.bright * light_on(scene, away / np.linalg.norm(away)) ** 0.4545
            image[window][mask if mask is not None else slice(None)] = color
            continue
        plane = floor if k == BEYOND else top if k == AROUND else ground.planes[k]
        # Far coordinates would make the reflecting look-up slow.
        depth = 1 / np.maximum(ground.inverse_depth[window], np.float32(1 / MAX_DEPTH))
        x, y = view.coordinates(plane, depth, window)
        if k == BEYOND:
            painted = _beyond(scene, x, y)
        elif k == AROUND:
            painted = _paint(look.beyond, x, y, light_on(scene, level))
        elif k == 0:
            painted = _paint(look.support, x, y, light_on(scene, level))
            if tray is not None:
                edge = np.minimum(tray.size[0] / 2 - np.abs(x), tray.size[1] / 2 - np.abs(y))
                _dim(painted, 1 - 0.18 * np.exp(np.minimum(edge * -25, 0)))
        else:
            assert tray is not None
            painted = _paint(look.walls, x, y, light_on(scene, plane.normal))
            lean = float(np.hypot(1, tray.slope))
            fade = np.sqrt(np.clip(y / (lean * tray.height), 0, 1)) * np.float32(0.18)
            fade += np.where(y > lean * (tray.height - 0.006), np.float32(0.92), np.float32(0.82))
            _dim(painted, fade)
        if mask is None:
            image[window] = painted
        else:
            cv2.copyTo(painted, mask.view(np.uint8), image[window])
    if tray is not None and look.seed % 3:
        _draw_joints(ground.index, image, 0.45 + (look.seed % 50) / 100)
    _draw_marks(scene, ground.planes, ground.index, image)
    return image


def _dim(image: np.ndarray, factor: np.ndarray) -> None:
    image *= cv2.merge([factor.astype(np.float32)] * 3)


def _beyond(scene: Scene, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    look = scene.appearance
    surface = look.beyond if scene.bin is None else look.support
    light = light_on(scene, np.array([0, 0, 1.0])) * (0.55 + 0.45 * look.ambient)
    if not look.collage:
        return _paint(surface, x, y, light)
    scale = np.float32(1 / 1.2)
    picture = _look_up(collages()[look.seed % len(collages())], x * scale, y * scale)
    picture *= (light**0.4545 * look.collage).astype(np.float32)
    if look.collage < 0.999:
        picture += _paint(surface, x, y, light) * np.float32(1 - look.collage)
    return picture


def _draw_joints(index: np.ndarray, image: np.ndarray, factor: float) -> None:
    """Darken the joints between the faces of a bin."""
    faces = index < 5
    edges = np.zeros(index.shape, bool)
    edges[1:] = (index[1:] != index[:-1]) & faces[1:] & faces[:-1]
    edges[:, 1:] |= (index[:, 1:] != index[:, :-1]) & faces[:, 1:] & faces[:, :-1]
    image[edges] *= np.float32(factor)


def _look_up(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the picture, mirrored without end, at coordinates in tiles (overwritten)."""
    for value in (x, y):
        # Folding here is many times faster than a border mode of the look-up itself.
        value *= np.float32(0.5)
        value -= np.rint(value)
        np.abs(value, out=value)
        value *= np.float32(2 * (PATTERN_SIZE - 1))
    result: np.ndarray = cv2.remap(picture, x, y, cv2.INTER_LINEAR)
    return result


def _paint(surface: Surface, x: np.ndarray, y: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Return the surface's lit display colour at plane coordinates in metres."""
    c, s = np.cos(surface.angle), np.sin(surface.angle)
    a, b = surface.scale
    value = _look_up(
        patterns()[surface.pattern],
        x * np.float32(c / a) + (y * np.float32(s / a) + np.float32(surface.offset[0])),
        y * np.float32(c / b) - (x * np.float32(s / b) - np.float32(surface.offset[1])),
    )
    # Display values: light acts through the inverse gamma.
    gain = light**0.4545
    dark, span = surface.dark * gain, (surface.bright - surface.dark) * gain
    painted: np.ndarray = cv2.merge(
        [value * np.float32(span[k]) + np.float32(dark[k])
         for k in range(3)]
    )
    return painted


def light_on(scene: Scene, normal: np.ndarray) -> np.ndarray:
    """Return the light [3] on a matt surface; a level surface under the main light gets ~1."""
    look = scene.appearance
    diffuse = (1 - look.ambient) * max(float(normal @ look.light), 0.0)
    extra = look.fill_strength * max(float(normal @ look.fill), 0.0)
    sky = look.ambient * (0.75 + 0.25 * float(normal[2]))
    level = (1 - look.ambient) * look.light[2] + look.fill_strength * look.fill[2] + look.ambient
    return (diffuse * look.light_rgb + extra + sky) / level


def _draw_marks(
    scene: Scene, planes: tuple[Plane, ...], surfaces: np.ndarray, albedo: np.ndarray
) -> None:
    camera = scene.camera
    for mark in scene.appearance.marks:
        if mark.surface >= len(planes):
            continue
        plane = planes[mark.surface]
        points = (
            plane.origin + mark.points[:, :1] * plane.across + mark.points[:, 1:] * plane.along
        )
        pixels = camera.project(points)
        if (pixels[:, 2] < 0.05).any() or np.abs(pixels[:, :2]).max() > 4000:
            continue
        low = np.floor(pixels[:, :2].min(axis=0)).astype(int) - 4
        high = np.ceil(pixels[:, :2].max(axis=0)).astype(int) + 5
        low = np.maximum(low, 0)
        high = np.minimum(high, [camera.width, camera.height])
        if (high <= low).any():
            continue
        cover = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
        fixed = np.round((pixels[:, :2] - low) * 16).astype(np.int32)
        if mark.open:
            width = max(int(mark.width * camera.K[0, 0] / np.median(pixels[:, 2])), 1)
            cv2.polylines(cover, [fixed], False, 255, width, cv2.LINE_AA, 4)
        else:
            cv2.fillConvexPoly(cover, fixed, 255, cv2.LINE_AA, 4)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        cover[surfaces[window] != mark.surface] = 0
        weight = (cover.astype(np.float32) * (0.92 / 255))[..., None]
        patch = albedo[window]
        patch += weight * (mark.rgb.astype(np.float32) - patch)
