"""Keys whose blocks differ in type: equal values meet all the same."""

from __future__ import annotations

import datetime
import decimal
import math
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace
from headrace.aggregate import CountDistinct, Max, Min, Unique

pytestmark = pytest.mark.usefixtures("settings")


def _blocks(*columns: dict[str, Any]) -> headrace.Dataset:
    return headrace.from_arrow([pa.table(block) for block in columns])


def test_whole_floats_group_with_integers() -> None:
    ds = _blocks({"k": [1, 2, 3]}, {"k": [1.0, 2.0, 4.5]})
    counts = {row["k"]: row["count()"] for row in ds.groupby("k", 7).count().take_all()}
    assert counts == {1: 2, 2: 2, 3: 1, 4.5: 1}


def test_large_and_odd_floats_group() -> None:
    values = [0.0, -0.0, math.inf, -math.inf, 2.0**63, 1e300, math.nan, math.nan]
    ds = _blocks({"k": values}, {"k": [0]})
    rows = ds.groupby("k", 5).count().take_all()
    assert sorted(row["count()"] for row in rows) == [1, 1, 1, 1, 2, 3]


@pytest.mark.parametrize("units", [("s", "ms"), ("ms", "ns"), ("us", "s")])
def test_times_of_other_units_group(units: tuple[str, str]) -> None:
    seconds = np.arange(1_600_000_000, 1_600_000_020)
    factors = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    ds = _blocks(*({"k": pa.array(seconds * factors[u], pa.timestamp(u))} for u in units))
    assert ds.groupby("k", 9).count().count() == 20


def test_a_null_in_a_dictionary_joins_nothing() -> None:
    keys = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["a", None]))
    left, right = _blocks({"k": keys, "a": [1, 2]}), _blocks({"k": keys, "b": [1, 2]})
    assert left.join(right, "inner", 1, on=("k",)).take_all() == [{"k": "a", "a": 1, "b": 1}]


def test_deviation_of_huge_values() -> None:
    assert _blocks({"x": [1e160, 1e160]}, {"x": [1e160]}).std("x") == 0.0


def test_whole_floats_sort_with_integers() -> None:
    ds = headrace.from_items([{"k": 5}, {"k": 1.5}, {"k": 3}], override_num_blocks=3)
    assert [row["k"] for row in ds.sort("k").take_all()] == [1.5, 3, 5]


def test_keys_without_a_common_order_are_no_sort() -> None:
    ds = _blocks({"k": [1.5]}, {"k": [decimal.Decimal("2.5")]})
    with pytest.raises(TypeError, match=r"some blocks have it as decimal128.*, others as double"):
        ds.sort("k").take_all()


def _shared(values: list[Any], codes: list[Any], width: pa.DataType) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, width), pa.array(values))


def _many_categories() -> headrace.Dataset:
    # Each block's codes fit into 8 bits, but not those of all.
    texts = [[f"{block}-{i}" for i in range(100)] for block in range(4)]
    categories = [{"k": pa.array(t).dictionary_encode().cast(_NARROW)} for t in texts]
    return _blocks(*categories)


_NARROW = pa.dictionary(pa.int8(), pa.string())
_ALL = sorted(f"{block}-{i}" for block in range(4) for i in range(100))


def test_dictionaries_that_outgrow_their_codes() -> None:
    ds = _many_categories()
    assert [row["k"] for row in ds.sort("k").take_all()] == _ALL
    for moved in (ds.random_shuffle(seed=1), ds.repartition(3), ds.repartition(2, keys=["k"])):
        assert sorted(row["k"] for row in moved.take_all()) == _ALL
    assert sorted(row["k"] for row in ds.groupby("k").count().take_all()) == _ALL
    sizes = ds.groupby("k").map_groups(lambda group: {"n": [len(group["k"])]}).take_all()
    assert [row["n"] for row in sizes] == [1] * 400
    assert sorted(ds.to_pandas()["k"].tolist()) == _ALL
    assert [len(b["k"]) for b in ds.iter_batches(batch_size=250)] == [250, 150]
    assert sorted(ds.unique("k")) == _ALL
    joined = ds.join(_many_categories(), "inner", 2, on=("k",))
    assert sorted(row["k"] for row in joined.take_all()) == _ALL


