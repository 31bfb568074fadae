# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Scenes over time: a camera that sways around what it looks at, and objects that slide.

Everything is a function of the phase of a lap, 0 to 1; at the end of a lap all is where it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .render import sample_frame
from .scene import Camera, Clutter, Scene, TabletopObject

# How far the camera sways: radians to each side, and up (or down) from where it starts.
_SIDEWAYS = np.radians(7.0)
_UPWARDS = np.radians(4.0)
_STEEPEST = np.radians(80.0)
_FOCUS_HEIGHT = 0.03  # metres above the support
_REACHES = (0.05, 0.04, 0.03, 0.02, 0.01)  # metres, how far an object slides to each side
_GAP = 0.006  # metres kept free between things
# Colours, marks and pictures depend on the seed modulo 3, 20 and 50 only: what differs between
# two shots of a scene is the sensor's noise.
_SAME_LOOK = 300


@dataclass(frozen=True, eq=False)
class Slide:
    """To and fro along a line: object ``index``, by ``reach`` [2] metres to each side."""

    index: int
    reach: np.ndarray


@dataclass(frozen=True, eq=False)
class Motion:
    """A scene at phase 0, and how its camera and some of its objects move during a lap.

    ``pivot`` [3] is the point in the world that the camera keeps looking at; ``sideways`` and
    ``upwards`` are the angles of its sway in radians, both zero for a camera that stands still.
    """

    scene: Scene
    pivot: np.ndarray
    sideways: float
    upwards: float
    slides: tuple[Slide, ...] = ()

    @property
    def is_camera_still(self) -> bool:
        """Whether the camera stands still."""
        return not (self.sideways or self.upwards)

    @property
    def camera_path(self) -> float:
        """Metres that the camera travels in a lap."""
        eyes = np.array([self.camera(phase).pose[:3, 3] for phase in np.linspace(0, 1, 201)])
        return float(np.linalg.norm(np.diff(eyes, axis=0), axis=1).sum())

    @property
    def object_path(self) -> float:
        """Metres that the object that slides farthest travels in a lap."""
        return max((4 * float(np.linalg.norm(slide.reach)) for slide in self.slides), default=0.0)

    def camera(self, phase: float) -> Camera:
        """Return the camera at a phase of the lap."""
        if self.is_camera_still:
            return self.scene.camera
        angle = 2 * np.pi * phase
        return orbited(self.scene.camera, self.pivot, self.sideways * np.sin(angle),
                       self.upwards * (1 - np.cos(angle)) / 2)

    def at(self, phase: float, *, shot: int = 0) -> Scene:
        """Return the scene at a phase of the lap.

        Scenes with another ``shot`` have other sensor noise, so that a standing camera does not
        deliver the same picture again and again.
        """
        objects = list(self.scene.objects)
        for slide in self.slides:
            one = objects[slide.index]
            pose = one.pose.copy()
            pose[:2, 3] += slide.reach * np.sin(2 * np.pi * phase)
            objects[slide.index] = replace(one, pose=pose)
        return another_shot(
            replace(self.scene, objects=tuple(objects), camera=self.camera(phase)), shot)


def sample_motion(
    seed: int, number: int = 0, *, width: int = 640, height: int = 480, moving: bool = True,
    sliding: int = 0,
) -> Motion:
    """Draw scene ``number`` of ``seed`` with its motion; always the same for the same arguments.

    None of these scenes is in a split. ``width`` and ``height`` in pixels; ``moving``: the camera
    sways; ``sliding``: how many objects slide, at most as many as have room to. Raises
    RuntimeError where the image is too small for two objects.
    """
    rng = np.random.default_rng([606, seed, number])
    scene = sample_frame(rng, width=width, height=height).scene
    pivot = looked_at(scene.camera)
    back = scene.camera.pose[:3, 3] - pivot
    elevation = float(np.arcsin(back[2] / np.linalg.norm(back)))
    upwards = _UPWARDS if elevation + _UPWARDS < _STEEPEST else -_UPWARDS
    slides = sample_slides(rng, scene, sliding)
    return Motion(scene, pivot, _SIDEWAYS * moving, float(upwards) * moving, slides)


