# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exact intersection of analytic parts with the rays of a pinhole camera.

With ``p = (u, v, 1)`` a pixel and ``M p`` its ray in a part's frame, both the discriminant of a
quadric and the inside test of a flat ring are quadratic forms ``p' S p``: one 3x3 matrix per part
says which pixels a surface covers, and only those pixels are looked at further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .shapes import BLOCK, QUADRIC, RING, Part

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_ROUND = np.linspace(0, 2 * np.pi, 9)[:-1]
_CIRCLE = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1)
# An octagon of this excess has the area of the circle.
_EXCESS = float(np.sqrt(np.pi / (4 * np.sin(np.pi / 4))))


class Geometry:
    """The parts of a body as arrays over its ``n`` parts.

    ``normals`` [n, 4]: the surface normal at a local point p is ``(normals[:3] * p)`` plus
    ``normals[3]`` along z (blocks: zero, they are told by their faces). ``outline`` [n, 24, 3] are
    points in the body's frame whose convex hull is close to the part; ``casts`` says which parts
    are needed for the body's shadow; ``opening`` is the rim (x, y, z, radius) of a hollow body,
    if it is one, and ``cavity`` [n] says which parts lie within; ``height`` is the upright extent
    in metres.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        n = len(self.parts)
        self.kinds = np.array([p.kind for p in parts])
        self.axes = np.array([p.axes for p in parts])
        self.centers = np.array([p.center for p in parts])
        self.bounds = np.array([p.bounds for p in parts])
        self.paints = np.array([p.paint for p in parts])
        self.limits = np.array([(p.low, p.high, p.min_x) for p in parts])
        self.quadrics = np.zeros((n, 5))
        self.rings = np.ones((n, 4))
        self.normals = np.zeros((n, 4))
        for k, part in enumerate(self.parts):
            if part.kind == QUADRIC:
                self.quadrics[k] = part.coefficients
                sx, sy, sz, gz, _ = part.coefficients
                sign = -1.0 if part.inner else 1.0
                self.normals[k] = (sign * sx, sign * sy, sign * sz, sign * gz / 2)
            elif part.kind == RING:
                self.rings[k] = part.coefficients
                self.normals[k, 3] = 1.0
        self.casts = np.array([p.kind != RING and not p.inner for p in parts])
        self.opening, self.cavity = self._opening()
        self.outline = self._outline()
        span = self.outline[..., 2].max() - self.outline[..., 2].min()
        self.height = max(float(span), 0.02)

    def _opening(self) -> tuple[np.ndarray | None, np.ndarray]:
        """Return the circle of an upright opening and which parts lie inside of it."""
        cavity = np.zeros(len(self.parts), bool)
        opening = None
        for k, part in enumerate(self.parts):
            if part.inner and part.axes[2, 2] > 0.99 and part.high < 1:
                sx, _, sz, gz, h = part.coefficients
                square = -(sz * part.high**2 + gz * part.high + h) / sx
                rim = np.array([*part.center[:2], part.center[2] + part.high, np.sqrt(square)])
                cavity[k] = True
                if opening is None or rim[2] > opening[2]:
                    opening = rim
        if opening is not None:
            for k, part in enumerate(self.parts):
                if part.kind == RING and part.axes[2, 2] > 0.99:
                    cavity[k] = part.center[2] < opening[2] - 1e-4
        return opening, cavity

    def _outline(self) -> np.ndarray:
        low, high = self.bounds[:, 0], self.bounds[:, 1]
        sx, _, sz, gz, h = self.quadrics.T
        middle = (low[:, 2] + high[:, 2]) / 2
        # Ends of whole ellipsoids have no extent; a level short of them follows the curve better.
        inset = np.where(sz > 0, 0.15, 0.0) * (high[:, 2] - low[:, 2])
        levels = np.stack([low[:, 2] + inset, middle, high[:, 2] - inset], axis=1)
        squares = -(sz[:, None] * levels**2 + gz[:, None] * levels + h[:, None])
        ratio = np.sqrt(np.maximum(squares, 0)) * _EXCESS
        radii = np.stack(
            [np.sqrt(1 / np.maximum(s, 1e-9)) for s in (sx, self.quadrics[:, 1])], axis=1
        )
        points = np.empty((len(self.parts), 3, 8, 3))
        points[..., :2] = _CIRCLE * radii[:, None, None] * ratio[:, :, None, None]
        points[..., 2] = levels[:, :, None]
        block = self.kinds == BLOCK
        points[block] = (low[block, None] + _CORNERS * (high - low)[block, None])[:, None]
        flat = points.reshape(len(self.parts), 24, 3)
        result: np.ndarray = flat @ self.axes.transpose(0, 2, 1) + self.centers[:, None]
        return result


@dataclass(frozen=True, eq=False)
class Hits:
    """The first hits of rays with one body, on a pixel rectangle that may leave the image.

    ``rows``, ``columns`` int [n], ``depth`` float64 [n] metres along the optical axis, ``part``
    int [n]: which surface of the body is hit.
    """

    rows: np.ndarray
    columns: np.ndarray
    depth: np.ndarray
    part: np.ndarray


def cast(
    geometry: Geometry,
    pose: np.ndarray,
    camera_pose: np.ndarray,
    K: np.ndarray,
    limits: tuple[int, int, int, int],
) -> Hits:
    """Intersect a body at ``pose`` with all pixel rays of the camera.

    Both poses are [4, 4] to the world frame; ``limits`` is the pixel rectangle
    ``(x0, y0, x1, y1)`` to look at (end exclusive). Pixel centres have integer coordinates.
    """
    turn = camera_pose[:3, :3].T @ pose[:3, :3]
    axes = turn @ geometry.axes  # part to camera
    centers = geometry.centers @ turn.T + (pose[:3, 3] - camera_pose[:3, 3]) @ camera_pose[:3, :3]
    to_part = axes.transpose(0, 2, 1)
    rays = to_part @ np.linalg.inv(K)
    origins = -(to_part @ centers[:, :, None])[:, :, 0]
    boxes = _rectangles(geometry, axes, centers, K, limits)
    forms, slopes = _forms(geometry, rays, origins)
    x0, y0 = int(boxes[:, 0].min()), int(boxes[:, 1].min())
    width, height = int(boxes[:, 2].max()) - x0, int(boxes[:, 3].max()) - y0
    width, height = max(width, 0), max(height, 0)
    depth = np.full(height * width, np.inf)
    part = np.zeros(height * width, np.intp)
    us = np.arange(x0, x0 + width, dtype=float)
    vs = np.arange(y0, y0 + height, dtype=float)
    seen = (geometry.kinds != RING) | (origins[:, 2] > 0)
    seen &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    rectangles = boxes.tolist()
    for k in np.flatnonzero(seen).tolist():
        left, top, right, bottom = rectangles[k]
        u, v = us[left - x0 : right - x0], vs[top - y0 : bottom - y0]
        kind = geometry.parts[k].kind
        if kind == BLOCK:
            inside, t = _cast_block(geometry.parts[k], rays[k], origins[k], u, v)
        else:
            inside, t = _cast_form(
                geometry.parts[k], rays[k], origins[k], forms[k], slopes[k], u, v
            )
        if not t.size:
            continue
        # From the part's window to the body's: rows are longer by the difference in width.
        index = inside + (inside // (right - left)) * (width - right + left)
        index += (top - y0) * width + left - x0
        nearer = t < depth[index]
        index = index[nearer]
        depth[index] = t[nearer]
        part[index] = k
    hit = np.flatnonzero(depth < np.inf)
    rows = hit // max(width, 1)
    return Hits(rows + y0, hit - rows * width + x0, depth[hit], part[hit])


def _rectangles(
    geometry: Geometry,
    axes: np.ndarray,
    centers: np.ndarray,
    K: np.ndarray,
    limits: tuple[int, int, int, int],
) -> np.ndarray:
    """Return the pixel rectangle [n, 4] around each part, clipped to ``limits``."""
    bounds = geometry.bounds
    corners = bounds[:, :1] + _CORNERS * (bounds[:, 1:] - bounds[:, :1])
    pixels = (corners @ axes.transpose(0, 2, 1) + centers[:, None]) @ K.T
    z = pixels[..., 2]
    xy = pixels[..., :2] / np.maximum(z, 1e-3)[..., None]
    boxes = np.concatenate([np.floor(xy.min(axis=1)), np.ceil(xy.max(axis=1)) + 1], axis=1)
    boxes[(z < 0.02).any(axis=1)] = limits
    low, high = np.array(limits[:2] * 2), np.array(limits[2:] * 2)
    result: np.ndarray = np.clip(boxes, low, high).astype(int)
    return result


def _forms(
    geometry: Geometry, rays: np.ndarray, origins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each part the form [n, 3, 3] that is positive where its surface is hit."""
    scale = geometry.quadrics[:, :3]
    gz, h = geometry.quadrics[:, 3], geometry.quadrics[:, 4]
    gradient = scale * origins
    constant = (gradient * origins).sum(axis=1) + gz * origins[:, 2] + h
    gradient[:, 2] += gz / 2
    slopes = (gradient[:, None] @ rays)[:, 0]
    quadratic = rays.transpose(0, 2, 1) @ (scale[:, :, None] * rays)
    forms = slopes[:, :, None] * slopes[:, None] - constant[:, None, None] * quadratic
    ring = geometry.kinds == RING
    if ring.any():
        M, o = rays[ring], origins[ring]
        x = (o[:, :1] * M[:, 2] - o[:, 2:] * M[:, 0]) / geometry.rings[ring, :1]
        y = (o[:, 1:2] * M[:, 2] - o[:, 2:] * M[:, 1]) / geometry.rings[ring, 1:2]
        z = M[:, 2]
        forms[ring] = sum(
            sign * a[:, :, None] * a[:, None] for sign, a in ((1, z), (-1, x), (-1, y))
        )
    return forms, slopes