def test_equal_dictionary_types_stay() -> None:
    ds = _blocks(
        {"k": _shared(["a", "b"], [0, 1], pa.int8())}, {"k": _shared(["b", "c"], [0, 1], pa.int8())}
    )
    for made in (ds.sort("k"), ds.repartition(1), ds.groupby("k").count()):
        blocks = [block.get() for block in made.materialize()._plan.blocks()]
        assert {block.schema.field("k").type for block in blocks} == {_NARROW}
    assert [row["k"] for row in ds.sort("k").take_all()] == ["a", "b", "b", "c"]


@pytest.mark.parametrize(
    "other",
    [
        pa.array(["b", "a", None]),
        pa.array(["b", "a", None], pa.large_string()),
        pa.array(["b", "a", None], pa.string_view()),
        _shared(["b", "a"], [0, 1, None], pa.int32()),
        _shared(["a", None, "b"], [2, 0, 1], pa.uint16()),
    ],
    ids=str,
)
def test_dictionaries_beside_other_text(other: pa.Array) -> None:
    ds = _blocks({"k": _shared(["a", None], [0, 1, None], pa.int8())}, {"k": other})
    values = ["a", "a", "b", None, None, None]
    assert [row["k"] for row in ds.sort("k").take_all()] == values
    for moved in (ds.random_shuffle(seed=1), ds.repartition(1), ds.repartition(2, keys=["k"])):
        assert sorted((row["k"] for row in moved.take_all()), key=str) == sorted(values, key=str)
    counts = {row["k"]: row["count()"] for row in ds.groupby("k").count().take_all()}
    assert counts == {"a": 2, "b": 1, None: 3}
    sizes = ds.groupby("k").map_groups(lambda group: {"n": [len(group["k"])]}).take_all()
    assert sorted(row["n"] for row in sizes) == [1, 2, 3]
    assert ds.to_pandas()["k"].isna().sum() == 3
    (batch,) = ds.iter_batches(batch_size=6, batch_format="pyarrow")
    assert batch.column("k").to_pylist()[:1] == ["a"]


def _tensors(*shapes: tuple[int, ...]) -> headrace.Dataset:
    parts = [headrace.from_numpy(np.arange(2 * math.prod(s)).reshape((2, *s))) for s in shapes]
    parts = [
        p.add_column("i", lambda batch: np.arange(len(batch)), batch_format="pandas") for p in parts
    ]
    return parts[0].union(*parts[1:])


@pytest.mark.parametrize(
    "verb",
    [
        lambda ds: ds.sort("i"),
        lambda ds: ds.random_shuffle(seed=3),
        lambda ds: ds.repartition(1),
        lambda ds: ds.repartition(2, keys=["i"]),
        lambda ds: ds.groupby("i").map_groups(lambda group: group, batch_format="pyarrow"),
    ],
)
def test_tensors_of_several_shapes(verb: Any) -> None:
    rows = verb(_tensors((2, 2), (3, 2), (2, 2))).take_all()
    got = sorted((row["data"].shape, row["data"].ravel().tolist()) for row in rows)
    assert got == [
        *[((2, 2), [0, 1, 2, 3])] * 2,
        *[((2, 2), [4, 5, 6, 7])] * 2,
        ((3, 2), [0, 1, 2, 3, 4, 5]),
        ((3, 2), [6, 7, 8, 9, 10, 11]),
    ]


def test_tensors_of_fewer_dimensions_get_ones() -> None:
    rows = _tensors((2,), (3, 2)).repartition(1).take_all()
    assert [row["data"].shape for row in rows] == [(1, 2), (1, 2), (3, 2), (3, 2)]


