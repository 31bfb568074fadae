# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A camera over a drawn table: publishes what a RealSense driver would, and the truth beside it.

Topics are relative to the namespace, by default ``/camera``: ``color/image_raw`` (rgb8) and
``/compressed``, ``color/camera_info``, ``aligned_depth_to_color/image_raw`` (16UC1, mm) and
``/compressedDepth``, ``aligned_depth_to_color/camera_info``; the truth about all objects is on
``~/ground_truth/instances`` and ``~/ground_truth/targets``. TF: world (z up) -> camera_link ->
camera_color_frame -> camera_color_optical_frame.
"""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

from instructsam.tabletop.film import Film, Playhead, Shot
from instructsam.tabletop.motion import sample_motion
from instructsam_ros.bridge import tabletop
from instructsam_ros.bridge.cameras import camera_info
from instructsam_ros.bridge.images import array_to_compressed, array_to_image, depth_to_compressed
from instructsam_ros.bridge.interfaces import InstanceArray, TargetArray
from instructsam_ros.bridge.parameters import Parameters, setting
from instructsam_ros.bridge.qos import publisher_options, result_qos, status_qos
from instructsam_ros.bridge.tabletop import (
    OPTICAL_FRAME,
    fixed_transforms,
    laps_per_second,
    world_transform,
)
from instructsam_ros.bridge.truth import true_instances, true_targets
from instructsam_ros.nodes.running import run_node
from instructsam_ros.perception.camera import CameraModel

# shots of a scene in which nothing moves: only the noise differs
_STILL_SHOTS = 8
_SCENE_PATIENCE = 30.0  # s; drawing the first picture of a scene takes less than one


@dataclass(frozen=True)
class CameraSettings:
    """The parameters; those that are not read-only may change while the node runs."""

    width: int = setting(
        640, 'width of the images', unit='px', minimum=64, maximum=4096, read_only=True)
    height: int = setting(
        480, 'height of the images', unit='px', minimum=64, maximum=4096, read_only=True)
    rate: float = setting(
        30.0, 'images per second', unit='Hz', minimum=0.1, maximum=200.0, read_only=True)
    seed: int = setting(
        0, 'which scenes: the same for the same number', minimum=0, maximum=2**31 - 1,
        read_only=True)
    frames: int = setting(
        60, 'pictures that are drawn of a lap; each takes about 1.6 MB at 640x480', minimum=1,
        maximum=1000, read_only=True)
    speed: float = setting(
        0.05, 'speed of the camera along its path; 0: it stands still', unit='m/s', minimum=0.0,
        maximum=5.0, read_only=True)
    moving_objects: int = setting(
        0, 'how many objects slide to and fro, where there is room', minimum=0, maximum=8,
        read_only=True)
    depth_noise: float = setting(
        1.0, "depth noise: 1 is a stereo camera's, 0 gives exact depth without holes",
        minimum=0.0, maximum=10.0, read_only=True)
    compressed: bool = setting(
        True, 'also publish compressed images and depth (made only when somebody listens)',
        read_only=True)
    world_frame: str = setting(
        'world', 'TF frame of the table, z up', read_only=True)
    jpeg_quality: int = setting(
        90, 'JPEG quality of the compressed images', minimum=1, maximum=100)
    drop_rate: float = setting(
        0.0, 'share of the images, and of the depth images, that get lost, each by itself',
        minimum=0.0, maximum=1.0)
    jitter: float = setting(
        0.0, 'messages come up to so long after their stamp, at random', unit='s', minimum=0.0,
        maximum=1.0)


class _Scene:
    """A film with its number, and how fast it goes round."""

    def __init__(self, settings: CameraSettings, number: int) -> None:
        motion = sample_motion(
            settings.seed, number, width=settings.width, height=settings.height,
            moving=settings.speed > 0, sliding=settings.moving_objects)
        self.number = number
        self.laps_per_second = laps_per_second(motion, settings.speed)
        is_still = not self.laps_per_second
        count = min(settings.frames, _STILL_SHOTS) if is_still else settings.frames
        if is_still:
            # a shot per image, round and round
            self.laps_per_second = settings.rate / count
        self.film = Film(motion, count, depth_noise=settings.depth_noise)
        self.head = Playhead()
        self.names = ', '.join(one.name for one in motion.scene.objects)
        self.is_camera_still = motion.is_camera_still


class TabletopCameraNode(Node):
    """Plays films of drawn scenes; ``~/next_scene`` goes on to another table."""

    def __init__(self, **options: Any) -> None:
        """Declare parameters, begin to draw and to publish."""
        super().__init__('camera', **{'namespace': '/camera', **options})
        self._table = Parameters(self, CameraSettings)
        settings = self._table.values
        self._image = self._publisher(Image, tabletop.IMAGE)
        self._info = self._publisher(CameraInfo, tabletop.INFO)
        self._depth = self._publisher(Image, tabletop.DEPTH)
        self._depth_info = self._publisher(CameraInfo, tabletop.DEPTH_INFO)
        self._jpeg = self._png = None
        if settings.compressed:
            self._jpeg = self._publisher(CompressedImage, tabletop.IMAGE_COMPRESSED)
            self._png = self._publisher(CompressedImage, tabletop.DEPTH_COMPRESSED)
        self._true_instances = self._publisher(InstanceArray, f'~/{tabletop.TRUE_INSTANCES}')
        self._true_targets = self._publisher(TargetArray, f'~/{tabletop.TRUE_TARGETS}')
        self._tf = TransformBroadcaster(self)
        # tf2's static broadcaster keeps the first transform of a frame; a new scene has another one
        self._static_tf = self.create_publisher(TFMessage, '/tf_static', status_qos())
        self._random = np.random.default_rng(settings.seed)
        self._changing = threading.Lock()
        self._scene = self._begin(0)
        self._last = time.monotonic()
        self._show_scene(self._scene)
        self.create_service(
            Trigger, '~/next_scene', self._on_next_scene,
            callback_group=MutuallyExclusiveCallbackGroup())
        self.create_timer(
            1 / settings.rate, self._tick, callback_group=MutuallyExclusiveCallbackGroup())

    def close(self, timeout: float) -> bool:
        """Stop drawing; return whether that has ended."""
        # a shot takes seconds on a busy machine; the process may end without it
        return self._scene.film.close(min(timeout, 1.0))

    def _publisher(self, kind: type, topic: str) -> Any:
        return self.create_publisher(kind, topic, **publisher_options(self, topic, result_qos()))

    def _begin(self, number: int) -> _Scene:
        """Begin a scene and wait for its first picture."""
        scene = _Scene(self._table.values, number)
        scene.film.start()
        if not scene.film.wait(timeout=_SCENE_PATIENCE):
            raise RuntimeError(f'scene {number} was not drawn within {_SCENE_PATIENCE:.0f} s')
        return scene

    def _show_scene(self, scene: _Scene) -> None:
        """Publish the transforms that hold for the whole scene."""
        stamp = self.get_clock().now().to_msg()
        fixed = fixed_transforms(stamp)
        if scene.is_camera_still:
            fixed.append(self._world_transform(scene.film.shot(0), stamp))
        self._static_tf.publish(TFMessage(transforms=fixed))
        self.get_logger().info(f'scene {scene.number}: {scene.names}')

    def _on_next_scene(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        with self._changing:
            try:
                scene = self._begin(self._scene.number + 1)
            except RuntimeError as error:
                response.message = str(error)
                return response
            before, self._scene = self._scene, scene
            self._show_scene(scene)
        before.film.close()
        response.success = True
        response.message = f'scene {scene.number}: {scene.names}'
        return response

    def _tick(self) -> None:
        settings, scene = self._table.values, self._scene
        now = time.monotonic()
        # a late timer must not slow the camera down, a stopped clock not make it leap
        seconds = min(now - self._last, 1.0)
        self._last = now
        shot = scene.head.advance(scene.film, seconds * scene.laps_per_second)
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=OPTICAL_FRAME)
        if settings.jitter:
            time.sleep(float(self._random.uniform(0, min(settings.jitter, 0.9 / settings.rate))))
        if not scene.is_camera_still:
            self._tf.sendTransform(self._world_transform(shot, header.stamp))
        self._publish(shot, header, scene.number, settings)

    def _world_transform(self, shot: Shot, stamp: Any) -> Any:
        return world_transform(shot.camera.pose, stamp, self._table.values.world_frame)

    def _publish(
        self, shot: Shot, header: Header, number: int, settings: CameraSettings
    ) -> None:
        height, width = shot.depth.shape
        info = camera_info(CameraModel.from_k(shot.camera.K, width, height), header)
        # the truth first: who compares has it when the answer comes
        _send(self._true_instances, lambda: true_instances(shot, header, number))
        _send(self._true_targets, lambda: true_targets(shot, header, number))
        self._info.publish(info)
        self._depth_info.publish(info)
        if self._random.random() >= settings.drop_rate:
            _send(self._depth, lambda: array_to_image(shot.depth, '16UC1', header))
            _send(self._png, lambda: depth_to_compressed(shot.depth, header))
        if self._random.random() >= settings.drop_rate:
            _send(self._image, lambda: array_to_image(shot.image, 'rgb8', header))
            _send(self._jpeg,
                  lambda: array_to_compressed(shot.image, header, settings.jpeg_quality))


def _send(publisher: Any, make: Callable[[], Any]) -> None:
    """Publish a message that is only made when somebody listens."""
    if publisher is not None and publisher.get_subscription_count():
        publisher.publish(make())


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; return the exit code."""
    return run_node(TabletopCameraNode, args, threads=3)


if __name__ == '__main__':
    sys.exit(main())
