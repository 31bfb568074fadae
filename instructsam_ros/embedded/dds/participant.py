# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""This process's presence in the network."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable
from typing import Any

from cyclonedds.core import DDSException
from cyclonedds.domain import DomainParticipant
from cyclonedds.qos import Policy
from cyclonedds.qos import Qos as CycloneQos
from cyclonedds.topic import Topic

from instructsam_ros.embedded.dds import native
from instructsam_ros.embedded.dds.dispatcher import Dispatcher
from instructsam_ros.embedded.dds.domain import (
    acquire_domain,
    check_domain,
    domain_from_environment,
    release_domain,
)
from instructsam_ros.embedded.dds.endpoint import Event, Reader, Writer
from instructsam_ros.embedded.dds.graph import DISCOVERY_MESSAGE, DISCOVERY_TOPIC, Graph
from instructsam_ros.embedded.dds.qos import Qos, native_qos
from instructsam_ros.embedded.dds.topic_type import topic_type
from instructsam_ros.embedded.interfaces import dds_type_name, message_class, type_hash

# ROS 2 security's name of a participant without security
_USER_DATA = b'enclave=/;'
_DISCOVERY_WRITER = Qos(durability='transient_local', depth=1)
_DISCOVERY_READER = Qos(durability='transient_local', history='keep_all')

_open: weakref.WeakSet[Participant] = weakref.WeakSet()


class Participant:
    """A member of a DDS domain, with writers, readers and the graph of the network.

    Args:
        domain_id: The domain; None means ROS_DOMAIN_ID, or else 0.
        on_graph_change: Called, mostly in a DDS thread, when nodes or endpoints come or go; must
            return at once.

    Raises:
        ValueError: The domain or a variable of the environment is wrong.
        DdsError: Cyclone DDS cannot start; most often there is no usable network interface.

    Attributes:
        gid: 16 bytes.
        domain_id: The domain's number.
        graph: The nodes, writers and readers in the network.
    """

    def __init__(self, domain_id: int | None = None,
                 on_graph_change: Callable[[], None] | None = None) -> None:
        self.domain_id = (domain_from_environment() if domain_id is None
                          else check_domain(domain_id))
        self._lock = threading.RLock()
        self._announcing = threading.Lock()
        self._topics: dict[tuple[str, str], Topic[Any]] = {}
        self._endpoints: set[Writer | Reader] = set()
        self._closed = False
        acquire_domain(self.domain_id)
        try:
            self._start(on_graph_change)
        except BaseException:
            release_domain(self.domain_id)
            raise
        _open.add(self)

    def _start(self, on_graph_change: Callable[[], None] | None) -> None:
        try:
            self._participant = DomainParticipant(
                self.domain_id, qos=CycloneQos(Policy.Userdata(_USER_DATA)))
        except DDSException as error:
            raise native.DdsError(
                error.code, f'joining DDS domain {self.domain_id} (is a network interface up?)'
            ) from error
        self._entity: int = self._participant._ref
        self.gid = native.guid(self._entity)
        self._dispatcher = Dispatcher(self._entity)
        self.graph = Graph(self._entity, self.gid, self._dispatcher, on_graph_change)
        info = message_class(DISCOVERY_MESSAGE)
        described = DISCOVERY_TOPIC, dds_type_name(info), type_hash(info)
        self._announcer = self.create_writer(*described, _DISCOVERY_WRITER)
        # the graph takes in what this reader has whenever anything changes
        reader = self._make_reader(*described, _DISCOVERY_READER,
                                   lambda: self.graph.refresh(), None, ignore_own=True)
        self.graph.follow(reader)

    def create_writer(self, topic: str, type_name: str, type_hash: str, qos: Qos,
                      on_event: Callable[[Event], None] | None = None, *,
                      user_data: str = '') -> Writer:
        """Make a writer.

        Args:
            topic: The DDS name, such as 'rt/camera/image'.
            type_name: The type on the wire, such as 'sensor_msgs::msg::dds_::Image_'.
            type_hash: Announced to others; may be empty.
            qos: What is offered.
            on_event: Called in a DDS thread; must return at once.
            user_data: More 'key=value;' pairs to announce.

        Raises:
            DdsError: The participant is closed, or Cyclone DDS refuses; says why.
        """
        with self._lock:
            made = self._topic(topic, type_name)
            with native_qos(qos, _user_data(user_data, type_hash)) as policies:
                entity = native.check(
                    native.create_writer(self._entity, made._ref, policies, None),
                    f'making a writer of {topic}')
            writer = Writer(entity, self._dispatcher, topic, qos, on_event, self._forget)
            self._endpoints.add(writer)
        return writer

    def create_reader(self, topic: str, type_name: str, type_hash: str, qos: Qos,
                      on_data: Callable[[], None] | None,
                      on_event: Callable[[Event], None] | None = None, *,
                      user_data: str = '') -> Reader:
        """Make a reader; ``on_data`` is called when there is something to take.

        One call may stand for several messages. The arguments are those of `create_writer`.
        """
        return self._make_reader(topic, type_name, type_hash, qos, on_data, on_event, user_data)

    def _make_reader(self, topic: str, type_name: str, type_hash: str, qos: Qos,
                     on_data: Callable[[], None] | None,
                     on_event: Callable[[Event], None] | None, user_data: str = '',
                     ignore_own: bool = False) -> Reader:
        with self._lock:
            made = self._topic(topic, type_name)
            with native_qos(qos, _user_data(user_data, type_hash), ignore_own) as policies:
                entity = native.check(
                    native.create_reader(self._entity, made._ref, policies, None),
                    f'making a reader of {topic}')
            reader = Reader(entity, self._dispatcher, topic, qos, on_data, on_event, self._forget)
            self._endpoints.add(reader)
        return reader

    def announce(self, node: str, namespace: str, readers: list[bytes],
                 writers: list[bytes]) -> None:
        """Tell the network of a node and its endpoints' gids; call again when they change."""
        self.graph.set_own(node, namespace, readers, writers)
        self._publish()

    def withdraw(self, node: str, namespace: str) -> None:
        """Tell the network that a node is gone."""
        self.graph.remove_own(node, namespace)
        self._publish()

    def close(self) -> None:
        """Leave the network and close all endpoints; later calls do nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            endpoints = list(self._endpoints)
        _open.discard(self)
        self.graph.close()
        self._dispatcher.close()
        for endpoint in endpoints:
            endpoint.close()
        native.delete(self._entity)
        self._topics.clear()
        release_domain(self.domain_id)

    def _publish(self) -> None:
        # one after the other, so that the newest announcement is the last one
        with self._announcing:
            if not self._closed:
                self._announcer.write(self.graph.announcement())

    def _topic(self, topic: str, type_name: str) -> Topic[Any]:
        if self._closed:
            raise native.DdsError(native.ALREADY_DELETED, f'using {topic}')
        key = topic, type_name
        if key not in self._topics:
            try:
                self._topics[key] = Topic(self._participant, topic, topic_type(type_name))
            except DDSException as error:
                raise native.DdsError(error.code, f'making the topic {topic} of type '
                                                  f'{type_name}') from error
        return self._topics[key]

    def _forget(self, endpoint: Writer | Reader) -> None:
        with self._lock:
            self._endpoints.discard(endpoint)


def _user_data(pairs: str, type_hash: str) -> bytes:
    return (pairs + (f'typehash={type_hash};' if type_hash else '')).encode()


@atexit.register
def _close_all() -> None:
    """Leave the network before Python itself ends, while its threads can still be waited for."""
    for participant in list(_open):
        participant.close()
