"""Programs of users that look at data, iterate over it, split it and save it."""

import glob
import json
import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from corpus import error_of, files_under, rows, stdout_of, sub


def _iris(ray_data):
    return ray_data.from_items(
        [{"id": i, "width": i * 0.5, "kind": "ab"[i % 2]} for i in range(10)],
        override_num_blocks=2,
    )


def case_schema_parts(ray_data, tmp_path):
    schema = _iris(ray_data).schema()
    return {
        "names": schema.names,
        "types": schema.types,
        "base": type(schema.base_schema).__name__,
        "text": str(schema),
        "equal": schema == _iris(ray_data).schema(),
    }


def case_show_prints_rows(ray_data, tmp_path):
    return stdout_of(lambda: _iris(ray_data).show(3))


def case_take_more(ray_data, tmp_path):
    ds = _iris(ray_data)
    return [len(ds.take(100)), len(ds.take()), error_of(lambda: ds.take_all(limit=3), "3")]


def case_take_batch_formats(ray_data, tmp_path):
    ds = _iris(ray_data)
    return [ds.take_batch(2, batch_format=name) for name in ("numpy", "pandas", "pyarrow")]


def case_stats_text(ray_data, tmp_path):
    ds = _iris(ray_data).map_batches(lambda b: b).materialize()
    text = ds.stats()
    return {
        "type": type(text).__name__,
        "map": "MapBatches" in text,
        "operator": "Operator" in text,
    }


def case_num_blocks_of_lazy(ray_data, tmp_path):
    ds = _iris(ray_data)
    return [ds.num_blocks(), error_of(lambda: ds.map(lambda r: r).num_blocks())]


def case_size_bytes_of_materialized(ray_data, tmp_path):
    ds = ray_data.range(100).materialize()
    return [ds.size_bytes(), type(ds.size_bytes()).__name__, ds.count()]


def case_input_files_after_transform(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "b.csv").write_text("a\n2\n")
    ds = ray_data.read_csv(str(tmp_path)).map(lambda row: row)
    return sorted(os.path.basename(name) for name in ds.input_files())


def case_columns_without_fetch(ray_data, tmp_path):
    ds = _iris(ray_data).map(lambda row: row)
    return [ds.columns(fetch_if_missing=False), ds.columns()]


def case_iterate_rows_enumerate(ray_data, tmp_path):
    return [(i, row["id"]) for i, row in enumerate(_iris(ray_data).iter_rows())][:3]


def case_iterate_with_zip_of_two(ray_data, tmp_path):
    ds = _iris(ray_data)
    return sum(a["id"] * b["id"] for a, b in zip(ds.iter_rows(), ds.iter_rows(), strict=True))


def case_iter_batches_prefetch_zero(ray_data, tmp_path):
    batches = _iris(ray_data).iter_batches(batch_size=4, prefetch_batches=0)
    return [len(batch["id"]) for batch in batches]


def case_iter_batches_default_type(ray_data, tmp_path):
    batch = next(iter(_iris(ray_data).iter_batches()))
    return {name: type(column).__name__ for name, column in batch.items()}


def case_torch_batches_mixed(ray_data, tmp_path):
    ds = _iris(ray_data).drop_columns(["kind"])
    return list(ds.iter_torch_batches(batch_size=5))


def case_torch_batches_with_text(ray_data, tmp_path):
    return error_of(lambda: next(iter(_iris(ray_data).iter_torch_batches(batch_size=5))))


def case_torch_collate_tuple(ray_data, tmp_path):
    import torch

    def collate(batch):
        return torch.as_tensor(batch["id"]), torch.as_tensor(batch["width"], dtype=torch.float16)

    ds = _iris(ray_data)
    return list(ds.iter_torch_batches(batch_size=6, collate_fn=collate, drop_last=True))


def case_torch_collate_class_numpy(ray_data, tmp_path):
    import torch

    base = sub(ray_data, "collate_fn").NumpyBatchCollateFn

    class Collate(base):
        def __call__(self, batch):
            return {"sum": torch.tensor(float(batch["width"].sum()))}

    return list(_iris(ray_data).iter_torch_batches(batch_size=5, collate_fn=Collate()))


