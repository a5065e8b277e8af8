"""Q10: the twenty customers who returned the most."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    orders = tables.read("orders", "o_orderkey", "o_custkey", "o_orderdate").filter(
        expr=(col("o_orderdate") >= date(1993, 10, 1)) & (col("o_orderdate") < date(1994, 1, 1))
    )
    lines = tables.read("lineitem", "l_orderkey", "l_extendedprice", "l_discount", "l_returnflag")
    lines = lines.filter(expr=col("l_returnflag") == "R").with_column(
        "revenue", col("l_extendedprice") * (1 - col("l_discount"))
    )
    customers = tables.read(
        "customer",
        "c_custkey",
        "c_name",
        "c_address",
        "c_nationkey",
        "c_phone",
        "c_acctbal",
        "c_comment",
    )
    nations = tables.read("nation", "n_nationkey", "n_name")

    revenue = (
        lines.join(orders, "inner", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .groupby("o_custkey")
        .aggregate(Sum("revenue", alias_name="revenue"))
        .sort("revenue", descending=True)
        .limit(20)
    )
    return (
        customers.join(revenue, "inner", n, on=("c_custkey",), right_on=("o_custkey",))
        .join(nations, "inner", n, on=("c_nationkey",), right_on=("n_nationkey",))
        .select_columns(
            [
                "c_custkey",
                "c_name",
                "revenue",
                "c_acctbal",
                "n_name",
                "c_address",
                "c_phone",
                "c_comment",
            ]
        )
        .sort("revenue", descending=True)
    )
