# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live node: camera, instructions and TF in; instances and targets out.

A managed node: configuring loads the model, activating starts to search pictures, deactivating
frees the GPU. Executor threads never wait for the model, but the one of ``~/segment``.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleNodeMixin, LifecycleState
from rclpy.lifecycle import TransitionCallbackReturn as Transition
from rclpy.node import Node

from instructsam_ros.bridge.parameters import Parameters
from instructsam_ros.nodes.decoding import FrameDecoder
from instructsam_ros.nodes.following import Follower
from instructsam_ros.nodes.inputs import FrameInputs, InputFrame
from instructsam_ros.nodes.instructions import InstructionInterface
from instructsam_ros.nodes.location import Location, Locator, Pose
from instructsam_ros.nodes.model import Loader, ModelHolder, ModelUnavailable
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.one_shot import OneShotService
from instructsam_ros.nodes.outputs import Answer, Outputs
from instructsam_ros.nodes.reporting import Reporter, Situation
from instructsam_ros.nodes.running import run_node
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.anticipation import Anticipation
from instructsam_ros.perception.cores import spare_a_core
from instructsam_ros.perception.pipeline import PerceptionPipeline
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.segmenter import load_segmenter
from instructsam_ros.perception.tracking import Tracker
from instructsam_ros.perception.worker import InferenceWorker, WorkerStoppedError

_NAME = 'instructsam'
# Cyclone DDS takes a receive buffer of the kernel's default size, too small for one 720p picture;
# other middlewares do not read this
_ROOM_FOR_PICTURES = (
    '<CycloneDDS><Domain><Internal><SocketReceiveBufferSize max="16MB"/></Internal></Domain>'
    '</CycloneDDS>')
# how long deactivating waits for an inference that is running
_LONGEST_INFERENCE = 60.0


