# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of a node in a launch file: typed values and files."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from instructsam_ros.launching.document import Entity
from instructsam_ros.launching.scope import Scope
from instructsam_ros.launching.template import has_substitution, parse_template

_SCALARS: dict[str, type] = {'str': str, 'int': int, 'float': float, 'bool': bool}
_TYPES = (*_SCALARS, *(f'list_of_{name}' for name in _SCALARS), 'yaml')


class ParameterFiles:
    """Writes parameters into files in a folder, which must live as long as the nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def write(self, node: str, parameters: dict[str, Any]) -> Path:
        """Write parameters of a node ('/**' for any) as YAML; return the file."""
        path = self._folder / f'parameters_{next(self._numbers)}.yaml'
        text = yaml.safe_dump({node: {'ros__parameters': parameters}}, allow_unicode=True)
        path.write_text(text, encoding='utf-8')
        return path

    def write_text(self, text: str) -> Path:
        """Write a parameter file as it is; return the file."""
        path = self._folder / f'parameters_{next(self._numbers)}.yaml'
        path.write_text(text, encoding='utf-8')
        return path


def parameter_arguments(
    entities: Sequence[Entity], scope: Scope, node: str, files: ParameterFiles
) -> list[str]:
    """Return the ``--params-file`` arguments of a node's ``param`` list, in its order."""
    arguments: list[str] = []
    for entity in entities:
        if entity.raw('from') is not None:
            path = _file(entity, scope, files)
        else:
            name, value = _named(entity, scope)
            path = files.write(node, {name: value})
        arguments += ['--params-file', str(path)]
    return arguments


def typed(text: str) -> Any:
    """Return what a text means by YAML's rules: '5' a number, 'true' a truth, '' empty text."""
    try:
        value = yaml.safe_load(text) if text else ''
    except yaml.YAMLError:
        value = text
    return _checked(text if value is None else value)


def _file(entity: Entity, scope: Scope, files: ParameterFiles) -> Path:
    if entity.raw('name') is not None:
        raise entity.error("'from' and 'name' exclude each other")
    path = Path(scope.text(entity.needed_text('from')))
    substitute = entity.flag('allow_substs')
    entity.finish()
    if not path.is_file():
        raise entity.error(f'no parameter file {path}')
    if substitute:
        path = files.write_text(scope.text(path.read_text(encoding='utf-8')))
    try:
        yaml.safe_load(path.read_text(encoding='utf-8'))
    except yaml.YAMLError as error:
        raise entity.error(f'{path} is no valid YAML: {error}') from None
    return path.absolute()


def _named(entity: Entity, scope: Scope) -> tuple[str, Any]:
    name = scope.text(entity.needed_text('name'))
    kind = entity.text('type')
    value = entity.raw('value')
    nested = entity.entities('param')
    entity.finish()
    if nested:
        if value is not None or kind is not None:
            raise entity.error("'param' excludes 'value' and 'type'")
        return name, dict(_named(one, scope) for one in nested)
    if value is None:
        raise entity.error(f"parameter '{name}' has neither 'value' nor 'param'")
    if kind not in (None, *_TYPES):
        raise entity.error(f"type '{kind}' is none of {', '.join(_TYPES)}")
    try:
        return name, _typed_value(value, kind, scope)
    except ValueError as error:
        raise entity.error(f"parameter '{name}': {error}") from None


def _typed_value(value: Any, kind: str | None, scope: Scope) -> Any:
    if kind is None or kind == 'yaml':
        return _checked(_free(value, scope))
    wanted = _SCALARS[kind.removeprefix('list_of_')]
    if not kind.startswith('list_of_'):
        return _as(scope.text(value) if isinstance(value, str) else value, wanted)
    if isinstance(value, str):
        value = yaml.safe_load(scope.text(value))
    if not isinstance(value, list):
        raise ValueError(f'{value!r} is no list')
    return [_as(scope.text(one) if isinstance(one, str) else one, wanted) for one in value]


def _free(value: Any, scope: Scope) -> Any:
    """Return a value without a given type: only what is substituted is read as YAML."""
    if isinstance(value, list):
        return [_free(one, scope) for one in value]
    if isinstance(value, str):
        template = parse_template(value)
        text = scope.text(value)
        return typed(text) if has_substitution(template) else text
    return value


def _as(value: Any, wanted: type) -> Any:
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    if isinstance(value, str):
        if wanted is bool:
            flag = {'1': True, '0': False}.get(value, yaml.safe_load(value or "''"))
            if isinstance(flag, bool):
                return flag
        else:
            try:
                return wanted(value)
            except ValueError:
                pass
    raise ValueError(f'{value!r} is no {wanted.__name__}')


def _checked(value: Any) -> Any:
    """Return a value that can be a parameter. Raises ValueError for others."""
    items = value if isinstance(value, list) else [value]
    kinds = {type(item) for item in items}
    if len(kinds) > 1 or not kinds <= set(_SCALARS.values()):
        raise ValueError(
            f'{value!r} can be no parameter: parameters are truths, numbers, texts, and lists of '
            "one of them; for a text give 'type: str'")
    return value
