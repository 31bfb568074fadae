# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What messages are made of: as the ROS 2 in use has them, and as a bag says.

Definitions are in the form of rosbags' type system: full name -> (constants, fields).
"""

import functools
import importlib
import re
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)

from instructsam_ros.bridge import interfaces
from instructsam_ros.replay.errors import BagError

Definitions = dict[str, tuple[list[Any], list[Any]]]

OWN_PACKAGE = interfaces.InstanceArray.__module__.partition('.')[0]
_BASES = {'boolean': 'bool', 'octet': 'byte', 'float': 'float32', 'double': 'float64'}
_TYPE = re.compile(
    r'(?:sequence<(?P<item>.+?)(?:, (?P<most>\d+))?>|(?P<single>.+?)(?:\[(?P<size>\d+)\])?)')
_BOUNDED_STRING = re.compile(r'(?P<base>string|wstring)<(?P<length>\d+)>')
# the member that IDL demands in an empty struct
_FILLER = 'structure_needs_at_least_one_member'
_IDL_RULE = '=' * 80 + '\n'


@functools.cache
def message_class(name: str) -> type[Any] | None:
    """Return the class of 'package/msg/Name' in the ROS 2 in use; None where it has none."""
    parts = name.split('/')
    if len(parts) != 3:
        return None
    try:
        found = getattr(importlib.import_module(f'{parts[0]}.{parts[1]}'), parts[2])
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) else None


def message_name(cls: type[Any]) -> str:
    """Return 'package/msg/Name' of a message class. Raises TypeError for another class."""
    if not hasattr(cls, 'get_fields_and_field_types'):
        raise TypeError(f'{cls!r} is not a message class')
    return '/'.join((*cls.__module__.split('.')[:2], cls.__name__))


@functools.cache
def standard_definitions() -> Definitions:
    """Return the definitions that come with ROS 2."""
    return dict(get_typestore(Stores.ROS2_JAZZY).fielddefs)


@functools.cache
def own_definitions() -> Definitions:
    """Return what our own .msg files say, with constants; nothing where they are not found."""
    from instructsam_ros.embedded.interfaces.catalogue import interface_files

    found: Definitions = {}
    try:
        files = sorted((interface_files() / 'msg').glob('*.msg'))
    except FileNotFoundError:
        files = []
    for path in files:
        found.update(get_types_from_msg(
            path.read_text(encoding='utf-8'), f'{OWN_PACKAGE}/msg/{path.stem}'))
    return found


def class_definitions(name: str) -> Definitions:
    """Return the definition of a message of the ROS 2 in use, and of all messages within it.

    Raises BagError where it has no such message.
    """
    found: Definitions = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        cls = message_class(one)
        if cls is None:
            raise BagError(f'{one}: this ROS 2 has no such message, install its package')
        fields = [(field, _node(described))
                  for field, described in cls.get_fields_and_field_types().items()]
        found[one] = ([], fields)
        waiting += _inner(fields)
    return found


def bag_definitions(text: str, name: str, *, idl: bool = False) -> Definitions:
    """Return what a bag's definition text says of a message and of all messages within it.

    Those that the text leaves out are taken from ROS 2's own. Raises BagError for a text that
    cannot be read or leaves out too much.
    """
    try:
        if not idl:
            stated = dict(get_types_from_msg(text, name))
        else:
            stated = {}
            for part in text.split(_IDL_RULE) if text.startswith(_IDL_RULE) else [text]:
                body = part.partition('\n')[2] if part.startswith('IDL: ') else part
                stated.update(get_types_from_idl(body) if body.strip() else {})
    # the parser trips in its own ways over what is no definition
    except (TypesysError, ValueError, LookupError, AttributeError) as error:
        raise BagError(f"{name}: the bag's definition of it cannot be read ({error})") from None
    found: Definitions = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        known = stated.get(one) or standard_definitions().get(one)
        if known is None:
            raise BagError(f"{name}: the bag's definition of it leaves out {one}")
        found[one] = (known[0], known[1])
        waiting += _inner(known[1])
    return found


def same_fields(one: Definitions, other: Definitions) -> bool:
    """Return whether messages of both definitions have the same bytes; constants don't matter."""
    return _plain(one) == _plain(other)


def _plain(definitions: Definitions) -> dict[str, list[Any]]:
    return {name: [(field, _same_bytes(node)) for field, node in fields if field != _FILLER]
            for name, (_, fields) in definitions.items()}


def _same_bytes(node: Any) -> Any:
    """Return the type with names for what has the same bytes, as plain tuples."""
    kind, rest = int(node[0]), node[1]
    if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        # how long a sequence may be is not in its bytes
        return kind, _same_bytes(rest[0]), rest[1] if kind == Nodetype.ARRAY else 0
    if kind == Nodetype.NAME:
        return kind, rest
    return kind, {'char': 'uint8', 'byte': 'uint8', 'octet': 'uint8'}.get(rest[0], rest[0])


def _inner(fields: list[Any]) -> list[str]:
    """Return the names of the messages that fields hold."""
    names = []
    for _, (kind, rest) in fields:
        if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, rest = rest[0]
        if kind == Nodetype.NAME:
            names.append(rest)
    return names


def _node(described: str) -> Any:
    """Translate a field type as message classes spell it: 'sequence<std_msgs/Header, 5>'."""
    match = _TYPE.fullmatch(described)
    assert match is not None
    if match['item']:
        return Nodetype.SEQUENCE, (_single(match['item']), int(match['most'] or 0))
    if match['size']:
        return Nodetype.ARRAY, (_single(match['single']), int(match['size']))
    return _single(match['single'])


def _single(described: str) -> Any:
    if '/' in described:
        parts = described.split('/')
        return Nodetype.NAME, '/'.join((parts[0], 'msg', parts[-1]))
    bounded = _BOUNDED_STRING.fullmatch(described)
    if bounded:
        return Nodetype.BASE, (bounded['base'], int(bounded['length']))
    return Nodetype.BASE, (_BASES.get(described, described), 0)
