"""Forms of paths for reading and writing."""

import gzip
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from corpus import error_of, files_under, rows, unordered


def _csv(path, value=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"v\n{value}\n")


def case_path_objects(ray_data, tmp_path):
    _csv(tmp_path / "a.csv")
    (tmp_path / "b.txt").write_text("x\n")
    np.save(tmp_path / "c.npy", np.ones(1))
    return {
        "csv": rows(ray_data.read_csv(pathlib.Path(tmp_path / "a.csv"))),
        "list": rows(ray_data.read_csv([tmp_path / "a.csv"])),
        "text": rows(ray_data.read_text(tmp_path / "b.txt")),
        "numpy": rows(ray_data.read_numpy(tmp_path / "c.npy")),
    }


def case_write_to_path_object(ray_data, tmp_path):
    found = error_of(lambda: ray_data.range(2, override_num_blocks=1).write_csv(tmp_path / "out"))
    return {"result": found, "files": files_under(tmp_path)}


def case_spaces_and_signs(ray_data, tmp_path):
    names = ["a b.csv", "c%20d.csv", "e#f.csv", "g+h.csv", "ключ.csv", "i=j.csv", "k,l.csv"]
    found = {}
    for name in names:
        _csv(tmp_path / "x" / name)
        path = str(tmp_path / "x" / name)
        found[name] = error_of(lambda path=path: rows(ray_data.read_csv(path)))
    return found


def case_folder_with_spaces(ray_data, tmp_path):
    folder = tmp_path / "my data"
    _csv(folder / "a.csv")
    ray_data.read_csv(str(folder)).write_parquet(str(tmp_path / "my out"))
    return rows(ray_data.read_parquet(str(tmp_path / "my out")))


def case_trailing_slash(ray_data, tmp_path):
    _csv(tmp_path / "in" / "a.csv")
    return rows(ray_data.read_csv(f"{tmp_path}/in/"))


def case_double_slash(ray_data, tmp_path):
    _csv(tmp_path / "in" / "a.csv")
    return rows(ray_data.read_csv(f"{tmp_path}//in//a.csv"))


def case_file_url(ray_data, tmp_path):
    _csv(tmp_path / "in" / "a.csv")
    return rows(ray_data.read_csv(f"file://{tmp_path}/in"))


def case_symbolic_link(ray_data, tmp_path):
    _csv(tmp_path / "in" / "a.csv")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "b.csv").symlink_to(tmp_path / "in" / "a.csv")
    return {
        "folder": rows(ray_data.read_csv(str(tmp_path / "link"))),
        "file": rows(ray_data.read_csv(str(tmp_path / "b.csv"))),
    }


def case_hidden_files_and_folders(ray_data, tmp_path):
    _csv(tmp_path / "in" / "a.csv", 1)
    _csv(tmp_path / "in" / ".b.csv", 2)
    _csv(tmp_path / "in" / "_c.csv", 3)
    _csv(tmp_path / "in" / ".d" / "e.csv", 4)
    _csv(tmp_path / "in" / "_f" / "g.csv", 5)
    return rows(ray_data.read_csv(str(tmp_path / "in")))


def case_nested_folders(ray_data, tmp_path):
    for i, name in enumerate(["a.csv", "x/b.csv", "x/y/c.csv"]):
        _csv(tmp_path / "in" / name, i)
    return rows(ray_data.read_csv(str(tmp_path / "in")))


def case_files_and_folders_in_one_list(ray_data, tmp_path):
    _csv(tmp_path / "a.csv", 1)
    _csv(tmp_path / "in" / "b.csv", 2)
    return rows(ray_data.read_csv([str(tmp_path / "a.csv"), str(tmp_path / "in")]))


def case_same_file_twice(ray_data, tmp_path):
    _csv(tmp_path / "a.csv", 1)
    path = str(tmp_path / "a.csv")
    return rows(ray_data.read_csv([path, path]))


