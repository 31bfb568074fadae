# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live node with a depth camera beside the colour camera."""

import time

import numpy as np
import pytest
from live import header_of, live_pair, wait_until
from raycast import Box, look_at, render

from instructsam_ros.bridge.cameras import camera_info
from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.bridge.interfaces import Target
from instructsam_ros.bridge.transforms import stamped_transform
from instructsam_ros.perception.camera import CameraModel

from rcl_interfaces.srv import SetParameters  # isort: skip
from rclpy.parameter import Parameter  # isort: skip
from rclpy.qos import qos_profile_sensor_data  # isort: skip
from sensor_msgs.msg import CameraInfo  # isort: skip
from tf2_ros import StaticTransformBroadcaster  # isort: skip

CAMERA = CameraModel.from_k([300, 0, 159.5, 0, 300, 119.5, 0, 0, 1], 320, 240)
DEPTH_CAMERA = CameraModel.from_k([200, 0, 105.5, 0, 200, 59.5, 0, 0, 1], 212, 120)
POSE = look_at([0.0, -0.6, 0.5], [0, 0, 0.03])
# 6 cm to the right of the colour camera, and turned a little
BESIDE = np.eye(4)
BESIDE[:3, :3] = [[0.9998, 0, -0.02], [0, 1, 0], [0.02, 0, 0.9998]]
BESIDE[:3, 3] = 0.06, 0.0, 0.003
THING = Box((0.02, 0, 0.04), (0.08, 0.06, 0.08), 0.3)


class Pair:
    """A colour and a depth camera, both exact, over a red box on a grey table."""

    def __init__(self, robot):
        self.robot = robot
        _, index = render([THING], CAMERA, POSE)
        picture = np.full((240, 320, 3), 90, np.uint8)
        picture[index == 1] = 255, 0, 0
        self.picture = picture
        self.depth, _ = render([THING], DEPTH_CAMERA, POSE @ BESIDE)
        self.info = robot.node.create_publisher(
            CameraInfo, 'depth_camera_info', qos_profile_sensor_data)

    def film(self, seconds, *, calibrated):
        """Publish at 15 Hz for some seconds."""
        robot, end = self.robot, time.monotonic() + seconds
        while time.monotonic() < end:
            color, beside = (header_of(time.time(), name) for name in ('eye', 'depth_eye'))
            if calibrated:
                self.info.publish(camera_info(DEPTH_CAMERA, beside))
            robot.info.publish(camera_info(CAMERA, color))
            robot.image.publish(array_to_image(self.picture, 'rgb8', color))
            robot.depth.publish(array_to_image(self.depth, '32FC1', beside))
            time.sleep(1 / 15)

    def last(self):
        return self.robot.received['targets'][-1][1].targets[0]


@pytest.fixture
def scene():
    # a busy machine may deliver the parts of one moment far apart
    with live_pair('-p', 'tracking.enabled:=false') as both:
        yield both


def test_unaligned_depth_is_registered_or_the_node_says_what_it_needs(scene):
    process, robot = scene
    pair = Pair(robot)
    wait_until(lambda: pair.info.get_subscription_count())
    robot.ask('the red thing')
    pair.film(3.5, calibrated=False)
    assert pair.last().status & Target.STATUS_NO_DEPTH
    told = process.said('depth (depth_eye, 212x120) is not aligned to the picture (eye, 320x240)')
    assert len(told) == 1, process.report()
    assert 'no calibration of the depth camera comes on /depth_camera_info' in told[0]

    pair.film(1.0, calibrated=True)
    wait_until(lambda: process.said("'depth_eye'"))
    assert pair.last().status & Target.STATUS_NO_DEPTH

    StaticTransformBroadcaster(robot.node).sendTransform(
        stamped_transform(BESIDE, 'eye', 'depth_eye', header_of(time.time(), '').stamp))
    pair.film(2.5, calibrated=True)
    target = pair.last()
    assert not target.status & Target.STATUS_NO_DEPTH
    place = target.pose.pose.position
    wanted = POSE[:3, :3].T @ (np.array(THING.centre) - POSE[:3, 3])
    # depth pixels are 4 mm wide here, and two cameras round them
    np.testing.assert_allclose([place.x, place.y, place.z], wanted, atol=0.008)
    size = sorted((target.size.x, target.size.y, target.size.z))
    np.testing.assert_allclose(size, sorted(THING.size), atol=0.012)
    process.wait_for('depth can be registered again')

    # taken as aligned, the same depth puts it elsewhere: this is what registration is for
    client = robot.node.create_client(SetParameters, '/instructsam/set_parameters')
    request = SetParameters.Request(
        parameters=[Parameter('depth_registration', value='never').to_parameter_msg()])
    assert robot.call(client, request).results[0].successful
    pair.film(1.0, calibrated=True)
    assert pair.last().status & Target.STATUS_NO_DEPTH, 'of another aspect ratio'
    process.wait_for('set depth_registration to auto')
