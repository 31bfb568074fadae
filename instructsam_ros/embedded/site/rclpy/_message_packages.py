# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the message packages importable, also for who found rclpy by the import path alone."""

from instructsam_ros.embedded import install

install()
