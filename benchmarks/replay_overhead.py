# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a replay costs besides the model: all stages around a segmenter that knows the masks.

    python benchmarks/replay_overhead.py [--width 1280] [--height 720] [--frames 150]

Goal at 1280x720: 10 ms from picture to picture besides the model. The segmenter takes `--model`
milliseconds in which the processor is free, as with a GPU; with 0 it shows how fast a replay can be
at most. The bag holds drawn tables with sensor noise, a few pictures to and fro, TF, one
instruction and all truth; files come from the page cache. The best of the repeats counts. Stages
are times of the processor, each on its thread: the main one, the one that measures, the one that
records; reading ahead has another one.
"""

import argparse
import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from instructsam.tabletop.film import Shot, draw_shot
from instructsam.tabletop.motion import sample_motion
from instructsam_ros.bridge.results import masks_of
from instructsam_ros.bridge.tabletop import (
    OPTICAL_FRAME,
    fixed_transforms,
    world_transform,
)
from instructsam_ros.bridge.truth import true_instances, true_targets
from instructsam_ros.nodes.decoding import FrameDecoder
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.tracking import Tracker
from instructsam_ros.replay.answers import AnswerBook
from instructsam_ros.replay.assembling import FrameAssembler
from instructsam_ros.replay.camera_bag import (
    START_NS,
    CameraBag,
    TrueInstruction,
    stamp_message,
)
from instructsam_ros.replay.cases import CaseKeeper
from instructsam_ros.replay.evaluating import Evaluator
from instructsam_ros.replay.placing import Placer
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.recording import ResultRecorder
from instructsam_ros.replay.runner import Replay, ReplayOptions
from instructsam_ros.replay.schedule import choose_schedule
from instructsam_ros.replay.topics import choose_topics
from instructsam_ros.replay.truth import TopicTruth
from instructsam_ros.replay.writing import BagWriter

from std_msgs.msg import Header  # isort: skip

SHOTS = 8
GOAL = 10.0
MAIN, MEASURE, RECORD, END = 'main', 'measure', 'record', 'main, at the end'
STAGES: dict[str, tuple[Any, str, str]] = {
    'decode': (FrameDecoder, 'decode', MAIN), 'locate': (Placer, 'locate', MAIN),
    'write answers': (AnswerBook, 'add', MAIN), 'truth': (TopicTruth, 'objects', MAIN),
    'project': (Projector, 'project', MEASURE), 'track': (Tracker, 'update', MEASURE),
    'metrics': (Evaluator, 'add', MEASURE), 'cases': (CaseKeeper, 'offer', MEASURE),
    'messages': (ResultRecorder, '_write', RECORD), 'figures': (Replay, '_metrics', END),
    'report': (Replay, '_write', END)}


class Knowing:
    """A segmenter that has learned the pictures by heart."""

    def __init__(
        self, shots: list[Shot], wanted: frozenset[int], seconds: float = 0.0
    ) -> None:
        """``wanted`` are the objects that it finds, after ``seconds`` of waiting."""
        header = Header()
        self._seconds = seconds
        self._answers = {}
        for shot in shots:
            known = true_instances(shot, header, 0)
            masks = dict(zip((one.id for one in known.instances), masks_of(known), strict=True))
            found = tuple(
                SimpleNamespace(mask=mask, score=0.9, box=_box(mask), phrase=f'thing {number}')
                for number, mask in masks.items() if number in wanted)
            self._answers[_mark(shot.image)] = SimpleNamespace(
                answer='things', phrases=('things',), instances=found, timings={})

    def segment(
        self, image: NDArray[np.uint8], instruction: str, *, threshold: float | None = None
    ) -> Any:
        """Return what is known."""
        time.sleep(self._seconds)
        return self._answers[_mark(image)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--width', type=int, default=1280)
    parser.add_argument('--height', type=int, default=720)
    parser.add_argument('--frames', type=int, default=150)
    parser.add_argument('--repeats', type=int, default=2)
    parser.add_argument('--model', type=float, nargs='+', default=[0.0, 50.0], metavar='MS')
    options = parser.parse_args()
    motion = sample_motion(0, width=options.width, height=options.height)
    shots = [draw_shot(motion, number / 200, shot=number) for number in range(SHOTS)]
    wanted = frozenset(one.id for one in true_instances(shots[0], Header(), 0).instances[:3])
    console, number = Console(), options.frames
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'bag'
        write(path, shots, wanted, number)
        for model in options.model:
            segmenter = Knowing(shots, wanted, model / 1000)
            wall, used, spent, moments = min(
                (replay(path, Path(folder) / f'{model}_{repeat}', segmenter)
                 for repeat in range(options.repeats)), key=lambda one: one[0])
            table = Table(title=f'{number} pictures of {options.width}x{options.height} RGB-D, '
                          f'a model of {model:g} ms', title_justify='left')
            table.add_column('stage')
            table.add_column('thread')
            table.add_column('ms per picture', justify='right')
            for name, seconds in spent.items():
                thread = STAGES[name][2] if name in STAGES else MAIN
                table.add_row(name, thread, f'{1000 * seconds / number:.2f}')
            console.print(table)
            whole = 1000 * wall / number
            # from picture to picture: the first and the last include beginning and end
            least, usual = 1000 * np.percentile(np.diff(moments), [10, 50])
            console.print(
                f'{whole:.1f} ms per picture by the clock, beginning, end and report included, '
                f'{1000 * used / number:.1f} ms of the processor\n'
                f'{usual:.1f} ms from picture to picture (median): {usual - model:.1f} ms besides '
                f'the model, {least - model:.1f} ms in the fastest tenth (goal {GOAL:.0f} at '
                '1280x720)')


def write(
    path: Path, shots: list[Shot], wanted: frozenset[int], frames: int, *, compress: bool = True
) -> None:
    """Write the bag: the shots to and fro, thirty per second."""
    height, width = shots[0].depth.shape
    camera = CameraModel.from_k(shots[0].camera.K, width, height)
    order = [*range(len(shots)), *range(len(shots) - 2, 0, -1)]
    with BagWriter(path, compress=compress) as writer:
        bag = CameraBag(writer)
        bag.fixed(fixed_transforms(stamp_message(START_NS)), START_NS)
        bag.instruct(TrueInstruction(1, 'the things', 'several', wanted), START_NS)
        for number in range(frames):
            shot = shots[order[number % len(order)]]
            at_ns = START_NS + round(number * 1e9 / 30)
            header = Header(stamp=stamp_message(at_ns), frame_id=OPTICAL_FRAME)
            bag.moving([world_transform(shot.camera.pose, header.stamp)], at_ns)
            bag.truth(true_instances(shot, header, 0), true_targets(shot, header, 0))
            bag.picture(shot.image, shot.depth, camera, header)


def replay(
    path: Path, out: Path, segmenter: Any, options: ReplayOptions | None = None
) -> tuple[float, float, dict[str, float], list[float]]:
    """Return seconds of a replay: by the clock, of the processor, by stage, and at each picture."""
    moments: list[float] = []
    with BagReader(path) as bag, timed() as spent:
        begun, used = time.perf_counter(), time.process_time()
        topics = choose_topics(bag)
        Replay(
            bag, topics, choose_schedule(bag, topics, [], None), TopicTruth(topics), segmenter,
            options or ReplayOptions()).run(
                out, '', {}, lambda seconds, frames: moments.append(time.perf_counter()))
        return time.perf_counter() - begun, time.process_time() - used, spent, moments


@contextlib.contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Count the seconds that each stage takes."""
    spent: defaultdict[str, float] = defaultdict(float)

    def watch(name: str, method: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            begun = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - begun
        return wrapper

    def watch_frames(method: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Iterator[Any]:
            frames = method(*args, **kwargs)
            while True:
                begun = time.thread_time()
                frame = next(frames, None)
                spent['read and match'] += time.thread_time() - begun
                if frame is None:
                    return
                yield frame
        return wrapper

    kept = [(cls, name, getattr(cls, name)) for cls, name, _ in STAGES.values()]
    frames = FrameAssembler.frames
    for stage, (cls, name, _) in STAGES.items():
        setattr(cls, name, watch(stage, getattr(cls, name)))
    setattr(FrameAssembler, 'frames', watch_frames(frames))  # noqa: B010
    try:
        yield spent
    finally:
        for cls, name, method in kept:
            setattr(cls, name, method)
        setattr(FrameAssembler, 'frames', frames)  # noqa: B010


def _mark(image: NDArray[np.uint8]) -> bytes:
    return image[::97, ::89].tobytes()


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


if __name__ == '__main__':
    main()
