"""Programs of users that transform data: functions and classes, groups, joins, shuffles."""

import collections
import datetime
import functools
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from corpus import error_of, rows, sub


def _cars(ray_data):
    return ray_data.from_items(
        [
            {"car": "beetle", "country": "de", "hp": 40, "price": 9.5},
            {"car": "mini", "country": "uk", "hp": 55, "price": 12.0},
            {"car": "golf", "country": "de", "hp": 110, "price": 21.0},
            {"car": "isetta", "country": None, "hp": None, "price": 4.0},
        ],
        override_num_blocks=2,
    )


def case_add_column_of_frame(ray_data, tmp_path):
    ds = _cars(ray_data).add_column("per_hp", lambda df: df["price"] / df["hp"])
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_parse_filename(ray_data, tmp_path):
    def parse(row):
        row["stem"], _, row["suffix"] = row.pop("item").partition(".")
        return row

    return ray_data.from_items(["a.png", "b.jpg"]).map(parse).take_all()


def case_map_batches_fills_nulls_in_frame(ray_data, tmp_path):
    ds = _cars(ray_data).map_batches(
        lambda df: df.fillna({"country": "?", "hp": 0}), batch_format="pandas"
    )
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_batches_arrow_compute(ray_data, tmp_path):
    def add(table):
        return table.append_column("double", pc.multiply(table["hp"], 2))

    ds = _cars(ray_data).map_batches(add, batch_format="pyarrow", batch_size=None)
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_batches_sees_dtypes(ray_data, tmp_path):
    def look(batch):
        return {
            "column": sorted(batch),
            "dtype": [str(batch[name].dtype) for name in sorted(batch)],
        }

    return rows(_cars(ray_data).repartition(1).map_batches(look))


def case_map_batches_frames_see_dtypes(ray_data, tmp_path):
    def look(frame):
        return pd.DataFrame({"c": frame.columns, "t": [str(t) for t in frame.dtypes]})

    return rows(_cars(ray_data).repartition(1).map_batches(look, batch_format="pandas"))


def case_stateful_class_with_arguments(ray_data, tmp_path):
    class Scale:
        def __init__(self, by, *, offset=0):
            self.by, self.offset = by, offset

        def __call__(self, batch, column, power=1):
            batch[column] = (batch[column] * self.by + self.offset) ** power
            return batch

    ds = ray_data.range(5).map_batches(
        Scale,
        fn_constructor_args=(2,),
        fn_constructor_kwargs={"offset": 1},
        fn_args=("id",),
        fn_kwargs={"power": 2},
        concurrency=(1, 2),
        batch_size=2,
    )
    return rows(ds)


def case_class_for_rows_and_filter(ray_data, tmp_path):
    class Above:
        def __init__(self, limit):
            self.limit = limit

        def __call__(self, row):
            return row["id"] > self.limit

    class Name:
        def __call__(self, row):
            return {"name": f"row {row['id']}"}

    ds = ray_data.range(5).filter(Above, fn_constructor_args=[2], concurrency=1)
    return rows(ds.map(Name, compute=ray_data.ActorPoolStrategy(min_size=1, max_size=2)))


def case_flat_map_class(ray_data, tmp_path):
    class Copies:
        def __init__(self, n):
            self.n = n

        def __call__(self, row):
            return [row] * self.n

    ds = ray_data.range(2).flat_map(Copies, fn_constructor_kwargs={"n": 3}, concurrency=1)
    return ds.count()


def case_partial_and_lambda(ray_data, tmp_path):
    def scale(batch, by):
        return {"id": batch["id"] * by}

    ds = ray_data.range(3).map_batches(functools.partial(scale, by=3))
    return ds.map(lambda row: {"v": int(row["id"]) + 1}).take_all()


def case_generator_of_batches(ray_data, tmp_path):
    def explode(batch):
        for i in batch["id"]:
            yield {"id": np.repeat(i, 2), "part": np.arange(2)}

    return rows(ray_data.range(3).map_batches(explode, batch_size=2))


