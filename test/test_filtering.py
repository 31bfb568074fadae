# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Places, sizes and yaws over time: honest, surer than one frame, unmoved by what misleads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.perception.box_memory import (
    SeenBoxes,
    compare,
    learn,
    rotation_covariances,
)
from instructsam_ros.perception.filtering import (
    FilterSettings,
    Measurements,
    update,
    viewpoints_of,
)

RULES = FilterSettings()
# metres: noise of a frame, and error that the frames of a view share, along x, y and z
NOISE = 0.0015
SHARED = np.array([0.004, 0.004, 0.001])
COUNT = 40


class Series:
    """Many resting objects around the origin, seen by one camera, as the filter's model says."""

    def __init__(self, angles, shared=SHARED, seed=0):
        """``angles``: of the camera around the objects in radians, one per frame at 10 Hz."""
        self.rng = np.random.default_rng(seed)
        self.angles = np.asarray(angles, float)
        self.shared = np.asarray(shared)
        # errors of viewpoints that are 0.6 rad apart are related by 1 / e
        apart = np.abs(self.angles[:, None] - self.angles)
        mix = np.linalg.cholesky(np.exp(-apart / 0.6) + 1e-9 * np.eye(len(self.angles)))
        self.errors = np.einsum(
            'ij,jnk->ink', mix, self.rng.normal(size=(len(self.angles), COUNT, 3))) * self.shared

    def run(self, paths=None, misled=None):
        """Errors [frames, n, 3] raw and filtered, NEES [frames, n] and the last places.

        ``paths``: where each object is, [frames, 3]; ``misled``: what is added to measurements.
        """
        places, raw, filtered, nees = [None] * COUNT, [], [], []
        for step, angle in enumerate(self.angles):
            true = np.zeros((COUNT, 3)) if paths is None else np.tile(paths[step], (COUNT, 1))
            seen = true + self.errors[step] + self.rng.normal(0, NOISE, (COUNT, 3))
            seen += 0 if misled is None else misled[step]
            camera = np.array([np.cos(angle), np.sin(angle), 0.5])
            found = measured(seen, step / 10, camera - seen + true, self.shared)
            places = update(places, found, RULES)
            error = np.array([place.centre for place in places]) - true
            raw.append(seen - true)
            filtered.append(error)
            spread = np.array([place.accuracy for place in places])
            nees.append((error * np.linalg.solve(spread, error[..., None])[..., 0]).sum(axis=1))
        return np.array(raw), np.array(filtered), np.array(nees), places


def measured(centres, stamp=0.0, camera=(1.0, 0.0, 0.5), shared=SHARED, leaps=np.inf):
    count = len(centres)
    return Measurements(
        stamp, np.asarray(centres, float), np.tile(np.eye(3) * NOISE**2, (count, 1, 1)),
        np.tile(np.diag(np.square(shared)), (count, 1, 1)),
        viewpoints_of(np.zeros((count, 3)), np.asarray(camera, float)),
        np.full(count, leaps))


def rms(errors):
    return np.sqrt((errors**2).sum(axis=-1).mean())


PATHS = {
    'still': np.zeros(60),
    'sway': 0.12 * np.sin(np.arange(100) * 0.8 / 10),
    'orbit': np.linspace(0, 1.5, 100),
}


@pytest.mark.parametrize('name', PATHS)
def test_covariance_is_honest(name):
    _, _, nees, _ = Series(PATHS[name]).run()
    # chi-square, 3 degrees of freedom: mean 3, 95 % within these; of 40 targets, whose errors
    # hardly change from frame to frame, the mean deviates by 0.39 and the share by 0.034
    assert 2.0 < nees[-1].mean() < 4.2
    assert ((nees > 0.216) & (nees < 9.348)).mean() > 0.85


def test_the_camera_that_stands_still_learns_no_more_than_one_view_tells():
    raw, filtered, _, places = Series(PATHS['still']).run()
    assert rms(filtered[-1]) < rms(raw[-1])
    for place in places:
        deviations = np.sqrt(np.diag(place.accuracy))
        assert (deviations > 0.98 * SHARED).all()
        # noise of 60 frames and the random walk; a single frame has sqrt(0.001^2 + 0.0015^2)
        assert deviations[2] < 0.0012


def test_the_camera_that_goes_round_learns_from_every_view():
    raw, filtered, _, places = Series(PATHS['orbit']).run()
    # views over 1.5 rad are worth 1 + 1.5 / 1.2 independent ones at most
    assert rms(filtered[-1]) < 0.85 * rms(raw[-1])
    spread = np.sqrt(np.diag(places[0].accuracy))
    assert (spread[:2] < 0.8 * SHARED[:2]).all()
    # to and fro is not round and round
    _, _, _, swayed = Series(0.1 * np.sin(np.arange(400) / 5)).run()
    assert (np.sqrt(np.diag(swayed[0].accuracy))[:2] > 0.85 * SHARED[:2]).all()


