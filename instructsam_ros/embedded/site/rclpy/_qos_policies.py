# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The QoS policies and their values."""

from __future__ import annotations

from enum import IntEnum


class QoSPolicyKind(IntEnum):
    """The policies; a QoS event names one of them."""

    INVALID = 1 << 0
    DURABILITY = 1 << 1
    DEADLINE = 1 << 2
    LIVELINESS = 1 << 3
    RELIABILITY = 1 << 4
    HISTORY = 1 << 5
    LIFESPAN = 1 << 6
    DEPTH = 1 << 7
    LIVELINESS_LEASE_DURATION = 1 << 8
    AVOID_ROS_NAMESPACE_CONVENTIONS = 1 << 9


class QoSPolicyEnum(IntEnum):
    """Base of the policies' values, which also have short names in lower case."""

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the short names."""
        return [name.lower() for name in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> int:
        """Return the value of a short name; KeyError if there is none."""
        return cls[name.upper()].value

    @property
    def short_key(self) -> str:
        """The short name."""
        return self.name.lower()


class HistoryPolicy(QoSPolicyEnum):
    """How many samples are kept: the last ones (`depth`) or all."""

    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3


class ReliabilityPolicy(QoSPolicyEnum):
    """Whether lost samples are sent again."""

    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class DurabilityPolicy(QoSPolicyEnum):
    """Whether subscriptions that come later get what was published before."""

    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3
    BEST_AVAILABLE = 4


class LivelinessPolicy(QoSPolicyEnum):
    """Who asserts that a publisher is alive: the middleware, or the publisher itself."""

    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4
    BEST_AVAILABLE = 5
