# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the YAML launch files of ROS 2 where there is no `ros2 launch`."""
