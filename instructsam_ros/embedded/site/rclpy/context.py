# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Between init and shutdown: arguments, the participant on the network, shutdown callbacks."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from inspect import ismethod
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from rclpy._arguments import RosArguments, parse_arguments
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError

if TYPE_CHECKING:
    from rclpy._node_entities import NodeEntities

    from instructsam_ros.embedded.dds.participant import Participant


class Context:
    """One initialization of the client library; usually there is one, the default context."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[], Callable[[], Any] | None]] = []
        self._initialized = False
        self._valid = False
        self._arguments = RosArguments()
        self._domain_id: int | None = None
        self._participant: Participant | None = None
        # woken when the context ends, also by a signal, which calls no shutdown callbacks
        self._wakers: list[Callable[[], Callable[[], Any] | None]] = []
        self._graph_changed = threading.Condition()
        self._nodes: weakref.WeakSet[NodeEntities] = weakref.WeakSet()

    def init(self, args: list[str] | None = None, *, initialize_logging: bool = True,
             domain_id: int | None = None) -> None:
        """Initialize with command line arguments (default `sys.argv`).

        Raises:
            RuntimeError: Initialized before, a negative domain id, or bad ROS arguments.
        """
        with self._lock:
            if domain_id is not None and domain_id < 0:
                raise RuntimeError(f'a domain id must not be negative: {domain_id}')
            if self._initialized:
                raise RuntimeError('Context.init() may be called once only')
            arguments = parse_arguments(sys.argv if args is None else args)
            if arguments.unknown:
                raise UnknownROSArgsError(f'unknown ROS arguments: {arguments.unknown}')
            self._arguments = arguments
            self._domain_id = domain_id
            self._initialized = self._valid = True
            _living.add(self)
            if initialize_logging:
                from rclpy._log_output import configure

                configure(arguments)

    def ok(self) -> bool:
        """Whether it is initialized and not shut down."""
        return self._valid

    def destroy(self) -> None:
        """Leave the network."""
        self._close()

    def shutdown(self) -> None:
        """Shut down: callbacks are called, and the participant leaves the network.

        Raises:
            RuntimeError: Never initialized, or (RCLError) shut down before.
        """
        if not self._initialized:
            raise RuntimeError('a Context must be initialized before it can be shut down')
        if not self._invalidate():
            raise RCLError('the context was shut down before')
        self._finish()

    def try_shutdown(self) -> None:
        """Shut down unless that has happened already."""
        if self._invalidate():
            self._finish()
        else:
            self._close()

    def on_shutdown(self, callback: Callable[[], Any]) -> None:
        """Have a callback called at shutdown, at once if that is past; methods are held weakly."""
        if not callable(callback):
            raise TypeError(f'a callback is needed, not {type(callback)}')
        with self._lock:
            if self._valid or not self._initialized:
                self._callbacks.append(WeakMethod(callback) if ismethod(callback)
                                       else lambda: callback)
                return
        callback()

    def get_domain_id(self) -> int:
        """Return the number of the domain on the network."""
        if not self._initialized:
            raise RuntimeError('a Context must be initialized before it has a domain id')
        if self._domain_id is not None:
            return self._domain_id
        from instructsam_ros.embedded.dds.domain import domain_from_environment

        return domain_from_environment()

    def __enter__(self) -> Context:
        self.init()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.try_shutdown()

    def _invalidate(self) -> bool:
        """Become invalid and wake all who wait; True the first time."""
        with self._lock:
            if not self._valid:
                return False
            self._valid = False
            wakers = list(self._wakers)
        for reference in wakers:
            wake = reference()
            if wake is not None:
                wake()
        self._on_graph_change()
        return True

    def _finish(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for reference in callbacks:
            callback = reference()
            if callback is not None:
                callback()
        self._close()

    def _close(self) -> None:
        with self._lock:
            participant, self._participant = self._participant, None
        if participant is not None:
            participant.close()

    def _add_waker(self, wake: Callable[[], Any]) -> None:
        """Have a method, held weakly, called when the context becomes invalid."""
        with self._lock:
            self._wakers.append(WeakMethod(wake))

    def _remove_waker(self, wake: Callable[[], Any]) -> None:
        with self._lock:
            self._wakers = [reference for reference in self._wakers
                            if reference() not in (None, wake)]

    def _get_participant(self) -> Participant:
        """Return the participant on the network, made for the first node."""
        from instructsam_ros.embedded.dds.participant import Participant

        with self._lock:
            if not self._valid:
                raise RCLError('the context is not initialized or shut down')
            if self._participant is None:
                self._participant = Participant(self._domain_id,
                                                on_graph_change=self._on_graph_change)
            return self._participant

    def _on_graph_change(self) -> None:
        with self._graph_changed:
            self._graph_changed.notify_all()

    def _graph_changes(self, timeout: float | None) -> Iterator[None]:
        """Yield at once, then after each change on the network, until time or context end."""
        from time import monotonic

        end = None if timeout is None else monotonic() + timeout
        yield
        while self._valid:
            left = None if end is None else end - monotonic()
            if left is not None and left <= 0:
                return
            with self._graph_changed:
                # endpoints match a little after they are seen, without a further change
                self._graph_changed.wait(0.02 if left is None else min(left, 0.02))
            yield


_living: weakref.WeakSet[Context] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Leave the network before Python is taken apart."""
    for context in list(_living):
        context._invalidate()
        with contextlib.suppress(Exception):
            context._close()
