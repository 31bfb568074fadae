# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 on the DDS wire, through Cyclone DDS: bytes in and out, the graph, services."""
