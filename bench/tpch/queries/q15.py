"""Q15: the supplier with the most revenue in a quarter."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    suppliers = tables.read("supplier", "s_suppkey", "s_name", "s_address", "s_phone")
    lines = tables.read(
        "lineitem", "l_suppkey", "l_extendedprice", "l_discount", "l_shipdate"
    ).filter(expr=(col("l_shipdate") >= date(1996, 1, 1)) & (col("l_shipdate") < date(1996, 4, 1)))
    revenue = (
        lines.with_column("revenue", col("l_extendedprice") * (1 - col("l_discount")))
        .groupby("l_suppkey")
        .aggregate(Sum("revenue", alias_name="total_revenue"))
        .materialize()
    )
    best = revenue.filter(expr=col("total_revenue") == revenue.max("total_revenue"))
    return suppliers.join(
        best, "inner", tables.join_tasks, on=("s_suppkey",), right_on=("l_suppkey",)
    ).sort("s_suppkey")
