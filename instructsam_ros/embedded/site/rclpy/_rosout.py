# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes a node's log messages on /rosout."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Log
from rclpy import _log_output
from rclpy._log_output import Record
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile

if TYPE_CHECKING:
    from rclpy.node import Node


class RosoutPublisher:
    """A node's publisher on /rosout; late subscriptions get what was logged before."""

    def __init__(self, node: Node) -> None:
        self._publisher = node.create_publisher(
            Log, '/rosout',
            QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL,
                       lifespan=Duration(seconds=10)),
            # a warning about /rosout would itself be published there
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False))
        self._name = node._logger_name
        _log_output.add_publisher(self._name, self.publish)

    def publish(self, record: Record) -> None:
        """Publish a log message."""
        seconds, nanoseconds = divmod(record.nanoseconds, 10 ** 9)
        self._publisher.publish(Log(
            stamp=Time(sec=seconds, nanosec=nanoseconds), level=int(record.level),
            name=record.name, msg=record.message, file=record.file, function=record.function,
            line=record.line))

    def close(self) -> None:
        """Publish no longer."""
        with contextlib.suppress(KeyError):
            _log_output.remove_publisher(self._name, self.publish)
