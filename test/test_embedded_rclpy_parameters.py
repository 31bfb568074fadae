# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the embedded rclpy: declaring, setting, ranges, callbacks, services."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from rcl_interfaces.msg import (  # noqa: E402
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterEvent,
    ParameterType,
    ParameterValue,
    SetParametersResult,
)
from rclpy.exceptions import (  # noqa: E402
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import (  # noqa: E402
    Parameter,
    get_parameter_value,
    parameter_dict_from_yaml_file,
    parameter_value_to_python,
)
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.task import Future  # noqa: E402


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    rclpy.init(args=['--ros-args', '-p', 'speed:=2.5', '-p', 'count:=7', '-p', 'many:=[]'])
    made = rclpy.create_node('holder')
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2 ** 63, 2 ** 63 - 1), st.floats(allow_nan=False),
    st.text(), *(st.lists(kind, min_size=1) for kind in (
        st.booleans(), st.integers(-2 ** 63, 2 ** 63 - 1), st.floats(allow_nan=False), st.text(),
        st.binary(min_size=1, max_size=1))))


@given(VALUES)
def test_parameters_survive_messages(value: Any) -> None:
    parameter = Parameter('name', value=value)
    message = parameter.to_parameter_msg()
    assert message.value.type == parameter.type_.value
    back = parameter_value_to_python(message.value)
    assert back == value and type(back) is type(value)
    assert Parameter.from_parameter_msg(message).type_ is parameter.type_


def test_types_are_told_from_values() -> None:
    kinds = Parameter.Type
    for value, kind in ((None, kinds.NOT_SET), (True, kinds.BOOL), (1, kinds.INTEGER),
                        (1.0, kinds.DOUBLE), ('', kinds.STRING), ([True], kinds.BOOL_ARRAY),
                        ([1], kinds.INTEGER_ARRAY), ((1.0,), kinds.DOUBLE_ARRAY),
                        (['a'], kinds.STRING_ARRAY), ([b'a'], kinds.BYTE_ARRAY)):
        assert kinds.from_parameter_value(value) is kind
        assert kind.check(value)
    for wrong in ({}, object(), [1, 'a'], b'a'):
        with pytest.raises(TypeError):
            kinds.from_parameter_value(wrong)
    with pytest.raises(ValueError):
        Parameter('x', kinds.DOUBLE, 1)
    with pytest.raises(TypeError):
        Parameter('x', 3, 1)  # type: ignore[arg-type]
    assert get_parameter_value('[1, 2]').type == ParameterType.PARAMETER_INTEGER_ARRAY
    assert get_parameter_value('x: [').string_value == 'x: ['
    with pytest.raises(RuntimeError):
        parameter_value_to_python(ParameterValue(type=99))


def test_declaring_and_reading(node: Node) -> None:
    assert node.declare_parameter('name', 'x').value == 'x'
    # the command line wins, unless told otherwise
    assert node.declare_parameter('speed', 1.0).value == 2.5
    with pytest.raises(ParameterAlreadyDeclaredException, match='name'):
        node.declare_parameter('name', 'y')
    with pytest.raises(InvalidParameterTypeException, match='STRING'):
        node.declare_parameter('count', 'many')
    assert node.declare_parameter('count', 1, ignore_override=True).value == 1
    with pytest.raises(InvalidParameterException):
        node.declare_parameter('', 1)
    with pytest.raises(ParameterNotDeclaredException):
        node.get_parameter('unknown')
    assert node.get_parameter_or('unknown').type_ is Parameter.Type.NOT_SET
    assert node.get_parameter_or('unknown', Parameter('a', value=1)).value == 1
    found = node.declare_parameters('group', [
        ('a', 1), ('b.c', 'deep', ParameterDescriptor(description='d'))])
    assert [one.name for one in found] == ['group.a', 'group.b.c']
    assert set(node.get_parameters_by_prefix('group')) == {'a', 'b.c'}
    assert node.describe_parameter('group.b.c').description == 'd'
    assert [one.value for one in node.get_parameters(['name', 'group.a'])] == ['x', 1]
    node.undeclare_parameter('name')
    assert not node.has_parameter('name')
    with pytest.raises(ParameterNotDeclaredException):
        node.undeclare_parameter('name')


