# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks that a class is a message or a service."""

from __future__ import annotations

from typing import Any

from instructsam_ros.embedded.interfaces import Message, interface_name


def check_is_valid_msg_type(msg_type: Any) -> None:
    """Check a message class.

    Raises:
        AttributeError: Not of ROS 2 at all.
        RuntimeError: A service.
    """
    name = _name(msg_type)
    if not issubclass(msg_type, Message):
        raise RuntimeError(f'{name} is not a message type, but perhaps a service or an action')


def check_is_valid_srv_type(srv_type: Any) -> None:
    """Check a service class.

    Raises:
        AttributeError: Not of ROS 2 at all.
        RuntimeError: A message.
    """
    name = _name(srv_type)
    if not (hasattr(srv_type, 'Request') and hasattr(srv_type, 'Response')):
        raise RuntimeError(f'{name} is not a service type, but perhaps a message or an action')


def check_for_type_support(msg_or_srv_type: Any) -> None:
    """Check a message or service class; AttributeError if it is neither."""
    _name(msg_or_srv_type)


def _name(given: Any) -> str:
    try:
        return interface_name(given)
    except TypeError as error:
        raise AttributeError(f'{given!r} is not a type of ROS 2: {error}') from None
