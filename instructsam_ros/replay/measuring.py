# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All that follows an answer of the model: targets, figures, cases, and the results on disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from instructsam_ros.perception.pipeline import Answered, Pose
from instructsam_ros.replay.asking import Asker
from instructsam_ros.replay.assembling import BagFrame
from instructsam_ros.replay.cases import CaseKeeper
from instructsam_ros.replay.evaluating import Evaluator, Outcome
from instructsam_ros.replay.recording import ResultRecorder
from instructsam_ros.replay.schedule import Query
from instructsam_ros.replay.truth import TrueObject


@dataclass(frozen=True, eq=False)
class Moment:
    """When and where a picture was taken.

    Attributes:
        source: the picture's messages.
        seconds: since the start of the bag.
        decoded: seconds that it took to decode the picture.
        gravity: [4, 4] optical frame -> a frame whose z is up, None when unknown.
        to_target: [4, 4] optical frame -> the target frame, None when unknown.
        restarts: how often time went back before.
    """

    source: BagFrame
    seconds: float
    decoded: float
    gravity: Pose | None
    to_target: Pose | None
    restarts: int


class Measurer:
    """Measures, tracks, compares with the truth and hands over to the recorder, in order.

    Attributes:
        evaluator, cases: what has come together so far.
        processed: pictures that are done.
        took: seconds that the latest picture would have taken a live node, but for decoding it.
    """

    def __init__(self, target_frame: str) -> None:
        """``target_frame`` is where targets are recorded, if TF knows the way."""
        self.evaluator, self.cases = Evaluator(), CaseKeeper()
        self.processed, self.took = 0, 0.0
        self._target_frame = target_frame
        self._taking = 0.0

    def measure(
        self, moment: Moment, query: Query, asker: Asker, answered: Answered, remembered: bool,
        truth: Sequence[TrueObject] | None, recorder: ResultRecorder,
    ) -> None:
        """Go on from the model's answer; ``remembered``: it was in the book already.

        Raises BagWriteError.
        """
        source = moment.source
        result = asker.pipeline.measure(
            answered, moment.gravity, moment.gravity, asker.tracker_for(query, moment.restarts))
        model = result.segmentation.timings
        timings = {'decode': moment.decoded, **result.timings,
                   **{f'segment: {name}': seconds for name, seconds in model.items()}}
        if remembered:
            # it costs nothing now: count what it cost then
            timings['segment'] = sum(model.values())
        else:
            # a live node, which is asked one thing, would have to look at the picture itself
            reused = getattr(result.segmentation, 'reused', ())
            timings['segment'] += sum(model[name] for name in reused)
        took = sum(timings[name] for name in result.timings)
        self._taking += took
        outcome = Outcome(source, moment.seconds, query, result, truth,
                          {**timings, 'frame': moment.decoded + took})
        entry = self.evaluator.add(outcome)
        self.cases.offer(outcome, entry, answered.frame.image)
        target = source.image.header.frame_id if moment.to_target is None else self._target_frame
        recorder.write(source, answered.frame, result, query.number, moment.to_target, target)

    def finish(self) -> None:
        """Note that all questions about a picture are answered."""
        self.processed += 1
        self.took, self._taking = self._taking, 0.0
