# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segments, depth and camera as grasp networks read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from instructsam_ros.bridge.cameras import camera_info
from instructsam_ros.bridge.images import (
    array_to_compressed,
    array_to_image,
    depth_to_compressed,
)
from instructsam_ros.bridge.interfaces import InstanceArray
from instructsam_ros.bridge.results import instance_message
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.planning import GraspBundle, grasp_bundle

from std_msgs.msg import Header  # isort: skip

SHAPE = (60, 80)
CAMERA = CameraModel(80, 60, 70.0, 72.0, 39.0, 31.0)


@dataclass
class Segment:
    id: int
    mask: np.ndarray
    score: float = 0.9
    phrase: str = 'red mug'
    box: tuple[float, float, float, float] = (0, 0, 1, 1)


def rectangle(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y:y + height, x:x + width] = True
    return mask


def flat(metres: float = 0.5) -> np.ndarray:
    return np.full(SHAPE, metres, np.float32)


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)


MUG, BOWL = Segment(3, rectangle(10, 10, 20, 20)), Segment(70_000, rectangle(50, 30, 20, 10))


def test_contact_graspnet_finds_what_it_looks_for(tmp_path: Path) -> None:
    depth, rgb = flat(), picture()
    depth[10:20, 10:20] = np.nan
    depth[0], depth[1], depth[2] = np.inf, 0.0, -1.0
    bundle = GraspBundle.from_arrays(depth, CAMERA, [MUG, BOWL], rgb)
    path = bundle.save(tmp_path / 'scene.npz')
    with np.load(path) as data:
        assert set(data.files) == {'depth', 'K', 'segmap', 'rgb'}
        read = {name: data[name] for name in data.files}
    np.testing.assert_array_equal(read['K'], [[70, 0, 39], [0, 72, 31], [0, 0, 1]])
    assert read['depth'].dtype == np.float32 and np.isfinite(read['depth']).all()
    assert (read['depth'] >= 0).all() and (read['depth'] > 0).sum() == 80 * 57 - 100
    # its segments: depth times each mask, background 0
    assert np.issubdtype(read['segmap'].dtype, np.integer)
    np.testing.assert_array_equal(np.unique(read['segmap'][read['segmap'] > 0]), [3, 70_000])
    assert ((read['depth'] * (read['segmap'] == 3)) > 0).sum() == 300
    # it swaps the channels of what it reads
    np.testing.assert_array_equal(read['rgb'][..., ::-1], rgb)


def test_the_name_of_the_file_says_its_format(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'something\.npz'):
        GraspBundle.from_arrays(flat(), CAMERA, []).save(tmp_path / 'scene.npy')


def test_a_bundle_without_picture_or_instances(tmp_path: Path) -> None:
    bundle = GraspBundle.from_arrays(flat(), CAMERA.matrix, [])
    with np.load(bundle.save(tmp_path / 'scene.npz')) as data:
        assert set(data.files) == {'depth', 'K', 'segmap'}
        assert not data['segmap'].any()
    assert bundle.ids == []
    with pytest.raises(ValueError, match='needs colours'):
        bundle.as_anygrasp()


def test_the_better_one_of_two_masks_wins_then_the_nearer_one() -> None:
    depth = flat()
    depth[:, :25] = 0.4
    left, right = rectangle(10, 10, 20, 20), rectangle(20, 10, 20, 20)
    shared = left & right

    def owner(left_score: float, right_score: float) -> set[int]:
        bundle = GraspBundle.from_arrays(depth, CAMERA, [
            Segment(1, left, left_score), Segment(2, right, right_score)])
        assert bundle.ids == [1, 2]
        return set(bundle.segmap[shared].tolist())

    assert owner(0.9, 0.8) == {1}
    assert owner(0.8, 0.9) == {2}
    assert owner(0.9, 0.9) == {1}  # median depth 0.4 m, the other one's is 0.5 m


