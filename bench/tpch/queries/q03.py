"""Q3: the ten most valuable orders that have not been shipped."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n, day = tables.join_tasks, date(1995, 3, 15)
    customers = tables.read("customer", "c_custkey", "c_mktsegment")
    customers = customers.filter(expr=col("c_mktsegment") == "BUILDING")
    orders = tables.read("orders", "o_orderkey", "o_custkey", "o_orderdate", "o_shippriority")
    orders = orders.filter(expr=col("o_orderdate") < day)
    lines = tables.read("lineitem", "l_orderkey", "l_extendedprice", "l_discount", "l_shipdate")
    lines = lines.filter(expr=col("l_shipdate") > day).with_column(
        "revenue", col("l_extendedprice") * (1 - col("l_discount"))
    )

    orders = orders.join(customers, "left_semi", n, on=("o_custkey",), right_on=("c_custkey",))
    return (
        lines.join(orders, "inner", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .groupby(["l_orderkey", "o_orderdate", "o_shippriority"])
        .aggregate(Sum("revenue", alias_name="revenue"))
        .sort(["revenue", "o_orderdate"], [True, False])
        .limit(10)
        .select_columns(["l_orderkey", "revenue", "o_orderdate", "o_shippriority"])
    )
