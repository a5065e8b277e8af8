"""Reading and writing files, sources and sinks of the user."""

from __future__ import annotations

import csv
import json
import os
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import headrace
from headrace.block import Block, BlockMetadata
from headrace.datasource import (
    BlockBasedFileDatasink,
    Datasink,
    Datasource,
    FileBasedDatasource,
    FilenameProvider,
    FileShuffleConfig,
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
    ReadTask,
    RowBasedFileDatasink,
    WriteResult,
)


def _sorted(dataset: Any, key: str) -> list[dict[str, Any]]:
    return sorted(dataset.take_all(), key=lambda row: row[key])


# ---- Which files ----------------------------------------------------------------------------


def test_files_directories_globs_and_lists(table_dir: Path) -> None:
    one = str(table_dir / "part-0.parquet")
    assert headrace.read_parquet(one).count() == 10
    assert headrace.read_parquet(str(table_dir)).count() == 30
    assert headrace.read_parquet(str(table_dir / "part-[12].parquet")).count() == 20
    assert headrace.read_parquet([one, str(table_dir / "part-1.parquet")]).count() == 20
    assert headrace.read_parquet("file://" + one).count() == 10


def test_hidden_files_are_skipped(table_dir: Path) -> None:
    (table_dir / "_SUCCESS").write_text("")
    (table_dir / ".part.parquet").write_text("no parquet")
    assert headrace.read_parquet(str(table_dir)).count() == 30


@pytest.mark.parametrize("read", ["read_parquet", "read_csv", "read_text", "read_images"])
def test_missing_paths_and_empty_directories(read: str, tmp_path: Path) -> None:
    make = getattr(headrace, read)
    with pytest.raises(FileNotFoundError, match="there-is-none"):
        make(str(tmp_path / "there-is-none"))
    with pytest.raises(ValueError, match=r"[Nn]o (input )?files found"):
        make(str(tmp_path))
    with pytest.raises(ValueError, match="at least one path"):
        make([])
    with pytest.raises(ValueError, match="paths must be"):
        make(3)


def test_missing_paths_can_be_ignored(table_dir: Path) -> None:
    paths = [str(table_dir / "part-0.parquet"), str(table_dir / "none.parquet")]
    assert headrace.read_parquet(paths, ignore_missing_paths=True).count() == 10


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is none")
    with pytest.raises((OSError, ValueError), match=r"bad\.parquet"):
        headrace.read_parquet(str(tmp_path)).take_all()


def test_shuffled_files_keep_their_rows(table_dir: Path) -> None:
    config = FileShuffleConfig(seed=3, reseed_after_execution=False)
    first = headrace.read_parquet(str(table_dir), shuffle=config).take_all()
    assert sorted(row["i"] for row in first) == list(range(30))
    with pytest.raises(ValueError, match="shuffle"):
        headrace.read_parquet(str(table_dir), shuffle="rows")


def test_include_paths_and_input_files(table_dir: Path) -> None:
    ds = headrace.read_parquet(str(table_dir), include_paths=True)
    assert {os.path.basename(row["path"]) for row in ds.take_all()} == {
        "part-0.parquet",
        "part-1.parquet",
        "part-2.parquet",
    }
    assert len(ds.input_files()) == 3


def test_hive_columns_and_partition_filters(tmp_path: Path) -> None:
    ds = headrace.from_items([{"v": i, "k": "ab"[i % 2]} for i in range(6)])
    ds.write_parquet(str(tmp_path / "out"), partition_cols=["k"])
    back = headrace.read_parquet(str(tmp_path / "out"))
    assert _sorted(back, "v") == [{"v": i, "k": "ab"[i % 2]} for i in range(6)]
    only_a = headrace.read_parquet(
        str(tmp_path / "out"), partition_filter=PathPartitionFilter.of(lambda v: v["k"] == "a")
    )
    assert [row["v"] for row in _sorted(only_a, "v")] == [0, 2, 4]


