# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Callbacks for what the middleware tells of publishers and subscriptions."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from rclpy._qos_matching import kind_of
from rclpy._qos_policies import QoSPolicyKind
from rclpy._rclpy_pybind11 import UnsupportedEventTypeError as UnsupportedEventTypeError
from rclpy.callback_groups import CallbackGroup
from rclpy.logging import get_logger
from rclpy.qos import qos_policy_name_from_kind
from rclpy.waitable import Waitable

if TYPE_CHECKING:
    from instructsam_ros.embedded.dds.endpoint import Event


class QoSPublisherEventType(IntEnum):
    """Events of publishers."""

    RCL_PUBLISHER_OFFERED_DEADLINE_MISSED = 0
    RCL_PUBLISHER_LIVELINESS_LOST = 1
    RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS = 2
    RCL_PUBLISHER_INCOMPATIBLE_TYPE = 3
    RCL_PUBLISHER_MATCHED = 4


class QoSSubscriptionEventType(IntEnum):
    """Events of subscriptions."""

    RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED = 0
    RCL_SUBSCRIPTION_LIVELINESS_CHANGED = 1
    RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS = 2
    RCL_SUBSCRIPTION_MESSAGE_LOST = 3
    RCL_SUBSCRIPTION_INCOMPATIBLE_TYPE = 4
    RCL_SUBSCRIPTION_MATCHED = 5


@dataclass(frozen=True)
class QoSRequestedDeadlineMissedInfo:
    """How often a deadline was missed, in all and since the last event."""

    total_count: int
    total_count_change: int


QoSOfferedDeadlineMissedInfo = QoSRequestedDeadlineMissedInfo
QoSLivelinessLostInfo = QoSRequestedDeadlineMissedInfo
QoSMessageLostInfo = QoSRequestedDeadlineMissedInfo
IncompatibleTypeInfo = QoSRequestedDeadlineMissedInfo


@dataclass(frozen=True)
class QoSLivelinessChangedInfo:
    """How many publishers are alive and not, now and since the last event."""

    alive_count: int
    not_alive_count: int
    alive_count_change: int
    not_alive_count_change: int


@dataclass(frozen=True)
class QoSRequestedIncompatibleQoSInfo:
    """How often the QoS did not fit, in all and since the last event, and a policy at fault."""

    total_count: int
    total_count_change: int
    last_policy_kind: QoSPolicyKind


QoSOfferedIncompatibleQoSInfo = QoSRequestedIncompatibleQoSInfo


@dataclass(frozen=True)
class QoSSubscriptionMatchedInfo:
    """How many partners there were in all and are now, and how that changed."""

    total_count: int
    total_count_change: int
    current_count: int
    current_count_change: int


QoSPublisherMatchedInfo = QoSSubscriptionMatchedInfo

# Which event of the middleware is meant, and what becomes of it.
_KINDS: dict[IntEnum, str] = {
    QoSPublisherEventType.RCL_PUBLISHER_OFFERED_DEADLINE_MISSED: 'deadline_missed',
    QoSPublisherEventType.RCL_PUBLISHER_LIVELINESS_LOST: 'liveliness',
    QoSPublisherEventType.RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS: 'incompatible_qos',
    QoSPublisherEventType.RCL_PUBLISHER_MATCHED: 'matched',
    QoSSubscriptionEventType.RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED: 'deadline_missed',
    QoSSubscriptionEventType.RCL_SUBSCRIPTION_LIVELINESS_CHANGED: 'liveliness',
    QoSSubscriptionEventType.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS: 'incompatible_qos',
    QoSSubscriptionEventType.RCL_SUBSCRIPTION_MATCHED: 'matched',
}


def _info(event_type: IntEnum, event: Event) -> Any:
    if event.kind == 'incompatible_qos':
        return QoSRequestedIncompatibleQoSInfo(
            event.total, event.change, kind_of(event.last_policy))
    if event.kind == 'matched':
        return QoSSubscriptionMatchedInfo(
            event.total, event.change, event.current or 0, event.current_change or 0)
    if event_type is QoSSubscriptionEventType.RCL_SUBSCRIPTION_LIVELINESS_CHANGED:
        return QoSLivelinessChangedInfo(
            event.current or 0, event.total, event.current_change or 0, event.change)
    return QoSRequestedDeadlineMissedInfo(event.total, event.change)


class EventHandler(Waitable):
    """Has an executor call back for one kind of event of a publisher or subscription."""

    def __init__(self, *, callback_group: CallbackGroup, callback: Callable[[Any], Any],
                 event_type: IntEnum) -> None:
        """Make a handler; publishers and subscriptions do.

        Raises:
            UnsupportedEventTypeError: The middleware has no such event.
        """
        if event_type not in _KINDS:
            raise UnsupportedEventTypeError(f'{event_type.name}: the middleware has no such event')
        super().__init__(callback_group)
        self.event_type = event_type
        self.callback = callback
        self._kind = _KINDS[event_type]
        self._lock = threading.Lock()
        # a burst of events between two calls is told as one, as the middleware does
        self._events: deque[Event] = deque()

    def _on_event(self, event: Event) -> None:
        if event.kind == self._kind:
            with self._lock:
                self._events.append(event)
            self._notify()

    def _is_ready(self) -> bool:
        return bool(self._events)

    def _take(self, executor: Any) -> Callable[[], Any] | None:
        with self._lock:
            events, self._events = self._events, deque()
        if not events:
            return None
        info = _merged([_info(self.event_type, event) for event in events])
        callback = self.callback
        return lambda: callback(info)

    def destroy(self) -> None:
        """Forget events that were not told yet."""
        with self._lock:
            self._events.clear()


