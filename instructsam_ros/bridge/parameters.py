# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of a node as a frozen dataclass: the table, and the typed snapshot of its values.

::

    @dataclass(frozen=True)
    class Settings:
        tf_timeout: float = setting(0.1, 'longest wait for TF', unit='s', minimum=0, maximum=10)

    parameters = Parameters(node, Settings)
    parameters.values.tf_timeout
"""

import math
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Table = TypeVar('Table', bound=DataclassInstance)
else:
    Table = TypeVar('Table')

_KEY = 'parameter'
_WORDS = {bool: 'true or false', int: 'a whole number', float: 'a number', str: 'a text'}


@dataclass(frozen=True)
class Setting:
    """What is known of one parameter.

    Attributes:
        name: of the parameter.
        default: its value unless one is given; its type is the parameter's.
        description: for people, with unit.
        minimum, maximum: bounds of a number, both included; None is unbounded.
        choices: the values allowed; empty means any.
        read_only: fixed once the node runs.
    """

    name: str
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    read_only: bool = False

    def checked(self, value: Any) -> Any:
        """Return the value in the parameter's type. Raises ValueError with the reason."""
        wanted = type(self.default)
        if wanted in (list, tuple):
            return self._checked_list(value)
        value = self._typed(value, wanted)
        if wanted in (int, float):
            self._check_bounds(value)
        if self.choices and value not in self.choices:
            allowed = ', '.join(repr(choice) for choice in self.choices)
            raise ValueError(f'{self.name} is {value!r}, it must be one of {allowed}')
        return value

    def descriptor(self) -> ParameterDescriptor:
        """Return what tools show of it."""
        descriptor = ParameterDescriptor()
        descriptor.description = self.description
        descriptor.read_only = self.read_only
        # 5 is a number too; rclpy would refuse it for a float
        descriptor.dynamic_typing = True
        if self.choices:
            allowed = ', '.join(repr(choice) for choice in self.choices)
            descriptor.additional_constraints = f'one of {allowed}'
        if self.minimum is None and self.maximum is None:
            return descriptor
        if isinstance(self.default, float):
            low = -sys.float_info.max if self.minimum is None else float(self.minimum)
            high = sys.float_info.max if self.maximum is None else float(self.maximum)
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=low, to_value=high, step=0.0)
            ]
        else:
            lowest = -(2**63) if self.minimum is None else int(self.minimum)
            highest = 2**63 - 1 if self.maximum is None else int(self.maximum)
            descriptor.integer_range = [
                IntegerRange(from_value=lowest, to_value=highest, step=0)
            ]
        return descriptor

    def _typed(self, value: Any, wanted: type) -> Any:
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise ValueError(f'{self.name} is {value!r}, it must be {_WORDS[wanted]}')
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f'{self.name} is {value}, it must be finite')
        return value

    def _check_bounds(self, value: float) -> None:
        if self.minimum is not None and value < self.minimum:
            raise ValueError(f'{self.name} is {value}, it must be at least {self.minimum}')
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f'{self.name} is {value}, it must be at most {self.maximum}')

    def _checked_list(self, value: Any) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ValueError(f'{self.name} is {value!r}, it must be a list')
        kind = type(self.default[0]) if self.default else None
        items = tuple(item if kind is None else self._typed(item, kind) for item in value)
        for item in items:
            if isinstance(item, (int, float)):
                self._check_bounds(item)
        return items


def setting(
    default: Any,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Any] = (),
    read_only: bool = False,
    name: str = '',
) -> Any:
    """Return a dataclass field that is a parameter.

    Its name is the field's, or ``name``, such as ``group.one``, which no field can have.
    ``default`` is bool, int, float, str or a tuple of one of them. Bounds are for numbers, both
    included. Raises ValueError for a default that its own rules refuse.
    """
    shown = f'{description} [{unit}]' if unit else description
    rules = Setting(name, default, shown, minimum, maximum, tuple(choices), read_only)
    if rules.checked(default) != default:
        raise ValueError(f'default {default!r} is not of its own kind')
    return field(default=default, metadata={_KEY: rules})


def settings_of(table: type[Any]) -> list[Setting]:
    """Return the settings of a table, in its order."""
    return list(_by_field(table).values())


def _by_field(table: type[Any]) -> dict[str, Setting]:
    """Settings of a table by the names of its fields, in its order."""
    found = ((one.name, one.metadata[_KEY]) for one in fields(table) if _KEY in one.metadata)
    return {name: replace(rules, name=rules.name or name) for name, rules in found}


class Parameters(Generic[Table]):
    """Declares a table on a node and keeps a snapshot of its values.

    A change is refused with a reason when it breaks a rule of its setting, or when the table's
    own method ``problem(self) -> str | None`` objects to the whole.
    """

    def __init__(
        self,
        node: Node,
        table: type[Table],
        on_change: Callable[[Table, Table], None] | None = None,
    ) -> None:
        """Declare every setting, values taken from the command line and parameter files.

        ``on_change(old, new)`` is called after each successful change. Raises rclpy's
        InvalidParameterValueException, with the reason, for a given value that is refused, and
        its base ParameterException for values that contradict each other.
        """
        by_field = _by_field(table)
        self._settings = {one.name: one for one in by_field.values()}
        self._fields = {one.name: attribute for attribute, one in by_field.items()}
        self._lock = threading.Lock()
        self._on_change: Callable[[Table, Table], None] | None = None
        self._values: Table = table()
        node.add_on_set_parameters_callback(self._validate)
        node.add_post_set_parameters_callback(self._adopt)
        for one in self._settings.values():
            default = list(one.default) if isinstance(one.default, tuple) else one.default
            node.declare_parameter(one.name, default, one.descriptor())
        # rules between parameters only make sense once all of them are known
        self._complete = True
        problem = self._problem(self._values)
        if problem:
            raise ParameterException('parameters contradict each other', problem)
        self._on_change = on_change

    _complete = False

    @property
    def values(self) -> Table:
        """The present values; a snapshot that never changes, to be read from any thread."""
        return self._values

    def _validate(self, changes: Sequence[Parameter]) -> SetParametersResult:
        try:
            candidate = replace(self._values, **self._checked(changes))
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        problem = self._problem(candidate) if self._complete else None
        return SetParametersResult(successful=not problem, reason=problem or '')

    def _adopt(self, changes: Sequence[Parameter]) -> None:
        checked = self._checked(changes)
        if not checked:
            return
        with self._lock:
            old = self._values
            self._values = new = replace(old, **checked)
        if self._on_change is not None and new != old:
            self._on_change(old, new)

    def _checked(self, changes: Sequence[Parameter]) -> Mapping[str, Any]:
        """Values of those parameters that are ours by field, in their own types."""
        return {
            self._fields[change.name]: self._settings[change.name].checked(change.value)
            for change in changes
            if change.name in self._settings
        }

    @staticmethod
    def _problem(values: Any) -> str | None:
        check: Callable[[], str | None] | None = getattr(values, 'problem', None)
        return check() if check else None
