"""Reads a filter written as text: "age > 30 and name in ['a', 'b']"."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from headrace._internal.expr.nodes import Expr, call, column, literal

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Expr]] = {
    ast.Gt: lambda a, b: a > b,
    ast.Lt: lambda a, b: a < b,
    ast.GtE: lambda a, b: a >= b,
    ast.LtE: lambda a, b: a <= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.In: lambda a, b: a.is_in(b),
    ast.NotIn: lambda a, b: a.not_in(b),
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Expr]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a.power(b),
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
}
_FUNCTIONS: dict[str, Callable[..., Expr]] = {
    "is_nan": lambda a: call("is_nan", a),
    "is_null": lambda a: a.is_null(),
    "is_valid": lambda a: a.is_not_null(),
    "is_in": lambda a, b: a.is_in(b),
}


def parse(text: str) -> Expr:
    """Returns the expression that `text` says, in Python's syntax; names are columns, and
    `a.b` is the column "a.b".

    Raises ValueError for text that is no expression, and for functions and operators that a
    filter has not; TypeError for a tuple.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"Invalid syntax in the expression: {text}") from error
    return _expr(_visit(tree.body))


def _expr(value: Any) -> Expr:
    return value if isinstance(value, Expr) else literal(value)


def _visit(node: ast.expr) -> Any:
    visit = _VISITORS.get(type(node))
    if visit is None:
        raise ValueError(f"Unsupported expression: {ast.unparse(node)}")
    return visit(node)


def _visit_compare(node: ast.Compare) -> Expr:
    if len(node.ops) != 1:
        raise ValueError("Only simple binary comparisons are supported")
    op = node.ops[0]
    if type(op) not in _COMPARISONS:
        raise ValueError(f"Unsupported comparison operator: {type(op).__name__}")
    left, right = _visit(node.left), _visit(node.comparators[0])
    if isinstance(op, (ast.In, ast.NotIn)) and not isinstance(right, (list, Expr)):
        raise ValueError(f"`in` needs a list or a column: {ast.unparse(node)}")
    return _COMPARISONS[type(op)](_expr(left), right)


def _visit_bool(node: ast.BoolOp) -> Expr:
    terms = [_expr(_visit(value)) for value in node.values]
    result = terms[0]
    for term in terms[1:]:
        result = result & term if isinstance(node.op, ast.And) else result | term
    return result


def _visit_unary(node: ast.UnaryOp) -> Any:
    operand = _visit(node.operand)
    if isinstance(node.op, ast.Not):
        return ~_expr(operand)
    if isinstance(node.op, ast.USub):
        return operand.negate() if isinstance(operand, Expr) else -operand
    if isinstance(node.op, ast.UAdd):
        return operand
    raise ValueError(f"Unsupported unary operator: {type(node.op).__name__}")


def _visit_arithmetic(node: ast.BinOp) -> Expr:
    if type(node.op) not in _ARITHMETIC:
        raise ValueError(f"Unsupported binary operator: {type(node.op).__name__}")
    return _ARITHMETIC[type(node.op)](_expr(_visit(node.left)), _visit(node.right))


def _visit_call(node: ast.Call) -> Expr:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in _FUNCTIONS:
        raise ValueError(f"Unsupported function: {name}")
    first, *rest = [_visit(argument) for argument in node.args]
    return _FUNCTIONS[name](_expr(first), *rest)


def _visit_attribute(node: ast.Attribute) -> Expr:
    parts = [node.attr]
    inner: ast.expr = node.value
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        raise ValueError(f"Unsupported expression: {ast.unparse(node)}")
    return column(".".join([inner.id, *reversed(parts)]))


def _visit_list(node: ast.List) -> list[Any]:
    values = [_visit(element) for element in node.elts]
    if any(isinstance(value, Expr) for value in values):
        raise ValueError(f"A list may hold constants only: {ast.unparse(node)}")
    return values


def _refuse_tuple(node: ast.Tuple) -> Any:
    raise TypeError(f"Write a list, not a tuple: {ast.unparse(node)}")


_VISITORS: dict[type[ast.expr], Callable[[Any], Any]] = {
    ast.Name: lambda node: column(node.id),
    ast.Constant: lambda node: node.value,
    ast.Compare: _visit_compare,
    ast.BoolOp: _visit_bool,
    ast.UnaryOp: _visit_unary,
    ast.BinOp: _visit_arithmetic,
    ast.Call: _visit_call,
    ast.Attribute: _visit_attribute,
    ast.List: _visit_list,
    ast.Tuple: _refuse_tuple,
}
