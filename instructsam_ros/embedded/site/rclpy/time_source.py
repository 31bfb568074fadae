# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated time from the topic /clock, switched by the parameter use_sim_time."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import ROSClock
from rclpy.clock_type import ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMsg

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.subscription import Subscription

CLOCK_TOPIC = '/clock'
USE_SIM_TIME_NAME = 'use_sim_time'


class TimeSource:
    """Sets clocks from /clock while a node's use_sim_time is true."""

    def __init__(self, *, node: Node | None = None) -> None:
        self._clock_sub: Subscription | None = None
        self._node: weakref.ref[Node] | None = None
        self._clocks: list[ROSClock] = []
        # zero means that no time has come yet
        self._last_time_set = Time(clock_type=ClockType.ROS_TIME)
        self._ros_time_is_active = False
        if node is not None:
            self.attach_node(node)

    @property
    def ros_time_is_active(self) -> bool:
        """Whether time is simulated."""
        return self._ros_time_is_active

    @ros_time_is_active.setter
    def ros_time_is_active(self, enabled: bool) -> None:
        if self._ros_time_is_active == enabled:
            return
        self._ros_time_is_active = enabled
        for clock in self._clocks:
            clock._set_ros_time_is_active(enabled)
        if enabled:
            self._subscribe()
        else:
            self._unsubscribe()

    def attach_node(self, node: Node) -> None:
        """Follow a node's use_sim_time, which is declared if need be.

        Raises:
            TypeError: Not a node.
        """
        from rclpy.node import Node

        if not isinstance(node, Node):
            raise TypeError(f'a rclpy.node.Node is needed, not {type(node)}')
        if self._node is not None:
            self.detach_node()
        self._node = weakref.ref(node)
        if not node.has_parameter(USE_SIM_TIME_NAME):
            node.declare_parameter(USE_SIM_TIME_NAME, False)
        parameter = node.get_parameter(USE_SIM_TIME_NAME)
        if parameter.type_ is Parameter.Type.BOOL:
            self.ros_time_is_active = parameter.value
        elif parameter.type_ is not Parameter.Type.NOT_SET:
            node.get_logger().error(
                f'{USE_SIM_TIME_NAME} must be true or false, not {parameter.value!r}')
        node.add_on_set_parameters_callback(self._on_parameters)

    def detach_node(self) -> None:
        """Follow the node no longer."""
        self._unsubscribe()
        self._node = None

    def attach_clock(self, clock: ROSClock) -> None:
        """Set a clock from now on.

        Raises:
            ValueError: Not a clock of ROS time.
        """
        if not isinstance(clock, ROSClock):
            raise ValueError('only clocks of ROS time can be attached')
        clock.set_ros_time_override(self._last_time_set)
        clock._set_ros_time_is_active(self._ros_time_is_active)
        self._clocks.append(clock)

    def clock_callback(self, msg: Any) -> None:
        """Set the clocks to the time in a rosgraph_msgs/Clock message."""
        self._last_time_set = Time.from_msg(msg.clock)
        for clock in self._clocks:
            clock.set_ros_time_override(self._last_time_set)

    def _on_parameters(self, parameters: list[Parameter]) -> Any:
        for parameter in parameters:
            if parameter.name == USE_SIM_TIME_NAME:
                if parameter.type_ is not Parameter.Type.BOOL:
                    reason = f'{USE_SIM_TIME_NAME} must be true or false'
                    return SetParametersResult(successful=False, reason=reason)
                self.ros_time_is_active = parameter.value
        return SetParametersResult(successful=True)

    def _subscribe(self) -> None:
        node = None if self._node is None else self._node()
        if self._clock_sub is None and node is not None:
            self._clock_sub = node.create_subscription(
                ClockMsg, CLOCK_TOPIC, self.clock_callback,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))

    def _unsubscribe(self) -> None:
        node = None if self._node is None else self._node()
        if self._clock_sub is not None and node is not None:
            node.destroy_subscription(self._clock_sub)
        self._clock_sub = None
