# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Message and service classes that behave as the ones rosidl generates for Python."""

from __future__ import annotations

import functools
import threading
from array import array
from operator import attrgetter
from typing import Any

import numpy as np

from instructsam_ros.embedded.interfaces.catalogue import (
    UnknownInterfaceError,
    definition,
    message_names,
    service_names,
)
from instructsam_ros.embedded.interfaces.definition import Definition, Field, FieldType
from instructsam_ros.embedded.interfaces.setters import TYPE_CODES, make_setter

_IDL_NAMES = {'bool': 'boolean', 'byte': 'octet', 'float32': 'float', 'float64': 'double'}
_ZEROS: dict[str, Any] = {'bool': False, 'byte': b'\0', 'string': '', 'float32': 0.0,
                          'float64': 0.0}
_NOT_GIVEN = object()
# classes are made on first use, which may happen in several threads at once
_lock = threading.RLock()


class Message:
    """Base of all message classes: comparison, representation, field types.

    Fields are set by keyword or by assignment; what is not given is zero, empty, or the default of
    the message file. An unknown keyword or a wrong value raises AssertionError.
    """

    __slots__: tuple[str, ...] = ()
    __hash__ = None  # type: ignore[assignment]
    _definition: Definition
    _fields_and_field_types: dict[str, str]

    @classmethod
    def get_fields_and_field_types(cls) -> dict[str, str]:
        """Return the names of the fields and their types as IDL spells them."""
        return dict(cls._fields_and_field_types)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, self.__class__):
            return False
        for slot in self.__slots__:
            mine, theirs = getattr(self, slot), getattr(other, slot)
            if isinstance(mine, np.ndarray):
                if not np.array_equal(mine, theirs):
                    return False
            elif mine != theirs:
                return False
        return True

    def __repr__(self) -> str:
        name = self._definition.name.split('/')
        parts = []
        for field in self._definition.fields:
            value = getattr(self, field.name)
            shown = list(value) if isinstance(value, array) else value
            parts.append(f'{field.name}={shown!r}')
        return f'{name[0]}.{name[1]}.{name[2]}({", ".join(parts)})'


@functools.cache
def _make_message(name: str) -> type[Message]:
    made = definition(name)
    package, kind, short = name.split('/')
    classes = {field.type.base: message_class(field.type.base)
               for field in made.fields if field.type.is_message}
    body: dict[str, Any] = {
        '__slots__': tuple(f'_{field.name}' for field in made.fields),
        '__module__': f'{package}.{kind}',
        '__qualname__': short,
        '__doc__': f'The message {package}/{kind}/{short}.',
        '_definition': made,
        '_fields_and_field_types': {field.name: _idl_type(field.type) for field in made.fields},
        '__init__': _make_init(made, classes),
        **made.constants,
    }
    cls = type(short, (Message,), body)
    for field in made.fields:
        slot = cls.__dict__[f'_{field.name}']
        setter = make_setter(field, slot.__set__, classes.get(field.type.base))
        setattr(cls, field.name, property(
            attrgetter(f'_{field.name}'), setter, doc=f'Message field {field.name!r}.'))
    return cls


def message_class(name: str) -> type[Any]:
    """Return the class of a message, made on first use.

    Args:
        name: 'package/msg/Name', or a half of a service: 'package/srv/Name_Request', '_Response'.

    Raises:
        UnknownInterfaceError: There is no such message.
    """
    with _lock:
        return _make_message(name)


@functools.cache
def _make_service(name: str) -> type[Any]:
    if name not in service_names():
        raise UnknownInterfaceError(f'no service {name!r} is known without ROS 2')
    package, kind, short = name.split('/')

    def refuse(self: Any) -> None:
        raise NotImplementedError(
            f'service classes are not instantiated: use {short}.Request or {short}.Response')

    return type(short, (), {
        '__module__': f'{package}.{kind}', '__qualname__': short,
        '__doc__': f'The service {package}/{kind}/{short}.', '__init__': refuse,
        '_service_name': name,
        'Request': _make_message(f'{name}_Request'),
        'Response': _make_message(f'{name}_Response')})


