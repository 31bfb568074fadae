# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When depth is brought into the picture, and what is said when it cannot be."""

from dataclasses import replace

import numpy as np
import pytest

from instructsam_ros.bridge.cameras import camera_info
from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.bridge.transforms import TransformUnavailable
from instructsam_ros.nodes import alignment
from instructsam_ros.nodes.decoding import FrameDecoder
from instructsam_ros.nodes.inputs import InputFrame
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.camera import CameraModel

from std_msgs.msg import Header  # isort: skip

CAMERA = CameraModel.from_k([100, 0, 39.5, 0, 100, 29.5, 0, 0, 1], 80, 60)
# beside the colour camera, 0.1 m to its right
BESIDE = np.eye(4)
BESIDE[0, 3] = 0.1


class Bench:
    """A decoder, what it says, and a TF of one transform."""

    def __init__(self, patch, **settings):
        patch.setattr(alignment, '_GRACE', 0.0)
        self.said = []
        self.asked = []
        self.pose = BESIDE
        self.settings = PerceptionSettings(**settings)
        self.decoder = FrameDecoder(
            lambda: self.settings, Notices(self.said.append, lambda text: None),
            self.extrinsics, '/eye/depth_camera_info')

    def extrinsics(self, target, source):
        self.asked.append((target, source))
        if self.pose is None:
            raise TransformUnavailable('unknown_frame', f"'{source}' is not in TF")
        return self.pose

    def depth(self, shape=(60, 80), frame='depth_eye', info=True, metres=1.0):
        """Depth of the decoded frame; the raw one is 1 m everywhere but for column 40, 0.5 m."""
        raw = np.full(shape, metres, np.float32)
        raw[:, shape[1] // 2] = 0.5
        camera = replace(CAMERA, width=shape[1], height=shape[0])
        return self.decoder.decode(InputFrame(
            array_to_image(np.zeros((60, 80, 3), np.uint8), 'rgb8', Header(frame_id='eye')),
            array_to_image(raw, '32FC1', Header(frame_id=frame)),
            camera_info(CAMERA, Header(frame_id='eye')),
            depth_info=camera_info(camera, Header(frame_id=frame)) if info else None)).depth


@pytest.fixture
def bench(monkeypatch):
    return Bench(monkeypatch)


def column(depth):
    """Where the nearer column is."""
    return np.flatnonzero(depth[30] == 0.5).tolist()


def test_depth_of_the_pictures_frame_is_left_alone(bench):
    assert column(bench.depth(frame='eye')) == [40]
    assert not bench.asked and not bench.said


def test_depth_of_another_frame_is_registered_by_its_calibration_and_tf(bench):
    # 100 px * 0.1 m / 0.5 m to the right
    assert column(bench.depth()) == [60]
    assert column(bench.depth()) == [60]
    assert bench.asked == [('eye', 'depth_eye')], 'fixed to each other: asked once'
    assert not bench.said


def test_never_and_always_overrule_the_frames(monkeypatch):
    never = Bench(monkeypatch, depth_registration='never')
    assert column(never.depth(info=False)) == [40]
    always = Bench(monkeypatch, depth_registration='always')
    assert always.depth(frame='eye', info=False) is None
    assert column(always.depth(frame='eye')) == [40], 'of one frame: nothing moves'


def test_another_aspect_ratio_is_another_camera_too(bench):
    # the same optics with more rows: registered without a shift
    found = bench.depth(shape=(72, 80), frame='eye')
    assert found.shape == (60, 80) and column(found) == [40]
    assert not bench.asked


def test_aligned_depth_of_another_resolution_is_resized(bench):
    found = bench.depth(shape=(120, 160), frame='eye', info=False)
    assert found.shape == (60, 80) and set(np.unique(found)) <= {0.5, 1.0}
    fine = bench.depth(shape=(30, 40), frame='eye', info=False)
    assert column(fine) == [40, 41]


def test_frames_without_a_name_are_not_told_apart(bench):
    assert column(bench.depth(frame='', info=False)) == [40]


def test_what_is_missing_is_said_once_with_the_mend(bench):
    for _ in range(3):
        assert bench.depth(info=False) is None
    assert len(bench.said) == 1
    for words in ('depth_eye', 'no calibration of the depth camera comes on '
                  '/eye/depth_camera_info', 'depth_registration to never', 'no 3D'):
        assert words in bench.said[0]
    bench.pose = None
    assert bench.depth() is None
    assert "'depth_eye' is not in TF" in bench.said[1]
    bench.pose = BESIDE
    assert column(bench.depth()) == [60]


def test_nothing_is_said_while_calibration_and_tf_arrive(bench, monkeypatch):
    monkeypatch.setattr(alignment, '_GRACE', 60.0)
    assert bench.depth(info=False) is None
    assert not bench.said


def test_a_change_of_calibration_counts(bench):
    assert column(bench.depth()) == [60]
    bench.settings = replace(bench.settings, rectified=True)
    assert column(bench.depth()) == [60]
    halved = replace(CAMERA, fx=50.0, fy=50.0)
    frame = bench.decoder.decode(InputFrame(
        array_to_image(np.zeros((60, 80, 3), np.uint8), 'rgb8', Header(frame_id='eye')),
        array_to_image(np.full((60, 80), 1.0, np.float32), '32FC1', Header(frame_id='depth_eye')),
        camera_info(halved, Header(frame_id='eye')),
        depth_info=camera_info(CAMERA, Header(frame_id='depth_eye'))))
    # a picture that sees twice as far to each side as the depth camera: half of it has depth
    assert 0.2 < np.isfinite(frame.depth).mean() < 0.3


def test_a_calibration_of_another_shape_is_reported(bench):
    raw = np.full((60, 60), 1.0, np.float32)
    frame = bench.decoder.decode(InputFrame(
        array_to_image(np.zeros((60, 80, 3), np.uint8), 'rgb8', Header(frame_id='eye')),
        array_to_image(raw, '32FC1', Header(frame_id='depth_eye')),
        camera_info(CAMERA, Header(frame_id='eye')),
        depth_info=camera_info(CAMERA, Header(frame_id='depth_eye'))))
    assert frame.depth is None
    assert 'another aspect ratio' in bench.said[0]
