# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded message_filters against the documented behaviour of Jazzy's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.bridge import interfaces  # noqa: F401  (brings a ROS)
from instructsam_ros.embedded import is_installed

import rclpy  # isort: skip
from builtin_interfaces.msg import Time as TimeMessage  # isort: skip
from message_filters import (  # isort: skip
    ApproximateTimeSynchronizer,
    Cache,
    SimpleFilter,
    Subscriber,
    TimeSynchronizer,
)
from rclpy.executors import SingleThreadedExecutor  # isort: skip
from rclpy.time import Time  # isort: skip
from sensor_msgs.msg import Image  # isort: skip
from std_msgs.msg import Header, String  # isort: skip

pytestmark = pytest.mark.skipif(not is_installed(), reason='an installed ROS 2 is in use')

MILLISECOND = 1_000_000


@dataclass
class Stamped:
    header: Header
    name: str = ''


def stamped(milliseconds: float, name: str = '') -> Stamped:
    nanoseconds = round(milliseconds * MILLISECOND)
    stamp = TimeMessage(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return Stamped(Header(stamp=stamp), name or f'{milliseconds:g}')


def at(milliseconds: float) -> Time:
    return Time.from_msg(stamped(milliseconds).header.stamp)


class Sink:
    """Inputs to a filter and what comes out of it."""

    def __init__(self, count: int) -> None:
        self.inputs = [SimpleFilter() for _ in range(count)]
        self.sets: list[tuple[str, ...]] = []

    def take(self, *messages: Stamped) -> None:
        self.sets.append(tuple(one.name for one in messages))

    def feed(self, place: int, milliseconds: float, name: str = '') -> None:
        self.inputs[place].signalMessage(stamped(milliseconds, name or f'{place}:{milliseconds:g}'))


def approximate(count: int, queue: int = 10, slop: float = 0.02) -> Sink:
    sink = Sink(count)
    ApproximateTimeSynchronizer(sink.inputs, queue, slop).registerCallback(sink.take)
    return sink


def exact(count: int, queue: int = 10) -> Sink:
    sink = Sink(count)
    TimeSynchronizer(sink.inputs, queue).registerCallback(sink.take)
    return sink


# filters


def test_callbacks_get_messages_and_their_own_arguments_in_order() -> None:
    heard = []
    source = SimpleFilter()
    assert source.registerCallback(lambda *a: heard.append(('first', *a)), 'x', 1) == 0
    assert source.registerCallback(lambda *a: heard.append(('second', *a))) == 1
    source.signalMessage('m', 'n')
    assert heard == [('first', 'm', 'n', 'x', 1), ('second', 'm', 'n')]


# the same stamps


def test_equal_stamps_are_a_set() -> None:
    sink = exact(3)
    for place in (2, 0):
        sink.feed(place, 5)
    assert not sink.sets
    sink.feed(1, 6)
    sink.feed(1, 5)
    assert sink.sets == [('0:5', '1:5', '2:5')]
    # used up
    sink.feed(1, 5)
    assert len(sink.sets) == 1


def test_the_oldest_go_when_the_queue_is_full() -> None:
    sink = exact(2, queue=3)
    for milliseconds in (1, 2, 3, 4):
        sink.feed(0, milliseconds)
    sink.feed(1, 1)
    assert not sink.sets
    for milliseconds in (2, 3, 4):
        sink.feed(1, milliseconds)
    assert sink.sets == [('0:2', '1:2'), ('0:3', '1:3'), ('0:4', '1:4')]


def test_a_second_message_with_a_stamp_replaces_the_first() -> None:
    sink = exact(2)
    sink.feed(0, 1, 'old')
    sink.feed(0, 1, 'new')
    sink.feed(1, 1, 'other')
    assert sink.sets == [('new', 'other')]


# nearly the same stamps


def test_stamps_within_the_slop_are_a_set() -> None:
    sink = approximate(2)
    sink.feed(0, 100)
    sink.feed(1, 119)
    assert sink.sets == [('0:100', '1:119')]


@pytest.mark.parametrize('apart', [20, 21, 500])
def test_the_slop_itself_is_too_far(apart: float) -> None:
    sink = approximate(2)
    sink.feed(0, 100)
    sink.feed(1, 100 + apart)
    assert not sink.sets
    sink.feed(0, 100 + apart + 1)
    assert len(sink.sets) == 1


def test_without_slop_nothing_ever_matches() -> None:
    sink = approximate(2, slop=0.0)
    sink.feed(0, 100)
    sink.feed(1, 100)
    assert not sink.sets


def test_the_nearest_is_taken() -> None:
    sink = approximate(2)
    for milliseconds in (90, 97, 108):
        sink.feed(0, milliseconds)
    sink.feed(1, 100)
    assert sink.sets == [('0:97', '1:100')]
    # the others are still there
    sink.feed(1, 107)
    assert sink.sets[1:] == [('0:108', '1:107')]


def test_the_order_of_arrival_does_not_matter_for_the_order_in_a_set() -> None:
    sink = approximate(3)
    for place in (2, 0, 1):
        sink.feed(place, 100 + place)
    assert sink.sets == [('0:100', '1:101', '2:102')]


def test_all_of_a_set_are_within_the_slop_of_each_other() -> None:
    sink = approximate(3)
    sink.feed(0, 85)
    sink.feed(1, 115)
    # 15 from both, but they are 30 apart
    sink.feed(2, 100)
    assert not sink.sets
    sink.feed(1, 95)
    assert sink.sets == [('0:85', '1:95', '2:100')]


def test_a_message_that_the_full_queue_drops_at_once_is_not_matched() -> None:
    sink = approximate(2, queue=2)
    for milliseconds in (200, 300):
        sink.feed(0, milliseconds)
    sink.feed(1, 101)
    sink.feed(0, 100)
    assert not sink.sets


def test_one_set_per_message() -> None:
    sink = approximate(2)
    for milliseconds in (100, 105):
        sink.feed(0, milliseconds)
    sink.feed(1, 102)
    assert sink.sets == [('0:100', '1:102')]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400)), max_size=60),
       st.integers(1, 6), st.sampled_from([0.005, 0.02, 0.1]))