def service_class(name: str) -> type[Any]:
    """Return the class of a service with its `Request` and `Response`, made on first use.

    Args:
        name: 'package/srv/Name'.

    Raises:
        UnknownInterfaceError: There is no such service.
    """
    with _lock:
        return _make_service(name)


def interface_class(name: str) -> type[Any]:
    """Return the class of a message or of a service from its full name.

    Raises:
        UnknownInterfaceError: There is no such interface.
    """
    return service_class(name) if name in service_names() else message_class(name)


def module_names(package: str, kind: str) -> list[str]:
    """Return the names that the module `package.kind` offers, kind being 'msg' or 'srv'."""
    known = message_names() if kind == 'msg' else service_names()
    short = sorted(name.split('/')[2] for name in known if name.startswith(f'{package}/{kind}/'))
    halves = [f'{name}_{half}' for name in short for half in ('Request', 'Response')]
    return short if kind == 'msg' else short + halves


def _idl_type(kind: FieldType) -> str:
    if kind.is_message:
        package, _, short = kind.base.split('/')
        name = f'{package}/{short}'
    else:
        name = _IDL_NAMES.get(kind.base, kind.base)
        if kind.length:
            name += f'<{kind.length}>'
    if kind.kind == 'array':
        return f'{name}[{kind.size}]'
    if kind.kind == 'sequence':
        return f'sequence<{name}, {kind.size}>' if kind.size else f'sequence<{name}>'
    return name


def _make_init(made: Definition, classes: dict[str, type[Any]]) -> Any:
    """Compile the constructor: keywords only, and no work for fields that are given."""
    # no field begins with an underscore, so these names are free
    names = {'_missing': _NOT_GIVEN, '_array': array, '_zeros': np.zeros, '_list': list}
    parameters = ''.join(f'{field.name}=_missing, ' for field in made.fields)
    lines = [f'def __init__(_self, *_args, {parameters}**_unknown):',
             ' if _args or _unknown: _refuse(_args, _unknown)']
    for index, field in enumerate(made.fields):
        default = _default_code(field, index, names, classes)
        lines.append(f' if {field.name} is _missing: _self._{field.name} = {default}')
        lines.append(f' else: _self.{field.name} = {field.name}')
    short = made.name.rpartition('/')[2]

    def refuse(args: tuple[Any, ...], unknown: dict[str, Any]) -> None:
        if args:
            raise TypeError(f'{short}() takes keyword arguments only')
        raise AssertionError(
            f'Invalid arguments passed to constructor: {", ".join(sorted(unknown))}; '
            f'{short} has {", ".join(field.name for field in made.fields) or "no fields"}')

    space: dict[str, Any] = {**names, '_refuse': refuse}
    exec('\n'.join(lines), space)  # the text above: names of fields, checked by the parser
    return space['__init__']


def _default_code(field: Field, index: int, names: dict[str, Any],
                  classes: dict[str, type[Any]]) -> str:
    """Return an expression for a field's value when none is given; `names` gets what it uses."""
    kind = field.type
    if kind.kind == 'sequence' and kind.base in TYPE_CODES:
        names[f'_d{index}'] = field.default or []
        return f'_array({TYPE_CODES[kind.base]!r}, _d{index})'
    if kind.kind == 'array' and kind.base in TYPE_CODES:
        if field.default is None:
            return f'_zeros({kind.size}, {kind.base!r})'
        names[f'_d{index}'] = np.array(field.default, kind.base)
        return f'_d{index}.copy()'
    if kind.is_message:
        names[f'_c{index}'] = classes[kind.base]
        element = f'_c{index}()'
    else:
        names[f'_d{index}'] = _ZEROS.get(kind.base, 0) if field.default is None else field.default
        element = f'_d{index}'
    if kind.kind == 'single':
        return element
    if kind.kind == 'array':
        return (f'_list({element})' if field.default is not None else
                f'[{element} for _ in range({kind.size})]')
    return f'_list({element})' if field.default is not None else '[]'
