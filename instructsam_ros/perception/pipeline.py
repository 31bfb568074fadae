# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Frame and instruction in; instances and targets out. One direction, no callbacks."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.instruction import clean_instruction
from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.segmenter import Segmentation, Segmenter, stream_of
from instructsam_ros.perception.targets import Target
from instructsam_ros.perception.tracking import Tracker

Pose = NDArray[np.float64]


@dataclass(frozen=True)
class PerceptionResult:
    """What one frame and one instruction gave.

    Attributes:
        instruction: as the model got it (white space collapsed).
        stamp: of the frame, seconds.
        segmentation: the model's answer and instances.
        targets: one per instance, in order, geometry in the optical frame.
        timings: seconds per stage: ``segment``, ``project``, and ``track`` if it was tracked.
        outlines: the instances' masks, each cropped to its rectangle; made if not given.
    """

    instruction: str
    stamp: float
    segmentation: Segmentation
    targets: tuple[Target, ...]
    timings: Mapping[str, float]
    outlines: tuple[Outline, ...] = ()

    def __post_init__(self) -> None:
        """Crop the masks: all that is made of a result needs where they are."""
        if len(self.outlines) != len(self.segmentation.instances):
            outlines = tuple(outline_of(one.mask) for one in self.segmentation.instances)
            object.__setattr__(self, 'outlines', outlines)


@dataclass(frozen=True)
class Answered:
    """A frame with the model's answer, of which nothing was measured yet.

    Attributes:
        frame: what was asked about.
        instruction: as the model got it (white space collapsed).
        segmentation: the answer.
        seconds: that it took.
        outlines: the instances' masks, each cropped to its rectangle.
    """

    frame: Frame
    instruction: str
    segmentation: Segmentation
    seconds: float
    outlines: tuple[Outline, ...]


class PerceptionPipeline:
    """Segment, project, track. The node, the command line and replay differ only around it."""

    def __init__(self, segmenter: Segmenter, projector: Projector | None = None) -> None:
        """Use a loaded segmenter and, if other settings are wanted, a projector."""
        self.segmenter = segmenter
        self._stream = stream_of(segmenter)
        self.projector = projector or Projector()

    def run(
        self,
        frame: Frame,
        instruction: str,
        *,
        threshold: float | None = None,
        locate: Callable[[], Pose | None] | None = None,
        tracker: Tracker | None = None,
        fix: Callable[[], Pose | None] | None = None,
        standing: bool = False,
    ) -> PerceptionResult:
        """Process one frame. Raises ValueError for an unusable instruction or frame.

        ``locate`` stands in for ``frame.camera_pose`` (same meaning) and is asked only when the
        pose is needed, after segmenting: a live source has had time to learn it by then.
        ``tracker`` gives ids that last and filters poses; without one, ids are places in the
        list. ``fix`` tells the camera's pose in the frame in which objects rest, if that is
        another one than gravity's; it is asked after ``locate``. ``standing``: picture after
        picture of one camera is asked the same, which models may answer faster.
        """
        answered = self.segment(frame, instruction, threshold=threshold, standing=standing)
        pose = frame.camera_pose if locate is None else locate()
        return self.measure(answered, pose, pose if fix is None else fix(), tracker)

    def segment(
        self, frame: Frame, instruction: str, *, threshold: float | None = None,
        standing: bool = False,
    ) -> Answered:
        """Ask the model, the first half of ``run``. Raises ValueError like it."""
        instruction = clean_instruction(instruction)
        start = time.perf_counter()
        segmenter = self._stream if standing else self.segmenter
        segmentation = segmenter.segment(frame.image, instruction, threshold=threshold)
        outlines = tuple(outline_of(one.mask) for one in segmentation.instances)
        seconds = time.perf_counter() - start
        return Answered(frame, instruction, segmentation, seconds, outlines)

    def measure(
        self, answered: Answered, pose: Pose | None, to_fixed: Pose | None,
        tracker: Tracker | None = None,
    ) -> PerceptionResult:
        """Measure and track what the model found, the other half of ``run``; on any thread.

        ``pose`` is that of the camera in a frame whose z is up, ``to_fixed`` in the one in which
        objects rest; None when unknown.
        """
        frame, segmentation, outlines = answered.frame, answered.segmentation, answered.outlines
        rotation = None if pose is None else pose[:3, :3]
        instances = segmentation.instances
        start = time.perf_counter()
        targets = self.projector.project(
            instances, frame.depth, frame.camera, rotation, outlines)
        projected = time.perf_counter()
        timings = {'segment': answered.seconds, 'project': projected - start}
        if tracker is not None:
            targets = tracker.update(
                targets, instances, frame.stamp, frame.camera, to_fixed, frame.depth, outlines
            )
            timings['track'] = time.perf_counter() - projected
        return PerceptionResult(
            answered.instruction, frame.stamp, segmentation, targets, timings, outlines)
