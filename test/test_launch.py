# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch files: what they mean, and what is said about broken ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.launching.arguments import (
    declared_arguments,
    find_launch_file,
    parse_arguments,
)
from instructsam_ros.launching.document import LaunchError
from instructsam_ros.launching.expression import ExpressionError, evaluate
from instructsam_ros.launching.packages import (
    PackageMissingError,
    node_command,
    node_names,
    package_command,
    package_share,
    python_path,
)
from instructsam_ros.launching.plan import Process, make_plan
from instructsam_ros.launching.template import Call, TemplateError, parse_template

ROOT = Path(__file__).resolve().parent.parent


class Launcher:
    """Writes launch files and plans them with an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment: dict[str, str] = {'HOME': '/home/robot'}
        (folder / 'parameters').mkdir()

    def write(self, actions: str, name: str = 'a.launch.yaml') -> Path:
        path = self.folder / name
        path.write_text('launch:\n' + actions)
        return path

    def plan(self, actions: str, **arguments: str) -> list[Process]:
        return make_plan(
            self.write(actions), arguments, self.folder / 'parameters', self.environment).processes

    def command(self, actions: str, **arguments: str) -> list[str]:
        (process,) = self.plan(actions, **arguments)
        return list(process.command)

    def error(self, actions: str, **arguments: str) -> str:
        with pytest.raises(LaunchError) as caught:
            self.plan(actions, **arguments)
        return str(caught.value)


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


def said(command: list[str], option: str) -> list[str]:
    """Return what follows each occurrence of an option."""
    return [after for before, after in zip(command, command[1:], strict=False) if before == option]


def parameters(command: list[str]) -> dict[str, dict[str, object]]:
    """Return the parameters of all files together, by node."""
    found: dict[str, dict[str, object]] = {}
    for path in said(command, '--params-file'):
        for node, content in yaml.safe_load(Path(path).read_text()).items():
            found.setdefault(node, {}).update(content['ros__parameters'])
    return found


# ---- templates


@pytest.mark.parametrize(('text', 'parts'), [
    ('plain $5 (text)', ('plain $5 (text)',)),
    ('$(var a)', (Call('var', (('a',),)),)),
    ('/$(var a)/b', ('/', Call('var', (('a',),)), '/b')),
    ('$(dirname)/x', (Call('dirname', ()), '/x')),
    ("$(env A 'two words')", (Call('env', (('A',), ('two words',))),)),
    ('$(var $(var a)_b)', (Call('var', ((Call('var', (('a',),)), '_b'),)),)),
    ('$(eval "\'$(var a)\' == \'b\'")',
     (Call('eval', (("'", Call('var', (('a',),)), "' == 'b'"),)),)),
    (r'\$(var a)', ('$(var a)',)),
    ("$(env A '')", (Call('env', (('A',), ())),)),
])
def test_templates(text: str, parts: tuple[object, ...]) -> None:
    assert parse_template(text) == parts


@pytest.mark.parametrize('text', [
    '$(', '$()', '$(var', '$(var a', '$(var  a)', "$(var 'a)", '$(var a) $(x', '$( var a)',
    '$(var a"b)',
])
def test_broken_templates_are_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        parse_template(text)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_escaped_text_comes_back_as_it_is(text: str) -> None:
    escaped = text.replace('\\', '\\\\').replace('$', '\\$')
    assert ''.join(map(str, parse_template(escaped))) == text


@given(st.text(alphabet='$()\\ \'"ab', max_size=25))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        parse_template(text)
    except TemplateError as error:
        assert str(error)


# ---- expressions


@pytest.mark.parametrize(('text', 'value'), [
    ("'a' == 'a'", 'True'), ("'zed' != 'zed'", 'False'), ('1 < 2 <= 2', 'True'),
    ("'x' if not '' else 'y'", 'x'), ("'' or 'b'", 'b'), ("'b' in ['a', 'b']", 'True'),
    ('2 * 3 + 1', '7'), ('7 // 2', '3'), ('-1.5', '-1.5'), ("{'a': 'x'}['a']", 'x'),
    ('None is None', 'True'), (' 1 ', '1'),
])
def test_expressions(text: str, value: str) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize('text', [
    "__import__('os').system('true')", 'open', '[].__class__', 'lambda: 1', '(1).real', '1 +', '',
    "{'a': 1}['b']", '1 / 0', "'a' + 1", "'a' * 10**9", '[x for x in (1,)]', '2 ** 9',
])
def test_expressions_run_no_code(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text)


@given(st.integers(-99, 99), st.integers(-99, 99), st.sampled_from(['<', '<=', '==', '!=', '>']))
@settings(deadline=None)
def test_comparisons_are_those_of_python(a: int, b: int, sign: str) -> None:
    text = f'{a} {sign} {b}'
    assert evaluate(text) == str(eval(text))


# ---- nodes


def test_node_command(launcher: Launcher) -> None:
    command = launcher.command("""
