"""Q19: discounted revenue of three kinds of parts sent by air."""

from __future__ import annotations

from decimal import Decimal

from bench.tpch.tables import Tables
from headrace import Dataset
from headrace.aggregate import Sum
from headrace.expressions import Expr, col


def within(name: str, low: int, high: int) -> Expr:
    return (col(name) >= Decimal(low)) & (col(name) <= Decimal(high))


def kind(brand: str, package: str, sizes: list[str], largest: int) -> Expr:
    """A brand in containers of one size class, up to a part size."""
    containers = [f"{package} {size}" for size in sizes]
    return (
        (col("p_brand") == brand)
        & col("p_container").is_in(containers)
        & (col("p_size") >= 1)
        & (col("p_size") <= largest)
    )


def query(tables: Tables) -> Dataset:
    small = kind("Brand#12", "SM", ["CASE", "BOX", "PACK", "PKG"], 5)
    medium = kind("Brand#23", "MED", ["BAG", "BOX", "PKG", "PACK"], 10)
    large = kind("Brand#34", "LG", ["CASE", "BOX", "PACK", "PKG"], 15)
    parts = tables.read("part", "p_partkey", "p_brand", "p_container", "p_size")
    parts = parts.filter(expr=small | medium | large).materialize()
    lines = tables.read(
        "lineitem",
        "l_partkey",
        "l_quantity",
        "l_extendedprice",
        "l_discount",
        "l_shipinstruct",
        "l_shipmode",
    ).filter(
        expr=col("l_shipmode").is_in(["AIR", "AIR REG"])
        & (col("l_shipinstruct") == "DELIVER IN PERSON")
        & within("l_quantity", 1, 30)
    )
    return (
        lines.join(parts, "inner", tables.join_tasks, on=("l_partkey",), right_on=("p_partkey",))
        .filter(
            expr=(small & within("l_quantity", 1, 11))
            | (medium & within("l_quantity", 10, 20))
            | (large & within("l_quantity", 20, 30))
        )
        .with_column("revenue", col("l_extendedprice") * (1 - col("l_discount")))
        .groupby(None)
        .aggregate(Sum("revenue", alias_name="revenue"))
    )
