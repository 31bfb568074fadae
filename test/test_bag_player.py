# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags played, between processes: what was recorded comes out, when it is due."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bags
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import Companion, NodeProcess, in_time, wait_until
from test_docs import launch_table, parameter_table

from instructsam_ros.bridge.qos import result_qos, status_qos
from instructsam_ros.nodes.bag_player_node import PlayerSettings
from instructsam_ros.nodes.bag_recorder_node import RecorderSettings
from instructsam_ros.replay.definitions import message_class
from instructsam_ros.replay.player import BagClock, BagPlayer
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.record_tabletop import TabletopRecording, record_tabletop
from instructsam_ros.replay.writing import BagWriter

from rclpy.serialization import deserialize_message  # isort: skip
from rosgraph_msgs.msg import Clock  # isort: skip
from std_msgs.msg import String  # isort: skip
from std_srvs.srv import Trigger  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip

pytestmark = pytest.mark.timed

SECOND = 10**9
DOCUMENT = (Path(__file__).resolve().parent.parent / 'docs/replay.md').read_text(encoding='utf-8')


@pytest.fixture(scope='module')
def tabletop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a table, five pictures per second, two instructions."""
    path = tmp_path_factory.mktemp('bags') / 'table'
    record_tabletop(path, TabletopRecording(
        seconds=2, rate=5, seed=3, instructions=2, width=320, height=240))
    return path


# ---- the clock and the player, without ROS


class Wall:
    """A clock on the wall that moves when it is told to."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from(['pass', 'pass', 'pause', 'resume', 'rate']),
    st.floats(0.01, 5.0, allow_nan=False)), max_size=20))
def test_the_clock_counts_what_was_not_paused_at_its_rate(steps: list[tuple[str, float]]) -> None:
    wall = Wall()
    clock = BagClock(1.0, wall_ns=wall)
    clock.jump(7 * SECOND)
    # something is waited for, far off
    waiting = threading.Thread(target=clock.wait_until, args=(1000 * SECOND,), daemon=True)
    waiting.start()
    wall.ns += SECOND
    wait_until(lambda: clock.now_ns > 7 * SECOND)
    expected, rate, paused = 8e9, 1.0, False
    for what, number in steps:
        if what == 'pass':
            wall.ns += round(number * SECOND)
            expected += 0 if paused else round(number * SECOND) * rate
        elif what == 'rate':
            rate = number
            clock.set_rate(rate)
        else:
            paused = what == 'pause'
            clock.pause() if paused else clock.resume()
        assert clock.is_paused == paused
        # half a nanosecond is lost by rounding at each step
        assert clock.now_ns == pytest.approx(min(expected, 1000e9), abs=25)
    clock.close()
    waiting.join(5.0)
    assert not waiting.is_alive()


def test_the_clock_never_passes_what_is_sent_next_and_stretches_when_that_is_late() -> None:
    wall = Wall()
    clock = BagClock(2.0, wall_ns=wall)
    clock.jump(0)
    wall.ns = SECOND
    assert clock.wait_until(SECOND) and clock.now_ns == SECOND
    # due at 2 s of the bag, 1 s of the wall: 2 s late, so time goes on from there
    assert clock.slips == 1
    wall.ns += SECOND // 2
    assert clock.now_ns == SECOND
    assert clock.wait_until(2 * SECOND) and clock.slips == 1
    # out of order by a little: at once, and the clock does not go back
    assert clock.wait_until(SECOND) and clock.now_ns == 2 * SECOND


def played(path: Path, *, topics: Any = None, rate: float = 1000.0, **options: Any) -> Any:
    """What is sent of a bag, with the clock at each message, and where it jumped to."""
    found = SimpleNamespace(sent=[], clock=[], jumps=[])
    clock = BagClock(rate)

    def send(raw: Any) -> None:
        found.sent.append((raw.channel.topic, raw.bag_ns))
        found.clock.append(clock.now_ns)

    with BagReader(path) as bag:
        player = BagPlayer(
            bag, topics or bag.topics, clock, send,
            on_jump=lambda: found.jumps.append(clock.now_ns), **options)
        assert player.play()
    return found


def test_a_part_of_a_bag_is_played_with_what_was_latched_before(tmp_path: Path) -> None:
    path = bags.write(tmp_path / 'bag', [
        *bags.strings(20), ('/tf_static', bags.transform('a', 'b', 1.0, 0), 0.05),
        ('/tf_static', bags.transform('c', 'b', 1.0, 0), 1.25)])
    found = played(path, start=1.0, stop=1.5)
    assert found.sent == [
        ('/tf_static', bags.at(0.05)), ('/count', bags.at(1.0)), ('/count', bags.at(1.1)),
        ('/count', bags.at(1.2)), ('/tf_static', bags.at(1.25)), ('/count', bags.at(1.3)),
        ('/count', bags.at(1.4))]
    assert found.clock[1:] == [bag_ns for _, bag_ns in found.sent[1:]]
    assert found.clock[0] == bags.at(1.0) and found.jumps == []


