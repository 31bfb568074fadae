# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawing scenes: which objects, where they stand, and from where the camera looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import clutter as things
from .appearance import Mark, any_color, sample_appearance, sample_color
from .bodies import Body, build
from .scene import (
    CATEGORIES,
    COLORS,
    HELD_OUT,
    Bin,
    Camera,
    Clutter,
    Scene,
    Table,
    TabletopObject,
)

_Rng = np.random.Generator
_GAP = 0.006  # metres kept free between things
_TRIES = 32
_SIGNS = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)], float)
# Usual colours of fruit; other colours occur too, so that colour words keep their meaning.
_USUAL = {'banana': ('yellow', 0.45), 'carrot': ('orange', 0.35)}


def place_scene(rng: _Rng, *, width: int, height: int, held_out: bool) -> Scene:
    """Draw a scene; see `instructsam.tabletop.scene.sample_scene`."""
    for _ in range(50):
        scene = _attempt(rng, width, height, held_out)
        if scene is not None:
            return scene
    raise RuntimeError('no arrangement of objects was found; use a larger image')


def _attempt(rng: _Rng, width: int, height: int, held_out: bool) -> Scene | None:
    support = 'bin' if rng.random() < 0.4 else 'table'
    camera, focus = _sample_camera(rng, width, height, support)
    table, tray = _sample_support(rng, camera, focus, support)
    names = _sample_names(rng, held_out)
    placed: list[_Placed] = []
    objects: list[TabletopObject] = []
    elevation = float(np.arcsin(-camera.pose[2, 2]))
    upright = float(np.clip(1.5 - elevation, 0.15, 0.75))
    for category, color in names:
        item = _place_object(rng, category, color, camera, table, tray, placed, upright)
        if item is not None:
            objects.append(item)
    if len(objects) < 2:
        return None
    if held_out and not any((o.color, o.category) in HELD_OUT for o in objects):
        return None
    extra = _sample_clutter(rng, camera, table, tray, placed)
    marks = _sample_marks(rng, focus, tray)
    return Scene(
        tuple(objects), camera, support, sample_appearance(rng, support, marks), table, tray,
        tuple(extra),
    )


def _sample_names(rng: _Rng, held_out: bool) -> list[tuple[str, str]]:
    """Draw categories and colours, with repetitions that make "which one" a real question."""
    count = int(rng.choice([2, 3, 4, 5, 6, 7, 8], p=[0.08, 0.15, 0.2, 0.2, 0.17, 0.12, 0.08]))
    categories: list[str] = []
    while len(categories) < count:
        group = 1
        if rng.random() < (0.9 if not categories else 0.35):
            group = int(rng.choice([2, 3, 4], p=[0.5, 0.35, 0.15]))
        categories += [str(rng.choice(CATEGORIES))] * group
    categories = categories[:count]
    palette = list(rng.permutation(COLORS)[: int(rng.integers(2, 8))])
    pairs = []
    for category in categories:
        usual, share = _USUAL.get(category, ('', 0.0))
        color = usual if rng.random() < share else str(rng.choice(palette))
        for _ in range(20):
            if (color, category) not in HELD_OUT:
                break
            color = str(rng.choice(COLORS))
        pairs.append((category, color))
    if held_out:
        # First, so that it finds a place; more of the kind may follow.
        color, category = sorted(HELD_OUT)[int(rng.integers(len(HELD_OUT)))]
        return [(category, color), *pairs[1:]]
    order = rng.permutation(len(pairs))
    return [pairs[k] for k in order]


