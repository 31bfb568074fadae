# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes, topics, services, the graph and logging of the embedded rclpy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from builtin_interfaces.msg import Time as TimeMsg  # noqa: E402
from rcl_interfaces.msg import Log  # noqa: E402
from rcl_interfaces.srv import GetLoggerLevels, SetLoggerLevels  # noqa: E402
from rclpy._rclpy_pybind11 import NodeNameNonExistentError, RCLError  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from rclpy.exceptions import (  # noqa: E402
    InvalidHandle,
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
    NotInitializedException,
)
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.logging import LoggingSeverity, clear_config, get_logger  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from rclpy.wait_for_message import wait_for_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402

PATIENCE = 20.0


@pytest.fixture
def ros(ros_domain: int) -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()
    clear_config()


@pytest.fixture
def node(ros: None) -> Iterator[Node]:
    made = rclpy.create_node('talker', namespace='/ns')
    yield made
    made.destroy_node()


def spin_until(done: Callable[[], bool], *nodes: Node) -> bool:
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    for node in nodes:
        executor.remove_node(node)
    return done()


def test_a_context_begins_and_ends_once(ros_domain: int) -> None:
    context = rclpy.Context()
    assert not context.ok()
    with pytest.raises(NotInitializedException):
        rclpy.create_node('early', context=context)
    with pytest.raises(RuntimeError):
        context.shutdown()
    context.try_shutdown()
    rclpy.init(args=[], context=context)
    assert context.ok() and context.get_domain_id() == ros_domain
    with pytest.raises(RuntimeError):
        rclpy.init(args=[], context=context)
    ended: list[int] = []
    context.on_shutdown(lambda: ended.append(1))
    node = rclpy.create_node('n', context=context)
    publisher = node.create_publisher(String, 'x', 1)
    rclpy.shutdown(context=context)
    assert ended == [1] and not context.ok()
    with pytest.raises(RCLError):
        publisher.publish(String())
    with pytest.raises(RuntimeError):
        rclpy.shutdown(context=context)
    context.try_shutdown()
    context.on_shutdown(lambda: ended.append(2))
    assert ended == [1, 2]
    node.destroy_node()
    with pytest.raises(RuntimeError):
        rclpy.init(args=[], context=rclpy.Context(), domain_id=-1)
    # the default context can be used again
    for _ in range(2):
        rclpy.init(args=[])
        assert rclpy.ok()
        rclpy.shutdown()
        assert not rclpy.ok()


def test_names_follow_namespace_and_rules(ros_domain: int) -> None:
    rclpy.init(args=['prog', '--ros-args', '-r', '__ns:=/robot', '-r', 'in:=/cam/image',
                     '-r', 'arm:__node:=left_arm', '-r', '~/out:=result', '-r', 'serve:=/s'])
    arm = rclpy.create_node('arm')
    assert arm.get_fully_qualified_name() == '/robot/left_arm'
    assert arm.resolve_topic_name('in') == '/cam/image'
    assert arm.resolve_topic_name('in', only_expand=True) == '/robot/in'
    assert arm.resolve_service_name('serve') == '/s'
    assert arm.create_publisher(String, '~/out', 1).topic_name == '/robot/result'
    assert arm.create_service(Trigger, 'serve', print).service_name == '/s'
    own = rclpy.create_node('arm', namespace='base', cli_args=['-r', 'in:=/own'],
                            use_global_arguments=False)
    assert own.get_fully_qualified_name() == '/base/arm'
    assert own.resolve_topic_name('in') == '/own'
    assert own.get_logger().name == 'base.arm'
    for name, error in (('a b', InvalidNodeNameException), ('', InvalidNodeNameException)):
        with pytest.raises(error):
            rclpy.create_node(name)
    with pytest.raises(InvalidNamespaceException):
        rclpy.create_node('a', namespace='b c')
    with pytest.raises(InvalidTopicNameException):
        own.create_publisher(String, 'a b', 1)
    with pytest.raises(InvalidTopicNameException):
        own.create_subscription(String, '1a', print, 1)
    with pytest.raises(InvalidServiceNameException):
        own.create_client(Trigger, 'a//b')
    with pytest.raises(InvalidServiceNameException):
        own.create_service(Trigger, 'a-b', print)
    arm.destroy_node()
    own.destroy_node()
    rclpy.shutdown()


