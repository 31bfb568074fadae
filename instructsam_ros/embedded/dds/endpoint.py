# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writers and readers of serialized messages."""

from __future__ import annotations

import ctypes as ct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instructsam_ros.embedded.dds import native
from instructsam_ros.embedded.dds.dispatcher import Dispatcher
from instructsam_ros.embedded.dds.qos import Qos, policy_name

_LARGE = 1 << 16
_WRITER_EVENTS = (native.OFFERED_DEADLINE_MISSED | native.OFFERED_INCOMPATIBLE_QOS
                  | native.LIVELINESS_LOST | native.PUBLICATION_MATCHED)
_READER_EVENTS = (native.REQUESTED_DEADLINE_MISSED | native.REQUESTED_INCOMPATIBLE_QOS
                  | native.LIVELINESS_CHANGED | native.SUBSCRIPTION_MATCHED)


@dataclass(frozen=True)
class Event:
    """A change that concerns a writer or a reader.

    Attributes:
        kind: 'incompatible_qos', 'matched', 'deadline_missed' or 'liveliness'.
        total: How often it has happened; for a reader's liveliness the writers not alive.
        change: How ``total`` changed since the last event.
        current: For 'matched' the number of partners, for a reader's liveliness the writers
            alive; else None.
        last_policy: For 'incompatible_qos' the name of a policy that does not fit; else None.
        current_change: How ``current`` changed since the last event, where there is one.
    """

    kind: str
    total: int
    change: int
    current: int | None = None
    last_policy: str | None = None
    current_change: int | None = None


@dataclass(frozen=True)
class Sample:
    """A received message, serialized with its header, and where it comes from.

    Times are in nanoseconds since 1970. ``writer_gid`` has 16 bytes, zeros if the writer has left;
    ``writer_handle`` is this process's number for it.
    """

    data: bytes
    source_timestamp_ns: int
    received_timestamp_ns: int
    writer_gid: bytes
    writer_handle: int = 0


class _Endpoint:
    """What writers and readers share: identity, events, an orderly end."""

    def __init__(self, entity: int, dispatcher: Dispatcher, mask: int, topic: str, qos: Qos,
                 callback: Callable[[int], None], on_close: Callable[[Any], None]) -> None:
        self._entity = entity
        self._dispatcher = dispatcher
        self._on_close: Callable[[Any], None] | None = on_close
        self._closing = threading.Lock()
        self.topic = topic
        self.qos = qos
        self.gid = native.guid(entity)
        self.handle = native.instance_handle(entity)
        self._watch = dispatcher.watch(entity, mask, callback) if mask else None

    def close(self) -> None:
        """Leave the network; later calls do nothing."""
        with self._closing:
            on_close, self._on_close = self._on_close, None
        if on_close is None:
            return
        if self._watch is not None:
            self._dispatcher.forget(self._watch)
        native.delete(self._entity)
        on_close(self)

    def _check_open(self) -> None:
        if self._on_close is None:
            raise native.DdsError(native.ALREADY_DELETED, self.topic)

    def _report(self, bits: int, on_event: Callable[[Event], None]) -> None:
        for bit, (kind, structure, read) in native.STATUSES.items():
            if bits & bit:
                status = structure()
                if read(self._entity, ct.byref(status)) == 0:
                    on_event(_event(kind, status))


