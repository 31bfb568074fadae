# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Times, durations, clocks, jumps, timers and rates of the embedded rclpy."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from builtin_interfaces.msg import Time as TimeMsg  # noqa: E402
from rclpy.clock import (  # noqa: E402
    Clock,
    ClockChange,
    ClockType,
    JumpThreshold,
    ROSClock,
    TimeJump,
)
from rclpy.duration import Duration, Infinite  # noqa: E402
from rclpy.exceptions import InvalidHandle, ROSInterruptException  # noqa: E402
from rclpy.executors import (  # noqa: E402
    ExternalShutdownException,
    SingleThreadedExecutor,
)
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock as ClockMsg  # noqa: E402

NANOSECONDS = st.integers(0, 2 ** 62)


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    rclpy.init(args=[])
    made = rclpy.create_node('timed', start_parameter_services=False)
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


@given(NANOSECONDS, NANOSECONDS)
def test_times_differ_by_durations(first: int, second: int) -> None:
    a, b = Time(nanoseconds=first), Time(nanoseconds=second)
    assert (a - b).nanoseconds == first - second
    assert b + (a - b) == a
    assert (a < b, a <= b, a == b, a > b, a >= b) == (
        first < second, first <= second, first == second, first > second, first >= second)


@given(NANOSECONDS)
def test_times_survive_messages(nanoseconds: int) -> None:
    # the message has 31 bits of seconds
    moment = Time(nanoseconds=nanoseconds % (2 ** 31 * 10 ** 9), clock_type=ClockType.ROS_TIME)
    assert Time.from_msg(moment.to_msg()) == moment
    assert Time.from_msg(moment.to_msg()).clock_type is ClockType.ROS_TIME


@given(st.integers(-2 ** 31 * 10 ** 9, 2 ** 31 * 10 ** 9 - 1))
def test_durations_survive_messages(nanoseconds: int) -> None:
    span = Duration(nanoseconds=nanoseconds)
    assert Duration.from_msg(span.to_msg()) == span
    assert 0 <= span.to_msg().nanosec < 10 ** 9


def test_times_of_other_clocks_do_not_mix() -> None:
    system, ros = Time(seconds=1), Time(seconds=1, clock_type=ClockType.ROS_TIME)
    for mixed in (lambda: system - ros, lambda: system < ros, lambda: system == ros,
                  lambda: system != ros):
        with pytest.raises(TypeError):
            mixed()
    assert system != 'one second'
    with pytest.raises(TypeError):
        Time(clock_type='ROS_TIME')  # type: ignore[arg-type]


def test_times_out_of_range_are_refused() -> None:
    for wrong in ({'seconds': -1}, {'nanoseconds': -1}):
        with pytest.raises(ValueError):
            Time(**wrong)
    with pytest.raises(OverflowError):
        Time(nanoseconds=2 ** 63)
    with pytest.raises(ValueError):
        Time(seconds=1) - Duration(seconds=2)
    with pytest.raises(OverflowError):
        Duration(nanoseconds=2 ** 63)
    with pytest.raises(TypeError):
        Time.from_msg(Duration(seconds=1))
    with pytest.raises(TypeError):
        Duration.from_msg(TimeMsg())
    assert str(Infinite) == 'Infinite'


def test_a_clock_of_ros_time_is_a_ros_clock() -> None:
    assert isinstance(Clock(clock_type=ClockType.ROS_TIME), ROSClock)
    assert Clock().clock_type is ClockType.SYSTEM_TIME
    steady = Clock(clock_type=ClockType.STEADY_TIME)
    assert abs(steady.now().nanoseconds - time.monotonic_ns()) < 10 ** 9
    assert ROSClock().now().clock_type is ClockType.ROS_TIME
    with pytest.raises(TypeError):
        Clock(clock_type=1)  # type: ignore[arg-type]


