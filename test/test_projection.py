# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Masks, depth and camera to targets: on exact shapes, on the tabletop world, on a real frame."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raycast import Ball, Box, Cylinder, look_at, render
from stand_ins import Found

from instructsam.tabletop.depth_noise import add_depth_noise
from instructsam.tabletop.render import sample_frame
from instructsam_ros.demo.comparison import visible_centroid
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.camera_file import read_camera_file
from instructsam_ros.perception.images import read_depth
from instructsam_ros.perception.projection import ProjectionSettings, Projector
from instructsam_ros.perception.targets import TargetStatus, quaternion_from_rotation

CAMERA = CameraModel.from_k([600, 0, 319.5, 0, 600, 239.5, 0, 0, 1], 640, 480)


def view(distance=0.8, elevation=45.0, azimuth=0.0, target=(0.0, 0.0, 0.03)):
    up, around = np.deg2rad(elevation), np.deg2rad(azimuth)
    offset = np.array([np.cos(up) * np.sin(around), -np.cos(up) * np.cos(around), np.sin(up)])
    return look_at(np.asarray(target) + distance * offset, target)


def project(shapes, pose, *, camera=CAMERA, gravity=True, settings=None, depth=None, plane=True):
    """Targets of all shapes under their true masks, geometry in the world."""
    exact, index = render(shapes, camera, pose, plane=plane)
    instances = [Found(index == number + 1) for number in range(len(shapes))]
    targets = Projector(settings).project(
        instances, exact if depth is None else depth, camera, pose[:3, :3] if gravity else None
    )
    return [target.transformed(pose) for target in targets], exact, index


