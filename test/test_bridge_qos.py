# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: profiles, override parameters, and mismatches told by name, over DDS."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from instructsam_ros.bridge.qos import (
    command_qos,
    input_qos,
    publisher_options,
    result_qos,
    status_qos,
    subscription_options,
)

import rclpy  # isort: skip
from rclpy.executors import SingleThreadedExecutor  # isort: skip
from rclpy.parameter import Parameter  # isort: skip
from rclpy.qos import QoSProfile, qos_profile_sensor_data  # isort: skip
from std_msgs.msg import String  # isort: skip


@pytest.fixture
def context(ros_domain: int) -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def spin(node: rclpy.node.Node, done: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Spin until it is done; the limit is for a busy machine."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    executor.remove_node(node)
    return done()


def words(qos: QoSProfile) -> tuple[str, str, str, int]:
    return qos.reliability.name, qos.durability.name, qos.history.name, qos.depth


def test_profiles() -> None:
    assert words(input_qos()) == words(qos_profile_sensor_data)
    assert words(command_qos()) == ('RELIABLE', 'VOLATILE', 'KEEP_LAST', 10)
    assert words(result_qos(2)) == ('RELIABLE', 'VOLATILE', 'KEEP_LAST', 2)
    assert words(status_qos()) == ('RELIABLE', 'TRANSIENT_LOCAL', 'KEEP_LAST', 1)
    # rclpy writes overrides into them
    assert input_qos() is not input_qos()


def test_overrides_by_parameter(context: rclpy.Context) -> None:
    overrides = {
        'qos_overrides./picture.subscription.reliability': 'reliable',
        'qos_overrides./picture.subscription.depth': 17,
        'qos_overrides./answer.publisher.durability': 'transient_local'}
    node = rclpy.create_node('seer', context=context, parameter_overrides=[
        Parameter(name, value=value) for name, value in overrides.items()])
    subscription = node.create_subscription(
        String, 'picture', lambda _: None, **subscription_options(node, 'picture', input_qos()))
    publisher = node.create_publisher(
        String, 'answer', **publisher_options(node, 'answer', result_qos()))
    assert words(subscription.qos_profile) == ('RELIABLE', 'VOLATILE', 'KEEP_LAST', 17)
    assert words(publisher.qos_profile) == ('RELIABLE', 'TRANSIENT_LOCAL', 'KEEP_LAST', 5)
    # each can be seen, and was not changed where nothing was given
    assert node.get_parameter('qos_overrides./picture.subscription.durability').value == 'volatile'
    # a second time, as when a lifecycle node is configured again
    node.destroy_subscription(subscription)
    again = node.create_subscription(
        String, 'picture', lambda _: None, **subscription_options(node, 'picture', input_qos()))
    assert again.qos_profile.depth == 17


def test_a_publisher_that_cannot_be_heard_is_named(context: rclpy.Context,
                                                   capfd: pytest.CaptureFixture[str]) -> None:
    camera = rclpy.create_node('camera', namespace='/robot', context=context)
    camera.create_publisher(String, '/picture', qos_profile_sensor_data)
    node = rclpy.create_node('seer', context=context, cli_args=[
        '--ros-args', '-r', 'image:=/picture'])
    node.create_subscription(
        String, 'image', lambda _: None, **subscription_options(node, 'image', command_qos()))
    seen = ['']

    def told() -> bool:
        seen[0] += capfd.readouterr().err
        return 'qos_overrides' in seen[0]

    assert spin(node, told), seen[0]
    text = next(line for line in seen[0].splitlines() if 'qos_overrides' in line)
    assert 'on /picture: reliability differs' in text
    assert 'this node asks for reliable' in text
    assert text.endswith('qos_overrides./picture.subscription.reliability: best_effort')
    assert '/robot/camera offers best_effort' in text or 'a publisher offers another' in text


def test_the_mend_that_is_told_mends(context: rclpy.Context) -> None:
    camera = rclpy.create_node('camera', context=context)
    publisher = camera.create_publisher(String, '/picture', qos_profile_sensor_data)
    node = rclpy.create_node('seer', context=context, parameter_overrides=[
        Parameter('qos_overrides./picture.subscription.reliability', value='best_effort')])
    heard = []
    node.create_subscription(
        String, 'picture', heard.append, **subscription_options(node, 'picture', command_qos()))

    def sent() -> bool:
        publisher.publish(String(data='x'))
        return bool(heard)

    assert spin(node, sent)


def test_a_subscription_that_cannot_be_served_is_named_and_not_every_time(
        context: rclpy.Context, capfd: pytest.CaptureFixture[str]) -> None:
    node = rclpy.create_node('seer', context=context)
    node.create_publisher(String, 'answer', **publisher_options(node, 'answer', result_qos()))
    robot = rclpy.create_node('robot', context=context)
    seen = ['']

    def told() -> bool:
        seen[0] += capfd.readouterr().err
        return 'qos_overrides' in seen[0]

    robot.create_subscription(String, 'answer', lambda _: None, status_qos())
    assert spin(node, told), seen[0]
    assert 'durability differs, this node offers volatile' in seen[0]
    assert 'qos_overrides./answer.publisher.durability: transient_local' in seen[0]
    robot.create_subscription(String, 'answer', lambda _: None, status_qos())
    # long enough for the second event; it is reported ten seconds later at the earliest
    spin(node, lambda: False, 1.0)
    told()
    assert seen[0].count('durability differs') == 1


def test_default_inputs_hear_every_publisher_and_say_nothing(
        context: rclpy.Context, capfd: pytest.CaptureFixture[str]) -> None:
    camera = rclpy.create_node('camera', context=context)
    publishers = [camera.create_publisher(String, 'picture', qos)
                  for qos in (qos_profile_sensor_data, status_qos(), command_qos())]
    node = rclpy.create_node('seer', context=context)
    heard: set[str] = set()
    node.create_subscription(String, 'picture', lambda one: heard.add(one.data),
                             **subscription_options(node, 'picture', input_qos()))

    turns = itertools.cycle(enumerate(publishers))

    def sent() -> bool:
        # one at a time: spinning once takes one
        number, publisher = next(turns)
        publisher.publish(String(data=str(number)))
        return len(heard) == len(publishers)

    assert spin(node, sent)
    assert 'incompatible' not in capfd.readouterr().err
