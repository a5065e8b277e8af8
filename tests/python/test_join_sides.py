"""Joins whose right side turns out to be small, against DuckDB: its size decides at run time."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchange_tables import in_order, row_set

import headrace
from headrace.aggregate import Count, Sum
from headrace.expressions import col

duckdb = pytest.importorskip("duckdb")
pytestmark = pytest.mark.usefixtures("settings")

_KINDS = ["inner", "left_outer", "left_semi", "left_anti"]
_SQL = {"inner": "", "left_outer": "LEFT", "left_semi": "SEMI", "left_anti": "ANTI"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Sales (60,000 rows in three files) of goods (3,000) in shops (40)."""
    path = tmp_path_factory.mktemp("sales")
    for part in range(3):
        rows = range(part * 20_000, (part + 1) * 20_000)
        sales = {
            "id": list(rows),
            "good": [None if i % 97 == 0 else i * 7 % 3_300 for i in rows],
            "shop": [f"s{i % 43}" for i in rows],
        }
        pq.write_table(pa.table(sales), path / f"sales-{part}.parquet", row_group_size=5_000)
    goods = {"good": list(range(3_000)), "price": [i % 50 for i in range(3_000)]}
    pq.write_table(pa.table(goods), path / "goods.parquet")
    shops = {"shop": [f"s{i}" for i in range(40)], "town": [f"t{i % 7}" for i in range(40)]}
    pq.write_table(pa.table(shops), path / "shops.parquet")
    return path


def _read(folder: pathlib.Path, name: str) -> headrace.Dataset:
    paths = sorted(folder.glob(f"{name}*.parquet"))
    return headrace.read_parquet([str(path) for path in paths])


def _expected(folder: pathlib.Path, text: str) -> list[dict[str, Any]]:
    connection = duckdb.connect()
    for name in ("sales", "goods", "shops"):
        connection.execute(f"CREATE VIEW {name} AS FROM '{folder}/{name}*.parquet'")
    return connection.sql(text).to_arrow_table().to_pylist()  # type: ignore[no-any-return]


def _operators(data: headrace.Dataset) -> Callable[[str], int]:
    """Runs `data`; returns how many operators of that name had tasks."""
    text = data.materialize().stats()
    return lambda name: len(re.findall(rf" {re.escape(name)}: [1-9]\d* tasks", text))


@pytest.mark.parametrize("kind", _KINDS)
def test_the_tasks_that_read_the_left_side_join(folder: pathlib.Path, kind: str) -> None:
    made = _read(folder, "sales").join(_read(folder, "goods"), kind, 0, ("good",))
    text = f"FROM sales {_SQL[kind]} JOIN goods USING (good)"
    columns = "sales.*, price" if kind in ("inner", "left_outer") else "sales.*"
    assert row_set(in_order(made)) == row_set(_expected(folder, f"SELECT {columns} {text}"))
    having = _operators(made)
    assert having("ReadParquet->Join") == 1
    assert having("ReadParquet->Join(map)") == 1  # The right side's.


@pytest.mark.parametrize("kinds", [(a, b) for a in _KINDS for b in _KINDS])
def test_two_joins_and_a_fold_in_one_task(folder: pathlib.Path, kinds: tuple[str, str]) -> None:
    first, second = kinds
    made = (
        _read(folder, "sales")
        .filter(expr=col("id") % 3 != 0)
        .join(_read(folder, "goods"), first, 0, ("good",))
        .join(_read(folder, "shops"), second, 0, ("shop",))
        .groupby("shop")
        .aggregate(Count(alias_name="n"), Sum("id", alias_name="ids"))
        .materialize()
    )
    text = f"""
        SELECT shop, count(*) AS n, sum(id)::BIGINT AS ids
        FROM (SELECT sales.* FROM sales {_SQL[first]} JOIN goods USING (good) WHERE id % 3 <> 0)
        {_SQL[second]} JOIN shops USING (shop) GROUP BY shop"""
    assert row_set(in_order(made)) == row_set(_expected(folder, text))
    names = re.findall(r"ReadParquet->Join->(?:Project->)?Join->Aggregate\(map\): \d", made.stats())
    assert len(names) == 1


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("empty", ["sales", "goods"])
def test_a_side_without_rows(folder: pathlib.Path, kind: str, empty: str) -> None:
    sales, goods = _read(folder, "sales"), _read(folder, "goods")
    if empty == "sales":
        sales = sales.filter(expr=col("id") < 0)
    else:
        goods = goods.filter(expr=col("good") < 0)
    made = sales.join(goods, kind, 0, ("good",)).materialize()
    expected = 60_000 if (empty, kind) in (("goods", "left_outer"), ("goods", "left_anti")) else 0
    assert made.count() == expected
    assert made.schema().names[:3] == ["id", "good", "shop"]


