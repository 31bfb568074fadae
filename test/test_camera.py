# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Camera model and calibration files."""

import json
import time

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.camera_file import read_camera_file

K = [600.0, 0.0, 320.5, 0.0, 610.0, 239.5, 0.0, 0.0, 1.0]
LENSES = {
    'plumb_bob': (0.12, -0.25, 0.001, -0.002, 0.08),
    'rational_polynomial': (0.5, -0.4, 0.001, -0.001, 0.1, 0.8, -0.3, 0.05),
    'equidistant': (-0.02, 0.01, -0.003, 0.001),
}


def camera_with(model, **overrides):
    values = {'width': 640, 'height': 480, 'd': LENSES.get(model, ())}
    return CameraModel.from_k(K, distortion_model=model, **{**values, **overrides})


def test_the_principal_point_looks_straight_ahead():
    camera = camera_with('')
    np.testing.assert_allclose(camera.ray(320.5, 239.5), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(camera.ray(920.5, 239.5), [1, 0, 1], atol=1e-12)
    assert camera.rays().shape == (480, 640, 2)
    # float32 rays
    np.testing.assert_allclose(camera.rays()[100, 200], camera.ray(200, 100)[:2], atol=1e-7)


@pytest.mark.parametrize('model', ['', *LENSES])
@settings(max_examples=30, deadline=None)
@given(u=st.floats(0, 639), v=st.floats(0, 479), depth=st.floats(0.1, 10))
def test_pixel_to_ray_to_pixel_comes_back(model, u, v, depth):
    camera = camera_with(model)
    pixel = camera.project(camera.ray(u, v) * depth)
    # the inverse is iterated until its image is within 1e-4 px
    np.testing.assert_allclose(pixel, [u, v], atol=2e-4)


def test_distortion_agrees_with_opencv():
    points = np.random.default_rng(0).uniform([-0.4, -0.3, 0.5], [0.4, 0.3, 2.0], (20, 3))
    for model in ('plumb_bob', 'rational_polynomial'):
        expected, _ = cv2.projectPoints(
            points, np.zeros(3), np.zeros(3), np.reshape(K, (3, 3)), np.array(LENSES[model])
        )
        np.testing.assert_allclose(camera_with(model).project(points), expected[:, 0], atol=1e-9)


def test_zero_coefficients_mean_no_distortion():
    assert camera_with('plumb_bob', d=[0.0] * 5) == camera_with('')


def test_eight_coefficients_named_plumb_bob_are_rational():
    camera = camera_with('plumb_bob', d=LENSES['rational_polynomial'])
    assert camera.distortion_model == 'rational_polynomial'


def test_rectified_cameras_take_p():
    p = [500.0, 0, 300, 12.0, 0, 505.0, 250, 0, 0, 0, 1, 0]
    camera = CameraModel.from_p(p, 640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.0, 505.0, 300.0, 250.0)
    assert not camera.distortion_model


@pytest.mark.parametrize('factor', [1, 2, 4])
def test_scaling_keeps_directions(factor):
    camera = CameraModel.from_k(K, 640, 480)
    small = camera.scaled(640 // factor, 480 // factor)
    # the centre of a small pixel is the middle of the block of pixels that it stands for
    middle = (factor - 1) / 2
    u, v = np.array([10, 20]) * factor + middle
    np.testing.assert_allclose(small.ray(10, 20), camera.ray(u, v), atol=1e-9)


def test_scaling_refuses_another_aspect_ratio():
    with pytest.raises(ValueError, match='another aspect ratio'):
        CameraModel.from_k(K, 640, 480).scaled(1280, 720)


def test_a_crop_keeps_directions():
    camera = CameraModel.from_k(K, 640, 480)
    crop = camera.cropped(100, 50, 200, 100)
    np.testing.assert_allclose(crop.ray(7, 9), camera.ray(107, 59), atol=1e-12)


def test_rays_are_computed_once_per_camera():
    camera_with('rational_polynomial').rays()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        # an equal camera, as each camera_info message makes a new one
        again = camera_with('rational_polynomial').rays()
        seconds.append(time.perf_counter() - start)
    # computing them takes tens of milliseconds; others may take the processor for some of them
    assert min(seconds) < 0.005
    assert not again.flags.writeable


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'k': [np.nan, *K[1:]]}, 'NaN'),
        ({'k': [0.0, *K[1:]]}, 'fx = 0'),
        ({'k': [-600.0, *K[1:]]}, 'fx = -600'),
        ({'k': K[:8]}, '9 numbers'),
        ({'k': ['a'] * 9}, '9 numbers'),
        ({'width': 0}, '0x480'),
        ({'distortion_model': 'fisheye', 'd': (0.1,)}, 'fisheye'),
        ({'distortion_model': 'plumb_bob', 'd': (0.1, 0.2)}, 'has 2'),
        ({'distortion_model': 'plumb_bob', 'd': (np.nan,) * 5}, 'NaN'),
    ],
)
def test_senseless_intrinsics_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        CameraModel.from_k(**{'k': K, 'width': 640, 'height': 480, **values})


