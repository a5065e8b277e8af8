"""Tables made at random for the operators that reorder rows, and how their rows are compared."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import headrace

FEW = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Few different values, so that keys meet; quarters, so that sums of floats are exact.
_KEYS = st.one_of(st.none(), st.integers(-3, 3))
_QUARTERS = st.integers(-40, 40).map(lambda n: n / 4)
_FLOATS = st.one_of(st.none(), st.just(math.nan), st.just(-0.0), _QUARTERS)
_TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "b", "ab", "a\0", "ä", "zebra" * 5]))
_BOOLS = st.one_of(st.none(), st.booleans())
_DATES = st.one_of(st.none(), st.dates(datetime.date(1960, 1, 1), datetime.date(1999, 1, 1)))
_DECIMALS = st.one_of(st.none(), st.integers(-500, 500).map(lambda n: decimal.Decimal(n) / 100))
_LISTS = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=3))

_COLUMNS = {
    "k": (_KEYS, pa.int64()),
    "s": (_TEXTS, pa.string()),
    "f": (_FLOATS, pa.float64()),
    "b": (_BOOLS, pa.bool_()),
    "d": (_DATES, pa.date32()),
    "m": (_DECIMALS, pa.decimal128(9, 2)),
    "z": (st.none(), pa.int32()),
    "l": (_LISTS, pa.list_(pa.int64())),
}


@st.composite
def tables(draw: st.DrawFn, max_rows: int = 40) -> pa.Table:
    """Draws a table: keys of many types with nulls, a column of nulls, a list, a struct, and "n",
    the number of the row."""
    rows = draw(st.integers(0, max_rows))
    columns: dict[str, Any] = {
        name: pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), dtype)
        for name, (values, dtype) in _COLUMNS.items()
    }
    columns["n"] = pa.array(range(rows), pa.int64())
    fields = [{"x": i, "y": None if i % 3 else [str(i)]} for i in range(rows)]
    columns["p"] = pa.array(fields, pa.struct([("x", pa.int32()), ("y", pa.list_(pa.string()))]))
    return pa.table(columns)


@st.composite
def datasets(draw: st.DrawFn, max_rows: int = 40) -> tuple[pa.Table, Any]:
    """Draws a table, and a dataset of it: in few blocks, some without rows, or a row in each."""
    table = draw(tables(max_rows))
    return table, headrace.from_arrow(draw(cuts(table)))


@st.composite
def cuts(draw: st.DrawFn, table: pa.Table) -> list[pa.Table]:
    """Draws how a table is cut into blocks."""
    if draw(st.booleans()):
        ends = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=5)))
    else:
        ends = list(range(table.num_rows))
    bounds = [0, *ends, table.num_rows]
    return [table.slice(a, b - a) for a, b in itertools.pairwise(bounds)]


def in_order(dataset: Any) -> list[dict[str, Any]]:
    """Runs a dataset and returns its rows in order."""
    table = dataset._to_table()
    return table.to_pylist()


def plain(value: Any) -> Any:
    """Returns a value in a form that equals itself and has an order: nan, -0.0, digits, nesting."""
    if value is None:
        return ("null",)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, (int, float, decimal.Decimal)):
        number = float(value)
        return ("nan",) if math.isnan(number) else ("number", float(f"{number:.9g}") + 0.0)
    if isinstance(value, dict):
        return ("struct", tuple((name, plain(part)) for name, part in value.items()))
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return ("list", tuple(map(plain, value)))
    return (type(value).__name__, str(value))


def row_set(rows: Iterable[dict[str, Any]]) -> list[Any]:
    """Returns rows in a form for which order does not matter."""
    return sorted(tuple((name, plain(row[name])) for name in sorted(row)) for row in rows)


def group_rows(table: pa.Table, keys: list[str]) -> dict[Any, list[dict[str, Any]]]:
    """Returns the rows of each group, in their order."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        groups.setdefault(tuple(plain(row[key]) for key in keys), []).append(row)
    return groups


KEY_COLUMNS = ("k", "s", "f", "b", "d", "m", "z")
