# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What follows a node's transitions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy._rclpy_pybind11 import TransitionCallbackReturnType as TransitionCallbackReturn
from rclpy.lifecycle._state_machine import LifecycleState


class ManagedEntity:
    """Callbacks for transitions, each of which succeeds by default."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure; `state` is the one before."""
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up; `state` is the one before."""
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut down; `state` is the one before."""
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate; `state` is the one before."""
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate; `state` is the one before."""
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Recover from an error; `state` is the one before."""
        return TransitionCallbackReturn.SUCCESS


class SimpleManagedEntity(ManagedEntity):
    """Knows whether it is activated."""

    def __init__(self) -> None:
        self._enabled = False

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Become activated."""
        self._enabled = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Become deactivated."""
        self._enabled = False
        return TransitionCallbackReturn.SUCCESS

    @property
    def is_activated(self) -> bool:
        """Whether it is activated."""
        return self._enabled

    @staticmethod
    def when_enabled(wrapped: Callable[..., Any] | None = None, *,
                     when_not_enabled: Callable[[], Any] | None = None) -> Callable[..., Any]:
        """Decorate a method so that it does nothing, or `when_not_enabled`, while deactivated."""
        def decorate(method: Callable[..., Any]) -> Callable[..., None]:
            @wraps(method)
            def only_when_enabled(self: SimpleManagedEntity, *args: Any, **kwargs: Any) -> None:
                if self._enabled:
                    method(self, *args, **kwargs)
                elif when_not_enabled is not None:
                    when_not_enabled()
            return only_when_enabled
        return decorate if wrapped is None else decorate(wrapped)
