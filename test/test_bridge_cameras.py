# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo to camera models: K or P, distortion, binning and regions of interest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.bridge.cameras import camera_for_image, camera_info, camera_model
from instructsam_ros.perception.camera import CameraModel

from sensor_msgs.msg import CameraInfo  # isort: skip
from std_msgs.msg import Header  # isort: skip

K = [600.0, 0.0, 320.0, 0.0, 610.0, 240.0, 0.0, 0.0, 1.0]
P = [580.0, 0.0, 310.0, -20.0, 0.0, 590.0, 250.0, 0.0, 0.0, 0.0, 1.0, 0.0]
PLUMB_BOB = [0.1, -0.2, 0.001, 0.002, 0.05]


def info(**changes: object) -> CameraInfo:
    message = CameraInfo(header=Header(frame_id='eye'), width=640, height=480, k=K, p=P,
                         distortion_model='plumb_bob', d=[0.0] * 5)
    for name, value in changes.items():
        *path, last = name.split('__')
        owner = message
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, value)
    return message


def test_raw_images_take_k_and_d() -> None:
    camera = camera_model(info(d=PLUMB_BOB))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (600, 610, 320, 240)
    assert (camera.width, camera.height) == (640, 480)
    assert camera.distortion_model == 'plumb_bob'
    assert camera.distortion == pytest.approx(PLUMB_BOB)


def test_rectified_images_take_p_and_no_distortion() -> None:
    camera = camera_model(info(d=PLUMB_BOB), rectified=True)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (580, 590, 310, 250)
    assert not camera.distortion_model


@pytest.mark.parametrize(('model', 'd'), [
    ('plumb_bob', PLUMB_BOB), ('rational_polynomial', [0.1] * 8), ('equidistant', [0.01] * 4)])
def test_every_distortion_model(model: str, d: list[float]) -> None:
    camera = camera_model(info(distortion_model=model, d=d))
    assert camera.distortion_model == model
    # what is projected must come back along the same ray
    point = np.array([0.2, -0.1, 1.0])
    u, v = camera.project(point)
    np.testing.assert_allclose(camera.ray(u, v), point, atol=1e-4)


@pytest.mark.parametrize('model', ['', 'plumb_bob', 'none', 'inverse_brown_conrady'])
@pytest.mark.parametrize('d', [[], [0.0] * 5])
def test_no_coefficients_is_no_distortion_whatever_the_model(model: str, d: list[float]) -> None:
    assert not camera_model(info(distortion_model=model, d=d)).distortion_model


def test_binning_keeps_directions() -> None:
    whole, binned = camera_model(info()), camera_model(info(binning_x=2, binning_y=2))
    assert (binned.width, binned.height) == (320, 240)
    # a binned pixel sees what its four did: its centre is in the middle of theirs
    np.testing.assert_allclose(binned.ray(100, 50), whole.ray(200.5, 100.5))


def test_unequal_binning_and_zero_means_none() -> None:
    camera = camera_model(info(binning_x=4, binning_y=0))
    assert (camera.width, camera.height, camera.fx, camera.fy) == (160, 480, 150, 610)


def test_region_of_interest_comes_before_binning() -> None:
    message = info(roi__x_offset=100, roi__y_offset=60, roi__width=400, roi__height=200,
                   binning_x=2, binning_y=2)
    camera = camera_model(message)
    assert (camera.width, camera.height) == (200, 100)
    whole = camera_model(info())
    np.testing.assert_allclose(camera.ray(10, 20), whole.ray(100 + 20.5, 60 + 40.5))


@pytest.mark.parametrize('rectified', [False, True])
def test_region_of_interest_shifts_k_and_p(rectified: bool) -> None:
    message = info(roi__x_offset=100, roi__y_offset=60, roi__width=400, roi__height=200)
    camera, whole = (camera_model(one, rectified=rectified) for one in (message, info()))
    assert (camera.cx, camera.cy) == (whole.cx - 100, whole.cy - 60)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 200), st.integers(0, 200),
       st.integers(0, 50), st.integers(0, 50))
def test_any_window_sees_the_same_directions(bx: int, by: int, x: int, y: int, u: int,
                                             v: int) -> None:
    camera = camera_model(info(roi__x_offset=x, roi__y_offset=y, roi__width=400, roi__height=240,
                               binning_x=bx, binning_y=by))
    ray = camera_model(info()).ray(x + u * bx + (bx - 1) / 2, y + v * by + (by - 1) / 2)
    np.testing.assert_allclose(camera.ray(u, v), ray, atol=1e-12)


def test_resized_images_are_scaled_and_others_refused() -> None:
    half = camera_for_image(info(), 240, 320)
    assert (half.width, half.height, half.fx) == (320, 240, 300)
    assert camera_for_image(info(), 480, 640) == camera_model(info())
    with pytest.raises(ValueError, match=r'640x480, the image is 640x360, another aspect ratio'):
        camera_for_image(info(), 360, 640)


@pytest.mark.parametrize(('changes', 'rectified', 'reason'), [
    ({'k': [0.0] * 9, 'p': [0.0] * 12}, False, 'eye has an all-zero K: calibrate'),
    ({'k': [0.0] * 9, 'p': [0.0] * 12}, True, 'all-zero P: calibrate'),
    ({'p': [0.0] * 12}, True, 'all-zero P: set `rectified` to false'),
    ({'k': [*K[:4], float('nan'), *K[5:]]}, False, 'NaN'),
    ({'width': 0}, False, '0x480'),
    ({'distortion_model': 'fisheye', 'd': PLUMB_BOB}, False, "'fisheye' is not supported"),
    ({'d': [0.1, 0.2]}, False, '4 or 5 coefficients, D has 2'),
    ({'roi__width': 600, 'roi__height': 10, 'roi__x_offset': 100}, False, 'beyond its 640x480'),
    ({'binning_x': 1000}, False, 'binning 1000x1'),
])
def test_unusable_cameras_are_named(changes: dict[str, object], rectified: bool,
                                    reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        camera_model(info(**changes), rectified=rectified)


@pytest.mark.parametrize('camera', [
    CameraModel(640, 480, 600.0, 610.0, 320.0, 240.0),
    CameraModel(64, 48, 60.0, 61.0, 32.0, 24.0, 'rational_polynomial', (0.1,) * 8)])
def test_there_and_back(camera: CameraModel) -> None:
    message = camera_info(camera, Header(frame_id='eye'))
    assert camera_model(message) == camera
    assert message.header.frame_id == 'eye' and message.r[0] == 1.0
    assert camera_model(message, rectified=True).matrix.tolist() == camera.matrix.tolist()