def case_torch_collate_class_arrow(ray_data, tmp_path):
    import torch

    class Collate(sub(ray_data, "collate_fn").ArrowBatchCollateFn):
        def __call__(self, batch):
            return torch.tensor(batch.num_rows), sorted(batch.column_names)

    return list(_iris(ray_data).iter_torch_batches(batch_size=5, collate_fn=Collate()))


def case_torch_collate_class_pandas(ray_data, tmp_path):
    import torch

    class Collate(sub(ray_data, "collate_fn").PandasBatchCollateFn):
        def __call__(self, batch):
            return torch.tensor(batch["id"].to_numpy(dtype="int64"))

    return list(_iris(ray_data).iter_torch_batches(batch_size=5, collate_fn=Collate()))


def case_torch_training_epochs(ray_data, tmp_path):
    import torch

    torch.manual_seed(0)
    ds = ray_data.from_items([{"x": float(i), "y": 2.0 * i} for i in range(8)])
    weight = torch.zeros(1, requires_grad=True)
    for _ in range(2):
        for batch in ds.iter_torch_batches(batch_size=4, dtypes=torch.float32):
            loss = ((batch["x"] * weight - batch["y"]) ** 2).mean()
            loss.backward()
            with torch.no_grad():
                weight -= 0.01 * weight.grad
                weight.grad.zero_()
    return round(float(weight), 5)


def case_jax_and_tf_without_them(ray_data, tmp_path):
    ds = ray_data.range(4)
    return [
        error_of(lambda: list(ds.iter_jax_batches()), "jax"),
        error_of(lambda: list(ds.iter_tf_batches()), "tensorflow"),
        error_of(lambda: ds.to_tf("id", "id"), "tensorflow"),
    ]


def case_materialize_once(ray_data, tmp_path):
    log = tmp_path / "calls"

    def note(row):
        with open(log, "a") as out:
            out.write("x")
        return row

    ds = ray_data.range(5).map(note).materialize()
    ds.count()
    ds.take_all()
    return len(log.read_text())


def case_to_pandas_with_strings(ray_data, tmp_path):
    return _iris(ray_data).limit(3).to_pandas()


def case_to_pandas_too_many(ray_data, tmp_path):
    return error_of(lambda: _iris(ray_data).to_pandas(limit=3), "3", "limit")


def case_train_test_split_sizes(ray_data, tmp_path):
    ds = ray_data.range(8)
    pairs = [
        ds.train_test_split(0.25),
        ds.train_test_split(3),
        ds.train_test_split(0.5, shuffle=True, seed=1),
    ]
    return [[part.count() for part in pair] for pair in pairs]


def case_train_test_split_rows(ray_data, tmp_path):
    train, test = ray_data.range(8).train_test_split(test_size=0.25)
    return [train.take_all(), test.take_all(), type(train).__name__]


def case_split_equal(ray_data, tmp_path):
    parts = ray_data.range(10).split(3, equal=True)
    return [part.count() for part in parts]


def case_split_proportions(ray_data, tmp_path):
    parts = ray_data.range(10).split_proportionately([0.2, 0.5])
    return [[row["id"] for row in part.take_all()] for part in parts]


def case_split_at_positions(ray_data, tmp_path):
    return [part.take_all() for part in ray_data.range(6).split_at_indices([2, 4])]