@pytest.mark.parametrize('first', [0.0, 1000.0])
def test_a_clock_that_goes_back_is_followed_at_once(tmp_path: Path, first: float) -> None:
    with BagWriter(tmp_path / 'bag', 'sqlite3') as writer:
        for begin in (500.0, first):
            for number in range(3):
                writer.write('/count', String(data=f'{number}'), bags.at(begin + number))
            # a jitter is no jump
            writer.write('/count', String(data='3'), bags.at(begin + 1.9))
    begun = time.monotonic()
    found = played(tmp_path / 'bag')
    # in the order of recording if there is a jump
    steps = (0, 1, 2, 1.9) if first < 500 else (0, 1, 1.9, 2)
    assert [bag_ns for _, bag_ns in found.sent] == [
        bags.at(begin + number) for begin in (500.0, first) for number in steps]
    # a gap ahead is waited for: half a second at this rate
    assert time.monotonic() - begun < in_time(2.0)
    back = [bags.at(500.0), bags.at(first)] if first < 500 else []
    assert found.jumps == back
    assert found.clock == [
        bags.at(begin + max(steps[:place + 1])) for begin in (500.0, first) for place in range(4)]


# ---- between processes


class Listener(Companion):
    """Hears topics as bytes, and calls the player's services."""

    def __init__(self) -> None:
        super().__init__('listener')
        self.heard: dict[str, list[bytes]] = defaultdict(list)
        self.times: dict[str, list[float]] = defaultdict(list)
        self._clients: dict[str, Any] = {}
        self.start()

    def listen(self, topic: str, kind: type, qos: Any = None) -> None:
        def take(data: bytes) -> None:
            self.heard[topic].append(data)
            self.times[topic].append(time.monotonic())

        self.node.create_subscription(
            kind, topic, take, qos or result_qos(1000), raw=True)

    def call(self, name: str) -> str:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(Trigger, f'/bag_player/{name}')
        assert client.wait_for_service(in_time(10.0)), name
        future = client.call_async(Trigger.Request())
        wait_until(future.done)
        response = future.result()
        assert response.success
        return response.message

    def clocks(self) -> list[int]:
        """All times heard on /clock, nanoseconds."""
        found = [deserialize_message(one, Clock).clock for one in self.heard['/clock']]
        return [one.sec * SECOND + one.nanosec for one in found]


@pytest.fixture
def listener(ros_domain: int) -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def start(ros_domain: int) -> Iterator[Callable[..., NodeProcess]]:
    """Start one of our nodes with parameters."""
    started: list[NodeProcess] = []

    def run(node: str, /, *ros: str, **parameters: Any) -> NodeProcess:
        ros += tuple(part for name, value in parameters.items()
                     for part in ('-p', f'{name}:={value}'))
        made = NodeProcess('run', node, module='instructsam_ros.cli', ros=ros)
        started.append(made)
        return made

    yield run
    for one in started:
        if one.is_alive:
            one.end()


def test_a_bag_is_played_as_it_was_recorded(
    tabletop: Path, listener: Listener, start: Callable[..., NodeProcess]
) -> None:
    with BagReader(tabletop) as bag:
        expected = defaultdict(list)
        for raw in bag.raw_messages():
            # on the wire they are filled up to words
            expected[raw.channel.topic].append(bytes(raw.data) + bytes(-len(raw.data) % 4))
        for topic in bag.topics.values():
            if not topic.latched:
                listener.listen(topic.name, message_class(topic.type))
        duration, begin_ns, end_ns = bag.duration, bag.start_ns, bag.end_ns - 1
    listener.listen('/clock', Clock)
    process = start('bag_player_node', bag=tabletop, wait_for=' '.join(expected.keys() - {
        '/tf_static'}), linger=0.5)
    process.wait_for('playing')
    # who comes late gets what is latched
    listener.listen('/tf_static', TFMessage, status_qos(10))
    assert process.process.wait(in_time(15.0)) == 0, process.report()
    process.end()
    assert process.said(f'the end: {sum(map(len, expected.values()))} messages')
    assert listener.heard.keys() == {*expected, '/clock'}
    for topic, messages in expected.items():
        assert listener.heard[topic] == messages, topic
    times = listener.times['/camera/color/image_raw']
    assert times[-1] - times[0] == pytest.approx(1.8, abs=in_time(0.1))
    clocks = listener.clocks()
    assert clocks == sorted(clocks)
    assert (clocks[0], clocks[-1]) == (begin_ns, end_ns)
    moving = [one for one in clocks if begin_ns < one < end_ns]
    # a hundred per second; a busy machine makes less
    assert len(moving) > 50 * duration / in_time(1.0)
    assert process.end() == 0


