# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of names."""

from rclpy._names import namespace_problem
from rclpy.exceptions import InvalidNamespaceException


def validate_namespace(namespace: str) -> bool:
    """Check a full namespace, which starts with a slash, and return True.

    Raises:
        InvalidNamespaceException: Invalid.
    """
    problem = namespace_problem(namespace)
    if problem is None:
        return True
    raise InvalidNamespaceException(namespace, *problem)
