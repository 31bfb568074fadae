# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Who is in the network: nodes, writers and readers, the process's own ones included."""

from __future__ import annotations

import ctypes as ct
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from instructsam_ros.embedded.dds import native
from instructsam_ros.embedded.dds.dispatcher import Dispatcher
from instructsam_ros.embedded.dds.qos import Qos, read_qos, read_user_data
from instructsam_ros.embedded.interfaces import deserialize, message_class, serialize

_log = logging.getLogger(__name__)
# what rmw reports for endpoints that no node has announced
UNKNOWN_NODE = ('_NODE_NAME_UNKNOWN_', '_NODE_NAMESPACE_UNKNOWN_')
DISCOVERY_TOPIC = 'ros_discovery_info'
DISCOVERY_MESSAGE = 'rmw_dds_common/msg/ParticipantEntitiesInfo'
_ALIVE = 16
_AT_ONCE = 32


@dataclass(frozen=True)
class EndpointInfo:
    """A writer or a reader in the network.

    Attributes:
        topic: The DDS name, such as 'rt/camera/image'.
        type_name: The type on the wire, such as 'sensor_msgs::msg::dds_::Image_'.
        gid: 16 bytes.
        node_name, node_namespace: Its node; `UNKNOWN_NODE` while nobody announced it.
        qos: What it offers or requests; the history of remote endpoints is not announced.
        type_hash: 'RIHS01_…', empty where the endpoint does not say.
        participant_gid: 16 bytes.
        user_data: The 'key=value' pairs that it announces.
    """

    topic: str
    type_name: str
    gid: bytes
    node_name: str
    node_namespace: str
    qos: Qos
    type_hash: str
    participant_gid: bytes = bytes(16)
    user_data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Node:
    name: str
    namespace: str
    readers: frozenset[bytes]
    writers: frozenset[bytes]


