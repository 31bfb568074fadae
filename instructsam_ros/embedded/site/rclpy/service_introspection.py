# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How much of a service's traffic is published."""

from rclpy._rclpy_pybind11 import ServiceIntrospectionState as ServiceIntrospectionState
