"""Groups: folds, functions of groups, and aggregations of every kind."""

import pandas as pd
import pyarrow as pa
from corpus import error_of, fails, rows, sub


def _groups(ray_data):
    items = [{"g": i % 3, "h": i % 2, "v": float(i), "s": "abc"[i % 3]} for i in range(12)]
    return ray_data.from_items(items, override_num_blocks=3)


def _nulls(ray_data):
    table = {
        "g": [0, 0, 0, 1, 1, None, None, 2],
        "v": [1.0, None, 3.0, None, None, 0.0, float("nan"), -4.0],
    }
    return ray_data.from_arrow(pa.table(table))


def case_folds(ray_data, tmp_path):
    grouped = _groups(ray_data).groupby("g")
    return {
        "count": rows(grouped.count()),
        "sum": rows(grouped.sum("v")),
        "min": rows(grouped.min("v")),
        "max": rows(grouped.max("v")),
        "mean": rows(grouped.mean("v")),
        "std": rows(grouped.std("v")),
        "std_0": rows(grouped.std("v", ddof=0)),
        "list": rows(grouped.sum(["v", "h"])),
        "text": rows(grouped.min("s")),
    }


def case_folds_of_all_columns(ray_data, tmp_path):
    ds = _groups(ray_data)
    return {
        "max": rows(ds.groupby("g").max()),
        "sum": rows(ds.drop_columns(["s"]).groupby("g").sum()),
        "of_text": fails(lambda: ds.groupby("g").sum().take_all()),
    }


def case_several_keys(ray_data, tmp_path):
    ds = _groups(ray_data)
    return [rows(ds.groupby(["g", "h"]).mean("v")), rows(ds.groupby(["h", "s"]).count())]


def case_no_key(ray_data, tmp_path):
    ds = _groups(ray_data)
    return [
        ds.groupby(None).sum("v").take_all(),
        ds.groupby(None).count().take_all(),
        ds.groupby([]).count().take_all(),
    ]


def case_key_errors(ray_data, tmp_path):
    ds = _groups(ray_data)
    unknown = ds.map(lambda row: row)
    return [
        error_of(lambda: ds.groupby("nope"), "nope"),
        fails(lambda: unknown.groupby("nope").count().take_all()),
        error_of(lambda: ds.groupby(3)),
        fails(lambda: ds.groupby("g").sum("nope").take_all()),
        error_of(lambda: ds.groupby("g", num_partitions=0).count().take_all()),
    ]


def case_partitions(ray_data, tmp_path):
    ds = _groups(ray_data).groupby("g", num_partitions=2).count()
    return [ds.materialize().num_blocks(), rows(ds)]


def case_doubled_names(ray_data, tmp_path):
    aggregate = sub(ray_data, "aggregate")
    grouped = _groups(ray_data).groupby("g")
    return rows(grouped.aggregate(aggregate.Sum("v"), aggregate.Sum("v")))


def case_distinct_keys(ray_data, tmp_path):
    return rows(_groups(ray_data).groupby("g").aggregate())


def _each(ray_data, make):
    """Returns what each aggregation of `make(aggregate)` gives, by group and over all rows."""
    ds = _nulls(ray_data)
    result = {}
    for i, agg in enumerate(make(sub(ray_data, "aggregate"))):
        result[f"{i} {agg.name}"] = rows(ds.groupby("g").aggregate(agg))
    return result


def case_aggregates(ray_data, tmp_path):
    return _each(
        ray_data,
        lambda a: [
            a.Count(),
            a.Count("v"),
            a.Count("v", True),
            a.Sum("v"),
            a.Min("v"),
            a.Max("v"),
            a.Mean("v"),
            a.AbsMax("v"),
            a.Quantile("v"),
            a.Quantile("v", q=0.25),
            a.Unique("v"),
            a.AsList("v"),
            a.CountDistinct("v"),
            a.MissingValuePercentage("v"),
            a.ZeroPercentage("v"),
            a.ValueCounter("v"),
        ],
    )


def case_std_with_nulls(ray_data, tmp_path):
    return _each(ray_data, lambda a: [a.Std("v"), a.Std("v", ddof=0)])


