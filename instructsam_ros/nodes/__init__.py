# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One module per executable: thin nodes that wire topics to the ROS-free stages."""

from instructsam_ros.ros import provide_ros

provide_ros()
