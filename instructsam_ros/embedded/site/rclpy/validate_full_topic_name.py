# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of names."""

from rclpy._names import full_name_problem
from rclpy.exceptions import InvalidServiceNameException, InvalidTopicNameException


def validate_full_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Check a full topic or service name and return True.

    Raises:
        InvalidTopicNameException: Invalid; InvalidServiceNameException for services.
    """
    problem = full_name_problem(name)
    if problem is None:
        return True
    raise (InvalidServiceNameException if is_service else InvalidTopicNameException)(
        name, *problem)