_RIGHT_KINDS = {"inner": "", "right_outer": "RIGHT", "right_semi": "SEMI", "right_anti": "ANTI"}


@pytest.mark.parametrize("kind", sorted(_RIGHT_KINDS))
@pytest.mark.parametrize("least", [0, 59_000, 60_000])
def test_the_left_side_is_held_where_filters_make_it_small(
    folder: pathlib.Path, kind: str, least: int
) -> None:
    """It is larger than the right one, but for its filters; in the end it may have no rows."""
    sales = _read(folder, "sales").filter(
        expr=(col("shop") == "s1") & (col("good") == 7) & (col("id") >= least)
    )
    goods = _read(folder, "goods")
    made = sales.join(goods, kind, 0, ("good",))
    side = "goods" if kind in ("right_semi", "right_anti") else "chosen"
    columns = {"inner": "c.*, price", "right_outer": "c.id, c.shop, g.good, g.price"}.get(
        kind, "g.*"
    )
    tables = "chosen c {} JOIN goods g" if side == "chosen" else "goods g {} JOIN chosen c"
    text = f"""
        WITH chosen AS (SELECT * FROM sales WHERE shop = 's1' AND good = 7 AND id >= {least})
        SELECT {columns} FROM {tables.format(_RIGHT_KINDS[kind])} ON c.good = g.good"""
    expected = _expected(folder, text)
    assert row_set(in_order(made)) == row_set(expected)
    if expected:
        assert list(made.take(1)[0]) == list(expected[0])
    having = _operators(made)
    assert sum(having(f"ReadParquet->Join{end}") for end in ("", "->Project")) == 1


@pytest.mark.parametrize("kind", sorted(_RIGHT_KINDS))
@pytest.mark.parametrize("keys", [("good",), ("id",), ("good", "id")])
def test_columns_are_the_same_whichever_side_is_held(
    folder: pathlib.Path, kind: str, keys: tuple[str, ...]
) -> None:
    """Names on both sides, and keys that are columns of the other side. Order keeps the sides."""

    def made(in_order_of_left: bool) -> pa.Table:
        options = headrace.DataContext.get_current().execution_options
        options.preserve_order = in_order_of_left
        sales = _read(folder, "sales").filter(
            expr=(col("id") < 400)
            & (col("id") > -1)
            & (col("shop") == "s3")
            & col("shop").is_in(["s3"])
        )
        sales = sales.with_column("price", col("id") * 2)
        goods = _read(folder, "goods").rename_columns({"good": "id"})
        goods = goods.with_column("good", col("id") % 50).with_column("shop", col("price"))
        joined = sales.join(goods, kind, 0, keys, keys[::-1], left_suffix="_l", right_suffix="_r")
        return joined._to_table()

    mirrored, plain = made(False), made(True)
    assert mirrored.schema.equals(plain.schema)
    assert row_set(mirrored.to_pylist()) == row_set(plain.to_pylist())


def test_order_is_that_of_the_left_side_where_it_is_kept(folder: pathlib.Path) -> None:
    headrace.DataContext.get_current().execution_options.preserve_order = True
    made = _read(folder, "sales").join(_read(folder, "shops"), "inner", 0, ("shop",))
    ids = made._to_table().column("id").to_pylist()
    assert ids == sorted(ids)
    assert len(ids) == len([i for i in range(60_000) if i % 43 < 40])


