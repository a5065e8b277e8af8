"""map_batches: formats, sizes, classes, generators, coroutines, results."""

import asyncio

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, rows, unordered


def case_numpy(ray_data, tmp_path):
    def add(batch):
        batch["twice"] = batch["id"] * 2
        return batch

    ds = ray_data.range(5).map_batches(add)
    return {"rows": rows(ds), "schema": ds.schema()}


def case_default_format_is_a_dict_of_arrays(ray_data, tmp_path):
    def look(batch):
        kinds = [f"{type(batch).__name__} {type(v).__name__} {v.dtype}" for v in batch.values()]
        return {"kinds": kinds}

    return ray_data.range(3, override_num_blocks=1).map_batches(look).take_all()


def case_pandas(ray_data, tmp_path):
    def add(df: pd.DataFrame) -> pd.DataFrame:
        df["twice"] = df["id"] * 2
        return df

    ds = ray_data.range(5).map_batches(add, batch_format="pandas")
    return {"rows": rows(ds), "columns": ds.columns()}


def case_pandas_dtypes(ray_data, tmp_path):
    def look(df):
        return pd.DataFrame({"kinds": [f"{n} {t}" for n, t in df.dtypes.items()]})

    items = [
        {"i": 1, "f": 0.5, "s": "x", "b": True, "n": None},
        {"i": 2, "f": 1.0, "s": None, "b": False, "n": 3},
    ]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return ds.map_batches(look, batch_format="pandas").take_all()


def case_pyarrow(ray_data, tmp_path):
    def add(table: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        return table.append_column("twice", pc.multiply(table["id"], 2))

    ds = ray_data.range(5).map_batches(add, batch_format="pyarrow")
    return {"rows": rows(ds), "schema": ds.schema()}


def case_pyarrow_batch_is_a_table(ray_data, tmp_path):
    def look(table):
        return {"kind": [type(table).__name__], "rows": [table.num_rows]}

    ds = ray_data.range(3, override_num_blocks=1)
    return ds.map_batches(look, batch_format="pyarrow").take_all()


def case_batch_size(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"n": [len(batch["id"])]}, batch_size=4)
    return ds.take_all()


def case_batch_size_none(ray_data, tmp_path):
    ds = ray_data.range(3000, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"n": [len(batch["id"])]}, batch_size=None)
    return ds.take_all()


def case_batch_size_default(ray_data, tmp_path):
    ds = ray_data.range(3000, override_num_blocks=1)
    return ds.map_batches(lambda batch: {"n": [len(batch["id"])]}).take_all()


def case_batch_size_wrong(ray_data, tmp_path):
    return [
        error_of(lambda: rows(ray_data.range(3).map_batches(lambda b: b, batch_size=0))),
        error_of(lambda: rows(ray_data.range(3).map_batches(lambda b: b, batch_size=-1))),
    ]


def case_batch_format_wrong(ray_data, tmp_path):
    ds = ray_data.range(3)
    return error_of(lambda: rows(ds.map_batches(lambda b: b, batch_format="polars")))


def case_batch_format_default_and_none(ray_data, tmp_path):
    def kind(batch):
        return {"kind": [type(batch).__name__]}

    ds = ray_data.range(2, override_num_blocks=1)
    return {
        "default": ds.map_batches(kind, batch_format="default").take_all(),
        "none": ds.map_batches(kind, batch_format=None).take_all(),
    }


def case_fewer_rows_out(ray_data, tmp_path):
    def positive(batch):
        return {"id": batch["id"][batch["id"] % 2 == 0]}

    return rows(ray_data.range(7).map_batches(positive))


def case_no_rows_out(ray_data, tmp_path):
    ds = ray_data.range(4).map_batches(lambda batch: {"id": batch["id"][:0]})
    return {"count": ds.count(), "rows": ds.take_all()}


def case_generator(ray_data, tmp_path):
    def repeat(batch):
        for i in range(3):
            yield {"id": batch["id"] + 100 * i}

    ds = ray_data.range(2).map_batches(repeat)
    return {"rows": rows(ds), "count": ds.count()}


def case_generator_yields_nothing(ray_data, tmp_path):
    def nothing(batch):
        return
        yield

    ds = ray_data.range(2).map_batches(nothing)
    return {"rows": ds.take_all(), "count": ds.count()}


def case_returns_lists(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"s": ["a", "b"], "n": [1, None]})
    return {"rows": ds.take_all(), "schema": ds.schema()}


def case_returns_tensor_column(ray_data, tmp_path):
    ds = ray_data.range(4, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"t": np.ones((len(batch["id"]), 2, 3), dtype=np.float32)})
    return {"schema": ds.schema(), "rows": ds.take(1), "batch": ds.take_batch(2)}


def case_returns_list_of_arrays(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"t": [np.full((2,), int(i)) for i in batch["id"]]})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_returns_ragged_arrays(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"t": [np.arange(i + 1) for i in batch["id"]]})
    return {"schema": ds.schema(), "rows": ds.take_all(), "batch": ds.take_batch(3)}


