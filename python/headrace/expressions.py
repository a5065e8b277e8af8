"""Expressions over columns, for `Dataset.filter`, `with_column` and `with_columns`.

    from headrace.expressions import col, lit
    ds.filter(expr=(col("age") > 30) & col("name").str.starts_with("a"))
    ds.with_column("year", col("time").dt.year())

The engine evaluates them natively, with Arrow's functions and null rules; a `@udf`, a download
and the few functions that Arrow lacks run in a worker process.
"""

from __future__ import annotations

import functools
import operator
import uuid as _uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from headrace._internal.expr.namespaces import (
    ArrayNamespace as _ArrayNamespace,
)
from headrace._internal.expr.namespaces import (
    DatetimeNamespace as _DatetimeNamespace,
)
from headrace._internal.expr.namespaces import (
    ListNamespace as _ListNamespace,
)
from headrace._internal.expr.namespaces import (
    MapNamespace as _MapNamespace,
)
from headrace._internal.expr.namespaces import (
    StringNamespace as _StringNamespace,
)
from headrace._internal.expr.namespaces import (
    StructNamespace as _StructNamespace,
)
from headrace._internal.expr.nodes import (
    AliasExpr,
    BinaryExpr,
    ColumnExpr,
    Expr,
    LiteralExpr,
    Operation,
    PyArrowComputeUDFExpr,
    UDFExpr,
    UnaryExpr,
    column,
    literal,
    to_expr,
)
from headrace._internal.expr.special_nodes import (
    DownloadExpr,
    MonotonicallyIncreasingIdExpr,
    RandomExpr,
    StarExpr,
    UnnestExpr,
    UUIDExpr,
)
from headrace.datatype import DataType

__all__ = [
    "AliasExpr",
    "BinaryExpr",
    "ColumnExpr",
    "DownloadExpr",
    "Expr",
    "LiteralExpr",
    "MonotonicallyIncreasingIdExpr",
    "Operation",
    "PyArrowComputeUDFExpr",
    "RandomExpr",
    "StarExpr",
    "UDFExpr",
    "UUIDExpr",
    "UnaryExpr",
    "UnnestExpr",
    "_ArrayNamespace",
    "_DatetimeNamespace",
    "_ListNamespace",
    "_MapNamespace",
    "_StringNamespace",
    "_StructNamespace",
    "col",
    "download",
    "expand_projection_exprs",
    "expand_star_exprs",
    "exprlist_to_fields",
    "is_rename_expr",
    "lit",
    "monotonically_increasing_id",
    "pyarrow_udf",
    "random",
    "star",
    "udf",
    "unnest",
    "uuid",
]


def col(name: str) -> ColumnExpr:
    """The column of this name. A missing column raises when the dataset runs, or earlier."""
    return column(name)


def lit(value: Any) -> LiteralExpr:
    """A constant, of the type that Arrow gives it."""
    return literal(value)


def star() -> StarExpr:
    """All columns of the input."""
    return StarExpr()


def unnest(expr: Expr) -> UnnestExpr:
    """One column for each field of a struct; for `with_columns`."""
    return UnnestExpr(expr)


def uuid() -> UUIDExpr:
    """A random UUID (version 4) for each row, as a string."""
    return UUIDExpr()


def random(*, seed: int | None = None, reseed_after_execution: bool = True) -> RandomExpr:
    """A random number in [0, 1) for each row.

    It depends on the seed and on the row's place in the data, not on batch sizes, timing or the
    number of workers: a run of the same plan over the same data draws the same numbers.

    Args:
        seed: None: another one in each run. Two columns of one seed are equal.
        reseed_after_execution: each execution of a dataset draws anew, so that the first, second,
            ... execution are each repeatable; False: every execution draws the same numbers.

    Raises:
        TypeError: the seed is not a whole number.
    """
    if seed is not None:
        seed = operator.index(seed)
    return RandomExpr(seed, reseed_after_execution)


