# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names, ROS arguments, remapping rules and parameter files of the embedded rclpy."""

from __future__ import annotations

import math
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from rclpy._arguments import parse_arguments  # noqa: E402
from rclpy._parameter_yaml import parse_value, read_parameter_file  # noqa: E402
from rclpy._rclpy_pybind11 import RCLInvalidROSArgsError, UnknownROSArgsError  # noqa: E402
from rclpy.exceptions import (  # noqa: E402
    InvalidNamespaceException,
    InvalidNodeNameException,
    InvalidServiceNameException,
    InvalidTopicNameException,
)
from rclpy.expand_topic_name import expand_topic_name  # noqa: E402
from rclpy.impl.logging_severity import LoggingSeverity  # noqa: E402
from rclpy.topic_or_service_is_hidden import topic_or_service_is_hidden  # noqa: E402
from rclpy.utilities import remove_ros_args  # noqa: E402
from rclpy.validate_full_topic_name import validate_full_topic_name  # noqa: E402
from rclpy.validate_namespace import validate_namespace  # noqa: E402
from rclpy.validate_node_name import validate_node_name  # noqa: E402
from rclpy.validate_topic_name import validate_topic_name  # noqa: E402

TOKENS = st.from_regex(r'[a-zA-Z_][a-zA-Z0-9_]{0,8}', fullmatch=True)
PATHS = st.lists(TOKENS, min_size=1, max_size=3).map('/'.join)


@pytest.mark.parametrize(('name', 'full'), [
    ('chatter', '/ns/chatter'), ('/chatter', '/chatter'), ('~/image', '/ns/node/image'),
    ('~', '/ns/node'), ('a/b', '/ns/a/b'), ('{node}/x', '/ns/node/x'), ('{ns}/x', '/ns/x')])
def test_names_are_expanded(name: str, full: str) -> None:
    assert expand_topic_name(name, 'node', '/ns') == full
    assert validate_full_topic_name(full)


@given(PATHS, TOKENS, PATHS)
def test_every_valid_name_expands_to_a_valid_full_name(topic: str, node: str, space: str) -> None:
    for name in (topic, f'/{topic}', f'~/{topic}'):
        assert validate_topic_name(name)
        full = expand_topic_name(name, node, f'/{space}')
        assert validate_full_topic_name(full)
        # a full name stays as it is
        assert expand_topic_name(full, node, f'/{space}') == full


@given(st.text(max_size=12))
def test_any_text_is_either_valid_or_refused_by_name(text: str) -> None:
    try:
        assert validate_topic_name(text)
        expand_topic_name(text, 'node', '/')
    except InvalidTopicNameException as error:
        assert 'topic name' in str(error)
    except ValueError as error:
        assert 'substitution' in str(error)


@pytest.mark.parametrize('name', ['', 'a b', '1a', 'a/1', 'a/', 'a//b', 'a~', '~a', '{a', '{1}',
                                  'a}', 'ä', 'a-b'])
def test_bad_topic_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidTopicNameException):
        validate_topic_name(name)
    with pytest.raises(InvalidServiceNameException):
        validate_topic_name(name, is_service=True)
    with pytest.raises(ValueError):
        expand_topic_name(name, 'node', '/')


def test_bad_node_names_and_namespaces_are_refused() -> None:
    for name in ('', 'a/b', '1', 'a.b', 'x' * 256):
        with pytest.raises(InvalidNodeNameException):
            validate_node_name(name)
    for space in ('', 'a', '/a/', '/a//b', '/1', '/a b', '/' + 'x' * 300):
        with pytest.raises(InvalidNamespaceException):
            validate_namespace(space)
    for full in ('a', '/', '/a/', '~/a'):
        with pytest.raises(InvalidTopicNameException):
            validate_full_topic_name(full)
    # the place of the fault is pointed at
    with pytest.raises(InvalidTopicNameException, match=r"'ab c'\n +\^"):
        validate_topic_name('ab c')
    assert topic_or_service_is_hidden('/a/_b') and not topic_or_service_is_hidden('/a/b_')


