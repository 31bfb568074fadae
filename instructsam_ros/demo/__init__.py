# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live demo: a drawn camera and the perception node, asked for things and judged."""

from instructsam_ros.ros import provide_ros

provide_ros()
