"""Datasets as objects, and what their verbs refuse."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

import headrace
from headrace import ActorPoolStrategy, TaskPoolStrategy
from headrace.expressions import col


def double(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"] * 2}


class AddOne:
    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"id": batch["id"] + 1}


# ---- Copies ---------------------------------------------------------------------------------


def test_a_pickled_dataset_runs_its_verbs_again(table_dir: Path) -> None:
    ds = headrace.read_parquet(str(table_dir)).filter(expr="i > 26").map(lambda r: {"x": r["i"]})
    again = pickle.loads(cloudpickle.dumps(ds))
    assert sorted(row["x"] for row in again.take_all()) == [27, 28, 29]
    assert ds.has_serializable_lineage()
    restored = headrace.Dataset.deserialize_lineage(ds.serialize_lineage())
    assert restored.count() == 3


def test_a_pickled_materialized_dataset_takes_its_rows_along() -> None:
    ds = headrace.from_items([{"a": 1}, {"a": 2}], override_num_blocks=2)
    again = pickle.loads(pickle.dumps(ds))
    assert isinstance(again, headrace.MaterializedDataset)
    assert again.num_blocks() == 2
    assert again.take_all() == [{"a": 1}, {"a": 2}]


def test_pickling_keeps_name_and_settings() -> None:
    ds = headrace.range(3).map(double)
    ds.set_name("numbers")
    ds.context.execution_options.preserve_order = True
    again = pickle.loads(pickle.dumps(ds))
    assert again.name == "numbers"
    assert again.context.execution_options.preserve_order


def test_copies_are_handles_on_the_same_plan() -> None:
    ds = headrace.range(5)
    assert copy.copy(ds).take_all() == copy.deepcopy(ds).take_all() == ds.take_all()
    assert copy.deepcopy(ds).context is not ds.context


def test_a_dataset_takes_a_copy_of_the_settings(settings: Any) -> None:
    ds = headrace.range(5)
    settings.target_max_block_size = 1
    assert ds.context.target_max_block_size != 1
    assert headrace.range(5).context.target_max_block_size == 1


# ---- Printing -------------------------------------------------------------------------------


def test_a_known_schema_is_drawn() -> None:
    expected = (
        "shape: (10, 1)\n╭───────╮\n│ id    │\n│ ---   │\n│ int64 │\n╰───────╯\n"
        "(Dataset isn't materialized)"
    )
    assert repr(headrace.range(10)) == expected
    drawn = repr(headrace.from_items([{"a": 1, "b": "x"}]))
    assert drawn.splitlines()[4:] == [
        "│ int64 ┆ string │",
        "╞═══════╪════════╡",
        "│ 1     ┆ x      │",
        "╰───────┴────────╯",
        "(Showing 1 of 1 rows)",
    ]


@pytest.mark.parametrize("rows", [9, 10, 11, 30])
@pytest.mark.parametrize("blocks", [1, 3, 8])
def test_of_many_rows_the_first_and_last_are_drawn(rows: int, blocks: int) -> None:
    ds = headrace.range(rows, override_num_blocks=blocks).sort("id").materialize()
    cells = [line.strip("│ ") for line in repr(ds).splitlines()[6:-2]]
    numbers = [str(i) for i in range(rows)]
    assert cells == (numbers if rows <= 10 else [*numbers[:5], "…", *numbers[-5:]])
    assert repr(ds).endswith(f"(Showing {min(rows, 10)} of {rows} rows)")


def test_long_names_and_types_are_cut_when_drawn() -> None:
    lines = repr(headrace.from_items([{"a" * 50: np.ones((20, 30, 40, 50))}])).splitlines()
    assert lines[2].strip("│ ") == "a" * 39 + "…"
    assert (
        lines[4].strip("│ ") == "ArrowTensorTypeV2(shape=(20, 30, 40, 50), dtype=double)"[:39] + "…"
    )


def test_an_unknown_schema_shows_the_verbs() -> None:
    ds = headrace.range(10).map(double).map_batches(AddOne, concurrency=1)
    assert repr(ds) == (
        "MapBatches(AddOne)\n+- Map(double)\n   +- Dataset(num_rows=10, schema={id: int64})"
    )


def test_a_dataset_is_no_sequence() -> None:
    ds = headrace.range(3)
    assert bool(ds)
    with pytest.raises(AttributeError, match="count"):
        len(ds)
    with pytest.raises(TypeError, match="iter_rows"):
        iter(ds)
    with pytest.raises(NotImplementedError, match="materialize"):
        ds.num_blocks()
    assert not hasattr(ds, "there_is_no_such_verb")


# ---- What is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"fn": AddOne, "concurrency": 0}, ValueError, "size must be >= 1"),
        ({"fn": AddOne, "concurrency": "a"}, ValueError, "integer or a tuple"),
        ({"fn": AddOne, "concurrency": (1, 2, 3, 4)}, ValueError, "tuple of integers"),
        ({"fn": AddOne, "concurrency": (3, 2)}, ValueError, "min_size must be <="),
        ({"fn": AddOne, "concurrency": (1, 2, 3)}, ValueError, "initial_size"),
        ({"fn": double, "concurrency": (1, 2)}, ValueError, "not a callable class"),
        ({"fn": double, "compute": ActorPoolStrategy(size=1)}, ValueError, "regular functions"),
        ({"fn": AddOne, "compute": TaskPoolStrategy()}, ValueError, "callable classes"),
        ({"fn": double, "fn_constructor_args": [1]}, ValueError, "fn_constructor_args"),
        ({"fn": double, "batch_size": 0}, ValueError, "negative or 0"),
        ({"fn": double, "batch_format": "x"}, ValueError, "batch format x"),
        ({"fn": double, "num_gpus": 1}, ValueError, "batch_size"),
        ({"fn": double, "num_cpus": -1}, ValueError, "num_cpus"),
        ({"fn": double, "no_such_argument": 1}, ValueError, "no_such_argument"),
        ({"fn": 3}, ValueError, "int"),
    ],
)
def test_map_batches_refuses(arguments: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        headrace.range(3).map_batches(**arguments)


def test_what_cannot_be_pickled_is_named_at_once() -> None:
    lock = threading.Lock()

    def locked(row: dict[str, Any]) -> dict[str, Any]:
        with lock:
            return row

    with pytest.raises(TypeError, match=r"locked.*variable 'lock' of type lock"):
        headrace.range(3).map(locked)


def test_misspelt_columns_raise_where_the_schema_is_known() -> None:
    ds = headrace.range(3)
    for call in (
        lambda: ds.select_columns(["idd"]),
        lambda: ds.drop_columns(["idd"]),
        lambda: ds.rename_columns({"idd": "x"}),
        lambda: ds.filter(expr=col("idd") > 1),
        lambda: ds.with_column("x", col("idd") + 1),
    ):
        with pytest.raises(KeyError, match="idd"):
            call()
    with pytest.raises(ValueError, match="zz"):
        ds.sum("zz")


@pytest.mark.parametrize("verb", ["repartition", "sort", "random_shuffle", "groupby", "split"])
def test_verbs_of_the_exchange_are_not_there_by_half(verb: str) -> None:
    if hasattr(headrace.Dataset, verb):
        pytest.skip("the verb exists: its own tests are elsewhere")
    with pytest.raises(AttributeError):
        getattr(headrace.range(3), verb)


# ---- Running --------------------------------------------------------------------------------


def test_leaving_an_iterator_early_stops_the_run() -> None:
    ds = headrace.range(1_000_000, override_num_blocks=100)
    batches = iter(ds.map_batches(AddOne, concurrency=1).iter_batches(batch_size=10))
    assert next(batches)["id"].tolist() == list(range(1, 11))
    batches.close()
    assert headrace.range(5).count() == 5


def test_an_error_in_the_consumer_leaves_the_engine_whole() -> None:
    def consume() -> None:
        for _ in headrace.range(1000).map(double).iter_rows():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
    assert headrace.range(7).map(double).count() == 7


def test_stats_are_those_of_the_last_run() -> None:
    ds = headrace.range(100).map_batches(AddOne, concurrency=1)
    assert ds.stats() == ""
    done = ds.materialize()
    assert "MapBatches(AddOne)" in done.stats()
    summary = done.get_stats_summary()
    assert summary is not None
    assert summary.operators[-1].rows == 100


def test_explain_prints_four_stages(capsys: pytest.CaptureFixture[str]) -> None:
    headrace.range(10).map(double).filter(expr="id > 3").explain()
    text = capsys.readouterr().out
    assert text.count("--------") == 8
    assert "ReadRange->Map(double)" in text


def test_references_are_got_one_by_one_or_as_a_list() -> None:
    refs = headrace.range(10, override_num_blocks=2).to_arrow_refs()
    assert sum(table.num_rows for table in headrace.get(refs)) == 10
    assert isinstance(headrace.get(refs[0]), pa.Table)
    assert headrace.from_arrow_refs(refs).count() == 10
    assert headrace.get(headrace.put({"any": "object"})) == {"any": "object"}
    with pytest.raises(TypeError, match="ObjectRef"):
        headrace.get(3)


def test_bundles_tell_rows_bytes_and_position() -> None:
    bundles = list(headrace.range(10, override_num_blocks=2).iter_internal_ref_bundles())
    assert sum(bundle.num_rows() for bundle in bundles) == 10
    assert sum(bundle.size_bytes() for bundle in bundles) == 80
    assert len({bundle.position for bundle in bundles}) == len(bundles)
    assert bundles[0].metadata[0].num_rows == bundles[0].num_rows()
    (entry,) = bundles[0].blocks
    assert headrace.get(entry.ref).num_rows == entry.metadata.num_rows == bundles[0].num_rows()


def test_limits_and_exclusions_of_the_same_amount_are_refused() -> None:
    ds = headrace.range(3).map(double)
    options = ds.context.execution_options
    options.resource_limits = headrace.ExecutionResources(cpu=1)
    options.exclude_resources = headrace.ExecutionResources(cpu=1)
    with pytest.raises(ValueError, match="cpu"):
        ds.take_all()


def test_inline_mode_calls_the_function_in_this_thread() -> None:
    def here(row: dict[str, Any]) -> dict[str, Any]:
        return {"thread": threading.get_ident()}

    ds = headrace.range(2).map(here)
    ds.context.inline_mode = True
    seen = [row["thread"] for row in ds.take_all()]
    assert seen == [threading.get_ident()] * 2


# ---- Frames ----------------------------------------------------------------------------------


def test_frames_come_back_with_their_types() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "f": [0.5, None],
            "s": ["a", "b"],
            "b": [True, False],
            "t": pd.to_datetime(["2024-01-01", None]),
        }
    )
    ds = headrace.from_pandas(frame)
    pd.testing.assert_frame_equal(ds.to_pandas(), frame)
    pd.testing.assert_frame_equal(ds.take_batch(2, batch_format="pandas"), frame)
    pd.testing.assert_frame_equal(ds.select_columns(["i", "f"]).to_pandas(), frame[["i", "f"]])
    assert str(ds.schema()).splitlines()[4].split() == ["s", "string"]
    assert ds.drop_columns(["i"]).with_column("i", col("s")).to_pandas()["i"].tolist() == ["a", "b"]
    with pytest.raises(TypeError, match="DataFrames"):
        headrace.from_pandas({"a": [1]})  # type: ignore[arg-type]


# ---- Order -----------------------------------------------------------------------------------


def later_first(batch: dict[str, Any]) -> dict[str, Any]:
    import time

    time.sleep(0.05 * (3 - int(batch["id"][0]) // 10))
    return batch


def test_verbs_that_wait_for_all_rows_keep_their_order() -> None:
    ds = headrace.range(40, override_num_blocks=4).map_batches(later_first)
    expected = list(range(40))
    assert [row["id"] for row in ds.take_all()] == expected
    assert ds.to_pandas()["id"].tolist() == expected
    done = ds.materialize()
    assert [row["id"] for row in done.iter_rows()] == expected
    assert [row["id"] for row in ds.union(ds).take_all()] == expected * 2
    assert [row["id"] for row in ds.take(15)] == expected[:15]


def test_streams_keep_the_order_when_asked() -> None:
    ds = headrace.range(40, override_num_blocks=4).map_batches(later_first)
    ds.context.execution_options.preserve_order = True
    assert [row["id"] for row in ds.iter_rows()] == list(range(40))


# ---- Expressions that go by a row's place


def test_seeded_numbers_depend_on_the_place_only() -> None:
    from headrace.expressions import random

    fixed = random(seed=5, reseed_after_execution=False)
    ds = headrace.range(1000, override_num_blocks=8).with_column("r", fixed)
    first = ds.take_all()
    assert ds.take_all() == first
    assert len({row["r"] for row in first}) == 1000
    with headrace.DataContext.current(headrace.DataContext.get_current().copy()):
        options = headrace.DataContext.get_current().execution_options
        options.resource_limits = headrace.ExecutionResources(cpu=1)
        alone = headrace.range(1000, override_num_blocks=8).with_column("r", fixed)
        assert alone.take_all() == first
    narrow = ds.select_columns(["r"]).take_all()
    assert narrow == [{"r": row["r"]} for row in first]
    assert ds.take(300) == first[:300]


def test_seeded_numbers_differ_from_run_to_run_in_the_same_way() -> None:
    from headrace.expressions import random

    def runs() -> list[Any]:
        ds = headrace.range(5).with_column("r", random(seed=5))
        return [ds.take_all() for _ in range(3)]

    first = runs()
    assert first[0] != first[1] != first[2] != first[0]
    assert runs() == first
    unseeded = headrace.range(5).with_column("r", random())
    assert unseeded.take_all() != unseeded.take_all()


def test_ids_are_unique_and_increase_within_a_task() -> None:
    from headrace.datatype import DataType
    from headrace.expressions import monotonically_increasing_id, udf

    ds = headrace.range(100, override_num_blocks=5)
    rows = ds.with_column("n", monotonically_increasing_id()).take_all()
    assert [row["n"] for row in rows] == [(i // 20 << 33) + i % 20 for i in range(100)]

    @udf(return_dtype=DataType(pa.int64()))
    def same(values: Any) -> Any:
        return values

    through_python = ds.with_column("n", same(monotonically_increasing_id()))
    assert through_python.take_all() == rows
    assert through_python.columns() == ["id", "n"]
    assert ds.filter(expr=same(monotonically_increasing_id()) < 3).take_all() == [
        {"id": i} for i in range(3)
    ]


def test_filters_and_limits_stay_behind_ids() -> None:
    from headrace.expressions import col, monotonically_increasing_id

    ds = headrace.range(100, override_num_blocks=1).with_column("n", monotonically_increasing_id())
    assert ds.filter(expr=col("id") >= 98).take_all() == [{"id": 98, "n": 98}, {"id": 99, "n": 99}]
    both = (monotonically_increasing_id() < 50) & (col("id") >= 49)
    assert headrace.range(100, override_num_blocks=1).filter(expr=both).take_all() == [{"id": 49}]
