# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clocks: system, steady, and ROS time, which may be simulated."""

from __future__ import annotations

import threading
import time as _time
import weakref
from collections.abc import Callable
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rclpy.clock_type import ClockType as ClockType
from rclpy.duration import Duration
from rclpy.exceptions import NotInitializedException
from rclpy.time import Time
from rclpy.utilities import get_default_context

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.timer import Timer


class ClockChange(IntEnum):
    """What happened to the source of time."""

    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class JumpThreshold:
    """How far time must jump for a callback to be called."""

    def __init__(self, *, min_forward: Duration | None, min_backward: Duration | None,
                 on_clock_change: bool = True) -> None:
        """Set thresholds.

        Args:
            min_forward: Smallest jump forwards, positive; None for none.
            min_backward: Smallest jump backwards, negative; None for none.
            on_clock_change: Also when simulated time is switched on or off.

        Raises:
            ValueError: A threshold of the wrong sign or zero, or none at all.
        """
        if min_forward is not None and min_forward.nanoseconds <= 0:
            raise ValueError('min_forward must be positive')
        if min_backward is not None and min_backward.nanoseconds >= 0:
            raise ValueError('min_backward must be negative')
        if min_forward is None and min_backward is None and not on_clock_change:
            raise ValueError('at least one threshold is needed')
        self.min_forward = min_forward
        self.min_backward = min_backward
        self.on_clock_change = on_clock_change

    def _exceeded(self, change: ClockChange, delta: int) -> bool:
        if change in (ClockChange.ROS_TIME_ACTIVATED, ClockChange.ROS_TIME_DEACTIVATED):
            return self.on_clock_change
        return ((self.min_forward is not None and delta >= self.min_forward.nanoseconds)
                or (self.min_backward is not None and delta <= self.min_backward.nanoseconds))


class TimeJump:
    """A jump of time."""

    def __init__(self, clock_change: ClockChange, delta: Duration) -> None:
        if not isinstance(clock_change, ClockChange):
            raise TypeError('clock_change must be a ClockChange')
        self._clock_change = clock_change
        self._delta = delta

    @property
    def clock_change(self) -> ClockChange:
        """Whether the source of time changed, and how."""
        return self._clock_change

    @property
    def delta(self) -> Duration:
        """How far time jumped."""
        return self._delta


class JumpHandle:
    """A registered pair of jump callbacks; registered until `unregister`."""

    def __init__(self, *, clock: Clock, threshold: JumpThreshold,
                 pre_callback: Callable[[], Any] | None,
                 post_callback: Callable[[TimeJump], Any] | None) -> None:
        """Register callbacks; use `Clock.create_jump_callback`.

        Raises:
            ValueError: No callback, or one that cannot be called.
        """
        if pre_callback is None and post_callback is None:
            raise ValueError('pre_callback or post_callback is needed')
        if pre_callback is not None and not callable(pre_callback):
            raise ValueError('pre_callback cannot be called')
        if post_callback is not None and not callable(post_callback):
            raise ValueError('post_callback cannot be called')
        self._clock: Clock | None = clock
        self._threshold = threshold
        self._pre_callback = pre_callback
        self._post_callback = post_callback
        clock._jump_handles.append(self)

    def unregister(self) -> None:
        """Remove the callbacks from the clock; twice does no harm."""
        if self._clock is not None:
            if self in self._clock._jump_handles:
                self._clock._jump_handles.remove(self)
            self._clock = None

    def __enter__(self) -> JumpHandle:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.unregister()


