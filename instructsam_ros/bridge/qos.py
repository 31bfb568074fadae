# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: our profiles, their override parameters, and mismatches told by name.

Every function returns a fresh profile, since rclpy writes the overrides into it.
"""

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions

_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
# the value that accepts every partner, per policy: asked for by a subscription, then offered
_ACCEPTS_ALL = {'RELIABILITY': ('best_effort', 'reliable'),
                'DURABILITY': ('volatile', 'transient_local')}
# seconds between two reports of the same mismatch
_QUIET = 10.0


def input_qos(depth: int = 5) -> QoSProfile:
    """Return the profile of sensor inputs: best effort, which connects to every publisher."""
    return _profile(depth, ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)


def command_qos(depth: int = 10) -> QoSProfile:
    """Return the profile of commands such as instructions: reliable, no one may get lost."""
    return _profile(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def result_qos(depth: int = 5) -> QoSProfile:
    """Return the profile of results: reliable, which connects to every subscription but latched."""
    return _profile(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE)


def status_qos(depth: int = 1) -> QoSProfile:
    """Return the profile of states: transient local, so that late subscribers get the last one."""
    return _profile(depth, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)


def subscription_options(node: Node, topic: str, qos: QoSProfile) -> dict[str, Any]:
    """Return keywords for ``create_subscription`` and ``message_filters.Subscriber``.

    They hold the profile, its override parameters (``qos_overrides.<topic>.subscription.*``) and
    a callback that logs an incompatible publisher with what mends it.
    """
    report = _Report(node, topic, qos, is_subscription=True)
    return {
        'qos_profile': qos,
        'qos_overriding_options': QoSOverridingOptions(_OVERRIDABLE),
        'event_callbacks': SubscriptionEventCallbacks(incompatible_qos=report),
    }


def publisher_options(node: Node, topic: str, qos: QoSProfile) -> dict[str, Any]:
    """Return keywords for ``create_publisher`` and ``create_lifecycle_publisher``.

    As ``subscription_options``, for an incompatible subscription.
    """
    report = _Report(node, topic, qos, is_subscription=False)
    return {
        'qos_profile': qos,
        'qos_overriding_options': QoSOverridingOptions(_OVERRIDABLE),
        'event_callbacks': PublisherEventCallbacks(incompatible_qos=report),
    }


class _Report:
    """Logs an incompatible partner: topic, policy, both sides, and the parameter that mends it."""

    def __init__(self, node: Node, topic: str, qos: QoSProfile, *, is_subscription: bool) -> None:
        self._node = node
        self._topic = topic
        self._qos = qos
        self._is_subscription = is_subscription
        self._last: dict[str, float] = {}

    def __call__(self, event: Any) -> None:
        policy = QoSPolicyKind(event.last_policy_kind).name
        now = time.monotonic()
        if now - self._last.get(policy, -_QUIET) >= _QUIET:
            self._last[policy] = now
            self._node.get_logger().warning(self._text(policy))

    def _text(self, policy: str) -> str:
        topic = self._node.resolve_topic_name(self._topic)
        ours = _named(getattr(self._qos, policy.lower(), None))
        endpoints: Callable[[str], Any]
        if self._is_subscription:
            kind, partner, asks, offers = 'subscription', 'publisher', 'asks for', 'offers'
            endpoints = self._node.get_publishers_info_by_topic
        else:
            kind, partner, asks, offers = 'publisher', 'subscription', 'offers', 'asks for'
            endpoints = self._node.get_subscriptions_info_by_topic
        others = sorted({
            f'{info.node_namespace.rstrip("/")}/{info.node_name} {offers} '
            f'{_named(getattr(info.qos_profile, policy.lower(), None))}'
            for info in endpoints(topic)
            if _named(getattr(info.qos_profile, policy.lower(), None)) != ours
        })
        theirs = ', '.join(others) or f'a {partner} {offers} another'
        direction = 'from' if self._is_subscription else 'to'
        text = (
            f'nothing goes {direction} an incompatible {partner} on {topic}: {policy.lower()} '
            f'differs, this node {asks} {ours}, {theirs}. '
        )
        if policy not in _ACCEPTS_ALL:
            return text + f'Give both the same {policy.lower()}.'
        value = _ACCEPTS_ALL[policy][0 if self._is_subscription else 1]
        return text + f'Set the parameter qos_overrides.{topic}.{kind}.{policy.lower()}: {value}'


def _profile(
    depth: int, reliability: ReliabilityPolicy, durability: DurabilityPolicy
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


def _named(value: Any) -> str:
    """Name of a policy's value, as override parameters write it."""
    return str(getattr(value, 'name', value)).lower()