def case_returns_object_array(ray_data, tmp_path):
    def make(batch):
        out = np.empty(len(batch["id"]), dtype=object)
        for i, value in enumerate(batch["id"]):
            out[i] = {"k": int(value)}
        return {"o": out}

    return ray_data.range(2, override_num_blocks=1).map_batches(make).take_all()


def case_returns_numpy_strings(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"s": batch["id"].astype(str)})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_returns_datetimes(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds = ds.map_batches(lambda batch: {"d": batch["id"].astype("datetime64[D]")})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_returns_dtypes(ray_data, tmp_path):
    def cast(batch):
        kinds = ["bool", "int8", "uint16", "int32", "float16", "float32"]
        return {kind: batch["id"].astype(kind) for kind in kinds}

    ds = ray_data.range(2, override_num_blocks=1).map_batches(cast)
    return {"schema": ds.schema(), "rows": ds.take_all(), "batch": ds.take_batch(2)}


def case_returns_wrong_type(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.range(2).map_batches(lambda batch: 5)))


def case_returns_none(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.range(2).map_batches(lambda batch: None)))


def case_returns_scalar_values(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.range(2).map_batches(lambda batch: {"n": 5})))


def case_returns_different_lengths(ray_data, tmp_path):
    ds = ray_data.range(2).map_batches(lambda batch: {"a": np.arange(2), "b": np.arange(3)})
    return error_of(lambda: rows(ds))


def case_returns_pandas_from_numpy(ray_data, tmp_path):
    ds = ray_data.range(3).map_batches(lambda batch: pd.DataFrame({"v": batch["id"] + 1}))
    return rows(ds)


def case_returns_arrow_from_numpy(ray_data, tmp_path):
    ds = ray_data.range(3).map_batches(lambda batch: pa.table({"v": batch["id"] + 1}))
    return {"rows": rows(ds), "schema": ds.schema()}


def case_class(ray_data, tmp_path):
    class Model:
        def __init__(self, weight, bias=0):
            self.weight = weight
            self.bias = bias

        def __call__(self, batch):
            return {"out": batch["id"] * self.weight + self.bias}

    ds = ray_data.range(5).map_batches(
        Model, concurrency=2, fn_constructor_args=[3], fn_constructor_kwargs={"bias": 1}
    )
    return rows(ds)


def case_class_with_call_arguments(ray_data, tmp_path):
    class Model:
        def __call__(self, batch, plus, times=1):
            return {"out": (batch["id"] + plus) * times}

    ds = ray_data.range(3).map_batches(Model, concurrency=1, fn_args=[1], fn_kwargs={"times": 10})
    return rows(ds)


