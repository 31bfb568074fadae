# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Base of what else an executor can wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup


class Waitable:
    """Something with data to take and work to do; here only event handlers are waitables.

    Own classes derived from it cannot be added to a node: there is no wait set.
    """

    def __init__(self, callback_group: CallbackGroup) -> None:
        self.callback_group = callback_group
        self.callback_group.add_entity(self)
        self._executor_event = False
        self._notify: Callable[[], None] = _nobody

    def _is_ready(self) -> bool:
        raise NotImplementedError('Waitable: only event handlers are waitables here')

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        raise NotImplementedError('Waitable: only event handlers are waitables here')


def _nobody() -> None:
    """Wake nobody: not added to a node yet."""
