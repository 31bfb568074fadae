# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Managed nodes of the embedded rclpy: transitions, errors, publishers, services."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from lifecycle_msgs.msg import Transition, TransitionEvent  # noqa: E402
from lifecycle_msgs.srv import (  # noqa: E402
    ChangeState,
    GetAvailableStates,
    GetAvailableTransitions,
    GetState,
)
from rclpy._rclpy_pybind11 import RCLError  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import (  # noqa: E402
    LifecycleNode,
    LifecyclePublisher,
    SimpleManagedEntity,
    State,
    TransitionCallbackReturn,
)
from std_msgs.msg import String  # noqa: E402

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR)


class Managed(LifecycleNode):
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, name: str = 'managed', **kwargs: Any) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, Any] = {}
        super().__init__(name, **kwargs)

    def _answer(self, name: str, state: State) -> TransitionCallbackReturn:
        self.asked.append((name, state.label))
        answer = self.answers.get(name, SUCCESS)
        if isinstance(answer, Exception):
            raise answer
        if answer is not SUCCESS:
            return answer  # type: ignore[no-any-return]
        return getattr(super(), name)(state)  # type: ignore[no-any-return]

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        return self._answer('on_configure', state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        return self._answer('on_cleanup', state)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        return self._answer('on_activate', state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        return self._answer('on_deactivate', state)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        return self._answer('on_shutdown', state)

    def on_error(self, state: State) -> TransitionCallbackReturn:
        return self._answer('on_error', state)

    @property
    def state(self) -> str:
        return str(self._state_machine.current_state.label)


@pytest.fixture
def node(ros_domain: int) -> Iterator[Managed]:
    rclpy.init(args=[])
    made = Managed()
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def test_the_way_there_and_back(node: Managed) -> None:
    assert node.state == 'unconfigured'
    for trigger, state in ((node.trigger_configure, 'inactive'), (node.trigger_activate, 'active'),
                           (node.trigger_deactivate, 'inactive'),
                           (node.trigger_cleanup, 'unconfigured'),
                           (node.trigger_shutdown, 'finalized')):
        assert trigger() is SUCCESS
        assert node.state == state
    assert node.asked == [
        ('on_configure', 'unconfigured'), ('on_activate', 'inactive'), ('on_deactivate', 'active'),
        ('on_cleanup', 'inactive'), ('on_shutdown', 'unconfigured')]
    with pytest.raises(RCLError):
        node.trigger_shutdown()


def test_impossible_transitions_are_refused_and_change_nothing(node: Managed) -> None:
    for trigger in (node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup):
        with pytest.raises(RCLError, match='unconfigured'):
            trigger()
    assert node.state == 'unconfigured' and node.asked == []


@pytest.mark.parametrize(('answer', 'recovery', 'state'), [
    (FAILURE, SUCCESS, 'unconfigured'), (ERROR, SUCCESS, 'unconfigured'),
    (ERROR, FAILURE, 'finalized'), (ERROR, ERROR, 'finalized'),
    (RuntimeError('no model'), SUCCESS, 'unconfigured'),
    (RuntimeError('no model'), RuntimeError('nor this'), 'finalized'),
    ('not an answer', SUCCESS, 'unconfigured')])
def test_failures_and_errors_of_configuring(node: Managed, answer: Any, recovery: Any,
                                            state: str) -> None:
    node.answers = {'on_configure': answer, 'on_error': recovery}
    result = node.trigger_configure()
    assert result is (FAILURE if answer is FAILURE else ERROR)
    assert node.state == state
    recovered = ('on_error', 'unconfigured') in node.asked
    assert recovered is (answer is not FAILURE)


def test_failures_of_the_other_transitions(node: Managed) -> None:
    node.trigger_configure()
    node.answers = dict.fromkeys(('on_activate', 'on_cleanup', 'on_deactivate'), FAILURE)
    assert node.trigger_activate() is FAILURE and node.state == 'inactive'
    assert node.trigger_cleanup() is FAILURE and node.state == 'inactive'
    node.answers.pop('on_activate')
    node.trigger_activate()
    assert node.trigger_deactivate() is FAILURE and node.state == 'active'
    node.answers = {'on_deactivate': ERROR}
    assert node.trigger_deactivate() is ERROR and node.state == 'unconfigured'
    node.answers = {'on_shutdown': FAILURE}
    assert node.trigger_shutdown() is FAILURE and node.state == 'finalized'


def test_an_error_is_logged_with_its_cause(node: Managed,
                                           capfd: pytest.CaptureFixture[str]) -> None:
    node.answers = {'on_configure': RuntimeError('no model here')}
    node.trigger_configure()
    assert 'no model here' in capfd.readouterr().err


def test_publishers_are_silent_until_active(node: Managed) -> None:
    publisher = node.create_lifecycle_publisher(String, 'out', 10)
    assert isinstance(publisher, LifecyclePublisher)
    got: list[str] = []
    node.create_subscription(String, 'out', lambda m: got.append(m.data), 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + 20
    while not publisher.get_subscription_count() and time.monotonic() < end:
        time.sleep(0.01)

    def publish(text: str) -> None:
        publisher.publish(String(data=text))
        for _ in range(3):
            executor.spin_once(timeout_sec=0.05)

    publish('too early')
    node.trigger_configure()
    publish('still too early')
    node.trigger_activate()
    assert publisher.is_activated
    while 'now' not in got and time.monotonic() < end:
        publish('now')
    node.trigger_deactivate()
    count = len(got)
    publish('too late')
    assert set(got) == {'now'} and len(got) == count
    assert node.destroy_lifecycle_publisher(publisher)
    with pytest.raises(TypeError):
        node.create_lifecycle_publisher(String, 'x', 1, publisher_class=LifecyclePublisher)


def test_managed_entities_follow(node: Managed) -> None:
    class Device(SimpleManagedEntity):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[str] = []

        def on_configure(self, state: State) -> TransitionCallbackReturn:
            self.calls.append('configure')
            return FAILURE if len(self.calls) == 1 else SUCCESS

        @SimpleManagedEntity.when_enabled
        def work(self) -> None:
            self.calls.append('work')

        @SimpleManagedEntity.when_enabled(when_not_enabled=lambda: asleep.append(1))
        def hard_work(self) -> None:
            self.calls.append('hard')

    asleep: list[int] = []
    device = Device()
    node.add_managed_entity(device)
    assert node.trigger_configure() is FAILURE and node.state == 'unconfigured'
    assert node.trigger_configure() is SUCCESS
    device.work()
    device.hard_work()
    node.trigger_activate()
    device.work()
    device.hard_work()
    assert device.calls == ['configure', 'configure', 'work', 'hard'] and asleep == [1]
    with pytest.raises(TypeError):
        node.add_managed_entity('device')  # type: ignore[arg-type]


def test_others_see_and_change_the_state(node: Managed) -> None:
    other = rclpy.create_node('manager', start_parameter_services=False)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(other)
    events: list[tuple[str, str]] = []
    other.create_subscription(
        TransitionEvent, '/managed/transition_event',
        lambda m: events.append((m.start_state.label, m.goal_state.label)), 10)
    clients = {name: other.create_client(kind, f'/managed/{name}') for name, kind in (
        ('change_state', ChangeState), ('get_state', GetState),
        ('get_available_states', GetAvailableStates),
        ('get_available_transitions', GetAvailableTransitions),
        ('get_transition_graph', GetAvailableTransitions))}

    def call(name: str, **fields: Any) -> Any:
        client = clients[name]
        assert client.wait_for_service(20)
        future = client.call_async(client.srv_type.Request(**fields))
        executor.spin_until_future_complete(future, 20)
        assert future.done()
        return future.result()

    assert call('get_state').current_state.label == 'unconfigured'
    configure = Transition(id=Transition.TRANSITION_CONFIGURE)
    assert call('change_state', transition=configure).success
    assert call('get_state').current_state.id == 2
    # refused, and the node lives on
    assert not call('change_state', transition=configure).success
    assert not call('change_state', transition=Transition(label='fly')).success
    assert call('change_state', transition=Transition(label='activate')).success
    assert node.state == 'active'
    labels = {one.transition.label for one in call('get_available_transitions')
              .available_transitions}
    assert labels == {'deactivate', 'shutdown'}
    states = call('get_available_states').available_states
    assert [state.label for state in states] == [
        'unknown', 'unconfigured', 'inactive', 'active', 'finalized', 'configuring', 'cleaningup',
        'shuttingdown', 'activating', 'deactivating', 'errorprocessing']
    graph = call('get_transition_graph').available_transitions
    assert len(graph) == 7 + 6 * 3
    assert len({one.transition.id for one in graph}) == len(graph)
    end = time.monotonic() + 20
    while len(events) < 4 and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.1)
    assert events == [('unconfigured', 'configuring'), ('configuring', 'inactive'),
                      ('inactive', 'activating'), ('activating', 'active')]
    other.destroy_node()


def test_the_state_can_be_seen_during_a_transition(node: Managed) -> None:
    entered, release = threading.Event(), threading.Event()
    seen: list[str] = []

    class Slow(SimpleManagedEntity):
        def on_configure(self, state: State) -> TransitionCallbackReturn:
            entered.set()
            release.wait(20)
            return SUCCESS

    node.add_managed_entity(Slow())
    worker = threading.Thread(target=node.trigger_configure)
    worker.start()
    assert entered.wait(20)
    seen.append(node.state)
    with pytest.raises(RCLError, match='configuring'):
        node.trigger_configure()
    release.set()
    worker.join(20)
    assert seen == ['configuring'] and node.state == 'inactive'


def test_without_services_it_works_alone(ros_domain: int) -> None:
    rclpy.init(args=[])
    quiet = Managed('quiet', enable_communication_interface=False, start_parameter_services=False)
    assert not any('change_state' in service.srv_name for service in quiet.services)
    assert quiet.trigger_configure() is SUCCESS
    quiet.destroy_node()
    rclpy.shutdown()