def case_async_rows(ray_data, tmp_path):
    import asyncio

    class Fetch:
        async def __call__(self, row):
            await asyncio.sleep(0)
            return {"id": row["id"], "page": f"page {row['id']}"}

    return rows(ray_data.range(4).map(Fetch, concurrency=1))


def case_async_generator_batches(ray_data, tmp_path):
    class Stream:
        async def __call__(self, batch):
            for i in batch["id"]:
                yield {"id": np.array([i])}

    return rows(ray_data.range(4).map_batches(Stream, concurrency=1, batch_size=2))


def case_one_hot_of_values(ray_data, tmp_path):
    kinds = sorted(k for k in _cars(ray_data).unique("country") if k)

    def encode(batch):
        for kind in kinds:
            batch[f"is_{kind}"] = batch["country"] == kind
        return batch

    return rows(_cars(ray_data).map_batches(encode).select_columns(["car", "is_de", "is_uk"]))


def case_rows_with_dates_and_uuid(ray_data, tmp_path):
    def add(row):
        row["day"] = datetime.date(2024, 1, 1) + datetime.timedelta(days=int(row["id"]))
        row["at"] = datetime.datetime(2024, 1, 1, 12)
        row["wait"] = datetime.timedelta(seconds=1)
        row["key"] = str(uuid.UUID(int=int(row["id"])))
        return row

    ds = ray_data.range(2).map(add)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_rows_with_times_of_a_zone(ray_data, tmp_path):
    noon = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.timezone.utc)
    return ray_data.range(1).map(lambda row: {"at": noon}).take_all()


def case_rows_with_nested_values(ray_data, tmp_path):
    def add(row):
        return {"d": {"a": row["id"], "b": [row["id"]] * 2}, "l": [{"x": 1}], "t": (1, 2)}

    ds = ray_data.range(2).map(add)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_rows_with_sets_and_enums(ray_data, tmp_path):
    ds = ray_data.range(2).map(lambda row: {"s": {int(row["id"])}, "c": 1 + 2j})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_word_count_by_groups(ray_data, tmp_path):
    text = ["a b a", "b c", "a"]
    ds = ray_data.from_items([{"text": line} for line in text])
    words = ds.flat_map(lambda row: [{"word": w} for w in row["text"].split()])
    return rows(words.groupby("word").count())


def case_groups_mapped_by_class(ray_data, tmp_path):
    class Top:
        def __init__(self, n):
            self.n = n

        def __call__(self, group):
            order = np.argsort(-group["price"])[: self.n]
            return {name: column[order] for name, column in group.items()}

    ds = _cars(ray_data).groupby("country").map_groups(Top, fn_constructor_args=(1,), concurrency=1)
    return rows(ds.select_columns(["car", "price"]))


def case_groups_of_whole_data(ray_data, tmp_path):
    ds = _cars(ray_data).groupby(None)
    return [ds.sum("price").take_all(), ds.map_groups(lambda g: {"n": [len(g["car"])]}).take_all()]


def case_groups_aggregated_with_names(ray_data, tmp_path):
    agg = sub(ray_data, "aggregate")
    ds = (
        _cars(ray_data)
        .groupby("country")
        .aggregate(
            agg.Count(),
            agg.Max("hp"),
            agg.Mean("price", alias_name="mean_price"),
            agg.Unique("car", alias_name="cars"),
            agg.AsList("hp"),
        )
    )
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_custom_aggregation(ray_data, tmp_path):
    base = sub(ray_data, "aggregate").AggregateFnV2

    class Spread(base):
        def __init__(self, on):
            super().__init__(f"spread({on})", lambda: [None, None], on=on, ignore_nulls=True)

        def aggregate_block(self, block):
            column = block[self.get_target_column()]
            found = pc.min_max(column)
            return [found["min"].as_py(), found["max"].as_py()]

        def combine(self, current, new):
            both = [v for v in (*current, *new) if v is not None]
            return [min(both), max(both)] if both else [None, None]

        def finalize(self, state):
            return state[1] - state[0] if state[0] is not None else None

    ds = _cars(ray_data)
    return [ds.aggregate(Spread("price")), rows(ds.groupby("country").aggregate(Spread("price")))]