@pytest.mark.parametrize(
    ('shape', 'size'),
    [
        (Box((0, 0, 0.04), (0.06, 0.1, 0.08), 0.6), (0.1, 0.06, 0.08)),
        (Ball((0, 0, 0.035), 0.035), (0.07, 0.07, 0.07)),
        (Cylinder((0, 0, 0.06), 0.033, 0.12), (0.066, 0.066, 0.12)),
        (Cylinder((0, 0, 0.01), 0.09, 0.02), (0.18, 0.18, 0.02)),
    ],
    ids=['box', 'ball', 'can', 'plate'],
)
@pytest.mark.parametrize('elevation', [25, 45, 75])
def test_boxes_enclose_the_whole_object_also_what_is_hidden(shape, size, elevation):
    (target,), _, _ = project([shape], view(elevation=elevation))
    # from above, the lower half of a ball and the rim of a plate are hidden
    hidden = elevation == 75 and (isinstance(shape, Ball) or size[2] == 0.02)
    assert target.status == (TargetStatus.INFERRED_BOTTOM if hidden else TargetStatus.OK)
    # a pixel is 1.3 mm here; curved outlines lose up to two of them
    np.testing.assert_allclose(target.geometry.size, size, atol=0.006)
    np.testing.assert_allclose(target.geometry.position, shape.centre, atol=0.005)
    np.testing.assert_allclose(target.geometry.pose[:3, 2], [0, 0, 1], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(yaw=st.floats(-1.5, 1.5), azimuth=st.floats(-180, 180))
def test_the_box_turns_with_the_object_and_not_with_the_camera(yaw, azimuth):
    shape = Box((0, 0, 0.03), (0.14, 0.06, 0.06), yaw)
    (target,), _, _ = project([shape], view(elevation=50, azimuth=azimuth))
    x = target.geometry.pose[:3, 0]
    turned = np.arctan2(x[1], x[0]) - yaw
    # x and -x are the same side; two pixels over the long side are 1.1 degrees
    assert abs(np.sin(turned)) < np.sin(np.deg2rad(3))
    np.testing.assert_allclose(target.geometry.size, shape.size, atol=0.006)


def test_centroid_and_normal_are_those_of_the_visible_surface():
    shape = Box((0, 0, 0.05), (0.1, 0.1, 0.1), 0.0)
    # straight down: only the top is visible
    pose = view(elevation=89.9)
    (target,), exact, index = project([shape], pose)
    expected = visible_centroid(index == 1, exact, CAMERA)
    centroid = pose[:3, :3] @ expected + pose[:3, 3]
    np.testing.assert_allclose(target.geometry.centroid, centroid, atol=0.001)
    np.testing.assert_allclose(target.geometry.normal, [0, 0, 1], atol=0.02)
    assert target.geometry.distance == pytest.approx(np.linalg.norm(expected), abs=0.001)


def test_the_hidden_lower_part_reaches_down_to_the_table():
    shape = Box((0, 0, 0.08), (0.1, 0.1, 0.16), 0.2)
    (target,), _, _ = project([shape], view(elevation=89.9))
    geometry = target.geometry
    # no side is visible from above; what is left is the grid of pixels
    assert geometry.position[2] - geometry.size[2] / 2 == pytest.approx(0, abs=0.002)
    assert geometry.size[2] == pytest.approx(0.16, abs=0.003)


def test_an_object_on_another_stands_on_that_one():
    lower = Box((0, 0, 0.05), (0.2, 0.2, 0.1), 0.1)
    upper = Box((0, 0, 0.13), (0.07, 0.07, 0.06), 0.1)
    (_, target), _, _ = project([lower, upper], view(elevation=50, target=(0, 0, 0.1)))
    bottom = target.geometry.position[2] - target.geometry.size[2] / 2
    assert bottom == pytest.approx(0.1, abs=0.003)


@pytest.mark.parametrize('elevation', [25, 50])
def test_an_object_in_the_air_ends_where_it_is_seen_to_end(elevation):
    shape = Box((0, 0, 0.25), (0.06, 0.06, 0.1), 0.4)
    (target,), _, _ = project([shape], view(elevation=elevation, target=(0, 0, 0.2)))
    assert TargetStatus.NO_SUPPORT in target.status
    # the top, seen from 25 degrees, is a few pixels high
    np.testing.assert_allclose(target.geometry.position, shape.centre, atol=0.006)
    assert target.geometry.size[2] == pytest.approx(0.1, abs=0.008)


def test_what_is_guessed_is_less_certain():
    # the back of a ball is guessed, what is across is seen
    pose = view(elevation=25)
    (ball,), _, _ = project([Ball((0, 0, 0.05), 0.05)], pose)
    (seen,), _, _ = project([Ball((0, 0, 0.05), 0.05)], pose,
                            settings=ProjectionSettings(complete=False))
    assert ball.geometry.size[1] > 1.2 * seen.geometry.size[1]
    # away from the camera, which looks along y
    assert ball.geometry.covariance[1, 1] > 4 * ball.geometry.covariance[0, 0]


def test_a_mask_that_leaks_onto_the_background_changes_little():
    shape = Box((0, 0, 0.05), (0.08, 0.08, 0.1), 0.3)
    pose = view(elevation=40)
    exact, index = render([shape], CAMERA, pose)
    mask = index == 1
    # the table behind the upper edge: far away in 3D
    leak = mask | np.roll(mask, -12, axis=0) & (np.indices(mask.shape)[1] > 300)
    clean, leaky = (
        Projector().project([Found(one)], exact, CAMERA, pose[:3, :3])[0].geometry
        for one in (mask, leak)
    )
    np.testing.assert_allclose(leaky.position, clean.position, atol=0.006)
    np.testing.assert_allclose(leaky.size, clean.size, atol=0.012)


def test_flying_pixels_do_not_stretch_the_box():
    shape = Box((0, 0, 0.05), (0.08, 0.08, 0.1), 0.3)
    pose = view(elevation=40)
    exact, index = render([shape], CAMERA, pose)
    # outlines of real depth images mix near and far
    mixed = cv2.blur(exact, (3, 3))
    edge = cv2.dilate(exact, np.ones((3, 3))) - cv2.erode(exact, np.ones((3, 3))) > 0.02
    flying = np.where(edge, mixed, exact)
    instances = [Found(index == 1)]
    (target,) = Projector().project(instances, flying, CAMERA, pose[:3, :3])
    # an outline that moves by a pixel on either side
    np.testing.assert_allclose(target.geometry.size, [0.08, 0.08, 0.1], atol=0.008)


def test_an_occluder_in_front_does_not_split_the_object():
    back = Box((0, 0.05, 0.05), (0.3, 0.06, 0.1))
    front = Box((0, -0.12, 0.06), (0.05, 0.05, 0.12))
    pose = view(elevation=25)
    (target, _), _, _ = project([back, front], pose)
    assert TargetStatus.OCCLUDED in target.status
    assert target.geometry.size[0] == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize('covered', [0.2, 0.5, 0.8])
def test_an_object_half_hidden_by_a_pole_is_occluded(covered):
    # the pole stands between camera and object, over a part of the object's width
    thing = Box((0, 0.1, 0.06), (0.14, 0.08, 0.12))
    pose = view(elevation=30)
    edge = 0.07 - covered * 0.14
    # seen in perspective from 0.8 m, what is nearer by a quarter covers a third more
    pole = Box((edge * 0.75 + 0.1, -0.15, 0.2), (0.2, 0.03, 0.4))
    (target, _), _, index = project([thing, pole], pose)
    whole = (render([thing], CAMERA, pose)[1] == 1).sum()
    assert (index == 1).sum() == pytest.approx((1 - covered) * whole, rel=0.4)
    assert TargetStatus.OCCLUDED in target.status
    # the visible part alone, beside the pole, is no reason to call the pole occluded
    alone, _, _ = project([thing], pose)
    assert TargetStatus.OCCLUDED not in alone[0].status


def test_a_neighbour_that_hides_nothing_is_no_occluder():
    thing, neighbour = Box((0, 0, 0.04), (0.08, 0.08, 0.08)), Box((0.11, -0.1, 0.04), (0.08,) * 3)
    for target in project([thing, neighbour], view(elevation=40))[0]:
        assert target.status == TargetStatus.OK


def test_a_bottom_that_is_hidden_is_inferred_and_said_so():
    thing = Box((0, 0, 0.08), (0.1, 0.06, 0.16), 0.2)
    wall = Box((0, -0.16, 0.065), (0.5, 0.02, 0.13))
    (target, low), _, _ = project([thing, wall], view(elevation=20, target=(0, 0, 0.08)))
    assert {TargetStatus.OCCLUDED, TargetStatus.INFERRED_BOTTOM} <= set(target.status)
    assert TargetStatus.NO_SUPPORT not in target.status
    assert target.geometry.position[2] - target.geometry.size[2] / 2 == pytest.approx(0, abs=0.004)
    assert target.geometry.size[2] == pytest.approx(0.16, abs=0.005)
    assert TargetStatus.INFERRED_BOTTOM not in low.status


def test_an_object_cut_by_the_pictures_lower_border_stands_all_the_same():
    thing = Box((0, -0.02, 0.08), (0.1, 0.06, 0.16), 0.2)
    # the camera looks over it: the lower half is out of the picture, the table at both sides not
    (target,), _, index = project([thing], view(elevation=20, target=(0, 0.2, 0.3)))
    assert (index == 1)[-1].any()
    assert {TargetStatus.TOUCHES_BORDER, TargetStatus.INFERRED_BOTTOM} <= set(target.status)
    assert TargetStatus.NO_SUPPORT not in target.status


def test_the_largest_cluster_counts():
    # a mask that also covers a smaller thing behind, and one in front
    thing = Box((0, 0, 0.05), (0.1, 0.1, 0.1), 0.3)
    shapes = [thing, Box((0.1, 0.35, 0.03), (0.06, 0.06, 0.06)), Ball((-0.2, -0.2, 0.03), 0.03)]
    pose = view(elevation=40)
    exact, index = render(shapes, CAMERA, pose)
    mixed, clean = (
        Projector().project([Found(mask)], exact, CAMERA, pose[:3, :3])[0].geometry
        for mask in (index > 0, index == 1))
    # a larger mask is read on a coarser grid, of some 4 in place of 1.3 mm: corners get round;
    # all three together would be half a metre long
    np.testing.assert_allclose(mixed.position, clean.position, atol=0.008)
    np.testing.assert_allclose(mixed.size, clean.size, atol=0.015)


def test_a_cup_is_along_its_handle_and_a_round_body_is_whole():
    # a thin plate beside a cylinder, as long as half its radius
    yaw = 0.7
    along = np.array([np.cos(yaw), np.sin(yaw)])
    cup = Cylinder((0, 0, 0.045), 0.04, 0.09)
    handle = Box((*(0.049 * along), 0.045), (0.026, 0.012, 0.06), yaw)
    for azimuth in (0, 60, -90, 180):
        pose = view(elevation=45, azimuth=azimuth)
        exact, index = render([cup, handle], CAMERA, pose)
        (target,) = Projector().project([Found(index > 0)], exact, CAMERA, pose[:3, :3])
        world = target.transformed(pose).geometry
        x = world.pose[:2, 0]
        if np.count_nonzero(index == 2) < 150:
            # the handle is hidden behind the cup
            continue
        assert abs(x @ along) > np.cos(np.deg2rad(8)), azimuth
        # from the cup's far side to the handle's end
        np.testing.assert_allclose(world.size, [0.102, 0.08, 0.09], atol=0.008)
        np.testing.assert_allclose(world.position[:2], 0.011 * along, atol=0.006)


def test_without_gravity_the_support_plane_says_where_up_is():
    shape = Box((0, 0, 0.04), (0.06, 0.1, 0.08), 0.6)
    (target,), _, _ = project([shape], view(elevation=40), gravity=False)
    assert target.status == TargetStatus.NO_TF
    np.testing.assert_allclose(target.geometry.pose[:3, 2], [0, 0, 1], atol=0.01)
    np.testing.assert_allclose(target.geometry.size, [0.1, 0.06, 0.08], atol=0.006)


def test_without_gravity_and_plane_the_picture_says_where_up_is():
    pose = view(elevation=40)
    (target,), _, _ = project([Ball((0, 0, 0.03), 0.03)], pose, gravity=False, plane=False)
    assert target.status == (
        TargetStatus.NO_TF | TargetStatus.CAMERA_ALIGNED | TargetStatus.NO_SUPPORT
    )
    np.testing.assert_allclose(target.geometry.pose[:3, 2], -pose[:3, 1], atol=1e-6)


def test_status_says_what_is_wrong():
    pose = view()
    exact, index = render([Box((0, 0, 0.05), (0.1, 0.1, 0.1))], CAMERA, pose)
    mask = index == 1

    def status(depth=exact, camera=CAMERA, **changes):
        found = replace(Found(mask), **changes)
        (target,) = Projector().project([found], depth, camera, pose[:3, :3])
        assert (target.geometry is None) == bool(
            target.status & (TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA)
        )
        return target.status

    nothing = np.full_like(exact, np.nan)
    sparse = np.where(np.random.default_rng(0).random(exact.shape) < 0.1, exact, np.nan)
    assert status() == TargetStatus.OK
    assert status(depth=None) == TargetStatus.NO_DEPTH
    assert status(depth=nothing) == TargetStatus.NO_DEPTH
    assert status(camera=None) == TargetStatus.NO_CAMERA
    assert status(depth=None, camera=None) == TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA
    assert status(depth=exact * 100) == TargetStatus.NO_DEPTH, 'out of any range'
    assert TargetStatus.SPARSE_DEPTH in status(depth=sparse.astype(np.float32))
    assert status(score=0.2) == TargetStatus.LOW_SCORE
    assert TargetStatus.TOUCHES_BORDER in status(mask=mask | (np.indices(mask.shape)[1] == 0))
    empty = status(mask=np.zeros_like(mask))
    assert empty == TargetStatus.NO_DEPTH


def test_a_single_pixel_is_no_reason_to_fail():
    exact, _ = render([], CAMERA, view())
    mask = np.zeros(exact.shape, bool)
    mask[240, 320] = True
    (target,) = Projector().project([Found(mask)], exact, CAMERA, view()[:3, :3])
    assert target.geometry is None or TargetStatus.SPARSE_DEPTH in target.status


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1), noise=st.floats(0, 0.5))
@example(seed=14061, share=0.0, noise=0.0)  # exactly flat: no thickness at all
def test_any_mask_on_any_depth_gives_finite_targets(seed, share, noise):
    rng = np.random.default_rng(seed)
    camera = CameraModel.from_k([50, 0, 23.5, 0, 50, 17.5, 0, 0, 1], 48, 36)
    depth = (0.8 + noise * rng.standard_normal((36, 48))).astype(np.float32)
    depth[rng.random(depth.shape) < share] = np.nan
    x, y = rng.integers(0, (48, 36))
    width, height = rng.integers(1, 20, 2)
    block = np.zeros(depth.shape, bool)
    block[y : y + height, x : x + width] = True
    speckled = block & (rng.random(depth.shape) < 0.5)
    pose = view() if seed % 2 else None
    for target in Projector().project(
        [Found(block), Found(speckled)], depth, camera, None if pose is None else pose[:3, :3]
    ):
        geometry = target.geometry
        assert (geometry is None) == (TargetStatus.NO_DEPTH in target.status)
        if geometry is None:
            continue
        for values in (geometry.pose, geometry.size, geometry.centroid, geometry.covariance):
            assert np.isfinite(values).all()
        assert (geometry.size > 0).all()
        # x is along the longer side, or along either if they are equal within 10 %
        assert geometry.size[0] >= 0.9 * geometry.size[1]
        np.testing.assert_allclose(
            geometry.pose[:3, :3] @ geometry.pose[:3, :3].T, np.eye(3), atol=1e-9
        )
        assert np.linalg.det(geometry.pose[:3, :3]) == pytest.approx(1)
        assert np.linalg.norm(geometry.normal) == pytest.approx(1)


