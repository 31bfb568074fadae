# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS arguments of a command line: `… --ros-args -r a:=b -p name:=value … [--] …`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy._names import expand
from rclpy._parameter_yaml import parse_value, read_parameter_file
from rclpy._rclpy_pybind11 import RCLInvalidROSArgsError
from rclpy.impl.logging_severity import LoggingSeverity

_TOKEN = r'[A-Za-z_][A-Za-z0-9_]*'
_RULE = re.compile(
    rf'(?:(?P<node>{_TOKEN}):(?![=/]))?(?P<match>.+?):=(?P<replacement>.+)', re.DOTALL)
_NAME = re.compile(rf'(?:~/|/)?{_TOKEN}(?:/{_TOKEN})*')
_PARAMETER = re.compile(
    rf'(?:(?P<node>{_TOKEN}):(?!=))?(?P<name>[^:\s]+?):=(?P<value>.*)', re.DOTALL)
_LOG_SWITCHES = ('stdout-logs', 'rosout-logs', 'external-lib-logs')


@dataclass(frozen=True)
class Remap:
    """A remapping rule; ``kind`` is 'topic', 'service', 'both', 'node' or 'namespace'."""

    kind: str
    match: str
    replacement: str
    node: str | None = None


@dataclass
class RosArguments:
    """What the ROS arguments of a command line say.

    ``parameters`` maps patterns of node names ('/**', '/ns/node', …) to values by parameter
    name, in the order in which the patterns were first seen.
    """

    remaps: list[Remap] = field(default_factory=list)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    log_levels: dict[str, LoggingSeverity] = field(default_factory=dict)
    stdout_logs: bool = True
    rosout_logs: bool = True
    unknown: list[str] = field(default_factory=list)

    def remap_name(self, kind: str, name: str, node: str, namespace: str) -> str | None:
        """Return what the first matching rule makes of a full name, or None.

        Args:
            kind: 'topic' or 'service'.
            name: The full name.
            node: The node's name.
            namespace: The node's namespace.
        """
        for rule in self.remaps:
            if rule.kind in (kind, 'both') and rule.node in (None, node) and \
                    expand(rule.match, node, namespace) == name:
                return expand(rule.replacement, node, namespace)
        return None

    def remap_node(self, kind: str, node: str) -> str | None:
        """Return the node's new name (kind 'node') or namespace ('namespace'), or None."""
        for rule in self.remaps:
            if rule.kind == kind and rule.node in (None, node):
                return rule.replacement
        return None

    def parameters_of(self, node: str) -> dict[str, Any]:
        """Return the values for a node, given by its full name."""
        found: dict[str, Any] = {}
        for pattern, values in self.parameters.items():
            # '/*' is one part of a name, '/**' any number of them
            full = pattern if pattern.startswith('/') else f'/{pattern}'
            if re.fullmatch(full.replace('/*', r'(/\w+)'), node):
                found.update(values)
        return found


def parse_arguments(args: Sequence[str]) -> RosArguments:
    """Read the ROS arguments among the arguments of a command line.

    Raises:
        RCLInvalidROSArgsError: A rule, parameter, file or level is wrong; says which.
    """
    result = RosArguments()
    for section in _sections(args):
        words = iter(section)
        for word in words:
            _parse_one(word, words, result)
    return result


def without_ros_arguments(args: Sequence[str]) -> list[str]:
    """Return the arguments outside the ROS sections."""
    kept: list[str] = []
    inside = False
    for arg in args:
        if not inside and arg != '--ros-args':
            kept.append(arg)
        elif arg == '--ros-args':
            inside = True
        elif arg == '--':
            inside = False
    return kept


def _sections(args: Sequence[str]) -> Iterator[list[str]]:
    section: list[str] | None = None
    for arg in args:
        if not isinstance(arg, str):
            raise TypeError(f'arguments must be strings, not {arg!r}')
        if arg == '--ros-args':
            section = [] if section is None else section
        elif section is not None and arg == '--':
            yield section
            section = None
        elif section is not None:
            section.append(arg)
    if section is not None:
        yield section