def test_ros_arguments_are_told_from_others() -> None:
    args = ['prog', 'own', '--ros-args', '-r', 'a:=b', '--', '--flag', '--ros-args', '-p', 'x:=1']
    assert remove_ros_args(args) == ['prog', 'own', '--flag']
    found = parse_arguments(args)
    assert found.remap_name('topic', '/a', 'n', '/') == '/b'
    assert found.parameters_of('/n') == {'x': 1}


def test_rules_hold_for_kinds_and_nodes() -> None:
    found = parse_arguments([
        '--ros-args', '-r', 'rostopic://chat:=/talk', '-r', 'rosservice://chat:=/serve',
        '--remap', 'left:image:=/l', '-r', '~/x:=/mine', '-r', 'image:=/any',
        '-r', 'left:__ns:=/robot', '-r', '__node:=renamed'])
    assert found.remap_name('topic', '/ns/chat', 'n', '/ns') == '/talk'
    assert found.remap_name('service', '/ns/chat', 'n', '/ns') == '/serve'
    assert found.remap_name('topic', '/image', 'left', '/') == '/l'
    assert found.remap_name('topic', '/image', 'right', '/') == '/any'
    assert found.remap_name('topic', '/a/right/x', 'right', '/a') == '/mine'
    assert found.remap_name('topic', '/other/image', 'right', '/') is None
    assert found.remap_node('namespace', 'left') == '/robot'
    assert found.remap_node('namespace', 'right') is None
    assert found.remap_node('node', 'left') == 'renamed'


def test_the_first_matching_rule_wins() -> None:
    found = parse_arguments(['--ros-args', '-r', 'a:=/first', '-r', 'a:=/second'])
    assert found.remap_name('topic', '/a', 'n', '/') == '/first'


@pytest.mark.parametrize('args', [
    ['-r'], ['-r', 'a'], ['-r', 'a:='], ['-r', ':=b'], ['-r', 'a b:=c'], ['-r', 'a:=1b'],
    ['-r', '__node:=a/b'], ['-r', '__ns:=robot'], ['-r', '__ns:=/1'], ['-p', 'x'], ['-p', ':=1'],
    ['-p', 'x:=[1, a]'], ['-p', 'x:={a: 1}'], ['-p', 'x:=['], ['--log-level', 'loud'],
    ['--params-file', '/does/not/exist.yaml'], ['--params-file']])
def test_bad_ros_arguments_are_refused(args: list[str]) -> None:
    with pytest.raises(RCLInvalidROSArgsError):
        parse_arguments(['--ros-args', *args])


def test_unknown_ros_arguments_stop_the_start(ros_domain: int) -> None:
    context = rclpy.Context()
    with pytest.raises(UnknownROSArgsError, match='--colour'):
        rclpy.init(args=['--ros-args', '--colour', 'red'], context=context)
    assert not context.ok()
    # outside the ROS section everything is allowed
    rclpy.init(args=['--colour', '--ros-args', '--disable-external-lib-logs', '-e', '/'],
               context=context)
    context.shutdown()
    with pytest.raises(NotImplementedError, match='--log-file-name'):
        parse_arguments(['--ros-args', '--log-file-name', 'x'])


def test_log_levels_and_switches() -> None:
    found = parse_arguments(['--ros-args', '--log-level', 'warn', '--log-level', 'a.b:=DEBUG',
                             '--disable-rosout-logs', '--disable-stdout-logs'])
    assert found.log_levels == {'': LoggingSeverity.WARN, 'a.b': LoggingSeverity.DEBUG}
    assert not found.rosout_logs and not found.stdout_logs


