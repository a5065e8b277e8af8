"""Rows without columns are still so many rows, whatever cuts, joins or mixes their tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import headrace as hr
from headrace._internal import convert
from headrace._internal.table_rows import slice_rows, take_rows
from headrace.block import BlockAccessor

Row = dict[str, Any]


def bare() -> hr.Dataset:
    """Five rows in two blocks."""
    return hr.range(5, override_num_blocks=2).select_columns([])


def one(row: Row) -> Row:
    return {"a": 1}


async def one_async(row: Row) -> Row:
    return {"a": 1}


def fail(data: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda ds, policy: ds.map(one, on_error=policy), 5),
        (lambda ds, policy: ds.map(one_async, on_error=policy), 5),
        (lambda ds, policy: ds.flat_map(lambda row: [one(row)] * 2, on_error=policy), 10),
        (lambda ds, policy: ds.filter(lambda row: True, on_error=policy), 5),
        (lambda ds, policy: ds.limit(3).map(one, on_error=policy), 3),
        (lambda ds, policy: ds.repartition(1).map(one, on_error=policy), 5),
    ],
)
def test_a_function_gets_each_row_once(
    change: Callable[[hr.Dataset, str], hr.Dataset], count: int, on_error: str
) -> None:
    assert len(change(bare(), on_error).take_all()) == count


def test_rows_on_which_a_function_fails_are_left_out() -> None:
    odd = iter([True, False, True, False, True])
    hr.DataContext.get_current().inline_mode = True
    try:
        kept = bare().repartition(1).filter(lambda row: next(odd), on_error="skip")
        assert kept.materialize().count() == 3
    finally:
        hr.DataContext.get_current().inline_mode = False
    assert bare().map_batches(fail, on_error="skip").take_all() == []


@pytest.mark.parametrize("batch_format", ["pyarrow", "pandas"])
@pytest.mark.parametrize("shuffle", [None, 4])
def test_batches_have_their_size(batch_format: str, shuffle: int | None) -> None:
    batches = bare().iter_batches(
        batch_size=3, batch_format=batch_format, local_shuffle_buffer_size=shuffle
    )
    assert [len(batch) for batch in batches] == [3, 2]


def test_parts_of_a_dataset() -> None:
    assert [part.count() for part in bare().split_at_indices([1, 4])] == [1, 3, 1]
    assert [part.count() for part in bare().materialize().split(2, equal=True)] == [2, 2]


def test_parts_of_a_table() -> None:
    table = pa.table({"a": [1, 2, 3]}).select([])
    assert slice_rows(table, 1).num_rows == 2
    assert slice_rows(table, 1, 9).num_rows == 2
    assert slice_rows(table, 9, 1).num_rows == 0
    assert take_rows(table, [2, 0]).num_rows == 2
    block = BlockAccessor.for_block(table)
    assert [block.slice(1, 9, copy).num_rows for copy in (False, True)] == [2, 2]
    assert convert.concat_tables([table, table]).num_rows == 6
    joined = convert.concat_tables([table, pa.table({"a": [4]})])
    assert joined.column("a").to_pylist() == [None, None, None, 4]
