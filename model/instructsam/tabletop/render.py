# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Drawing a scene: colour, exact depth and exact instance masks by analytic ray casting.

Depth and masks come from the same intersections and carry no noise; the colour image goes
through light, lens and sensor. One core draws a 320x240 frame in some twenty milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .bodies import Body, Marking
from .casting import Hits, cast, surface_normals
from .ground import Ground, measure_ground, paint_ground
from .optics import develop, lit, shadow_map
from .scene import HELD_OUT, Clutter, Scene, TabletopObject, sample_scene

MIN_VISIBLE = 0.4  # an object with a smaller visible fraction is left out of a sampled frame
MIN_AREA = 0.0012  # of the image: smaller objects are left out too


@dataclass(frozen=True, eq=False)
class TabletopFrame:
    """A drawn scene with its ground truth.

    ``image`` uint8 [H, W, 3] RGB; ``depth`` float32 [H, W] metres along the optical axis, NaN
    where there is nothing within range; ``instance_map`` uint8 [H, W], 0 for none and k for
    ``scene.objects[k - 1]``; ``visible`` float [n]: seen pixels over all pixels that the object
    would cover unoccluded in an image without borders.
    """

    scene: Scene
    image: np.ndarray
    depth: np.ndarray
    instance_map: np.ndarray
    visible: np.ndarray

    def mask(self, index: int) -> np.ndarray:
        """Return the bool mask [H, W] of ``scene.objects[index]``."""
        mask: np.ndarray = self.instance_map == index + 1
        return mask

    def points(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the points [n, 3] in the optical frame that pixels see, exact."""
        K = self.scene.camera.K
        z = self.depth[rows, columns].astype(float)
        x, y = (columns - K[0, 2]) / K[0, 0] * z, (rows - K[1, 2]) / K[1, 1] * z
        return np.column_stack([x, y, z])


@dataclass(frozen=True, eq=False)
class _Trace:
    """What one body covers: pixels of the image (flat), inverse depths, parts, whole area."""

    body: Body
    pose: np.ndarray
    place: np.ndarray
    inverse: np.ndarray
    part: np.ndarray
    whole: int


def render(scene: Scene) -> TabletopFrame:
    """Draw the scene. The same scene always gives the same frame."""
    objects, clutter = _trace(scene)
    ground = measure_ground(scene)
    owner, inverse = _compose([*objects, *clutter], ground.inverse_depth)
    return _shade(scene, ground, objects, clutter, owner, inverse)


def visible_shares(scene: Scene) -> np.ndarray:
    """Return how much of each object is seen, 0 to 1 [n], as `TabletopFrame` counts it.

    Draws no picture: many times faster than `render`, and more so for a small image.
    """
    objects, clutter = _trace(scene)
    owner, _ = _compose([*objects, *clutter], measure_ground(scene).inverse_depth)
    return _shares(objects, owner)


def sample_frame(
    rng: np.random.Generator, *, width: int = 640, height: int = 480, held_out: bool = False
) -> TabletopFrame:
    """Draw a scene and render it without the objects that are hardly to be seen.

    Every object of the returned frame's scene has a visible fraction of at least `MIN_VISIBLE` and
    covers at least `MIN_AREA` of the image; there are at least two of them. Raises RuntimeError
    where the image is too small for that.
    """
    for _ in range(30):
        scene = sample_scene(rng, width=width, height=height, held_out=held_out)
        objects, clutter = _trace(scene)
        ground = measure_ground(scene)
        while len(objects) >= 2:
            owner, inverse = _compose([*objects, *clutter], ground.inverse_depth)
            seen = np.bincount(owner, minlength=len(objects) + 1)[1 : len(objects) + 1]
            whole = np.array([max(o.whole, 1) for o in objects])
            clear = (seen >= MIN_VISIBLE * whole) & (seen >= MIN_AREA * width * height)
            if clear.all():
                if held_out and not any((o.color, o.category) in HELD_OUT for o in scene.objects):
                    break
                return _shade(scene, ground, objects, clutter, owner, inverse)
            kept = np.flatnonzero(clear).tolist()
            objects = [objects[k] for k in kept]
            scene = replace(scene, objects=tuple(scene.objects[k] for k in kept))
    raise RuntimeError('no scene with two visible objects was found; use a larger image')


def _trace(scene: Scene) -> tuple[list[_Trace], list[_Trace]]:
    camera = scene.camera
    w, h = camera.width, camera.height
    # Half an image beyond each border tells how much of an object the border cuts off.
    wide = (-(w // 2), -(h // 2), w + w // 2, h + h // 2)

    def traced(item: TabletopObject | Clutter, limits: tuple[int, int, int, int]) -> _Trace:
        hits = cast(item.body.geometry, item.pose, camera.pose, camera.K, limits)
        return _cut(hits, item.body, item.pose, w, h)

    objects = [traced(item, wide) for item in scene.objects]
    return objects, [traced(item, (0, 0, w, h)) for item in scene.clutter]


def _cut(hits: Hits, body: Body, pose: np.ndarray, w: int, h: int) -> _Trace:
    rows, columns = hits.rows, hits.columns
    whole = int(rows.size)
    inverse, part = 1 / hits.depth, hits.part
    if whole and (
        rows[0] < 0 or rows[-1] >= h or int(columns.min()) < 0 or int(columns.max()) >= w
    ):
        inside = np.flatnonzero((rows >= 0) & (rows < h) & (columns >= 0) & (columns < w))
        rows, columns, inverse, part = (
            a[inside] for a in (rows, columns, inverse, part)
        )
    return _Trace(body, pose, rows * w + columns, inverse, part, whole)


def _compose(traces: list[_Trace], ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which body owns each pixel (0 none, k for ``traces[k - 1]``), and inverse depth."""
    inverse = ground.astype(np.float64).ravel()
    owner = np.zeros(inverse.size, np.uint8)
    for k, trace in enumerate(traces):
        nearer = trace.inverse > inverse[trace.place]
        place = trace.place[nearer]
        inverse[place] = trace.inverse[nearer]
        owner[place] = k + 1
    return owner, inverse


def _shade(
    scene: Scene,
    ground: Ground,
    objects: list[_Trace],
    clutter: list[_Trace],
    owner: np.ndarray,
    inverse: np.ndarray,
) -> TabletopFrame:
    h, w = ground.inverse_depth.shape
    image = paint_ground(scene, ground)
    image *= shadow_map(scene, h, w)
    flat = image.reshape(-1, 3)
    for k, trace in enumerate([*objects, *clutter]):
        own = np.flatnonzero(owner[trace.place] == k + 1)
        if own.size:
            place = trace.place[own]
            flat[place] = _surface(scene, trace, place, own)
    visible = _shares(objects, owner)
    owner = np.where(owner > len(objects), 0, owner).astype(np.uint8)
    with np.errstate(divide='ignore'):
        depth = (1 / inverse).astype(np.float32)
    depth[~(inverse > 0)] = np.nan
    return TabletopFrame(
        scene, develop(image, scene.appearance), depth.reshape(h, w), owner.reshape(h, w),
        visible,
    )


def _shares(objects: list[_Trace], owner: np.ndarray) -> np.ndarray:
    seen = np.bincount(owner, minlength=len(objects) + 1)[1 : len(objects) + 1]
    result: np.ndarray = seen / np.array([max(o.whole, 1) for o in objects])
    return result


def _surface(
    scene: Scene, trace: _Trace, place: np.ndarray, visible: np.ndarray
) -> np.ndarray:
    """Return the colour [n, 3] of the visible points of one body."""
    camera, body = scene.camera, trace.body
    rows = place // camera.width
    pixel = np.empty((3, place.size), np.float32)
    pixel[0], pixel[1], pixel[2] = place - rows * camera.width, rows, 1
    ray = (camera.pose[:3, :3] @ np.linalg.inv(camera.K)).astype(np.float32) @ pixel
    turn = trace.pose[:3, :3]
    eye = camera.pose[:3, 3]
    path = ray * (1 / trace.inverse[visible]).astype(np.float32)
    height = path[2] + np.float32(eye[2])
    local = turn.T.astype(np.float32) @ path
    local += ((eye - trace.pose[:3, 3]) @ turn).astype(np.float32)[:, None]
    part = trace.part[visible]
    normal = surface_normals(body.geometry, turn, local, part)
    paint = body.geometry.paints.take(part)
    color = body.paints.T.astype(np.float32).take(paint, axis=1)
    for mark in body.markings:
        marked = _marked(mark, local) & (paint == mark.on)
        if mark.shade:
            color[:, marked] *= np.float32(mark.shade)
        else:
            color[:, marked] = np.array(mark.rgb, np.float32)[:, None]
    if body.grain:
        x, y, z = local * np.float32(90.0)
        wave = np.sin(x + np.float32(1.7) * np.sin(np.float32(0.7) * y + z))
        wave *= np.sin(np.float32(0.8) * y - np.float32(1.3) * z + np.float32(0.9))
        color *= wave * np.float32(body.grain) + np.float32(1)
    if body.bump:
        phase = local * np.float32(body.bump_frequency * np.pi)
        tilt = np.sin(phase + np.sin(phase[[1, 2, 0]]) * np.float32(0.6))
        normal += (turn * body.bump).astype(np.float32) @ tilt
        x, y, z = normal
        normal /= np.sqrt(x * x + y * y + z * z)
        if body.bump > 0.2:
            x, y, z = np.abs(tilt)
            color *= np.maximum(np.maximum(x, y), z) * np.float32(-0.25) + np.float32(1)
    return lit(
        scene.appearance, ray, normal, color, height / np.float32(body.geometry.height),
        _open_to_light(scene, trace, local, part), body.gloss, body.shininess,
    ).T


def _open_to_light(
    scene: Scene, trace: _Trace, local: np.ndarray, part: np.ndarray
) -> np.ndarray | None:
    """Return how much of the main light reaches points [3, n] in a hollow body, 0..1 [n]."""
    geometry = trace.body.geometry
    if geometry.opening is None:
        return None
    x, y, z, radius = geometry.opening
    light = trace.pose[:3, :3].T @ scene.appearance.light
    climb = np.maximum(np.float32(z) - local[2], 0)
    # Where the way to the light crosses the plane of the rim, in radii from its middle.
    across = np.hypot(
        local[0] - np.float32(x) + climb * np.float32(light[0] / light[2]),
        local[1] - np.float32(y) + climb * np.float32(light[1] / light[2]),
    ) * np.float32(1 / radius)
    reach: np.ndarray = np.clip((np.float32(1.08) - across) * np.float32(6), 0, 1)
    reach[~geometry.cavity[part]] = 1
    return reach


def _marked(mark: Marking, local: np.ndarray) -> np.ndarray:
    """Return which of the points [3, n] of the body's frame the marking covers, bool [n]."""
    q = mark.matrix.astype(np.float32) @ (local - mark.center.astype(np.float32)[:, None])
    x, y, z = q
    if mark.kind == 'ball':
        inside: np.ndarray = x * x + y * y + z * z < 1
    else:
        inside = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(z)) < 1
    return inside
