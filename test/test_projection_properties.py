# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What must hold of targets whatever the scene: invariances, and inputs without any shape."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raycast import Ball, Box, Cylinder, look_at, render
from stand_ins import Found

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.projection import ProjectionSettings, Projector
from instructsam_ros.perception.targets import TargetStatus

CAMERA = CameraModel.from_k([300, 0, 159.5, 0, 300, 119.5, 0, 0, 1], 320, 240)
LENS = replace(CAMERA, distortion_model='plumb_bob', distortion=(0.1, -0.2, 0.001, 0.001, 0.05))
THINGS = (
    Box((0.0, 0.0, 0.03), (0.14, 0.06, 0.06), 0.5), Ball((0.17, 0.06, 0.04), 0.04),
    Cylinder((-0.15, 0.03, 0.06), 0.035, 0.12), Box((0.02, 0.21, 0.04), (0.07, 0.07, 0.08), 0.2),
)
NO_GEOMETRY = TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA


@lru_cache
def seen(camera=CAMERA, things=THINGS, elevation=45.0, distance=0.7):
    """Exact depth and true masks, with the camera's pose."""
    up = np.deg2rad(elevation)
    pose = look_at(
        (0.05, -distance * np.cos(up), 0.04 + distance * np.sin(up)), (0.02, 0.05, 0.04))
    depth, index = render(things, camera, pose)
    return depth, [Found(index == k + 1) for k in range(len(things))], pose


def corners(geometry):
    """The box's corners, sorted, so that boxes that are the same set of points compare equal."""
    signs = np.array(np.meshgrid(*[[-0.5, 0.5]] * 3)).reshape(3, -1).T
    points = (signs * geometry.size) @ geometry.pose[:3, :3].T + geometry.position
    return points[np.lexsort(np.round(points, 4).T)]


def assert_same(one, other, lengths=1e-6):
    """The same target but for its id."""
    assert one.status == other.status
    assert (one.phrase, one.visible_points) == (other.phrase, other.visible_points)
    for name in ('pose', 'size', 'centroid', 'normal', 'distance'):
        np.testing.assert_allclose(
            getattr(one.geometry, name), getattr(other.geometry, name), atol=lengths)


