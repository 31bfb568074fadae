# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A replay: bag in; results bag, ``metrics.json``, pictures and ``report.html`` out."""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from instructsam_ros.bridge.transforms import TransformSource
from instructsam_ros.nodes.decoding import FrameDecoder
from instructsam_ros.nodes.inputs import InputFrame
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.pipeline import PerceptionPipeline
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.segmenter import Segmenter, stream_beside, stream_of
from instructsam_ros.perception.tracking import Tracker
from instructsam_ros.replay.answers import AnswerBook, RememberingSegmenter
from instructsam_ros.replay.asking import Asker
from instructsam_ros.replay.assembling import BagFrame, FrameAssembler
from instructsam_ros.replay.errors import BagError, BagWriteError
from instructsam_ros.replay.live_frames import answered_frames
from instructsam_ros.replay.measuring import Measurer, Moment
from instructsam_ros.replay.placing import Placer
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.recording import ResultRecorder
from instructsam_ros.replay.report import write_report
from instructsam_ros.replay.schedule import Query, Schedule
from instructsam_ros.replay.topics import BagTopics
from instructsam_ros.replay.truth import TrueObject, Truth
from instructsam_ros.replay.worker import Worker

SCHEMA = 'instructsam_ros/replay/1'
# answers that may wait to be measured: pictures are large
_WAITING = 2
METRICS, REPORT, RESULTS, ANSWERS, PICTURES = (
    'metrics.json', 'report.html', 'results', 'answers.jsonl', 'pictures')


@dataclass(frozen=True)
class ReplayOptions:
    """How to replay.

    Attributes:
        every: take every n-th frame.
        latency: seconds that a frame is taken to need; frames that come meanwhile are dropped but
            for the newest, as in the live node. 0: the time that it really needs. None: no frame
            is dropped.
        frames_of: bag of results of a live node; only the pictures that it answered are taken.
        start, stop: seconds since the start of the bag; stop None: to the end.
        threshold: least score; None: the model's own.
        target_frame, gravity_frame: as the node's parameters; gravity '' is the root of the bag's
            TF tree, which REP-105 has z up.
        tracking: whether ids last.
        resume: go on with a replay that was stopped.
        about: what else the answers depend on, for ``resume``: model and device.
    """

    every: int = 1
    latency: float | None = None
    start: float = 0.0
    stop: float | None = None
    frames_of: str = ''
    threshold: float | None = None
    target_frame: str = ''
    gravity_frame: str = ''
    tracking: bool = True
    resume: bool = False
    about: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ReplayEnd:
    """How it ended: the metrics, and what cut it short ('' if nothing did)."""

    metrics: dict[str, Any]
    trouble: str = ''
    interrupted: bool = False