def test_values_are_parsed_off_paths() -> None:
    hive = PathPartitionParser.of(PartitionStyle.HIVE, field_types={"month": int})
    assert hive("/base/year=2020/month=1/x.csv") == {"year": "2020", "month": 1}
    assert hive("/base/x.csv") == {}
    directory = PathPartitionParser.of(
        PartitionStyle.DIRECTORY, base_dir="/base", field_names=["year", "month"]
    )
    assert directory("/base/2020/1/x.csv") == {"year": "2020", "month": "1"}
    assert directory("/other/2020/1/x.csv") == {}
    with pytest.raises(ValueError, match="partition value"):
        directory("/base/2020/x.csv")
    with pytest.raises(ValueError, match="field_names"):
        PathPartitionParser(Partitioning(PartitionStyle.DIRECTORY))


def test_directories_without_names_become_columns(tmp_path: Path) -> None:
    for kind in ("x", "y"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "a.csv").write_text("v\n1\n")
    ds = headrace.read_csv(
        str(tmp_path),
        partitioning=Partitioning(
            PartitionStyle.DIRECTORY, base_dir=str(tmp_path), field_names=["kind"]
        ),
    )
    assert _sorted(ds, "kind") == [{"v": 1, "kind": "x"}, {"v": 1, "kind": "y"}]


# ---- Formats --------------------------------------------------------------------------------


def test_csv_options_reach_the_reader(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n01;2\n")
    ds = headrace.read_csv(
        str(tmp_path),
        parse_options=pacsv.ParseOptions(delimiter=";"),
        convert_options=pacsv.ConvertOptions(column_types={"a": pa.string()}),
    )
    assert ds.take_all() == [{"a": "01", "b": 2}]
    with pytest.raises(ValueError, match="no_such"):
        headrace.read_csv(str(tmp_path), no_such=1)


def test_json_lines_and_arrays(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}, {"a": 2}]')
    (tmp_path / "b.jsonl").write_text('{"a": 3}\n{"a": 4}\n')
    assert [r["a"] for r in _sorted(headrace.read_json(str(tmp_path)), "a")] == [1, 2, 3, 4]


