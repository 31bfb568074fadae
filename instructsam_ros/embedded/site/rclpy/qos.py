# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: how publishers and subscriptions want to be connected."""

from __future__ import annotations

import warnings
from enum import Enum
from typing import Any

from rclpy._qos_policies import DurabilityPolicy as DurabilityPolicy
from rclpy._qos_policies import HistoryPolicy as HistoryPolicy
from rclpy._qos_policies import LivelinessPolicy as LivelinessPolicy
from rclpy._qos_policies import QoSPolicyEnum as QoSPolicyEnum
from rclpy._qos_policies import QoSPolicyKind as QoSPolicyKind
from rclpy._qos_policies import ReliabilityPolicy as ReliabilityPolicy
from rclpy._rclpy_pybind11 import QoSCompatibility as QoSCompatibility
from rclpy.duration import Duration, Infinite

QoSHistoryPolicy = HistoryPolicy
QoSReliabilityPolicy = ReliabilityPolicy
QoSDurabilityPolicy = DurabilityPolicy
QoSLivelinessPolicy = LivelinessPolicy

# nanosecond counts that mean 'what the other side offers'
DeadlineBestAvailable = Duration(seconds=9223372036, nanoseconds=854775806)
LivelinessLeaseDurationeBestAvailable = Duration(seconds=9223372036, nanoseconds=854775806)


def qos_policy_name_from_kind(policy_kind: QoSPolicyKind | int) -> str:
    """Return a policy's name."""
    return QoSPolicyKind(policy_kind).name


class InvalidQoSProfileException(Exception):  # noqa: N818 (rclpy's name)
    """Raised when a profile is made of arguments that do not go together."""

    def __init__(self, *args: Any) -> None:
        super().__init__('Invalid QoSProfile', *args)


class QoSProfile:
    """All policies of one publisher or subscription; history or depth must be given.

    A wrong type raises AssertionError, an unknown value ValueError.
    """

    __slots__ = (
        '_history', '_depth', '_reliability', '_durability', '_lifespan', '_deadline',
        '_liveliness', '_liveliness_lease_duration', '_avoid_ros_namespace_conventions')

    def __init__(self, **kwargs: Any) -> None:
        assert all(f'_{key}' in self.__slots__ for key in kwargs), \
            f'Invalid arguments passed to constructor: {kwargs.keys()!r}'
        if 'history' not in kwargs:
            if 'depth' not in kwargs:
                raise InvalidQoSProfileException('history or depth must be given')
            kwargs['history'] = HistoryPolicy.KEEP_LAST
        self.history = kwargs['history']
        if self.history == HistoryPolicy.KEEP_LAST and 'depth' not in kwargs:
            raise InvalidQoSProfileException('KEEP_LAST needs a depth')
        self.depth = kwargs.get('depth', 10)
        self.reliability = kwargs.get('reliability', ReliabilityPolicy.RELIABLE)
        self.durability = kwargs.get('durability', DurabilityPolicy.VOLATILE)
        self.lifespan = kwargs.get('lifespan', Duration())
        self.deadline = kwargs.get('deadline', Duration())
        self.liveliness = kwargs.get('liveliness', LivelinessPolicy.SYSTEM_DEFAULT)
        self.liveliness_lease_duration = kwargs.get('liveliness_lease_duration', Duration())
        self.avoid_ros_namespace_conventions = kwargs.get(
            'avoid_ros_namespace_conventions', False)

    @property
    def history(self) -> HistoryPolicy:
        """How many samples are kept."""
        return self._history

    @history.setter
    def history(self, value: HistoryPolicy | int) -> None:
        assert isinstance(value, int)
        self._history = HistoryPolicy(value)

    @property
    def reliability(self) -> ReliabilityPolicy:
        """Whether lost samples are sent again."""
        return self._reliability

    @reliability.setter
    def reliability(self, value: ReliabilityPolicy | int) -> None:
        assert isinstance(value, int)
        self._reliability = ReliabilityPolicy(value)

    @property
    def durability(self) -> DurabilityPolicy:
        """Whether late subscriptions get earlier samples."""
        return self._durability

    @durability.setter
    def durability(self, value: DurabilityPolicy | int) -> None:
        assert isinstance(value, int)
        self._durability = DurabilityPolicy(value)

    @property
    def depth(self) -> int:
        """How many samples are kept with KEEP_LAST."""
        return self._depth

    @depth.setter
    def depth(self, value: int) -> None:
        assert isinstance(value, int)
        if self.history == HistoryPolicy.KEEP_LAST and value == 0:
            warnings.warn('a depth of zero with KEEP_LAST could store nothing; the default of the '
                          'middleware is taken', stacklevel=3)
        self._depth = value

    @property
    def lifespan(self) -> Duration:
        """How long a sample is valid; zero is for ever."""
        return self._lifespan

    @lifespan.setter
    def lifespan(self, value: Duration) -> None:
        assert isinstance(value, Duration)
        self._lifespan = value

    @property
    def deadline(self) -> Duration:
        """The longest time between samples; zero for none."""
        return self._deadline

    @deadline.setter
    def deadline(self, value: Duration) -> None:
        assert isinstance(value, Duration)
        self._deadline = value

    @property
    def liveliness(self) -> LivelinessPolicy:
        """Who asserts that a publisher is alive."""
        return self._liveliness

    @liveliness.setter
    def liveliness(self, value: LivelinessPolicy | int) -> None:
        assert isinstance(value, int)
        self._liveliness = LivelinessPolicy(value)

    @property
    def liveliness_lease_duration(self) -> Duration:
        """How long a publisher counts as alive without a sign of life; zero is for ever."""
        return self._liveliness_lease_duration

    @liveliness_lease_duration.setter
    def liveliness_lease_duration(self, value: Duration) -> None:
        assert isinstance(value, Duration)
        self._liveliness_lease_duration = value

    @property
    def avoid_ros_namespace_conventions(self) -> bool:
        """Whether topic names go to the middleware as they are."""
        return self._avoid_ros_namespace_conventions

    @avoid_ros_namespace_conventions.setter
    def avoid_ros_namespace_conventions(self, value: bool) -> None:
        assert isinstance(value, bool)
        self._avoid_ros_namespace_conventions = value

    # profiles can be changed, so they have no hash
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSProfile):
            return False
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    def __str__(self) -> str:
        values = ', '.join(f'{slot[1:]}={getattr(self, slot)}' for slot in self.__slots__)
        return f'{type(self).__name__}({values})'


