"""Q12: late lines of two ways of shipping, by priority."""

from __future__ import annotations

from datetime import date

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    orders = tables.read("orders", "o_orderkey", "o_orderpriority")
    lines = tables.read(
        "lineitem", "l_orderkey", "l_shipdate", "l_commitdate", "l_receiptdate", "l_shipmode"
    ).filter(
        expr=col("l_shipmode").is_in(["MAIL", "SHIP"])
        & (col("l_commitdate") < col("l_receiptdate"))
        & (col("l_shipdate") < col("l_commitdate"))
        & (col("l_receiptdate") >= date(1994, 1, 1))
        & (col("l_receiptdate") < date(1995, 1, 1))
    )
    high = col("o_orderpriority").is_in(["1-URGENT", "2-HIGH"])
    return (
        lines.join(orders, "inner", tables.join_tasks, on=("l_orderkey",), right_on=("o_orderkey",))
        .with_column("high", high.cast(DataType.int64()))
        .with_column("low", (~high).cast(DataType.int64()))
        .groupby("l_shipmode")
        .aggregate(
            Sum("high", alias_name="high_line_count"), Sum("low", alias_name="low_line_count")
        )
        .sort("l_shipmode")
    )
