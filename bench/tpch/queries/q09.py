"""Q9: profit on a kind of part, by nation and year."""

from __future__ import annotations

import pyarrow as pa

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n, money = tables.join_tasks, DataType.from_arrow(pa.decimal128(18, 4))
    parts = tables.read("part", "p_partkey", "p_name")
    parts = parts.filter(expr=col("p_name").str.contains("green")).materialize()
    nations = tables.read("nation", "n_nationkey", "n_name").rename_columns({"n_name": "nation"})
    suppliers = tables.read("supplier", "s_suppkey", "s_nationkey")
    offers = tables.read("partsupp", "ps_partkey", "ps_suppkey", "ps_supplycost")
    orders = tables.read("orders", "o_orderkey", "o_orderdate")
    lines = tables.read(
        "lineitem",
        "l_orderkey",
        "l_partkey",
        "l_suppkey",
        "l_quantity",
        "l_extendedprice",
        "l_discount",
    )

    suppliers = suppliers.join(
        nations, "inner", n, on=("s_nationkey",), right_on=("n_nationkey",)
    ).select_columns(["s_suppkey", "nation"])
    offers = offers.join(parts, "left_semi", n, on=("ps_partkey",), right_on=("p_partkey",))
    price = (col("l_extendedprice") * (1 - col("l_discount"))).cast(money)
    cost = (col("ps_supplycost") * col("l_quantity")).cast(money)
    return (
        lines.join(parts, "left_semi", n, on=("l_partkey",), right_on=("p_partkey",))
        .with_column("price", price)
        .join(
            offers,
            "inner",
            n,
            on=("l_partkey", "l_suppkey"),
            right_on=("ps_partkey", "ps_suppkey"),
        )
        .join(suppliers, "inner", n, on=("l_suppkey",), right_on=("s_suppkey",))
        .join(orders, "inner", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .with_column("o_year", col("o_orderdate").dt.year())
        .with_column("amount", col("price") - cost)
        .groupby(["nation", "o_year"])
        .aggregate(Sum("amount", alias_name="sum_profit"))
        .sort(["nation", "o_year"], [False, True])
    )
