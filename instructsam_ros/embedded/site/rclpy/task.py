# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results that come later, and the work of an executor."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rclpy.executors import Executor


class Future:
    """The outcome of work that may not be done yet; safe from any thread."""

    # Ctrl-C may come before the first line of __init__, and __del__ looks at it
    _exception: BaseException | None = None

    def __init__(self, *, executor: Executor | None = None) -> None:
        self._done = False
        self._cancelled = False
        self._result: Any = None
        self._exception = None
        self._exception_fetched = False
        self._callbacks: list[Callable[[Any], Any]] = []
        self._lock = threading.Lock()
        self._executor: Callable[[], Executor | None] = _no_executor
        self._set_executor(executor)

    def __del__(self) -> None:
        if self._exception is not None and not self._exception_fetched:
            print(f'An exception of a Future was never looked at: {self._exception!r}',
                  file=sys.stderr)

    def __await__(self) -> Generator[Any, None, Any]:
        # what is yielded tells the task that runs us what to wait for
        while not (self._done or self._cancelled):
            yield self
        return self.result()

    def cancel(self) -> None:
        """Cancel, if not done yet; done callbacks are called."""
        with self._lock:
            if not self._done:
                self._cancelled = True
        self._call_done_callbacks()

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    def done(self) -> bool:
        """Whether there is a result or an exception."""
        return self._done

    def result(self) -> Any:
        """Return the result, None if there is none yet; an exception that was set is raised."""
        if self._exception is not None:
            self._exception_fetched = True
            raise self._exception
        return self._result

    def exception(self) -> BaseException | None:
        """Return the exception that was set, if any."""
        self._exception_fetched = True
        return self._exception

    def set_result(self, result: Any) -> None:
        """Set the result; done callbacks are called."""
        with self._lock:
            self._result = result
            self._done = True
            self._cancelled = False
        self._call_done_callbacks()

    def set_exception(self, exception: BaseException) -> None:
        """Set an exception instead of a result; done callbacks are called."""
        with self._lock:
            self._exception = exception
            self._exception_fetched = False
            self._done = True
            self._cancelled = False
        self._call_done_callbacks()

    def _call_done_callbacks(self) -> None:
        with self._lock:
            executor = self._executor()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            if executor is not None and not isinstance(callback, _Resume):
                executor.create_task(callback, self)
                continue
            try:
                callback(self)
            except Exception as error:
                # the others must be called all the same
                warnings.warn(f'a done callback raised {error!r}', stacklevel=2)

    def _set_executor(self, executor: Executor | None) -> None:
        with self._lock:
            self._executor = _no_executor if executor is None else weakref.ref(executor)

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        """Have `callback(future)` called when done; at once if done already."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
            executor = self._executor()
        if executor is not None:
            executor.create_task(callback, self)
        else:
            callback(self)


class Task(Future):
    """A function or coroutine that an executor runs; executors make them."""

    def __init__(self, handler: Any, args: Any = None, kwargs: Any = None,
                 executor: Executor | None = None) -> None:
        super().__init__(executor=executor)
        args, kwargs = args or (), kwargs or {}
        self._handler: Any
        if inspect.iscoroutinefunction(handler):
            self._handler = handler(*args, **kwargs)
            self._call = None
        else:
            self._handler = handler
            self._call = None if inspect.iscoroutine(handler) else (args, kwargs)
        self._executing = False
        # a task never runs twice at the same time
        self._task_lock = threading.Lock()

    def __call__(self) -> None:
        """Run, or go on with, the work; the result is stored."""
        if self._done or not self._task_lock.acquire(blocking=False):
            return
        try:
            # it may have been finished before the lock was ours
            if self.done():
                return
            self._executing = True
            finished, waits_for = self._step()
            if finished:
                self._handler = self._call = None
        finally:
            self._executing = False
            self._task_lock.release()
        if not finished:
            self._resume_after(waits_for)

    def _step(self) -> tuple[bool, Any]:
        """Return whether the work is finished, and else what it waits for."""
        try:
            if self._call is None:
                try:
                    return False, self._handler.send(None)
                except StopIteration as stop:
                    self.set_result(stop.value)
            else:
                args, kwargs = self._call
                self.set_result(self._handler(*args, **kwargs))
        except Exception as error:
            self.set_exception(error)
        return True, None

    def _resume_after(self, waits_for: Any) -> None:
        """Have the executor call us again: when a future is done, else in its next turn."""
        executor = self._executor()
        if executor is None:
            return
        if not isinstance(waits_for, Future):
            executor._resume(self)
            return
        with waits_for._lock:
            if not (waits_for._done or waits_for._cancelled):
                waits_for._callbacks.insert(0, _Resume(self))
                return
        executor._resume(self)

    def _discard(self) -> None:
        """Drop work that will never begin."""
        if inspect.iscoroutine(self._handler):
            self._handler.close()
        self._handler = self._call = None

    def executing(self) -> bool:
        """Whether it runs at this moment."""
        return self._executing


class _Resume:
    """A done callback that lets a task go on."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self, future: Future) -> None:
        executor = self._task._executor()
        if executor is not None:
            executor._resume(self._task)


def _no_executor() -> None:
    return None
