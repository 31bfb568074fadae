# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Delays, rates and lasting troubles, published on /diagnostics once a second."""

from collections.abc import Callable
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.time import Time as Moment

from instructsam_ros.nodes.diagnostics import (
    INFERENCE_TROUBLES,
    INPUT_TROUBLES,
    STATE_TROUBLES,
    Condition,
    diagnostics,
)
from instructsam_ros.nodes.inputs import InputCounters
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.nodes.statistics import Rates, RecentDelays
from instructsam_ros.perception.instruction_desk import InstructionEvent
from instructsam_ros.perception.worker import WorkerCounters

# stamps ahead of this machine's clock by more than that are of another clock
_AHEAD = -0.1
_OTHER_CLOCK = 60.0
# share of latency_warning below which results count as in time again
_CLEARLY_BELOW = 0.8


@dataclass(frozen=True)
class Situation:
    """What the reporter asks the node for; fields as in ``diagnostics.Condition``."""

    state: str
    failure: str
    instruction: InstructionEvent | None
    inputs: InputCounters
    worker: WorkerCounters


class Reporter:
    """Measures, and publishes what ``situation`` and ``notices`` say."""

    def __init__(
        self,
        node: Node,
        settings: Callable[[], PerceptionSettings],
        notices: Notices,
        situation: Callable[[], Situation],
    ) -> None:
        """Start the timer."""
        self._node = node
        self._settings = settings
        self._notices = notices
        self._situation = situation
        self._latency = RecentDelays()
        self._inference = RecentDelays()
        self._overhead = RecentDelays()
        self._rates = Rates(('images', 'depths', 'frames', 'processed', 'dropped'))
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # steady: diagnostics go on while simulated time stands still
        node.create_timer(
            1.0, self._report, callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME))

    def published(self, stamp: Time, sent: Moment, inference: float) -> None:
        """Note when the targets of a picture were sent, and the seconds that the model took."""
        self._inference.add(inference)
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        # unstamped images have no age
        if not stamp_ns:
            return
        latency = (sent.nanoseconds - stamp_ns) * 1e-9
        self._latency.add(latency)
        self._overhead.add(latency - inference)
        limit = self._settings().latency_warning
        if _AHEAD <= latency <= limit:
            # not at the first result a little below the limit: it would be said again and again
            if latency <= _CLEARLY_BELOW * limit:
                self._notices.fine('latency', 'results are in time again')
            return
        if latency < 0:
            text = (f"image stamps are {-latency:.3f} s ahead of this node's clock: synchronise "
                    'the clocks, or set use_sim_time alike')
        elif latency > _OTHER_CLOCK:
            text = (f"results are {latency:.0f} s older than this node's clock: set use_sim_time "
                    'alike for a bag or simulator, or synchronise the clocks')
        else:
            text = (f'results are {latency:.2f} s old as they are published (latency_warning is '
                    f'{limit:.2f} s; inference takes {inference:.2f} s): the camera or the network '
                    'delivers late, or the model is too slow for this machine')
        self._notices.report('latency', text)

    def time_went_back(self) -> None:
        """Forget delays that were measured on another time."""
        self._latency.clear()
        self._overhead.clear()

    def _report(self) -> None:
        self._check_name()
        now = self._situation()
        condition = Condition(
            name=self._node.get_name(),
            state=now.state,
            failure=now.failure,
            model=self._settings().model or 'included checkpoint',
            instruction=now.instruction,
            inputs=now.inputs,
            worker=now.worker,
            rates=self._rates.update(
                images=now.inputs.images, depths=now.inputs.depths, frames=now.inputs.frames,
                processed=now.worker.processed, dropped=now.worker.dropped),
            latency=self._latency.summary(),
            inference=self._inference.summary(),
            overhead=self._overhead.summary(),
            troubles=self._notices.current(
                *STATE_TROUBLES, *INPUT_TROUBLES, *INFERENCE_TROUBLES))
        self._publisher.publish(diagnostics(condition, self._node.get_clock().now().to_msg()))

    def _check_name(self) -> None:
        own = (self._node.get_name(), self._node.get_namespace())
        count = self._node.get_node_names_and_namespaces().count(own)
        if count > 1:
            self._notices.report(
                'name', f'{count} nodes are called {self._node.get_fully_qualified_name()}: '
                'services answer twice and results mix; give each its own name (-r __node:=...)')
        else:
            self._notices.fine('name', "the node's name is its own again")