def _sample_camera(
    rng: _Rng, width: int, height: int, support: str
) -> tuple[Camera, np.ndarray]:
    """Draw a camera that looks at a point near the origin; return it and that point [2]."""
    fov = np.radians(rng.uniform(45, 75))
    elevation = np.radians(rng.uniform(48, 82) if support == 'bin' else rng.uniform(32, 80))
    azimuth, roll = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.09)
    if rng.random() < 0.05:
        roll += rng.uniform(-np.pi, np.pi) * (elevation > 1.0)
    # A thing of 12 cm at the middle takes this share of the image's width.
    share = float(np.exp(rng.uniform(np.log(0.15), np.log(0.3))))
    distance = float(np.clip(0.12 / (share * 2 * np.tan(fov / 2)), 0.38, 1.4))
    focus = rng.normal(0, 0.03, 2)
    back = np.array([
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation),
    ])
    forward = -back
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1] = c * right + s * down, c * down - s * right
    pose[:3, 2] = forward
    pose[:3, 3] = np.append(focus, 0.03) + distance * back
    f = width / 2 / np.tan(fov / 2)
    K = np.array([
        [f, 0, (width - 1) / 2 + rng.normal(0, 0.01) * width],
        [0, f * rng.uniform(0.995, 1.005), (height - 1) / 2 + rng.normal(0, 0.01) * height],
        [0, 0, 1],
    ])
    return Camera(width, height, K, pose), focus


def _sample_support(
    rng: _Rng, camera: Camera, focus: np.ndarray, support: str
) -> tuple[Table, Bin | None]:
    distance = float(np.linalg.norm(camera.pose[:3, 3] - np.append(focus, 0)))
    view = distance * camera.width / camera.K[0, 0]  # metres across the image at the focus
    drop = float(rng.uniform(0.25, 0.9))
    if support == 'table':
        size = np.array([rng.uniform(0.9, 3.2), rng.uniform(0.9, 3.2)]) * view
        center = focus + rng.uniform(-0.25, 0.25, 2) * np.maximum(size - 0.9 * view, 0)
        yaw = float(rng.uniform(0, np.pi))
        return Table((center[0], center[1]), yaw, (size[0], size[1]), drop), None
    # A bin is seen along its sides more often than across a corner.
    heading = float(np.arctan2(camera.pose[1, 0], camera.pose[0, 0]))
    yaw = heading + float(rng.normal(0, 0.15) if rng.random() < 0.7 else rng.uniform(0, np.pi))
    length = view * rng.uniform(0.5, 1.15)
    breadth = length * rng.uniform(0.5, 0.9) * (1.1 if camera.height * 1.5 > camera.width else 0.9)
    size = (float(length), float(breadth))
    height = float(rng.uniform(0.08, 0.3) * min(1.0, distance / 0.7))
    tray = Bin((focus[0], focus[1]), yaw, size, height, float(rng.choice([0.0, 0.15, 0.4])
               + rng.uniform(0, 0.15)))
    extent = (size[0] + rng.uniform(0.5, 2), size[1] + rng.uniform(0.5, 2))
    return Table((focus[0], focus[1]), yaw + rng.uniform(-0.5, 0.5), extent, drop), tray


class _Placed:
    """A rectangle on the support and its box in the image, to keep things apart."""

    def __init__(
        self, center: np.ndarray, yaw: float, size: np.ndarray, box: np.ndarray
    ) -> None:
        self.center = center
        self.box = box
        # Plain floats: there are many pairs to compare and all of them are tiny.
        self.x, self.y = float(center[0]), float(center[1])
        self.cos, self.sin = float(np.cos(yaw)), float(np.sin(yaw))
        self.length, self.width = float(size[0]) / 2, float(size[1]) / 2
        self.radius = float(np.hypot(self.length, self.width))

    def apart(self, other: _Placed) -> bool:
        """Tell whether the rectangles have a separating axis with the gap between them."""
        dx, dy = other.x - self.x, other.y - self.y
        if dx * dx + dy * dy > (self.radius + other.radius + _GAP) ** 2:
            return True
        # Cosine and sine of the angle between the rectangles.
        c = abs(self.cos * other.cos + self.sin * other.sin)
        s = abs(self.cos * other.sin - self.sin * other.cos)
        for a, b in ((self, other), (other, self)):
            along, across = abs(dx * a.cos + dy * a.sin), abs(dy * a.cos - dx * a.sin)
            if along > a.length + b.length * c + b.width * s + _GAP:
                return True
            if across > a.width + b.length * s + b.width * c + _GAP:
                return True
        return False

    def overlap(self, other: _Placed) -> float:
        """Return the shared image area over the smaller of the two image boxes."""
        x0, y0, x1, y1 = self.box.tolist()
        a0, b0, a1, b1 = other.box.tolist()
        shared = max(min(x1, a1) - max(x0, a0), 0.0) * max(min(y1, b1) - max(y0, b0), 0.0)
        return shared / min((x1 - x0) * (y1 - y0), (a1 - a0) * (b1 - b0))


