# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The synthetic world: exact geometry, names that keep their meaning, deterministic frames."""

from __future__ import annotations

import colorsys
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.tabletop.appearance import COLOR_RANGES
from instructsam.tabletop.bodies import build
from instructsam.tabletop.casting import Geometry, cast
from instructsam.tabletop.render import (
    MIN_AREA,
    MIN_VISIBLE,
    TabletopFrame,
    render,
    sample_frame,
    visible_shares,
)
from instructsam.tabletop.scene import CATEGORIES, COLORS, HELD_OUT, sample_scene
from instructsam.tabletop.shapes import block, cone, ellipsoid, ring

SEEDS = range(40)


@pytest.fixture(scope='module')
def frames() -> list[TabletopFrame]:
    sizes = ((320, 240), (384, 216))
    return [
        sample_frame(np.random.default_rng(k), width=sizes[k % 2][0], height=sizes[k % 2][1])
        for k in SEEDS
    ]


def _looking_down(height: float, size: int = 101, focal: float = 100.0):
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[2, 3] = height
    middle = (size - 1) / 2
    K = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    return pose, K


def _depth_image(parts, height: float, size: int = 101) -> np.ndarray:
    camera, K = _looking_down(height, size)
    hits = cast(Geometry(parts), np.eye(4), camera, K, (0, 0, size, size))
    image = np.full((size, size), np.nan)
    image[hits.rows, hits.columns] = hits.depth
    return image


@settings(max_examples=30, deadline=None)
@given(radius=st.floats(0.02, 0.3), height=st.floats(0.7, 3.0))
def test_a_sphere_from_above_has_its_textbook_silhouette_and_depth(radius, height):
    depth = _depth_image([ellipsoid((0, 0, 0), (radius,) * 3)], height)
    # Double precision throughout: what is left is rounding.
    assert depth[50, 50] == pytest.approx(height - radius, abs=1e-9)
    v, u = np.indices(depth.shape) - 50
    angle = np.arctan(np.hypot(u, v) / 100.0)
    limit = np.arcsin(radius / height)
    # Pixels whose ray grazes the sphere may fall to either side.
    clear = np.abs(angle - limit) > 1e-6
    np.testing.assert_array_equal(np.isfinite(depth)[clear], (angle < limit)[clear])


def test_a_block_a_ring_and_the_inside_of_a_cup_have_the_right_depth():
    np.testing.assert_allclose(
        _depth_image([block((0, 0, 0), (0.2, 0.2, 0.1))], 1.0)[45:56, 45:56], 0.95, atol=1e-9
    )
    flat = _depth_image([ring(0.1, 0.2, 0.1)], 1.1)
    v, u = np.indices(flat.shape) - 50
    radius = np.hypot(u, v) / 100.0
    clear = (np.abs(radius - 0.1) > 1e-6) & (np.abs(radius - 0.2) > 1e-6)
    expected = (radius < 0.2) & (radius > 0.1)
    np.testing.assert_array_equal(np.isfinite(flat)[clear], expected[clear])
    np.testing.assert_allclose(flat[np.isfinite(flat)], 1.0, atol=1e-9)
    cup = [cone(-0.1, 0.1, 0.1, 0.1), cone(-0.1, 0.1, 0.09, 0.09, inner=True), ring(-0.1, 0.09)]
    depth = _depth_image(cup, 1.0)
    assert depth[50, 50] == pytest.approx(1.1, abs=1e-9)
    # Near the rim the inner wall is seen: at radius r the ray meets it at depth 0.09 / tan.
    assert depth[50, 50 + 9] == pytest.approx(0.09 / 0.09, abs=1e-9)


def test_depth_points_of_an_object_lie_in_its_box_and_reach_its_sides(frames):
    for frame in frames:
        for index, item in enumerate(frame.scene.objects):
            v, u = np.nonzero(frame.mask(index))
            points = frame.scene.camera.unproject(np.stack([u, v], 1), frame.depth[v, u])
            local = (points - item.pose[:3, 3]) @ item.pose[:3, :3]
            # Depth is stored as float32; 0.1 mm is far above its step and below any feature.
            assert (np.abs(local) <= item.size / 2 + 1e-4).all(), (item.category, index)


