# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Spans of time."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Duration as DurationMsg
from rclpy.constants import S_TO_NS

_LIMIT = 2 ** 63


class Duration:
    """A span of time in whole nanoseconds, negative ones included."""

    __slots__ = ('_nanoseconds',)

    def __init__(self, *, seconds: float = 0, nanoseconds: int = 0) -> None:
        """Add up seconds (fractions allowed) and nanoseconds.

        Raises:
            OverflowError: More than 64 bits hold.
        """
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -_LIMIT <= total < _LIMIT:
            raise OverflowError(f'{total} nanoseconds do not fit into 64 bits')
        self._nanoseconds = total

    @property
    def nanoseconds(self) -> int:
        """The span in nanoseconds."""
        return self._nanoseconds

    def __repr__(self) -> str:
        return f'Duration(nanoseconds={self._nanoseconds})'

    def __str__(self) -> str:
        return 'Infinite' if self == Infinite else f'{self._nanoseconds} nanoseconds'

    # as in rclpy, equality without a hash
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds == other._nanoseconds
        return NotImplemented

    def __lt__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds < other._nanoseconds
        return NotImplemented

    def __le__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds <= other._nanoseconds
        return NotImplemented

    def __gt__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds > other._nanoseconds
        return NotImplemented

    def __ge__(self, other: object) -> bool:
        if isinstance(other, Duration):
            return self._nanoseconds >= other._nanoseconds
        return NotImplemented

    def to_msg(self) -> DurationMsg:
        """Return the message of this span."""
        seconds, nanoseconds = divmod(self._nanoseconds, S_TO_NS)
        return DurationMsg(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg: Any) -> Duration:
        """Return the span in a message.

        Raises:
            TypeError: Not a builtin_interfaces/Duration.
        """
        if not isinstance(msg, DurationMsg):
            raise TypeError(f'a builtin_interfaces.msg.Duration is needed, not {type(msg)}')
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)


Infinite = Duration(nanoseconds=_LIMIT - 1)
