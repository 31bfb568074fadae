# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Subscriptions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, TypedDict

from rclpy._rclpy_pybind11 import InvalidHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.logging import get_logger
from rclpy.qos import QoSProfile

from instructsam_ros.embedded.interfaces import deserialize

if TYPE_CHECKING:
    from rclpy._endpoints import SubscriptionEnd


class MessageInfo(TypedDict):
    """What a callback with two arguments is told; times in nanoseconds since 1970."""

    source_timestamp: int
    received_timestamp: int
    publication_sequence_number: int | None
    reception_sequence_number: int | None


class Subscription:
    """Receives messages of a topic; make it by `Node.create_subscription`.

    Attributes:
        msg_type: The class of the messages.
        topic: The name as given; `topic_name` is the full one.
        qos_profile: What is requested.
        raw: Whether the callback gets bytes.
    """

    class CallbackType(Enum):
        """What a callback takes."""

        MessageOnly = 0
        WithMessageInfo = 1

    def __init__(self, subscription_impl: SubscriptionEnd, msg_type: Any, topic: str,
                 callback: Callable[..., Any], callback_group: CallbackGroup,
                 qos_profile: QoSProfile, raw: bool,
                 event_callbacks: SubscriptionEventCallbacks) -> None:
        self._end: SubscriptionEnd | None = subscription_impl
        self.msg_type = msg_type
        self.topic = topic
        self.callback = callback
        self.callback_group = callback_group
        self.qos_profile = qos_profile
        self.raw = raw
        self._executor_event = False
        self._notify: Callable[[], None] = lambda: None
        self._has_data = False
        self.event_handlers = event_callbacks.create_event_handlers(
            callback_group, subscription_impl.logger_name, subscription_impl.topic)
        subscription_impl.open(self._on_data, self.event_handlers)

    def get_publisher_count(self) -> int:
        """Return how many publishers are heard."""
        return self._opened().reader.matched()

    @property
    def topic_name(self) -> str:
        """The full name of the topic, remapped."""
        return self._opened().topic

    @property
    def callback(self) -> Callable[..., Any]:
        """Called with the message, or with the message and its `MessageInfo`."""
        return self._callback

    @callback.setter
    def callback(self, value: Callable[..., Any]) -> None:
        self._callback = value
        signature = inspect.signature(value)
        for count, kind in ((1, Subscription.CallbackType.MessageOnly),
                            (2, Subscription.CallbackType.WithMessageInfo)):
            try:
                signature.bind(*[object()] * count)
            except TypeError:
                continue
            self._callback_type = kind
            return
        raise RuntimeError('a subscription callback takes one argument (the message) or two (the '
                           f'message and its info); {value!r} does not')

    def destroy(self) -> None:
        """Destroy; use `Node.destroy_subscription`."""
        end = self._opened()
        self._end = None
        self._has_data = False
        for handler in self.event_handlers:
            handler.destroy()
        end.reader.close()

    def _on_data(self) -> None:
        self._has_data = True
        self._notify()

    def _is_ready(self) -> bool:
        return self._has_data

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        end = self._end
        if end is None:
            return None
        # before taking: what comes meanwhile must not be overlooked
        self._has_data = False
        samples = end.reader.take(1)
        if not samples:
            return None
        self._has_data = self._end is not None
        sample = samples[0]
        if self.raw:
            message: Any = bytes(sample.data)
        else:
            try:
                message = deserialize(sample.data, self.msg_type)
            except ValueError as error:
                # what others send must not end this program
                get_logger(end.logger_name).warning(
                    f'A message on {end.topic} was dropped: {error}', throttle_duration_sec=10.0)
                return None
        callback = self._callback
        if self._callback_type is Subscription.CallbackType.MessageOnly:
            return lambda: callback(message)
        info = MessageInfo(
            source_timestamp=sample.source_timestamp_ns,
            received_timestamp=sample.received_timestamp_ns,
            publication_sequence_number=None, reception_sequence_number=None)
        return lambda: callback(message, info)

    def _opened(self) -> SubscriptionEnd:
        if self._end is None:
            raise InvalidHandle(f'the subscription of {self.topic} was destroyed')
        return self._end
