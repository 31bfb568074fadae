# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exceptions of rclpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rclpy._rclpy_pybind11 import InvalidHandle as InvalidHandle

if TYPE_CHECKING:
    from rclpy.parameter import Parameter


class NotInitializedException(Exception):  # noqa: N818 (rclpy's names, here and below)
    """Raised when something needs `rclpy.init()` and it has not been called."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__('rclpy.init() has not been called' + (f': {message}' if message else ''))


class NoTypeSupportImportedException(Exception):  # noqa: N818
    """Raised when a type has no type support."""

    def __init__(self) -> None:
        super().__init__('no type support')


class NameValidationException(Exception):  # noqa: N818
    """Raised when a topic, service or node name or a namespace is invalid."""

    def __init__(self, name_type: str, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__(
            f"Invalid {name_type}: {error_msg}:\n  '{name}'\n   {' ' * invalid_index}^")


class InvalidNamespaceException(NameValidationException):
    """Raised when a namespace is invalid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__('namespace', name, error_msg, invalid_index)


class InvalidNodeNameException(NameValidationException):
    """Raised when a node name is invalid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__('node name', name, error_msg, invalid_index)


class InvalidTopicNameException(NameValidationException):
    """Raised when a topic name is invalid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__('topic name', name, error_msg, invalid_index)


class InvalidServiceNameException(NameValidationException):
    """Raised when a service name is invalid."""

    def __init__(self, name: str, error_msg: str, invalid_index: int) -> None:
        super().__init__('service name', name, error_msg, invalid_index)


class ParameterException(Exception):  # noqa: N818
    """Base of all errors about parameters."""

    def __init__(self, error_msg: str, parameters: str | list[str]) -> None:
        super().__init__(f'{error_msg}: {parameters}')


class ParameterNotDeclaredException(ParameterException):
    """Raised when an undeclared parameter is used and that is not allowed."""

    def __init__(self, parameters: str | list[str]) -> None:
        super().__init__('Not declared', parameters)


class ParameterAlreadyDeclaredException(ParameterException):
    """Raised when a parameter is declared twice."""

    def __init__(self, parameters: str | list[str]) -> None:
        super().__init__('Declared already', parameters)


class InvalidParameterException(ParameterException):
    """Raised when a parameter's name is invalid."""

    def __init__(self, parameter_name: str) -> None:
        super().__init__('Invalid parameter name', parameter_name)


class InvalidParameterTypeException(ParameterException):
    """Raised when a parameter's value is of another type than declared."""

    def __init__(self, desired_parameter: Parameter, expected_type: str) -> None:
        super().__init__(
            f"'{desired_parameter.value}' is of type '{desired_parameter.type_.name}', "
            f"and the parameter of type '{expected_type}'", desired_parameter.name)


class InvalidParameterValueException(ParameterException):
    """Raised when a parameter's value is refused by its descriptor or by a callback."""

    def __init__(self, parameter: str, value: Any, reason: str) -> None:
        super().__init__(f'Invalid value ({value}) for a parameter. Reason: {reason}', parameter)


class ParameterImmutableException(ParameterException):
    """Raised when a read-only parameter would be changed."""

    def __init__(self, parameter_name: str) -> None:
        super().__init__('Read-only', parameter_name)


class ParameterUninitializedException(ParameterException):
    """Raised when a declared parameter without a value is read."""

    def __init__(self, parameter_name: str) -> None:
        super().__init__('Declared, but without a value', parameter_name)


class ROSInterruptException(Exception):  # noqa: N818
    """Raised when a wait ends because rclpy shuts down."""

    def __init__(self) -> None:
        super().__init__('rclpy.shutdown() has been called')
