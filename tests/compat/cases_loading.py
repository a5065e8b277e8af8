"""Programs of users that load data: formats, paths, partitions, objects in memory."""

import bz2
import gzip
import io
import json
import sqlite3

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from corpus import error_of, rows, sub
from PIL import Image


def _names_of(dataset, column="path"):
    return sorted(row[column].rsplit("/", 1)[-1] for row in dataset.take_all())


def case_partitioned_images(ray_data, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(2):
            Image.new("RGB", (4, 3), (i * 10, 20, 30)).save(tmp_path / label / f"{i}.png")
    partitioning = sub(ray_data, "datasource").Partitioning(
        "dir", field_names=["class"], base_dir=str(tmp_path)
    )
    ds = ray_data.read_images(str(tmp_path), partitioning=partitioning, size=(3, 4), mode="RGB")
    return {"schema": ds.schema(), "classes": sorted(r["class"] for r in ds.take_all())}


def case_images_of_two_sizes_filtered(ray_data, tmp_path):
    for i, size in enumerate([(4, 3), (8, 6), (4, 4)]):
        Image.new("L", size, i).save(tmp_path / f"{i}.png")
    ds = ray_data.read_images(str(tmp_path), include_paths=True)
    small = ds.filter(lambda row: row["image"].shape[0] < 5)
    return {
        "shapes": sorted(str(row["image"].shape) for row in ds.take_all()),
        "small": _names_of(small),
    }


def case_images_ignore_broken(ray_data, tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    ds = ray_data.read_images(str(tmp_path))
    return error_of(ds.take_all, "bad.jpg")


def case_text_lines_to_tokens(ray_data, tmp_path):
    (tmp_path / "a.txt").write_text("one two\n\nthree\n")
    ds = ray_data.read_text(str(tmp_path / "a.txt"), drop_empty_lines=False)
    return ds.map(lambda row: {"n": len(row["text"].split())}).take_all()


def case_text_with_windows_line_ends(ray_data, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\r\n\r\nthree")
    return ray_data.read_text(str(tmp_path / "a.txt")).take_all()


def case_text_latin1(ray_data, tmp_path):
    (tmp_path / "a.txt").write_bytes("grün\nblau\n".encode("latin-1"))
    return ray_data.read_text(str(tmp_path / "a.txt"), encoding="latin-1").take_all()


def case_gzip_text_by_stream_args(ray_data, tmp_path):
    with gzip.open(tmp_path / "a.log", "wt") as out:
        out.write("x\ny\n")
    ds = ray_data.read_text(str(tmp_path / "a.log"), arrow_open_stream_args={"compression": "gzip"})
    return ds.take_all()


def case_bz2_csv(ray_data, tmp_path):
    with bz2.open(tmp_path / "a.csv.bz2", "wt") as out:
        out.write("a,b\n1,2\n")
    return ray_data.read_csv(str(tmp_path / "a.csv.bz2")).take_all()


def case_csv_with_semicolons(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a;b\n1;x\n2;y\n")
    ds = ray_data.read_csv(str(tmp_path / "a.csv"), parse_options=pacsv.ParseOptions(delimiter=";"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_csv_bad_line_is_skipped(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n4,5\n")
    options = pacsv.ParseOptions(invalid_row_handler=lambda row: "skip")
    return ray_data.read_csv(str(tmp_path / "a.csv"), parse_options=options).take_all()


def case_csv_read_options_names(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4\n")
    options = pacsv.ReadOptions(column_names=["u", "v"])
    return ray_data.read_csv(str(tmp_path / "a.csv"), read_options=options).take_all()


def case_csv_skip_rows(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("# note\na,b\n3,4\n")
    options = pacsv.ReadOptions(skip_rows=1)
    return ray_data.read_csv(str(tmp_path / "a.csv"), read_options=options).take_all()


def case_csv_column_types_and_nulls(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\n1,NA,x\n2,3.5,\n")
    options = pacsv.ConvertOptions(
        column_types={"a": pa.int8(), "b": pa.float32()}, strings_can_be_null=True
    )
    ds = ray_data.read_csv(str(tmp_path / "a.csv"), convert_options=options)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_csv_include_columns(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\n1,2,3\n")
    options = pacsv.ConvertOptions(include_columns=["c", "a"])
    ds = ray_data.read_csv(str(tmp_path / "a.csv"), convert_options=options)
    return [ds.columns(), ds.take_all()]


def case_csv_partition_filter_on_year(ray_data, tmp_path):
    for year in (2019, 2020, 2021):
        (tmp_path / f"year={year}").mkdir()
        (tmp_path / f"year={year}" / "a.csv").write_text(f"v\n{year % 100}\n")
    ds = ray_data.read_csv(
        str(tmp_path),
        partition_filter=sub(ray_data, "datasource").PathPartitionFilter.of(
            lambda values: int(values["year"]) >= 2020, style="hive"
        ),
    )
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_json_nested(ray_data, tmp_path):
    records = [{"a": {"b": [1, 2], "c": None}, "d": "x"}, {"a": {"b": [], "c": 1.5}, "d": None}]
    (tmp_path / "a.json").write_text("\n".join(json.dumps(r) for r in records))
    ds = ray_data.read_json(str(tmp_path / "a.json"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_jsonl_extension(ray_data, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    return ray_data.read_json(str(tmp_path / "a.jsonl"), file_extensions=["jsonl"]).take_all()


def case_jsonl_extension_is_known(ray_data, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "b.txt").write_text('{"a": 2}\n')
    return ray_data.read_json(str(tmp_path)).take_all()


def case_json_of_mixed_types(ray_data, tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}\n{"a": "x"}\n')
    return error_of(ray_data.read_json(str(tmp_path / "a.json")).take_all)


def case_binary_files_to_lengths(ray_data, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.bin").write_bytes(b"x" * (i + 1))
    ds = ray_data.read_binary_files(str(tmp_path), include_paths=True)
    sizes = ds.map(lambda row: {"name": row["path"].rsplit("/", 1)[-1], "n": len(row["bytes"])})
    return rows(sizes)


def case_numpy_files_with_paths(ray_data, tmp_path):
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", np.full((2, 3), i))
    ds = ray_data.read_numpy(str(tmp_path), include_paths=True)
    return {"schema": ds.schema(), "names": _names_of(ds)}


def case_parquet_tensor_column_schema(ray_data, tmp_path):
    table = pa.table({"t": [np.arange(4, dtype=np.int32).tobytes() for _ in range(2)], "i": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet")
    ds = ray_data.read_parquet(
        str(tmp_path / "a.parquet"), tensor_column_schema={"t": (np.int32, (2, 2))}
    )
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_parquet_block_udf(ray_data, tmp_path):
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "a.parquet")
    ds = ray_data.read_parquet(
        str(tmp_path), _block_udf=lambda block: block.append_column("b", block["a"])
    )
    return rows(ds)


def case_parquet_dataset_kwargs(ray_data, tmp_path):
    pq.write_table(pa.table({"k": [1, 2, 3]}), tmp_path / "a.parquet")
    ds = ray_data.read_parquet(str(tmp_path), use_threads=False)
    return ds.sum("k")


def case_parquet_schema_argument(ray_data, tmp_path):
    pq.write_table(pa.table({"k": [1, 2, 3]}), tmp_path / "a.parquet")
    schema = pa.schema([("k", pa.int32()), ("z", pa.string())])
    ds = ray_data.read_parquet(str(tmp_path), schema=schema)
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_parquet_dictionary_and_decimal(ray_data, tmp_path):
    table = pa.table(
        {
            "d": pa.array(["a", "b", "a"]).dictionary_encode(),
            "n": pa.array([1, 2, None]).cast(pa.decimal128(20, 0)),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    ds = ray_data.read_parquet(str(tmp_path))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_several_frames(ray_data, tmp_path):
    frames = [pd.DataFrame({"x": [i], "y": [str(i)]}) for i in range(3)]
    ds = ray_data.from_pandas(frames)
    return {"blocks": ds.num_blocks(), "schema": ds.schema(), "rows": ds.take_all()}


def case_from_frame_with_objects(ray_data, tmp_path):
    frame = pd.DataFrame({"x": [{"a": 1}, {"a": 2}], "y": [[1], [2, 3]], "z": [None, "t"]})
    ds = ray_data.from_pandas(frame)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_from_frame_with_datetimes(ray_data, tmp_path):
    frame = pd.DataFrame(
        {"t": pd.to_datetime(["2024-01-01", None]), "k": pd.Categorical(["a", "b"])}
    )
    ds = ray_data.from_pandas(frame)
    inside = ds.map_batches(lambda f: {"t": [str(t) for t in f.dtypes]}, batch_format="pandas")
    return {
        "names": ds.schema().names,
        "rows": ds.take_all(),
        "back": ds.to_pandas(),
        "inside": inside.take_all(),
    }


def case_dictionary_columns_are_categories(ray_data, tmp_path):
    table = pa.table({"d": pa.array(["a", "b", None]).dictionary_encode(), "o": [1, 2, 3]})
    ds = ray_data.from_arrow(table)
    return [ds.to_pandas(), ds.take_batch(2), ds.take_batch(2, batch_format="pandas")]


def case_from_items_then_schema(ray_data, tmp_path):
    ds = ray_data.from_items([{"food": "spam", "price": 9.34}, {"food": "ham", "price": 5.37}])
    return {"schema": ds.schema(), "types": ds.schema().types, "repr": repr(ds)}


def case_from_numpy_images(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.zeros((4, 2, 2, 3), np.uint8))
    return {"schema": ds.schema(), "batch": ds.take_batch(2)}


def case_from_arrow_list_of_tables(ray_data, tmp_path):
    tables = [pa.table({"a": [1]}), pa.table({"a": [2]})]
    return ray_data.from_arrow(tables).take_all()


def case_from_torch_items(ray_data, tmp_path):
    import torch

    dataset = torch.utils.data.TensorDataset(torch.arange(4.0), torch.arange(4))
    ds = ray_data.from_torch(dataset)
    return [len(row["item"]) for row in ds.take_all()]


def case_from_torch_iterable(ray_data, tmp_path):
    import torch

    class Numbers(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter([1, 2, 3])

    return ray_data.from_torch(Numbers()).take_all()


def case_sql_with_chunks(ray_data, tmp_path):
    path = str(tmp_path / "a.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE movie(title, year, score)")
        connection.executemany(
            "INSERT INTO movie VALUES (?, ?, ?)",
            [("Holy Grail", 1975, 8.2), ("Parrot", 1971, 7.5), ("Brian", 1979, None)],
        )
    ds = ray_data.read_sql(
        "SELECT title, score FROM movie WHERE year >= 1975", lambda: sqlite3.connect(path)
    )
    grouped = ray_data.read_sql(
        "SELECT year / 10 AS decade, COUNT(*) AS n FROM movie GROUP BY decade",
        lambda: sqlite3.connect(path),
    )
    return {"rows": rows(ds), "schema": ds.schema(), "groups": rows(grouped)}


def case_fsspec_filesystem(ray_data, tmp_path):
    import fsspec

    (tmp_path / "a.csv").write_text("a\n1\n")
    return ray_data.read_csv(
        str(tmp_path / "a.csv"), filesystem=fsspec.filesystem("file")
    ).take_all()


def case_webdataset_of_images(ray_data, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for i in range(2):
            for ext, data in (("cls", str(i).encode()), ("txt", b"text"), ("json", b'{"k": 1}')):
                info = tarfile.TarInfo(f"{i:03}.{ext}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    ds = ray_data.read_webdataset(str(tmp_path / "a.tar"))
    return {"columns": ds.columns(), "rows": ds.drop_columns(["__url__"]).take_all()}


def case_many_csv_into_blocks(ray_data, tmp_path):
    for i in range(6):
        (tmp_path / f"{i}.csv").write_text(f"a\n{i}\n")
    ds = ray_data.read_csv(str(tmp_path), override_num_blocks=3)
    return {"blocks": ds.materialize().num_blocks(), "sum": ds.sum("a")}


def case_range_override_blocks_then_repartition(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=5)
    return [ds.materialize().num_blocks(), ds.repartition(3).materialize().num_blocks()]


def case_range_tensor_of_images(ray_data, tmp_path):
    ds = ray_data.range_tensor(4, shape=(2, 3))
    return {"schema": ds.schema(), "last": ds.take_all()[-1]}


def case_read_parquet_shuffled(ray_data, tmp_path):
    for i in range(5):
        pq.write_table(pa.table({"a": [i]}), tmp_path / f"{i}.parquet")
    config = ray_data.FileShuffleConfig(seed=3)
    first = ray_data.read_parquet(str(tmp_path), shuffle=config).take_all()
    return {"rows": len(first), "sum": sum(row["a"] for row in first)}


def case_file_shuffle_forms(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    return [
        error_of(lambda shuffle=shuffle: ray_data.read_csv(str(tmp_path), shuffle=shuffle).count())
        for shuffle in ("files", None, "rows", 3)
    ]