def case_custom_aggregation_of_old_style(ray_data, tmp_path):
    fn = sub(ray_data, "aggregate").AggregateFn(
        init=lambda key: 0.0,
        accumulate_row=lambda state, row: state + row["price"],
        merge=lambda a, b: a + b,
        finalize=lambda state: round(state, 2),
        name="total",
    )
    ds = _cars(ray_data)
    return [ds.aggregate(fn), rows(ds.groupby("country").aggregate(fn))]


def _joined(ray_data, kind):
    left = ray_data.from_items([{"id": i, "sq": i * i} for i in range(4)], override_num_blocks=1)
    right = ray_data.from_items([{"id": i, "cu": i**3} for i in range(2, 6)], override_num_blocks=1)
    return rows(left.join(right, join_type=kind, num_partitions=2, on=("id",)))


def case_join_full_outer(ray_data, tmp_path):
    return _joined(ray_data, "full_outer")


def case_join_left_anti(ray_data, tmp_path):
    return _joined(ray_data, "left_anti")


def case_join_of_equal_names(ray_data, tmp_path):
    left = ray_data.from_items([{"id": i, "v": i} for i in range(3)])
    right = ray_data.from_items([{"id": i, "v": -i} for i in range(3)])
    suffixed = left.join(right, "inner", 2, on=("id",), left_suffix="_l", right_suffix="_r")
    return [rows(suffixed), suffixed.columns()]


def case_join_default_keys(ray_data, tmp_path):
    left = ray_data.from_items([{"id": 1, "a": 1}])
    right = ray_data.from_items([{"id": 1, "b": 2}])
    return [
        error_of(lambda: left.join(right, "inner", 2, on="id").take_all()),
        error_of(lambda: left.join(right, "sideways", 2, on=("id",))),
        error_of(lambda: left.join(right, "inner", 0, on=("id",))),
        error_of(lambda: left.join(right, "inner", 2, on=("zz",)).take_all()),
    ]


def case_sort_mixed_directions(ray_data, tmp_path):
    ds = _cars(ray_data).sort(["country", "price"], descending=[False, True])
    return [row["car"] for row in ds.take_all()]


def case_top_n_of_sorted(ray_data, tmp_path):
    return _cars(ray_data).sort("price", descending=True).limit(2).take_all()


def case_shuffle_then_count(ray_data, tmp_path):
    ds = ray_data.range(50).random_shuffle(seed=5)
    return [ds.count(), sorted(r["id"] for r in ds.take_all()) == list(range(50))]


def case_shuffle_same_seed(ray_data, tmp_path):
    ds = ray_data.range(50)
    one, two = (ds.random_shuffle(seed=7).take_all() for _ in range(2))
    return one == two


def case_sample_with_seed(ray_data, tmp_path):
    ds = ray_data.range(200, override_num_blocks=2)
    one, two = (ds.random_sample(0.5, seed=3).take_all() for _ in range(2))
    return [one == two, 60 < len(one) < 140, error_of(lambda: ds.random_sample(1.5))]


def case_zip_frames(ray_data, tmp_path):
    a = ray_data.range(5)
    b = ray_data.range(5).map_batches(lambda batch: {"sq": batch["id"] ** 2})
    c = ray_data.range(5)
    return [a.zip(b).take_all(), a.zip(c).columns(), a.zip(b, c).columns()]


def case_union_then_group(ray_data, tmp_path):
    both = _cars(ray_data).union(_cars(ray_data))
    return rows(both.groupby("car").count())


def case_repartition_keys(ray_data, tmp_path):
    ds = _cars(ray_data).repartition(3, keys=["country"])

    def together(batch):
        return {"countries": [",".join(sorted({str(c) for c in batch["country"]}))]}

    found = ds.map_batches(together, batch_size=None).take_all()
    names = [name for row in found for name in row["countries"].split(",") if name]
    return sorted(names)


def case_repartition_by_rows(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=3).repartition(target_num_rows_per_block=4)
    sizes = [bundle.num_rows() for bundle in ds.iter_internal_ref_bundles()]
    return [sum(sizes), max(sizes) <= 4]


