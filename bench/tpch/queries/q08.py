"""Q8: a nation's share of a region's market, by year."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n, number = tables.join_tasks, DataType.float64()
    america = tables.read("region", "r_regionkey", "r_name")
    america = america.filter(expr=col("r_name") == "AMERICA")
    nations = tables.read("nation", "n_nationkey", "n_name", "n_regionkey")
    parts = tables.read("part", "p_partkey", "p_type")
    parts = parts.filter(expr=col("p_type") == "ECONOMY ANODIZED STEEL").materialize()
    suppliers = tables.read("supplier", "s_suppkey", "s_nationkey")
    customers = tables.read("customer", "c_custkey", "c_nationkey")
    orders = tables.read("orders", "o_orderkey", "o_custkey", "o_orderdate").filter(
        expr=(col("o_orderdate") >= date(1995, 1, 1)) & (col("o_orderdate") <= date(1996, 12, 31))
    )
    lines = tables.read(
        "lineitem", "l_orderkey", "l_partkey", "l_suppkey", "l_extendedprice", "l_discount"
    )

    homes = nations.join(america, "left_semi", n, on=("n_regionkey",), right_on=("r_regionkey",))
    customers = customers.join(
        homes, "left_semi", n, on=("c_nationkey",), right_on=("n_nationkey",)
    )
    suppliers = suppliers.join(
        nations, "inner", n, on=("s_nationkey",), right_on=("n_nationkey",)
    ).select_columns(["s_suppkey", "n_name"])
    return (
        lines.join(parts, "left_semi", n, on=("l_partkey",), right_on=("p_partkey",))
        .with_column("volume", (col("l_extendedprice") * (1 - col("l_discount"))).cast(number))
        .join(orders, "inner", n, on=("l_orderkey",), right_on=("o_orderkey",))
        .join(customers, "left_semi", n, on=("o_custkey",), right_on=("c_custkey",))
        .join(suppliers, "inner", n, on=("l_suppkey",), right_on=("s_suppkey",))
        .with_column("o_year", col("o_orderdate").dt.year())
        .with_column("brazil", col("volume") * (col("n_name") == "BRAZIL").cast(number))
        .groupby("o_year")
        .aggregate(Sum("brazil", alias_name="brazil"), Sum("volume", alias_name="volume"))
        .with_column("mkt_share", col("brazil") / col("volume"))
        .select_columns(["o_year", "mkt_share"])
        .sort("o_year")
    )
