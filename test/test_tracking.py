# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Ids over time: moving cameras, hidden and moved objects, lookalikes, pictures without depth."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raycast import Box, look_at, render
from stand_ins import ColorSegmenter, Found

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.pipeline import PerceptionPipeline
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus
from instructsam_ros.perception.tracking import Tracker, TrackingSettings

CAMERA = CameraModel(160, 120, 150.0, 150.0, 79.5, 59.5)
# metres: white noise of a measured centre, and the error that the frames of a view share
NOISE, SHARED = 0.002, 0.003
MUG, CAN, BALL = 'red mug', 'blue can', 'green ball'


def block(x, y, side=0.06):
    """A cube on the table."""
    return Box((x, y, side / 2), (side, side, side))


POLE = Box((0.0, -0.3, 0.3), (0.12, 0.02, 0.6))


def eye(angle=0.0, distance=1.0, height=0.6):
    """Pose [4, 4] of a camera that looks at the table from an angle in radians."""
    return look_at((distance * np.sin(angle), -distance * np.cos(angle), height), (0, 0, 0.03))


@dataclass
class World:
    """Cubes with phrases, seen by a camera; ``see`` gives what a perfect projector would say."""

    things: dict[str, tuple[Box, str]]
    tracker: Tracker = field(default_factory=Tracker)
    stamp: float = 0.0
    noise: float = 0.0
    occluders: tuple[Box, ...] = ()
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def see(self, pose, *, without=(), flat=False):
        """Names, targets with their places as ids, instances and depth of one picture."""
        names = list(self.things)
        boxes = [self.things[name][0] for name in names]
        depth, index = render([*boxes, *self.occluders], CAMERA, pose)
        back = np.linalg.inv(pose)
        seen, targets, instances = [], [], []
        for number, name in enumerate(names, 1):
            mask = index == number
            if name in without or mask.sum() < 8:
                continue
            box, phrase = self.things[name]
            placed = np.eye(4)
            placed[:3, 3] = box.centre + self.rng.normal(0, self.noise, 3)
            covariance = np.diag([NOISE**2 + SHARED**2] * 3 + [1e-4] * 3)
            surface = np.append(CAMERA.rays()[mask].mean(0), 1.0) * np.median(depth[mask])
            geometry = TargetGeometry(
                placed, np.array(box.size), pose[:3, :3] @ surface + pose[:3, 3],
                np.array([0.0, 0.0, 1.0]), covariance, 1.0, np.eye(3) * SHARED**2,
            ).transformed(back)
            seen.append(name)
            targets.append(Target(len(targets) + 1, phrase, 0.9, TargetStatus.OK,
                                  None if flat else geometry))
            instances.append(Found(mask, 0.9, phrase))
        return seen, tuple(targets), instances, depth

    def track(self, pose=None, *, elapsed=0.1, known=True, looks=True, **options):
        """Ids by name of one picture, and what the tracker said of it.

        ``known``: the camera's pose is; ``looks``: the tracker gets the depth picture.
        """
        pose = eye() if pose is None else pose
        self.stamp += elapsed
        seen, targets, instances, depth = self.see(pose, **options)
        out = self.tracker.update(
            targets, instances, self.stamp, CAMERA, pose if known else None,
            depth if looks else None)
        assert [one.phrase for one in out] == [one.phrase for one in targets]
        ids = [one.id for one in out]
        assert len(set(ids)) == len(ids)
        return dict(zip(seen, ids, strict=True)), dict(zip(seen, out, strict=True))


def table(**options):
    return World({'a': (block(-0.2, 0.0), MUG), 'b': (block(0.0, 0.05), CAN),
                  'c': (block(0.2, 0.0), MUG)}, **options)


# ---- ids


@pytest.mark.parametrize('known', [True, False], ids=['TF', 'no TF'])
def test_ids_last_while_the_camera_sways(known):
    world = table(noise=NOISE)
    first, _ = world.track(eye())
    assert first == {'a': 1, 'b': 2, 'c': 3}
    for step in range(30):
        ids, _ = world.track(eye(0.3 * np.sin(step / 4)), known=known)
        assert ids == first


