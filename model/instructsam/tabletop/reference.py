# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which objects of a scene a relation, superlative or place means, seen from the camera.

Left and right are judged by the image x of the projected centre of an object's box, nearness by
the distance of that centre from the camera (and, because people judge it by the picture, the image
height must not contradict it), size by the true volume and the visible area together.  Every
function answers ``None`` where a person could hesitate: no instruction is ever built on such a
scene.  Lengths are metres in the world, pixels in the image.
"""
from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RELATIONS = ('left', 'right', 'front', 'behind')
"""Relations to one reference object that any number of objects can fulfil."""

SUPERLATIVES = ('leftmost', 'rightmost', 'nearest', 'farthest', 'largest', 'smallest')
"""Superlatives over a set of candidates."""

# Part of its bounding box that a shape of the category fills (a cylinder pi/4, a ball pi/6 ...).
_FILL = {'ball': 0.52, 'can': 0.79, 'mug': 0.75, 'bowl': 0.52, 'bottle': 0.6, 'plate': 0.5,
         'banana': 0.35, 'carrot': 0.35}
_CORNERS = np.array([[i, j, k] for i in (-.5, .5) for j in (-.5, .5) for k in (-.5, .5)])


@dataclass(frozen=True)
class SceneView:
    """What the camera makes of a scene; one entry per object in every tuple.

    `x`, `y`: projected box centre (px, image frame); `span_x`, `span_y`: size of the projected
    box (px); `distance`: camera to box centre (m); `area`: visible pixels; `volume`: m^3;
    `position`: box centre in the world frame (m); `radius`: half the mean horizontal size (m).
    """

    width: int
    height: int
    category: tuple[str, ...]
    color: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    span_x: tuple[float, ...]
    span_y: tuple[float, ...]
    distance: tuple[float, ...]
    area: tuple[int, ...]
    volume: tuple[float, ...]
    position: tuple[tuple[float, float, float], ...]
    radius: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.category)

    def matching(self, category: str | None, color: str | None) -> tuple[int, ...]:
        """Objects of a category and colour; None leaves that side open."""
        return tuple(i for i in range(len(self.category))
                     if (category is None or self.category[i] == category)
                     and (color is None or self.color[i] == color))


def measure(frame: Any) -> SceneView:
    """The view of a `TabletopFrame` (scene, camera and instance map; nothing else is read)."""
    scene, camera = frame.scene, frame.scene.camera
    objects = scene.objects
    count = len(objects)
    poses = np.array([o.pose for o in objects], dtype=float).reshape(count, 4, 4)
    sizes = np.array([o.size for o in objects], dtype=float).reshape(count, 3)
    rotation = np.asarray(camera.pose, dtype=float)[:3, :3]
    origin = np.asarray(camera.pose, dtype=float)[:3, 3]
    intrinsics = np.asarray(camera.K, dtype=float)
    centers = poses[:, :3, 3]
    points = np.concatenate([np.zeros((1, 3)), _CORNERS])[None] * sizes[:, None]
    world = points @ poses[:, :3, :3].transpose(0, 2, 1) + centers[:, None]
    optical = (world - origin) @ rotation
    depth = np.maximum(optical[..., 2], 1e-6)
    u = intrinsics[0, 0] * optical[..., 0] / depth + intrinsics[0, 2]
    v = intrinsics[1, 1] * optical[..., 1] / depth + intrinsics[1, 2]
    corners = world[:, 1:]
    flat = corners[..., :2].max(1) - corners[..., :2].min(1)
    area = np.bincount(frame.instance_map.ravel(), minlength=count + 1)[1:count + 1]
    fill = np.array([_FILL.get(o.category, 1.0) for o in objects])

    def floats(values: np.ndarray) -> tuple[float, ...]:
        return tuple(values.tolist())

    return SceneView(
        width=camera.width, height=camera.height,
        category=tuple(o.category for o in objects), color=tuple(o.color for o in objects),
        x=floats(u[:, 0]), y=floats(v[:, 0]),
        span_x=floats(u[:, 1:].max(1) - u[:, 1:].min(1)),
        span_y=floats(v[:, 1:].max(1) - v[:, 1:].min(1)),
        distance=floats(np.linalg.norm(optical[:, 0], axis=-1)),
        area=tuple(area.tolist()), volume=floats(sizes.prod(1) * fill),
        position=tuple((float(a), float(b), float(c)) for a, b, c in centers),
        radius=floats(flat.mean(1) / 2))


_last: list[tuple[weakref.ref[Any], SceneView]] = []


def view_of(frame: Any) -> SceneView:
    """`measure`, remembered for the latest frame: several instructions are drawn per frame."""
    if _last and _last[0][0]() is frame:
        return _last[0][1]
    view = measure(frame)
    _last[:] = [(weakref.ref(frame), view)]
    return view


def compare(view: SceneView, relation: str, one: int, reference: int) -> bool | None:
    """Whether object `one` is in a relation of `RELATIONS` to `reference`; None: hard to say."""
    if relation in ('left', 'right'):
        shift = view.x[reference] - view.x[one]
        margin = max(0.05 * view.width, 0.35 * max(view.span_x[one], view.span_x[reference]))
        if relation == 'right':
            shift = -shift
        return True if shift >= margin else False if shift <= -0.5 * margin else None
    if relation not in ('front', 'behind'):
        raise ValueError(f"unknown relation '{relation}'; use one of {', '.join(RELATIONS)}")
    near = view.distance[reference] - view.distance[one]
    low = view.y[one] - view.y[reference]
    if relation == 'behind':
        near, low = -near, -low
    near_margin = _depth_margin(view, one, reference)
    low_margin = max(0.03 * view.height, 0.2 * max(view.span_y[one], view.span_y[reference]))
    if near >= near_margin and low >= low_margin:
        return True
    if near <= -0.5 * near_margin and low <= -0.5 * low_margin:
        return False
    return None


def related(view: SceneView, relation: str, candidates: Iterable[int],
            reference: int) -> tuple[int, ...] | None:
    """The candidates in a relation of `RELATIONS` to `reference`; None if any is doubtful."""
    found = []
    for one in candidates:
        verdict = compare(view, relation, one, reference)
        if verdict is None:
            return None
        if verdict:
            found.append(one)
    return tuple(found)


def closest_to(view: SceneView, candidates: Sequence[int], reference: int, *,
               farthest: bool = False) -> int | None:
    """The candidate nearest to (or farthest from) `reference`, in the world and in the image."""
    if len(candidates) < 2:
        return None
    sign = -1.0 if farthest else 1.0
    metric = {i: math.dist(view.position[i], view.position[reference]) for i in candidates}
    pixels = {i: math.hypot(view.x[i] - view.x[reference], view.y[i] - view.y[reference])
              for i in candidates}
    best, second = sorted(candidates, key=lambda i: sign * metric[i])[:2]
    small, large = sorted((metric[best], metric[second]))
    if large < 1.25 * small or large - small < 0.03:
        return None
    rival = min((i for i in candidates if i != best), key=lambda i: sign * pixels[i])
    small, large = sorted((pixels[best], pixels[rival]))
    agrees = (pixels[best] > pixels[rival]) == farthest
    return best if agrees and large >= 1.15 * small else None


def beside(view: SceneView, candidates: Sequence[int], reference: int) -> int | None:
    """The candidate next to `reference`: nearly touching it while all others stay well away."""
    gaps = {i: math.dist(view.position[i], view.position[reference])
            - view.radius[i] - view.radius[reference] for i in candidates}
    best = closest_to(view, candidates, reference)
    if best is None or gaps[best] > 0.08:
        return None
    return best if all(gaps[i] > 0.14 for i in candidates if i != best) else None


def between(view: SceneView, candidates: Iterable[int], first: int,
            second: int) -> tuple[int, ...] | None:
    """The candidates between two objects on the ground and in the image; None if doubtful."""
    found = []
    for one in candidates:
        ground = _along(view.position[one][:2], view.position[first][:2],
                        view.position[second][:2])
        image = _along((view.x[one], view.y[one]), (view.x[first], view.y[first]),
                       (view.x[second], view.y[second]))
        places = (ground, image)
        if all(0.2 <= t <= 0.8 and side <= 0.3 for t, side in places):
            found.append(one)
        elif not all(t < 0.05 or t > 0.95 or side > 0.5 for t, side in places):
            return None
    return tuple(found)


def extreme(view: SceneView, name: str, candidates: Sequence[int],
            count: int = 1) -> tuple[int, ...] | None:
    """The `count` candidates that a superlative of `SUPERLATIVES` means; None if doubtful."""
    if name not in SUPERLATIVES:
        raise ValueError(f"unknown superlative '{name}'; use one of {', '.join(SUPERLATIVES)}")
    if not 0 < count < len(candidates):
        return None
    key, clear = _ORDER[name]
    order = sorted(candidates, key=lambda i: key(view, i))
    # Each chosen object must beat each other one, also by the second cue that `clear` checks.
    if all(clear(view, a, b) for a in order[:count] for b in order[count:]):
        return tuple(sorted(order[:count]))
    return None


def in_row(view: SceneView, candidates: Sequence[int]) -> tuple[int, ...] | None:
    """The candidates from left to right; None unless every gap is clear."""
    order = sorted(candidates, key=lambda i: view.x[i])
    if all(_clear_left(view, a, b) for a, b in zip(order, order[1:], strict=False)):
        return tuple(order)
    return None


def _along(point: Sequence[float], start: Sequence[float],
           end: Sequence[float]) -> tuple[float, float]:
    """Place along start-end (0..1 inside) and distance from that line, in units of its length."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    px, py = point[0] - start[0], point[1] - start[1]
    square = max(dx * dx + dy * dy, 1e-12)
    return (px * dx + py * dy) / square, abs(px * dy - py * dx) / square