def test_wrong_arguments_are_refused(node: Node) -> None:
    with pytest.raises(RuntimeError):
        node.create_publisher(Trigger, 'x', 1)
    with pytest.raises(RuntimeError):
        node.create_service(String, 'x', print)
    with pytest.raises(AttributeError):
        node.create_publisher(str, 'x', 1)
    with pytest.raises(ValueError):
        node.create_publisher(String, 'x', -1)
    with pytest.raises(TypeError):
        node.create_subscription(String, 'x', print, '1')  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        node.create_subscription(String, 'x', lambda: None, 1)
    with pytest.raises(RCLError):
        node.create_timer(-1.0, print)
    publisher = node.create_publisher(String, 'x', 1)
    with pytest.raises(TypeError):
        publisher.publish('text')
    client = node.create_client(Trigger, 'x')
    with pytest.raises(TypeError):
        client.call_async(SetBool.Request())
    with pytest.raises(NotImplementedError, match='configure_introspection'):
        client.configure_introspection(None, None, None)
    from rclpy.action import ActionClient

    with pytest.raises(NotImplementedError, match='ActionClient'):
        ActionClient(node, None, 'x')


def test_messages_bytes_and_message_info(node: Node) -> None:
    got: list[Any] = []
    node.create_subscription(String, 'words', lambda m, info: got.append((m.data, info)), 10)
    node.create_subscription(String, 'words', lambda data: got.append(data), 10, raw=True)
    publisher = node.create_publisher(String, 'words', 10)
    assert spin_until(lambda: publisher.get_subscription_count() == 2, node)
    before = time.time_ns()
    publisher.publish(String(data='héllo'))
    publisher.publish(serialize_message(String(data='again')))
    assert publisher.wait_for_all_acked(Duration(seconds=PATIENCE))
    assert spin_until(lambda: len(got) == 4, node)
    infos = [entry for entry in got if isinstance(entry, tuple)]
    assert [text for text, _ in infos] == ['héllo', 'again']
    assert before <= infos[0][1]['source_timestamp'] <= infos[0][1]['received_timestamp']
    raw = [entry for entry in got if isinstance(entry, bytes)]
    assert [deserialize_message(data, String).data for data in raw] == ['héllo', 'again']


