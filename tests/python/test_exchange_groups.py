"""Groups of tables made at random, against DuckDB and pandas."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from exchange_tables import FEW, KEY_COLUMNS, datasets, group_rows, in_order, plain, row_set
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace import aggregate as kinds

pytestmark = pytest.mark.usefixtures("settings")

KEYS = st.lists(st.sampled_from([*KEY_COLUMNS, "l"]), max_size=3, unique=True)


def _present(rows: list[dict[str, Any]], column: str) -> list[Any]:
    return [row[column] for row in rows if row[column] is not None]


def _each_once(values: list[Any]) -> list[Any]:
    return list({plain(value): value for value in values}.values())


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _least(values: list[Any], choose: Any) -> Any:
    """The least or greatest value; nan counts only where there is nothing else."""
    numbers = [value for value in values if not _is_nan(value)]
    if numbers:
        return choose(numbers)
    return values[0] if values else None


def _std(values: list[Any], ddof: int) -> Any:
    if not values:
        return None
    if len(values) <= ddof:
        return math.nan
    if any(map(_is_nan, values)):
        return math.nan
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - ddof))


def _quantile(values: list[Any], q: float) -> Any:
    numbers = sorted(value for value in values if not _is_nan(value))
    if not numbers:
        return None if not values else math.nan
    place = q * (len(numbers) - 1)
    low = math.floor(place)
    high = min(low + 1, len(numbers) - 1)
    return float(numbers[low] + (numbers[high] - numbers[low]) * (place - low))


def _share(part: int, whole: int) -> Any:
    return part / whole * 100 if whole else None


_EXACT = {
    "rows": (kinds.Count(alias_name="rows"), len),
    "n_f": (kinds.Count("f", True, alias_name="n_f"), lambda rows: len(_present(rows, "f"))),
    "sum_n": (kinds.Sum("n", alias_name="sum_n"), lambda rows: sum(row["n"] for row in rows)),
    "sum_f": (
        kinds.Sum("f", alias_name="sum_f"),
        lambda rows: sum(_present(rows, "f")) if _present(rows, "f") else None,
    ),
    "sum_b": (
        kinds.Sum("b", alias_name="sum_b"),
        lambda rows: sum(_present(rows, "b")) if _present(rows, "b") else None,
    ),
    "sum_m": (
        kinds.Sum("m", alias_name="sum_m"),
        lambda rows: sum(_present(rows, "m")) if _present(rows, "m") else None,
    ),
    "sum_z": (kinds.Sum("z", alias_name="sum_z"), lambda rows: None),
    "min_k": (kinds.Min("k", alias_name="min_k"), lambda r: _least(_present(r, "k"), min)),
    "max_k": (kinds.Max("k", alias_name="max_k"), lambda r: _least(_present(r, "k"), max)),
    "min_f": (kinds.Min("f", alias_name="min_f"), lambda r: _least(_present(r, "f"), min)),
    "max_f": (kinds.Max("f", alias_name="max_f"), lambda r: _least(_present(r, "f"), max)),
    "min_s": (kinds.Min("s", alias_name="min_s"), lambda r: _least(_present(r, "s"), min)),
    "max_d": (kinds.Max("d", alias_name="max_d"), lambda r: _least(_present(r, "d"), max)),
    "min_m": (kinds.Min("m", alias_name="min_m"), lambda r: _least(_present(r, "m"), min)),
    "mean_f": (
        kinds.Mean("f", alias_name="mean_f"),
        lambda r: statistics.fmean(_present(r, "f")) if _present(r, "f") else None,
    ),
    "mean_n": (
        kinds.Mean("n", alias_name="mean_n"),
        lambda r: statistics.fmean([row["n"] for row in r]) if r else None,
    ),
    "std_n": (kinds.Std("n", alias_name="std_n"), lambda r: _std(_present(r, "n"), 1)),
    "std_0": (
        kinds.Std("n", ddof=0, alias_name="std_0"),
        lambda r: _std(_present(r, "n"), 0),
    ),
    "abs_n": (
        kinds.AbsMax("k", alias_name="abs_n"),
        lambda r: max(map(abs, _present(r, "k"))) if _present(r, "k") else None,
    ),
    "q_n": (
        kinds.Quantile("n", q=0.3, alias_name="q_n"),
        lambda r: _quantile(_present(r, "n"), 0.3),
    ),
    "distinct_s": (
        kinds.CountDistinct("s", alias_name="distinct_s"),
        lambda r: len(_each_once(_present(r, "s"))),
    ),
    "distinct_f": (
        kinds.CountDistinct("f", ignore_nulls=False, alias_name="distinct_f"),
        lambda r: len(_each_once([row["f"] for row in r])),
    ),
    "missing_f": (
        kinds.MissingValuePercentage("f", alias_name="missing_f"),
        lambda r: _share(sum(row["f"] is None or _is_nan(row["f"]) for row in r), len(r)),
    ),
    "zero_k": (
        kinds.ZeroPercentage("k", alias_name="zero_k"),
        lambda r: _share(_present(r, "k").count(0), len(_present(r, "k"))),
    ),
}
_WITH_NULLS = {
    "sum": (kinds.Sum, lambda values: sum(values)),
    "min": (kinds.Min, min),
    "max": (kinds.Max, max),
    "mean": (kinds.Mean, statistics.fmean),
}


def _folded(table: pa.Table, keys: list[str], names: list[str]) -> list[dict[str, Any]]:
    groups = group_rows(table, keys)
    if not keys:
        groups = {(): table.to_pylist()}
    return [
        {
            **{key: rows[0][key] for key in keys},
            **{name: _EXACT[name][1](rows) for name in names},
        }
        for rows in groups.values()
    ]


@FEW
@given(
    drawn=datasets(),
    keys=KEYS,
    names=st.lists(st.sampled_from(sorted(_EXACT)), min_size=1, max_size=6, unique=True),
    partitions=st.sampled_from([None, 1, 3]),
)
def test_folds(drawn: Any, keys: list[str], names: list[str], partitions: int | None) -> None:
    table, ds = drawn
    made = ds.groupby(keys, num_partitions=partitions).aggregate(*(_EXACT[n][0] for n in names))
    assert row_set(in_order(made)) == row_set(_folded(table, keys, names))


@FEW
@given(drawn=datasets(), names=st.lists(st.sampled_from(sorted(_EXACT)), min_size=1, unique=True))
def test_folds_of_all_rows(drawn: Any, names: list[str]) -> None:
    table, ds = drawn
    got = ds.aggregate(*(_EXACT[name][0] for name in names))
    assert plain(got) == plain({name: _EXACT[name][1](table.to_pylist()) for name in names})


@FEW
@given(drawn=datasets(), name=st.sampled_from(sorted(_WITH_NULLS)))
def test_folds_with_nulls_kept(drawn: Any, name: str) -> None:
    table, ds = drawn
    make, fold = _WITH_NULLS[name]
    got = in_order(ds.groupby("s").aggregate(make("k", ignore_nulls=False, alias_name="x")))
    expected = [
        {
            "s": rows[0]["s"],
            "x": None if None in [row["k"] for row in rows] else fold([row["k"] for row in rows]),
        }
        for rows in group_rows(table, ["s"]).values()
    ]
    assert row_set(got) == row_set(expected)


@FEW
@given(drawn=datasets(), keys=KEYS, ignore_nulls=st.booleans())
def test_lists_of_values(drawn: Any, keys: list[str], ignore_nulls: bool) -> None:
    table, ds = drawn
    made = ds.groupby(keys).aggregate(
        kinds.AsList("n"),
        kinds.AsList("f", ignore_nulls=ignore_nulls),
        kinds.Unique("s", ignore_nulls=ignore_nulls),
    )
    groups = group_rows(table, keys) if keys else {(): table.to_pylist()}
    got = in_order(made)
    assert len(got) == len(groups)
    for row in got:
        rows = groups[tuple(plain(row[key]) for key in keys)]
        keep = [r for r in rows if not ignore_nulls or r["f"] is not None]
        assert row["list(n)"] == [r["n"] for r in rows]
        assert list(map(plain, row["list(f)"])) == [plain(r["f"]) for r in keep]
        texts = [r["s"] for r in rows if not ignore_nulls or r["s"] is not None]
        assert sorted(map(plain, row["unique(s)"])) == sorted(map(plain, _each_once(texts)))


@FEW
@given(drawn=datasets(), column=st.sampled_from(KEY_COLUMNS), ignore_nulls=st.booleans())
def test_unique(drawn: Any, column: str, ignore_nulls: bool) -> None:
    table, ds = drawn
    values = table.column(column).to_pylist()
    expected = {plain(v) for v in values if not ignore_nulls or v is not None}
    got = ds.unique(column, ignore_nulls=ignore_nulls)
    assert sorted(map(plain, got)) == sorted(expected)


@FEW
@given(drawn=datasets())
def test_groups_as_duckdb_has_them(drawn: Any) -> None:
    duckdb = pytest.importorskip("duckdb")
    table, ds = drawn
    made = ds.groupby(["s", "b"]).aggregate(
        kinds.Count(alias_name="rows"),
        kinds.Sum("n", alias_name="total"),
        kinds.Min("d", alias_name="first"),
        kinds.Mean("n", alias_name="mean"),
        kinds.CountDistinct("k", alias_name="kinds"),
        kinds.Quantile("n", alias_name="median"),
    )
    expected = _query(duckdb, table)
    assert row_set(in_order(made)) == row_set(expected)


def _query(duckdb: Any, table: pa.Table) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    connection.register("given", table)
    return (
        connection.sql(
            "SELECT s, b, count(*) AS rows, sum(n)::BIGINT AS total, min(d) AS first,"
            " avg(n) AS mean, count(DISTINCT k) AS kinds,"
            " quantile_cont(n, 0.5)::DOUBLE AS median FROM given GROUP BY s, b"
        )
        .to_arrow_table()
        .to_pylist()
    )


# ---- Functions of groups


@FEW
@given(drawn=datasets(), keys=st.lists(st.sampled_from(KEY_COLUMNS), min_size=1, max_size=2))
def test_map_groups_of_arrow_tables(drawn: Any, keys: list[str]) -> None:
    keys = list(dict.fromkeys(keys))
    table, ds = drawn

    def fold(group: pa.Table) -> pa.Table:
        numbers = pa.array([group.column("n").to_pylist()], pa.list_(pa.int64()))
        return group.slice(0, 1).select(keys).append_column("numbers", numbers)

    got = in_order(ds.groupby(keys).map_groups(fold, batch_format="pyarrow"))
    expected = [
        {**{key: rows[0][key] for key in keys}, "numbers": [row["n"] for row in rows]}
        for rows in group_rows(table, keys).values()
    ]
    assert row_set(got) == row_set(expected)


@FEW
@given(drawn=datasets())
def test_map_groups_as_pandas_applies(drawn: Any) -> None:
    table, ds = drawn
    ds = ds.select_columns(["s", "k", "n"])

    def widen(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.sort_values("n")
        return pd.DataFrame({"n": frame["n"], "place": range(len(frame)), "of": len(frame)})

    got = in_order(ds.groupby("s").map_groups(widen, batch_format="pandas"))
    frame = table.select(["s", "k", "n"]).to_pandas()
    grouped = frame.groupby("s", dropna=False)["n"]
    expected = pd.DataFrame(
        {"n": frame["n"], "place": grouped.cumcount(), "of": grouped.transform("size")}
    )
    assert row_set(got) == row_set(expected.to_dict("records"))


def test_map_groups_of_numpy_and_generators() -> None:
    ds = headrace.range(100, override_num_blocks=7).map_batches(
        lambda batch: {"id": batch["id"], "g": batch["id"] % 5}
    )

    def halves(batch: dict[str, Any]) -> Any:
        for part in (batch["id"][:10], batch["id"][10:]):
            yield {"g": batch["g"][:1], "total": [part.sum()]}

    got = in_order(ds.groupby("g").map_groups(halves))
    totals: dict[int, int] = {}
    for row in got:
        totals[row["g"]] = totals.get(row["g"], 0) + row["total"]
    assert len(got) == 10
    assert totals == {g: sum(range(g, 100, 5)) for g in range(5)}


class _Adder:
    def __init__(self, start: int, *, step: int = 1) -> None:
        self._start = start * step

    def __call__(self, batch: dict[str, Any], more: int, *, again: int = 0) -> dict[str, Any]:
        return {"g": batch["g"][:1], "x": [self._start + more + again + len(batch["g"])]}


@pytest.mark.parametrize("concurrency", [None, 2, (1, 2)])
def test_map_groups_by_actors(concurrency: Any) -> None:
    ds = headrace.from_items([{"g": i % 3} for i in range(30)], override_num_blocks=4)
    made = ds.groupby("g").map_groups(
        _Adder,
        fn_constructor_args=(10,),
        fn_constructor_kwargs={"step": 2},
        fn_args=(3,),
        fn_kwargs={"again": 4},
        concurrency=concurrency,
    )
    assert row_set(in_order(made)) == row_set({"g": g, "x": 37} for g in range(3))


def test_map_groups_without_a_key_sees_all_rows() -> None:
    ds = headrace.range(1000, override_num_blocks=9)
    made = ds.groupby(None).map_groups(lambda batch: {"rows": [len(batch["id"])]})
    assert in_order(made) == [{"rows": 1000}]


def test_an_error_in_a_group_is_the_users_own() -> None:
    ds = headrace.from_items([{"g": 1}])

    def fail(batch: dict[str, Any]) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ds.groupby("g").map_groups(fail).take_all()


def test_one_key_with_most_rows() -> None:
    ds = headrace.range(20000, override_num_blocks=10).map_batches(
        lambda batch: {"g": [0 if i % 10 else i for i in batch["id"].tolist()], "v": batch["id"]}
    )
    got = {row["g"]: row["count()"] for row in in_order(ds.groupby("g").count())}
    assert got[0] == 18001
    assert len(got) == 2000
    assert sum(got.values()) == 20000


# ---- Functions of Python


class _Longest(kinds.AggregateFnV2):
    def __init__(self, on: str) -> None:
        super().__init__(f"longest({on})", lambda: "", on=on, ignore_nulls=True)

    def aggregate_block(self, block: Any) -> str | None:
        texts = [text for text in block.column(self.get_target_column()).to_pylist() if text]
        return max(texts, key=len, default=None)

    def combine(self, current_accumulator: str, new: str) -> str:
        return max(current_accumulator, new, key=len)


def test_aggregations_of_python() -> None:
    items = [{"g": i % 2, "t": "x" * i if i else None, "v": i} for i in range(9)]
    ds = headrace.from_items(items, override_num_blocks=3)
    made = ds.groupby("g").aggregate(_Longest("t"), kinds.Sum("v"), kinds.ValueCounter("g"))
    got = {row["g"]: row for row in in_order(made)}
    assert got[0]["longest(t)"] == "x" * 8
    assert got[1]["longest(t)"] == "x" * 7
    assert got[0]["sum(v)"] == 20
    assert got[1]["sum(v)"] == 16
    assert got[1]["value_counter(g)"] == {"values": [1], "counts": [4]}
    assert ds.aggregate(_Longest("t")) == {"longest(t)": "x" * 8}


def test_rows_of_a_function_know_their_key() -> None:
    ds = headrace.from_items([{"g": "ab"[i % 2], "h": i % 3, "v": i} for i in range(12)])

    def make(name: str) -> kinds.AggregateFn:
        return kinds.AggregateFn(
            init=lambda key: [key, 0],
            accumulate_row=lambda acc, row: [acc[0], acc[1] + row["v"]],
            merge=lambda a, b: [a[0], a[1] + b[1]],
            finalize=str,
            name=name,
        )

    one = {row["g"]: row["x"] for row in in_order(ds.groupby("g").aggregate(make("x")))}
    assert one == {"a": "['a', 30]", "b": "['b', 36]"}
    two = in_order(ds.groupby(["g", "h"]).aggregate(make("x")))
    assert {row["x"] for row in two} == {f"[{(r['g'], r['h'])}, {_total(r)}]" for r in two}


def _total(row: dict[str, Any]) -> int:
    return sum(i for i in range(12) if "ab"[i % 2] == row["g"] and i % 3 == row["h"])


@FEW
@given(values=st.lists(st.one_of(st.none(), st.integers(-50, 50).map(float)), max_size=60))
def test_approximate_quantiles_of_few_values(values: list[float | None]) -> None:
    nulls = headrace.from_arrow(pa.table({"v": pa.nulls(3)}))  # A block whose type is not known.
    ds = nulls.union(headrace.from_arrow(pa.table({"v": pa.array(values, pa.float64())})))
    got = ds.aggregate(kinds.ApproximateQuantile("v", [0.0, 0.5, 1.0]))["approx_quantile(v)"]
    numbers = sorted(value for value in values if value is not None)
    if not numbers:
        assert got is None
        return
    assert got == [numbers[0], numbers[len(numbers) // 2], numbers[-1]]


def test_approximate_quantiles_of_many_values() -> None:
    ds = headrace.range(200_000, override_num_blocks=20).random_shuffle(seed=1)
    shares = [0.01, 0.25, 0.5, 0.9]
    agg = kinds.ApproximateQuantile("id", shares, quantile_precision=400)
    got = ds.aggregate(agg)["approx_quantile(id)"]
    for share, value in zip(shares, got, strict=True):
        assert abs(value / 200_000 - share) < 0.01


def test_most_frequent_values() -> None:
    items = [{"v": "abc"[min(i % 7, 2)], "l": [i % 3, 9]} for i in range(70)]
    ds = headrace.from_items(items, override_num_blocks=4)
    top = ds.aggregate(kinds.ApproximateTopK("v", 2))["approx_topk(v)"]
    assert top[0] == {"v": "c", "count": 50}
    assert top[1]["count"] == 10
    elements = ds.aggregate(kinds.ApproximateTopK("l", 1, encode_lists=True))["approx_topk(l)"]
    assert elements == [{"l": 9, "count": 70}]
    rare = headrace.from_items([{"v": i} for i in range(100)] + [{"v": 7}] * 60)
    assert (
        rare.aggregate(kinds.ApproximateTopK("v", 1, log_capacity=4))["approx_topk(v)"][0]["v"] == 7
    )


def test_summary() -> None:
    ds = headrace.from_items([{"x": i, "f": i / 2, "s": "ab"[i % 2], "l": [i]} for i in range(10)])
    summary = ds.summary()
    assert summary.columns == ["x", "f", "s"]
    frame = summary.to_pandas().set_index("statistic")
    assert frame.loc["mean", "x"] == 4.5
    assert frame.loc["count", "s"] == 10
    assert frame.loc["zero_pct", "x"] == 10.0
    assert frame.loc["missing_pct", "f"] == 0.0
    stats = summary.get_column_stats("f").set_index("statistic")["value"]
    assert stats["max"] == 4.5
    assert stats["approx_quantile[0]"] == 2.5
    with pytest.raises(ValueError, match="nope"):
        ds.summary(["nope"])
    with pytest.raises(ValueError, match="nope"):
        summary.get_column_stats("nope")
