"""Q22: customers with money but without orders, by country."""

from __future__ import annotations

from decimal import Decimal

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Count, Sum
from headrace.expressions import col


def query(tables: Tables) -> Dataset:
    codes = ["13", "31", "23", "29", "30", "18", "17"]
    customers = tables.read("customer", "c_custkey", "c_phone", "c_acctbal")
    customers = (
        customers.with_column("cntrycode", col("c_phone").str.slice(0, 2))
        .filter(expr=col("cntrycode").is_in(codes) & (col("c_acctbal") > Decimal(0)))
        .materialize()
    )
    orders = tables.read("orders", "o_custkey")
    return (
        customers.filter(expr=col("c_acctbal") > customers.mean("c_acctbal"))
        .join(orders, "left_anti", tables.join_tasks, on=("c_custkey",), right_on=("o_custkey",))
        .groupby("cntrycode")
        .aggregate(Count(alias_name="numcust"), Sum("c_acctbal", alias_name="totacctbal"))
        .sort("cntrycode")
    )
