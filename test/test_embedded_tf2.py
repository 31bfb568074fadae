# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded tf2_ros against Jazzy's documented behaviour: the buffer."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.bridge.poses import transform_to_matrix
from instructsam_ros.embedded import is_installed

import tf2_ros  # isort: skip
from geometry_msgs.msg import TransformStamped  # isort: skip
from rclpy.duration import Duration  # isort: skip
from rclpy.time import Time  # isort: skip
from tf2_ros import (  # isort: skip
    Buffer,
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)

pytestmark = pytest.mark.skipif(not is_installed(), reason='an installed ROS 2 is in use')

SECOND = 1_000_000_000


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * SECOND))


def link(parent: str, child: str, seconds: float = 0.0, xyz: tuple[float, ...] = (0.0, 0.0, 0.0),
         turn: float = 0.0, axis: str = 'z') -> TransformStamped:
    """child -> parent: a turn in radians about an axis, then a shift."""
    message = TransformStamped()
    message.header.stamp = at(seconds).to_msg()
    message.header.frame_id = parent
    message.child_frame_id = child
    to = message.transform
    to.translation.x, to.translation.y, to.translation.z = (float(value) for value in xyz)
    setattr(to.rotation, axis, math.sin(turn / 2))
    to.rotation.w = math.cos(turn / 2)
    return message


def filled(*links: TransformStamped, static: tuple[TransformStamped, ...] = (),
           **options: object) -> Buffer:
    buffer = Buffer(**options)
    for one in links:
        buffer.set_transform(one, 'test')
    for one in static:
        buffer.set_transform_static(one, 'test')
    return buffer


def shift(found: TransformStamped) -> tuple[float, float, float]:
    translation = found.transform.translation
    return translation.x, translation.y, translation.z


# one link


def test_a_lookup_gives_back_what_was_set() -> None:
    given_link = link('map', 'base', 5.0, (42.0, -3.14, 0.0))
    buffer = filled(given_link)
    assert buffer.can_transform('map', 'base', at(5.0))
    found = buffer.lookup_transform('map', 'base', at(5.0))
    assert found == given_link


def test_times_may_be_messages_and_durations_too() -> None:
    buffer = filled(link('map', 'base', 5.0))
    assert buffer.lookup_transform('map', 'base', at(5.0).to_msg()).header.stamp.sec == 5
    with pytest.raises(TypeError, match='nanoseconds'):
        buffer.lookup_transform('map', 'base', 5.0)


def test_the_other_way_round_is_the_inverse() -> None:
    buffer = filled(link('map', 'base', 5.0, (1.0, 2.0, 3.0), math.pi / 2))
    forth = transform_to_matrix(buffer.lookup_transform('map', 'base', at(5.0)).transform)
    back = transform_to_matrix(buffer.lookup_transform('base', 'map', at(5.0)).transform)
    np.testing.assert_allclose(forth @ back, np.eye(4), atol=1e-15)
    # x of base is y of map
    np.testing.assert_allclose(forth @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-15)


def test_zero_time_is_the_newest_and_says_which() -> None:
    buffer = filled(link('map', 'base', 5.0, (1, 0, 0)), link('map', 'base', 6.0, (2, 0, 0)))
    found = buffer.lookup_transform('map', 'base', Time())
    assert shift(found) == (2.0, 0.0, 0.0) and found.header.stamp.sec == 6


