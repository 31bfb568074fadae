# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fifty short films to judge trackers by: moving cameras, sliding and hidden objects, all true.

    for frame in sequence(7).frames():
        frame.image, frame.depth, frame.camera, frame.objects

Sequence ``number`` is the same for everybody: its camera follows one of `CAMERA_PATHS`, and all
five paths occur with every kind of occluder, with sliding objects and without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from .camera_paths import CAMERA_PATHS, Curve, ramp, sample_path, sample_shake, shaken, sine
from .film import measured_depth
from .motion import Slide, another_shot, looked_at, sample_slides
from .occluders import POLE, REACH, SWEEP, Occluder, sample_occluder
from .render import TabletopFrame, render, sample_frame, visible_shares
from .scene import Camera, Scene

SEQUENCES = 50
FRAMES = 100
RATE = 10.0  # Hz
WIDTH, HEIGHT = 640, 480
VERSION = 1  # of the pictures: another number whenever they change

_STREAM = 707  # of random numbers: no scene of these is in a split
_DURATION = FRAMES / RATE
_FEWEST = 3  # objects
_SLIDING = 2  # objects, in every second sequence
_REACHES = (0.1, 0.07, 0.05, 0.04, 0.03)  # m, how far an object slides
_OCCLUDERS: tuple[tuple[str, ...], ...] = ((), (POLE,), (SWEEP,), (REACH,), (POLE, REACH))
_HIDDEN = 0.1  # of what is seen without the occluder: an object with less counts as hidden
_LONGEST_HIDDEN = 10  # frames in a row: 1 s
_STANDS_STILL = 1e-3  # m/s
_TRIES = 60
_SMALL = 8  # times smaller pictures tell what an occluder hides


@dataclass(frozen=True, eq=False)
class SequenceObject:
    """What is true of one object in one frame.

    ``id`` from 1, the same in all frames; ``name`` such as 'red mug'; ``mask`` bool [H, W] of its
    visible pixels, empty when it is hidden; ``visible`` is the seen share of the object, 0..1.
    ``pose`` [4, 4] leads from its box to the world, x along the longer horizontal side and z up,
    with full lengths ``size`` [3] in metres; ``centroid`` [3] of the visible surface in the world
    (NaN when nothing is visible); ``moving``: it slides at this moment.
    """

    id: int
    name: str
    mask: np.ndarray
    visible: float
    pose: np.ndarray
    size: np.ndarray
    centroid: np.ndarray
    moving: bool


@dataclass(frozen=True, eq=False)
class SequenceFrame:
    """One picture: ``image`` uint8 RGB [H, W, 3], ``depth`` float32 [H, W] metres, NaN for none.

    ``stamp`` in seconds from the start. Depth has the noise of a stereo camera and is rounded to
    millimetres, as drivers deliver it. ``objects`` are all of the scene, hidden ones too.
    """

    number: int
    stamp: float
    image: np.ndarray
    depth: np.ndarray
    camera: Camera
    objects: tuple[SequenceObject, ...]


@dataclass(frozen=True, eq=False)
class Sequence:
    """A scene over ten seconds. ``camera`` and the occluders follow from the time alone.

    ``path`` of `CAMERA_PATHS`; ``slides`` tell how far, and ``courses`` how far along from -1 to
    1 at a time in seconds, the objects slide.
    """

    number: int
    path: str
    scene: Scene
    camera: Callable[[float], Camera]
    slides: tuple[Slide, ...]
    courses: tuple[Curve, ...]
    occluders: tuple[Occluder, ...] = ()

    def at(self, time: float) -> Scene:
        """Return the scene at a time in seconds."""
        objects = list(self.scene.objects)
        for slide, course in zip(self.slides, self.courses, strict=True):
            pose = objects[slide.index].pose.copy()
            pose[:2, 3] += slide.reach * course(time)
            objects[slide.index] = replace(objects[slide.index], pose=pose)
        passing = [thing for one in self.occluders for thing in one.at(time)]
        return replace(
            self.scene, objects=tuple(objects), camera=self.camera(time),
            clutter=(*self.scene.clutter, *passing))

    def picture(self, index: int) -> TabletopFrame:
        """Draw frame ``index`` of 0 to 99, with exact depth."""
        return render(another_shot(self.at(index / RATE), index))

    def frame(self, index: int) -> SequenceFrame:
        """Draw frame ``index`` of 0 to 99 as a camera delivers it, with what is true of it."""
        picture = self.picture(index)
        depth = measured_depth(picture, np.random.default_rng([_STREAM, self.number, index]))
        moving = self.moving(index / RATE)
        objects = tuple(
            _truth(picture, k, k in moving) for k in range(len(picture.scene.objects)))
        return SequenceFrame(
            index, index / RATE, picture.image, metres(depth), picture.scene.camera, objects)

    def frames(self) -> Iterator[SequenceFrame]:
        """Draw all frames in order."""
        return map(self.frame, range(FRAMES))

    def moving(self, time: float) -> set[int]:
        """Return the places in the scene of the objects that slide at a time in seconds."""
        step = 1e-3
        return {
            slide.index for slide, course in zip(self.slides, self.courses, strict=True)
            if np.linalg.norm(slide.reach) * abs(course(time + step) - course(time - step))
            > 2 * step * _STANDS_STILL}


