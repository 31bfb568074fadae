# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which QoS profiles go together, and their form on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rclpy._qos_policies import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    ReliabilityPolicy,
)
from rclpy._rclpy_pybind11 import QoSCompatibility
from rclpy.duration import Duration, Infinite

from instructsam_ros.embedded.dds.qos import Qos

if TYPE_CHECKING:
    from rclpy.qos import QoSProfile

# A pair that fails certainly, by policy; each test gets (publisher, subscription).
_ERRORS: dict[str, Callable[[Any, Any], bool]] = {
    'reliability': lambda pub, sub: (
        pub.reliability == ReliabilityPolicy.BEST_EFFORT
        and sub.reliability == ReliabilityPolicy.RELIABLE),
    'durability': lambda pub, sub: (
        pub.durability == DurabilityPolicy.VOLATILE
        and sub.durability == DurabilityPolicy.TRANSIENT_LOCAL),
    'deadline': lambda pub, sub: _longer(pub.deadline, sub.deadline),
    'liveliness': lambda pub, sub: (
        pub.liveliness == LivelinessPolicy.AUTOMATIC
        and sub.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC),
    'liveliness lease duration': lambda pub, sub: _longer(
        pub.liveliness_lease_duration, sub.liveliness_lease_duration),
}
_UNSURE = ('SYSTEM_DEFAULT', 'UNKNOWN')
_KINDS = {
    'reliability': QoSPolicyKind.RELIABILITY, 'durability': QoSPolicyKind.DURABILITY,
    'deadline': QoSPolicyKind.DEADLINE, 'liveliness': QoSPolicyKind.LIVELINESS,
    'history': QoSPolicyKind.HISTORY, 'lifespan': QoSPolicyKind.LIFESPAN,
    'depth': QoSPolicyKind.DEPTH,
}


def _longer(offered: Duration, requested: Duration) -> bool:
    """Whether more is offered than was asked for; zero and infinite ask for nothing."""
    def limit(duration: Duration) -> int:
        return duration.nanoseconds or Infinite.nanoseconds

    return limit(offered) > limit(requested)


def check(publisher: QoSProfile, subscription: QoSProfile) -> tuple[QoSCompatibility, str]:
    """Return whether two profiles go together and why not; see `rclpy.qos`."""
    errors = [policy for policy, fails in _ERRORS.items() if fails(publisher, subscription)]
    if errors:
        return QoSCompatibility.ERROR, ' '.join(
            f'ERROR: {_describe(policy, publisher, subscription)};' for policy in errors)
    warnings = [policy for policy, wanted in (
        ('reliability', ReliabilityPolicy.RELIABLE),
        ('durability', DurabilityPolicy.TRANSIENT_LOCAL),
        ('liveliness', LivelinessPolicy.MANUAL_BY_TOPIC),
    ) if _might_fail(getattr(publisher, policy), getattr(subscription, policy), wanted)]
    if warnings:
        return QoSCompatibility.WARNING, ' '.join(
            f'WARNING: {_describe(policy, publisher, subscription)};' for policy in warnings)
    return QoSCompatibility.OK, ''


def _might_fail(offered: Any, requested: Any, strict: Any) -> bool:
    """Whether values that are left open could turn out not to go together."""
    if offered.name in _UNSURE:
        return bool(requested == strict) or requested.name in _UNSURE
    return requested.name in _UNSURE and offered.name not in (strict.name, 'BEST_AVAILABLE')


def _describe(policy: str, publisher: QoSProfile, subscription: QoSProfile) -> str:
    name = policy.replace(' ', '_')

    def show(profile: QoSProfile) -> str:
        value = getattr(profile, name)
        return str(getattr(value, 'name', value))

    return f'{policy} offered is {show(publisher)}, requested is {show(subscription)}'


def kind_of(policy: str | None) -> QoSPolicyKind:
    """Return the kind of a policy, given by the name that a middleware event has for it."""
    return _KINDS.get((policy or '').lower(), QoSPolicyKind.INVALID)


def to_wire(profile: QoSProfile, others: Iterable[Qos] = (), *, reader: bool) -> Qos:
    """Return a profile in the middleware's form.

    Args:
        profile: The profile.
        others: The endpoints on the other side, which 'best available' is chosen by.
        reader: Whether the profile is a subscription's.
    """
    others = list(others)
    reliability = 'best_effort' if profile.reliability == ReliabilityPolicy.BEST_EFFORT \
        else 'reliable'
    durability = 'transient_local' if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL \
        else 'volatile'
    liveliness = 'manual_by_topic' if profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC \
        else 'automatic'
    # a publisher offers the most, a subscription asks for what all publishers offer
    if profile.reliability == ReliabilityPolicy.BEST_AVAILABLE and reader and any(
            other.reliability == 'best_effort' for other in others):
        reliability = 'best_effort'
    if profile.durability == DurabilityPolicy.BEST_AVAILABLE and (not reader or (others and all(
            other.durability == 'transient_local' for other in others))):
        durability = 'transient_local'
    if profile.liveliness == LivelinessPolicy.BEST_AVAILABLE and reader and others and all(
            other.liveliness == 'manual_by_topic' for other in others):
        liveliness = 'manual_by_topic'
    keep_all = profile.history == HistoryPolicy.KEEP_ALL
    return Qos(
        reliability=reliability, durability=durability,
        history='keep_all' if keep_all else 'keep_last', depth=max(profile.depth, 1),
        deadline_ns=_nanoseconds(profile.deadline), lifespan_ns=_nanoseconds(profile.lifespan),
        liveliness=liveliness, lease_ns=_nanoseconds(profile.liveliness_lease_duration))


def _nanoseconds(duration: Duration) -> int | None:
    # the two largest values are 'infinite' and 'best available'
    ns = duration.nanoseconds
    return None if ns <= 0 or ns >= Infinite.nanoseconds - 1 else ns


def from_wire(qos: Qos) -> QoSProfile:
    """Return the middleware's form as a profile; what is not limited is Infinite."""
    from rclpy.qos import QoSProfile

    def duration(ns: int | None) -> Duration:
        return Infinite if ns is None else Duration(nanoseconds=ns)

    return QoSProfile(
        history=HistoryPolicy[qos.history.upper()], depth=qos.depth,
        reliability=ReliabilityPolicy[qos.reliability.upper()],
        durability=DurabilityPolicy[qos.durability.upper()],
        lifespan=duration(qos.lifespan_ns), deadline=duration(qos.deadline_ns),
        liveliness=LivelinessPolicy[qos.liveliness.upper()],
        liveliness_lease_duration=duration(qos.lease_ns))