def test_numpy_files_with_objects_need_leave(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    ds = headrace.read_numpy(str(tmp_path), allow_pickle=True)
    assert [row["data"] for row in ds.take_all()] == [{"a": 1}, None]


def test_images_resize_convert_and_write(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, value in (("a.png", 10), ("b.png", 200)):
        image.fromarray(np.full((8, 6, 3), value, np.uint8)).save(tmp_path / name)
    ds = headrace.read_images(str(tmp_path), size=(4, 5), mode="L", include_paths=True)
    rows = _sorted(ds, "path")
    assert [row["image"].shape for row in rows] == [(4, 5), (4, 5)]
    assert [int(row["image"].mean()) for row in rows] == [10, 200]
    ds.write_images(str(tmp_path / "out"), "image")
    back = headrace.read_images(str(tmp_path / "out"))
    assert sorted(int(row["image"].mean()) for row in back.take_all()) == [10, 200]
    with pytest.raises(ValueError, match="two integers"):
        headrace.read_images(str(tmp_path), size=(4,))


# ---- Writing --------------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = [{"i": i, "s": f"<{i}>", "f": i / 2} for i in range(20)]
    ds = headrace.from_items(rows, override_num_blocks=3)
    ds.write_parquet(str(tmp_path / "parquet"))
    ds.write_csv(str(tmp_path / "csv"))
    ds.write_json(str(tmp_path / "json"))
    assert _sorted(headrace.read_parquet(str(tmp_path / "parquet")), "i") == rows
    assert _sorted(headrace.read_csv(str(tmp_path / "csv")), "i") == rows
    lines = [
        json.loads(line)
        for path in (tmp_path / "json").iterdir()
        for line in path.read_text().splitlines()
    ]
    assert sorted(lines, key=lambda row: row["i"]) == rows
    header = next(csv.reader(next((tmp_path / "csv").iterdir()).open()))
    assert header == ["i", "s", "f"]


def test_modes_of_writing(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    headrace.range(3).write_parquet(out)
    headrace.range(4).write_parquet(out)
    assert headrace.read_parquet(out).count() == 7
    headrace.range(5).write_parquet(out, mode=headrace.SaveMode.OVERWRITE)
    assert headrace.read_parquet(out).count() == 5
    headrace.range(6).write_parquet(out, mode=headrace.SaveMode.IGNORE)
    assert headrace.read_parquet(out).count() == 5
    with pytest.raises(ValueError, match="already exists"):
        headrace.range(6).write_parquet(out, mode=headrace.SaveMode.ERROR)
    assert not [name for name in os.listdir(out) if name.startswith(".")]


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 90:
            raise ValueError("row 90")
        return row

    out = tmp_path / "out"
    with pytest.raises(ValueError, match="row 90"):
        headrace.range(100, override_num_blocks=10).map(fail).write_parquet(str(out))
    assert not out.exists() or list(out.iterdir()) == []


def test_arguments_of_other_writers_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    headrace.range(8, override_num_blocks=1).write_parquet(
        str(out), compression="zstd", filename_provider=FilenameProvider("mine", "parquet")
    )
    [path] = out.iterdir()
    assert path.name.startswith("mine_")
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize(
    "arguments",
    [
        {"min_rows_per_file": 3, "max_rows_per_file": 2},
        {"min_rows_per_file": 3, "num_rows_per_file": 2},
        {"min_rows_per_file": 0},
    ],
)
def test_row_counts_that_contradict(arguments: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="per_file"):
        headrace.range(3).write_parquet(str(tmp_path / "out"), **arguments)


# ---- Sources and sinks of the user ----------------------------------------------------------


class Squares(Datasource):
    def estimate_inmemory_data_size(self) -> int:
        return 800

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        def task(start: int) -> ReadTask:
            def read() -> Iterable[Block]:
                return [pa.table({"n": [i * i for i in range(start, start + 5)]})]

            metadata = BlockMetadata(num_rows=5, size_bytes=40, exec_stats=None)
            return ReadTask(read, metadata, per_task_row_limit=per_task_row_limit)

        return [task(start) for start in range(0, 20, 5)]


def test_a_source_of_the_user_runs_in_workers() -> None:
    ds = headrace.read_datasource(Squares())
    assert ds.count() == 20
    assert sorted(row["n"] for row in ds.take_all()) == [i * i for i in range(20)]
    assert "ReadSquares" in ds._plan.name


def test_a_read_task_stops_at_its_limit() -> None:
    metadata = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None)
    blocks = [pa.table({"a": [1, 2, 3]})] * 3
    task = ReadTask(lambda: blocks, metadata, per_task_row_limit=4)
    assert [block.num_rows for block in task()] == [3, 1]
    with pytest.raises(ValueError, match="Iterable"):
        list(ReadTask(lambda: blocks[0], metadata)())  # type: ignore[arg-type, return-value]


class Lengths(FileBasedDatasource):
    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        yield pa.table({"bytes": [len(f.read())]})


def test_a_file_source_of_the_user(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        (tmp_path / f"{n}.bin").write_bytes(b"x" * n)
    ds = headrace.read_datasource(Lengths(str(tmp_path), include_paths=True))
    found = {os.path.basename(row["path"]): row["bytes"] for row in ds.take_all()}
    assert found == {"1.bin": 1, "2.bin": 2, "3.bin": 3}


class Journal(Datasink[int]):
    """Notes in files what was called, since `write` runs elsewhere."""

    def __init__(self, directory: Path, fail: bool = False) -> None:
        self.directory = directory
        self.fail = fail
        self.calls: list[Any] = []

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        self.calls.append(("start", schema))

    def write(self, blocks: Iterable[Block], ctx: Any) -> int:
        rows = sum(block.num_rows for block in blocks)
        if self.fail:
            raise ValueError("the disk is on fire")
        return rows

    def on_write_complete(self, write_result: WriteResult[int]) -> None:
        self.calls.append(("complete", write_result))

    def on_write_failed(self, error: Exception) -> None:
        self.calls.append(("failed", error))


def test_a_sink_of_the_user_starts_writes_and_completes(tmp_path: Path) -> None:
    sink = Journal(tmp_path)
    headrace.range(10, override_num_blocks=2).write_datasink(sink)
    assert [name for name, _ in sink.calls] == ["start", "complete"]
    assert sink.calls[0][1] == pa.schema([("id", pa.int64())])
    result = sink.calls[1][1]
    assert result.num_rows == 10
    assert result.size_bytes == 80
    assert sum(result.write_returns) == 10


def test_a_failing_sink_hears_of_it(tmp_path: Path) -> None:
    sink = Journal(tmp_path, fail=True)
    with pytest.raises(ValueError, match="on fire"):
        headrace.range(10).write_datasink(sink)
    assert [name for name, _ in sink.calls] == ["start", "failed"]


class RowFiles(RowBasedFileDatasink):
    def write_row_to_file(self, row: dict[str, Any], file: pa.NativeFile) -> None:
        file.write(str(row["id"]).encode())


class BlockFiles(BlockBasedFileDatasink):
    def write_block_to_file(self, block: Any, file: pa.NativeFile) -> None:
        file.write(str(block.num_rows()).encode())


def test_file_sinks_of_the_user(tmp_path: Path) -> None:
    headrace.range(4).write_datasink(RowFiles(str(tmp_path / "rows"), file_format="txt"))
    texts = sorted(path.read_text() for path in (tmp_path / "rows").iterdir())
    assert texts == ["0", "1", "2", "3"]
    headrace.range(4).write_datasink(BlockFiles(str(tmp_path / "blocks"), file_format="txt"))
    assert sum(int(path.read_text()) for path in (tmp_path / "blocks").iterdir()) == 4


def test_paths_may_be_path_objects(tmp_path: Path) -> None:
    headrace.range(3).write_csv(tmp_path / "out")  # type: ignore[arg-type]
    assert headrace.read_csv(tmp_path / "out").count() == 3  # type: ignore[arg-type]
    assert headrace.read_csv([tmp_path / "out"]).count() == 3  # type: ignore[list-item]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_bytes_that_are_no_text_raise_as_in_python(encoding: str, tmp_path: Path) -> None:
    good = "fine\n" * 3
    (tmp_path / "a.txt").write_bytes(good.encode(encoding) + b"\x00\xd8\xff")
    with pytest.raises(UnicodeDecodeError, match=f"not text in encoding '{encoding}'") as caught:
        headrace.read_text(str(tmp_path), encoding=encoding).take_all()
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason


def test_frames_are_written_as_pyarrow_would(tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    frame = pd.DataFrame({"i": pd.Series([1, 2], dtype="int8"), "s": ["a", "b"]})
    ds = headrace.from_pandas(frame)
    ds.write_parquet(str(tmp_path / "native"))
    ds.write_parquet(str(tmp_path / "python"), store_schema=True, use_content_defined_chunking=True)
    for directory in ("native", "python"):
        [path] = (tmp_path / directory).iterdir()
        schema = pq.read_schema(path)
        assert b"headrace.pandas" not in (schema.metadata or {})
        assert schema.field("i").type == pa.int8()
        assert pd.read_parquet(path).equals(frame)
    assert ds.to_pandas().dtypes.equals(frame.dtypes)


class _Numbered(Datasink[Any]):
    """Notes the tasks' numbers; the first attempt of task 1 dies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.returned: list[Any] = []

    def write(self, blocks: Any, ctx: Any) -> Any:
        rows = [value for block in blocks for value in block.column("id").to_pylist()]
        mark = self.directory / f"attempt-{ctx.task_idx}"
        if ctx.task_idx == 1 and not mark.exists():
            mark.touch()
            os._exit(3)
        return ctx.task_idx, rows

    def on_write_complete(self, write_result: Any) -> None:
        self.returned = write_result.write_returns


def test_a_sink_is_told_the_number_of_its_task(tmp_path: Path) -> None:
    sink = _Numbered(tmp_path)
    headrace.range(9, override_num_blocks=3).write_datasink(sink)
    assert (tmp_path / "attempt-1").exists()
    assert sink.returned == [(i, [3 * i, 3 * i + 1, 3 * i + 2]) for i in range(3)]


def test_files_of_python_sinks_are_named_by_task(tmp_path: Path) -> None:
    headrace.range(6, override_num_blocks=3).write_csv(
        str(tmp_path), arrow_open_stream_args={"compression": None}
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.split("_", 2)[2] for name in names] == [f"{i:06}.csv" for i in range(3)], names


def test_all_files_of_a_read_task_are_told(tmp_path: Path) -> None:
    class Pairs(Datasource):
        def get_read_tasks(self, *args: Any, **kwargs: Any) -> list[ReadTask]:
            return [
                ReadTask(
                    lambda: [pa.table({"a": [1]})],
                    BlockMetadata(1, 8, None, input_files=[f"{i}.a", f"{i}.b"]),
                )
                for i in range(2)
            ]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

    ds = headrace.read_datasource(Pairs())
    files = ["0.a", "0.b", "1.a", "1.b"]
    assert ds.input_files() == files
    assert ds.materialize().input_files() == files


def test_strings_written_as_views_are_plain_ones(tmp_path: Path) -> None:
    """Arrow cannot compare, take or sort views, so a reader of Parquet has none."""
    values = ["b", None, "a" * 20, "b"]
    views = {
        "s": pa.array(values, pa.string_view()),
        "b": pa.array([v and v.encode() for v in values], pa.binary_view()),
    }
    pq.write_table(pa.table(views), tmp_path / "views.parquet")
    ds = headrace.read_parquet(str(tmp_path))
    assert ds.schema().base_schema == pa.schema([("s", pa.string()), ("b", pa.binary())])
    assert ds.filter(expr="s == 'b'").count() == 2
    assert [row["b"] for row in ds.sort("s").take_all()] == [b"a" * 20, b"b", b"b", None]
    assert ds.groupby("s").count().count() == 3


def test_lines_end_as_those_of_python_do(tmp_path: Path) -> None:
    ends = ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
    blanks = ["", " ", "\t \x1f", "\xa0", "\u3000\u2000", "\u2027", "\xa0x", "\xc2", "\u20ac"]
    text = "".join(f"a{i}é{end}{blank}{end}" for i, end in enumerate(ends) for blank in blanks)
    (tmp_path / "a.txt").write_bytes(f"{text}the end".encode())
    lines = f"{text}the end".splitlines()

    def read(**options: Any) -> list[str]:
        ds = headrace.read_text(str(tmp_path), **options)
        return [row["text"] for row in ds.take_all()]

    assert read(drop_empty_lines=False) == lines
    assert read() == [line for line in lines if line.strip()]


@pytest.mark.parametrize("order", "<>")
def test_numpy_files_of_text_and_bytes(order: str, tmp_path: Path) -> None:
    texts = ["", "a", "é\u3042\U0001f600", "a\0b", "ende"]
    np.save(tmp_path / "text.npy", np.array(texts).astype(f"{order}U4"))
    np.save(tmp_path / "bytes.npy", np.array([b"", b"ab", b"a\0b"]))
    np.save(tmp_path / "none.npy", np.array([], dtype="U3"))

    def read(name: str) -> pa.Table:
        return headrace.read_numpy(str(tmp_path / name))._to_table()

    assert read("text.npy").equals(pa.table({"data": texts}))
    assert read("bytes.npy").equals(pa.table({"data": [b"", b"ab", b"a\0b"]}))
    assert read("none.npy").num_rows == 0
    (tmp_path / "cut.npy").write_bytes((tmp_path / "text.npy").read_bytes()[:-4])
    with pytest.raises(Exception, match=r"ends inside its data(?s:.*)cut\.npy"):
        read("cut.npy")


def test_json_by_orient_is_what_pandas_allows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'lines' keyword only valid when 'orient' is records"):
        headrace.range(3).write_json(str(tmp_path / "a"), orient="split")
    headrace.range(3).repartition(1).write_json(str(tmp_path / "b"), orient="split", lines=False)
    (path,) = (tmp_path / "b").iterdir()
    assert json.loads(path.read_text())["data"] == [[0], [1], [2]]


def test_blocks_that_are_written_together_have_one_schema(tmp_path: Path) -> None:
    parts = [headrace.from_items([{"k": k}]) for k in (1, 2.5, None)]
    ds = parts[0].union(*parts[1:])
    ds.repartition(1).write_parquet(str(tmp_path / "a"))
    ds.write_csv(str(tmp_path / "b"), min_rows_per_file=3)
    (path,) = (tmp_path / "a").iterdir()
    assert pq.read_table(path).equals(pa.table({"k": [1, 2.5, None]}))
    (path,) = (tmp_path / "b").iterdir()
    assert pacsv.read_csv(path)["k"].to_pylist() == [1, 2.5]  # A line without text is none there.
    mixed = ds.union(headrace.from_items([{"k": "x"}])).repartition(1)
    mixed.write_json(str(tmp_path / "c"))
    rows = [line for path in (tmp_path / "c").iterdir() for line in path.read_text().splitlines()]
    assert len(rows) == 4