- node:
    pkg: instructsam_ros
    exec: perception_node
    name: eye
    namespace: robot
    args: --one 'two words'
    ros_args: --log-level debug
    remap:
    - {from: image, to: /cam/image}
""")
    assert command[:6] == [
        sys.executable, '-m', 'instructsam_ros.nodes.perception_node', '--one', 'two words',
        '--ros-args']
    assert said(command, '--log-level') == ['debug']
    assert said(command, '-r') == ['__node:=eye', '__ns:=/robot', 'image:=/cam/image']


def test_parameters_have_the_types_that_are_asked_for(launcher: Launcher) -> None:
    command = launcher.command("""
- arg: {name: text, default: '123'}
- arg: {name: flag, default: 'true'}
- arg: {name: none, default: ''}
- node:
    pkg: instructsam_ros
    exec: perception_node
    param:
    - {name: number, value: $(var text)}
    - {name: text, value: $(var text), type: str}
    - {name: real, value: $(var text), type: float}
    - {name: flag, value: $(var flag), type: bool}
    - {name: quoted, value: '7'}
    - {name: plain, value: 2.5}
    - {name: list, value: [1, 2]}
    - {name: texts, value: ['$(var text)', b], type: list_of_str}
    - {name: empty, value: $(var none), type: str}
    - {name: sentence, value: 'the cup: red, or "blue"', type: str}
    - name: nested
      param:
      - {name: inner, value: 1}
""")
    assert parameters(command) == {'/**': {
        'number': 123, 'text': '123', 'real': 123.0, 'flag': True, 'quoted': '7', 'plain': 2.5,
        'list': [1, 2], 'texts': ['123', 'b'], 'empty': '',
        'sentence': 'the cup: red, or "blue"', 'nested': {'inner': 1}}}
    assert isinstance(parameters(command)['/**']['real'], float)


def test_parameters_of_a_named_node_are_its_own(launcher: Launcher) -> None:
    command = launcher.command("""
- node: {pkg: instructsam_ros, exec: perception_node, name: eye, namespace: /robot,
         param: [{name: a, value: 1}]}
""")
    assert parameters(command) == {'/robot/eye': {'a': 1}}


def test_parameter_files_keep_their_order(launcher: Launcher) -> None:
    own = launcher.folder / 'own.yaml'
    own.write_text('/**: {ros__parameters: {a: 2, where: $(var place)}}\n')
    command = launcher.command(f"""
- arg: {{name: place, default: here}}
- node:
    pkg: instructsam_ros
    exec: perception_node
    param:
    - {{name: a, value: 1}}
    - {{from: '{own}'}}
    - {{from: '{own}', allow_substs: true}}
""")
    contents = [Path(path).read_text() for path in said(command, '--params-file')]
    assert 'a: 1' in contents[0]
    assert contents[1] == own.read_text() and said(command, '--params-file')[1] == str(own)
    assert 'where: here' in contents[2]
    assert parameters(command)['/**']['a'] == 2


def test_groups_pass_down_but_not_out(launcher: Launcher) -> None:
    inner, outer = launcher.plan("""
