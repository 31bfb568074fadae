# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of several streams that belong together by their stamps."""

import itertools
import threading
from collections.abc import Sequence
from typing import Any

from message_filters.filters import SimpleFilter, stamp_of
from rclpy.duration import Duration
from rclpy.time import Time

# stamps in nanoseconds -> message; a second message with the same stamp replaces the first
Queue = dict[int, Any]


class TimeSynchronizer(SimpleFilter):
    """Calls back with one message of each of the filters ``fs`` that bear the same stamp.

    ``queue_size`` sets of messages are kept per filter while they wait; the oldest stamps go.
    """

    def __init__(self, fs: Sequence[SimpleFilter], queue_size: int) -> None:
        super().__init__()
        self.queue_size = queue_size
        self.lock = threading.Lock()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[SimpleFilter]) -> None:
        """Take messages from the filters ``fs``, each with a queue of its own."""
        self.queues: list[Queue] = [{} for _ in fs]
        self.input_connections = [
            one.registerCallback(self.add, queue, index)
            for index, (one, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take in a message of one queue and call back for every set that is complete."""
        with self.lock:
            self._enqueue(my_queue, Time.from_msg(msg.header.stamp).nanoseconds, msg)
            complete = set(self.queues[0]).intersection(*self.queues[1:])
            for stamp in sorted(complete):
                # taken out first: a callback that raises must not see the set again
                self.signalMessage(*[queue.pop(stamp) for queue in self.queues])

    def _enqueue(self, queue: Queue, stamp: int, msg: Any) -> None:
        queue[stamp] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Like TimeSynchronizer, for stamps that differ by less than ``slop`` seconds.

    Each new message is matched at once, with the nearest stamps first. Messages without a stamp
    are ignored, unless ``allow_headerless``: then they bear the time of arrival.
    """

    def __init__(
        self,
        fs: Sequence[SimpleFilter],
        queue_size: int,
        slop: float,
        allow_headerless: bool = False,
    ) -> None:
        super().__init__(fs, queue_size)
        self.slop = Duration(seconds=slop)
        self.allow_headerless = allow_headerless

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Take in a message of one queue and call back if it completes a set."""
        time = stamp_of(
            msg, allow_headerless=self.allow_headerless, logger_name='message_filters_approx'
        )
        if time is None:
            return
        stamp = time.nanoseconds
        with self.lock:
            self._enqueue(my_queue, stamp, msg)
            chosen = self._match(stamp, my_queue_index)
            if chosen is not None:
                self.signalMessage(
                    *[queue.pop(at) for queue, at in zip(self.queues, chosen, strict=True)]
                )

    def _match(self, stamp: int, index: int | None) -> list[int] | None:
        """Return one stamp per queue that belongs to ``stamp`` of queue ``index``, or None."""
        slop = self.slop.nanoseconds
        others = [queue for place, queue in enumerate(self.queues) if place != index]
        near = []
        for queue in others:
            within = sorted(
                (at for at in queue if abs(at - stamp) <= slop), key=lambda at: abs(at - stamp)
            )
            if not within:
                return None
            near.append(within)
        for candidate in itertools.product(*near):
            stamps = list(candidate)
            if index is not None:
                stamps.insert(index, stamp)
            # pairs among the others can be twice as far apart; strictly less, as upstream
            if max(stamps) - min(stamps) < slop and all(
                at in queue for queue, at in zip(self.queues, stamps, strict=True)
            ):
                return stamps
        return None
