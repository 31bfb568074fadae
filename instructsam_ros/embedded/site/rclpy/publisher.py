# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile

from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.interfaces import serialize

if TYPE_CHECKING:
    from rclpy._endpoints import PublisherEnd


class Publisher:
    """Sends messages on a topic; make it by `Node.create_publisher`.

    Attributes:
        msg_type: The class of the messages.
        topic: The name as given; `topic_name` is the full one.
        qos_profile: What is offered.
    """

    def __init__(self, publisher_impl: PublisherEnd, msg_type: Any, topic: str,
                 qos_profile: QoSProfile, event_callbacks: PublisherEventCallbacks,
                 callback_group: CallbackGroup) -> None:
        self._end: PublisherEnd | None = publisher_impl
        self.msg_type = msg_type
        self.topic = topic
        self.qos_profile = qos_profile
        self.event_handlers = event_callbacks.create_event_handlers(
            callback_group, publisher_impl.logger_name, publisher_impl.topic)
        publisher_impl.open(self.event_handlers)

    def publish(self, msg: Any) -> None:
        """Send a message, or the bytes of a serialized one.

        Raises:
            TypeError: Not of the topic's type.
            RCLError: The context was shut down.
            InvalidHandle: The publisher was destroyed.
        """
        end = self._opened()
        if isinstance(msg, self.msg_type):
            data = serialize(msg)
        elif isinstance(msg, bytes):
            data = msg
        else:
            raise TypeError(f'{self.msg_type} is expected on {self.topic}, not {type(msg)}')
        if not end.context.ok():
            raise RCLError('publishing failed: the context was shut down')
        try:
            end.writer.write(data)
        except DdsError as error:
            raise RCLError(f'publishing on {end.topic} failed: {error}') from error

    def get_subscription_count(self) -> int:
        """Return how many subscriptions get what is published."""
        return self._opened().writer.matched()

    @property
    def topic_name(self) -> str:
        """The full name of the topic, remapped."""
        return self._opened().topic

    def assert_liveliness(self) -> None:
        """Tell that the publisher is alive, for the liveliness MANUAL_BY_TOPIC."""
        try:
            self._opened().writer.assert_liveliness()
        except DdsError as error:
            raise RCLError(f'asserting liveliness failed: {error}') from error

    def wait_for_all_acked(self, timeout: Duration | None = None) -> bool:
        """Wait until all reliable subscriptions have confirmed all messages.

        Args:
            timeout: Negative or None to wait for ever.

        Returns:
            False if the timeout passed before.
        """
        seconds = -1.0 if timeout is None else timeout.nanoseconds / 1e9
        return self._opened().writer.wait_for_acks(1e9 if seconds < 0 else seconds)

    def destroy(self) -> None:
        """Destroy; use `Node.destroy_publisher`."""
        end = self._opened()
        self._end = None
        for handler in self.event_handlers:
            handler.destroy()
        end.writer.close()

    def _opened(self) -> PublisherEnd:
        if self._end is None:
            raise InvalidHandle(f'the publisher on {self.topic} was destroyed')
        return self._end
