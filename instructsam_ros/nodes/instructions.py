# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The instruction desk on ROS: two topics and two services in, one latched status out."""

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger

from instructsam_ros.bridge.interfaces import InstructionStatus, SetInstruction
from instructsam_ros.bridge.qos import (
    command_qos,
    publisher_options,
    status_qos,
    subscription_options,
)
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.instruction_desk import (
    InstructionDesk,
    InstructionEvent,
    InstructionState,
    Receipt,
)
from instructsam_ros.perception.voice import UtteranceKind, parse_voice


class InstructionInterface:
    """Takes instructions in every state of the node; ``desk`` knows the standing one.

    ``on_clear`` is called after an instruction was taken back.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], PerceptionSettings],
        notices: Notices,
        on_clear: Callable[[], None],
    ) -> None:
        """Create topics and services; ids follow the order of arrival over all of them."""
        self._node = node
        self._settings = settings
        self._notices = notices
        self._on_clear = on_clear
        self._status = node.create_publisher(
            InstructionStatus, '~/instruction_status',
            **publisher_options(node, '~/instruction_status', status_qos()))
        self.desk = InstructionDesk(
            self._publish, lambda: float(node.get_clock().now().nanoseconds) * 1e-9)
        group = MutuallyExclusiveCallbackGroup()
        for topic, callback in (('instruction', self._on_text), ('voice', self._on_voice)):
            node.create_subscription(
                String, topic, callback, callback_group=group,
                **subscription_options(node, topic, command_qos()))
        node.create_service(
            SetInstruction, '~/set_instruction', self._on_set, callback_group=group)
        node.create_service(Trigger, '~/clear', self._on_clear_call, callback_group=group)
        first = settings().instruction
        if first:
            self._tell(self.desk.submit(first, 'parameter'), 'instruction', first)

    def _on_text(self, message: String) -> None:
        self._tell(self.desk.submit(message.data, 'topic'), 'instruction', message.data)

    def _on_voice(self, message: String) -> None:
        try:
            utterance = parse_voice(message.data, self._settings().wake_word)
        except ValueError as error:
            self._tell(self.desk.refuse(message.data, 'voice', str(error)), 'voice', '')
            return
        if utterance.kind is UtteranceKind.INSTRUCTION:
            self._tell(self.desk.submit(utterance.text, 'voice'), 'voice', utterance.text)
        elif utterance.kind is UtteranceKind.CLEAR:
            if self.desk.clear('voice', text=utterance.text).accepted:
                self._on_clear()
        else:
            self._node.get_logger().debug(f'voice ignored: {utterance.reason}')

    def _on_set(
        self, request: Any, response: Any
    ) -> Any:
        hold = request.hold.sec + request.hold.nanosec * 1e-9
        receipt = self.desk.submit(request.text, request.source or 'service', hold=hold)
        self._tell(receipt, 'service', request.text)
        response.accepted = receipt.accepted
        response.instruction_id = receipt.instruction_id
        response.message = receipt.message
        return response

    def _on_clear_call(self, request: Any, response: Any) -> Any:
        receipt = self.desk.clear()
        if receipt.accepted:
            self._on_clear()
        # already clear is what was asked for
        response.success = True
        response.message = receipt.message
        return response

    def _tell(self, receipt: Receipt, door: str, text: str) -> None:
        if receipt.accepted:
            shown = ' '.join(text.split())
            self._node.get_logger().info(f'instruction {receipt.instruction_id} ({door}): {shown}')
            self._notices.forget(door)
        else:
            self._notices.report(door, f'refused ({door}): {receipt.message}')

    def _publish(self, event: InstructionEvent) -> None:
        self._send(event)
        standing = self.desk.standing
        if event.state is InstructionState.REJECTED and standing is not None:
            # what is latched must be the standing instruction's state, not a stranger's refusal
            self._send(standing)

    def _send(self, event: InstructionEvent) -> None:
        self._status.publish(InstructionStatus(
            stamp=self._node.get_clock().now().to_msg(),
            instruction_id=event.instruction_id,
            text=event.text,
            source=event.source,
            state=int(event.state),
            message=event.message))
