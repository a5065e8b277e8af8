"""Turns an expression of the user into one of the engine (`_core.Expr`) or of pyarrow."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace._internal.expr.nodes import (
    AliasExpr,
    BinaryExpr,
    CastExpr,
    ColumnExpr,
    Expr,
    LiteralExpr,
    Operation,
    PyArrowComputeUDFExpr,
    UDFExpr,
    UnaryExpr,
)
from headrace._internal.expr.special_nodes import MonotonicallyIncreasingIdExpr, RandomExpr
from headrace._internal.scalars import array_of, scalar_of

_FUNCTIONS = {
    Operation.ADD: "add",
    Operation.SUB: "subtract",
    Operation.MUL: "multiply",
    Operation.DIV: "divide",
    Operation.GT: "greater",
    Operation.LT: "less",
    Operation.GE: "greater_equal",
    Operation.LE: "less_equal",
    Operation.EQ: "equal",
    Operation.NE: "not_equal",
    Operation.AND: "and_kleene",
    Operation.OR: "or_kleene",
    Operation.NOT: "invert",
    Operation.IS_NULL: "is_null",
    Operation.IS_NOT_NULL: "is_valid",
}


_OF_ROW_PLACE = (MonotonicallyIncreasingIdExpr, RandomExpr)
_NATIVE = (ColumnExpr, LiteralExpr, UnaryExpr, AliasExpr, CastExpr, *_OF_ROW_PLACE)


def is_native(expr: Expr) -> bool:
    """Returns True if the engine evaluates all of `expr` without Python."""
    if isinstance(expr, UDFExpr):
        native = isinstance(expr, PyArrowComputeUDFExpr) and bool(expr.function)
    elif isinstance(expr, BinaryExpr):
        membership = expr.op in (Operation.IN, Operation.NOT_IN)
        native = not membership or isinstance(expr.right, LiteralExpr)
    else:
        native = isinstance(expr, _NATIVE)
    return native and all(is_native(child) for child in expr.children())


def lower(expr: Expr, schema: pa.Schema | None = None) -> _core.Expr:
    """Returns the engine's form. `schema`, where it is known, tells strings that `+` joins.

    Raises TypeError for an expression that needs Python.
    """
    if isinstance(expr, ColumnExpr):
        return _core.Expr.column(expr.name)
    if isinstance(expr, LiteralExpr):
        return _core.Expr.literal(to_scalar(expr.value))
    if isinstance(expr, AliasExpr):
        return lower(expr.expr, schema)
    if isinstance(expr, CastExpr):
        return _core.Expr.cast(lower(expr.expr, schema), expr.target, expr.safe)
    if isinstance(expr, PyArrowComputeUDFExpr):
        arguments = [lower(child, schema) for child in expr.args]
        return _core.Expr.call(expr.function, arguments, expr.options_type, expr.options)
    if isinstance(expr, UnaryExpr):
        return _core.Expr.call(_FUNCTIONS[expr.op], [lower(expr.operand, schema)])
    if isinstance(expr, BinaryExpr):
        return _lower_binary(expr, schema)
    if isinstance(expr, MonotonicallyIncreasingIdExpr):
        return _core.Expr.call("monotonically_increasing_id", [])
    if isinstance(expr, RandomExpr):
        return _lower_random(expr)
    raise TypeError(f"{expr.label()} cannot be used here: it needs Python")


def _lower_random(expr: RandomExpr) -> _core.Expr:
    seed, reseed = expr.seed, expr.reseed_after_execution
    if seed is None:
        seed, reseed = secrets.randbits(63), True
    seed = (seed + 2**63) % 2**64 - 2**63
    literals = [pa.scalar(seed, pa.int64()), pa.scalar(bool(reseed))]
    return _core.Expr.call("random", [_core.Expr.literal(literal) for literal in literals])


def hoist_row_places(
    exprs: list[tuple[str, Expr]],
) -> tuple[list[tuple[str, Expr]], list[tuple[str, Expr]]]:
    """Takes what goes by a row's place out of expressions that need Python, which do not know it.

    Returns the expressions, with columns in its stead, and what these columns are.
    """
    hoisted: dict[str, Expr] = {}

    def take(expr: Expr) -> Expr:
        if isinstance(expr, _OF_ROW_PLACE):
            name = f"__headrace_place_{len(hoisted)}"
            hoisted[name] = expr
            return ColumnExpr(name, data_type=expr.data_type)
        children = expr.children()
        changed = {id(child): take(child) for child in children}
        if all(changed[id(child)] is child for child in children):
            return expr
        return with_children(expr, changed)

    taken = [(name, take(expr)) for name, expr in exprs]
    return taken, list(hoisted.items())


def with_children(expr: Expr, replaced: dict[int, Expr]) -> Expr:
    """Returns `expr` with the children whose ids are in `replaced` replaced."""

    def swap(value: Any) -> Any:
        if isinstance(value, Expr):
            return replaced.get(id(value), value)
        if isinstance(value, list):
            return [swap(item) for item in value]
        if isinstance(value, dict):
            return {key: swap(item) for key, item in value.items()}
        return value

    fields = {name: getattr(expr, name) for name in expr.__dataclass_fields__}
    return replace(expr, **{name: swap(value) for name, value in fields.items()})


def _lower_binary(expr: BinaryExpr, schema: pa.Schema | None) -> _core.Expr:
    call = _core.Expr.call
    left = lower(expr.left, schema)
    if expr.op in (Operation.IN, Operation.NOT_IN):
        if not isinstance(expr.right, LiteralExpr):
            raise TypeError("is_in() of a column cannot be used here: it needs Python")
        found = _core.Expr.is_in(left, to_value_set(expr.right.value))
        return call("invert", [found]) if expr.op is Operation.NOT_IN else found
    right = lower(expr.right, schema)
    if expr.op is Operation.FLOORDIV:
        return call("floor", [call("divide", [left, right])])
    if expr.op is Operation.MOD:
        quotient = call("floor", [call("divide", [left, right])])
        return call("subtract", [left, call("multiply", [right, quotient])])
    if expr.op is Operation.ADD and (
        _is_string(expr.left, schema) or _is_string(expr.right, schema)
    ):
        empty = _core.Expr.literal(pa.scalar(""))
        return call("binary_join_element_wise", [left, right, empty])
    return call(_FUNCTIONS[expr.op], [left, right])


def _is_string(expr: Expr, schema: pa.Schema | None) -> bool:
    if isinstance(expr, LiteralExpr):
        return isinstance(expr.value, str)
    if isinstance(expr, BinaryExpr):
        is_add = expr.op is Operation.ADD
        return is_add and (_is_string(expr.left, schema) or _is_string(expr.right, schema))
    if isinstance(expr, AliasExpr):
        return _is_string(expr.expr, schema)
    arrow_type: pa.DataType | None = None
    if isinstance(expr, CastExpr):
        arrow_type = expr.target
    elif isinstance(expr, ColumnExpr):
        index = -1 if schema is None else schema.get_field_index(expr.name)
        if index >= 0 and schema is not None:
            arrow_type = schema.field(index).type
    elif expr.data_type.is_arrow_type():
        arrow_type = expr.data_type.to_arrow_dtype()
    return arrow_type is not None and (
        pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type)
    )


def to_scalar(value: Any) -> pa.Scalar:
    """Returns `value` as an Arrow scalar; TypeError if Arrow has none for it."""
    if isinstance(value, pa.Scalar):
        return value
    try:
        return scalar_of(value)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise TypeError(f"lit() cannot hold {value!r}: {error}") from None


def to_value_set(values: Any) -> pa.Array:
    """Returns the values of `is_in` as an array."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pa.array(values) if hasattr(values, "dtype") else array_of(list(values))


