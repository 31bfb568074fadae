# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The only place where ROS messages and arrays meet."""

from instructsam_ros.ros import provide_ros

provide_ros()
