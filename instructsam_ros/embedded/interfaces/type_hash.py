# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Type hashes after REP-2016 (version 1): equal definitions have equal hashes on every robot."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

from instructsam_ros.embedded.interfaces.catalogue import definition, service_names
from instructsam_ros.embedded.interfaces.definition import Definition, Field, FieldType

_NUMBERS = {
    'message': 1, 'int8': 2, 'uint8': 3, 'int16': 4, 'uint16': 5, 'int32': 6, 'uint32': 7,
    'int64': 8, 'uint64': 9, 'float32': 10, 'float64': 11, 'bool': 15, 'byte': 16, 'string': 17}
_BOUNDED_STRING = 21
_ARRAY, _BOUNDED, _UNBOUNDED = 48, 96, 144


@functools.cache
def type_hash(name: str) -> str:
    """Return 'RIHS01_' and 64 hexadecimal digits for a message, a service or a half of one.

    Raises:
        UnknownInterfaceError: There is no such interface.
    """
    described: dict[str, dict[str, Any]] = {}
    _describe(name, described)
    own = described.pop(name)
    whole = {'type_description': own,
             'referenced_type_descriptions': [described[key] for key in sorted(described)]}
    # the separators are part of what is hashed
    text = json.dumps(whole, separators=(', ', ': '))
    return f'RIHS01_{hashlib.sha256(text.encode()).hexdigest()}'


def _describe(name: str, described: dict[str, dict[str, Any]]) -> None:
    if name in described:
        return
    found = _definition(name)
    fields = found.fields or (Field('structure_needs_at_least_one_member', FieldType('uint8')),)
    described[name] = {'type_name': name, 'fields': [_field(field) for field in fields]}
    for field in fields:
        if field.type.is_message:
            _describe(field.type.base, described)


def _definition(name: str) -> Definition:
    """A message as it is; a service and its event as the structs that the hash sees."""
    if name in service_names():
        return Definition(name, tuple(
            Field(f'{part}_message', FieldType(f'{name}_{part.title()}'))
            for part in ('request', 'response', 'event')))
    service, _, half = name.rpartition('_')
    if half == 'Event' and service in service_names():
        return Definition(name, (
            Field('info', FieldType('service_msgs/msg/ServiceEventInfo')),
            Field('request', FieldType(f'{service}_Request', 'sequence', 1)),
            Field('response', FieldType(f'{service}_Response', 'sequence', 1))))
    return definition(name)


def _field(field: Field) -> dict[str, Any]:
    kind = field.type
    number = _NUMBERS['message' if kind.is_message else kind.base]
    if kind.length:
        number = _BOUNDED_STRING
    if kind.kind == 'array':
        number += _ARRAY
    elif kind.kind == 'sequence':
        number += _BOUNDED if kind.size else _UNBOUNDED
    return {'name': field.name,
            'type': {'type_id': number, 'capacity': kind.size, 'string_capacity': kind.length,
                     'nested_type_name': kind.base if kind.is_message else ''}}
