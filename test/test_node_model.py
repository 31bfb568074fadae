# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model that a node holds, and what /diagnostics tells."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from stand_ins import Answer, ColorSegmenter

from instructsam_ros.nodes.diagnostics import Condition, diagnostics
from instructsam_ros.nodes.following import Follower
from instructsam_ros.nodes.inputs import InputCounters
from instructsam_ros.nodes.model import ModelHolder, ModelUnavailable
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.nodes.statistics import Delays
from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.instruction_desk import InstructionEvent, InstructionState
from instructsam_ros.perception.pipeline import PerceptionPipeline
from instructsam_ros.perception.targets import Target, TargetStatus
from instructsam_ros.perception.worker import WorkerCounters

from builtin_interfaces.msg import Time  # isort: skip


class OnGpu(ColorSegmenter):
    device = SimpleNamespace(type='cuda')


def test_a_model_that_prepares_for_a_size_does_so_itself():
    class Preparing(ColorSegmenter):
        def warm_up(self, height, width):
            self.size = height, width

    holder = ModelHolder(lambda model, device: Preparing())
    segmenter = holder.ensure('', 'cpu')
    try:
        holder.warm_up()
        assert segmenter.size == (480, 640)
        assert segmenter.images == []
    finally:
        holder.release()


def test_the_model_is_loaded_once_warmed_up_and_let_go():
    calls = []

    def load(model, device):
        calls.append((model, device))
        return OnGpu()

    holder = ModelHolder(load)
    assert not holder.is_on_gpu
    segmenter = holder.ensure('', 'cuda')
    assert holder.ensure('', 'cuda') is segmenter
    # an empty parameter is the included checkpoint
    assert calls == [(None, 'cuda')]
    assert holder.is_on_gpu
    holder.warm_up()
    assert segmenter.images[0].shape == (480, 640, 3)
    # what the garbage collector no longer looks through it must still find once it is let go
    assert gc.get_freeze_count()
    segmenter.itself = segmenter
    gone = weakref.ref(segmenter)
    del segmenter
    holder.release()
    assert gone() is None
    assert not gc.get_freeze_count()
    assert not holder.is_on_gpu
    holder.ensure('', 'cuda')
    assert len(calls) == 2


@pytest.mark.parametrize(('error', 'told'), [
    (FileNotFoundError('no checkpoint at x: name a folder'), 'no checkpoint at x'),
    (ValueError('no CUDA: use device cpu'), 'no CUDA'),
    (MemoryError('out of memory'), 'MemoryError: out of memory'),
    (ImportError('no torch'), 'instructsam-ros doctor'),
])  # fmt: skip
def test_a_failure_keeps_its_reason_until_the_next_attempt(error, told):
    results = [error, ColorSegmenter()]

    def load(model, device):
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    holder = ModelHolder(load)
    with pytest.raises(ModelUnavailable, match='could not be loaded') as caught:
        holder.ensure('x', 'cpu')
    assert told in str(caught.value)
    assert holder.failure == str(caught.value)
    assert holder.segmenter is None
    holder.ensure('x', 'cpu')
    assert holder.failure == ''


def condition(**changes):
    values = {
        'name': 'instructsam', 'state': 'active', 'failure': '', 'model': 'included checkpoint',
        'instruction': InstructionEvent(7, 'the red mug', 'voice', InstructionState.FOUND),
        'inputs': InputCounters(images=30, depths=30, frames=29), 'latency': Delays(0.12, 0.3),
        'worker': WorkerCounters(offered=29, dropped=20, processed=8),
        'rates': dict.fromkeys(('images', 'depths', 'frames', 'processed', 'dropped'), 8.25),
        'inference': Delays(0.09, 0.1), 'overhead': Delays(0.03, 0.2), 'troubles': {}}
    return Condition(**{**values, **changes})


