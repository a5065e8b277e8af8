"""Keys whose blocks differ in type: equal values meet all the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import headrace


def _blocks(*columns: dict[str, Any]) -> headrace.Dataset:
    return headrace.from_arrow([pa.table(block) for block in columns])


def test_whole_floats_group_with_integers() -> None:
    ds = _blocks({"k": [1, 2, 3]}, {"k": [1.0, 2.0, 4.5]})
    counts = {row["k"]: row["count()"] for row in ds.groupby("k", 7).count().take_all()}
    assert counts == {1: 2, 2: 2, 3: 1, 4.5: 1}


def test_large_and_odd_floats_group() -> None:
    values = [0.0, -0.0, math.inf, -math.inf, 2.0**63, 1e300, math.nan, math.nan]
    ds = _blocks({"k": values}, {"k": [0]})
    rows = ds.groupby("k", 5).count().take_all()
    assert sorted(row["count()"] for row in rows) == [1, 1, 1, 1, 2, 3]


@pytest.mark.parametrize("units", [("s", "ms"), ("ms", "ns"), ("us", "s")])
def test_times_of_other_units_group(units: tuple[str, str]) -> None:
    seconds = np.arange(1_600_000_000, 1_600_000_020)
    factors = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    ds = _blocks(*({"k": pa.array(seconds * factors[u], pa.timestamp(u))} for u in units))
    assert ds.groupby("k", 9).count().count() == 20


def test_a_null_in_a_dictionary_joins_nothing() -> None:
    keys = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["a", None]))
    left, right = _blocks({"k": keys, "a": [1, 2]}), _blocks({"k": keys, "b": [1, 2]})
    assert left.join(right, "inner", 1, on=("k",)).take_all() == [{"k": "a", "a": 1, "b": 1}]


def test_deviation_of_huge_values() -> None:
    assert _blocks({"x": [1e160, 1e160]}, {"x": [1e160]}).std("x") == 0.0


def test_keys_without_a_common_order_are_no_sort() -> None:
    with pytest.raises(TypeError, match="some blocks have it as int64, others as double"):
        headrace.from_items([{"k": 5}, {"k": 1.5}, {"k": 3}]).sort("k").take_all()


def test_too_many_partitions_are_an_error() -> None:
    ds = headrace.range(10)
    for verb in (
        lambda: ds.repartition(10**12),
        lambda: ds.repartition(2 * 10**9, shuffle=True),
        lambda: ds.groupby("id", num_partitions=10**10).count(),
        lambda: ds.join(ds, "inner", 3 * 10**9, on=("id",)),
    ):
        with pytest.raises(ValueError, match="at most 1000000"):
            verb().take_all()
