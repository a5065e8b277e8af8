"""Q14: the share of promoted parts in the revenue of a month."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    number = DataType.float64()
    parts = tables.read("part", "p_partkey", "p_type")
    lines = tables.read(
        "lineitem", "l_partkey", "l_extendedprice", "l_discount", "l_shipdate"
    ).filter(expr=(col("l_shipdate") >= date(1995, 9, 1)) & (col("l_shipdate") < date(1995, 10, 1)))
    promoted = col("p_type").str.starts_with("PROMO").cast(number)
    return (
        lines.join(parts, "inner", tables.join_tasks, on=("l_partkey",), right_on=("p_partkey",))
        .with_column("revenue", (col("l_extendedprice") * (1 - col("l_discount"))).cast(number))
        .with_column("promo", col("revenue") * promoted)
        .groupby(None)
        .aggregate(Sum("promo", alias_name="promo"), Sum("revenue", alias_name="revenue"))
        .with_column("promo_revenue", 100.0 * col("promo") / col("revenue"))
        .select_columns(["promo_revenue"])
    )
