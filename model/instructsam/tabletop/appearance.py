# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a scene looks like apart from its objects: light, surfaces, marks, lens and sensor.

All of it is drawn from the scene's random generator, so that a scene renders the same way twice.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

PATTERN_SIZE = 256
_Rng = np.random.Generator

# Hue in degrees, saturation and value of each named colour before light and camera. The gaps
# between the hues are what white balance and clipping may shift without changing the name.
COLOR_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    'red': ((-10, 7), (0.72, 1.0), (0.55, 0.92)),
    'orange': ((20, 35), (0.75, 1.0), (0.8, 1.0)),
    'yellow': ((47, 58), (0.68, 1.0), (0.82, 1.0)),
    'green': ((86, 148), (0.5, 0.95), (0.35, 0.85)),
    'blue': ((202, 232), (0.6, 1.0), (0.4, 0.92)),
    'purple': ((266, 296), (0.42, 0.85), (0.35, 0.75)),
    'white': ((30, 60), (0.0, 0.06), (0.88, 1.0)),
    'black': ((0, 360), (0.0, 0.2), (0.03, 0.13)),
}


def sample_color(name: str, rng: _Rng) -> tuple[float, float, float]:
    """Draw an rgb triple (0..1, display values) that goes by the colour's name."""
    hue, saturation, value = (rng.uniform(*limits) for limits in COLOR_RANGES[name])
    return colorsys.hsv_to_rgb((hue / 360.0) % 1.0, saturation, value)


def any_color(rng: _Rng, *, saturation: float = 1.0) -> np.ndarray:
    """Draw any rgb colour [3]; ``saturation`` caps how vivid it may be."""
    value = rng.uniform(0.1, 1.0)
    return np.array(
        colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 1) ** 1.5 * saturation, value)
    )


@dataclass(frozen=True, eq=False)
class Surface:
    """Paint of a flat surface: a pattern of the bank between two colours.

    ``scale`` metres per pattern tile along its two axes, ``angle`` radians, ``offset`` metres.
    """

    pattern: int
    dark: np.ndarray
    bright: np.ndarray
    scale: tuple[float, float]
    angle: float
    offset: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Mark:
    """Something flat on the support: a polygon ``points`` [n, 2] or, if ``open``, a line.

    Metres on the support's plane; ``width`` of the line in metres; ``surface`` is the index of the
    flat surface it lies on (0 the support, 1 to 4 the walls of a bin).
    """

    points: np.ndarray
    rgb: np.ndarray
    surface: int = 0
    width: float = 0.0
    open: bool = False


@dataclass(frozen=True, eq=False)
class Appearance:
    """Light, surfaces and camera of a scene; colours 0..1, directions towards the light."""

    seed: int
    light: np.ndarray
    light_rgb: np.ndarray
    ambient: float
    fill: np.ndarray
    fill_strength: float
    shadow: float
    softness: float
    support: Surface
    walls: Surface
    beyond: Surface
    collage: float
    marks: tuple[Mark, ...]
    field: np.ndarray
    vignette: float
    white_balance: np.ndarray
    exposure: float
    contrast: float
    saturation: float
    haze: float
    blur: float
    motion: tuple[float, float]
    noise: float
    chroma_noise: float
    sharpen: float
    jpeg: int