def case_streaming_split_in_threads(ray_data, tmp_path):
    import threading

    shards = ray_data.range(20).streaming_split(2, equal=True)
    found = [[], []]

    def consume(i):
        for batch in shards[i].iter_batches(batch_size=3):
            found[i] += batch["id"].tolist()

    threads = [threading.Thread(target=consume, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [len(found[0]), len(found[1]), sorted(found[0] + found[1])]


def case_data_iterator_surface(ray_data, tmp_path):
    iterator = _iris(ray_data).iterator()
    return {
        "schema": iterator.schema(),
        "context": type(iterator.get_context()).__name__,
        "rows": len(list(iterator.iter_rows())),
        "class": isinstance(iterator, ray_data.DataIterator),
        "materialized": iterator.materialize().count(),
        "repr": repr(iterator).split("(")[0],
    }


def case_save_parquet_partitions(ray_data, tmp_path):
    ds = _iris(ray_data)
    ds.write_parquet(str(tmp_path / "out"), partition_cols=["kind"])
    back = ray_data.read_parquet(str(tmp_path / "out"))
    return {
        "folders": sorted(os.listdir(tmp_path / "out")),
        "schema": back.schema(),
        "rows": rows(back),
    }


def case_save_csv_single_file(ray_data, tmp_path):
    _iris(ray_data).repartition(1).write_csv(str(tmp_path / "out"))
    (path,) = glob.glob(str(tmp_path / "out" / "*"))
    with open(path) as file:
        return file.read()


def case_save_csv_options(ray_data, tmp_path):
    import pyarrow.csv as pacsv

    ds = _iris(ray_data).repartition(1)

    def options():
        return {"write_options": pacsv.WriteOptions(include_header=False, delimiter="|")}

    ds.write_csv(str(tmp_path / "out"), arrow_csv_args_fn=options)
    (path,) = glob.glob(str(tmp_path / "out" / "*"))
    with open(path) as file:
        return file.readline()


def case_save_json_lines(ray_data, tmp_path):
    _iris(ray_data).repartition(1).write_json(str(tmp_path / "out"))
    (path,) = glob.glob(str(tmp_path / "out" / "*"))
    with open(path) as file:
        return [json.loads(line) for line in file]


def case_save_json_orient(ray_data, tmp_path):
    ds = ray_data.from_items([{"a": 1, "b": "é"}])
    ds.write_json(str(tmp_path / "out"), force_ascii=False)
    (path,) = glob.glob(str(tmp_path / "out" / "*"))
    with open(path, encoding="utf-8") as file:
        return file.read()


def case_save_numpy_column(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.arange(6).reshape(3, 2)).repartition(1)
    ds.write_numpy(str(tmp_path / "out"), column="data")
    (path,) = glob.glob(str(tmp_path / "out" / "*"))
    return np.load(path)


def case_save_images(ray_data, tmp_path):
    from PIL import Image

    ds = ray_data.from_numpy(np.full((2, 3, 4, 3), 7, np.uint8))
    ds.write_images(str(tmp_path / "out"), column="data", file_format="png")
    paths = sorted(glob.glob(str(tmp_path / "out" / "*")))
    return [np.asarray(Image.open(path)).shape for path in paths]


def case_save_with_own_names(ray_data, tmp_path):
    class Names(sub(ray_data, "datasource").FilenameProvider):
        def get_filename_for_task(self, write_uuid, task_index):
            return f"part-{task_index:03}.parquet"

    ds = ray_data.range(4, override_num_blocks=2)
    return error_of(lambda: ds.write_parquet(str(tmp_path / "out"), filename_provider=Names()))


def case_save_with_names_of_blocks(ray_data, tmp_path):
    class Names(sub(ray_data, "datasource").FilenameProvider):
        def get_filename_for_block(self, block, write_uuid, task_index, block_index):
            return f"part-{task_index:03}-{block_index}.csv"

        def get_filename_for_row(self, row, write_uuid, task_index, block_index, row_index):
            return f"{row['data'].sum()}.png"

    ray_data.range(4, override_num_blocks=2).write_csv(
        str(tmp_path / "out"), filename_provider=Names()
    )
    images = ray_data.from_numpy(np.stack([np.full((2, 2), i, np.uint8) for i in range(3)]))
    images.write_images(str(tmp_path / "img"), column="data", filename_provider=Names())
    names = [sorted(os.listdir(tmp_path / folder)) for folder in ("out", "img")]
    return [[name.split("_", 1)[1] for name in part] for part in names]


def case_save_modes(ray_data, tmp_path):
    ds = ray_data.range(4, override_num_blocks=1)
    out = str(tmp_path / "out")
    ds.write_parquet(out)
    ds.write_parquet(out, mode=ray_data.SaveMode.APPEND)
    counts = [ray_data.read_parquet(out).count()]
    ds.write_parquet(out, mode="overwrite")
    counts.append(ray_data.read_parquet(out).count())
    ds.write_parquet(out, mode="ignore")
    counts.append(ray_data.read_parquet(out).count())
    return [counts, error_of(lambda: ds.write_parquet(out, mode="error"), "exist")]


def case_save_rows_per_file(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=10)
    ds.write_parquet(str(tmp_path / "a"), min_rows_per_file=50)
    ds.write_csv(str(tmp_path / "b"), min_rows_per_file=100)
    return files_under(tmp_path)


def case_save_parquet_options(ray_data, tmp_path):
    ray_data.range(10, override_num_blocks=1).write_parquet(
        str(tmp_path / "out"),
        arrow_parquet_args_fn=lambda: {"compression": "gzip"},
        row_group_size=5,
    )
    (path,) = glob.glob(str(tmp_path / "out" / "*"))
    meta = pq.ParquetFile(path).metadata
    return [meta.num_row_groups, meta.row_group(0).column(0).compression]


def case_save_tfrecords_round_trip(ray_data, tmp_path):
    ds = ray_data.from_items([{"a": 1, "b": 1.5, "c": b"x"}, {"a": 2, "b": 2.5, "c": b"y"}])

    def run():
        ds.write_tfrecords(str(tmp_path / "out"))
        return True

    return error_of(run)


def case_save_sql(ray_data, tmp_path):
    import sqlite3

    path = str(tmp_path / "a.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE test(string, number)")
    ds = ray_data.from_items([{"string": "spam", "number": 0}, {"string": "ham", "number": 1}])
    ds.write_sql("INSERT INTO test VALUES(?, ?)", lambda: sqlite3.connect(path))
    with sqlite3.connect(path) as connection:
        return sorted(connection.execute("SELECT * FROM test"))


def case_refs_of_frames(ray_data, tmp_path):
    refs = ray_data.range(4, override_num_blocks=2).to_pandas_refs()
    return [len(refs), type(refs).__name__]


def case_iter_internal_refs(ray_data, tmp_path):
    bundles = list(ray_data.range(4, override_num_blocks=2).iter_internal_ref_bundles())
    return sum(bundle.num_rows() for bundle in bundles)


def case_unique_and_extremes(ray_data, tmp_path):
    ds = _iris(ray_data)
    return {
        "unique": sorted(ds.unique("kind")),
        "max": ds.max("width"),
        "min": ds.min(["id", "width"]),
        "mean": ds.mean("id"),
        "std": ds.std("id"),
        "sum": ds.sum("width"),
    }


def case_aggregate_several(ray_data, tmp_path):
    from_aggregate = sub(ray_data, "aggregate")
    ds = _iris(ray_data)
    return ds.aggregate(
        from_aggregate.Count(),
        from_aggregate.Sum("id"),
        from_aggregate.Mean("width", alias_name="w"),
        from_aggregate.Quantile("id", q=0.5),
        from_aggregate.CountDistinct("kind"),
    )


def case_name_and_repr(ray_data, tmp_path):
    ds = ray_data.range(3)
    ds.set_name("numbers")
    return [ds.name, repr(ds), repr(ray_data.range(3))]


def case_pickled_dataset(ray_data, tmp_path):
    import pickle

    ds = pickle.loads(pickle.dumps(ray_data.range(3)))
    return rows(ds)


def case_serialized_lineage(ray_data, tmp_path):
    ds = ray_data.range(5).map_batches(lambda b: {"x": b["id"] * 2})
    again = ray_data.Dataset.deserialize_lineage(ds.serialize_lineage())
    return [ds.has_serializable_lineage(), rows(again)]


def case_frames_to_disk_and_back(ray_data, tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    ray_data.from_pandas(frame).write_parquet(str(tmp_path / "out"))
    return ray_data.read_parquet(str(tmp_path / "out")).to_pandas()


def case_refs_of_tables(ray_data, tmp_path):
    ds = ray_data.from_arrow(pa.table({"a": [1, 2, 3]}))
    return [len(ds.to_arrow_refs()), len(ds.to_numpy_refs()), len(ds.get_internal_block_refs())]
