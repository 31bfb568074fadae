# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""QoS policies as parameters, `qos_overrides.<topic>.<publisher|subscription>.<policy>`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.exceptions import ParameterAlreadyDeclaredException
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyEnum,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.subscription import Subscription

if TYPE_CHECKING:
    from rclpy.node import Node

_NAMED: dict[QoSPolicyKind, type[QoSPolicyEnum]] = {
    QoSPolicyKind.LIVELINESS: LivelinessPolicy, QoSPolicyKind.RELIABILITY: ReliabilityPolicy,
    QoSPolicyKind.HISTORY: HistoryPolicy, QoSPolicyKind.DURABILITY: DurabilityPolicy}
_DURATIONS = (QoSPolicyKind.LIFESPAN, QoSPolicyKind.DEADLINE,
              QoSPolicyKind.LIVELINESS_LEASE_DURATION)


class InvalidQosOverridesError(Exception):
    """The overrides are refused by the callback."""


class QoSOverridingOptions:
    """Which policies can be overridden by parameters, and a check of the result."""

    def __init__(self, policy_kinds: Iterable[QoSPolicyKind], *,
                 callback: Callable[[QoSProfile], Any] | None = None,
                 entity_id: str | None = None) -> None:
        """Choose policies.

        Args:
            policy_kinds: The policies.
            callback: Gets the overridden profile, returns a SetParametersResult.
            entity_id: Tells several publishers or subscriptions of a topic apart.
        """
        self._policy_kinds = policy_kinds
        self._callback = callback
        self._entity_id = entity_id

    @property
    def policy_kinds(self) -> Iterable[QoSPolicyKind]:
        """The policies."""
        return self._policy_kinds

    @property
    def callback(self) -> Callable[[QoSProfile], Any] | None:
        """The check."""
        return self._callback

    @property
    def entity_id(self) -> str | None:
        """Tells several publishers or subscriptions of a topic apart."""
        return self._entity_id

    @classmethod
    def with_default_policies(cls, *, callback: Callable[[QoSProfile], Any] | None = None,
                              entity_id: str | None = None) -> QoSOverridingOptions:
        """Choose history, depth and reliability."""
        return cls((QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY),
                   callback=callback, entity_id=entity_id)


def _declare_qos_parameters(entity_type: type[Publisher] | type[Subscription], node: Node,
                            topic_name: str, qos: QoSProfile,
                            options: QoSOverridingOptions) -> None:
    """Declare read-only parameters for the policies and write their values into the profile.

    Raises:
        InvalidQosOverridesError: The options' callback refuses the result.
        RuntimeError: A policy has no such value.
    """
    kind = 'publisher' if issubclass(entity_type, Publisher) else 'subscription'
    suffix = '' if options.entity_id is None else f'_{options.entity_id}'
    described = f'{kind} `{topic_name}` with id `{options.entity_id}`'
    for policy in options.policy_kinds:
        # lifespan is a matter of publishers
        if kind == 'subscription' and policy == QoSPolicyKind.LIFESPAN:
            continue
        policy_name = policy.name.lower()
        name = f'qos_overrides.{topic_name}.{kind}{suffix}.{policy_name}'
        descriptor = ParameterDescriptor(
            description=f'{policy_name} for {described}', read_only=True)
        try:
            parameter = node.declare_parameter(name, _to_parameter(qos, policy), descriptor)
        except ParameterAlreadyDeclaredException:
            parameter = node.get_parameter(name)
        _override(qos, policy, parameter)
    if options.callback is not None:
        result = options.callback(qos)
        if not result.successful:
            raise InvalidQosOverridesError(
                f'the QoS overrides for {described} are not valid: {result.reason}')


def _to_parameter(qos: QoSProfile, policy: QoSPolicyKind) -> str | int | bool:
    value = getattr(qos, policy.name.lower())
    if policy in _NAMED:
        if value.name == 'UNKNOWN':
            raise ValueError(f'the QoS profile has an unknown {policy.name.lower()}')
        return str(value.name.lower())
    return value.nanoseconds if isinstance(value, Duration) else value


def _override(qos: QoSProfile, policy: QoSPolicyKind, parameter: Parameter) -> None:
    value: Any = parameter.value
    if policy in _NAMED:
        try:
            value = _NAMED[policy][value.upper()]
        except KeyError:
            raise RuntimeError(f'{parameter.name}: {value!r} is none of '
                               f'{", ".join(_NAMED[policy].short_keys())}') from None
    elif policy in _DURATIONS:
        value = Duration(nanoseconds=value)
    setattr(qos, policy.name.lower(), value)
