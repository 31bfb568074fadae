# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The service that searches one picture once, in turn with the standing instruction."""

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from instructsam_ros.bridge.interfaces import Segment
from instructsam_ros.nodes.inputs import FrameInputs, InputFrame
from instructsam_ros.nodes.outputs import Answer
from instructsam_ros.perception.instruction import clean_instruction
from instructsam_ros.perception.worker import InferenceWorker, WorkerStoppedError

# requests wait in the middleware's queue; a shorter one would lose some without a word
_QUEUE = 1000


class OneShotService:
    """``~/segment``: there in every state, and says why it cannot when it cannot.

    Its callback waits for the worker, so it has a group, and with that one executor thread at
    most, to itself.
    """

    def __init__(
        self,
        node: Node,
        inputs: FrameInputs,
        worker: InferenceWorker[InputFrame],
        search: Callable[[InputFrame, str], Answer],
        obstacle: Callable[[], str],
    ) -> None:
        """``search`` runs on the worker; ``obstacle`` says why nothing can be searched, or ''."""
        self._node = node
        self._inputs = inputs
        self._worker = worker
        self._search = search
        self._obstacle = obstacle
        queue = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=_QUEUE,
            reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE)
        node.create_service(
            Segment, '~/segment', self._on_request, qos_profile=queue,
            callback_group=MutuallyExclusiveCallbackGroup())

    def _on_request(self, request: Any, response: Any) -> Any:
        try:
            answer = self._answer(request)
            response.instances = answer.instances(0)
            response.targets = answer.targets(0)
            response.success = True
        except (ValueError, LookupError) as error:
            response.message = str(error)
        except WorkerStoppedError:
            response.message = self._obstacle() or 'the node stopped searching meanwhile: ask again'
        except Exception as error:  # of the model; the caller must hear of it
            response.message = f'the search failed: {type(error).__name__}: {error}'
            self._node.get_logger().error(f'~/segment: {response.message}')
        return response

    def _answer(self, request: Any) -> Answer:
        obstacle = self._obstacle()
        if obstacle:
            raise LookupError(obstacle)
        text = clean_instruction(request.text)
        source: InputFrame | None
        if len(request.image.data):
            source = InputFrame(request.image, is_live=False)
        else:
            source = self._inputs.newest
        if source is None:
            raise LookupError(
                f'no picture has come on {self._inputs.image_topic} yet: start the camera, or put '
                'a picture into the request')
        return self._worker.submit(lambda: self._search(source, text)).result()
