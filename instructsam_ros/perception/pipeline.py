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
            object.__setattr__(self, 'outlines', _outlines(self.segmentation))


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
        instruction = clean_instruction(instruction)
        start = time.perf_counter()
        segmenter = self._stream if standing else self.segmenter
        segmentation = segmenter.segment(frame.image, instruction, threshold=threshold)
        segmented = time.perf_counter()
        pose = frame.camera_pose if locate is None else locate()
        rotation = None if pose is None else pose[:3, :3]
        to_fixed = pose if fix is None else fix()
        located = time.perf_counter()
        instances = segmentation.instances
        outlines = _outlines(segmentation)
        targets = self.projector.project(
            instances, frame.depth, frame.camera, rotation, outlines)
        projected = time.perf_counter()
        timings = {'segment': segmented - start, 'project': projected - located}
        if tracker is not None:
            targets = tracker.update(
                targets, instances, frame.stamp, frame.camera, to_fixed, frame.depth, outlines
            )
            timings['track'] = time.perf_counter() - projected
        return PerceptionResult(
            instruction, frame.stamp, segmentation, targets, timings, outlines)


def _outlines(segmentation: Segmentation) -> tuple[Outline, ...]:
    return tuple(outline_of(one.mask) for one in segmentation.instances)
