# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes of toy-like objects on a table or in a bin, seen by a pinhole camera.

World frame: z up, the support at z = 0, metres. Camera optical frame (REP-103): z forward, x
right, y down; pixel centres have integer coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .appearance import Appearance
from .bodies import Body

CATEGORIES = (
    'ball', 'cube', 'box', 'can', 'mug', 'bowl', 'bottle', 'plate', 'banana', 'carrot',
)
COLORS = ('red', 'orange', 'yellow', 'green', 'blue', 'purple', 'white', 'black')

# Combinations that the training split never shows; each category occurs exactly once.
HELD_OUT: frozenset[tuple[str, str]] = frozenset({
    ('purple', 'ball'), ('orange', 'cube'), ('green', 'box'), ('purple', 'can'),
    ('yellow', 'mug'), ('red', 'bowl'), ('black', 'bottle'), ('black', 'plate'),
    ('blue', 'banana'), ('white', 'carrot'),
})


@dataclass(frozen=True, eq=False)
class TabletopObject:
    """One object: its name, its true oriented box and the surfaces it is drawn from.

    ``size`` [3] are the full extents in metres in the object's own frame, ``pose`` [4, 4] leads
    from that frame to the world; its origin is the box centre and its z axis points up. ``rgb``
    is the main surface colour, 0..1, before light and camera.
    """

    category: str
    color: str
    rgb: tuple[float, float, float]
    size: np.ndarray
    pose: np.ndarray
    body: Body

    @property
    def name(self) -> str:
        """Colour and category, as in 'red mug'."""
        return f'{self.color} {self.category}'

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Return pose [4, 4] and size [3] with the x axis along the longer horizontal side."""
        pose, size = self.pose, np.asarray(self.size, float)
        if size[0] < size[1]:
            turn = np.eye(4)
            turn[:2, :2] = [[0, -1], [1, 0]]
            pose, size = pose @ turn, size[[1, 0, 2]]
        return pose, size


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera: ``K`` [3, 3] in pixels, ``pose`` [4, 4] optical frame to world."""

    width: int
    height: int
    K: np.ndarray
    pose: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Return pixels and depth ``[n, 3]`` (u, v, z in metres) of world points ``[n, 3]``."""
        local = (np.asarray(points, float) - self.pose[:3, 3]) @ self.pose[:3, :3]
        pixels = local @ self.K.T
        return np.column_stack([pixels[:, :2] / local[:, 2:], local[:, 2]])

    def unproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return the world points ``[n, 3]`` of pixels ``[n, 2]`` at ``depth`` [n] metres."""
        rays = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(self.K).T
        return (rays * np.asarray(depth, float)[:, None]) @ self.pose[:3, :3].T + self.pose[:3, 3]


@dataclass(frozen=True, eq=False)
class Bin:
    """Inside of a bin: ``size`` (length, width) of its floor and ``height`` of its walls in metres.

    ``slope`` is how far the walls lean outwards per metre of height, ``center`` and ``yaw`` place
    the floor on the plane z = 0.
    """

    center: tuple[float, float]
    yaw: float
    size: tuple[float, float]
    height: float
    slope: float


@dataclass(frozen=True, eq=False)
class Table:
    """A table top: a rectangle ``size`` (metres) around ``center``, turned by ``yaw``."""

    center: tuple[float, float]
    yaw: float
    size: tuple[float, float]
    drop: float


@dataclass(frozen=True, eq=False)
class Clutter:
    """Something that is none of the named objects: a body at ``pose`` [4, 4]."""

    pose: np.ndarray
    body: Body


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything a frame is drawn from; rendering it twice gives the same pixels."""

    objects: tuple[TabletopObject, ...]
    camera: Camera
    support: str
    appearance: Appearance
    table: Table
    bin: Bin | None
    clutter: tuple[Clutter, ...]


def sample_scene(
    rng: np.random.Generator, *, width: int = 640, height: int = 480, held_out: bool = False
) -> Scene:
    """Draw a scene of 2 to 8 objects for an image of the given size in pixels.

    With ``held_out`` at least one object has a colour and category of `HELD_OUT`, otherwise none.
    """
    from .placement import place_scene

    return place_scene(rng, width=width, height=height, held_out=held_out)