def case_class_pool_range(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return batch

    return rows(ray_data.range(5).map_batches(Model, concurrency=(1, 2), batch_size=2))


def case_class_pool_strategy(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return {"v": batch["id"] + 1}

    strategy = ray_data.ActorPoolStrategy(size=1)
    return rows(ray_data.range(5).map_batches(Model, compute=strategy))


def case_class_keeps_its_state(ray_data, tmp_path):
    class Counter:
        def __init__(self):
            self.calls = 0

        def __call__(self, batch):
            self.calls += 1
            return {"call": [self.calls]}

    ds = ray_data.range(6, override_num_blocks=1)
    return ds.map_batches(Counter, concurrency=1, batch_size=2).take_all()


def case_class_generator(ray_data, tmp_path):
    class Split:
        def __call__(self, batch):
            for value in batch["id"]:
                yield {"v": np.array([value])}

    return rows(ray_data.range(4).map_batches(Split, concurrency=1))


def case_class_constructor_raises(ray_data, tmp_path):
    class Broken:
        def __init__(self):
            raise RuntimeError("no weights")

        def __call__(self, batch):
            return batch

    ds = ray_data.range(4).map_batches(Broken, concurrency=1)
    return error_of(lambda: rows(ds), "no weights")


def case_class_without_concurrency(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return batch

    return error_of(lambda: rows(ray_data.range(3).map_batches(Model)))


def case_class_with_task_pool(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return batch

    strategy = ray_data.TaskPoolStrategy(size=1)
    return error_of(lambda: rows(ray_data.range(3).map_batches(Model, compute=strategy)))


def case_function_with_actor_pool(ray_data, tmp_path):
    strategy = ray_data.ActorPoolStrategy(size=1)
    ds = ray_data.range(3)
    return error_of(lambda: rows(ds.map_batches(lambda batch: batch, compute=strategy)))


def case_function_with_task_pool(ray_data, tmp_path):
    strategy = ray_data.TaskPoolStrategy(size=1)
    return rows(ray_data.range(3).map_batches(lambda batch: batch, compute=strategy))


def case_function_with_concurrency(ray_data, tmp_path):
    return rows(ray_data.range(3).map_batches(lambda batch: batch, concurrency=1))


def case_function_with_constructor_args(ray_data, tmp_path):
    ds = ray_data.range(3)
    return error_of(lambda: rows(ds.map_batches(lambda b: b, fn_constructor_args=[1])))


def case_concurrency_wrong(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return batch

    ds = ray_data.range(3)
    return [
        error_of(lambda: rows(ds.map_batches(Model, concurrency="two"))),
        error_of(lambda: rows(ds.map_batches(Model, concurrency=(2, 1)))),
        error_of(lambda: rows(ds.map_batches(Model, concurrency=0))),
        error_of(lambda: rows(ds.map_batches(lambda b: b, concurrency=-1))),
    ]


def case_pool_strategy_wrong(ray_data, tmp_path):
    strategy = ray_data.ActorPoolStrategy
    return [
        error_of(lambda: strategy(size=0)),
        error_of(lambda: strategy(min_size=3, max_size=1)),
        error_of(lambda: strategy(size=1, min_size=1)),
        error_of(lambda: ray_data.TaskPoolStrategy(size=0)),
    ]


def case_async_class(ray_data, tmp_path):
    class Slow:
        async def __call__(self, batch):
            await asyncio.sleep(0.001)
            yield {"v": batch["id"] + 1}

    ds = ray_data.range(6, override_num_blocks=2)
    return rows(ds.map_batches(Slow, concurrency=1, batch_size=2))


def case_fn_args(ray_data, tmp_path):
    def scale(batch, factor, offset=0):
        return {"v": batch["id"] * factor + offset}

    return rows(ray_data.range(3).map_batches(scale, fn_args=[4], fn_kwargs={"offset": 2}))


def case_strings_and_nulls_in_numpy(ray_data, tmp_path):
    def look(batch):
        return {"kinds": [f"{k} {v.dtype} {v.tolist()}" for k, v in batch.items()]}

    items = [{"s": "a", "i": 1, "f": 1.5}, {"s": None, "i": None, "f": None}]
    return ray_data.from_items(items, override_num_blocks=1).map_batches(look).take_all()


def case_lists_in_numpy(ray_data, tmp_path):
    def look(batch):
        return {
            "kinds": [f"{k} {v.dtype} {v.shape} {type(v[0]).__name__}" for k, v in batch.items()]
        }

    items = [{"same": [1, 2], "ragged": [1]}, {"same": [3, 4], "ragged": [2, 3]}]
    return ray_data.from_items(items, override_num_blocks=1).map_batches(look).take_all()


def case_tensor_batch_is_stacked(ray_data, tmp_path):
    def look(batch):
        return {"shape": [str(batch["data"].shape)], "dtype": [str(batch["data"].dtype)]}

    return (
        ray_data.range_tensor(5, shape=(2, 2), override_num_blocks=1).map_batches(look).take_all()
    )


def case_tensor_in_pandas(ray_data, tmp_path):
    def look(df):
        return pd.DataFrame({"kind": [type(df["data"].iloc[0]).__name__], "n": [len(df)]})

    ds = ray_data.range_tensor(2, shape=(2,), override_num_blocks=1)
    return ds.map_batches(look, batch_format="pandas").take_all()


def case_chain_of_formats(ray_data, tmp_path):
    ds = ray_data.range(6)
    ds = ds.map_batches(lambda b: {"a": b["id"] * 2})
    ds = ds.map_batches(lambda df: df[df["a"] > 4], batch_format="pandas")
    ds = ds.map_batches(lambda t: t.rename_columns(["c"]), batch_format="pyarrow")
    return {"rows": rows(ds), "columns": ds.columns()}


def case_resources(ray_data, tmp_path):
    ds = ray_data.range(3).map_batches(lambda b: b, num_cpus=0.5, memory=1024 * 1024)
    return rows(ds)


def case_raises(ray_data, tmp_path):
    def fail(batch):
        return {"v": batch["id"] / batch["nope"]}

    return error_of(lambda: rows(ray_data.range(3).map_batches(fail)), "nope")


def case_udf_modifying_callback(ray_data, tmp_path):
    seen = ray_data.range(5).map_batches(lambda b: {"s": [b["id"].sum()]}, batch_size=None)
    return seen.sum("s")


def case_empty_input_is_not_called(ray_data, tmp_path):
    def fail(batch):
        raise AssertionError("called")

    ds = ray_data.from_items([]).map_batches(fail)
    return error_of(lambda: ds.take_all())


def case_names_of_columns_keep_order(ray_data, tmp_path):
    ds = ray_data.range(2).map_batches(lambda b: {"z": b["id"], "a": b["id"], "m": b["id"]})
    return {"columns": ds.columns(), "row": list(ds.take(1)[0])}


def case_partial_and_builtin(ray_data, tmp_path):
    import functools

    def scale(batch, by):
        return {"v": batch["id"] * by}

    return unordered(ray_data.range(3).map_batches(functools.partial(scale, by=3)).take_all())


def case_min_rows_per_bundle(ray_data, tmp_path):
    ds = ray_data.range(8, override_num_blocks=4)
    ds = ds.map_batches(lambda b: {"n": [len(b["id"])]}, batch_size=8)
    return ds.take_all()


def case_torch_tensor_result(ray_data, tmp_path):
    import torch

    ds = ray_data.range(3, override_num_blocks=1)
    return error_of(lambda: rows(ds.map_batches(lambda b: {"t": torch.as_tensor(b["id"])})))
