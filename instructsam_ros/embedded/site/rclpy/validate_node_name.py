# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of names."""

from rclpy._names import node_name_problem
from rclpy.exceptions import InvalidNodeNameException


def validate_node_name(node_name: str) -> bool:
    """Check a node name and return True.

    Raises:
        InvalidNodeNameException: Invalid.
    """
    problem = node_name_problem(node_name)
    if problem is None:
        return True
    raise InvalidNodeNameException(node_name, *problem)
