# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages to and from bytes."""

from __future__ import annotations

from typing import Any

from rclpy.type_support import check_for_type_support

from instructsam_ros.embedded.interfaces import deserialize, serialize


def serialize_message(message: Any) -> bytes:
    """Return a message as the bytes that go over the wire."""
    check_for_type_support(type(message))
    return serialize(message)


def deserialize_message(serialized_message: bytes, message_type: Any) -> Any:
    """Return the message in serialized bytes.

    Raises:
        ValueError: The bytes are not of this type.
    """
    check_for_type_support(message_type)
    return deserialize(serialized_message, message_type)