def test_types_are_fixed_unless_dynamic(node: Node) -> None:
    node.declare_parameter('fixed', 1)
    node.declare_parameter('free', 1, ParameterDescriptor(dynamic_typing=True))
    node.declare_parameter('empty', Parameter.Type.STRING)
    refused = node.set_parameters([Parameter('fixed', value='text')])[0]
    assert not refused.successful and 'INTEGER' in refused.reason
    assert not node.set_parameters([Parameter('fixed')])[0].successful
    assert node.set_parameters([Parameter('free', value='text')])[0].successful
    assert node.describe_parameter('free').type == ParameterType.PARAMETER_STRING
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter('empty')
    assert node.set_parameters([Parameter('empty', value='full')])[0].successful
    assert node.get_parameter('empty').value == 'full'
    # an empty list has no type, so it leaves the parameter without a value
    node.declare_parameter('many', ['a'])
    with pytest.raises(ParameterUninitializedException):
        node.get_parameter('many')
    assert node.set_parameters([Parameter('free')])[0].successful
    assert not node.has_parameter('free')
    with pytest.raises(ValueError):
        node.declare_parameter('nothing', None, ParameterDescriptor())
    with pytest.raises(ValueError):
        node.declare_parameter('nothing', Parameter.Type.NOT_SET)
    with pytest.warns(UserWarning, match='name alone'):
        node.declare_parameter('old')
    with pytest.raises(TypeError):
        node.declare_parameters('', [('a', 1, 'no descriptor')])
    with pytest.raises(TypeError):
        node.declare_parameters('', [(1, 1)])


def test_ranges_and_read_only(node: Node) -> None:
    whole = ParameterDescriptor(integer_range=[IntegerRange(from_value=0, to_value=10, step=3)])
    real = ParameterDescriptor(floating_point_range=[
        FloatingPointRange(from_value=0.0, to_value=1.0, step=0.0)])
    node.declare_parameter('whole', 3, whole)
    node.declare_parameter('real', 0.5, real)
    for value, allowed in ((0, True), (6, True), (10, True), (7, False), (-1, False), (11, False)):
        assert node.set_parameters([Parameter('whole', value=value)])[0].successful is allowed
    for number, allowed in ((0.0, True), (1.0, True), (0.3, True), (1.1, False), (-0.1, False)):
        assert node.set_parameters([Parameter('real', value=number)])[0].successful is allowed
    with pytest.raises(InvalidParameterValueException, match='out of range'):
        node.declare_parameter('bad', 2.0, real)
    assert not node.has_parameter('bad')
    node.declare_parameter('fixed', 1, ParameterDescriptor(read_only=True))
    result = node.set_parameters([Parameter('fixed', value=2)])[0]
    assert not result.successful and 'read-only' in result.reason
    with pytest.raises(ParameterImmutableException):
        node.undeclare_parameter('fixed')
    with pytest.raises(ParameterImmutableException):
        node.set_descriptor('fixed', ParameterDescriptor())
    narrower = ParameterDescriptor(type=ParameterType.PARAMETER_INTEGER, integer_range=[
        IntegerRange(from_value=0, to_value=5, step=1)])
    with pytest.raises(InvalidParameterValueException):
        node.set_descriptor('whole', narrower)
    kept = node.set_descriptor('whole', narrower, ParameterValue(type=2, integer_value=4))
    assert kept.integer_value == 4 == node.get_parameter('whole').value


def test_callbacks_change_refuse_and_follow(node: Node) -> None:
    node.declare_parameter('a', 1)
    node.declare_parameter('b', 1)
    steps: list[str] = []

    def pre(parameters: list[Parameter]) -> list[Parameter]:
        steps.append('pre')
        return [*parameters, Parameter('b', value=parameters[0].value)]

    def check(parameters: list[Parameter]) -> Any:
        steps.append('on')
        bad = any(parameter.value == 13 for parameter in parameters)
        return SetParametersResult(successful=not bad, reason='unlucky' if bad else '')

    def post(parameters: list[Parameter]) -> None:
        steps.append('post')

    node.add_pre_set_parameters_callback(pre)
    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(post)
    assert node.set_parameters_atomically([Parameter('a', value=5)]).successful
    assert node.get_parameter('b').value == 5 and steps == ['pre', 'on', 'post']
    refused = node.set_parameters_atomically([Parameter('a', value=13)])
    assert (refused.successful, refused.reason) == (False, 'unlucky')
    assert node.get_parameter('a').value == 5 and steps[3:] == ['pre', 'on']
    node.remove_pre_set_parameters_callback(pre)
    with pytest.raises(InvalidParameterValueException, match='unlucky'):
        node.declare_parameter('c', 13)
    assert not node.has_parameter('c')
    node.remove_on_set_parameters_callback(check)
    with pytest.raises(ValueError):
        node.remove_on_set_parameters_callback(check)
    node.remove_post_set_parameters_callback(post)
    node.add_pre_set_parameters_callback(lambda parameters: [])
    assert not node.set_parameters_atomically([Parameter('a', value=6)]).successful


