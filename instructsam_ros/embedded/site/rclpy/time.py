# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Points in time."""

from __future__ import annotations

from typing import Any, overload

from builtin_interfaces.msg import Time as TimeMsg
from rclpy.clock_type import ClockType
from rclpy.constants import S_TO_NS
from rclpy.duration import Duration


class Time:
    """A point in time of one kind of clock, in whole nanoseconds since that clock's start.

    Times of different kinds of clocks cannot be compared or subtracted: TypeError.
    """

    __slots__ = ('_clock_type', '_nanoseconds')

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0,
                 clock_type: ClockType = ClockType.SYSTEM_TIME) -> None:
        """Add up seconds (fractions allowed) and nanoseconds.

        Raises:
            TypeError: clock_type is no ClockType.
            ValueError: A negative time.
            OverflowError: More than 64 bits hold.
        """
        if not isinstance(clock_type, ClockType):
            raise TypeError(f'clock_type must be a ClockType, not {type(clock_type)}')
        if seconds < 0:
            raise ValueError('seconds must not be negative')
        if nanoseconds < 0:
            raise ValueError('nanoseconds must not be negative')
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if total >= 2 ** 63:
            raise OverflowError(f'{total} nanoseconds do not fit into 64 bits')
        self._nanoseconds = total
        self._clock_type = clock_type

    @property
    def nanoseconds(self) -> int:
        """Nanoseconds since the clock's start."""
        return self._nanoseconds

    def seconds_nanoseconds(self) -> tuple[int, int]:
        """Return whole seconds and the remaining nanoseconds."""
        return divmod(self._nanoseconds, S_TO_NS)

    @property
    def clock_type(self) -> ClockType:
        """The kind of clock."""
        return self._clock_type

    def __repr__(self) -> str:
        return f'Time(nanoseconds={self._nanoseconds}, clock_type={self._clock_type.name})'

    def __add__(self, other: Duration) -> Time:
        if not isinstance(other, Duration):
            return NotImplemented
        return Time(nanoseconds=self._nanoseconds + other.nanoseconds,
                    clock_type=self._clock_type)

    __radd__ = __add__

    @overload
    def __sub__(self, other: Time) -> Duration: ...

    @overload
    def __sub__(self, other: Duration) -> Time: ...

    def __sub__(self, other: Time | Duration) -> Time | Duration:
        if isinstance(other, Time):
            return Duration(nanoseconds=self._nanoseconds - self._same_clock(other))
        if isinstance(other, Duration):
            return Time(nanoseconds=self._nanoseconds - other.nanoseconds,
                        clock_type=self._clock_type)
        return NotImplemented

    def _same_clock(self, other: Time) -> int:
        if self._clock_type != other._clock_type:
            raise TypeError(
                f'times of different clocks cannot be compared or subtracted: {self} and {other}')
        return other._nanoseconds

    # as in rclpy, equality without a hash
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self._nanoseconds == self._same_clock(other)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self._nanoseconds != self._same_clock(other)
        return NotImplemented

    def __lt__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self._nanoseconds < self._same_clock(other)
        return NotImplemented

    def __le__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self._nanoseconds <= self._same_clock(other)
        return NotImplemented

    def __gt__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self._nanoseconds > self._same_clock(other)
        return NotImplemented

    def __ge__(self, other: object) -> bool:
        if isinstance(other, Time):
            return self._nanoseconds >= self._same_clock(other)
        return NotImplemented

    def to_msg(self) -> TimeMsg:
        """Return the message of this time; the kind of clock is not part of it."""
        seconds, nanoseconds = self.seconds_nanoseconds()
        return TimeMsg(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any, clock_type: ClockType = ClockType.ROS_TIME) -> Time:
        """Return the time in a message.

        Raises:
            TypeError: Not a builtin_interfaces/Time.
        """
        if not isinstance(msg, TimeMsg):
            raise TypeError(f'a builtin_interfaces.msg.Time is needed, not {type(msg)}')
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec, clock_type=clock_type)
