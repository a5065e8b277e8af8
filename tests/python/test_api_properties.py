"""Tables made at random go through pipelines and come out as pyarrow and pandas say."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace
from headrace.expressions import col, lit

_FEW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

_INTS = st.one_of(st.none(), st.integers(-1000, 1000))
_FLOATS = st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False))
_STRINGS = st.one_of(st.none(), st.text(max_size=6))


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 0) -> pa.Table:
    rows = draw(st.integers(min_rows, 40))
    columns = {
        "i": pa.array(draw(st.lists(_INTS, min_size=rows, max_size=rows)), pa.int64()),
        "f": pa.array(draw(st.lists(_FLOATS, min_size=rows, max_size=rows)), pa.float64()),
        "s": pa.array(draw(st.lists(_STRINGS, min_size=rows, max_size=rows)), pa.string()),
    }
    return pa.table(columns)


@st.composite
def cut(draw: st.DrawFn, table: pa.Table) -> list[pa.Table]:
    """Cuts a table into blocks, some of them empty."""
    ends = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    bounds = [0, *ends, table.num_rows]
    return [table.slice(a, b - a) for a, b in itertools.pairwise(bounds)]


def _in_order(dataset: Any) -> pa.Table:
    dataset.context.execution_options.preserve_order = True
    return pa.concat_tables(headrace.get(dataset.to_arrow_refs()))


@_FEW
@given(data=st.data(), table=tables())
def test_blocks_come_back_as_they_went_in(data: st.DataObject, table: pa.Table) -> None:
    blocks = data.draw(cut(table))
    ds = headrace.from_arrow(blocks)
    assert ds.count() == table.num_rows
    assert ds.num_blocks() == len(blocks)
    assert ds.take_all() == table.to_pylist()
    assert _in_order(ds).equals(table)


@_FEW
@given(data=st.data(), table=tables(), bound=st.integers(-5, 5))
def test_filters_and_columns_agree_with_arrow(
    data: st.DataObject, table: pa.Table, bound: int
) -> None:
    ds = headrace.from_arrow(data.draw(cut(table)))
    out = ds.with_column("j", col("i") * 2 + 1).filter(expr=(col("j") > bound) | col("f").is_null())
    doubled = pc.add(pc.multiply(table["i"], 2), 1)
    keep = pc.or_kleene(pc.greater(doubled, bound), pc.is_null(table["f"]))
    expected = table.append_column("j", doubled).filter(keep)
    assert _in_order(out).to_pylist() == expected.to_pylist()


@_FEW
@given(data=st.data(), table=tables(), size=st.integers(1, 12), drop_last=st.booleans())
def test_batches_have_the_exact_size(
    data: st.DataObject, table: pa.Table, size: int, drop_last: bool
) -> None:
    ds = headrace.from_arrow(data.draw(cut(table)))
    for batch_format in ("pyarrow", "numpy", "pandas"):
        batches = list(
            ds.iter_batches(batch_size=size, drop_last=drop_last, batch_format=batch_format)
        )
        lengths = [b.num_rows if batch_format == "pyarrow" else len(b["i"]) for b in batches]
        whole, rest = divmod(table.num_rows, size)
        expected = [size] * whole + ([rest] if rest and not drop_last else [])
        assert lengths == expected
    joined = [
        v
        for b in ds.iter_batches(batch_size=size, batch_format="pyarrow")
        for v in b["s"].to_pylist()
    ]
    assert joined == table["s"].to_pylist()


@_FEW
@given(
    data=st.data(),
    rows=st.integers(0, 60),
    size=st.integers(1, 7),
    buffer=st.integers(1, 30),
    seed=st.integers(0, 9),
)
def test_a_local_shuffle_permutes(
    data: st.DataObject, rows: int, size: int, buffer: int, seed: int
) -> None:
    ds = headrace.from_arrow(data.draw(cut(pa.table({"i": list(range(rows))}))))

    def run() -> list[list[int]]:
        batches = ds.iter_batches(
            batch_size=size, local_shuffle_buffer_size=buffer, local_shuffle_seed=seed
        )
        return [batch["i"].tolist() for batch in batches]

    first = run()
    assert sorted(v for batch in first for v in batch) == list(range(rows))
    assert [len(b) for b in first[:-1]] == [size] * (len(first) - 1)
    assert run() == first


@_FEW
@given(data=st.data(), table=tables(min_rows=1))
def test_folds_agree_with_pandas(data: st.DataObject, table: pa.Table) -> None:
    ds = headrace.from_arrow(data.draw(cut(table)))
    frame = table.to_pandas()
    for column in ("i", "f"):
        values = frame[column].dropna()
        if values.empty:
            assert ds.sum(column) is None
            assert ds.mean(column) is None
            continue
        assert ds.sum(column) == pytest.approx(values.sum(), abs=1e-3)
        assert ds.min(column) == values.min()
        assert ds.max(column) == values.max()
        assert ds.mean(column) == pytest.approx(values.mean(), rel=1e-6, abs=1e-3)
        std = ds.std(column)
        if len(values) < 2:
            assert math.isnan(std)
        else:
            assert std == pytest.approx(values.std(), rel=1e-5, abs=1e-3)
    assert ds.unique("s") == list(dict.fromkeys(table["s"].to_pylist()))


@_FEW
@given(data=st.data(), table=tables(), limit=st.integers(0, 50))
def test_a_limit_takes_the_first_rows(data: st.DataObject, table: pa.Table, limit: int) -> None:
    ds = headrace.from_arrow(data.draw(cut(table)))
    assert ds.limit(limit).take_all() == table.to_pylist()[:limit]
    assert ds.limit(limit).count() == min(limit, table.num_rows)


@settings(parent=_FEW, max_examples=8)
@given(table=tables(min_rows=1))
@pytest.mark.parametrize("batch_format", ["numpy", "pandas", "pyarrow"])
def test_a_function_of_batches_sees_all_rows(batch_format: str, table: pa.Table) -> None:
    ds = headrace.from_arrow([table.slice(0, 1), table.slice(1)])

    def length(batch: Any) -> dict[str, Any]:
        return {"n": np.array([len(batch["s"])])}

    out = ds.map_batches(length, batch_format=batch_format, batch_size=3)
    assert sum(row["n"] for row in out.take_all()) == table.num_rows


@_FEW
@given(values=st.lists(st.integers(-100, 100), min_size=1, max_size=20), other=st.integers(1, 9))
def test_arithmetic_follows_arrow(values: list[int], other: int) -> None:
    ds = headrace.from_arrow(pa.table({"a": values}))
    made = ds.with_columns(
        {
            "div": col("a") / other,
            "floordiv": col("a") // other,
            "mod": col("a") % other,
            "rsub": lit(other) - col("a"),
        }
    ).take_all()
    for row, a in zip(made, values, strict=True):
        quotient = math.trunc(a / other)
        assert row["div"] == quotient
        assert row["floordiv"] == float(quotient)
        assert row["mod"] == a - other * quotient
        assert row["rsub"] == other - a
