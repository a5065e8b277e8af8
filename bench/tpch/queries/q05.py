"""Q5: revenue within each nation of a region."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    asia = tables.read("region", "r_regionkey", "r_name").filter(expr=col("r_name") == "ASIA")
    nations = tables.read("nation", "n_nationkey", "n_name", "n_regionkey")
    suppliers = tables.read("supplier", "s_suppkey", "s_nationkey")
    customers = tables.read("customer", "c_custkey", "c_nationkey")
    orders = tables.read("orders", "o_orderkey", "o_custkey", "o_orderdate").filter(
        expr=(col("o_orderdate") >= date(1994, 1, 1)) & (col("o_orderdate") < date(1995, 1, 1))
    )
    lines = tables.read("lineitem", "l_orderkey", "l_suppkey", "l_extendedprice", "l_discount")
    lines = lines.with_column("revenue", col("l_extendedprice") * (1 - col("l_discount")))

    nations = nations.join(asia, "left_semi", n, on=("n_regionkey",), right_on=("r_regionkey",))
    suppliers = suppliers.join(nations, "inner", n, on=("s_nationkey",), right_on=("n_nationkey",))
    orders = orders.join(customers, "inner", n, on=("o_custkey",), right_on=("c_custkey",))
    return (
        lines.join(orders, "inner", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .join(
            suppliers,
            "inner",
            n,
            on=("l_suppkey", "c_nationkey"),
            right_on=("s_suppkey", "s_nationkey"),
        )
        .groupby("n_name")
        .aggregate(Sum("revenue", alias_name="revenue"))
        .sort("revenue", descending=True)
    )
