# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of drawn tables with moving camera, instructions, and all that is true of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from std_msgs.msg import Header

from instructsam.tabletop.film import draw_shot
from instructsam.tabletop.motion import Motion, sample_motion
from instructsam_ros.bridge.tabletop import (
    OPTICAL_FRAME,
    fixed_transforms,
    laps_per_second,
    world_transform,
)
from instructsam_ros.bridge.truth import true_instances, true_targets
from instructsam_ros.demo.script import Request, requests
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.replay.camera_bag import START_NS, CameraBag, TrueInstruction, stamp_message
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.writing import BagWriter, Storage

# instructions about one table before the next comes
_PER_SCENE = 4
_ENDLESS = 10_000


@dataclass(frozen=True)
class TabletopRecording:
    """What to record; see the drawn camera's parameters of the same names.

    Attributes:
        seconds, rate: how long, and pictures per second.
        seed: which scenes and sentences; the same seed gives the same bag.
        instructions: how many, evenly over the time, of all kinds in turn; 0: none.
        scenes: how many tables, evenly over the instructions; 0: one per four instructions.
        width, height: of the pictures.
        speed: of the camera in m/s; 0: it stands still.
        moving_objects: how many objects slide, where there is room.
        depth_noise: 1 is a stereo camera's, 0 exact depth.
        drop_rate: share of the images, and of the depth images, that get lost.
        compressed: JPEG and PNG instead of raw pictures.
    """

    seconds: float = 10.0
    rate: float = 10.0
    seed: int = 0
    instructions: int = 4
    scenes: int = 0
    width: int = 640
    height: int = 480
    speed: float = 0.05
    moving_objects: int = 0
    depth_noise: float = 1.0
    drop_rate: float = 0.0
    compressed: bool = False

    def __post_init__(self) -> None:
        """Check what the command line cannot (BagError)."""
        if not self.frames:
            raise BagError(
                f'{self.seconds} s at {self.rate} pictures per second are no picture: give more')
        if self.instructions > self.frames:
            raise BagError(
                f'{self.instructions} instructions need as many pictures, these are {self.frames}: '
                'give more --seconds or a higher --rate')

    @property
    def frames(self) -> int:
        """How many pictures."""
        return round(self.seconds * self.rate)

    @property
    def tables(self) -> int:
        """How many scenes."""
        return min(self.scenes or max(-(-self.instructions // _PER_SCENE), 1), self.frames)


def record_tabletop(
    path: str | Path,
    recording: TabletopRecording,
    storage: Storage = 'mcap',
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> int:
    """Write the bag; return how many pictures it has.

    ``progress`` is called with how many pictures are done, and of how many. Raises BagError,
    BagWriteError.
    """
    # a name that is taken must show before sentences are drawn
    with BagWriter(path, storage) as writer:
        bag = CameraBag(writer, compressed=recording.compressed)
        rng = np.random.default_rng((recording.seed, 1))
        stage: _Stage | None = None
        instruction = -1
        schedule = _schedule(recording)
        for number in range(recording.frames):
            at_ns = START_NS + round(number * 1e9 / recording.rate)
            place, request = schedule[number * len(schedule) // recording.frames]
            scene = number * recording.tables // recording.frames if request is None else (
                request.scene)
            if stage is None or stage.number != scene:
                stage = _Stage(recording, scene, at_ns)
                bag.fixed(stage.fixed(), at_ns)
            if request is not None and place != instruction:
                instruction = place
                bag.instruct(
                    TrueInstruction(place + 1, request.text, request.kind, request.wanted, scene),
                    at_ns)
            stage.shoot(bag, number, at_ns, lost=rng.random(2) < recording.drop_rate)
            progress(number + 1, recording.frames)
    return recording.frames


class _Stage:
    """One table, and the camera over it."""

    def __init__(self, recording: TabletopRecording, number: int, at_ns: int) -> None:
        self.number = number
        self._recording = recording
        self._begin_ns = at_ns
        self._motion: Motion = sample_motion(
            recording.seed, number, width=recording.width, height=recording.height,
            moving=recording.speed > 0, sliding=recording.moving_objects)
        self._laps = laps_per_second(self._motion, recording.speed)

    def fixed(self) -> list:
        """Return the transforms that hold for the whole scene."""
        stamp = stamp_message(self._begin_ns)
        transforms = fixed_transforms(stamp)
        if self._motion.is_camera_still:
            transforms.append(world_transform(self._motion.camera(0.0).pose, stamp))
        return transforms

    def shoot(self, bag: CameraBag, number: int, at_ns: int, lost: np.ndarray) -> None:
        """Draw a picture and write it, with what is true of it."""
        phase = (at_ns - self._begin_ns) * 1e-9 * self._laps % 1.0
        shot = draw_shot(
            self._motion, phase, shot=number, depth_noise=self._recording.depth_noise)
        header = Header(stamp=stamp_message(at_ns), frame_id=OPTICAL_FRAME)
        if not self._motion.is_camera_still:
            bag.moving([world_transform(shot.camera.pose, header.stamp)], at_ns)
        bag.truth(
            true_instances(shot, header, self.number), true_targets(shot, header, self.number))
        camera = CameraModel.from_k(
            shot.camera.K, self._recording.width, self._recording.height)
        bag.picture(
            None if lost[0] else shot.image, None if lost[1] else shot.depth, camera, header)


def _schedule(recording: TabletopRecording) -> list[tuple[int, Request | None]]:
    """Return the instructions in order with their places; one None without any."""
    if not recording.instructions:
        return [(0, None)]
    return list(enumerate(islice(_sentences(recording), recording.instructions)))


def _sentences(recording: TabletopRecording) -> Iterator[Request]:
    each = -(-recording.instructions // recording.tables)
    # a table may allow fewer kinds of sentences than are wanted of it: then others follow
    return requests(
        recording.seed, _ENDLESS, each, width=recording.width, height=recording.height)
