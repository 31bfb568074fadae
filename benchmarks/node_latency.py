# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Age of the targets as they arrive, with camera, node and listener as three processes over DDS.

    python benchmarks/node_latency.py [--seconds 30] [--rate 30] [--model DIR] [--device cpu]

A drawn 640x480 tabletop frame with noisy depth at 30 Hz, and one of its instructions.
Printed apart: the whole way from the image's stamp to the listener, the inference alone, the way
of an image through DDS, and how long services take meanwhile. Goal with the default checkpoint
on 2 CPU cores: p50 200 ms, p95 350 ms from stamp to targets.

Without a ROS domain in the environment it keeps to a domain of its own on the loopback interface.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

_LOOPBACK = (
    '<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo" multicast="true"/>'
    '</Interfaces></General></Domain></CycloneDDS>'
)
_PATIENCE = 120.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=30.0)
    parser.add_argument('--rate', type=float, default=30.0, help='of the camera, Hz')
    parser.add_argument('--instruction', help='default: one of the frame, with one phrase')
    parser.add_argument('--model', default='', help='checkpoint (default: the tabletop one)')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--role', choices=('camera', 'all'), default='all', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if 'ROS_DOMAIN_ID' not in os.environ:
        os.environ['ROS_DOMAIN_ID'] = '87'
        os.environ.setdefault('CYCLONEDDS_URI', _LOOPBACK)
    if options.role == 'camera':
        _film(options.rate)
        return
    options.instruction = options.instruction or _instruction()
    ros = [f'device:={options.device}', f'instruction:={options.instruction}']
    ros += [f'model:={options.model}'] if options.model else []
    node = [sys.executable, '-m', 'instructsam_ros.nodes.perception_node', '--ros-args']
    for parameter in ros:
        node += ['-p', parameter]
    camera = [sys.executable, __file__, '--role', 'camera', '--rate', str(options.rate)]
    with _child(node), _child(camera):
        listener = _Listener()
        listener.measure(options.seconds)
        listener.close()
    listener.show(options)


