# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Launch files as typed entities that know their place, so that errors can name it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_ROOT = 'launch'


@dataclass(frozen=True)
class Place:
    """A line of a launch file, counted from 1."""

    file: Path
    line: int

    def __str__(self) -> str:
        """Return what editors understand."""
        return f'{self.file}:{self.line}'


class LaunchError(ValueError):
    """What is wrong with a launch file, where, and how to mend it."""

    def __init__(self, text: str, place: Place | Path | None = None) -> None:
        super().__init__(f'{place}: {text}' if place is not None else text)
        self.place = place


class Entity:
    """A mapping in a launch file; keys that nobody asks for are errors (``finish``)."""

    def __init__(self, kind: str, place: Place, content: dict[str, Any]) -> None:
        self.kind = kind
        self.place = place
        self._content = content
        self._read: set[str] = set()

    def error(self, text: str) -> LaunchError:
        """Return an error about this entity."""
        return LaunchError(f'{self.kind}: {text}', self.place)

    def raw(self, key: str) -> Any:
        """Return a value as YAML has it, None where there is none."""
        self._read.add(key)
        return self._content.get(key)

    def text(self, key: str) -> str | None:
        """Return a text, None where there is none. Raises LaunchError for another type."""
        value = self.raw(key)
        if value is None and key in self._content:
            raise self.error(f"'{key}' is empty; write '' for an empty text")
        if value is not None and not isinstance(value, str):
            raise self.error(f"'{key}' is {value!r}, but ros2 launch wants text: put it in quotes")
        return value

    def needed_text(self, key: str) -> str:
        """Return a text that must be there."""
        value = self.text(key)
        if value is None:
            raise self.error(f"'{key}' is missing")
        return value

    def number(self, key: str) -> float | None:
        """Return a number that is not negative, None where there is none."""
        value = self.raw(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise self.error(f"'{key}' is {value!r}, it must be a number of at least 0")
        return float(value)

    def flag(self, key: str) -> bool | None:
        """Return true or false, None where there is nothing."""
        value = self.raw(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(f"'{key}' is {value!r}, it must be true or false")
        return value

    def entities(self, key: str) -> list[Entity]:
        """Return a list of mappings, empty where there is none."""
        value = self.raw(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(one, Entity) for one in value):
            raise self.error(f"'{key}' must be a list of mappings: '- name: …'")
        for one in value:
            one.kind = f'{self.kind}, {key}'
        return value

    def actions(self) -> list[Entity]:
        """Return the actions of a group: of its list, or of its ``children``."""
        return _actions(self.raw('children'), self.place, self.kind)

    def finish(self) -> None:
        """Raise LaunchError if there is a key that nothing has asked for."""
        unknown = sorted(set(self._content) - self._read)
        if unknown:
            raise self.error(
                f"unknown {'keys' if len(unknown) > 1 else 'key'} {', '.join(map(repr, unknown))}; "
                f"known here: {', '.join(sorted(self._read))}")


def read_launch_file(path: Path) -> list[Entity]:
    """Return the actions of a YAML launch file, in order.

    Raises LaunchError naming file, line and mend.
    """
    if not path.name.endswith(('.yaml', '.yml')):
        raise LaunchError('only YAML launch files can be run without ROS 2: use ros2 launch', path)
    try:
        text = path.read_text(encoding='utf-8')
    except FileNotFoundError:
        raise LaunchError('no such launch file', path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f'cannot be read: {error}', path) from None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        content = _converted(node, loader, path) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise LaunchError(f'no valid YAML: {error.problem}', Place(path, line)) from None
    except yaml.YAMLError as error:
        raise LaunchError(f'no valid YAML: {error}', path) from None
    if not isinstance(content, Entity) or content.raw(_ROOT) is None:
        raise LaunchError(f"a launch file begins with '{_ROOT}:' and a list of actions", path)
    content.kind = 'file'
    found = _actions(content.raw(_ROOT), content.place, _ROOT)
    content.finish()
    return found


def _actions(content: Any, place: Place, kind: str) -> list[Entity]:
    """Turn a list of mappings with one key each, the kind of action, into entities."""
    if not isinstance(content, list):
        raise LaunchError(f"{kind}: a list of actions is missing: '- node: …'", place)
    found = []
    for one in content:
        if not isinstance(one, Entity) or len(one._content) != 1:
            where = one.place if isinstance(one, Entity) else place
            raise LaunchError(
                f'{kind}: each item must be a mapping with one key, the kind of action: '
                "'- node: …'", where)
        ((name, inner),) = one._content.items()
        if isinstance(inner, list):
            inner = Entity(name, one.place, {'children': inner})
        elif not isinstance(inner, Entity):
            raise LaunchError(f'{name}: its keys are missing, below it and indented', one.place)
        # where the eye looks for it: the line with the kind of action
        inner.kind, inner.place = name, one.place
        found.append(inner)
    return found


def _converted(node: yaml.Node, loader: yaml.SafeLoader, path: Path) -> Any:
    place = Place(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_converted(one, loader, path) for one in node.value]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node, deep=True)
    content: dict[str, Any] = {}
    for key, value in _pairs(node):
        name = loader.construct_object(key, deep=True)
        where = Place(path, key.start_mark.line + 1)
        if not isinstance(name, str):
            raise LaunchError(f'key {name!r} must be text', where)
        if name in content:
            raise LaunchError(f"key '{name}' is there twice", where)
        content[name] = _converted(value, loader, path)
    return Entity('entity', place, content)


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    yield from node.value
