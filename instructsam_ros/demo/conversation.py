# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node that talks to the perception node as a robot's program would, and hears the truth."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from instructsam_ros.bridge.interfaces import (
    InstanceArray,
    InstructionStatus,
    SetInstruction,
    TargetArray,
)
from instructsam_ros.bridge.qos import command_qos, result_qos, status_qos
from instructsam_ros.bridge.results import ReceivedInstance, instances_of, targets_of
from instructsam_ros.demo.comparison import TrueObject
from instructsam_ros.perception.pipeline import PerceptionResult

# results of so many stamps wait for their other halves
_KEPT = 256
_PARTS = {'targets', 'instances', 'overlay', 'true_instances', 'true_targets'}
_PERCEPTION, _CAMERA = '/instructsam', '/camera/camera'
T = TypeVar('T')


class ConversationError(ValueError):
    """Why the other side will not answer any more, or refused."""


@dataclass(frozen=True)
class ReceivedSegmentation:
    """What an InstanceArray says, as a ``perception.segmenter.Segmentation``."""

    answer: str
    instances: tuple[ReceivedInstance, ...]
    timings: Mapping[str, float] = field(default_factory=dict)

    @property
    def phrases(self) -> Sequence[str]:
        """Every phrase that has an instance, once."""
        return tuple(dict.fromkeys(one.phrase for one in self.instances))


@dataclass(frozen=True)
class Reply:
    """The first result that answers an instruction.

    Attributes:
        result: instances and targets of one picture.
        truth: all objects in that picture, by id.
        overlay: the picture with masks drawn in, JPEG.
        shape: H, W of the picture.
        seconds: from sending the instruction to its first targets.
        latency: seconds from the picture's stamp to its targets.
    """

    result: PerceptionResult
    truth: dict[int, TrueObject]
    overlay: bytes
    shape: tuple[int, int]
    seconds: float
    latency: float


