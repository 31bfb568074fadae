# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies: the surfaces of each category, built around the centre of their tight, upright box.

A builder returns the parts and the extents; z points up and z = -size/2 is the resting plane.
Paint 0 is the named colour; 1 to 3 are the colours of minor parts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .casting import Geometry
from .shapes import Part, block, cone, ellipsoid, frame_along, handle, moved, ring, round_chain

MAIN, SECOND, DARK, LIGHT = 0, 1, 2, 3


@dataclass(frozen=True, eq=False)
class Marking:
    """A mark in a second colour: where ``q = matrix (point - center)`` is inside.

    ``kind`` 'box': max |q| < 1; 'ball': |q| < 1. Points are in the body's
    frame, metres. Only paint ``on`` is marked. With a ``shade`` the mark only dims what is there
    by that factor.
    """

    kind: str
    matrix: np.ndarray
    center: np.ndarray
    rgb: tuple[float, float, float]
    on: int = MAIN
    shade: float = 0.0


@dataclass(frozen=True, eq=False)
class Body:
    """The drawn form of a thing.

    ``paints`` [4, 3] rgb 0..1. ``bump`` is the slope of a bumpy surface and ``bump_frequency`` its
    waves per metre; ``grain`` scales fine variation of brightness; ``gloss`` and ``shininess``
    are the strength and exponent of the highlight.
    """

    parts: tuple[Part, ...]
    paints: np.ndarray
    markings: tuple[Marking, ...] = ()
    bump: float = 0.0
    bump_frequency: float = 0.0
    grain: float = 0.0
    gloss: float = 0.2
    shininess: float = 20.0

    @cached_property
    def geometry(self) -> Geometry:
        """The parts as arrays."""
        return Geometry(self.parts)


Shape = tuple[list[Part], np.ndarray, list[Marking]]
_Rng = np.random.Generator
_LIE = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # turns the z axis onto the x axis


def build(category: str, rng: _Rng, *, upright: float) -> Shape:
    """Draw the form of one object: parts about the box centre, extents [3] in metres, markings.

    ``upright`` is the probability that cans and bottles stand. The markings carry no colour yet
    (their rgb is the second paint's, chosen by the caller).
    """
    return _BUILDERS[category](rng, upright)


