# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a node that asks who else is on the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rclpy._qos_matching import from_wire
from rclpy._rclpy_pybind11 import NodeNameNonExistentError
from rclpy.expand_topic_name import expand_topic_name
from rclpy.topic_endpoint_info import TopicEndpointInfo, TopicEndpointTypeEnum
from rclpy.type_hash import TypeHash
from rclpy.validate_full_topic_name import validate_full_topic_name

from instructsam_ros.embedded.interfaces import ros_type_name

if TYPE_CHECKING:
    from rclpy.context import Context

    from instructsam_ros.embedded.dds.graph import EndpointInfo, Graph

NamesAndTypes = list[tuple[str, list[str]]]


class NodeGraph:
    """Names, types and counts of what is on the network; the base of `Node`."""

    _context: Context

    if TYPE_CHECKING:
        def get_name(self) -> str:
            """Return the node's name."""

        def get_namespace(self) -> str:
            """Return the node's namespace."""

        def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
            """Return a topic's full name."""

    @property
    def _graph(self) -> Graph:
        return self._context._get_participant().graph

    def get_publisher_names_and_types_by_node(self, node_name: str, node_namespace: str,
                                              no_demangle: bool = False) -> NamesAndTypes:
        """Return the topics and types that a node publishes.

        Raises:
            NodeNameNonExistentError: No such node is known.
        """
        return _topics(self._of_node(self._graph.writers(None), node_name, node_namespace),
                       no_demangle)

    def get_subscriber_names_and_types_by_node(self, node_name: str, node_namespace: str,
                                               no_demangle: bool = False) -> NamesAndTypes:
        """Return the topics and types that a node subscribes to.

        Raises:
            NodeNameNonExistentError: No such node is known.
        """
        return _topics(self._of_node(self._graph.readers(None), node_name, node_namespace),
                       no_demangle)

    def get_service_names_and_types_by_node(self, node_name: str,
                                            node_namespace: str) -> NamesAndTypes:
        """Return the services and types that a node serves.

        Raises:
            NodeNameNonExistentError: No such node is known.
        """
        return _services(
            self._of_node(self._graph.readers(None), node_name, node_namespace), 'rq')

    def get_client_names_and_types_by_node(self, node_name: str,
                                           node_namespace: str) -> NamesAndTypes:
        """Return the services and types that a node has clients of.

        Raises:
            NodeNameNonExistentError: No such node is known.
        """
        return _services(
            self._of_node(self._graph.readers(None), node_name, node_namespace), 'rr')

    def get_topic_names_and_types(self, no_demangle: bool = False) -> NamesAndTypes:
        """Return all topics and their types; `no_demangle` for names as on the wire."""
        graph = self._graph
        return _topics([*graph.writers(None), *graph.readers(None)], no_demangle)

    def get_service_names_and_types(self) -> NamesAndTypes:
        """Return all services and their types."""
        return _services(self._graph.readers(None), 'rq')

    def get_node_names(self) -> list[str]:
        """Return the names of all nodes, without namespaces."""
        return [name for name, _ in self.get_node_names_and_namespaces()]

    def get_fully_qualified_node_names(self) -> list[str]:
        """Return the full names of all nodes."""
        return [f'{namespace.rstrip("/")}/{name}'
                for name, namespace in self.get_node_names_and_namespaces()]

    def get_node_names_and_namespaces(self) -> list[tuple[str, str]]:
        """Return the name and namespace of all nodes."""
        return [(name, namespace) for name, namespace in self._graph.nodes()]

    def get_node_names_and_namespaces_with_enclaves(self) -> list[tuple[str, str, str]]:
        """Return the name, namespace and security enclave of all nodes."""
        raise NotImplementedError('Node.get_node_names_and_namespaces_with_enclaves')

    def get_fully_qualified_name(self) -> str:
        """Return this node's full name."""
        return f'{self.get_namespace().rstrip("/")}/{self.get_name()}'

    def count_publishers(self, topic_name: str) -> int:
        """Return the number of publishers of a topic, whose name is expanded, not remapped."""
        return len(self._graph.writers(f'rt{self._full(topic_name)}'))

    def count_subscribers(self, topic_name: str) -> int:
        """Return the number of subscriptions of a topic, whose name is expanded, not remapped."""
        return len(self._graph.readers(f'rt{self._full(topic_name)}'))

    def count_clients(self, service_name: str) -> int:
        """Return the number of clients of a service, whose name is expanded, not remapped."""
        return len(self._graph.readers(f'rr{self._full(service_name, is_service=True)}Reply'))

    def count_services(self, service_name: str) -> int:
        """Return the number of servers of a service, whose name is expanded, not remapped."""
        return len(self._graph.readers(f'rq{self._full(service_name, is_service=True)}Request'))

    def get_publishers_info_by_topic(self, topic_name: str,
                                     no_mangle: bool = False) -> list[TopicEndpointInfo]:
        """Return what is known of a topic's publishers; `no_mangle` for a name on the wire."""
        return self._infos(topic_name, no_mangle, self._graph.writers,
                           TopicEndpointTypeEnum.PUBLISHER)

    def get_subscriptions_info_by_topic(self, topic_name: str,
                                        no_mangle: bool = False) -> list[TopicEndpointInfo]:
        """Return what is known of a topic's subscriptions; `no_mangle` for a name on the wire."""
        return self._infos(topic_name, no_mangle, self._graph.readers,
                           TopicEndpointTypeEnum.SUBSCRIPTION)

    def wait_for_node(self, fully_qualified_node_name: str, timeout: float) -> bool:
        """Wait until a node is there; False after the timeout in seconds."""
        name = '/' + fully_qualified_node_name.lstrip('/')
        end = time.monotonic() + timeout
        for _ in self._context._graph_changes(timeout):
            if name in self.get_fully_qualified_node_names():
                return True
            if time.monotonic() >= end:
                break
        return False

    def _full(self, name: str, *, is_service: bool = False) -> str:
        full = expand_topic_name(name, self.get_name(), self.get_namespace())
        validate_full_topic_name(full, is_service=is_service)
        return full

    def _of_node(self, infos: Iterable[EndpointInfo], name: str,
                 namespace: str) -> list[EndpointInfo]:
        if (name, namespace) not in self.get_node_names_and_namespaces():
            raise NodeNameNonExistentError(f'no node {name!r} in namespace {namespace!r}')
        return [info for info in infos
                if (info.node_name, info.node_namespace) == (name, namespace)]

    def _infos(self, name: str, no_mangle: bool,
               find: Callable[[str | None], list[EndpointInfo]],
               kind: TopicEndpointTypeEnum) -> list[TopicEndpointInfo]:
        topic = name if no_mangle else f'rt{self.resolve_topic_name(self._full(name))}'
        return [TopicEndpointInfo(
            node_name=info.node_name, node_namespace=info.node_namespace,
            topic_type=ros_type_name(info.type_name),
            topic_type_hash=TypeHash._from_text(info.type_hash), endpoint_type=kind,
            endpoint_gid=list(info.gid), qos_profile=from_wire(info.qos))
            for info in find(topic)]


def _topics(infos: Iterable[EndpointInfo], no_demangle: bool) -> NamesAndTypes:
    found: dict[str, set[str]] = {}
    for info in infos:
        if no_demangle:
            found.setdefault(info.topic, set()).add(info.type_name)
        elif info.topic.startswith('rt/'):
            found.setdefault(info.topic[2:], set()).add(ros_type_name(info.type_name))
    return [(name, sorted(types)) for name, types in sorted(found.items())]


def _services(infos: Iterable[EndpointInfo], prefix: str) -> NamesAndTypes:
    """Services by the topics that servers ('rq') or clients ('rr') read."""
    ending, half = ('Request', '_Request') if prefix == 'rq' else ('Reply', '_Response')
    found: dict[str, set[str]] = {}
    for info in infos:
        if info.topic.startswith(f'{prefix}/') and info.topic.endswith(ending):
            name = info.topic[2:-len(ending)]
            found.setdefault(name, set()).add(ros_type_name(info.type_name).removesuffix(half))
    return [(name, sorted(types)) for name, types in sorted(found.items())]
