# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Perception without ROS: frame and instruction in, instances and 3D targets out.

The live node, the command line and bag replay all use these modules; none of them knows ROS.
"""
