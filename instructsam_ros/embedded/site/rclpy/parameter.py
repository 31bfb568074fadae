# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters: a name, a type and a value."""

from __future__ import annotations

import array
from enum import Enum
from typing import Any

import yaml
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue

PARAMETER_SEPARATOR_STRING = '.'
_SEQUENCES = (list, tuple, array.array)


class Parameter:
    """A parameter; without a type, the value says it."""

    class Type(Enum):
        """What a parameter can hold."""

        NOT_SET = ParameterType.PARAMETER_NOT_SET
        BOOL = ParameterType.PARAMETER_BOOL
        INTEGER = ParameterType.PARAMETER_INTEGER
        DOUBLE = ParameterType.PARAMETER_DOUBLE
        STRING = ParameterType.PARAMETER_STRING
        BYTE_ARRAY = ParameterType.PARAMETER_BYTE_ARRAY
        BOOL_ARRAY = ParameterType.PARAMETER_BOOL_ARRAY
        INTEGER_ARRAY = ParameterType.PARAMETER_INTEGER_ARRAY
        DOUBLE_ARRAY = ParameterType.PARAMETER_DOUBLE_ARRAY
        STRING_ARRAY = ParameterType.PARAMETER_STRING_ARRAY

        @classmethod
        def from_parameter_value(cls, parameter_value: Any) -> Parameter.Type:
            """Return the type of a Python value; an empty list is a BYTE_ARRAY.

            Raises:
                TypeError: A parameter cannot hold it.
            """
            if parameter_value is None:
                return cls.NOT_SET
            # booleans are whole numbers in Python, so they come first
            for python, name in _SCALARS:
                if isinstance(parameter_value, python):
                    return cls[name]
            if isinstance(parameter_value, _SEQUENCES):
                for python, name in _ELEMENTS:
                    if all(isinstance(value, python) for value in parameter_value):
                        return cls[f'{name}_ARRAY']
            raise TypeError(f'a parameter cannot hold {parameter_value!r}')

        def check(self, parameter_value: Any) -> bool:
            """Whether a Python value is of this type."""
            if self is Parameter.Type.NOT_SET:
                return parameter_value is None
            for python, name in _SCALARS:
                if self.name == name:
                    return isinstance(parameter_value, python)
            if not isinstance(parameter_value, _SEQUENCES):
                return False
            if self is Parameter.Type.BYTE_ARRAY:
                return all(isinstance(value, bytes) and len(value) == 1
                           for value in parameter_value)
            python = dict((name, kind) for kind, name in _ELEMENTS)[self.name[:-len('_ARRAY')]]
            return all(isinstance(value, python) for value in parameter_value)

    @classmethod
    def from_parameter_msg(cls, param_msg: Any) -> Parameter:
        """Return the parameter in an rcl_interfaces/Parameter message."""
        kind = Parameter.Type(value=param_msg.value.type)
        field = _FIELDS.get(kind)
        return cls(param_msg.name, kind, None if field is None else
                   getattr(param_msg.value, field))

    def __init__(self, name: str, type_: Parameter.Type | None = None, value: Any = None) -> None:
        """Make a parameter.

        Raises:
            TypeError: A parameter cannot hold the value, or type_ is no type.
            ValueError: Type and value do not agree.
        """
        if type_ is None:
            type_ = Parameter.Type.from_parameter_value(value)
        if not isinstance(type_, Parameter.Type):
            raise TypeError(f'type_ must be a {Parameter.Type!r}')
        if not type_.check(value):
            raise ValueError(f'{value!r} is not of type {type_}')
        self._type_ = type_
        self._name = name
        self._value = value

    @property
    def name(self) -> str:
        """The full name."""
        return self._name

    @property
    def type_(self) -> Parameter.Type:
        """What it holds."""
        return self._type_

    @property
    def value(self) -> Any:
        """The value, None if not set."""
        return self._value

    def get_parameter_value(self) -> Any:
        """Return the value as an rcl_interfaces/ParameterValue message."""
        message = ParameterValue(type=self._type_.value)
        field = _FIELDS.get(self._type_)
        if field is not None:
            setattr(message, field, self._value)
        return message

    def to_parameter_msg(self) -> Any:
        """Return the parameter as an rcl_interfaces/Parameter message."""
        return ParameterMsg(name=self._name, value=self.get_parameter_value())


