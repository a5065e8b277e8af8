"""The nodes of an expression: immutable values that operators and methods combine.

An expression never evaluates by itself. `lowering.py` turns it into an expression of the engine;
what needs Python (a `@udf`, a download) is evaluated by `python_eval.py` in a worker.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace._internal.expr.values import value_class
from headrace.datatype import DataType

if TYPE_CHECKING:
    from headrace._internal.expr import namespaces

_UNKNOWN = DataType(object)
_BOOL = DataType(pa.bool_())


class Operation(Enum):
    """What a `BinaryExpr` or `UnaryExpr` does."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MOD = "mod"
    FLOORDIV = "floordiv"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    EQ = "eq"
    NE = "ne"
    AND = "and"
    OR = "or"
    NOT = "not"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"
    IN = "in"
    NOT_IN = "not_in"


@value_class(frozen=True, eq=False, repr=False)
class Expr(ABC):
    """An expression over columns. Operators and methods make new expressions.

    `/` of whole numbers divides whole, as Arrow does; `//` and `%` give doubles. Nulls spread,
    except that `&` and `|` follow Kleene's logic. Compare trees with `structurally_equals`; `==`
    makes an expression.
    """

    data_type: DataType

    # ---- What it is

    @property
    def name(self) -> str | None:
        """The name of the column that it makes, if it has one."""
        return None

    def children(self) -> list[Expr]:
        """The expressions below this one."""
        return []

    def label(self) -> str:
        """The node's own line in `repr`."""
        return type(self).__name__

    def branches(self) -> list[tuple[str, Expr]]:
        """The children with their labels in `repr`."""
        return [("", child) for child in self.children()]

    def structurally_equals(self, other: Any) -> bool:
        """Returns True if both trees are the same by value."""
        return (
            type(self) is type(other)
            and self._own_state() == other._own_state()
            and len(self.children()) == len(other.children())
            and all(
                a.structurally_equals(b)
                for a, b in zip(self.children(), other.children(), strict=True)
            )
        )

    def _own_state(self) -> Any:
        return None

    def is_idempotent(self) -> bool:
        """Returns False if evaluating twice may differ."""
        return all(child.is_idempotent() for child in self.children())

    def get_type(self, input_schema: pa.Schema) -> pa.DataType | None:
        """Returns the type over rows of `input_schema`; None if it is not known before running."""
        from headrace._internal.expr.lowering import infer_type

        return infer_type(self, input_schema)

    def nullable(self, input_schema: pa.Schema) -> bool:
        """Returns False only if no null can come out."""
        return any(child.nullable(input_schema) for child in self.children())

    def to_field(self, input_schema: pa.Schema) -> pa.Field | None:
        """Returns the field of the column that it makes; None without a name or type."""
        arrow_type = self.get_type(input_schema)
        if arrow_type is None or self.name is None:
            return None
        return pa.field(self.name, arrow_type, nullable=self.nullable(input_schema))

    def expand_projection(self, input_schema: pa.Schema | None) -> list[Expr]:
        """Returns the expressions, one a column, that this one stands for in a projection."""
        return [self]

    def to_pyarrow(self) -> Any:
        """Returns the same as a `pyarrow.compute.Expression`; TypeError if it needs Python."""
        from headrace._internal.expr.lowering import to_pyarrow

        return to_pyarrow(self)

    def __repr__(self) -> str:
        return _tree(self)

    __hash__ = object.__hash__

    # ---- Naming and types

    def alias(self, name: str) -> Expr:
        """Names the result."""
        return AliasExpr(self.data_type, self, name, False)

    def cast(self, target_type: DataType | pa.DataType, *, safe: bool = True) -> Expr:
        """Converts; `safe` raises on overflow and truncation.

        Raises TypeError if the target has no Arrow type.
        """
        dtype = DataType.from_dtype(target_type)
        arrow_type = dtype.to_arrow_dtype() if dtype is not None else None
        if arrow_type is None:
            raise TypeError(f"cast() needs a type that Arrow knows, got: {target_type!r}")
        return CastExpr(dtype, self, arrow_type, safe)  # type: ignore[arg-type]

    # ---- Operators

    def __add__(self, other: Any) -> Expr:
        return _binary(Operation.ADD, self, other)

    def __radd__(self, other: Any) -> Expr:
        return _binary(Operation.ADD, other, self)

    def __sub__(self, other: Any) -> Expr:
        return _binary(Operation.SUB, self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _binary(Operation.SUB, other, self)

    def __mul__(self, other: Any) -> Expr:
        return _binary(Operation.MUL, self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _binary(Operation.MUL, other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _binary(Operation.DIV, self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return _binary(Operation.DIV, other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return _binary(Operation.FLOORDIV, self, other)

    def __rfloordiv__(self, other: Any) -> Expr:
        return _binary(Operation.FLOORDIV, other, self)

    def __mod__(self, other: Any) -> Expr:
        return _binary(Operation.MOD, self, other)

    def __rmod__(self, other: Any) -> Expr:
        return _binary(Operation.MOD, other, self)

    def __gt__(self, other: Any) -> Expr:
        return _binary(Operation.GT, self, other, _BOOL)

    def __lt__(self, other: Any) -> Expr:
        return _binary(Operation.LT, self, other, _BOOL)

    def __ge__(self, other: Any) -> Expr:
        return _binary(Operation.GE, self, other, _BOOL)

    def __le__(self, other: Any) -> Expr:
        return _binary(Operation.LE, self, other, _BOOL)

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return _binary(Operation.EQ, self, other, _BOOL)

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return _binary(Operation.NE, self, other, _BOOL)

    def __and__(self, other: Any) -> Expr:
        return _binary(Operation.AND, self, other, _BOOL)

    def __rand__(self, other: Any) -> Expr:
        return _binary(Operation.AND, other, self, _BOOL)

    def __or__(self, other: Any) -> Expr:
        return _binary(Operation.OR, self, other, _BOOL)

    def __ror__(self, other: Any) -> Expr:
        return _binary(Operation.OR, other, self, _BOOL)

    def __invert__(self) -> Expr:
        return UnaryExpr(Operation.NOT, self, data_type=_BOOL)

    def is_null(self) -> Expr:
        """True where the value is null."""
        return UnaryExpr(Operation.IS_NULL, self, data_type=_BOOL)

    def is_not_null(self) -> Expr:
        """True where the value is not null."""
        return UnaryExpr(Operation.IS_NOT_NULL, self, data_type=_BOOL)

    def is_in(self, values: Iterable[Any] | Expr) -> Expr:
        """True where the value is one of `values`; null is in the set only if it has a null."""
        return _membership(Operation.IN, self, values)

    def not_in(self, values: Iterable[Any] | Expr) -> Expr:
        """The opposite of `is_in`."""
        return _membership(Operation.NOT_IN, self, values)

    # ---- Arithmetic

    def abs(self) -> Expr:
        """The magnitude. Raises on overflow."""
        return call("abs_checked", self)

    def negate(self) -> Expr:
        """The number with its sign changed. Raises on overflow."""
        return call("negate_checked", self)

    def sign(self) -> Expr:
        """-1, 0 or 1."""
        return call("sign", self)

    def power(self, exponent: Any) -> Expr:
        """The number raised to `exponent`."""
        return call("power", self, exponent)

    def ceil(self) -> Expr:
        """The least whole number not below."""
        return call("ceil", self)

    def floor(self) -> Expr:
        """The greatest whole number not above."""
        return call("floor", self)

    def round(self) -> Expr:
        """The nearest whole number, halves to even."""
        return call("round", self)

    def trunc(self) -> Expr:
        """The whole number next in the direction of zero."""
        return call("trunc", self)

    def exp(self) -> Expr:
        return call("exp", self)

    def ln(self) -> Expr:
        return call("ln", self)

    def log10(self) -> Expr:
        return call("log10", self)

    def log2(self) -> Expr:
        return call("log2", self)

    def sin(self) -> Expr:
        return call("sin", self)

    def cos(self) -> Expr:
        return call("cos", self)

    def tan(self) -> Expr:
        return call("tan", self)

    def asin(self) -> Expr:
        return call("asin", self)

    def acos(self) -> Expr:
        return call("acos", self)

    def atan(self) -> Expr:
        return call("atan", self)

    # ---- Families of functions

    @cached_property
    def str(self) -> namespaces.StringNamespace:
        """Functions of strings."""
        from headrace._internal.expr.namespaces import StringNamespace

        return StringNamespace(self)

    @cached_property
    def list(self) -> namespaces.ListNamespace:
        """Functions of lists."""
        from headrace._internal.expr.namespaces import ListNamespace

        return ListNamespace(self)

    @cached_property
    def struct(self) -> namespaces.StructNamespace:
        """Fields of structs."""
        from headrace._internal.expr.namespaces import StructNamespace

        return StructNamespace(self)

    @cached_property
    def dt(self) -> namespaces.DatetimeNamespace:
        """Functions of dates and times."""
        from headrace._internal.expr.namespaces import DatetimeNamespace

        return DatetimeNamespace(self)

    @cached_property
    def map(self) -> namespaces.MapNamespace:
        """Keys and values of maps."""
        from headrace._internal.expr.namespaces import MapNamespace

        return MapNamespace(self)

    @cached_property
    def arr(self) -> namespaces.ArrayNamespace:
        """Functions of fixed-size arrays and tensors."""
        from headrace._internal.expr.namespaces import ArrayNamespace

        return ArrayNamespace(self)


@value_class(frozen=True, eq=False, repr=False)
class ColumnExpr(Expr):
    """The column of this name."""

    data_type: DataType = field(default=_UNKNOWN, kw_only=True)
    _name: str

    @property
    def name(self) -> str:
        return self._name

    def label(self) -> str:
        return f"COL({self._name!r})"

    def _own_state(self) -> Any:
        return self._name

    def nullable(self, input_schema: pa.Schema) -> bool:
        index = input_schema.get_field_index(self._name)
        return index < 0 or input_schema.field(index).nullable


@value_class(frozen=True, eq=False, repr=False)
class LiteralExpr(Expr):
    """A constant."""

    data_type: DataType = field(default=_UNKNOWN, kw_only=True)
    value: Any

    def __post_init__(self) -> None:
        if self.data_type is _UNKNOWN:
            self.__dict__["data_type"] = DataType.infer_dtype(self.value)

    def label(self) -> str:
        return f"LIT({self.value!r})"

    def _own_state(self) -> Any:
        return (type(self.value).__name__, repr(self.value))

    def nullable(self, input_schema: pa.Schema) -> bool:
        return self.value is None


@value_class(frozen=True, eq=False, repr=False)
class BinaryExpr(Expr):
    """An operation on two expressions."""

    data_type: DataType = field(default=_UNKNOWN, kw_only=True)
    op: Operation
    left: Expr
    right: Expr

    def children(self) -> list[Expr]:
        return [self.left, self.right]

    def branches(self) -> list[tuple[str, Expr]]:
        return [("left: ", self.left), ("right: ", self.right)]

    def label(self) -> str:
        return self.op.name

    def _own_state(self) -> Any:
        return self.op


@value_class(frozen=True, eq=False, repr=False)
class UnaryExpr(Expr):
    """An operation on one expression."""

    data_type: DataType = field(default=_UNKNOWN, kw_only=True)
    op: Operation
    operand: Expr

    def children(self) -> list[Expr]:
        return [self.operand]

    def branches(self) -> list[tuple[str, Expr]]:
        return [("operand: ", self.operand)]

    def label(self) -> str:
        return self.op.name

    def _own_state(self) -> Any:
        return self.op

    def nullable(self, input_schema: pa.Schema) -> bool:
        if self.op in (Operation.IS_NULL, Operation.IS_NOT_NULL):
            return False
        return self.operand.nullable(input_schema)


@value_class(frozen=True, eq=False, repr=False)
class AliasExpr(Expr):
    """An expression with a name."""

    expr: Expr
    _name: str
    _is_rename: bool

    @property
    def name(self) -> str:
        return self._name

    def children(self) -> list[Expr]:
        return [self.expr]

    def label(self) -> str:
        return f"ALIAS({self._name!r})"

    def alias(self, name: str) -> Expr:
        return AliasExpr(self.data_type, self.expr, name, self._is_rename)

    def _own_state(self) -> Any:
        return (self._name, self._is_rename)


@value_class(frozen=True, eq=False, repr=False)
class CastExpr(Expr):
    """A conversion to another type."""

    expr: Expr
    target: pa.DataType
    safe: bool

    def children(self) -> list[Expr]:
        return [self.expr]

    def label(self) -> str:
        return f"CAST({self.target}, safe={self.safe})"

    def _own_state(self) -> Any:
        return (self.target, self.safe)


@value_class(frozen=True, eq=False, repr=False)
class UDFExpr(Expr):
    """A call of a function on whole columns; `fn` runs in a worker."""

    fn: Callable[..., Any]
    args: list[Expr]
    kwargs: dict[str, Expr]

    def children(self) -> list[Expr]:
        return [*self.args, *self.kwargs.values()]

    def branches(self) -> list[tuple[str, Expr]]:
        positional = [(f"arg[{i}]: ", arg) for i, arg in enumerate(self.args)]
        return positional + [(f"kwarg[{key!r}]: ", arg) for key, arg in self.kwargs.items()]

    def label(self) -> str:
        return f"UDF({getattr(self.fn, '__name__', type(self.fn).__name__)})"

    def _own_state(self) -> Any:
        return (self.fn, len(self.args), tuple(self.kwargs))


@value_class(frozen=True, eq=False, repr=False)
class PyArrowComputeUDFExpr(UDFExpr):
    """A call of an Arrow compute function, which the engine runs natively.

    `options` are the function's options as Arrow serialises them, of class `options_type`.
    """

    function: str = ""
    options_type: str = ""
    options: bytes = b""

    def label(self) -> str:
        return f"UDF({self.function})"

    def _own_state(self) -> Any:
        return (self.function, self.options_type, self.options, len(self.args))


def call(
    function: str, *arguments: Any, options: Any = None, data_type: DataType = _UNKNOWN
) -> PyArrowComputeUDFExpr:
    """Makes a call of the Arrow compute function `function` with `pyarrow.compute` options."""
    return PyArrowComputeUDFExpr(
        data_type,
        _NamedFunction(function),
        [to_expr(argument) for argument in arguments],
        {},
        function,
        "" if options is None else type(options).__name__,
        b"" if options is None else options.serialize().to_pybytes(),
    )


@dataclass(frozen=True)
class _NamedFunction:
    """An Arrow function by name; unlike pyarrow's own wrappers, it pickles small."""

    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *columns: Any) -> Any:
        import pyarrow.compute as pc

        return pc.call_function(self.name, list(columns))


def column(name: str) -> ColumnExpr:
    return ColumnExpr(name)


def literal(value: Any) -> LiteralExpr:
    return LiteralExpr(value)


def to_expr(value: Any) -> Expr:
    """Returns expressions as they are and wraps anything else as a literal."""
    return value if isinstance(value, Expr) else literal(value)


def _binary(op: Operation, left: Any, right: Any, data_type: DataType = _UNKNOWN) -> Expr:
    return BinaryExpr(op, to_expr(left), to_expr(right), data_type=data_type)


def _membership(op: Operation, left: Expr, values: Any) -> Expr:
    if not isinstance(values, Expr):
        values = literal(values if isinstance(values, list) else list(values))
    return BinaryExpr(op, left, values, data_type=_BOOL)


def _tree(expr: Expr, indent: str = "") -> str:
    lines = [expr.label()]
    branches = expr.branches()
    for i, (label, child) in enumerate(branches):
        last = i == len(branches) - 1
        tick, bar = ("└── ", "    ") if last else ("├── ", "│   ")
        text = _tree(child, indent + "    " + bar)
        lines.append(f"{indent}    {tick}{label}{text}")
    return "\n".join(lines)
