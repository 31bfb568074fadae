# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A ROS 2 client that pip installs, for machines without ROS 2.

It speaks the wire protocol of ROS 2 (DDS), so it talks to any robot in the same ROS_DOMAIN_ID.
"""

from __future__ import annotations

import sys
from pathlib import Path

SITE = Path(__file__).resolve().parent / 'site'


def install() -> None:
    """Make `rclpy`, `message_filters`, `tf2_ros` and the message packages importable.

    All are appended to the import path: an installed ROS 2 is always found first. Idempotent.
    """
    from instructsam_ros.embedded.finder import install_finder

    if str(SITE) not in sys.path:
        sys.path.append(str(SITE))
    install_finder()


def is_installed() -> bool:
    """Whether `install` has been called in this process."""
    return str(SITE) in sys.path