def _log_uniform(rng: _Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _band(low: float, high: float, axis: int = 2, on: int = MAIN) -> Marking:
    matrix = np.zeros((3, 3))
    matrix[0, axis] = 2 / (high - low)
    center = np.zeros(3)
    center[axis] = (low + high) / 2
    return Marking('box', matrix, center, (0.0, 0.0, 0.0), on=on)


def _ball(rng: _Rng, _: float) -> Shape:
    diameter = _log_uniform(rng, 0.045, 0.11)
    r = diameter / 2
    markings = []
    style = rng.random()
    if style < 0.12:
        offset = rng.uniform(-0.4, 0.4) * r
        turn = frame_along(_direction(rng))
        matrix = np.zeros((3, 3))
        matrix[0] = turn[:, 2] / (rng.uniform(0.08, 0.16) * r)
        markings.append(Marking('box', matrix, turn[:, 2] * offset, (0, 0, 0)))
    elif style < 0.24:
        turn = frame_along(_direction(rng))
        for k in range(3):
            matrix = np.zeros((3, 3))
            matrix[0] = turn[:, k] / (0.045 * r)
            markings.append(Marking('box', matrix, np.zeros(3), (0, 0, 0)))
    elif style < 0.34:
        for _dot in range(int(rng.integers(3, 8))):
            center = _direction(rng) * r
            markings.append(
                Marking('ball', np.eye(3) / (rng.uniform(0.12, 0.3) * r), center, (0, 0, 0))
            )
    if style > 0.9:
        # Knobs all over, among them one on each of the six axes: they set the extents.
        knob = rng.uniform(0.11, 0.16) * r
        core = r - rng.uniform(0.45, 0.7) * knob
        parts = [ellipsoid((0, 0, 0), (core, core, core))]
        for x, y, z in _KNOBS * (r - knob):
            parts.append(ellipsoid((x, y, z), (knob, knob, knob)))
        return parts, np.full(3, diameter), []
    return [ellipsoid((0, 0, 0), (r, r, r))], np.full(3, diameter), markings


def _knob_directions() -> np.ndarray:
    """Return the 42 directions of an icosahedron's corners and edges, axes included."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array([
        np.roll([0, a, b * golden], k) for k in range(3) for a in (-1, 1) for b in (-1, 1)
    ])
    pairs = [
        corners[i] + corners[j] for i in range(12) for j in range(i)
        if np.linalg.norm(corners[i] - corners[j]) < 2.01
    ]
    directions = np.concatenate([corners, np.array(pairs)])
    result: np.ndarray = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return result


_KNOBS = _knob_directions()


def _direction(rng: _Rng) -> np.ndarray:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def _face_marks(rng: _Rng, size: np.ndarray, share: float) -> list[Marking]:
    """Return rectangles and dots on faces of a block, small enough to leave its colour clear."""
    marks = []
    half = size / 2
    for axis in range(3):
        for sign in (-1.0, 1.0):
            if rng.random() > share or (axis == 2 and sign < 0):
                continue
            others = [a for a in range(3) if a != axis]
            for _ in range(int(rng.integers(1, 4))):
                extent = rng.uniform(0.12, 0.5, 2) * half[others]
                center = np.zeros(3)
                center[axis] = sign * half[axis]
                center[others] = rng.uniform(-0.9, 0.9, 2) * (half[others] - extent)
                matrix = np.zeros((3, 3))
                matrix[axis, axis] = 1 / (0.01 * half[axis])
                matrix[others[0], others[0]] = 1 / extent[0]
                matrix[others[1], others[1]] = 1 / extent[1]
                kind = 'ball' if rng.random() < 0.4 else 'box'
                marks.append(Marking(kind, matrix, center, (0, 0, 0)))
    return marks


def _cube(rng: _Rng, _: float) -> Shape:
    side = _log_uniform(rng, 0.04, 0.09)
    size = np.full(3, side)
    marks: list[Marking] = []
    style = rng.random()
    if style < 0.2:
        # A dice-like spot in the middle of each face.
        for axis in range(3):
            for sign in (-1.0, 1.0):
                center = np.zeros(3)
                center[axis] = sign * side / 2
                marks.append(Marking('ball', np.eye(3) / (0.16 * side), center, (0, 0, 0)))
    elif style < 0.4:
        marks = _face_marks(rng, size, 0.5)
    return [block((0, 0, 0), (side, side, side))], size, marks


def _box(rng: _Rng, _: float) -> Shape:
    longest = _log_uniform(rng, 0.11, 0.24)
    flat = rng.random() < 0.45
    middle = longest * rng.uniform(0.45, 0.8 if flat else 0.6)
    shortest = longest * (rng.uniform(0.13, 0.35) if flat else rng.uniform(0.28, 0.5))
    shortest = min(shortest, middle * 0.85)
    # Lying flat, on its long edge, or upright like a packet.
    pose = rng.random()
    if pose < 0.55:
        size = np.array([longest, middle, shortest])
    elif pose < 0.8:
        size = np.array([longest, shortest, middle])
    else:
        size = np.array([middle, shortest, longest * 0.85])
        size[1] = min(size[1], size.max() / 1.9)
    marks = _face_marks(rng, size, 0.55) if rng.random() < 0.6 else []
    return [block((0, 0, 0), (size[0], size[1], size[2]))], size, marks


def _can(rng: _Rng, upright: float) -> Shape:
    diameter = _log_uniform(rng, 0.055, 0.09)
    height = diameter * rng.uniform(1.3, 1.9)
    r, h = diameter / 2, height / 2
    metal = rng.random() < 0.55
    rim = LIGHT if metal else MAIN
    parts = [
        cone(-h, -h + 0.07 * height, r, r, paint=LIGHT),
        cone(-h + 0.07 * height, h - 0.07 * height, r, r),
        cone(h - 0.07 * height, h, r, r, paint=LIGHT),
        ring(h, r, 0.9 * r, paint=LIGHT),
        ring(h, 0.9 * r, 0.62 * r, paint=rim),
        ring(h, 0.62 * r, 0.55 * r, paint=DARK),
        ring(h, 0.55 * r, paint=rim),
        ring(-h, r, 0.82 * r, down=True, paint=LIGHT),
        ring(-h, 0.82 * r, 0.75 * r, down=True, paint=DARK),
        ring(-h, 0.75 * r, down=True, paint=rim),
    ]
    marks = []
    if rng.random() < 0.55:
        low = rng.uniform(-0.5, 0.1) * h
        marks.append(_band(low, low + rng.uniform(0.2, 0.45) * h))
    if rng.random() < 0.35:
        marks += _round_label(rng, r, h, 0.3)
    return _stand_or_lie(parts, marks, np.array([diameter, diameter, height]), rng, upright)


def _round_label(rng: _Rng, r: float, h: float, size: float) -> list[Marking]:
    angle = rng.uniform(0, 2 * np.pi)
    center = np.array([np.cos(angle) * r, np.sin(angle) * r, rng.uniform(-0.3, 0.3) * h])
    extent = np.array([0.7 * r, 0.7 * r, size * h])
    kind = 'ball' if rng.random() < 0.5 else 'box'
    return [Marking(kind, np.diag(1 / extent), center, (0, 0, 0))]


def _stand_or_lie(
    parts: list[Part], marks: list[Marking], size: np.ndarray, rng: _Rng, upright: float
) -> Shape:
    if rng.random() < upright:
        return parts, size, marks
    turned = [
        replace(m, matrix=m.matrix @ _LIE.T, center=_LIE @ m.center) for m in marks
    ]
    return moved(parts, np.zeros(3), _LIE), size[[2, 1, 0]], turned


def _mug(rng: _Rng, upright: float) -> Shape:
    diameter = _log_uniform(rng, 0.065, 0.1)
    height = diameter * rng.uniform(0.95, 1.3)
    r, h = diameter / 2, height / 2
    taper = rng.choice([1.0, 1.0, rng.uniform(0.78, 0.95)])
    wall = 0.09 * r
    # From high above the inside is most of what is seen and has to bear the colour's name.
    inside = SECOND if rng.random() < 0.3 and upright > 0.6 else MAIN
    reach, tall = r * rng.uniform(0.62, 0.85), h * rng.uniform(0.6, 0.75)
    thickness = r * rng.uniform(0.18, 0.26)
    start = (taper + (1 - taper) * 0.5) * r * 0.97
    parts = [
        cone(-h, h, r * taper, r),
        cone(-0.9 * h, h, (r - wall) * taper, r - wall, inner=True, paint=inside),
        ring(-0.9 * h, (r - wall) * taper, paint=inside),
        ring(h, r, r - wall),
        *handle(start, (reach, tall), thickness, r * rng.uniform(0.22, 0.34)),
    ]
    # Keep the handle's root inside the wall where a tapered body is thinner than its middle.
    low, high = -r, start + reach
    shift = np.array([-(low + high) / 2, 0.0, 0.0])
    marks: list[Marking] = []
    if rng.random() < 0.3:
        low_band = rng.uniform(-0.6, 0.3) * h
        marks.append(_band(low_band, low_band + rng.uniform(0.15, 0.35) * h))
    elif rng.random() < 0.25:
        marks = _round_label(rng, r, h, 0.4)
    marks = [replace(m, center=m.center + shift) for m in marks]
    return moved(parts, shift), np.array([high - low, diameter, height]), marks


def _bowl(rng: _Rng, _: float) -> Shape:
    diameter = _log_uniform(rng, 0.10, 0.18)
    height = diameter * rng.uniform(0.38, 0.52)
    r, h = diameter / 2, height / 2
    wall = 0.05 * r
    depth = height / rng.uniform(0.9, 0.97)
    inner_depth = depth - wall
    floor = -(height - 0.12 * height)
    floor_radius = (r - wall) * float(np.sqrt(max(1 - (floor / inner_depth) ** 2, 0)))
    parts = [
        ellipsoid((0, 0, h), (r, r, depth), low=-height, high=0.0),
        ellipsoid(
            (0, 0, h), (r - wall, r - wall, inner_depth), low=floor, high=0.0, inner=True,
        ),
        ring(h + floor, floor_radius),
        ring(h, r, r - wall),
    ]
    marks = []
    if rng.random() < 0.3:
        top = h * rng.uniform(0.6, 0.95)
        marks.append(_band(top - 0.2 * h, top))
    return parts, np.array([diameter, diameter, height]), marks


def _plate(rng: _Rng, _: float) -> Shape:
    diameter = _log_uniform(rng, 0.14, 0.25)
    height = diameter * rng.uniform(0.07, 0.11)
    r, h = diameter / 2, height / 2
    foot = r * rng.uniform(0.5, 0.62)
    well = r * rng.uniform(0.62, 0.7)
    lip = 0.25 * height
    parts = [
        cone(-h, h - 0.1 * lip, foot, r),
        cone(h - 0.1 * lip, h, r, r),
        ring(h, r, 0.985 * r),
        cone(h - 0.45 * height, h, 1.06 * well, 0.985 * r, inner=True),
        cone(-h + lip, h - 0.45 * height, well, 1.06 * well, inner=True),
        ring(-h + lip, well),
    ]
    marks = []
    style = rng.random()
    if style < 0.25:
        radius = r * rng.uniform(0.93, 0.97)
        marks.append(_band(h - height * 0.12 * r / radius, h + 1e-3))
    elif style < 0.35:
        extent = np.array([0.45 * well, 0.45 * well, height])
        marks.append(Marking('ball', np.diag(1 / extent), np.zeros(3), (0, 0, 0)))
    return parts, np.array([diameter, diameter, height]), marks


def _bottle(rng: _Rng, upright: float) -> Shape:
    height = _log_uniform(rng, 0.15, 0.25)
    diameter = height * rng.uniform(0.27, 0.38)
    r, h = diameter / 2, height / 2
    neck = r * rng.uniform(0.32, 0.45)
    cap = neck * rng.uniform(1.08, 1.35)
    cap_low = h - height * rng.uniform(0.07, 0.12)
    neck_low = cap_low - height * rng.uniform(0.06, 0.15)
    shoulder = neck_low - height * rng.uniform(0.1, 0.17)
    parts = [
        cone(-h, shoulder, r, r),
        cone(neck_low, cap_low, neck, neck),
        cone(cap_low, h, cap, cap, paint=SECOND),
        ring(h, cap, paint=SECOND),
        ring(cap_low, cap, down=True, paint=SECOND),
        ring(-h, r, down=True),
    ]
    if rng.random() < 0.5:
        parts.append(cone(shoulder, neck_low, r, neck))
    else:
        # The ellipsoid's belt meets the body and its cut end meets the neck.
        rise = (neck_low - shoulder) / float(np.sqrt(1 - (neck / r) ** 2))
        parts.append(
            ellipsoid((0, 0, shoulder), (r, r, rise), low=0.0, high=neck_low - shoulder)
        )
    marks = []
    if rng.random() < 0.5:
        low = rng.uniform(-0.85, -0.45) * h
        marks.append(_band(low, low + rng.uniform(0.2, 0.4) * h))
    elif rng.random() < 0.4:
        marks = _round_label(rng, r, h * 0.6, 0.45)
    return _stand_or_lie(parts, marks, np.array([diameter, diameter, height]), rng, upright)


def _centred(centers: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = (centers - radii[:, None]).min(axis=0)
    high = (centers + radii[:, None]).max(axis=0)
    return centers - (low + high) / 2, high - low


def _banana(rng: _Rng, _: float) -> Shape:
    length = _log_uniform(rng, 0.13, 0.21)
    thick = length * rng.uniform(0.085, 0.11)
    arc = rng.uniform(1.3, 2.0)
    bend = length / arc
    profile = np.array([0.42, 0.5, 0.86, 1.0, 0.98, 0.8, 0.42, 0.28, 0.32])
    places = np.array([0.0, 0.03, 0.15, 0.36, 0.6, 0.8, 0.91, 0.955, 1.0])
    angles = (places - 0.5) * arc
    radii = thick * profile
    mirror = rng.choice([-1.0, 1.0])
    # Resting on its side: every sphere of the chain touches the plane.
    centers = np.stack(
        [bend * np.sin(angles), mirror * bend * np.cos(angles), radii], axis=1
    )
    centers, size = _centred(centers, radii)
    paints = [DARK, MAIN, MAIN, MAIN, MAIN, MAIN, MAIN, MAIN, DARK]
    parts = round_chain(centers, radii, paints)
    # Cones take the paint of their first end; the tip's cone belongs to the body.
    return parts, size, []


def _carrot(rng: _Rng, _: float) -> Shape:
    length = _log_uniform(rng, 0.11, 0.2)
    thick = length * rng.uniform(0.1, 0.15)
    stub = rng.uniform(0.1, 0.17)
    places = np.array([0.0, 0.3, 0.72, 0.86, 0.9, 0.9 + stub])
    profile = np.array([0.2, 0.6, 0.97, 1.0, 0.36, 0.26])
    radii = thick * profile
    sway = rng.uniform(-0.015, 0.015) * length
    centers = np.stack(
        [places * length, sway * np.sin(places * np.pi), radii], axis=1
    )
    centers, size = _centred(centers, radii)
    tip = SECOND if rng.random() < 0.5 else MAIN
    parts = round_chain(centers, radii, [MAIN, MAIN, MAIN, MAIN, tip, tip])
    marks = []
    if rng.random() < 0.6:
        for place in rng.uniform(0.1, 0.82, int(rng.integers(3, 9))):
            x = centers[0, 0] + place * length
            ridge = _band(x - 0.005 * length, x + rng.uniform(0.004, 0.008) * length, axis=0)
            marks.append(replace(ridge, shade=float(rng.uniform(0.6, 0.9))))
    return parts, size, marks


_BUILDERS: dict[str, Callable[[_Rng, float], Shape]] = {
    'ball': _ball, 'cube': _cube, 'box': _box, 'can': _can, 'mug': _mug, 'bowl': _bowl,
    'bottle': _bottle, 'plate': _plate, 'banana': _banana, 'carrot': _carrot,
}
