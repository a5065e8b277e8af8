"""Looking at a dataset: take, show, schema, counts, sizes, text forms, statistics."""

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, rows, stdout_of, unordered


def _table(ray_data):
    items = [{"a": 1, "b": "x"}, {"a": 2, "b": None}, {"a": 3, "b": "z"}]
    return ray_data.from_items(items, override_num_blocks=1)


def case_take(ray_data, tmp_path):
    ds = _table(ray_data)
    return [ds.take(1), ds.take(2), ds.take(10), ds.take(0)]


def case_take_default(ray_data, tmp_path):
    ds = ray_data.range(50, override_num_blocks=1)
    return {"n": len(ds.take()), "first": ds.take()[0]}


def case_take_all(ray_data, tmp_path):
    return _table(ray_data).take_all()


def case_take_all_limit(ray_data, tmp_path):
    ds = ray_data.range(5)
    return {
        "enough": len(ds.take_all(limit=5)),
        "too_many": error_of(lambda: ds.take_all(limit=4)),
    }


def case_take_batch(ray_data, tmp_path):
    ds = _table(ray_data)
    return {
        "numpy": ds.take_batch(2),
        "pandas": ds.take_batch(2, batch_format="pandas"),
        "pyarrow": ds.take_batch(2, batch_format="pyarrow"),
    }


def case_take_batch_default_size(ray_data, tmp_path):
    return len(ray_data.range(100).take_batch()["id"])


def case_take_batch_more_than_there_is(ray_data, tmp_path):
    return _table(ray_data).take_batch(100)


def case_take_batch_empty(ray_data, tmp_path):
    ds = ray_data.range(5).filter(lambda row: False)
    return error_of(lambda: ds.take_batch(2))


def case_take_batch_bad_format(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).take_batch(2, batch_format="polars"))


def case_show(ray_data, tmp_path):
    ds = _table(ray_data)
    return {"two": stdout_of(lambda: ds.show(2)), "all": stdout_of(ds.show)}


def case_show_default_limit(ray_data, tmp_path):
    ds = ray_data.range(50, override_num_blocks=1)
    return stdout_of(ds.show).splitlines()


def case_show_returns_nothing(ray_data, tmp_path):
    out = []
    stdout_of(lambda: out.append(ray_data.range(1).show()))
    return out


def case_show_arrays(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.arange(3), "l": [1.5, 2.5], "t": True}])
    return stdout_of(ds.show)


def case_count(ray_data, tmp_path):
    ds = ray_data.range(1000)
    return [
        ds.count(),
        ds.filter(lambda row: row["id"] < 10).count(),
        ds.map_batches(lambda b: b).count(),
        ds.limit(7).count(),
    ]


def case_count_type(ray_data, tmp_path):
    return type(ray_data.range(3).count())


def case_len(ray_data, tmp_path):
    return [error_of(lambda: len(ray_data.range(3))), error_of(lambda: len(ray_data.range(0)))]


def case_schema_of_types(ray_data, tmp_path):
    row = {"i": 1, "f": 0.5, "s": "x", "b": b"y", "t": True, "l": [1], "n": None, "d": {"k": 1}}
    schema = ray_data.from_items([row]).schema()
    return {"names": schema.names, "types": schema.types}


def case_schema_class(ray_data, tmp_path):
    schema = ray_data.range(1).schema()
    return {
        "class": type(schema).__name__,
        "base": type(schema.base_schema).__name__,
        "names": type(schema.names).__name__,
        "types": type(schema.types).__name__,
        "hashable": error_of(lambda: isinstance(hash(schema), int)),
    }


def case_schema_equality(ray_data, tmp_path):
    a = ray_data.range(3).schema()
    return [
        a == ray_data.range(5).schema(),
        a == ray_data.from_items([1]).schema(),
        a != ray_data.range(2).schema(),
        a == 5,
    ]


def case_schema_text(ray_data, tmp_path):
    schema = ray_data.from_items([{"name": "x", "a_long_column_name": 1, "v": [1.5]}]).schema()
    return {"repr": repr(schema), "str": str(schema)}


