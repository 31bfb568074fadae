# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded tf2_ros over DDS: broadcasters, listeners, the frames service, simulated time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import yaml

from instructsam_ros.bridge.poses import stamped_transform
from instructsam_ros.embedded import is_installed

import rclpy  # isort: skip
from geometry_msgs.msg import TransformStamped  # isort: skip
from rclpy.duration import Duration  # isort: skip
from rclpy.executors import SingleThreadedExecutor  # isort: skip
from rclpy.time import Time  # isort: skip
from tf2_ros import (  # isort: skip
    Buffer,
    StaticTransformBroadcaster,
    TransformBroadcaster,
    TransformListener,
)

pytestmark = pytest.mark.skipif(not is_installed(), reason='an installed ROS 2 is in use')


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


def link(parent: str, child: str, seconds: float = 0.0,
         xyz: tuple[float, ...] = (0.0, 0.0, 0.0)) -> TransformStamped:
    matrix = np.eye(4)
    matrix[:3, 3] = xyz
    return stamped_transform(matrix, parent, child, at(seconds).to_msg())


def shift(found: TransformStamped) -> tuple[float, float, float]:
    translation = found.transform.translation
    return translation.x, translation.y, translation.z


@pytest.fixture
def context(ros_domain: int) -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def spin_until(executor: SingleThreadedExecutor, done: Callable[[], bool],
               seconds: float = 20.0) -> None:
    """Spin until it is done; the limit is for a busy machine."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, 'nothing came'
        executor.spin_once(timeout_sec=0.05)


def test_broadcasters_reach_listeners_also_late_ones(context: rclpy.Context) -> None:
    robot = rclpy.create_node('robot', context=context)
    StaticTransformBroadcaster(robot).sendTransform(
        [link('base', 'camera', 0.0, (0, 0, 1)), link('base', 'lidar', 0.0, (1, 0, 0))])
    moving = TransformBroadcaster(robot)
    node = rclpy.create_node('listener', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    buffer = Buffer()
    listener = TransformListener(buffer, node)
    # only now, after both static transforms were sent
    spin_until(executor, lambda: buffer.can_transform('lidar', 'camera', Time()))

    def moved() -> bool:
        moving.sendTransform(link('map', 'base', 7.0, (3, 0, 0)))
        return buffer.can_transform('map', 'camera', Time())

    spin_until(executor, moved)
    assert shift(buffer.lookup_transform('map', 'camera', at(7.0))) == (3.0, 0.0, 1.0)
    listener.unregister()
    assert node.count_subscribers('/tf') == 0


def test_a_static_broadcaster_sends_all_it_ever_sent(context: rclpy.Context) -> None:
    robot = rclpy.create_node('robot', context=context)
    broadcaster = StaticTransformBroadcaster(robot)
    broadcaster.sendTransform(link('base', 'camera', 0.0, (0, 0, 1)))
    broadcaster.sendTransform(link('base', 'lidar'))
    broadcaster.sendTransform(link('base', 'camera', 0.0, (0, 0, 2)))
    children = [one.child_frame_id for one in broadcaster.net_message.transforms]
    assert children == ['camera', 'lidar']
    # the first of a child stays, as in Jazzy
    assert broadcaster.net_message.transforms[0].transform.translation.z == 1.0


def test_topics_and_their_qos(context: rclpy.Context) -> None:
    node = rclpy.create_node('robot', context=context)
    keep = [TransformBroadcaster(node), StaticTransformBroadcaster(node),
            TransformListener(Buffer(), node)]
    expected = {
        '/tf': ('VOLATILE', 100, 100), '/tf_static': ('TRANSIENT_LOCAL', 1, 100)}
    for publisher, subscription, topic in (
            (keep[0].pub_tf, keep[2].tf_sub, '/tf'),
            (keep[1].pub_tf, keep[2].tf_static_sub, '/tf_static')):
        durability, publishes, listens = expected[topic]
        assert publisher.topic_name == topic == subscription.topic_name
        for end, depth in ((publisher, publishes), (subscription, listens)):
            qos = end.qos_profile
            assert (qos.durability.name, qos.depth, qos.reliability.name) == (
                durability, depth, 'RELIABLE')


def test_a_listener_with_its_own_thread(context: rclpy.Context) -> None:
    robot = rclpy.create_node('robot', context=context)
    node = rclpy.create_node('listener', context=context)
    buffer = Buffer()
    listener = TransformListener(buffer, node, spin_thread=True)
    StaticTransformBroadcaster(robot).sendTransform(link('base', 'camera', 0.0, (0, 0, 1)))
    # nobody spins here; the limit is for a busy machine
    assert buffer.can_transform('base', 'camera', Time(), Duration(seconds=20))
    rclpy.shutdown(context=context)
    listener.dedicated_listener_thread.join(timeout=20)
    assert not listener.dedicated_listener_thread.is_alive()


def test_the_frames_service(context: rclpy.Context) -> None:
    frame_graph = pytest.importorskip('tf2_msgs.srv', reason='no FrameGraph').FrameGraph
    node = rclpy.create_node('listener', context=context)
    buffer = Buffer(node=node)
    buffer.set_transform(link('map', 'base', 1.0), 'test')
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = node.create_client(frame_graph, 'tf2_frames')
    spin_until(executor, client.service_is_ready)
    future = client.call_async(frame_graph.Request())
    spin_until(executor, future.done)
    assert yaml.safe_load(future.result().frame_yaml)['base']['parent'] == 'map'


def test_time_that_jumps_back_clears_the_buffer(context: rclpy.Context,
                                                capfd: pytest.CaptureFixture[str]) -> None:
    from rclpy.clock import ClockType, ROSClock
    from rclpy.parameter import Parameter
    from rosgraph_msgs.msg import Clock as ClockMessage

    node = rclpy.create_node('listener', context=context, parameter_overrides=[
        Parameter('use_sim_time', value=True)])
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    buffer = Buffer(node=node)
    assert isinstance(buffer.clock, ROSClock) and buffer.clock.clock_type == ClockType.ROS_TIME
    sender = rclpy.create_node('clock', context=context).create_publisher(
        ClockMessage, '/clock', 10)

    def time_is(seconds: float) -> Callable[[], bool]:
        def check() -> bool:
            sender.publish(ClockMessage(clock=at(seconds).to_msg()))
            return node.get_clock().now().nanoseconds == at(seconds).nanoseconds
        return check

    spin_until(executor, time_is(100.0))
    buffer.set_transform(link('map', 'base', 100.0), 'test')
    spin_until(executor, time_is(101.0))
    assert buffer.can_transform('map', 'base', at(100.0))
    spin_until(executor, time_is(10.0))
    assert not buffer.can_transform('map', 'base', at(100.0))
    assert 'jumped back' in capfd.readouterr().err
