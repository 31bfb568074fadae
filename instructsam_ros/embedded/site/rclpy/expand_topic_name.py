# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Full names."""

from rclpy._names import expand


def expand_topic_name(topic_name: str, node_name: str, node_namespace: str) -> str:
    """Return a topic's or service's full name for a node; the result may still be invalid.

    Raises:
        ValueError: A name or the namespace is invalid.
    """
    return expand(topic_name, node_name, node_namespace)