def test_large_images_pass_unchanged(node: Node) -> None:
    got: list[Any] = []
    node.create_subscription(Image, 'image', got.append, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    publisher = node.create_publisher(Image, 'image', 1)
    pixels = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    image = Image(height=1080, width=1920, encoding='rgb8', step=5760, data=pixels.reshape(-1))
    assert spin_until(lambda: publisher.get_subscription_count() == 1, node)
    publisher.publish(image)
    assert spin_until(lambda: bool(got), node)
    assert got[0] == image


def test_garbage_on_a_topic_is_dropped_with_a_warning(
        node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    got: list[Any] = []
    node.create_subscription(String, 'words', got.append, 10)
    publisher = node.create_publisher(String, 'words', 10)
    assert spin_until(lambda: publisher.get_subscription_count() == 1, node)
    publisher.publish(b'\x00\x01\x00\x00\xff\xff\xff\x7f')
    publisher.publish(String(data='fine'))
    assert spin_until(lambda: bool(got), node)
    assert [message.data for message in got] == ['fine']
    assert '/ns/words was dropped' in capfd.readouterr().err


def test_what_was_destroyed_cannot_be_used(node: Node) -> None:
    publisher = node.create_publisher(String, 'x', 1)
    subscription = node.create_subscription(String, 'x', print, 1)
    service = node.create_service(Trigger, 's', print)
    client = node.create_client(Trigger, 's')
    assert node.destroy_publisher(publisher) and not node.destroy_publisher(publisher)
    assert node.destroy_subscription(subscription)
    assert node.destroy_service(service) and node.destroy_client(client)
    for use in (lambda: publisher.publish(String()), publisher.get_subscription_count,
                subscription.get_publisher_count, client.service_is_ready,
                lambda: service.service_name, subscription.destroy):
        with pytest.raises(InvalidHandle):
            use()
    assert node.count_publishers('x') == 0
    node.destroy_node()
    node.destroy_node()
    with pytest.raises(InvalidHandle):
        node.create_publisher(String, 'x', 1)
    assert not list(node.publishers) and not list(node.services) and not list(node.timers)


def test_services_answer_and_time_out(node: Node) -> None:
    def switch(request: Any, response: Any) -> Any:
        response.success, response.message = request.data, f'set to {request.data}'
        return response

    # the default keeps the last ten requests that wait to be taken
    many = QoSProfile(depth=100)
    client = node.create_client(SetBool, '~/switch', qos_profile=many)
    assert not client.service_is_ready() and not client.wait_for_service(0.05)
    node.create_service(SetBool, '~/switch', switch, qos_profile=many)
    assert client.wait_for_service(PATIENCE)
    futures = [client.call_async(SetBool.Request(data=bool(index % 2))) for index in range(40)]
    assert spin_until(lambda: all(future.done() for future in futures), node)
    assert [future.result().success for future in futures] == [
        bool(index % 2) for index in range(40)]
    assert not client._pending_requests
    # nobody spins: no answer comes
    assert client.call(SetBool.Request(), timeout_sec=0.1) is None
    forgotten = client.call_async(SetBool.Request())
    client.remove_pending_request(forgotten)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.01)
    assert not forgotten.done()


def test_each_client_gets_its_own_answers(node: Node) -> None:
    other = rclpy.create_node('asker')
    many = QoSProfile(depth=100)
    clients = [maker.create_client(SetBool, '/echo', qos_profile=many)
               for maker in (node, other, other)]

    def echo(request: Any, response: Any) -> Any:
        response.success = request.data
        return response

    node.create_service(SetBool, '/echo', echo, qos_profile=many)
    assert all(client.wait_for_service(PATIENCE) for client in clients)
    futures = [(data, client.call_async(SetBool.Request(data=data)))
               for client, data in zip(clients * 5, [True, False, True] * 5, strict=True)]
    assert spin_until(lambda: all(future.done() for _, future in futures), node, other)
    assert all(future.result().success is data for data, future in futures)
    other.destroy_node()


def test_a_service_must_return_its_response(node: Node) -> None:
    node.create_service(Trigger, 'bad', lambda request, response: None)
    client = node.create_client(Trigger, 'bad')
    assert client.wait_for_service(PATIENCE)
    client.call_async(Trigger.Request())
    with pytest.raises(TypeError, match='Trigger'):
        spin_until(lambda: False, node)


def test_the_graph_shows_nodes_topics_and_services(node: Node) -> None:
    other = rclpy.create_node('listener')
    node.create_publisher(String, 'words', QoSProfile(
        depth=4, reliability=ReliabilityPolicy.BEST_EFFORT))
    other.create_subscription(String, '/ns/words', print, QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    node.create_service(Trigger, '~/go', print)
    other.create_client(Trigger, '/ns/talker/go')
    assert other.wait_for_node('/ns/talker', PATIENCE)
    assert not other.wait_for_node('nobody', 0.05)
    assert {'/ns/talker', '/listener'} <= set(other.get_fully_qualified_node_names())
    assert ('talker', '/ns') in other.get_node_names_and_namespaces()
    assert ('/ns/words', ['std_msgs/msg/String']) in other.get_topic_names_and_types()
    assert any(name == 'rt/ns/words' and types == ['std_msgs::msg::dds_::String_']
               for name, types in other.get_topic_names_and_types(no_demangle=True))
    services = dict(other.get_service_names_and_types())
    assert services['/ns/talker/go'] == ['std_srvs/srv/Trigger']
    assert services['/ns/talker/get_parameters'] == ['rcl_interfaces/srv/GetParameters']
    assert node.count_publishers('words') == 1 == node.count_subscribers('/ns/words')
    assert node.count_services('~/go') == 1 == node.count_clients('~/go')
    info = other.get_publishers_info_by_topic('/ns/words')[0]
    assert (info.node_name, info.node_namespace, info.topic_type) == (
        'talker', '/ns', 'std_msgs/msg/String')
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    # the hash that every ROS 2 since Iron gives std_msgs/String
    assert str(info.topic_type_hash) == (
        'RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18')
    assert len(info.endpoint_gid) == 16 and 'BEST_EFFORT' in str(info)
    by_node = dict(other.get_publisher_names_and_types_by_node('talker', '/ns'))
    assert {'/ns/words', '/rosout', '/parameter_events'} <= set(by_node)
    assert dict(other.get_subscriber_names_and_types_by_node('listener', '/'))['/ns/words']
    assert '/ns/talker/go' in dict(other.get_service_names_and_types_by_node('talker', '/ns'))
    assert '/ns/talker/go' in dict(other.get_client_names_and_types_by_node('listener', '/'))
    with pytest.raises(NodeNameNonExistentError):
        other.get_publisher_names_and_types_by_node('nobody', '/')
    node.destroy_node()
    assert '/ns/talker' not in other.get_fully_qualified_node_names()
    other.destroy_node()


def test_two_nodes_of_one_name_live_side_by_side(node: Node) -> None:
    twin = rclpy.create_node('talker', namespace='/ns')
    node.create_publisher(String, 'first', 1)
    twin.create_publisher(String, 'second', 1)
    other = rclpy.create_node('looker')

    def topics() -> set[str]:
        return {name for name, _ in other.get_publisher_names_and_types_by_node('talker', '/ns')}

    assert {'/ns/first', '/ns/second'} <= topics()
    twin.destroy_node()
    assert '/ns/first' in topics() and '/ns/second' not in topics()
    other.destroy_node()


def test_waiting_for_one_message(node: Node) -> None:
    publisher = node.create_publisher(TimeMsg, 'once', 1)
    assert wait_for_message(TimeMsg, node, 'once', time_to_wait=0.05) == (False, None)
    stop = threading.Event()

    def publish() -> None:
        while not stop.wait(0.02):
            publisher.publish(TimeMsg(sec=3))

    thread = threading.Thread(target=publish)
    thread.start()
    found, message = wait_for_message(TimeMsg, node, 'once', time_to_wait=PATIENCE)
    stop.set()
    thread.join()
    assert found and message.sec == 3
    assert node.count_subscribers('once') == 0


def test_logs_go_to_the_console_by_level(ros: None, capfd: pytest.CaptureFixture[str],
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    logger = get_logger('app')
    child = logger.get_child('part')
    assert not logger.debug('hidden') and logger.info('shown')
    child.set_level(LoggingSeverity.ERROR)
    assert not child.warning('quiet') and child.fatal('loud')
    assert child.get_effective_level() == LoggingSeverity.ERROR
    assert get_logger('app.part').get_effective_level() == LoggingSeverity.ERROR
    assert logger.is_enabled_for(LoggingSeverity.INFO)
    text = capfd.readouterr().err
    assert '[INFO] [' in text and '[app]: shown' in text and '[app.part]: loud' in text
    assert 'hidden' not in text and 'quiet' not in text and '\033' not in text
    monkeypatch.setenv('RCUTILS_CONSOLE_OUTPUT_FORMAT', '{name}|{message}|{function_name}|{odd}')
    monkeypatch.setenv('RCUTILS_COLORIZED_OUTPUT', '1')
    logger.error('red')
    assert capfd.readouterr().err == (
        '\033[31mapp|red|test_logs_go_to_the_console_by_level|{odd}\033[0m\n')
    with pytest.raises(ValueError):
        get_logger('')
    with pytest.raises(ValueError):
        logger.set_level(17)


def test_log_filters(capfd: pytest.CaptureFixture[str]) -> None:
    logger = get_logger('filtered')
    assert [logger.info('a', once=True) for _ in range(3)] == [True, False, False]
    assert [logger.info('b', skip_first=True) for _ in range(3)] == [False, True, True]
    passed = [logger.info('c', throttle_duration_sec=0.2) for _ in range(50)]
    assert passed == [True] + [False] * 49
    for _ in range(2):
        # each place counts for itself
        logger.info('d', once=True)
    assert capfd.readouterr().err.count(': d') == 1
    with pytest.raises(TypeError):
        logger.info('x', twice=True)
    with pytest.raises(TypeError):
        logger.info('x', throttle_time_source_type=rclpy.clock.Clock())
    with pytest.raises(ValueError):
        for severity in (LoggingSeverity.INFO, LoggingSeverity.WARN):
            logger.log('x', severity, once=True)
    # one place, one severity: also without a filter
    with pytest.raises(ValueError):
        for severity in (LoggingSeverity.INFO, LoggingSeverity.WARN):
            logger.log('x', severity)


def test_logs_are_published_on_rosout(node: Node) -> None:
    node.get_logger().warning('before anybody listens')
    node.get_logger().get_child('part').error('from a part')
    other = rclpy.create_node('reader', enable_rosout=False)
    got: list[Any] = []
    from rclpy.qos import DurabilityPolicy

    other.create_subscription(Log, '/rosout', got.append, QoSProfile(
        depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    assert spin_until(lambda: len(got) >= 2, other)
    assert [(log.name, log.level, log.msg) for log in got] == [
        ('ns.talker', 30, 'before anybody listens'), ('ns.talker.part', 40, 'from a part')]
    assert got[0].function == 'test_logs_are_published_on_rosout' and got[0].line > 0
    assert got[0].file.endswith('test_embedded_rclpy.py') and got[0].stamp.sec > 10 ** 9
    other.destroy_node()


def test_log_levels_can_be_set_by_others(ros: None) -> None:
    node = rclpy.create_node('open', enable_logger_service=True)
    setter = node.create_client(SetLoggerLevels, '~/set_logger_levels')
    getter = node.create_client(GetLoggerLevels, '~/get_logger_levels')
    from rcl_interfaces.msg import LoggerLevel

    assert setter.wait_for_service(PATIENCE) and getter.wait_for_service(PATIENCE)
    future = setter.call_async(SetLoggerLevels.Request(levels=[
        LoggerLevel(name='open', level=10), LoggerLevel(name='open', level=11)]))
    assert spin_until(future.done, node)
    assert [result.successful for result in future.result().results] == [True, False]
    assert node.get_logger().get_effective_level() == LoggingSeverity.DEBUG
    future = getter.call_async(GetLoggerLevels.Request(names=['open', 'none']))
    assert spin_until(future.done, node)
    assert [level.level for level in future.result().levels] == [10, 0]
    node.destroy_node()