def test_one_outlier_does_not_move_a_place_and_several_that_agree_do():
    misled = np.zeros((30, 3))
    misled[15] = misled[20] = (0.05, 0, 0)
    raw, filtered, _, places = Series(np.zeros(30)).run(misled=misled)
    assert rms(raw[15]) > 0.045
    np.testing.assert_allclose(filtered[15], filtered[14], atol=1e-12)
    assert not any(place.moving for place in places)
    # the same object in another place from then on: after three frames it is believed
    paths = np.zeros((30, 3))
    paths[15:] = (0.05, 0, 0)
    raw, filtered, _, places = Series(np.zeros(30)).run(paths)
    np.testing.assert_allclose(filtered[16] + 0.05 * np.array([1, 0, 0]), filtered[14], atol=1e-12)
    np.testing.assert_allclose(filtered[17], raw[17], atol=1e-12)
    # what was known of the old place does not weigh on the new one
    assert rms(filtered[-1]) < 1.1 * rms(raw[-1])


def test_outliers_that_contradict_each_other_move_nothing():
    misled = np.zeros((40, 3))
    misled[10:30, 0] = np.where(np.arange(20) % 2, 0.3, -0.3)
    _, filtered, _, _ = Series(np.zeros(40)).run(misled=misled)
    # apart by 0.6 m in 0.1 s: faster than anything moves
    np.testing.assert_allclose(filtered[29], filtered[9], atol=1e-12)


@pytest.mark.parametrize('speed', [0.02, 0.05])
def test_what_slides_is_followed_and_rests_again(speed):
    along = np.concatenate([np.zeros(20), np.arange(30) * speed / 10, np.full(30, 2.9 * speed)])
    paths = np.outer(along, (0.6, 0.8, 0.0))
    raw, filtered, _, places = Series(np.zeros(80)).run(paths)
    # it lags until that is no noise any more: four to five deviations of two frames, 2.1 mm each
    assert np.linalg.norm(filtered[20:50], axis=2).max() < 0.03
    assert rms(filtered[40:50]) < 1.1 * rms(raw[40:50])
    # one in twenty looks again as if it moved, for a second
    assert np.mean([place.moving for place in places]) < 0.15
    assert rms(filtered[-1]) < 1.1 * rms(raw[-1])


def test_a_better_view_counts_at_once_whatever_the_number_of_worse_ones():
    rng = np.random.default_rng(1)
    places = [None]
    bad = np.array([0.02, 0.005, 0.005])
    for step in range(100):
        found = measured(rng.normal(0, NOISE, (1, 3)) + (0.03, 0, 0), step / 10, shared=bad)
        places = update(places, found, RULES)
    assert np.sqrt(places[0].accuracy[0, 0]) > 0.019
    for step in range(100, 103):
        places = update(places, measured(rng.normal(0, NOISE, (1, 3)), step / 10), RULES)
    # 3 cm off while the better view has 4 mm
    assert np.linalg.norm(places[0].centre) < 0.008
    # and worse ones that follow hardly count
    for step in range(103, 150):
        found = measured(rng.normal(0, NOISE, (1, 3)) + (0.03, 0, 0), step / 10, shared=bad)
        places = update(places, found, RULES)
    assert np.linalg.norm(places[0].centre) < 0.012


def test_a_first_guess_that_later_frames_deny_does_not_stick():
    rng = np.random.default_rng(4)
    places, surer = [None], 0.7 * SHARED
    for step in range(60):
        off = (0.008, 0, 0) if step < 5 else (0, 0, 0)
        found = measured(
            rng.normal(0, NOISE, (1, 3)) + off, step / 10, shared=surer if step < 5 else SHARED)
        places = update(places, found, RULES)
    # over five seconds and more from one viewpoint; the first frames alone say 8 mm
    assert abs(places[0].centre[0]) < 0.004
    # but it knows no better than its best view
    assert (np.sqrt(np.diag(places[0].accuracy)) > 0.98 * surer).all()


def test_a_leap_begins_anew_at_once():
    places = update([None], measured([[0, 0, 0]]), RULES)
    far = measured([[0.2, 0, 0]], 0.1, leaps=0.1)
    (place,) = update(places, far, RULES)
    np.testing.assert_array_equal(place.centre, [0.2, 0, 0])
    assert place.moving
    # without that knowledge it is an outlier
    places = update([None], measured([[0, 0, 0]]), RULES)
    (place,) = update(places, measured([[0.2, 0, 0]], 0.1), RULES)
    np.testing.assert_allclose(place.centre, 0, atol=1e-12)


matrices = st.lists(st.floats(-1, 1), min_size=9, max_size=9)


