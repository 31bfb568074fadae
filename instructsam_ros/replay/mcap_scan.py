# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""MCAP files read from front to back, without their index: also those that were cut short.

The format is described at https://mcap.dev/spec. A file is a row of records: one byte that tells
the kind, eight for the length, and the contents; messages lie in chunks, mostly.
"""

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import lz4.frame  # type: ignore[import-untyped]

from instructsam_ros.replay.compression import zstd
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import Channel, ClockWatch, RawMessage, full_type, is_latched

_MAGIC = b'\x89MCAP0\r\n'
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _INDEX, _DATA_END = 2, 3, 4, 5, 6, 7, 15
_KINDS = range(1, 16)
_HEAD = struct.Struct('<BQ')
_MESSAGE_HEAD = struct.Struct('<HIQQ')
_CHUNK_HEAD = struct.Struct('<QQQI')
_INDEX_HEAD = struct.Struct('<HI')
_INDEX_ENTRY = struct.Struct('<QQ')
# what broken contents make the decoders raise
_BROKEN = (struct.error, zstd.ZstdError, EOFError, MemoryError, OverflowError, RuntimeError,
           ValueError)


@dataclass
class _Part:
    """A chunk, or records outside of chunks, from ``begin`` to ``end`` in the file."""

    begin: int
    end: int
    is_chunk: bool = False
    first_ns: int = 0
    last_ns: int = 0
    counts: dict[int, int] = field(default_factory=dict)


class ScannedMcap:
    """An MCAP file in the order of recording; ``damage`` says where it ends too early."""

    def __init__(self, path: Path, trouble: str) -> None:
        """Find out what is in it. Raises BagError for a file of another kind."""
        self._path = path
        self._file: BinaryIO = path.open('rb')
        try:
            self._size = path.stat().st_size
            if self._file.read(len(_MAGIC)) != _MAGIC:
                raise BagError(f'{path}: is no MCAP file ({trouble})')
            self.damage = ''
            self._channels: dict[int, Channel] = {}
            self._schemas: dict[int, tuple[str, str, str]] = {}
            self._parts: list[_Part] = []
            self._clock = ClockWatch()
            self._scan()
        except BaseException:
            self.close()
            raise
        self.counts: dict[Channel, int] = dict.fromkeys(self._channels.values(), 0)
        for part in self._parts:
            for number, count in part.counts.items():
                self.counts[self._channels[number]] += count
        filled = [part for part in self._parts if part.counts]
        self.start_ns = min((part.first_ns for part in filled), default=0)
        self.end_ns = max((part.last_ns + 1 for part in filled), default=0)
        self.jump_ns = self._clock.jump_ns

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def messages(
        self, topics: Collection[str] | None, start: int | None, stop: int | None
    ) -> Iterator[RawMessage]:
        """Yield what can be read, in the order of recording."""
        wanted = {number: one for number, one in self._channels.items()
                  if topics is None or one.topic in topics}
        for part in self._parts:
            if (not wanted.keys() & part.counts.keys()
                    or (start is not None and part.last_ns < start)
                    or (stop is not None and part.first_ns >= stop)):
                continue
            try:
                records = self._records_of(part)
            except _BROKEN as error:
                self._damaged(part.begin, f'a chunk is broken ({error})')
                continue
            for kind, body in records:
                if kind != _MESSAGE:
                    continue
                number, _, bag_ns, _ = _MESSAGE_HEAD.unpack_from(body)
                if number in wanted and (start is None or bag_ns >= start) and (
                    stop is None or bag_ns < stop
                ):
                    yield RawMessage(wanted[number], bag_ns, bytes(body[_MESSAGE_HEAD.size:]))

    def _scan(self) -> None:
        """Note every chunk and stretch of records up to the end, or to where the file breaks."""
        at = len(_MAGIC)
        chunk: _Part | None = None
        while True:
            self._file.seek(at)
            head = self._file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                self._damaged(at, 'the file ends here')
                break
            kind, length = _HEAD.unpack(head)
            end = at + _HEAD.size + length
            if chunk is not None and kind != _INDEX:
                self._finish(chunk)
                chunk = None
                self._file.seek(at + _HEAD.size)
            if kind not in _KINDS or end > self._size:
                self._damaged(at, 'the file ends within a record' if kind in _KINDS
                              else 'what follows is no record')
                break
            if kind in (_DATA_END, _FOOTER):
                break
            try:
                if kind == _CHUNK:
                    chunk = self._chunk(at, end)
                elif kind == _INDEX and chunk is not None:
                    self._index(chunk, self._file.read(length))
                elif kind in (_SCHEMA, _CHANNEL, _MESSAGE):
                    self._loose(kind, at, end)
            except _BROKEN as error:
                self._damaged(at, f'a record is broken ({error})')
                break
            at = end
        if chunk is not None:
            self._finish(chunk)

    def _chunk(self, begin: int, end: int) -> _Part:
        first_ns, last_ns, _, _ = _CHUNK_HEAD.unpack(self._file.read(_CHUNK_HEAD.size))
        return _Part(begin, end, True, first_ns, last_ns)

    def _index(self, chunk: _Part, body: bytes) -> None:
        """Take in which messages of a channel a chunk holds."""
        number, size = _INDEX_HEAD.unpack_from(body)
        entries = _INDEX_ENTRY.iter_unpack(body[_INDEX_HEAD.size: _INDEX_HEAD.size + size])
        # in the order of recording
        times = [bag_ns for bag_ns, _ in sorted(entries, key=itemgetter(1))]
        chunk.counts[number] = len(times)
        for bag_ns in times:
            self._clock.see(number, bag_ns, bag_ns)

    def _finish(self, chunk: _Part) -> None:
        """File a chunk; look into it where the index after it does not tell what it holds."""
        chunk.counts = {number: count for number, count in chunk.counts.items() if count}
        is_indexed = bool(chunk.counts)
        if not chunk.counts.keys() <= self._channels.keys() or not is_indexed:
            try:
                records = self._records_of(chunk)
                chunk.counts = {}
                for kind, body in records:
                    self._learn(kind, body)
                    if kind == _MESSAGE:
                        number, _, bag_ns, _ = _MESSAGE_HEAD.unpack_from(body)
                        chunk.counts[number] = chunk.counts.get(number, 0) + 1
                        if not is_indexed:
                            self._clock.see(number, bag_ns, bag_ns)
            except _BROKEN as error:
                self._damaged(chunk.begin, f'a chunk is broken ({error})')
                return
        # messages of channels that nothing describes cannot be read
        chunk.counts = {
            number: count for number, count in chunk.counts.items() if number in self._channels}
        self._parts.append(chunk)

    def _loose(self, kind: int, begin: int, end: int) -> None:
        """Take in a record outside of chunks; those in a row make one part."""
        if kind != _MESSAGE:
            self._learn(kind, memoryview(self._file.read(end - begin - _HEAD.size)))
            return
        number, _, bag_ns, _ = _MESSAGE_HEAD.unpack(self._file.read(_MESSAGE_HEAD.size))
        if number not in self._channels:
            return
        last = self._parts[-1] if self._parts else None
        if last is None or last.is_chunk:
            last = _Part(begin, end, False, bag_ns, bag_ns)
            self._parts.append(last)
        last.end = end
        last.first_ns, last.last_ns = min(last.first_ns, bag_ns), max(last.last_ns, bag_ns)
        last.counts[number] = last.counts.get(number, 0) + 1
        self._clock.see(number, bag_ns, bag_ns)

    def _records_of(self, part: _Part) -> Iterator[tuple[int, memoryview]]:
        """Return the records of a part; a chunk is unpacked here, where errors can be caught."""
        if not part.is_chunk:
            return self._records_between(part.begin, part.end)
        self._file.seek(part.begin + _HEAD.size)
        body = memoryview(self._file.read(part.end - part.begin - _HEAD.size))
        _, _, size, checksum = _CHUNK_HEAD.unpack_from(body)
        compression, at = _text(body, _CHUNK_HEAD.size)
        (length,) = struct.unpack_from('<Q', body, at)
        packed = body[at + 8: at + 8 + length]
        if compression == 'zstd':
            data = zstd.decompress(packed)
        elif compression == 'lz4':
            data = lz4.frame.decompress(packed)
        elif compression == '':
            data = bytes(packed)
        else:
            raise ValueError(f'compression {compression!r} is unknown')
        if len(data) != size or (checksum and crc32(data) != checksum):
            raise ValueError('its contents are not what was written')
        return _records_in(memoryview(data))

    def _records_between(self, begin: int, end: int) -> Iterator[tuple[int, memoryview]]:
        at = begin
        while at < end:
            self._file.seek(at)
            kind, length = _HEAD.unpack(self._file.read(_HEAD.size))
            if kind == _MESSAGE:
                yield kind, memoryview(self._file.read(length))
            at += _HEAD.size + length

    def _learn(self, kind: int, body: memoryview) -> None:
        """Take in a description of a type or of a channel."""
        if kind == _SCHEMA:
            (number,) = struct.unpack_from('<H', body)
            name, at = _text(body, 2)
            encoding, at = _text(body, at)
            self._schemas[number] = (name, encoding, _text(body, at)[0])
        elif kind == _CHANNEL:
            number, schema = struct.unpack_from('<HH', body)
            topic, at = _text(body, 4)
            encoding, at = _text(body, at)
            name, language, definition = self._schemas.get(schema, ('', '', ''))
            self._channels.setdefault(number, Channel(
                topic, full_type(name), definition, language.endswith('idl'),
                is_latched(str(body[at:], 'utf-8', 'replace')), encoding))

    def _damaged(self, at: int, what: str) -> None:
        if not self.damage:
            self.damage = (
                f'{self._path}: damaged or cut short at byte {at} of {self._size}: {what}')


def _records_in(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at + _HEAD.size <= len(data):
        kind, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield kind, data[at: at + length]
        at += length


def _text(body: memoryview, at: int) -> tuple[str, int]:
    """Return the string at a place, and the place after it."""
    (length,) = struct.unpack_from('<I', body, at)
    at += 4
    if at + length > len(body):
        raise ValueError('a text is longer than its record')
    return str(body[at: at + length], 'utf-8', 'replace'), at + length
