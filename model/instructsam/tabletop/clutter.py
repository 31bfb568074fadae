# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things in a scene that have no name: figures, tools, rings, a robot's arm, a hand at the border.

Each is made of several parts so that none of them can be taken for one of the categories.
"""

from __future__ import annotations

import colorsys

import numpy as np

from .appearance import any_color
from .bodies import Body
from .shapes import Part, block, cone, ellipsoid, frame_along, moved, ring, round_chain

_Rng = np.random.Generator


def _finish(
    parts: list[Part], paints: np.ndarray, rng: _Rng, *, gloss: float = 0.3
) -> tuple[Body, np.ndarray]:
    """Set the parts on the plane z = 0 about their middle; return the body and its extents."""
    corners = []
    for part in parts:
        box = part.bounds[np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T,
                          np.arange(3)]
        corners.append(box @ part.axes.T + part.center)
    points = np.concatenate(corners)
    low, high = points.min(axis=0), points.max(axis=0)
    shift = np.array([-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]])
    body = Body(
        tuple(moved(parts, shift)), np.clip(paints, 0, 1), grain=float(rng.uniform(0, 0.1)),
        gloss=float(rng.uniform(0, gloss)), shininess=float(rng.uniform(8, 60)),
    )
    return body, high - low


def _two_tones(rng: _Rng) -> np.ndarray:
    """Return four colours: a vivid one, skin or another vivid one, a dark and a light one."""
    vivid = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.5, 1), rng.uniform(0.4, 0.95))
    skin = colorsys.hsv_to_rgb(
        rng.uniform(0.04, 0.1), rng.uniform(0.2, 0.5), rng.uniform(0.6, 0.95)
    )
    other = skin if rng.random() < 0.5 else tuple(any_color(rng))
    return np.array([vivid, other, any_color(rng) * 0.3, any_color(rng) * 0.4 + 0.6])


def figure(rng: _Rng) -> tuple[Body, np.ndarray]:
    """Return a lying or standing doll or animal of a few ellipsoids in two or more colours."""
    s = float(np.exp(rng.uniform(np.log(0.018), np.log(0.038))))
    fat = rng.uniform(0.75, 1.15)
    parts = [
        ellipsoid((0, 0, 0), (1.25 * s, fat * s, 0.9 * s), paint=int(rng.integers(0, 2))),
        ellipsoid(
            (1.9 * s, rng.uniform(-0.3, 0.3) * s, 0.1 * s), (0.9 * s, 0.85 * s, 0.85 * s), paint=1
        ),
    ]
    if rng.random() < 0.7:
        hat = rng.uniform(0.5, 0.9)
        parts.append(
            ellipsoid(
                (2.5 * s, rng.uniform(-0.4, 0.4) * s, 0.25 * s), (hat * s, 0.7 * s, 0.7 * s)
            )
        )
    else:
        for side in (-1, 1):
            parts.append(ellipsoid((2.5 * s, side * 0.6 * s, 0.3 * s), (0.4 * s, 0.3 * s, 0.3 * s)))
    for side in (-1, 1):
        for x, reach in ((-1.2, 0.95), (0.8, 0.8)):
            if rng.random() < 0.85:
                start = np.array([x * s, side * 0.55 * s, -0.3 * s])
                end = start + s * np.array(
                    [rng.uniform(-0.9, 0.3), side * rng.uniform(0.2, 0.9), rng.uniform(-0.2, 0.3)]
                )
                radius = 0.32 * s * reach
                parts += round_chain(
                    np.stack([start, end]), np.array([radius, radius * 0.9]),
                    [int(rng.integers(0, 3))] * 2,
                )
    if rng.random() < 0.6:
        parts.append(ellipsoid((0.1 * s, 0, 0.75 * s), (0.55 * s, 0.5 * s, 0.3 * s), paint=3))
    if rng.random() < 0.25:
        up = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
        parts = moved(parts, np.zeros(3), up)
    return _finish(parts, _two_tones(rng), rng, gloss=0.6)


def tool(rng: _Rng) -> tuple[Body, np.ndarray]:
    """Return something like a drill, a clamp or a screwdriver."""
    s = float(rng.uniform(0.7, 1.3))
    style = rng.random()
    if style < 0.5:
        length = 0.11 * s
        lie = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
        barrel = moved(
            [
                cone(-0.04 * s, 0.05 * s, 0.021 * s, 0.018 * s),
                cone(0.05 * s, 0.085 * s, 0.015 * s, 0.009 * s, paint=2),
                ring(-0.04 * s, 0.021 * s, down=True, paint=2), ring(0.085 * s, 0.009 * s, paint=3),
            ],
            np.zeros(3), lie,
        )
        turn = rng.uniform(-0.3, 0.3)
        axes = np.array(
            [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        )
        grip = block((-0.015 * s, -0.05 * s, 0), (0.028 * s, length * 0.7, 0.026 * s),
                     paint=2, axes=axes)
        foot = block((-0.01 * s, -0.095 * s, 0), (0.06 * s, 0.024 * s, 0.034 * s), axes=axes)
        return _finish([*barrel, grip, foot], _two_tones(rng), rng)
    if style < 0.75:
        a, b, t = 0.05 * s, 0.07 * s, 0.016 * s
        parts = [
            block((0, 0, 0), (a, t, t)), block((-a / 2, b / 2, 0), (t, b, t), paint=2),
            block((a / 2, b / 4, 0), (t, b / 2, t), paint=1),
        ]
        return _finish(parts, _two_tones(rng), rng)
    line = np.array([[0.0, 0, 0], [0.06, 0, 0], [0.062, 0, 0], [0.13, 0, 0]]) * s
    parts = round_chain(line, np.array([0.009, 0.011, 0.004, 0.003]) * s, [2, 2, 3, 3])
    return _finish(parts, _two_tones(rng), rng)


def tape(rng: _Rng) -> tuple[Body, np.ndarray]:
    """Return a roll of tape: a thick ring lying flat."""
    r = float(rng.uniform(0.025, 0.05))
    hole, height = r * rng.uniform(0.6, 0.8), r * rng.uniform(0.3, 0.6)
    parts = [
        cone(0, height, r, r), cone(0, height, hole, hole, inner=True, paint=3),
        ring(height, r, hole), ring(height + 1e-4, hole * 1.08, hole, paint=1),
    ]
    return _finish(parts, _two_tones(rng), rng)


def blocks(rng: _Rng) -> tuple[Body, np.ndarray]:
    """Return an odd thing glued from a block, a cone and a knob."""
    s = float(rng.uniform(0.02, 0.04))
    parts = [
        block((0, 0, 0.4 * s), (rng.uniform(1.2, 2.4) * s, s, 0.8 * s), paint=1),
        cone(0.8 * s, 1.6 * s, 0.45 * s, 0.2 * s), ring(1.6 * s, 0.2 * s),
        ellipsoid((rng.uniform(-0.5, 0.5) * s, 0.3 * s, 1.0 * s), (0.4 * s, 0.4 * s, 0.5 * s),
                  paint=2),
    ]
    return _finish(parts, _two_tones(rng), rng)


def arm(rng: _Rng) -> Body:
    """Return a piece of a robot's arm along x from the origin outwards, its axis at z = 0."""
    s = float(rng.uniform(0.03, 0.055))
    line = np.array([[0.0, 0, 0], [0.12, 0, 0.01], [0.3, 0, 0.1]])
    parts = round_chain(line, np.array([s, s * 1.05, s * 1.2]), [0, 0, 0])
    lie = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    collar = moved(
        [cone(-0.01, 0.012, s * 1.03, s * 1.03, paint=1)], np.array([0.07, 0, 0.005]), lie
    )
    fingers = [
        block((-s - 0.015, side * 0.5 * s, -0.2 * s), (0.07, 0.012, 0.02), paint=2)
        for side in (-1, 1)
    ]
    grey = rng.uniform(0.15, 0.9)
    paints = np.array([[grey] * 3, any_color(rng), [0.12] * 3, [0.7] * 3])
    return Body(tuple([*parts, *collar, *fingers]), paints, gloss=0.5, shininess=25.0)


