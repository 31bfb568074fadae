# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which messages and services there are, and what each is made of.

Names are full ones: 'sensor_msgs/msg/Image', 'std_srvs/srv/Trigger'; the halves of a service are
messages too: 'std_srvs/srv/Trigger_Request'.
"""

from __future__ import annotations

import functools
import site
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

from instructsam_ros.embedded.interfaces.declared_messages import DEFAULTS, MESSAGES
from instructsam_ros.embedded.interfaces.declared_services import SERVICES
from instructsam_ros.embedded.interfaces.definition import (
    Definition,
    Field,
    FieldType,
    parse_message,
    parse_service,
)

PACKAGE = 'instructsam_ros'
# The member that IDL demands in an empty struct; Python's message classes do not show it.
_FILLER = 'structure_needs_at_least_one_member'
_SOURCE = Path(__file__).resolve().parents[3]


class UnknownInterfaceError(LookupError):
    """No message or service of that name is known."""


@functools.cache
def message_names() -> frozenset[str]:
    """The full names of all messages, without the halves of services."""
    return frozenset([*_standard(), *MESSAGES, *_own('msg')])


@functools.cache
def service_names() -> frozenset[str]:
    """The full names of all services."""
    return frozenset([*SERVICES, *_own('srv')])


@functools.cache
def packages() -> dict[str, frozenset[str]]:
    """The packages and which of 'msg' and 'srv' each has."""
    found: dict[str, set[str]] = {}
    for name in (*message_names(), *service_names()):
        package, kind, _ = name.split('/')
        found.setdefault(package, set()).add(kind)
    return {package: frozenset(kinds) for package, kinds in found.items()}


@functools.cache
def definition(name: str) -> Definition:
    """Return what a message is made of.

    Args:
        name: 'package/msg/Name', or a half of a service: 'package/srv/Name_Request', '_Response'.

    Raises:
        UnknownInterfaceError: There is no such message.
        ValueError: Its file is broken; says where.
    """
    if name in MESSAGES:
        return parse_message(MESSAGES[name], name)
    if name in _own('msg'):
        return parse_message(_own('msg')[name].read_text(encoding='utf-8'), name)
    if name in _standard():
        return _from_store(name)
    service, _, half = name.rpartition('_')
    if service in service_names() and half in ('Request', 'Response'):
        text = SERVICES.get(service)
        if text is None:
            text = _own('srv')[service].read_text(encoding='utf-8')
        return parse_service(text, service)[half == 'Response']
    raise UnknownInterfaceError(
        f'no message {name!r} is known without ROS 2: only those of the standard packages, of '
        f"vision_msgs, of MoveIt's planning scene and of {PACKAGE}")


def interface_files() -> Path:
    """Return the folder that holds our own msg/ and srv/.

    Raises:
        FileNotFoundError: Neither in the source folder nor where pip installs them.
    """
    share = f'share/{PACKAGE}'
    candidates = [_SOURCE, Path(sysconfig.get_path('data')) / share, Path(sys.prefix) / share]
    if base := site.getuserbase():
        candidates.append(Path(base) / share)
    for folder in candidates:
        # package.xml tells our folder from any other called msg
        if (folder / 'package.xml').is_file() and (folder / 'msg').is_dir():
            return folder
    raise FileNotFoundError(
        f'the message definitions of {PACKAGE} are in none of '
        f'{", ".join(str(folder) for folder in candidates)}: install the package again')


@functools.cache
def _own(kind: str) -> dict[str, Path]:
    files = (interface_files() / kind).glob(f'*.{kind}')
    return {f'{PACKAGE}/{kind}/{path.stem}': path for path in files}


@functools.cache
def _standard() -> dict[str, Any]:
    from rosbags.typesys import Stores, get_typestore

    return dict(get_typestore(Stores.ROS2_JAZZY).fielddefs)


def _from_store(name: str) -> Definition:
    constants, fields = _standard()[name]
    defaults: dict[str, Any] = DEFAULTS.get(name, {})
    found = tuple(Field(field, _type(described)) for field, described in fields
                  if field != _FILLER)
    return Definition(
        name,
        tuple(replace(field, default=defaults.get(field.name)) for field in found),
        # the store holds numbers where Python's classes hold a byte as bytes
        {constant: bytes([value]) if base == 'byte' else value
         for constant, base, value in constants})


def _type(described: Any) -> FieldType:
    """Translate a type of rosbags: (node type, (base, length) or name or (element, size))."""
    node, rest = int(described[0]), described[1]
    if node in (3, 4):
        element = _type(rest[0])
        return replace(element, kind='array' if node == 3 else 'sequence', size=rest[1])
    if node == 2:
        return FieldType(rest)
    base, length = rest
    return FieldType('uint8' if base == 'char' else base, length=length)
