# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a message is made of, read from the text of a .msg or .srv file."""

from __future__ import annotations

import ast
import keyword
import re
from dataclasses import dataclass, field
from typing import Any

INTEGERS = {
    'int8': (-2 ** 7, 2 ** 7 - 1), 'uint8': (0, 2 ** 8 - 1),
    'int16': (-2 ** 15, 2 ** 15 - 1), 'uint16': (0, 2 ** 16 - 1),
    'int32': (-2 ** 31, 2 ** 31 - 1), 'uint32': (0, 2 ** 32 - 1),
    'int64': (-2 ** 63, 2 ** 63 - 1), 'uint64': (0, 2 ** 64 - 1),
}
FLOATS = ('float32', 'float64')
NUMBERS = (*INTEGERS, *FLOATS)
PRIMITIVES = (*NUMBERS, 'bool', 'byte', 'string')

_FIELD = re.compile(
    r'(?P<base>[A-Za-z][A-Za-z0-9_/]*)(?:<=(?P<length>\d+))?'
    r'(?P<array>\[(?P<bound><=)?(?P<size>\d*)\])?\s+(?P<name>[A-Za-z]\w*)\s*(?P<rest>.*)')
_BUILT_IN = {'time': 'builtin_interfaces/msg/Time', 'duration': 'builtin_interfaces/msg/Duration',
             'Header': 'std_msgs/msg/Header'}


@dataclass(frozen=True)
class FieldType:
    """The type of a field.

    ``base`` is one of PRIMITIVES or a message's full name ('std_msgs/msg/Header'). ``kind`` is
    'single', 'array' (exactly ``size`` elements) or 'sequence' (at most ``size``, 0 = unbounded).
    ``length`` is the longest string allowed, 0 = unbounded.
    """

    base: str
    kind: str = 'single'
    size: int = 0
    length: int = 0

    @property
    def is_message(self) -> bool:
        """Whether the elements are messages themselves."""
        return '/' in self.base


@dataclass(frozen=True)
class Field:
    """A named field; ``default`` is None where the file gives none."""

    name: str
    type: FieldType
    default: Any = None


@dataclass(frozen=True)
class Definition:
    """A message, or one half of a service: ``name`` as 'package/msg/Name'."""

    name: str
    fields: tuple[Field, ...] = ()
    constants: dict[str, Any] = field(default_factory=dict)


def parse_message(text: str, name: str) -> Definition:
    """Read the text of a .msg file.

    Args:
        text: The file's contents.
        name: 'package/msg/Name'; types without a package are looked for in ``package``.

    Raises:
        ValueError: A line that the message language does not allow; says which.
    """
    package = name.partition('/')[0]
    fields: list[Field] = []
    constants: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        code = line.strip()
        if not code or code.startswith('#'):
            continue
        match = _FIELD.fullmatch(code)
        if match is None:
            raise ValueError(f'{name}, line {number}: neither a field nor a constant: {code!r}')
        try:
            if keyword.iskeyword(match['name']):
                raise ValueError(f"{match['name']!r} is a word of Python's")
            kind = _type(match, package)
            rest = match['rest']
            if rest.startswith('='):
                if kind.is_message or kind.kind != 'single':
                    raise ValueError('constants are single numbers, booleans or strings')
                constants[match['name']] = _value(rest[1:], kind)
            else:
                default = _value(rest, kind) if rest and not rest.startswith('#') else None
                fields.append(Field(match['name'], kind, default))
        except ValueError as error:
            raise ValueError(f'{name}, line {number}: {error}: {code!r}') from None
    names = [item.name for item in fields] + list(constants)
    if len(set(names)) < len(names):
        raise ValueError(f'{name}: a name is used twice among {names}')
    return Definition(name, tuple(fields), constants)


def parse_service(text: str, name: str) -> tuple[Definition, Definition]:
    """Read the text of a .srv file: the definitions of the request and of the response.

    Args:
        text: The file's contents.
        name: 'package/srv/Name'; the halves are called ``name`` + '_Request' and '_Response'.

    Raises:
        ValueError: Not exactly one line '---', or a line that the language does not allow.
    """
    halves = re.split(r'^---[ \t]*$', text, flags=re.MULTILINE)
    if len(halves) != 2:
        raise ValueError(f"{name}: a service has two halves, parted by one line '---'")
    return (parse_message(halves[0], f'{name}_Request'),
            parse_message(halves[1], f'{name}_Response'))


def _type(match: re.Match[str], package: str) -> FieldType:
    base = match['base']
    # rosidl reads char as an alias of uint8
    base = 'uint8' if base == 'char' else _BUILT_IN.get(base, base)
    if base not in PRIMITIVES:
        parts = base.split('/')
        if len(parts) == 1:
            if not base[0].isupper():
                raise ValueError(f'unknown type {base!r}')
            parts = [package, base]
        base = f'{parts[0]}/msg/{parts[-1]}'
    if match['length'] and base != 'string':
        raise ValueError('only strings and sequences have an upper bound')
    length = int(match['length'] or 0)
    if match['array'] is None:
        return FieldType(base, length=length)
    size = int(match['size'] or 0)
    if match['bound'] and not size:
        raise ValueError('an upper bound of at least 1 is needed after <=')
    if match['size'] and not size:
        raise ValueError('an array has at least one element')
    kind = 'array' if size and not match['bound'] else 'sequence'
    return FieldType(base, kind, size, length)


def _value(text: str, kind: FieldType) -> Any:
    """Read a constant or a default value; a comment may follow it."""
    text = text.strip()
    if kind.is_message:
        raise ValueError('a message has no default value')
    if kind.kind != 'single':
        literal = _literal(re.sub(r'\b(true|false)\b', lambda found: found[0].title(), text))
        if not isinstance(literal, list):
            raise ValueError('a list is expected')
        return [_number(value, kind.base) for value in literal]
    if kind.base == 'string':
        return _literal(text) if text[:1] in ('"', "'") else text.partition('#')[0].strip()
    word = text.partition('#')[0].strip()
    if kind.base == 'bool':
        if word.lower() not in ('true', 'false', '0', '1'):
            raise ValueError(f'{word!r} is no boolean')
        return word.lower() in ('true', '1')
    return _number(_literal(word), kind.base)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f'{text!r} is no value') from None


def _number(value: Any, base: str) -> Any:
    if base in FLOATS and isinstance(value, (int, float)):
        return float(value)
    if base in INTEGERS and isinstance(value, int):
        low, high = INTEGERS[base]
        if low <= value <= high:
            return int(value)
    if base == 'byte' and isinstance(value, int) and 0 <= value <= 255:
        return bytes([value])
    if base in ('string', 'bool') and isinstance(value, {'string': str, 'bool': bool}[base]):
        return value
    raise ValueError(f'{value!r} is no {base}')
