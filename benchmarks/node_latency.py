# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Age of the targets as they arrive, with camera, node and listener as three processes over DDS.

    python benchmarks/node_latency.py [--seconds 30] [--rate 30] [--model DIR] [--device cpu]
    python benchmarks/node_latency.py --sleep 0.15 [--freshness-wait 0]

A drawn 640x480 tabletop frame with noisy depth at 30 Hz, and one of its instructions.
Printed apart: the way from the image's stamp until the node sends the targets, what of it is not
inference, what the camera needs to send its messages, and how long services take meanwhile. Goals
with the default checkpoint on 2 CPU cores: p50 200 ms and p95 350 ms from stamp to targets, at
most 50 ms of it beside the inference. With ``--sleep`` the model is a stand-in that only waits:
what is beside the inference then is the node's own.

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
# seconds that a result may be older than the inference took
_BESIDE = 0.05
# how many results the node's own figures are about
_TOLD = 100


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=30.0)
    parser.add_argument('--rate', type=float, default=30.0, help='of the camera, Hz')
    parser.add_argument('--instruction', help='default: one of the frame, with one phrase')
    parser.add_argument('--model', default='', help='checkpoint (default: the tabletop one)')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--sleep', type=float, metavar='S',
                        help='instead of the model a stand-in that takes so long')
    parser.add_argument('--freshness-wait', type=float, metavar='S', help="the node's parameter")
    parser.add_argument('--role', choices=('camera', 'node', 'all'), default='all',
                        help=argparse.SUPPRESS)
    options, ros = parser.parse_known_args()
    if ros and options.role != 'node':
        parser.error(f'{ros[0]} is not known')
    if 'ROS_DOMAIN_ID' not in os.environ:
        os.environ['ROS_DOMAIN_ID'] = '87'
        os.environ.setdefault('CYCLONEDDS_URI', _LOOPBACK)
    if options.role == 'camera':
        _film(options.rate)
        return
    if options.role == 'node':
        _wait_instead(options.sleep, ros)
        return
    options.instruction = options.instruction or _instruction()
    ros = [f'device:={options.device}', f'instruction:={options.instruction}']
    ros += [f'model:={options.model}'] if options.model else []
    if options.freshness_wait is not None:
        ros.append(f'freshness_wait:={options.freshness_wait}')
    node = ['-m', 'instructsam_ros.nodes.perception_node']
    if options.sleep is not None:
        node = [__file__, '--role', 'node', '--sleep', str(options.sleep)]
    node = [sys.executable, *node, '--ros-args']
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


def _wait_instead(seconds: float, ros: list[str]) -> None:
    """Run the node with a stand-in for the model, which answers with the true masks."""
    from instructsam.segmentation import Instance, Segmentation
    from instructsam.tabletop import splits
    from instructsam_ros.nodes.perception_node import PerceptionNode
    from instructsam_ros.nodes.running import run_node
    from instructsam_ros.perception.bounds import mask_bounds

    frame = splits.load('test', 0).frame
    things = []
    for number in range(len(frame.scene.objects)):
        mask = frame.mask(number)
        left, top, width, height = mask_bounds(mask)
        things.append(Instance(mask, 0.9, (left, top, left + width, top + height), 'thing'))

    class StandIn:
        def segment(
            self, image: Any, instruction: str, *, threshold: float | None = None
        ) -> Segmentation:
            time.sleep(seconds)
            return Segmentation('things', ('thing',), tuple(things), *image.shape[:2])

    run_node(lambda: PerceptionNode(load_segmenter=lambda model, device: StandIn()),
             [sys.argv[0], *ros])


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
        array_to_image(np.nan_to_num(1000 * add_depth_noise(
            drawn.depth, np.random.default_rng(seed), focal=float(camera.K[0, 0])
        )).astype(np.uint16), '16UC1', Header())
        for seed in range(4)
    ]
    # made ahead: a camera's driver is no Python program that copies pictures
    picture, calibration = array_to_image(drawn.image, 'rgb8', Header()), camera_info(
        model, Header())
    count = 0
    due = time.monotonic()
    # SIGTERM may come between the question and the publishing
    with contextlib.suppress(RuntimeError):
        while rclpy.ok():
            header = Header(frame_id='camera_color_optical_frame')
            header.stamp = node.get_clock().now().to_msg()
            # the calibration last: its way tells when the camera was done
            for publisher, message in (
                    (image, picture), (depth, depths[count % len(depths)]), (info, calibration)):
                message.header = header
                publisher.publish(message)
            count += 1
            due += 1 / rate
            time.sleep(max(due - time.monotonic(), 0))


def _age(message: Any, now_ns: int) -> float:
    stamp = message.header.stamp
    return float(now_ns - stamp.sec * 1_000_000_000 - stamp.nanosec) * 1e-9


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
        self._sent: list[float] = []
        self._ages: list[float] = []
        self._camera: list[float] = []
        self._overheads: list[tuple[int, float]] = []
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
        for measured in (self._sent, self._ages, self._camera):
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

    def _on_targets(self, message: Any, info: Any) -> None:
        self._sent.append(_age(message, info['source_timestamp']))
        self._ages.append(_age(message, self._node.get_clock().now().nanoseconds))
        self._found += len(message.targets)

    def _on_info(self, message: Any, info: Any) -> None:
        self._camera.append(_age(message, info['source_timestamp']))

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name == 'instructsam: inference':
                self._inference = {pair.key: pair.value for pair in status.values}
                self._overheads.append((int(self._inference['processed']),
                                        float(self._inference['overhead max [ms]'])))

    def show(self, options: argparse.Namespace) -> None:
        """Print what was measured."""
        table = Table(title=f'"{options.instruction}", camera at {options.rate:g} Hz')
        for name in ('what', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'):
            table.add_column(name, justify='left' if name == 'what' else 'right')
        for name, values in (
            ('image stamp until the targets are sent', self._sent),
            ('  of this the camera, until all is sent', self._camera),
            ('image stamp to targets at the listener', self._ages),
            ('service call meanwhile', self._services),
        ):
            shares = (1000 * np.percentile(values, share) for share in (50, 95, 99, 100))
            table.add_row(name, *(f'{share:.1f}' for share in shares))
        own = self._inference
        # a figure of the last hundred: without the first ones, if that leaves any
        overheads = [most for count, most in self._overheads if count > _TOLD + 5]
        table.add_row('inference alone, told by the node', own['inference p50 [ms]'], '', '', '')
        table.add_row('the rest, told by the node', own['overhead p50 [ms]'], '', '',
                      f'{max(overheads, default=float(own["overhead max [ms]"])):.0f}')
        console = Console()
        console.print(table)
        limit = float(own['inference p50 [ms]']) * 1e-3 + _BESIDE
        within = np.mean(np.array(self._sent) <= limit)
        console.print(f'{100 * within:.1f} % of the results were sent within the median inference '
                      f'and {1000 * _BESIDE:.0f} ms of their stamp')
        rate = len(self._ages) / self._passed
        console.print(
            f'{len(self._ages)} results in {self._passed:.0f} s ({rate:.1f} per second), '
            f'{self._found / max(len(self._ages), 1):.2f} targets each; '
            f'{self._counted["dropped"]} frames dropped; {os.cpu_count()} CPUs, '
            f'load {os.getloadavg()[0]:.1f}'
        )


if __name__ == '__main__':
    main()
