# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The other process of the check whether data flows: publishes a token for some seconds."""

from __future__ import annotations

import sys
import time

from instructsam_ros.ros import provide_ros


def main(token: str, seconds: float) -> None:
    """Publish ``token`` on the topic that is named after it."""
    provide_ros()
    import rclpy
    from rclpy.executors import ExternalShutdownException
    from std_msgs.msg import String

    rclpy.init(args=[])
    node = rclpy.create_node(f'doctor_sender_{token}')
    publisher = node.create_publisher(String, f'doctor_{token}', 10)
    node.create_timer(0.05, lambda: publisher.publish(String(data=token)))
    end = time.monotonic() + seconds
    try:
        while rclpy.ok() and time.monotonic() < end:
            rclpy.spin_once(node, timeout_sec=0.1)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass  # that is how it is told that the token has come
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == '__main__':
    main(sys.argv[1], float(sys.argv[2]))