def test_calibration_files_of_each_form_agree(tmp_path):
    rows = [K[:3], K[3:6], K[6:]]
    d = list(LENSES['plumb_bob'])
    (tmp_path / 'calibration.yaml').write_text(
        yaml.safe_dump(
            {
                'image_width': 640,
                'image_height': 480,
                'camera_name': 'front',
                'camera_matrix': {'rows': 3, 'cols': 3, 'data': K},
                'distortion_model': 'plumb_bob',
                'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': d},
                'projection_matrix': {'rows': 3, 'cols': 4, 'data': [500.0, 0, 300, 0, 0, 505,
                                                                     250, 0, 0, 0, 1, 0]},
            }
        )
    )
    message = {'height': 480, 'width': 640, 'distortion_model': 'plumb_bob', 'd': d, 'k': K}
    (tmp_path / 'topic.yaml').write_text(yaml.safe_dump(message) + '---\n')
    meta = {'width': 640, 'height': 480, 'K': rows, 'D': d, 'depth_scale_to_metres': 0.0001}
    (tmp_path / 'meta.json').write_text(json.dumps(meta))
    cameras = {
        name: read_camera_file(tmp_path / name)
        for name in ('calibration.yaml', 'topic.yaml', 'meta.json')
    }
    assert len({file.camera for file in cameras.values()}) == 1
    assert cameras['meta.json'].camera == camera_with('plumb_bob')
    assert cameras['meta.json'].depth_scale_to_metres == 0.0001
    assert cameras['topic.yaml'].depth_scale_to_metres is None
    rectified = read_camera_file(tmp_path / 'calibration.yaml', rectified=True).camera
    assert rectified.fx == 500.0


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('{"width": 640, "height": 480}', 'no camera matrix'),
        ('{"K": [1, 2, 3], "width": 640, "height": 480}', '9 numbers'),
        ('{"K": [[NaN,0,1],[0,1,1],[0,0,1]], "width": 640, "height": 480}', 'NaN'),
        ('{"K": [1,0,1,0,1,1,0,0,1], "height": 480}', 'no width'),
        ('{"K": [1,0,1,0,1,1,0,0,1], "width": "w", "height": 480}', 'whole number'),
        ('{"K": [1,0,1,0,1,1,0,0,1], "width": 640, "height": 480, "depth_scale_to_metres": 0}',
         'depth_scale_to_metres'),
        ('[1, 2]', 'no keys'),
        ('{"K"', 'not a camera info file'),
    ],
)
def test_wrong_calibration_files_say_what_is_wrong(tmp_path, content, words):
    path = tmp_path / 'meta.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        read_camera_file(path)
    assert str(path) in str(error.value)


def test_a_missing_calibration_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='none.yaml'):
        read_camera_file(tmp_path / 'none.yaml')
