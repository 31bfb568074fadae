# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reads texts with substitutions: ``$(var robot)/camera``.

The grammar is that of ROS 2's launch files: ``$(name argument …)``, arguments separated by one
space, in single or double quotes where they contain spaces, substitutions inside arguments, and
a backslash that takes any meaning from the character after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Template: TypeAlias = 'tuple[str | Call, ...]'

_NAME_CHARACTERS = frozenset('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-')


@dataclass(frozen=True)
class Call:
    """One substitution: its name and its arguments, each with substitutions of its own."""

    name: str
    arguments: tuple[Template, ...]


class TemplateError(ValueError):
    """A text that is no template; says why."""


def parse_template(text: str) -> Template:
    """Return the parts of a text. Raises TemplateError."""
    reader = _Reader(text)
    parts = reader.template(stop='')
    return parts


def has_substitution(template: Template) -> bool:
    """Whether anything is to be substituted."""
    return any(isinstance(part, Call) for part in template)


class _Reader:
    """A text and how far it is read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def template(self, stop: str) -> Template:
        """Read up to the end, or up to one of the characters in ``stop``."""
        parts: list[str | Call] = []
        plain: list[str] = []
        while self._at < len(self._text) and self._text[self._at] not in stop:
            if self._text.startswith('$(', self._at):
                if plain:
                    parts.append(''.join(plain))
                    plain.clear()
                parts.append(self._call(stop if len(stop) == 1 and stop in '\'"' else ''))
            else:
                plain.append(self._character())
        if plain:
            parts.append(''.join(plain))
        return tuple(parts)

    def _character(self) -> str:
        if self._text[self._at] == '\\' and self._at + 1 < len(self._text):
            self._at += 1
        self._at += 1
        return self._text[self._at - 1]

    def _call(self, quote: str) -> Call:
        """Read a substitution; inside of quotes, its own arguments have none of them."""
        begin = self._at
        self._at += 2
        name = ''
        while self._peek() and self._peek() in _NAME_CHARACTERS:
            name += self._peek()
            self._at += 1
        if not name:
            raise TemplateError(f"{self._text!r}: a name must follow '$('")
        arguments = []
        while self._peek() == ' ':
            self._at += 1
            arguments.append(self._argument(quote))
        if self._peek() != ')':
            where = self._text[begin : self._at + 1]
            raise TemplateError(f"{self._text!r}: ')' is missing, or quotes, after {where!r}")
        self._at += 1
        return Call(name, tuple(arguments))

    def _argument(self, quote: str) -> Template:
        first = self._peek()
        if not quote and first and first in '\'"':
            self._at += 1
            value = self.template(stop=first)
            if self._peek() != first:
                raise TemplateError(f'{self._text!r}: a closing {first} is missing')
            self._at += 1
            return value
        value = self.template(stop=' )(' + (quote or '\'"'))
        if not value:
            raise TemplateError(f'{self._text!r}: an argument is missing, or there are two spaces')
        return value

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]
