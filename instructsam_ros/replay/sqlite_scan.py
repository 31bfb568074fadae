# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SQLite files of bags read row by row, in the order of recording: also those cut short."""

from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote

import apsw

from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import Channel, ClockWatch, RawMessage, is_latched

_ROW = (int, int, bytes)
_ENDLESS = 2**63
# what a broken database makes come up
_BROKEN = (apsw.Error, EOFError, MemoryError, OverflowError, TypeError, ValueError)


class ScannedSqlite:
    """A .db3 file in the order of recording; ``damage`` says where it breaks."""

    def __init__(self, path: Path, trouble: str) -> None:
        """Find out what is in it. Raises BagError where not even its topics can be read."""
        self._path = path
        missing = missing_bytes(path)
        self.damage = f'{path}: cut short, its last {missing} bytes are missing' if missing else ''
        self._files = _CompleteReads()
        try:
            # a bag that nobody writes to any more: no lock, no journal
            self._database = apsw.Connection(
                f'file:{quote(str(path))}?immutable=1', vfs=self._files.name,
                flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
            self._channels = self._read_channels()
        except _BROKEN as error:
            raise BagError(
                f'{path}: cannot be read as a bag, not even its topics ({trouble or error}); if '
                'it was cut short, "sqlite3 FILE .recover" may save a part of it') from None
        self.counts: dict[Channel, int] = dict.fromkeys(self._channels.values(), 0)
        clock = ClockWatch()
        first_ns, last_ns = _ENDLESS, -1
        for number, bag_ns in self._rows('topic_id, timestamp'):
            if number in self._channels:
                self.counts[self._channels[number]] += 1
                clock.see(number, bag_ns, bag_ns)
                first_ns, last_ns = min(first_ns, bag_ns), max(last_ns, bag_ns)
        self.start_ns, self.end_ns = (first_ns, last_ns + 1) if last_ns >= 0 else (0, 0)
        self.jump_ns = clock.jump_ns

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def messages(
        self, topics: Collection[str] | None, start: int | None, stop: int | None
    ) -> Iterator[RawMessage]:
        """Yield what can be read, in the order of recording."""
        wanted = {number: one for number, one in self._channels.items()
                  if topics is None or one.topic in topics}
        numbers = ', '.join(str(int(number)) for number in wanted)
        limits = [f'topic_id IN ({numbers})']
        if start is not None:
            limits.append(f'timestamp >= {int(start)}')
        if stop is not None:
            limits.append(f'timestamp < {int(stop)}')
        for number, bag_ns, data in self._rows('topic_id, timestamp, data', limits):
            yield RawMessage(wanted[number], bag_ns, data)

    def _rows(self, columns: str, limits: Collection[str] = ()) -> Iterator[tuple]:
        where = f' WHERE {" AND ".join(limits)}' if limits else ''
        done = 0
        try:
            # by number, so that no index is needed, which may be what is broken
            query = f'SELECT {columns} FROM messages NOT INDEXED{where} ORDER BY id'
            for row in self._database.execute(query):
                done += 1
                if all(map(isinstance, row, _ROW)):
                    yield row
                elif not self.damage:
                    self.damage = f'{self._path}: message {done} is damaged'
        except _BROKEN as error:
            if not self.damage:
                self.damage = (
                    f'{self._path}: damaged or cut short after {done} messages ({error})')

    def _read_channels(self) -> dict[int, Channel]:
        columns = {str(row[1]) for row in self._database.execute('PRAGMA table_info(topics)')}
        profiles = 'offered_qos_profiles' if 'offered_qos_profiles' in columns else "''"
        try:
            definitions = {
                name: (text, encoding) for name, text, encoding in self._database.execute(
                    'SELECT topic_type, encoded_message_definition, encoding '
                    'FROM message_definitions')}
        except apsw.Error:
            # only in bags of Jazzy and later
            definitions = {}
        found = {}
        for number, topic, kind, encoding, offered in self._database.execute(
            f'SELECT id, name, type, serialization_format, {profiles} FROM topics'
        ):
            text, language = definitions.get(kind, ('', ''))
            found[int(number)] = Channel(
                topic, kind, text, language == 'ros2idl', is_latched(offered or ''), encoding)
        return found


class _CompleteReads(apsw.VFS):
    """Files as they are, but reading beyond their end is an error, where SQLite takes zeros."""

    def __init__(self) -> None:
        self.name = f'instructsam_{id(self)}'
        super().__init__(self.name, '')

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Open a file."""
        return _CompleteFile('', name, flags)


class _CompleteFile(apsw.VFSFile):
    def xRead(self, amount: int, offset: int) -> bytes:
        """Read so many bytes. Raises EOFError where there are less."""
        if offset + amount > self.xFileSize():
            raise EOFError('the file ends within a page')
        return super().xRead(amount, offset)


def missing_bytes(path: Path) -> int:
    """Return how much shorter a file is than its header says; SQLite need not notice."""
    with path.open('rb') as file:
        head = file.read(100)
    if len(head) < 100:
        return 0
    page, pages = int.from_bytes(head[16:18], 'big'), int.from_bytes(head[28:32], 'big')
    # the count of pages is right only if the writer says so: these two are the same then
    if head[24:28] != head[92:96]:
        return 0
    # 1 stands for 65536, which has no room
    return max((65536 if page == 1 else page) * pages - path.stat().st_size, 0)
