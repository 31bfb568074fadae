# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Analytic surface parts: clipped quadrics, flat elliptic rings, blocks, and joining them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

_IDENTITY = np.eye(3)
_FLIPPED = np.diag([1.0, -1.0, -1.0])
_INFINITY = 1e9

QUADRIC, RING, BLOCK = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Part:
    """One surface of a body, in metres; ``axes`` holds the part's own axes as columns.

    ``kind`` QUADRIC: ``sx x^2 + sy y^2 + sz z^2 + gz z + h = 0`` with coefficients
    ``(sx, sy, sz, gz, h)``, cut to ``low <= z <= high`` and ``x >= min_x``; ``inner`` parts are
    seen from inside. RING: the plane z = 0 between ellipses, coefficients ``(rx, ry, ix, iy)``,
    seen from its +z side. BLOCK: the box between ``bounds``, which is ``[2, 3]``: the
    lower and the upper corner around the part in its own frame, for every kind. ``paint`` picks
    one of the colours of the body.
    """

    kind: int
    coefficients: tuple[float, ...]
    bounds: np.ndarray
    center: np.ndarray = field(default_factory=lambda: np.zeros(3))
    axes: np.ndarray = field(default_factory=lambda: _IDENTITY)
    low: float = -_INFINITY
    high: float = _INFINITY
    min_x: float = -_INFINITY
    inner: bool = False
    paint: int = 0


def _bounds(rx: float, ry: float, low: float, high: float) -> np.ndarray:
    return np.array([[-rx, -ry, low], [rx, ry, high]])


def ellipsoid(
    center: tuple[float, float, float],
    radii: tuple[float, float, float],
    *,
    low: float = -_INFINITY,
    high: float = _INFINITY,
    inner: bool = False,
    paint: int = 0,
    axes: np.ndarray = _IDENTITY,
) -> Part:
    """Return an ellipsoid with semi-axes ``radii``, cut to ``low <= z <= high``."""
    rx, ry, rz = radii
    return Part(
        QUADRIC, (1 / rx**2, 1 / ry**2, 1 / rz**2, 0.0, -1.0),
        _bounds(rx, ry, max(-rz, low), min(rz, high)), np.array(center, float), axes,
        low, high, inner=inner, paint=paint,
    )


def cone(
    bottom: float,
    top: float,
    bottom_radius: float,
    top_radius: float,
    *,
    inner: bool = False,
    paint: int = 0,
) -> Part:
    """Return the side of a frustum (a cylinder where the radii agree) about the z axis."""
    slope = (top_radius - bottom_radius) / (top - bottom)
    offset = bottom_radius - slope * bottom
    radius = max(bottom_radius, top_radius)
    return Part(
        QUADRIC, (1.0, 1.0, -slope**2, -2 * offset * slope, -(offset**2)),
        _bounds(radius, radius, bottom, top), low=bottom, high=top, inner=inner, paint=paint,
    )


def ring(
    height: float, outer: float, inner: float = 0.0, *, down: bool = False, paint: int = 0
) -> Part:
    """Return a flat ring (a disc where ``inner`` is 0) at ``z = height``, facing up or down."""
    return Part(
        RING, (outer, outer, inner, inner), _bounds(outer, outer, 0.0, 0.0),
        np.array([0.0, 0.0, height]), _FLIPPED if down else _IDENTITY, paint=paint,
    )


def block(
    center: tuple[float, float, float],
    size: tuple[float, float, float],
    *,
    paint: int = 0,
    axes: np.ndarray = _IDENTITY,
) -> Part:
    """Return a box of the given full extents."""
    half = np.array(size, float) / 2
    return Part(
        BLOCK, (), np.stack([-half, half]), np.array(center, float), axes, paint=paint
    )


def handle(
    x: float, radii: tuple[float, float], thickness: float, width: float, *, paint: int = 0
) -> list[Part]:
    """Return half of an upright elliptic ring beyond the plane ``x``, as mugs have it."""
    # The part's z axis lies along -y of the body; its x stays x, its y becomes z.
    axes = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    a, b = radii
    ia, ib = a - thickness, b - thickness
    center = np.array([x, 0.0, 0.0])
    half = width / 2
    parts = [
        Part(
            QUADRIC, (1 / p**2, 1 / q**2, 0.0, 0.0, -1.0), _bounds(p, q, -half, half), center,
            axes, -half, half, 0.0, inner, paint,
        )
        for p, q, inner in ((a, b, False), (ia, ib, True))
    ]
    for side, turned in ((-half, axes), (half, axes @ _FLIPPED)):
        parts.append(
            Part(
                RING, (a, b, ia, ib), _bounds(a, b, 0, 0), center + np.array([0, side, 0]), turned,
                min_x=0.0, paint=paint,
            )
        )
    return parts


def round_chain(
    centers: np.ndarray, radii: np.ndarray, paints: list[int] | None = None
) -> list[Part]:
    """Return spheres ``[n, 3]`` and the cones tangent to each neighbouring pair: a smooth limb.

    The whole stays within the convex hulls of neighbouring spheres, so the box around the
    spheres is the box around the chain.
    """
    paints = paints or [0] * len(radii)
    parts = [
        ellipsoid(tuple(c), (r, r, r), paint=p)
        for c, r, p in zip(centers, radii, paints, strict=True)
    ]
    for i in range(len(radii) - 1):
        span = centers[i + 1] - centers[i]
        length = float(np.linalg.norm(span))
        drop = float(radii[i] - radii[i + 1])
        if length <= abs(drop) + 1e-9:
            continue
        # Both spheres touch the cone along circles shifted along the axis by r sin(half angle).
        sine = drop / length
        cosine = float(np.sqrt(1 - sine**2))
        low, high = radii[i] * sine, length + radii[i + 1] * sine
        side = cone(
            low, high, radii[i] * cosine, radii[i + 1] * cosine, paint=paints[i]
        )
        parts.append(replace(side, center=centers[i], axes=frame_along(span / length)))
    return parts


def frame_along(direction: np.ndarray) -> np.ndarray:
    """Return a rotation whose third column is the unit vector ``direction``."""
    x, y, z = direction.tolist()
    # The x axis is level: (0, 0, 1) x direction, or the world's where direction is upright.
    level = float(np.hypot(x, y))
    a, b = (-y / level, x / level) if level > 1e-9 else (1.0, 0.0)
    return np.array([[a, -z * b, x], [b, z * a, y], [0.0, x * b - y * a, z]])


def moved(parts: list[Part], offset: np.ndarray, rotation: np.ndarray = _IDENTITY) -> list[Part]:
    """Return the parts turned by ``rotation`` about the origin and then shifted by ``offset``."""
    return [
        replace(p, center=rotation @ p.center + offset, axes=rotation @ p.axes) for p in parts
    ]
