# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads bags: mcap and sqlite3 of ROS 2, split and compressed too, and ROS 1 bags.

::

    with BagReader('recording') as bag:
        for topic, message, bag_ns in bag.messages(['/camera/color/image_raw']):
            ...

Memory does not grow with the length of the bag. Damaged bags are read as far as they go.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from instructsam_ros.replay.decoding import MessageDecoder, is_known
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import BACKWARDS_NS, BagFile, Channel, RawMessage
from instructsam_ros.replay.folder import bag_layout, unpacked_message
from instructsam_ros.replay.shelf import Shelf

__all__ = ['BagError', 'BagMessage', 'BagReader', 'TopicInfo']


class BagMessage(NamedTuple):
    """A message, and the recorder's time in nanoseconds."""

    topic: str
    message: Any
    bag_ns: int


@dataclass(frozen=True)
class TopicInfo:
    """What a bag has on one topic.

    Attributes:
        name, type: such as '/tf' and 'tf2_msgs/msg/TFMessage'.
        count: of messages.
        definition: text of the type's definition in the bag, '' where it has none.
        is_idl: that text is IDL.
        latched: the publisher kept its last message for late subscribers.
        is_known: its messages can be decoded.
    """

    name: str
    type: str
    count: int
    definition: str = ''
    is_idl: bool = False
    latched: bool = False
    is_known: bool = True


class BagReader:
    """A bag that is open for reading; a context manager.

    Attributes:
        path: of the bag.
        topics: name -> TopicInfo, sorted by name.
        start_ns, end_ns: time of the first message, and just after the last; 0 without messages.
        storage: 'mcap', 'sqlite3' or 'ros1'.
        distro: ROS distribution that recorded it, '' if unknown.
        size: of all its files, in bytes.
        files: how many there are.
        notes: what is odd about it and was coped with, such as a clock that went back.
        damage: why not all of it can be read, '' for a sound bag. ``messages`` then ends with a
            BagError, after all that can be read.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a bag: its folder, or one of its files. Raises BagError, OSError."""
        self.path = Path(path)
        self._layout = bag_layout(self.path)
        self._decoder = MessageDecoder()
        self._closed = False
        self.storage, self.distro = self._layout.storage, self._layout.distro
        self.files = len(self._layout.files)
        self.size = sum(one.stat().st_size for one in self._layout.files)
        self.notes: list[str] = []
        self.damage = ''
        self._note(self._layout.note)
        self.start_ns = self.end_ns = 0
        self._shelf = Shelf()
        try:
            self.topics = _topics(self._look_through())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> 'BagReader':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End; iterators that are under way raise ValueError when they are asked for more."""
        self._closed = True
        self._shelf.close()

    @property
    def count(self) -> int:
        """How many messages there are."""
        return sum(one.count for one in self.topics.values())

    @property
    def duration(self) -> float:
        """Seconds from the first message to the last."""
        return max(self.end_ns - 1 - self.start_ns, 0) * 1e-9

    def messages(
        self,
        topics: Collection[str] | None = None,
        start: int | None = None,
        stop: int | None = None,
        *,
        strict: bool = True,
    ) -> Iterator[BagMessage]:
        """Yield the messages of the topics (None: all) with start <= time < stop, nanoseconds.

        They come in the order of time; where the clock went back, in the order of recording.
        Raises BagError for a topic that is not there, a type that nobody knows, a message that is
        damaged, and after the last message of a damaged bag, unless not ``strict``.
        """
        decode = self._decoder.decode
        for raw in self.raw_messages(topics, start, stop, strict=strict):
            yield BagMessage(raw.channel.topic, decode(raw), raw.bag_ns)

    def raw_messages(
        self,
        topics: Collection[str] | None = None,
        start: int | None = None,
        stop: int | None = None,
        *,
        strict: bool = True,
    ) -> Iterator[RawMessage]:
        """Yield what ``messages`` does, as bytes; types need not be known."""
        if topics is not None:
            topics = frozenset(topics)
            for name in topics - self.topics.keys():
                raise BagError(f'{self.path}: no topic {name}; it has {self.listing()}')
        for place in self._layout.files:
            with self._shelf.use(place) as file:
                for raw in file.messages(topics, start, stop):
                    if self._closed:
                        raise ValueError(f'{self.path}: the bag was closed')
                    if self._layout.per_message:
                        raw = raw._replace(data=unpacked_message(raw.data))
                    yield raw
                self._take_damage(file)
        if strict and self.damage:
            raise BagError(f'{self.damage}; everything else was read')

    def listing(self) -> str:
        """Return the topics with types and counts, for error messages."""
        if not self.topics:
            return 'no topics at all'
        return ', '.join(f'{one.name} ({one.type}, {one.count})' for one in self.topics.values())

    def _look_through(self) -> dict[Channel, int]:
        """Return what there is; of packed files the first one and the metadata must do."""
        counts: dict[Channel, int] = {}
        layout = self._layout
        is_stated = layout.is_packed and layout.stated is not None
        for place in layout.files[:1] if is_stated else layout.files:
            with self._shelf.use(place) as file:
                for channel, count in file.counts.items():
                    counts[channel] = counts.get(channel, 0) + count
                if file.end_ns:
                    self._follow(file)
                self._take_damage(file)
        if is_stated and layout.stated is not None:
            described = {(one.topic, one.type): one for one in counts}
            counts = {
                described.get((topic, kind), Channel(topic, kind, latched=latched)): count
                for (topic, kind, latched), count in layout.stated.items()}
            self.start_ns, self.end_ns = layout.start_ns, layout.end_ns
        return counts

    def _follow(self, file: BagFile) -> None:
        """Take in the times of the next file."""
        back = max(file.jump_ns, self.end_ns - file.start_ns if self.end_ns else 0)
        if back > BACKWARDS_NS:
            self._note(
                f'the clock went back by {back * 1e-9:.1f} s: messages are read in the order of '
                'recording')
        self.start_ns = min(self.start_ns, file.start_ns) if self.end_ns else file.start_ns
        self.end_ns = max(self.end_ns, file.end_ns)

    def _take_damage(self, file: BagFile) -> None:
        if file.damage and file.damage not in self.damage:
            self.damage = '; '.join(filter(None, (self.damage, file.damage)))

    def _note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)


def _topics(counts: dict[Channel, int]) -> dict[str, TopicInfo]:
    """Return one entry per topic; of several types on one, the one with most messages."""
    found: dict[str, TopicInfo] = {}
    for channel, count in sorted(counts.items(), key=lambda item: (item[0].topic, -item[1])):
        known = found.get(channel.topic)
        if known is not None:
            same = known.type == channel.type
            found[channel.topic] = TopicInfo(
                known.name, known.type, known.count + count,
                known.definition or (channel.definition if same else ''),
                known.is_idl, known.latched or channel.latched, known.is_known)
            continue
        found[channel.topic] = TopicInfo(
            channel.topic, channel.type, count, channel.definition, channel.is_idl,
            channel.latched, is_known(channel))
    return found
