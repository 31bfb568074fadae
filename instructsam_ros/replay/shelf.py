# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps the files of a bag open that were used last: opening one may mean unpacking it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from instructsam_ros.replay.files import BagFile, open_file
from instructsam_ros.replay.folder import unpacked

# the first file, at which topics are looked at, and the one that is being read
_KEPT = 2


class _Entry:
    def __init__(self, place: Path) -> None:
        self.users = 0
        with ExitStack() as stack:
            self.file: BagFile = open_file(stack.enter_context(unpacked(place)))
            stack.callback(self.file.close)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()


class Shelf:
    """Opens files when they are needed; a file in use is never closed."""

    def __init__(self) -> None:
        self._entries: dict[Path, _Entry] = {}
        self._kept = _KEPT

    @contextmanager
    def use(self, place: Path) -> Iterator[BagFile]:
        """Give the open file. Raises what ``open_file`` and ``unpacked`` raise."""
        entry = self._entries.pop(place, None) or _Entry(place)
        # the last one used comes last
        self._entries[place] = entry
        entry.users += 1
        try:
            yield entry.file
        finally:
            entry.users -= 1
            self._clear()

    def close(self) -> None:
        """Close what nobody uses, and the rest as soon as nobody does."""
        self._kept = 0
        self._clear()

    def _clear(self) -> None:
        idle = [place for place, entry in self._entries.items() if not entry.users]
        for place in idle[: max(len(idle) - self._kept, 0)]:
            self._entries.pop(place).close()