def _depth_margin(view: SceneView, one: int, other: int) -> float:
    return max(0.03, 0.025 * (view.distance[one] + view.distance[other]))


def _clear_left(view: SceneView, a: int, b: int) -> bool:
    margin = max(0.04 * view.width, 0.3 * max(view.span_x[a], view.span_x[b]))
    return view.x[b] - view.x[a] >= margin


def _clear_right(view: SceneView, a: int, b: int) -> bool:
    return _clear_left(view, b, a)


def _clear_near(view: SceneView, a: int, b: int) -> bool:
    return (view.distance[b] - view.distance[a] >= _depth_margin(view, a, b)
            and view.y[a] - view.y[b] >= 0.02 * view.height)


def _clear_far(view: SceneView, a: int, b: int) -> bool:
    return _clear_near(view, b, a)


def _clear_large(view: SceneView, a: int, b: int) -> bool:
    return view.volume[a] >= 1.3 * view.volume[b] and view.area[a] >= 1.3 * view.area[b]


def _clear_small(view: SceneView, a: int, b: int) -> bool:
    return _clear_large(view, b, a)


_Key = Callable[[SceneView, int], float]
_Clear = Callable[[SceneView, int, int], bool]
_ORDER: dict[str, tuple[_Key, _Clear]] = {
    'leftmost': (lambda view, i: view.x[i], _clear_left),
    'rightmost': (lambda view, i: -view.x[i], _clear_right),
    'nearest': (lambda view, i: view.distance[i], _clear_near),
    'farthest': (lambda view, i: -view.distance[i], _clear_far),
    'largest': (lambda view, i: -view.volume[i], _clear_large),
    'smallest': (lambda view, i: view.volume[i], _clear_small),
}