- arg: {name: place, default: outside}
- group:
  - push_ros_namespace: {namespace: robot}
  - push-ros-namespace: {namespace: arm}
  - set_env: {name: COLOR, value: red}
  - set_parameter: {name: use_sim_time, value: 'true'}
  - set_remap: {from: image, to: other}
  - let: {name: place, value: inside}
  - node: {pkg: instructsam_ros, exec: perception_node, args: $(var place), namespace: eye}
- node: {pkg: instructsam_ros, exec: perception_node, args: $(var place)}
""")
    assert inner.command[3] == 'inside' and outer.command[3] == 'outside'
    assert said(list(inner.command), '-r') == ['__ns:=/robot/arm/eye', 'image:=other']
    assert said(list(outer.command), '-r') == []
    assert said(list(inner.command), '-p') == ['use_sim_time:=True']
    assert inner.environment['COLOR'] == 'red' and 'COLOR' not in outer.environment
    assert (inner.name, outer.name) == ('perception_node-1', 'perception_node-2')


def test_group_without_scope_passes_out(launcher: Launcher) -> None:
    command = launcher.command("""
- group:
    scoped: false
    children:
    - push_ros_namespace: {namespace: robot}
- node: {pkg: instructsam_ros, exec: perception_node}
""")
    assert said(command, '-r') == ['__ns:=/robot']


@pytest.mark.parametrize(('condition', 'wanted'), [
    ('if: $(var flag)', True), ('unless: $(var flag)', False), ("if: 'False'", False),
    ("if: '1'", True), ('if: $(eval "\'$(var word)\' == \'cup\'")', True),
    ('if: $(equals $(var word) mug)', False), ('if: $(not $(var flag))', False),
    ('if: $(and $(var flag) true)', True),
])
def test_conditions(launcher: Launcher, condition: str, wanted: bool) -> None:
    processes = launcher.plan(f"""
- arg: {{name: flag, default: 'true'}}
- arg: {{name: word, default: cup}}
- node:
    pkg: instructsam_ros
    exec: perception_node
    {condition}
""")
    assert bool(processes) is wanted


def test_include_takes_arguments_and_knows_its_own_folder(launcher: Launcher) -> None:
    (launcher.folder / 'deep').mkdir()
    launcher.write("""
- arg: {name: topic, default: image}
- arg: {name: word, default: mine}
- node: {pkg: instructsam_ros, exec: perception_node, args: '$(var topic) $(var word) $(dirname)'}
""", 'deep/b.launch.yaml')
    command = launcher.command("""
- include:
    file: $(dirname)/deep/b.launch.yaml
    arg: [{name: topic, value: other}]
""", word='given')
    assert command[3:6] == ['other', 'given', str(launcher.folder / 'deep')]


def test_environment_of_processes(launcher: Launcher) -> None:
    launcher.environment['OLD'] = '1'
    (process,) = launcher.plan("""
- unset_env: {name: OLD}
- executable:
    cmd: echo $(env HOME) $(env NONE 'a b')
    env: [{name: NEW, value: '2'}]
    name: say
    cwd: $(dirname)
    respawn: true
    respawn_delay: 0.5
    respawn_max_retries: 3
    on_exit: shutdown
    sigterm_timeout: 1
