"""Parts that stand alone: expressions as text and trees, settings, folds, batches, threads."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import headrace
from headrace import ActorPoolStrategy, ExecutionResources, TaskPoolStrategy
from headrace._internal.expr.lowering import lower
from headrace._internal.expr.parse import parse
from headrace._internal.prefetch import Prefetcher
from headrace._internal.progress import ProgressDisplay, counts_of, wants_progress
from headrace._internal.ray_backend import connect
from headrace.aggregate import AggregateFn, AggregateFnV2, Count, Mean, Quantile, Sum, ValueCounter
from headrace.context import DataContext
from headrace.datasource.filename_provider import part_name, row_name
from headrace.datatype import DataType
from headrace.expressions import (
    BinaryExpr,
    ColumnExpr,
    LiteralExpr,
    Operation,
    StarExpr,
    UnaryExpr,
    UUIDExpr,
    col,
    download,
    lit,
    udf,
    unnest,
)

_TABLE = pa.table(
    {"a": [1, 2, None, 4], "s": ["x", "yy", None, "x"], "b": [True, False, None, True]}
)


# ---- Expressions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a > 1", [1, 3]),
        ("a > 1 and s == 'x'", [3]),
        ("a in [1, 4]", [0, 3]),
        ("a not in [1, 4]", [1, 2]),
        ("not b", [1]),
        ("is_null(a)", [2]),
        ("is_valid(a) or b", [0, 1, 3]),
        ("a + 1 == 3", [1]),
        ("a > -3", [0, 1, 3]),
        ("'x' == s", [0, 3]),
    ],
)
def test_filters_as_text(text: str, kept: list[int]) -> None:
    mask = lower(parse(text), _TABLE.schema).evaluate(_TABLE).to_pylist()
    assert [i for i, value in enumerate(mask) if value] == kept


@pytest.mark.parametrize(
    "text", ["a >", "foo(a)", "1 < a < 3", "a is None", "~b", "lambda: 1", "a if b else s", "x[0]"]
)
def test_filters_as_text_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"[Uu]nsupported|Invalid syntax|Only simple"):
        parse(text)


def test_trees_print_and_compare() -> None:
    expr = (col("a") > 1) & col("s").str.contains("x")
    assert repr(col("a") + 1) == "ADD\n    ├── left: COL('a')\n    └── right: LIT(1)"
    assert expr.structurally_equals((col("a") > 1) & col("s").str.contains("x"))
    assert not expr.structurally_equals((col("a") > 2) & col("s").str.contains("x"))
    assert not lit(1).structurally_equals(lit(1.0))
    assert str(((col("a") > 1) & col("b").is_null()).to_pyarrow()) == "((a > 1) and is_null(b))"


def test_nodes_are_values_that_do_not_change() -> None:
    total = (col("a") + 1).alias("total")
    assert replace(total, _name="sum").name == "sum"
    assert pickle.loads(pickle.dumps(total)).structurally_equals(total)
    with pytest.raises(FrozenInstanceError):
        total._name = "sum"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del total._name  # type: ignore[misc]
    for arguments, named in (((), {}), ((1, 2), {}), (("a",), {"_name": "b"}), ((), {"x": 1})):
        with pytest.raises(TypeError, match="ColumnExpr"):
            ColumnExpr(*arguments, **named)  # type: ignore[arg-type]


def test_nodes_are_made_as_in_ray_data() -> None:
    total = BinaryExpr(Operation.ADD, ColumnExpr("a"), LiteralExpr(5))
    assert total.structurally_equals(col("a") + 5)
    assert UnaryExpr(Operation.IS_NULL, col("a")).structurally_equals(col("a").is_null())
    assert LiteralExpr(5).data_type == lit(5).data_type == DataType.int64()
    assert [make().label() for make in (UUIDExpr, StarExpr)] == ["UUID()", "COL(*)"]


def test_types_follow_from_the_schema() -> None:
    schema = _TABLE.schema
    assert (col("a") * 1.5).get_type(schema) == pa.float64()
    assert col("s").str.len().get_type(schema) == pa.int32()
    assert (col("s") + "!").get_type(schema) == pa.string()
    assert col("a").cast(DataType.string()).alias("t").to_field(schema).name == "t"


def test_strings_join_where_the_schema_says_so() -> None:
    ds = headrace.from_arrow(_TABLE).with_column("t", col("s") + col("s"))
    assert [row["t"] for row in ds.take_all()] == ["xx", "yyyy", None, "xx"]


def test_udfs_of_functions_and_classes() -> None:
    import pyarrow.compute as pc

    @udf(return_dtype=DataType.int64())
    def add_one(x: Any) -> Any:
        return pc.add(x, 1)

    @udf(return_dtype=DataType.int64())
    class Add:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: Any) -> Any:
            return pc.add(x, self.n)

    ds = headrace.range(3).with_column("one", add_one(col("id")) * 10)
    assert sorted(row["one"] for row in ds.take_all()) == [10, 20, 30]

    @udf(return_dtype=DataType.struct([("x", DataType.int64()), ("s", DataType.string())]))
    def both(x: Any) -> Any:
        return pa.StructArray.from_arrays(
            [pc.add(x, 1).combine_chunks(), pc.cast(x, pa.string()).combine_chunks()], ["x", "s"]
        )

    ds = headrace.range(2).with_columns(unnest(both(col("id"))))
    assert sorted(ds.take_all(), key=str) == [
        {"id": 0, "x": 1, "s": "0"},
        {"id": 1, "x": 2, "s": "1"},
    ]
    padded = add_one(col("id")).cast(DataType.string()).str.lpad(3, "0")
    ds = headrace.range(2).with_column("r", padded)
    assert sorted(row["r"] for row in ds.take_all()) == ["001", "002"]
    ds = headrace.range(3).with_column("five", Add(5)(col("id")))
    assert sorted(row["five"] for row in ds.take_all()) == [5, 6, 7]
    kept = headrace.range(5).filter(expr=add_one(col("id")) > 3)
    assert sorted(row["id"] for row in kept.take_all()) == [3, 4]


def test_what_arrow_lacks_is_there_all_the_same() -> None:
    table = pa.table(
        {
            "l": [[3, None, 1], [], None],
            "ll": [[[1], [2, 3]], [[]], None],
            "m": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    ds = headrace.from_arrow(table).with_columns(
        {
            "sorted": col("l").list.sort(),
            "down": col("l").list.sort("descending", "at_start"),
            "flat": col("ll").list.flatten(),
            "keys": col("m").map.keys(),
            "values": col("m").map.values(),
        }
    )
    first, second, third = ds.take_all()
    assert (first["sorted"], first["down"]) == ([1, 3, None], [None, 3, 1])
    assert (first["flat"], first["keys"], first["values"]) == ([1, 2, 3], ["k"], [1])
    assert (second["sorted"], second["flat"], second["keys"]) == ([], [], [])
    assert (third["sorted"], third["flat"], third["keys"]) == (None, None, None)


def test_downloads_are_null_where_there_is_nothing(tmp_path: Any) -> None:
    (tmp_path / "x").write_bytes(b"hi")
    items = [{"u": str(tmp_path / "x")}, {"u": str(tmp_path / "none")}, {"u": None}]
    ds = headrace.from_items(items, override_num_blocks=1).with_column("d", download("u"))
    assert [row["d"] for row in ds.take_all()] == [b"hi", None, None]


def test_unnest_gives_a_column_a_field() -> None:
    ds = headrace.from_items([{"p": {"x": 1, "y": "q"}}]).with_columns(unnest(col("p")))
    assert ds.take_all() == [{"p": {"x": 1, "y": "q"}, "x": 1, "y": "q"}]


# ---- Settings -------------------------------------------------------------------------------


def test_strategies_check_their_sizes() -> None:
    assert TaskPoolStrategy(3) == TaskPoolStrategy(3) != TaskPoolStrategy(4)
    assert ActorPoolStrategy(size=2).min_size == ActorPoolStrategy(size=2).max_size == 2
    for arguments in (
        {"size": 0},
        {"size": 1, "min_size": 1},
        {"min_size": 0},
        {"min_size": 3, "max_size": 2},
        {"min_size": 1, "max_size": 2, "initial_size": 5},
        {"max_tasks_in_flight_per_actor": 0},
    ):
        with pytest.raises(ValueError):
            ActorPoolStrategy(**arguments)


def test_amounts_add_compare_and_print() -> None:
    one = ExecutionResources(cpu=1, object_store_memory=2048)
    assert one.add(one) == ExecutionResources(cpu=2, object_store_memory=4096)
    assert one.satisfies_limit(ExecutionResources.for_limits(cpu=1))
    assert not one.satisfies_limit(ExecutionResources.for_limits(cpu=0.5))
    assert one.subtract(one).is_zero()
    assert one.object_store_memory_str() == "2.0KiB"
    assert ExecutionResources.inf().floordiv(one).cpu == float("inf")


def test_a_thread_may_have_a_context_of_its_own() -> None:
    mine = DataContext(target_max_block_size=7)
    with DataContext.current(mine):
        assert DataContext.get_current() is mine
        seen: list[Any] = []
        other = threading.Thread(target=lambda: seen.append(DataContext.get_current()))
        other.start()
        other.join()
        assert seen[0] is not mine
    assert DataContext.get_current() is not mine


def test_free_settings_travel_with_copies() -> None:
    context = DataContext()
    context.set_config("k", [1])
    twin = context.copy()
    context.remove_config("k")
    assert twin.get_config("k") == [1]
    assert context.get_config("k", 3) == 3


# ---- Folds ----------------------------------------------------------------------------------


class Longest(AggregateFnV2[Any, Any]):
    def __init__(self, on: str) -> None:
        super().__init__(f"longest({on})", lambda: "", on=on, ignore_nulls=True)

    def aggregate_block(self, block: Any) -> str:
        return max((s for s in block.column("s").to_pylist() if s is not None), key=len)

    def combine(self, current_accumulator: str, new: str) -> str:
        return max(current_accumulator, new, key=len)


def test_aggregations_of_the_package_and_the_user() -> None:
    ds = headrace.from_arrow([_TABLE.slice(0, 1), _TABLE.slice(1)])
    rows = AggregateFn(
        init=lambda key: 0,
        accumulate_row=lambda total, row: total + 1,
        merge=lambda a, b: a + b,
        name="rows",
    )
    result = ds.aggregate(
        Count(),
        Sum("a", alias_name="total"),
        Mean("a", ignore_nulls=False),
        Quantile("a", q=0.5),
        ValueCounter("s"),
        Longest("s"),
        rows,
    )
    assert result == {
        "count()": 4,
        "total": 7,
        "mean(a)": None,
        "quantile(a)": 2.0,
        "value_counter(s)": {"values": ["x", "yy", None], "counts": [2, 1, 1]},
        "longest(s)": "yy",
        "rows": 4,
    }
    assert headrace.range(0).aggregate(Count(), Sum("id")) == {"count()": 0, "sum(id)": None}


# ---- Threads --------------------------------------------------------------------------------


def test_a_prefetcher_keeps_order_and_raises_at_its_place() -> None:
    def items(cancelled: threading.Event) -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    out = iter(Prefetcher(items, 1))
    assert [next(out), next(out)] == [1, 2]
    with pytest.raises(KeyError, match="three"):
        next(out)


def test_a_prefetcher_that_is_left_closes_its_iterator() -> None:
    closed = threading.Event()

    def items(cancelled: threading.Event) -> Iterator[int]:
        try:
            while not cancelled.is_set():
                yield 1
        finally:
            closed.set()

    out = iter(Prefetcher(items, 2))
    assert next(out) == 1
    out.close()  # type: ignore[attr-defined]
    assert closed.is_set()


def test_a_prefetcher_that_is_never_used_starts_no_thread() -> None:
    before = threading.active_count()
    out = iter(Prefetcher(lambda cancelled: iter([1]), 1))
    assert threading.active_count() == before
    out.close()  # type: ignore[attr-defined]


def _state(**changes: Any) -> SimpleNamespace:
    values = {
        "name": "ReadRange->Map(f)",
        "output_rows": 1200,
        "output_bytes": 2048,
        "tasks_running": 0,
        "tasks_done": 1,
        "tasks_failed": 0,
        "tasks_total": 4,
        "actors_ready": 0,
        "actors_starting": 0,
        "waits_for": "no credit",
    }
    return SimpleNamespace(**(values | changes))


def test_bars_tell_rows_and_why_nothing_runs() -> None:
    assert counts_of(_state()) == "1,200 rows, 2.0KiB, \\[no credit]"
    assert counts_of(_state(tasks_running=2)) == "1,200 rows, 2.0KiB, 2 running"


def test_there_are_no_bars_without_a_terminal(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.enable_progress_bars = True
    monkeypatch.delenv("HEADRACE_FORCE_PROGRESS", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    assert not wants_progress(settings)
    monkeypatch.setenv("HEADRACE_FORCE_PROGRESS", "1")
    assert wants_progress(settings)


def test_bars_show_operators(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    polled = threading.Event()

    def snapshot() -> list[Any]:
        polled.set()
        return [_state()]

    display = ProgressDisplay(snapshot, settings, "numbers")
    display.start()
    assert polled.wait(10)
    display.stop()
    assert "Map(f)" in capsys.readouterr().err


def test_random_numbers_differ_between_rows_blocks_and_runs() -> None:
    from headrace.expressions import random

    ds = headrace.range(100, override_num_blocks=4).with_column("r", random())
    first, second = ([row["r"] for row in ds.take_all()] for _ in range(2))
    assert all(0 <= value < 1 for value in first)
    assert len({*first, *second}) == 200
    with pytest.raises(TypeError, match="integer"):
        random(seed="x")  # type: ignore[arg-type]


def test_plans_may_be_deeper_than_the_stack() -> None:
    ds = headrace.range(3)
    for i in range(1100):
        ds = ds.filter(expr=f"id != {i + 3}")
    assert [row["id"] for row in ds.take_all()] == [0, 1, 2]


# ---- Names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "row", "part"),
    [
        ("a.parquet", "a_000001_000002.parquet", "a-3.parquet"),
        ("a.b/c", "a.b/c_000001_000002", "a.b/c-3.parquet"),
        ("a.b/c.parquet", "a.b/c_000001_000002.parquet", "a.b/c-3.parquet"),
    ],
)
def test_numbers_come_before_the_ending_of_a_file(name: str, row: str, part: str) -> None:
    assert row_name(name, 1, 2) == row
    assert part_name(name, 3) == part


@pytest.mark.parametrize(
    ("address", "host"),
    [("[::1]:6379", "::1"), ("host:6379", "host"), ("10.0.0.1:6379", "10.0.0.1")],
)
def test_addresses_of_clusters(address: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(place: tuple[str, int], timeout: float) -> SimpleNamespace:
        asked.append(place)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(connect.socket, "create_connection", answer)
    connect._check_address(address)
    assert asked == [(host, 6379)]


_KINDS_OF_TYPES = {
    "binary": [pa.binary(), pa.large_binary(), pa.binary(3), bytes],
    "string": [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()), str, "U3"],
    "boolean": [pa.bool_(), bool, "?"],
    "floating numerical": [pa.float16(), pa.float64(), float, "f4"],
    "integer numerical": [pa.int8(), int, "i4"],
    "integer numerical uint64": [pa.uint64()],
    "numerical": [pa.decimal128(5), pa.decimal256(50)],
    "nested list": [pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.list_(pa.int8(), 2)],
    "nested struct": [pa.struct([("a", pa.int8())])],
    "nested map": [pa.map_(pa.string(), pa.int8())],
    "null": [pa.null()],
    "temporal": [pa.date32(), pa.timestamp("us"), pa.duration("s"), pa.time32("s"), "M8[s]"],
    "": [object, list, dict, "O"],
}


@pytest.mark.parametrize("kinds", _KINDS_OF_TYPES)
def test_types_know_their_kind(kinds: str) -> None:
    every = {kind for text in _KINDS_OF_TYPES for kind in text.split()}
    for dtype in _KINDS_OF_TYPES[kinds]:
        known = DataType(np.dtype(dtype) if isinstance(dtype, str) else dtype)
        found = {kind for kind in every if getattr(known, f"is_{kind}_type")()}
        assert found == set(kinds.split()), known