def _merged(infos: list[Any]) -> Any:
    """The last of several events, with the changes of all added up."""
    last = infos[-1]
    changes = {name: sum(getattr(info, name) for info in infos)
               for name in last.__dataclass_fields__ if name.endswith('_change')}
    return type(last)(**{name: changes.get(name, getattr(last, name))
                         for name in last.__dataclass_fields__})


class SubscriptionEventCallbacks:
    """The callbacks for a subscription's events.

    Unless `use_default_callbacks` is False, an incompatible QoS is logged as a warning.
    """

    def __init__(self, *, deadline: Callable[[Any], None] | None = None,
                 incompatible_qos: Callable[[Any], None] | None = None,
                 liveliness: Callable[[Any], None] | None = None,
                 message_lost: Callable[[Any], None] | None = None,
                 incompatible_type: Callable[[Any], None] | None = None,
                 matched: Callable[[Any], None] | None = None,
                 use_default_callbacks: bool = True) -> None:
        self.deadline = deadline
        self.incompatible_qos = incompatible_qos
        self.liveliness = liveliness
        self.message_lost = message_lost
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks

    def create_event_handlers(self, callback_group: CallbackGroup, logger_name: str,
                              topic_name: str) -> list[EventHandler]:
        """Make the handlers; `UnsupportedEventTypeError` for what the middleware has not."""
        kinds = QoSSubscriptionEventType
        incompatible = self.incompatible_qos
        if incompatible is None and self.use_default_callbacks:
            logger = get_logger(logger_name)

            def incompatible(event: Any) -> None:
                logger.warning(
                    f"A publisher on topic '{topic_name}' offers an incompatible QoS, so nothing "
                    'is received from it. Last incompatible policy: '
                    f'{qos_policy_name_from_kind(event.last_policy_kind)}')
        return _make(callback_group, {
            kinds.RCL_SUBSCRIPTION_REQUESTED_DEADLINE_MISSED: self.deadline,
            kinds.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS: incompatible,
            kinds.RCL_SUBSCRIPTION_LIVELINESS_CHANGED: self.liveliness,
            kinds.RCL_SUBSCRIPTION_MESSAGE_LOST: self.message_lost,
            kinds.RCL_SUBSCRIPTION_INCOMPATIBLE_TYPE: self.incompatible_type,
            kinds.RCL_SUBSCRIPTION_MATCHED: self.matched})


class PublisherEventCallbacks:
    """The callbacks for a publisher's events.

    Unless `use_default_callbacks` is False, an incompatible QoS is logged as a warning.
    """

    def __init__(self, *, deadline: Callable[[Any], None] | None = None,
                 liveliness: Callable[[Any], None] | None = None,
                 incompatible_qos: Callable[[Any], None] | None = None,
                 incompatible_type: Callable[[Any], None] | None = None,
                 matched: Callable[[Any], None] | None = None,
                 use_default_callbacks: bool = True) -> None:
        self.deadline = deadline
        self.liveliness = liveliness
        self.incompatible_qos = incompatible_qos
        self.incompatible_type = incompatible_type
        self.matched = matched
        self.use_default_callbacks = use_default_callbacks

    def create_event_handlers(self, callback_group: CallbackGroup, logger_name: str,
                              topic_name: str) -> list[EventHandler]:
        """Make the handlers; `UnsupportedEventTypeError` for what the middleware has not."""
        kinds = QoSPublisherEventType
        incompatible = self.incompatible_qos
        if incompatible is None and self.use_default_callbacks:
            logger = get_logger(logger_name)

            def incompatible(event: Any) -> None:
                logger.warning(
                    f"A subscription on topic '{topic_name}' requests an incompatible QoS, so "
                    'nothing is sent to it. Last incompatible policy: '
                    f'{qos_policy_name_from_kind(event.last_policy_kind)}')
        return _make(callback_group, {
            kinds.RCL_PUBLISHER_OFFERED_DEADLINE_MISSED: self.deadline,
            kinds.RCL_PUBLISHER_LIVELINESS_LOST: self.liveliness,
            kinds.RCL_PUBLISHER_OFFERED_INCOMPATIBLE_QOS: incompatible,
            kinds.RCL_PUBLISHER_INCOMPATIBLE_TYPE: self.incompatible_type,
            kinds.RCL_PUBLISHER_MATCHED: self.matched})


def _make(callback_group: CallbackGroup,
          callbacks: dict[Any, Callable[[Any], None] | None]) -> list[EventHandler]:
    return [EventHandler(callback_group=callback_group, callback=callback, event_type=kind)
            for kind, callback in callbacks.items()
            # the middleware has no event for it, which is passed over as in rclpy
            if callback is not None and not kind.name.endswith('INCOMPATIBLE_TYPE')]
