# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of nodes, namespaces, topics and services: what is valid, and full names."""

from __future__ import annotations

import re

_TOKEN = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_LONGEST_NODE_NAME = 255
_LONGEST_NAME = 247
_LONGEST_NAMESPACE = 245
_SUBSTITUTIONS = ('node', 'ns', 'namespace')

Problem = tuple[str, int]


def node_name_problem(name: str) -> Problem | None:
    """Return what is wrong with a node name and where, or None."""
    if not name:
        return 'a node name must not be empty', 0
    for index, letter in enumerate(name):
        if not _is_word(letter):
            return 'a node name has letters (a-z, A-Z), digits and underscores only', index
    if name[0].isdigit():
        return 'a node name must not start with a digit', 0
    if len(name) > _LONGEST_NODE_NAME:
        return f'a node name has at most {_LONGEST_NODE_NAME} characters', _LONGEST_NODE_NAME - 1
    return None


def namespace_problem(name: str) -> Problem | None:
    """Return what is wrong with a full namespace and where, or None."""
    if name == '/':
        return None
    return _full_problem(name, 'a namespace', _LONGEST_NAMESPACE)


def full_name_problem(name: str) -> Problem | None:
    """Return what is wrong with a full topic or service name and where, or None."""
    return _full_problem(name, 'a name', _LONGEST_NAME)


def _full_problem(name: str, what: str, longest: int) -> Problem | None:
    if not name:
        return f'{what} must not be empty', 0
    if name[0] != '/':
        return f'{what} must start with a slash', 0
    if name[-1] == '/':
        return f'{what} must not end with a slash', len(name) - 1
    for index, letter in enumerate(name):
        if not (_is_word(letter) or letter == '/'):
            return f'{what} has letters (a-z, A-Z), digits, underscores and slashes only', index
    problem = _parts_problem(name, what)
    if problem is None and len(name) > longest:
        return f'{what} has at most {longest} characters', longest - 1
    return problem


def topic_name_problem(name: str) -> Problem | None:
    """Return what is wrong with a topic or service name, full or not, and where, or None."""
    if not name:
        return 'a name must not be empty', 0
    if name[0].isdigit():
        return 'no part of a name may start with a digit', 0
    if name[-1] == '/':
        return 'a name must not end with a slash', len(name) - 1
    index = 0
    while index < len(name):
        letter = name[index]
        if letter == '~':
            if index != 0:
                return "'~' stands at the start of a name only", index
            if len(name) > 1 and name[1] != '/':
                return "'~' must be followed by a slash", 1
        elif letter == '{':
            end = name.find('}', index)
            inner = name[index + 1:end] if end > 0 else ''
            if end < 0:
                return "'{' is not closed", index
            if not _TOKEN.fullmatch(inner):
                return 'between braces stand letters, digits and underscores only', index
            index = end
        elif not (_is_word(letter) or letter == '/'):
            return ("a name has letters (a-z, A-Z), digits, underscores, slashes, '~' and "
                    'braces only'), index
        index += 1
    return _parts_problem(name, 'a name')


def _parts_problem(name: str, what: str) -> Problem | None:
    for found in re.finditer(r'/[0-9]', name):
        return f'no part of {what} may start with a digit', found.start() + 1
    if '//' in name:
        return f'{what} must not have two slashes in a row', name.index('//') + 1
    return None


def _is_word(letter: str) -> bool:
    return letter == '_' or (letter.isascii() and letter.isalnum())


def expand(name: str, node: str, namespace: str) -> str:
    """Return a topic or service name as a full name, '~' and braces filled in.

    Raises:
        ValueError: An invalid name, or an unknown word between braces.
    """
    problem = topic_name_problem(name)
    if problem is not None:
        raise ValueError(f'topic name is invalid: {name!r}: {problem[0]}')
    problem = node_name_problem(node)
    if problem is not None:
        raise ValueError(f'node name is invalid: {node!r}: {problem[0]}')
    problem = namespace_problem(namespace)
    if problem is not None:
        raise ValueError(f'node namespace is invalid: {namespace!r}: {problem[0]}')
    base = '' if namespace == '/' else namespace

    def fill(found: re.Match[str]) -> str:
        word = found[1]
        if word not in _SUBSTITUTIONS:
            raise ValueError(f'unknown substitution {{{word}}} in {name!r}')
        return node if word == 'node' else namespace

    name = re.sub(r'\{(\w+)\}', fill, name)
    if name.startswith('~'):
        return f'{base}/{node}{name[1:]}'
    return name if name.startswith('/') else f'{base}/{name}'