def case_schema_after_transforms(ray_data, tmp_path):
    ds = ray_data.range(4).map(lambda row: {"s": str(row["id"]), "h": row["id"] / 2})
    return {"schema": ds.schema(), "columns": ds.columns()}


def case_schema_of_a_filter_that_keeps_nothing(ray_data, tmp_path):
    ds = ray_data.range(4).map(lambda row: {"v": 1.5}).filter(lambda row: False)
    return ds.count()


def case_schema_without_fetch(ray_data, tmp_path):
    ds = ray_data.range(4).map(lambda row: {"v": 1.5})
    return {"fetch": ds.schema(), "lazy": ray_data.range(4).schema(fetch_if_missing=False)}


def case_schema_unknown_without_fetch(ray_data, tmp_path):
    ds = ray_data.range(4).map(lambda row: {"v": 1.5})
    return {
        "schema": ds.schema(fetch_if_missing=False),
        "columns": ds.columns(fetch_if_missing=False),
    }


def case_columns(ray_data, tmp_path):
    ds = _table(ray_data)
    return {"columns": ds.columns(), "kind": type(ds.columns()).__name__}


def case_types(ray_data, tmp_path):
    return _table(ray_data).schema().types


def case_columns_of_nothing(ray_data, tmp_path):
    return ray_data.from_items([]).columns()


def case_num_blocks(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=5)
    return {"lazy": error_of(ds.num_blocks), "materialized": ds.materialize().num_blocks()}


def case_size_bytes(ray_data, tmp_path):
    ds = ray_data.range(1000)
    return [ds.size_bytes(), ds.materialize().size_bytes(), type(ds.size_bytes())]


def case_input_files_of_memory(ray_data, tmp_path):
    return ray_data.range(3).input_files()


def case_input_files(ray_data, tmp_path):
    paths = [str(tmp_path / f"{i}.txt") for i in range(3)]
    for path in paths:
        with open(path, "w") as file:
            file.write("x\n")
    files = ray_data.read_text(paths).input_files()
    return unordered(path.rsplit("/", 1)[-1] for path in files)


