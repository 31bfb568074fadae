# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One message of a topic."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile


def wait_for_message(msg_type: Any, node: Node, topic: str, *,
                     qos_profile: QoSProfile | int = 1,
                     time_to_wait: float = -1) -> tuple[bool, Any]:
    """Wait for a message; nothing needs to spin.

    Args:
        msg_type: The class of the message.
        node: Subscribes meanwhile.
        topic: The topic.
        qos_profile: What is requested, or a depth.
        time_to_wait: Seconds; negative is for ever.

    Returns:
        Whether a message came before the time was over and before shutdown; and the message.
    """
    received: list[Any] = []
    changed = threading.Event()
    subscription = node.create_subscription(msg_type, topic, received.append, qos_profile)
    # an executor that spins the node takes the message itself, by the callback
    spun = subscription._notify

    def notify() -> None:
        changed.set()
        spun()

    subscription._notify = notify
    node.context._add_waker(changed.set)
    try:
        if subscription._is_ready() or changed.wait(time_to_wait if time_to_wait >= 0 else None):
            if not node.context.ok():
                return False, None
            call = None if received else subscription._take(None)
            if call is not None:
                call()
            elif not received:
                # the executor is just at it
                changed.clear()
                changed.wait(0.1)
    finally:
        node.context._remove_waker(changed.set)
        node.destroy_subscription(subscription)
    return (True, received[0]) if received else (False, None)