def test_ids_last_when_the_camera_jumps_if_its_pose_is_known():
    # so far that every mask of the second picture lies where another object's was
    world = table()
    first, _ = world.track(eye(0.0))
    assert world.track(eye(np.pi), elapsed=1.0)[0] == first
    assert world.track(eye(0.5, distance=0.6), elapsed=1.0)[0] == first


def test_lookalikes_keep_their_ids_through_an_occlusion():
    world = World({name: (block(x, 0.0), MUG) for name, x in
                   (('a', -0.2), ('b', -0.06), ('c', 0.06), ('d', 0.2))})
    first, _ = world.track()
    # a pole passes before the camera: each is hidden for some frames, and in part before and after
    hidden = set()
    for x in np.linspace(-0.5, 0.5, 40):
        world.occluders = (replace(POLE, centre=(x, -0.3, 0.3)),)
        ids, _ = world.track()
        hidden |= set(first) - set(ids)
        assert ids.items() <= first.items()
    assert hidden == set(first)


def test_one_frame_in_which_nothing_is_found_changes_nothing():
    world = table()
    first, _ = world.track()
    assert world.track(without='abc')[0] == {}
    assert world.track()[0] == first


@pytest.mark.parametrize('looks', [True, False])
def test_what_moved_while_it_was_hidden_is_found_again_within_reach(looks):
    world = World({'a': (block(0.0, 0.0), MUG), 'b': (block(-0.25, 0.1), CAN)})
    first, _ = world.track()
    world.track(without='a')
    # 0.15 m in 0.6 s is slower than 0.5 m/s, and farther than the object is large
    world.things['a'] = (block(0.15, 0.0), MUG)
    assert world.track(elapsed=0.5, looks=looks)[0] == first
    world.track(without='a')
    # 0.3 m in 0.2 s is not, even from the near side of one to the far side of the other
    world.things['a'] = (block(-0.15, 0.0), MUG)
    assert world.track(elapsed=0.1, looks=looks)[0] == {**first, 'a': 3}


def test_a_lookalike_elsewhere_is_another_object_while_the_first_stands_there():
    # the model misses one mug and finds another: depth tells that the first is still there
    world = World({'a': (block(0.0, 0.0), MUG), 'b': (block(0.15, 0.0), MUG)})
    first, _ = world.track(without='b')
    world.track(without='ab', elapsed=0.3)
    second, _ = world.track(without='a', elapsed=0.3)
    assert set(first.values()).isdisjoint(second.values())
    assert world.track()[0] == {**first, **second}


def test_what_is_gone_from_its_place_is_forgotten_and_its_id_is_not_given_again():
    world = table()
    first, _ = world.track()
    for _ in range(19):
        assert world.track(without='b')[0] == {'a': 1, 'c': 3}
    # for 2.0 s, not longer
    assert world.track()[0] == first
    for _ in range(22):
        world.track(without='b')
    assert world.track()[0] == {'a': 1, 'b': 4, 'c': 3}


def test_what_is_hidden_or_out_of_the_picture_is_remembered_for_longer():
    world = table()
    first, _ = world.track()
    screen = Box((0.0, -0.3, 0.3), (0.2, 0.02, 0.6))
    world.occluders = (screen,)
    for _ in range(50):
        assert 'b' not in world.track()[0]
    world.occluders = ()
    assert world.track()[0] == first
    # looks at the left one from near, for 5 s
    near = look_at((-0.3, -0.2, 0.25), (-0.27, 0.0, 0.0))
    for _ in range(50):
        assert world.track(near)[0] == {'a': first['a']}
    assert world.track()[0] == first
    for _ in range(31):
        world.track(near, elapsed=1.0)
    assert world.track()[0] == {'a': 1, 'b': 4, 'c': 5}


def test_without_depth_nobody_can_tell_that_something_is_hidden():
    world = table()
    world.track()
    world.occluders = (Box((0.0, -0.3, 0.3), (0.2, 0.02, 0.6)),)
    for _ in range(22):
        world.track(looks=False)
    world.occluders = ()
    assert world.track(looks=False)[0] == {'a': 1, 'b': 4, 'c': 3}


