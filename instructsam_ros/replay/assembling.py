# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a bag to complete frames, as the live node would have put them together, with TF.

::

    assembler = FrameAssembler(bag, choose_topics(bag))
    for frame in assembler.frames():
        frame.image, frame.depth, frame.info, assembler.buffer
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from rclpy.duration import Duration
from tf2_ros import Buffer

from instructsam_ros.bridge.synchronising import FrameSynchronizer, SyncSettings, stamp_ns
from instructsam_ros.replay.ahead import read_ahead
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import BACKWARDS_NS
from instructsam_ros.replay.reading import BagMessage, BagReader
from instructsam_ros.replay.topics import BagTopics

_AUTHORITY = 'bag'
# seconds that TF reaches back, as in the live node
_TF_CACHE = 10.0
# companions of images that never made a frame must not pile up
_MOST_COMPANIONS = 200
# nanoseconds in which static transforms are looked for ahead of the frames
_STATIC_NS = 10_000_000_000
# messages that are read ahead: some pictures
_AHEAD = 12


@dataclass(frozen=True)
class BagFrame:
    """Messages of one moment; what the node calls an InputFrame.

    Attributes:
        image: the picture, raw or compressed.
        depth, info: what belongs to it, None where there is none.
        index: number of the frame, from 0.
        bag_ns: when the frame was complete, by the recorder's clock.
        companions: topic -> message with exactly the image's stamp, of the topics asked for.
        is_live: TF knows where it was taken.
    """

    image: Any
    depth: Any = None
    info: Any = None
    index: int = 0
    bag_ns: int = 0
    companions: dict[str, Any] = field(default_factory=dict)
    is_live: bool = True

    @property
    def stamp_ns(self) -> int:
        """Stamp of the image in nanoseconds."""
        return stamp_ns(self.image)