def test_what_is_covered_wholly_has_no_pixel_but_a_name() -> None:
    small = Segment(5, rectangle(12, 12, 4, 4), 0.5, 'spoon')
    bundle = GraspBundle.from_arrays(flat(), CAMERA, [small, MUG])
    assert bundle.ids == [3]
    assert bundle.phrases == {5: 'spoon', 3: 'red mug'}
    with pytest.raises(LookupError, match="target 5 has no pixel with depth.*3 'red mug'"):
        bundle.points(5)


def test_points_are_where_the_camera_sees_them() -> None:
    depth = np.random.default_rng(1).uniform(0.3, 0.9, SHAPE).astype(np.float32)
    depth[12, 13] = np.nan
    points = GraspBundle.from_arrays(depth, CAMERA, [MUG, BOWL]).points(3)
    assert points.dtype == np.float32 and points.shape == (399, 3)
    expected = CAMERA.rays()[MUG.mask] * depth[MUG.mask][:, None]
    expected = expected[np.isfinite(expected).all(axis=1)]
    # float32 at half a metre
    np.testing.assert_allclose(points[:, :2], expected, atol=1e-6)


def test_anygrasp_gets_the_scene_and_the_room_around_the_target() -> None:
    depth, rgb = flat(), picture()
    depth[:, 40:] = 2.0
    bundle = GraspBundle.from_arrays(depth, CAMERA, [MUG, BOWL], rgb)
    given = bundle.as_anygrasp(3, margin=0.02)
    assert given.points.shape == given.colors.shape == (4800, 3)
    assert given.points.dtype == given.colors.dtype == np.float32
    np.testing.assert_allclose(given.colors, rgb.reshape(-1, 3) / 255, atol=1e-6)
    x = (np.array([10, 29]) - 39) / 70 * 0.5
    y = (np.array([10, 29]) - 31) / 72 * 0.5
    np.testing.assert_allclose(
        given.lims, [x[0] - 0.02, x[1] + 0.02, y[0] - 0.02, y[1] + 0.02, 0.48, 0.52], atol=1e-6)
    near = bundle.as_anygrasp(max_depth=1.0, margin=0.0)
    assert near.points.shape == near.colors.shape == (2400, 3)
    np.testing.assert_allclose(near.lims[4:], [0.5, 0.5])
    with pytest.raises(LookupError, match='target 70000 has no depth nearer than 1 m'):
        bundle.as_anygrasp(70_000, max_depth=1.0)


@pytest.mark.parametrize('model', ['plumb_bob', 'equidistant'])
def test_a_distorted_picture_is_made_straight(model: str) -> None:
    distortion = {'plumb_bob': (-0.3, 0.1, 0.001, -0.001, 0.0),
                  'equidistant': (0.05, -0.01, 0.002, 0.0)}[model]
    camera = CameraModel(320, 240, 180.0, 180.0, 160.0, 120.0, model, distortion)
    # a wall at 1 m; the target is all of it within 0.5 m by 0.3 m
    rays = camera.rays()
    mask = (np.abs(rays[..., 0]) < 0.5) & (np.abs(rays[..., 1]) < 0.3)
    bundle = GraspBundle.from_arrays(np.ones((240, 320), np.float32), camera, [Segment(1, mask)],
                                     np.zeros((240, 320, 3), np.uint8))
    points = bundle.points(1)
    # a pixel is 1/180 m wide there, and the nearest one is taken twice
    pixel = 1 / 180
    np.testing.assert_allclose(points.min(axis=0), (-0.5, -0.3, 1.0), atol=1.5 * pixel)
    np.testing.assert_allclose(points.max(axis=0), (0.5, 0.3, 1.0), atol=1.5 * pixel)
    # the rectangle is full: straight edges, no holes
    assert len(points) == pytest.approx(180 * 108, rel=0.03)