class Conversation:
    """Sends instructions by topic, voice or service and waits for what answers them.

    ``alive`` is asked while waiting: it returns why waiting is in vain, or ''. Every method that
    waits raises TimeoutError or, with that reason, ConversationError.
    """

    def __init__(self, alive: Callable[[], str]) -> None:
        """Join the ROS graph; listen on a thread of its own."""
        self._alive = alive
        self._closing = False
        self._changed = threading.Condition()
        self._states: list[InstructionStatus] = []
        self._parts: OrderedDict[tuple[int, int], dict[str, Any]] = OrderedDict()
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = node = Node('demo', context=self._context)
        self._text = node.create_publisher(String, '/instruction', command_qos())
        self._voice = node.create_publisher(String, '/voice', command_qos())
        self._set = node.create_client(SetInstruction, f'{_PERCEPTION}/set_instruction')
        self._get_state = node.create_client(GetState, f'{_PERCEPTION}/get_state')
        self._next_scene = node.create_client(Trigger, f'{_CAMERA}/next_scene')
        node.create_subscription(
            InstructionStatus, f'{_PERCEPTION}/instruction_status', self._on_status,
            status_qos(depth=10))
        for part, kind, topic in (
                ('targets', TargetArray, f'{_PERCEPTION}/targets'),
                ('instances', InstanceArray, f'{_PERCEPTION}/instances'),
                ('overlay', CompressedImage, f'{_PERCEPTION}/overlay/compressed'),
                ('true_instances', InstanceArray, f'{_CAMERA}/ground_truth/instances'),
                ('true_targets', TargetArray, f'{_CAMERA}/ground_truth/targets')):
            node.create_subscription(
                kind, topic, lambda message, part=part: self._on_part(part, message),
                result_qos(depth=10))
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name='listening', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._closing = True
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(2.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until the perception node is active and the camera is there."""
        end = time.monotonic() + timeout
        while self._call(self._get_state, GetState.Request(), end).current_state.label != 'active':
            self._check(end, 'the perception node to become active')
            time.sleep(0.1)
        self._wait(lambda: self._newest('true_instances'), end, 'the camera')

    def show_scene(self, number: int, timeout: float) -> None:
        """Have the camera show a scene, and wait until it does."""
        end = time.monotonic() + timeout

        def is_shown() -> bool:
            message = self._newest('true_instances')
            return message is not None and message.instruction_id >= number

        if not is_shown():
            self._call(self._next_scene, Trigger.Request(), end)
        self._wait(is_shown, end, f'scene {number}')

    def ask(self, text: str, way: str, scene: int, timeout: float) -> Reply:
        """Send an instruction, and wait for its first complete result about the scene."""
        end = time.monotonic() + timeout
        with self._changed:
            known = {status.instruction_id for status in self._states}
        began = time.monotonic()
        number = self._send(text, way, known, end)
        parts = self._wait(lambda: self._complete(number, scene), end, f'an answer to "{text}"')
        return _reply(parts, parts['targets_at'] - began)

    def _send(self, text: str, way: str, known: set[int], end: float) -> int:
        if way == 'service':
            answer = self._call(self._set, SetInstruction.Request(text=text, source='demo'), end)
            if not answer.accepted:
                raise ConversationError(f'the instruction was refused: {answer.message}')
            return int(answer.instruction_id)
        if way == 'voice':
            # as Vosk and other speech recognisers send it
            self._voice.publish(String(data=json.dumps({'text': text})))
        else:
            self._text.publish(String(data=text))

        def new_number() -> int | None:
            for status in self._states:
                if status.instruction_id not in known and status.source == way:
                    if status.state == InstructionStatus.STATE_REJECTED:
                        raise ConversationError(f'the instruction was refused: {status.message}')
                    return int(status.instruction_id)
            return None

        return self._wait(new_number, end, f'the {way} instruction to be accepted')

    def _complete(self, number: int, scene: int) -> dict[str, Any] | None:
        for parts in self._parts.values():
            if (parts.keys() >= _PARTS and parts['true_instances'].instruction_id == scene
                    and parts['targets'].instruction_id == number
                    and parts['instances'].instruction_id == number):
                return parts
        return None

    def _newest(self, part: str) -> Any:
        return next((p[part] for p in reversed(self._parts.values()) if part in p), None)

    def _on_status(self, message: InstructionStatus) -> None:
        with self._changed:
            self._states.append(message)
            self._changed.notify_all()

    def _on_part(self, part: str, message: Any) -> None:
        stamp: Header = message.header.stamp
        with self._changed:
            parts = self._parts.setdefault((stamp.sec, stamp.nanosec), {})
            # one picture may answer two instructions: the later one counts
            parts[part] = message
            if part == 'targets':
                parts['targets_at'] = time.monotonic()
                now = self._node.get_clock().now().nanoseconds
                parts['latency'] = 1e-9 * (now - 1_000_000_000 * stamp.sec - stamp.nanosec)
            while len(self._parts) > _KEPT:
                self._parts.popitem(last=False)
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], T | None], end: float, what: str) -> T:
        with self._changed:
            while not (value := condition()):
                self._check(end, what)
                self._changed.wait(0.1)
            return value

    def _check(self, end: float, what: str) -> None:
        reason = self._alive()
        if reason:
            raise ConversationError(reason)
        if time.monotonic() > end:
            raise TimeoutError(f'waited in vain for {what}')

    def _call(self, client: Client, request: Any, end: float) -> Any:
        while not client.service_is_ready():
            self._check(end, f'the service {client.srv_name}')
            time.sleep(0.05)
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        while not done.wait(0.1):
            self._check(end, f'an answer of {client.srv_name}')
        return future.result()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except (ExternalShutdownException, KeyboardInterrupt):
            return
        except Exception:
            # rclpy's executor stumbles over its own shutdown now and then
            if not self._closing:
                raise


def _reply(parts: dict[str, Any], seconds: float) -> Reply:
    instances: InstanceArray = parts['instances']
    stamp = instances.header.stamp
    targets = targets_of(parts['targets'])
    result = PerceptionResult(
        instances.instruction, stamp.sec + 1e-9 * stamp.nanosec,
        ReceivedSegmentation(instances.answer, instances_of(instances)), targets,
        {'stamp_to_targets': parts['latency']})
    exact = {target.id: target for target in targets_of(parts['true_targets'])}
    truth = {}
    for one in instances_of(parts['true_instances']):
        geometry = exact[one.id].geometry
        assert geometry is not None
        truth[one.id] = TrueObject(
            one.phrase, one.mask, geometry.centroid, geometry.position, geometry.size)
    return Reply(result, truth, bytes(parts['overlay'].data),
                 (int(instances.height), int(instances.width)), seconds, parts['latency'])
