"""Evaluates, in a worker, expressions that need Python.

The parts that need Python are evaluated first, innermost first, each into a temporary column;
the engine then evaluates what is left.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headrace._internal.expr.lowering import is_native, lower, to_value_set, with_children
from headrace._internal.expr.nodes import (
    BinaryExpr,
    Expr,
    Operation,
    PyArrowComputeUDFExpr,
    UDFExpr,
    column,
)
from headrace._internal.expr.special_nodes import DownloadExpr, UUIDExpr

_DOWNLOAD_THREADS = 16


@dataclass(frozen=True)
class ProjectTable:
    """A `map_batches` function over tables that adds or replaces columns.

    With `keep_rest` the other columns stay; else the result has the named ones only.
    """

    exprs: list[tuple[str, Expr]]
    keep_rest: bool

    def __call__(self, table: pa.Table) -> pa.Table:
        columns = [(name, evaluate(expr, table)) for name, expr in self.exprs]
        if not self.keep_rest:
            return pa.table(dict(columns))
        for name, values in columns:
            index = table.schema.get_field_index(name)
            if index >= 0:
                table = table.set_column(index, name, values)
            else:
                table = table.append_column(name, values)
        return table


@dataclass(frozen=True)
class FilterTable:
    """A `map_batches` function over tables that keeps the rows where `predicate` is true."""

    predicate: Expr

    def __call__(self, table: pa.Table) -> pa.Table:
        return table.filter(evaluate(self.predicate, table))


def evaluate(expr: Expr, table: pa.Table) -> pa.ChunkedArray:
    """Returns the column that `expr` makes of `table`."""
    if is_native(expr):
        return lower(expr, table.schema).evaluate(table)
    # The engine calls Arrow's functions, when their arguments are there.
    if isinstance(expr, UDFExpr) and not isinstance(expr, PyArrowComputeUDFExpr):
        return _call_udf(expr, table)
    if isinstance(expr, DownloadExpr):
        return _download(expr, table)
    if isinstance(expr, UUIDExpr):
        return pa.chunked_array([[str(uuid.uuid4()) for _ in range(table.num_rows)]], pa.string())
    if isinstance(expr, BinaryExpr) and expr.op in (Operation.IN, Operation.NOT_IN):
        return _is_in(expr, table)
    replaced: dict[int, Expr] = {}
    for child in expr.children():
        if not is_native(child):
            name = f"__headrace_{len(table.column_names)}"
            table = table.append_column(name, evaluate(child, table))
            replaced[id(child)] = column(name)
    if not replaced:
        raise TypeError(f"{expr.label()} cannot be evaluated here")
    return evaluate(with_children(expr, replaced), table)


def _call_udf(expr: UDFExpr, table: pa.Table) -> pa.ChunkedArray:
    args = [evaluate(arg, table) for arg in expr.args]
    kwargs = {key: evaluate(arg, table) for key, arg in expr.kwargs.items()}
    result = _instance(expr.fn)(*args, **kwargs)
    if not isinstance(result, (pa.Array, pa.ChunkedArray)):
        result = _to_arrow(result)
    if len(result) != table.num_rows:
        raise ValueError(f"{expr.label()} returned {len(result)} values for {table.num_rows} rows")
    return result if isinstance(result, pa.ChunkedArray) else pa.chunked_array([result])


def _to_arrow(values: Any) -> Any:
    from headrace._internal import convert

    return convert.batch_to_table({"value": values}).column(0)


def _is_in(expr: BinaryExpr, table: pa.Table) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    values = to_value_set(evaluate(expr.right, table))
    found = pc.is_in(evaluate(expr.left, table), value_set=values)
    return pc.invert(found) if expr.op is Operation.NOT_IN else found


def _download(expr: DownloadExpr, table: pa.Table) -> pa.ChunkedArray:
    from concurrent.futures import ThreadPoolExecutor

    from pyarrow import fs

    def read(uri: str | None) -> bytes | None:
        if uri is None:
            return None
        try:
            if expr.filesystem is not None:
                filesystem, path = expr.filesystem, uri
            else:
                filesystem, path = (
                    fs.FileSystem.from_uri(uri) if "://" in uri else (fs.LocalFileSystem(), uri)
                )
            with filesystem.open_input_stream(path) as stream:
                return stream.read()
        except (OSError, pa.ArrowInvalid):
            return None

    uris = table.column(expr.uri_column_name).to_pylist()
    with ThreadPoolExecutor(_DOWNLOAD_THREADS) as pool:
        return pa.chunked_array([pa.array(pool.map(read, uris), pa.binary())])


# ---- Classes as functions -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ClassCall:
    """A class of the user with its constructor's arguments: made once in each worker."""

    cls: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    key: str

    @property
    def __name__(self) -> str:
        return self.cls.__name__


_instances: dict[str, Any] = {}


def _instance(fn: Any) -> Any:
    if not isinstance(fn, ClassCall):
        return fn
    if fn.key not in _instances:
        _instances[fn.key] = fn.cls(*fn.args, **fn.kwargs)
    return _instances[fn.key]