def sample_light(rng: _Rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw a light direction [3] (world, upwards) and its colour [3]."""
    tilt = rng.uniform(0.1, 1.05)
    turn = rng.uniform(0, 2 * np.pi)
    direction = np.array(
        [np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)]
    )
    warmth = rng.normal(0, 0.035)
    return direction, np.array([1 + warmth, 1.0, 1 - warmth])


def sample_surface(rng: _Rng, kind: str) -> Surface:
    """Draw the paint of a 'table', 'bin' or 'floor'."""
    angle = rng.uniform(0, 2 * np.pi)
    offset = (rng.uniform(0, 1), rng.uniform(0, 1))
    if kind == 'bin':
        base = rng.uniform(0.55, 0.95)
        bright = np.full(3, base) + rng.normal(0, 0.015, 3)
        if rng.random() < 0.3:
            bright = any_color(rng, saturation=0.55) * 0.6 + 0.2
        dark = bright * rng.uniform(0.88, 0.99)
        names = PLAIN_PATTERNS
        scale = rng.uniform(0.2, 0.8)
        return Surface(
            int(rng.choice(names)), dark, np.clip(bright, 0, 1), (scale, scale), angle, offset
        )
    style = rng.random()
    if style < 0.32:
        bright = any_color(rng, saturation=0.75) * 0.9 + 0.1
        dark = bright * rng.uniform(0.85, 0.98)
        pattern = int(rng.choice(PLAIN_PATTERNS))
    elif style < 0.6:
        tone = colorsys.hsv_to_rgb(
            rng.uniform(0.04, 0.11), rng.uniform(0.15, 0.6), rng.uniform(0.3, 0.9)
        )
        bright = np.array(tone)
        dark = bright * rng.uniform(0.6, 0.9) * np.array([1.0, 0.97, 0.92])
        pattern = int(rng.choice(WOOD_PATTERNS))
    elif style < 0.8:
        bright = np.full(3, rng.uniform(0.25, 1.0)) + rng.normal(0, 0.02, 3)
        dark = bright * rng.uniform(0.7, 0.97)
        pattern = int(rng.integers(0, len(_RECIPES)))
    else:
        bright = any_color(rng)
        dark = any_color(rng) * 0.5 + bright * 0.5
        pattern = int(rng.integers(0, len(_RECIPES)))
    scale = float(np.exp(rng.uniform(np.log(0.12), np.log(0.9))))
    stretch = rng.uniform(0.7, 1.4)
    return Surface(
        pattern, np.clip(dark, 0, 1), np.clip(bright, 0, 1), (scale, scale * stretch), angle,
        offset,
    )


def sample_appearance(rng: _Rng, support: str, marks: tuple[Mark, ...]) -> Appearance:
    """Draw light, surfaces and camera properties for a 'table' or 'bin'."""
    light, light_rgb = sample_light(rng)
    fill, _ = sample_light(rng)
    calm = rng.random() < 0.3
    balance = 1 + rng.normal(0, 0.015 if calm else 0.035, 3)
    return Appearance(
        seed=int(rng.integers(0, 2**31)),
        light=light,
        light_rgb=light_rgb,
        ambient=float(rng.uniform(0.3, 0.75)),
        fill=fill,
        fill_strength=float(rng.uniform(0.0, 0.35)),
        shadow=float(rng.uniform(0.15, 0.65)),
        softness=float(rng.uniform(0.08, 0.5)),
        support=sample_surface(rng, 'bin' if support == 'bin' else 'table'),
        walls=sample_surface(rng, 'bin'),
        beyond=sample_surface(rng, 'floor'),
        collage=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.65 else 0.0,
        marks=marks,
        field=1 + rng.normal(0, rng.uniform(0.02, 0.13), (3, 4)),
        vignette=float(rng.uniform(0, 0.35)),
        white_balance=balance / balance.mean(),
        exposure=float(np.exp(rng.normal(0.06, 0.17))),
        contrast=float(rng.uniform(0.8, 1.25)),
        saturation=float(rng.uniform(0.85, 1.15)),
        haze=float(max(rng.normal(0.0, 0.03), 0.0)),
        blur=float(rng.uniform(0.35, 0.75 if calm else 1.3)),
        motion=(
            float(rng.uniform(2, 7)) if rng.random() < 0.15 else 0.0, float(rng.uniform(0, 3.2))
        ),
        noise=float(rng.uniform(0.001, 0.012 if calm else 0.03)),
        chroma_noise=float(rng.uniform(0.0, 0.03)),
        sharpen=float(rng.uniform(0.3, 1.2)) if rng.random() < 0.25 else 0.0,
        jpeg=int(rng.integers(45, 98)),
    )


def _clouds(rng: _Rng, cells: tuple[int, int], octaves: int = 3) -> np.ndarray:
    total = np.zeros((PATTERN_SIZE, PATTERN_SIZE), np.float32)
    for k in range(octaves):
        rows, columns = min(cells[0] << k, PATTERN_SIZE), min(cells[1] << k, PATTERN_SIZE)
        small = rng.random((rows, columns)).astype(np.float32)
        total += cv2.resize(small, (PATTERN_SIZE,) * 2, interpolation=cv2.INTER_CUBIC) / (1 << k)
    low, high = np.percentile(total, [1, 99])
    return np.clip((total - low) / (high - low), 0, 1)


def _plain(rng: _Rng) -> np.ndarray:
    fine = rng.random((PATTERN_SIZE, PATTERN_SIZE)).astype(np.float32)
    return 0.7 * _clouds(rng, (3, 3)) + 0.3 * fine


def _wood(rng: _Rng) -> np.ndarray:
    warp = _clouds(rng, (2, 4), 2) * rng.uniform(2, 6)
    across = np.linspace(0, rng.uniform(4, 12), PATTERN_SIZE, dtype=np.float32)[:, None]
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (across + warp))
    fibres = _clouds(rng, (96, 4), 2)
    return np.clip(0.45 * rings + 0.55 * fibres, 0, 1)


def _planks(rng: _Rng) -> np.ndarray:
    count = int(rng.integers(3, 7))
    image = _wood(rng) * 0.6 + 0.2
    edges = np.linspace(0, PATTERN_SIZE, count + 1).astype(int)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        image[low:high] += rng.uniform(-0.2, 0.2)
        image[low : low + 2] = 0.0
    return np.clip(image, 0, 1)


def _checker(rng: _Rng) -> np.ndarray:
    count = int(rng.integers(2, 7))
    cells = np.indices((2 * count, 2 * count)).sum(axis=0) % 2
    image = cv2.resize(
        cells.astype(np.float32), (PATTERN_SIZE,) * 2, interpolation=cv2.INTER_NEAREST
    )
    return 0.85 * image + 0.15 * _clouds(rng, (8, 8))


def _grain(rng: _Rng) -> np.ndarray:
    fine = rng.normal(0, 1, (PATTERN_SIZE, PATTERN_SIZE)).astype(np.float32)
    soft = cv2.GaussianBlur(fine, (0, 0), rng.uniform(0.6, 2.0))
    return np.clip(0.5 + 0.22 * soft / soft.std(), 0, 1)


def _marble(rng: _Rng) -> np.ndarray:
    return np.abs(2 * _clouds(rng, (3, 3), 5) - 1) ** 0.6


def _weave(rng: _Rng) -> np.ndarray:
    count = rng.integers(20, 50)
    phase = np.arange(PATTERN_SIZE, dtype=np.float32) / PATTERN_SIZE * 2 * np.pi * count
    image = 0.5 + 0.25 * (np.sin(phase)[:, None] + np.sin(phase)[None])
    return 0.8 * image + 0.2 * _clouds(rng, (4, 4))


def _stripes(rng: _Rng) -> np.ndarray:
    count = int(rng.integers(3, 12))
    bars = rng.random(2 * count).astype(np.float32)[:, None]
    image = cv2.resize(
        np.repeat(bars, 4, axis=1), (PATTERN_SIZE,) * 2, interpolation=cv2.INTER_NEAREST
    )
    return 0.9 * image + 0.1 * _clouds(rng, (16, 16))


def _tiles(rng: _Rng) -> np.ndarray:
    count = int(rng.integers(2, 6))
    image = cv2.resize(
        rng.uniform(0.6, 1, (count, count)).astype(np.float32), (PATTERN_SIZE,) * 2,
        interpolation=cv2.INTER_NEAREST,
    )
    for edge in np.linspace(0, PATTERN_SIZE, count + 1).astype(int):
        image[max(edge - 2, 0) : edge + 2] = 0
        image[:, max(edge - 2, 0) : edge + 2] = 0
    return np.clip(image * (0.8 + 0.2 * _clouds(rng, (8, 8))), 0, 1)


_RECIPES = (
    _plain, _plain, _plain, _plain, _wood, _wood, _wood, _wood, _planks, _planks, _checker,
    _grain, _grain, _marble, _marble, _weave, _stripes, _tiles,
)
PLAIN_PATTERNS = tuple(i for i, recipe in enumerate(_RECIPES) if recipe in (_plain, _grain))
WOOD_PATTERNS = tuple(i for i, recipe in enumerate(_RECIPES) if recipe in (_wood, _planks))


@lru_cache(maxsize=1)
def patterns() -> tuple[np.ndarray, ...]:
    """Return the bank of greyscale patterns, float32 [256, 256] in 0..1, always the same."""
    return tuple(
        np.ascontiguousarray(recipe(np.random.default_rng(100 + i)), np.float32)
        for i, recipe in enumerate(_RECIPES)
    )


@lru_cache(maxsize=1)
def collages() -> tuple[np.ndarray, ...]:
    """Return a bank of busy rgb pictures, float32 [256, 256, 3], for what lies behind a table."""
    return tuple(_collage(np.random.default_rng(500 + i)) for i in range(20))


def _collage(rng: _Rng) -> np.ndarray:
    image = np.empty((PATTERN_SIZE, PATTERN_SIZE, 3), np.float32)
    image[:] = any_color(rng, saturation=0.5)
    for _ in range(int(rng.integers(12, 50))):
        color = any_color(rng, saturation=0.8).tolist()
        center = rng.integers(0, PATTERN_SIZE, 2)
        extent = rng.integers(6, 90, 2)
        turn = float(rng.uniform(0, 360)) if rng.random() < 0.5 else 0.0
        style = rng.random()
        if style < 0.5:
            box = cv2.boxPoints(
                ((float(center[0]), float(center[1])), (float(extent[0]), float(extent[1])), turn)
            )
            cv2.fillConvexPoly(image, box.astype(np.int32), color, cv2.LINE_AA)
        elif style < 0.7:
            axes = (int(extent[0]) // 2, int(extent[1]) // 2)
            cv2.ellipse(
                image, (int(center[0]), int(center[1])), axes, turn, 0, 360, color, -1, cv2.LINE_AA
            )
        else:
            end = rng.integers(0, PATTERN_SIZE, 2)
            cv2.line(
                image, (int(center[0]), int(center[1])), (int(end[0]), int(end[1])), color,
                int(rng.integers(1, 12)), cv2.LINE_AA,
            )
    image *= 0.75 + 0.5 * _clouds(rng, (3, 3))[..., None]
    return np.clip(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.6, 4.0))), 0, 1)


@lru_cache(maxsize=1)
def noise_bank() -> np.ndarray:
    """Return fixed standard normal noise, float32 [1 << 21], to cut windows from."""
    return np.random.default_rng(900).standard_normal(1 << 21, dtype=np.float32)
