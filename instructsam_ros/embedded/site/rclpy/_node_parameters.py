# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a node that declares, checks, sets and describes parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    ListParametersResult,
    ParameterDescriptor,
    ParameterEvent,
    ParameterValue,
    SetParametersResult,
)
from rcl_interfaces.msg import Parameter as ParameterMsg
from rclpy._parameter_ranges import WRONG_TYPE, descriptor_problem
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterAlreadyDeclaredException,
    ParameterImmutableException,
    ParameterNotDeclaredException,
    ParameterUninitializedException,
)
from rclpy.parameter import PARAMETER_SEPARATOR_STRING, Parameter
from rclpy.validate_parameter_name import validate_parameter_name

if TYPE_CHECKING:
    from rclpy.clock import ROSClock
    from rclpy.publisher import Publisher

PreSet = Callable[[list[Parameter]], list[Parameter]]
OnSet = Callable[[list[Parameter]], Any]
PostSet = Callable[[list[Parameter]], None]


class NodeParameters:
    """Parameters; the base of `Node`."""

    PARAM_REL_TOL = 1e-6

    _clock: ROSClock
    _parameter_event_publisher: Publisher | None

    if TYPE_CHECKING:
        def get_fully_qualified_name(self) -> str:
            """Return the node's full name."""

    def _init_parameters(self, allow_undeclared: bool) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._descriptors: dict[str, Any] = {}
        self._parameter_overrides: dict[str, Parameter] = {}
        self._allow_undeclared_parameters = allow_undeclared
        self._pre_set_parameters_callbacks: list[PreSet] = []
        self._on_set_parameters_callbacks: list[OnSet] = []
        self._post_set_parameters_callbacks: list[PostSet] = []

    def declare_parameter(self, name: str, value: Any = None, descriptor: Any = None,
                          ignore_override: bool = False) -> Parameter:
        """Declare a parameter; an override from the command line wins over the value.

        Args:
            name: The full name.
            value: The default, or a `Parameter.Type` for a parameter without one.
            descriptor: An rcl_interfaces/ParameterDescriptor; its name and type are set here.
            ignore_override: Whether to take the value in any case.

        Raises:
            ParameterAlreadyDeclaredException: It was declared before.
            InvalidParameterException: An empty name.
            InvalidParameterTypeException: The override is of another type.
            InvalidParameterValueException: Refused by the descriptor or a callback.
        """
        given: tuple[Any, ...] = (name,) if value is None and descriptor is None else (
            name, value, ParameterDescriptor() if descriptor is None else descriptor)
        return self.declare_parameters('', [given], ignore_override)[0]

    def declare_parameters(self, namespace: str, parameters: Sequence[tuple[Any, ...]],
                           ignore_override: bool = False) -> list[Parameter]:
        """Declare parameters given as tuples: name, value or type, descriptor.

        Args:
            namespace: Put before the names, with a dot; '' for none.
            parameters: The tuples.
            ignore_override: Whether to take the values in any case.

        Raises:
            TypeError: A tuple of another form.
            ValueError: No type can be told.
            ParameterAlreadyDeclaredException: One was declared before.
            InvalidParameterException: An empty name.
            InvalidParameterTypeException: An override is of another type.
            InvalidParameterValueException: Refused by a descriptor or a callback.
        """
        made: list[Parameter] = []
        descriptors: dict[str, Any] = {}
        for index, given in enumerate(parameters):
            parameter, descriptor = self._read_declaration(namespace, index, given)
            if not ignore_override and parameter.name in self._parameter_overrides:
                parameter = self._parameter_overrides[parameter.name]
            made.append(parameter)
            descriptors[parameter.name] = descriptor
        known = [parameter.name for parameter in made if parameter.name in self._parameters]
        if known:
            raise ParameterAlreadyDeclaredException(known)
        for parameter in made:
            result = self._apply_parameters([parameter], descriptors, keep_unset=True)
            if result.successful:
                continue
            if result.reason.startswith(WRONG_TYPE):
                raise InvalidParameterTypeException(
                    parameter, Parameter.Type(descriptors[parameter.name].type).name)
            raise InvalidParameterValueException(parameter.name, parameter.value, result.reason)
        return [self._parameters[parameter.name] for parameter in made]

    def _read_declaration(self, namespace: str, index: int,
                          given: tuple[Any, ...]) -> tuple[Parameter, Any]:
        if not 1 <= len(given) <= 3:
            raise TypeError(f'the tuple at index {index} must have one to three elements: {given}')
        name, value, descriptor = (*given, None, ParameterDescriptor())[:3] if len(given) == 1 \
            else (*given, ParameterDescriptor())[:3]
        if not isinstance(name, str):
            raise TypeError(f'the first element at index {index} must be a name, not {name!r}')
        if not isinstance(descriptor, ParameterDescriptor):
            raise TypeError(f'the third element at index {index} must be a ParameterDescriptor, '
                            f'not {descriptor!r}')
        name = f'{namespace}.{name}' if namespace else name
        validate_parameter_name(name)
        if len(given) == 1:
            warnings.warn(f'declaring {name!r} by its name alone is deprecated: give a value, a '
                          'type, or a descriptor with dynamic_typing=True', stacklevel=4)
            descriptor.dynamic_typing = True
        if isinstance(value, Parameter.Type):
            if value is Parameter.Type.NOT_SET:
                raise ValueError(f'{name}: a parameter with a fixed type cannot be NOT_SET')
            if descriptor.dynamic_typing:
                raise ValueError(f'{name}: a type and dynamic_typing=True exclude each other')
            descriptor.type = value.value
            value = None
        elif not descriptor.dynamic_typing:
            descriptor.type = (value.type if isinstance(value, ParameterValue)
                               else Parameter.Type.from_parameter_value(value).value)
            if descriptor.type == Parameter.Type.NOT_SET.value:
                raise ValueError(f'{name}: without a value, a type is needed, or '
                                 'dynamic_typing=True')
        if isinstance(value, ParameterValue):
            return Parameter.from_parameter_msg(ParameterMsg(name=name, value=value)), descriptor
        return Parameter(name, value=value), descriptor

    def undeclare_parameter(self, name: str) -> None:
        """Undeclare a parameter.

        Raises:
            ParameterNotDeclaredException: It was not declared.
            ParameterImmutableException: It is read-only.
        """
        if not self.has_parameter(name):
            raise ParameterNotDeclaredException(name)
        if self._descriptors[name].read_only:
            raise ParameterImmutableException(name)
        del self._parameters[name]
        del self._descriptors[name]

    def has_parameter(self, name: str) -> bool:
        """Whether a parameter is declared."""
        return name in self._parameters

    def get_parameter_types(self, names: list[str]) -> list[Any]:
        """Return the types of parameters; see `get_parameter_type`."""
        _check_names(names)
        return [self.get_parameter_type(name) for name in names]

    def get_parameter_type(self, name: str) -> Any:
        """Return the number of a parameter's type.

        Undeclared ones, where they are allowed, are `Parameter.Type.NOT_SET`; else
        ParameterNotDeclaredException is raised.
        """
        if self.has_parameter(name):
            return self._parameters[name].type_.value
        if self._allow_undeclared_parameters:
            return Parameter.Type.NOT_SET
        raise ParameterNotDeclaredException(name)

    def get_parameters(self, names: list[str]) -> list[Parameter]:
        """Return parameters; see `get_parameter`."""
        _check_names(names)
        return [self.get_parameter(name) for name in names]

    def get_parameter(self, name: str) -> Parameter:
        """Return a parameter.

        Raises:
            ParameterNotDeclaredException: Not declared, and undeclared ones are not allowed.
            ParameterUninitializedException: Declared with a fixed type and without a value.
        """
        found = self._parameters.get(name)
        if found is not None:
            if found.type_ is Parameter.Type.NOT_SET and not self._descriptors[
                    name].dynamic_typing:
                raise ParameterUninitializedException(name)
            return found
        if self._allow_undeclared_parameters:
            return Parameter(name, Parameter.Type.NOT_SET, None)
        raise ParameterNotDeclaredException(name)

    def get_parameter_or(self, name: str,
                         alternative_value: Parameter | None = None) -> Parameter:
        """Return a parameter, or the alternative (default: one NOT_SET) if it has no value."""
        found = self._parameters.get(name)
        if found is not None and found.type_ is not Parameter.Type.NOT_SET:
            return found
        if alternative_value is None:
            return Parameter(name, Parameter.Type.NOT_SET)
        return alternative_value

    def get_parameters_by_prefix(self, prefix: str) -> dict[str, Parameter]:
        """Return all parameters below a prefix, by the rest of their names; '' for all."""
        start = f'{prefix}{PARAMETER_SEPARATOR_STRING}' if prefix else ''
        return {name[len(start):]: parameter for name, parameter in self._parameters.items()
                if name.startswith(start)}

    def set_parameters(self, parameter_list: list[Parameter]) -> list[Any]:
        """Set parameters one after the other; a result for each.

        Raises:
            ParameterNotDeclaredException: One is not declared; those before it stay set.
        """
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any:
        """Set all parameters, or none if one is refused; returns an rcl_interfaces result.

        Raises:
            ParameterNotDeclaredException: One is not declared, and that is not allowed.
        """
        if self._pre_set_parameters_callbacks:
            parameter_list = [parameter for callback in self._pre_set_parameters_callbacks
                              for parameter in callback(parameter_list)]
            if not parameter_list:
                return SetParametersResult(
                    successful=False, reason='a callback has left no parameter to set')
        if not all(isinstance(parameter, Parameter) for parameter in parameter_list):
            raise TypeError(f'parameters must be {Parameter!r}')
        unknown = [parameter.name for parameter in parameter_list
                   if parameter.name not in self._parameters]
        if unknown and not self._allow_undeclared_parameters:
            raise ParameterNotDeclaredException(unknown)
        return self._apply_parameters(parameter_list)

    def _apply_parameters(self, parameters: list[Parameter],
                          descriptors: dict[str, Any] | None = None,
                          keep_unset: bool = False) -> Any:
        """Check and set parameters; with new descriptors they are declared.

        Args:
            parameters: All are set, or none.
            descriptors: New descriptors by name; None for those that are there.
            keep_unset: Whether a parameter NOT_SET is stored rather than undeclared.
        """
        known = self._descriptors if descriptors is None else descriptors
        for parameter in parameters:
            if parameter.name in known:
                problem = descriptor_problem(
                    parameter, known[parameter.name],
                    declared=self.has_parameter(parameter.name),
                    check_read_only=descriptors is None)
                if problem is not None:
                    return SetParametersResult(successful=False, reason=problem)
        for callback in list(self._on_set_parameters_callbacks):
            result = callback(parameters)
            if not result.successful:
                return result
        event = ParameterEvent(node=self.get_fully_qualified_name())
        for parameter in parameters:
            if parameter.type_ is Parameter.Type.NOT_SET and not keep_unset:
                event.deleted_parameters.append(parameter.to_parameter_msg())
                self._parameters.pop(parameter.name, None)
                self._descriptors.pop(parameter.name, None)
                continue
            if descriptors is not None:
                self._descriptors[parameter.name] = descriptors[parameter.name]
            elif parameter.name not in self._descriptors:
                self._descriptors[parameter.name] = ParameterDescriptor(
                    name=parameter.name, type=parameter.type_.value, dynamic_typing=True)
            new = self.get_parameter_or(parameter.name).type_ is Parameter.Type.NOT_SET
            (event.new_parameters if new else event.changed_parameters).append(
                parameter.to_parameter_msg())
            self._parameters[parameter.name] = parameter
        event.stamp = self._clock.now().to_msg()
        if self._parameter_event_publisher is not None:
            self._parameter_event_publisher.publish(event)
        for post in list(self._post_set_parameters_callbacks):
            post(parameters)
        return SetParametersResult(successful=True)

    def list_parameters(self, prefixes: list[str], depth: int) -> Any:
        """Return an rcl_interfaces/ListParametersResult.

        Args:
            prefixes: Only names that equal a prefix or lie below it; empty for all.
            depth: How many parts names have at most below the prefix; 0 for any number.

        Raises:
            TypeError: Of another type.
            ValueError: A negative depth.
        """
        if not isinstance(prefixes, list):
            raise TypeError('prefixes must be a list')
        if not all(isinstance(prefix, str) for prefix in prefixes):
            raise TypeError('prefixes must be strings')
        if not isinstance(depth, int):
            raise TypeError('depth must be a whole number')
        if depth < 0:
            raise ValueError('depth must not be negative')

        def shallow(rest: str) -> bool:
            return depth == 0 or rest.count(PARAMETER_SEPARATOR_STRING) < depth

        def wanted(name: str) -> bool:
            if not prefixes:
                return shallow(name)
            return any(name == prefix or (
                name.startswith(f'{prefix}{PARAMETER_SEPARATOR_STRING}')
                and shallow(name[len(prefix) + 1:])) for prefix in prefixes)

        result = ListParametersResult()
        for name in list(self._parameters):
            if wanted(name):
                result.names.append(name)
                prefix = name.rpartition(PARAMETER_SEPARATOR_STRING)[0]
                if prefix and prefix not in result.prefixes:
                    result.prefixes.append(prefix)
        return result

    def describe_parameter(self, name: str) -> Any:
        """Return a parameter's descriptor; an empty one if undeclared and that is allowed.

        Raises:
            ParameterNotDeclaredException: Not declared, and that is not allowed.
        """
        found = self._descriptors.get(name)
        if found is not None:
            return found
        if self._allow_undeclared_parameters:
            return ParameterDescriptor()
        raise ParameterNotDeclaredException(name)

    def describe_parameters(self, names: list[str]) -> list[Any]:
        """Return the descriptors of parameters; see `describe_parameter`."""
        return [self.describe_parameter(name) for name in names]

    def set_descriptor(self, name: str, descriptor: Any, alternative_value: Any = None) -> Any:
        """Give a parameter another descriptor; its rcl_interfaces/ParameterValue is returned.

        Args:
            name: The parameter.
            descriptor: The new descriptor.
            alternative_value: A ParameterValue to take if the present one is not allowed by it.

        Raises:
            ParameterNotDeclaredException: Not declared, and that is not allowed.
            ParameterImmutableException: It is read-only.
            InvalidParameterValueException: Neither value is allowed.
        """
        if not self.has_parameter(name):
            if not self._allow_undeclared_parameters:
                raise ParameterNotDeclaredException(name)
            return self.get_parameter(name).get_parameter_value()
        if self.describe_parameter(name).read_only:
            raise ParameterImmutableException(name)
        present = self.get_parameter(name)
        choices = [present if alternative_value is None else Parameter.from_parameter_msg(
            ParameterMsg(name=name, value=alternative_value))]
        for candidate in (present, *choices):
            problem = descriptor_problem(candidate, descriptor, declared=True,
                                         check_read_only=False)
            if problem is None:
                self._parameters[name] = candidate
                self._descriptors[name] = descriptor
                return self.get_parameter(name).get_parameter_value()
        raise InvalidParameterValueException(name, choices[0].value, str(problem))

    def add_pre_set_parameters_callback(self, callback: PreSet) -> None:
        """Have a callback change the list of parameters before they are checked and set."""
        self._pre_set_parameters_callbacks.insert(0, callback)

    def add_on_set_parameters_callback(self, callback: OnSet) -> None:
        """Have a callback check parameters; it returns a SetParametersResult."""
        self._on_set_parameters_callbacks.insert(0, callback)

    def add_post_set_parameters_callback(self, callback: PostSet) -> None:
        """Have a callback told which parameters were set."""
        self._post_set_parameters_callbacks.insert(0, callback)

    def remove_pre_set_parameters_callback(self, callback: PreSet) -> None:
        """Remove a callback; ValueError if it was not added."""
        self._pre_set_parameters_callbacks.remove(callback)

    def remove_on_set_parameters_callback(self, callback: OnSet) -> None:
        """Remove a callback; ValueError if it was not added."""
        self._on_set_parameters_callbacks.remove(callback)

    def remove_post_set_parameters_callback(self, callback: PostSet) -> None:
        """Remove a callback; ValueError if it was not added."""
        self._post_set_parameters_callbacks.remove(callback)


def _check_names(names: list[str]) -> None:
    if not all(isinstance(name, str) for name in names):
        raise TypeError('names must be strings')
