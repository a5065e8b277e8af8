"""Sinks of files in Python: their files appear all or none, under a kill too."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import random
import signal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_checkpoint import Job

import headrace as hr
from headrace import SaveMode
from headrace.datasource import BlockBasedFileDatasink, FilenameProvider, RowBasedFileDatasink
from headrace.datasource.datasink import TaskContext

KILLS = int(os.environ.get("HEADRACE_KILLS", "4"))
ROWS = 60
NULL = "__HIVE_DEFAULT_PARTITION__"

Row = dict[str, Any]


class Lines(BlockBasedFileDatasink):
    def __init__(self, path: Any, **arguments: Any) -> None:
        super().__init__(str(path), file_format="json", **arguments)

    def write_block_to_file(self, block: Any, file: pa.NativeFile) -> None:
        for row in block.iter_rows(public_row_format=False):
            file.write(json.dumps(row).encode() + b"\n")


class Numbered(FilenameProvider):
    """The same names in each run."""

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        return f"part-{task_index}.json"


def ids(folder: pathlib.Path) -> list[int]:
    return sorted(row["id"] for row in hr.read_json(str(folder)).take_all())


def rows(begin: int, count: int = ROWS) -> hr.Dataset:
    return hr.range(count, override_num_blocks=3).map(lambda row: {"id": row["id"] + begin})


# ---- Modes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [None, Numbered()])
def test_modes(tmp_path: pathlib.Path, names: Any) -> None:
    out = tmp_path / "out"

    def write(begin: int, mode: SaveMode) -> None:
        rows(begin).write_datasink(Lines(out, mode=mode, filename_provider=names))

    write(0, SaveMode.ERROR)
    assert ids(out) == list(range(60))
    with pytest.raises(ValueError, match="already exists"):
        write(100, SaveMode.ERROR)
    write(100, SaveMode.IGNORE)
    assert ids(out) == list(range(60))
    write(100, SaveMode.OVERWRITE)
    assert ids(out) == list(range(100, 160))
    write(200, SaveMode.APPEND)
    new = list(range(200, 260))  # Under the same names they take the place of the old ones.
    assert ids(out) == (new if names else [*range(100, 160), *new])
    assert not list(out.glob(".*"))


def test_a_file_where_the_directory_must_be(tmp_path: pathlib.Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(FileExistsError):
        rows(0).write_datasink(Lines(tmp_path / "out"))
    with pytest.raises(FileNotFoundError):
        rows(0).write_datasink(Lines(tmp_path / "none" / "out", try_create_dir=False))


def test_names_with_directories(tmp_path: pathlib.Path) -> None:
    class Sorted(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"{task_index % 2}/{task_index}.json"

    class Each(RowBasedFileDatasink):
        def write_row_to_file(self, row: Row, file: pa.NativeFile) -> None:
            file.write(json.dumps(row).encode())

    ds = hr.range(4, override_num_blocks=2)
    ds.write_datasink(Each(str(tmp_path), filename_provider=Sorted()))
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json"))
    rows_of_task = ["000000_000000", "000000_000001"]
    assert found == [f"{task}/{task}_{row}.json" for task in (0, 1) for row in rows_of_task]


def test_files_that_get_one_name_are_told(tmp_path: pathlib.Path, caplog: Any) -> None:
    class One(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return "all.json"

    rows(0).write_datasink(Lines(tmp_path, filename_provider=One()))
    assert "gave 3 files only 1 names" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["all.json"]


# ---- Parquet by Python -------------------------------------------------------------------------


class Plain(FilenameProvider):
    """Names without an ending that says Parquet."""

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        return f"{write_uuid}-{task_index}.pq"


def sizes(folder: pathlib.Path) -> dict[str, int]:
    """The rows of all Parquet files below."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): pq.ParquetFile(path).metadata.num_rows for path in paths}