def test_a_lookalike_that_comes_into_the_picture_is_not_one_that_left_it():
    world = World({'a': (block(-0.45, 0.0), MUG), 'b': (block(0.45, 0.0), MUG)})
    left = look_at((-0.3, -0.8, 0.5), (-0.3, 0.0, 0.0))
    right = look_at((0.3, -0.8, 0.5), (0.3, 0.0, 0.0))
    assert world.track(left)[0] == {'a': 1}
    for _ in range(4):
        assert world.track(right, elapsed=0.3)[0] == {'b': 2}
    assert world.track(left)[0] == {'a': 1}


def test_the_model_may_word_it_differently():
    world = table()
    first, _ = world.track()
    world.things['b'] = (world.things['b'][0], 'can')
    ids, out = world.track()
    assert ids == first and out['b'].phrase == 'can'
    # case and blanks are no difference, so that it may even have moved
    world.things['b'] = (block(0.0, 0.12), ' Can ')
    assert world.track(elapsed=0.5)[0] == first
    # but what is elsewhere under another phrase is something else
    world.things['b'] = (block(0.0, -0.1), 'bottle')
    assert world.track(elapsed=0.5)[0] == {**first, 'b': 4}


def test_touching_neighbours_with_swapped_phrases_stay_where_they_are():
    world = World({'a': (block(-0.032, 0.0), MUG), 'b': (block(0.032, 0.0), CAN)})
    first, _ = world.track()
    world.things = {'a': (block(-0.032, 0.0), CAN), 'b': (block(0.032, 0.0), MUG)}
    assert world.track()[0] == first


def test_two_instances_of_one_object_have_two_ids_and_the_older_one_stays():
    world = World({'a': (block(0.0, 0.0), MUG)})
    for _ in range(5):
        assert world.track()[0] == {'a': 1}
    pose = eye()
    seen, (target,), (found,), depth = world.see(pose)
    twice = (target, replace(target, id=2, phrase='cup'))
    instances = [found, Found(found.mask, 0.5, 'cup')]
    for step in range(5):
        order = slice(None, None, -1 if step % 2 else 1)
        ids = [one.id for one in world.tracker.update(
            twice[order], instances[order], 1.0 + step / 10, CAMERA, pose)]
        assert ids[order] == [1, 2]
    same = tuple(replace(one, phrase=MUG) for one in twice)
    ids = [one.id for one in world.tracker.update(same, instances, 1.6, CAMERA, pose)]
    assert sorted(ids) == [1, 2]
    world.stamp = 1.6
    assert world.track()[0] == {'a': 1}


def test_reset_forgets_but_ids_go_on():
    world = table()
    world.track()
    world.tracker.reset()
    assert world.track()[0] == {'a': 4, 'b': 5, 'c': 6}


def test_time_that_goes_back_begins_anew_unless_it_is_a_trifle():
    world = table()
    first, _ = world.track(elapsed=50.0)
    assert world.track(elapsed=-0.5)[0] == first
    # a bag that begins again
    assert world.track(elapsed=-40.0)[0] == {'a': 4, 'b': 5, 'c': 6}
    assert world.track()[0] == {'a': 4, 'b': 5, 'c': 6}