@settings(max_examples=200, deadline=None)
def test_sets_are_always_sound(feed: list[tuple[int, int]], queue: int, slop: float) -> None:
    sink = approximate(3, queue, slop)
    for number, (place, milliseconds) in enumerate(feed):
        sink.feed(place, milliseconds, f'{place}:{milliseconds}:{number}')
    used = [name for one in sink.sets for name in one]
    assert len(used) == len(set(used))
    for one in sink.sets:
        places, stamps = zip(*[map(int, name.split(':')[:2]) for name in one], strict=True)
        assert places == (0, 1, 2) and max(stamps) - min(stamps) < slop * 1000


@given(st.lists(st.integers(0, 10), min_size=1, max_size=30), st.integers(0, 4))
@settings(max_examples=100, deadline=None)
def test_two_cameras_out_of_step_match_every_frame(jitter: list[int], offset: int) -> None:
    # frames 33 ms apart, stamps off by less than the slop: each frame has its partner
    sink = approximate(2, slop=0.016)
    for number, off in enumerate(jitter):
        sink.feed(0, 33 * number)
        sink.feed(1, 33 * number + off + offset)
    assert len(sink.sets) == len(jitter)


def test_headerless_messages(capfd: pytest.CaptureFixture[str]) -> None:
    sink = approximate(2)
    sink.inputs[0].signalMessage(String(data='no stamp'))
    assert 'header' in capfd.readouterr().err
    heard = []
    inputs = [SimpleFilter(), SimpleFilter()]
    lenient = ApproximateTimeSynchronizer(inputs, 10, 10.0, allow_headerless=True)
    lenient.registerCallback(lambda *both: heard.append(both))
    for one in inputs:
        one.signalMessage(String(data='now'))
    assert len(heard) == 1


@pytest.mark.parametrize('make', [lambda inputs: TimeSynchronizer(inputs, 10),
                                  lambda inputs: ApproximateTimeSynchronizer(inputs, 10, 0.02)])
def test_an_error_in_a_callback_does_not_lock_the_filter(make: object) -> None:
    inputs = [SimpleFilter(), SimpleFilter()]
    heard = []

    def fail(*_: object) -> None:
        heard.append(1)
        raise RuntimeError('user code')

    make(inputs).registerCallback(fail)
    for milliseconds in (1, 200):
        inputs[0].signalMessage(stamped(milliseconds))
        with pytest.raises(RuntimeError, match='user code'):
            inputs[1].signalMessage(stamped(milliseconds))
    assert len(heard) == 2


