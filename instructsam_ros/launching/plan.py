# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a launch file and its arguments to the processes that it describes."""

from __future__ import annotations

import difflib
import os
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from instructsam_ros.launching.document import Entity, LaunchError, read_launch_file
from instructsam_ros.launching.packages import PackageMissingError, package_command, python_path
from instructsam_ros.launching.parameters import ParameterFiles, parameter_arguments, typed
from instructsam_ros.launching.scope import Scope, joined_namespace
from instructsam_ros.launching.template import parse_template

# the seconds that `ros2 launch` waits between SIGINT, SIGTERM and SIGKILL
_PATIENCE = 5.0
_DEEPEST = 20
# as keys of a node that change nothing here: output always goes to the terminal
_IGNORED = ('output', 'emulate_tty', 'output_format')


@dataclass(frozen=True)
class Process:
    """A process to start.

    Attributes:
        name: unique, such as ``perception_node-1``; what its lines of output begin with.
        command: program and arguments.
        environment: all of its environment.
        folder: its working folder, None for that of the caller.
        ends_all: when it ends, all end.
        respawn: whether to start it again when it ends by itself, after ``respawn_delay``
            seconds, at most ``respawns`` times (None: for ever).
        sigterm_after, sigkill_after: seconds from SIGINT to SIGTERM, and from there to SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path | None = None
    ends_all: bool = False
    respawn: bool = False
    respawn_delay: float = 0.0
    respawns: int | None = None
    sigterm_after: float = _PATIENCE
    sigkill_after: float = _PATIENCE


@dataclass
class Plan:
    """What a launch file comes to: processes to start, in order, and lines to show first."""

    processes: list[Process] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def make_plan(
    file: Path, arguments: Mapping[str, str], folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Plan:
    """Return what a launch file describes.

    ``arguments`` are those of the command line; parameter files are written to ``folder``.
    Raises LaunchError naming file, line and mend.
    """
    file = file.absolute()
    surroundings = dict(os.environ if environment is None else environment)
    scope = Scope(file, dict(arguments), surroundings)
    planner = _Planner(ParameterFiles(folder))
    planner.file(file, scope)
    strangers = [name for name in arguments if name not in planner.declared | scope.used]
    if strangers:
        near = difflib.get_close_matches(strangers[0], planner.declared, 1)
        hint = f", did you mean '{near[0]}'?" if near else '; see --show-args'
        raise LaunchError(f"no argument '{strangers[0]}'{hint}", file)
    return planner.plan


class _Planner:
    """Goes through the actions in order, as ``ros2 launch`` does."""

    def __init__(self, files: ParameterFiles) -> None:
        self.plan = Plan()
        self.declared: set[str] = set()
        self._files = files
        self._names: Counter[str] = Counter()
        self._depth = 0

    def file(self, path: Path, scope: Scope) -> None:
        """Go through a launch file."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise LaunchError(f'files include each other, {_DEEPEST} deep', path)
        self._all(read_launch_file(path), scope)
        self._depth -= 1

    def _all(self, actions: list[Entity], scope: Scope) -> None:
        for action in actions:
            try:
                self._action(action, scope)
            except (ValueError, PackageMissingError) as error:
                if isinstance(error, LaunchError) and error.place is not None:
                    raise
                # what substitutions say does not know its place
                raise action.error(str(error)) from None

    def _action(self, action: Entity, scope: Scope) -> None:
        handlers = {
            'arg': self._argument, 'let': self._let, 'node': self._node,
            'executable': self._executable, 'group': self._group, 'include': self._include,
            'push_ros_namespace': self._push_namespace, 'push-ros-namespace': self._push_namespace,
            'set_env': self._set_environment, 'unset_env': self._unset_environment,
            'set_parameter': self._set_parameter, 'set_remap': self._set_remap,
            'set_parameters_from_file': self._set_parameters_from_file, 'log': self._log,
        }
        handler = handlers.get(action.kind)
        if handler is None:
            raise action.error(
                f'this action is not supported without ROS 2 (supported: '
                f"{', '.join(sorted(handlers))}): use ros2 launch, or leave it out")
        if not _is_wanted(action, scope):
            return
        handler(action, scope)
        action.finish()

    def _argument(self, action: Entity, scope: Scope) -> None:
        name = action.needed_text('name')
        default, choices = action.text('default'), action.entities('choice')
        action.text('description')
        self.declared.add(name)
        if name not in scope.variables:
            if default is None:
                raise action.error(f"argument '{name}' is missing: add {name}:=…")
            scope.variables[name] = scope.text(default)
        allowed = [choice.needed_text('value') for choice in choices]
        if allowed and scope.variables[name] not in allowed:
            raise action.error(
                f"argument '{name}' is '{scope.variables[name]}', it must be one of "
                f"{', '.join(allowed)}")

    def _let(self, action: Entity, scope: Scope) -> None:
        name = scope.text(action.needed_text('name'))
        scope.variables[name] = scope.text(action.needed_text('value'))

    def _group(self, action: Entity, scope: Scope) -> None:
        scoped, forwarding = action.flag('scoped'), action.flag('forwarding')
        kept = [(scope.text(one.needed_text('name')), scope.text(one.needed_text('value')))
                for one in action.entities('keep')]
        inner = scope
        if scoped is not False:
            inner = scope.copy()
            if forwarding is False:
                inner.variables.clear()
                inner.namespace = None
                inner.parameters.clear()
                inner.remappings.clear()
        inner.variables.update(kept)
        self._all(action.actions(), inner)

    def _include(self, action: Entity, scope: Scope) -> None:
        path = Path(scope.text(action.needed_text('file')))
        if not path.is_absolute():
            path = Path.cwd() / path
        for one in action.entities('arg'):
            name = scope.text(one.needed_text('name'))
            scope.variables[name] = scope.text(one.needed_text('value'))
            one.finish()
        # variables go on after an include, the place of the file does not
        before, scope.file = scope.file, path
        self.file(path, scope)
        scope.file = before

    def _push_namespace(self, action: Entity, scope: Scope) -> None:
        scope.push_namespace(scope.text(action.needed_text('namespace')))

    def _set_environment(self, action: Entity, scope: Scope) -> None:
        name = scope.text(action.needed_text('name'))
        scope.environment[name] = scope.text(action.needed_text('value'))

    def _unset_environment(self, action: Entity, scope: Scope) -> None:
        scope.environment.pop(scope.text(action.needed_text('name')), None)

    def _set_parameter(self, action: Entity, scope: Scope) -> None:
        name = scope.text(action.needed_text('name'))
        scope.parameters.append((name, typed(scope.text(action.needed_text('value')))))

    def _set_parameters_from_file(self, action: Entity, scope: Scope) -> None:
        path = Path(scope.text(action.needed_text('filename'))).absolute()
        if not path.is_file():
            raise action.error(f'no parameter file {path}')
        scope.parameters.append(path)

    def _set_remap(self, action: Entity, scope: Scope) -> None:
        scope.remappings.append(
            (scope.text(action.needed_text('from')), scope.text(action.needed_text('to'))))

    def _log(self, action: Entity, scope: Scope) -> None:
        self.plan.messages.append(scope.text(action.needed_text('message')))
        action.text('level')

    def _node(self, action: Entity, scope: Scope) -> None:
        executable = scope.text(action.needed_text('exec'))
        package = action.text('pkg')
        name, own_namespace = action.text('name'), action.text('namespace')
        arguments, ros_arguments = action.text('args'), action.text('ros_args')
        try:
            command = [executable] if package is None else package_command(
                scope.text(package), executable, scope.environment)
        except PackageMissingError as error:
            raise action.error(f'{error}{_way_out(action)}') from None
        if arguments is not None:
            command += _split(arguments, scope)
        if ros_arguments is not None:
            command += ['--ros-args', *_split(ros_arguments, scope)]
        command.append('--ros-args')
        if name is not None:
            name = scope.text(name)
            command += ['-r', f'__node:={name}']
        if own_namespace is not None:
            own_namespace = scope.text(own_namespace)
        namespace = joined_namespace(scope.namespace, own_namespace)
        if namespace is not None:
            command += ['-r', f'__ns:={namespace}']
        for shared in scope.parameters:
            command += ['--params-file', str(shared)] if isinstance(shared, Path) else [
                '-p', f'{shared[0]}:={shared[1]}']
        full = '/**' if name is None or namespace is None else f'{namespace.rstrip("/")}/{name}'
        command += parameter_arguments(action.entities('param'), scope, full, self._files)
        remappings = list(scope.remappings)
        for one in action.entities('remap'):
            remappings.append(
                (scope.text(one.needed_text('from')), scope.text(one.needed_text('to'))))
            one.finish()
        for source, target in remappings:
            command += ['-r', f'{source}:={target}']
        label = action.text('exec_name')
        self._process(action, scope, Path(scope.text(label) if label else executable).name, command)

    def _executable(self, action: Entity, scope: Scope) -> None:
        command = _split(action.needed_text('cmd'), scope)
        if not command:
            raise action.error("'cmd' is empty")
        label = action.text('name')
        self._process(action, scope, scope.text(label) if label else Path(command[0]).name, command)

    def _process(self, action: Entity, scope: Scope, label: str, command: list[str]) -> None:
        for key in _IGNORED:
            action.raw(key)
        prefix = action.text('launch-prefix')
        if prefix is not None:
            command = [*_split(prefix, scope), *command]
        environment = dict(scope.environment)
        for one in action.entities('env'):
            environment[scope.text(one.needed_text('name'))] = scope.text(one.needed_text('value'))
            one.finish()
        # children are to show their lines at once, and find the same packages
        environment.setdefault('PYTHONUNBUFFERED', '1')
        environment['PYTHONPATH'] = python_path(environment)
        on_exit = action.text('on_exit')
        if on_exit not in (None, 'shutdown'):
            raise action.error(f"'on_exit' is '{on_exit}', only 'shutdown' is supported")
        folder = action.text('cwd')
        respawn, respawns = action.raw('respawn'), action.number('respawn_max_retries')
        sigterm, sigkill = action.number('sigterm_timeout'), action.number('sigkill_timeout')
        if respawn is not None and not isinstance(respawn, (bool, str)):
            raise action.error(f"'respawn' is {respawn!r}, it must be true or false")
        self._names[label] += 1
        number = sum(self._names.values())
        self.plan.processes.append(Process(
            f'{label}-{number}', tuple(command), environment,
            folder=Path(scope.text(folder)) if folder else None,
            ends_all=on_exit == 'shutdown',
            respawn=scope.condition(respawn) if isinstance(respawn, str) else bool(respawn),
            respawn_delay=action.number('respawn_delay') or 0.0,
            respawns=None if respawns is None else int(respawns),
            sigterm_after=_PATIENCE if sigterm is None else sigterm,
            sigkill_after=_PATIENCE if sigkill is None else sigkill))


