# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Message and service classes, their bytes on the wire, their names and type hashes."""

from __future__ import annotations

from typing import Any

from instructsam_ros.embedded.interfaces.catalogue import UnknownInterfaceError
from instructsam_ros.embedded.interfaces.cdr import deserialize, serialize
from instructsam_ros.embedded.interfaces.message import (
    Message,
    interface_class,
    message_class,
    service_class,
)
from instructsam_ros.embedded.interfaces.type_hash import type_hash as _hash_of

__all__ = [
    'Message', 'UnknownInterfaceError', 'dds_type_name', 'deserialize', 'interface_class',
    'interface_name', 'message_class', 'ros_type_name', 'serialize', 'service_class', 'type_hash',
]


def interface_name(cls: type[Any]) -> str:
    """Return a message's or service's full name, such as 'sensor_msgs/msg/Image'.

    Raises:
        TypeError: Neither a message class nor a service class.
    """
    made = getattr(cls, '_definition', None)
    name: str | None = made.name if made is not None else getattr(cls, '_service_name', None)
    if name is None:
        raise TypeError(f'{cls!r} is neither a message class nor a service class')
    return name


def dds_type_name(cls: type[Any]) -> str:
    """Return a message's type name on the wire, such as 'sensor_msgs::msg::dds_::Image_'."""
    package, kind, short = interface_name(cls).split('/')
    return f'{package}::{kind}::dds_::{short}_'


def ros_type_name(dds_name: str) -> str:
    """Turn a type name on the wire into a full name; other names are returned as they are."""
    parts = dds_name.split('::')
    if len(parts) == 4 and parts[2] == 'dds_' and parts[3].endswith('_'):
        return f'{parts[0]}/{parts[1]}/{parts[3][:-1]}'
    return dds_name


def type_hash(cls: type[Any]) -> str:
    """Return a message's or service's type hash, 'RIHS01_' and 64 hexadecimal digits."""
    return _hash_of(interface_name(cls))
