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
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.segmenter import Segmentation, Segmenter
from instructsam_ros.perception.targets import Target


@dataclass(frozen=True)
class PerceptionResult:
    """What one frame and one instruction gave.

    Attributes:
        instruction: as the model got it (white space collapsed).
        stamp: of the frame, seconds.
        segmentation: the model's answer and instances.
        targets: one per instance, in order, geometry in the optical frame.
        timings: seconds per stage, ``segment`` and ``project``.
    """

    instruction: str
    stamp: float
    segmentation: Segmentation
    targets: tuple[Target, ...]
    timings: Mapping[str, float]


class PerceptionPipeline:
    """Segment, then project. The node, the command line and replay differ only around it."""

    def __init__(self, segmenter: Segmenter, projector: Projector | None = None) -> None:
        """Use a loaded segmenter and, if other settings are wanted, a projector."""
        self.segmenter = segmenter
        self.projector = projector or Projector()

    def run(
        self,
        frame: Frame,
        instruction: str,
        *,
        threshold: float | None = None,
        locate: Callable[[], NDArray[np.float64] | None] | None = None,
    ) -> PerceptionResult:
        """Process one frame. Raises ValueError for an unusable instruction or frame.

        ``locate`` stands in for ``frame.camera_pose`` (same meaning) and is asked only when the
        pose is needed, after segmenting: a live source has had time to learn it by then.
        """
        instruction = clean_instruction(instruction)
        start = time.perf_counter()
        segmentation = self.segmenter.segment(frame.image, instruction, threshold=threshold)
        segmented = time.perf_counter()
        pose = frame.camera_pose if locate is None else locate()
        rotation = None if pose is None else pose[:3, :3]
        located = time.perf_counter()
        targets = self.projector.project(
            segmentation.instances, frame.depth, frame.camera, rotation
        )
        timings = {'segment': segmented - start, 'project': time.perf_counter() - located}
        return PerceptionResult(instruction, frame.stamp, segmentation, targets, timings)
