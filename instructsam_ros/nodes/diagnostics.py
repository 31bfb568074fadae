# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics tells of the perception node, once a second (REP-107)."""

from collections.abc import Mapping
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from instructsam_ros.nodes.inputs import InputCounters
from instructsam_ros.nodes.statistics import Delays
from instructsam_ros.perception.instruction_desk import InstructionEvent
from instructsam_ros.perception.worker import WorkerCounters

INPUT_TROUBLES = (
    'image stream', 'depth stream', 'camera_info stream', 'image', 'depth image', 'camera_info',
    'TF')  # fmt: skip
INFERENCE_TROUBLES = ('inference', 'latency')
STATE_TROUBLES = ('name',)


@dataclass(frozen=True)
class Condition:
    """What the node knows of itself at one moment.

    Attributes:
        name: of the node.
        state: of its life cycle, in words.
        failure: why the model could not be loaded, or empty.
        model: what the model is called.
        instruction: the standing one, None if there is none.
        inputs, worker: counts since the start.
        rates: per second, by the counters' names.
        latency: from the image's stamp to the published targets.
        inference: of the model alone.
        overhead: what latency has beyond inference.
        troubles: those that last, kind -> text.
    """

    name: str
    state: str
    failure: str
    model: str
    instruction: InstructionEvent | None
    inputs: InputCounters
    worker: WorkerCounters
    rates: Mapping[str, float]
    latency: Delays
    inference: Delays
    overhead: Delays
    troubles: Mapping[str, str]


def diagnostics(condition: Condition, stamp: Time) -> DiagnosticArray:
    """Return the message: state, input and inference."""
    message = DiagnosticArray()
    message.header.stamp = stamp
    message.status = [_state(condition), _input(condition), _inference(condition)]
    return message


def _state(condition: Condition) -> DiagnosticStatus:
    standing = condition.instruction
    values = {'state': condition.state, 'model': condition.model}
    if standing is None:
        values['instruction'] = ''
    else:
        values['instruction'] = standing.text
        values['instruction id'] = str(standing.instruction_id)
        values['instruction state'] = standing.state.name.lower()
    troubles = _chosen(condition, STATE_TROUBLES)
    if condition.failure:
        troubles.insert(0, condition.failure)
    level = DiagnosticStatus.ERROR if condition.failure else None
    return _status(condition, 'state', condition.state, values, troubles, level)


def _input(condition: Condition) -> DiagnosticStatus:
    rates, counts = condition.rates, condition.inputs
    values = {
        'image rate [Hz]': f'{rates["images"]:.1f}',
        'depth rate [Hz]': f'{rates["depths"]:.1f}',
        'frame rate [Hz]': f'{rates["frames"]:.1f}',
        'frames': str(counts.frames),
        'frames without depth': str(counts.flat_frames),
    }
    return _status(condition, 'input', f'{rates["frames"]:.1f} frames per second', values,
                   _chosen(condition, INPUT_TROUBLES))


def _inference(condition: Condition) -> DiagnosticStatus:
    rates, counts = condition.rates, condition.worker
    values = {
        'rate [Hz]': f'{rates["processed"]:.1f}',
        'dropped rate [Hz]': f'{rates["dropped"]:.1f}',
        'latency p50 [ms]': f'{condition.latency.median * 1e3:.0f}',
        'latency max [ms]': f'{condition.latency.greatest * 1e3:.0f}',
        'inference p50 [ms]': f'{condition.inference.median * 1e3:.0f}',
        'overhead p50 [ms]': f'{condition.overhead.median * 1e3:.0f}',
        'overhead max [ms]': f'{condition.overhead.greatest * 1e3:.0f}',
        'processed': str(counts.processed),
        'dropped': str(counts.dropped),
        'failed': str(counts.failed),
        'requests': str(counts.requests),
    }
    return _status(condition, 'inference', f'{rates["processed"]:.1f} pictures per second', values,
                   _chosen(condition, INFERENCE_TROUBLES))


def _chosen(condition: Condition, kinds: tuple[str, ...]) -> list[str]:
    return [condition.troubles[kind] for kind in kinds if kind in condition.troubles]


def _status(
    condition: Condition,
    subject: str,
    summary: str,
    values: Mapping[str, str],
    troubles: list[str],
    level: bytes | None = None,
) -> DiagnosticStatus:
    if level is None:
        level = DiagnosticStatus.WARN if troubles else DiagnosticStatus.OK
    return DiagnosticStatus(
        level=level,
        name=f'{condition.name}: {subject}',
        message='; '.join(troubles) or summary,
        hardware_id='',
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