@pytest.mark.parametrize(('text', 'value'), [
    ('1', 1), ('-3', -3), ('0x1F', 31), ('010', 8), ('1.5', 1.5), ('1e3', 1000.0), ('.5', 0.5),
    ('1.', 1.0), ('.inf', math.inf), ('-.inf', -math.inf), ('true', True), ('Yes', True),
    ('y', True), ('off', False), ('"true"', 'true'), ("'12'", '12'), ('!!str 12', '12'),
    ('word', 'word'), ('two words', 'two words'), ('[1, 2]', [1, 2]), ('[1.0, 2.5]', [1.0, 2.5]),
    ('[a, b]', ['a', 'b']), ('[true, no]', [True, False]), ('[]', None), ('""', ''),
    ('99999999999999999999', 99999999999999999999.0)])
def test_values_are_read_as_ros_reads_them(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value and type(found) is type(value)
    assert math.isnan(parse_value('.nan'))


SCALARS = st.one_of(
    st.booleans(), st.integers(-2 ** 63, 2 ** 63 - 1),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x if abs(x) < 1e15 else 0.5),
    st.text(string.ascii_letters + string.digits + ' .:-', max_size=12))
VALUES = st.one_of(SCALARS, *(st.lists(kind, min_size=1, max_size=4) for kind in (
    st.booleans(), st.integers(-2 ** 63, 2 ** 63 - 1))))


@given(st.dictionaries(TOKENS.filter(lambda t: not t.startswith('__')), VALUES, max_size=4))
def test_what_is_written_as_yaml_is_read_back(values: dict[str, Any]) -> None:
    path = Path(_scratch.name) / 'params.yaml'
    # strings quoted: plain words like y and 1e5 are values in ROS's YAML
    dumped = {name: _Quoted(value) if isinstance(value, str) else value
              for name, value in values.items()}
    path.write_text(yaml.dump({'/**': {'ros__parameters': {'group': dumped}}}, Dumper=_Dumper))
    found = read_parameter_file(str(path)).get('/**', {})
    assert found == {f'group.{name}': value for name, value in values.items()}
    assert {name: type(value) for name, value in found.items()} == {
        f'group.{name}': type(value) for name, value in values.items()}


class _Quoted(str):
    pass


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Quoted, lambda dumper, value: dumper.represent_scalar(
    'tag:yaml.org,2002:str', str(value), style='"'))


class _Scratch:
    name = ''


_scratch = _Scratch()


@pytest.fixture(autouse=True, scope='module')
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    _scratch.name = str(tmp_path_factory.mktemp('yaml'))


FILE = """
/**:
  ros__parameters:
    speed: 1.0
    nested: {a: 1, b: {c: deep}}
robot:
  arm:
    ros__parameters:
      speed: 2.0
/robot/*:
  ros__parameters: {any: yes}
other:
  ros__parameters: {speed: 9.0}
"""


def test_parameter_files_choose_nodes_by_pattern(tmp_path: Path) -> None:
    path = tmp_path / 'params.yaml'
    path.write_text(FILE)
    found = parse_arguments(['--ros-args', '--params-file', str(path)])
    assert found.parameters_of('/robot/arm') == {
        'speed': 2.0, 'nested.a': 1, 'nested.b.c': 'deep', 'any': True}
    assert found.parameters_of('/alone') == {'speed': 1.0, 'nested.a': 1, 'nested.b.c': 'deep'}
    assert found.parameters_of('/other')['speed'] == 9.0
    assert found.parameters_of('/robot/other')['speed'] == 1.0
    # one node alone, by name
    found = parse_arguments(['--ros-args', '-p', 'arm:speed:=3.5', '-p', 'x:=1'])
    assert found.parameters_of('/arm') == {'speed': 3.5, 'x': 1}
    assert found.parameters_of('/leg') == {'x': 1}


@pytest.mark.parametrize(('text', 'says'), [
    ('', 'empty'), ('a: [', 'YAML'), ('a: 1', 'line 1'), ('ros__parameters: {a: 1}', 'node name'),
    ('n: {ros__parameters: 3}', 'ros__parameters'),
    ('n: {ros__parameters: {a: [1, b]}}', 'one type'),
    ('n:\n  ros__parameters:\n    a: [[1]]', 'line 3')])
def test_broken_parameter_files_are_refused_with_the_place(
        tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / 'params.yaml'
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_parameter_file(str(path))
