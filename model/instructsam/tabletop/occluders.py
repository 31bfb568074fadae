# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things that pass between the camera and the objects: a pole, an arm that sweeps or reaches in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .appearance import any_color
from .bodies import Body
from .scene import Camera, Clutter
from .shapes import round_chain

POLE, SWEEP, REACH = 'pole', 'sweep', 'reach'

# How far from the camera, as a share of the way to what it looks at.
_DEPTHS = (0.45, 0.65)
# Width in the picture, as a share of the picture's width; named objects take 0.15 to 0.3 mostly.
_WIDTHS = {POLE: (0.2, 0.3), SWEEP: (0.2, 0.3), REACH: (0.1, 0.2)}
_PASSING = (0.5, 0.95)  # s, how long a point of the picture is behind what sweeps over it
_REACHING_IN = (0.5, 1.0)  # s
_STAYING = (1.5, 2.5)  # s


@dataclass(frozen=True, eq=False)
class Occluder:
    """A straight limb that moves in the picture plane of ``camera``, at ``depth`` metres from it.

    Its tip is at ``places`` [n, 2] (px) at the times ``times`` [n] (s) and between them on a
    straight line; from the tip it goes on along ``direction`` [2], a unit vector in the picture.
    Outside ``times`` it is not there. The camera that looks may move on meanwhile.
    """

    body: Body
    camera: Camera
    depth: float
    direction: np.ndarray
    times: np.ndarray
    places: np.ndarray

    def at(self, time: float) -> tuple[Clutter, ...]:
        """Return the thing at a time in seconds; nothing when it is not there."""
        if not self.times[0] <= time <= self.times[-1]:
            return ()
        u, v = (np.interp(time, self.times, self.places[:, k]) for k in (0, 1))
        local = np.eye(4)
        x, y = self.direction
        local[:2, :2] = [[x, -y], [y, x]]
        local[:3, 3] = np.linalg.solve(self.camera.K, [u, v, 1.0]) * self.depth
        return (Clutter(self.camera.pose @ local, self.body),)


def sample_occluder(
    rng: np.random.Generator, kind: str, camera: Camera, distance: float, start: float,
    goal: np.ndarray,
) -> Occluder:
    """Draw an occluder that comes in at ``start`` seconds.

    ``camera`` is the one that sees it as meant, ``distance`` metres from what is looked at;
    ``goal`` [2] (px) is where a REACH goes to.
    """
    size = np.array([camera.width, camera.height], float)
    depth = float(rng.uniform(*_DEPTHS)) * distance
    width = float(rng.uniform(*_WIDTHS[kind])) * camera.width
    # From the bottom, the left, the top or the right, and not quite straight.
    angle = float(rng.integers(4)) * np.pi / 2 + float(rng.uniform(-0.35, 0.35))
    direction = np.array([np.cos(angle), np.sin(angle)])
    along, across = (np.abs(d) @ size for d in (direction, direction[::-1]))
    if kind == REACH:
        outside = goal + direction * (along + width)
        steps = np.array([rng.uniform(*span) for span in (_REACHING_IN, _STAYING, _REACHING_IN)])
        times = start + np.append(0, steps.cumsum())
        places = np.array([outside, goal, goal, outside])
    else:
        # A pole spans the picture, an arm ends within it.
        tip = 0.5 + (width / along if kind == POLE else -float(rng.uniform(0.0, 0.35)))
        side = np.array([-direction[1], direction[0]]) * float(rng.choice([-1, 1]))
        middle = size / 2 - direction * along * tip
        half = (across + width) / 2
        places = np.array([middle - side * half, middle + side * half])
        times = start + np.array([0, 2 * half / width * float(rng.uniform(*_PASSING))])
    metres = depth / camera.K[0, 0]
    return Occluder(
        _limb(rng, width * metres / 2, 2.5 * along * metres), camera, depth, direction, times,
        places)


def _limb(rng: np.random.Generator, radius: float, length: float) -> Body:
    """Return a limb along x: its tip at the origin, a little thicker there than farther on."""
    line = np.array([[0.0, 0, 0], [0.12 * length, 0, 0], [length, 0, 0]])
    parts = round_chain(line, np.array([1.0, 0.85, 1.0]) * radius, [1, 0, 0])
    tone = np.full(3, rng.uniform(0.1, 0.9)) if rng.random() < 0.5 else any_color(rng)
    paints = np.clip(np.stack([tone, tone * 0.8 + 0.1, tone * 0.3, tone]), 0, 1)
    return Body(tuple(parts), paints, grain=0.06, gloss=float(rng.uniform(0, 0.4)))
