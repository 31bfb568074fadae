# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rcl_interfaces.msg import ParameterDescriptor, ParameterEvent
from rclpy._arguments import RosArguments, parse_arguments
from rclpy._endpoints import PublisherEnd, SubscriptionEnd
from rclpy._node_entities import NodeEntities
from rclpy._node_graph import NodeGraph
from rclpy._node_parameters import NodeParameters
from rclpy._qos_matching import to_wire
from rclpy._rclpy_pybind11 import NodeNameNonExistentError as NodeNameNonExistentError
from rclpy._rclpy_pybind11 import RCLError, UnknownROSArgsError
from rclpy._rosout import RosoutPublisher
from rclpy.callback_groups import (
    CallbackGroup,
    MutuallyExclusiveCallbackGroup,
    ReentrantCallbackGroup,
)
from rclpy.client import Client
from rclpy.clock import Clock, ROSClock
from rclpy.constants import S_TO_NS
from rclpy.context import Context
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle, NotInitializedException
from rclpy.expand_topic_name import expand_topic_name
from rclpy.guard_condition import GuardCondition
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import get_logger
from rclpy.logging_service import LoggingService
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService
from rclpy.publisher import Publisher
from rclpy.qos import (
    QoSProfile,
    qos_profile_parameter_events,
    qos_profile_services_default,
)
from rclpy.qos_overriding_options import QoSOverridingOptions, _declare_qos_parameters
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.time_source import TimeSource
from rclpy.timer import Rate, Timer
from rclpy.type_description_service import TypeDescriptionService
from rclpy.type_support import check_is_valid_msg_type, check_is_valid_srv_type
from rclpy.utilities import get_default_context
from rclpy.validate_full_topic_name import validate_full_topic_name
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name
from rclpy.validate_topic_name import validate_topic_name

from instructsam_ros.embedded.dds.native import DdsError
from instructsam_ros.embedded.dds.services import ServiceClient, ServiceServer

HIDDEN_NODE_PREFIX = '_'

_E = TypeVar('_E')


