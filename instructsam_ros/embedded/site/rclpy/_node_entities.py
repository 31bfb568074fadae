# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a node that holds what it made, for its executor and for the network."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from rclpy.client import Client
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor
from rclpy.guard_condition import GuardCondition
from rclpy.publisher import Publisher
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Rate, Timer
from rclpy.waitable import Waitable

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.node import Node

    from instructsam_ros.embedded.dds.participant import Participant
    from instructsam_ros.embedded.dds.services import ServiceClient, ServiceServer

_E = TypeVar('_E')


class NodeEntities:
    """Publishers, subscriptions, clients, services, timers; the base of `Node`."""

    _context: Context
    _participant: Participant
    _name: str
    _namespace: str

    def _init_entities(self) -> None:
        self._publishers: list[Publisher] = []
        self._subscriptions: list[Subscription] = []
        self._clients: list[Client] = []
        self._services: list[Service] = []
        self._timers: list[Timer] = []
        self._guards: list[GuardCondition] = []
        self._waitables: list[Waitable] = []
        self._executor: weakref.ref[Executor] | None = None
        self._entities_lock = threading.RLock()
        # while the node is made, it is announced once, at the end
        self._announced = False

    @property
    def publishers(self) -> Iterator[Publisher]:
        """The node's publishers."""
        yield from self._publishers

    @property
    def subscriptions(self) -> Iterator[Subscription]:
        """The node's subscriptions."""
        yield from self._subscriptions

    @property
    def clients(self) -> Iterator[Client]:
        """The node's clients."""
        yield from self._clients

    @property
    def services(self) -> Iterator[Service]:
        """The node's services."""
        yield from self._services

    @property
    def timers(self) -> Iterator[Timer]:
        """The node's timers."""
        yield from self._timers

    @property
    def guards(self) -> Iterator[GuardCondition]:
        """The node's guard conditions."""
        yield from self._guards

    @property
    def waitables(self) -> Iterator[Waitable]:
        """The node's waitables: the handlers of events."""
        yield from self._waitables

    @property
    def executor(self) -> Executor | None:
        """The executor that the node was added to."""
        return None if self._executor is None else self._executor()

    @executor.setter
    def executor(self, new_executor: Executor | None) -> None:
        if TYPE_CHECKING:
            assert isinstance(self, Node)
        present = self.executor
        if present is new_executor:
            return
        if present is not None:
            present.remove_node(self)
        if new_executor is None:
            self._executor = None
        else:
            new_executor.add_node(self)
            self._executor = weakref.ref(new_executor)

    def add_waitable(self, waitable: Waitable) -> None:
        """Add a handler of events; other waitables are not implemented."""
        if type(waitable)._take is Waitable._take:
            raise NotImplementedError('Node.add_waitable: only event handlers are waitables here')
        waitable._notify = self._wake_executor
        self._waitables.append(waitable)
        self._wake_executor()

    def remove_waitable(self, waitable: Waitable) -> None:
        """Remove a handler of events; ValueError if it was not added."""
        self._waitables.remove(waitable)
        self._wake_executor()

    def destroy_publisher(self, publisher: Publisher) -> bool:
        """Destroy a publisher of this node; False if it is none."""
        return self._remove(self._publishers, publisher)

    def destroy_subscription(self, subscription: Subscription) -> bool:
        """Destroy a subscription of this node; False if it is none."""
        return self._remove(self._subscriptions, subscription)

    def destroy_client(self, client: Client) -> bool:
        """Destroy a client of this node; False if it is none."""
        return self._remove(self._clients, client)

    def destroy_service(self, service: Service) -> bool:
        """Destroy a service of this node; False if it is none."""
        return self._remove(self._services, service)

    def destroy_timer(self, timer: Timer) -> bool:
        """Destroy a timer of this node; False if it is none."""
        return self._remove(self._timers, timer, announce=False)

    def destroy_guard_condition(self, guard: GuardCondition) -> bool:
        """Destroy a guard condition of this node; False if it is none."""
        return self._remove(self._guards, guard, announce=False)

    def destroy_rate(self, rate: Rate) -> bool:
        """Destroy a rate of this node; False if it is none."""
        done = self.destroy_timer(rate._timer)
        rate.destroy()
        return done

    def _add(self, made: list[_E], entity: _E, *, announce: bool = True) -> _E:
        handlers = getattr(entity, 'event_handlers', ())
        for one in (entity, *handlers):
            one._notify = self._wake_executor
        with self._entities_lock:
            made.append(entity)
            self._waitables.extend(handlers)
        if announce:
            self._announce()
        self._wake_executor()
        return entity

    def _remove(self, made: list[_E], entity: _E, *, announce: bool = True) -> bool:
        with self._entities_lock:
            if entity not in made:
                return False
            made.remove(entity)
            handlers = getattr(entity, 'event_handlers', ())
            self._waitables = [one for one in self._waitables if one not in handlers]
        try:
            entity.destroy()  # type: ignore[attr-defined]
        except InvalidHandle:
            return False
        if announce:
            self._announce()
        self._wake_executor()
        return True

    def _entities(self) -> list[Any]:
        """All that an executor can have ready, in the order in which it gets its turn."""
        with self._entities_lock:
            return [*self._timers, *self._subscriptions, *self._guards, *self._clients,
                    *self._services, *self._waitables]

    def _wake_executor(self) -> None:
        executor = self.executor
        if executor is not None:
            executor.wake()

    def _gids(self) -> tuple[list[bytes], list[bytes]]:
        """The identities of all readers and of all writers."""
        with self._entities_lock:
            ends: list[ServiceServer | ServiceClient] = [
                *(one._server for one in self._services if one._server is not None),
                *(one._client for one in self._clients if one._client is not None)]
            writers = [one._end.writer.gid for one in self._publishers if one._end is not None]
            readers = [one._end.reader.gid for one in self._subscriptions if one._end is not None]
        return ([*readers, *(end.reader_gid for end in ends)],
                [*writers, *(end.writer_gid for end in ends)])

    def _announce(self) -> None:
        """Tell the network what belongs to this node."""
        if not self._announced or not self._context.ok():
            return
        # nodes of one name in one process are one to the network
        readers: list[bytes] = []
        writers: list[bytes] = []
        for node in self._namesakes():
            own = node._gids()
            readers += own[0]
            writers += own[1]
        self._participant.announce(self._name, self._namespace, readers, writers)

    def _withdraw(self) -> None:
        """Tell the network that this node is gone."""
        self._announced = False
        self._context._nodes.discard(self)
        if not self._context.ok():
            return
        others = self._namesakes()
        if others:
            others[0]._announce()
        else:
            self._participant.withdraw(self._name, self._namespace)

    def _namesakes(self) -> list[NodeEntities]:
        """All announced nodes of this name in this process."""
        return [node for node in list(self._context._nodes)
                if node._announced and (node._name, node._namespace) == (
                    self._name, self._namespace)]
