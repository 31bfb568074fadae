# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a parameter's value is allowed by its descriptor."""

from __future__ import annotations

import math
from typing import Any

from rclpy.parameter import Parameter

_TOLERANCE = 1e-6


def descriptor_problem(parameter: Parameter, descriptor: Any, *, declared: bool,
                       check_read_only: bool) -> str | None:
    """Return why a descriptor refuses a value, or None; a dynamic type is written into it.

    Args:
        parameter: The new value.
        descriptor: The rcl_interfaces/ParameterDescriptor; its name is set.
        declared: Whether the parameter is declared already.
        check_read_only: Whether read-only parameters are refused.
    """
    descriptor.name = parameter.name
    if check_read_only and descriptor.read_only:
        return f'the parameter is read-only: {parameter.name}'
    unset = parameter.type_ is Parameter.Type.NOT_SET
    if descriptor.dynamic_typing:
        descriptor.type = parameter.type_.value
    elif unset and declared:
        return f'a parameter with a fixed type cannot be undeclared: {parameter.name}'
    elif not unset and parameter.type_.value != descriptor.type:
        return (f'{WRONG_TYPE}: {parameter.name} is {Parameter.Type(descriptor.type).name}, the '
                f'value is {parameter.type_.name}')
    if parameter.type_ is Parameter.Type.INTEGER and descriptor.integer_range:
        return _integer_problem(parameter, descriptor.integer_range[0])
    if parameter.type_ is Parameter.Type.DOUBLE and descriptor.floating_point_range:
        return _float_problem(parameter, descriptor.floating_point_range[0])
    return None


WRONG_TYPE = 'Wrong parameter type'


def _integer_problem(parameter: Parameter, limits: Any) -> str | None:
    low, high = sorted((limits.from_value, limits.to_value))
    value = parameter.value
    # the ends are always allowed
    if value in (low, high):
        return None
    if not low < value < high:
        return _outside(parameter, low, high)
    if limits.step and (value - low) % limits.step:
        return _off_step(parameter, low, high, limits.step)
    return None


def _float_problem(parameter: Parameter, limits: Any) -> str | None:
    low, high = sorted((limits.from_value, limits.to_value))
    value = parameter.value
    if math.isclose(value, low, rel_tol=_TOLERANCE) or math.isclose(
            value, high, rel_tol=_TOLERANCE):
        return None
    if not low < value < high:
        return _outside(parameter, low, high)
    if limits.step:
        nearest = low + round((value - low) / limits.step) * limits.step
        if not math.isclose(nearest, value, rel_tol=_TOLERANCE):
            return _off_step(parameter, low, high, limits.step)
    return None


def _outside(parameter: Parameter, low: Any, high: Any) -> str:
    return f'{parameter.name} is out of range: {parameter.value} is not from {low} to {high}'


def _off_step(parameter: Parameter, low: Any, high: Any, step: Any) -> str:
    return (f'{parameter.name} is off the steps: {parameter.value} is not from {low} to {high} '
            f'in steps of {step}')
