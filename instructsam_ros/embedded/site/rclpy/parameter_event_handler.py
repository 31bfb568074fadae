# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Not implemented: callbacks for other nodes' parameters."""

from typing import Any


class ParameterEventHandler:
    """Not implemented; subscribe to /parameter_events instead."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError('rclpy.parameter_event_handler.ParameterEventHandler')