def case_aggregates_with_nulls_kept(ray_data, tmp_path):
    return _each(
        ray_data,
        lambda a: [
            a.Sum("v", ignore_nulls=False),
            a.Min("v", ignore_nulls=False),
            a.Max("v", ignore_nulls=False),
            a.Mean("v", ignore_nulls=False),
            a.Std("v", ignore_nulls=False),
            a.AbsMax("v", ignore_nulls=False),
            a.Quantile("v", ignore_nulls=False),
            a.Unique("v", ignore_nulls=True),
            a.CountDistinct("v", ignore_nulls=False),
            a.ZeroPercentage("v", ignore_nulls=False),
        ],
    )


def case_aggregates_of_all_rows(ray_data, tmp_path):
    a = sub(ray_data, "aggregate")
    ds = ray_data.from_items([{"v": v} for v in [3, None, 0, 3, -5, None, 1]])
    result = ds.aggregate(
        a.Count(),
        a.Count("v", True, alias_name="present"),
        a.Sum("v"),
        a.Min("v"),
        a.Max("v"),
        a.Mean("v"),
        a.Std("v"),
        a.AbsMax("v"),
        a.Quantile("v", q=0.3),
        a.Unique("v"),
        a.AsList("v"),
        a.CountDistinct("v"),
        a.MissingValuePercentage("v"),
        a.ZeroPercentage("v"),
    )
    for name in ("unique(v)", "list(v)"):
        result[name] = sorted(result[name], key=str)
    return result


