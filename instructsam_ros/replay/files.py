# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One file of a bag: its channels, and its messages as bytes.

Sound files are read by rosbags, in the order of their times. Files that it refuses because they
were cut short, and those whose clock went back, are read in the order of recording.
"""

import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apsw
from rosbags.interfaces import MessageDefinitionFormat, QosDurability
from rosbags.rosbag1 import Reader as Ros1Reader
from rosbags.rosbag1 import ReaderError as Ros1ReaderError
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from instructsam_ros.replay.compression import zstd
from instructsam_ros.replay.errors import BagError

# a clock that goes back by less only jitters
BACKWARDS_NS = 1_000_000_000
# what rosbags raises, and what comes through it, for files that are damaged
_DAMAGED = (ReaderError, Ros1ReaderError, apsw.Error, zstd.ZstdError, struct.error, AssertionError,
            EOFError, KeyError, MemoryError, OSError, OverflowError, RuntimeError, TypeError,
            ValueError)


@dataclass(frozen=True)
class Channel:
    """Messages of one type on one topic.

    Attributes:
        topic, type: such as '/tf' and 'tf2_msgs/msg/TFMessage'.
        definition: text of the message's definition, '' where the bag has none.
        is_idl: the text is IDL, not of the message language.
        latched: recorded from a publisher that keeps its last message for late subscribers.
        encoding: of the bytes; only 'cdr' can be read.
    """

    topic: str
    type: str
    definition: str = ''
    is_idl: bool = False
    latched: bool = False
    encoding: str = 'cdr'


class RawMessage(NamedTuple):
    """A message as it was recorded: CDR bytes, and the recorder's time in nanoseconds."""

    channel: Channel
    bag_ns: int
    data: bytes


class BagFile(Protocol):
    """One file of a bag.

    ``damage`` says why not all of it can be read, '' for a sound file. ``jump_ns`` is how far the
    clock goes back within it, at most; then messages come in the order of recording.
    """

    counts: dict[Channel, int]
    start_ns: int
    end_ns: int
    damage: str
    jump_ns: int

    def messages(
        self, topics: Collection[str] | None, start: int | None, stop: int | None
    ) -> Iterator[RawMessage]:
        """Yield what can be read, of the named topics, start <= time < stop."""

    def close(self) -> None:
        """Close the file."""


def open_file(path: Path) -> BagFile:
    """Open an .mcap, .db3 or .bag (ROS 1) file. Raises BagError, OSError."""
    from instructsam_ros.replay.mcap_scan import ScannedMcap
    from instructsam_ros.replay.sqlite_scan import ScannedSqlite, missing_bytes

    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such bag file')
    if path.stat().st_size == 0:
        raise BagError(f'{path}: is empty (0 bytes): its recording stopped before it began')
    # not to be allowed to read it is no damage
    with path.open('rb'):
        pass
    if path.suffix == '.bag':
        return _Ros1File(path)
    scanners: dict[str, Callable[[Path, str], BagFile]] = {
        '.mcap': ScannedMcap, '.db3': ScannedSqlite}
    scan = scanners.get(path.suffix)
    if scan is None:
        raise BagError(
            f'{path}: is no bag: give the folder of a ROS 2 bag, an .mcap or .db3 file, or a ROS 1 '
            '.bag')
    if path.suffix == '.db3' and missing_bytes(path):
        return ScannedSqlite(path, 'cut short')
    try:
        sound = _Ros2File(path, scan)
    except _DAMAGED as error:
        return scan(path, str(error) or type(error).__name__)
    if not (sound.needs_scan or sound.may_jump):
        return sound
    scanned = scan(path, '')
    if sound.needs_scan or scanned.jump_ns:
        sound.close()
        return scanned
    scanned.close()
    return sound


class ClockWatch:
    """Notices a clock that goes back, seeing stretches of time in the order of recording.

    Only stretches of the same stream are compared: some writers put one topic after the other.
    """

    def __init__(self) -> None:
        self._newest: dict[Any, int] = {}
        self._most = 0

    def see(self, stream: Any, first_ns: int, last_ns: int) -> None:
        """Take in a stretch from ``first_ns`` to ``last_ns``."""
        newest = self._newest.get(stream, first_ns)
        self._most = max(self._most, newest - first_ns)
        self._newest[stream] = max(newest, last_ns)

    @property
    def jump_ns(self) -> int:
        """By how much the clock went back at most; 0 if it only jittered."""
        return self._most if self._most > BACKWARDS_NS else 0


