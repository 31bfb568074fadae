# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The service that describes a node's types, as far as it is offered here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.parameter import Parameter
from type_description_interfaces.srv import GetTypeDescription

if TYPE_CHECKING:
    from rclpy.node import Node

START_TYPE_DESCRIPTION_SERVICE_PARAM = 'start_type_description_service'


class TypeDescriptionService:
    """Started by the parameter start_type_description_service; its answer is a refusal."""

    def __init__(self, node: Node) -> None:
        if not node.has_parameter(START_TYPE_DESCRIPTION_SERVICE_PARAM):
            node.declare_parameter(
                START_TYPE_DESCRIPTION_SERVICE_PARAM, True, ParameterDescriptor(
                    description='If enabled, start the ~/get_type_description service.',
                    read_only=True))
        parameter = node.get_parameter(START_TYPE_DESCRIPTION_SERVICE_PARAM)
        self.enabled = parameter.type_ is Parameter.Type.BOOL and bool(parameter.value)
        if self.enabled:
            node.create_service(
                GetTypeDescription, f'{node.get_name()}/get_type_description', self._answer)

    def _answer(self, request: Any, response: Any) -> Any:
        response.successful = False
        response.failure_reason = 'type descriptions are not implemented by this client library'
        return response
