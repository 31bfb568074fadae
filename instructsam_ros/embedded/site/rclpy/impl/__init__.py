# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of rclpy that others import from here."""
