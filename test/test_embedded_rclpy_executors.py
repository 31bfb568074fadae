# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Executors, tasks, callback groups and guard conditions of the embedded rclpy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from rclpy.callback_groups import (  # noqa: E402
    CallbackGroup,
    MutuallyExclusiveCallbackGroup,
    ReentrantCallbackGroup,
)
from rclpy.exceptions import InvalidHandle  # noqa: E402
from rclpy.executors import (  # noqa: E402
    Executor,
    ExternalShutdownException,
    MultiThreadedExecutor,
    SingleThreadedExecutor,
)
from rclpy.node import Node  # noqa: E402
from rclpy.task import Future  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

# Long enough for a machine whose processors are all taken.
PATIENCE = 20.0


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    rclpy.init(args=[])
    made = rclpy.create_node('worker', start_parameter_services=False, enable_rosout=False)
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


@pytest.fixture(params=[SingleThreadedExecutor, lambda: MultiThreadedExecutor(4)],
                ids=['one thread', 'four threads'])
def executor(request: pytest.FixtureRequest, node: Node) -> Iterator[Executor]:
    made = request.param()
    made.add_node(node)
    yield made
    made.shutdown()


def spin_until(executor: Executor, done: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    return done()


def test_every_message_is_delivered_once_and_in_order(executor: Executor, node: Node) -> None:
    got: list[int] = []
    node.create_subscription(String, 'numbers', lambda m: got.append(int(m.data)), 500)
    publisher = node.create_publisher(String, 'numbers', 500)
    assert spin_until(executor, lambda: publisher.get_subscription_count() == 1)
    for number in range(300):
        publisher.publish(String(data=str(number)))
    assert spin_until(executor, lambda: len(got) == 300)
    assert got == list(range(300))


def test_spin_once_waits_no_longer_than_told(executor: Executor) -> None:
    start = time.monotonic()
    executor.spin_once(timeout_sec=0)
    executor.spin_once(timeout_sec=0.2)
    # the first does not wait; the second waits its time, as nothing is to do
    assert 0.19 < time.monotonic() - start < PATIENCE


def test_tasks_give_results_and_run_coroutines(executor: Executor) -> None:
    first = Future()

    async def add(a: int, *, b: int) -> int:
        return a + b + await first

    task = executor.create_task(add, 1, b=2)
    plain = executor.create_task(lambda text: text.upper(), 'x')
    assert spin_until(executor, plain.done) and plain.result() == 'X'
    assert not task.done()
    first.set_result(40)
    executor.spin_until_future_complete(task, PATIENCE)
    assert task.result() == 43
    assert first.done() and not first.cancelled()


def test_a_waiting_coroutine_costs_nothing(executor: Executor) -> None:
    async def wait_for(future: Future) -> Any:
        return await future

    never = Future()
    task = executor.create_task(wait_for, never)
    executor.spin_once(timeout_sec=0.1)
    start = time.thread_time(), time.process_time()
    executor.spin_once(timeout_sec=0.5)
    # a polling loop would take all of the half second
    assert time.process_time() - start[1] < 0.25
    never.set_result(1)
    assert spin_until(executor, task.done)


def test_a_service_callback_may_be_a_coroutine(executor: Executor, node: Node) -> None:
    group = ReentrantCallbackGroup()
    inner = node.create_client(Trigger, 'inner', callback_group=group)

    async def outer(request: Any, response: Any) -> Any:
        answer = await inner.call_async(Trigger.Request())
        response.message = f'outer {answer.message}'
        return response

    def answer(request: Any, response: Any) -> Any:
        response.message = 'inner'
        return response

    node.create_service(Trigger, 'inner', answer, callback_group=group)
    node.create_service(Trigger, 'outer', outer, callback_group=group)
    client = node.create_client(Trigger, 'outer', callback_group=group)
    assert client.wait_for_service(PATIENCE) and inner.wait_for_service(PATIENCE)
    future = client.call_async(Trigger.Request())
    executor.spin_until_future_complete(future, PATIENCE)
    assert future.result().message == 'outer inner'


def test_what_a_callback_raises_comes_out_of_spin(executor: Executor, node: Node) -> None:
    def fail() -> None:
        raise ValueError('in a timer')

    timer = node.create_timer(0.01, fail)
    with pytest.raises(ValueError, match='in a timer'):
        spin_until(executor, lambda: False)
    node.destroy_timer(timer)

    def exit_now() -> None:
        raise SystemExit(3)

    node.create_guard_condition(exit_now).trigger()
    with pytest.raises(SystemExit):
        spin_until(executor, lambda: False)


def test_nodes_come_and_go(executor: Executor, node: Node) -> None:
    assert not executor.add_node(node)
    assert executor.get_nodes() == [node] and node.executor is executor
    calls: list[int] = []
    node.create_timer(0.01, lambda: calls.append(1))
    assert spin_until(executor, lambda: len(calls) > 2)
    executor.remove_node(node)
    executor.spin_once(timeout_sec=0.05)
    # one that had begun may still end
    count = len(calls)
    executor.spin_once(timeout_sec=0.2)
    assert len(calls) - count <= 1
    other = SingleThreadedExecutor()
    other.add_node(node)
    assert node.executor is other
    assert spin_until(other, lambda: len(calls) > count + 2)
    other.shutdown()


def test_a_guard_condition_counts_triggers_as_one(executor: Executor, node: Node) -> None:
    calls: list[int] = []
    guard = node.create_guard_condition(lambda: calls.append(1))
    guard.trigger()
    guard.trigger()
    assert spin_until(executor, lambda: bool(calls))
    executor.spin_once(timeout_sec=0.05)
    assert calls == [1]
    assert node.destroy_guard_condition(guard)
    with pytest.raises(InvalidHandle):
        guard.trigger()


def run(executor: Executor) -> threading.Thread:
    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            ended.append(True)

    ended: list[bool] = []
    thread = threading.Thread(target=spin)
    thread.start()
    return thread


class Meter:
    """How many callbacks run at once."""

    def __init__(self) -> None:
        self.now = self.most = self.calls = 0
        self.lock = threading.Lock()

    def __call__(self, *ignored: Any) -> None:
        with self.lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)
        time.sleep(0.05)
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize(('group', 'least', 'most'), [
    (ReentrantCallbackGroup, 2, 4), (MutuallyExclusiveCallbackGroup, 1, 1)])