def case_value_counter_of_all_rows(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": v} for v in [3, None, 0, 3, -5, None, 1]])
    counted = ds.aggregate(sub(ray_data, "aggregate").ValueCounter("v"))["value_counter(v)"]
    return sorted(zip(map(str, counted["values"]), counted["counts"], strict=True))


def case_aggregates_of_nothing(ray_data, tmp_path):
    a = sub(ray_data, "aggregate")
    ds = ray_data.range(5).filter(expr="id > 100")
    aggs = [
        a.Count(),
        a.Sum("id"),
        a.Min("id"),
        a.Mean("id"),
        a.Std("id"),
        a.AbsMax("id"),
        a.MissingValuePercentage("id"),
        a.ZeroPercentage("id"),
        a.Unique("id"),
    ]
    return {
        "all": [ds.aggregate(agg) for agg in aggs],
        "groups": ds.groupby("id").count().take_all(),
        "schema": ds.groupby("id").count().schema().names,
        "unique": ds.unique("id"),
    }


def case_schema(ray_data, tmp_path):
    a = sub(ray_data, "aggregate")
    ds = _groups(ray_data).groupby("g")
    folded = ds.aggregate(
        a.Sum("h"),
        a.Sum("v"),
        a.Count(),
        a.Min("s"),
        a.Unique("s"),
        a.AsList("h"),
        a.Mean("h"),
    )
    return [folded.schema().names, [str(dtype) for dtype in folded.materialize().schema().types]]


def case_functions_of_python(ray_data, tmp_path):
    a = sub(ray_data, "aggregate")

    def make():
        return a.AggregateFn(
            init=lambda key: [0, key],
            accumulate_row=lambda acc, row: [acc[0] + row["v"], acc[1]],
            merge=lambda x, y: [x[0] + y[0], x[1]],
            finalize=str,
            name="mine",
        )

    ds = _groups(ray_data)
    return {
        "one": rows(ds.groupby("s").aggregate(make())),
        "two": rows(ds.groupby(["g", "h"]).aggregate(make())),
        "none": ds.groupby(None).aggregate(make()).take_all(),
        "mixed": rows(ds.groupby("s").aggregate(a.Sum("v"), make(), a.Count())),
    }


def case_class_of_python(ray_data, tmp_path):
    a = sub(ray_data, "aggregate")
    block = sub(ray_data, "block")

    class Longest(a.AggregateFnV2):
        def __init__(self, on):
            super().__init__(f"longest({on})", lambda: 0, on=on, ignore_nulls=True)

        def aggregate_block(self, part):
            accessor = block.BlockAccessor.for_block(part)
            texts = accessor.to_arrow().column(self.get_target_column()).to_pylist()
            return max((len(text) for text in texts if text is not None), default=0)

        def combine(self, current_accumulator, new):
            return max(current_accumulator, new)

    ds = ray_data.from_items([{"g": i % 2, "t": "x" * i} for i in range(7)])
    return [rows(ds.groupby("g").aggregate(Longest("t"))), ds.aggregate(Longest("t"))]


# ---- Functions of groups


def _first(batch):
    return {name: values[:1] for name, values in batch.items()}


def case_map_groups_formats(ray_data, tmp_path):
    grouped = _groups(ray_data).groupby("g")
    return {
        "numpy": rows(grouped.map_groups(_first)),
        "pandas": rows(grouped.map_groups(lambda df: df.head(1), batch_format="pandas")),
        "pyarrow": rows(grouped.map_groups(lambda t: t.slice(0, 1), batch_format="pyarrow")),
        "default": rows(grouped.map_groups(lambda t: {"t": [type(t).__name__]}, batch_format=None)),
    }


def case_map_groups_sees_whole_groups(ray_data, tmp_path):
    grouped = _groups(ray_data).groupby("g")
    return {
        "order": rows(grouped.map_groups(lambda b: {"g": b["g"][:1], "v": [str(b["v"].tolist())]})),
        "index": rows(
            grouped.map_groups(
                lambda df: pd.DataFrame({"g": [df.g.iloc[0]], "i": [str(list(df.index))]}),
                batch_format="pandas",
            )
        ),
    }


def case_map_groups_generator(ray_data, tmp_path):
    def twice(batch):
        for i in range(2):
            yield {"g": batch["g"][:1], "i": [i]}

    return rows(_groups(ray_data).groupby("g").map_groups(twice))


def case_map_groups_arguments(ray_data, tmp_path):
    class Adder:
        def __init__(self, a, b=1):
            self.sum = a + b

        def __call__(self, batch, c, d=0):
            return {"g": batch["g"][:1], "r": [self.sum + c + d]}

    def plain(batch, c, d=0):
        return {"g": batch["g"][:1], "r": [c + d]}

    grouped = _groups(ray_data).groupby("g")
    return [
        rows(
            grouped.map_groups(
                Adder,
                fn_constructor_args=(1,),
                fn_constructor_kwargs={"b": 2},
                fn_args=(3,),
                fn_kwargs={"d": 4},
                concurrency=1,
            )
        ),
        rows(grouped.map_groups(plain, fn_args=(3,), fn_kwargs={"d": 4})),
        error_of(lambda: grouped.map_groups(plain, fn_constructor_args=(1,))),
        fails(lambda: grouped.map_groups(5)),
        error_of(lambda: grouped.map_groups(plain, batch_format="x").take_all()),
    ]


def case_map_groups_of_keys(ray_data, tmp_path):
    ds = _groups(ray_data)

    def count(batch):
        return {"g": batch["g"][:1], "h": batch["h"][:1], "n": [len(batch["v"])]}

    return {
        "none": ds.groupby(None).map_groups(lambda b: {"n": [len(b["v"])]}).take_all(),
        "two": rows(ds.groupby(["g", "h"]).map_groups(count)),
        "nothing": ds.filter(expr="g > 9").groupby("g").map_groups(count).take_all(),
    }


def case_map_groups_of_nulls(ray_data, tmp_path):
    def count(table):
        return pa.table({"g": table["g"].slice(0, 1), "n": [table.num_rows]})

    return rows(_nulls(ray_data).groupby("g").map_groups(count, batch_format="pyarrow"))


def case_map_groups_bad_results(ray_data, tmp_path):
    grouped = _groups(ray_data).groupby("g")
    return [
        fails(lambda: grouped.map_groups(lambda batch: {"n": len(batch["v"])}).take_all()),
        fails(lambda: grouped.map_groups(lambda batch: [1]).take_all()),
        error_of(lambda: grouped.map_groups(lambda batch: 1 / 0).take_all()),
    ]


def case_group_with_column(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return rows(_groups(ray_data).groupby("g").with_column("x", col("v") + 1))


def case_unique(ray_data, tmp_path):
    ds = ray_data.from_items([{"k": k} for k in [1, None, 2, 1, None]], override_num_blocks=2)
    return [
        sorted(ds.unique("k"), key=str),
        sorted(ds.unique("k", ignore_nulls=True)),
        fails(lambda: ds.unique("nope")),
    ]


def case_lists_of_unique(ray_data, tmp_path):
    a = sub(ray_data, "aggregate")
    ds = ray_data.from_items([{"g": 0, "l": [1, 2]}, {"g": 0, "l": [2]}, {"g": 1, "l": [1]}])
    return ds.groupby("g").aggregate(a.Unique("l", encode_lists=True)).sort("g").take_all()


def case_after_folds(ray_data, tmp_path):
    ds = _groups(ray_data).groupby("g").sum("v").sort("sum(v)", descending=True)
    return [ds.take_all(), ds.limit(1).take_all(), ds.count()]
