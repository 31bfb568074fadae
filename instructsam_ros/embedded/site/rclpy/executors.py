# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Executors run the callbacks of nodes, in one thread or in several."""

from __future__ import annotations

import inspect
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rclpy.context import Context
from rclpy.task import Future, Task
from rclpy.utilities import get_default_context

if TYPE_CHECKING:
    from rclpy.node import Node


class TimeoutException(Exception):  # noqa: N818 (rclpy's names, here and below)
    """Nothing was ready in time."""


class ShutdownException(Exception):  # noqa: N818
    """The executor was shut down."""


class ExternalShutdownException(Exception):  # noqa: N818
    """The context was shut down while an executor waited."""


class ConditionReachedException(Exception):  # noqa: N818
    """What was waited for has come."""


class TimeoutObject:
    """A timeout in seconds that can be changed."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout


async def await_or_execute(callback: Callable[..., Any], *args: Any) -> Any:
    """Call a function, or await a coroutine function."""
    result = callback(*args)
    return await result if inspect.isawaitable(result) else result


class _Work:
    """How much work runs, by thread, so that a callback can wait for all but itself."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._running: dict[int, int] = {}

    def change(self, by: int) -> None:
        thread = threading.get_ident()
        with self._condition:
            count = self._running.get(thread, 0) + by
            if count:
                self._running[thread] = count
            else:
                self._running.pop(thread, None)
            self._condition.notify_all()

    def wait_for_others(self, timeout: float | None) -> bool:
        own = threading.get_ident()
        with self._condition:
            return self._condition.wait_for(
                lambda: not any(thread != own for thread in self._running), timeout)


class Executor:
    """Base of executors: what is ready, and waiting for it.

    Derived classes say how the work is run by `spin_once`.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        self._context = get_default_context() if context is None else context
        self._nodes: list[Node] = []
        self._nodes_lock = threading.RLock()
        # whoever waits compares the number of wakes with what it saw before it looked for work
        self._condition = threading.Condition()
        self._wakes = 0
        self._tasks: deque[Task] = deque()
        # a round of what was ready; everything in it gets its turn before the next look
        self._round: deque[tuple[Any, Node]] = deque()
        self._is_shutdown = False
        self._work = _Work()
        self._context.on_shutdown(self.wake)
        self._context._add_waker(self.wake)

    @property
    def context(self) -> Context:
        """The context whose end ends spinning."""
        return self._context

    def create_task(self, callback: Any, *args: Any, **kwargs: Any) -> Task:
        """Have a function or coroutine run by the executor; the task gets its result."""
        task = Task(callback, args, kwargs, executor=self)
        self._resume(task)
        return task

    def _resume(self, task: Task) -> None:
        self._tasks.append(task)
        self.wake()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Start no more callbacks, and wait for those that run in other threads.

        Args:
            timeout_sec: Seconds; None or negative is for ever.

        Returns:
            Whether all had ended in time.
        """
        self._is_shutdown = True
        self.wake()
        timeout = None if timeout_sec is None or timeout_sec < 0 else timeout_sec
        if not self._work.wait_for_others(timeout):
            return False
        with self._nodes_lock:
            self._nodes.clear()
            self._round.clear()
        self._context._remove_waker(self.wake)
        return True

    def add_node(self, node: Node) -> bool:
        """Run a node's callbacks; False if that was so already."""
        with self._nodes_lock:
            if node in self._nodes:
                return False
            self._nodes.append(node)
            node.executor = self
        self.wake()
        return True

    def remove_node(self, node: Node) -> None:
        """Run a node's callbacks no longer."""
        with self._nodes_lock:
            if node in self._nodes:
                self._nodes.remove(node)
        self.wake()

    def get_nodes(self) -> list[Node]:
        """Return the nodes of this executor."""
        with self._nodes_lock:
            return list(self._nodes)

    def wake(self) -> None:
        """Have the executor look for work again."""
        with self._condition:
            self._wakes += 1
            self._condition.notify_all()

    def spin(self) -> None:
        """Run callbacks until the executor or the context is shut down."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_until_future_complete(self, future: Future,
                                   timeout_sec: float | None = None) -> None:
        """Run callbacks until a future is done, at most `timeout_sec` seconds."""
        future.add_done_callback(lambda _: self.wake())
        end = None if timeout_sec is None or timeout_sec < 0 else time.monotonic() + timeout_sec
        while self._context.ok() and not future.done() and not self._is_shutdown:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            self._spin_once_impl(left, future.done)
            if end is not None and time.monotonic() >= end:
                return

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run one callback, waiting at most `timeout_sec` seconds; None or negative is for ever."""
        raise NotImplementedError('Executor.spin_once: use a class derived from it')

    def spin_once_until_future_complete(
            self, future: Future, timeout_sec: float | TimeoutObject | None = None) -> None:
        """Run one callback unless a future is done first."""
        future.add_done_callback(lambda _: self.wake())
        self._spin_once_impl(timeout_sec, future.done)

    def _spin_once_impl(self, timeout_sec: float | TimeoutObject | None = None,
                        wait_condition: Callable[[], bool] = lambda: False) -> None:
        raise NotImplementedError('Executor.spin_once: use a class derived from it')

    def can_execute(self, entity: Any) -> bool:
        """Whether an entity's callback could start now."""
        return not entity._executor_event and bool(entity.callback_group.can_execute(entity))

    def wait_for_ready_callbacks(
            self, timeout_sec: float | TimeoutObject | None = None,
            nodes: list[Node] | None = None,
            condition: Callable[[], bool] = lambda: False) -> tuple[Task, Any, Node | None]:
        """Return the next work, with its entity and node, None for tasks.

        Args:
            timeout_sec: Seconds; None or negative is for ever.
            nodes: Only of these nodes; all of the executor's by default.
            condition: Ends the wait when true.

        Raises:
            TimeoutException: Nothing in time.
            ShutdownException: The executor was shut down.
            ExternalShutdownException: The context was shut down.
            ConditionReachedException: The condition came true.
        """
        if isinstance(timeout_sec, TimeoutObject):
            timeout_sec = timeout_sec.timeout
        end = None if timeout_sec is None or timeout_sec < 0 else time.monotonic() + timeout_sec
        while True:
            seen = self._wakes
            if self._is_shutdown:
                raise ShutdownException()
            if not self._context.ok():
                raise ExternalShutdownException()
            if condition():
                raise ConditionReachedException()
            self._check_failures()
            found = self._next(nodes)
            if found is not None:
                return found
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutException()
            due = self._until_next_timer(nodes)
            waits = [wait for wait in (left, due) if wait is not None]
            with self._condition:
                if self._wakes == seen:
                    # an hour at most, for clocks that are set meanwhile
                    self._condition.wait(max(0.0, min([*waits, 3600.0])))

    def _check_failures(self) -> None:
        """Raise what callbacks in other threads have raised."""

    def _next(self, nodes: list[Node] | None) -> tuple[Task, Any, Node | None] | None:
        try:
            # tasks first: they are the rest of what was begun
            return self._tasks.popleft(), None, None
        except IndexError:
            pass
        with self._nodes_lock:
            for look_again in (True, False):
                while self._round:
                    entity, node = self._round.popleft()
                    if node in self._nodes and (nodes is None or node in nodes) and \
                            self.can_execute(entity) and entity._is_ready():
                        entity._executor_event = True
                        return Task(self._run, (entity,), executor=self), entity, node
                if look_again:
                    self._look(self._nodes if nodes is None else nodes)
        return None

    def _look(self, nodes: list[Node]) -> None:
        for node in nodes:
            for entity in node._entities():
                if entity._is_ready() and self.can_execute(entity):
                    self._round.append((entity, node))

    def _until_next_timer(self, nodes: list[Node] | None) -> float | None:
        """Seconds until a timer is due whose callback could run."""
        waits = [timer._wall_ns_left() for node in (self.get_nodes() if nodes is None else nodes)
                 for timer in list(node._timers) if self.can_execute(timer)]
        known = [wait for wait in waits if wait is not None]
        return min(known) / 1e9 if known else None

    async def _run(self, entity: Any) -> None:
        """Run an entity's callback within its group."""
        group = entity.callback_group
        if self._is_shutdown or not group.beginning_execution(entity):
            entity._executor_event = False
            self.wake()
            return
        try:
            try:
                call = entity._take(self)
            finally:
                entity._executor_event = False
            if group.can_execute(entity):
                # it may run in parallel with itself, or be a timer that has its next call
                self.wake()
            if call is not None:
                result = call()
                if inspect.isawaitable(result):
                    await result
        finally:
            group.ending_execution(entity)
            self.wake()

    def _execute(self, task: Task) -> BaseException | None:
        """Run or go on with a task; return what it raised."""
        self._work.change(1)
        try:
            task()
        finally:
            self._work.change(-1)
        return task.exception() if task.done() else None

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.shutdown()


