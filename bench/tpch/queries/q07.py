"""Q7: trade between two nations, by year."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    nations = tables.read("nation", "n_nationkey", "n_name")
    nations = nations.filter(expr=col("n_name").is_in(["FRANCE", "GERMANY"]))
    suppliers = tables.read("supplier", "s_suppkey", "s_nationkey")
    customers = tables.read("customer", "c_custkey", "c_nationkey")
    orders = tables.read("orders", "o_orderkey", "o_custkey")
    lines = tables.read(
        "lineitem", "l_orderkey", "l_suppkey", "l_extendedprice", "l_discount", "l_shipdate"
    ).filter(
        expr=(col("l_shipdate") >= date(1995, 1, 1)) & (col("l_shipdate") <= date(1996, 12, 31))
    )
    lines = lines.with_columns(
        {
            "l_year": col("l_shipdate").dt.year(),
            "volume": col("l_extendedprice") * (1 - col("l_discount")),
        }
    )

    suppliers = suppliers.join(
        nations.rename_columns({"n_name": "supp_nation"}),
        "inner",
        n,
        on=("s_nationkey",),
        right_on=("n_nationkey",),
    ).select_columns(["s_suppkey", "supp_nation"])
    customers = customers.join(
        nations.rename_columns({"n_name": "cust_nation"}),
        "inner",
        n,
        on=("c_nationkey",),
        right_on=("n_nationkey",),
    ).select_columns(["c_custkey", "cust_nation"])
    orders = orders.join(customers, "inner", n, on=("o_custkey",), right_on=("c_custkey",))
    groups = ["supp_nation", "cust_nation", "l_year"]
    return (
        lines.join(suppliers, "inner", n, on=("l_suppkey",), right_on=("s_suppkey",))
        .join(orders, "inner", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .filter(expr=col("supp_nation") != col("cust_nation"))
        .groupby(groups)
        .aggregate(Sum("volume", alias_name="revenue"))
        .sort(groups)
    )