class _RosbagsFile:
    """What rosbags reads."""

    damage = ''
    jump_ns = 0

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        reader.open()
        try:
            self.channels = {one.id: channel_of(one) for one in reader.connections}
            self.counts: dict[Channel, int] = {}
            for one in reader.connections:
                channel = self.channels[one.id]
                self.counts[channel] = self.counts.get(channel, 0) + one.msgcount
            has_any = bool(reader.message_count)
            self.start_ns = int(reader.start_time) if has_any else 0
            self.end_ns = int(reader.end_time) if has_any else 0
        except BaseException:
            self.close()
            raise

    def messages(
        self, topics: Collection[str] | None, start: int | None, stop: int | None
    ) -> Iterator[RawMessage]:
        """Yield the messages in the order of their times."""
        wanted = [one for one in self._reader.connections if topics is None or one.topic in topics]
        # rosbags takes none as all
        if not wanted:
            return
        done = 0
        try:
            for one, bag_ns, data in self._reader.messages(wanted, start, stop):
                yield self._message(self.channels[one.id], bag_ns, data)
                done += 1
        except BagError:
            raise
        except _DAMAGED as error:
            path = self._reader.path
            raise BagError(f'{path}: damaged after {done} messages ({error})') from None

    def close(self) -> None:
        """Close the file."""
        with suppress(*_DAMAGED):
            self._reader.close()

    def _message(self, channel: Channel, bag_ns: int, data: bytes) -> RawMessage:
        return RawMessage(channel, bag_ns, data)


class _Ros2File(_RosbagsFile):
    """An .mcap or .db3 file.

    ``needs_scan``: an MCAP without index, whose messages rosbags reads only if they are sorted.
    ``may_jump``: its clock goes back, perhaps; a closer look tells.
    """

    def __init__(self, path: Path, scan: Callable[[Path, str], BagFile]) -> None:
        super().__init__(Reader(path))
        self._path, self._scan = path, scan
        storage, clock = self._reader.storage, ClockWatch()
        if path.suffix == '.mcap':
            chunks = sorted(storage.chunks, key=lambda one: one.chunk_start_offset)
            self.needs_scan = not chunks and bool(self._reader.message_count)
            for chunk in chunks:
                # times are of all topics together, and each may have its own part of them
                for stream in chunk.message_index_offsets:
                    clock.see(stream, chunk.message_start_time, chunk.message_end_time)
            # a jump within a chunk shows in the next one, but the last has none
            last = chunks[-1] if chunks else None
            is_long = last is not None and (
                last.message_end_time - last.message_start_time > BACKWARDS_NS)
        else:
            self.needs_scan = is_long = False
            rows = storage.dbconn.execute('SELECT topic_id, timestamp FROM messages ORDER BY id')
            for stream, bag_ns in rows:
                clock.see(stream, bag_ns, bag_ns)
        self.may_jump = clock.jump_ns > 0 or is_long

    def messages(
        self, topics: Collection[str] | None, start: int | None, stop: int | None
    ) -> Iterator[RawMessage]:
        """Yield the messages in the order of their times; what is damaged is left out."""
        newest = start
        try:
            for raw in super().messages(topics, start, stop):
                yield raw
                newest = raw.bag_ns + 1
        except BagError as error:
            # rosbags ends here, though there may be more behind it
            self.damage = str(error)
            scanned = self._scan(self._path, '')
            try:
                yield from scanned.messages(topics, newest, stop)
            finally:
                scanned.close()


class _Ros1File(_RosbagsFile):
    """A ROS 1 bag; its messages are turned into those of ROS 2."""

    # tf's own type has the same fields
    _RENAMED = {'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage'}

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(Ros1Reader(path))
        except _DAMAGED as error:
            raise BagError(
                f'{path}: cannot be read as a ROS 1 bag ({error}): if it was cut short, repair it '
                'with "rosbag reindex"') from None
        self._types = get_typestore(Stores.ROS2_JAZZY)
        # ROS 1 definitions spell the same messages in another language
        self.channels = {
            key: Channel(one.topic, self._RENAMED.get(one.type, one.type))
            for key, one in self.channels.items()}
        self.counts = {
            Channel(one.topic, self._RENAMED.get(one.type, one.type)): count
            for one, count in self.counts.items()}

    def _message(self, channel: Channel, bag_ns: int, data: bytes) -> RawMessage:
        if channel.type not in self._types.fielddefs:
            raise BagError(
                f'{channel.topic} has ROS 1 messages of type {channel.type}, which ROS 2 lacks: '
                'convert the bag with "rosbags-convert"')
        try:
            return RawMessage(channel, bag_ns, bytes(self._types.ros1_to_cdr(data, channel.type)))
        except (SerdeError, ValueError, IndexError) as error:
            raise BagError(
                f'{channel.topic}: its ROS 1 messages are not those of ROS 2 ({error})') from None


def is_latched(profiles: str) -> bool:
    """Return whether quality-of-service profiles, as recorders write them, are transient local."""
    # by name since Jazzy, in text or in a list; before that by number
    return any(word in profiles for word in (
        'durability: transient_local', "'durability': 'transient_local'", 'durability: 1'))


def full_type(name: str) -> str:
    """Return 'package/msg/Name', also where a foreign writer left out the middle part."""
    parts = name.split('/')
    return name if len(parts) != 2 else f'{parts[0]}/msg/{parts[1]}'


def channel_of(connection: Any) -> Channel:
    """Return what rosbags says of a connection."""
    form = connection.msgdef.format
    profiles = getattr(connection.ext, 'offered_qos_profiles', None) or ()
    return Channel(
        connection.topic,
        full_type(connection.msgtype),
        '' if form == MessageDefinitionFormat.NONE else connection.msgdef.data,
        form == MessageDefinitionFormat.IDL,
        any(one.durability == QosDurability.TRANSIENT_LOCAL for one in profiles),
        getattr(connection.ext, 'serialization_format', 'cdr'),
    )