def case_same_parquet_twice(ray_data, tmp_path):
    pq.write_table(pa.table({"v": [1]}), tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    return error_of(lambda: ray_data.read_parquet([path, path]).count())


def case_extension_in_capitals(ray_data, tmp_path):
    (tmp_path / "a.JSON").write_text('{"a": 1}\n')
    return error_of(lambda: rows(ray_data.read_json(str(tmp_path))))


def case_file_of_another_extension_by_name(ray_data, tmp_path):
    (tmp_path / "a.data").write_text('{"a": 1}\n')
    return error_of(lambda: rows(ray_data.read_json(str(tmp_path / "a.data"))))


def case_compressed_by_extension(ray_data, tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("v\n1\n")
    with gzip.open(tmp_path / "b.txt.gz", "wt") as file:
        file.write("line\n")
    return {
        "csv": error_of(lambda: rows(ray_data.read_csv(str(tmp_path / "a.csv.gz")))),
        "text": error_of(lambda: rows(ray_data.read_text(str(tmp_path / "b.txt.gz")))),
    }


def case_file_extensions_forms(ray_data, tmp_path):
    _csv(tmp_path / "in" / "a.csv", 1)
    _csv(tmp_path / "in" / "b.tsv", 2)
    path = str(tmp_path / "in")
    return {
        "plain": rows(ray_data.read_csv(path, file_extensions=["csv"])),
        "dotted": error_of(lambda: rows(ray_data.read_csv(path, file_extensions=[".csv"]))),
        "two": rows(ray_data.read_csv(path, file_extensions=["csv", "tsv"])),
        "none_there": error_of(lambda: rows(ray_data.read_csv(path, file_extensions=["xml"]))),
    }


def case_include_paths_is_the_given_path(ray_data, tmp_path):
    _csv(tmp_path / "a.csv")
    row = ray_data.read_csv(str(tmp_path / "a.csv"), include_paths=True).take(1)[0]
    return row["path"] == str(tmp_path / "a.csv")


def case_input_files_are_full_paths(ray_data, tmp_path):
    _csv(tmp_path / "a.csv")
    ds = ray_data.read_csv(str(tmp_path / "a.csv"))
    return ds.input_files() == [str(tmp_path / "a.csv")]


def case_hive_of_several_levels(ray_data, tmp_path):
    from corpus import sub

    partitioning = sub(ray_data, "datasource").Partitioning
    for year, month in ((2023, 12), (2024, 1)):
        _csv(tmp_path / "t" / f"year={year}" / f"month={month:02}" / "a.csv", year)
    path = str(tmp_path / "t")
    typed = partitioning("hive", field_types={"year": int, "month": int})
    return {
        "text": rows(ray_data.read_csv(path, partitioning=partitioning("hive"))),
        "typed": rows(ray_data.read_csv(path, partitioning=typed)),
        "none": rows(ray_data.read_csv(path)),
    }


def case_hive_of_text_and_binary(ray_data, tmp_path):
    from corpus import sub

    partitioning = sub(ray_data, "datasource").Partitioning
    folder = tmp_path / "t" / "lang=fr"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("bonjour\n")
    path = str(tmp_path / "t")
    return {
        "text": rows(ray_data.read_text(path, partitioning=partitioning("hive"))),
        "binary": rows(ray_data.read_binary_files(path, partitioning=partitioning("hive"))),
    }


def case_hive_with_percent_and_null(ray_data, tmp_path):
    from corpus import sub

    partitioning = sub(ray_data, "datasource").Partitioning
    _csv(tmp_path / "t" / "k=a b" / "a.csv")
    return rows(ray_data.read_csv(str(tmp_path / "t"), partitioning=partitioning("hive")))


def case_partition_parser(ray_data, tmp_path):
    from corpus import sub

    datasource = sub(ray_data, "datasource")
    hive = datasource.PathPartitionParser.of(style=datasource.PartitionStyle.HIVE)
    folders = datasource.PathPartitionParser.of(
        style=datasource.PartitionStyle.DIRECTORY, base_dir="/data", field_names=["a", "b"]
    )
    return {
        "hive": hive("/data/x=1/y=2/file.csv"),
        "none": hive("/data/file.csv"),
        "folders": folders("/data/1/2/file.csv"),
        "wrong": error_of(lambda: folders("/data/1/file.csv")),
    }


def case_partition_filter_on_csv(ray_data, tmp_path):
    from corpus import sub

    datasource = sub(ray_data, "datasource")
    for year in (2023, 2024):
        _csv(tmp_path / "t" / f"year={year}" / "a.csv", year)
    chosen = datasource.PathPartitionFilter.of(lambda values: values["year"] == "2024")
    return rows(
        ray_data.read_csv(
            str(tmp_path / "t"),
            partition_filter=chosen,
            partitioning=datasource.Partitioning("hive"),
        )
    )


def case_file_that_is_a_folder_for_parquet(ray_data, tmp_path):
    folder = tmp_path / "table.parquet"
    folder.mkdir()
    pq.write_table(pa.table({"v": [1, 2]}), folder / "part-0.parquet")
    return rows(ray_data.read_parquet(str(folder)))


def case_unreadable_file(ray_data, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").symlink_to(tmp_path / "gone.csv")
    return error_of(lambda: ray_data.read_csv(str(tmp_path / "in" / "a.csv")).take_all())


def case_many_small_files(ray_data, tmp_path):
    for i in range(60):
        _csv(tmp_path / "in" / f"{i:03}.csv", i)
    ds = ray_data.read_csv(str(tmp_path / "in"))
    return {"count": ds.count(), "sum": ds.sum("v"), "max": ds.max("v")}


def case_names_of_files_in_rows(ray_data, tmp_path):
    for i in range(3):
        _csv(tmp_path / "in" / f"{i}.csv", i)
    ds = ray_data.read_csv(str(tmp_path / "in"), include_paths=True)
    return unordered([row["v"], os.path.basename(row["path"])] for row in ds.take_all())


def case_write_names_differ_between_writes(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds.write_json(str(tmp_path / "out"))
    ds.write_json(str(tmp_path / "out"))
    return files_under(tmp_path / "out")


def case_modes_of_csv(ray_data, tmp_path):
    mode = ray_data.SaveMode
    out = str(tmp_path / "out")
    ds = ray_data.range(2, override_num_blocks=1)
    ds.write_csv(out)
    counts = {}
    for name in ("APPEND", "IGNORE", "OVERWRITE"):
        ds.write_csv(out, mode=getattr(mode, name))
        counts[name] = ray_data.read_csv(out).count()
    counts["ERROR"] = error_of(lambda: ds.write_csv(out, mode=mode.ERROR))
    return counts


def case_mode_error_on_a_new_path(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds.write_csv(str(tmp_path / "out"), mode=ray_data.SaveMode.ERROR)
    return files_under(tmp_path / "out")


def case_mode_as_text(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    return error_of(lambda: ds.write_parquet(str(tmp_path / "out"), mode="overwrite"))
