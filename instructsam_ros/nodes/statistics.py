# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rates and delays of the last seconds."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_WINDOW = 100


@dataclass(frozen=True)
class Delays:
    """Median and greatest of the last delays, seconds; NaN without any."""

    median: float
    greatest: float


class RecentDelays:
    """Keeps the last hundred delays. Thread-safe."""

    def __init__(self) -> None:
        """Begin empty."""
        self._lock = threading.Lock()
        self._delays: deque[float] = deque(maxlen=_WINDOW)

    def add(self, seconds: float) -> None:
        """Note one."""
        with self._lock:
            self._delays.append(seconds)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._delays.clear()

    def summary(self) -> Delays:
        """Return median and greatest."""
        with self._lock:
            ordered = sorted(self._delays)
        if not ordered:
            return Delays(float('nan'), float('nan'))
        return Delays(ordered[len(ordered) // 2], ordered[-1])


class Rates:
    """Turns counters that only grow into rates per second, from one look to the next."""

    def __init__(
        self, names: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``names`` of the counters; ``clock`` gives monotonic seconds."""
        self._clock = clock
        self._last = dict.fromkeys(names, 0)
        self._when = clock()

    def update(self, **counts: int) -> dict[str, float]:
        """Return the rates since the last look."""
        now = self._clock()
        passed = max(now - self._when, 1e-3)
        rates = {name: (count - self._last[name]) / passed for name, count in counts.items()}
        self._last.update(counts)
        self._when = now
        return rates