def assert_well_formed(geometry):
    """Finite, right-handed, of positive size and with covariances that are some."""
    for name in ('pose', 'size', 'centroid', 'normal', 'covariance', 'persistent', 'distance'):
        assert np.isfinite(getattr(geometry, name)).all(), name
    assert (geometry.size > 0).all()
    turn = geometry.pose[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.linalg.norm(geometry.normal) == pytest.approx(1)
    for matrix in (geometry.covariance, geometry.persistent):
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
        # rounding makes eigenvalues of zero a little negative
        assert np.linalg.eigvalsh(matrix).min() > -1e-12 * max(1.0, np.abs(matrix).max())
    assert (np.linalg.eigvalsh(geometry.covariance) > 0).all()


# ---- motion


@given(angle=st.floats(-3.1, 3.1), shift=st.tuples(*[st.floats(-5, 5)] * 3))
@settings(max_examples=25, deadline=None)
def test_moving_scene_and_camera_together_moves_the_targets_with_them(angle, shift):
    depth, found, pose = seen()
    moved = np.eye(4)
    moved[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    moved[:3, 3] = shift
    before, after = (
        [target.transformed(at) for target in
         Projector().project(found, depth, CAMERA, at[:3, :3])]
        for at in (pose, moved @ pose))
    for thing, one, other in zip(THINGS, before, after, strict=True):
        wanted = one.transformed(moved).geometry
        assert one.status == other.status
        # where no direction stands out, the box's sides are along the frame's axes: the extents
        # in two directions of a circle that pixels of 2.5 mm make
        tolerance = 1e-5 if isinstance(thing, Box) else 2.5e-3
        np.testing.assert_allclose(other.geometry.position, wanted.position, atol=tolerance)
        np.testing.assert_allclose(other.geometry.centroid, wanted.centroid, atol=1e-6)
        np.testing.assert_allclose(other.geometry.normal, wanted.normal, atol=1e-6)
        if isinstance(thing, Box):
            np.testing.assert_allclose(corners(other.geometry), corners(wanted), atol=tolerance)
        else:
            np.testing.assert_allclose(
                np.sort(other.geometry.size), np.sort(wanted.size), atol=2 * tolerance)


@given(turn=st.tuples(*[st.floats(-1, 1)] * 3))
@settings(max_examples=15, deadline=None)
def test_without_gravity_no_frame_matters(turn):
    # nothing but the picture is known, so nothing but the picture can count
    depth, found, _ = seen()
    before = Projector().project(found, depth, CAMERA)
    transform = np.eye(4)
    transform[:3, 3] = turn
    for one in before:
        assert TargetStatus.NO_TF in one.status
        back = one.transformed(transform).transformed(np.linalg.inv(transform))
        np.testing.assert_allclose(back.geometry.pose, one.geometry.pose, atol=1e-12)


@pytest.mark.parametrize('thing', [
    Ball((0, 0, 0.04), 0.04), Cylinder((0, 0, 0.06), 0.035, 0.12),
    Cylinder((0, 0, 0.01), 0.09, 0.02)], ids=['ball', 'can', 'plate'])
@given(azimuth=st.floats(-3.1, 3.1), elevation=st.floats(0.6, 1.2))
@settings(max_examples=12, deadline=None)
def test_what_is_round_has_the_frames_axes_from_wherever_it_is_seen(thing, azimuth, elevation):
    eye = 0.6 * np.array([
        np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth),
        np.sin(elevation)])
    pose = look_at(eye, (0, 0, 0.03))
    depth, index = render([thing], CAMERA, pose)
    (target,) = Projector().project([Found(index == 1)], depth, CAMERA, pose[:3, :3])
    world = target.transformed(pose).geometry
    np.testing.assert_allclose(world.pose[:3, :3], np.eye(3), atol=1e-6)
    # curved outlines lose up to two pixels of 2 mm
    np.testing.assert_allclose(world.position, thing.centre, atol=0.006)


@given(seed=st.integers(0, 2**32 - 1), yaw=st.floats(-3.1, 3.1))
@settings(max_examples=12, deadline=None)
def test_noise_does_not_turn_a_square_box_over(seed, yaw):
    # off the two directions in which the convention changes over (see box.canonical), by 4 degrees
    apart = np.abs((np.rad2deg(yaw) - 67.5 + 45) % 90 - 45)
    yaw += np.deg2rad(8) * (apart < 4)
    pose = look_at((0.1, -0.5, 0.45), (0, 0, 0.03))
    depth, index = render([Box((0, 0, 0.04), (0.08, 0.08, 0.08), yaw)], CAMERA, pose)
    rng = np.random.default_rng(seed)
    angles = []
    for _ in range(6):
        noisy = (depth + 0.0015 * rng.standard_normal(depth.shape)).astype(np.float32)
        (target,) = Projector().project([Found(index == 1)], noisy, CAMERA, pose[:3, :3])
        x = target.transformed(pose).geometry.pose[:3, 0]
        angles.append(np.arctan2(x[1], x[0]))
    apart = np.angle(np.exp(1j * (np.array(angles)[:, None] - np.array(angles))))
    assert np.abs(apart).max() < np.deg2rad(15)


# ---- order


@given(order=st.permutations(range(4)), gravity=st.booleans())
@settings(max_examples=15, deadline=None)
def test_permuting_instances_permutes_targets(order, gravity):
    depth, found, pose = seen()
    found = [replace(one, phrase=f'thing {k}') for k, one in enumerate(found)]
    rotation = pose[:3, :3] if gravity else None
    straight = Projector().project(found, depth, CAMERA, rotation)
    mixed = Projector().project([found[k] for k in order], depth, CAMERA, rotation)
    assert [target.id for target in mixed] == [1, 2, 3, 4]
    for target, k in zip(mixed, order, strict=True):
        assert_same(target, straight[k], lengths=1e-12)


@given(chosen=st.sets(st.integers(0, 3), min_size=1))
@settings(max_examples=10, deadline=None)
def test_other_instances_change_nothing_where_gravity_is_known(chosen):
    depth, found, pose = seen()
    every = Projector().project(found, depth, CAMERA, pose[:3, :3])
    some = Projector().project([found[k] for k in sorted(chosen)], depth, CAMERA, pose[:3, :3])
    for target, k in zip(some, sorted(chosen), strict=True):
        assert_same(target, every[k], lengths=1e-12)


# ---- scale


@given(scale=st.floats(0.6, 1.6))
@settings(max_examples=15, deadline=None)
def test_depth_that_is_larger_makes_everything_larger(scale):
    depth, found, pose = seen()
    # the noise model of a camera that sees everything larger
    noise = ProjectionSettings().noise
    larger = replace(noise, constant=noise.constant * scale, quadratic=noise.quadratic / scale)
    before = Projector().project(found, depth, CAMERA, pose[:3, :3])
    after = Projector(ProjectionSettings(noise=larger)).project(
        found, (scale * depth).astype(np.float32), CAMERA, pose[:3, :3])
    for one, other in zip(before, after, strict=True):
        # a few limits are in metres, such as the bins in which supports are looked for: 2 mm
        for name in ('size', 'position', 'centroid'):
            np.testing.assert_allclose(
                getattr(other.geometry, name), scale * getattr(one.geometry, name), rtol=0.01,
                atol=0.002)
        np.testing.assert_allclose(other.geometry.normal, one.geometry.normal, atol=1e-3)


@pytest.mark.parametrize('factor', [2, 3])
def test_metres_do_not_depend_on_the_resolution(factor):
    coarse, fine = seen(), seen(CAMERA.scaled(factor * 320, factor * 240))
    camera = CAMERA.scaled(factor * 320, factor * 240)
    before = Projector().project(coarse[1], coarse[0], CAMERA, coarse[2][:3, :3])
    after = Projector().project(fine[1], fine[0], camera, fine[2][:3, :3])
    for one, other in zip(before, after, strict=True):
        assert one.status == other.status
        # one or two of the coarse pixels, of 2.5 mm
        np.testing.assert_allclose(other.geometry.position, one.geometry.position, atol=0.004)
        np.testing.assert_allclose(
            np.sort(other.geometry.size), np.sort(one.geometry.size), atol=0.006)
        np.testing.assert_allclose(other.geometry.centroid, one.geometry.centroid, atol=0.003)


# ---- without shape


def line(*, columns=False, width=1):
    mask = np.zeros((240, 320), bool)
    if columns:
        mask[60:180, 160 : 160 + width] = True
    else:
        mask[120 : 120 + width, 100:220] = True
    return mask


def block(height=60, width=80):
    mask = np.zeros((240, 320), bool)
    mask[90 : 90 + height, 120 : 120 + width] = True
    return mask


def point():
    mask = np.zeros((240, 320), bool)
    mask[120, 160] = True
    return mask


def diagonal():
    mask = np.zeros((240, 320), bool)
    mask[np.arange(60, 180), np.arange(100, 220)] = True
    return mask


SHAPELESS = {
    'one point': point(), 'two points': point() | np.roll(point(), 3), 'a row': line(),
    'a column': line(columns=True), 'two rows': line(width=2), 'a diagonal': diagonal(),
    'a plane': block(), 'all of the picture': np.ones((240, 320), bool),
    'an empty mask': np.zeros((240, 320), bool),
}
LOOK_DOWN = np.diag([1.0, -1.0, -1.0])


@pytest.mark.parametrize('gravity', [True, False], ids=['gravity', 'no gravity'])
@pytest.mark.parametrize('camera', [CAMERA, LENS], ids=['ideal', 'lens'])
@pytest.mark.parametrize('mask', SHAPELESS.values(), ids=list(SHAPELESS))
@pytest.mark.parametrize('scene', ['all-equal depth', 'a slanted plane', 'a thing'])
def test_shapeless_input_gives_flagged_targets_and_no_nan(mask, camera, gravity, scene):
    if scene == 'all-equal depth':
        depth, pose = np.full((240, 320), 0.8, np.float32), np.eye(4)
        pose[:3, :3] = LOOK_DOWN
    else:
        depth, _, pose = seen(camera, THINGS if scene == 'a thing' else ())
    (target,) = Projector().project(
        [Found(mask)], depth, camera, pose[:3, :3] if gravity else None)
    if not mask.any():
        assert target.status & ~TargetStatus.NO_TF & ~TargetStatus.CAMERA_ALIGNED == (
            TargetStatus.NO_DEPTH)
    if scene != 'a thing':
        assert target.status, 'nothing here can be measured well'
    assert (target.geometry is None) == bool(target.status & NO_GEOMETRY)
    if target.geometry is not None:
        assert_well_formed(target.geometry)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_few_points_anywhere_give_no_nan(data):
    count = data.draw(st.integers(1, 12))
    places = data.draw(st.lists(
        st.tuples(st.integers(0, 35), st.integers(0, 47)), min_size=count, max_size=count))
    mask = np.zeros((36, 48), bool)
    mask[tuple(np.transpose(places))] = True
    values = st.floats(0.125, 5, width=32) | st.just(float('nan')) | st.just(float('inf'))
    depth = np.array(data.draw(st.lists(values, min_size=36, max_size=36)), np.float32)
    depth = np.repeat(depth[:, None], 48, axis=1)
    camera = CameraModel.from_k([50, 0, 23.5, 0, 50, 17.5, 0, 0, 1], 48, 36)
    rotation = data.draw(st.sampled_from([None, LOOK_DOWN, np.eye(3)]))
    (target,) = Projector().project([Found(mask)], depth, camera, rotation)
    assert target.status, 'a dozen points are too few'
    if target.geometry is not None:
        assert_well_formed(target.geometry)