@settings(max_examples=40, deadline=None)
@given(white=matrices, shared=st.lists(matrices, min_size=8, max_size=8),
       scales=st.lists(st.sampled_from([0.0, 1e-4, 0.003, 0.1]), min_size=8, max_size=8),
       angles=st.lists(st.floats(-3, 3), min_size=8, max_size=8),
       waits=st.lists(st.sampled_from([-1.0, 0.0, 0.1, 100.0]), min_size=8, max_size=8))
def test_covariances_stay_covariances(white, shared, scales, angles, waits):
    # whatever comes: matrices that are none, parts that are larger than the whole, time at rest
    places, stamp = [None], 0.0
    for values, scale, angle, wait in zip(shared, scales, angles, waits, strict=True):
        stamp += wait
        persistent = scale**2 * np.reshape(values, (3, 3))
        found = Measurements(
            stamp, np.array([[scale, 0.0, angle / 1000]]), np.reshape(white, (1, 3, 3)) * 1e-6,
            persistent[None] @ persistent.T[None] / max(scale, 1e-9) ** 2,
            viewpoints_of(np.zeros((1, 3)), np.array([np.cos(angle), np.sin(angle), 0.3])),
            np.array([np.inf]))
        places = update(places, found, RULES)
        for part in (places[0].accuracy, places[0].persistent, places[0].covariance):
            np.testing.assert_allclose(part, part.T, atol=1e-12)
            assert np.isfinite(part).all()
            assert np.linalg.eigvalsh(part).min() > -1e-9 * np.abs(part).max()
        assert np.isfinite(places[0].centre).all()


def test_the_order_of_targets_means_nothing():
    rng = np.random.default_rng(2)
    centres = rng.normal(0, 0.1, (5, 5, 3))
    places, turned = [None] * 5, [None] * 5
    for step, rows in enumerate(centres):
        places = update(places, measured(rows, step / 10), RULES)
        turned = update(turned, measured(rows[::-1], step / 10), RULES)
    for one, other in zip(places, turned[::-1], strict=True):
        np.testing.assert_allclose(one.mean, other.mean, atol=1e-12)


# ---- boxes

ACCURACY = np.eye(3) * 0.002**2


def turn(yaw):
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def view_of(size, yaw=0.0, centre=(0, 0, 0), deviation=0.002, yaw_deviation=0.05, partial=False,
            rotation=None):
    covariance = np.diag([deviation**2] * 3 + [1e-4, 1e-4, yaw_deviation**2])
    return SeenBoxes.measured(
        np.array([centre], float), (turn(yaw) if rotation is None else rotation)[None],
        np.array([size], float), covariance[None], np.array([partial]))


def compared(memory, seen):
    return compare([memory], seen, np.zeros((1, 3)), ACCURACY[None])


def remembered(*views):
    """What is believed after these views."""
    return show(None, *views)


def show(memory, *views):
    for seen in views:
        (memory,) = learn([memory], compared(memory, seen), np.array([False]))
    return memory


def yaw_of(memory):
    return np.arctan2(memory.rotation[1, 0], memory.rotation[0, 0])


@settings(max_examples=50, deadline=None)
@given(yaw=st.floats(-3, 3), quarters=st.lists(st.integers(0, 3), min_size=1, max_size=8),
       width=st.floats(0.02, 0.2), depth=st.floats(0.02, 0.2))
def test_quarter_turns_with_swapped_sides_are_the_same_box(yaw, quarters, width, depth):
    sides = sorted([width, depth], reverse=True)
    memory = remembered(view_of([*sides, 0.05], yaw))
    for count in quarters:
        size = [*(sides[::-1] if count % 2 else sides), 0.05]
        memory = show(memory, view_of(size, yaw + count * np.pi / 2))
        np.testing.assert_allclose(memory.rotation, turn(yaw), atol=1e-9)
        np.testing.assert_allclose(memory.size, [*sides, 0.05], atol=1e-12)


def test_a_square_box_keeps_its_axes_under_noise():
    rng = np.random.default_rng(3)
    memory = remembered(view_of([0.07, 0.069, 0.07], 0.3))
    yaws = []
    for _ in range(60):
        # each view calls its longer side x
        sides = 0.07 + rng.normal(0, 0.002, 2)
        quarter = int(sides[1] > sides[0])
        size = [*np.sort(sides)[::-1], 0.07]
        memory = show(memory, view_of(size, 0.3 + rng.normal(0, 0.05) + quarter * np.pi / 2))
        yaws.append(yaw_of(memory))
    # a view's yaw deviates by 0.05
    assert np.abs(np.array(yaws) - 0.3).max() < 0.05
    np.testing.assert_allclose(memory.size, 0.07, atol=0.002)