class PerceptionNode(LifecycleNode):
    """Wires inputs, desk, worker, pipeline and outputs; nothing here knows how they work.

    ``load_segmenter`` loads the model: a checkpoint folder, hub id or None, and a device.
    """

    def __init__(self, load_segmenter: Loader = load_segmenter, **options: Any) -> None:
        """Declare parameters, create the interface; with ``autostart`` the rest follows."""
        # LifecycleNode's own __init__ has no place for the services' group
        Node.__init__(self, _NAME, **options)
        lifecycle = ReentrantCallbackGroup()
        LifecycleNodeMixin.__init__(self, callback_group=lifecycle)
        self._state = 'unconfigured'
        self._pipeline: PerceptionPipeline | None = None
        self._publishing = threading.Lock()
        self._model = ModelHolder(load_segmenter)
        self._notices = Notices(self.get_logger().warning, self.get_logger().info)
        # rclpy's own attributes have underscores too: _parameters is one of them
        self._table = Parameters(self, PerceptionSettings, self._on_settings)
        self._anticipation = Anticipation()
        self._worker = InferenceWorker[InputFrame](
            self._process, self._on_error, self._anticipation)
        self._inputs = FrameInputs(self, self._settings, self._notices, self._on_frame)
        self._locator = Locator(self, self._settings, self._notices)
        self._decoder = FrameDecoder(
            self._settings, self._notices, self._locator.extrinsics,
            self._inputs.depth_info_topic)
        self._outputs = Outputs(self, self._settings)
        self._follower = Follower(self._settings)
        self._instructions = InstructionInterface(
            self, self._settings, self._notices, self._on_cleared)
        OneShotService(self, self._inputs, self._worker, self._search, self._obstacle)
        self._reporter = Reporter(self, self._settings, self._notices, self._situation)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_time_jump)
        if self._settings().autostart:
            # in the executor, so that services answer while the model loads
            self._autostart_once = threading.Lock()
            self._autostart_timer = self.create_timer(
                0.01, self._autostart, callback_group=lifecycle,
                clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_configure(self, state: LifecycleState) -> Transition:
        """Load the model."""
        self._state = 'loading the model'
        try:
            self._load()
        except ModelUnavailable as error:
            self.get_logger().error(f'{error}; mend it, then configure the node again')
            return Transition.ERROR
        self._locator.listen()
        self._state = 'inactive'
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> Transition:
        """Begin to search pictures."""
        self._state = 'activating'
        try:
            # deactivating may have given it back
            self._load()
            self._model.warm_up()
        except Exception as error:
            self.get_logger().error(f'cannot start: {error}')
            self._model.failure = self._model.failure or f'the model failed to start: {error}'
            return Transition.ERROR
        values = self._settings()
        assert self._model.segmenter is not None
        self._pipeline = PerceptionPipeline(self._model.segmenter, Projector(values.projection))
        self._pace(values)
        outcome = super().on_activate(state)
        self._worker.start()
        self._inputs.start()
        self._state = 'active'
        self.get_logger().info(f'ready: images from {self._inputs.image_topic}')
        return outcome

    def on_deactivate(self, state: LifecycleState) -> Transition:
        """Stop searching, after the picture that is being searched, and free the GPU."""
        self._state = 'deactivating'
        if not self._halt(_LONGEST_INFERENCE):
            self.get_logger().error(f'the inference has not ended in {_LONGEST_INFERENCE:.0f} s')
            return Transition.ERROR
        outcome = super().on_deactivate(state)
        if self._model.is_on_gpu:
            self._model.release()
        self._state = 'inactive'
        return outcome

    def on_cleanup(self, state: LifecycleState) -> Transition:
        """Let the model go."""
        self._release()
        self._state = 'unconfigured'
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> Transition:
        """End for good, from any state."""
        self._halt(_LONGEST_INFERENCE)
        self._release()
        self._state = 'finalized'
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> Transition:
        """Go back to the beginning, from where the node can be configured again."""
        self._halt(_LONGEST_INFERENCE)
        super().on_deactivate(state)
        failure = self._model.failure
        self._release()
        self._model.failure = failure
        self._state = 'unconfigured'
        return Transition.SUCCESS

    def close(self, timeout: float) -> bool:
        """End the node's threads; return whether they ended within ``timeout`` seconds."""
        self._inputs.stop()
        return self._worker.stop(timeout)

    def destroy_node(self) -> None:
        """Leave the graph."""
        super().destroy_node()
        # it holds the node's participant, which others would see until it is missed, 10 s or more
        self.__dict__.pop('_state_machine', None)

    def _settings(self) -> PerceptionSettings:
        return self._table.values

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        # its group is reentrant: it may fire again before it is cancelled
        if not self._autostart_once.acquire(blocking=False):
            return
        try:
            if self.trigger_configure() == Transition.SUCCESS:
                self.trigger_activate()
        except Exception as error:  # somebody else was faster, or the node is ending
            self.get_logger().warning(f'autostart gave up: {error}')

    def _load(self) -> None:
        values = self._settings()
        if self._model.segmenter is not None:
            return
        began = time.monotonic()
        self._model.ensure(values.model, values.device)
        self.get_logger().info(f'the model was loaded in {time.monotonic() - began:.1f} s')

    def _halt(self, timeout: float) -> bool:
        self._inputs.stop()
        if not self._worker.stop(timeout):
            return False
        with self._publishing:
            self._outputs.clear_markers()
        self._pipeline = None
        self._follower.restart()
        self._notices.forget(*FrameDecoder.KINDS, 'image', 'inference', 'TF', 'latency')
        return True

    def _release(self) -> None:
        self._pipeline = None
        self._locator.close()
        self._model.release()

    def _obstacle(self) -> str:
        """Why no picture can be searched now; empty when it can."""
        if self._state == 'active':
            return ''
        if self._model.failure:
            return self._model.failure
        mends = {
            'unconfigured': 'configure and activate it', 'inactive': 'activate it',
            'finalized': 'start it again'}
        mend = mends.get(self._state, 'ask again in a moment')
        return f'the node is not active ({self._state}): {mend}'

    def _situation(self) -> Situation:
        return Situation(
            self._state, self._model.failure, self._instructions.desk.standing,
            self._inputs.counters, self._worker.counters)

    def _on_frame(self, frame: InputFrame) -> None:
        if self._instructions.desk.standing is not None:
            self._worker.offer(frame)

    def _process(self, source: InputFrame) -> None:
        """Search a picture for the standing instruction; on the worker's thread."""
        desk = self._instructions.desk
        standing = desk.standing
        if standing is None:
            return
        desk.begin(standing.instruction_id)
        tracker = self._follower.tracker(
            standing.instruction_id, source.image.header.frame_id)
        answer = self._search(source, standing.text, tracker, standing=True)
        with self._publishing:
            # superseded meanwhile: it still answers its own id; taken back: nobody waits for it
            if desk.standing is None:
                return
            sent = self._outputs.publish(answer, standing.instruction_id)
            desk.finish(standing.instruction_id, len(answer.result.segmentation.instances))
        self._reporter.published(answer.header.stamp, sent, answer.result.timings['segment'])
        self._notices.fine('image', 'images are usable again')
        self._notices.fine('inference', 'inference works again')

    def _search(
        self, source: InputFrame, text: str, tracker: Tracker | None = None, *,
        standing: bool = False,
    ) -> Answer:
        """Search a picture; on the worker's thread. Raises ValueError for an unusable one.

        Without a tracker it stands by itself, and ids are places in the list.
        """
        pipeline = self._pipeline
        if pipeline is None:
            raise WorkerStoppedError('no model is loaded')
        header = source.image.header
        location = Location(header.frame_id)

        def locate() -> Pose | None:
            nonlocal location
            if source.is_live:
                location = self._locator.locate(header)
            return location.gravity

        frame = self._decoder.decode(source)
        result = pipeline.run(
            frame, text, threshold=self._settings().threshold, locate=locate, tracker=tracker,
            fix=lambda: location.fixed, standing=standing)
        return Answer(header, frame, result, location)

    def _on_error(self, error: Exception) -> None:
        """Report what ended the search of a picture; on the worker's thread."""
        if not self.context.ok() or isinstance(error, WorkerStoppedError):
            return
        if isinstance(error, ValueError):
            self._notices.report('image', f'pictures are left out: {error}')
        elif self._notices.report(
                'inference', f'inference failed: {type(error).__name__}: {error}'):
            self.get_logger().debug(''.join(traceback.format_exception(error)))

    def _on_cleared(self) -> None:
        with self._publishing:
            self._outputs.clear_markers()

    def _on_settings(self, old: PerceptionSettings, new: PerceptionSettings) -> None:
        if self._pipeline is not None and old.projection != new.projection:
            self._pipeline.projector = Projector(new.projection)
        self._pace(new)
        if self._state in ('inactive', 'active'):
            self._locator.listen()

    def _pace(self, values: PerceptionSettings) -> None:
        self._worker.min_interval = 1 / values.max_rate if values.max_rate else 0.0
        self._anticipation.longest = values.freshness_wait

    def _on_time_jump(self, jump: Any) -> None:
        self.get_logger().info('time went back or changed its source: buffers are emptied')
        self._locator.forget()
        self._inputs.restart_sync()
        self._follower.restart()
        self._reporter.time_went_back()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; return the exit code."""
    spare_a_core()
    # the user's own parts come last and win
    own = os.environ.get('CYCLONEDDS_URI', '').strip()
    os.environ['CYCLONEDDS_URI'] = ','.join(filter(None, (_ROOM_FOR_PICTURES, own)))
    return run_node(PerceptionNode, args)


if __name__ == '__main__':
    sys.exit(main())
