"""Q21: suppliers of a nation who alone kept orders waiting."""

from __future__ import annotations

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Count, Max, Min, Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    nation = tables.read("nation", "n_nationkey", "n_name")
    nation = nation.filter(expr=col("n_name") == "SAUDI ARABIA")
    suppliers = tables.read("supplier", "s_suppkey", "s_name", "s_nationkey")
    orders = tables.read("orders", "o_orderkey", "o_orderstatus")
    orders = orders.filter(expr=col("o_orderstatus") == "F")
    lines = tables.read("lineitem", "l_orderkey", "l_suppkey", "l_commitdate", "l_receiptdate")
    bounds = (Min("l_suppkey", alias_name="first"), Max("l_suppkey", alias_name="last"))

    suppliers = suppliers.join(
        nation, "left_semi", n, on=("s_nationkey",), right_on=("n_nationkey",)
    )
    # Orders in which one supplier alone was late, and with how many lines.
    waiting = (
        lines.filter(expr=col("l_receiptdate") > col("l_commitdate"))
        .groupby("l_orderkey")
        .aggregate(*bounds, Count(alias_name="lines"))
        .filter(expr=col("first") == col("last"))
        .join(suppliers, "inner", n, on=("first",), right_on=("s_suppkey",))
        .join(orders, "left_semi", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .select_columns(["l_orderkey", "s_name", "lines"])
        .materialize()
    )
    # Of these, the orders from several suppliers.
    several = (
        lines.join(waiting, "left_semi", n, on=("l_orderkey",))
        .groupby("l_orderkey")
        .aggregate(*bounds)
        .filter(expr=col("first") != col("last"))
    )
    return (
        waiting.join(several, "left_semi", n, on=("l_orderkey",))
        .groupby("s_name")
        .aggregate(Sum("lines", alias_name="numwait"))
        .sort(["numwait", "s_name"], [True, False])
        .limit(100)
    )