def test_x_becomes_the_longer_side_once_it_is_clearly_longer():
    # the first view shows the end of a long box only
    memory = remembered(view_of([0.06, 0.05, 0.05], partial=True, deviation=0.02))
    memory = show(memory, *[view_of([0.06, 0.063, 0.05])] * 30)
    # within a tenth: x keeps its name
    assert memory.size[1] > memory.size[0]
    assert yaw_of(memory) == pytest.approx(0)
    memory = show(memory, *[view_of([0.06, 0.12, 0.05])] * 30)
    np.testing.assert_allclose(memory.size, [0.12, 0.06, 0.05], atol=0.002)
    assert abs(yaw_of(memory)) == pytest.approx(np.pi / 2, abs=0.01)
    np.testing.assert_allclose(np.linalg.det(memory.rotation), 1)


@pytest.mark.parametrize('flagged', [True, False], ids=['flagged', 'not flagged'])
def test_a_hidden_part_does_not_shrink_the_box(flagged):
    whole = view_of([0.1, 0.06, 0.08])
    memory = remembered(*[whole] * 11)
    # the half on the right is hidden: what is left is inside of the box
    part = view_of([0.05, 0.06, 0.08], centre=(-0.025, 0, 0), partial=flagged)
    seen = compared(memory, part)
    # the missing 5 cm may all be on one side
    assert np.sqrt(seen.hidden[0, 0, 0]) == pytest.approx(0.025, abs=0.0005)
    np.testing.assert_allclose(seen.hidden[0, 1:, 1:], 0, atol=1e-12)
    memory = show(memory, *[part] * 10)
    np.testing.assert_allclose(memory.size, [0.1, 0.06, 0.08], atol=0.001)
    # for long, and with nothing that would explain it: then it was never larger
    memory = show(memory, *[part] * 15)
    left = [0.1, 0.06, 0.08] if flagged else [0.06, 0.05, 0.08]
    np.testing.assert_allclose(memory.size, left, atol=0.002)


def test_a_box_that_is_elsewhere_is_no_part():
    memory = remembered(view_of([0.1, 0.06, 0.08]))
    beside = view_of([0.05, 0.06, 0.08], centre=(0.06, 0, 0))
    seen = compared(memory, beside)
    assert not seen.inside[0]
    np.testing.assert_array_equal(seen.missing, 0)


def test_one_view_that_is_too_large_is_forgotten_and_several_are_believed():
    whole = view_of([0.1, 0.06, 0.08])
    memory = remembered(*[whole] * 21)
    leak = view_of([0.2, 0.06, 0.08])
    memory = show(memory, leak)
    assert memory.size[0] < 0.11
    memory = show(memory, *[whole] * 3)
    assert memory.size[0] < 0.11
    memory = show(memory, *[leak] * 4)
    np.testing.assert_allclose(memory.size, leak.sizes[0])


def test_the_best_view_is_held():
    near = view_of([0.1, 0.06, 0.08], deviation=0.001, yaw_deviation=0.02)
    far = view_of([0.11, 0.07, 0.085], 0.1, deviation=0.005, yaw_deviation=0.2)
    memory = remembered(*[near] * 6, *[far] * 50)
    np.testing.assert_allclose(memory.size, [0.1, 0.06, 0.08], atol=0.002)
    assert abs(yaw_of(memory)) < 0.02
    # the other way round the better view wins soon
    memory = remembered(*[far] * 50, *[near] * 5)
    np.testing.assert_allclose(memory.size, [0.1, 0.06, 0.08], atol=0.002)
    assert abs(yaw_of(memory)) < 0.02
    # its yaw is as sure as the better view's, whatever the present one says
    (rotational,) = rotation_covariances([memory], compared(memory, far))
    assert 0.01 < np.sqrt(rotational[2, 2]) < 0.05
    assert rotational[0, 0] == pytest.approx(1e-4)


def test_what_was_turned_is_turned_after_a_few_views():
    first = view_of([0.1, 0.05, 0.05])
    memory = remembered(*[first] * 21)
    turned = view_of([0.1, 0.05, 0.05], 0.6)
    memory = show(memory, turned)
    assert abs(yaw_of(memory)) < 0.1
    memory = show(memory, *[turned] * 3)
    assert yaw_of(memory) == pytest.approx(0.6, abs=0.01)


def test_up_is_that_of_the_present_view():
    tilt = np.array([[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]])
    memory = remembered(view_of([0.1, 0.05, 0.05], 0.4))
    memory = show(memory, view_of([0.1, 0.05, 0.05], rotation=tilt @ turn(0.5)))
    np.testing.assert_allclose(memory.rotation[:, 2], tilt[:, 2], atol=1e-12)
    np.testing.assert_allclose(memory.rotation @ memory.rotation.T, np.eye(3), atol=1e-12)