""")
    assert process.command == ('echo', '/home/robot', 'a b')
    assert process.environment['NEW'] == '2' and 'OLD' not in process.environment
    assert process.environment['PYTHONUNBUFFERED'] == '1'
    assert process.folder == launcher.folder
    assert (process.respawn, process.respawn_delay, process.respawns) == (True, 0.5, 3)
    assert process.ends_all and process.sigterm_after == 1.0 and process.sigkill_after == 5.0


# ---- what is wrong is named, with its place


@pytest.mark.parametrize(('actions', 'line', 'words'), [
    ('- nod: {exec: x}\n', 2, ['nod', 'supported', 'ros2 launch']),
    ('- node: {pkg: instructsam_ros}\n', 2, ["'exec'", 'missing']),
    ('- node: {pkg: instructsam_ros, exec: no_node}\n', 2, ['no_node', 'perception_node']),
    ('- node: {pkg: rviz2, exec: rviz2}\n', 2, ['rviz2', 'ROS 2', 'setup.bash']),
    ('- node: {pkg: instructsam_ros, exec: perception_node, colour: red}\n', 2,
     ["unknown key 'colour'", 'remap']),
    ('- arg: {name: a, default: true}\n', 2, ["'default'", 'True', 'quotes']),
    ('- arg: {name: a}\n', 2, ["argument 'a'", 'a:=']),
    ('- arg:\n    name: a\n    default: z\n    choice: [{value: x}, {value: y}]\n', 2,
     ["'z'", 'x, y']),
    ('- log: {message: hello}\n- log: {message: $(var nothing)}\n', 3, ["'nothing'", 'arg']),
    ('- log: {message: $(env NOTHING)}\n', 2, ['NOTHING', 'default']),
    ('- log: {message: $(optenv A)}\n', 2, ['optenv', '$(env NAME default)']),
    ('- log: {message: $(find-pkg-share nowhere)}\n', 2, ['nowhere']),
    ('- log: {message: $(eval open)}\n', 2, ['open', 'quotes']),
    ('- log: {message: $(var}\n', 2, ["')' is missing"]),
    ('- log: {message: a, if: maybe}\n', 2, ['maybe', 'true, false']),
    ("- log: {message: a, if: '1', unless: '1'}\n", 2, ['exclude']),
    ('- include: {file: /no/such.launch.yaml}\n', None, ['/no/such.launch.yaml', 'no such']),
    ('- include: {file: /no/such.launch.py}\n', None, ['ros2 launch']),
    ('- timer: {period: 1.0, children: []}\n', 2, ['timer', 'not supported']),
    ('- group: {scoped: true}\n', 2, ['list of actions']),
    ('- node: {pkg: instructsam_ros, exec: perception_node, param: [{name: a}]}\n', 2,
     ["'a'", 'value']),
    ('- node: {pkg: instructsam_ros, exec: perception_node, param: [{from: /none.yaml}]}\n', 2,
     ['/none.yaml']),
    ('- node:\n    pkg: instructsam_ros\n    exec: perception_node\n    param:\n'
     '    - {name: a, value: x, type: int}\n', 6, ["'x'", 'int']),
    ('- node: {pkg: instructsam_ros, exec: perception_node, param: [{name: a, value: [1, b]}]}\n',
     2, ['can be no parameter']),
    ('- log: [\n', None, ['no valid YAML']),
    ('- log: {message: a}\n  let: {name: a, value: b}\n', 2, ['one key']),
    ('- log: {message: a, message: b}\n', 2, ['twice']),
    ('- log:\n', 2, ['keys are missing']),
])
def test_errors_name_file_line_and_mend(
    launcher: Launcher, actions: str, line: int | None, words: list[str]
) -> None:
    error = launcher.error(actions)
    if line is not None:
        assert error.startswith(f'{launcher.folder / "a.launch.yaml"}:{line}: '), error
    for word in words:
        assert word in error, error


def test_missing_ros_names_the_argument_that_leaves_the_node_out(launcher: Launcher) -> None:
    error = launcher.error("""
