# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which ROS 2 client library is used: the installed one, or else the embedded one."""

from importlib.util import find_spec


def provide_ros() -> None:
    """Make ``import rclpy`` work: the installed ROS 2 if there is one, else our own client.

    Whoever imports afterwards needs not know which one it gets. Idempotent.
    """
    if find_spec('rclpy') is None:
        from instructsam_ros.embedded import install

        install()
