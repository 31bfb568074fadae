# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The last messages of a stream, to be asked by time."""

from typing import Any

from message_filters.filters import SimpleFilter, stamp_of
from rclpy.time import Time


class Cache(SimpleFilter):
    """Keeps the last ``cache_size`` messages, in the order of arrival, and passes each on.

    Messages without a stamp are ignored, unless ``allow_headerless``: then they are filed under
    the time of arrival.
    """

    def __init__(
        self, f: SimpleFilter, cache_size: int = 1, allow_headerless: bool = False
    ) -> None:
        super().__init__()
        self.cache_size = cache_size
        self.cache_msgs: list[Any] = []
        self.cache_times: list[Time] = []
        self.allow_headerless = allow_headerless
        self.connectInput(f)

    def connectInput(self, f: SimpleFilter) -> None:
        """Take messages from the filter ``f``."""
        self.incoming_connection = f.registerCallback(self.add)

    def add(self, msg: Any) -> None:
        """File a message."""
        stamp = stamp_of(
            msg, allow_headerless=self.allow_headerless, logger_name='message_filters_cache'
        )
        if stamp is None:
            return
        self.cache_msgs.append(msg)
        self.cache_times.append(stamp)
        if len(self.cache_msgs) > self.cache_size:
            del self.cache_msgs[0], self.cache_times[0]
        self.signalMessage(msg)

    def getInterval(self, from_stamp: Time, to_stamp: Time) -> list[Any]:
        """Return the messages from ``from_stamp`` to ``to_stamp``, both included."""
        assert from_stamp <= to_stamp, 'the interval ends before it starts'
        return [msg for msg, at in self._entries() if from_stamp <= at <= to_stamp]

    def getElemAfterTime(self, stamp: Time) -> Any | None:
        """Return the first message filed at ``stamp`` or later, None if there is none."""
        return next((msg for msg, at in self._entries() if at >= stamp), None)

    def getElemBeforeTime(self, stamp: Time) -> Any | None:
        """Return the last message filed at ``stamp`` or before, None if there is none."""
        return next((msg for msg, at in reversed(self._entries()) if at <= stamp), None)

    def getLastestTime(self) -> Time | None:
        """Return the time of the message that came last, None without any."""
        return self.cache_times[-1] if self.cache_times else None

    def getOldestTime(self) -> Time | None:
        """Return the time of the message that came first of those kept, None without any."""
        return self.cache_times[0] if self.cache_times else None

    def getLast(self) -> Any | None:
        """Return the first message as new as the last one, None without any."""
        latest = self.getLastestTime()
        return None if latest is None else self.getElemAfterTime(latest)

    def _entries(self) -> list[tuple[Any, Time]]:
        return list(zip(self.cache_msgs, self.cache_times, strict=True))