def case_batches_keep_order_of_columns(ray_data, tmp_path):
    ds = _cars(ray_data).map_batches(lambda b: {"z": b["hp"], "a": b["car"], "m": b["price"]})
    return [ds.columns(), list(ds.take_batch(1))]


def case_rename_then_select(ray_data, tmp_path):
    ds = _cars(ray_data).rename_columns({"hp": "power"}).select_columns(["power", "car"])
    return {"columns": ds.columns(), "rows": rows(ds)}


def case_filter_text_and_function(ray_data, tmp_path):
    ds = _cars(ray_data)
    return [
        ds.filter(expr="price > 9 and country == 'de'").count(),
        ds.filter(lambda row: row["country"] is None).count(),
        ds.filter(fn=lambda row: row["price"] > 9).count(),
    ]


def case_limit_zero_and_much(ray_data, tmp_path):
    ds = _cars(ray_data)
    return [ds.limit(0).take_all(), ds.limit(99).count(), error_of(lambda: ds.limit(-1).take_all())]


def case_concurrency_forms(ray_data, tmp_path):
    def same(batch):
        return batch

    ds = ray_data.range(4)
    return [
        ds.map_batches(same, concurrency=2).count(),
        ds.map_batches(same, compute=ray_data.TaskPoolStrategy(size=2)).count(),
        error_of(lambda: ds.map_batches(same, concurrency=(1, 2)).count()),
        error_of(lambda: ds.map_batches(same, compute="actors").count()),
        error_of(lambda: ds.map_batches(same, compute="tasks").count()),
        error_of(lambda: ds.map_batches(same, concurrency="2").count()),
        error_of(lambda: ds.map_batches(same, concurrency=(2, 1)).count()),
        error_of(lambda: ds.map_batches(same, concurrency=0).count()),
    ]


def case_num_gpus_zero_and_ray_options(ray_data, tmp_path):
    ds = ray_data.range(4)
    return [
        ds.map_batches(lambda b: b, num_gpus=0, num_cpus=0.5).count(),
        ds.map(lambda r: r, memory=1024).count(),
        ds.map(lambda r: r, max_retries=1).count(),
        error_of(lambda: ds.map(lambda r: r, no_such_option=1).take_all()),
    ]


def case_remote_args_function(ray_data, tmp_path):
    ds = ray_data.range(4)
    return ds.map_batches(lambda b: b, ray_remote_args_fn=lambda: {"num_cpus": 1}).count()


def case_counter_over_rows(ray_data, tmp_path):
    return collections.Counter(str(row["country"]) for row in _cars(ray_data).iter_rows())


def case_tensor_normalised(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.arange(12, dtype=np.float32).reshape(3, 2, 2))
    out = ds.map_batches(
        lambda b: {"data": (b["data"] - 5) / 2, "mean": b["data"].mean(axis=(1, 2))}
    )
    return {"schema": out.schema(), "rows": out.take_all()}


def case_torch_in_and_out(ray_data, tmp_path):
    import torch

    def model(batch):
        x = torch.as_tensor(batch["data"])
        return {"y": (x * 2).numpy(), "t": torch.sum(x, dim=1)}

    ds = ray_data.from_numpy(np.ones((3, 2), np.float32)).map_batches(model)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_table_of_lists_exploded(ray_data, tmp_path):
    ds = ray_data.from_arrow(pa.table({"k": ["a", "b"], "v": [[1, 2], [3]]}))
    out = ds.map_batches(lambda df: df.explode("v"), batch_format="pandas")
    return rows(out.map(lambda row: {"k": row["k"], "v": int(row["v"])}))


def case_error_text_has_the_function(ray_data, tmp_path):
    def divide_by_nothing(row):
        return {"v": 1 // 0}

    return error_of(
        ray_data.range(1).map(divide_by_nothing).take_all, "ZeroDivisionError", "divide_by_nothing"
    )


def case_errored_blocks_are_skipped(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    before = context.max_errored_blocks
    context.max_errored_blocks = 1

    def fail(row):
        if row["id"] == 0:
            raise ValueError("bad row")
        return row

    try:
        return ray_data.range(4, override_num_blocks=2).map(fail).count()
    finally:
        context.max_errored_blocks = before
