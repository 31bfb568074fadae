# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exceptions and enumerations that rclpy keeps in its compiled core, under the same names."""

from __future__ import annotations

from enum import Enum, IntEnum


class RCUtilsError(RuntimeError):
    """An error of the lowest layer."""


class RMWError(RuntimeError):
    """An error of the middleware."""


class RCLError(RuntimeError):
    """An error of the client library."""


class RCLInvalidROSArgsError(RCLError):
    """A ROS argument on the command line has the wrong form."""


class UnknownROSArgsError(RuntimeError):
    """There is no such ROS argument."""


class NodeNameNonExistentError(RCLError):
    """No node of that name is known."""


class UnsupportedEventTypeError(RCLError):
    """The middleware has no such event."""


class InvalidHandle(RuntimeError):  # noqa: N818 (rclpy's name)
    """What is used was destroyed before."""


class SignalHandlerOptions(IntEnum):
    """Which signals rclpy handles."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


class TransitionCallbackReturnType(Enum):
    """What a lifecycle callback returns; the values are those of lifecycle_msgs/Transition."""

    SUCCESS = 97
    FAILURE = 98
    ERROR = 99

    def to_label(self) -> str:
        """Return the label of the transition that follows."""
        return f'transition_{self.name.lower()}'


class QoSCompatibility(IntEnum):
    """Whether two QoS profiles go together."""

    OK = 0
    WARNING = 1
    ERROR = 2


class ServiceIntrospectionState(IntEnum):
    """How much of a service's traffic is published."""

    OFF = 0
    METADATA = 1
    CONTENTS = 2