def hand(rng: _Rng) -> Body:
    """Return a rough hand along x: a wrist outwards and a few fingers towards -x."""
    s = float(rng.uniform(0.8, 1.1))
    parts = [ellipsoid((0, 0, 0), (0.05 * s, 0.04 * s, 0.018 * s))]
    parts += round_chain(
        np.array([[0.03, 0, 0], [0.1, 0, 0.01], [0.3, 0, 0.05]]) * s,
        np.array([0.026, 0.028, 0.036]) * s, [0, 1 if rng.random() < 0.5 else 0, 0],
    )
    for k in range(4):
        y = (k - 1.5) * 0.019 * s
        length = (0.055, 0.07, 0.068, 0.05)[k] * s
        droop = rng.uniform(0.0, 0.025) * s
        line = np.array([[-0.035 * s, y, 0], [-0.035 * s - length, y * 1.2, -droop]])
        parts += round_chain(line, np.array([0.0095, 0.0075]) * s)
    parts += round_chain(
        np.array([[0.01, 0.035, 0], [-0.045, 0.065, -0.005]]) * s, np.array([0.012, 0.009]) * s
    )
    hue, value = rng.uniform(0.03, 0.08), rng.uniform(0.3, 0.95)
    skin = np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.3, 0.6), value))
    return Body(tuple(parts), np.array([skin, any_color(rng), skin, skin]), gloss=0.05)


def aim(direction: np.ndarray, at: np.ndarray, height: float) -> np.ndarray:
    """Return the pose [4, 4] of a body whose x axis points along ``direction`` [2], level."""
    pose = np.eye(4)
    x = np.append(direction / np.linalg.norm(direction), 0.0)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = x, [-x[1], x[0], 0], [0, 0, 1]
    pose[:3, 3] = [at[0], at[1], height]
    return pose


BUILDERS = (figure, figure, figure, tool, tape, blocks)
__all__ = ['BUILDERS', 'aim', 'arm', 'frame_along', 'hand']
