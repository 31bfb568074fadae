# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The documents say what the code does: tables, commands, messages of the node, the example."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from live import PATIENCE, NodeProcess, Picture, Robot
from stand_ins import ColorSegmenter

from instructsam_ros.bridge.parameters import Setting, settings_of
from instructsam_ros.launching.arguments import declared_arguments
from instructsam_ros.nodes.perception_node import PerceptionNode
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.nodes.tabletop_camera_node import CameraSettings

import rclpy  # isort: skip
from rclpy.context import Context  # isort: skip
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # isort: skip
from rclpy.signals import SignalHandlerOptions  # isort: skip

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'instructsam_ros'
ROS = (ROOT / 'docs/ros.md').read_text(encoding='utf-8')
EMBEDDED = (ROOT / 'docs/embedded.md').read_text(encoding='utf-8')
DOCUMENTS = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]
# of every node, whoever wrote it
EVERYWHERE = {'/rosout', '/parameter_events', '/tf', '/tf_static'}
LIFECYCLE_SERVICES = {
    'change_state', 'get_state', 'get_available_states', 'get_available_transitions',
    'get_transition_graph'}
PARAMETER_SERVICES = {
    'describe_parameters', 'get_parameter_types', 'get_parameters', 'list_parameters',
    'set_parameters', 'set_parameters_atomically', 'get_type_description'}


# ---- tables


def parameter_table(table: type[Any]) -> str:
    """What the documents say of a node's parameters."""
    lines = ['| parameter | default | range | change | |', '|---|---|---|---|---|']
    lines += [
        f'| `{one.name}` | {_value(one.default)} | {_range(one)} | '
        f'{"at start" if one.read_only else "any time"} | {one.description} |'
        for one in settings_of(table)]
    return '\n'.join(lines) + '\n'


def launch_table(file: str) -> str:
    """What the documents say of a launch file's own arguments."""
    lines = ['| argument | default | |', '|---|---|---|']
    for name, one in launch_arguments(file).items():
        default = 'must be given' if 'default' not in one else 'depends on `camera`' if (
            '$(' in one['default']) else _value(one['default'])
        choices = ', '.join(f'`{choice["value"]}`' for choice in one.get('choice', ()))
        lines.append(
            f'| `{name}` | {default} | {one["description"]}{f" ({choices})" if choices else ""} |')
    return '\n'.join(lines) + '\n'


def launch_arguments(file: str) -> dict[str, dict[str, Any]]:
    """Arguments of a launch file, by name, as the file has them."""
    actions = yaml.safe_load((ROOT / 'launch' / file).read_text(encoding='utf-8'))['launch']
    return {one['arg']['name']: one['arg'] for one in actions if 'arg' in one}


def _value(value: Any) -> str:
    if value == '':
        return 'empty'
    return f'`{str(value).lower() if isinstance(value, bool) else value}`'


def _range(one: Setting) -> str:
    if one.choices:
        return ', '.join(f'`{choice}`' for choice in one.choices)
    return '' if one.minimum is None else f'{one.minimum:g} to {one.maximum:.10g}'


@pytest.mark.parametrize('table', [PerceptionSettings, CameraSettings])
def test_parameters_are_those_of_the_nodes(table: type[Any]) -> None:
    assert '|' not in ''.join(one.description for one in settings_of(table))
    assert parameter_table(table) in ROS


@pytest.mark.parametrize('file', ['instructsam.launch.yaml', 'demo.launch.yaml'])
def test_launch_arguments_are_those_of_the_files(file: str) -> None:
    assert launch_table(file) in ROS


def test_topics_of_the_camera_presets_are_those_of_the_launch_file() -> None:
    arguments = launch_arguments('instructsam.launch.yaml')
    tables = [ast.literal_eval(re.findall(r'\{.*?\}', arguments[name]['default'])[0])
              for name in ('image', 'depth', 'camera_info')]
    for camera in (one['value'] for one in arguments['camera']['choice']):
        topics = ' | '.join(f'`{table[camera]}`' for table in tables)
        assert f'| `{camera}` | {topics} |' in ROS


def test_states_of_an_instruction_are_those_of_the_message() -> None:
    text = (ROOT / 'msg/InstructionStatus.msg').read_text()
    states = re.findall(r'STATE_(\w+)=(\d+)', text)
    documented = re.findall(r'^\| `(\w+)` \| (\d) \|', ROS, re.MULTILINE)
    assert documented == [(name.lower(), number) for name, number in states]


# ---- topics and services


@pytest.fixture
def node(ros_domain: int) -> Iterator[PerceptionNode]:
    """The node with everything that it offers, active, in this process."""
    context = Context()
    rclpy.init(args=['--ros-args', '-p', 'autostart:=false'], context=context,
               signal_handler_options=SignalHandlerOptions.NO)
    made = PerceptionNode(lambda model, device: ColorSegmenter(), context=context)
    try:
        made.trigger_configure()
        made.trigger_activate()
        yield made
        made.close(PATIENCE)
        made.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)