class FrameAssembler:
    """Reads a bag once, front to back, and yields its frames.

    A frame is held back until TF of the next ``tf_lookahead`` seconds of the bag is in ``buffer``:
    transforms around the image's stamp arrive after it. Static transforms of the first ten seconds
    hold from the start. A clock that goes back, the recorder's or the camera's, begins anew.

    Attributes:
        buffer: TF around the frame that was yielded last.
        parents: parent of each frame in ``buffer``.
        sync: the counters: images, frames, unmatched, flat (see FrameSynchronizer).
        restarts: how often a clock went back.
        unaccompanied: topic -> frames without a companion from it.
    """

    def __init__(
        self,
        bag: BagReader,
        topics: BagTopics,
        settings: SyncSettings | None = None,
        *,
        tf_lookahead: float = 0.1,
        companions: Sequence[str] = (),
    ) -> None:
        """``companions`` are topics with headers, such as the truth."""
        self._bag = bag
        self._topics = topics
        self._lookahead_ns = round(tf_lookahead * 1e9)
        self.buffer = Buffer(Duration(seconds=_TF_CACHE))
        self.parents: dict[str, str] = {}
        self.sync = FrameSynchronizer(
            settings or SyncSettings(), self._on_frame, has_depth=topics.depth is not None)
        self.restarts = 0
        self._companions: dict[str, dict[int, Any]] = {name: {} for name in companions}
        self.unaccompanied: Counter[str] = Counter()
        self._complete: deque[BagFrame] = deque()
        self._now_ns = 0

    def frames(self, start: int | None = None, stop: int | None = None) -> Iterator[BagFrame]:
        """Yield the frames of start <= recorder's time < stop, nanoseconds; once only.

        Raises BagError like ``BagReader.messages``; of a damaged bag after its last frame.
        """
        topics, wanted = self._topics, set(self._companions)
        camera = {name for name in (topics.image, topics.depth, topics.camera_info) if name}
        wanted |= {*camera, *topics.tf, *topics.tf_static}
        self._take_static(start)
        # TF goes on after the last image that is wanted
        last = None if stop is None else stop + self._lookahead_ns
        with closing(read_ahead(self._bag.messages(wanted, start, last), _AHEAD)) as messages:
            yield from self._assembled(messages, camera, stop)

    def _assembled(
        self, messages: Iterator[BagMessage], camera: set[str], stop: int | None
    ) -> Iterator[BagFrame]:
        newest_ns: int | None = None
        trouble: BagError | None = None
        while True:
            try:
                topic, message, bag_ns = next(messages)
            except StopIteration:
                break
            except BagError as error:
                # what was read before counts
                trouble = error
                break
            if self._is_new_run(topic, message, bag_ns, newest_ns):
                yield from self._released(None)
                self._begin_anew()
                newest_ns = None
            newest_ns = bag_ns if newest_ns is None else max(newest_ns, bag_ns)
            yield from self._released(newest_ns - self._lookahead_ns - 1)
            if stop is None or bag_ns < stop or topic not in camera:
                self._take(topic, message, bag_ns)
        self.sync.finish()
        yield from self._released(None)
        if trouble is not None:
            raise trouble

    def _is_new_run(self, topic: str, message: Any, bag_ns: int, newest_ns: int | None) -> bool:
        """Return whether the recorder's clock, or the camera's, went back."""
        if newest_ns is not None and bag_ns < newest_ns - BACKWARDS_NS:
            return True
        return topic == self._topics.image and self.sync.goes_back(message)

    def _take(self, topic: str, message: Any, bag_ns: int) -> None:
        topics = self._topics
        self._now_ns = bag_ns
        if topic == topics.image:
            self.sync.image(message, bag_ns)
        elif topic == topics.depth:
            self.sync.depth(message)
        elif topic == topics.camera_info:
            self.sync.info(message)
        elif topic in topics.tf or topic in topics.tf_static:
            for transform in message.transforms:
                self._learn(transform, is_static=topic in topics.tf_static)
        if topic in self._companions:
            waiting = self._companions[topic]
            waiting[stamp_ns(message)] = message
            if len(waiting) > _MOST_COMPANIONS:
                del waiting[next(iter(waiting))]

    def _on_frame(self, image: Any, depth: Any, info: Any) -> None:
        index = self.sync.frames - 1
        self._complete.append(BagFrame(image, depth, info, index, self._now_ns))

    def _released(self, complete_until_ns: int | None) -> Iterator[BagFrame]:
        """Yield the frames complete by then, oldest first; None: all."""
        while self._complete and (
            complete_until_ns is None or self._complete[0].bag_ns <= complete_until_ns
        ):
            frame = self._complete.popleft()
            for topic, waiting in self._companions.items():
                message = waiting.pop(frame.stamp_ns, None)
                if message is None:
                    self.unaccompanied[topic] += 1
                else:
                    frame.companions[topic] = message
            yield frame

    def _take_static(self, start: int | None) -> None:
        """Let static transforms hold from the start: as they were then, or else the first ones."""
        topics, begin_ns = self._topics.tf_static, self._bag.start_ns if start is None else start
        if not topics:
            return
        known: set[str] = set()
        for found in self._bag.messages(topics, None, begin_ns + _STATIC_NS, strict=False):
            for transform in found.message.transforms:
                if found.bag_ns < begin_ns or transform.child_frame_id not in known:
                    known.add(transform.child_frame_id)
                    self._learn(transform, is_static=True)

    def _learn(self, transform: Any, *, is_static: bool) -> None:
        self.parents[transform.child_frame_id] = transform.header.frame_id
        if is_static:
            self.buffer.set_transform_static(transform, _AUTHORITY)
        else:
            self.buffer.set_transform(transform, _AUTHORITY)

    def _begin_anew(self) -> None:
        self.restarts += 1
        self.sync.restart()
        self.buffer.clear()
        self.parents.clear()
        for waiting in self._companions.values():
            waiting.clear()
