# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The camera over a drawn table, as a process, seen from another one over DDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from live import NodeProcess, Robot, seconds_of, wait_until

from instructsam.tabletop.motion import sample_motion
from instructsam_ros.bridge.cameras import camera_model
from instructsam_ros.bridge.images import (
    compressed_to_array,
    depth_to_metres,
    image_to_array,
)
from instructsam_ros.bridge.interfaces import InstanceArray, TargetArray
from instructsam_ros.bridge.results import instances_of, targets_of
from instructsam_ros.bridge.transforms import transform_to_matrix

# ROS comes from the installed one or the embedded client, once bridge is imported
import tf2_ros  # isort: skip
from rclpy.qos import qos_profile_sensor_data  # isort: skip
from rclpy.time import Time  # isort: skip
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # isort: skip
from std_srvs.srv import Trigger  # isort: skip

SIZE = ('-p', 'width:=160', '-p', 'height:=120')
IMAGE, DEPTH = '/camera/color/image_raw', '/camera/aligned_depth_to_color/image_raw'
INFO = '/camera/color/camera_info'
INSTANCES = '/camera/camera/ground_truth/instances'
TARGETS = '/camera/camera/ground_truth/targets'


class Viewer(Robot):
    """Listens to the camera."""

    def __init__(self, *topics: str) -> None:
        super().__init__()
        kinds: dict[str, tuple[Any, Any]] = {
            IMAGE: (Image, qos_profile_sensor_data), DEPTH: (Image, qos_profile_sensor_data),
            INFO: (CameraInfo, qos_profile_sensor_data), INSTANCES: (InstanceArray, 20),
            TARGETS: (TargetArray, 20),
            f'{IMAGE}/compressed': (CompressedImage, qos_profile_sensor_data),
            f'{DEPTH}/compressedDepth': (CompressedImage, qos_profile_sensor_data)}
        self.buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self.buffer, self.node)
        for topic in topics:
            kind, qos = kinds[topic]
            self.node.create_subscription(kind, topic, self._keep(topic), qos)
        self.next_scene = self.node.create_client(Trigger, '/camera/camera/next_scene')

    def moment(self, *topics: str, skip: int = 0) -> list[Any]:
        """Wait for messages of one stamp on all topics; ``skip`` that many stamps before."""

        def find() -> list[Any] | None:
            stamped = [{self._stamp(one): one for _, one in list(self.received[topic])}
                       for topic in topics]
            common = sorted(set.intersection(*(set(one) for one in stamped)))
            return [one[common[skip]] for one in stamped] if len(common) > skip else None

        return wait_until(find, explain=lambda: {t: len(self.received[t]) for t in topics})

    @staticmethod
    def _stamp(message: Any) -> tuple[int, int]:
        return message.header.stamp.sec, message.header.stamp.nanosec

    def pose_at(self, stamp: Any) -> np.ndarray:
        """Optical frame -> world at a stamp, once TF knows it."""
        frames = ('world', 'camera_color_optical_frame', Time.from_msg(stamp))
        wait_until(lambda: self.buffer.can_transform(*frames))
        return transform_to_matrix(self.buffer.lookup_transform(*frames).transform)


@pytest.fixture
def camera(ros_domain: int) -> Iterator[Callable[..., NodeProcess]]:
    """Start the camera with ROS arguments."""
    started = []

    def start(*ros: str) -> NodeProcess:
        started.append(NodeProcess(
            'run', 'tabletop_camera_node', module='instructsam_ros.cli', ros=[*SIZE, *ros]))
        return started[-1]

    yield start
    for one in started:
        if one.is_alive:
            one.end()


@pytest.fixture
def view(ros_domain: int) -> Iterator[Callable[..., Viewer]]:
    """Listen to topics of the camera."""
    made = []

    def look(*topics: str) -> Viewer:
        made.append(Viewer(*topics))
        return made[-1]

    yield look
    for one in made:
        one.close()


def test_pictures_truth_and_transforms_fit_each_other(
    camera: Callable[..., NodeProcess], view: Callable[..., Viewer]
) -> None:
    viewer = view(IMAGE, DEPTH, INFO, INSTANCES, TARGETS)
    camera('-p', 'seed:=4', '-p', 'depth_noise:=0.0', '-p', 'rate:=10.0', '-p', 'speed:=0.2')
    image, depth, info, instances, targets = viewer.moment(
        IMAGE, DEPTH, INFO, INSTANCES, TARGETS, skip=5)
    assert image.encoding == 'rgb8' and depth.encoding == '16UC1'
    assert {one.header.frame_id for one in (image, depth, info, instances, targets)} == {
        'camera_color_optical_frame'}
    assert image_to_array(image).shape == (120, 160, 3)
    scene = sample_motion(4, 0, width=160, height=120).scene
    model = camera_model(info)
    np.testing.assert_allclose(model.matrix, scene.camera.K)
    assert instances.instruction_id == targets.instruction_id == 0
    pose = viewer.pose_at(image.header.stamp)
    metres = depth_to_metres(depth)
    found = instances_of(instances)
    assert len(found) == len(targets.targets) >= 2
    for one, target in zip(found, targets_of(targets), strict=True):
        thing = scene.objects[one.id - 1]
        assert one.id == target.id and one.phrase == target.phrase == (
            f'{thing.color} {thing.category}')
        assert target.geometry is not None
        # TF, K, the box and the camera's path agree: this is where the object stands
        world = pose @ target.geometry.pose
        np.testing.assert_allclose(world[:3, 3], thing.pose[:3, 3], atol=1e-6)
        np.testing.assert_allclose(world[:3, 2], [0, 0, 1], atol=1e-6)
        # depth in millimetres, and the mask is where the depth is
        at = one.mask & np.isfinite(metres)
        assert metres[at].mean() == pytest.approx(target.geometry.centroid[2], abs=1e-3)
    # the camera moves, and the transform of another stamp is another one
    later, = viewer.moment(IMAGE, skip=9)
    assert np.linalg.norm(viewer.pose_at(later.header.stamp)[:3, 3] - pose[:3, 3]) > 1e-3