def test_a_frame_to_itself_is_identity_even_unknown() -> None:
    found = Buffer().lookup_transform('nowhere', 'nowhere', at(3.5))
    assert found.transform.rotation.w == 1.0 and shift(found) == (0.0, 0.0, 0.0)
    assert (found.header.stamp.sec, found.header.stamp.nanosec) == (3, SECOND // 2)
    assert (found.header.frame_id, found.child_frame_id) == ('nowhere', 'nowhere')


# interpolation


def test_between_two_stamps_it_interpolates() -> None:
    buffer = filled(link('map', 'base', 10.0, (0, 0, 1), 0.0),
                    link('map', 'base', 12.0, (4, 0, 1), math.pi / 2))
    found = buffer.lookup_transform('map', 'base', at(10.5))
    assert shift(found) == (1.0, 0.0, 1.0)
    assert 2 * math.atan2(found.transform.rotation.z, found.transform.rotation.w) == (
        pytest.approx(math.pi / 8))
    assert found.header.stamp == at(10.5).to_msg()


def test_it_turns_the_short_way() -> None:
    near, far = link('map', 'base', 1.0, turn=0.1), link('map', 'base', 2.0, turn=0.3)
    for axis in 'xyzw':
        # the same rotation with the other sign
        setattr(far.transform.rotation, axis, -getattr(far.transform.rotation, axis))
    found = filled(near, far).lookup_transform('map', 'base', at(1.5)).transform.rotation
    assert abs(2 * math.atan2(found.z, found.w)) % (2 * math.pi) == pytest.approx(0.2)


def test_equal_and_opposite_rotations_interpolate_without_nan() -> None:
    for turn in (0.0, math.pi, 2 * math.pi):
        buffer = filled(link('map', 'base', 1.0), link('map', 'base', 2.0, turn=turn))
        found = buffer.lookup_transform('map', 'base', at(1.25)).transform.rotation
        assert math.hypot(found.x, found.y, found.z, found.w) == pytest.approx(1.0)


def test_late_arrivals_are_filed_by_their_stamp() -> None:
    buffer = filled(link('map', 'base', 1.0, (0, 0, 0)), link('map', 'base', 3.0, (6, 0, 0)),
                    link('map', 'base', 2.0, (5, 0, 0)))
    assert shift(buffer.lookup_transform('map', 'base', at(1.5))) == (2.5, 0.0, 0.0)
    assert shift(buffer.lookup_transform('map', 'base', at(2.0))) == (5.0, 0.0, 0.0)


def test_between_two_parents_the_older_holds() -> None:
    buffer = filled(link('map', 'base', 1.0, (1, 0, 0)), link('odom', 'base', 3.0, (9, 0, 0)),
                    link('map', 'odom', 1.0), link('map', 'odom', 3.0))
    assert shift(buffer.lookup_transform('map', 'base', at(2.0))) == (1.0, 0.0, 0.0)
    assert shift(buffer.lookup_transform('map', 'base', at(3.0))) == (9.0, 0.0, 0.0)


quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(
    lambda q: math.sqrt(sum(v * v for v in q)) > 0.1)
vectors = st.tuples(*[st.floats(-10, 10)] * 3)


def rigid(parent: str, child: str, seconds: float, xyz: tuple[float, ...],
          q: tuple[float, ...]) -> TransformStamped:
    message = link(parent, child, seconds, xyz)
    length = math.sqrt(sum(v * v for v in q))
    for axis, value in zip('xyzw', q, strict=True):
        setattr(message.transform.rotation, axis, value / length)
    return message


@given(st.lists(st.tuples(vectors, quaternions), min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_chains_are_products_of_matrices(parts: list[tuple[tuple[float, ...], ...]]) -> None:
    names = [('root', 'a'), ('a', 'b'), ('root', 'c')]
    links = [rigid(*ends, 1.0, *part) for ends, part in zip(names, parts, strict=True)]
    buffer = filled(*links)
    root_a, a_b, root_c = (transform_to_matrix(one.transform) for one in links)
    found = transform_to_matrix(buffer.lookup_transform('c', 'b', at(1.0)).transform)
    # sums of a few numbers up to 30, in float64
    np.testing.assert_allclose(found, np.linalg.inv(root_c) @ root_a @ a_b, atol=1e-12)


@given(vectors, quaternions, vectors, quaternions, st.floats(0.01, 0.99))
@settings(max_examples=100, deadline=None)
def test_interpolation_is_the_steady_turn_between(xyz_a: tuple[float, ...], qa: tuple[float, ...],
                                                  xyz_b: tuple[float, ...], qb: tuple[float, ...],
                                                  ratio: float) -> None:
    from scipy.spatial.transform import Rotation, Slerp

    buffer = filled(rigid('map', 'base', 1.0, xyz_a, qa), rigid('map', 'base', 2.0, xyz_b, qb))
    stamp = at(1.0 + ratio)
    ratio = (stamp.nanoseconds - SECOND) / SECOND
    turns = Rotation.from_quat([qa, qb])
    if (turns[0].inv() * turns[1]).magnitude() > 3.1:
        # half turns: both ways are as short
        return
    found = transform_to_matrix(buffer.lookup_transform('map', 'base', stamp).transform)
    expected = Slerp([0, 1], turns)([ratio])[0].as_matrix()
    np.testing.assert_allclose(found[:3, :3], expected, atol=1e-6)
    straight = np.array(xyz_a) * (1 - ratio) + np.array(xyz_b) * ratio
    np.testing.assert_allclose(found[:3, 3], straight, atol=1e-9)


# chains and times


def test_a_chain_of_static_and_moving_links() -> None:
    buffer = filled(
        link('odom', 'base', 1.0, (1, 0, 0)), link('odom', 'base', 2.0, (3, 0, 0)),
        static=(link('map', 'odom', 99.0, (0, 10, 0)), link('base', 'camera', 0.0, (0, 0, 0.5))))
    assert shift(buffer.lookup_transform('map', 'camera', at(1.5))) == (2.0, 10.0, 0.5)
    # the newest of the chain is that of its moving link
    assert buffer.lookup_transform('map', 'camera', Time()).header.stamp.sec == 2


def test_static_links_hold_at_any_time() -> None:
    buffer = filled(static=(link('base', 'camera', 100.0, (1, 0, 0)),))
    for seconds in (0.001, 50.0, 1e6):
        assert shift(buffer.lookup_transform('base', 'camera', at(seconds))) == (1.0, 0.0, 0.0)
    assert buffer.lookup_transform('base', 'camera', Time()).header.stamp.sec == 0


def test_the_newest_common_time_is_that_of_the_slowest_link() -> None:
    buffer = filled(link('map', 'odom', 1.0), link('map', 'odom', 5.0),
                    link('odom', 'base', 1.0), link('odom', 'base', 3.0))
    assert buffer.get_latest_common_time('map', 'base') == at(3.0)
    assert buffer.lookup_transform('map', 'base', Time()).header.stamp.sec == 3


def test_a_branch_does_not_hold_up_the_way_past_it() -> None:
    # the link above the common parent ends earlier and is not needed
    buffer = filled(link('map', 'odom', 1.0), link('odom', 'left', 9.0, (1, 0, 0)),
                    link('odom', 'right', 9.0, (0, 1, 0)))
    assert shift(buffer.lookup_transform('left', 'right', at(9.0))) == (-1.0, 1.0, 0.0)
    assert buffer.get_latest_common_time('left', 'right') == at(9.0)


def test_full_lookup_goes_through_the_fixed_frame() -> None:
    buffer = filled(link('map', 'base', 1.0, (1, 0, 0)), link('map', 'base', 2.0, (5, 0, 0)))
    found = buffer.lookup_transform_full('base', at(2.0), 'base', at(1.0), 'map')
    # what was at base is four metres behind it a second later
    assert shift(found) == (-4.0, 0.0, 0.0) and found.header.stamp.sec == 2
    assert buffer.can_transform_full('base', at(2.0), 'base', at(1.0), 'map')
    assert not buffer.can_transform_full('base', at(2.5), 'base', at(1.0), 'map')
    with pytest.raises(LookupException):
        buffer.lookup_transform_full('base', at(2.0), 'base', at(1.0), 'moon')


# what is wrong


def test_unknown_frames() -> None:
    buffer = filled(link('map', 'base', 1.0))
    for target, source in (('map', 'moon'), ('moon', 'map')):
        with pytest.raises(LookupException, match='"moon".*does not exist'):
            buffer.lookup_transform(target, source, at(1.0))
    answer, reason = buffer.can_transform('moon', 'base', at(1.0), return_debug_tuple=True)
    assert not answer and 'moon' in reason


@pytest.mark.parametrize('name', ['', '/base'])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidArgumentException, match='frame ids cannot'):
        filled(link('map', 'base', 1.0)).lookup_transform('map', name, at(1.0))


def test_trees_that_do_not_meet() -> None:
    buffer = filled(link('map', 'base', 1.0), link('sky', 'moon', 1.0))
    for stamp in (at(1.0), Time()):
        with pytest.raises(ConnectivityException, match="'base' and 'moon'.*same tree"):
            buffer.lookup_transform('base', 'moon', stamp)


@pytest.mark.parametrize(('seconds', 'reason'), [
    (3.5, r'into the future.*3\.500000.*latest data is at time 3\.000000.*\[base\].*\[map\]'),
    (0.5, r'into the past.*0\.500000.*earliest data is at time 1\.000000'),
])
def test_times_outside_of_the_data(seconds: float, reason: str) -> None:
    buffer = filled(link('map', 'base', 1.0), link('map', 'base', 3.0))
    for target, source in (('map', 'base'), ('base', 'map')):
        with pytest.raises(ExtrapolationException):
            buffer.lookup_transform(target, source, at(seconds))
    with pytest.raises(ExtrapolationException, match=reason):
        buffer.lookup_transform('map', 'base', at(seconds))


def test_one_transform_is_known_at_its_own_time_only() -> None:
    buffer = filled(link('map', 'base', 1.0))
    with pytest.raises(ExtrapolationException, match=r'only data is at time 1\.000000'):
        buffer.lookup_transform('map', 'base', at(1.1))


def test_loops_are_found_and_not_walked_forever() -> None:
    buffer = filled(link('a', 'b', 1.0), link('b', 'c', 1.0), link('c', 'a', 1.0),
                    link('map', 'base', 1.0))
    for stamp in (at(1.0), Time()):
        with pytest.raises(TransformException, match='loop'):
            buffer.lookup_transform('base', 'a', stamp)
        with pytest.raises(TransformException, match='loop'):
            buffer.lookup_transform('a', 'base', stamp)


def test_every_exception_is_a_transform_exception() -> None:
    for name in ('Connectivity', 'Extrapolation', 'InvalidArgument', 'Lookup', 'Timeout'):
        assert issubclass(getattr(tf2_ros, f'{name}Exception'), TransformException)
    with pytest.raises(NotImplementedError, match='BufferClient'):
        _ = tf2_ros.BufferClient


# what is not filed


@pytest.mark.parametrize(('change', 'reason'), [
    (lambda m: setattr(m, 'child_frame_id', ''), 'no child_frame_id'),
    (lambda m: setattr(m.header, 'frame_id', ''), 'no frame_id'),
    (lambda m: setattr(m, 'child_frame_id', '/map'), 'the same'),
    (lambda m: setattr(m.transform.translation, 'x', math.nan), 'NaN'),
    (lambda m: setattr(m.transform.rotation, 'w', 2.0), 'not normalised'),
    (lambda m: setattr(m.transform.rotation, 'w', 0.0), 'not normalised'),
])
def test_unusable_transforms_are_ignored_with_the_reason(
        change: object, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    message = link('map', 'base', 1.0)
    change(message)
    buffer = filled(message)
    assert not buffer.can_transform('map', 'base', at(1.0))
    assert reason in capfd.readouterr().err


def test_leading_slashes_are_dropped_when_set() -> None:
    assert filled(link('/map', '/base', 1.0)).can_transform('map', 'base', at(1.0))


def test_nearly_normalised_rotations_are_taken_and_used_as_rotations() -> None:
    message = link('map', 'base', 1.0, (1, 0, 0), math.pi / 2)
    message.transform.rotation.w *= 1.004
    found = filled(message).lookup_transform('base', 'map', at(1.0))
    assert math.hypot(*shift(found)) == pytest.approx(1.0)


def test_only_the_cache_time_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    buffer = filled(*[link('map', 'base', k, (k, 0, 0)) for k in range(1, 31)],
                    cache_time=Duration(seconds=4))
    # what is dropped is judged by the newest before the last
    with pytest.raises(ExtrapolationException, match=r'earliest data is at time 25\.0'):
        buffer.lookup_transform('map', 'base', at(20.0))
    assert not capfd.readouterr().err
    buffer.set_transform(link('map', 'base', 10.0), 'late')
    assert 'older than the buffer' in capfd.readouterr().err
    assert filled(*[link('map', 'base', k) for k in range(1, 31)]).can_transform(
        'map', 'base', at(20.0))


def test_repeated_transforms_are_kept_once() -> None:
    buffer = filled(*[link('map', 'base', 1.0)] * 500, link('map', 'base', 1.1))
    assert yaml.safe_load(buffer.all_frames_as_yaml())['base']['rate'] == pytest.approx(20.0)


def test_clear_forgets_what_moves_and_keeps_what_is_static() -> None:
    buffer = filled(link('map', 'base', 1.0), static=(link('base', 'camera'),))
    buffer.clear()
    assert buffer.can_transform('base', 'camera', at(1.0))
    with pytest.raises(ExtrapolationException):
        buffer.lookup_transform('map', 'base', at(1.0))


def test_a_frame_may_become_static_and_move_again() -> None:
    buffer = filled(link('map', 'base', 1.0, (1, 0, 0)),
                    static=(link('map', 'base', 0, (7, 0, 0)),))
    assert shift(buffer.lookup_transform('map', 'base', at(50.0))) == (7.0, 0.0, 0.0)
    buffer.set_transform(link('map', 'base', 60.0, (8, 0, 0)), 'test')
    assert shift(buffer.lookup_transform('map', 'base', Time())) == (8.0, 0.0, 0.0)
    assert not buffer.can_transform('map', 'base', at(50.0))


def test_frames_are_listed() -> None:
    buffer = filled(link('map', 'base', 1.0), link('map', 'base', 2.0),
                    static=(link('base', 'camera'),))
    frames = yaml.safe_load(buffer.all_frames_as_yaml())
    assert set(frames) == {'base', 'camera'} and frames['base']['parent'] == 'map'
    assert frames['base']['broadcaster'] == 'test'
    assert frames['base']['most_recent_transform'] == 2.0
    assert 'Frame camera exists with parent base.' in buffer.all_frames_as_string()
    assert yaml.safe_load(Buffer().all_frames_as_yaml()) == []
    assert buffer._frameExists('map') and not buffer._frameExists('moon')


# waiting


def test_a_lookup_waits_for_data_and_no_longer() -> None:
    buffer = filled(link('map', 'base', 1.0))
    late = threading.Timer(0.1, buffer.set_transform, (link('map', 'base', 3.0), 'test'))
    begin = time.monotonic()
    late.start()
    buffer.lookup_transform('map', 'base', at(2.0), Duration(seconds=20))
    # the data comes after 0.1 s; the rest is for a busy machine
    assert 0.09 < time.monotonic() - begin < 10


def test_waiting_ends_at_the_timeout() -> None:
    begin = time.monotonic()
    assert not Buffer().can_transform('map', 'base', at(1.0), Duration(seconds=0.15))
    assert 0.14 < time.monotonic() - begin < 10
    with pytest.raises(LookupException):
        Buffer().lookup_transform('map', 'base', at(1.0), Duration(seconds=0.01))


def test_futures_come_true_with_the_data() -> None:
    buffer = Buffer()
    future = buffer.wait_for_transform_async('map', 'base', at(2.0))
    buffer.set_transform(link('map', 'base', 1.0), 'test')
    assert not future.done()
    buffer.set_transform(link('map', 'base', 3.0, (2, 0, 0)), 'test')
    assert future.done() and shift(future.result()) == (1.0, 0.0, 0.0)
    assert buffer.wait_for_transform_async('map', 'base', at(2.5)).done()
    assert not buffer._new_data_callbacks


def test_awaiting_a_transform() -> None:
    buffer = Buffer()
    awaiting = buffer.lookup_transform_async('map', 'base', at(1.0))
    awaiting.send(None)
    buffer.set_transform(link('map', 'base', 1.0, (1, 0, 0)), 'test')
    with pytest.raises(StopIteration) as finished:
        awaiting.send(None)
    assert shift(finished.value.value) == (1.0, 0.0, 0.0)


def test_cancelled_futures_are_forgotten() -> None:
    buffer = Buffer()
    buffer.wait_for_transform_full_async('map', at(1.0), 'base', at(1.0), 'map').cancel()
    assert not buffer._new_data_callbacks


def test_many_threads_at_once() -> None:
    buffer = filled(link('map', 'base', 1.0))
    problems = []

    def ask() -> None:
        try:
            for _ in range(300):
                found = buffer.lookup_transform('map', 'base', Time())
                assert shift(found)[0] == found.header.stamp.sec - 1
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for k in range(2, 300):
        buffer.set_transform(link('map', 'base', k, (k - 1, 0, 0)), 'test')
    for thread in threads:
        thread.join()
    assert not problems


# types that others register


def test_registered_types_are_transformed() -> None:
    class Thing:
        def __init__(self, x: float) -> None:
            self.header = link('base', 'x', 1.0).header
            self.x = x

    buffer = filled(link('map', 'base', 1.0, (5, 0, 0)))
    with pytest.raises(tf2_ros.TypeException, match='Thing'):
        buffer.transform(Thing(1.0), 'map')
    tf2_ros.TransformRegistration().add(
        Thing, lambda thing, found: Thing(thing.x + found.transform.translation.x))
    assert buffer.transform(Thing(1.0), 'map').x == 6.0