def _free_spot(
    rng: _Rng,
    size: np.ndarray,
    camera: Camera,
    table: Table,
    tray: Bin | None,
    placed: list[_Placed],
    *,
    overlap: float,
    share: tuple[float, float] = (0.065, 0.40),
) -> tuple[_Placed, float] | None:
    """Return a place on the support, in view and clear of what is there, and its yaw."""
    image = np.array([camera.width, camera.height])
    pixels = np.ones((_TRIES, 3))
    pixels[:, :2] = rng.uniform(0.08, 0.92, (_TRIES, 2)) * image
    yaws = rng.uniform(0, 2 * np.pi, _TRIES)
    rays = pixels @ (camera.pose[:3, :3] @ np.linalg.inv(camera.K)).T
    eye = camera.pose[:3, 3]
    points = eye[:2] - rays[:, :2] * (eye[2] / np.minimum(rays[:, 2:], -0.05))
    c, s = np.cos(yaws), np.sin(yaws)
    turns = np.stack([np.stack([c, s], 1), np.stack([-s, c], 1)], 1)
    corners = points[:, None] + (_SIGNS * (size[:2] / 2)) @ turns
    solid = np.zeros((_TRIES, 8, 3))
    solid[:, :4, :2] = solid[:, 4:, :2] = corners
    solid[:, 4:, 2] = size[2]
    seen = ((solid - eye) @ camera.pose[:3, :3]) @ camera.K.T
    seen = seen[..., :2] / np.maximum(seen[..., 2:], 0.05)
    boxes = np.concatenate([seen.min(axis=1), seen.max(axis=1)], axis=1)
    extent = boxes[:, 2:] - boxes[:, :2]
    # The box drawn around a box overstates slim things; 1.15 is the usual excess.
    widest = extent.max(axis=1) / 1.15 / camera.width
    cut = np.where(np.arange(_TRIES) < _TRIES // 2, 0.04, 0.15)[:, None] * extent
    good = (rays[:, 2] < -0.05) & (widest >= share[0]) & (widest <= share[1])
    good &= (boxes[:, :2] >= -cut).all(axis=1) & (boxes[:, 2:] <= image + cut).all(axis=1)
    area: Table | Bin = tray if tray is not None else table
    c0, s0 = np.cos(area.yaw), np.sin(area.yaw)
    local = (corners - np.array(area.center)) @ np.array([[c0, -s0], [s0, c0]])
    good &= (np.abs(local) < np.array(area.size) / 2 - _GAP).all(axis=(1, 2))
    for k in np.flatnonzero(good).tolist():
        spot = _Placed(points[k], float(yaws[k]), size, boxes[k])
        if all(spot.apart(o) and spot.overlap(o) < overlap for o in placed):
            return spot, float(yaws[k])
    return None


def _place_object(
    rng: _Rng,
    category: str,
    color: str,
    camera: Camera,
    table: Table,
    tray: Bin | None,
    placed: list[_Placed],
    upright: float,
) -> TabletopObject | None:
    for _ in range(3):
        parts, size, marks = build(category, rng, upright=upright)
        found = _free_spot(
            rng, size, camera, table, tray, placed, overlap=float(rng.uniform(0.1, 0.45))
        )
        if found is None:
            continue
        spot, yaw = found
        placed.append(spot)
        rgb = sample_color(color, rng)
        paints = _minor_paints(rng, np.array(rgb), category)
        markings = tuple(
            replace(m, rgb=(float(p[0]), float(p[1]), float(p[2])))
            for m, p in zip(marks, _mark_paints(rng, len(marks), np.array(rgb)), strict=True)
        )
        bumpy = category == 'ball' and rng.random() < 0.3
        waves = rng.uniform(7, 13) / size[0] if bumpy else 25.0
        body = Body(
            tuple(parts), paints, markings,
            bump=float(rng.uniform(0.35, 0.9)) if bumpy else float(
                rng.uniform(0, 0.08) * (category in ('carrot', 'banana', 'ball'))),
            bump_frequency=float(waves),
            grain=float(rng.uniform(0, 0.12) if rng.random() < 0.6 else 0.0),
            gloss=float(rng.uniform(0, 0.55)), shininess=float(np.exp(rng.uniform(1.8, 4.3))),
        )
        return TabletopObject(category, color, rgb, size, _standing(spot.center, yaw, size), body)
    return None


def _standing(center: np.ndarray, yaw: float, size: np.ndarray) -> np.ndarray:
    pose = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    pose[:2, :2] = [[c, -s], [s, c]]
    pose[:3, 3] = [center[0], center[1], size[2] / 2]
    return pose


def _contrasting(rng: _Rng, rgb: np.ndarray) -> np.ndarray:
    """Draw a colour for minor parts: often white, black or cream, else any."""
    style = rng.random()
    if style < 0.4:
        tone = np.full(3, rng.uniform(0.8, 0.97))
    elif style < 0.6:
        tone = np.full(3, rng.uniform(0.05, 0.25))
    elif style < 0.75:
        tone = rgb * rng.uniform(0.45, 0.75)
    else:
        tone = any_color(rng)
    return tone


def _minor_paints(rng: _Rng, rgb: np.ndarray, category: str) -> np.ndarray:
    second = _contrasting(rng, rgb)
    dark = rgb * rng.uniform(0.15, 0.5)
    light = np.full(3, rng.uniform(0.55, 0.9))
    if category == 'banana':
        dark = np.array([0.25, 0.17, 0.08]) * rng.uniform(0.5, 1.4)
    elif category == 'carrot':
        second = np.array([0.25, 0.5, 0.15]) * rng.uniform(0.6, 1.4)
    elif category == 'mug':
        second = np.full(3, rng.uniform(0.75, 0.98)) if rng.random() < 0.7 else rgb * 0.5
    return np.clip(np.stack([rgb, second, dark, light]), 0, 1)


def _mark_paints(rng: _Rng, count: int, rgb: np.ndarray) -> list[np.ndarray]:
    shared = _contrasting(rng, rgb)
    mixed = rng.random() < 0.4
    return [np.clip(_contrasting(rng, rgb) if mixed else shared, 0, 1) for _ in range(count)]


def _sample_clutter(
    rng: _Rng, camera: Camera, table: Table, tray: Bin | None, placed: list[_Placed]
) -> list[Clutter]:
    extra: list[Clutter] = []
    count = int(rng.choice([0, 1, 2, 3], p=[0.4, 0.33, 0.18, 0.09]))
    for _ in range(count):
        body, size = things.BUILDERS[int(rng.integers(len(things.BUILDERS)))](rng)
        found = _free_spot(
            rng, size, camera, table, tray, placed, overlap=0.25, share=(0.03, 0.4)
        )
        if found is None:
            continue
        spot, yaw = found
        placed.append(spot)
        pose = _standing(spot.center, yaw, np.zeros(3))
        extra.append(Clutter(pose, body))
    if rng.random() < 0.16:
        reach = _intruder(rng, camera, placed)
        if reach is not None:
            extra.append(reach)
    return extra


def _intruder(rng: _Rng, camera: Camera, placed: list[_Placed]) -> Clutter | None:
    """Return an arm or a hand that reaches in over the border, clear of the objects."""
    size = np.array([camera.width, camera.height])
    for _ in range(6):
        side = int(rng.integers(4))
        pixel = rng.uniform(0.15, 0.85, 2) * size
        depth = rng.uniform(-0.04, 0.1)
        pixel[side % 2] = size[side % 2] * (depth if side < 2 else 1 - depth)
        height = float(rng.uniform(0.06, 0.12))
        ray = camera.pose[:3, :3] @ np.linalg.solve(camera.K, np.append(pixel, 1.0))
        if ray[2] > -0.1:
            continue
        at = camera.pose[:3, 3] + ray * (height - camera.pose[2, 3]) / ray[2]
        middle = camera.pose[:3, 3] - camera.pose[:3, 2] * camera.pose[2, 3] / camera.pose[2, 2]
        outward = (at - middle)[:2]
        turn = rng.normal(0, 0.3)
        c, s = np.cos(turn), np.sin(turn)
        outward = np.array([[c, -s], [s, c]]) @ outward
        body = things.arm(rng) if rng.random() < 0.5 else things.hand(rng)
        pose = things.aim(outward, at[:2], height)
        distance = [np.linalg.norm(o.center - at[:2]) - o.radius for o in placed]
        if not distance or min(distance) > 0.13:
            return Clutter(pose, body)
    return None


def _sample_marks(rng: _Rng, focus: np.ndarray, tray: Bin | None) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    circle = np.linspace(0, 2 * np.pi, 11)[:-1]
    ring = np.stack([np.cos(circle), np.sin(circle)], axis=1)
    if rng.random() < (0.65 if tray is not None else 0.15):
        # Screw holes come in pairs and short rows.
        rgb = np.full(3, rng.uniform(0.02, 0.2) if rng.random() < 0.85 else rng.uniform(0.8, 1))
        radius = float(rng.uniform(0.002, 0.005))
        surfaces = 5 if tray is not None else 1
        for _ in range(int(rng.integers(3, 10))):
            surface = int(rng.integers(surfaces))
            spread = np.array(tray.size) / 2 * 0.95 if tray is not None else np.full(2, 0.3)
            if surface and tray is not None:
                spread = np.array([min(tray.size) / 2 * 0.9, tray.height / 2])
            start = rng.uniform(-1, 1, 2) * spread
            if surface:
                start[1] += spread[1]
            step = rng.uniform(0.012, 0.03) * ring[int(rng.integers(10))]
            for k in range(int(rng.integers(1, 4))):
                marks.append(Mark(start + k * step + radius * ring, rgb, surface))
    if rng.random() < 0.22:
        for _ in range(int(rng.integers(1, 4))):
            half = rng.uniform(0.02, 0.12, 2)
            turn = rng.uniform(0, np.pi)
            c, s = np.cos(turn), np.sin(turn)
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            points = corners @ np.array([[c, s], [-s, c]]) + rng.normal(0, 0.2, 2)
            rgb = any_color(rng, saturation=0.6) * 0.6 + 0.3
            marks.append(Mark(points, rgb))
    if rng.random() < 0.18:
        steps = rng.normal(0, 0.04, (12, 2)) + rng.normal(0, 0.05, 2)
        line = np.cumsum(steps, axis=0) + rng.normal(0, 0.2, 2)
        dense = np.stack(
            [np.interp(np.linspace(0, 11, 60), np.arange(12), line[:, k]) for k in (0, 1)], axis=1
        )
        kernel = np.ones(9) / 9
        dense = np.stack([np.convolve(dense[:, k], kernel, 'valid') for k in (0, 1)], axis=1)
        marks.append(
            Mark(dense, any_color(rng) * 0.5, width=float(rng.uniform(0.003, 0.009)), open=True)
        )
    if rng.random() < 0.15:
        for _ in range(int(rng.integers(2, 9))):
            points = rng.normal(0, 0.25, 2) + rng.uniform(0.002, 0.01) * ring
            marks.append(Mark(points, any_color(rng)))
    return tuple(marks)


__all__ = ['place_scene']
