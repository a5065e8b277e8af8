"""Which Python and numpy values come out for which Arrow types and Python values go in."""

import datetime
import decimal
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, rows


def _types():
    """Returns one column per Arrow type, each with a value and a null."""
    day = datetime.date(2024, 2, 29)
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3)
    return {
        "bool": pa.array([True, None]),
        "int8": pa.array([1, None], pa.int8()),
        "uint64": pa.array([2**63, None], pa.uint64()),
        "half": pa.array([np.float16(0.5), None], pa.float16()),
        "float": pa.array([0.5, None], pa.float32()),
        "string": pa.array(["x", None]),
        "large_string": pa.array(["x", None], pa.large_string()),
        "binary": pa.array([b"x", None]),
        "fixed_binary": pa.array([b"ab", None], pa.binary(2)),
        "date32": pa.array([day, None], pa.date32()),
        "date64": pa.array([day, None], pa.date64()),
        "time32": pa.array([datetime.time(1, 2, 3), None], pa.time32("s")),
        "time64": pa.array([datetime.time(1, 2, 3, 4), None], pa.time64("us")),
        "timestamp_s": pa.array([moment, None], pa.timestamp("s")),
        "timestamp_us": pa.array([moment, None], pa.timestamp("us")),
        "timestamp_ns": pa.array([moment, None], pa.timestamp("ns")),
        "timestamp_tz": pa.array([moment, None], pa.timestamp("us", tz="Europe/Paris")),
        "duration": pa.array([datetime.timedelta(hours=1), None], pa.duration("ms")),
        "decimal": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(10, 2)),
        "list": pa.array([[1, None], None], pa.list_(pa.int64())),
        "large_list": pa.array([[1], None], pa.large_list(pa.int64())),
        "list_of_string": pa.array([["a"], None]),
        "list_of_list": pa.array([[[1], []], None]),
        "struct": pa.array([{"a": 1, "b": "x"}, None]),
        "list_of_struct": pa.array([[{"a": 1}], None]),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "dictionary": pa.array(["x", "y"]).dictionary_encode(),
        "null": pa.array([None, None]),
    }


def _each(make):
    """Applies `make` to a table of each column; failures are described in place."""
    return {
        name: error_of(lambda column=column: make(pa.table({"v": column})))
        for name, column in _types().items()
    }


def case_rows_of_arrow_types(ray_data, tmp_path):
    return _each(lambda table: [row["v"] for row in ray_data.from_arrow(table).take_all()])


def case_numpy_batches_of_arrow_types(ray_data, tmp_path):
    return _each(lambda table: ray_data.from_arrow(table).take_batch(2)["v"])


def case_numpy_batches_without_nulls(ray_data, tmp_path):
    return _each(lambda table: ray_data.from_arrow(table.slice(0, 1)).take_batch(1)["v"])


def case_pandas_batches_of_arrow_types(ray_data, tmp_path):
    found = _each(lambda table: ray_data.from_arrow(table).take_batch(2, batch_format="pandas"))
    del found["dictionary"]
    return found


def case_arrow_types_survive_a_row_function(ray_data, tmp_path):
    names = ["bool", "string", "binary", "date32", "timestamp_us", "decimal", "list", "struct"]
    table = pa.table({name: _types()[name] for name in names})
    return ray_data.from_arrow(table).map(lambda row: row).take_all()


def case_arrow_types_survive_a_numpy_function(ray_data, tmp_path):
    names = ["string", "binary", "timestamp_us", "float", "bool", "int8"]
    table = pa.table({name: _types()[name].slice(0, 1) for name in names})
    ds = ray_data.from_arrow(table).map_batches(lambda batch: batch)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_arrow_types_survive_a_pandas_function(ray_data, tmp_path):
    names = ["bool", "string", "int8", "timestamp_us", "float"]
    table = pa.table({name: _types()[name] for name in names})
    ds = ray_data.from_arrow(table).map_batches(lambda df: df, batch_format="pandas")
    return ds.take_all()


