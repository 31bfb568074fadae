# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The services by which others read and set log levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import LoggerLevel, SetLoggerLevelsResult
from rcl_interfaces.srv import GetLoggerLevels, SetLoggerLevels
from rclpy.logging import get_logger_level, set_logger_level

if TYPE_CHECKING:
    from rclpy.node import Node


class LoggingService:
    """Two services of a node."""

    def __init__(self, node: Node) -> None:
        name = node.get_name()
        node.create_service(GetLoggerLevels, f'{name}/get_logger_levels', self._get)
        node.create_service(SetLoggerLevels, f'{name}/set_logger_levels', self._set)

    def _get(self, request: Any, response: Any) -> Any:
        response.levels = [LoggerLevel(name=name, level=int(get_logger_level(name)))
                           for name in request.names]
        return response

    def _set(self, request: Any, response: Any) -> Any:
        for level in request.levels:
            result = SetLoggerLevelsResult(successful=True)
            try:
                set_logger_level(level.name, level.level)
            except ValueError as error:
                result.successful, result.reason = False, str(error)
            response.results.append(result)
        return response
