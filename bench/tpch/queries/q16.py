"""Q16: how many suppliers offer parts of each kind."""

from __future__ import annotations

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import CountDistinct
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    sizes = [49, 14, 23, 45, 19, 3, 36, 9]
    parts = tables.read("part", "p_partkey", "p_brand", "p_type", "p_size").filter(
        expr=(col("p_brand") != "Brand#45")
        & ~col("p_type").str.starts_with("MEDIUM POLISHED")
        & col("p_size").is_in(sizes)
    )
    offers = tables.read("partsupp", "ps_partkey", "ps_suppkey")
    suppliers = tables.read("supplier", "s_suppkey", "s_comment")
    complaints = suppliers.filter(expr=col("s_comment").str.match("%Customer%Complaints%"))
    groups = ["p_brand", "p_type", "p_size"]
    return (
        offers.join(parts, "inner", n, on=("ps_partkey",), right_on=("p_partkey",))
        .join(complaints, "left_anti", n, on=("ps_suppkey",), right_on=("s_suppkey",))
        .groupby(groups)
        .aggregate(CountDistinct("ps_suppkey", alias_name="supplier_cnt"))
        .sort(["supplier_cnt", *groups], [True, False, False, False])
    )
