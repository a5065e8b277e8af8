"""Datasets made from data in memory."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, fails, rows, sub


def case_range(ray_data, tmp_path):
    ds = ray_data.range(5)
    return {"schema": ds.schema(), "rows": rows(ds), "count": ds.count()}


def case_range_blocks(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=4).materialize()
    return {"blocks": ds.num_blocks(), "count": ds.count(), "bytes": ds.size_bytes()}


def case_range_zero(ray_data, tmp_path):
    ds = ray_data.range(0)
    return {"count": ds.count(), "rows": ds.take_all()}


def case_range_more_blocks_than_rows(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=10)
    return {"count": ds.count(), "rows": rows(ds)}


def case_range_type_of_values(ray_data, tmp_path):
    row = ray_data.range(1).take(1)[0]
    return {key: type(value) for key, value in row.items()}


def case_range_tensor(ray_data, tmp_path):
    ds = ray_data.range_tensor(4, shape=(2, 2))
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_range_tensor_default_shape(ray_data, tmp_path):
    ds = ray_data.range_tensor(3)
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_range_tensor_batch(ray_data, tmp_path):
    ds = ray_data.range_tensor(4, shape=(3,), override_num_blocks=1)
    return ds.take_batch(4)


def case_range_tensor_map(ray_data, tmp_path):
    ds = ray_data.range_tensor(4, shape=(2,), override_num_blocks=2)
    ds = ds.map_batches(lambda batch: {"data": batch["data"] * 2})
    return rows(ds)


def case_from_items_scalars(ray_data, tmp_path):
    ds = ray_data.from_items([1, 2, 3])
    return {"schema": ds.schema(), "rows": rows(ds), "columns": ds.columns()}


def case_from_items_strings(ray_data, tmp_path):
    ds = ray_data.from_items(["a", "b"])
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_from_items_dicts(ray_data, tmp_path):
    ds = ray_data.from_items([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    return {"schema": ds.schema(), "rows": rows(ds), "count": ds.count()}


def case_from_items_mixed_scalars(ray_data, tmp_path):
    ds = ray_data.from_items([1, 2.5, 3], override_num_blocks=1)
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_from_items_nulls(ray_data, tmp_path):
    ds = ray_data.from_items([{"a": 1, "b": None}, {"a": None, "b": "y"}], override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_all_null_column(ray_data, tmp_path):
    ds = ray_data.from_items([{"a": None}, {"a": None}])
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_missing_keys(ray_data, tmp_path):
    items = [{"a": 1}, {"a": 2, "b": 5}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_lists(ray_data, tmp_path):
    ds = ray_data.from_items([{"xs": [1, 2]}, {"xs": [3]}], override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_nested(ray_data, tmp_path):
    ds = ray_data.from_items([{"p": {"x": 1, "y": "q"}, "l": [[1], [2, 3]]}])
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_arrays(ray_data, tmp_path):
    items = [{"id": i, "v": np.full((2, 3), i, dtype=np.float32)} for i in range(3)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_ragged_arrays(ray_data, tmp_path):
    items = [{"v": np.arange(n)} for n in (1, 3, 2)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_bytes_bool_float(ray_data, tmp_path):
    ds = ray_data.from_items([{"b": b"\x00\x01", "t": True, "f": 0.5, "n": np.float32(2.5)}])
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_numpy_scalars(ray_data, tmp_path):
    ds = ray_data.from_items([np.int32(4), np.int32(5)], override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_dates(ray_data, tmp_path):
    row = {
        "d": datetime.date(2024, 2, 29),
        "t": datetime.datetime(2024, 2, 29, 12, 30, 1, 250),
        "delta": datetime.timedelta(seconds=90),
    }
    ds = ray_data.from_items([row])
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_items_empty(ray_data, tmp_path):
    ds = ray_data.from_items([])
    return {"count": ds.count(), "rows": ds.take_all(), "schema": ds.schema()}


def case_from_items_blocks(ray_data, tmp_path):
    ds = ray_data.from_items(list(range(10)), override_num_blocks=5).materialize()
    return {"blocks": ds.num_blocks(), "rows": rows(ds)}


def case_from_items_is_lazy_and_reusable(ray_data, tmp_path):
    ds = ray_data.from_items([1, 2, 3])
    return [ds.count(), ds.count(), rows(ds), rows(ds)]


def case_from_pandas(ray_data, tmp_path):
    df = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [0.5, float("nan"), 1.5]})
    ds = ray_data.from_pandas(df)
    return {"schema": ds.schema(), "rows": ds.take_all(), "count": ds.count()}


def case_from_pandas_list(ray_data, tmp_path):
    frames = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [3]})]
    ds = ray_data.from_pandas(frames)
    return {"blocks": ds.materialize().num_blocks(), "rows": rows(ds)}


def case_from_pandas_index_is_dropped(ray_data, tmp_path):
    df = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])
    ds = ray_data.from_pandas(df)
    return {"columns": ds.columns(), "rows": ds.take_all()}


def case_from_pandas_default_batch(ray_data, tmp_path):
    ds = ray_data.from_pandas(pd.DataFrame({"a": [1, 2]}))
    return [ds.take_batch(2), ds.take_batch(2, batch_format="pandas")]


def case_from_pandas_round_trip(ray_data, tmp_path):
    df = pd.DataFrame({"i": [1, 2], "s": ["a", "b"], "t": pd.to_datetime(["2024-01-01", None])})
    return ray_data.from_pandas(df).to_pandas()


def case_from_pandas_categorical(ray_data, tmp_path):
    df = pd.DataFrame({"c": pd.Categorical(["a", "b", "a"])})
    ds = ray_data.from_pandas(df)
    return {"rows": ds.take_all(), "count": ds.count()}


def case_from_pandas_nullable_integers(ray_data, tmp_path):
    df = pd.DataFrame({"i": pd.array([1, None, 3], dtype="Int64")})
    ds = ray_data.from_pandas(df)
    return {"rows": ds.take_all(), "sum": ds.sum("i")}


def case_from_arrow(ray_data, tmp_path):
    table = pa.table({"a": [1, None, 3], "b": ["x", "y", None]})
    ds = ray_data.from_arrow(table)
    return {"schema": ds.schema(), "rows": ds.take_all(), "blocks": ds.materialize().num_blocks()}


def case_from_arrow_list(ray_data, tmp_path):
    tables = [pa.table({"a": [1, 2]}), pa.table({"a": [3]})]
    ds = ray_data.from_arrow(tables)
    return {"blocks": ds.materialize().num_blocks(), "rows": rows(ds)}


def case_from_arrow_types(ray_data, tmp_path):
    table = pa.table(
        {
            "i8": pa.array([1], pa.int8()),
            "u16": pa.array([2], pa.uint16()),
            "f32": pa.array([0.5], pa.float32()),
            "bool": pa.array([True]),
            "bin": pa.array([b"x"], pa.large_binary()),
            "ls": pa.array(["x"], pa.large_string()),
            "dec": pa.array([1], pa.decimal128(5, 2)),
            "date": pa.array([0], pa.date32()),
            "ts": pa.array([0], pa.timestamp("ms")),
            "tz": pa.array([0], pa.timestamp("us", tz="UTC")),
            "dur": pa.array([5], pa.duration("s")),
            "time": pa.array([5], pa.time32("s")),
            "null": pa.array([None], pa.null()),
        }
    )
    ds = ray_data.from_arrow(table)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_arrow_types_to_numpy_batch(ray_data, tmp_path):
    table = pa.table(
        {
            "i8": pa.array([1, 2], pa.int8()),
            "bool": pa.array([True, False]),
            "s": pa.array(["x", "y"]),
            "date": pa.array([0, 1], pa.date32()),
            "ts": pa.array([0, 1], pa.timestamp("ms")),
            "dur": pa.array([5, 6], pa.duration("s")),
            "l": pa.array([[1], [2]], pa.list_(pa.int64())),
            "r": pa.array([[1], [2, 3]], pa.list_(pa.int64())),
            "st": pa.array([{"a": 1}, {"a": 2}]),
        }
    )
    return ray_data.from_arrow(table).take_batch(2)


def case_from_arrow_empty_table(ray_data, tmp_path):
    ds = ray_data.from_arrow(pa.table({"a": pa.array([], pa.int64())}))
    return {"count": ds.count(), "schema": ds.schema(), "rows": ds.take_all()}


def case_from_numpy(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.arange(6).reshape(3, 2))
    return {"schema": ds.schema(), "rows": ds.take_all(), "columns": ds.columns()}


def case_from_numpy_one_dimension(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.array([1.5, 2.5], dtype=np.float32))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_numpy_list(ray_data, tmp_path):
    ds = ray_data.from_numpy([np.zeros((2, 2)), np.ones((1, 2))])
    return {"blocks": ds.materialize().num_blocks(), "rows": rows(ds)}


def case_from_numpy_strings(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.array(["a", "bc"]))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_numpy_dtypes(ray_data, tmp_path):
    kinds = ["bool", "int8", "uint8", "int32", "float16", "float64", "datetime64[s]"]
    return {kind: ray_data.from_numpy(np.array([0, 1], dtype=kind)).take_all() for kind in kinds}


def case_from_blocks(ray_data, tmp_path):
    ds = ray_data.from_blocks([pa.table({"a": [1]}), pa.table({"a": [2, 3]})])
    return {"blocks": ds.materialize().num_blocks(), "rows": rows(ds)}


def case_from_blocks_pandas(ray_data, tmp_path):
    ds = ray_data.from_blocks([pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2, 3]})])
    return {"rows": rows(ds), "schema": ds.schema()}


def case_from_torch_dataset(ray_data, tmp_path):
    import torch

    class Squares(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            if i >= 3:
                raise IndexError
            return i * i

    ds = ray_data.from_torch(Squares())
    return {"rows": rows(ds), "columns": ds.columns()}


def case_bad_override_num_blocks(ray_data, tmp_path):
    return error_of(lambda: ray_data.from_items([1], override_num_blocks=0).take_all())


def case_from_items_not_a_list(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.from_items(5)))


def case_dataset_class_names(ray_data, tmp_path):
    ds = ray_data.range(2)
    return {
        "lazy": type(ds).__name__,
        "materialized": type(ds.materialize()).__name__,
        "is_dataset": isinstance(ds.materialize(), ray_data.Dataset),
        "from_items": isinstance(ray_data.from_items([1]), ray_data.Dataset),
        "materialized_class": isinstance(
            ray_data.from_items([1]), sub(ray_data, "dataset").Dataset
        ),
    }


def case_from_items_objects(ray_data, tmp_path):
    items = [{"o": {1, 2}}, {"o": {3}}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return ds.take_all()


class _Point:
    def __init__(self, x):
        self.x = x


def case_from_items_user_objects(ray_data, tmp_path):
    ds = ray_data.from_items([_Point(1), _Point(2)], override_num_blocks=1)
    return {"rows": [row["item"].x for row in ds.take_all()], "columns": ds.columns()}


def case_from_items_large_integers(ray_data, tmp_path):
    ds = ray_data.from_items([{"n": 2**70}], override_num_blocks=1)
    return ds.take_all()


def case_from_items_of_kinds(ray_data, tmp_path):
    import collections

    pair = collections.namedtuple("pair", "a b")
    kinds = {
        "tuples": [(1, 2), (3, 4)],
        "lists": [[1, 2], [3]],
        "nones": [None, None],
        "arrays": [np.zeros(2), np.ones(2)],
        "ordered": [collections.OrderedDict(b=1, a=2)],
        "named": [pair(1, 2)],
        "bools": [True, False],
        "bytes": [b"x"],
        "dates": [datetime.date(2024, 1, 2)],
    }
    out = {}
    for name, items in kinds.items():
        out[name] = error_of(
            lambda items=items: ray_data.from_items(items, override_num_blocks=1).take_all()
        )
    return out


def case_from_items_of_other_iterables(ray_data, tmp_path):
    return {
        "range": error_of(lambda: rows(ray_data.from_items(list(range(3))))),
        "tuple": error_of(lambda: rows(ray_data.from_items((1, 2)))),
        "array": error_of(lambda: rows(ray_data.from_items(np.arange(2)))),
    }


def case_makers_of_nothing(ray_data, tmp_path):
    return {
        "pandas": error_of(lambda: ray_data.from_pandas([]).count()),
        "arrow": error_of(lambda: ray_data.from_arrow([]).count()),
        "blocks": error_of(lambda: ray_data.from_blocks([]).count()),
        "empty_frame": error_of(lambda: ray_data.from_pandas(pd.DataFrame({"a": []})).count()),
        "empty_array": error_of(lambda: ray_data.from_numpy(np.zeros((0, 2))).count()),
        "tensor": error_of(lambda: ray_data.range_tensor(0).count()),
    }


def case_from_arrow_serialized(ray_data, tmp_path):
    sink = pa.BufferOutputStream()
    table = pa.table({"a": [1, 2]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return error_of(lambda: rows(ray_data.from_arrow(sink.getvalue().to_pybytes())))


def case_from_arrow_chunks_and_slices(ray_data, tmp_path):
    table = pa.concat_tables([pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})] * 3)
    ds = ray_data.from_arrow(table.slice(2, 5))
    return {"rows": ds.take_all(), "bytes_are_few": ds.size_bytes() < 200}


def case_from_arrow_override_num_blocks(ray_data, tmp_path):
    ds = ray_data.from_arrow(pa.table({"a": list(range(10))}), override_num_blocks=5)
    return {"blocks": ds.materialize().num_blocks(), "rows": rows(ds)}


def case_from_pandas_bad_argument(ray_data, tmp_path):
    return fails(lambda: ray_data.from_pandas({"a": [1]}).take_all())


def case_from_numpy_list_of_shapes(ray_data, tmp_path):
    ds = ray_data.from_numpy([np.zeros((2, 2)), np.zeros((1, 3))])
    return rows(ds)


def case_from_blocks_of_two_kinds(ray_data, tmp_path):
    ds = ray_data.from_blocks([pa.table({"a": [1]}), pd.DataFrame({"a": [2]})])
    return rows(ds)


def case_range_of_many(ray_data, tmp_path):
    ds = ray_data.range(10_000_000)
    return {"count": ds.count(), "max": ds.max("id"), "bytes": ds.size_bytes()}


def case_range_default_blocks_hold_all(ray_data, tmp_path):
    ds = ray_data.range(12345).materialize()
    return {"sum": ds.sum("id"), "unique": len({row["id"] for row in ds.take_all()})}