def test_next_scene_is_another_table_with_a_new_number(
    camera: Callable[..., NodeProcess], view: Callable[..., Viewer]
) -> None:
    viewer = view(INSTANCES)
    camera('-p', 'seed:=4')
    viewer.moment(INSTANCES)
    response = viewer.call(viewer.next_scene, Trigger.Request())
    expected = sample_motion(4, 1, width=160, height=120).scene
    names = ', '.join(f'{one.color} {one.category}' for one in expected.objects)
    assert response.success and response.message == f'scene 1: {names}'
    new = viewer.next(INSTANCES, lambda one: one.instruction_id == 1, since=0)
    assert [one.phrase for one in new.instances] == [
        f'{expected.objects[one.id - 1].color} {expected.objects[one.id - 1].category}'
        for one in new.instances]


def test_still_camera_is_static_in_tf_and_pictures_differ_by_noise(
    camera: Callable[..., NodeProcess], view: Callable[..., Viewer]
) -> None:
    camera('-p', 'speed:=0.0', '-p', 'seed:=2', '-p', 'world_frame:=table')
    viewer = view(IMAGE)
    one = image_to_array(viewer.moment(IMAGE)[0]).astype(int)

    def differing() -> np.ndarray | None:
        pictures = (image_to_array(image) for _, image in list(viewer.received[IMAGE]))
        return next((two for two in pictures if (one != two).any()), None)

    # some frames long there is only one shot, and later the same comes again
    other: list[np.ndarray] = []
    wait_until(lambda: other or other.extend(two for two in [differing()] if two is not None))
    # known for any time: also for one long ago
    frames = ('table', 'camera_color_optical_frame', Time(seconds=5))
    wait_until(lambda: viewer.buffer.can_transform(*frames))
    difference = np.abs(one - other[0])
    # noise, not another scene
    assert 0 < np.median(difference[np.any(difference, axis=-1)]) < 20
    # the next table is seen from elsewhere, and TF follows
    viewer.call(viewer.next_scene, Trigger.Request())
    camera_pose = sample_motion(2, 1, width=160, height=120, moving=False).scene.camera.pose
    wait_until(lambda: np.allclose(
        transform_to_matrix(viewer.buffer.lookup_transform(*frames).transform), camera_pose,
        atol=1e-6))


def test_compressed_pictures_are_those_of_the_raw_ones(
    camera: Callable[..., NodeProcess], view: Callable[..., Viewer]
) -> None:
    viewer = view(IMAGE, DEPTH, f'{IMAGE}/compressed', f'{DEPTH}/compressedDepth')
    camera('-p', 'rate:=10.0')
    raw, depth, jpeg, png = viewer.moment(
        IMAGE, DEPTH, f'{IMAGE}/compressed', f'{DEPTH}/compressedDepth')
    difference = np.abs(compressed_to_array(jpeg).astype(int) - image_to_array(raw))
    # JPEG of quality 90 keeps grey noise within some levels
    assert difference.mean() < 8
    np.testing.assert_array_equal(depth_to_metres(png), depth_to_metres(depth))


def test_drops_and_jitter(
    camera: Callable[..., NodeProcess], view: Callable[..., Viewer]
) -> None:
    viewer = view(IMAGE, DEPTH, INFO)
    camera('-p', 'rate:=50.0', '-p', 'drop_rate:=0.5', '-p', 'jitter:=0.015')
    wait_until(lambda: len(viewer.received[INFO]) >= 150)
    infos, images = len(viewer.received[INFO]), len(viewer.received[IMAGE])
    # 150 coins: five standard deviations are 0.2; a busy machine loses some more
    assert 0.2 < images / infos < 0.7
    stamps = [{(one.header.stamp.sec, one.header.stamp.nanosec) for _, one in viewer.received[t]}
              for t in (IMAGE, DEPTH)]
    assert stamps[0] - stamps[1] and stamps[1] - stamps[0] and stamps[0] & stamps[1]
    ages = np.array([at - seconds_of(one.header) for at, one in viewer.received[INFO]])
    # uniform in 0..15 ms: half of it lies more than 7 ms apart
    assert np.percentile(ages, 90) - np.percentile(ages, 10) > 0.006


def test_refused_parameter_is_named_and_ends_the_node(
    camera: Callable[..., NodeProcess]
) -> None:
    node = camera('-p', 'drop_rate:=1.5')
    node.wait_for('drop_rate')
    assert node.process.wait(30) == 2


def test_node_ends_while_it_draws(
    camera: Callable[..., NodeProcess], view: Callable[..., Viewer]
) -> None:
    node = camera('-p', 'frames:=1000')
    viewer = view(IMAGE)
    viewer.moment(IMAGE)
    assert node.end() == 0
    assert not node.said('Traceback')
