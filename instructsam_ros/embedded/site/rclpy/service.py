# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Service servers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rclpy._rclpy_pybind11 import InvalidHandle, RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.qos import QoSProfile

from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.dds.services import RequestId, ServiceServer


class Service:
    """Answers requests; make it by `Node.create_service`.

    Attributes:
        srv_type: The class of the service.
        srv_name: The name as given; `service_name` is the full one.
        callback: Called with the request and a new response, which it fills and returns.
        qos_profile: Of requests and replies.
    """

    def __init__(self, service_impl: Callable[[Callable[[], None]], ServiceServer],
                 srv_type: Any, srv_name: str, callback: Callable[[Any, Any], Any],
                 callback_group: CallbackGroup, qos_profile: QoSProfile,
                 service_name: str = '') -> None:
        self.srv_type = srv_type
        self.srv_name = srv_name
        self.callback = callback
        self.callback_group = callback_group
        self.qos_profile = qos_profile
        self._service_name = service_name
        self._executor_event = False
        self._notify: Callable[[], None] = lambda: None
        self._has_data = False
        self._server: ServiceServer | None = service_impl(self._on_request)

    def send_response(self, response: Any, header: RequestId) -> None:
        """Send a reply to a request.

        Raises:
            TypeError: Not the service's response type, or not a request's header.
            RCLError: The context was shut down.
            InvalidHandle: The service was destroyed.
        """
        if not isinstance(response, self.srv_type.Response):
            raise TypeError(f'{self.srv_name}: {self.srv_type.Response} is expected, not '
                            f'{type(response)}')
        if not isinstance(header, RequestId):
            raise TypeError(f'{self.srv_name}: a header of a request is expected, not '
                            f'{type(header)}')
        try:
            self._opened().send(header, response)
        except DdsError as error:
            raise RCLError(f'replying on {self._service_name} failed: {error}') from error

    @property
    def service_name(self) -> str:
        """The full name of the service, remapped."""
        self._opened()
        return self._service_name

    def configure_introspection(self, clock: Any, service_event_qos_profile: Any,
                                introspection_state: Any) -> None:
        """Not implemented."""
        raise NotImplementedError('Service.configure_introspection')

    def destroy(self) -> None:
        """Destroy; use `Node.destroy_service`."""
        server = self._opened()
        self._server = None
        self._has_data = False
        server.close()

    def _on_request(self) -> None:
        self._has_data = True
        self._notify()

    def _is_ready(self) -> bool:
        return self._has_data

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        server = self._server
        if server is None:
            return None
        # before taking: what comes meanwhile must not be overlooked
        self._has_data = False
        try:
            taken = server.take()
        except DdsError:
            # closed by another thread
            return None
        if taken is None:
            return None
        self._has_data = self._server is not None
        request, header = taken

        async def answer() -> None:
            response = self.callback(request, self.srv_type.Response())
            if inspect.isawaitable(response):
                response = await response
            self.send_response(response, header)

        return answer

    def _opened(self) -> ServiceServer:
        if self._server is None:
            raise InvalidHandle(f'the service {self.srv_name} was destroyed')
        return self._server
