# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Checked assignment to the fields of messages, one kind of setter per kind of field.

A wrong value raises AssertionError with the field's name, as rosidl's classes do when their checks
are on; also under `python -O`.
"""

from __future__ import annotations

import math
from array import array
from collections import UserList
from collections.abc import Callable, Collection, Sequence, Set
from typing import Any

import numpy as np

from instructsam_ros.embedded.interfaces.definition import INTEGERS, Field

Setter = Callable[[Any, Any], None]

TYPE_CODES = {
    'int8': 'b', 'uint8': 'B', 'int16': 'h', 'uint16': 'H', 'int32': 'i', 'uint32': 'I',
    'int64': 'q', 'uint64': 'Q', 'float32': 'f', 'float64': 'd'}
_LARGEST_SINGLE = float(np.finfo(np.float32).max)
_PYTHON = {**dict.fromkeys(INTEGERS, int), 'float32': float, 'float64': float, 'bool': bool,
           'string': str}


def make_setter(field: Field, store: Setter, element: type | None) -> Setter:
    """Return the setter of a field.

    Args:
        field: The field.
        store: Stores a value in a message without any check.
        element: The class of the field's value or elements if they are messages.
    """
    if field.type.kind == 'single':
        return _single(field, store, element)
    if field.type.base in TYPE_CODES:
        numbers = _fixed_numbers if field.type.kind == 'array' else _numbers
        return numbers(field, store)
    return _items(field, store, element)


def _single(field: Field, store: Setter, element: type | None) -> Setter:
    base, length = field.type.base, field.type.length
    valid: Callable[[Any], bool]
    if element is not None:
        kind = element
        needed = f"a message of type '{field.type.base}'"

        def valid(value: Any) -> bool:
            return isinstance(value, kind)
    elif base in INTEGERS:
        low, high = INTEGERS[base]
        needed = f"an 'int' from {low} to {high}"

        def valid(value: Any) -> bool:
            return isinstance(value, int) and low <= value <= high
    elif base == 'float32':
        bound = _LARGEST_SINGLE
        needed = f"a 'float' within single precision, up to {bound:g}"

        def valid(value: Any) -> bool:
            # infinite and NaN are float32 values
            return isinstance(value, float) and (
                not (value < -bound or value > bound) or value - value != 0)
    elif base == 'byte':
        needed = "'bytes' of length 1"

        def valid(value: Any) -> bool:
            return isinstance(value, (bytes, bytearray)) and len(value) == 1
    elif length:
        needed = f"a 'str' of at most {length} characters"

        def valid(value: Any) -> bool:
            return isinstance(value, str) and len(value) <= length
    else:
        python = _PYTHON[base]
        needed = f"of type '{python.__name__}'"

        def valid(value: Any) -> bool:
            return isinstance(value, python)

    def set_single(message: Any, value: Any) -> None:
        if not valid(value):
            raise _wrong(field, needed, value)
        store(message, value)

    return set_single


def _numbers(field: Field, store: Setter) -> Setter:
    """An array.array is kept as it is; anything else is copied into one."""
    base, limit = field.type.base, field.type.size
    code = TYPE_CODES[base]
    needed = f"an array.array of type code '{code}' or a sequence of {base}"
    if limit:
        needed += f' with at most {limit} elements'

    def set_numbers(message: Any, value: Any) -> None:
        if type(value) is array and value.typecode == code:
            converted = value
        else:
            converted = array(code)
            try:
                _fill(converted, value, base)
            except (TypeError, ValueError, OverflowError):
                raise _wrong(field, needed, value) from None
        if limit and len(converted) > limit:
            raise _wrong(field, needed, value)
        store(message, converted)

    return set_numbers


def _fill(target: array[Any], value: Any, base: str) -> None:
    """Append numbers of any kind of sequence; TypeError, ValueError or OverflowError if wrong."""
    if isinstance(value, np.ndarray):
        target.frombytes(np.ascontiguousarray(_cast(value, base)).data.cast('B'))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        view = memoryview(value)
        # raw bytes are numbers for uint8 only
        if view.format not in (target.typecode, 'B') or target.typecode != 'B':
            raise TypeError
        target.frombytes(view.cast('B') if view.contiguous else view.tobytes())
    else:
        items = _collection(value)
        wanted = _PYTHON[base]
        if not all(issubclass(kind, wanted) for kind in set(map(type, items))):
            raise TypeError
        target.extend(items)
        # a double too large becomes an infinite float without a word
        if base == 'float32' and np.isinf(target).sum() != sum(map(math.isinf, items)):
            raise OverflowError


def _cast(value: np.ndarray, base: str) -> np.ndarray:
    dtype = np.dtype(base)
    if value.ndim != 1:
        raise ValueError
    if value.dtype == dtype:
        return value
    if dtype.kind == 'f':
        if value.dtype.kind != 'f':
            raise TypeError
        return value.astype(dtype)
    if value.dtype.kind not in 'iu':
        raise TypeError
    low, high = INTEGERS[base]
    if value.size and not (low <= int(value.min()) and int(value.max()) <= high):
        raise OverflowError
    return value.astype(dtype)


def _fixed_numbers(field: Field, store: Setter) -> Setter:
    base, size = field.type.base, field.type.size
    dtype = np.dtype(base)
    needed = f'a numpy.ndarray of shape ({size},) and dtype {base}, or a sequence of {size} {base}'

    def set_fixed(message: Any, value: Any) -> None:
        if isinstance(value, np.ndarray):
            if value.dtype != dtype or value.shape != (size,):
                raise _wrong(field, needed, f'{value.dtype} of shape {value.shape}')
            store(message, value)
            return
        numbers = array(TYPE_CODES[base])
        try:
            _fill(numbers, value, base)
        except (TypeError, ValueError, OverflowError):
            raise _wrong(field, needed, value) from None
        if len(numbers) != size:
            raise _wrong(field, needed, value)
        store(message, np.array(numbers, dtype=dtype))

    return set_fixed


def _items(field: Field, store: Setter, element: type | None) -> Setter:
    """Messages, strings, booleans and bytes are kept in lists; a list is kept as it is."""
    base, size, length = field.type.base, field.type.size, field.type.length
    wanted: type = element or (bytes if base == 'byte' else _PYTHON[base])
    fixed = field.type.kind == 'array'
    needed = f"a list of '{base}'"
    if size:
        needed += f' with {"" if fixed else "at most "}{size} elements'
    if length:
        needed += f', each of at most {length} characters'
    longest = length or (1 if base == 'byte' else 0)

    def set_items(message: Any, value: Any) -> None:
        try:
            items = value if type(value) is list else list(_collection(value))
        except TypeError:
            raise _wrong(field, needed, value) from None
        kinds = set(map(type, items))
        if not kinds <= {wanted} and not all(issubclass(kind, wanted) for kind in kinds):
            raise _wrong(field, needed, value)
        if size and (len(items) != size if fixed else len(items) > size):
            raise _wrong(field, needed, value)
        if longest and any(len(item) > longest or (base == 'byte' and not item)
                           for item in items):
            raise _wrong(field, needed, value)
        store(message, items)

    return set_items


def _collection(value: Any) -> Collection[Any]:
    if isinstance(value, (Sequence, Set, UserList, array)) and not isinstance(
            value, (str, bytes, bytearray)):
        return value
    raise TypeError


def _wrong(field: Field, needed: str, value: Any) -> AssertionError:
    given = repr(value)
    if len(given) > 60:
        given = f'{given[:57]}…'
    return AssertionError(
        f"The '{field.name}' field must be {needed}, not {given} ({type(value).__name__})")
