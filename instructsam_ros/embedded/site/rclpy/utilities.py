# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The default context, and small things."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rclpy.constants import S_TO_NS

if TYPE_CHECKING:
    from rclpy.context import Context

_default: Context | None = None
_lock = threading.Lock()


def get_default_context(*, shutting_down: bool = False) -> Context:
    """Return the default context; when shutting down, the next call makes a new one."""
    global _default
    from rclpy.context import Context

    with _lock:
        if _default is None:
            _default = Context()
        found = _default
        if shutting_down:
            _default = None
        return found


def remove_ros_args(args: Sequence[str] | None = None) -> list[str]:
    """Return the arguments (default `sys.argv`) without those for ROS."""
    from rclpy._arguments import without_ros_arguments

    return without_ros_arguments(sys.argv if args is None else args)


def ok(*, context: Context | None = None) -> bool:
    """Whether a context (the default one) is initialized and not shut down."""
    return (get_default_context() if context is None else context).ok()


def shutdown(*, context: Context | None = None) -> None:
    """Shut a context (the default one) down."""
    (get_default_context(shutting_down=True) if context is None else context).shutdown()


def try_shutdown(*, context: Context | None = None) -> None:
    """Shut a context (the default one) down unless that has happened already."""
    global _default
    if context is not None:
        context.try_shutdown()
        return
    with _lock:
        found = _default
    if found is None:
        return
    found.try_shutdown()
    with _lock:
        if _default is found and not found.ok():
            _default = None


def get_rmw_implementation_identifier() -> str:
    """Return the middleware's name; it speaks the same wire protocol as rmw_cyclonedds_cpp."""
    return 'rmw_cyclonedds_cpp'


def get_available_rmw_implementations() -> set[str]:
    """Return the names of the middlewares that can be chosen."""
    return {get_rmw_implementation_identifier()}


def timeout_sec_to_nsec(timeout_sec: float | None) -> int:
    """Return a timeout in nanoseconds, -1 (for ever) for None and negative ones."""
    if timeout_sec is None or timeout_sec < 0:
        return -1
    return int(float(timeout_sec) * S_TO_NS)
