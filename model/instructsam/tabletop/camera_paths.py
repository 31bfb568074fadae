# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How cameras move in the sequences: paths as functions of the time in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .motion import looked_at, orbited, rotation
from .scene import Camera

CAMERA_PATHS = ('sway', 'orbit', 'approach', 'hand-held', 'look away')

Curve = Callable[[float], float]


def sine(amplitude: float, period: float) -> Curve:
    """Return the curve that swings to both sides of 0, where it begins."""
    return lambda time: amplitude * float(np.sin(2 * np.pi * time / period))


def ramp(start: float, end: float) -> Curve:
    """Return the curve that goes smoothly from 0 to 1 between two times."""
    def value(time: float) -> float:
        share = float(np.clip((time - start) / (end - start), 0, 1))
        return share * share * (3 - 2 * share)
    return value


def sample_path(
    rng: np.random.Generator, camera: Camera, path: str, duration: float
) -> Callable[[float], Camera]:
    """Draw a smooth path of `CAMERA_PATHS` over ``duration`` seconds, ten or so.

    At time 0 the camera is where it is.
    """
    pivot = looked_at(camera)
    sign = float(rng.choice([-1, 1]))
    sway = sine(sign * np.radians(4), float(rng.uniform(4, 8)))
    if path == 'orbit':
        angle, turn = sign * np.radians(rng.uniform(40, 90)), ramp(0, duration)
        return lambda time: orbited(camera, pivot, angle * turn(time), 0.0)
    if path == 'approach':
        # To or from what it looks at.
        factor = float(rng.uniform(0.6, 0.75) if rng.random() < 0.7 else rng.uniform(1.3, 1.5))
        near = ramp(0.5, duration - 1)
        return lambda time: orbited(camera, pivot, sway(time), 0.0, factor ** near(time))
    if path == 'look away':
        # Part of the picture's width: what is on that side stays in sight.
        fov = 2 * np.arctan(camera.width / 2 / camera.K[0, 0])
        start = float(rng.uniform(1, 6))
        away, back = ramp(start, start + 1), ramp(start + 1.8, start + 2.8)
        pan = sign * fov * float(rng.uniform(0.45, 0.65))
        return lambda time: _turned(
            orbited(camera, pivot, sway(time), 0.0), pan * (away(time) - back(time)))
    wide = float(rng.uniform(8, 14) if path == 'sway' else rng.uniform(3, 6)) / 4
    # A camera that looks straight down cannot climb any more.
    climb = np.radians(4) * (1 if np.arcsin(-camera.pose[2, 2]) < np.radians(74) else -1)
    period = float(rng.uniform(5, 10))
    return lambda time: orbited(
        camera, pivot, wide * sway(time),
        climb * (1 - float(np.cos(2 * np.pi * time / period))) / 2)


def _turned(camera: Camera, pan: float) -> Camera:
    """Return the camera turned sideways about its own centre."""
    pose = camera.pose.copy()
    pose[:3, :3] = pose[:3, :3] @ rotation(np.array([0.0, 1.0, 0.0]), pan)
    return replace(camera, pose=pose)


def sample_shake(rng: np.random.Generator) -> Callable[[float], np.ndarray]:
    """Draw the unrest of a hand: rotation vector and shift [6] over time, zero at time 0."""
    count = 5
    rates = rng.uniform(0.4, 3.5, (6, count))
    phases = rng.uniform(0, 2 * np.pi, (6, count))
    # Slow movements are the larger ones; RMS about 1 degree and 5 mm along each axis.
    sizes = np.repeat([np.radians(1.2), 0.006], 3)[:, None] / rates * np.sqrt(2 / count)

    def value(time: float) -> np.ndarray:
        waves = np.sin(2 * np.pi * rates * time + phases) - np.sin(phases)
        result: np.ndarray = (sizes * waves).sum(axis=1)
        return result
    return value


def shaken(camera: Camera, shake: np.ndarray) -> Camera:
    """Return the camera turned and shifted by ``shake`` [6]: rotation vector (rad) and metres."""
    angle = float(np.linalg.norm(shake[:3]))
    if not shake.any():
        return camera
    pose = camera.pose.copy()
    pose[:3, :3] = pose[:3, :3] @ rotation(shake[:3] / angle, angle)
    pose[:3, 3] += shake[3:]
    return replace(camera, pose=pose)