def test_sizes_that_do_not_match_are_refused():
    depth = np.ones((480, 640), np.float32)
    with pytest.raises(ValueError, match='camera is for 320x240'):
        Projector().project([], depth, CAMERA.scaled(320, 240))
    with pytest.raises(ValueError, match='mask has shape'):
        Projector().project([Found(np.ones((4, 4), bool))], depth, CAMERA)


def test_distorted_cameras_give_the_same_targets():
    shape = Box((0.05, 0, 0.04), (0.06, 0.1, 0.08), 0.6)
    lens = CameraModel.from_k(
        CAMERA.matrix, 640, 480, d=(0.1, -0.2, 0.001, 0.001, 0.05)
    )
    pose = view()
    straight, bent = (
        project([shape], pose, camera=camera)[0][0].geometry for camera in (CAMERA, lens)
    )
    # two samplings of the same outline: a pixel
    np.testing.assert_allclose(bent.position, straight.position, atol=0.002)
    np.testing.assert_allclose(bent.size, straight.size, atol=0.003)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.dot(q, q) > 0.01))
def test_quaternions_are_those_of_their_rotation(q):
    x, y, z, w = np.array(q) / np.linalg.norm(q)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    found = quaternion_from_rotation(rotation)
    assert found[3] >= 0
    # a quaternion and its negative are one rotation
    assert abs(found @ [x, y, z, w]) == pytest.approx(1, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(-3, 3), shift=st.floats(-2, 2))
