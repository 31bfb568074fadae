# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading the message language: .msg and .srv files."""

from __future__ import annotations

import keyword
import string
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import get_types_from_msg

from instructsam_ros.embedded.interfaces import (
    deserialize,
    message_class,
    serialize,
)
from instructsam_ros.embedded.interfaces.declared_messages import MESSAGES
from instructsam_ros.embedded.interfaces.definition import (
    PRIMITIVES,
    FieldType,
    parse_message,
    parse_service,
)

FIELD_NAMES = st.from_regex(r'[a-z]([a-z0-9]){0,8}', fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name))
KINDS = st.builds(
    FieldType, st.sampled_from([*PRIMITIVES, 'std_msgs/msg/Header', 'a_package/msg/Thing']),
    st.sampled_from(['single', 'array', 'sequence']), st.integers(0, 9))


def spelt(kind: FieldType) -> str:
    base = kind.base.replace('/msg/', '/')
    if kind.kind == 'single':
        return base
    if kind.kind == 'array':
        return f'{base}[{kind.size or 1}]'
    return f'{base}[<={kind.size}]' if kind.size else f'{base}[]'


@settings(deadline=None)
@given(st.lists(st.tuples(FIELD_NAMES, KINDS), unique_by=lambda item: item[0], max_size=8),
       st.sampled_from(['', '  ', '\t']), st.sampled_from(['', ' # what it is', '#x']))
def test_definitions_are_read_as_rosbags_reads_them(
        fields: list[tuple[str, FieldType]], space: str, comment: str) -> None:
    text = '\n'.join(['# a comment', '', *(f'{space}{spelt(kind)}  {name}{comment}'
                                           for name, kind in fields)])
    made = parse_message(text, 'a_package/msg/Own')
    assert [field.name for field in made.fields] == [name for name, _ in fields]
    for field, (_, kind) in zip(made.fields, fields, strict=True):
        assert field.type.base == kind.base and field.type.kind == kind.kind
    described = get_types_from_msg(text, 'a_package/msg/Own')['a_package/msg/Own'][1]
    assert [name for name, _ in described] in (
        [name for name, _ in fields], ['structure_needs_at_least_one_member'])


def test_constants_and_defaults() -> None:
    made = parse_message('\n'.join((
        'uint8 MANY=0x10 # hex', 'int32 LESS = -3', 'float32 HALF=0.5', 'string NAME=a b # c',
        "string QUOTED='it # is'", 'bool YES=true', 'byte RAW=255', 'float64 x 2',
        'string greeting "hello"', 'int16[] some [1, -2]', 'bool[2] flags [true, False]',
        'string<=5 short', 'string<=5[<=3] shorts', 'char letter 65', 'time stamp')),
        'a/msg/B')
    assert made.constants == {
        'MANY': 16, 'LESS': -3, 'HALF': 0.5, 'NAME': 'a b', 'QUOTED': 'it # is', 'YES': True,
        'RAW': b'\xff'}
    fields = {field.name: field for field in made.fields}
    assert (fields['x'].default, fields['greeting'].default) == (2.0, 'hello')
    assert fields['some'].default == [1, -2] and fields['flags'].default == [True, False]
    assert fields['short'].type == FieldType('string', length=5)
    assert fields['shorts'].type == FieldType('string', 'sequence', 3, 5)
    assert fields['letter'].type.base == 'uint8'
    assert fields['stamp'].type.base == 'builtin_interfaces/msg/Time'


@pytest.mark.parametrize('line', [
    'uint8', 'uint8 2x', 'uint9 x', 'uint8[0] x', 'uint8[<=0] x', 'uint8<=3 x', 'uint8 X=256',
    'uint8 X=', 'float32 x abc', 'bool b 2', 'int8[] x 3', 'int8[] x [1, 200]', 'uint8 x y z',
    'std_msgs/Header h 3', 'Header H=3', 'int8 x 1.5', 'string[] x ["a", 1]', '=', '[] x',
    'uint8 lambda', 'uint8 X=__import__("os")'])
def test_a_broken_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r'a/msg/B, line 2: '):
        parse_message(f'uint8 fine\n{line}', 'a/msg/B')


def test_fields_may_have_any_name_that_is_no_word_of_the_language() -> None:
    names = 'self args kwargs unknown missing array zeros copy list m pos buf parts end item pad'
    text = '\n'.join(f'int32[] {name}' for name in names.split())
    MESSAGES['odd_msgs/msg/Names'] = text
    try:
        made = message_class('odd_msgs/msg/Names')
        message = made(**{name: [index] for index, name in enumerate(names.split())})
        assert deserialize(serialize(message), made) == message
        assert (list(message.array), list(message.pad), made().self) == ([5], [15], array('i'))
    finally:
        del MESSAGES['odd_msgs/msg/Names']


def test_a_name_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match='twice'):
        parse_message('uint8 x\nint8 x', 'a/msg/B')


def test_a_service_has_two_halves() -> None:
    request, response = parse_service('uint8 a\n---  \nuint8 b', 'a/srv/S')
    assert (request.name, response.name) == ('a/srv/S_Request', 'a/srv/S_Response')
    for text in ('uint8 a', '---\n---', '# ---'):
        with pytest.raises(ValueError, match='two halves'):
            parse_service(text, 'a/srv/S')


@settings(deadline=None)
@given(st.text(string.printable, max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_message(text, 'a/msg/B')
    except ValueError as error:
        assert 'a/msg/B' in str(error)