@contextlib.contextmanager
def _child(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _instruction() -> str:
    from instructsam.tabletop import splits

    known = splits.load('test', 0).instructions
    return next(one.text for one in known if len(one.phrases) == 1 and one.objects)


def _film(rate: float) -> None:
    """Publish drawn frames until told to end."""
    from instructsam.tabletop import splits
    from instructsam.tabletop.depth_noise import add_depth_noise
    from instructsam_ros.bridge.cameras import camera_info
    from instructsam_ros.bridge.images import array_to_image
    from instructsam_ros.perception.camera import CameraModel

    # isort: split
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image
    from std_msgs.msg import Header

    rclpy.init()
    node = rclpy.create_node('camera')
    image, depth = (
        node.create_publisher(Image, topic, qos_profile_sensor_data) for topic in ('image', 'depth')
    )
    info = node.create_publisher(CameraInfo, 'camera_info', qos_profile_sensor_data)
    drawn = splits.load('test', 0).frame
    camera = drawn.scene.camera
    model = CameraModel.from_k(camera.K, camera.width, camera.height)
    depths = [
        np.nan_to_num(1000 * add_depth_noise(
            drawn.depth, np.random.default_rng(seed), focal=float(camera.K[0, 0])
        )).astype(np.uint16)
        for seed in range(4)
    ]
    count = 0
    due = time.monotonic()
    # SIGTERM may come between the question and the publishing
    with contextlib.suppress(RuntimeError):
        while rclpy.ok():
            header = Header(frame_id='camera_color_optical_frame')
            header.stamp = node.get_clock().now().to_msg()
            info.publish(camera_info(model, header))
            image.publish(array_to_image(drawn.image, 'rgb8', header))
            depth.publish(array_to_image(depths[count % len(depths)], '16UC1', header))
            count += 1
            due += 1 / rate
            time.sleep(max(due - time.monotonic(), 0))


class _Listener:
    """What a planner sees of the node."""

    def __init__(self) -> None:
        from instructsam_ros.bridge.interfaces import TargetArray

        # isort: split
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rcl_interfaces.srv import GetParameters
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo

        rclpy.init()
        self._rclpy = rclpy
        self._node = rclpy.create_node('listener')
        self._request = GetParameters.Request(names=['max_rate'])
        self._client = self._node.create_client(GetParameters, '/instructsam/get_parameters')
        self._ages: list[float] = []
        self._image_ways: list[float] = []
        self._services: list[float] = []
        self._inference: dict[str, str] = {}
        self._found = 0
        self._counted = {'processed': 0, 'dropped': 0}
        create = self._node.create_subscription
        create(TargetArray, '/instructsam/targets', self._on_targets, 10)
        create(CameraInfo, '/camera_info', self._on_info, qos_profile_sensor_data)
        create(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        threading.Thread(target=self._spin, args=(executor,), daemon=True).start()

    def _spin(self, executor: Any) -> None:
        try:
            executor.spin()
        except self._rclpy.executors.ExternalShutdownException:
            return

    def close(self) -> None:
        self._rclpy.try_shutdown()

    def measure(self, seconds: float) -> None:
        begin = time.monotonic()
        while len(self._ages) < 5:
            if time.monotonic() - begin > _PATIENCE:
                raise SystemExit('no targets came: see the output of the node above')
            time.sleep(0.1)
        for measured in (self._ages, self._image_ways):
            measured.clear()
        self._found = 0
        before = self._inference
        self._begin = time.monotonic()
        while (passed := time.monotonic() - self._begin) < seconds:
            self._call()
            time.sleep(min(0.2, max(seconds - passed, 0)))
        self._passed = passed
        for name in self._counted:
            self._counted[name] = int(self._inference[name]) - int(before.get(name, 0))

    def _call(self) -> None:
        begin = time.perf_counter()
        done = threading.Event()
        self._client.call_async(self._request).add_done_callback(lambda _: done.set())
        done.wait(_PATIENCE)
        self._services.append(time.perf_counter() - begin)

    def _age(self, message: Any) -> float:
        stamp = message.header.stamp
        now = self._node.get_clock().now().nanoseconds
        return float(now - stamp.sec * 1_000_000_000 - stamp.nanosec) * 1e-9

    def _on_targets(self, message: Any) -> None:
        self._ages.append(self._age(message))
        self._found += len(message.targets)

    def _on_info(self, message: Any) -> None:
        self._image_ways.append(self._age(message))

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name == 'instructsam: inference':
                self._inference = {pair.key: pair.value for pair in status.values}

    def show(self, options: argparse.Namespace) -> None:
        """Print what was measured."""
        table = Table(title=f'"{options.instruction}", camera at {options.rate:g} Hz')
        for name in ('what', 'p50 ms', 'p95 ms', 'max ms'):
            table.add_column(name, justify='left' if name == 'what' else 'right')
        for name, values in (
            ('image stamp to targets at the listener', self._ages),
            ('  message from camera to listener', self._image_ways),
            ('service call meanwhile', self._services),
        ):
            p50, p95, most = (1000 * np.percentile(values, share) for share in (50, 95, 100))
            table.add_row(name, f'{p50:.1f}', f'{p95:.1f}', f'{most:.1f}')
        own = self._inference
        table.add_row('stamp to publish, told by the node', own['latency p50 [ms]'], '',
                      own['latency max [ms]'])
        table.add_row('  inference alone, told by the node', own['inference p50 [ms]'], '', '')
        console = Console()
        console.print(table)
        rate = len(self._ages) / self._passed
        console.print(
            f'{len(self._ages)} results in {self._passed:.0f} s ({rate:.1f} per second), '
            f'{self._found / max(len(self._ages), 1):.2f} targets each; '
            f'{self._counted["dropped"]} frames dropped; {os.cpu_count()} CPUs, '
            f'load {os.getloadavg()[0]:.1f}'
        )


if __name__ == '__main__':
    main()
