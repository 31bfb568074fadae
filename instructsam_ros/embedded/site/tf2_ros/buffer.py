# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The buffer that nodes use: lookups that wait, futures, clearing when time jumps back."""

import threading
import time as wall
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.clock import Clock, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future
from rclpy.time import Time
from tf2_ros.buffer_core import BufferCore, nanoseconds_of
from tf2_ros.buffer_interface import BufferInterface


class Buffer(BufferCore, BufferInterface):
    """Transforms of the last ``cache_time`` (10 s).

    With a ``node`` it follows that node's clock, and offers the service ``tf2_frames`` if
    tf2_msgs/srv/FrameGraph is among the known interfaces. It is cleared when the clock jumps
    back. Timeouts are in real time, as in ROS 2 Jazzy.
    """

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        BufferCore.__init__(self, cache_time)
        BufferInterface.__init__(self)
        self._arrival = threading.Condition()
        self._new_data_callbacks: list[Callable[[], None]] = []
        self.clock = node.get_clock() if node is not None else Clock()
        if node is not None:
            self.srv = self._offer_frames(node)
        threshold = JumpThreshold(
            min_forward=None, min_backward=Duration(seconds=-1), on_clock_change=True
        )
        self.jump_handle = self.clock.create_jump_callback(
            threshold, post_callback=self.time_jump_callback
        )

    def time_jump_callback(self, time_jump: TimeJump) -> None:
        """Forget what is from the future now."""
        get_logger('tf2_buffer').warning('time jumped back: the tf buffer is cleared')
        self.clear()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """File a transform at its stamp, and wake who waits for it."""
        super().set_transform(transform, authority)
        self._announce()

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """File a transform that always holds, and wake who waits for it."""
        super().set_transform_static(transform, authority)
        self._announce()

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008  (as in the ROS API; never changed)
    ) -> TransformStamped:
        """Return the transform source -> target at a time (0: newest), waiting for it if need be.

        Raises a TransformException.
        """
        self.can_transform(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> TransformStamped:
        """Return source at one time -> target at another, by way of a frame that stands still.

        Raises a TransformException.
        """
        question = (target_frame, target_time, source_frame, source_time, fixed_frame)
        self.can_transform_full(*question, timeout)
        return self.lookup_transform_full_core(*question)

    async def lookup_transform_async(
        self, target_frame: str, source_frame: str, time: Time
    ) -> TransformStamped:
        """Await the transform source -> target."""
        await self.wait_for_transform_async(target_frame, source_frame, time)
        return self.lookup_transform_core(target_frame, source_frame, time)

    async def lookup_transform_full_async(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
    ) -> TransformStamped:
        """Await the transform source -> target through time."""
        question = (target_frame, target_time, source_frame, source_time, fixed_frame)
        await self.wait_for_transform_full_async(*question)
        return self.lookup_transform_full_core(*question)

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008
        return_debug_tuple: bool = False,
    ) -> Any:
        """Tell whether the transform is there, waiting for it if need be; why not, if asked."""
        answer = self._wait(
            lambda: self.can_transform_core(target_frame, source_frame, time), timeout
        )
        return answer if return_debug_tuple else answer[0]

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = Duration(),  # noqa: B008
        return_debug_tuple: bool = False,
    ) -> Any:
        """Tell whether the transform through time is there, as ``can_transform``."""
        question = (target_frame, target_time, source_frame, source_time, fixed_frame)
        answer = self._wait(lambda: self.can_transform_full_core(*question), timeout)
        return answer if return_debug_tuple else answer[0]

    def wait_for_transform_async(
        self, target_frame: str, source_frame: str, time: Time
    ) -> Future:
        """Return a future of the transform."""
        return self._future(
            lambda: self.can_transform_core(target_frame, source_frame, time)[0],
            lambda: self.lookup_transform_core(target_frame, source_frame, time),
        )

    def wait_for_transform_full_async(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
    ) -> Future:
        """Return a future of the transform through time."""
        question = (target_frame, target_time, source_frame, source_time, fixed_frame)
        return self._future(
            lambda: self.can_transform_full_core(*question)[0],
            lambda: self.lookup_transform_full_core(*question),
        )

    def _wait(self, ask: Callable[[], tuple[bool, str]], timeout: Duration) -> tuple[bool, str]:
        deadline = wall.monotonic() + nanoseconds_of(timeout) / 1e9
        with self._arrival:
            while not (answer := ask())[0]:
                left = deadline - wall.monotonic()
                if left <= 0:
                    break
                self._arrival.wait(left)
        return answer

    def _announce(self) -> None:
        with self._arrival:
            self._arrival.notify_all()
            callbacks = list(self._new_data_callbacks)
        for callback in callbacks:
            callback()

    def _future(
        self, ready: Callable[[], bool], look_up: Callable[[], TransformStamped]
    ) -> Future:
        future = Future()

        def on_new_data() -> None:
            if future.done() or not ready():
                return
            try:
                future.set_result(look_up())
            except Exception as error:
                future.set_exception(error)

        def forget(_: Future) -> None:
            with self._arrival:
                if on_new_data in self._new_data_callbacks:
                    self._new_data_callbacks.remove(on_new_data)

        with self._arrival:
            self._new_data_callbacks.append(on_new_data)
        future.add_done_callback(forget)
        on_new_data()
        return future

    def _offer_frames(self, node: Node) -> Any:
        try:
            from tf2_msgs.srv import FrameGraph
        except ImportError:
            return None

        def answer(_: Any, response: Any) -> Any:
            response.frame_yaml = self.all_frames_as_yaml()
            return response

        return node.create_service(FrameGraph, 'tf2_frames', answer)
