"""Q2: the cheapest European supplier of each part of a kind."""

from __future__ import annotations

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Min
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    n = tables.join_tasks
    suppliers = tables.read(
        "supplier",
        "s_suppkey",
        "s_name",
        "s_address",
        "s_nationkey",
        "s_phone",
        "s_acctbal",
        "s_comment",
    )
    nations = tables.read("nation", "n_nationkey", "n_name", "n_regionkey")
    europe = tables.read("region", "r_regionkey", "r_name").filter(expr=col("r_name") == "EUROPE")
    parts = tables.read("part", "p_partkey", "p_mfgr", "p_size", "p_type")
    parts = parts.filter(
        expr=(col("p_size") == 15) & col("p_type").str.ends_with("BRASS")
    ).materialize()
    offers = tables.read("partsupp", "ps_partkey", "ps_suppkey", "ps_supplycost")

    nations = nations.join(europe, "left_semi", n, on=("n_regionkey",), right_on=("r_regionkey",))
    suppliers = suppliers.join(nations, "inner", n, on=("s_nationkey",), right_on=("n_nationkey",))
    offers = (
        offers.join(parts, "inner", n, on=("ps_partkey",), right_on=("p_partkey",))
        .join(suppliers, "inner", n, on=("ps_suppkey",), right_on=("s_suppkey",))
        .materialize()
    )
    cheapest = offers.groupby("ps_partkey").aggregate(
        Min("ps_supplycost", alias_name="ps_supplycost")
    )
    return (
        offers.join(cheapest, "left_semi", n, on=("ps_partkey", "ps_supplycost"))
        .rename_columns({"ps_partkey": "p_partkey"})
        .select_columns(
            [
                "s_acctbal",
                "s_name",
                "n_name",
                "p_partkey",
                "p_mfgr",
                "s_address",
                "s_phone",
                "s_comment",
            ]
        )
        .sort(["s_acctbal", "n_name", "s_name", "p_partkey"], [True, False, False, False])
        .limit(100)
    )
