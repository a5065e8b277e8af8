"""Dead letters of rows that Parquet, or Arrow's kernels, cannot have as they are."""

from __future__ import annotations

import pathlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr

Row = dict[str, Any]

INTERVAL = pa.MonthDayNano([1, 2, 3])


def fail(row: Row) -> Any:
    raise ValueError("bad")


def letters_in(folder: pathlib.Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in folder.iterdir())


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (pa.array([{}, {}], pa.struct([])), ["{}", "{}"]),
        (pa.array([INTERVAL, None]), [repr(INTERVAL), "None"]),
        (pa.array(["a", "b" * 40], pa.string_view()), ["a", "b" * 40]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
@pytest.mark.parametrize("call", [hr.Dataset.map, hr.Dataset.flat_map, hr.Dataset.filter])
def test_letters_of_any_type(call: Any, column: pa.Array, kept: Any, tmp_path: Any) -> None:
    ds = hr.from_arrow(pa.table({"v": column, "n": [1, 2]}))
    assert call(ds, fail, on_error=hr.DeadLetters(tmp_path)).take_all() == []
    found = letters_in(tmp_path)
    assert found.column("v").to_pylist() == kept
    assert found.column("n").to_pylist() == [1, 2]
    assert set(found.column("_error_message").to_pylist()) == {"bad"}


def test_letters_without_columns(tmp_path: pathlib.Path) -> None:
    ds = hr.range(3, override_num_blocks=1).select_columns([])
    assert ds.map(fail, on_error=hr.DeadLetters(tmp_path)).take_all() == []
    assert letters_in(tmp_path).column("_error_first_row").to_pylist() == [0, 1, 2]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_filters_of_strings_that_are_views(on_error: str) -> None:
    ds = hr.from_arrow(pa.table({"v": pa.array(["a", "b", "c"], pa.string_view())}))
    assert ds.filter(lambda row: row["v"] != "b", on_error=on_error).take_all() == [
        {"v": "a"},
        {"v": "c"},
    ]