def case_nulls_after_a_numpy_function(ray_data, tmp_path):
    items = [{"s": "a", "i": 1, "f": 0.5}, {"s": None, "i": None, "f": None}]
    ds = ray_data.from_items(items, override_num_blocks=1).map_batches(lambda batch: batch)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_nulls_after_a_pandas_function(ray_data, tmp_path):
    items = [{"s": "a", "i": 1, "f": 0.5}, {"s": None, "i": None, "f": None}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return ds.map_batches(lambda df: df, batch_format="pandas").take_all()


def _out(ray_data, value):
    ds = ray_data.range(1).map(lambda row: {"v": value})
    return {"row": ds.take_all(), "type": ds.schema().types[0]}


def case_python_values_from_rows(ray_data, tmp_path):
    values = {
        "int": 1,
        "bool": True,
        "float": 0.5,
        "str": "x",
        "bytes": b"x",
        "list": [1, 2],
        "empty_list": [],
        "tuple": (1, 2),
        "dict": {"a": 1},
        "nested": {"a": [{"b": 1}]},
        "date": datetime.date(2024, 1, 2),
        "datetime": datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
        "timedelta": datetime.timedelta(days=1),
        "time": datetime.time(1, 2),
        "decimal": decimal.Decimal("1.25"),
        "list_of_str": ["a", "b"],
        "list_of_none": [None, None],
        "list_of_lists": [[1], [2, 3]],
    }
    return {
        name: error_of(lambda value=value: _out(ray_data, value)) for name, value in values.items()
    }


def case_numpy_values_from_rows(ray_data, tmp_path):
    values = {
        "int8": np.int8(1),
        "uint64": np.uint64(2**63),
        "float32": np.float32(0.5),
        "float16": np.float16(0.5),
        "bool": np.bool_(True),
        "str": np.str_("x"),
        "datetime64": np.datetime64("2024-01-02T03:04:05"),
        "array_bool": np.array([True, False]),
        "array_0d": np.array(5),
        "array_2d": np.arange(4).reshape(2, 2),
        "array_empty": np.zeros((0, 2)),
        "list_of_arrays": [np.arange(2), np.arange(2)],
        "dict_of_array": {"a": np.arange(2)},
    }
    return {
        name: error_of(lambda value=value: _out(ray_data, value)) for name, value in values.items()
    }


def case_other_objects_from_rows(ray_data, tmp_path):
    values = {
        "set": {1, 2},
        "complex": 1 + 2j,
        "uuid": uuid.UUID(int=5),
        "class": int,
        "range": range(3),
        "timestamp": pd.Timestamp("2024-01-02"),
        "big_int": 2**80,
    }
    out = {}
    for name, value in values.items():
        out[name] = error_of(
            lambda value=value: ray_data.range(1).map(lambda row: {"v": value}).take_all()
        )
    return out


def case_columns_of_mixed_values(ray_data, tmp_path):
    pairs = {
        "int_and_none": [1, None],
        "int_and_float": [1, 2.5],
        "bool_and_int": [True, 2],
        "str_and_none": ["x", None],
        "list_and_none": [[1], None],
        "lists_of_kinds": [[1], ["x"]],
        "dicts_of_keys": [{"a": 1}, {"b": 2}],
        "nan_and_none": [float("nan"), None],
        "date_and_datetime": [datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, 2)],
    }
    return {
        name: error_of(
            lambda pair=pair: ray_data.from_items(
                [{"v": value} for value in pair], override_num_blocks=1
            ).take_all()
        )
        for name, pair in pairs.items()
    }


def case_batch_columns_of_python_lists(ray_data, tmp_path):
    columns = {
        "ints": [1, 2],
        "floats": [0.5, 1],
        "strings": ["a", "b"],
        "nones": [None, "b"],
        "lists": [[1], [2, 3]],
        "same_lists": [[1, 2], [3, 4]],
        "dicts": [{"a": 1}, {"a": 2}],
        "bytes": [b"a", b"b"],
        "dates": [datetime.date(2024, 1, 1), None],
        "arrays": [np.zeros(2), np.ones(2)],
        "ragged": [np.zeros(1), np.ones(2)],
        "array_and_none": [np.zeros(1), None],
    }
    out = {}
    for name, column in columns.items():

        def make(batch, column=column):
            return {"v": column}

        ds = ray_data.range(2, override_num_blocks=1).map_batches(make)
        out[name] = error_of(lambda ds=ds: {"rows": ds.take_all(), "type": ds.schema().types[0]})
    return out


def case_batch_columns_of_arrays(ray_data, tmp_path):
    columns = {
        "strings": np.array(["a", "b"]),
        "objects": np.array(["a", None], dtype=object),
        "bytes": np.array([b"a", b"bc"]),
        "datetime_ns": np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"),
        "timedelta": np.array([1, 2], dtype="timedelta64[s]"),
        "two_dimensions": np.ones((2, 1)),
        "no_elements": np.ones((2, 0)),
        "strided": np.arange(4)[::2],
        "complex": np.array([1j, 2]),
        "arrow": pa.array([1, None]),
        "series": pd.Series([1, 2]),
    }
    out = {}
    for name, column in columns.items():

        def make(batch, column=column):
            return {"v": column}

        ds = ray_data.range(2, override_num_blocks=1).map_batches(make)
        out[name] = error_of(lambda ds=ds: {"rows": ds.take_all(), "type": ds.schema().types[0]})
    return out


