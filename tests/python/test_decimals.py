"""Expressions of decimals have the values, the types and the errors of pyarrow's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace
from headrace.expressions import col, lit

_DIGITS = st.tuples(st.integers(1, 38), st.integers(0, 38)).map(lambda p: (p[0], min(p)))


@st.composite
def _decimals(draw: st.DrawFn, rows: int) -> pa.Array:
    precision, scale = draw(st.one_of(_DIGITS, st.sampled_from([(15, 2), (12, 4), (38, 0)])))
    top = 10**precision - 1
    units = draw(
        st.lists(
            st.none() | st.sampled_from([top, -top, 0]) | st.integers(-top, top),
            min_size=rows,
            max_size=rows,
        )
    )
    values = [None if u is None else Decimal((u < 0, _digits(u), -scale)) for u in units]
    return pa.array(values, pa.decimal128(precision, scale))


def _digits(number: int) -> tuple[int, ...]:
    return tuple(int(digit) for digit in str(abs(number)))


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
}


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), rows=st.integers(1, 19), name=st.sampled_from(sorted(_OPERATIONS)))
def test_decimals_compute_as_in_arrow(data: st.DataObject, rows: int, name: str) -> None:
    a, b = data.draw(_decimals(rows)), data.draw(_decimals(rows))
    start = data.draw(st.integers(0, rows - 1))
    table = pa.table({"a": a, "b": b}).slice(start)
    one = data.draw(st.sampled_from([None, 0, 7, Decimal("1.00"), Decimal("-0.05")]))
    flip = data.draw(st.booleans())
    left, right = (col("a"), col("b")) if one is None else (col("a"), lit(one))
    raw = (table["a"], table["b"] if one is None else pa.scalar(one))
    if flip:
        left, right, raw = right, left, raw[::-1]
    expr = _OPERATIONS[name](left, right)
    ds = headrace.from_arrow(table)
    try:
        wanted = getattr(pc, name)(*raw)
    except pa.ArrowInvalid:
        with pytest.raises(Exception, match=r"[Pp]recision"):
            ds.with_column("c", expr).take_all()
        return
    (got,) = ds.with_column("c", expr).iter_batches(batch_size=None, batch_format="pyarrow")
    got["c"].validate(full=True)
    assert got["c"].to_pylist() == wanted.to_pylist()
    assert got["c"].type == wanted.type


@given(
    rows=st.lists(st.none() | st.integers(-(10**5) + 1, 10**5 - 1), min_size=1, max_size=19),
    up=st.integers(0, 6),
    precision=st.integers(1, 38),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_casts_are_those_of_arrow(rows: list[int | None], up: int, precision: int) -> None:
    values = [None if row is None else Decimal(row).scaleb(-2) for row in rows]
    table = pa.table({"a": pa.array(values, pa.decimal128(5, 2))})
    kind = pa.decimal128(max(precision, 2 + up), 2 + up)
    ds = headrace.from_arrow(table).with_column("c", col("a").cast(kind))
    try:
        wanted = table["a"].cast(kind)
    except pa.ArrowInvalid:
        with pytest.raises(Exception, match=r"[Pp]recision|fit"):
            ds.take_all()
        return
    (got,) = ds.iter_batches(batch_size=None, batch_format="pyarrow")
    assert got["c"].to_pylist() == wanted.to_pylist()
    assert got["c"].type == wanted.type


@pytest.mark.parametrize("precision", [18, 38])
def test_the_mean_is_that_of_the_doubles(precision: int) -> None:
    """Those that a double holds exactly, and one that it does not."""
    values = [Decimal(v) for v in ("0.10", "-7.30", "90071992547409.93", "12345.67")]
    ds = headrace.from_arrow(pa.table({"a": pa.array(values, pa.decimal128(precision, 2))}))
    expected = 0.0
    for value in values:
        expected += pa.scalar(value).cast(pa.float64()).as_py()
    assert ds.mean("a") == expected / len(values)
