"""Reading files: formats, paths, options, errors."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet as pq
from corpus import error_of, rows, sub, unordered


def _parquet(path, start=0, n=3):
    table = pa.table(
        {
            "id": pa.array(range(start, start + n)),
            "name": [f"n{i}" for i in range(start, start + n)],
            "score": [i / 2 for i in range(start, start + n)],
        }
    )
    pq.write_table(table, path)


def _folder(tmp_path, files=2):
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(files):
        _parquet(folder / f"part-{i}.parquet", start=3 * i)
    return folder


def case_parquet_file(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet")
    ds = ray_data.read_parquet(str(tmp_path / "a.parquet"))
    return {"schema": ds.schema(), "count": ds.count(), "rows": ds.take_all()}


def case_parquet_folder(ray_data, tmp_path):
    ds = ray_data.read_parquet(str(_folder(tmp_path)))
    return {"count": ds.count(), "rows": rows(ds), "columns": ds.columns()}


def case_parquet_list_of_files(ray_data, tmp_path):
    folder = _folder(tmp_path, 3)
    paths = [str(folder / "part-0.parquet"), str(folder / "part-2.parquet")]
    return rows(ray_data.read_parquet(paths))


def case_parquet_file_url(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet")
    return rows(ray_data.read_parquet(f"file://{tmp_path}/a.parquet"))


def case_parquet_local_url(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet")
    return rows(ray_data.read_parquet(f"local://{tmp_path}/a.parquet"))


def case_parquet_path_object(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet")
    return error_of(lambda: rows(ray_data.read_parquet(tmp_path / "a.parquet")))


def case_parquet_file_system(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet")
    local = pyarrow.fs.LocalFileSystem()
    return rows(ray_data.read_parquet(str(tmp_path / "a.parquet"), filesystem=local))


def case_parquet_sub_tree_file_system(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet")
    tree = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    return rows(ray_data.read_parquet("a.parquet", filesystem=tree))


def case_parquet_columns(ray_data, tmp_path):
    ds = ray_data.read_parquet(str(_folder(tmp_path)), columns=["score", "id"])
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_parquet_columns_empty(ray_data, tmp_path):
    folder = _folder(tmp_path)
    return error_of(lambda: ray_data.read_parquet(str(folder), columns=[]).count())


def case_parquet_filter_after(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.read_parquet(str(_folder(tmp_path))).filter(expr=col("id") >= 4)
    return {"rows": rows(ds), "count": ds.count()}


def case_parquet_filter_then_select(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.read_parquet(str(_folder(tmp_path)))
    ds = ds.filter(expr=(col("id") > 1) & (col("name") != "n4")).select_columns(["score"])
    return {"rows": rows(ds), "columns": ds.columns()}


def case_parquet_rename_then_filter(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.read_parquet(str(_folder(tmp_path))).rename_columns({"id": "key"})
    return rows(ds.filter(expr=col("key") > 3))


def case_parquet_include_paths(ray_data, tmp_path):
    ds = ray_data.read_parquet(str(_folder(tmp_path)), include_paths=True)
    names = [(row["id"], row["path"].rsplit("/", 1)[-1]) for row in ds.take_all()]
    return {"columns": ds.columns(), "names": unordered(names)}


def case_parquet_include_paths_with_columns(ray_data, tmp_path):
    folder = _folder(tmp_path)
    ds = ray_data.read_parquet(str(folder), include_paths=True, columns=["id"])
    return {"columns": ds.columns(), "count": ds.count()}


def case_parquet_count_needs_no_data(ray_data, tmp_path):
    ds = ray_data.read_parquet(str(_folder(tmp_path)))
    return [ds.count(), ds.limit(4).count(), ds.select_columns(["id"]).count()]


def case_parquet_override_num_blocks(ray_data, tmp_path):
    ds = ray_data.read_parquet(str(_folder(tmp_path)), override_num_blocks=2)
    return {"sum": ds.sum("id"), "count": ds.materialize().count()}


def case_parquet_concurrency(ray_data, tmp_path):
    return rows(ray_data.read_parquet(str(_folder(tmp_path)), concurrency=1))


def case_parquet_shuffle_files(ray_data, tmp_path):
    return rows(ray_data.read_parquet(str(_folder(tmp_path)), shuffle="files"))


def case_parquet_shuffle_bad(ray_data, tmp_path):
    folder = _folder(tmp_path)
    return error_of(lambda: ray_data.read_parquet(str(folder), shuffle="rows").take_all())


def case_parquet_hive(ray_data, tmp_path):
    for year in (2023, 2024):
        folder = tmp_path / "t" / f"year={year}" / "country=fr"
        folder.mkdir(parents=True)
        _parquet(folder / "a.parquet", start=year, n=2)
    ds = ray_data.read_parquet(str(tmp_path / "t"))
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_parquet_hive_select(ray_data, tmp_path):
    for year in (2023, 2024):
        folder = tmp_path / "t" / f"year={year}"
        folder.mkdir(parents=True)
        _parquet(folder / "a.parquet", n=2)
    ds = ray_data.read_parquet(str(tmp_path / "t"))
    return {
        "select": rows(ds.select_columns(["id", "year"])),
        "columns": error_of(
            lambda: rows(ray_data.read_parquet(str(tmp_path / "t"), columns=["id", "year"]))
        ),
    }


def case_parquet_hive_typed(ray_data, tmp_path):
    partitioning = sub(ray_data, "datasource").Partitioning
    folder = tmp_path / "t" / "year=2024"
    folder.mkdir(parents=True)
    _parquet(folder / "a.parquet", n=1)
    ds = ray_data.read_parquet(
        str(tmp_path / "t"),
        partitioning=partitioning("hive", field_types={"year": int}),
    )
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_parquet_partition_filter(ray_data, tmp_path):
    datasource = sub(ray_data, "datasource")
    for year in (2023, 2024):
        folder = tmp_path / "t" / f"year={year}"
        folder.mkdir(parents=True)
        _parquet(folder / "a.parquet", n=1, start=year)
    chosen = datasource.PathPartitionFilter.of(
        lambda values: values["year"] == "2024", style="hive"
    )
    ds = ray_data.read_parquet(str(tmp_path / "t"), partition_filter=chosen)
    return rows(ds)


def case_parquet_without_partitioning(ray_data, tmp_path):
    folder = tmp_path / "t" / "year=2024"
    folder.mkdir(parents=True)
    _parquet(folder / "a.parquet", n=1)
    ds = ray_data.read_parquet(str(tmp_path / "t"), partitioning=None)
    return ds.columns()


def case_parquet_other_files_are_skipped(ray_data, tmp_path):
    folder = _folder(tmp_path)
    (folder / "notes.txt").write_text("x")
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.parquet").write_text("not parquet")
    return rows(ray_data.read_parquet(str(folder)))


def case_parquet_file_extensions(ray_data, tmp_path):
    folder = _folder(tmp_path)
    _parquet(folder / "more.pq", start=100, n=1)
    return {
        "default": ray_data.read_parquet(str(folder)).count(),
        "pq": ray_data.read_parquet(str(folder), file_extensions=["pq"]).count(),
    }


def case_parquet_missing_path(ray_data, tmp_path):
    return error_of(lambda: ray_data.read_parquet(str(tmp_path / "nope")).take_all(), "nope")


def case_parquet_ignore_missing_paths(ray_data, tmp_path):
    folder = _folder(tmp_path)
    paths = [str(folder / "part-0.parquet"), str(folder / "nope.parquet")]
    return {
        "strict": error_of(lambda: ray_data.read_parquet(paths).count(), "nope"),
        "ignored": error_of(lambda: ray_data.read_csv(paths, ignore_missing_paths=True) and None),
    }


def case_parquet_empty_folder(ray_data, tmp_path):
    (tmp_path / "empty").mkdir()
    return error_of(lambda: ray_data.read_parquet(str(tmp_path / "empty")).take_all())


def case_parquet_empty_list(ray_data, tmp_path):
    return error_of(lambda: ray_data.read_parquet([]).take_all())


def case_parquet_bad_path_type(ray_data, tmp_path):
    return error_of(lambda: ray_data.read_parquet(5).take_all())


def case_parquet_corrupt(ray_data, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is not a parquet file")
    return error_of(lambda: ray_data.read_parquet(str(tmp_path / "bad.parquet")).take_all())


def case_parquet_no_rows(ray_data, tmp_path):
    _parquet(tmp_path / "a.parquet", n=0)
    ds = ray_data.read_parquet(str(tmp_path / "a.parquet"))
    return {"count": ds.count(), "rows": ds.take_all(), "columns": ds.columns()}


def case_parquet_nested_folders(ray_data, tmp_path):
    deep = tmp_path / "t" / "x" / "y"
    deep.mkdir(parents=True)
    _parquet(deep / "a.parquet", n=1)
    _parquet(tmp_path / "t" / "b.parquet", n=1, start=7)
    return rows(ray_data.read_parquet(str(tmp_path / "t")))


def case_parquet_two_folders(ray_data, tmp_path):
    for name in ("p", "q"):
        (tmp_path / name).mkdir()
        _parquet(tmp_path / name / "a.parquet", n=1)
    paths = [str(tmp_path / "p"), str(tmp_path / "q")]
    return error_of(lambda: ray_data.read_parquet(paths).count())


def case_parquet_nulls_and_types(ray_data, tmp_path):
    table = pa.table(
        {
            "n": pa.array([1, None], pa.int32()),
            "d": pa.array([None, 1], pa.date32()),
            "t": pa.array([0, None], pa.timestamp("us", tz="UTC")),
            "l": pa.array([[1, 2], None]),
            "s": pa.array([{"a": 1}, None]),
            "c": pa.array(["x", "y"]).dictionary_encode(),
            "dec": pa.array([1, None], pa.decimal128(6, 2)),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    ds = ray_data.read_parquet(str(tmp_path / "a.parquet"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_parquet_different_columns(ray_data, tmp_path):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [2]}), tmp_path / "2.parquet")
    return error_of(lambda: rows(ray_data.read_parquet(str(tmp_path))))


def case_parquet_tensor_column_schema(ray_data, tmp_path):
    ds = ray_data.range_tensor(3, shape=(2, 2))
    ds.write_parquet(str(tmp_path / "out"))
    back = ray_data.read_parquet(str(tmp_path / "out"))
    return {"schema": back.schema(), "rows": rows(back)}


def case_csv(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("id,name,score\n1,x,0.5\n2,y,1.5\n3,,\n")
    ds = ray_data.read_csv(str(tmp_path / "a.csv"))
    return {"schema": ds.schema(), "rows": ds.take_all(), "count": ds.count()}


def case_csv_types(ray_data, tmp_path):
    text = "i,f,b,d,t,s\n1,1.5,true,2024-01-02,2024-01-02 03:04:05,a b\n"
    (tmp_path / "a.csv").write_text(text)
    ds = ray_data.read_csv(str(tmp_path / "a.csv"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_csv_parse_options(ray_data, tmp_path):
    (tmp_path / "a.tsv").write_text("1\t'a\tb'\n2\tc\n")
    ds = ray_data.read_csv(
        str(tmp_path / "a.tsv"),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t", quote_char="'"),
        read_options=pyarrow.csv.ReadOptions(column_names=["n", "s"]),
    )
    return rows(ds)


def case_csv_convert_options(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    ds = ray_data.read_csv(
        str(tmp_path / "a.csv"),
        convert_options=pyarrow.csv.ConvertOptions(column_types={"a": pa.string()}),
    )
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_csv_compressed(ray_data, tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("a,b\n1,x\n")
    return rows(
        ray_data.read_csv(
            str(tmp_path / "a.csv.gz"), arrow_open_stream_args={"compression": "gzip"}
        )
    )


def case_csv_include_paths(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    ds = ray_data.read_csv(str(tmp_path / "a.csv"), include_paths=True)
    row = ds.take(1)[0]
    return {"columns": ds.columns(), "path": row["path"].rsplit("/", 1)[-1]}


def case_csv_folder_of_extensions(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "b.CSV").write_text("a\n2\n")
    (tmp_path / "c.txt").write_text("a\n3\n")
    return {
        "default": error_of(lambda: rows(ray_data.read_csv(str(tmp_path)))),
        "csv": rows(ray_data.read_csv(str(tmp_path), file_extensions=["csv"])),
    }


def case_csv_hive(ray_data, tmp_path):
    partitioning = sub(ray_data, "datasource").Partitioning
    for month in (1, 2):
        folder = tmp_path / f"month={month}"
        folder.mkdir()
        (folder / "a.csv").write_text(f"v\n{month * 10}\n")
    ds = ray_data.read_csv(str(tmp_path), partitioning=partitioning("hive"))
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_csv_directory_partitioning(ray_data, tmp_path):
    partitioning = sub(ray_data, "datasource").Partitioning
    for name in ("x", "y"):
        (tmp_path / "root" / name).mkdir(parents=True)
        (tmp_path / "root" / name / "a.csv").write_text("v\n1\n")
    ds = ray_data.read_csv(
        str(tmp_path / "root"),
        partitioning=partitioning("dir", field_names=["kind"], base_dir=str(tmp_path / "root")),
    )
    return rows(ds)


def case_csv_ignore_missing_paths(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    paths = [str(tmp_path / "a.csv"), str(tmp_path / "nope.csv")]
    return {
        "ignored": rows(ray_data.read_csv(paths, ignore_missing_paths=True)),
        "strict": error_of(lambda: ray_data.read_csv(paths).take_all(), "nope"),
    }


def case_csv_all_paths_missing(ray_data, tmp_path):
    path = str(tmp_path / "nope.csv")
    return error_of(lambda: ray_data.read_csv(path, ignore_missing_paths=True).take_all())


def case_csv_empty_file(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("")
    ds = ray_data.read_csv(str(tmp_path / "a.csv"))
    return error_of(lambda: ds.take_all())


def case_csv_header_only(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    ds = ray_data.read_csv(str(tmp_path / "a.csv"))
    return {"count": ds.count(), "rows": ds.take_all()}


def case_csv_ragged_line(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n")
    return error_of(lambda: ray_data.read_csv(str(tmp_path / "a.csv")).take_all())


def case_csv_many_files(ray_data, tmp_path):
    for i in range(12):
        (tmp_path / f"{i:02}.csv").write_text(f"v\n{i}\n{i + 100}\n")
    ds = ray_data.read_csv(str(tmp_path))
    return {"count": ds.count(), "sum": ds.sum("v"), "files": len(ds.input_files())}


def case_json_lines(ray_data, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n')
    ds = ray_data.read_json(str(tmp_path / "a.jsonl"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_json_array(ray_data, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"a": 1}, {"a": 2}]))
    return rows(ray_data.read_json(str(tmp_path / "a.json")))


def case_json_one_object(ray_data, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a": 1, "b": [1, 2], "c": {"d": "x"}}))
    ds = ray_data.read_json(str(tmp_path / "a.json"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_json_pretty_printed_array(ray_data, tmp_path):
    text = json.dumps([{"a": 1, "b": {"c": [1]}}, {"a": 2, "b": None}], indent=2)
    (tmp_path / "a.json").write_text(text)
    return rows(ray_data.read_json(str(tmp_path / "a.json")))


def case_json_lines_option(ray_data, tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}\n{"a": 2}\n')
    return rows(ray_data.read_json(str(tmp_path / "a.json"), lines=True))


def case_json_missing_fields(ray_data, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"b": 2}\n{"a": 3, "b": 4}\n')
    return ray_data.read_json(str(tmp_path / "a.jsonl")).take_all()


def case_json_dates_stay(ray_data, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"t": "2024-01-02T03:04:05", "n": "12"}\n')
    ds = ray_data.read_json(str(tmp_path / "a.jsonl"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_json_corrupt(ray_data, tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1')
    return error_of(lambda: ray_data.read_json(str(tmp_path / "a.json")).take_all())


def case_json_folder(ray_data, tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"a": 2}\n')
    (tmp_path / "c.txt").write_text("no")
    return rows(ray_data.read_json(str(tmp_path)))


def case_json_gzip(ray_data, tmp_path):
    with gzip.open(tmp_path / "a.json.gz", "wt") as file:
        file.write('{"a": 1}\n{"a": 2}\n')
    args = {"compression": "gzip"}
    return rows(ray_data.read_json(str(tmp_path / "a.json.gz"), arrow_open_stream_args=args))


def case_text(ray_data, tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree")
    ds = ray_data.read_text(str(tmp_path / "a.txt"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_text_keeps_empty_lines(ray_data, tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\r\n")
    path = str(tmp_path / "a.txt")
    return ray_data.read_text(path, drop_empty_lines=False).take_all()


def case_text_encoding(ray_data, tmp_path):
    (tmp_path / "a.txt").write_bytes("né\n".encode("latin-1"))
    return {
        "latin": ray_data.read_text(str(tmp_path / "a.txt"), encoding="latin-1").take_all(),
        "wrong": error_of(lambda: ray_data.read_text(str(tmp_path / "a.txt")).take_all()),
    }


def case_text_include_paths(ray_data, tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    ds = ray_data.read_text(str(tmp_path / "a.txt"), include_paths=True)
    row = ds.take(1)[0]
    return {"columns": list(row), "name": row["path"].rsplit("/", 1)[-1], "text": row["text"]}


def case_text_of_all_extensions(ray_data, tmp_path):
    for name in ("a.txt", "b.log", "c"):
        (tmp_path / name).write_text(name + "\n")
    return rows(ray_data.read_text(str(tmp_path)))


def case_binary_files(ray_data, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00\x01")
    (tmp_path / "b.bin").write_bytes(b"")
    ds = ray_data.read_binary_files(str(tmp_path))
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_binary_files_with_paths(ray_data, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"xyz")
    ds = ray_data.read_binary_files(str(tmp_path), include_paths=True)
    row = ds.take(1)[0]
    return {"columns": list(row), "name": row["path"].rsplit("/", 1)[-1], "bytes": row["bytes"]}


def case_binary_files_are_one_row_each(ray_data, tmp_path):
    for i in range(20):
        (tmp_path / f"{i}.bin").write_bytes(bytes([i]) * 10)
    ds = ray_data.read_binary_files(str(tmp_path), override_num_blocks=3)
    return {"count": ds.count(), "total": ds.map(lambda r: {"n": len(r["bytes"])}).sum("n")}


def case_numpy_files(ray_data, tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4).reshape(2, 2))
    ds = ray_data.read_numpy(str(tmp_path / "a.npy"))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_numpy_files_one_dimension(ray_data, tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3, dtype=np.float32))
    np.save(tmp_path / "b.npy", np.arange(2, dtype=np.float32))
    ds = ray_data.read_numpy(str(tmp_path))
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_numpy_file_corrupt(ray_data, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing")
    return error_of(lambda: ray_data.read_numpy(str(tmp_path / "a.npy")).take_all())


def case_read_then_transform(ray_data, tmp_path):
    df = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})
    df.to_csv(tmp_path / "a.csv", index=False)

    def ratio(batch):
        batch = dict(batch)
        batch["ratio"] = batch["y"] / batch["x"]
        return batch

    ds = ray_data.read_csv(str(tmp_path / "a.csv")).map_batches(ratio)
    return {"rows": rows(ds), "mean": ds.mean("ratio")}


def case_missing_paths_of_formats(ray_data, tmp_path):
    path = str(tmp_path / "nope")
    names = ["read_csv", "read_json", "read_text", "read_binary_files", "read_numpy", "read_images"]
    return {
        name: error_of(lambda name=name: getattr(ray_data, name)(path).take_all(), "nope")
        for name in names
    }


def case_empty_folder_of_formats(ray_data, tmp_path):
    (tmp_path / "empty").mkdir()
    path = str(tmp_path / "empty")
    names = ["read_csv", "read_json", "read_text", "read_binary_files", "read_numpy", "read_images"]
    return {
        name: error_of(lambda name=name: getattr(ray_data, name)(path).take_all()) for name in names
    }
