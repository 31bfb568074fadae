# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Callbacks at a fixed rate, and sleeping at one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockChange
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle, ROSInterruptException
from rclpy.utilities import get_default_context


class Timer:
    """Calls back every period of a clock; make it by `Node.create_timer`.

    Calls that come too late are not made up for: the rhythm goes on from the start.
    """

    def __init__(self, callback: Callable[[], Any] | None, callback_group: CallbackGroup | None,
                 timer_period_ns: int, clock: Clock, *, context: Context | None = None,
                 autostart: bool = True) -> None:
        self._context = get_default_context() if context is None else context
        self._clock = clock
        self._period = _checked(timer_period_ns)
        self.callback = callback
        self.callback_group = callback_group
        self._executor_event = False
        self._notify: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._destroyed = False
        self._canceled = not autostart
        self._last = clock._now_ns()
        self._next = self._last + self._period
        self._credit: int | None = None
        with clock._changed:
            clock._timers.add(self)

    @property
    def clock(self) -> Clock:
        """The clock that the timer follows."""
        return self._clock

    @property
    def timer_period_ns(self) -> int:
        """The period in nanoseconds; a new one holds from the next call on."""
        self._check()
        return self._period

    @timer_period_ns.setter
    def timer_period_ns(self, value: int) -> None:
        self._check()
        self._period = _checked(value)

    def is_ready(self) -> bool:
        """Whether a call is due."""
        self._check()
        return self._is_ready()

    def is_canceled(self) -> bool:
        """Whether the timer is stopped."""
        self._check()
        return self._canceled

    def cancel(self) -> None:
        """Stop the timer; `reset` starts it again."""
        self._check()
        self._canceled = True

    def reset(self) -> None:
        """Start, or start over: the next call comes after one period."""
        self._check()
        with self._lock:
            self._next = self._clock._now_ns() + self._period
            self._canceled = False
        self._notify()

    def time_since_last_call(self) -> int:
        """Return nanoseconds since the last call, or since the timer was made."""
        self._check()
        return self._clock._now_ns() - self._last

    def time_until_next_call(self) -> int | None:
        """Return nanoseconds until the next call, negative if late, None if cancelled."""
        self._check()
        return None if self._canceled else self._next - self._clock._now_ns()

    def destroy(self) -> None:
        """Destroy; use `Node.destroy_timer`."""
        self._check()
        self._destroyed = True
        with self._clock._changed:
            self._clock._timers.discard(self)

    def _check(self) -> None:
        if self._destroyed:
            raise InvalidHandle('the timer was destroyed')

    def _is_ready(self) -> bool:
        return (not self._canceled and not self._destroyed
                and self._clock._now_ns() >= self._next)

    def _wall_ns_left(self) -> int | None:
        """Nanoseconds of real time until the next call, None if nobody knows."""
        if self._canceled or self._destroyed:
            return None
        return self._clock._wall_ns_until(self._next)

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        with self._lock:
            now = self._clock._now_ns()
            if self._canceled or self._destroyed or now < self._next:
                return None
            self._last = now
            self._next += self._period
            if self._next < now:
                if self._period == 0:
                    self._next = now
                else:
                    # in step with the start, and at most one call late
                    self._next += -(-(now - self._next) // self._period) * self._period
        return self.callback

    def _before_jump(self, change: ClockChange) -> None:
        if change in (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED):
            # time goes on from another zero: keep what has passed of the period
            self._credit = self._period - (self._next - self._clock._now_ns())

    def _after_jump(self, change: ClockChange) -> None:
        now = self._clock._now_ns()
        with self._lock:
            if self._credit is not None:
                self._next = now - self._credit + self._period
                self._last = now - self._credit
                self._credit = None
            elif now < self._last:
                self._next = now + self._period
                self._last = now
        self._notify()


def _checked(period: int) -> int:
    if period < 0:
        raise RCLError(f'a timer period must not be negative: {period} ns')
    return int(period)


class Rate:
    """Sleeps at a fixed rate while an executor spins elsewhere; `Node.create_rate` makes it."""

    def __init__(self, timer: Timer, *, context: Context) -> None:
        self._timer = timer
        self._is_shutdown = False
        self._is_destroyed = False
        self._condition = threading.Condition()
        self._ticks = 0
        timer.callback = self._tick
        self._context = context
        context._add_waker(self._on_shutdown)

    def _tick(self) -> None:
        with self._condition:
            self._ticks += 1
            self._condition.notify_all()

    def _on_shutdown(self) -> None:
        self._is_shutdown = True
        self.destroy()

    def destroy(self) -> None:
        """Wake who sleeps; use `Node.destroy_rate`."""
        self._context._remove_waker(self._on_shutdown)
        with self._condition:
            self._is_destroyed = True
            self._condition.notify_all()

    def sleep(self) -> None:
        """Sleep until the timer ticks.

        In a callback of an executor with one thread this waits for ever.

        Raises:
            ROSInterruptException: The context was shut down.
            RuntimeError: The rate was destroyed.
        """
        if self._is_shutdown:
            raise ROSInterruptException()
        if self._is_destroyed:
            raise RuntimeError('a destroyed Rate cannot sleep')
        if self._timer._destroyed:
            self.destroy()
            raise InvalidHandle('a Rate cannot sleep once its timer was destroyed')
        with self._condition:
            seen = self._ticks
            self._condition.wait_for(lambda: self._ticks != seen or self._is_destroyed)
        if self._is_shutdown:
            raise ROSInterruptException()
