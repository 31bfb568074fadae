# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Requests and replies over two topics, in Cyclone's convention for ROS 2.

Each sample begins with the client's 64-bit identity and the request's 64-bit number.
"""

from __future__ import annotations

import ctypes as ct
import itertools
import logging
import struct
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from instructsam_ros.embedded.dds import native
from instructsam_ros.embedded.dds.endpoint import Event, Sample
from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos, read_user_data
from instructsam_ros.embedded.interfaces import (
    dds_type_name,
    deserialize,
    serialize,
    type_hash,
)

_log = logging.getLogger(__name__)
_PREFIX = struct.Struct('<8sq')
_HEADER = 4
# For how long a reply waits for a client whose reply reader is not yet known here.
_PATIENCE = 5.0


@dataclass(frozen=True)
class RequestId:
    """Where a reply has to go: the client's identity, the request's number, its writer here."""

    client: bytes
    sequence: int
    writer_handle: int = 0


class _Endpoints:
    """A service's or client's writer and reader, and what their partners say of themselves."""

    def __init__(self, participant: Participant, name: str, srv_type: type[Any], qos: Qos,
                 is_server: bool, on_data: Callable[[], None],
                 on_match: Callable[[], None]) -> None:
        role = 'serviceid' if is_server else 'clientid'
        self.identity = '.'.join(f'{byte:x}' for byte in uuid.uuid4().bytes)
        request = f'rq{name}Request', srv_type.Request
        reply = f'rr{name}Reply', srv_type.Response
        outgoing, incoming = (reply, request) if is_server else (request, reply)
        self.incoming = incoming[1]
        self._partners: dict[int, dict[str, str]] = {}
        pairs = f'{role}={self.identity};'

        def matched(event: Event) -> None:
            if event.kind == 'matched':
                on_match()

        self.writer = participant.create_writer(
            outgoing[0], dds_type_name(outgoing[1]), type_hash(outgoing[1]), qos, matched,
            user_data=pairs)
        try:
            self.reader = participant.create_reader(
                incoming[0], dds_type_name(incoming[1]), type_hash(incoming[1]), qos, on_data,
                matched, user_data=pairs)
        except BaseException:
            self.writer.close()
            raise

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def readers(self) -> list[dict[str, str]]:
        """What the matched readers announce."""
        return self._matched(self.writer._entity, native.matched_readers,
                             native.matched_reader_data)

    def writers(self) -> list[dict[str, str]]:
        """What the matched writers announce."""
        return self._matched(self.reader._entity, native.matched_writers,
                             native.matched_writer_data)

    def writer_says(self, handle: int) -> dict[str, str] | None:
        """What one matched writer announces; None if it has left."""
        return self._describe(self.reader._entity, handle, native.matched_writer_data)

    def _matched(self, entity: int, find: Any, describe: Any) -> list[dict[str, str]]:
        handles = (ct.c_uint64 * 64)()
        count = find(entity, ct.byref(handles), len(handles))
        if count > len(handles):
            handles = (ct.c_uint64 * count)()
            count = find(entity, ct.byref(handles), len(handles))
        found = (self._describe(entity, handle, describe)
                 for handle in handles[:max(0, min(count, len(handles)))])
        return [said for said in found if said is not None]

    def _describe(self, entity: int, handle: int, describe: Any) -> dict[str, str] | None:
        if handle in self._partners:
            return self._partners[handle]
        described = describe(entity, handle)
        if not described:
            return None
        said = read_user_data(described.contents.qos)
        native.free_endpoint(described)
        if len(self._partners) > 4096:
            self._partners.clear()
        self._partners[handle] = said
        return said

    def parse(self, sample: Sample) -> tuple[bytes, int, Any] | None:
        """Split a sample into client, number and message; None, with a warning, if it is broken."""
        try:
            client, sequence = _PREFIX.unpack_from(sample.data, _HEADER)
            return client, sequence, deserialize(sample.data, self.incoming, _PREFIX.size)
        except (ValueError, struct.error) as error:
            _log.warning('DDS: dropped a sample on %s: %s', self.reader.topic, error)
            return None


class ServiceServer:
    """Takes requests and sends replies.

    Args:
        participant: The process's participant.
        service_name: The full name, such as '/camera/segment'.
        srv_type: The service class.
        qos: For both directions.
        on_request: Called in a DDS thread when there is something to take; must return at once.
            One call may stand for several requests.
    """

    def __init__(self, participant: Participant, service_name: str, srv_type: type[Any], qos: Qos,
                 on_request: Callable[[], None]) -> None:
        self._name = service_name
        self._lock = threading.Lock()
        # replies whose reader is not yet matched: (give up at, client's identity, data)
        self._waiting: list[tuple[float, str, bytes]] = []
        self._ends: _Endpoints | None = None
        self._ends = _Endpoints(participant, service_name, srv_type, qos, True, on_request,
                                self._on_match)
        self.reader_gid, self.writer_gid = self._ends.reader.gid, self._ends.writer.gid

    def take(self) -> tuple[Any, RequestId] | None:
        """Return the next request, or None if there is none."""
        ends = self._open()
        while samples := ends.reader.take():
            parsed = ends.parse(samples[0])
            if parsed is not None:
                client, sequence, request = parsed
                return request, RequestId(client, sequence, samples[0].writer_handle)
        return None

    def send(self, request_id: RequestId, response: Any) -> None:
        """Send a reply; dropped without a word if the client or this service has left."""
        ends = self._open()
        data = serialize(response, _PREFIX.pack(request_id.client, request_id.sequence))
        said = ends.writer_says(request_id.writer_handle)
        if said is None and request_id.writer_handle:
            return
        client = (said or {}).get('clientid', '')
        # a client of unknown identity cannot be waited for
        if not client or self._hears(client):
            ends.writer.write(data)
            return
        with self._lock:
            self._waiting.append((time.monotonic() + _PATIENCE, client, data))
        # it may have matched meanwhile
        self._send_waiting()

    def close(self) -> None:
        """Leave the network; later calls do nothing."""
        if self._ends is not None:
            self._ends.close()

    def _open(self) -> _Endpoints:
        if self._ends is None:
            raise native.DdsError(native.ALREADY_DELETED, f'serving {self._name}')
        return self._ends

    def _hears(self, client: str) -> bool:
        return any(said.get('clientid') == client for said in self._open().readers())

    def _on_match(self) -> None:
        if self._waiting:
            # writing may wait for a slow client, which a DDS thread must not
            threading.Thread(target=self._send_waiting, name='reply', daemon=True).start()

    def _send_waiting(self) -> None:
        ends = self._open()
        now = time.monotonic()
        with self._lock:
            waiting = self._waiting
            heard = {said.get('clientid') for said in ends.readers()} if waiting else set()
            self._waiting = [one for one in waiting if one[1] not in heard and now < one[0]]
        for until, client, data in waiting:
            if client in heard:
                ends.writer.write(data)
            elif now >= until:
                _log.warning('service %s: a reply was dropped: its client has no reader',
                             self._name)


class ServiceClient:
    """Sends requests and takes replies; the arguments are those of `ServiceServer`.

    ``on_match`` is called, in a DDS thread, when `server_available` may have changed.
    """

    def __init__(self, participant: Participant, service_name: str, srv_type: type[Any], qos: Qos,
                 on_response: Callable[[], None],
                 on_match: Callable[[], None] | None = None) -> None:
        self._numbers = itertools.count(1)
        self._ends = _Endpoints(participant, service_name, srv_type, qos, False, on_response,
                                on_match or participant.graph.notify)
        self.reader_gid, self.writer_gid = self._ends.reader.gid, self._ends.writer.gid
        self._identity = struct.pack('<Q', self._ends.writer.handle)

    def send(self, request: Any) -> int:
        """Send a request and return its number; lost if no server is available.

        Raises:
            DdsError: The client is closed.
        """
        sequence = next(self._numbers)
        self._ends.writer.write(serialize(request, _PREFIX.pack(self._identity, sequence)))
        return sequence

    def take(self) -> tuple[int, Any] | None:
        """Return the number and the message of the next reply to this client, or None."""
        while samples := self._ends.reader.take():
            # every client of a service hears all its replies
            if samples[0].data[_HEADER:_HEADER + 8] != self._identity:
                continue
            parsed = self._ends.parse(samples[0])
            if parsed is not None:
                return parsed[1], parsed[2]
        return None

    def server_available(self) -> bool:
        """Whether a server hears our requests and we hear its replies."""
        readers, writers = self._ends.readers(), self._ends.writers()
        servers = {said['serviceid'] for said in readers if 'serviceid' in said}
        if not servers:
            # servers that do not say who they are
            return bool(readers and writers)
        return any(said.get('serviceid') in servers for said in writers)

    def close(self) -> None:
        """Leave the network; later calls do nothing."""
        self._ends.close()
