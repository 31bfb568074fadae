# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments that launch files take, and those of a command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instructsam_ros.launching.document import Entity, LaunchError, read_launch_file
from instructsam_ros.launching.packages import PACKAGE, PackageMissingError, package_share
from instructsam_ros.launching.scope import Scope

_DEEPEST = 20


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file.

    ``default`` is what it comes to while the other arguments have theirs, as far as that is known,
    else as written; None: the argument must be given.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()


def find_launch_file(name: str) -> Path:
    """Return the launch file of a path, or of a name among our own files.

    Raises LaunchError that lists what there is.
    """
    path = Path(name)
    if path.is_file():
        return path
    try:
        folder = package_share(PACKAGE) / 'launch'
    except PackageMissingError as error:
        raise LaunchError(f'no launch file {name}, and {error}') from None
    for candidate in (folder / name, folder / f'{name}.launch.yaml'):
        if candidate.is_file():
            return candidate
    known = ', '.join(sorted(one.name for one in folder.glob('*.launch.yaml')))
    raise LaunchError(f'no launch file {name}: name a path, or one of {known}')


def parse_arguments(words: Sequence[str]) -> dict[str, str]:
    """Return what ``name:=value`` words say. Raises LaunchError for others."""
    found = {}
    for word in words:
        name, mark, value = word.partition(':=')
        if not mark or not name:
            raise LaunchError(f"'{word}' is no argument: write name:=value, without spaces")
        found[name] = value
    return found


def declared_arguments(file: Path) -> list[Argument]:
    """Return the arguments of a launch file and of what it includes, as far as that is known.

    Raises LaunchError.
    """
    found: dict[str, Argument] = {}
    scope = Scope(file.absolute(), {}, dict(os.environ))
    _collect(read_launch_file(file), scope, found, 0)
    return list(found.values())


def _collect(
    actions: list[Entity], scope: Scope, found: dict[str, Argument], depth: int
) -> None:
    for action in actions:
        if action.kind == 'arg':
            name, default = action.needed_text('name'), action.text('default')
            choices = tuple(one.needed_text('value') for one in action.entities('choice'))
            value = _tried(scope, default)
            if value is not None:
                scope.variables.setdefault(name, value)
            found.setdefault(name, Argument(
                name, default if value is None else value, action.text('description') or '',
                choices))
        elif action.kind == 'let':
            value = _tried(scope, action.text('value'))
            if value is not None:
                scope.variables[action.needed_text('name')] = value
        elif action.kind == 'group':
            _collect(action.actions(), scope.copy(), found, depth)
        elif action.kind == 'include' and depth < _DEEPEST:
            # an include may depend on arguments that are not given yet
            file = _tried(scope, action.text('file'))
            given = {one.text('name') for one in action.entities('arg')}
            if file is not None and Path(file).is_file() and file.endswith(('.yaml', '.yml')):
                inner: dict[str, Argument] = {}
                _collect(read_launch_file(Path(file)), scope.copy(Path(file)), inner, depth + 1)
                for name, one in inner.items():
                    if name not in given:
                        found.setdefault(name, one)


def _tried(scope: Scope, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return scope.text(text)
    except LaunchError:
        return None
