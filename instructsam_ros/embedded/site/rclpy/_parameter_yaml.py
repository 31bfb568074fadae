# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter values and parameter files in YAML, read as ROS 2 reads them."""

from __future__ import annotations

import re
from typing import Any

import yaml

_TRUE = ('Y', 'y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON')
_FALSE = ('N', 'n', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF')
_INTEGER = re.compile(r'[+-]?(?:0[xX][0-9a-fA-F]+|\d+)')
_FLOAT = re.compile(
    r'[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|infinity|nan)', re.IGNORECASE)
_NAMED_FLOATS = {'.nan': 'nan', '.inf': 'inf', '+.inf': 'inf', '-.inf': '-inf'}
_STRING_TAG = 'tag:yaml.org,2002:str'
_PARAMETERS = 'ros__parameters'


def parse_value(text: str) -> Any:
    """Return the value that a text such as '1.5', 'yes' or '[1, 2]' stands for.

    Raises:
        ValueError: Not YAML, a list of several types, or a dictionary.
    """
    return _value(_compose(text, text))


def read_parameter_file(path: str) -> dict[str, dict[str, Any]]:
    """Read a parameter file: `node: ros__parameters: name: value`.

    Returns:
        By pattern of the node's name, the values by parameter name, parts joined with a dot.

    Raises:
        OSError: The file cannot be read.
        ValueError: Not a parameter file; says where.
    """
    with open(path, encoding='utf-8') as file:
        text = file.read()
    root = _compose(text, path)
    if root is None:
        raise ValueError('the file is empty')
    found: dict[str, dict[str, Any]] = {}
    _collect_nodes(root, '', found)
    return found


def _compose(text: str, name: str) -> Any:
    try:
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f'{name!r} is not YAML: {error}') from error


def _collect_nodes(node: Any, prefix: str, found: dict[str, dict[str, Any]]) -> None:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f'{_place(node)}: {_PARAMETERS} and parameters are missing under '
                         f'{prefix or "the top"!r}')
    for key, value in node.value:
        name = str(key.value)
        if name == _PARAMETERS:
            if not prefix:
                raise ValueError(f'{_place(key)}: a node name must stand above {_PARAMETERS}')
            if not isinstance(value, yaml.MappingNode):
                raise ValueError(f'{_place(value)}: names and values must follow {_PARAMETERS}')
            _collect_parameters(value, '', found.setdefault(prefix, {}))
        else:
            _collect_nodes(value, f'{prefix}/{name}'.replace('//', '/') if prefix else name,
                           found)


def _collect_parameters(node: yaml.MappingNode, prefix: str, found: dict[str, Any]) -> None:
    for key, value in node.value:
        name = f'{prefix}{key.value}'
        if isinstance(value, yaml.MappingNode):
            _collect_parameters(value, f'{name}.', found)
        else:
            found[name] = _value(value)


def _value(node: Any) -> Any:
    if node is None:
        raise ValueError('a value is missing')
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.MappingNode):
        raise ValueError(f'{_place(node)}: a parameter cannot be a dictionary')
    values = []
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode):
            raise ValueError(f'{_place(item)}: lists hold plain values only')
        values.append(_scalar(item))
    if len({type(value) for value in values}) > 1:
        raise ValueError(f'{_place(node)}: the values of a list must all be of one type: {values}')
    # an empty list has no type, so it leaves the parameter without a value
    return values or None


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    # PyYAML knows fewer numbers and fewer booleans than ROS 2
    if node.style in ('"', "'") or (node.tag == _STRING_TAG and _explicit(node)):
        return text
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        value = _integer(text)
        if value is not None:
            return value
    if text.lower() in _NAMED_FLOATS:
        return float(_NAMED_FLOATS[text.lower()])
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _integer(text: str) -> int | None:
    """Read decimal, hexadecimal (0x) and octal (leading 0) numbers that fit into 64 bits."""
    digits = text.lstrip('+-')
    try:
        if digits[:2] in ('0x', '0X'):
            value = int(text, 16)
        else:
            value = int(text, 8 if digits[0] == '0' else 10)
    except ValueError:
        return None
    return value if -2 ** 63 <= value < 2 ** 63 else None


def _explicit(node: yaml.ScalarNode) -> bool:
    """Whether a scalar's text is not what YAML itself would take for a string."""
    resolver = yaml.SafeLoader('')
    return bool(resolver.resolve(yaml.ScalarNode, node.value, (True, False)) != _STRING_TAG)


def _place(node: Any) -> str:
    mark = getattr(node, 'start_mark', None)
    return 'the start' if mark is None else f'line {mark.line + 1}, column {mark.column + 1}'
