# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Callbacks that the program triggers itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy._rclpy_pybind11 import InvalidHandle
from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.utilities import get_default_context


class GuardCondition:
    """Runs its callback in the executor once it was triggered; make it by the node."""

    def __init__(self, callback: Callable[[], Any] | None, callback_group: CallbackGroup | None,
                 context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        self.callback = callback
        self.callback_group = callback_group
        self._executor_event = False
        self._triggered = False
        self._destroyed = False
        self._notify: Callable[[], None] = lambda: None

    def trigger(self) -> None:
        """Have the callback called; several triggers before it runs count as one.

        Raises:
            InvalidHandle: It was destroyed.
        """
        if self._destroyed:
            raise InvalidHandle('the guard condition was destroyed')
        self._triggered = True
        self._notify()

    def _is_ready(self) -> bool:
        return self._triggered

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        if not self._triggered:
            return None
        self._triggered = False
        return self.callback

    def destroy(self) -> None:
        """Destroy; use the node's `destroy_guard_condition`."""
        self._destroyed = True
        self._triggered = False
