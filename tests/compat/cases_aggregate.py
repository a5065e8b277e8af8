"""Sums and other aggregates over whole datasets."""

import numpy as np
import pandas as pd
from corpus import error_of, fails, sub


def _table(ray_data):
    items = [{"i": 1, "f": 0.5}, {"i": 2, "f": -1.5}, {"i": 6, "f": 4.0}]
    return ray_data.from_items(items)


def _nulls(ray_data):
    return ray_data.from_items([{"v": 1}, {"v": None}, {"v": 5}], override_num_blocks=1)


def case_one_column(ray_data, tmp_path):
    ds = _table(ray_data)
    return {
        "sum": ds.sum("i"),
        "min": ds.min("i"),
        "max": ds.max("i"),
        "mean": ds.mean("i"),
        "std": ds.std("i"),
    }


def case_float_column(ray_data, tmp_path):
    ds = _table(ray_data)
    return [ds.sum("f"), ds.min("f"), ds.max("f"), ds.mean("f"), ds.std("f")]


def case_list_of_columns(ray_data, tmp_path):
    ds = _table(ray_data)
    return {
        "sum": ds.sum(["i", "f"]),
        "min": ds.min(["i", "f"]),
        "max": ds.max(["i", "f"]),
        "mean": ds.mean(["i", "f"]),
        "std": ds.std(["i", "f"]),
        "one": ds.sum(["i"]),
    }


def case_no_column_named(ray_data, tmp_path):
    ds = _table(ray_data)
    return {
        "sum": error_of(lambda: ds.sum()),
        "mean": error_of(lambda: ds.mean()),
        "one_column": error_of(lambda: ray_data.range(4).sum()),
    }


def case_nulls_are_ignored(ray_data, tmp_path):
    ds = _nulls(ray_data)
    return [ds.sum("v"), ds.min("v"), ds.max("v"), ds.mean("v"), ds.std("v")]


def case_nulls_are_kept(ray_data, tmp_path):
    ds = _nulls(ray_data)
    return [
        ds.sum("v", ignore_nulls=False),
        ds.min("v", ignore_nulls=False),
        ds.max("v", ignore_nulls=False),
        ds.mean("v", ignore_nulls=False),
        ds.std("v", ignore_nulls=False),
    ]


def case_all_null(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": None, "n": 1}, {"v": None, "n": 2}], override_num_blocks=1)
    return {
        name: error_of(lambda name=name: getattr(ds, name)("v"))
        for name in ("sum", "min", "max", "mean")
    }


def case_empty(ray_data, tmp_path):
    ds = ray_data.range(5).filter(lambda row: False)
    return [ds.sum("id"), ds.min("id"), ds.max("id"), ds.mean("id"), ds.std("id")]


def case_std_ddof(ray_data, tmp_path):
    ds = _table(ray_data)
    return [ds.std("i", ddof=0), ds.std("i", ddof=1), ds.std("i")]


def case_std_of_one_row(ray_data, tmp_path):
    ds = ray_data.range(1)
    return [ds.std("id", ddof=0), error_of(lambda: ds.std("id"))]


def case_missing_column(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).sum("nope"), "nope")


def case_strings(ray_data, tmp_path):
    ds = ray_data.from_items([{"s": "b"}, {"s": "a"}, {"s": "c"}])
    return {
        "min": error_of(lambda: ds.min("s")),
        "max": error_of(lambda: ds.max("s")),
        "sum": fails(lambda: ds.sum("s")),
    }


def case_booleans(ray_data, tmp_path):
    ds = ray_data.from_items([{"b": True}, {"b": False}, {"b": True}])
    return {name: error_of(lambda name=name: getattr(ds, name)("b")) for name in ("sum", "mean")}


def case_after_map(ray_data, tmp_path):
    ds = ray_data.range(100).map_batches(lambda b: {"v": b["id"] * 2})
    return [ds.sum("v"), ds.mean("v"), ds.max("v")]


def case_large_integers(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": 2**62}, {"v": 1}], override_num_blocks=1)
    return [ds.max("v"), ds.sum("v")]


def case_float32(ray_data, tmp_path):
    ds = ray_data.from_pandas(pd.DataFrame({"v": np.array([0.5, 1.5], dtype=np.float32)}))
    return [ds.sum("v"), ds.mean("v"), ds.max("v")]


def case_aggregate_functions(ray_data, tmp_path):
    aggregate = sub(ray_data, "aggregate")
    ds = _table(ray_data)
    return ds.aggregate(
        aggregate.Count(),
        aggregate.Sum("i"),
        aggregate.Min("f"),
        aggregate.Max("f"),
        aggregate.Mean("i"),
        aggregate.Std("i"),
    )


def case_aggregate_aliases(ray_data, tmp_path):
    aggregate = sub(ray_data, "aggregate")
    ds = _table(ray_data)
    return ds.aggregate(
        aggregate.Sum("i", alias_name="total"), aggregate.Count("i", alias_name="n")
    )


def case_aggregate_count_of_nulls(ray_data, tmp_path):
    aggregate = sub(ray_data, "aggregate")
    ds = _nulls(ray_data)
    return ds.aggregate(
        aggregate.Count("v"), aggregate.Count("v", ignore_nulls=True, alias_name="n")
    )


def case_aggregate_abs_max_quantile(ray_data, tmp_path):
    aggregate = sub(ray_data, "aggregate")
    ds = _table(ray_data)
    return ds.aggregate(aggregate.AbsMax("f"), aggregate.Quantile("i", q=0.5))


def case_unique(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": i % 3} for i in range(9)])
    return sorted(ds.unique("v"))


def case_unique_strings_and_nulls(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": "a"}, {"v": None}, {"v": "a"}], override_num_blocks=1)
    return sorted(ds.unique("v"), key=str)


def case_summary_of_guide(ray_data, tmp_path):
    ds = ray_data.range(1000).map_batches(lambda b: {"x": b["id"], "y": b["id"] ** 2})
    return {"max": ds.max(["x", "y"]), "mean": ds.mean("x"), "std": ds.std("x")}