class SingleThreadedExecutor(Executor):
    """Runs callbacks in the thread that spins."""

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run one callback, waiting at most `timeout_sec` seconds; None or negative is for ever."""
        self._spin_once_impl(timeout_sec)

    def _spin_once_impl(self, timeout_sec: float | TimeoutObject | None = None,
                        wait_condition: Callable[[], bool] = lambda: False) -> None:
        try:
            task, _, _ = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except (ShutdownException, TimeoutException, ConditionReachedException):
            return
        error = self._execute(task)
        if error is not None:
            raise error


class MultiThreadedExecutor(Executor):
    """Runs callbacks in several threads.

    What a callback raises is raised by the thread that spins.

    Args:
        num_threads: How many; by default as many as the process may use processors.
        context: The context whose end ends spinning.
    """

    def __init__(self, num_threads: int | None = None, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        if num_threads is None:
            num_threads = len(os.sched_getaffinity(0)) if hasattr(
                os, 'sched_getaffinity') else (os.cpu_count() or 2)
        if num_threads == 1:
            warnings.warn('a MultiThreadedExecutor with one thread: SingleThreadedExecutor does '
                          'the same with less', stacklevel=2)
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix='executor')
        self._failures: deque[BaseException] = deque()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Start one callback, waiting at most `timeout_sec` seconds; None is for ever."""
        self._spin_once_impl(timeout_sec)

    def _spin_once_impl(self, timeout_sec: float | TimeoutObject | None = None,
                        wait_condition: Callable[[], bool] = lambda: False) -> None:
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec, None, wait_condition)
        except (ExternalShutdownException, ShutdownException, TimeoutException,
                ConditionReachedException):
            return
        try:
            self._pool.submit(self._execute_there, task)
        except RuntimeError:
            task._discard()
            if entity is not None:
                entity._executor_event = False
            # shut down meanwhile, by another thread
            if not self._is_shutdown:
                raise

    def _execute_there(self, task: Task) -> None:
        try:
            error = self._execute(task)
        except BaseException as raised:
            # SystemExit in a callback ends the program as it does with one thread
            error = raised
        if error is not None:
            self._failures.append(error)
            self.wake()

    def _check_failures(self) -> None:
        if self._failures:
            raise self._failures.popleft()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Start no more callbacks, and wait for those that run; see `Executor.shutdown`."""
        done = super().shutdown(timeout_sec)
        self._pool.shutdown(wait=False, cancel_futures=False)
        return done
