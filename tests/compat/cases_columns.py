"""Select, drop, rename, add columns; limit and union."""

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, rows, sub


def _table(ray_data):
    return ray_data.from_items([{"a": 1, "b": "x", "c": 0.5}, {"a": 2, "b": "y", "c": 1.5}])


def case_select_columns(ray_data, tmp_path):
    ds = _table(ray_data).select_columns(["c", "a"])
    return {"rows": rows(ds), "columns": ds.columns(), "schema": ds.schema()}


def case_select_one_column_by_name(ray_data, tmp_path):
    ds = _table(ray_data).select_columns("b")
    return {"rows": rows(ds), "columns": ds.columns()}


def case_select_missing_column(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).select_columns(["a", "nope"]).take_all(), "nope")


def case_select_no_columns(ray_data, tmp_path):
    ds = _table(ray_data).select_columns([])
    return error_of(lambda: {"count": ds.count()})


def case_select_twice_the_same(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).select_columns(["a", "a"]).take_all())


def case_select_bad_argument(ray_data, tmp_path):
    return [
        error_of(lambda: _table(ray_data).select_columns(5).take_all()),
        error_of(lambda: _table(ray_data).select_columns([1]).take_all()),
    ]


def case_drop_columns(ray_data, tmp_path):
    ds = _table(ray_data).drop_columns(["b"])
    return {"rows": rows(ds), "columns": ds.columns()}


def case_drop_columns_missing(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).drop_columns(["nope"]).take_all(), "nope")


def case_drop_columns_twice_the_same(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).drop_columns(["a", "a"]).take_all())


def case_rename_columns_dict(ray_data, tmp_path):
    ds = _table(ray_data).rename_columns({"a": "id", "c": "score"})
    return {"rows": rows(ds), "columns": ds.columns()}


def case_rename_columns_list(ray_data, tmp_path):
    ds = _table(ray_data).rename_columns(["x", "y", "z"])
    return {"rows": rows(ds), "columns": ds.columns()}


def case_rename_columns_swap(ray_data, tmp_path):
    ds = _table(ray_data).rename_columns({"a": "c", "c": "a"})
    return {"rows": rows(ds), "columns": ds.columns()}


def case_rename_columns_missing(ray_data, tmp_path):
    return error_of(lambda: _table(ray_data).rename_columns({"nope": "x"}).take_all(), "nope")


def case_rename_columns_bad(ray_data, tmp_path):
    ds = _table(ray_data)
    return [
        error_of(lambda: ds.rename_columns({}).take_all()),
        error_of(lambda: ds.rename_columns({"a": "x", "b": "x"}).take_all()),
        error_of(lambda: ds.rename_columns([]).take_all()),
        error_of(lambda: ds.rename_columns(["x"]).take_all()),
        error_of(lambda: ds.rename_columns(["x", "x", "y"]).take_all()),
        error_of(lambda: ds.rename_columns(5).take_all()),
        error_of(lambda: ds.rename_columns({"a": 5}).take_all()),
    ]


def case_add_column(ray_data, tmp_path):
    ds = ray_data.range(3).add_column("twice", lambda df: df["id"] * 2)
    return {"rows": rows(ds), "columns": ds.columns()}


def case_add_column_numpy(ray_data, tmp_path):
    ds = ray_data.range(3)
    ds = ds.add_column("v", lambda b: b["id"] + 0.5, batch_format="numpy")
    return {"rows": rows(ds), "schema": ds.schema()}


def case_add_column_pyarrow(ray_data, tmp_path):
    ds = ray_data.range(3)
    ds = ds.add_column("v", lambda t: pa.array(["s"] * t.num_rows), batch_format="pyarrow")
    return {"rows": rows(ds), "schema": ds.schema()}


def case_add_column_scalar(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.range(3).add_column("one", lambda df: 1)))


def case_add_column_existing(ray_data, tmp_path):
    ds = ray_data.range(3)
    return {
        "pandas": error_of(lambda: rows(ds.add_column("id", lambda df: df["id"] + 1))),
        "pyarrow": error_of(
            lambda: rows(
                ds.add_column("id", lambda t: pa.array([7] * len(t)), batch_format="pyarrow")
            )
        ),
    }


def case_add_column_bad(ray_data, tmp_path):
    ds = ray_data.range(3)
    return [
        error_of(lambda: ds.add_column("v", 5)),
        error_of(lambda: ds.add_column("v", lambda b: b["id"], batch_format="polars")),
    ]


def case_limit(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=4).limit(5)
    return {"count": ds.count(), "n": len(ds.take_all()), "schema": ds.schema()}


def case_limit_takes_the_first_rows_of_one_block(ray_data, tmp_path):
    return ray_data.range(100, override_num_blocks=1).limit(4).take_all()