def test_transforms_turn_pose_and_covariance_but_not_size(angle, shift):
    (target,), _, _ = project([Box((0, 0, 0.04), (0.06, 0.1, 0.08), 0.6)], view())
    transform = np.eye(4)
    transform[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    transform[:3, 3] = [shift, 0.1, -shift]
    before, after = target.geometry, target.transformed(transform).geometry
    np.testing.assert_array_equal(after.size, before.size)
    np.testing.assert_allclose(
        after.position, transform[:3, :3] @ before.position + transform[:3, 3], atol=1e-12
    )
    for block in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(
            np.linalg.eigvalsh(after.covariance[block, block]),
            np.linalg.eigvalsh(before.covariance[block, block]),
            atol=1e-12,
        )
    # the part that stays is turned like the whole
    stays = replace(before, persistent=before.covariance[:3, :3]).transformed(transform)
    np.testing.assert_allclose(stays.persistent, stays.covariance[:3, :3], atol=1e-15)


def test_covariance_is_symmetric_positive_and_covers_the_error():
    errors, deviations = [], []
    rng = np.random.default_rng(3)
    shape = Cylinder((0, 0, 0.05), 0.04, 0.1)
    pose = view(distance=1.2)
    exact, _ = render([shape], CAMERA, pose)
    for _ in range(12):
        noisy = add_depth_noise(exact, rng)
        (target,), _, _ = project([shape], pose, depth=noisy)
        covariance = target.geometry.covariance
        np.testing.assert_allclose(covariance, covariance.T, atol=1e-15)
        assert (np.linalg.eigvalsh(covariance) > 0).all()
        errors.append(np.linalg.norm(target.geometry.position - shape.centre))
        deviations.append(np.sqrt(np.trace(covariance[:3, :3])))
    # an honest figure is neither far below nor far above the error
    assert 0.2 < np.median(deviations) / np.median(errors) < 5


def test_tabletop_targets_are_within_the_goals():
    """Centroid within 5 mm, size within 10 % (medians) at 0.5 to 1.5 m, true masks, noisy depth."""
    centroid, centre, size = [], [], []
    for seed in range(12):
        rng = np.random.default_rng([11, seed])
        frame = sample_frame(rng, width=640, height=480)
        scene = frame.scene.camera
        camera = CameraModel.from_k(scene.K, scene.width, scene.height)
        depth = add_depth_noise(frame.depth, rng, focal=float(scene.K[0, 0]))
        masks = [frame.mask(number) for number in range(len(frame.scene.objects))]
        targets = Projector().project(
            [Found(mask) for mask in masks], depth, camera, scene.pose[:3, :3]
        )
        for mask, thing, target in zip(masks, frame.scene.objects, targets, strict=True):
            true = visible_centroid(mask, frame.depth, camera)
            if not 0.5 <= np.linalg.norm(true) <= 1.5:
                continue
            assert target.geometry is not None
            world = target.transformed(scene.pose).geometry
            centroid.append(np.linalg.norm(target.geometry.centroid - true))
            centre.append(np.linalg.norm(world.position - thing.pose[:3, 3]))
            size += list(np.abs(np.sort(world.size) / np.sort(thing.size) - 1))
    assert len(centroid) > 30
    assert np.median(centroid) <= 0.005
    assert np.median(size) <= 0.10
    # no goal is set for the centre of the whole object, half of which is hidden: hold what we have
    assert np.median(centre) <= 0.006


# Outlines of the nine objects of the shared table frame, drawn by hand, pixels
TABLE_OUTLINES = {
    1: [(721, 240), (770, 226), (886, 250), (928, 610), (825, 629), (760, 470)],
    3: [(468, 425), (543, 367), (560, 375), (627, 470), (622, 500), (575, 525), (548, 515)],
    6: [(512, 96), (518, 107), (503, 135), (510, 200), (540, 270), (600, 335), (608, 362),
        (575, 357), (515, 310), (478, 255), (456, 200), (458, 155), (490, 112)],
    9: [(425, 430), (460, 428), (475, 490), (482, 520), (515, 525), (520, 545), (592, 572),
        (622, 492), (655, 505), (640, 610), (590, 610), (480, 590), (475, 620), (418, 620),
        (414, 510), (425, 495)],
    23: [(648, 270), (690, 290), (702, 325), (680, 365), (640, 375), (605, 352), (597, 320),
         (612, 285)],
    27: [(358, 328), (370, 330), (385, 375), (398, 383), (400, 405), (365, 416), (354, 395),
         (358, 375), (350, 345)],
    39: [(655, 375), (700, 350), (705, 318), (732, 325), (728, 362), (741, 390), (705, 500),
         (680, 510), (630, 490)],
    52: [(663, 10), (688, 20), (676, 75), (690, 125), (680, 140), (662, 125), (625, 200),
         (603, 236), (585, 225), (566, 195), (575, 160), (615, 110), (598, 98), (630, 80),
         (645, 45)],
    62: [(340, 195), (375, 215), (530, 335), (525, 355), (492, 389), (465, 375), (295, 255),
         (298, 230)],
}


def test_targets_of_a_real_frame_are_where_the_objects_are():
    folder = Path(__file__).resolve().parents[2] / 'shared' / 'data' / 'table_frame'
    if not folder.is_dir():
        pytest.skip(f'no shared test data in {folder}')
    import json

    calibration = read_camera_file(folder / 'meta.json')
    depth = read_depth(folder / 'depth.png', metres_per_unit=calibration.depth_scale_to_metres)
    objects = json.loads((folder / 'meta.json').read_text())['objects']
    instances = []
    for thing in objects:
        mask = np.zeros(depth.shape, np.uint8)
        outline = np.array(TABLE_OUTLINES[thing['class_index']], np.int32)
        instances.append(Found(cv2.fillPoly(mask, [outline], 1).astype(bool)))
    targets = Projector().project(instances, depth, calibration.camera)
    for thing, target in zip(objects, targets, strict=True):
        assert TargetStatus.NO_TF in target.status
        error = np.linalg.norm(target.geometry.position - thing['translation_m'])
        # the given origins lie in or near the objects
        assert error < 0.05, thing['class_index']
    box = next(
        target for thing, target in zip(objects, targets, strict=True) if thing['class_index'] == 1
    )
    # a cracker box: 213 x 160 x 70 mm, outlined by hand to a few pixels
    np.testing.assert_allclose(np.sort(box.geometry.size), [0.07, 0.16, 0.213], atol=0.01)
