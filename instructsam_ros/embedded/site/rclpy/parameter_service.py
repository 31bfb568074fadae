# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The services by which others read and set a node's parameters."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ListParametersResult, SetParametersResult
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    GetParameterTypes,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.exceptions import ParameterNotDeclaredException, ParameterUninitializedException
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters

if TYPE_CHECKING:
    from rclpy.node import Node


class ParameterService:
    """Six services of a node."""

    def __init__(self, node: Node) -> None:
        self._node = weakref.ref(node)
        for srv_type, name, callback in (
                (DescribeParameters, 'describe_parameters', self._describe),
                (GetParameters, 'get_parameters', self._get),
                (GetParameterTypes, 'get_parameter_types', self._get_types),
                (ListParameters, 'list_parameters', self._list),
                (SetParameters, 'set_parameters', self._set),
                (SetParametersAtomically, 'set_parameters_atomically', self._set_atomically)):
            node.create_service(srv_type, f'{node.get_name()}/{name}', callback,
                                qos_profile=qos_profile_parameters)

    def _of(self) -> Node:
        node = self._node()
        if node is None:
            raise ReferenceError('the node is gone')
        return node

    def _describe(self, request: Any, response: Any) -> Any:
        # as in rclpy, one unknown name makes the answer empty
        try:
            response.descriptors = self._of().describe_parameters(request.names)
        except ParameterNotDeclaredException:
            response.descriptors = []
        return response

    def _get(self, request: Any, response: Any) -> Any:
        try:
            response.values = [parameter.get_parameter_value()
                               for parameter in self._of().get_parameters(request.names)]
        except (ParameterNotDeclaredException, ParameterUninitializedException):
            response.values = []
        return response

    def _get_types(self, request: Any, response: Any) -> Any:
        try:
            response.types = [kind.value if isinstance(kind, Parameter.Type) else kind
                              for kind in self._of().get_parameter_types(request.names)]
        except ParameterNotDeclaredException:
            response.types = []
        return response

    def _list(self, request: Any, response: Any) -> Any:
        try:
            response.result = self._of().list_parameters(request.prefixes, request.depth)
        except (TypeError, ValueError):
            response.result = ListParametersResult()
        return response

    def _set(self, request: Any, response: Any) -> Any:
        response.results = [self._set_all([parameter]) for parameter in request.parameters]
        return response

    def _set_atomically(self, request: Any, response: Any) -> Any:
        response.result = self._set_all(request.parameters)
        return response

    def _set_all(self, messages: list[Any]) -> Any:
        try:
            return self._of().set_parameters_atomically(
                [Parameter.from_parameter_msg(message) for message in messages])
        except (ParameterNotDeclaredException, ValueError) as error:
            return SetParametersResult(successful=False, reason=str(error))
