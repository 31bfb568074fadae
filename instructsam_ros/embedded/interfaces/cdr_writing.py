# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compiles the function that writes a message as CDR."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from instructsam_ros.embedded.interfaces.catalogue import definition
from instructsam_ros.embedded.interfaces.cdr_layout import CODES, Position
from instructsam_ros.embedded.interfaces.definition import Definition, Field

Writer = Callable[[Any, list[Any], int], int]
_PADDING = [bytes(count) for count in range(8)]


def compile_writer(made: Definition, aligned: bool = True) -> Writer:
    """Compile `write(message, parts, position) -> position`, which appends buffers to `parts`.

    Args:
        made: The message.
        aligned: The message begins at a multiple of 8.
    """
    return _Compiler(aligned).compile(made)


@functools.cache
def _element_writer(name: str) -> Writer:
    return compile_writer(definition(name), aligned=False)


def _check(items: Any, size: int, name: str) -> Any:
    if len(items) != size:
        raise ValueError(f'{name} needs {size} elements and has {len(items)}')
    return items


class _Compiler:
    def __init__(self, aligned: bool) -> None:
        self.lines: list[str] = []
        self.space: dict[str, Any] = {'PAD': _PADDING, 'check': _check,
                                      'contiguous': np.ascontiguousarray}
        self.formats = ''
        self.values: list[str] = []
        self.position = Position(8 if aligned else 1)
        self.count = 0

    def compile(self, made: Definition) -> Writer:
        self.message('m', made)
        self.flush()
        body = '\n'.join(f' {line}' for line in self.lines)
        exec(f'def write(m, parts, pos):\n{body}\n return pos', self.space)
        write: Writer = self.space['write']
        return write

    def name(self, value: Any = None) -> str:
        """Return a new name, bound to ``value`` in the compiled code if there is one."""
        self.count += 1
        name = f'n{self.count}'
        if value is not None:
            self.space[name] = value
        return name

    def number(self, code: str, size: int, value: str) -> None:
        self.align(size)
        self.formats += code
        self.values.append(value)
        self.position.advance(size)

    def align(self, size: int) -> None:
        padding = self.position.padding(size)
        if padding is None:
            self.flush()
            self.lines += [f'pad = -pos & {size - 1}', 'if pad:', ' parts.append(PAD[pad])',
                           ' pos += pad']
            self.position.aligned(size)
        else:
            self.formats += 'x' * padding
            self.position.advance(padding)

    def flush(self) -> None:
        if self.formats:
            packer = struct.Struct('<' + self.formats)
            self.lines += [f'parts.append({self.name(packer.pack)}({", ".join(self.values)}))',
                           f'pos += {packer.size}']
            self.formats, self.values = '', []

    def raw(self, buffer: str, size: str) -> None:
        """Append a whole buffer; what is known of the position afterwards is up to the caller."""
        self.flush()
        self.lines += [f'parts.append({buffer})', f'pos += {size}']

    def message(self, expression: str, made: Definition) -> None:
        if not made.fields:
            self.number('B', 1, '0')
        for field in made.fields:
            self.field(f'{expression}._{field.name}', field)

    def field(self, value: str, field: Field) -> None:
        kind = field.type
        if kind.kind != 'single':
            local = self.name()
            self.lines.append(f'{local} = {value}')
            if kind.kind == 'array':
                self.lines.append(f'check({local}, {kind.size}, {field.name!r})')
            else:
                self.number('I', 4, f'len({local})')
            self.elements(local, field)
        elif kind.is_message:
            local = self.name()
            self.lines.append(f'{local} = {value}')
            self.message(local, definition(kind.base))
        elif kind.base == 'string':
            local = self.name()
            self.lines.append(f"{local} = {value}.encode() + b'\\0'")
            self.number('I', 4, f'len({local})')
            self.raw(local, f'len({local})')
            self.position.aligned(1)
        else:
            self.number(*CODES[kind.base], value)

    def elements(self, local: str, field: Field) -> None:
        base, fixed = field.type.base, field.type.kind == 'array'
        if field.type.is_message:
            self.flush()
            write = self.name(_element_writer(base))
            self.lines.append(f'for item in {local}: pos = {write}(item, parts, pos)')
            self.position.aligned(1)
        elif base == 'string':
            self.flush()
            pack = self.name(struct.Struct('<I').pack)
            self.lines += [f'for item in {local}:',
                           " item = item.encode() + b'\\0'",
                           ' pad = -pos & 3',
                           f' parts += (PAD[pad], {pack}(len(item)), item)',
                           ' pos += pad + 4 + len(item)']
            self.position.aligned(1)
        elif base in ('bool', 'byte'):
            self.raw(f'bytes({local})' if base == 'bool' else f"b''.join({local})",
                     f'len({local})')
            self.position.aligned(1)
        else:
            self.numbers(local, CODES[base][1], fixed, field.type.size)

    def numbers(self, local: str, size: int, fixed: bool, count: int) -> None:
        if fixed:
            self.align(size)
            self.raw(f'contiguous({local})', str(count * size))
            self.position.advance(count * size)
            return
        self.flush()
        # an empty sequence is not padded to its elements' alignment
        if size > 4:
            self.lines += [f'if len({local}) and pos & 7:', ' parts.append(PAD[-pos & 7])',
                           ' pos += -pos & 7']
        self.raw(local, f'len({local}) * {size}')
        self.position.aligned(min(size, 4))