def test_pause_resume_rate_and_loop(
    tmp_path: Path, listener: Listener, start: Callable[..., NodeProcess]
) -> None:
    path = bags.write(tmp_path / 'bag', bags.strings(20))
    listener.listen('/count', String)
    listener.listen('/clock', Clock)
    process = start('bag_player_node', bag=path, wait_for='/count', paused=True, loop=True)
    process.wait_for('paused')
    time.sleep(0.2)
    assert not listener.heard['/count']
    assert listener.call('resume') == 'playing'
    wait_until(lambda: len(listener.heard['/count']) >= 4)
    assert listener.call('toggle_paused') == 'paused'
    time.sleep(0.1)
    count, stands = len(listener.heard['/count']), listener.clocks()[-1]
    time.sleep(0.4)
    assert count < 20 and len(listener.heard['/count']) == count
    # time is told while it stands
    assert listener.clocks()[-5:] == [stands] * 5
    assert bags.at((count - 1) / 10) <= stands <= bags.at(count / 10)
    assert listener.call('toggle_paused') == 'playing'
    wait_until(lambda: len(listener.heard['/count']) >= 30)
    assert listener.call('pause') == 'paused'
    numbers = [bags.number_of(deserialize_message(one, String))
               for one in listener.heard['/count'][:30]]
    assert numbers == [*range(20), *range(10)]
    clocks = listener.clocks()
    back = [one for one, two in zip(clocks, clocks[1:], strict=False) if two < one]
    assert len(back) == 1 and bags.at(1.5) < back[0] <= bags.at(1.9)
    assert bags.at(0) in clocks[clocks.index(back[0]):]
    assert process.end() == 0


def test_what_cannot_be_played_is_told(
    tmp_path: Path, listener: Listener, start: Callable[..., NodeProcess]
) -> None:
    path = tmp_path / 'bag'
    with BagWriter(path, compress=False) as writer:
        writer.add_raw_topic('/odd', 'nobody_msgs/msg/Odd', 'int32 number')
        for topic, message, seconds in bags.strings(20, rate=20.0):
            writer.write_raw('/odd', b'\x00\x01\x00\x00\x07\x00\x00\x00', bags.at(seconds))
            writer.write(topic, message, bags.at(seconds))
            writer.write('/instruction', message, bags.at(seconds))
            writer.write('/old/instructsam/targets', message, bags.at(seconds))
        for seconds in (0.96, 0.97):
            writer.write('/late', String(data='x' * 1_500_000), bags.at(seconds))
    file, = path.glob('*.mcap')
    # the last chunk is cut
    file.write_bytes(file.read_bytes()[:-1_000_000])
    for topic in ('/count', '/instruction', '/old/instructsam/targets'):
        listener.listen(topic, String)
    process = start('bag_player_node', bag=path, wait_for='/count /image', rate='4.0',
                    exclude='"*/instructsam/* /late"', instruction='the mug')
    assert process.process.wait(in_time(15.0)) == 2, process.report()
    process.end()
    assert len(process.said('/odd (nobody_msgs/msg/Odd)')) == 1, process.report()
    assert process.said('/image is not played')
    assert process.said('damaged or cut short')
    assert not process.said('Traceback')
    with BagReader(path) as bag:
        assert bag.topics['/count'].count == 20 == len(listener.heard['/count'])
    # others' old answers, and what the user has replaced
    assert set(listener.heard) == {'/count'}


@pytest.mark.parametrize(('node', 'parameters', 'said'), [
    ('bag_player_node', {}, 'no bag is named'),
    ('bag_player_node', {'bag': '/nowhere/bag'}, '/nowhere/bag: no such bag'),
    ('bag_recorder_node', {'bag': '/proc/nowhere/bag'}, '/proc/nowhere/bag: cannot be written')])
def test_a_bag_that_is_not_there_ends_the_node(
    start: Callable[..., NodeProcess], node: str, parameters: dict[str, Any], said: str
) -> None:
    process = start(node, **parameters)
    assert process.process.wait(in_time(15.0)) == 2
    process.end()
    assert process.said(f'the node cannot start: {said}'), process.report()
    assert not process.said('Traceback')


# ---- the document


@pytest.mark.parametrize('table', [PlayerSettings, RecorderSettings])
def test_parameters_are_documented(table: type[Any]) -> None:
    assert parameter_table(table) in DOCUMENT


def test_launch_arguments_are_documented() -> None:
    assert launch_table('replay.launch.yaml') in DOCUMENT
