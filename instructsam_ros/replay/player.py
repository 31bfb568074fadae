# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag in real time: when each message is due, pausing, and what the clock says meanwhile.

Knows no node: messages go to a function as bytes.
"""

import threading
import time
from collections.abc import Callable, Collection

from instructsam_ros.replay.files import BACKWARDS_NS, RawMessage
from instructsam_ros.replay.reading import BagReader

# a message that is sent so much too late stretches the bag's time, nanoseconds
_SLACK_NS = 100_000_000


class BagClock:
    """The bag's time while it is played, in nanoseconds; thread-safe.

    It runs ``rate`` times as fast as the wall's clock, stands while paused, and never passes the
    message that is sent next: a machine that cannot keep up plays more slowly.

    Attributes:
        slips: how often it had to wait for a message that was sent too late.
    """

    def __init__(
        self, rate: float = 1.0, *, paused: bool = False,
        wall_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._rate = rate
        self._paused = paused
        self._closed = False
        self._changed = threading.Condition()
        self._bag_ns = self._limit_ns = 0
        self._begun_ns = wall_ns()
        self.slips = 0

    @property
    def now_ns(self) -> int:
        """The time."""
        with self._changed:
            return min(self._unlimited(), self._limit_ns)

    @property
    def is_paused(self) -> bool:
        """Whether it stands."""
        return self._paused

    def jump(self, bag_ns: int) -> bool:
        """Go to a time, and stand there until something is waited for; False if it was there."""
        with self._changed:
            was_there = min(self._unlimited(), self._limit_ns) == bag_ns
            self._set(bag_ns)
            self._limit_ns = bag_ns
            self._changed.notify_all()
            return not was_there

    def pause(self) -> None:
        """Stand."""
        with self._changed:
            self._set(min(self._unlimited(), self._limit_ns))
            self._paused = True
            self._changed.notify_all()

    def resume(self) -> None:
        """Go on."""
        with self._changed:
            self._set(min(self._unlimited(), self._limit_ns))
            self._paused = False
            self._changed.notify_all()

    def set_rate(self, rate: float) -> None:
        """Go on at another speed."""
        with self._changed:
            self._set(min(self._unlimited(), self._limit_ns))
            self._rate = rate
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_until(self, bag_ns: int) -> bool:
        """Wait until a message is due; return False if the clock was closed."""
        with self._changed:
            # one that was recorded out of order is due at once
            self._limit_ns = max(self._limit_ns, bag_ns)
            while not self._closed:
                if self._paused:
                    self._changed.wait()
                    continue
                early = self._limit_ns - self._unlimited()
                if early <= 0:
                    if -early > _SLACK_NS * self._rate:
                        self._set(self._limit_ns)
                        self.slips += 1
                    return True
                self._changed.wait(early / self._rate * 1e-9)
            return False

    def _unlimited(self) -> int:
        if self._paused:
            return self._bag_ns
        return self._bag_ns + round((self._wall_ns() - self._begun_ns) * self._rate)

    def _set(self, bag_ns: int) -> None:
        self._bag_ns = bag_ns
        self._begun_ns = self._wall_ns()


class BagPlayer:
    """Sends the messages of a bag when they are due.

    Args:
        bag: open for reading.
        topics: what to send.
        clock: when.
        send: takes each message.
        start: seconds of the bag that are left out, but for the messages of latched topics, which
            are all sent first.
        stop: seconds after the beginning of the bag at which it ends; None: with the bag.
        on_jump: called when the clock has jumped: where the clock of the bag goes back, and when
            it is played again.
    """

    def __init__(
        self, bag: BagReader, topics: Collection[str], clock: BagClock,
        send: Callable[[RawMessage], None], *, start: float = 0.0, stop: float | None = None,
        on_jump: Callable[[], None] = lambda: None,
    ) -> None:
        self._bag, self._topics, self._clock, self._send = bag, frozenset(topics), clock, send
        self._on_jump = on_jump
        self.start_ns = bag.start_ns + round(start * 1e9)
        self._stop_ns = None if stop is None else bag.start_ns + round(stop * 1e9)
        self._is_cut = start > 0
        self._latched = [name for name in self._topics if bag.topics[name].latched]
        clock.jump(self.start_ns)

    def play(self) -> bool:
        """Play from the beginning to the end; return False if the clock was closed.

        Raises BagError after the last message of a damaged bag.
        """
        if self._is_cut:
            self._begin(self.start_ns)
            for raw in self._bag.raw_messages(self._latched, None, self.start_ns, strict=False):
                self._send(raw)
        newest_ns: int | None = None
        start_ns = self.start_ns if self._is_cut else None
        for raw in self._bag.raw_messages(self._topics, start_ns, self._stop_ns):
            if newest_ns is None:
                # where the clock goes back later, the first message is not the oldest one
                newest_ns = self._begin(self.start_ns if self._is_cut else raw.bag_ns)
            elif raw.bag_ns < newest_ns - BACKWARDS_NS:
                newest_ns = self._begin(raw.bag_ns)
            newest_ns = max(newest_ns, raw.bag_ns)
            if not self._clock.wait_until(raw.bag_ns):
                return False
            self._send(raw)
        return True

    def _begin(self, bag_ns: int) -> int:
        """Jump to a time; return it."""
        if self._clock.jump(bag_ns):
            self._on_jump()
            # whatever the others need to take notice of it is not the bag's time
            self._clock.jump(bag_ns)
        return bag_ns
