"""Q20: suppliers of a nation with too much of some parts."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n, number = tables.join_tasks, DataType.float64()
    parts = tables.read("part", "p_partkey", "p_name")
    parts = parts.filter(expr=col("p_name").str.starts_with("forest")).materialize()
    offers = tables.read("partsupp", "ps_partkey", "ps_suppkey", "ps_availqty")
    canada = tables.read("nation", "n_nationkey", "n_name")
    canada = canada.filter(expr=col("n_name") == "CANADA")
    suppliers = tables.read("supplier", "s_suppkey", "s_name", "s_address", "s_nationkey")
    lines = tables.read("lineitem", "l_partkey", "l_suppkey", "l_quantity", "l_shipdate").filter(
        expr=(col("l_shipdate") >= date(1994, 1, 1)) & (col("l_shipdate") < date(1995, 1, 1))
    )

    sold = (
        lines.join(parts, "left_semi", n, on=("l_partkey",), right_on=("p_partkey",))
        .groupby(["l_partkey", "l_suppkey"])
        .aggregate(Sum("l_quantity", alias_name="sold"))
    )
    too_much = offers.join(
        sold, "inner", n, on=("ps_partkey", "ps_suppkey"), right_on=("l_partkey", "l_suppkey")
    ).filter(expr=col("ps_availqty").cast(number) > 0.5 * col("sold").cast(number))
    return (
        suppliers.join(canada, "left_semi", n, on=("s_nationkey",), right_on=("n_nationkey",))
        .join(too_much, "left_semi", n, on=("s_suppkey",), right_on=("ps_suppkey",))
        .select_columns(["s_name", "s_address"])
        .sort("s_name")
    )
