# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of one camera in the picture of another: exact scenes, seen by both."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raycast import Ball, Box, Cylinder, look_at, render

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.registration import DepthRegistration

SMALL = CameraModel.from_k([150, 0, 79.5, 0, 150, 59.5, 0, 0, 1], 160, 120)
WIDE = CameraModel.from_k([140, 0, 105.5, 0, 140, 59.5, 0, 0, 1], 212, 120)
FINE = CameraModel.from_k([310, 0, 161, 0, 310, 121, 0, 0, 1], 320, 240)
LENSES = {
    'plumb_bob': (0.1, -0.2, 0.001, -0.001, 0.05),
    'rational_polynomial': (0.4, 0.2, 0.001, -0.001, 0.05, 0.35, 0.15, 0.01),
    'thin prism': (0.1, -0.2, 0.001, 0.001, 0.0, 0.0, 0.0, 0.0, 0.01, -0.01, 0.02, 0.01),
    'tilted': (0.1, -0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.01, -0.02),
    'equidistant': (-0.01, 0.02, -0.005, 0.001),
}
SHAPES = [
    Box((0, 0, 0.05), (0.1, 0.08, 0.1), 0.4), Ball((0.17, 0.08, 0.05), 0.05),
    Cylinder((-0.15, 0.05, 0.06), 0.04, 0.12),
]


def lens(camera, kind):
    model = kind if kind in ('plumb_bob', 'equidistant') else 'rational_polynomial'
    return replace(camera, distortion_model=model, distortion=LENSES[kind])


def rigid(shift=(0.0, 0.0, 0.0), turn=(0.0, 0.0, 0.0)):
    matrix = np.eye(4)
    matrix[:3, :3] = cv2.Rodrigues(np.array(turn, float))[0]
    matrix[:3, 3] = shift
    return matrix


def plane_depth(camera, normal, distance):
    """Depth of the plane normal . point = distance."""
    rays = camera.rays().astype(float)
    rays = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1)
    depth = distance / (rays @ normal)
    return np.where(depth > 0, depth, np.nan).astype(np.float32)


offsets = st.builds(
    rigid,
    st.tuples(*[st.floats(-0.06, 0.06)] * 3),
    st.tuples(*[st.floats(-0.04, 0.04)] * 3),
)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_no_way_between_the_cameras_returns_the_input(seed):
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.2, 5, (120, 160)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = np.nan
    np.testing.assert_array_equal(DepthRegistration(SMALL, SMALL, np.eye(4))(depth), depth)
    # nor does the general way invent or lose anything where no pixel moves: a nanometre
    moved = DepthRegistration(SMALL, SMALL, rigid((1e-9, 0, 0)))(depth)
    np.testing.assert_allclose(moved, depth, rtol=1e-6)


@given(offset=offsets, tilt=st.tuples(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6)),
       distance=st.floats(0.4, 3.0), cameras=st.sampled_from(
           [(SMALL, SMALL), (WIDE, SMALL), (SMALL, FINE), (FINE, SMALL)]))
@settings(max_examples=30, deadline=None)
def test_a_plane_stays_that_plane_without_gaps(offset, tilt, distance, cameras):
    source, camera = cameras
    normal = np.array([*tilt, 1.0]) / np.linalg.norm([*tilt, 1.0])
    moved = offset[:3, :3] @ normal
    depth = plane_depth(source, normal, distance)
    wanted = plane_depth(camera, moved, distance + moved @ offset[:3, 3])
    found = DepthRegistration(source, camera, offset)(depth)
    known = np.isfinite(found)
    # what the depth camera sees, but for a rim that its outermost pixels do not cover
    rays = camera.rays().astype(float)
    points = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=-1) * wanted[..., None]
    inverse = np.linalg.inv(offset)
    back = points @ inverse[:3, :3].T + inverse[:3, 3]
    u, v = np.moveaxis(source.project(back), -1, 0)
    covered = (u > 0) & (v > 0) & (u < source.width - 1) & (v < source.height - 1)
    assert known[covered].all(), 'gaps'
    # a patch has one depth: off by its half diagonal, and the overlap, times the slope
    slope = np.hypot(*np.gradient(wanted))
    patch = max(1.0, camera.fx / source.fx)
    assert (np.abs(found - wanted)[known & covered]
            <= (1.1 * patch * slope + 1e-5 * wanted)[known & covered]).all()


