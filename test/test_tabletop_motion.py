# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Moving scenes: what moves, what stays, and that the truth fits the pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.tabletop.film import Film, Playhead, draw_shot
from instructsam.tabletop.motion import sample_motion
from instructsam.tabletop.render import render

SMALL = {'width': 160, 'height': 120}


def test_same_seed_gives_the_same_film_and_another_does_not() -> None:
    first, second = (draw_shot(sample_motion(3, 1, **SMALL), 0.25) for _ in range(2))
    assert (first.image == second.image).all() and (first.depth == second.depth).all()
    other = draw_shot(sample_motion(4, 1, **SMALL), 0.25)
    assert (first.image != other.image).any()


@given(seed=st.integers(0, 10_000), phase=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_camera_keeps_looking_at_the_same_point(seed: int, phase: float) -> None:
    motion = sample_motion(seed, **SMALL)
    start, now = motion.camera(0.0), motion.camera(phase)
    for camera in (start, now):
        u, v, _ = camera.project(motion.pivot[None])[0]
        # the optical axis goes through the principal point; the rest is rounding
        assert np.hypot(u - camera.K[0, 2], v - camera.K[1, 2]) < 1e-6
        turn = camera.pose[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    distance = [np.linalg.norm(c.pose[:3, 3] - motion.pivot) for c in (start, now)]
    assert distance[0] == pytest.approx(distance[1])
    assert now.pose[2, 3] > 0


def test_lap_is_closed_and_its_length_is_what_the_camera_travels() -> None:
    motion = sample_motion(0, **SMALL)
    np.testing.assert_allclose(motion.camera(0).pose, motion.camera(1).pose, atol=1e-12)
    eyes = [motion.camera(phase).pose[:3, 3] for phase in np.linspace(0, 1, 2001)]
    travelled = np.linalg.norm(np.diff(eyes, axis=0), axis=1).sum()
    # coarser steps cut corners by a thousandth
    assert motion.camera_path == pytest.approx(travelled, rel=1e-3)
    assert motion.camera_path > 0.05


def test_still_camera_differs_by_noise_only() -> None:
    motion = sample_motion(5, moving=False, **SMALL)
    assert motion.is_camera_still and motion.camera_path == 0
    one, two = (render(motion.at(0.0, shot=k)) for k in (0, 1))
    np.testing.assert_array_equal(one.instance_map, two.instance_map)
    difference = np.abs(one.image.astype(int) - two.image)
    assert difference.any()
    # sensor noise of 0.03 of the range at most: another background would differ far more
    assert np.median(difference) < 20


@pytest.mark.parametrize('seed', range(6))
def test_sliding_objects_stay_clear_of_all_others(seed: int) -> None:
    motion = sample_motion(seed, moving=False, sliding=3, **SMALL)
    assert len(motion.slides) <= 3
    indices = {slide.index for slide in motion.slides}
    start = motion.at(0).objects
    for phase in np.linspace(0, 1, 9):
        objects = motion.at(phase).objects
        for index, (one, before) in enumerate(zip(objects, start, strict=True)):
            moved = float(np.linalg.norm(one.pose[:3, 3] - before.pose[:3, 3]))
            assert one.pose[2, 3] == before.pose[2, 3]
            # sin(pi k / 4) is 1e-16, not 0, at half turns
            assert (moved > 1e-9) == (index in indices and abs(np.sin(2 * np.pi * phase)) > 1e-9)
        centers = np.array([one.pose[:2, 3] for one in objects])
        radii = [np.hypot(*one.size[:2]) / 2 for one in objects]
        for a in indices:
            for b in range(len(objects)):
                if b != a:
                    assert np.linalg.norm(centers[a] - centers[b]) > radii[a] + radii[b]


def test_some_objects_slide() -> None:
    assert any(sample_motion(seed, sliding=2, **SMALL).slides for seed in range(6))


def test_truth_of_a_shot_fits_its_picture() -> None:
    motion = sample_motion(11)
    shot = draw_shot(motion, 0.3, depth_noise=0.0)
    scene = motion.at(0.3)
    assert len(shot.objects) >= 2
    for one in shot.objects:
        thing = scene.objects[one.index]
        x, y, width, height = one.box
        assert one.mask.shape == (height, width)
        for border in (one.mask[0], one.mask[-1], one.mask[:, 0], one.mask[:, -1]):
            assert border.any()
        world = shot.camera.pose @ one.pose
        np.testing.assert_allclose(world[:3, 3], thing.pose[:3, 3], atol=1e-9)
        np.testing.assert_allclose(world[:3, 2], [0, 0, 1], atol=1e-9)
        assert one.size[0] >= one.size[1]
        assert sorted(one.size) == pytest.approx(sorted(thing.size))
        # the visible surface is within the box; drawn bodies exceed it by no more than a bump
        local = np.linalg.inv(one.pose) @ np.append(one.centroid, 1)
        assert (np.abs(local[:3]) < one.size / 2 + 0.01).all()
        assert one.normal @ one.centroid < 0 and np.linalg.norm(one.normal) == pytest.approx(1)
        near = shot.depth[y : y + height, x : x + width][one.mask]
        # exact depth, rounded to millimetres
        assert near.mean() / 1000 == pytest.approx(one.centroid[2], abs=1e-3)
        assert one.depth_ratio == 1.0


def test_noise_makes_holes() -> None:
    shot = draw_shot(sample_motion(11), 0.3, depth_noise=1.0)
    assert 0.01 < (shot.depth == 0).mean() < 0.5
    assert min(one.depth_ratio for one in shot.objects) < 1


def test_film_is_drawn_in_order_and_closes_early() -> None:
    film = Film(sample_motion(1, **SMALL), 400)
    film.start()
    assert film.wait(3, timeout=60)
    assert [film.shot(k).phase for k in range(3)] == pytest.approx([0, 1 / 400, 2 / 400])
    film.close()
    assert 3 <= film.ready < 400 and not film.is_complete


def test_failure_reaches_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **options: object) -> None:
        raise ValueError('no such colour')

    monkeypatch.setattr('instructsam.tabletop.film.draw_shot', broken)
    film = Film(sample_motion(1, **SMALL), 2)
    film.start()
    with pytest.raises(RuntimeError, match='no such colour'):
        film.wait(timeout=30)


def test_empty_film_is_refused() -> None:
    with pytest.raises(ValueError, match='1 or more'):
        Film(sample_motion(1, **SMALL), 0)


class Reel:
    """A film whose shots are their own numbers."""

    def __init__(self, count: int, ready: int) -> None:
        self.count, self.ready = count, ready

    @property
    def is_complete(self) -> bool:
        return self.ready == self.count

    def shot(self, index: int) -> int:
        assert 0 <= index < self.ready
        return index


@given(steps=st.lists(st.tuples(st.floats(0, 0.3), st.integers(0, 3)), max_size=60),
       count=st.integers(1, 12))
@settings(max_examples=80, deadline=None)
def test_playhead_moves_only_over_what_is_ready(
    steps: list[tuple[float, int]], count: int
) -> None:
    reel, head = Reel(count, 1), Playhead()
    for laps, more in steps:
        before = reel.ready
        reel.ready = min(reel.ready + more, count)
        place = head.advance(reel, laps)  # type: ignore[arg-type]
        assert 0 <= place < reel.ready
        assert before <= reel.ready


def test_playhead_swings_then_goes_round() -> None:
    reel, head = Reel(10, 4), Playhead()
    seen = [head.advance(reel, 0.1) for _ in range(7)]  # type: ignore[arg-type]
    assert seen == [1, 2, 3, 2, 1, 0, 1]
    reel.ready = 10
    seen = [head.advance(reel, 0.1) for _ in range(11)]  # type: ignore[arg-type]
    assert seen == [2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