def test_jumps_are_told_when_they_exceed_a_threshold() -> None:
    clock = ROSClock()
    clock._set_ros_time_is_active(True)
    clock.set_ros_time_override(Time(seconds=10, clock_type=ClockType.ROS_TIME))
    told: list[tuple[str, int]] = []

    def after(jump: TimeJump) -> None:
        told.append((jump.clock_change.name, jump.delta.nanoseconds))

    threshold = JumpThreshold(min_forward=Duration(seconds=2), min_backward=Duration(seconds=-1))
    before: list[int] = []
    with clock.create_jump_callback(
            threshold, pre_callback=lambda: before.append(clock.now().nanoseconds),
            post_callback=after):
        for seconds in (11, 13, 12.5, 3):
            clock.set_ros_time_override(Time(seconds=seconds, clock_type=ClockType.ROS_TIME))
        clock._set_ros_time_is_active(False)
    clock.set_ros_time_override(Time(seconds=50, clock_type=ClockType.ROS_TIME))
    assert told == [('ROS_TIME_NO_CHANGE', 2 * 10 ** 9), ('ROS_TIME_NO_CHANGE', -95 * 10 ** 8),
                    ('ROS_TIME_DEACTIVATED', 0)]
    # the callback before a jump still sees the old time
    assert before == [11 * 10 ** 9, 125 * 10 ** 8, 3 * 10 ** 9]


