"""Q13: how many customers have how many orders."""

from __future__ import annotations

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Count
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    customers = tables.read("customer", "c_custkey")
    orders = tables.read("orders", "o_orderkey", "o_custkey", "o_comment")
    orders = orders.filter(expr=~col("o_comment").str.match("%special%requests%"))
    return (
        customers.join(
            orders, "left_outer", tables.join_tasks, on=("c_custkey",), right_on=("o_custkey",)
        )
        .groupby("c_custkey")
        .aggregate(Count("o_orderkey", ignore_nulls=True, alias_name="c_count"))
        .groupby("c_count")
        .aggregate(Count(alias_name="custdist"))
        .sort(["custdist", "c_count"], descending=True)
    )