def test_parts_of_a_file_have_numbers(tmp_path: pathlib.Path) -> None:
    hr.range(25, override_num_blocks=1).write_parquet(
        str(tmp_path), max_rows_per_file=10, filename_provider=Plain()
    )
    ends = {name[name.index(".pq") :]: rows for name, rows in sizes(tmp_path).items()}
    assert ends == {".pq-0.parquet": 10, ".pq-1.parquet": 10, ".pq-2.parquet": 5}


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ([float("nan")] * 3 + [1.5], {"nan": 3, "1.5": 1}),
        (["a/b", "../../x", None, "a/b"], {"a%2Fb": 2, "..%2F..%2Fx": 1, NULL: 1}),
    ],
)
def test_partitions_are_those_of_the_engine(
    tmp_path: pathlib.Path, keys: list[Any], names: dict[str, int]
) -> None:
    table = pa.table({"k": keys, "v": range(len(keys))})
    for folder, settings in (("native", {}), ("sink", {"filename_provider": Plain()})):
        out = tmp_path / "deep" / "deeper" / folder
        hr.from_arrow(table).write_parquet(str(out), partition_cols=["k"], **settings)
        found = {pathlib.Path(name).parent.name: rows for name, rows in sizes(out).items()}
        assert found == {f"k={name}": count for name, count in names.items()}
    assert len(sizes(tmp_path)) == 2 * len(names)  # None lies elsewhere.


@pytest.mark.parametrize("settings", [{}, {"filename_provider": Plain()}])
def test_something_must_be_left_for_the_files(tmp_path: pathlib.Path, settings: Any) -> None:
    with pytest.raises(ValueError, match="none is left"):
        hr.range(3).write_parquet(str(tmp_path), partition_cols=["id"], **settings)


# ---- Failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [SaveMode.APPEND, SaveMode.OVERWRITE])
def test_a_write_that_fails_changes_nothing(tmp_path: pathlib.Path, mode: SaveMode) -> None:
    def fail(batch: Row) -> Row:
        if 55 in batch["id"]:
            raise LookupError("the end")
        return batch

    out = tmp_path / "out"
    for existed in (False, True):
        with pytest.raises(LookupError):
            rows(0).map_batches(fail).write_datasink(Lines(out, mode=mode))
        assert out.exists() == existed
        if not existed:
            rows(0).write_datasink(Lines(out))
    assert ids(out) == list(range(60))
    assert not list(out.glob(".*"))


def test_a_write_that_fails_leaves_no_letters(tmp_path: pathlib.Path) -> None:
    def odd(row: Row) -> Row:
        if row["id"] % 2:
            raise ValueError("odd")
        return row

    def fail(batch: Row) -> Row:
        if 58 in batch["id"]:
            raise LookupError("the end")
        return batch

    letters = tmp_path / "letters"
    ds = hr.range(ROWS, override_num_blocks=3).map(odd, on_error=hr.DeadLetters(letters))
    with pytest.raises(LookupError):
        ds.map_batches(fail).write_datasink(Lines(tmp_path / "out"))
    assert not letters.exists() or not list(letters.iterdir())


def test_tasks_side_by_side_do_not_tear_a_file_of_one_name(tmp_path: pathlib.Path) -> None:
    class Slow(Lines):
        name = b""
        beside: Lines | None = None

        def write_block_to_file(self, block: Any, file: pa.NativeFile) -> None:
            file.write(self.name)
            if self.beside is not None:
                self.beside.write([block.to_block()], TaskContext(1, kwargs={"write_uuid": "u"}))
            file.write(self.name)

    class One(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return "all.json"

    sink = Slow(tmp_path, filename_provider=One())
    sink.on_write_start()
    first, second = (copy.deepcopy(sink) for _ in range(2))  # As two workers have them.
    first.name, second.name, first.beside = b"1", b"2", second
    for worker in (first, second):
        worker.take_written()
    first.write([pa.table({"id": [0]})], TaskContext(0, kwargs={"write_uuid": "u"}))
    for worker in (first, second):
        [(path, temporary)] = worker.take_written()
        assert path == str(tmp_path / "all.json")
        assert pathlib.Path(temporary).read_bytes() == 2 * worker.name
    sink.abort()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [None, Numbered()])