class Clock:
    """A clock; asked for ROS time, a `ROSClock` is made."""

    _clock_type: ClockType
    _jump_handles: list[JumpHandle]
    _timers: weakref.WeakSet[Timer]
    _changed: threading.Condition

    def __new__(cls, *, clock_type: ClockType = ClockType.SYSTEM_TIME) -> Clock:
        """Make a clock of the given kind."""
        if not isinstance(clock_type, ClockType):
            raise TypeError('clock_type must be a ClockType')
        ros = clock_type is ClockType.ROS_TIME
        self = super().__new__(ROSClock if ros else cls)
        self._clock_type = clock_type
        self._jump_handles = []
        self._timers = weakref.WeakSet()
        self._changed = threading.Condition()
        if isinstance(self, ROSClock):
            self._simulated = False
            self._simulated_ns = 0
        return self

    @property
    def clock_type(self) -> ClockType:
        """What the clock measures."""
        return self._clock_type

    def __repr__(self) -> str:
        return f'Clock(clock_type={self._clock_type.name})'

    def _now_ns(self) -> int:
        return (_time.monotonic_ns() if self._clock_type is ClockType.STEADY_TIME
                else _time.time_ns())

    def _wall_ns_until(self, when_ns: int) -> int | None:
        """Nanoseconds of real time until a time of this clock, None if nobody knows."""
        return when_ns - self._now_ns()

    def now(self) -> Time:
        """Return the present time."""
        return Time(nanoseconds=self._now_ns(), clock_type=self._clock_type)

    def create_jump_callback(self, threshold: JumpThreshold, *,
                             pre_callback: Callable[[], Any] | None = None,
                             post_callback: Callable[[TimeJump], Any] | None = None,
                             ) -> JumpHandle:
        """Have callbacks called before and after jumps of time that exceed a threshold.

        They must be quick and not block; if one raises, later ones are not called.
        """
        return JumpHandle(clock=self, threshold=threshold, pre_callback=pre_callback,
                          post_callback=post_callback)

    def sleep_until(self, until: Time, context: Context | None = None) -> bool:
        """Sleep until a time of this clock.

        Returns:
            Whether the time was reached; False if the context was shut down or simulated time was
            switched on or off meanwhile.

        Raises:
            NotInitializedException: The context is not initialized or shut down.
            ValueError: `until` is a time of another kind of clock.
        """
        context = get_default_context() if context is None else context
        if not context.ok():
            raise NotInitializedException()
        if until.clock_type != self._clock_type:
            raise ValueError(f'{until} is no time of {self}')
        changed = []

        def on_jump(jump: TimeJump) -> None:
            if jump.clock_change in (ClockChange.ROS_TIME_ACTIVATED,
                                     ClockChange.ROS_TIME_DEACTIVATED):
                changed.append(jump)

        threshold = JumpThreshold(min_forward=None, min_backward=None, on_clock_change=True)
        context._add_waker(self._wake_sleepers)
        try:
            with self.create_jump_callback(threshold, post_callback=on_jump), self._changed:
                while context.ok() and not changed and self._now_ns() < until.nanoseconds:
                    wait = self._wall_ns_until(until.nanoseconds)
                    self._changed.wait(None if wait is None else min(max(wait, 0) / 1e9, 3600.0))
        finally:
            context._remove_waker(self._wake_sleepers)
        return not changed and self._now_ns() >= until.nanoseconds

    def sleep_for(self, rel_time: Duration, context: Context | None = None) -> bool:
        """Sleep for a span of this clock's time; see `sleep_until`."""
        return self.sleep_until(self.now() + rel_time, context)

    def _wake_sleepers(self) -> None:
        with self._changed:
            self._changed.notify_all()


class ROSClock(Clock):
    """System time, or simulated time from the topic /clock."""

    _simulated: bool
    _simulated_ns: int

    def __new__(cls) -> ROSClock:
        """Make a clock of ROS time."""
        made = Clock.__new__(Clock, clock_type=ClockType.ROS_TIME)
        assert isinstance(made, ROSClock)
        return made

    @property
    def ros_time_is_active(self) -> bool:
        """Whether time is simulated."""
        return self._simulated

    def _now_ns(self) -> int:
        return self._simulated_ns if self._simulated else _time.time_ns()

    def _wall_ns_until(self, when_ns: int) -> int | None:
        return None if self._simulated else when_ns - _time.time_ns()

    def _set_ros_time_is_active(self, enabled: bool) -> None:
        if enabled == self._simulated:
            return
        change = ClockChange.ROS_TIME_ACTIVATED if enabled else ClockChange.ROS_TIME_DEACTIVATED

        def switch() -> None:
            self._simulated = enabled

        self._jump(change, 0, switch)

    def set_ros_time_override(self, time: Time) -> None:
        """Set the time that this clock shows while time is simulated.

        Raises:
            TypeError: Not an rclpy Time.
        """
        if not isinstance(time, Time):
            raise TypeError(f'an rclpy.time.Time is needed, not {type(time)}')

        def move() -> None:
            self._simulated_ns = time.nanoseconds

        if self._simulated:
            self._jump(ClockChange.ROS_TIME_NO_CHANGE,
                       time.nanoseconds - self._simulated_ns, move)
        else:
            move()

    def _jump(self, change: ClockChange, delta: int, apply: Callable[[], None]) -> None:
        concerned = [handle for handle in list(self._jump_handles)
                     if handle._threshold._exceeded(change, delta)]
        with self._changed:
            timers = list(self._timers)
        for handle in concerned:
            if handle._pre_callback is not None:
                handle._pre_callback()
        for timer in timers:
            timer._before_jump(change)
        apply()
        try:
            for timer in timers:
                timer._after_jump(change)
            for handle in concerned:
                if handle._post_callback is not None:
                    handle._post_callback(TimeJump(change, Duration(nanoseconds=delta)))
        finally:
            self._wake_sleepers()
