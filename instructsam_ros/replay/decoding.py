# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From recorded bytes to messages: of the ROS 2 in use, or as the bag itself defines them."""

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_typestore

from instructsam_ros.replay.definitions import (
    bag_definitions,
    class_definitions,
    message_class,
    same_fields,
)
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import Channel, RawMessage

Decoder = Callable[[bytes], Any]


class MessageDecoder:
    """Makes messages of bytes.

    Types of the ROS 2 in use become its classes, also where the bag was recorded with another
    version of them: then what both have is taken over. Other types become objects with the fields
    that the bag's own definition names.
    """

    def __init__(self) -> None:
        self._decoders: dict[Channel, Decoder] = {}

    def decode(self, raw: RawMessage) -> Any:
        """Return the message. Raises BagError for an unknown type or bytes of another one."""
        decoder = self._decoders.get(raw.channel)
        if decoder is None:
            decoder = self._decoders[raw.channel] = _decoder(raw.channel)
        try:
            return decoder(raw.data)
        except BagError:
            raise
        # rclpy raises other errors than the embedded client
        except Exception as error:
            raise BagError(
                f'{raw.channel.topic}: the message at {raw.bag_ns * 1e-9:.3f} s is damaged, or no '
                f'{raw.channel.type} ({error})') from None


def is_known(channel: Channel) -> bool:
    """Return whether messages of a channel can be decoded."""
    return channel.encoding == 'cdr' and (
        bool(channel.definition) or message_class(channel.type) is not None)


def is_same_here(channel: Channel) -> bool:
    """Return whether its bytes are those of the same message in the ROS 2 in use.

    Raises BagError for a definition that cannot be read.
    """
    name = channel.type
    if channel.encoding != 'cdr' or message_class(name) is None:
        return False
    return not channel.definition or same_fields(
        bag_definitions(channel.definition, name, idl=channel.is_idl), class_definitions(name))


def _decoder(channel: Channel) -> Decoder:
    if channel.encoding != 'cdr':
        raise BagError(
            f"{channel.topic}: its messages are encoded as '{channel.encoding}'; only CDR, as ROS "
            '2 records it, can be read')
    name, cls = channel.type, message_class(channel.type)
    if not channel.definition:
        if cls is None:
            raise BagError(
                f'{channel.topic} has the unknown type {name}: neither this ROS 2 nor the bag says '
                'what it is made of; install its package, or record with mcap')
        return lambda data: deserialize_message(data, cls)
    stated = bag_definitions(channel.definition, name, idl=channel.is_idl)
    if cls is not None and same_fields(stated, class_definitions(name)):
        return lambda data: deserialize_message(data, cls)
    store = get_typestore(Stores.EMPTY)
    try:
        store.register(stated)
    except (TypesysError, SerdeError) as error:
        raise BagError(f"{name}: the bag's definition of it is unusable ({error})") from None
    if cls is None:
        return lambda data: store.deserialize_cdr(data, name)
    return lambda data: _taken_over(store.deserialize_cdr(data, name), cls)


def _taken_over(source: Any, cls: type[Any]) -> Any:
    """Return a message with what another version of it has too; the rest keeps its default."""
    message = cls()
    for field, described in cls.get_fields_and_field_types().items():
        value = getattr(source, field, None)
        if value is None:
            continue
        inner = described.removeprefix('sequence<').partition('>')[0].partition('[')[0]
        inner = inner.partition(',')[0]
        if '/' in inner:
            package, short = inner.split('/')[0], inner.split('/')[-1]
            kind = message_class(f'{package}/msg/{short}')
            assert kind is not None
            if isinstance(value, (list, tuple)):
                value = [_taken_over(one, kind) for one in value]
            else:
                value = _taken_over(value, kind)
        elif isinstance(value, np.ndarray):
            # a list of numbers is slow, and pictures are bytes
            value = array('B', value.tobytes()) if value.dtype == np.uint8 else value.tolist()
        try:
            setattr(message, field, value)
        # rosidl's setters assert
        except (AssertionError, TypeError, ValueError) as error:
            raise BagError(
                f'{cls.__name__}.{field} was recorded as something else ({error}): the bag is of '
                'another version of this message') from None
    return message
