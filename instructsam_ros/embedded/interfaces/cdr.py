# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages to and from CDR, the bytes on the wire and in bags (plain CDR, version 1).

Each message gets its own compiled functions: a run of numbers is one call of `struct`, nested
messages included, and arrays of numbers are copied as a whole.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any, TypeVar

from instructsam_ros.embedded.interfaces.cdr_reading import Order, compile_reader
from instructsam_ros.embedded.interfaces.cdr_writing import compile_writer
from instructsam_ros.embedded.interfaces.message import message_class

M = TypeVar('M')

_HEADER = b'\x00\x01\x00\x00'
_LITTLE, _BIG = b'\x00\x01', b'\x00\x00'


def serialize(message: Any, prefix: bytes = b'') -> bytes:
    """Return a message as little-endian CDR with its four bytes of encapsulation header.

    Args:
        message: A message of one of our classes.
        prefix: Bytes to put between header and message, a multiple of 8 long.

    Raises:
        TypeError: Not a message.
        ValueError: A value was changed behind the setters' back to one that does not fit.
    """
    made = getattr(type(message), '_definition', None)
    if made is None:
        raise TypeError(f'{type(message).__name__} is not a message')
    parts: list[Any] = [_HEADER, prefix]
    try:
        _writer(made.name)(message, parts, len(prefix))
        return b''.join(parts)
    except (struct.error, TypeError, AttributeError) as error:
        raise ValueError(f'{made.name} cannot be written: {error}') from error


def deserialize(data: bytes | bytearray | memoryview, cls: type[M], offset: int = 0) -> M:
    """Return the message in CDR data.

    Args:
        data: The bytes, with their encapsulation header.
        cls: The class of the message.
        offset: Bytes to skip after the header, a multiple of 8.

    Raises:
        ValueError: Not plain CDR, cut short, or not of this type.
    """
    name = cls._definition.name  # type: ignore[attr-defined]
    kind = bytes(data[:2])
    if len(data) < 4 or kind not in (_LITTLE, _BIG):
        raise ValueError(f'{name}: not plain CDR (encapsulation {kind.hex() or "missing"})')
    body = memoryview(data)[4:]
    end = len(body)
    if offset > end:
        raise ValueError(f'{name}: cut short, {end} bytes where {offset} precede the message')
    try:
        message, position = _reader(name, '<' if kind == _LITTLE else '>')(body, offset, end)
    except (struct.error, ValueError) as error:
        raise ValueError(f'{name}: not of this type or cut short ({error})') from error
    # the transport pads to a multiple of four
    if end - position > 3:
        raise ValueError(f'{name}: {end - position} bytes are left over: another version of the '
                         f'message, or not of this type')
    return message


@functools.cache
def _writer(name: str) -> Callable[[Any, list[Any], int], int]:
    return compile_writer(message_class(name)._definition)


@functools.cache
def _reader(name: str, order: Order) -> Callable[[memoryview, int, int], tuple[Any, int]]:
    return compile_reader(message_class(name), order)