def test_cameras_that_do_not_stamp_their_pictures_do_not_fill_the_memory():
    tracker = Tracker()
    for step in range(300):
        mask = np.zeros((120, 160), bool)
        mask[8 * (step // 20) :, 8 * (step % 20) :][:8, :8] = True
        target = Target(1, f'thing {step}', 0.9, TargetStatus.NO_DEPTH)
        (out,) = tracker.update((target,), [Found(mask, 0.9, target.phrase)], 0.0, None, None)
        assert out.id == step + 1
    assert len(tracker._tracks) <= 201


def test_settings_count():
    quick = TrackingSettings(time_to_live=0.5, memory=1.0, max_speed=0.05)
    world = table(tracker=Tracker(quick))
    world.track()
    for _ in range(7):
        world.track(without='b')
    assert world.track()[0] == {'a': 1, 'b': 4, 'c': 3}
    near = look_at((-0.3, -0.2, 0.25), (-0.27, 0.0, 0.0))
    for _ in range(12):
        world.track(near)
    assert world.track()[0] == {'a': 1, 'b': 5, 'c': 6}
    world.track(without='a', elapsed=0.1)
    world.things['a'] = (block(-0.2, 0.12), MUG)
    assert world.track(elapsed=0.1)[0]['a'] == 7


# ---- without geometry


def test_targets_without_geometry_are_followed_by_their_masks():
    world = table()
    first, _ = world.track(flat=True)
    for step in range(20):
        ids, out = world.track(eye(0.2 * np.sin(step / 4)), flat=True)
        assert ids == first and all(one.geometry is None for one in out.values())
    # depth comes back
    assert world.track(flat=False)[0] == first
    assert world.track(flat=True)[0] == first


def test_slow_pictures_without_geometry():
    # masks that hardly overlap, once a second: the nearest of the same phrase
    world = World({'a': (block(-0.2, 0.0), MUG), 'b': (block(0.2, 0.0), MUG)})
    first, _ = world.track(flat=True, known=False)
    for step in range(1, 4):
        world.things = {'a': (block(-0.2, 0.05 * step), MUG), 'b': (block(0.2, 0.0), MUG)}
        assert world.track(elapsed=1.0, flat=True, known=False)[0] == first


def test_without_a_fixed_frame_geometry_is_that_of_the_frame():
    world = table(noise=NOISE)
    for _ in range(5):
        pose = eye()
        _, targets, instances, depth = world.see(pose)
        out = world.tracker.update(targets, instances, world.stamp, CAMERA, None, depth)
        assert [one.geometry for one in out] == [one.geometry for one in targets]
        world.stamp += 0.1


def test_tf_that_fails_for_a_moment_does_not_lose_ids_or_places():
    world = table(noise=NOISE)
    for step in range(30):
        ids, out = world.track(eye(0.02 * step), known=step % 3 != 2)
        assert ids == {'a': 1, 'b': 2, 'c': 3}
    # 29 is one without; the places of 30 frames are known again at once
    pose = eye(0.6)
    _, out = world.track(pose)
    for name, (box, _) in world.things.items():
        place = out[name].transformed(pose).geometry.position
        # a mean of 20: 0.45 mm per axis, and four deviations
        np.testing.assert_allclose(place, box.centre, atol=4 * NOISE / np.sqrt(20))


def test_pictures_of_another_size_and_empty_masks():
    world = table()
    first, _ = world.track(flat=True)
    _, targets, instances, _ = world.see(eye(), flat=True)
    large = [Found(np.kron(one.mask, np.ones((2, 2), bool)), 0.9, one.phrase) for one in instances]
    out = world.tracker.update(targets, large, 0.2, None, None)
    assert [one.id for one in out] == list(first.values())
    nothing = Found(np.zeros((120, 160), bool), 0.9, MUG)
    target = Target(1, MUG, 0.9, TargetStatus.NO_DEPTH)
    (lost,) = world.tracker.update((target,), [nothing], 0.3, CAMERA, eye())
    assert lost.id == 4
    with pytest.raises(ValueError, match='1 targets for 0 instances'):
        world.tracker.update((target,), [], 0.4, CAMERA, None)


# ---- places


def test_places_get_surer_and_better_and_measurements_stay():
    world = table(noise=NOISE)
    raw, filtered = [], []
    for step in range(40):
        pose = eye(0.3 * np.sin(step / 6))
        state = world.rng.bit_generator.state
        _, targets, _, _ = world.see(pose)
        world.rng.bit_generator.state = state
        _, out = world.track(pose)
        for before, name in zip(targets, out, strict=True):
            after, centre = out[name], world.things[name][0].centre
            raw.append(before.transformed(pose).geometry.position - centre)
            filtered.append(after.transformed(pose).geometry.position - centre)
            np.testing.assert_array_equal(after.geometry.centroid, before.geometry.centroid)
            np.testing.assert_array_equal(after.geometry.normal, before.geometry.normal)
            assert after.geometry.distance == before.geometry.distance
            values = np.linalg.eigvalsh(after.geometry.covariance)
            assert (values > 0).all()
            # never surer than what all frames have in common allows: views turn by 35 degrees,
            # as far as errors take to fall to 1 / e; never less sure than one frame
            assert 0.5 * SHARED**2 < values.max() < 1.01 * (NOISE**2 + SHARED**2) or values.max() \
                == pytest.approx(1e-4)
    late = slice(60, None)
    error, before = (np.sqrt(np.mean(np.square(side[late]))) for side in (filtered, raw))
    # 20 to 40 frames would give a fifth, less what one more frame may weigh
    assert error < before / 3


@settings(max_examples=6, deadline=None)
@given(yaw=st.floats(-3.1, 3.1), shift=st.tuples(*[st.floats(-2, 2)] * 3))
def test_the_frame_in_which_objects_rest_may_be_any(yaw, shift):
    move = np.eye(4)
    move[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    move[:3, 3] = shift
    worlds = table(noise=NOISE), table(noise=NOISE)
    for step in range(6):
        pose = eye(0.1 * step)
        answers = []
        for world, to_fixed in zip(worlds, (pose, move @ pose), strict=True):
            _, targets, instances, depth = world.see(pose, without='b' if step == 3 else '')
            answers.append(
                world.tracker.update(targets, instances, step / 10, CAMERA, to_fixed, depth))
        for one, other in zip(*answers, strict=True):
            assert one.id == other.id
            for name in ('pose', 'size', 'covariance', 'persistent'):
                np.testing.assert_allclose(
                    getattr(one.geometry, name), getattr(other.geometry, name), atol=1e-9)


@settings(max_examples=12, deadline=None)
@given(orders=st.lists(st.permutations(range(3)), min_size=4, max_size=4))
def test_the_order_of_instances_means_nothing(orders):
    plain, shuffled = table(noise=NOISE), table(noise=NOISE)
    names = {}
    for step, order in enumerate(orders):
        pose = eye(0.1 * step)
        _, targets, instances, depth = plain.see(pose)
        expected = plain.tracker.update(targets, instances, step / 10, CAMERA, pose, depth)
        out = shuffled.tracker.update(
            [targets[k] for k in order], [instances[k] for k in order], step / 10, CAMERA, pose,
            depth)
        for k, one in zip(order, out, strict=True):
            # ids are given in the order of the first picture
            assert names.setdefault(one.id, expected[k].id) == expected[k].id
            np.testing.assert_allclose(one.geometry.pose, expected[k].geometry.pose, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(shows=st.lists(st.sets(st.sampled_from('abc')), min_size=5, max_size=12),
       waits=st.lists(st.sampled_from([0.0, 0.1, 1.0, 5.0, -0.1, -30.0]), min_size=12, max_size=12))
def test_no_id_is_given_twice(shows, waits):
    world = table()
    given_to, last = {}, 0
    for shown, wait in zip(shows, waits, strict=False):
        ids, _ = world.track(elapsed=wait, without=set('abc') - shown)
        for name, identity in ids.items():
            # an id belongs to one object for ever, and new ones only grow
            assert identity in given_to or identity > last
            assert given_to.setdefault(identity, name) == name
        last = max([last, *ids.values()])


# ---- in the pipeline


def picture(column, stamp):
    image = np.full((120, 160, 3), 90, np.uint8)
    depth = np.ones((120, 160), np.float32)
    for place, color in ((column, (255, 0, 0)), (column + 60, (0, 0, 255))):
        image[40:70, place : place + 30] = color
        depth[40:70, place : place + 30] = 0.8
    return Frame(image, depth, CAMERA, np.eye(4), stamp)


def test_the_pipeline_tracks_only_when_it_is_asked_to():
    pipeline, tracker = PerceptionPipeline(ColorSegmenter()), Tracker()
    fixes = []

    def fix():
        fixes.append(1)
        return None

    for step in range(4):
        result = pipeline.run(picture(20 + step, step / 10), 'red and blue', tracker=tracker)
        assert [target.id for target in result.targets] == [1, 2]
        assert set(result.timings) == {'segment', 'project', 'track'}
    # without a tracker ids are places in the list, and the tracker does not learn of it
    result = pipeline.run(picture(20, 0.5), 'blue', fix=fix)
    assert [target.id for target in result.targets] == [1]
    assert set(result.timings) == {'segment', 'project'}
    result = pipeline.run(picture(24, 0.6), 'blue', tracker=tracker, fix=fix)
    assert [target.id for target in result.targets] == [2]
    # a frame of its own in which objects rest, which is not known here: no filter
    alone = pipeline.run(picture(24, 0.6), 'blue')
    np.testing.assert_array_equal(
        result.targets[0].geometry.pose, alone.targets[0].geometry.pose)
    assert len(fixes) == 2
