"""Q17: revenue lost if small orders of a part were refused."""

from __future__ import annotations

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Mean, Sum
from headrace.datatype import DataType
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n, number = tables.join_tasks, DataType.float64()
    parts = (
        tables.read("part", "p_partkey", "p_brand", "p_container")
        .filter(expr=(col("p_brand") == "Brand#23") & (col("p_container") == "MED BOX"))
        .materialize()
    )
    lines = tables.read("lineitem", "l_partkey", "l_quantity", "l_extendedprice")

    lines = lines.join(
        parts, "left_semi", n, on=("l_partkey",), right_on=("p_partkey",)
    ).materialize()
    usual = lines.groupby("l_partkey").aggregate(Mean("l_quantity", alias_name="usual"))
    return (
        lines.join(usual, "inner", n, on=("l_partkey",))
        .filter(expr=col("l_quantity").cast(number) < 0.2 * col("usual"))
        .groupby(None)
        .aggregate(Sum("l_extendedprice", alias_name="revenue"))
        .with_column("avg_yearly", col("revenue").cast(number) / 7.0)
        .select_columns(["avg_yearly"])
    )
