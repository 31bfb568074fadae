# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What one instruction keeps from picture to picture."""

from instructsam_ros.perception.pipeline import PerceptionPipeline
from instructsam_ros.perception.tracking import Tracker
from instructsam_ros.replay.answers import RememberingSegmenter
from instructsam_ros.replay.schedule import Query


class Asker:
    """Searches for one instruction.

    Attributes:
        segmenter, pipeline: its own, for both may draw on the picture before.
    """

    def __init__(
        self, segmenter: RememberingSegmenter, pipeline: PerceptionPipeline,
        tracker: Tracker | None,
    ) -> None:
        """Without a tracker, ids are places in the list."""
        self.segmenter, self.pipeline, self._tracker = segmenter, pipeline, tracker
        self._subject: tuple[int, int] | None = None

    def tracker_for(self, query: Query, restarts: int) -> Tracker | None:
        """Return the tracker, anew where the instruction came anew or time went back."""
        if self._tracker is not None and self._subject != (query.number, restarts):
            self._tracker.reset()
            self._subject = (query.number, restarts)
        return self._tracker
