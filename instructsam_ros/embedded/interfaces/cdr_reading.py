# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compiles the function that reads a message from CDR."""

from __future__ import annotations

import functools
import struct
from array import array
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from instructsam_ros.embedded.interfaces.cdr_layout import CODES, Position
from instructsam_ros.embedded.interfaces.definition import Field
from instructsam_ros.embedded.interfaces.message import message_class
from instructsam_ros.embedded.interfaces.setters import TYPE_CODES

Order = Literal['<', '>']
Reader = Callable[[memoryview, int, int], tuple[Any, int]]


def compile_reader(cls: type[Any], order: Order, aligned: bool = True) -> Reader:
    """Compile `read(buffer, position, end) -> (message, position)`.

    The compiled function raises ValueError or struct.error if the data are cut short or hold
    lengths that cannot be.

    Args:
        cls: The message's class.
        order: '<' for little-endian data, '>' for big-endian.
        aligned: The message begins at a multiple of 8.
    """
    return _Compiler(order, aligned).compile(cls)


@functools.cache
def _element_reader(name: str, order: Order) -> Reader:
    return compile_reader(message_class(name), order, aligned=False)


def _short(count: int, rest: int) -> None:
    raise ValueError(f'{count} elements cannot be in {rest} bytes')


def _text(view: memoryview) -> str:
    """Decode a string as rosidl does: without its final zero, and odd bytes replaced."""
    text = str(view, 'utf-8', 'replace')
    return text[:-1] if text.endswith('\0') else text


class _Compiler:
    def __init__(self, order: Order, aligned: bool) -> None:
        self.order = order
        self.lines: list[str] = []
        self.space: dict[str, Any] = {
            'array': array, 'frombuffer': np.frombuffer, 'short': _short, 'text': _text}
        self.formats = ''
        self.targets: list[str] = []
        self.position = Position(8 if aligned else 1)
        self.count = 0

    def compile(self, cls: type[Any]) -> Reader:
        target = self.message(cls)
        self.flush()
        body = '\n'.join(f' {line}' for line in self.lines)
        exec(f'def read(buf, pos, end):\n{body}\n return {target}, pos', self.space)
        read: Reader = self.space['read']
        return read

    def name(self, value: Any = None) -> str:
        """Return a new name, bound to ``value`` in the compiled code if there is one."""
        self.count += 1
        name = f'n{self.count}'
        if value is not None:
            self.space[name] = value
        return name

    def number(self, code: str, size: int, target: str) -> None:
        self.align(size)
        self.formats += code
        self.targets.append(target)
        self.position.advance(size)

    def align(self, size: int) -> None:
        padding = self.position.padding(size)
        if padding is None:
            self.flush()
            self.lines.append(f'pos += -pos & {size - 1}')
            self.position.aligned(size)
        else:
            self.formats += 'x' * padding
            self.position.advance(padding)

    def flush(self) -> None:
        if self.formats:
            unpacker = struct.Struct(self.order + self.formats)
            if self.targets:
                unpack = self.name(unpacker.unpack_from)
                self.lines.append(f'{", ".join(self.targets)}, = {unpack}(buf, pos)')
            self.lines.append(f'pos += {unpacker.size}')
            self.formats, self.targets = '', []

    def message(self, cls: type[Any]) -> str:
        target = self.name()
        made = self.name(cls)
        self.lines.append(f'{target} = {made}.__new__({made})')
        if not cls._definition.fields:
            self.number('B', 1, '_')
        for field in cls._definition.fields:
            self.field(f'{target}._{field.name}', field)
        return target

    def field(self, target: str, field: Field) -> None:
        kind = field.type
        if kind.kind == 'array':
            self.elements(target, field, str(kind.size))
        elif kind.kind == 'sequence':
            count = self.name()
            self.number('I', 4, count)
            self.flush()
            self.elements(target, field, count)
        elif kind.is_message:
            inner = self.message(message_class(kind.base))
            self.lines.append(f'{target} = {inner}')
        elif kind.base == 'string':
            length = self.name()
            self.number('I', 4, length)
            self.flush()
            self.lines += [f'if {length} > end - pos: short({length}, end - pos)',
                           f'{target} = text(buf[pos:pos + {length}])', f'pos += {length}']
            self.position.aligned(1)
        else:
            self.number(*CODES[kind.base], target)

    def elements(self, target: str, field: Field, count: str) -> None:
        base = field.type.base
        if base in TYPE_CODES:
            self.numbers(target, field, count)
            return
        self.flush()
        # every element takes at least one byte
        self.lines += [f'if {count} > end - pos: short({count}, end - pos)']
        if base == 'bool':
            self.lines += [f'{target} = list(map(bool, buf[pos:pos + {count}]))',
                           f'pos += {count}']
        elif base == 'byte':
            self.lines += [f'{target} = [bytes((item,)) for item in buf[pos:pos + {count}]]',
                           f'pos += {count}']
        else:
            items = self.name()
            self.lines += [f'{items} = []', f'for _ in range({count}):']
            if base == 'string':
                unpack = self.name(struct.Struct(f'{self.order}I').unpack_from)
                self.lines += [' pos += -pos & 3', f' size, = {unpack}(buf, pos)', ' pos += 4',
                               ' if size > end - pos: short(size, end - pos)',
                               f' {items}.append(text(buf[pos:pos + size]))', ' pos += size']
            else:
                read = self.name(_element_reader(base, self.order))
                self.lines += [f' item, pos = {read}(buf, pos, end)', f' {items}.append(item)']
            self.lines.append(f'{target} = {items}')
        self.position.aligned(1)

    def numbers(self, target: str, field: Field, count: str) -> None:
        base = field.type.base
        size = CODES[base][1]
        if field.type.kind == 'array':
            self.align(size)
            self.flush()
            kind = np.dtype(base).newbyteorder(self.order)
            # a copy: the message owns its memory, in the machine's byte order
            self.lines += [f'{target} = frombuffer(buf, {self.name(kind)}, {count}, pos)'
                           f'.astype({base!r})', f'pos += {count} * {size}']
            self.position.advance(field.type.size * size)
            return
        if size > 4:
            self.lines.append(f'if {count}: pos += -pos & 7')
        self.lines += [
            f'if {count} * {size} > end - pos: short({count}, end - pos)',
            f'items = array({TYPE_CODES[base]!r})',
            f'items.frombytes(buf[pos:pos + {count} * {size}])',
            *(['items.byteswap()'] if self.order == '>' else []),
            f'{target} = items', f'pos += {count} * {size}']
        self.position.aligned(min(size, 4))