def test_many_threads_at_once() -> None:
    sink = approximate(2, queue=1000, slop=0.0005)

    def run(place: int) -> None:
        for milliseconds in range(500):
            sink.feed(place, milliseconds)

    threads = [threading.Thread(target=run, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sink.sets) == 500


# the cache


def cached(*milliseconds: float, size: int = 5) -> Cache:
    source = SimpleFilter()
    cache = Cache(source, size)
    for one in milliseconds:
        source.signalMessage(stamped(one))
    return cache


def test_the_cache_answers_by_time() -> None:
    cache = cached(0, 1, 2, 3, 4)
    assert [one.name for one in cache.getInterval(at(2), at(4))] == ['2', '3', '4']
    assert cache.getInterval(at(7), at(9)) == []
    with pytest.raises(AssertionError):
        cache.getInterval(at(4), at(2))
    assert cache.getElemAfterTime(at(1.5)).name == '2'
    assert cache.getElemAfterTime(at(2)).name == '2'
    assert cache.getElemAfterTime(at(5)) is None
    assert cache.getElemBeforeTime(at(3.5)).name == '3'
    assert cache.getElemBeforeTime(at(3)).name == '3'
    assert cached(2).getElemBeforeTime(at(1)) is None
    assert cache.getLastestTime() == at(4) and cache.getOldestTime() == at(0)
    assert cache.getLast().name == '4'


def test_the_cache_keeps_the_last_only_and_passes_all_on() -> None:
    source, heard = SimpleFilter(), []
    cache = Cache(source, 3)
    cache.registerCallback(lambda one: heard.append(one.name))
    for milliseconds in range(6):
        source.signalMessage(stamped(milliseconds))
    assert cache.getOldestTime() == at(3) and len(heard) == 6
    empty = Cache(SimpleFilter())
    assert empty.cache_size == 1
    assert empty.getLast() is empty.getLastestTime() is empty.getOldestTime() is None


def test_the_cache_and_headerless_messages(capfd: pytest.CaptureFixture[str]) -> None:
    source = SimpleFilter()
    strict, lenient = Cache(source, 3), Cache(source, 3, allow_headerless=True)
    source.signalMessage(String(data='no stamp'))
    assert strict.getLast() is None and lenient.getLast().data == 'no stamp'
    assert 'header' in capfd.readouterr().err


# over DDS


@pytest.fixture
def context(ros_domain: int) -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def test_images_and_depth_meet_over_dds(context: rclpy.Context) -> None:
    from rclpy.qos import qos_profile_sensor_data

    node = rclpy.create_node('sync', context=context)
    robot = rclpy.create_node('robot', context=context)
    sources = [Subscriber(node, Image, 'image', qos_profile=qos_profile_sensor_data),
               Subscriber(node, Image, 'depth')]
    assert sources[0].getTopic() == 'image'
    # depth 10 and reliable unless said otherwise; whatever the subscription has can be asked
    assert (sources[1].qos_profile.depth, sources[1].qos_profile.reliability.name) == (
        10, 'RELIABLE')
    with pytest.raises(AttributeError):
        _ = sources[1].nonsense
    sets = []
    ApproximateTimeSynchronizer(sources, 10, 0.02).registerCallback(
        lambda *both: sets.append(both))
    publishers = [robot.create_publisher(Image, topic, 10) for topic in ('image', 'depth')]
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    end = time.monotonic() + 20  # for a busy machine
    milliseconds = 0
    while len(sets) < 3:
        assert time.monotonic() < end, 'nothing matched'
        milliseconds += 33
        for publisher, offset in zip(publishers, (0, 5), strict=True):
            message = Image(header=stamped(milliseconds + offset).header, width=7)
            publisher.publish(message)
        for _ in range(4):
            executor.spin_once(timeout_sec=0.02)
    image, depth = sets[-1]
    apart = Time.from_msg(depth.header.stamp) - Time.from_msg(image.header.stamp)
    assert apart.nanoseconds == 5 * MILLISECOND and image.width == 7
