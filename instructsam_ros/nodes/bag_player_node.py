# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag: its topics as they were recorded, and ``/clock``; no ``ros2 bag`` needed.

Services: ``~/pause``, ``~/resume``, ``~/toggle_paused``. The node ends with the bag, unless it
plays it again and again.
"""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.time import Time
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import Trigger

from instructsam_ros.bridge.parameters import Parameters, setting
from instructsam_ros.bridge.qos import publisher_options, result_qos, status_qos
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.running import run_node
from instructsam_ros.replay.decoding import MessageDecoder, is_same_here
from instructsam_ros.replay.definitions import message_class
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.files import Channel, RawMessage
from instructsam_ros.replay.player import BagClock, BagPlayer
from instructsam_ros.replay.reading import BagReader, TopicInfo
from instructsam_ros.replay.topics import STRING

_CLOCK = '/clock'
_DEPTH = 10
# static transforms of many publishers are on one topic, and late subscribers need all of them
_MOST_LATCHED = 1000
# seconds: from the first sight of a subscriber until it hears us; for others to notice a jump;
# between two words about who is waited for; for the last messages to arrive
_SETTLE, _JUMP, _REMIND, _FAREWELL = 0.5, 0.2, 20.0, 2.0
# messages that came too late; a few are those of a machine that was busy for a moment
_MANY = 5


@dataclass(frozen=True)
class PlayerSettings:
    """The parameters; those that are not read-only may change while it plays."""

    bag: str = setting(
        '', 'folder of the bag, or .mcap, .db3, .bag file; must be given', read_only=True)
    rate: float = setting(
        1.0, 'speed: 2 is twice as fast as recorded', minimum=0.001, maximum=1000.0)
    loop: bool = setting(False, 'begin again at the end')
    start: float = setting(
        0.0, 'begin so far after the start of the bag', unit='s', minimum=0.0, maximum=1e9,
        read_only=True)
    stop: float = setting(
        0.0, 'end so far after the start of the bag; 0: with the bag', unit='s', minimum=0.0,
        maximum=1e9, read_only=True)
    paused: bool = setting(False, 'begin paused', read_only=True)
    clock_rate: float = setting(
        100.0, 'messages per second on /clock; 0: none', unit='Hz', minimum=0.0, maximum=1000.0,
        read_only=True)
    topics: str = setting(
        '', 'what is played: names or patterns such as /camera/*, with spaces between; empty: all',
        read_only=True)
    exclude: str = setting(
        '/rosout /parameter_events', 'what is not, in the same way', read_only=True)
    instruction: str = setting(
        '', "what is searched instead of the bag's instructions: unless it is empty, topics called "
        'instruction are not played', read_only=True)
    wait_for: str = setting(
        '', 'topics that somebody must listen to before it begins, with spaces between',
        read_only=True)
    linger: float = setting(
        0.0, 'stay so long after the last message, for those who still work on it', unit='s',
        minimum=0.0, maximum=3600.0)

    def problem(self) -> str | None:
        """Return what is wrong between parameters, None if nothing is."""
        if self.stop and self.stop <= self.start:
            return f'stop is {self.stop} s and start {self.start} s: start must be the smaller one'
        return None


class BagPlayerNode(Node):
    """Publishes what a bag holds, when it is due.

    Attributes:
        exit_code: 2 if not all of the bag could be played.
    """

    def __init__(self, **options: Any) -> None:
        """Open the bag and begin. Raises BagError, OSError, rclpy's ParameterException."""
        super().__init__('bag_player', **options)
        self.exit_code = 0
        self._table = Parameters(self, PlayerSettings, self._on_settings)
        values = self._table.values
        if not values.bag:
            raise BagError('no bag is named: set the parameter bag')
        self._notices = Notices(self.get_logger().warning, self.get_logger().info)
        self._bag = BagReader(values.bag)
        for note in self._bag.notes:
            self.get_logger().warning(note)
        if values.start > self._bag.duration:
            raise BagError(
                f'{values.bag}: start is {values.start} s, the bag has {self._bag.duration:.3f} s')
        self._ends = {one.name: self._publisher(one) for one in self._chosen(values)}
        if not self._ends:
            raise BagError(f'{values.bag}: nothing to play; it has {self._bag.listing()}')
        self._is_same: dict[Channel, bool] = {}
        self._decoder = MessageDecoder()
        self._sent = 0
        self._ended = threading.Event()
        self._time = BagClock(values.rate, paused=values.paused)
        self._player = BagPlayer(
            self._bag, self._ends.keys(), self._time, self._send, start=values.start,
            stop=values.stop or None, on_jump=self._on_jump)
        self._clock_end = None
        if values.clock_rate:
            self._clock_end = self.create_publisher(
                ClockMessage, _CLOCK, **publisher_options(self, _CLOCK, result_qos(_DEPTH)))
            self.create_timer(
                1 / values.clock_rate, self._tell_time,
                clock=Clock(clock_type=ClockType.STEADY_TIME))
        for name, action in (('pause', self._time.pause), ('resume', self._time.resume),
                             ('toggle_paused', self._toggle)):
            self.create_service(Trigger, f'~/{name}', self._service(action))
        self._thread = threading.Thread(target=self._run, name='player', daemon=True)
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Stop playing; return whether that has ended."""
        self._ended.set()
        self._time.close()
        self._thread.join(timeout)
        self._bag.close()
        return not self._thread.is_alive()

    def _chosen(self, values: PlayerSettings) -> list[TopicInfo]:
        """Return the topics that are played; say which ones cannot be."""
        wanted, unwanted = values.topics.split() or ['*'], values.exclude.split()
        if values.clock_rate:
            # there can be only one
            unwanted.append(_CLOCK)
        chosen, unknown = [], []
        for one in self._bag.topics.values():
            is_asked = any(fnmatchcase(one.name, pattern) for pattern in wanted)
            if not is_asked or any(fnmatchcase(one.name, pattern) for pattern in unwanted):
                continue
            if values.instruction and one.type == STRING and one.name.endswith('/instruction'):
                continue
            if message_class(one.type) is None or not one.is_known:
                unknown.append(f'{one.name} ({one.type})')
                continue
            chosen.append(one)
        if unknown:
            self.get_logger().warning(
                f'not played, for their types are unknown here: {", ".join(unknown)}: install '
                'the packages of these messages')
        return chosen

    def _publisher(self, topic: TopicInfo) -> Publisher:
        # reliable, whatever it was: that connects to everybody
        qos = status_qos(min(max(topic.count, 1), _MOST_LATCHED)) if topic.latched else (
            result_qos(_DEPTH))
        return self.create_publisher(
            message_class(topic.type), topic.name, **publisher_options(self, topic.name, qos))

    def _run(self) -> None:
        """Play; on a thread of its own."""
        values = self._table.values
        try:
            self._wait_for_listeners(values.wait_for.split())
            span = (values.stop or self._bag.duration) - values.start
            self.get_logger().info(
                f'playing {values.bag}: {len(self._ends)} topics, {span:.1f} s, rate '
                f'{values.rate:g}{", paused" if self._time.is_paused else ""}')
            while self._player.play() and self._table.values.loop and self._sent:
                self.get_logger().info('again from the start')
        except Exception as error:
            # whatever it is, the node must not stay and look as if it played
            if self.context.ok():
                self.exit_code = 2
                self.get_logger().error(str(error) or type(error).__name__)
        if self._ended.is_set() or not self.context.ok():
            return
        self._ended.wait(self._table.values.linger)
        for end in self._ends.values():
            end.wait_for_all_acked(Duration(seconds=_FAREWELL))
        self.get_logger().info(f'the end: {self._sent} messages were played')
        self.context.try_shutdown()

    def _wait_for_listeners(self, wanted: list[str]) -> None:
        """Wait until somebody listens to each topic, raw or compressed."""
        waiting = {}
        for name in wanted:
            ends = [end for topic, end in self._ends.items()
                    if topic == name or topic.startswith(f'{name}/')]
            if ends:
                waiting[name] = ends
            else:
                self.get_logger().warning(
                    f'{name} is not played, so nobody is waited for there; the bag has '
                    f'{self._bag.listing()}')
        if not waiting:
            return
        patience = 0.0
        while not self._ended.wait(0.05):
            waiting = {name: ends for name, ends in waiting.items()
                       if not any(end.get_subscription_count() for end in ends)}
            if not waiting:
                break
            patience += 0.05
            if patience >= _REMIND:
                patience = 0.0
                self.get_logger().info(f'waiting: nobody listens to {", ".join(waiting)} yet')
        self._ended.wait(_SETTLE)

    def _send(self, raw: RawMessage) -> None:
        """Publish a message as it was recorded, or as far as this ROS 2 knows its fields."""
        channel = raw.channel
        end = self._ends[channel.topic]
        if message_class(channel.type) is not end.msg_type:
            self._notices.report(
                channel.topic, f'{channel.topic} has messages of type {channel.type} too, which '
                'are not played')
            return
        is_same = self._is_same.get(channel)
        if is_same is None:
            is_same = self._is_same[channel] = is_same_here(channel)
        try:
            end.publish(bytes(raw.data) if is_same else self._decoder.decode(raw))
        except BagError as error:
            self._notices.report(channel.topic, f'not played: {error}')
            return
        self._sent += 1
        if self._time.slips > _MANY:
            self._notices.report(
                'speed', 'messages come too late: this machine cannot keep up, the bag is played '
                'more slowly')

    def _tell_time(self) -> None:
        if self._clock_end is not None:
            self._clock_end.publish(
                ClockMessage(clock=Time(nanoseconds=self._time.now_ns).to_msg()))

    def _on_jump(self) -> None:
        self._tell_time()
        self._ended.wait(_JUMP)

    def _toggle(self) -> None:
        if self._time.is_paused:
            self._time.resume()
        else:
            self._time.pause()

    def _service(self, action: Any) -> Any:
        def respond(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            action()
            response.success = True
            response.message = 'paused' if self._time.is_paused else 'playing'
            return response

        return respond

    def _on_settings(self, old: PlayerSettings, new: PlayerSettings) -> None:
        if old.rate != new.rate:
            self._time.set_rate(new.rate)


def main(args: Sequence[str] | None = None) -> int:
    """Play until the end of the bag, Ctrl-C or SIGTERM; return the exit code."""
    return run_node(BagPlayerNode, args, threads=2, refusals=(BagError, OSError))


if __name__ == '__main__':
    sys.exit(main())
