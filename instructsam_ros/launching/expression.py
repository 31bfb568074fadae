# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluates the simple Python expressions of ``$(eval …)``, without running code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}
_LONGEST = 10_000  # characters of a text that an expression may make


class ExpressionError(ValueError):
    """An expression that cannot be evaluated; says why."""


def evaluate(text: str) -> str:
    """Return the value of an expression as text, as Python's ``str`` writes it.

    Knows literals, lists, dictionaries, arithmetic, comparisons, ``and or not in``,
    ``a if b else c`` and indices; neither names nor calls. Raises ExpressionError.
    """
    try:
        tree = ast.parse(text.strip(), mode='eval')
        return str(_value(tree.body))
    except SyntaxError as error:
        raise ExpressionError(
            f'{text!r} is no Python expression ({error.msg}); texts in it need quotes') from None
    except ExpressionError as error:
        raise ExpressionError(f'{text!r}: {error}') from None
    except RecursionError:
        raise ExpressionError('the expression is nested too deeply') from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise ExpressionError(f'{text!r} has no value: {error}') from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(one) for one in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value)
                for key, value in zip(node.keys, node.values, strict=True) if key is not None}
    if isinstance(node, ast.BoolOp):
        return _logic(node)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        for a, b in ((left, right), (right, left)):
            if isinstance(node.op, ast.Mult) and isinstance(a, (str, list)) and (
                    isinstance(b, int) and len(a) * b > _LONGEST):
                raise ExpressionError('the result is too long')
        return _BINARY[type(node.op)](left, right)
    if isinstance(node, ast.Compare):
        return _comparison(node)
    if isinstance(node, ast.IfExp):
        return _value(node.body if _value(node.test) else node.orelse)
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
        return _value(node.value)[_value(node.slice)]
    what = f"the name '{node.id}' (texts need quotes)" if isinstance(node, ast.Name) else (
        type(node).__name__.lower())
    raise ExpressionError(
        f'{what} is not supported: only literals, arithmetic, comparisons and and/or/not are')


def _logic(node: ast.BoolOp) -> Any:
    value: Any = None
    for one in node.values:
        value = _value(one)
        if bool(value) is isinstance(node.op, ast.Or):
            break
    return value


def _comparison(node: ast.Compare) -> bool:
    left = _value(node.left)
    for kind, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node)
        if not _COMPARISONS[type(kind)](left, right):
            return False
        left = right
    return True