@pytest.mark.parametrize(('arguments', 'match'), [
    ({'depth': np.zeros(SHAPE, np.uint16)}, 'divide it by 1000'),
    ({'depth': np.zeros((60, 80, 1), np.float32)}, r'\[H, W\]'),
    ({'camera': CameraModel(40, 30, 70.0, 72.0, 20.0, 15.0)}, 'is for 40x30, depth is 80x60'),
    ({'rgb': np.zeros((30, 40, 3), np.uint8)}, 'uint8 RGB of 80x60'),
    ({'instances': [Segment(1, np.zeros((30, 40), bool))]}, "mask of 1 'red mug' is 40x30"),
    ({'instances': [MUG, MUG]}, r'\[3, 3\] are not unique'),
    ({'instances': [Segment(0, MUG.mask)]}, 'id 0 is no segment'),
    ({'instances': [Segment(2**31, MUG.mask)]}, 'id 2147483648 is no segment'),
    ({'camera': np.zeros((3, 3))}, 'not calibrated')])
def test_what_does_not_fit_is_refused_by_name(arguments: dict[str, Any], match: str) -> None:
    given = {'depth': flat(), 'camera': CAMERA, 'instances': [MUG], **arguments}
    with pytest.raises(ValueError, match=match):
        GraspBundle.from_arrays(**given)


# ---- from messages


def messages(frame: str = 'camera_optical', seconds: float = 12.0) -> dict[str, Any]:
    header = Header(frame_id=frame)
    header.stamp.sec, header.stamp.nanosec = int(seconds), round(seconds % 1 * 1e9)
    instances = InstanceArray(height=60, width=80, header=header)
    instances.instances = [instance_message(one.id, one, header) for one in (MUG, BOWL)]
    return {
        'instances': instances, 'depth': array_to_image(np.full(SHAPE, 500, np.uint16), '16UC1',
                                                        header),
        'camera_info': camera_info(CAMERA, header),
        'image': array_to_image(picture(), 'rgb8', header)}


def test_messages_of_one_picture_make_a_bundle() -> None:
    bundle = grasp_bundle(**messages())
    straight = GraspBundle.from_arrays(flat(), CAMERA, [MUG, BOWL], picture())
    for name in ('depth', 'k', 'segmap', 'rgb'):
        np.testing.assert_allclose(getattr(bundle, name), getattr(straight, name))
    assert bundle.phrases == {3: 'red mug', 70_000: 'red mug'}


def test_compressed_pictures_will_do_and_none_too() -> None:
    given = messages()
    header = given['depth'].header
    given['depth'] = depth_to_compressed(np.full(SHAPE, 500, np.uint16), header)
    given['image'] = array_to_compressed(np.full((*SHAPE, 3), (200, 40, 40), np.uint8), header)
    bundle = grasp_bundle(**given)
    np.testing.assert_allclose(bundle.depth, 0.5)
    assert bundle.rgb is not None
    # JPEG is off by a few steps
    np.testing.assert_allclose(bundle.rgb[30, 40].astype(int), (200, 40, 40), atol=4)
    assert grasp_bundle(given['instances'], given['depth'], given['camera_info']).rgb is None


def test_messages_of_several_pictures_are_refused() -> None:
    given = messages()
    with pytest.raises(ValueError, match=r"depth is from 'depth_optical'.*'camera_optical'"):
        grasp_bundle(**{**given, 'depth': messages('depth_optical')['depth']})
    with pytest.raises(ValueError, match=r'the image and the instances are 0\.100 s apart'):
        grasp_bundle(**{**given, 'image': messages(seconds=12.1)['image']})
    late = messages(seconds=12.1)['depth']
    assert grasp_bundle(**{**given, 'depth': late}, max_gap=0.2).ids == [3, 70_000]
    small = array_to_image(np.full((30, 40), 500, np.uint16), '16UC1', given['depth'].header)
    with pytest.raises(ValueError, match='depth is 40x30, the picture of the instances is 80x60'):
        grasp_bundle(**{**given, 'depth': small})