def infer_type(expr: Expr, schema: pa.Schema) -> pa.DataType | None:
    """Returns the type of `expr` over rows of `schema` by evaluating it on no rows."""
    if is_native(expr):
        return lower(expr, schema).evaluate(schema.empty_table()).type
    return expr.data_type.to_arrow_dtype()


def to_pyarrow(expr: Expr) -> Any:
    """Returns `expr` as a `pyarrow.compute.Expression`. TypeError if it needs Python."""
    import pyarrow.compute as pc

    if isinstance(expr, ColumnExpr):
        return pc.field(expr.name)
    if isinstance(expr, LiteralExpr):
        return pc.scalar(expr.value)
    if isinstance(expr, AliasExpr):
        return to_pyarrow(expr.expr)
    if isinstance(expr, CastExpr):
        return to_pyarrow(expr.expr).cast(expr.target, safe=expr.safe)
    if isinstance(expr, UnaryExpr):
        operand = to_pyarrow(expr.operand)
        if expr.op is Operation.NOT:
            return ~operand
        return pc.Expression._call(_FUNCTIONS[expr.op], [operand], None)
    if isinstance(expr, BinaryExpr):
        return _binary_to_pyarrow(expr)
    if isinstance(expr, PyArrowComputeUDFExpr):
        options = None
        if expr.options_type:
            options = pc.FunctionOptions.deserialize(pa.py_buffer(expr.options))
        arguments = [to_pyarrow(child) for child in expr.args]
        return pc.Expression._call(expr.function, arguments, options)
    raise TypeError(f"{expr.label()} cannot be converted to a PyArrow expression")


def _binary_to_pyarrow(expr: BinaryExpr) -> Any:
    import pyarrow.compute as pc

    left = to_pyarrow(expr.left)
    if expr.op in (Operation.IN, Operation.NOT_IN):
        if not isinstance(expr.right, LiteralExpr):
            raise TypeError("is_in() of a column cannot be converted to a PyArrow expression")
        found = left.isin(to_value_set(expr.right.value))
        return ~found if expr.op is Operation.NOT_IN else found
    right = to_pyarrow(expr.right)
    if expr.op is Operation.FLOORDIV:
        return pc.floor(pc.divide(left, right))
    if expr.op is Operation.MOD:
        return pc.subtract(left, pc.multiply(right, pc.floor(pc.divide(left, right))))
    return pc.Expression._call(_FUNCTIONS[expr.op], [left, right], None)