@pytest.mark.parametrize("blocks", [1, 40])
def test_a_sort_cut_between_types(blocks: int) -> None:
    # Bounds of tasks are keys of one type, and cut rows of others.
    values = np.random.default_rng(1).integers(-(10**6), 10**6, 40_000)
    parts = np.array_split(values, 40)
    types = [pa.int32(), pa.int64(), pa.float64()]
    tables = [pa.table({"k": pa.array(p).cast(types[i % 3])}) for i, p in enumerate(parts)]
    headrace.DataContext.get_current().target_max_block_size = 1 << 14
    ds = headrace.from_arrow(tables).repartition(blocks) if blocks == 1 else None
    made = (ds or headrace.from_arrow(tables)).sort("k")
    assert [int(row["k"]) for row in made.take_all()] == sorted(values.tolist())


@pytest.mark.parametrize(
    "verb",
    [
        lambda ds: ds.sort("k"),
        lambda ds: ds.random_shuffle(seed=1),
        lambda ds: ds.repartition(2, shuffle=True),
        lambda ds: ds.repartition(2, keys=["k"]),
        lambda ds: ds.groupby("k").count(),
        lambda ds: ds.groupby("k").map_groups(lambda group: group),
        lambda ds: ds.join(_blocks({"k": [1]}), "inner", 2, on=("k",)),
    ],
)
def test_types_that_do_not_fit_are_named(verb: Any, tmp_path: pathlib.Path) -> None:
    pq.write_table(pa.table({"k": [1, 2]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"k": ["x", "y"]}), tmp_path / "two.parquet")
    ds = headrace.read_parquet(str(tmp_path / "one.parquet"))
    ds = ds.union(headrace.read_parquet(str(tmp_path / "two.parquet")))
    with pytest.raises(TypeError) as raised:
        verb(ds).take_all()
    text = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", [])])
    assert "column 'k' has type int64" in text
    assert "type string" in text
    assert "operator " in text
    assert "one.parquet" in text
    assert "two.parquet" in text


@pytest.mark.parametrize("view", [pa.string_view(), pa.binary_view()])
def test_folds_of_views(view: pa.DataType) -> None:
    values = ["b", "a", None, "b", "long enough to lie outside of the view"]
    column = pa.array(
        [v if v is None or view == pa.string_view() else v.encode() for v in values], view
    )
    ds = _blocks({"g": [0, 0, 0, 1, 1], "x": column})
    folds = (Min("x"), Max("x"), CountDistinct("x"), Unique("x", ignore_nulls=True))
    whole = ds.aggregate(*folds)
    plain = [str(v) if isinstance(v, str) else v.decode() for v in sorted(whole["unique(x)"])]
    assert plain == ["a", "b", "long enough to lie outside of the view"]
    assert whole["count_distinct(x)"] == 3
    low, high = whole["min(x)"], whole["max(x)"]
    assert [v if isinstance(v, str) else v.decode() for v in (low, high)] == [plain[0], plain[2]]
    groups = sorted(ds.groupby("g").aggregate(*folds).take_all(), key=lambda row: row["g"])
    assert [row["count_distinct(x)"] for row in groups] == [2, 2]
    assert len(ds.unique("x")) == 4


def test_missing_columns_and_fields_are_null() -> None:
    ds = _blocks(
        {"k": [1], "p": [{"a": 1}], "w": pa.nulls(1)},
        {"k": [2], "p": [{"b": "x", "a": 2.5}], "w": [datetime.date(2020, 1, 1)]},
        {"k": [3], "p": pa.nulls(1), "z": [7]},
    )
    for made in (ds.sort("k"), ds.repartition(1)):
        table = made._to_table()
        assert table.to_pylist() == [
            {"k": 1, "p": {"a": 1.0, "b": None}, "w": None, "z": None},
            {"k": 2, "p": {"a": 2.5, "b": "x"}, "w": datetime.date(2020, 1, 1), "z": None},
            {"k": 3, "p": None, "w": None, "z": 7},
        ]


def test_too_many_partitions_are_an_error() -> None:
    ds = headrace.range(10)
    for verb in (
        lambda: ds.repartition(10**12),
        lambda: ds.repartition(2 * 10**9, shuffle=True),
        lambda: ds.groupby("id", num_partitions=10**10).count(),
        lambda: ds.join(ds, "inner", 3 * 10**9, on=("id",)),
    ):
        with pytest.raises(ValueError, match="at most 1000000"):
            verb().take_all()