qos_profile_unknown = QoSProfile(
    history=HistoryPolicy.UNKNOWN, depth=0, reliability=ReliabilityPolicy.UNKNOWN,
    durability=DurabilityPolicy.UNKNOWN, liveliness=LivelinessPolicy.UNKNOWN)
qos_profile_default = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10)
qos_profile_system_default = QoSProfile(
    history=HistoryPolicy.SYSTEM_DEFAULT, depth=0,
    reliability=ReliabilityPolicy.SYSTEM_DEFAULT, durability=DurabilityPolicy.SYSTEM_DEFAULT)
qos_profile_sensor_data = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
qos_profile_services_default = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10)
qos_profile_parameters = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1000)
qos_profile_parameter_events = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1000)
qos_profile_best_available = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_AVAILABLE,
    durability=DurabilityPolicy.BEST_AVAILABLE, liveliness=LivelinessPolicy.BEST_AVAILABLE,
    deadline=DeadlineBestAvailable,
    liveliness_lease_duration=LivelinessLeaseDurationeBestAvailable)
qos_profile_action_status_default = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class QoSPresetProfiles(Enum):
    """Ready-made profiles; `.value` is the profile."""

    UNKNOWN = qos_profile_unknown
    DEFAULT = qos_profile_default
    SYSTEM_DEFAULT = qos_profile_system_default
    SENSOR_DATA = qos_profile_sensor_data
    SERVICES_DEFAULT = qos_profile_services_default
    PARAMETERS = qos_profile_parameters
    PARAMETER_EVENTS = qos_profile_parameter_events
    ACTION_STATUS_DEFAULT = qos_profile_action_status_default
    BEST_AVAILABLE = qos_profile_best_available

    @classmethod
    def short_keys(cls) -> list[str]:
        """Return the short names."""
        return [name.lower() for name in cls.__members__]

    @classmethod
    def get_from_short_key(cls, name: str) -> QoSProfile:
        """Return the profile of a short name; KeyError if there is none."""
        return cls[name.upper()].value


def qos_check_compatible(publisher_qos: QoSProfile,
                         subscription_qos: QoSProfile) -> tuple[QoSCompatibility, str]:
    """Return whether a publisher and a subscription can talk to each other, and why not.

    WARNING where it cannot be told, as values are left to the middleware; the reason is '' for OK.
    """
    from rclpy._qos_matching import check

    return check(publisher_qos, subscription_qos)


def _is_infinite(duration: Duration) -> bool:
    return duration.nanoseconds == 0 or duration == Infinite