- arg: {name: rviz, default: 'true'}
- node: {pkg: rviz2, exec: rviz2, if: $(var rviz)}
""")
    assert 'without it: rviz:=false' in error


def test_unknown_argument_is_refused_with_the_nearest(launcher: Launcher) -> None:
    error = launcher.error('- arg: {name: image, default: a}\n', imgae='b')
    assert "'imgae'" in error and "did you mean 'image'" in error


@pytest.mark.parametrize('text', ['', 'launch:\n', 'nodes: []\n', '[]\n', 'launch: {}\n', '\x00'])
def test_files_that_are_no_launch_files(launcher: Launcher, text: str) -> None:
    path = launcher.folder / 'bad.launch.yaml'
    path.write_text(text)
    with pytest.raises(LaunchError, match=r'bad\.launch\.yaml'):
        make_plan(path, {}, launcher.folder)


def test_file_that_includes_itself(launcher: Launcher) -> None:
    assert 'include each other' in launcher.error('- include: {file: $(filename)}\n')


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(
            ['node', 'arg', 'group', 'let', 'name', 'value', 'pkg', 'exec', 'param', 'if', 'x']),
            inner, max_size=3)),
    max_leaves=12))
@settings(max_examples=150, deadline=None)
def test_any_yaml_is_a_plan_or_an_error_with_its_file(
    tmp_path_factory: pytest.TempPathFactory, content: object
) -> None:
    folder = tmp_path_factory.mktemp('any')
    path = folder / 'any.launch.yaml'
    path.write_text(yaml.safe_dump({'launch': content}))
    try:
        make_plan(path, {}, folder, {})
    except LaunchError as error:
        assert str(path) in str(error)


# ---- packages and arguments


def test_packages_of_ros_are_found_by_their_index(tmp_path: Path) -> None:
    prefix = tmp_path / 'opt'
    marker = prefix / 'share/ament_index/resource_index/packages/rviz2'
    marker.parent.mkdir(parents=True)
    marker.touch()
    program = prefix / 'lib/rviz2/rviz2'
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\n')
    environment = {'AMENT_PREFIX_PATH': f'/nowhere:{prefix}'}
    with pytest.raises(PackageMissingError, match='no executable'):
        package_command('rviz2', 'rviz2', environment)
    program.chmod(0o755)
    assert package_command('rviz2', 'rviz2', environment) == [str(program)]
    assert package_share('rviz2', environment) == prefix / 'share/rviz2'
    with pytest.raises(PackageMissingError, match='sudo apt install ros-.*-tf2-tools'):
        package_share('tf2_tools', environment)


def test_own_package_needs_no_ros() -> None:
    assert (package_share('instructsam_ros', {}) / 'package.xml').is_file()
    assert node_command('perception_node')[1:] == ['-m', 'instructsam_ros.nodes.perception_node']
    assert {'perception_node', 'tabletop_camera_node'} <= set(node_names())


def test_python_path_is_only_appended_to() -> None:
    path = python_path({'PYTHONPATH': '/opt/ros/python'}).split(':')
    assert path[0] == '/opt/ros/python'
    assert python_path({'PYTHONPATH': ':'.join(path)}).split(':') == path


def test_arguments_of_a_command_line() -> None:
    assert parse_arguments(['a:=b', 'c:=', 'd:=e:=f']) == {'a': 'b', 'c': '', 'd': 'e:=f'}
    for word in ('a=b', ':=b', 'a'):
        with pytest.raises(LaunchError, match='name:=value'):
            parse_arguments([word])


def test_declared_arguments_are_those_of_includes_too(launcher: Launcher) -> None:
    launcher.write("""
- arg: {name: topic, default: image}
- arg: {name: inner, default: $(var outer)/x, description: the inner one}
""", 'b.launch.yaml')
    path = launcher.write("""
- arg: {name: outer, default: o, choice: [{value: o}, {value: p}]}
- arg: {name: needed}
- group:
  - include: {file: $(dirname)/b.launch.yaml, arg: [{name: topic, value: t}]}
- include: {file: $(var needed).launch.yaml}
""")
    found = {one.name: one for one in declared_arguments(path)}
    # `topic` is given by the include: nobody else can
    assert set(found) == {'outer', 'needed', 'inner'}
    assert found['outer'].choices == ('o', 'p') and found['needed'].default is None
    assert found['inner'].description == 'the inner one'
    assert found['inner'].default == 'o/x'


def test_launch_files_are_found_by_name() -> None:
    assert find_launch_file('instructsam.launch.yaml').is_file()
    assert find_launch_file('demo') == find_launch_file('demo.launch.yaml')
    with pytest.raises(LaunchError, match=r'one of demo\.launch\.yaml'):
        find_launch_file('nothing')