def test_groups_say_what_runs_in_parallel(
        node: Node, group: type[CallbackGroup], least: int, most: int) -> None:
    executor = MultiThreadedExecutor(4)
    executor.add_node(node)
    meter, shared = Meter(), group()
    for _ in range(3):
        node.create_timer(0.01, meter, shared)
    node.create_subscription(String, 'work', meter, 100, callback_group=shared)
    publisher = node.create_publisher(String, 'work', 100)
    thread = run(executor)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and (meter.calls < 20 or meter.most < least):
        publisher.publish(String(data='x'))
        time.sleep(0.02)
    assert executor.shutdown(PATIENCE)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert least <= meter.most <= most
    assert meter.now == 0


def test_two_exclusive_groups_run_side_by_side(node: Node) -> None:
    """A callback that blocks in one group keeps no other group waiting."""
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)
    entered, release = threading.Event(), threading.Event()

    def block() -> None:
        entered.set()
        release.wait(PATIENCE)

    blocker = node.create_timer(0.01, block, MutuallyExclusiveCallbackGroup())
    other = Meter()
    node.create_timer(0.01, other, MutuallyExclusiveCallbackGroup())
    thread = run(executor)
    assert entered.wait(PATIENCE)
    end = time.monotonic() + PATIENCE
    while other.calls < 5 and time.monotonic() < end:
        time.sleep(0.01)
    assert other.calls >= 5
    blocker.cancel()
    # shutdown does not wait longer than told for what still runs
    assert not executor.shutdown(0.1)
    release.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_blocking_call_from_a_callback_works_across_groups(node: Node) -> None:
    executor = MultiThreadedExecutor(3)
    executor.add_node(node)
    own = MutuallyExclusiveCallbackGroup()

    def answer(request: Any, response: Any) -> Any:
        response.success = True
        return response

    node.create_service(Trigger, 'serve', answer)
    client = node.create_client(Trigger, 'serve', callback_group=own)
    results: list[Any] = []

    def ask() -> None:
        results.append(client.call(Trigger.Request(), timeout_sec=PATIENCE))

    thread = run(executor)
    assert client.wait_for_service(PATIENCE)
    node.create_guard_condition(ask, MutuallyExclusiveCallbackGroup()).trigger()
    end = time.monotonic() + PATIENCE
    while not results and time.monotonic() < end:
        time.sleep(0.01)
    assert results[0].success
    executor.shutdown()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize('make', [SingleThreadedExecutor, lambda: MultiThreadedExecutor(2)])
