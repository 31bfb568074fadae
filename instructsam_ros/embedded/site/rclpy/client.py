# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Service clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.exceptions import ROSInterruptException
from rclpy.qos import QoSProfile
from rclpy.task import Future

from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.dds.services import ServiceClient


class Client:
    """Sends requests; make it by `Node.create_client`.

    Attributes:
        srv_type: The class of the service.
        srv_name: The name as given; `service_name` is the full one.
        qos_profile: Of requests and replies.
    """

    def __init__(self, context: Context,
                 client_impl: Callable[[Callable[[], None]], ServiceClient], srv_type: Any,
                 srv_name: str, qos_profile: QoSProfile, callback_group: CallbackGroup,
                 service_name: str = '') -> None:
        self.context = context
        self.srv_type = srv_type
        self.srv_name = srv_name
        self.qos_profile = qos_profile
        self.callback_group = callback_group
        self._service_name = service_name
        self._pending_requests: dict[int, Future] = {}
        self._lock = threading.Lock()
        self._executor_event = False
        self._notify: Callable[[], None] = lambda: None
        self._has_data = False
        self._client: ServiceClient | None = client_impl(self._on_response)

    def call(self, request: Any, timeout_sec: float | None = None) -> Any:
        """Send a request and wait for the reply, which an executor in another thread takes.

        In a callback of the same thread it waits for ever.

        Returns:
            The response, or None after the timeout.

        Raises:
            TypeError: Not the service's request type.
            ROSInterruptException: The context was shut down meanwhile.
        """
        answered = threading.Event()
        future = self.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        self.context._add_waker(answered.set)
        try:
            if not future.done() and not answered.wait(timeout_sec):
                self.remove_pending_request(future)
        finally:
            self.context._remove_waker(answered.set)
        if not future.done() and not self.context.ok():
            raise ROSInterruptException()
        error = future.exception()
        if error is not None:
            raise error
        return future.result()

    def call_async(self, request: Any) -> Future:
        """Send a request; the future gets the response.

        Raises:
            TypeError: Not the service's request type.
            RCLError: The context was shut down.
            InvalidHandle: The client was destroyed.
        """
        if not isinstance(request, self.srv_type.Request):
            raise TypeError(f'{self.srv_name}: {self.srv_type.Request} is expected, not '
                            f'{type(request)}')
        client = self._opened()
        future = Future()
        # the reply may come before the number is known here
        with self._lock:
            try:
                sequence = client.send(request)
            except DdsError as error:
                raise RCLError(f'calling {self._service_name} failed: {error}') from error
            self._pending_requests[sequence] = future
            future.add_done_callback(self.remove_pending_request)
        return future

    def get_pending_request(self, sequence_number: int) -> Future:
        """Return the future of a request; KeyError if none is pending."""
        with self._lock:
            return self._pending_requests[sequence_number]

    def remove_pending_request(self, future: Future) -> None:
        """Forget a request: its reply will be ignored."""
        with self._lock:
            for sequence, pending in self._pending_requests.items():
                if pending is future:
                    del self._pending_requests[sequence]
                    return

    def service_is_ready(self) -> bool:
        """Whether a server is there."""
        return self._opened().server_available()

    def wait_for_service(self, timeout_sec: float | None = None) -> bool:
        """Wait until a server is there; False after the timeout."""
        for _ in self.context._graph_changes(timeout_sec):
            if self.service_is_ready():
                return True
        return self.service_is_ready()

    @property
    def service_name(self) -> str:
        """The full name of the service, remapped."""
        self._opened()
        return self._service_name

    def configure_introspection(self, clock: Any, service_event_qos_profile: Any,
                                introspection_state: Any) -> None:
        """Not implemented."""
        raise NotImplementedError('Client.configure_introspection')

    def destroy(self) -> None:
        """Destroy; use `Node.destroy_client`."""
        client = self._opened()
        self._client = None
        self._has_data = False
        client.close()

    def _on_response(self) -> None:
        self._has_data = True
        self._notify()

    def _is_ready(self) -> bool:
        return self._has_data

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        client = self._client
        if client is None:
            return None
        # before taking: what comes meanwhile must not be overlooked
        self._has_data = False
        taken = client.take()
        if taken is None:
            return None
        self._has_data = self._client is not None
        sequence, response = taken
        with self._lock:
            future = self._pending_requests.pop(sequence, None)
        if future is None:
            # cancelled, or given up after a timeout
            return None
        future._set_executor(executor)
        return lambda: future.set_result(response)

    def _opened(self) -> ServiceClient:
        if self._client is None:
            raise InvalidHandle(f'the client of {self.srv_name} was destroyed')
        return self._client
