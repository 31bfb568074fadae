# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Records topics into an mcap bag, timed by the node's clock; no ``ros2 bag`` needed.

Topics are recorded as soon as somebody publishes them, as bytes, whatever their types are.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from instructsam_ros.bridge.parameters import Parameters, setting
from instructsam_ros.bridge.qos import input_qos, result_qos, status_qos
from instructsam_ros.nodes.running import run_node
from instructsam_ros.replay.definitions import message_class
from instructsam_ros.replay.errors import BagError, BagWriteError
from instructsam_ros.replay.writing import BagWriter

_DEPTH = 100
# seconds between two looks for new topics
_LOOK_AROUND = 0.2


@dataclass(frozen=True)
class RecorderSettings:
    """The parameters."""

    bag: str = setting('', 'folder of the new bag; must be given, must not exist', read_only=True)
    topics: str = setting(
        '*/instructsam/* /tf /tf_static',
        'what is recorded: names or patterns, with spaces between', read_only=True)
    exclude: str = setting(
        '*/overlay', 'what is not, in the same way', read_only=True)
    storage: str = setting(
        'mcap', 'form of the bag', choices=('mcap', 'sqlite3'), read_only=True)


class BagRecorderNode(Node):
    """Writes what it hears.

    Attributes:
        exit_code: 2 if the bag could not be written.
    """

    def __init__(self, **options: Any) -> None:
        """Begin the bag. Raises BagError, BagWriteError, rclpy's ParameterException."""
        super().__init__('bag_recorder', **options)
        self.exit_code = 0
        values = Parameters(self, RecorderSettings).values
        if not values.bag:
            raise BagError('no bag is named: set the parameter bag')
        self._wanted, self._unwanted = values.topics.split(), values.exclude.split()
        self._seen: set[str] = set()
        # what comes before the first message on /clock
        self._early: list[tuple[str, bytes]] = []
        self._writing = threading.Lock()
        self._writer: BagWriter | None = BagWriter(
            values.bag, 'sqlite3' if values.storage == 'sqlite3' else 'mcap')
        self.get_logger().info(f'recording into {values.bag}')
        # steady: simulated time stands still before the bag begins
        self.create_timer(
            _LOOK_AROUND, self._look_around, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self, timeout: float) -> bool:
        """Finish the bag."""
        with self._writing:
            writer, self._writer = self._writer, None
            if writer is None:
                return True
            try:
                self._write(writer, self.get_clock().now().nanoseconds, self._early)
                writer.close()
            except BagWriteError as error:
                self._give_up(error)
                return True
        self.get_logger().info(f'{writer.count} messages are in {writer.path}')
        return True

    def _look_around(self) -> None:
        """Subscribe to topics that have come up."""
        for topic, kinds in self.get_topic_names_and_types():
            if topic in self._seen or not self._is_wanted(topic):
                continue
            publishers = self.get_publishers_info_by_topic(topic)
            if not publishers:
                continue
            self._seen.add(topic)
            kind = message_class(kinds[0])
            if kind is None:
                self.get_logger().warning(
                    f'{topic} is not recorded: its type {kinds[0]} is unknown here')
                continue
            profiles = [one.qos_profile for one in publishers]
            latched = all(
                one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in profiles)
            reliable = all(one.reliability == ReliabilityPolicy.RELIABLE for one in profiles)
            qos = status_qos(_DEPTH) if latched and reliable else (
                result_qos(_DEPTH) if reliable else input_qos(_DEPTH))
            with self._writing:
                if self._writer is None:
                    return
                try:
                    self._writer.add_topic(topic, kind, latched=latched)
                except BagWriteError as error:
                    self._writer = None
                    self._give_up(error)
                    return
            self.create_subscription(kind, topic, self._taker(topic), qos, raw=True)

    def _is_wanted(self, topic: str) -> bool:
        return any(fnmatchcase(topic, one) for one in self._wanted) and not any(
            fnmatchcase(topic, one) for one in self._unwanted)

    def _taker(self, topic: str) -> Callable[[bytes], None]:
        def take(data: bytes) -> None:
            now_ns = self.get_clock().now().nanoseconds
            with self._writing:
                if self._writer is None:
                    return
                self._early.append((topic, bytes(data)))
                if not now_ns:
                    return
                waiting, self._early = self._early, []
                try:
                    self._write(self._writer, now_ns, waiting)
                except BagWriteError as error:
                    self._writer = None
                    self._give_up(error)

        return take

    @staticmethod
    def _write(writer: BagWriter, now_ns: int, messages: list[tuple[str, bytes]]) -> None:
        for topic, data in messages:
            writer.write_raw(topic, data, now_ns)

    def _give_up(self, error: BagWriteError) -> None:
        self.exit_code = 2
        self.get_logger().error(str(error))
        self.context.try_shutdown()


def main(args: Sequence[str] | None = None) -> int:
    """Record until Ctrl-C or SIGTERM; return the exit code."""
    return run_node(BagRecorderNode, args, threads=2, refusals=(BagError, OSError))


if __name__ == '__main__':
    sys.exit(main())
