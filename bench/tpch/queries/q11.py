"""Q11: the most valuable parts in a nation's stock."""

from __future__ import annotations

from decimal import Decimal

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    germany = tables.read("nation", "n_nationkey", "n_name")
    germany = germany.filter(expr=col("n_name") == "GERMANY")
    suppliers = tables.read("supplier", "s_suppkey", "s_nationkey")
    stock = tables.read("partsupp", "ps_partkey", "ps_suppkey", "ps_availqty", "ps_supplycost")

    suppliers = suppliers.join(
        germany, "left_semi", n, on=("s_nationkey",), right_on=("n_nationkey",)
    )
    values = (
        stock.join(suppliers, "left_semi", n, on=("ps_suppkey",), right_on=("s_suppkey",))
        .with_column("value", col("ps_supplycost") * col("ps_availqty"))
        .groupby("ps_partkey")
        .aggregate(Sum("value", alias_name="value"))
        .materialize()
    )
    threshold = values.sum("value") * Decimal("0.0001") / Decimal(str(tables.scale_factor))
    return values.filter(expr=col("value") > float(threshold)).sort("value", descending=True)