def sequence(number: int) -> Sequence:
    """Return sequence ``number``, 0 to 49. Raises ValueError for any other."""
    if not 0 <= number < SEQUENCES:
        raise ValueError(f'there are sequences 0 to {SEQUENCES - 1}, not {number}')
    rng = np.random.default_rng([_STREAM, number])
    # Every path meets every group once, and the first five sequences differ in both.
    path, group = CAMERA_PATHS[number % 5], (3 * (number % 5) + number // 5) % 10
    scene, slides = _sample_scene(rng, _SLIDING * (group % 2))
    smooth = sample_path(rng, scene.camera, path, _DURATION)
    courses = tuple(_sample_course(rng) for _ in slides)
    shake = sample_shake(rng) if path == 'hand-held' else lambda time: np.zeros(6)
    calm = Sequence(number, path, scene, smooth, slides, courses)
    occluders: tuple[Occluder, ...] = ()
    for order, kind in enumerate(_OCCLUDERS[group % 5]):
        # Two of them come one after the other.
        span = (0.5 + 4.5 * order, _DURATION - 4.5 * (len(_OCCLUDERS[group % 5]) - order - 1))
        occluders += (_fitting_occluder(rng, calm, kind, span),)
    return replace(
        calm, camera=lambda time: shaken(smooth(time), shake(time)), occluders=occluders)


def _sample_scene(rng: np.random.Generator, sliding: int) -> tuple[Scene, tuple[Slide, ...]]:
    """Draw a scene with enough objects of which, if any shall slide, at least one has room to."""
    while True:
        scene = sample_frame(rng, width=WIDTH, height=HEIGHT).scene
        slides = sample_slides(rng, scene, sliding, _REACHES)
        if len(scene.objects) >= _FEWEST and len(slides) >= min(sliding, 1):
            return scene, slides


def metres(millimetres: np.ndarray) -> np.ndarray:
    """Return depth in metres, float32 with NaN for 0."""
    result = millimetres.astype(np.float32) / np.float32(1000)
    result[millimetres == 0] = np.nan
    return result


def _truth(picture: TabletopFrame, index: int, moving: bool) -> SequenceObject:
    thing, mask = picture.scene.objects[index], picture.mask(index)
    pose, size = thing.box()
    centroid = np.full(3, np.nan)
    if mask.any():
        camera = picture.scene.camera.pose
        centroid = camera[:3, :3] @ picture.points(*mask.nonzero()).mean(axis=0) + camera[:3, 3]
    return SequenceObject(
        index + 1, thing.name, mask, float(picture.visible[index]), pose, size, centroid, moving)


def _sample_course(rng: np.random.Generator) -> Curve:
    """Draw how an object slides: to and fro, or pushed to another place."""
    if rng.random() < 0.5:
        return sine(1.0, float(rng.uniform(5, 10)))
    start, sign = float(rng.uniform(0.5, 6)), float(rng.choice([-1, 1]))
    push = ramp(start, start + float(rng.uniform(1.5, 3)))
    return lambda time: sign * push(time)


def _fitting_occluder(
    rng: np.random.Generator, calm: Sequence, kind: str, span: tuple[float, float]
) -> Occluder:
    """Draw occluders until one hides enough, but nothing wholly for longer than a second.

    Where that does not happen soon, take one that hides less.
    """
    modest: Occluder | None = None
    for _ in range(_TRIES):
        start = float(rng.uniform(span[0], max(span[1] - 4.5, span[0] + 0.1)))
        camera = calm.camera(start + 2)
        distance = float(np.linalg.norm(camera.pose[:3, 3] - looked_at(camera)))
        things = calm.at(start + 2).objects
        thing = things[int(rng.integers(len(things)))]
        goal = camera.project(thing.pose[None, :3, 3])[0, :2] + rng.normal(0, 25, 2)
        occluder = sample_occluder(rng, kind, camera, distance, start, goal)
        if occluder.times[-1] > span[1]:
            continue
        hidden, partly = _hiding(calm, occluder)
        if hidden <= _LONGEST_HIDDEN and (partly >= 8 if kind == REACH else hidden >= 3):
            return occluder
        if hidden <= _LONGEST_HIDDEN:
            modest = occluder
    if modest is None:
        raise RuntimeError(f'sequence {calm.number}: no {kind} hides things for a second at most')
    return modest


def _hiding(calm: Sequence, occluder: Occluder) -> tuple[int, int]:
    """Return for how many frames in a row an object is hidden, at most: wholly, and by half."""
    first, last = (int(round(time * RATE)) for time in (occluder.times[0], occluder.times[-1]))
    runs = np.zeros((2, len(calm.scene.objects)), int)
    longest = runs.copy()
    for index in range(first, min(last, FRAMES - 1) + 1):
        free = _shrunk(calm.at(index / RATE))
        seen = visible_shares(free)
        left = visible_shares(
            replace(free, clutter=(*free.clutter, *occluder.at(index / RATE))))
        share = left / np.maximum(seen, 1e-9)
        # What cannot be seen anyway is not hidden by this.
        runs = np.where((share < np.array([[_HIDDEN], [0.6]])) & (seen > 0.05), runs + 1, 0)
        longest = np.maximum(longest, runs)
    wholly, partly = longest.max(axis=1).tolist()
    return wholly, partly


def _shrunk(scene: Scene) -> Scene:
    camera = scene.camera
    K = camera.K.copy()
    # Pixel centres are integers: the picture begins at -0.5.
    K[:2] /= _SMALL
    K[:2, 2] += 0.5 / _SMALL - 0.5
    small = replace(camera, width=camera.width // _SMALL, height=camera.height // _SMALL, K=K)
    return replace(scene, camera=small)