@given(offset=offsets)
@settings(max_examples=15, deadline=None)
def test_there_and_back_is_where_it_was(offset):
    depth, _ = render(SHAPES, SMALL, look_at([0.05, -0.6, 0.5], [0, 0, 0.03]))
    there = DepthRegistration(SMALL, FINE, offset)(depth)
    back = DepthRegistration(FINE, SMALL, np.linalg.inv(offset))(there)
    # away from edges, where one of both cameras sees something else
    smooth = cv2.dilate(depth, np.ones((9, 9))) - cv2.erode(depth, np.ones((9, 9))) < 0.06
    both = smooth & np.isfinite(back)
    assert both.sum() > 0.5 * smooth.sum()
    # two roundings to a pixel of 5 mm at 0.8 m, on slopes of up to two to one, rarely more
    assert np.percentile(np.abs(back - depth)[both], 99) < 0.012


@pytest.mark.parametrize(('source', 'camera'), [
    (SMALL, SMALL), (WIDE, FINE), (FINE, SMALL), (lens(WIDE, 'plumb_bob'), FINE),
    *((WIDE, lens(FINE, kind)) for kind in LENSES),
], ids=['same', 'finer', 'coarser', 'lens of the depth camera', *LENSES])  # fmt: skip
def test_a_scene_is_what_the_second_camera_sees(source, camera):
    pose = look_at([0.05, -0.6, 0.5], [0, 0, 0.03])
    offset = rigid((-0.03, 0.002, 0.004), (0.01, -0.02, 0.015))
    depth, _ = render(SHAPES, source, pose @ offset)
    wanted, index = render(SHAPES, camera, pose)
    found = DepthRegistration(source, camera, offset)(depth)
    reach = int(3 * max(1.0, camera.fx / source.fx)) * 2 + 1
    window = np.ones((reach, reach), np.uint8)
    flat = cv2.dilate(index, window) == cv2.erode(index, window)
    checked = flat & np.isfinite(found) & np.isfinite(wanted)
    assert checked.mean() > 0.6
    # a patch has one depth: off by its half diagonal, and the overlap, times the slope around
    patch = max(1.0, camera.fx / source.fx)
    slope = np.hypot(*np.gradient(np.nan_to_num(wanted, nan=10.0))).astype(np.float32)
    allowed = 1.1 * patch * cv2.dilate(slope, np.ones((3, 3), np.uint8)) + 1e-3
    error = found - wanted
    assert (np.abs(error) < allowed)[checked].mean() > 0.995
    # nothing of what is behind shines through
    assert np.percentile((error - allowed)[checked], 99.9) < 0.01


def test_what_is_hidden_from_the_second_camera_is_dropped():
    wall = np.full((120, 160), 2.0, np.float32)
    wall[40:80, 60:100] = 0.5
    # the near square moves by 150 * 0.1 / 0.5 = 30 px to the right, the wall by 7.5 px
    found = DepthRegistration(SMALL, SMALL, rigid((0.1, 0, 0)))(wall)
    assert (found[40:80, 90:130] == 0.5).all()
    # what it hid from the depth camera is unknown, between its old place and its new one
    assert np.isnan(found[45:75, 69:89]).all()
    assert (found[:39, 10:] == 2.0).all()


def test_invalid_depth_stays_invalid():
    depth = np.full((120, 160), 1.0, np.float32)
    depth[50:60, 70:80] = np.nan
    depth[20:30, 70:80] = 0.0
    depth[0, 0] = -1.0
    depth[5, 5] = np.inf
    found = DepthRegistration(SMALL, FINE, rigid((0.02, 0, 0)))(depth)
    # 310 / 150 times as large, shifted by 310 * 0.02 = 6.2 px
    assert np.isnan(found[106:120, 151:164]).all()
    assert np.isnan(found[44:58, 151:164]).all()
    assert np.isfinite(found).mean() > 0.9
    assert np.isfinite(found[np.isfinite(found)]).all() and np.nanmin(found) > 0
    nothing = DepthRegistration(SMALL, FINE, np.eye(4))(np.full((120, 160), np.nan, np.float32))
    assert np.isnan(nothing).all() and nothing.shape == (240, 320)


def test_what_is_behind_or_almost_in_the_camera_does_no_harm():
    depth = np.full((120, 160), 0.3, np.float32)
    depth[::2] = 1e-6
    behind = DepthRegistration(SMALL, SMALL, rigid((0, 0, -0.5)))(depth)
    assert np.isnan(behind).all()
    beside = DepthRegistration(SMALL, SMALL, rigid((0, 0, -0.3 + 1e-4)))(depth)
    assert not np.isinf(beside).any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match='rigid'):
        DepthRegistration(SMALL, FINE, 1000 * np.eye(4))
    with pytest.raises(ValueError, match='rigid'):
        DepthRegistration(SMALL, FINE, np.diag([1.0, 1.0, -1.0, 1.0]))
    with pytest.raises(ValueError, match='depth is 320x240, its camera info is for 160x120'):
        DepthRegistration(SMALL, FINE, np.eye(4))(np.ones((240, 320), np.float32))
