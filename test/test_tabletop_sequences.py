# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences: the same for everybody, true to their pictures, and as hard as they claim to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from instructsam.tabletop import recording
from instructsam.tabletop.camera_paths import CAMERA_PATHS
from instructsam.tabletop.depth_noise import depth_sigma
from instructsam.tabletop.occluders import POLE, REACH
from instructsam.tabletop.recording import record, recorded
from instructsam.tabletop.render import visible_shares
from instructsam.tabletop.scene import Scene
from instructsam.tabletop.sequences import (
    FRAMES,
    RATE,
    SEQUENCES,
    Sequence,
    SequenceFrame,
    sequence,
)

TIMES = np.arange(FRAMES) / RATE
# one for each camera path, none of them with anything that passes in front
FREE = {'sway': 0, 'orbit': 11, 'approach': 22, 'hand-held': 33, 'look away': 44}


def small(scene: Scene) -> Scene:
    """The scene seen by a camera with an eighth of the pixels each way."""
    camera = scene.camera
    K = np.diag([1 / 8, 1 / 8, 1]) @ camera.K
    K[:2, 2] += 0.5 / 8 - 0.5
    return replace(scene, camera=replace(
        camera, width=camera.width // 8, height=camera.height // 8, K=K))


def longest_run(flags: np.ndarray) -> int:
    """The longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def test_same_number_gives_the_same_frame_and_another_does_not() -> None:
    first, second = (sequence(3).frame(17) for _ in range(2))
    assert_equal(first, second)
    assert (sequence(0).frame(0).image != first.image).any()


def assert_equal(one: SequenceFrame, other: SequenceFrame) -> None:
    assert (one.number, one.stamp) == (other.number, other.stamp)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.depth, other.depth)
    np.testing.assert_array_equal(one.camera.pose, other.camera.pose)
    np.testing.assert_array_equal(one.camera.K, other.camera.K)
    for a, b in zip(one.objects, other.objects, strict=True):
        assert (a.id, a.name, a.visible, a.moving) == (b.id, b.name, b.visible, b.moving)
        for name in ('mask', 'pose', 'size', 'centroid'):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize('number', [-1, SEQUENCES])
def test_numbers_that_do_not_exist_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match='sequences 0 to 49'):
        sequence(number)


def test_truth_fits_the_picture() -> None:
    film = sequence(FREE['hand-held'])
    picture, frame = film.picture(40), film.frame(40)
    assert frame.stamp == 4.0
    assert frame.image.shape == (480, 640, 3) and frame.image.dtype == np.uint8
    assert frame.depth.shape == (480, 640) and frame.depth.dtype == np.float32
    assert [one.id for one in frame.objects] == list(range(1, len(frame.objects) + 1))
    lost = np.isnan(frame.depth).mean()
    assert 0.001 < lost < 0.5
    for one, thing in zip(frame.objects, picture.scene.objects, strict=True):
        assert one.name == f'{thing.color} {thing.category}'
        np.testing.assert_array_equal(one.mask, picture.mask(one.id - 1))
        np.testing.assert_allclose(one.pose[:3, 2], [0, 0, 1], atol=1e-9)
        assert one.size[0] >= one.size[1]
        # drawn bodies exceed their box by no more than a bump
        local = np.linalg.inv(one.pose) @ np.append(one.centroid, 1)
        assert (np.abs(local[:3]) < one.size / 2 + 0.01).all()
        measured = one.mask & np.isfinite(frame.depth)
        error = frame.depth[measured] - picture.depth[measured]
        # the noise that is promised at this distance, and what rounding adds to it
        expected = np.hypot(depth_sigma(picture.depth[measured].mean()), 1e-3 / np.sqrt(12))
        assert 0.6 * expected < error.std() < 1.6 * expected
        # neighbours share their noise: some hundreds of independent values at least
        assert abs(error.mean()) < 0.3 * expected
        millimetres = frame.depth[one.mask & np.isfinite(frame.depth)] * 1000
        np.testing.assert_allclose(millimetres, np.rint(millimetres), atol=1e-3)


@pytest.mark.parametrize('path', CAMERA_PATHS)
def test_camera_moves_smoothly_from_where_it_is(path: str) -> None:
    film = sequence(FREE[path])
    assert film.path == path and not film.occluders
    poses = np.array([film.camera(time).pose for time in TIMES])
    np.testing.assert_allclose(poses[0], film.scene.camera.pose, atol=1e-12)
    turns = poses[:, :3, :3]
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (FRAMES, 1, 1)), atol=1e-9)
    assert (poses[:, 2, 3] > 0.1).all()
    # a hand is not faster than this, and a robot should not be
    shifts = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) * RATE
    trace = np.einsum('nij,nij->n', turns[1:], turns[:-1])
    speeds = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))) * RATE
    assert shifts.max() < 0.8 and speeds.max() < 110
    # seen from above, a turn about the vertical is hardly a shift
    assert shifts.mean() > 0.001 and speeds.mean() > 0.3


def test_all_paths_meet_slides_and_all_occluders() -> None:
    kinds = {(CAMERA_PATHS[n % 5], (3 * (n % 5) + n // 5) % 10) for n in range(SEQUENCES)}
    assert len(kinds) == SEQUENCES == 5 * 10


@pytest.mark.parametrize('number', [11, 5])
def test_sliding_objects_say_so_and_the_others_rest(number: int) -> None:
    film = sequence(number)
    sliding = {slide.index for slide in film.slides}
    assert sliding
    scenes = [film.at(time) for time in TIMES]
    places = np.array([[one.pose[:3, 3] for one in scene.objects] for scene in scenes])
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=2) * RATE
    flags = np.array([[k in film.moving(time) for k in range(places.shape[1])]
                      for time in TIMES])
    for k in range(places.shape[1]):
        assert (speeds[:, k] > 0).any() == (k in sliding)
        # between two moments of rest nothing moves by more than the rest's 1 mm/s and what
        # a smooth start takes in a tenth of a second
        still = ~flags[1:, k] & ~flags[:-1, k]
        assert speeds[still, k].max(initial=0) < 5e-3
        assert flags[:, k].any() == (k in sliding)
    assert 0.01 < speeds.max() < 0.3


@pytest.mark.parametrize('number', [5, 2])
def test_a_pole_hides_objects_for_a_second_at_most(number: int) -> None:
    film = sequence(number)
    assert len(film.occluders) == 1 and film.at(0.0).clutter == film.scene.clutter
    hidden = shares(film) < 0.1 * shares(replace(film, occluders=()))
    runs = [longest_run(hidden[:, k]) for k in range(hidden.shape[1])]
    # a frame more or less than the 3 to 10 that were aimed at: a hand-held camera shakes
    assert 3 <= max(runs) <= 11


def test_an_arm_that_reaches_in_hides_a_part_for_longer() -> None:
    film = sequence(1)
    free, left = shares(replace(film, occluders=())), shares(film)
    partly = (left < 0.7 * free) & (free > 0.05)
    assert max(longest_run(partly[:, k]) for k in range(partly.shape[1])) >= 8
    hidden = (left < 0.1 * free) & (free > 0.05)
    assert max(longest_run(hidden[:, k]) for k in range(hidden.shape[1])) <= 11


def shares(film: Sequence) -> np.ndarray:
    """How much is seen of each object in each frame [frames, objects]."""
    return np.array([visible_shares(small(film.at(time))) for time in TIMES])


def test_looking_away_loses_an_object_and_finds_it_again() -> None:
    film = sequence(FREE['look away'])
    seen = shares(film) > 0.02
    lost = [k for k in range(seen.shape[1]) if not seen[:, k].all()]
    assert lost and seen[0].all() and seen[-1].all()
    # never longer than the camera needs to turn there and back
    assert 3 <= max(longest_run(~seen[:, k]) for k in lost) <= 28


def test_what_is_hidden_is_still_listed() -> None:
    film = sequence(FREE['look away'])
    seen = shares(film)
    index = int(seen.min(axis=1).argmin())
    frame = film.frame(index)
    assert len(frame.objects) == seen.shape[1]
    for one in frame.objects:
        if not one.mask.any():
            assert one.visible == 0 and np.isnan(one.centroid).all()
            assert np.isfinite(one.pose).all()
    assert not all(one.mask.any() for one in frame.objects)


@pytest.mark.parametrize(('number', 'kinds'), [(3, (POLE, REACH)), (0, ())])
def test_two_occluders_come_one_after_the_other(number: int, kinds: tuple[str, ...]) -> None:
    occluders = sequence(number).occluders
    assert len(occluders) == len(kinds)
    for one, after in zip(occluders, occluders[1:], strict=False):
        assert one.times[-1] < after.times[-1]
    for one in occluders:
        assert 0 < one.times[0] < one.times[-1] < FRAMES / RATE
        assert one.at(one.times[0] - 0.01) == one.at(one.times[-1] + 0.01) == ()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequences of two frames."""
    for module in ('recording', 'sequences'):
        monkeypatch.setattr(f'instructsam.tabletop.{module}.FRAMES', 2)


def test_recorded_frames_equal_drawn_ones(tmp_path: Path, short: None) -> None:
    read = list(recorded(11, tmp_path / 'new'))
    assert len(read) == 2
    for one, drawn in zip(read, sequence(11).frames(), strict=True):
        assert_equal(one, drawn)


def test_a_recording_is_made_once_and_whole(
    tmp_path: Path, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Sequence) -> Iterator[SequenceFrame]:
        yield self.frame(0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Sequence, 'frames', broken)
        record(0, tmp_path)
    assert not list(tmp_path.iterdir())
    path = record(0, tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(recording, 'sequence', lambda number: pytest.fail('drawn again'))
    assert record(0, tmp_path) == path
