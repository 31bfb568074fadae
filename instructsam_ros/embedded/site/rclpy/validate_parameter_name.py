# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of names."""

from rclpy.exceptions import InvalidParameterException


def validate_parameter_name(name: str) -> bool:
    """Check a parameter name, which must not be empty, and return True.

    Raises:
        InvalidParameterException: Invalid.
    """
    if not name:
        raise InvalidParameterException(name)
    return True
