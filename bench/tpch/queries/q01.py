"""Q1: pricing summary report."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Count, Mean, Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    price, discount, tax = "l_extendedprice", "l_discount", "l_tax"
    groups = ["l_returnflag", "l_linestatus"]
    lines = tables.read(
        "lineitem",
        "l_returnflag",
        "l_linestatus",
        "l_quantity",
        "l_extendedprice",
        "l_discount",
        "l_tax",
        "l_shipdate",
    )
    one = Decimal(1)
    discounted = (col(price) * (one - col(discount))).cast(
        DataType.from_arrow(pa.decimal128(18, 4))
    )
    return (
        lines.filter(expr=col("l_shipdate") <= date(1998, 9, 2))
        .with_column("disc_price", discounted)
        .with_column("charge", col("disc_price") * (one + col(tax)))
        .groupby(groups)
        .aggregate(
            Sum("l_quantity", alias_name="sum_qty"),
            Sum(price, alias_name="sum_base_price"),
            Sum("disc_price", alias_name="sum_disc_price"),
            Sum("charge", alias_name="sum_charge"),
            Mean("l_quantity", alias_name="avg_qty"),
            Mean(price, alias_name="avg_price"),
            Mean(discount, alias_name="avg_disc"),
            Count(alias_name="count_order"),
        )
        .sort(groups)
    )