def monotonically_increasing_id() -> MonotonicallyIncreasingIdExpr:
    """A number (int64) for each row, unique in the dataset, increasing but with gaps.

    The upper 31 bits are the number of the task, the lower 33 the number of the row in it. Where
    blocks come in another order in another run, so do the numbers.
    """
    return MonotonicallyIncreasingIdExpr()


def download(uri_column_name: str, *, filesystem: Any = None) -> DownloadExpr:
    """The bytes behind the paths or URIs in a column; null where one cannot be read.

    Args:
        uri_column_name: a column of strings.
        filesystem: a `pyarrow.fs.FileSystem`; default: from each URI.
    """
    return DownloadExpr(uri_column_name, filesystem)


def udf(return_dtype: DataType) -> Callable[..., Any]:
    """Decorates a function of whole columns, so that it takes and makes expressions.

    The function gets `pyarrow.ChunkedArray`s and returns an array of the same length (Arrow,
    numpy, pandas or a list). A class is made once in each worker, with the arguments that the
    decorated class is called with; its `__call__` is the function.

    Args:
        return_dtype: the type of the result.
    """
    return functools.partial(_decorate, return_dtype, lambda fn: fn)


def pyarrow_udf(return_dtype: DataType) -> Callable[..., Any]:
    """Like `udf`, for functions that want one contiguous `pyarrow.Array` for each column."""
    return functools.partial(_decorate, return_dtype, _Contiguous)


class _Contiguous:
    """Calls `fn` with contiguous arrays."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self.__name__ = getattr(fn, "__name__", type(fn).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = tuple(_contiguous(arg) for arg in args)
        return self._fn(*args, **{key: _contiguous(arg) for key, arg in kwargs.items()})


def _contiguous(value: Any) -> Any:
    return value.combine_chunks() if isinstance(value, pa.ChunkedArray) else value


def _decorate(return_dtype: DataType, wrap: Callable[[Any], Any], fn: Any) -> Any:
    from headrace._internal.expr.python_eval import ClassCall

    def make(target: Any, args: Any, kwargs: Any) -> UDFExpr:
        positional = [to_expr(arg) for arg in args]
        return UDFExpr(
            return_dtype, target, positional, {key: to_expr(arg) for key, arg in kwargs.items()}
        )

    if not isinstance(fn, type):
        target = wrap(fn)

        @functools.wraps(fn)
        def call_function(*args: Any, **kwargs: Any) -> UDFExpr:
            return make(target, args, kwargs)

        return call_function

    def construct(*args: Any, **kwargs: Any) -> Callable[..., UDFExpr]:
        target = ClassCall(fn, args, kwargs, _uuid.uuid4().hex)
        return lambda *columns, **named: make(target, columns, named)

    construct.__name__ = fn.__name__
    construct.__doc__ = fn.__doc__
    return construct


def is_rename_expr(expr: Expr) -> bool:
    """Returns True for a column that only gets another name."""
    return isinstance(expr, AliasExpr) and expr._is_rename


def expand_star_exprs(exprs: list[Expr], input_schema: pa.Schema) -> list[Expr]:
    """Replaces `star()` by the columns of `input_schema`."""
    return expand_projection_exprs(exprs, input_schema)


def expand_projection_exprs(exprs: list[Expr], input_schema: pa.Schema | None) -> list[Expr]:
    """Replaces `star()` and `unnest()` by one expression a column."""
    return [single for expr in exprs for single in expr.expand_projection(input_schema)]


def exprlist_to_fields(exprs: list[Expr], input_schema: pa.Schema) -> list[pa.Field] | None:
    """Returns the fields that `exprs` make, or None if one is not known before running."""
    fields = []
    for expr in expand_projection_exprs(exprs, input_schema):
        made = expr.to_field(input_schema)
        if made is None:
            return None
        fields.append(made)
    return fields