def case_materialize(ray_data, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def mark(batch):
        import uuid

        (calls / uuid.uuid4().hex).touch()
        return batch

    ds = ray_data.range(4, override_num_blocks=1).map_batches(mark).materialize()
    totals = [ds.count(), ds.sum("id"), len(ds.take_all())]
    return {"totals": totals, "calls": len(list(calls.iterdir()))}


def case_materialized_class(ray_data, tmp_path):
    ds = ray_data.range(4).materialize()
    return {
        "class": type(ds).__name__,
        "again": type(ds.materialize()).__name__,
        "after_map": type(ds.map(lambda row: row)).__name__,
    }


def case_repr_of_a_lazy_dataset(ray_data, tmp_path):
    return {"repr": repr(ray_data.range(10)), "str": str(ray_data.range(10))}


def case_repr_of_a_plan(ray_data, tmp_path):
    def double(batch):
        return batch

    ds = ray_data.range(10).map_batches(double).map(lambda row: row)
    return repr(ds)


def case_repr_of_a_class_step(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return batch

    return repr(ray_data.range(3).map_batches(Model, concurrency=1))


def case_repr_materialized(ray_data, tmp_path):
    items = [{"a": 1, "b": "x", "c": None, "d": [1, 2]}]
    return repr(ray_data.from_items(items).materialize())


def case_repr_materialized_numbers(ray_data, tmp_path):
    ds = ray_data.range(5, override_num_blocks=1)
    return repr(ds.materialize())


def case_repr_named(ray_data, tmp_path):
    ds = ray_data.range(5).map(lambda row: row)
    ds.set_name("numbers")
    return {"name": ds.name, "repr": repr(ds)}


def case_name(ray_data, tmp_path):
    ds = ray_data.range(5)
    before = ds.name
    ds.set_name("numbers")
    return [before, ds.name]


def case_stats_names_operators(ray_data, tmp_path):
    def double(batch):
        return {"id": batch["id"] * 2}

    ds = ray_data.range(10).map_batches(double).materialize()
    text = ds.stats()
    words = ["Operator", "ReadRange->MapBatches(double)", "tasks executed", "blocks produced"]
    return {"kind": type(text).__name__, "mentions": [word for word in words if word in text]}


def case_stats_of_rows(ray_data, tmp_path):
    ds = ray_data.range(10).map(lambda row: row).filter(lambda row: True).materialize()
    words = ["Remote wall time", "Output num rows", "Map(<lambda>)->Filter(<lambda>)"]
    text = ds.stats()
    return [word for word in words if word in text]


def case_explain_prints_plans(ray_data, tmp_path):
    def double(batch):
        return batch

    ds = ray_data.range(10).map_batches(double).limit(3)
    text = stdout_of(ds.explain)
    words = ["Logical Plan", "Physical Plan", "MapBatches(double)", "ReadRange", "limit"]
    return [word for word in words if word.lower() in text.lower()]


def case_to_pandas(ray_data, tmp_path):
    return _table(ray_data).to_pandas()


def case_to_pandas_types(ray_data, tmp_path):
    table = pa.table(
        {
            "i": pa.array([1, 2], pa.int32()),
            "n": pa.array([1, None], pa.int64()),
            "f": pa.array([0.5, None]),
            "s": pa.array(["a", None]),
            "b": pa.array([True, False]),
            "bn": pa.array([True, None]),
            "t": pa.array([0, None], pa.timestamp("us")),
            "l": pa.array([[1], [2, 3]]),
            "by": pa.array([b"x", b"y"]),
        }
    )
    return ray_data.from_arrow(table).to_pandas()


def case_to_pandas_limit(ray_data, tmp_path):
    ds = ray_data.range(10)
    return {
        "enough": len(ds.to_pandas(limit=10)),
        "too_many": error_of(lambda: ds.to_pandas(limit=5)),
    }


def case_to_pandas_tensors(ray_data, tmp_path):
    df = ray_data.range_tensor(2, shape=(2,), override_num_blocks=1).to_pandas()
    return {"columns": list(df.columns), "value": np.asarray(df["data"].iloc[1]), "n": len(df)}


def case_to_pandas_empty(ray_data, tmp_path):
    return len(ray_data.range(3).filter(lambda row: False).to_pandas())


def case_to_pandas_of_many_blocks(ray_data, tmp_path):
    df = ray_data.range(100, override_num_blocks=7).to_pandas()
    return {"n": len(df), "sum": int(df["id"].sum()), "index": list(df.index) == list(range(100))}


def case_empty_dataset(ray_data, tmp_path):
    ds = ray_data.from_items([])
    return {
        "count": ds.count(),
        "take": ds.take(3),
        "schema": ds.schema(),
        "show": stdout_of(ds.show),
        "pandas": len(ds.to_pandas()),
        "batches": list(ds.iter_batches()),
        "rows": list(ds.iter_rows()),
    }


def case_lazy_until_consumed(ray_data, tmp_path):
    marker = tmp_path / "ran"

    def mark(row):
        marker.touch()
        return row

    ds = ray_data.range(2).map(mark)
    before = marker.exists()
    ds.take_all()
    return [before, marker.exists()]


def case_dataset_is_immutable(ray_data, tmp_path):
    ds = ray_data.range(3)
    ds.map(lambda row: {"v": 0})
    return rows(ds)


def case_copy_of_taken_rows(ray_data, tmp_path):
    ds = _table(ray_data)
    first = ds.take(1)[0]
    first["a"] = 99
    return ds.take(1)


def case_from_pandas_wide(ray_data, tmp_path):
    df = pd.DataFrame({f"c{i}": [i] for i in range(30)})
    ds = ray_data.from_pandas(df)
    return {"columns": len(ds.columns()), "row": ds.take(1)[0]["c29"]}


def case_internal_ref_bundles(ray_data, tmp_path):
    bundles = list(ray_data.range(10, override_num_blocks=2).iter_internal_ref_bundles())
    return {
        "rows": sum(bundle.num_rows() for bundle in bundles),
        "bytes": sum(bundle.size_bytes() for bundle in bundles),
    }


def case_dataset_is_iterable_of_rows_or_not(ray_data, tmp_path):
    return error_of(lambda: unordered(iter(ray_data.range(3))))


def case_context_of_a_dataset(ray_data, tmp_path):
    ds = ray_data.range(3)
    return type(ds.context).__name__
