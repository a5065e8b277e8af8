"""Q4: orders of a quarter with a late line, by priority."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Count
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    orders = tables.read("orders", "o_orderkey", "o_orderdate", "o_orderpriority")
    orders = orders.filter(
        expr=(col("o_orderdate") >= date(1993, 7, 1)) & (col("o_orderdate") < date(1993, 10, 1))
    )
    lines = tables.read("lineitem", "l_orderkey", "l_commitdate", "l_receiptdate")
    late = lines.filter(expr=col("l_commitdate") < col("l_receiptdate"))
    return (
        orders.join(
            late, "left_semi", tables.join_tasks, on=("o_orderkey",), right_on=("l_orderkey",)
        )
        .groupby("o_orderpriority")
        .aggregate(Count(alias_name="order_count"))
        .sort("o_orderpriority")
    )