def _is_wanted(action: Entity, scope: Scope) -> bool:
    wanted, unwanted = action.raw('if'), action.raw('unless')
    if wanted is not None and unwanted is not None:
        raise action.error("'if' and 'unless' exclude each other")
    wanted, unwanted = action.text('if'), action.text('unless')
    if wanted is not None:
        return scope.condition(wanted)
    return unwanted is None or not scope.condition(unwanted)


def _way_out(action: Entity) -> str:
    """Say with which argument the action can be left out, if it is as simple as that."""
    condition = action.text('if') or ''
    if condition.startswith('$(var ') and condition.endswith(')') and condition.count('$') == 1:
        return f'; without it: {condition[6:-1]}:=false'
    return ''


def _split(text: str, scope: Scope) -> list[str]:
    """Split a command line as a shell does; what is substituted stays in one piece."""
    pieces: list[str] = []
    marked = ''
    for part in parse_template(text):
        if isinstance(part, str):
            marked += part
        else:
            pieces.append(scope.substitute(part))
            # characters of private use stand for the pieces while the shell's rules are applied
            marked += chr(0xE000 + len(pieces) - 1)
    return [''.join(pieces[ord(c) - 0xE000] if 0xE000 <= ord(c) < 0xE000 + len(pieces) else c
                    for c in word) for word in shlex.split(marked)]