@pytest.mark.parametrize('category', CATEGORIES)
def test_the_box_of_each_category_is_tight(category):
    rng = np.random.default_rng(5)
    for _ in range(4):
        parts, size, _ = build(category, rng, upright=0.5)
        points = []
        # Six views, each with every side at least as seen as a silhouette.
        for axis, sign in itertools.product(range(3), (-1, 1)):
            pose = np.eye(4)
            forward = np.zeros(3)
            forward[axis] = -sign
            right = np.roll(np.abs(forward), 1)
            pose[:3, 2], pose[:3, 0] = forward, right
            pose[:3, 1] = np.cross(forward, right)
            pose[:3, 3] = -forward * 2
            K = np.array([[2400, 0, 200], [0, 2400, 200], [0, 0, 1.0]])
            hits = cast(Geometry(parts), np.eye(4), pose, K, (0, 0, 401, 401))
            pixels = np.stack([hits.columns, hits.rows, np.ones_like(hits.rows)], 1)
            rays = pixels @ np.linalg.inv(K).T
            points.append((rays * hits.depth[:, None]) @ pose[:3, :3].T + pose[:3, 3])
        cloud = np.concatenate(points)
        assert (np.abs(cloud) <= size / 2 + 1e-9).all()
        # A pixel is 0.8 mm wide at the object; 2 mm allows for it and for the curvature of rims.
        np.testing.assert_allclose(cloud.max(axis=0), size / 2, atol=2e-3)
        np.testing.assert_allclose(cloud.min(axis=0), -size / 2, atol=2e-3)


def test_objects_stand_on_the_support_upright_and_apart(frames):
    for frame in frames:
        for item in frame.scene.objects:
            np.testing.assert_allclose(item.pose[:3, 2], [0, 0, 1], atol=1e-12)
            assert item.pose[2, 3] == pytest.approx(item.size[2] / 2)
            turn = item.pose[:3, :3]
            np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        for a, b in itertools.combinations(frame.scene.objects, 2):
            hulls = []
            for item in (a, b):
                signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
                flat = (signs * item.size[:2] / 2) @ item.pose[:2, :2].T + item.pose[:2, 3]
                hulls.append(flat.astype(np.float32) * 1000)
            area, _ = cv2.intersectConvexConvex(*hulls)
            assert area == 0, (a.category, b.category)


def test_the_centre_of_an_object_projects_into_the_reach_of_its_mask(frames):
    for frame in frames:
        for index, item in enumerate(frame.scene.objects):
            if frame.visible[index] < 0.97:
                continue
            v, u = np.nonzero(frame.mask(index))
            x, y, z = frame.scene.camera.project(item.pose[None, :3, 3])[0]
            assert u.min() - 1 <= x <= u.max() + 1 and v.min() - 1 <= y <= v.max() + 1
            # No surface is farther from the centre than half the box's diagonal.
            reach = np.linalg.norm(item.size) / 2
            assert np.abs(frame.depth[v, u] - z).max() <= reach + 1e-4


def test_visible_is_the_seen_share_of_the_whole_silhouette(frames):
    for frame in frames[:8]:
        camera = frame.scene.camera
        w, h = camera.width, camera.height
        for index, item in enumerate(frame.scene.objects):
            alone = cast(
                Geometry(item.body.parts), item.pose, camera.pose, camera.K, (-w, -h, 2 * w, 2 * h)
            )
            expected = frame.mask(index).sum() / alone.depth.size
            assert frame.visible[index] == pytest.approx(expected, abs=1e-9)


def test_visible_shares_need_no_picture(frames):
    for frame in frames[:8]:
        np.testing.assert_array_equal(visible_shares(frame.scene), frame.visible)


def test_every_object_of_a_frame_is_recognisable(frames):
    for frame in frames:
        objects = frame.scene.objects
        assert 2 <= len(objects) <= 8
        assert (frame.visible >= MIN_VISIBLE).all()
        area = np.bincount(frame.instance_map.ravel(), minlength=len(objects) + 1)[1:]
        assert (area >= MIN_AREA * frame.instance_map.size).all()
        assert frame.instance_map.max() == len(objects)
        assert np.isfinite(frame.depth[frame.instance_map > 0]).all()
        assert frame.image.shape == (*frame.depth.shape, 3) and frame.image.dtype == np.uint8


def test_a_scene_always_renders_the_same_and_a_seed_draws_the_same_scene():
    first, second = (
        sample_frame(np.random.default_rng(11), width=320, height=240) for _ in range(2)
    )
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.depth, second.depth)
    again = render(first.scene)
    np.testing.assert_array_equal(again.image, first.image)
    np.testing.assert_array_equal(again.instance_map, first.instance_map)
    other = sample_frame(np.random.default_rng(12), width=320, height=240)
    assert not np.array_equal(other.image, first.image)