def test_atomic_means_all_or_none(node: Node) -> None:
    node.declare_parameter('a', 1)
    node.declare_parameter('b', 1)
    result = node.set_parameters_atomically([Parameter('a', value=2), Parameter('b', value='x')])
    assert not result.successful and node.get_parameter('a').value == 1
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter('a', value=3), Parameter('z', value=1)])
    # one after the other: those before the fault stay set
    assert node.get_parameter('a').value == 3
    with pytest.raises(TypeError):
        node.set_parameters_atomically(['a'])  # type: ignore[list-item]


def test_undeclared_parameters_where_allowed(ros_domain: int) -> None:
    rclpy.init(args=['--ros-args', '-p', 'x:=1', '-p', 'y:=[]'])
    loose = rclpy.create_node('loose', allow_undeclared_parameters=True,
                              automatically_declare_parameters_from_overrides=True,
                              parameter_overrides=[Parameter('x', value=9)])
    assert loose.get_parameter('x').value == 9
    assert loose.get_parameter('free').type_ is Parameter.Type.NOT_SET
    assert loose.set_parameters([Parameter('free', value=1)])[0].successful
    assert loose.get_parameter('free').value == 1
    assert loose.describe_parameter('other') == ParameterDescriptor()
    loose.destroy_node()
    rclpy.shutdown()


def test_listing_by_prefix_and_depth(node: Node) -> None:
    for name in ('a', 'g.b', 'g.h.c', 'gg.d'):
        node.declare_parameter(name, 1)
    mine = {'a', 'g.b', 'g.h.c', 'gg.d'}
    assert mine & set(node.list_parameters([], 0).names) == mine
    assert mine & set(node.list_parameters([], 1).names) == {'a'}
    assert set(node.list_parameters(['g'], 0).names) == {'g.b', 'g.h.c'}
    assert set(node.list_parameters(['g'], 1).names) == {'g.b'}
    assert set(node.list_parameters(['g'], 0).prefixes) == {'g', 'g.h'}
    for wrong, error in (((None, 0), TypeError), (([1], 0), TypeError), (([], '0'), TypeError),
                         (([], -1), ValueError)):
        with pytest.raises(error):
            node.list_parameters(*wrong)  # type: ignore[arg-type]


def test_others_read_and_set_parameters_by_services(node: Node, tmp_path: Path) -> None:
    node.declare_parameter('a', 1)
    node.declare_parameter('free', 1.5, ParameterDescriptor(dynamic_typing=True))
    other = rclpy.create_node('other', start_parameter_services=False)
    client = AsyncParameterClient(other, 'holder')
    executor = rclpy.executors.SingleThreadedExecutor()
    executor.add_node(node)
    executor.add_node(other)

    def answer(future: Future) -> Any:
        executor.spin_until_future_complete(future, 20)
        assert future.done()
        return future.result()

    events: list[Any] = []
    client.on_parameter_event(events.append)
    assert client.wait_for_services(20)
    assert [value.integer_value for value in answer(client.get_parameters(['a'])).values] == [1]
    assert answer(client.get_parameters(['a', 'none'])).values == []
    assert list(answer(client.get_parameter_types(['a', 'free'])).types) == [2, 3]
    assert answer(client.describe_parameters(['a'])).descriptors[0].name == 'a'
    assert {'a', 'free', 'use_sim_time'} <= set(answer(client.list_parameters()).result.names)
    results = answer(client.set_parameters([Parameter('a', value=4), Parameter('none', value=1),
                                            Parameter('a', value='x')])).results
    assert [result.successful for result in results] == [True, False, False]
    assert node.get_parameter('a').value == 4
    assert not answer(client.set_parameters_atomically(
        [Parameter('a', value=5), Parameter('none', value=1)])).result.successful
    assert node.get_parameter('a').value == 4
    assert answer(client.delete_parameters(['free'])).results[0].successful
    assert not node.has_parameter('free')
    path = tmp_path / 'p.yaml'
    path.write_text('/**: {ros__parameters: {a: 1}}\nholder: {ros__parameters: {a: 6}}')
    assert answer(client.load_parameter_file(str(path), use_wildcard=True)).results[0].successful
    assert node.get_parameter('a').value == 6
    with pytest.raises(RuntimeError):
        parameter_dict_from_yaml_file(str(path), target_nodes=['stranger'])
    end = time.monotonic() + 20
    while time.monotonic() < end and not any(event.deleted_parameters for event in events):
        executor.spin_once(timeout_sec=0.1)
    changed = [event for event in events if event.changed_parameters]
    assert isinstance(events[0], ParameterEvent)
    assert changed[0].node == '/holder' and changed[0].changed_parameters[0].name == 'a'
    other.destroy_node()
