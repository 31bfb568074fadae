# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Running a node until Ctrl-C or SIGTERM, with a clean end."""

import os
import signal
import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.exceptions import InvalidHandle, ParameterException
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node

# seconds for what runs in other threads to end
_GRACE = 5.0
# seconds after which a thread that works must let another one run; on its way to a callback a
# message asks for that several times, and each time would wait for Python's own 5 ms
_SWITCH_INTERVAL = 0.001


def run_node(
    make: Callable[[], Node], args: Sequence[str] | None = None, *, threads: int = 4,
    refusals: tuple[type[Exception], ...] = (),
) -> int:
    """Spin the node that ``make`` returns until it is told to end; then end the process with 0.

    A node may have a method ``close(timeout: float) -> bool``: it ends the node's own threads and
    says whether that worked in time; and an attribute ``exit_code`` other than 0. The exit code
    is 2 for parameters that the node refuses, for what else it refuses to start with (``refusals``
    that ``make`` raises), and for arguments that rclpy does not understand. An
    error in a callback is logged and does not end the node: a robot's perception must not vanish
    because of one bad message.
    """
    try:
        rclpy.init(args=list(sys.argv if args is None else args))
    except RuntimeError as error:
        print(f'the node cannot start, --ros-args are not understood: {error}', file=sys.stderr)
        return 2
    try:
        node = make()
    except KeyboardInterrupt:
        return _give_up(0)
    except Exception as error:
        # told to end meanwhile: what it makes then fails in many ways
        if not rclpy.ok():
            return _give_up(0)
        # RuntimeError: what DDS refuses, such as a CYCLONEDDS_URI that it cannot read
        if not isinstance(error, (ParameterException, RuntimeError, *refusals)):
            raise
        print(f'the node cannot start: {error}', file=sys.stderr)
        return _give_up(2)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    executor = MultiThreadedExecutor(num_threads=threads)
    executor.add_node(node)
    try:
        _spin(executor, node)
    finally:
        # a second Ctrl-C must not interrupt the end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end(executor, node)
    return 0


def _give_up(code: int) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rclpy.try_shutdown()
    return code


def _spin(executor: MultiThreadedExecutor, node: Node) -> None:
    seen: set[str] = set()
    while rclpy.ok():
        try:
            executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            return
        except InvalidHandle:
            # a subscription or timer ended while rclpy looked at it
            continue
        except Exception as error:
            text = f'{type(error).__name__}: {error}'
            if not rclpy.ok():
                return
            if text not in seen:
                seen.add(text)
                node.get_logger().error(f'a callback failed, the node goes on: {text}')


def _end(executor: MultiThreadedExecutor, node: Node) -> None:
    close: Callable[[float], bool] = getattr(node, 'close', lambda timeout: True)
    close(_GRACE)
    # from Kilted on MultiThreadedExecutor's own one waits without end for what runs in its threads
    Executor.shutdown(executor, timeout_sec=_GRACE)
    node.destroy_node()
    rclpy.try_shutdown()
    # torch takes seconds to take itself apart, and an inference or a download that goes on in a
    # thread would be waited for, or crash; nothing is left to lose
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(getattr(node, 'exit_code', 0))