def test_ground_depth_lies_on_the_table_and_on_the_walls_of_the_bin(frames):
    kinds = set()
    for frame in frames:
        scene = frame.scene
        kinds.add(scene.support)
        background = (frame.instance_map == 0) & np.isfinite(frame.depth)
        v, u = np.nonzero(background)
        points = scene.camera.unproject(np.stack([u, v], 1), frame.depth[v, u])
        if scene.bin is None and not scene.clutter:
            level = np.abs(points[:, 2]) < 1e-3
            floor = np.abs(points[:, 2] + scene.table.drop) < 4e-3
            assert (level | floor).all()
        elif scene.bin is not None and not scene.clutter:
            c, s = np.cos(scene.bin.yaw), np.sin(scene.bin.yaw)
            flat = (points[:, :2] - scene.bin.center) @ np.array([[c, -s], [s, c]])
            half = np.array(scene.bin.size) / 2 + scene.bin.slope * points[:, 2:]
            beyond = np.abs(flat) - half
            # The largest excess is zero on a wall and negative over the bottom.
            inside = beyond.max(axis=1) < 2e-3
            assert inside.any()
            near_wall = np.abs(beyond.max(axis=1)) < 2e-3
            assert (near_wall | (np.abs(points[:, 2]) < 2e-3))[inside].all()
    assert kinds == {'table', 'bin'}


def test_training_scenes_never_show_a_held_out_pair_and_the_others_always_do():
    for k in range(60):
        scene = sample_scene(np.random.default_rng(k), width=320, height=240)
        assert not any((o.color, o.category) in HELD_OUT for o in scene.objects)
    for k in range(12):
        frame = sample_frame(np.random.default_rng(k), width=320, height=240, held_out=True)
        assert any((o.color, o.category) in HELD_OUT for o in frame.scene.objects)


def test_held_out_pairs_leave_every_colour_and_category_well_known():
    assert len(HELD_OUT) == 10
    for name in CATEGORIES:
        assert sum(category == name for _, category in HELD_OUT) <= 2
    for name in COLORS:
        assert sum(color == name for color, _ in HELD_OUT) <= 2
    assert not HELD_OUT & {('red', 'carrot'), ('orange', 'ball'), ('green', 'cube')}


def test_most_scenes_repeat_a_category_so_that_which_one_is_a_question():
    repeated = 0
    for k in range(100):
        scene = sample_scene(np.random.default_rng(1000 + k), width=320, height=240)
        names = [o.category for o in scene.objects]
        repeated += any(2 <= names.count(n) <= 4 for n in set(names))
    # 60 % is asked for; about 80 % is drawn, and 100 draws vary by 4 %.
    assert repeated >= 65


def test_cubes_are_equal_sided_and_boxes_clearly_not(frames):
    rng = np.random.default_rng(3)
    for _ in range(40):
        cube, box = (build(name, rng, upright=0.5)[1] for name in ('cube', 'box'))
        assert np.ptp(cube) == 0
        assert box.max() / box.min() >= 1.7
    for frame in frames:
        for item in frame.scene.objects:
            assert 0.02 <= item.size.max() <= 0.26


def test_colours_keep_their_names(frames):
    hues = [(r[0], name) for name, r in COLOR_RANGES.items() if name not in ('white', 'black')]
    for (a, _), (b, _) in itertools.combinations(hues, 2):
        assert min(a[1], b[1]) + 10 <= max(a[0], b[0])
    for frame in frames:
        for item in frame.scene.objects:
            hue, saturation, value = colorsys.rgb_to_hsv(*item.rgb)
            if item.color == 'white':
                assert saturation <= 0.07 and value > 0.8
            elif item.color == 'black':
                assert value < 0.2
            else:
                low, high = COLOR_RANGES[item.color][0]
                assert low - 1 <= (hue * 360 + 180) % 360 - 180 <= high + 1 or (
                    low - 1 <= hue * 360 <= high + 1
                )


def test_the_look_of_the_picture_keeps_vivid_colours_apart(frames):
    hits = total = 0
    centers = {'red': -1, 'orange': 28, 'yellow': 53, 'green': 117, 'blue': 217, 'purple': 281}
    for frame in frames:
        hsv = cv2.cvtColor(frame.image, cv2.COLOR_RGB2HSV).astype(float)
        for index, item in enumerate(frame.scene.objects):
            if item.color not in centers:
                continue
            pixels = hsv[frame.mask(index)]
            vivid = pixels[pixels[:, 1] >= np.percentile(pixels[:, 1], 50)]
            turn = np.exp(1j * np.radians(vivid[:, 0] * 2))
            hue = np.degrees(np.angle(turn.mean()))
            away = {n: abs((hue - c + 180) % 360 - 180) for n, c in centers.items()}
            total += 1
            hits += min(away, key=lambda n: away[n]) == item.color
    # Labels, coloured light and JPEG shift a few small objects.
    assert total > 60 and hits / total > 0.9


def test_a_hopelessly_small_image_is_refused_with_a_remedy():
    with pytest.raises(RuntimeError, match='larger image'):
        sample_frame(np.random.default_rng(0), width=2, height=2)


@pytest.mark.parametrize('size', [(1280, 720), (1920, 1080)])
def test_large_frames_are_rendered(size):
    width, height = size
    frame = sample_frame(np.random.default_rng(1), width=width, height=height)
    assert frame.image.shape == (height, width, 3)
    assert len(frame.scene.objects) >= 2
