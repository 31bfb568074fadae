# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Another node's parameters."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.parameter import Parameter as Parameter
from rclpy.parameter import parameter_dict_from_yaml_file
from rclpy.qos import QoSProfile, qos_profile_parameter_events, qos_profile_services_default
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.task import Future

Done = Callable[[Future], Any]


class AsyncParameterClient:
    """Reads and sets another node's parameters; the futures get the services' responses."""

    def __init__(self, node: Node, remote_node_name: str,
                 qos_profile: QoSProfile = qos_profile_services_default,
                 callback_group: CallbackGroup | None = None) -> None:
        """Make the clients.

        Args:
            node: The node that asks.
            remote_node_name: The node that is asked.
            qos_profile: Of the clients.
            callback_group: Of the clients.
        """
        self.remote_node_name = remote_node_name
        self.node = node

        def client(srv_type: Any, name: str) -> Client:
            return node.create_client(srv_type, f'{remote_node_name}/{name}',
                                      qos_profile=qos_profile, callback_group=callback_group)

        self._get = client(GetParameters, 'get_parameters')
        self._list = client(ListParameters, 'list_parameters')
        self._set = client(SetParameters, 'set_parameters')
        self._get_types = client(GetParameterTypes, 'get_parameter_types')
        self._describe = client(DescribeParameters, 'describe_parameters')
        self._set_atomically = client(SetParametersAtomically, 'set_parameters_atomically')

    def services_are_ready(self) -> bool:
        """Whether the other node is there."""
        return all(client.service_is_ready() for client in (
            self._get, self._list, self._set, self._get_types, self._describe,
            self._set_atomically))

    def wait_for_services(self, timeout_sec: float | None = None) -> bool:
        """Wait until the other node is there; False after the timeout."""
        end = None if timeout_sec is None else time.monotonic() + timeout_sec
        for _ in self.node.context._graph_changes(timeout_sec):
            if self.services_are_ready():
                return True
            if end is not None and time.monotonic() >= end:
                break
        return self.services_are_ready()

    def list_parameters(self, prefixes: list[str] | None = None, depth: int | None = None,
                        callback: Done | None = None) -> Future:
        """List names; below prefixes, and to a depth, if given."""
        request = ListParameters.Request(prefixes=prefixes or [], depth=depth or 0)
        return _call(self._list, request, callback)

    def get_parameters(self, names: list[str], callback: Done | None = None) -> Future:
        """Get values."""
        return _call(self._get, GetParameters.Request(names=names), callback)

    def set_parameters(self, parameters: Sequence[Any],
                       callback: Done | None = None) -> Future:
        """Set parameters, given as `Parameter` or as messages, one after the other."""
        return _call(self._set, SetParameters.Request(parameters=_messages(parameters)), callback)

    def describe_parameters(self, names: list[str], callback: Done | None = None) -> Future:
        """Get descriptors."""
        return _call(self._describe, DescribeParameters.Request(names=names), callback)

    def get_parameter_types(self, names: list[str], callback: Done | None = None) -> Future:
        """Get types, as numbers."""
        return _call(self._get_types, GetParameterTypes.Request(names=names), callback)

    def set_parameters_atomically(self, parameters: Sequence[Any],
                                  callback: Done | None = None) -> Future:
        """Set all parameters, or none."""
        return _call(self._set_atomically, SetParametersAtomically.Request(
            parameters=_messages(parameters)), callback)

    def delete_parameters(self, names: list[str], callback: Done | None = None) -> Future:
        """Undeclare parameters, which must be of dynamic type."""
        return self.set_parameters([Parameter(name) for name in names], callback)

    def load_parameter_file(self, parameter_file: str, use_wildcard: bool = False,
                            callback: Done | None = None) -> Future:
        """Set all parameters of a file; see `rclpy.parameter.parameter_dict_from_yaml_file`."""
        found = parameter_dict_from_yaml_file(parameter_file, use_wildcard)
        return self.set_parameters(list(found.values()), callback)

    def load_parameter_file_atomically(self, parameter_file: str, use_wildcard: bool = False,
                                       callback: Done | None = None) -> Future:
        """Set all parameters of a file, or none."""
        found = parameter_dict_from_yaml_file(parameter_file, use_wildcard)
        return self.set_parameters_atomically(list(found.values()), callback)

    def on_parameter_event(self, callback: Callable[..., Any],
                           qos_profile: QoSProfile = qos_profile_parameter_events, *,
                           callback_group: CallbackGroup | None = None,
                           event_callbacks: SubscriptionEventCallbacks | None = None,
                           qos_overriding_options: QoSOverridingOptions | None = None,
                           raw: bool = False) -> Subscription:
        """Have a callback told of all nodes' changed parameters."""
        return self.node.create_subscription(
            ParameterEvent, '/parameter_events', callback, qos_profile,
            callback_group=callback_group, event_callbacks=event_callbacks,
            qos_overriding_options=qos_overriding_options, raw=raw)


def _messages(parameters: Sequence[Any]) -> list[Any]:
    return [one.to_parameter_msg() if isinstance(one, Parameter) else one for one in parameters]


def _call(client: Client, request: Any, callback: Done | None) -> Future:
    future = client.call_async(request)
    if callback is not None:
        future.add_done_callback(callback)
    return future