_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, 'BOOL'), (int, 'INTEGER'), (float, 'DOUBLE'), (str, 'STRING'))
_ELEMENTS: tuple[tuple[type, str], ...] = (
    (bytes, 'BYTE'), (bool, 'BOOL'), (int, 'INTEGER'), (float, 'DOUBLE'), (str, 'STRING'))
_FIELDS: dict[Parameter.Type, str] = {
    kind: f'{kind.name.lower()}_value' for kind in Parameter.Type
    if kind is not Parameter.Type.NOT_SET}


def get_parameter_value(string_value: str) -> Any:
    """Return the rcl_interfaces/ParameterValue that a text stands for, as YAML reads it."""
    try:
        value = yaml.safe_load(string_value)
    except yaml.YAMLError:
        value = string_value
    if isinstance(value, list) and not value:
        # of all array types the first that an empty list fits
        return Parameter('', Parameter.Type.BOOL_ARRAY, value).get_parameter_value()
    if not isinstance(value, (bool, int, float, str, list)):
        value = string_value
    try:
        return Parameter('', None, value).get_parameter_value()
    except (TypeError, AssertionError):
        return Parameter('', None, string_value).get_parameter_value()


def parameter_value_to_python(parameter_value: Any) -> Any:
    """Return the Python value in an rcl_interfaces/ParameterValue, None if not set.

    Raises:
        RuntimeError: Its type is none of the known ones.
    """
    try:
        kind = Parameter.Type(parameter_value.type)
    except ValueError:
        raise RuntimeError(f'unexpected parameter type {parameter_value.type}') from None
    if kind is Parameter.Type.NOT_SET:
        return None
    value = getattr(parameter_value, _FIELDS[kind])
    return list(value) if kind.name.endswith('_ARRAY') else value


def parameter_dict_from_yaml_file(parameter_file: str, use_wildcard: bool = False,
                                  target_nodes: list[str] | None = None,
                                  namespace: str = '') -> dict[str, Any]:
    """Read a parameter file into rcl_interfaces/Parameter messages by parameter name.

    Args:
        parameter_file: The path.
        use_wildcard: Take the parameters under '/**' too; others come after and win.
        target_nodes: The nodes in the file to take; None or empty for all.
        namespace: Put before all parameter names.

    Raises:
        RuntimeError: A node is not in the file, or it is no parameter file.
    """
    with open(parameter_file, encoding='utf-8') as file:
        content = yaml.safe_load(file)
    if not isinstance(content, dict):
        raise RuntimeError(f'{parameter_file} is not a parameter file')
    keys = ['/**'] if use_wildcard and '/**' in content else []
    if target_nodes:
        missing = [node for node in target_nodes if node not in content]
        if missing:
            raise RuntimeError(f'{parameter_file} has no parameters for {missing[0]}, only for '
                               f'{", ".join(content)}')
        keys += target_nodes
    else:
        keys += [key for key in content if key != '/**']
    if not keys:
        raise RuntimeError(f'{parameter_file} has none of the wanted parameters')
    values: dict[str, Any] = {}
    for key in keys:
        entry = content[key]
        if not isinstance(entry, dict) or 'ros__parameters' not in entry:
            raise RuntimeError(f'{parameter_file} has no ros__parameters under {key}')
        values.update(entry['ros__parameters'])
    return _flatten(namespace, values)


def _flatten(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        full = f'{prefix}{name}'
        if isinstance(value, dict):
            found.update(_flatten(f'{full}{PARAMETER_SEPARATOR_STRING}', value))
        else:
            found[full] = ParameterMsg(name=full, value=get_parameter_value(str(value)))
    return found