def _qos(profile: Any) -> str:
    words = {ReliabilityPolicy.RELIABLE: 'reliable', ReliabilityPolicy.BEST_EFFORT: 'best effort'}
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return (f'{words[profile.reliability]}, {"transient local, " if latched else ""}'
            f'depth {profile.depth}')


def _type(kind: type[Any]) -> str:
    package, _, _ = kind.__module__.partition('.')
    return f'{package}/{kind.__qualname__}'


def _name(full: str) -> str:
    """A name as documents write it: ~/ for the node's own, none for relative ones."""
    if full.startswith('/instructsam/'):
        return '~' + full.removeprefix('/instructsam')
    return full if full == '/diagnostics' else full.removeprefix('/')


def test_every_topic_is_documented_with_type_and_qos(node: PerceptionNode) -> None:
    ends: list[Any] = [*node.publishers, *node.subscriptions]
    ends = [one for one in ends if one.topic_name not in EVERYWHERE]
    assert len(ends) > 15
    for one in ends:
        row = f'| `{_name(one.topic_name)}` | {_type(one.msg_type)} | {_qos(one.qos_profile)} |'
        assert row in ROS, row


def test_every_service_is_documented_with_its_type(node: PerceptionNode) -> None:
    named = {_name(one.service_name).removeprefix('~/'): one.srv_type for one in node.services}
    assert named.keys() >= LIFECYCLE_SERVICES | PARAMETER_SERVICES
    own = named.keys() - LIFECYCLE_SERVICES - PARAMETER_SERVICES
    assert len(own) == 3
    for name in own:
        assert f'| `~/{name}` | {_type(named[name])} |' in ROS
    for name in LIFECYCLE_SERVICES:
        assert f'`~/{name}`' in ROS


def test_no_topic_or_service_is_documented_that_is_not_there(node: PerceptionNode) -> None:
    there = {_name(one.topic_name) for one in node.publishers}
    there |= {_name(one.service_name) for one in node.services}
    camera = (PACKAGE / 'nodes/tabletop_camera_node.py').read_text()
    there |= set(re.findall(r"'(~/[\w/]+)'", camera))
    for path in DOCUMENTS:
        for name in re.findall(r'`(~/[a-z][\w/]+)`', path.read_text(encoding='utf-8')):
            assert name in there, f'{path.name}: {name}'


# ---- commands


