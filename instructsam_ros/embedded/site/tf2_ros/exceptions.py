# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Why there is no transform."""


class TransformException(Exception):  # noqa: N818  (names of the ROS API, here and below)
    """Base of all of them."""


class ConnectivityException(TransformException):
    """Both frames exist, but nothing connects them."""


class LookupException(TransformException):
    """A frame does not exist, or the tree has a loop."""


class ExtrapolationException(TransformException):
    """The time lies outside of the data."""


class InvalidArgumentException(TransformException):
    """A frame name is empty or starts with a slash."""


class TimeoutException(TransformException):
    """It took too long."""