def test_thresholds_have_a_sign() -> None:
    for wrong in ({'min_forward': Duration(seconds=-1), 'min_backward': None},
                  {'min_forward': None, 'min_backward': Duration(seconds=1)},
                  {'min_forward': None, 'min_backward': None, 'on_clock_change': False}):
        with pytest.raises(ValueError):
            JumpThreshold(**wrong)  # type: ignore[arg-type]
    threshold = JumpThreshold(min_forward=None, min_backward=None)
    with pytest.raises(ValueError):
        ROSClock().create_jump_callback(threshold)
    with pytest.raises(ValueError):
        ROSClock().create_jump_callback(threshold, post_callback=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        TimeJump(3, Duration())  # type: ignore[arg-type]
    assert ClockChange.ROS_TIME_ACTIVATED == 2


def test_sleeping_ends_in_time_and_at_shutdown(node: Node) -> None:
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    start = time.monotonic()
    assert clock.sleep_for(Duration(seconds=0.05))
    # never early; late as busy machines are
    assert 0.05 <= time.monotonic() - start < 5
    with pytest.raises(ValueError):
        clock.sleep_until(Time(seconds=1, clock_type=ClockType.ROS_TIME))
    threading.Timer(0.1, rclpy.try_shutdown).start()
    assert not clock.sleep_for(Duration(seconds=30), node.context)
    assert time.monotonic() - start < 10


def test_simulated_sleep_follows_the_simulated_clock(node: Node) -> None:
    clock = ROSClock()
    clock._set_ros_time_is_active(True)
    clock.set_ros_time_override(Time(seconds=5, clock_type=ClockType.ROS_TIME))
    results: list[bool] = []

    def sleep() -> None:
        results.append(clock.sleep_until(Time(seconds=8, clock_type=ClockType.ROS_TIME),
                                         node.context))

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    clock.set_ros_time_override(Time(seconds=7, clock_type=ClockType.ROS_TIME))
    sleeper.join(0.2)
    assert sleeper.is_alive()
    clock.set_ros_time_override(Time(seconds=9, clock_type=ClockType.ROS_TIME))
    sleeper.join(10)
    assert results == [True]
    sleeper = threading.Thread(target=lambda: results.append(clock.sleep_for(
        Duration(seconds=100), node.context)))
    sleeper.start()
    while not clock._jump_handles:
        time.sleep(0.01)
    clock._set_ros_time_is_active(False)
    sleeper.join(10)
    assert results == [True, False]


def test_a_timer_keeps_its_rhythm_and_can_be_stopped(node: Node) -> None:
    calls: list[float] = []
    timer = node.create_timer(0.05, lambda: calls.append(time.monotonic()))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    start = time.monotonic()
    while len(calls) < 10 and time.monotonic() - start < 20:
        executor.spin_once(timeout_sec=1)
    elapsed = time.monotonic() - start
    # never faster than asked for; the upper bound is for busy machines
    assert 0.49 <= elapsed < 5
    timer.cancel()
    assert timer.is_canceled() and not timer.is_ready()
    assert timer.time_until_next_call() is None
    count = len(calls)
    executor.spin_once(timeout_sec=0.15)
    assert len(calls) == count
    timer.reset()
    executor.spin_once(timeout_sec=5)
    assert len(calls) == count + 1
    timer.timer_period_ns = 10 ** 9
    assert timer.timer_period_ns == 10 ** 9
    assert node.destroy_timer(timer) and not node.destroy_timer(timer)
    with pytest.raises(InvalidHandle):
        timer.reset()


def test_a_timer_skips_calls_that_are_past(node: Node) -> None:
    calls: list[int] = []
    node.create_timer(0.02, lambda: calls.append(1))
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    # fifteen periods: one call is due, not fifteen
    time.sleep(0.3)
    executor.spin_once(timeout_sec=0)
    executor.spin_once(timeout_sec=0)
    assert len(calls) <= 2
    late = node.create_timer(0.01, lambda: calls.append(2), autostart=False)
    time.sleep(0.05)
    assert late.is_canceled()


def test_simulated_time_comes_from_the_topic_clock(node: Node) -> None:
    other = rclpy.create_node('simulator')
    publisher = other.create_publisher(ClockMsg, '/clock', 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    calls: list[int] = []
    assert not node.get_parameter('use_sim_time').value
    assert abs(node.get_clock().now().nanoseconds - time.time_ns()) < 10 ** 10
    assert node.set_parameters([Parameter('use_sim_time', value=True)])[0].successful
    node.create_timer(1.0, lambda: calls.append(node.get_clock().now().nanoseconds))
    assert node.get_clock().now().nanoseconds == 0
    assert not node.set_parameters([Parameter('use_sim_time', value=3)])[0].successful

    def show(seconds: float) -> None:
        moment = Time(seconds=seconds).to_msg()
        end = time.monotonic() + 10
        while node.get_clock().now().nanoseconds != seconds * 10 ** 9:
            assert time.monotonic() < end
            publisher.publish(ClockMsg(clock=moment))
            executor.spin_once(timeout_sec=0.05)
        for _ in range(5):
            executor.spin_once(timeout_sec=0)

    show(100.0)
    show(100.5)
    first = len(calls)
    show(101.5)
    assert len(calls) == first + 1
    assert calls[-1] == 1015 * 10 ** 8
    # time goes back (a bag starts over): the timer goes on from there
    show(20.0)
    show(21.5)
    assert calls[-1] == 215 * 10 ** 8
    node.set_parameters([Parameter('use_sim_time', value=False)])
    assert abs(node.get_clock().now().nanoseconds - time.time_ns()) < 10 ** 10
    assert node.count_subscribers('/clock') == 0
    other.destroy_node()


def test_a_rate_sleeps_until_shutdown(node: Node) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    rate = node.create_rate(50)
    with pytest.raises(ValueError):
        node.create_rate(0)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    spinner = threading.Thread(target=spin)
    spinner.start()
    start = time.monotonic()
    for _ in range(5):
        rate.sleep()
    # five ticks of 20 ms, the first of which may be due at once
    assert 0.07 < time.monotonic() - start < 5
    node.destroy_rate(rate)
    with pytest.raises(RuntimeError):
        rate.sleep()
    slow = node.create_rate(0.01)
    threading.Timer(0.1, rclpy.try_shutdown).start()
    with pytest.raises(ROSInterruptException):
        slow.sleep()
    spinner.join(10)
    assert not spinner.is_alive()