def blocks(text: str, language: str = '') -> list[str]:
    """Code blocks of a document."""
    found = re.findall(r'^```(\w*)\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    return [code for kind, code in found if kind == language]


def _commands(program: str) -> list[list[str]]:
    """Words of all commands of a program in code blocks of all documents."""
    found = []
    for path in DOCUMENTS:
        for block in blocks(path.read_text(encoding='utf-8')):
            for line in block.replace('\\\n', ' ').splitlines():
                words = shlex.split(line, comments=True)
                while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
                    del words[0]
                if words[:1] == [program]:
                    found.append(words[1:])
    return found


def test_launch_commands_name_files_and_arguments_that_exist() -> None:
    launches = [words[2:] for words in _commands('ros2') if words[:2] == ['launch',
                                                                         'instructsam_ros']]
    launches += [words[1:] for words in _commands('instructsam-ros') if words[0] == 'launch']
    assert len(launches) > 4
    for file, *arguments in launches:
        known = {one.name: one for one in declared_arguments(ROOT / 'launch' / file)}
        for word in arguments:
            name, mark, value = word.partition(':=')
            assert word == '--show-args' or (mark and name in known), word
            choices = known[name].choices if mark else ()
            assert not choices or value in choices, word


def test_calls_and_messages_fit_their_types() -> None:
    calls = [words for words in _commands('ros2') if words[:2] in (
        ['service', 'call'], ['topic', 'pub'])]
    assert len(calls) > 4
    for words in calls:
        arguments = [word for word in words[2:] if not word.startswith('--')]
        _, kind, *content = arguments
        package, group, name = kind.split('/')
        module = __import__(f'{package}.{group}', fromlist=[name])
        message = getattr(module, name)
        message = message.Request() if group == 'srv' else message()
        if content:
            _fill(message, yaml.safe_load(content[0]))


def _fill(message: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _fill(getattr(message, name), value)
        else:
            setattr(message, name, value)


def test_parameters_that_are_set_exist_and_take_the_value() -> None:
    known = {one.name: one for one in settings_of(PerceptionSettings)}
    commands = [words for words in _commands('ros2') if words[:2] == ['param', 'set']]
    assert commands
    for _, _, node_name, name, value in commands:
        assert node_name == '/instructsam'
        assert not known[name].read_only
        known[name].checked(yaml.safe_load(value))


def test_parameter_files_in_the_documents_are_accepted() -> None:
    known = {one.name: one for one in settings_of(PerceptionSettings)}
    files = blocks(ROS, 'yaml')
    assert len(files) > 1
    for block in files:
        for name, value in yaml.safe_load(block)['/**']['ros__parameters'].items():
            if name != 'qos_overrides':
                known[name].checked(value)


# ---- what the node says


def _templates() -> list[str]:
    """All texts in the sources, what is filled in as an ellipsis."""
    texts = []
    for path in PACKAGE.rglob('*.py'):
        for one in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(one, ast.JoinedStr):
                texts.append(''.join(
                    str(part.value) if isinstance(part, ast.Constant) else '…'
                    for part in one.values))
            elif isinstance(one, ast.Constant) and isinstance(one.value, str):
                texts.append(one.value)
    return texts


def test_messages_in_the_documents_are_the_nodes_own() -> None:
    section = ROS.partition('\n## Troubleshooting\n')[2]
    quoted = re.findall(r'^\| (.+?) \| .+ \|$', section, re.MULTILINE)[2:]
    messages = [text.strip('`') for row in quoted for text in re.findall(r'`[^`]+`', row)]
    templates = _templates()
    assert len(messages) > 20
    for message in messages:
        assert any(message in template for template in templates), message


def test_diagnostics_are_documented() -> None:
    text = (PACKAGE / 'nodes/diagnostics.py').read_text()
    keys = re.findall(r"^        '([a-z0-9 \[\]A-Zp]+)': ", text, re.MULTILINE)
    assert len(keys) > 12
    for key in keys:
        assert f'`{key}`' in ROS, key


# ---- the example


def test_the_example_works(ros_domain: int, tmp_path: Path) -> None:
    (code,) = blocks(ROS, 'python')
    program = tmp_path / 'pick.py'
    program.write_text(code.replace('the yellow banana', 'the red thing'))
    process, robot = NodeProcess(), Robot()
    try:
        process.wait_for('ready:')
        robot.wait_for_node()
        robot.film(_solid_picture())
        ended = subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, timeout=PATIENCE,
            env=_environment())
    finally:
        robot.close()
        process.end()
    assert ended.returncode == 0, ended.stderr
    # the wall is at 1 m and the thing 20 cm before it
    assert re.search(r'red thing: \(\S+, \S+, 0\.[89]\d+\) m in camera', ended.stderr), ended.stderr


def _solid_picture() -> Picture:
    """Things with a thickness: that of a flat one would not be measured well."""
    picture = Picture()
    things = picture.depth < 1000
    picture.depth[things] += (np.argwhere(things)[:, 0] // 2).astype(np.uint16)
    return picture


def _environment() -> dict[str, str]:
    return {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'model')])}


# ---- the embedded client


def test_variables_of_the_embedded_client_are_documented() -> None:
    used: set[str] = set()
    for path in (PACKAGE / 'embedded').rglob('*.py'):
        used |= set(re.findall(
            r"""environ(?:ment)?(?:\.get\(|\[)['"]([A-Z_]+)""", path.read_text()))
    rows = set(re.findall(r'^\| `([A-Z_]+)` \|', EMBEDDED, re.MULTILINE))
    assert rows == used


def test_message_packages_of_the_embedded_client_are_documented() -> None:
    from instructsam_ros.embedded.interfaces.catalogue import packages

    line = EMBEDDED.partition('\nMessage packages: ')[2].partition('\n')[0]
    assert set(re.findall(r'`(\w+)`', line)) == packages().keys()


def test_what_is_not_implemented_is_documented() -> None:
    refused = set()
    for path in (PACKAGE / 'embedded/site').rglob('*.py'):
        refused |= set(re.findall(r"NotImplementedError\(\s*f?'([\w.]+)", path.read_text()))
    # what classes leave to those derived from them
    refused = {one for one in refused if '.' in one}
    refused -= {'Executor.spin_once', 'CallbackGroup.can_execute',
                'CallbackGroup.beginning_execution', 'CallbackGroup.ending_execution'}
    assert len(refused) > 6
    section = EMBEDDED.partition('\n## What it does not do\n')[2].partition('\n## ')[0]
    for name in refused:
        assert f'`{name.removeprefix("rclpy.")}`' in section, name


# ---- links


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for target in re.findall(r'\]\(([^)\s]+)\)', path.read_text(encoding='utf-8')):
        if '://' in target:
            continue
        name, _, anchor = target.partition('#')
        other = (path.parent / name) if name else path
        assert other.exists(), f'{path.name} links to {target}'
        if anchor:
            headings = re.findall(r'^#+ (.+)$', other.read_text(encoding='utf-8'), re.MULTILINE)
            slugs = {re.sub(r'[^\w\- ]', '', one.lower()).replace(' ', '-') for one in headings}
            assert anchor in slugs, f'{path.name} links to {target}'
