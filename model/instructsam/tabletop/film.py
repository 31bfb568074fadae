# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A lap of a moving scene, drawn ahead by a thread, to be played at any rate."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass

import cv2
import numpy as np

from .depth_noise import add_depth_noise
from .motion import Motion
from .render import TabletopFrame, render
from .scene import Camera

_NICE = 10


@dataclass(frozen=True, eq=False)
class VisibleObject:
    """What is true of one object in one shot; positions and directions in the optical frame.

    ``index`` of the object in the scene; ``box`` (x, y, width, height) in pixels around ``mask``,
    bool [height, width], which is cropped to it; ``visible`` is the seen share of the object;
    ``pose`` [4, 4] leads from its box to the optical frame, x along the longer horizontal side and
    z up, with full lengths ``size`` [3] in metres; ``centroid`` [3] of the visible surface in
    metres, ``normal`` [3] its unit normal there, towards the camera; ``depth_ratio`` is the share
    of its pixels with valid measured depth.
    """

    index: int
    name: str
    box: tuple[int, int, int, int]
    mask: np.ndarray
    visible: float
    pose: np.ndarray
    size: np.ndarray
    centroid: np.ndarray
    normal: np.ndarray
    depth_ratio: float


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture of the film: ``image`` uint8 RGB [H, W, 3], ``depth`` uint16 [H, W] in mm.

    ``objects`` are those that can be seen at all. ``phase`` of the lap, 0 to 1.
    """

    phase: float
    camera: Camera
    image: np.ndarray
    depth: np.ndarray
    objects: tuple[VisibleObject, ...]


class Film:
    """Draws ``count`` shots along a lap, in order, on a thread of low priority.

    ``depth_noise`` scales the noise of a stereo camera; with 0 depth is exact and has no holes.
    """

    def __init__(self, motion: Motion, count: int, *, depth_noise: float = 1.0) -> None:
        if count < 1:
            raise ValueError(f'a film of {count} shots is none: make it 1 or more')
        self.motion = motion
        self.count = count
        self._depth_noise = depth_noise
        self._shots: list[Shot] = []
        self._news = threading.Condition()
        self._closed = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._draw_all, name='film', daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def close(self, timeout: float | None = None) -> bool:
        """Stop drawing after the present shot; what is drawn stays.

        Return whether it has ended within ``timeout`` seconds.
        """
        self._closed = True
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def ready(self) -> int:
        """How many shots are drawn."""
        return len(self._shots)

    @property
    def is_complete(self) -> bool:
        """Whether the whole lap is drawn."""
        return self.ready == self.count

    def shot(self, index: int) -> Shot:
        """Return a shot that is ready."""
        return self._shots[index]

    def wait(self, shots: int = 1, timeout: float | None = None) -> bool:
        """Wait until so many shots are ready; return whether they are.

        ``timeout`` in seconds. Raises RuntimeError if drawing failed.
        """
        with self._news:
            self._news.wait_for(
                lambda: self.ready >= shots or self._failure is not None or self._closed, timeout)
        if self._failure is not None:
            raise RuntimeError(f'drawing the scene failed: {self._failure}') from self._failure
        return self.ready >= shots

    def _draw_all(self) -> None:
        # Linux has priorities per thread: publishing must not wait for drawing.
        with contextlib.suppress(AttributeError, OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            for number in range(self.count):
                if self._closed:
                    break
                shot = draw_shot(self.motion, number / self.count, shot=number,
                                 depth_noise=self._depth_noise)
                with self._news:
                    self._shots.append(shot)
                    self._news.notify_all()
                # lets others have the interpreter between shots
                time.sleep(0)
        except Exception as error:  # whoever waits gets it
            self._failure = error
        with self._news:
            self._news.notify_all()


class Playhead:
    """Where a film is: goes round and round, or to and fro while the lap is not complete."""

    def __init__(self) -> None:
        self._place = 0.0
        self._forward = True

    def advance(self, film: Film, laps: float) -> Shot:
        """Go on by a share of a lap (>= 0) and return the shot there. One must be ready."""
        ready = film.ready
        step = laps * film.count
        if film.is_complete:
            self._forward = True
            self._place = (self._place + step) % film.count
        elif ready < 2:
            self._place = 0.0
        else:
            # Unfolded: forth over the ready shots, and back.
            span = ready - 1
            place = self._place if self._forward else 2 * span - self._place
            place = (place + step) % (2 * span)
            self._forward = place <= span
            self._place = place if self._forward else 2 * span - place
        return film.shot(min(int(self._place), ready - 1))


def draw_shot(motion: Motion, phase: float, *, shot: int = 0, depth_noise: float = 1.0) -> Shot:
    """Draw the scene at a phase of its lap, with what is true of each object."""
    frame = render(motion.at(phase, shot=shot))
    millimetres = measured_depth(
        frame, np.random.default_rng([frame.scene.appearance.seed, shot]), depth_noise)
    objects = tuple(
        _seen(frame, index, millimetres > 0) for index in range(len(frame.scene.objects))
        if (frame.instance_map == index + 1).any())
    return Shot(phase, frame.scene.camera, frame.image, millimetres, objects)


def measured_depth(
    frame: TabletopFrame, rng: np.random.Generator, strength: float = 1.0
) -> np.ndarray:
    """Return a depth camera's image of the frame: uint16 [H, W] in mm, 0 for none.

    ``strength`` scales the noise of a stereo camera; with 0 depth is exact and has no holes.
    """
    depth = frame.depth
    if strength:
        depth = add_depth_noise(
            depth, rng, image=frame.image, focal=float(frame.scene.camera.K[0, 0]),
            strength=strength)
    result: np.ndarray = np.rint(np.nan_to_num(depth, nan=0.0) * 1000).astype(np.uint16)
    return result


def _seen(frame: TabletopFrame, index: int, measured: np.ndarray) -> VisibleObject:
    thing = frame.scene.objects[index]
    whole = (frame.instance_map == index + 1).view(np.uint8)
    x, y, width, height = cv2.boundingRect(whole)
    window = np.s_[y : y + height, x : x + width]
    mask = whole[window].astype(bool)
    rows, columns = np.nonzero(mask)
    points = frame.points(rows + y, columns + x)
    centroid = points.mean(axis=0)
    pose, size = thing.box()
    return VisibleObject(
        index, thing.name, (x, y, width, height), mask,
        float(frame.visible[index]), np.linalg.inv(frame.scene.camera.pose) @ pose, size, centroid,
        _normal(points, centroid), float(measured[window][mask].mean()))


def _normal(points: np.ndarray, centroid: np.ndarray) -> np.ndarray:
    """Return the normal [3] of the plane through the points nearest to the centroid."""
    distance = np.linalg.norm(points - centroid, axis=1)
    near = points[np.argsort(distance)[: max(len(points) // 10, 12)]]
    normal: np.ndarray = np.linalg.eigh(np.cov(near.T))[1][:, 0] if len(near) > 3 else -centroid
    normal = normal / np.linalg.norm(normal)
    return -normal if normal @ centroid > 0 else normal
