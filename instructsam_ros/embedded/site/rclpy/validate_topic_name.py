# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of names."""

from rclpy._names import topic_name_problem
from rclpy.exceptions import InvalidServiceNameException, InvalidTopicNameException

TOPIC_SEPARATOR_STRING = '/'


def validate_topic_name(name: str, *, is_service: bool = False) -> bool:
    """Check a topic or service name, full or not, and return True.

    Raises:
        InvalidTopicNameException: Invalid; InvalidServiceNameException for services.
    """
    problem = topic_name_problem(name)
    if problem is None:
        return True
    raise (InvalidServiceNameException if is_service else InvalidTopicNameException)(
        name, *problem)
