"""Writing files, and reading them back."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet as pq
from corpus import error_of, files_under, rows, sub, unordered


def _table(ray_data):
    items = [{"id": i, "name": f"n{i}", "score": i / 2} for i in range(6)]
    return ray_data.from_items(items, override_num_blocks=1)


def case_parquet(ray_data, tmp_path):
    out = tmp_path / "out"
    result = _table(ray_data).write_parquet(str(out))
    return {
        "result": result,
        "files": files_under(out),
        "back": rows(ray_data.read_parquet(str(out))),
    }


def case_parquet_read_by_pandas(ray_data, tmp_path):
    out = tmp_path / "out"
    _table(ray_data).write_parquet(str(out))
    df = pd.read_parquet(out)
    return {"columns": list(df.columns), "sum": int(df["id"].sum())}


def case_parquet_one_file_per_block(ray_data, tmp_path):
    out = tmp_path / "out"
    ray_data.range(9, override_num_blocks=3).write_parquet(str(out))
    return {"files": files_under(out), "count": ray_data.read_parquet(str(out)).count()}


def case_parquet_min_rows_per_file(ray_data, tmp_path):
    out = tmp_path / "out"
    ray_data.range(100, override_num_blocks=10).write_parquet(str(out), min_rows_per_file=50)
    sizes = sorted(pq.read_metadata(path).num_rows for path in out.iterdir())
    return {"sizes": sizes}


def case_parquet_max_rows_per_file(ray_data, tmp_path):
    out = tmp_path / "out"
    ray_data.range(100, override_num_blocks=1).write_parquet(str(out), max_rows_per_file=30)
    sizes = [pq.read_metadata(path).num_rows for path in out.iterdir()]
    return {"total": sum(sizes), "largest_at_most_30": max(sizes) <= 30}


def case_parquet_partition_cols(ray_data, tmp_path):
    out = tmp_path / "out"
    items = [{"g": "a", "v": 1}, {"g": "b", "v": 2}, {"g": "a", "v": 3}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    ds.write_parquet(str(out), partition_cols=["g"])
    files = files_under(out)
    return {"files": files, "back": rows(ray_data.read_parquet(str(out)))}


def case_parquet_two_partition_cols(ray_data, tmp_path):
    out = tmp_path / "out"
    items = [{"y": 2023, "m": 1, "v": 1}, {"y": 2024, "m": 2, "v": 2}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    ds.write_parquet(str(out), partition_cols=["y", "m"])
    return {"files": files_under(out), "back": rows(ray_data.read_parquet(str(out)))}


def case_parquet_partition_cols_missing(ray_data, tmp_path):
    ds = _table(ray_data)
    return error_of(lambda: ds.write_parquet(str(tmp_path / "out"), partition_cols=["nope"]))


def case_parquet_compression(ray_data, tmp_path):
    out = tmp_path / "out"
    _table(ray_data).write_parquet(str(out), compression="zstd")
    path = next(iter(out.iterdir()))
    return pq.read_metadata(path).row_group(0).column(0).compression


def case_parquet_arguments_function(ray_data, tmp_path):
    out = tmp_path / "out"
    _table(ray_data).write_parquet(str(out), arrow_parquet_args_fn=lambda: {"compression": "gzip"})
    path = next(iter(out.iterdir()))
    return pq.read_metadata(path).row_group(0).column(0).compression


def case_parquet_row_group_size(ray_data, tmp_path):
    out = tmp_path / "out"
    ds = ray_data.range(100, override_num_blocks=1)
    ds.write_parquet(str(out), row_group_size=25)
    return pq.read_metadata(next(iter(out.iterdir()))).num_row_groups


def case_parquet_modes(ray_data, tmp_path):
    mode = ray_data.SaveMode
    out = str(tmp_path / "out")
    ds = ray_data.range(3, override_num_blocks=1)
    found = {}
    ds.write_parquet(out)
    ds.write_parquet(out, mode=mode.APPEND)
    found["append"] = ray_data.read_parquet(out).count()
    ds.write_parquet(out, mode=mode.IGNORE)
    found["ignore"] = ray_data.read_parquet(out).count()
    found["error"] = error_of(lambda: ds.write_parquet(out, mode=mode.ERROR))
    ds.write_parquet(out, mode=mode.OVERWRITE)
    found["overwrite"] = ray_data.read_parquet(out).count()
    return found


def case_parquet_default_mode_appends(ray_data, tmp_path):
    out = str(tmp_path / "out")
    ds = ray_data.range(3, override_num_blocks=1)
    ds.write_parquet(out)
    ds.write_parquet(out)
    return ray_data.read_parquet(out).count()


def case_parquet_file_system(ray_data, tmp_path):
    tree = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    _table(ray_data).write_parquet("out", filesystem=tree)
    return files_under(tmp_path)


def case_parquet_local_url(ray_data, tmp_path):
    _table(ray_data).write_parquet(f"local://{tmp_path}/out")
    return files_under(tmp_path)


def case_parquet_types_survive(ray_data, tmp_path):
    table = pa.table(
        {
            "i8": pa.array([1, None], pa.int8()),
            "s": ["x", None],
            "l": [[1], [2, 3]],
            "d": pa.array([0, None], pa.date32()),
            "t": pa.array([0, None], pa.timestamp("ms")),
            "b": [b"x", None],
            "st": [{"a": 1}, {"a": None}],
        }
    )
    out = str(tmp_path / "out")
    ray_data.from_arrow(table).write_parquet(out)
    back = ray_data.read_parquet(out)
    return {"schema": back.schema(), "rows": back.take_all()}


def case_parquet_tensors_survive(ray_data, tmp_path):
    out = str(tmp_path / "out")
    items = [{"v": np.arange(6, dtype=np.float32).reshape(2, 3) + i} for i in range(2)]
    ray_data.from_items(items, override_num_blocks=1).write_parquet(out)
    back = ray_data.read_parquet(out)
    return {"schema": back.schema(), "rows": back.take_all()}


def case_parquet_empty(ray_data, tmp_path):
    out = tmp_path / "out"
    ds = ray_data.range(3).filter(lambda row: False)
    return {"result": error_of(lambda: ds.write_parquet(str(out)))}


def case_parquet_creates_parents(ray_data, tmp_path):
    out = tmp_path / "a" / "b" / "c"
    _table(ray_data).write_parquet(str(out))
    return files_under(out)


def case_parquet_does_not_create_parents(ray_data, tmp_path):
    out = tmp_path / "a" / "b" / "c"
    return error_of(lambda: _table(ray_data).write_parquet(str(out), try_create_dir=False))


def case_parquet_filename_provider(ray_data, tmp_path):
    provider_class = sub(ray_data, "datasource").FilenameProvider

    class Provider(provider_class):
        def get_filename_for_task(self, write_uuid, task_index):
            return f"custom-{write_uuid}-{task_index}.parquet"

    out = tmp_path / "out"
    ds = ray_data.range(3, override_num_blocks=1)
    ds.write_parquet(str(out), filename_provider=Provider())
    return sorted(path.name.split("-")[0] for path in out.iterdir())


def case_csv(ray_data, tmp_path):
    out = tmp_path / "out"
    _table(ray_data).write_csv(str(out))
    text = "".join(path.read_text() for path in out.iterdir())
    return {"files": files_under(out), "text": text}


def case_csv_round_trip(ray_data, tmp_path):
    out = str(tmp_path / "out")
    _table(ray_data).write_csv(out)
    back = ray_data.read_csv(out)
    return {"schema": back.schema(), "rows": rows(back)}


def case_csv_nulls_and_quotes(ray_data, tmp_path):
    out = tmp_path / "out"
    items = [{"a": 'x "y", z', "b": None}, {"a": None, "b": 1}]
    ray_data.from_items(items, override_num_blocks=1).write_csv(str(out))
    return [path.read_text() for path in out.iterdir()]


def case_csv_options(ray_data, tmp_path):
    def arguments():
        return {"write_options": pyarrow.csv.WriteOptions(include_header=False, delimiter=";")}

    out = tmp_path / "out"
    _table(ray_data).write_csv(str(out), arrow_csv_args_fn=arguments)
    return [path.read_text() for path in out.iterdir()]


def case_csv_min_rows_per_file(ray_data, tmp_path):
    out = tmp_path / "out"
    ray_data.range(20, override_num_blocks=10).write_csv(str(out), min_rows_per_file=10)
    return sorted(len(path.read_text().splitlines()) for path in out.iterdir())


def case_json(ray_data, tmp_path):
    out = tmp_path / "out"
    _table(ray_data).write_json(str(out))
    lines = [json.loads(line) for p in out.iterdir() for line in p.read_text().splitlines()]
    return {"files": files_under(out), "lines": lines}


def case_json_round_trip(ray_data, tmp_path):
    out = str(tmp_path / "out")
    items = [
        {"a": 1, "l": [1, 2], "d": {"k": "v"}, "n": None},
        {"a": 2, "l": [], "d": {"k": "w"}, "n": 5},
    ]
    ray_data.from_items(items, override_num_blocks=1).write_json(out)
    return rows(ray_data.read_json(out))


def case_json_options(ray_data, tmp_path):
    out = tmp_path / "out"
    ray_data.range(2, override_num_blocks=1).write_json(
        str(out), pandas_json_args_fn=lambda: {"orient": "records", "lines": False}
    )
    return [json.loads(path.read_text()) for path in out.iterdir()]


def case_numpy(ray_data, tmp_path):
    out = tmp_path / "out"
    ds = ray_data.range_tensor(4, shape=(2,), override_num_blocks=1)
    ds.write_numpy(str(out), column="data")
    arrays = [np.load(path) for path in out.iterdir()]
    return {"files": files_under(out), "arrays": arrays}


def case_numpy_scalars(ray_data, tmp_path):
    out = tmp_path / "out"
    ray_data.range(3, override_num_blocks=1).write_numpy(str(out), column="id")
    return [np.load(path) for path in out.iterdir()]


def case_numpy_round_trip(ray_data, tmp_path):
    out = str(tmp_path / "out")
    ray_data.range_tensor(3, shape=(2,), override_num_blocks=1).write_numpy(out, column="data")
    return rows(ray_data.read_numpy(out))


def case_numpy_missing_column(ray_data, tmp_path):
    ds = ray_data.range(3)
    return error_of(lambda: ds.write_numpy(str(tmp_path / "out"), column="nope"), "nope")


def case_images(ray_data, tmp_path):
    out = tmp_path / "out"
    items = [{"image": np.full((4, 6, 3), i, dtype=np.uint8)} for i in range(3)]
    ray_data.from_items(items, override_num_blocks=1).write_images(str(out), "image")
    back = ray_data.read_images(str(out))
    return {"files": files_under(out), "back": unordered(r["image"] for r in back.take_all())}


def case_images_format(ray_data, tmp_path):
    out = tmp_path / "out"
    items = [{"image": np.zeros((4, 6, 3), dtype=np.uint8)}]
    ray_data.from_items(items).write_images(str(out), "image", file_format="jpeg")
    return files_under(out)


def case_pipeline_to_parquet(ray_data, tmp_path):
    out = str(tmp_path / "out")
    ds = ray_data.range(100, override_num_blocks=4)
    ds = ds.map_batches(lambda b: {"id": b["id"], "sq": b["id"] ** 2}).filter(
        lambda row: row["id"] % 10 == 0
    )
    ds.write_parquet(out)
    back = ray_data.read_parquet(out)
    return {"count": back.count(), "sum": back.sum("sq")}


def case_write_to_a_file_that_is_no_folder(ray_data, tmp_path):
    (tmp_path / "out").write_text("I am a file")
    return error_of(lambda: _table(ray_data).write_parquet(str(tmp_path / "out")))


def case_write_fails_in_the_function(ray_data, tmp_path):
    def fail(row):
        raise ValueError("not this row")

    ds = ray_data.range(3).map(fail)
    return error_of(lambda: ds.write_parquet(str(tmp_path / "out")), "not this row")


def case_write_objects_to_csv(ray_data, tmp_path):
    ds = ray_data.from_items([{"l": [1, 2]}])
    return error_of(lambda: ds.write_csv(str(tmp_path / "out")))


def case_round_trip_of_union(ray_data, tmp_path):
    out = str(tmp_path / "out")
    ray_data.range(3).union(ray_data.range(2)).write_csv(out)
    return ray_data.read_csv(out).count()