def test_a_right_side_that_is_not_small_scatters_both(folder: pathlib.Path) -> None:
    """With a budget of 2 MiB a side may have 128 KiB; here it has 144,000 bytes and more."""
    options = headrace.DataContext.get_current().execution_options
    options.resource_limits = headrace.ExecutionResources(object_store_memory=2 << 20)
    goods = _read(folder, "goods")
    three = goods.with_column("a", col("price") + 1).with_column("b", col("price") + 2)
    made = _read(folder, "sales").join(
        three.with_column("c", col("price")).with_column("d", col("price")), "inner", 0, ("good",)
    )
    text = "SELECT sales.*, price, price + 1 a, price + 2 b, price c, price d FROM sales JOIN goods"
    assert row_set(in_order(made)) == row_set(_expected(folder, f"{text} USING (good)"))
    having = _operators(made)
    assert having("ReadParquet->Project->Join(map)") == having("ReadParquet->Join(map)") == 1
    assert having("Join") == 1


def test_a_limit_behind_it_stops_the_readers(folder: pathlib.Path) -> None:
    made = _read(folder, "sales").join(_read(folder, "goods"), "inner", 0, ("good",)).limit(10)
    rows = in_order(made)
    assert len(rows) == 10
    assert all(row["price"] == row["good"] % 50 for row in rows)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_function_of_the_user_before_it(folder: pathlib.Path, kind: str) -> None:
    """Its tasks run in worker processes, so others join what they yield."""
    sales = _read(folder, "sales").map_batches(lambda batch: batch, batch_format="pyarrow")
    made = sales.join(_read(folder, "shops"), kind, 0, ("shop",))
    text = f"FROM sales {_SQL[kind]} JOIN shops USING (shop)"
    columns = "sales.*, town" if kind in ("inner", "left_outer") else "sales.*"
    assert row_set(in_order(made)) == row_set(_expected(folder, f"SELECT {columns} {text}"))
    having = _operators(made)
    assert having("ReadParquet->MapBatches(<lambda>)") == having("Join") == 1
    assert having("ReadParquet->Join(map)") == 1  # The right side's.


@pytest.fixture(scope="module")
def repeats(tmp_path_factory: pytest.TempPathFactory) -> str:
    """40 MB of one text over and over: some KB as run lengths of a code."""
    path = tmp_path_factory.mktemp("repeats") / "repeats.parquet"
    rows = {"good": list(range(20_000)), "text": pa.repeat("x" * 2_000, 20_000)}
    pq.write_table(
        pa.table(rows),
        path,
        column_encoding={"good": "DELTA_BINARY_PACKED"},
        use_dictionary=["text"],
    )
    assert path.stat().st_size < 40_000
    return str(path)


@pytest.mark.parametrize("function", [True, False])
def test_a_side_that_is_small_only_while_encoded_is_scattered(
    folder: pathlib.Path, repeats: str, function: bool
) -> None:
    options = headrace.DataContext.get_current().execution_options
    options.resource_limits = headrace.ExecutionResources(object_store_memory=256 << 20)
    sales = _read(folder, "sales")
    if function:
        sales = sales.map_batches(lambda batch: batch, batch_format="pyarrow")
    joined = sales.join(headrace.read_parquet(repeats), "inner", 0, ("good",))
    made = joined.with_column("letters", col("text").str.len()).select_columns(["id", "letters"])
    expected = [i for i in range(60_000) if i % 97 and i * 7 % 3_300 < 20_000]
    assert row_set(in_order(made)) == row_set([{"id": i, "letters": 2_000} for i in expected])
    stats = made.materialize().stats()
    assert len(re.findall(r"Join\(map\): [1-9]", stats)) == 2
    assert re.search(r" Join->Project: [1-9]", stats)


@pytest.mark.parametrize("kind", ["right_outer", "inner"])
def test_a_left_side_that_is_small_only_while_encoded_is_scattered(
    folder: pathlib.Path, repeats: str, kind: str
) -> None:
    """Where order is kept, the sides stay as they are."""
    headrace.DataContext.get_current().execution_options.preserve_order = True
    made = headrace.read_parquet(repeats).join(_read(folder, "sales"), kind, 0, ("good",))
    rows = made.materialize()
    with_goods = sum(i % 97 > 0 for i in range(60_000))
    assert rows.count() == (60_000 if kind == "right_outer" else with_goods)
    assert len(re.findall(r"Join\(map\): [1-9]", rows.stats())) == 2


def test_an_error_names_operator_and_column(folder: pathlib.Path) -> None:
    sales = _read(folder, "sales")
    with pytest.raises(Exception, match="good") as caught:
        sales.join(_read(folder, "shops"), "inner", 0, ("good",), ("shop",)).take_all()
    assert "Join" in str(caught.value) or "join" in str(caught.value)
