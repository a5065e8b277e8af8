"""Q6: what smaller discounts would have brought."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    lines = tables.read("lineitem", "l_extendedprice", "l_discount", "l_quantity", "l_shipdate")
    return (
        lines.filter(
            expr=(col("l_shipdate") >= date(1994, 1, 1))
            & (col("l_shipdate") < date(1995, 1, 1))
            & (col("l_discount") >= Decimal("0.05"))
            & (col("l_discount") <= Decimal("0.07"))
            & (col("l_quantity") < Decimal(24))
        )
        .with_column("revenue", col("l_extendedprice") * col("l_discount"))
        .groupby(None)
        .aggregate(Sum("revenue", alias_name="revenue"))
    )
