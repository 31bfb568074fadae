# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a node opens on the network for its publishers and subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rclpy._qos_matching import to_wire
from rclpy._rclpy_pybind11 import RCLError
from rclpy.qos import QoSProfile

from instructsam_ros.embedded.dds.endpoint import Event, Reader, Writer
from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.interfaces import dds_type_name, type_hash

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.event_handler import EventHandler


@dataclass
class _End:
    """A topic's full name, type and QoS, before and after it is opened."""

    context: Context
    logger_name: str
    topic: str
    msg_type: Any
    qos_profile: QoSProfile

    @property
    def dds_topic(self) -> str:
        """The topic's name on the wire."""
        return (self.topic.lstrip('/') if self.qos_profile.avoid_ros_namespace_conventions
                else f'rt{self.topic}')


class PublisherEnd(_End):
    """A publisher's writer."""

    writer: Writer

    def open(self, handlers: Sequence[EventHandler]) -> None:
        """Join the topic.

        Raises:
            RCLError: The middleware refuses.
        """
        participant = self.context._get_participant()
        try:
            self.writer = participant.create_writer(
                self.dds_topic, dds_type_name(self.msg_type), type_hash(self.msg_type),
                to_wire(self.qos_profile, reader=False), _teller(handlers))
        except DdsError as error:
            raise RCLError(f'no publisher on {self.topic}: {error}') from error


class SubscriptionEnd(_End):
    """A subscription's reader."""

    reader: Reader

    def open(self, on_data: Callable[[], None], handlers: Sequence[EventHandler]) -> None:
        """Join the topic.

        Raises:
            RCLError: The middleware refuses.
        """
        participant = self.context._get_participant()
        publishers = [info.qos for info in participant.graph.writers(self.dds_topic)]
        try:
            self.reader = participant.create_reader(
                self.dds_topic, dds_type_name(self.msg_type), type_hash(self.msg_type),
                to_wire(self.qos_profile, publishers, reader=True), on_data, _teller(handlers))
        except DdsError as error:
            raise RCLError(f'no subscription of {self.topic}: {error}') from error


def _teller(handlers: Sequence[EventHandler]) -> Callable[[Event], None] | None:
    if not handlers:
        return None

    def tell(event: Event) -> None:
        for handler in handlers:
            handler._on_event(event)

    return tell
