# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 client library, as far as it is embedded here for machines without ROS 2.

`init`, make nodes, `spin`, `shutdown`. What is not implemented raises NotImplementedError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rclpy import _message_packages as _message_packages
from rclpy.context import Context
from rclpy.signals import (
    SignalHandlerOptions,
    install_signal_handlers,
    uninstall_signal_handlers,
)
from rclpy.task import Future
from rclpy.utilities import get_default_context as get_default_context
from rclpy.utilities import (
    get_rmw_implementation_identifier as get_rmw_implementation_identifier,
)
from rclpy.utilities import ok as ok
from rclpy.utilities import shutdown as _shutdown
from rclpy.utilities import try_shutdown as try_shutdown

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node
    from rclpy.parameter import Parameter

_executor: Executor | None = None


def init(*, args: list[str] | None = None, context: Context | None = None,
         domain_id: int | None = None,
         signal_handler_options: SignalHandlerOptions | None = None) -> None:
    """Initialize a context, the default one if none is given.

    Args:
        args: Command line arguments, `sys.argv` by default.
        context: The context.
        domain_id: The number of the domain on the network, ROS_DOMAIN_ID by default.
        signal_handler_options: By default SIGINT and SIGTERM for the default context only.

    Raises:
        RuntimeError: Initialized before, or bad ROS arguments.
    """
    context = get_default_context() if context is None else context
    if signal_handler_options is None:
        signal_handler_options = (SignalHandlerOptions.ALL if context is get_default_context()
                                  else SignalHandlerOptions.NO)
    context.init(args, domain_id=domain_id)
    install_signal_handlers(signal_handler_options)


def get_global_executor() -> Executor:
    """Return the executor that the functions here spin with; made for the default context."""
    global _executor
    if _executor is None:
        from rclpy.executors import SingleThreadedExecutor

        _executor = SingleThreadedExecutor()
        get_default_context().on_shutdown(_drop_global_executor)
    return _executor


def _drop_global_executor() -> None:
    global _executor
    executor, _executor = _executor, None
    if executor is not None:
        executor.shutdown(timeout_sec=0)


def shutdown(*, context: Context | None = None, uninstall_handlers: bool | None = None) -> None:
    """Shut a context down, the default one if none is given.

    Args:
        context: The context.
        uninstall_handlers: Whether signal handlers are removed; by default for the default context.

    Raises:
        RuntimeError: Never initialized, or shut down before.
    """
    if uninstall_handlers is None:
        uninstall_handlers = context is None or context is get_default_context()
    _shutdown(context=context)
    if uninstall_handlers:
        uninstall_signal_handlers()


def create_node(node_name: str, *, context: Context | None = None,
                cli_args: list[str] | None = None, namespace: str | None = None,
                use_global_arguments: bool = True, enable_rosout: bool = True,
                start_parameter_services: bool = True,
                parameter_overrides: list[Parameter] | None = None,
                allow_undeclared_parameters: bool = False,
                automatically_declare_parameters_from_overrides: bool = False,
                enable_logger_service: bool = False) -> Node:
    """Make a node; the arguments are those of `rclpy.node.Node`."""
    from rclpy.node import Node

    return Node(
        node_name, context=context, cli_args=cli_args, namespace=namespace,
        use_global_arguments=use_global_arguments, enable_rosout=enable_rosout,
        start_parameter_services=start_parameter_services,
        parameter_overrides=parameter_overrides,
        allow_undeclared_parameters=allow_undeclared_parameters,
        automatically_declare_parameters_from_overrides=(
            automatically_declare_parameters_from_overrides),
        enable_logger_service=enable_logger_service)


def spin_once(node: Node, *, executor: Executor | None = None,
              timeout_sec: float | None = None) -> None:
    """Run one callback, waiting for it at most `timeout_sec`; None or negative is for ever.

    Args:
        node: Added to the executor meanwhile.
        executor: The global one by default.
        timeout_sec: Seconds.
    """
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        executor.spin_once(timeout_sec=timeout_sec)
    finally:
        executor.remove_node(node)


def spin(node: Node, executor: Executor | None = None) -> None:
    """Run callbacks until the context is shut down.

    Args:
        node: Added to the executor meanwhile.
        executor: The global one by default.
    """
    executor = get_global_executor() if executor is None else executor
    try:
        executor.add_node(node)
        while executor.context.ok():
            executor.spin_once()
    finally:
        executor.remove_node(node)


def spin_until_future_complete(node: Node, future: Future, executor: Executor | None = None,
                               timeout_sec: float | None = None) -> None:
    """Run callbacks until a future is done.

    Args:
        node: Added to the executor meanwhile.
        future: The future.
        executor: The global one by default.
        timeout_sec: The longest wait in seconds; None or negative is for ever.
    """
    executor = get_global_executor() if executor is None else executor
    added = False
    try:
        added = executor.add_node(node)
        executor.spin_until_future_complete(future, timeout_sec)
    finally:
        if added:
            executor.remove_node(node)