def case_pandas_columns(ray_data, tmp_path):
    df = pd.DataFrame(
        {
            "int": [1, 2],
            "float": [0.5, None],
            "str": ["a", None],
            "object": pd.Series(["a", None], dtype=object),
            "bool": [True, False],
            "Int64": pd.array([1, None], dtype="Int64"),
            "boolean": pd.array([True, None], dtype="boolean"),
            "datetime": pd.to_datetime(["2024-01-01", None]),
            "utc": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
            "timedelta": pd.to_timedelta(["1h", None]),
            "category": pd.Categorical(["a", None]),
            "list": [[1], [2, 3]],
            "dict": [{"a": 1}, {"a": 2}],
            "bytes": [b"a", b"b"],
        }
    )
    return {
        name: error_of(lambda name=name: ray_data.from_pandas(df[[name]]).take_all())
        for name in df.columns
    }


def case_pandas_native_dtypes_inside(ray_data, tmp_path):
    def look(df):
        return pd.DataFrame({"kind": [f"{n} {t}" for n, t in df.dtypes.items()]})

    df = pd.DataFrame({"i": [1, 2], "f": [0.5, None], "b": [True, False]})
    return ray_data.from_pandas(df).map_batches(look, batch_format="pandas").take_all()


def case_pandas_integer_column_names(ray_data, tmp_path):
    df = pd.DataFrame({0: [1], 1: [2]})
    return error_of(lambda: {"rows": ray_data.from_pandas(df).take_all()})


def case_two_batches_of_different_types(ray_data, tmp_path):
    def make(batch):
        if batch["id"][0] == 0:
            return {"v": np.array([1, 2])}
        return {"v": np.array([0.5, 1.5])}

    ds = ray_data.range(4, override_num_blocks=1).map_batches(make, batch_size=2)
    return error_of(lambda: ds.take_all())


def case_two_batches_of_different_columns(ray_data, tmp_path):
    def make(batch):
        if batch["id"][0] == 0:
            return {"a": np.array([1, 2])}
        return {"b": np.array([3, 4])}

    ds = ray_data.range(4, override_num_blocks=1).map_batches(make, batch_size=2)
    return error_of(lambda: ds.take_all())


def case_null_batch_then_values(ray_data, tmp_path):
    def make(batch):
        return {"v": [None, None] if batch["id"][0] == 0 else ["x", "y"]}

    ds = ray_data.range(4, override_num_blocks=1).map_batches(make, batch_size=2)
    return error_of(lambda: ds.take_all())


def case_objects_in_batches(ray_data, tmp_path):
    class Thing:
        def __init__(self, n):
            self.n = n

    def make(batch):
        out = np.empty(len(batch["id"]), dtype=object)
        out[:] = [Thing(int(i)) for i in batch["id"]]
        return {"o": out}

    def use(batch):
        return {"n": [thing.n + 1 for thing in batch["o"]]}

    return rows(ray_data.range(3).map_batches(make).map_batches(use))


def case_objects_in_pandas_batches(ray_data, tmp_path):
    class Thing:
        def __init__(self, n):
            self.n = n

    ds = ray_data.range(2, override_num_blocks=1).map(lambda row: {"o": Thing(row["id"])})
    out = ds.map_batches(
        lambda df: pd.DataFrame({"n": [thing.n for thing in df["o"]]}), batch_format="pandas"
    )
    return out.take_all()


def case_long_strings_and_bytes(ray_data, tmp_path):
    ds = ray_data.from_items([{"s": "x" * 100_000, "b": b"y" * 100_000}])
    row = ds.map(lambda row: row).take_all()[0]
    return {"s": len(row["s"]), "b": len(row["b"])}


def case_strings_with_zero_bytes(ray_data, tmp_path):
    ds = ray_data.from_items([{"s": "a\x00b", "b": b"\x00\xff"}])
    return ds.map_batches(lambda batch: batch).take_all()


def case_large_table(ray_data, tmp_path):
    ds = ray_data.range(1_000_000).map_batches(lambda b: {"v": b["id"] % 7})
    return {"count": ds.count(), "sum": ds.sum("v")}


def case_pandas_types_after_a_function(ray_data, tmp_path):
    df = pd.DataFrame({"i": [1, 2], "f": [0.5, 1.5], "s": ["a", "b"]})
    ds = ray_data.from_pandas(df)
    out = ds.map_batches(lambda df: df.assign(g=df.f / 2), batch_format="pandas").to_pandas()
    made = ray_data.range(2, override_num_blocks=1).map_batches(
        lambda df: pd.DataFrame({"v": [1.5] * len(df)}), batch_format="pandas"
    )
    return {"assigned": out, "made": made.to_pandas(), "direct": ds.to_pandas()}
