# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""QoS profiles, which of them connect, and what is told when they do not."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from rclpy.duration import Duration, Infinite  # noqa: E402
from rclpy.event_handler import (  # noqa: E402
    PublisherEventCallbacks,
    SubscriptionEventCallbacks,
)
from rclpy.exceptions import InvalidParameterTypeException  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    HistoryPolicy,
    InvalidQoSProfileException,
    LivelinessPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSPresetProfiles,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_policy_name_from_kind,
)
from rclpy.qos_overriding_options import (  # noqa: E402
    InvalidQosOverridesError,
    QoSOverridingOptions,
)
from std_msgs.msg import String  # noqa: E402


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    rclpy.init(args=[])
    made = rclpy.create_node('qos', start_parameter_services=False)
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def wait(node: Node, done: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Spin until something is so; ten seconds are for a busy machine."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
    executor.remove_node(node)
    return done()


def test_a_profile_needs_history_or_depth() -> None:
    assert QoSProfile(depth=3).history == HistoryPolicy.KEEP_LAST
    assert QoSProfile(history=HistoryPolicy.KEEP_ALL).depth == 10
    assert QoSProfile(history=1, depth=2) == QoSProfile(depth=2)
    for wrong in ({}, {'history': HistoryPolicy.KEEP_LAST}):
        with pytest.raises(InvalidQoSProfileException):
            QoSProfile(**wrong)
    for wrong in ({'depth': 1, 'colour': 2}, {'depth': '1'}, {'depth': 1, 'deadline': 3},
                  {'depth': 1, 'avoid_ros_namespace_conventions': 1}):
        with pytest.raises(AssertionError):
            QoSProfile(**wrong)
    with pytest.raises(ValueError):
        QoSProfile(depth=1, reliability=77)
    with pytest.warns(UserWarning, match='zero'):
        QoSProfile(depth=0)


def test_presets_have_ros_values() -> None:
    sensor = QoSPresetProfiles.SENSOR_DATA.value
    assert (sensor.reliability, sensor.durability, sensor.depth) == (
        ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 5)
    assert QoSPresetProfiles.get_from_short_key('parameters').depth == 1000
    assert QoSPresetProfiles.DEFAULT.value == QoSProfile(depth=10)
    assert QoSPresetProfiles.SERVICES_DEFAULT.value.depth == 10
    assert ReliabilityPolicy.get_from_short_key('best_effort') == 2
    assert DurabilityPolicy.TRANSIENT_LOCAL.short_key == 'transient_local'
    assert 'keep_all' in HistoryPolicy.short_keys()
    assert qos_policy_name_from_kind(16) == 'RELIABILITY'
    assert 'depth=10' in str(QoSProfile(depth=10))


POLICIES: list[dict[str, Any]] = [
    {}, {'reliability': ReliabilityPolicy.BEST_EFFORT},
    {'durability': DurabilityPolicy.TRANSIENT_LOCAL},
    {'deadline': Duration(seconds=1)}, {'deadline': Duration(seconds=9)},
    {'liveliness': LivelinessPolicy.MANUAL_BY_TOPIC,
     'liveliness_lease_duration': Duration(seconds=1)},
    {'liveliness_lease_duration': Duration(seconds=5)},
]
# by policy of the subscription, the publishers' policies that do not fit it
MISMATCHES: dict[int, set[int]] = {
    0: {1}, 1: set(), 2: {0, 1, 3, 4, 5, 6}, 3: {0, 1, 2, 4, 5, 6},
    4: {0, 1, 2, 5, 6}, 5: {0, 1, 2, 3, 4, 6}, 6: {0, 1, 2, 3, 4}}


def fits(offered: int, requested: int) -> bool:
    return offered not in MISMATCHES[requested]


def profile(number: int) -> QoSProfile:
    return QoSProfile(depth=1, **{'liveliness': LivelinessPolicy.AUTOMATIC, **POLICIES[number]})


def test_the_rules_of_compatibility() -> None:
    for offered, requested in itertools.product(range(len(POLICIES)), repeat=2):
        compatibility, reason = qos_check_compatible(
            profile(offered), profile(requested))
        expected = fits(offered, requested)
        assert (compatibility == QoSCompatibility.OK) == expected, (offered, requested, reason)
        assert bool(reason) != expected
    unsure, _ = qos_check_compatible(
        QoSProfile(depth=1, reliability=ReliabilityPolicy.SYSTEM_DEFAULT), profile(0))
    assert unsure == QoSCompatibility.WARNING
    # the default leaves liveliness to the middleware, so nothing is certain
    assert qos_check_compatible(QoSProfile(depth=1), QoSProfile(depth=1))[0] == (
        QoSCompatibility.WARNING)


def test_real_endpoints_connect_by_the_same_rules(node: Node) -> None:
    """Every pair of profiles over DDS: matched, or told as incompatible on both sides."""
    pairs: list[tuple[int, int, Any, Any, list[Any], list[Any]]] = []
    for offered, requested in itertools.product(range(len(POLICIES)), repeat=2):
        told_publisher: list[Any] = []
        told_subscription: list[Any] = []
        topic = f'pair_{offered}_{requested}'
        publisher = node.create_publisher(
            String, topic, profile(offered),
            event_callbacks=PublisherEventCallbacks(incompatible_qos=told_publisher.append))
        subscription = node.create_subscription(
            String, topic, print, profile(requested),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=told_subscription.append))
        pairs.append((offered, requested, publisher, subscription, told_publisher,
                      told_subscription))
    assert wait(node, lambda: all(
        publisher.get_subscription_count() if fits(offered, requested) else
        (told and told_too) for offered, requested, publisher, _, told, told_too in pairs))
    kinds = {1: QoSPolicyKind.RELIABILITY}
    for offered, requested, publisher, subscription, told, told_too in pairs:
        if fits(offered, requested):
            assert (publisher.get_subscription_count(), subscription.get_publisher_count(),
                    told, told_too) == (1, 1, [], [])
        else:
            assert publisher.get_subscription_count() == subscription.get_publisher_count() == 0
            assert told[0].total_count == told_too[0].total_count == 1
            assert told[0].last_policy_kind == told_too[0].last_policy_kind
            assert told[0].last_policy_kind != QoSPolicyKind.INVALID
            if requested == 0:
                assert told[0].last_policy_kind == kinds[offered]


