"""Aggregations that are made of Python functions: folded block by block before rows move."""

from __future__ import annotations

import math
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from exchange_tables import FEW, in_order, tables
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.aggregate import AggregateFn, Count, Max

pytestmark = pytest.mark.usefixtures("settings")


def _rows(name: str, of: Callable[[pa.Table], list[Any]]) -> AggregateFn:
    """Returns an aggregation that lists what `of` makes of the tables that it is given."""
    return AggregateFn(
        init=lambda key: [],
        accumulate_block=lambda acc, table: acc + of(table),
        merge=lambda a, b: a + b,
        name=name,
    )


_SIZES = _rows("sizes", lambda table: [table.num_rows])
_VALUES = _rows("values", lambda table: table.column("v").to_pylist())


def _dataset(*keys_of_blocks: list[Any]) -> headrace.Dataset:
    """A block for each list of keys; `v` numbers all rows."""
    first = 0
    blocks = []
    for keys in keys_of_blocks:
        blocks.append(pa.table({"k": keys, "v": list(range(first, first + len(keys)))}))
        first += len(keys)
    return headrace.from_arrow(blocks)


def test_rows_of_large_groups_are_folded_before_they_move() -> None:
    ds = _dataset(*[[1, 2] * 50] * 4)
    rows = in_order(ds.groupby("k").aggregate(_SIZES, _VALUES))
    assert {row["k"]: row["sizes"] for row in rows} == {1: [50] * 4, 2: [50] * 4}
    assert {row["k"]: row["values"] for row in rows} == {
        1: list(range(0, 400, 2)),
        2: list(range(1, 400, 2)),
    }


def test_rows_of_small_groups_move_as_they_are() -> None:
    ds = _dataset([1, 2, 3, 1], [1, 2, 3, 3])
    rows = in_order(ds.groupby("k").aggregate(_SIZES))
    assert {row["k"]: row["sizes"] for row in rows} == {1: [3], 2: [2], 3: [3]}


def test_folded_and_plain_blocks_meet_in_order() -> None:
    """The middle block has few rows to a group; so its rows are folded where they meet."""
    ds = _dataset([1] * 20, [1, 2, 1, 3], [2, 1], [1] * 10 + [2] * 10)
    rows = {row["k"]: row for row in in_order(ds.groupby("k").aggregate(_SIZES, _VALUES))}
    assert rows[1]["sizes"] == [20, 3, 10]
    assert rows[1]["values"] == [*range(20), 20, 22, 25, *range(26, 36)]
    assert rows[2]["sizes"] == [2, 10]
    assert rows[2]["values"] == [21, 24, *range(36, 46)]
    assert rows[3]["sizes"] == [1]


def test_without_a_key_blocks_are_folded_too() -> None:
    rows = _dataset([1] * 9, [2] * 8).groupby(None).aggregate(_SIZES, _VALUES).take_all()
    assert rows == [{"sizes": [9, 8], "values": list(range(17))}]


def test_blocks_without_rows() -> None:
    ds = _dataset([1] * 8, [1] * 8).filter(lambda row: row["v"] >= 8)
    assert in_order(ds.groupby("k").aggregate(_SIZES)) == [{"k": 1, "sizes": [8]}]
    none = ds.filter(lambda row: row["v"] < 0)
    assert none.groupby("k").aggregate(_SIZES).take_all() == []


def test_native_ones_beside_them_keep_their_types() -> None:
    day = pa.table({"k": [1] * 20, "v": pa.array(range(20), pa.date32())})
    table = headrace.from_arrow(day).groupby("k").aggregate(_SIZES, Max("v"), Count())._to_table()
    assert table.schema.field("max(v)").type == pa.date32()
    assert table.column("count()").to_pylist() == [20]


def _same(value: Any) -> Any:
    return "nan" if isinstance(value, float) and math.isnan(value) else value


@FEW
@given(
    table=tables(max_rows=60),
    keys=st.lists(st.sampled_from("ksfbdm"), min_size=1, max_size=2, unique=True),
    blocks=st.integers(1, 4),
)
def test_groups_are_those_of_the_engine(table: pa.Table, keys: list[str], blocks: int) -> None:
    repeated = pa.concat_tables([table] * 6).combine_chunks()
    ds = headrace.from_arrow(repeated).repartition(blocks)
    numbers = _rows("numbers", lambda part: sorted(part.column("n").to_pylist()))
    made = in_order(ds.groupby(keys).aggregate(numbers))
    native = in_order(ds.groupby(keys).aggregate(Count(alias_name="count")))
    name = lambda row: tuple(_same(row[key]) for key in keys)  # noqa: E731
    assert {name(row): len(row["numbers"]) for row in made} == {
        name(row): row["count"] for row in native
    }
    assert len(made) == len(native)
    assert sorted(n for row in made for n in row["numbers"]) == sorted(
        repeated.column("n").to_pylist()
    )


_SCRIPT = """
import headrace
from headrace.aggregate import AggregateFnV2

class Most:
    def __init__(self, value):
        self.value = value

class Largest(AggregateFnV2):
    def __init__(self):
        super().__init__("largest", lambda: Most(-1), on="id", ignore_nulls=True)

    def aggregate_block(self, block):
        return Most(max(block.column("id").to_pylist()))

    def combine(self, a, b):
        assert isinstance(a, Most) and isinstance(b, Most), (type(a), type(b))
        return a if a.value > b.value else b

    def finalize(self, most):
        return most.value

if __name__ == "__main__":
    ds = headrace.range(1000, override_num_blocks=8)
    ds = ds.map_batches(lambda batch: {"id": batch["id"], "k": batch["id"] % 3})
    print(sorted(row["largest"] for row in ds.groupby("k").aggregate(Largest()).take_all()))
"""


def test_accumulators_may_be_of_classes_of_a_script(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[997, 998, 999]"
