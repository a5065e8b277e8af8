"""Q18: the hundred largest orders."""

from __future__ import annotations

from decimal import Decimal

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    customers = tables.read("customer", "c_custkey", "c_name")
    orders = tables.read("orders", "o_orderkey", "o_custkey", "o_orderdate", "o_totalprice")
    large = (
        tables.read("lineitem", "l_orderkey", "l_quantity")
        .groupby("l_orderkey")
        .aggregate(Sum("l_quantity", alias_name="sum_qty"))
        .filter(expr=col("sum_qty") > Decimal(300))
    )
    return (
        orders.join(large, "inner", n, on=("o_orderkey",), right_on=("l_orderkey",))
        .join(customers, "inner", n, on=("o_custkey",), right_on=("c_custkey",))
        .rename_columns({"o_custkey": "c_custkey"})
        .select_columns(
            ["c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice", "sum_qty"]
        )
        .sort(["o_totalprice", "o_orderdate"], [True, False])
        .limit(100)
    )