class Replay:
    """One run over one bag.

    Args:
        bag: open for reading.
        topics: of one camera.
        schedule: what is asked when.
        truth: what is true; None where nothing is known.
        segmenter: the model.
        options: how.
    """

    def __init__(
        self, bag: BagReader, topics: BagTopics, schedule: Schedule, truth: Truth | None,
        segmenter: Segmenter, options: ReplayOptions,
    ) -> None:
        self._bag, self._topics, self._schedule = bag, topics, schedule
        self._truth, self._segmenter, self._options = truth, segmenter, options
        self._warnings: dict[str, None] = dict.fromkeys([*bag.notes, *topics.notes])
        self._settings = PerceptionSettings(
            target_frame=options.target_frame, gravity_frame=options.gravity_frame,
            tracking=options.tracking)
        companions = () if truth is None else truth.companions
        self._assembler = FrameAssembler(bag, topics, companions=companions)
        self._placer = Placer(
            TransformSource(self._assembler.buffer), self._assembler.parents,
            options.target_frame, options.gravity_frame, self._warn)
        self._only = answered_frames(options.frames_of) if options.frames_of else None
        self._depth_info = None
        if topics.depth_camera_info is not None:
            # a calibration does not change
            self._depth_info = next(
                bag.messages([topics.depth_camera_info], strict=False)).message
        self._decoder = FrameDecoder(
            lambda: self._settings, Notices(self._warn, lambda text: None),
            self._placer.extrinsics, topics.depth_camera_info or '--depth-camera-info')
        self._stream: Segmenter | None = None
        self._askers: dict[str, Asker] = {}
        # pictures that the model has seen may not all be measured yet
        self._measurer, self._searched = Measurer(options.target_frame), 0
        self._pictures: dict[str, bytes] = {}
        self._dropped: Counter[str] = Counter()

    def run(
        self, out: Path, command: str, environment: Mapping[str, Any],
        progress: Callable[[float, int], None] = lambda seconds, frames: None,
    ) -> ReplayEnd:
        """Replay into the folder ``out``.

        ``progress`` hears the seconds of the bag that are done, and how many frames. Ctrl-C and
        damaged bags end it early, with a report about what was done. Raises BagError for a folder
        that holds another replay, BagWriteError, OSError.
        """
        out.mkdir(parents=True, exist_ok=True)
        results = out / RESULTS
        if results.exists():
            if not (self._options.resume or (out / METRICS).exists()):
                raise BagError(f'{results}: exists and is of no replay: choose another --out')
            shutil.rmtree(results)
        trouble, interrupted = '', False
        about = {
            'bag': str(self._bag.path.resolve()), 'size': self._bag.size,
            'topics': self._topics.named(), 'threshold': self._options.threshold,
            **(self._options.about or {})}
        try:
            with AnswerBook(out / ANSWERS, about, resume=self._options.resume) as book, \
                    ResultRecorder(results, self._bag, self._topics) as recorder, \
                    Worker('measuring', _WAITING) as worker, \
                    closing(self._frames()) as frames:
                try:
                    for frame in frames:
                        self._process(frame, book, recorder, worker)
                        progress(self._time(frame), self._searched)
                except KeyboardInterrupt:
                    interrupted = True
                    trouble = 'it was interrupted: the rest of the bag is missing'
                except BagError as error:
                    trouble = str(error)
        except BagWriteError as error:
            if not self._measurer.processed:
                raise
            trouble = str(error)
        if trouble:
            self._warn(trouble)
        metrics = self._metrics(command, environment)
        try:
            self._write(out, metrics)
        except OSError as error:
            reason = trouble or f'{error.filename or out}: {error.strerror or error}'
            raise BagWriteError(
                f'{reason}; there is no report: make room, then go on with --resume') from None
        return ReplayEnd(metrics, trouble, interrupted)

    def _frames(self) -> Generator[BagFrame, None, None]:
        options = self._options
        start = self._bag.start_ns + round(options.start * 1e9)
        stop = None if options.stop is None else self._bag.start_ns + round(options.stop * 1e9)
        frames: Iterable[BagFrame] = (
            one for one in self._assembler.frames(start if options.start else None, stop)
            if one.index % options.every == 0
            and (self._only is None or one.stamp_ns in self._only))
        yield from frames if options.latency is None else self._paced(frames, options.latency)

    def _paced(self, frames: Iterable[BagFrame], latency: float) -> Iterator[BagFrame]:
        """Drop what comes while another frame is busy, but for the newest, as the node does."""
        busy_until, waiting = -1, None
        for frame in frames:
            while waiting is not None and frame.bag_ns >= busy_until:
                begun, chosen, waiting = max(busy_until, waiting.bag_ns), waiting, None
                yield chosen
                busy_until = begun + round((latency or self._measurer.took) * 1e9)
            if waiting is not None:
                self._dropped['a newer frame came'] += 1
            waiting = frame
            busy_until = max(busy_until, frame.bag_ns)
        if waiting is not None:
            yield waiting

    def _process(
        self, source: BagFrame, book: AnswerBook, recorder: ResultRecorder, worker: Worker
    ) -> None:
        """Ask the model about a picture, and have the rest done while it gets the next one."""
        seconds = self._time(source)
        queries = self._schedule.queries(seconds, source.bag_ns)
        if not queries:
            self._dropped['nothing was asked'] += 1
            return
        begun = time.perf_counter()
        try:
            frame = self._decoder.decode(InputFrame(
                source.image, source.depth, source.info, depth_info=self._depth_info))
        except ValueError as error:
            self._warn(f'pictures are left out: {error}')
            self._dropped['unusable picture'] += 1
            return
        decoded = time.perf_counter() - begun
        moment = Moment(source, seconds, decoded, *self._placer.locate(source.image.header),
                        self._assembler.restarts)
        for query in queries:
            asker = self._asker(query, book)
            asker.segmenter.stamp_ns = source.stamp_ns
            answered = asker.pipeline.segment(frame, query.text, threshold=self._options.threshold)
            remembered = asker.segmenter.remembered
            if not remembered:
                # what was asked must not be asked again, whatever happens next
                book.add(source.stamp_ns, answered)
            worker.do(partial(
                self._measurer.measure, moment, query, asker, answered, remembered,
                self._true_objects(source, query), recorder))
        worker.do(self._measurer.finish)
        self._searched += 1
        if self._options.latency == 0:
            # how long this picture took says which is the next
            worker.settle()

    def _asker(self, query: Query, book: AnswerBook) -> Asker:
        asker = self._askers.get(query.text)
        if asker is None:
            if self._stream is None:
                stream = self._stream = stream_of(self._segmenter)
            else:
                # questions about one picture follow each other
                stream = stream_beside(self._stream, self._segmenter)
            segmenter = RememberingSegmenter(stream, book)
            pipeline = PerceptionPipeline(segmenter, Projector(self._settings.projection))
            tracker = Tracker(self._settings.tracker) if self._options.tracking else None
            asker = self._askers[query.text] = Asker(segmenter, pipeline, tracker)
        return asker

    def _true_objects(self, source: BagFrame, query: Query) -> Sequence[TrueObject] | None:
        if self._truth is None:
            return None
        try:
            return self._truth.objects(source, query)
        except ValueError as error:
            self._warn(f'truth is left out: {error}')
            return None

    def _time(self, frame: BagFrame) -> float:
        return (frame.bag_ns - self._bag.start_ns) * 1e-9

    def _warn(self, text: str) -> None:
        self._warnings.setdefault(text)

    def _metrics(self, command: str, environment: Mapping[str, Any]) -> dict[str, Any]:
        cases, self._pictures = self._measurer.cases.cases()
        bag, sync = self._bag, self._assembler.sync
        options = asdict(self._options)
        options.pop('about'), options.pop('resume')
        return {
            'schema': SCHEMA,
            'bag': {'path': str(bag.path), 'storage': bag.storage, 'duration': bag.duration,
                    'messages': bag.count, 'topics': self._topics.named()},
            'command': command, 'environment': dict(environment), 'settings': options,
            'warnings': list(self._warnings),
            'frames': {'images': sync.images, 'matched': sync.frames,
                       'unmatched': dict(sorted(sync.unmatched.items())),
                       'flat': dict(sorted(sync.flat.items())),
                       'processed': self._measurer.processed,
                       'dropped': dict(sorted(self._dropped.items()))},
            'cases': cases, **self._measurer.evaluator.figures()}

    def _write(self, out: Path, metrics: dict[str, Any]) -> None:
        (out / METRICS).write_text(
            json.dumps(metrics, indent=1, allow_nan=False, sort_keys=True) + '\n',
            encoding='utf-8')
        folder = out / PICTURES
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, jpeg in self._pictures.items():
            (folder / name).write_bytes(jpeg)
        write_report(out / REPORT, metrics, self._pictures)
