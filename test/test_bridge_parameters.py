# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters as a dataclass: declared with descriptors, validated, read as a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.bridge.parameters import Parameters, setting, settings_of

import rclpy  # isort: skip
from rclpy.exceptions import (  # isort: skip
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.parameter import Parameter  # isort: skip


@dataclass(frozen=True)
class Table:
    autostart: bool = setting(True, 'start at once', read_only=True)
    queue: int = setting(10, 'pictures kept', minimum=1, maximum=100)
    slop: float = setting(0.02, 'how far stamps may be apart', unit='s', minimum=0, maximum=1)
    device: str = setting('auto', 'where the model runs', choices=('auto', 'cpu', 'cuda'))
    near: float = setting(0.1, 'nearest depth', unit='m')
    far: float = setting(5.0, 'farthest depth', unit='m')
    words: tuple[str, ...] = setting((), 'wake words')

    def problem(self) -> str | None:
        return None if self.near < self.far else 'near must be below far'


@pytest.fixture
def context(ros_domain: int) -> Iterator[rclpy.Context]:
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


def node_with(context: rclpy.Context, **given_values: Any) -> rclpy.node.Node:
    return rclpy.create_node('table', context=context, parameter_overrides=[
        Parameter(name, value=value) for name, value in given_values.items()])


def set_on(node: rclpy.node.Node, **changes: Any) -> str:
    """Set all at once; return the reason of a refusal, or nothing."""
    result = node.set_parameters_atomically(
        [Parameter(name, value=value) for name, value in changes.items()])
    assert result.successful != bool(result.reason)
    return str(result.reason)


def test_defaults_and_given_values(context: rclpy.Context) -> None:
    assert Parameters(node_with(context), Table).values == Table()
    parameters = Parameters(
        node_with(context, queue=3, device='cpu', words=['robot', 'hey']), Table)
    assert parameters.values == Table(queue=3, device='cpu', words=('robot', 'hey'))


def test_a_whole_number_is_a_number(context: rclpy.Context) -> None:
    node = node_with(context, far=8)
    parameters = Parameters(node, Table)
    assert parameters.values.far == 8.0 and isinstance(parameters.values.far, float)
    assert set_on(node, near=1) == '' and isinstance(parameters.values.near, float)
    assert set_on(node, near=0.5) == '' and parameters.values.near == 0.5


def test_a_name_with_a_group(context: rclpy.Context, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Grouped:
        tracking_patience: float = setting(2.0, 'patience', minimum=0.0, name='tracking.patience')

    assert [one.name for one in settings_of(Grouped)] == ['tracking.patience']
    path = tmp_path / 'table.yaml'
    path.write_text('/**:\n  ros__parameters:\n    tracking:\n      patience: 5\n')
    node = rclpy.create_node('table', context=context,
                             cli_args=['--ros-args', '--params-file', str(path)])
    parameters = Parameters(node, Grouped)
    assert parameters.values == Grouped(tracking_patience=5.0)
    refused = node.set_parameters([Parameter('tracking.patience', value=-1.0)])[0]
    assert not refused.successful and 'tracking.patience is' in refused.reason
    assert node.set_parameters([Parameter('tracking.patience', value=1.5)])[0].successful
    assert parameters.values.tracking_patience == 1.5


def test_values_from_a_file(context: rclpy.Context, tmp_path: Path) -> None:
    path = tmp_path / 'table.yaml'
    path.write_text('/**:\n  ros__parameters:\n    slop: 0.5\n    far: 7\n    words: [hey]\n')
    node = rclpy.create_node('table', context=context,
                             cli_args=['--ros-args', '--params-file', str(path)])
    assert Parameters(node, Table).values == Table(slop=0.5, far=7.0, words=('hey',))


def test_descriptors(context: rclpy.Context) -> None:
    node = node_with(context)
    Parameters(node, Table)
    slop = node.describe_parameter('slop')
    assert slop.description == 'how far stamps may be apart [s]'
    limits, = slop.floating_point_range
    assert (limits.from_value, limits.to_value) == (0.0, 1.0)
    whole, = node.describe_parameter('queue').integer_range
    assert (whole.from_value, whole.to_value) == (1, 100)
    assert node.describe_parameter('autostart').read_only
    assert "'cuda'" in node.describe_parameter('device').additional_constraints
    assert not node.describe_parameter('near').floating_point_range


@pytest.mark.parametrize(('change', 'reason'), [
    ({'slop': 2}, 'at most 1'), ({'slop': -0.1}, ''), ({'slop': float('nan')}, ''),
    ({'queue': 0}, ''), ({'queue': 2.5}, 'a whole number'), ({'queue': True}, 'a whole number'),
    ({'device': 'tpu'}, "one of 'auto', 'cpu', 'cuda'"), ({'device': 3}, 'a text'),
    ({'near': 9.0}, 'near must be below far'), ({'words': 'robot'}, 'a list'),
    ({'autostart': False}, ''), ({'slop': None}, 'a number'), ({'near': float('inf')}, 'finite'),
])
def test_refusals_say_why_and_change_nothing(context: rclpy.Context, change: dict[str, Any],
                                             reason: str) -> None:
    node = node_with(context)
    parameters = Parameters(node, Table)
    told = set_on(node, **change)
    # what rclpy refuses itself has a text of its own
    assert told and reason in told
    assert parameters.values == Table()
    name, = change
    assert node.get_parameter(name).value == (
        [] if name == 'words' else getattr(Table(), name))


def test_together_what_alone_would_be_refused(context: rclpy.Context) -> None:
    node = node_with(context)
    parameters = Parameters(node, Table)
    assert set_on(node, near=9.0, far=20.0) == ''
    assert (parameters.values.near, parameters.values.far) == (9.0, 20.0)


@pytest.mark.parametrize('given_value', [{'slop': 3.0}, {'queue': 'many'}, {'device': 'tpu'}])
def test_bad_given_values_stop_the_start(context: rclpy.Context,
                                         given_value: dict[str, Any]) -> None:
    name, = given_value
    with pytest.raises(InvalidParameterValueException, match=name):
        Parameters(node_with(context, **given_value), Table)


def test_given_values_are_checked_together_once_all_are_known(context: rclpy.Context) -> None:
    # each for itself against the default of the other would be wrong
    assert Parameters(node_with(context, near=6.0, far=7.0), Table).values.near == 6.0
    with pytest.raises(ParameterException, match='near must be below far'):
        Parameters(node_with(context, near=6.0), Table)


def test_changes_are_told_with_old_and_new(context: rclpy.Context) -> None:
    told = []
    node = node_with(context, queue=4)
    parameters = Parameters(node, Table, lambda old, new: told.append((old, new)))
    assert not told
    set_on(node, queue=5)
    set_on(node, queue=5)
    set_on(node, queue=0)
    node.declare_parameter('foreign', 1)
    set_on(node, foreign=2)
    assert told == [(Table(queue=4), Table(queue=5))]
    assert parameters.values.queue == 5


def test_a_snapshot_does_not_change(context: rclpy.Context) -> None:
    node = node_with(context)
    parameters = Parameters(node, Table)
    before = parameters.values
    set_on(node, queue=5)
    assert before.queue == 10 and parameters.values.queue == 5


def test_defaults_must_follow_their_own_rules() -> None:
    with pytest.raises(ValueError, match='at least 1'):
        setting(0, 'x', minimum=1)
    with pytest.raises(ValueError, match='one of'):
        setting('a', 'x', choices=('b',))


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(),
                 st.lists(st.integers(), max_size=3)))
def test_whatever_is_taken_keeps_its_type_and_bounds(value: Any) -> None:
    for rules in settings_of(Table):
        try:
            taken = rules.checked(value)
        except ValueError as error:
            assert rules.name in str(error)
            continue
        assert type(taken) is type(rules.default)
        if rules.maximum is not None:
            assert rules.minimum <= taken <= rules.maximum