def _parse_one(word: str, rest: Iterator[str], result: RosArguments) -> None:
    def value() -> str:
        try:
            return next(rest)
        except StopIteration:
            raise RCLInvalidROSArgsError(f'{word} needs a value') from None

    if word in ('-r', '--remap'):
        result.remaps.append(parse_remap(value()))
    elif word in ('-p', '--param'):
        _parse_parameter(value(), result)
    elif word == '--params-file':
        path = value()
        try:
            found = read_parameter_file(path)
        except (OSError, ValueError) as error:
            raise RCLInvalidROSArgsError(f'{word} {path}: {error}') from error
        for node, values in found.items():
            result.parameters.setdefault(node, {}).update(values)
    elif word == '--log-level':
        _parse_log_level(value(), result)
    elif word in ('-e', '--enclave'):
        if value() != '/':
            raise NotImplementedError(f'{word}: security enclaves')
    elif word in ('--log-config-file', '--log-file-name'):
        raise NotImplementedError(f'{word}: logs go to the console and to /rosout only')
    elif word[:9] == '--enable-' and word[9:] in _LOG_SWITCHES:
        _switch(result, word[9:], True)
    elif word[:10] == '--disable-' and word[10:] in _LOG_SWITCHES:
        _switch(result, word[10:], False)
    else:
        result.unknown.append(word)


def _switch(result: RosArguments, name: str, on: bool) -> None:
    # there are no log files, so there is nothing to switch for external-lib-logs
    if name == 'stdout-logs':
        result.stdout_logs = on
    elif name == 'rosout-logs':
        result.rosout_logs = on


def parse_remap(rule: str) -> Remap:
    """Read a rule such as 'image:=/camera/color', 'node:a:=b', '__ns:=/robot'.

    Raises:
        RCLInvalidROSArgsError: No such rule.
    """
    found = _RULE.fullmatch(rule)
    if found is None:
        raise RCLInvalidROSArgsError(f'not a remapping rule of the form from:=to: {rule!r}')
    node, match, replacement = found['node'], found['match'], found['replacement']
    if match in ('__node', '__name'):
        if not re.fullmatch(_TOKEN, replacement):
            raise RCLInvalidROSArgsError(f'{replacement!r} is no node name: {rule!r}')
        return Remap('node', '', replacement, node)
    if match == '__ns':
        if not re.fullmatch(rf'/|(?:/{_TOKEN})+', replacement):
            raise RCLInvalidROSArgsError(f'{replacement!r} is no full namespace: {rule!r}')
        return Remap('namespace', '', replacement, node)
    kind = 'both'
    for scheme, scheme_kind in (('rostopic://', 'topic'), ('rosservice://', 'service')):
        if match.startswith(scheme):
            kind, match = scheme_kind, match[len(scheme):]
    for name in (match, replacement):
        if not _NAME.fullmatch(name):
            raise RCLInvalidROSArgsError(f'{name!r} is no topic or service name: {rule!r}')
    return Remap(kind, match, replacement, node)


def _parse_parameter(rule: str, result: RosArguments) -> None:
    found = _PARAMETER.fullmatch(rule)
    if found is None:
        raise RCLInvalidROSArgsError(f'not a parameter of the form name:=value: {rule!r}')
    try:
        value = parse_value(found['value'])
    except ValueError as error:
        raise RCLInvalidROSArgsError(f'{rule!r}: {error}') from error
    node = found['node']
    result.parameters.setdefault(f'/{node}' if node else '/**', {})[found['name']] = value


def _parse_log_level(rule: str, result: RosArguments) -> None:
    name, _, level = rule.rpartition(':=')
    try:
        result.log_levels[name] = LoggingSeverity[level.upper()]
    except KeyError:
        raise RCLInvalidROSArgsError(
            f'{level!r} is no log level (debug, info, warn, error, fatal): {rule!r}') from None