def test_a_mismatch_is_logged_by_default(node: Node, capfd: pytest.CaptureFixture[str]) -> None:
    node.create_publisher(String, 'camera', QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    node.create_subscription(String, 'camera', print, 1)
    seen: list[str] = []

    def logged() -> bool:
        seen.append(capfd.readouterr().err)
        return ''.join(seen).count('RELIABILITY') == 2

    assert wait(node, logged)
    text = ''.join(seen)
    assert text.count('[WARN]') == 2 and text.count("'/camera'") == 2


def test_late_subscriptions_get_what_was_kept(node: Node) -> None:
    kept = QoSProfile(depth=2, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = node.create_publisher(String, 'state', kept)
    for text in ('one', 'two', 'three'):
        publisher.publish(String(data=text))
    got: list[str] = []
    volatile: list[str] = []
    node.create_subscription(String, 'state', lambda m: got.append(m.data), kept)
    node.create_subscription(String, 'state', lambda m: volatile.append(m.data), 10)
    assert wait(node, lambda: len(got) >= 2)
    assert wait(node, lambda: publisher.get_subscription_count() == 2)
    publisher.publish(String(data='four'))
    assert wait(node, lambda: 'four' in got and 'four' in volatile)
    assert got == ['two', 'three', 'four'] and volatile == ['four']


def test_the_newest_samples_are_kept(node: Node) -> None:
    got: list[str] = []
    all_of_them: list[str] = []
    publisher = node.create_publisher(String, 'burst', 50)
    node.create_subscription(String, 'burst', lambda m: got.append(m.data), 3)
    node.create_subscription(String, 'burst', lambda m: all_of_them.append(m.data),
                             QoSProfile(history=HistoryPolicy.KEEP_ALL))
    assert wait(node, lambda: publisher.get_subscription_count() == 2)
    for number in range(20):
        publisher.publish(String(data=str(number)))
    assert publisher.wait_for_all_acked(Duration(seconds=10))
    assert wait(node, lambda: len(all_of_them) == 20)
    assert got == ['17', '18', '19'] and all_of_them == [str(number) for number in range(20)]


def test_partners_deadlines_and_liveliness_are_told(node: Node) -> None:
    told: dict[str, list[Any]] = {'matched': [], 'deadline': [], 'liveliness': []}
    profile = QoSProfile(depth=1, deadline=Duration(seconds=0.2))
    node.create_subscription(String, 'pulse', print, profile, event_callbacks=(
        SubscriptionEventCallbacks(matched=told['matched'].append,
                                   deadline=told['deadline'].append,
                                   liveliness=told['liveliness'].append)))
    publisher = node.create_publisher(String, 'pulse', profile)
    assert wait(node, lambda: bool(told['matched'] and told['liveliness']))
    assert (told['matched'][0].total_count, told['matched'][0].current_count) == (1, 1)
    assert told['liveliness'][0].alive_count == 1
    publisher.publish(String(data='x'))
    assert wait(node, lambda: bool(told['deadline']))
    assert told['deadline'][-1].total_count >= told['deadline'][-1].total_count_change >= 1
    node.destroy_publisher(publisher)
    assert wait(node, lambda: told['matched'][-1].current_count == 0)
    assert told['matched'][-1].current_count_change == -1
    assert wait(node, lambda: told['liveliness'][-1].alive_count == 0)


def test_policies_can_be_overridden_by_parameters(ros_domain: int) -> None:
    rclpy.init(args=[
        '--ros-args', '-p', 'qos_overrides./image.subscription.reliability:=best_effort',
        '-p', 'qos_overrides./image.subscription.depth:=7',
        '-p', 'qos_overrides./bad.publisher.reliability:=perhaps',
        '-p', 'qos_overrides./worse.publisher.reliability:=3'])
    node = rclpy.create_node('overridden')
    options = QoSOverridingOptions.with_default_policies()
    subscription = node.create_subscription(String, 'image', print, 5,
                                            qos_overriding_options=options)
    assert subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert subscription.qos_profile.depth == 7
    name = 'qos_overrides./image.subscription.history'
    assert node.get_parameter(name).value == 'keep_last'
    refused = node.set_parameters([Parameter(name, value='keep_all')])
    assert not refused[0].successful and 'read-only' in refused[0].reason
    with pytest.raises(RuntimeError, match='perhaps'):
        node.create_publisher(String, 'bad', 5, qos_overriding_options=options)
    with pytest.raises(InvalidParameterTypeException):
        node.create_publisher(String, 'worse', 5, qos_overriding_options=options)

    def refuse(profile: QoSProfile) -> Any:
        from rcl_interfaces.msg import SetParametersResult

        return SetParametersResult(successful=False, reason='too deep')

    with pytest.raises(InvalidQosOverridesError, match='too deep'):
        node.create_publisher(String, 'checked', 5, qos_overriding_options=QoSOverridingOptions(
            [QoSPolicyKind.DEPTH], callback=refuse, entity_id='mine'))
    assert node.has_parameter('qos_overrides./checked.publisher_mine.depth')
    node.destroy_node()
    rclpy.shutdown()


def test_best_available_follows_the_other_side(node: Node) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        best = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_AVAILABLE,
                          durability=DurabilityPolicy.BEST_AVAILABLE)
    publisher = node.create_publisher(
        String, 'best', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    node.create_subscription(String, 'best', print, best)
    assert wait(node, lambda: publisher.get_subscription_count() == 1)
    info = node.get_subscriptions_info_by_topic('best')[0]
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    assert info.qos_profile.deadline == Infinite
