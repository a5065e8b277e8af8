"""Joins of tables made at random, against DuckDB."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from exchange_tables import FEW, cuts, in_order, row_set, tables
from hypothesis import given
from hypothesis import strategies as st

import headrace

duckdb = pytest.importorskip("duckdb")
pytestmark = pytest.mark.usefixtures("settings")

_SQL = {
    "inner": "JOIN",
    "left_outer": "LEFT JOIN",
    "right_outer": "RIGHT JOIN",
    "full_outer": "FULL JOIN",
    "left_semi": "SEMI JOIN",
    "right_semi": "SEMI JOIN",
    "left_anti": "ANTI JOIN",
    "right_anti": "ANTI JOIN",
}
_KINDS = sorted(_SQL)
# Nan is left out: DuckDB joins nan to nan.
_KEYS = st.sampled_from([["k"], ["s"], ["k", "s"], ["b"], ["d"], ["m"], ["z"], ["d", "k", "b"]])


def _expected(kind: str, left: pa.Table, right: pa.Table, keys: list[str]) -> list[dict[str, Any]]:
    """The right table's columns have an "r" before their names."""
    connection = duckdb.connect()
    connection.register("l", left)
    connection.register("r", right)
    matches = " AND ".join(f"l.{key} = r.r{key}" for key in keys)
    if kind in ("right_semi", "right_anti"):
        text = f"SELECT r.* FROM r {_SQL[kind]} l ON {matches}"
    elif kind in ("left_semi", "left_anti"):
        text = f"SELECT l.* FROM l {_SQL[kind]} r ON {matches}"
    else:
        text = f"SELECT l.*, r.* FROM l {_SQL[kind]} r ON {matches}"
    rows = connection.sql(text).to_arrow_table().to_pylist()
    for row in rows:
        for key in keys:
            # Keys come once: under the name of the side that has all rows.
            if kind == "right_outer":
                row.pop(key)
            elif kind == "full_outer":
                mine, other = row[key], row.pop(f"r{key}")
                row[key] = other if mine is None else mine
            elif kind in ("inner", "left_outer"):
                row.pop(f"r{key}")
    return rows


@FEW
@given(
    data=st.data(),
    kind=st.sampled_from(_KINDS),
    keys=_KEYS,
    partitions=st.sampled_from([0, 1, 4]),
)
def test_join(data: st.DataObject, kind: str, keys: list[str], partitions: int) -> None:
    left = data.draw(tables(25))
    right = data.draw(tables(25)).select(["k", "s", "b", "d", "m", "z", "n", "p", "l"])
    right = right.rename_columns([f"r{name}" for name in right.column_names])
    lefts = headrace.from_arrow(data.draw(cuts(left)))
    rights = headrace.from_arrow(data.draw(cuts(right)))
    made = lefts.join(rights, kind, partitions, tuple(keys), tuple(f"r{key}" for key in keys))
    assert row_set(in_order(made)) == row_set(_expected(kind, left, right, keys))


@pytest.mark.parametrize("kind", _KINDS)
def test_one_side_is_large(kind: str) -> None:
    """Sizes at which the small side goes to every task, and both ways round."""
    large = pa.table({"k": [i % 700 for i in range(60_000)], "x": range(60_000)})
    small = pa.table({"rk": [*range(650, 750), None, 651], "y": range(102)})
    for left, right in ((large, small), (small, large)):
        names = left.column_names[0], right.column_names[0]
        lefts = headrace.from_arrow([left.slice(i, 9000) for i in range(0, left.num_rows, 9000)])
        rights = headrace.from_arrow([right.slice(i, 9000) for i in range(0, right.num_rows, 9000)])
        made = lefts.join(rights, kind, 0, (names[0],), (names[1],))
        got = made._to_table()
        connection = duckdb.connect()
        connection.register("l", left)
        connection.register("r", right)
        side = "r" if kind in ("right_semi", "right_anti") else "l"
        other = "l" if side == "r" else "r"
        text = f"FROM {side} {_SQL[kind]} {other} ON l.{names[0]} = r.{names[1]}"
        both = [name for name in ("x", "y") if name in got.column_names]
        sums = ", ".join(f"sum({name})::BIGINT" for name in both)
        expected = connection.execute(f"SELECT count(*), {sums} {text}").fetchone()
        assert got.num_rows == expected[0]
        for name, total in zip(both, expected[1:], strict=True):
            assert pc.sum(got.column(name)).as_py() == total


def test_names_on_both_sides() -> None:
    left = headrace.from_items([{"id": 1, "v": 1, "w": 2}])
    right = headrace.from_items([{"id": 1, "v": 3}])
    made = left.join(right, "inner", 1, left_suffix="_l", right_suffix="_r")
    assert in_order(made) == [{"id": 1, "v_l": 1, "w": 2, "v_r": 3}]
    assert in_order(left.join(right, "inner", 1, right_suffix="_r")) == [
        {"id": 1, "v": 1, "w": 2, "v_r": 3}
    ]
    with pytest.raises(ValueError, match="v"):
        left.join(right, "inner", 1).take_all()


def test_a_key_may_be_another_width() -> None:
    left = headrace.from_arrow(pa.table({"k": pa.array([1, 2, 3], pa.int32()), "x": [1, 2, 3]}))
    right = headrace.from_arrow(pa.table({"k": pa.array([2, 3, 4], pa.int64()), "y": [2, 3, 4]}))
    assert row_set(in_order(left.join(right, "inner", 1, ("k",)))) == row_set(
        [{"k": 2, "x": 2, "y": 2}, {"k": 3, "x": 3, "y": 3}]
    )


def test_after_and_before_functions() -> None:
    left = headrace.range(300, override_num_blocks=5).map_batches(
        lambda batch: {"id": batch["id"], "g": batch["id"] % 10}
    )
    right = headrace.range(10).map_batches(lambda batch: {"g": batch["id"], "t": batch["id"] * 2})
    made = left.join(right, "inner", 3, ("g",)).map_batches(
        lambda batch: {"x": batch["id"] + batch["t"]}
    )
    expected = sorted(i + i % 10 * 2 for i in range(300))
    assert sorted(row["x"] for row in in_order(made)) == expected


def test_wrong_arguments() -> None:
    left, right = headrace.range(3), headrace.from_items([{"id": "x"}])
    with pytest.raises(ValueError, match="full_outer"):
        left.join(right, "outer", 1)
    with pytest.raises(ValueError, match="tuple"):
        left.join(right, "inner", 1, on="id")  # type: ignore[arg-type]
    with pytest.raises((ValueError, TypeError), match="id"):
        left.join(right, "inner", 1).take_all()
    with pytest.raises(ValueError, match="id"):
        left.join(right, "inner", 1, validate_schemas=True)