def another_shot(scene: Scene, shot: int) -> Scene:
    """Return the same scene with other sensor noise, so that no two pictures are the same."""
    look = scene.appearance
    return replace(scene, appearance=replace(look, seed=look.seed + _SAME_LOOK * 17 * shot))


def looked_at(camera: Camera) -> np.ndarray:
    """Return the point [3] in the world, just above the support, on the optical axis."""
    eye, forward = camera.pose[:3, 3], camera.pose[:3, 2]
    point: np.ndarray = eye + forward * ((_FOCUS_HEIGHT - eye[2]) / forward[2])
    return point


def orbited(
    camera: Camera, pivot: np.ndarray, sideways: float, upwards: float, distance: float = 1.0
) -> Camera:
    """Return the camera turned about ``pivot`` [3], which it sees at the same place in the image.

    ``sideways`` about the vertical and ``upwards`` in radians; ``distance``: times the old one.
    """
    back = camera.pose[:3, 3] - pivot
    level = np.cross([0.0, 0.0, 1.0], back)
    turn = rotation(np.array([0.0, 0.0, 1.0]), sideways) @ rotation(
        -level / np.linalg.norm(level), upwards)
    pose = np.eye(4)
    pose[:3, :3] = turn @ camera.pose[:3, :3]
    pose[:3, 3] = pivot + turn @ back * distance
    return replace(camera, pose=pose)


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return the rotation [3, 3] by ``angle`` radians about the unit vector ``axis`` [3]."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: np.ndarray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turn


def sample_slides(
    rng: np.random.Generator, scene: Scene, count: int, reaches: Sequence[float] = _REACHES
) -> tuple[Slide, ...]:
    """Choose at most ``count`` objects and directions that keep clear of all else all the way.

    ``reaches`` in metres to each side, tried in turn.
    """
    things: list[TabletopObject | Clutter] = [*scene.objects, *scene.clutter]
    centers = np.array([thing.pose[:2, 3] for thing in things])
    radii = np.array([_radius(thing) for thing in things])
    taken = np.zeros(len(things))
    slides: list[Slide] = []
    for index in rng.permutation(len(scene.objects)).tolist():
        angle = float(rng.uniform(0, np.pi))
        if len(slides) == count:
            break
        direction = np.array([np.cos(angle), np.sin(angle)])
        others = np.arange(len(things)) != index
        for reach in reaches:
            ends = centers[index] + np.array([[-reach], [reach]]) * direction
            room = _distance(ends, centers[others]) - radii[others] - taken[others]
            if (room > radii[index] + _GAP).all() and _on_support(scene, ends, radii[index]):
                slides.append(Slide(index, reach * direction))
                taken[index] = reach
                break
    return tuple(slides)


def _radius(thing: TabletopObject | Clutter) -> float:
    """Return the radius of the upright cylinder around a thing."""
    if isinstance(thing, TabletopObject):
        return float(np.hypot(thing.size[0], thing.size[1])) / 2
    outline = thing.body.geometry.outline.reshape(-1, 3)
    return float(np.linalg.norm(outline[:, :2], axis=1).max())


def _distance(ends: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the distances [n] of points [n, 2] from the line between two ends [2, 2]."""
    along = ends[1] - ends[0]
    share = np.clip((points - ends[0]) @ along / (along @ along), 0, 1)
    result: np.ndarray = np.linalg.norm(points - ends[0] - share[:, None] * along, axis=1)
    return result


def _on_support(scene: Scene, ends: np.ndarray, radius: float) -> bool:
    area = scene.bin if scene.bin is not None else scene.table
    c, s = np.cos(area.yaw), np.sin(area.yaw)
    local = (ends - np.array(area.center)) @ np.array([[c, -s], [s, c]])
    return bool((np.abs(local) + radius + _GAP < np.array(area.size) / 2).all())
