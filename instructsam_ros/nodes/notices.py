# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Troubles that last: said once when they begin, once when they end, and shown in between."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# a trouble that comes and goes with every frame is one trouble
_SETTLED_AFTER = 1.0
# wordings of one trouble that are logged until it ends
_MOST_WORDINGS = 5


@dataclass
class _Trouble:
    text: str
    since: float
    last: float
    count: int = 1
    wordings: set[str] = field(default_factory=set)


class Notices:
    """Reports each kind of trouble once, not once per frame. Thread-safe.

    ``warn`` and ``inform`` get the texts; ``clock`` gives monotonic seconds.
    """

    def __init__(
        self,
        warn: Callable[[str], object],
        inform: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without trouble."""
        self._warn = warn
        self._inform = inform
        self._clock = clock
        self._lock = threading.Lock()
        self._troubles: dict[str, _Trouble] = {}

    def report(self, kind: str, text: str) -> bool:
        """Say what is wrong, unless it was said; numbers in the text may vary. True if said."""
        now = self._clock()
        wording = re.sub(r'\d+(?:\.\d+)?', '#', text)
        with self._lock:
            trouble = self._troubles.get(kind)
            if trouble is None:
                trouble = self._troubles[kind] = _Trouble(text, now, now)
            else:
                trouble.text, trouble.last = text, now
                trouble.count += 1
            if wording in trouble.wordings or len(trouble.wordings) >= _MOST_WORDINGS:
                return False
            trouble.wordings.add(wording)
        self._warn(text)
        return True

    def fine(self, kind: str, text: str = '') -> None:
        """Say that a trouble is over, once it has been away for a second; no trouble, no word."""
        # called for every frame: the usual case must cost nothing
        if kind not in self._troubles:
            return
        now = self._clock()
        with self._lock:
            trouble = self._troubles.get(kind)
            if trouble is None or now - trouble.last < _SETTLED_AFTER:
                return
            del self._troubles[kind]
        if text:
            self._inform(f'{text} (after {now - trouble.since:.0f} s)')

    def forget(self, *kinds: str) -> None:
        """Drop troubles without a word, because what they are about has stopped."""
        with self._lock:
            for kind in kinds:
                self._troubles.pop(kind, None)

    def current(self, *kinds: str) -> dict[str, str]:
        """Return the troubles of these kinds that last, kind -> text."""
        with self._lock:
            return {kind: self._troubles[kind].text for kind in kinds if kind in self._troubles}
