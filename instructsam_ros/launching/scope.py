# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What holds at a place of a launch file: variables, environment, and what nodes inherit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from instructsam_ros.launching.document import LaunchError
from instructsam_ros.launching.expression import ExpressionError, evaluate
from instructsam_ros.launching.packages import (
    PackageMissingError,
    package_command,
    package_prefix,
    package_share,
)
from instructsam_ros.launching.template import (
    Call,
    Template,
    TemplateError,
    parse_template,
)

_TRUE, _FALSE = ('true', '1'), ('false', '0')
# substitutions of `ros2 launch` that are left out here, with what to use instead
_LEFT_OUT = {
    'optenv': 'use $(env NAME default)', 'arg': 'use $(var name)', 'find': 'use $(find-pkg-share)',
    'command': 'set the value as an argument instead', 'anon': 'give the node a name',
    'find-exec': 'name the executable', 'file-content': 'set the value as an argument instead',
    'launch_log_dir': 'logs go to the terminal', 'log_dir': 'logs go to the terminal',
}


@dataclass
class Scope:
    """Variables and environment at one place; groups work on a copy.

    ``file`` is the launch file. ``parameters`` for all nodes: (name, value) or a file.
    ``remappings`` for all nodes: (from, to). ``used`` collects the variables that anything asks
    for, of all scopes together.
    """

    file: Path
    variables: dict[str, str]
    environment: dict[str, str]
    namespace: str | None = None
    parameters: list[tuple[str, Any] | Path] = field(default_factory=list)
    remappings: list[tuple[str, str]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def copy(self, file: Path | None = None) -> Scope:
        """Return a scope in which changes stay inside."""
        return replace(
            self, file=file or self.file, variables=dict(self.variables),
            environment=dict(self.environment), parameters=list(self.parameters),
            remappings=list(self.remappings))

    def text(self, text: str) -> str:
        """Return a text with its substitutions made. Raises LaunchError without a place."""
        try:
            return self.filled(parse_template(text))
        except (TemplateError, ExpressionError, PackageMissingError) as error:
            raise LaunchError(str(error)) from None

    def filled(self, template: Template) -> str:
        """Return a template with its substitutions made."""
        return ''.join(
            self.substitute(part) if isinstance(part, Call) else part for part in template)

    def condition(self, text: str) -> bool:
        """Return whether a condition holds. Raises LaunchError if it is neither true nor false."""
        value = self.text(text).strip().lower()
        if value not in (*_TRUE, *_FALSE):
            raise LaunchError(
                f'condition {text!r} is {value!r}, it must come out as true, false, 1 or 0')
        return value in _TRUE

    def push_namespace(self, name: str) -> None:
        """Put nodes into a namespace below the present one."""
        self.namespace = joined_namespace(self.namespace, name)

    def substitute(self, call: Call) -> str:
        """Return the value of one substitution."""
        name = call.name
        values = [self.filled(argument) for argument in call.arguments]
        if name == 'var':
            return self._variable(*self._counted(call, values, 1, 2))
        if name == 'env':
            return self._variable_of_environment(*self._counted(call, values, 1, 2))
        if name == 'eval':
            return evaluate(*self._counted(call, values, 1, 1))
        if name in ('dirname', 'filename'):
            self._counted(call, values, 0, 0)
            return str(self.file.parent if name == 'dirname' else self.file)
        if name == 'find-pkg-share':
            return str(package_share(self._counted(call, values, 1, 1)[0], self.environment))
        if name == 'find-pkg-prefix':
            return str(package_prefix(self._counted(call, values, 1, 1)[0], self.environment))
        if name == 'exec-in-pkg':
            executable, package = self._counted(call, values, 2, 2)
            return package_command(package, executable, self.environment)[0]
        if name == 'if':
            return self._choice(*self._counted(call, values, 2, 3))
        return self._logic(call, values)

    def _logic(self, call: Call, values: list[str]) -> str:
        name = call.name
        if name in ('equals', 'not-equals'):
            one, two = self._counted(call, values, 2, 2)
            return str((one == two) is (name == 'equals')).lower()
        if name in ('not', 'and', 'or', 'any', 'all'):
            limits = {'not': (1, 1), 'and': (2, 2), 'or': (2, 2)}.get(name, (0, len(values)))
            flags = [_truth(value) for value in self._counted(call, values, *limits)]
            result = not flags[0] if name == 'not' else (
                all(flags) if name in ('and', 'all') else any(flags))
            return str(result).lower()
        mend = _LEFT_OUT.get(name, 'correct the name, or use ros2 launch')
        raise LaunchError(f'substitution $({name} …) is not supported here: {mend}')

    def _variable(self, name: str, default: str | None = None) -> str:
        self.used.add(name)
        value = self.variables.get(name, default)
        if value is None:
            known = ', '.join(sorted(self.variables)) or 'none'
            raise LaunchError(
                f"no argument or variable '{name}' (there are: {known}): declare it with "
                f"'- arg: {{name: {name}, default: …}}' above")
        return value

    def _variable_of_environment(self, name: str, default: str | None = None) -> str:
        value = self.environment.get(name, default)
        if value is None:
            raise LaunchError(
                f"no environment variable '{name}': set it, or write $(env {name} default)")
        return value

    @staticmethod
    def _choice(condition: str, yes: str, no: str = '') -> str:
        return yes if _truth(condition) else no

    @staticmethod
    def _counted(call: Call, values: list[str], least: int, most: int) -> list[str]:
        if not least <= len(values) <= most:
            wanted = str(least) if least == most else f'{least} to {most}'
            raise LaunchError(
                f'$({call.name} …) takes {wanted} arguments, not {len(values)}: put what has '
                'spaces in it in quotes')
        return values


def joined_namespace(base: str | None, name: str | None) -> str | None:
    """Return ``name`` below ``base``, or ``name`` alone if it is absolute; begins with '/'."""
    if name is None:
        return base
    if base and not name.startswith('/'):
        name = f'{base.rstrip("/")}/{name}'
    return '/' + name.strip('/')


def _truth(text: str) -> bool:
    value = True if text == '1' else False if text == '0' else yaml.safe_load(text or 'null')
    if not isinstance(value, bool):
        raise LaunchError(f'{text!r} is neither true nor false')
    return value
