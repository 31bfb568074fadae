# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes bags that every ROS 2 from Humble on, Foxglove and the MCAP tools read.

::

    with BagWriter('results') as bag:
        bag.write('/instructsam/targets', message, stamp_ns)
"""

import errno
import sqlite3
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from instructsam_ros.replay.compression import zstd
from instructsam_ros.replay.definitions import (
    bag_definitions,
    class_definitions,
    message_name,
    own_definitions,
    same_fields,
    standard_definitions,
)
from instructsam_ros.replay.errors import BagError, BagWriteError

# the newest that Humble reads as well as Lyrical
_VERSION: Literal[8] = 8
_ALWAYS = QosTime(9223372036, 854775807)  # what rmw calls infinite
_ZSTD_LEVEL = 1
_STORAGES = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}

Storage = Literal['mcap', 'sqlite3']


class BagWriter:
    """A new bag; a context manager.

    The bag is complete once metadata.yaml is in its folder: that is written last, as a whole.
    After an error inside the ``with`` block the bag is closed properly with what was written, and
    marked ``unfinished`` in the metadata's custom data. If even that fails, as on a full disk,
    the files stay as they are, and ``BagReader`` reads them as far as they go.
    """

    def __init__(
        self, path: str | Path, storage: Storage = 'mcap', *, compress: bool = True
    ) -> None:
        """Create the folder ``path``.

        ``storage`` 'mcap' (``compress``: with zstd, chunk by chunk) or 'sqlite3' (never
        compressed). Raises BagError where something of that name exists, BagWriteError where it
        cannot be created.
        """
        self.path = Path(path)
        if storage not in _STORAGES:
            raise BagError(f'storage {storage!r} is unknown: use mcap or sqlite3')
        self.count = 0
        self._connections: dict[str, Connection] = {}
        self._types: dict[str, str] = {}
        self._failed = False
        try:
            self._writer = Writer(
                self.path, version=_VERSION, storage_plugin=_STORAGES[storage])
            if compress and storage == 'mcap':
                self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
            if compress and storage == 'mcap':
                # a third of the usual level's time, for pictures that are some percent larger
                plugin: Any = self._writer.storage
                plugin.compressor = partial(zstd.compress, level=_ZSTD_LEVEL)
        except WriterError:
            raise BagError(
                f'{self.path}: exists already: choose another name, or remove it') from None
        except (OSError, sqlite3.Error) as error:
            raise BagWriteError(f'{self.path}: cannot be written: {_reason(error)}') from None

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        if kind is None:
            self.close()
            return
        if self._failed:
            self._abort()
            return
        # what was written before the error is worth keeping
        self._writer.set_custom_data('unfinished', f'{kind.__name__}: {error}')
        with suppress(BagWriteError):
            self.close()

    def close(self) -> None:
        """Write the index and metadata.yaml. Raises BagWriteError."""
        if self._writer.storage is None:
            return
        try:
            self._writer.close()
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from None

    def add_topic(self, topic: str, cls: type[Any], *, latched: bool = False) -> None:
        """Announce a topic, so that it is in the bag even without a message.

        ``latched``: late subscribers get the last message when the bag is played. A topic that
        was announced before stays as it is. Raises BagError for another type on it.
        """
        name = message_name(cls)
        if self._is_there(topic, name):
            return
        store = _store_for(name)
        self._add(topic, name, latched, typestore=store)

    def add_raw_topic(
        self, topic: str, kind: str, definition: str, *, is_idl: bool = False, latched: bool = False
    ) -> None:
        """Announce a topic by its type's name and definition text, for ``write_raw``.

        Raises BagError for a definition that cannot be read, or another type on the topic.
        """
        if self._is_there(topic, kind):
            return
        store = get_typestore(Stores.EMPTY)
        store.register(bag_definitions(definition, kind, idl=is_idl))
        self._add(topic, kind, latched, msgdef=definition, rihs01=store.hash_rihs01(kind))

    def write(self, topic: str, message: Any, bag_ns: int) -> None:
        """Write a message; ``bag_ns`` is the recorder's time. Raises BagError, BagWriteError.

        A topic that was not announced is, latched if it is called tf_static.
        """
        cls = type(message)
        if self._types.get(topic) != message_name(cls):
            self.add_topic(topic, cls, latched=topic.rpartition('/')[2] == 'tf_static')
        self.write_raw(topic, serialize_message(message), bag_ns)

    def write_raw(self, topic: str, data: bytes, bag_ns: int) -> None:
        """Write a message of an announced topic as CDR bytes. Raises BagWriteError."""
        if self._writer.storage is None:
            raise BagWriteError(f'{self.path}: nothing more can be written, the bag is closed')
        try:
            self._writer.write(self._connections[topic], bag_ns, data)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from None
        self.count += 1

    def _is_there(self, topic: str, name: str) -> bool:
        known = self._types.get(topic)
        if known not in (None, name):
            raise BagError(f'{topic} has messages of type {known}, {name} cannot be written to it')
        return known is not None

    def _add(self, topic: str, name: str, latched: bool, **definition: Any) -> None:
        try:
            self._connections[topic] = self._writer.add_connection(
                topic, name, offered_qos_profiles=[_profile(latched)], **definition)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from None
        self._types[topic] = name

    def _failure(self, error: Exception) -> BagWriteError:
        """Give up; the exception says what is kept."""
        self._failed = True
        self._abort()
        return BagWriteError(
            f'{self.path}: writing failed after {self.count} messages: {_reason(error)}; what was '
            'written before is kept there')

    def _abort(self) -> None:
        with suppress(OSError, sqlite3.Error, WriterError):
            self._writer.abort()


def _store_for(name: str) -> Typestore:
    """Return a type store that knows a message of the ROS 2 in use, with its constants."""
    stated = class_definitions(name)
    known = {**standard_definitions(), **own_definitions()}
    full = {one: known[one] for one in stated if one in known}
    # where the ROS 2 in use has another version of a message, that is the one that is written
    both = {**stated, **full}
    store = get_typestore(Stores.EMPTY)
    store.register(both if same_fields(both, stated) else stated)
    return store


def _profile(latched: bool) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        _ALWAYS,
        _ALWAYS,
        QosLiveliness.AUTOMATIC,
        _ALWAYS,
        False,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return 'the disk is full'
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error)
    return 'the disk is full' if 'disk is full' in text else text
