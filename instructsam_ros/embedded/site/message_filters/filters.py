# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every filter has, the source of a stream, and how a message's time is found.

Method names are those of the ROS API.
"""

from collections.abc import Callable
from typing import Any

from rclpy.clock import ROSClock
from rclpy.logging import get_logger
from rclpy.time import Time


class SimpleFilter:
    """Something with output, to which callbacks can be connected."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
        """Call ``cb(*messages, *args)`` for every output; return the connection's number."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Hand the messages to every callback, in the order of connection."""
        for callback, extra in list(self.callbacks.values()):
            callback(*msg, *extra)


class Subscriber(SimpleFilter):
    """A subscription as a source: ``Subscriber(node, msg_type, topic, **options)``.

    The options are those of ``create_subscription``; ``qos_profile`` is 10 unless given. Whatever
    else is asked of it is asked of the subscription.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.node = args[0]
        self.topic = args[2]
        kwargs.setdefault('qos_profile', 10)
        self.sub = self.node.create_subscription(*args[1:], self.callback, **kwargs)

    def callback(self, msg: Any) -> None:
        """Pass a received message on."""
        self.signalMessage(msg)

    def getTopic(self) -> str:
        """Return the topic's name as it was given."""
        return str(self.topic)

    def __getattr__(self, key: str) -> Any:
        # only for what this object itself lacks; before `sub` is there, nothing may be asked of it
        if key == 'sub':
            raise AttributeError(key)
        return getattr(self.sub, key)


def stamp_of(msg: Any, *, allow_headerless: bool, logger_name: str) -> Time | None:
    """Return a message's time; without one: now, or if not allowed, None and a warning."""
    stamp = getattr(getattr(msg, 'header', None), 'stamp', None)
    if stamp is not None:
        return stamp if hasattr(stamp, 'nanoseconds') else Time.from_msg(stamp)
    if allow_headerless:
        return ROSClock().now()
    get_logger(logger_name).warning(
        'a message without header.stamp was ignored; allow_headerless=True would take the time '
        'of arrival instead'
    )
    return None