class Node(NodeParameters, NodeEntities, NodeGraph):
    """A node: publishers, subscriptions, services, clients, timers and parameters."""

    def __init__(self, node_name: str, *, context: Context | None = None,
                 cli_args: list[str] | None = None, namespace: str | None = None,
                 use_global_arguments: bool = True, enable_rosout: bool = True,
                 start_parameter_services: bool = True,
                 parameter_overrides: list[Parameter] | None = None,
                 allow_undeclared_parameters: bool = False,
                 automatically_declare_parameters_from_overrides: bool = False,
                 enable_logger_service: bool = False) -> None:
        """Make a node.

        Args:
            node_name: Its name; remapping may change it.
            context: The default context if None.
            cli_args: ROS arguments of this node alone, which win over the process's.
            namespace: Put before relative names of topics and services.
            use_global_arguments: Whether the process's ROS arguments count.
            enable_rosout: Whether log messages are published on /rosout.
            start_parameter_services: Whether others can read and set parameters.
            parameter_overrides: Values for parameters, which win over the command line.
            allow_undeclared_parameters: Whether parameters can be used undeclared.
            automatically_declare_parameters_from_overrides: Whether all overrides are declared.
            enable_logger_service: Whether others can read and set log levels.

        Raises:
            NotInitializedException: The context is not initialized.
            InvalidNodeNameException: A bad name.
            InvalidNamespaceException: A bad namespace.
            RuntimeError: Bad `cli_args` (RCLInvalidROSArgsError, UnknownROSArgsError).
        """
        self._context = get_default_context() if context is None else context
        self._init_parameters(allow_undeclared_parameters)
        self._default_callback_group = MutuallyExclusiveCallbackGroup()
        self._rate_group = ReentrantCallbackGroup()
        self._init_entities()
        self._destroyed = False
        if not self._context.ok():
            raise NotInitializedException('a node cannot be made')
        self._choose_names(node_name, namespace or '', cli_args, use_global_arguments)
        self._participant = self._context._get_participant()
        self._logger = get_logger(self._logger_name)
        self._parameter_event_publisher: Publisher | None = None
        self._rosout: RosoutPublisher | None = None
        self._clock = ROSClock()
        if enable_rosout:
            self._rosout = RosoutPublisher(self)
        self._parameter_event_publisher = self.create_publisher(
            ParameterEvent, '/parameter_events', qos_profile_parameter_events)
        self._take_overrides(parameter_overrides)
        if automatically_declare_parameters_from_overrides:
            self.declare_parameters('', [
                (name, parameter.value, ParameterDescriptor(
                    dynamic_typing=parameter.type_ is Parameter.Type.NOT_SET))
                for name, parameter in self._parameter_overrides.items()], ignore_override=True)
        self._time_source = TimeSource(node=self)
        self._time_source.attach_clock(self._clock)
        if start_parameter_services:
            self._parameter_service = ParameterService(self)
        if enable_logger_service:
            self._logger_service = LoggingService(self)
        self._type_description_service = TypeDescriptionService(self)
        self._announced = True
        self._context._nodes.add(self)
        self._announce()

    def _choose_names(self, name: str, namespace: str, cli_args: list[str] | None,
                      use_global_arguments: bool) -> None:
        validate_node_name(name)
        namespace = namespace if namespace.startswith('/') else f'/{namespace}'
        validate_namespace(namespace)
        own = parse_arguments(['--ros-args', *(cli_args or [])])
        if own.unknown:
            raise UnknownROSArgsError(f'unknown ROS arguments: {own.unknown}')
        self._arguments: list[RosArguments] = [own]
        if use_global_arguments:
            self._arguments.append(self._context._arguments)
        self._name = self._first(lambda one: one.remap_node('node', name)) or name
        self._namespace = self._first(
            lambda one: one.remap_node('namespace', self._name)) or namespace
        self._logger_name = self.get_fully_qualified_name()[1:].replace('/', '.')

    def _first(self, find: Callable[[RosArguments], str | None]) -> str | None:
        """The first answer of the node's own arguments, then of the process's."""
        found = (find(arguments) for arguments in self._arguments)
        return next((answer for answer in found if answer is not None), None)

    def _take_overrides(self, given: list[Parameter] | None) -> None:
        for arguments in reversed(self._arguments):
            for name, value in arguments.parameters_of(self.get_fully_qualified_name()).items():
                self._parameter_overrides[name] = Parameter(name, None, value)
        for parameter in given or []:
            self._parameter_overrides[parameter.name] = parameter

    @property
    def context(self) -> Context:
        """The context that the node was made in."""
        return self._context

    @property
    def default_callback_group(self) -> CallbackGroup:
        """The group of what is made without one; its callbacks exclude each other."""
        return self._default_callback_group

    @property
    def handle(self) -> Any:
        """Not implemented: there is no compiled core."""
        raise NotImplementedError('Node.handle')

    def get_name(self) -> str:
        """Return the node's name."""
        return self._name

    def get_namespace(self) -> str:
        """Return the node's namespace."""
        return self._namespace

    def get_clock(self) -> Clock:
        """Return the node's clock, of ROS time."""
        return self._clock

    def get_logger(self) -> RcutilsLogger:
        """Return the node's logger."""
        return self._logger

    def resolve_topic_name(self, topic: str, *, only_expand: bool = False) -> str:
        """Return a topic's full name, remapped unless `only_expand`.

        Raises:
            InvalidTopicNameException: A bad name.
        """
        return self._resolve(topic, 'topic', only_expand)

    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str:
        """Return a service's full name, remapped unless `only_expand`.

        Raises:
            InvalidServiceNameException: A bad name.
        """
        return self._resolve(service, 'service', only_expand)

    def _resolve(self, name: str, kind: str, only_expand: bool = False) -> str:
        is_service = kind == 'service'
        validate_topic_name(name, is_service=is_service)
        full = expand_topic_name(name, self._name, self._namespace)
        if not only_expand:
            full = self._first(lambda one: one.remap_name(
                kind, full, self._name, self._namespace)) or full
        validate_full_topic_name(full, is_service=is_service)
        return full

    def create_publisher(self, msg_type: Any, topic: str, qos_profile: QoSProfile | int, *,
                         callback_group: CallbackGroup | None = None,
                         event_callbacks: PublisherEventCallbacks | None = None,
                         qos_overriding_options: QoSOverridingOptions | None = None,
                         publisher_class: type[Publisher] = Publisher) -> Publisher:
        """Make a publisher.

        Args:
            msg_type: The class of the messages.
            topic: The topic.
            qos_profile: What is offered, or the depth of an otherwise default profile.
            callback_group: Of the event callbacks; the default one if None.
            event_callbacks: Told of the middleware's events.
            qos_overriding_options: Policies that parameters may override.
            publisher_class: A class derived from Publisher.

        Raises:
            InvalidTopicNameException: A bad name.
            TypeError, ValueError: A bad profile or depth.
            RuntimeError: A service type.
        """
        qos_profile = _profile(qos_profile)
        full = self.resolve_topic_name(topic)
        _declare_qos_parameters(Publisher, self, full, qos_profile,
                                qos_overriding_options or QoSOverridingOptions([]))
        check_is_valid_msg_type(msg_type)
        self._check_alive()
        end = PublisherEnd(self._context, self._logger_name, full, msg_type, qos_profile)
        made = publisher_class(
            end, msg_type, topic, qos_profile,
            event_callbacks=event_callbacks or PublisherEventCallbacks(),
            callback_group=callback_group or self._default_callback_group)
        return self._add(self._publishers, made)

    def create_subscription(self, msg_type: Any, topic: str, callback: Callable[..., Any],
                            qos_profile: QoSProfile | int, *,
                            callback_group: CallbackGroup | None = None,
                            event_callbacks: SubscriptionEventCallbacks | None = None,
                            qos_overriding_options: QoSOverridingOptions | None = None,
                            raw: bool = False) -> Subscription:
        """Make a subscription.

        Args:
            msg_type: The class of the messages.
            topic: The topic.
            callback: Called with the message, or with the message and its info.
            qos_profile: What is requested, or the depth of an otherwise default profile.
            callback_group: The default one if None.
            event_callbacks: Told of the middleware's events.
            qos_overriding_options: Policies that parameters may override.
            raw: Whether the callback gets bytes.

        Raises:
            InvalidTopicNameException: A bad name.
            TypeError, ValueError: A bad profile or depth.
            RuntimeError: A service type, or a callback with a wrong number of arguments.
        """
        qos_profile = _profile(qos_profile)
        group = callback_group or self._default_callback_group
        full = self.resolve_topic_name(topic)
        _declare_qos_parameters(Subscription, self, full, qos_profile,
                                qos_overriding_options or QoSOverridingOptions([]))
        check_is_valid_msg_type(msg_type)
        self._check_alive()
        end = SubscriptionEnd(self._context, self._logger_name, full, msg_type, qos_profile)
        made = Subscription(end, msg_type, topic, callback, group, qos_profile, raw,
                            event_callbacks=event_callbacks or SubscriptionEventCallbacks())
        group.add_entity(made)
        return self._add(self._subscriptions, made)

    def create_client(self, srv_type: Any, srv_name: str, *,
                      qos_profile: QoSProfile = qos_profile_services_default,
                      callback_group: CallbackGroup | None = None) -> Client:
        """Make a client of a service.

        Raises:
            InvalidServiceNameException: A bad name.
            RuntimeError: Not a service type.
        """
        group = callback_group or self._default_callback_group
        check_is_valid_srv_type(srv_type)
        full = self.resolve_service_name(srv_name)
        self._check_alive()
        wire = to_wire(qos_profile, reader=True)

        def open_client(on_response: Callable[[], None]) -> ServiceClient:
            return ServiceClient(self._context._get_participant(), full, srv_type, wire,
                                 on_response)

        try:
            made = Client(self._context, open_client, srv_type, srv_name, qos_profile, group,
                          full)
        except DdsError as error:
            raise RCLError(f'no client of {full}: {error}') from error
        group.add_entity(made)
        return self._add(self._clients, made)

    def create_service(self, srv_type: Any, srv_name: str, callback: Callable[[Any, Any], Any], *,
                       qos_profile: QoSProfile = qos_profile_services_default,
                       callback_group: CallbackGroup | None = None) -> Service:
        """Make a service, whose callback gets request and response and returns the response.

        Raises:
            InvalidServiceNameException: A bad name.
            RuntimeError: Not a service type.
        """
        group = callback_group or self._default_callback_group
        check_is_valid_srv_type(srv_type)
        full = self.resolve_service_name(srv_name)
        self._check_alive()
        wire = to_wire(qos_profile, reader=True)

        def open_server(on_request: Callable[[], None]) -> ServiceServer:
            return ServiceServer(self._context._get_participant(), full, srv_type, wire,
                                 on_request)

        try:
            made = Service(open_server, srv_type, srv_name, callback, group, qos_profile, full)
        except DdsError as error:
            raise RCLError(f'no service {full}: {error}') from error
        group.add_entity(made)
        return self._add(self._services, made)

    def create_timer(self, timer_period_sec: float, callback: Callable[[], Any] | None,
                     callback_group: CallbackGroup | None = None, clock: Clock | None = None,
                     autostart: bool = True) -> Timer:
        """Make a timer that calls back every `timer_period_sec` seconds of a clock.

        Without `autostart` it starts with `Timer.reset`. The clock is the node's by default.
        """
        group = callback_group or self._default_callback_group
        self._check_alive()
        made = Timer(callback, group, int(float(timer_period_sec) * S_TO_NS),
                     clock or self._clock, context=self._context, autostart=autostart)
        group.add_entity(made)
        return self._add(self._timers, made, announce=False)

    def create_guard_condition(self, callback: Callable[[], Any],
                               callback_group: CallbackGroup | None = None) -> GuardCondition:
        """Make a guard condition, which calls back once it is triggered."""
        group = callback_group or self._default_callback_group
        self._check_alive()
        made = GuardCondition(callback, group, context=self._context)
        group.add_entity(made)
        return self._add(self._guards, made, announce=False)

    def create_rate(self, frequency: float, clock: Clock | None = None) -> Rate:
        """Make a rate that sleeps `frequency` times a second of a clock.

        Raises:
            ValueError: The frequency is not positive.
        """
        if frequency <= 0:
            raise ValueError('the frequency must be positive')
        timer = self.create_timer(1.0 / frequency, None, self._rate_group, clock)
        return Rate(timer, context=self._context)

    def destroy_node(self) -> None:
        """Destroy the node and all that it made; twice does no harm."""
        if self._destroyed:
            return
        self._destroyed = True
        if self._rosout is not None:
            self._rosout.close()
        self._parameter_event_publisher = None
        everything: tuple[list[Any], ...] = (
            self._publishers, self._subscriptions, self._clients, self._services, self._timers,
            self._guards)
        for made in everything:
            for entity in list(made):
                self._remove(made, entity, announce=False)
        self._time_source.detach_node()
        self._withdraw()
        self._wake_executor()

    def _check_alive(self) -> None:
        if self._destroyed:
            raise InvalidHandle(f'the node {self._name} was destroyed')


def _profile(qos_or_depth: QoSProfile | int) -> QoSProfile:
    if isinstance(qos_or_depth, QoSProfile):
        return qos_or_depth
    if isinstance(qos_or_depth, int):
        if qos_or_depth < 0:
            raise ValueError(f'the depth must not be negative: {qos_or_depth}')
        return QoSProfile(depth=qos_or_depth)
    raise TypeError(f'a QoSProfile or a depth is needed, not {type(qos_or_depth)!r}')


__all__ = ['HIDDEN_NODE_PREFIX', 'Node', 'NodeNameNonExistentError']