class Graph:
    """What discovery knows at this moment; made by `Participant`, safe to use in any thread."""

    def __init__(self, participant: int, gid: bytes, dispatcher: Dispatcher,
                 on_change: Callable[[], None] | None) -> None:
        self._gid = gid
        self._on_change = on_change
        self._lock = threading.RLock()
        self._writers: dict[bytes, EndpointInfo] = {}
        self._readers: dict[bytes, EndpointInfo] = {}
        self._participants: set[bytes] = set()
        self._nodes: dict[bytes, list[_Node]] = {gid: []}
        self._owners: dict[bytes, tuple[str, str]] = {}
        self._discovery: Any = None
        self._sources: list[tuple[int, Any, Callable[[Any, bool], bool]]] = []
        for topic, structure, update in (
                (native.PARTICIPANT_TOPIC, native.ParticipantData, self._participant),
                (native.WRITER_TOPIC, native.Endpoint, self._update_for(self._writers)),
                (native.READER_TOPIC, native.Endpoint, self._update_for(self._readers))):
            reader = native.check(native.create_reader(participant, topic, None, None),
                                  'following discovery')
            self._sources.append((reader, ct.POINTER(structure), update))
        for reader, _, _ in self._sources:
            dispatcher.watch(reader, native.DATA_AVAILABLE, lambda _: self.refresh())

    def follow(self, discovery: Any) -> None:
        """Set the reader of the nodes' announcements."""
        self._discovery = discovery

    def nodes(self) -> list[tuple[str, str]]:
        """Return the names and namespaces of all nodes, sorted."""
        self.refresh()
        with self._lock:
            return sorted((node.name, node.namespace)
                          for nodes in self._nodes.values() for node in nodes)

    def writers(self, topic: str | None = None) -> list[EndpointInfo]:
        """Return the writers of a topic (its DDS name), or all."""
        return self._listed(self._writers, topic)

    def readers(self, topic: str | None = None) -> list[EndpointInfo]:
        """Return the readers of a topic (its DDS name), or all."""
        return self._listed(self._readers, topic)

    def set_own(self, node: str, namespace: str, readers: Iterable[bytes],
                writers: Iterable[bytes]) -> None:
        """Add one of this process's nodes, or replace what is known of it."""
        with self._lock:
            self._remove_own(node, namespace)
            self._nodes[self._gid].append(
                _Node(node, namespace, frozenset(readers), frozenset(writers)))
            self._find_owners()
        self.notify()

    def remove_own(self, node: str, namespace: str) -> None:
        """Remove one of this process's nodes."""
        with self._lock:
            self._remove_own(node, namespace)
            self._find_owners()
        self.notify()

    def announcement(self) -> bytes:
        """Return the serialized message that tells others of this process's nodes."""
        names = 'NodeEntitiesInfo', 'ParticipantEntitiesInfo', 'Gid'
        entities, whole, gid = (message_class(f'rmw_dds_common/msg/{name}') for name in names)
        with self._lock:
            own = list(self._nodes[self._gid])
        return serialize(whole(gid=gid(data=list(self._gid)), node_entities_info_seq=[
            entities(node_namespace=node.namespace, node_name=node.name,
                     reader_gid_seq=[gid(data=list(one))
                                     for one in sorted(node.readers)],
                     writer_gid_seq=[gid(data=list(one))
                                     for one in sorted(node.writers)])
            for node in own]))

    def refresh(self) -> None:
        """Take in what discovery has received; calls `on_change` if there was anything."""
        with self._lock:
            # taken before the participants: a participant is known before what it announces, so
            # that one which is unknown afterwards has left
            announced = self._announcements()
            changed = False
            for reader, pointer, update in self._sources:
                changed |= self._drain(reader, pointer, update)
            for gid, nodes in announced.items():
                if gid in self._participants and gid != self._gid:
                    self._nodes[gid] = nodes
                    changed = True
            if changed:
                self._find_owners()
        if changed:
            self.notify()

    def close(self) -> None:
        """Follow discovery no longer."""
        with self._lock:
            self._sources.clear()
            self._discovery = None
            self._on_change = None

    def notify(self) -> None:
        """Call `on_change`."""
        on_change = self._on_change
        if on_change is not None:
            on_change()

    def _listed(self, found: dict[bytes, EndpointInfo], topic: str | None) -> list[EndpointInfo]:
        self.refresh()
        with self._lock:
            chosen = [info for info in found.values() if topic is None or info.topic == topic]
            owned = [(info, self._owners.get(info.gid, UNKNOWN_NODE)) for info in chosen]
        return [replace(info, node_name=node[0], node_namespace=node[1]) for info, node in owned]

    def _remove_own(self, node: str, namespace: str) -> None:
        own = self._nodes[self._gid]
        own[:] = [one for one in own if (one.name, one.namespace) != (node, namespace)]

    def _find_owners(self) -> None:
        self._owners = {gid: (node.name, node.namespace)
                        for nodes in self._nodes.values() for node in nodes
                        for gid in node.readers | node.writers}

    def _drain(self, reader: int, pointer: Any, update: Callable[[Any, bool], bool]) -> bool:
        """Take all that a discovery topic holds; the samples are lent by Cyclone."""
        changed = False
        while True:
            lent = (ct.c_void_p * _AT_ONCE)()
            infos = (native.SampleInfo * _AT_ONCE)()
            taken = native.take(reader, ct.byref(lent), ct.byref(infos), _AT_ONCE, _AT_ONCE)
            if taken <= 0:
                return changed
            for address, info in zip(lent, infos[:taken], strict=False):
                alive = bool(info.valid_data) and info.instance_state == _ALIVE
                changed |= update(ct.cast(address or 0, pointer).contents, alive)
            native.return_loan(reader, ct.byref(lent), taken)

    def _participant(self, described: Any, alive: bool) -> bool:
        """A participant that leaves takes its nodes with it."""
        gid = bytes(described.key)
        if alive:
            self._participants.add(gid)
            return False
        self._participants.discard(gid)
        return gid != self._gid and self._nodes.pop(gid, None) is not None

    @staticmethod
    def _update_for(known: dict[bytes, EndpointInfo]) -> Callable[[Any, bool], bool]:
        def update(described: Any, alive: bool) -> bool:
            gid = bytes(described.key)
            if not alive:
                return known.pop(gid, None) is not None
            topic = described.topic.decode('utf-8', 'replace')
            # our own readers of discovery, which are no part of what they discover
            if topic.startswith('DCPS'):
                return False
            user_data = read_user_data(described.qos)
            known[gid] = EndpointInfo(
                topic,
                described.type_name.decode('utf-8', 'replace'), gid, *UNKNOWN_NODE,
                read_qos(described.qos), user_data.get('typehash', ''),
                bytes(described.participant_key), user_data)
            return True

        return update

    def _announcements(self) -> dict[bytes, list[_Node]]:
        """Take the nodes that other participants have announced, by the participants' gids."""
        announced: dict[bytes, list[_Node]] = {}
        if self._discovery is None:
            return announced
        cls = message_class(DISCOVERY_MESSAGE)
        while samples := self._discovery.take(_AT_ONCE):
            for sample in samples:
                try:
                    message = deserialize(sample.data, cls)
                except ValueError as error:
                    # ROS 2 Humble and older have longer gids
                    _log.debug('DDS: an announcement of nodes is not understood: %s', error)
                    continue
                announced[message.gid.data.tobytes()] = [
                    _Node(node.node_name, node.node_namespace,
                          frozenset(one.data.tobytes() for one in node.reader_gid_seq),
                          frozenset(one.data.tobytes() for one in node.writer_gid_seq))
                    for node in message.node_entities_info_seq]
        return announced