def test_diagnostics_have_three_subjects_with_levels_and_figures():
    message = diagnostics(condition(), Time(sec=5))
    state, inputs, inference = message.status
    assert [one.name for one in message.status] == [
        'instructsam: state', 'instructsam: input', 'instructsam: inference']
    assert {one.level for one in message.status} == {b'\x00'}
    figures = {pair.key: pair.value for one in message.status for pair in one.values}
    assert figures['instruction'] == 'the red mug'
    assert figures['instruction id'] == '7'
    assert figures['instruction state'] == 'found'
    assert figures['latency p50 [ms]'] == '120'
    assert figures['latency max [ms]'] == '300'
    assert (figures['overhead p50 [ms]'], figures['overhead max [ms]']) == ('30', '200')
    assert figures['dropped'] == '20'
    assert figures['image rate [Hz]'] == '8.2'

    troubled = diagnostics(condition(
        failure='no checkpoint', instruction=None,
        troubles={'TF': 'no TF', 'latency': 'late'}), Time())
    state, inputs, inference = troubled.status
    assert (state.level, state.message) == (b'\x02', 'no checkpoint')
    assert (inputs.level, inputs.message) == (b'\x01', 'no TF')
    assert (inference.level, inference.message) == (b'\x01', 'late')


def test_settings_object_to_what_does_not_fit_together():
    assert PerceptionSettings().problem() is None
    assert 'smaller' in PerceptionSettings(min_depth=2.0, max_depth=1.0).problem()
    assert 'target_frame' in PerceptionSettings(target_frame='/base').problem()
    assert 'gravity_frame' in PerceptionSettings(gravity_frame='base ').problem()
    assert 'wake_word' in PerceptionSettings(wake_word='?!').problem()
    assert PerceptionSettings(target_frame='base').up_frame == 'base'
    assert PerceptionSettings(target_frame='base', gravity_frame='odom').up_frame == 'odom'
    assert 'tracking_frame' in PerceptionSettings(tracking_frame=' odom').problem()


@pytest.mark.parametrize(('frames', 'fixed', 'tf'), [
    ({}, '', False),
    ({'target_frame': 'base'}, 'base', True),
    ({'target_frame': 'base', 'gravity_frame': 'world'}, 'world', True),
    ({'target_frame': 'base', 'gravity_frame': 'world', 'tracking_frame': 'odom'}, 'odom', True),
    ({'tracking_frame': 'odom'}, 'odom', True),
    ({'tracking_frame': 'odom', 'tracking': False}, '', False),
    ({'target_frame': 'base', 'tracking': False}, '', True),
])
def test_objects_rest_in_the_frame_that_is_named_or_else_in_that_of_gravity(frames, fixed, tf):
    values = PerceptionSettings(**frames)
    assert values.fixed_frame == fixed
    assert values.names_a_frame == tf


def test_the_tracker_begins_anew_with_another_subject_and_ids_go_on():
    values = [PerceptionSettings(tracking_memory=7.0)]
    follower = Follower(lambda: values[0])
    instance = SimpleNamespace(mask=np.ones((32, 32), bool), score=0.9, phrase='mug')
    target = Target(1, 'mug', 0.9, TargetStatus.NO_DEPTH)

    def seen(number, frame):
        tracker = follower.tracker(number, frame)
        (found,) = tracker.update((target,), (instance,), 0.0, None, None)
        return found.id

    assert [seen(1, 'camera'), seen(1, 'camera')] == [1, 1]
    assert follower.tracker(1, 'camera').settings.memory == 7.0
    # another instruction, another camera, another frame, another run of time, and switched off
    assert [seen(2, 'camera'), seen(2, 'wrist'), seen(2, 'wrist')] == [2, 3, 3]
    values[0] = PerceptionSettings(tracking_frame='odom')
    assert [seen(2, 'wrist'), seen(2, 'wrist')] == [4, 4]
    follower.restart()
    assert [seen(2, 'wrist'), seen(2, 'wrist')] == [5, 5]
    values[0] = PerceptionSettings(tracking_frame='odom', tracking=False)
    assert follower.tracker(2, 'wrist') is None
    values[0] = PerceptionSettings(tracking_frame='odom', score_threshold=0.1)
    assert [seen(2, 'wrist'), seen(2, 'wrist')] == [6, 6]


def test_the_camera_is_located_after_segmenting():
    order = []

    class Segmenter:
        def segment(self, image, instruction, *, threshold=None):
            order.append('segment')
            return Answer()

    def locate():
        order.append('locate')

    frame = Frame(np.zeros((32, 32, 3), np.uint8))
    result = PerceptionPipeline(Segmenter()).run(frame, 'the red mug', locate=locate)
    # TF may come later than the image: the time that segmenting takes is not waited for
    assert order == ['segment', 'locate']
    assert set(result.timings) == {'segment', 'project'}