def case_limit_zero(ray_data, tmp_path):
    ds = ray_data.range(10).limit(0)
    return {"count": ds.count(), "rows": ds.take_all(), "schema": ds.schema()}


def case_limit_larger_than_data(ray_data, tmp_path):
    ds = ray_data.range(3).limit(10)
    return {"count": ds.count(), "rows": rows(ds)}


def case_limit_of_limit(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=1)
    return [ds.limit(10).limit(3).take_all(), ds.limit(3).limit(10).take_all()]


def case_limit_after_filter(ray_data, tmp_path):
    ds = ray_data.range(20, override_num_blocks=1).filter(lambda row: row["id"] % 2 == 1)
    return ds.limit(3).take_all()


def case_filter_after_limit(ray_data, tmp_path):
    ds = ray_data.range(20, override_num_blocks=1).limit(5)
    return ds.filter(lambda row: row["id"] % 2 == 1).take_all()


def case_limit_before_flat_map(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=1).limit(2)
    return ds.flat_map(lambda row: [row, row]).take_all()


def case_limit_after_flat_map(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=1).flat_map(lambda row: [row, row])
    return ds.limit(3).take_all()


def case_limit_after_map_batches(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=1).map_batches(lambda b: {"v": b["id"] * 2})
    return ds.limit(3).take_all()


def case_union(ray_data, tmp_path):
    a = ray_data.range(3)
    b = ray_data.range(2)
    ds = a.union(b)
    return {"count": ds.count(), "rows": rows(ds), "schema": ds.schema()}


def case_union_three(ray_data, tmp_path):
    parts = [ray_data.from_items([{"v": i}]) for i in range(3)]
    return rows(parts[0].union(parts[1], parts[2]))


def case_union_keeps_order_of_inputs(ray_data, tmp_path):
    a = ray_data.range(2, override_num_blocks=1)
    b = ray_data.from_items([{"id": 9}, {"id": 8}], override_num_blocks=1)
    return rows(a.union(b))


def case_union_different_columns(ray_data, tmp_path):
    a = ray_data.from_items([{"a": 1}])
    b = ray_data.from_items([{"b": "x"}])
    return error_of(lambda: rows(a.union(b)))


def case_union_different_types(ray_data, tmp_path):
    a = ray_data.from_items([{"a": 1}])
    b = ray_data.from_items([{"a": 2.5}])
    return error_of(lambda: rows(a.union(b)))


def case_union_with_itself(ray_data, tmp_path):
    ds = ray_data.range(3)
    out = ds.union(ds)
    return {"count": out.count(), "sum": out.sum("id")}


def case_union_of_transformed(ray_data, tmp_path):
    a = ray_data.range(3).map(lambda row: {"v": row["id"] * 10})
    b = ray_data.range(3).filter(lambda row: row["id"] > 1).rename_columns({"id": "v"})
    return rows(a.union(b).map(lambda row: {"v": row["v"] + 1}))


def case_union_with_empty(ray_data, tmp_path):
    a = ray_data.range(3)
    b = ray_data.range(3).filter(lambda row: False)
    out = a.union(b)
    return {"rows": rows(out), "count": out.count()}


def case_union_limit(ray_data, tmp_path):
    a = ray_data.range(5, override_num_blocks=1)
    out = a.union(a).limit(7)
    return {"count": out.count(), "n": len(out.take_all())}


def case_union_pandas_and_arrow(ray_data, tmp_path):
    a = ray_data.from_pandas(pd.DataFrame({"v": [1, 2]}))
    b = ray_data.from_arrow(pa.table({"v": [3]}))
    return rows(a.union(b))


def case_select_from_tensors(ray_data, tmp_path):
    ds = ray_data.from_items([{"t": np.ones(2), "n": 1}, {"t": np.zeros(2), "n": 2}])
    return rows(ds.select_columns(["t"]))


def case_projection_chain(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _table(ray_data)
    ds = ds.with_column("d", col("a") * 2).rename_columns({"b": "name"}).drop_columns(["c"])
    ds = ds.select_columns(["d", "name"])
    return {"rows": rows(ds), "columns": ds.columns()}


def case_drop_then_select_dropped(ray_data, tmp_path):
    ds = _table(ray_data).drop_columns(["b"])
    return error_of(lambda: ds.select_columns(["b"]).take_all(), "b")


def case_rename_then_filter(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(5).rename_columns({"id": "key"})
    return rows(ds.filter(expr=col("key") > 2))


def case_with_column_then_filter_on_it(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(5).with_column("sq", col("id") * col("id"))
    return rows(ds.filter(expr=col("sq") > 5))