def test_idle_spinning_takes_no_processor_time(node: Node, make: Callable[[], Executor]) -> None:
    executor = make()
    executor.add_node(node)
    node.create_timer(30.0, print)
    thread = run(executor)
    time.sleep(0.2)
    start = time.process_time()
    time.sleep(1.0)
    used = time.process_time() - start
    executor.shutdown()
    thread.join(PATIENCE)
    # discovery has a little to do now and then; polling would take a tenth of a second and more
    assert used < 0.08


def test_shutdown_from_a_callback_ends_spinning(executor: Executor, node: Node) -> None:
    node.create_timer(0.01, lambda: executor.shutdown())
    executor.spin()
    assert executor.get_nodes() == []


def test_the_end_of_the_context_ends_spinning(node: Node) -> None:
    single, multi = SingleThreadedExecutor(), MultiThreadedExecutor(2)
    single.add_node(node)
    threading.Timer(0.1, rclpy.try_shutdown).start()
    with pytest.raises(ExternalShutdownException):
        single.spin()
    # with several threads rclpy returns instead
    multi.spin()
    assert not rclpy.ok()


def test_futures_call_back_and_keep_exceptions() -> None:
    future = Future()
    seen: list[Any] = []
    future.add_done_callback(seen.append)
    future.set_result(3)
    assert seen == [future] and future.result() == 3
    future.add_done_callback(seen.append)
    assert seen == [future, future]
    failed = Future()
    failed.set_exception(KeyError('x'))
    with pytest.raises(KeyError):
        failed.result()
    assert isinstance(failed.exception(), KeyError)
    cancelled = Future()
    cancelled.add_done_callback(seen.append)
    cancelled.cancel()
    assert cancelled.cancelled() and not cancelled.done() and len(seen) == 3


def test_spin_until_future_complete_gives_up_in_time(node: Node) -> None:
    start = time.monotonic()
    rclpy.spin_until_future_complete(node, Future(), timeout_sec=0.2)
    assert 0.19 < time.monotonic() - start < PATIENCE
    done = Future()
    threading.Timer(0.1, lambda: done.set_result(1)).start()
    rclpy.spin_until_future_complete(node, done, timeout_sec=PATIENCE)
    assert done.result() == 1 and node.executor is not None


def test_callbacks_come_soon(node: Node) -> None:
    """From publish to callback within one process; the median shows it also on a busy machine."""
    delays: list[float] = []
    node.create_subscription(
        String, 'stamped', lambda m: delays.append(time.perf_counter() - float(m.data)), 10)
    publisher = node.create_publisher(String, 'stamped', 10)
    executor = MultiThreadedExecutor(2)
    executor.add_node(node)
    thread = run(executor)
    while not publisher.get_subscription_count():
        time.sleep(0.01)
    for _ in range(100):
        publisher.publish(String(data=repr(time.perf_counter())))
        time.sleep(0.005)
    executor.shutdown()
    thread.join(PATIENCE)
    # 2 ms are wanted on a quiet machine; training jobs beside the tests take slices of 4 ms
    assert sorted(delays)[len(delays) // 2] < 0.02