def test_killed_workers_do_not_show(tmp_path: pathlib.Path, names: Any) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    class Dies(Lines):
        def write_block_to_file(self, block: Any, file: pa.NativeFile) -> None:
            super().write_block_to_file(block, file)
            first = next(iter(block.iter_rows(public_row_format=False)))["id"]
            try:
                (marks / str(first)).touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    out = tmp_path / "out"
    rows(0).write_datasink(Dies(out, filename_provider=names))
    assert len(list(marks.iterdir())) == 3
    assert ids(out) == list(range(60))
    assert len(list(out.iterdir())) == 3


def test_overridden_methods_need_not_call_the_base(tmp_path: pathlib.Path) -> None:
    seen: list[int] = []

    class Mine(Lines):
        def on_write_complete(self, write_result: Any) -> None:
            seen.extend(ids(tmp_path / "out"))

        def on_write_failed(self, error: Exception) -> None:
            pass

    rows(0).write_datasink(Mine(tmp_path / "out"))
    assert seen == list(range(60))


# ---- Save modes under a kill -------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("source")
    hr.range(ROWS, override_num_blocks=6).write_parquet(str(folder))
    return folder


def as_job(room: pathlib.Path, source: pathlib.Path, mode: str, numbered: bool) -> Job:
    # pandas's argument asks for the writer in Python.
    return Job(
        room,
        "native",
        source=str(source),
        parts=6,
        format="json",
        checkpoint=None,
        counted_files=True,
        numbered=numbered,
        options={"mode": mode, "orient": "records"},
    )


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("mode", ["append", "overwrite", "ignore", "error"])
@pytest.mark.parametrize("seed", range(max(1, KILLS // 4)))
def test_a_killed_write_is_seen_whole_or_not_at_all(
    mode: str, seed: int, numbered: bool, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    old: list[int] = []

    def begin(name: str) -> Job:
        job = as_job(tmp_path / name, source, mode, numbered)
        if mode in ("append", "overwrite"):
            names = Numbered() if numbered else None
            rows(5000, 20).write_json(str(job.target), filename_provider=names)
            old[:] = range(5000, 5020)
        return job

    operations = begin("whole").finish()["files"]
    new = list(range(0, ROWS, 2))
    job = begin("killed")
    # The files of old names are replaced, three of them.
    result = ids(tmp_path / "whole" / "out")
    assert result in (new, sorted([*new, *old]))
    number = 1 + int((operations - 1) * random.Random(f"{mode} {seed} {numbered}").random() ** 0.5)
    died = job.die("file", number)

    def seen() -> list[int]:
        from headrace._internal import paths

        if not job.target.exists():
            return []
        found = paths.list_files([str(job.target)], pa.fs.LocalFileSystem())
        assert sorted(name for name, _ in found) == sorted(native_listing(job.target))
        return sorted(json.loads(line)["id"] for name, _ in found for line in open(name))

    assert seen() in (old, result)
    if died:
        before = seen()
        rows(9999, 1).write_json(str(job.target))
        assert seen() in ([*old, 9999], [*before, 9999])
        assert not list(job.target.glob(".headrace-*"))


def native_listing(folder: pathlib.Path) -> list[str]:
    """The files that the engine's own readers find."""
    try:
        return hr.read_text(str(folder)).input_files()
    except ValueError:
        return []


# ---- Other file systems ------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["out", "out/", "/out", "./out//"])
def test_spellings_of_a_directory(path: str, tmp_path: pathlib.Path) -> None:
    from pyarrow import fs

    files = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    for write in (
        lambda begin, mode: rows(begin).write_json(path, filesystem=files, mode=mode),
        lambda begin, mode: rows(begin).write_datasink(Lines(path, filesystem=files, mode=mode)),
    ):
        write(0, SaveMode.OVERWRITE)
        write(100, SaveMode.OVERWRITE)
        assert ids(tmp_path / "out") == list(range(100, 160))
        write(200, SaveMode.APPEND)
        assert ids(tmp_path / "out") == [*range(100, 160), *range(200, 260)]
        assert not list((tmp_path / "out").glob(".*"))
