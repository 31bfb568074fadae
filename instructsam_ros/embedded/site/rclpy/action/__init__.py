# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Not implemented: actions."""

from typing import Any


class ActionClient:
    """Not implemented."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError('rclpy.action.ActionClient')


class ActionServer:
    """Not implemented."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError('rclpy.action.ActionServer')