class Writer(_Endpoint):
    """Sends serialized messages on one topic; made by `Participant.create_writer`."""

    def __init__(self, entity: int, dispatcher: Dispatcher, topic: str, qos: Qos,
                 on_event: Callable[[Event], None] | None,
                 on_close: Callable[[Any], None]) -> None:
        self._on_event = on_event
        super().__init__(entity, dispatcher, _WRITER_EVENTS if on_event else 0, topic, qos,
                         self._on_status, on_close)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send a serialized message.

        A reliable writer waits while its readers are far behind, until it is closed.

        Raises:
            DdsError: The writer is closed, or Cyclone DDS could not send.
            ValueError: The data have no encapsulation header.
        """
        size = len(data)
        if size < 4:
            raise ValueError(f'a serialized message has at least 4 bytes, not {size}')
        if not isinstance(data, bytes) or size % 4:
            # samples are whole words on the wire
            data = b''.join((data, bytes(-size % 4)))
        address = ct.cast(ct.c_char_p(data), ct.c_void_p)
        container = native.Container(address, len(data))
        # Cyclone waits with the writer locked, so that nobody could close it: wait in steps
        code = native.TIMEOUT
        while code == native.TIMEOUT:
            self._check_open()
            code = native.write(self._entity, ct.byref(container))
        if code < 0:
            self._check_open()
        native.check(code, f'writing to {self.topic}')

    def matched(self) -> int:
        """Return how many readers get what is written; 0 once closed."""
        return max(0, int(native.matched_readers(self._entity, None, 0)))

    def wait_for_acks(self, timeout_s: float) -> bool:
        """Wait until all reliable readers have confirmed everything; False after the timeout."""
        nanoseconds = min(int(timeout_s * native.NANOSECONDS), native.INFINITY)
        return bool(native.wait_for_acks(self._entity, nanoseconds) == 0)

    def assert_liveliness(self) -> None:
        """Tell the readers that this writer is alive (for liveliness by topic).

        Raises:
            DdsError: The writer is closed.
        """
        self._check_open()
        native.check(native.assert_liveliness(self._entity),
                     f'asserting liveliness on {self.topic}')

    def dispose(self) -> None:
        """Leave the network, the same as `close`: ROS 2 topics have no instances to dispose."""
        self.close()

    def _on_status(self, bits: int) -> None:
        if self._on_event is not None:
            self._report(bits, self._on_event)


class Reader(_Endpoint):
    """Receives serialized messages of one topic; made by `Participant.create_reader`."""

    def __init__(self, entity: int, dispatcher: Dispatcher, topic: str, qos: Qos,
                 on_data: Callable[[], None] | None, on_event: Callable[[Event], None] | None,
                 on_close: Callable[[Any], None]) -> None:
        self._on_data = on_data
        self._on_event = on_event
        self._writers: dict[int, bytes] = {}
        mask = (native.DATA_AVAILABLE if on_data else 0) | (_READER_EVENTS if on_event else 0)
        super().__init__(entity, dispatcher, mask, topic, qos, self._on_status, on_close)

    def take(self, limit: int = 1) -> list[Sample]:
        """Return up to ``limit`` messages and remove them from the reader; none once closed.

        One call of ``on_data`` may stand for several messages: take until nothing is returned.
        """
        samples: list[Sample] = []
        while len(samples) < limit:
            taken = self._take(min(limit - len(samples), 256), samples)
            if not taken:
                break
        return samples

    def matched(self) -> int:
        """Return how many writers are heard; 0 once closed."""
        return max(0, int(native.matched_writers(self._entity, None, 0)))

    def _take(self, count: int, samples: list[Sample]) -> int:
        """Take up to ``count``; return how many there were, also of those that hold no data."""
        containers = (native.Container * count)()
        size = ct.sizeof(native.Container)
        first = ct.addressof(containers)
        pointers = (ct.c_void_p * count)(*range(first, first + size * count, size))
        infos = (native.SampleInfo * count)()
        taken = native.take(self._entity, ct.byref(pointers), ct.byref(infos), count, count)
        now = time.time_ns()
        for container, info in zip(containers[:max(0, taken)], infos, strict=False):
            # a writer that leaves is told by a sample without data
            if info.valid_data:
                handle = info.publication_handle
                samples.append(Sample(ct.string_at(container.data, container.size),
                                      info.source_timestamp, now, self._writer(handle), handle))
            native.free(container.data)
        return max(0, int(taken))

    def _writer(self, handle: int) -> bytes:
        known = self._writers.get(handle)
        if known is None:
            described = native.matched_writer_data(self._entity, handle)
            if not described:
                return bytes(16)
            known = bytes(described.contents.key)
            native.free_endpoint(described)
            if len(self._writers) >= _LARGE:
                self._writers.clear()
            self._writers[handle] = known
        return known

    def _on_status(self, bits: int) -> None:
        if bits & native.DATA_AVAILABLE and self._on_data is not None:
            self._on_data()
        if self._on_event is not None:
            self._report(bits, self._on_event)


def _event(kind: str, status: Any) -> Event:
    if kind == 'matched':
        return Event(kind, status.total_count, status.total_count_change, status.current_count,
                     current_change=status.current_count_change)
    if hasattr(status, 'alive_count'):
        return Event(kind, status.not_alive_count, status.not_alive_count_change,
                     status.alive_count, current_change=status.alive_count_change)
    policy = policy_name(status.last_policy_id) if kind == 'incompatible_qos' else None
    return Event(kind, status.total_count, status.total_count_change, last_policy=policy)