def _cast_form(
    part: Part,
    M: np.ndarray,
    o: np.ndarray,
    S: np.ndarray,
    slope: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the flat indices into the grid (v, u) where the part is hit, and the depths."""
    form = np.multiply.outer((2 * S[0, 1]) * v, u)
    form += (S[0, 0] * u + 2 * S[0, 2]) * u + S[2, 2]
    form += ((S[1, 1] * v + 2 * S[1, 2]) * v)[:, None]
    form = form.ravel()
    inside = np.flatnonzero(form > 0)
    rows = inside // u.size  # several times faster than divmod
    pixel = np.empty((3, inside.size))
    pixel[0], pixel[1], pixel[2] = inside - rows * u.size + u[0], rows + v[0], 1.0
    ray = M @ pixel
    if part.kind == RING:
        t = -o[2] / ray[2]
        valid = t > 1e-3
        ix, iy = part.coefficients[2:]
        if ix > 0:
            valid &= (
                (o[0] + t * ray[0]) ** 2 / ix**2 + (o[1] + t * ray[1]) ** 2 / iy**2 >= 1
            )
    else:
        root = np.sqrt(form[inside])
        sx, sy, sz, _, _ = part.coefficients
        leading = sx * ray[0] ** 2 + sy * ray[1] ** 2 + sz * ray[2] ** 2
        leading[np.abs(leading) < 1e-12] = 1e-12
        # The root with a positive derivative leaves the solid whatever the sign of `leading`.
        t = ((root if part.inner else -root) - slope @ pixel) / leading
        z = o[2] + t * ray[2]
        valid = (t > 1e-3) & (z >= part.low) & (z <= part.high)
    if part.min_x > -1:
        valid &= o[0] + t * ray[0] >= part.min_x
    return inside[valid], t[valid]


def _cast_block(
    part: Part, M: np.ndarray, o: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    enter: np.ndarray | None = None
    leave: np.ndarray | None = None
    for axis in range(3):
        ray = np.add.outer(M[axis, 1] * v, M[axis, 0] * u + M[axis, 2])
        ray[np.abs(ray) < 1e-12] = 1e-12
        inverse = 1.0 / ray
        a = (part.bounds[0, axis] - o[axis]) * inverse
        b = (part.bounds[1, axis] - o[axis]) * inverse
        near, far = np.minimum(a, b), np.maximum(a, b)
        enter = near if enter is None else np.maximum(enter, near, out=enter)
        leave = far if leave is None else np.minimum(leave, far, out=leave)
    assert enter is not None and leave is not None
    inside = np.flatnonzero((enter < leave) & (enter > 1e-3))
    return inside, enter.ravel()[inside]


def surface_normals(
    geometry: Geometry, rotation: np.ndarray, local: np.ndarray, part: np.ndarray
) -> np.ndarray:
    """Return unit normals float32 [3, n], turned by ``rotation``, at points of a body's parts.

    ``local`` float32 [3, n] are in the body's frame in metres.
    """
    # normal = R A (diag(s) A' (p - c) + g z) = matrix p + offset, one pair per part.
    turned = rotation @ geometry.axes
    factors = geometry.normals
    matrices = (turned * factors[:, None, :3]) @ geometry.axes.transpose(0, 2, 1)
    offsets = turned[:, :, 2] * factors[:, 3:] - (matrices @ geometry.centers[:, :, None])[..., 0]
    if len(geometry.parts) == 1:
        normal = matrices[0].astype(np.float32) @ local
        normal += offsets[0].astype(np.float32)[:, None]
    else:
        # Component by component: small matrices per point are slow in numpy.
        table = np.concatenate([matrices, offsets[:, :, None]], axis=2)
        table = np.ascontiguousarray(table.transpose(1, 2, 0), np.float32)
        normal = np.empty_like(local)
        for k in range(3):
            value = table[k, 3].take(part)
            for j in range(3):
                value += table[k, j].take(part) * local[j]
            normal[k] = value
    for k in np.flatnonzero(geometry.kinds == BLOCK).tolist():
        chosen = np.flatnonzero(part == k)
        to_faces = (geometry.axes[k] / geometry.bounds[k, 1]).astype(np.float32)
        q = to_faces.T @ (local[:, chosen] - geometry.centers[k].astype(np.float32)[:, None])
        x, y, z = np.abs(q)
        face = np.where(x > y, np.where(x > z, 0, 2), np.where(y > z, 1, 2))
        positive = q[face, np.arange(chosen.size)] > 0
        faces = np.concatenate([-turned[k], turned[k]], axis=1).astype(np.float32)
        normal[:, chosen] = faces.take(face + 3 * positive, axis=1)
    x, y, z = normal
    normal /= np.sqrt(x * x + y * y + z * z + np.float32(1e-20))
    result: np.ndarray = normal
    return result
