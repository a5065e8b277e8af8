"""`DataContext.checkpoint_config`: rows whose ids are noted are not written again."""

from __future__ import annotations

import pathlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

import headrace as hr
from headrace._internal.id_checkpoint import IdRecorder, _NotDone
from headrace._internal.id_set import IdSet
from headrace.checkpoint import (
    CheckpointBackend,
    CheckpointConfig,
    InvalidCheckpointingConfig,
    InvalidCheckpointingOperators,
)


@pytest.fixture
def context() -> Iterator[hr.DataContext]:
    """The current context, without a checkpoint after the test."""
    current = hr.DataContext.get_current()
    yield current
    current.checkpoint_config = None


def config(tmp_path: pathlib.Path, **options: Any) -> CheckpointConfig:
    options = {"delete_checkpoint_on_success": False, **options}
    return CheckpointConfig("id", str(tmp_path / "done"), **options)


def noted(tmp_path: pathlib.Path) -> list[int]:
    tables = [pq.read_table(path) for path in (tmp_path / "done").glob("*.parquet")]
    return sorted(pa.concat_tables(tables)["id"].to_pylist()) if tables else []


def ids(path: pathlib.Path) -> list[int]:
    return sorted(row["id"] for row in hr.read_json(str(path)).take_all())


def test_a_write_leaves_out_what_was_written(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    seen = tmp_path / "seen"

    def note(row: dict[str, Any]) -> dict[str, Any]:
        with open(seen, "a") as out:
            out.write(f"{row['id']}\n")
        return row

    context.checkpoint_config = config(tmp_path)
    hr.range(10, override_num_blocks=2).write_json(str(tmp_path / "a"))
    assert noted(tmp_path) == list(range(10))
    both = hr.range(15, override_num_blocks=2).union(hr.range(5)).map(note)
    both.write_json(str(tmp_path / "b"))
    assert ids(tmp_path / "b") == list(range(10, 15))
    # Left out where they are read: the function is called for the others only.
    assert sorted(map(int, seen.read_text().split())) == list(range(10, 15))
    assert noted(tmp_path) == list(range(15))


def test_a_write_that_fails_notes_nothing(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 15:
            raise ValueError("bad row")
        return row

    context.checkpoint_config = config(tmp_path)
    hr.range(10).write_json(str(tmp_path / "a"))
    with pytest.raises(ValueError, match="bad row"):
        hr.range(20).map(fail).write_json(str(tmp_path / "b"))
    assert noted(tmp_path) == list(range(10))
    assert not [path for path in (tmp_path / "done").iterdir() if path.is_dir()]


def test_the_directory_goes_when_all_is_written(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    context.checkpoint_config = config(tmp_path, delete_checkpoint_on_success=True)
    hr.range(10).write_json(str(tmp_path / "a"))
    assert not (tmp_path / "done").exists()
    assert ids(tmp_path / "a") == list(range(10))


def test_sinks_of_python_take_part(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    class Count(hr.Datasink[int]):
        def write(self, blocks: Any, ctx: Any) -> int:
            return sum(block.num_rows for block in blocks)

        def on_write_complete(self, write_result: Any) -> None:
            (tmp_path / "count").write_text(str(sum(write_result.write_returns)))

    context.checkpoint_config = config(tmp_path)
    hr.range(4).write_json(str(tmp_path / "a"))
    hr.range(10).write_datasink(Count())
    assert (tmp_path / "count").read_text() == "6"


def fails_while(flag: pathlib.Path, tmp_path: pathlib.Path, others: int) -> Callable[[Any], Any]:
    """Returns a function that fails on row 35 when `others` tasks have ended, while `flag` is."""

    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 35 and flag.exists():
            deadline = time.monotonic() + 60
            while len(list((tmp_path / "done").glob("*.parquet"))) < others:
                assert time.monotonic() < deadline, "the other tasks have not ended"
                time.sleep(0.01)
            raise ValueError("boom")
        return row

    return fail


def test_sinks_that_write_at_once_keep_the_ids_of_tasks_that_ended(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    database = tmp_path / "x.db"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(database, timeout=60)

    with connect() as connection:
        connection.execute("create table t(id int)")
    flag = tmp_path / "flag"
    flag.touch()
    fail = fails_while(flag, tmp_path, 3)
    context.checkpoint_config = config(tmp_path)

    def write() -> None:
        numbers = hr.range(40, override_num_blocks=4)
        numbers.map(fail).write_sql("insert into t values(?)", connect)

    with pytest.raises(ValueError, match="boom"):
        write()
    assert noted(tmp_path) == list(range(30))
    flag.unlink()
    write()
    rows = connect().execute("select count(*), count(distinct id) from t").fetchone()
    assert rows == (40, 40)
    assert noted(tmp_path) == list(range(40))


def test_a_report_that_fails_does_not_double_rows(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    class Lines(hr.Datasink[None]):
        def __init__(self, fails: bool) -> None:
            self._fails = fails

        def write(self, blocks: Any, ctx: Any) -> None:
            with open(tmp_path / "lines", "a") as out:
                for block in blocks:
                    out.writelines(f"{value}\n" for value in block["id"].to_pylist())

        def on_write_complete(self, write_result: Any) -> None:
            if self._fails:
                raise RuntimeError("report")

    context.checkpoint_config = config(tmp_path)
    with pytest.raises(RuntimeError, match="report"):
        hr.range(10).write_datasink(Lines(True))
    hr.range(12).write_datasink(Lines(False))
    assert sorted(map(int, (tmp_path / "lines").read_text().split())) == list(range(12))


def test_errors_of_ours_are_not_left_out(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    """With on_error="skip" all rows would be."""
    context.on_error, context.retried_map_errors = "skip", True
    try:
        context.checkpoint_config = config(tmp_path)
        # What columns there are shows in workers only.
        numbers = hr.range(3).map(lambda row: {"x": row["id"]})
        with pytest.raises(ValueError, match="no ID column 'id'"):
            numbers.write_json(str(tmp_path / "a"))
        (tmp_path / "done").rmdir()
        (tmp_path / "done").touch()
        with pytest.raises(FileExistsError):
            hr.range(3).write_json(str(tmp_path / "a"))
    finally:
        context.on_error, context.retried_map_errors = "raise", False


def test_the_column_is_checked_where_it_is_read(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    """Also when no ids are noted yet; and here, so no function is called."""

    def never(row: dict[str, Any]) -> dict[str, Any]:
        (tmp_path / "called").touch()
        return {"id": 1}

    context.checkpoint_config = config(tmp_path)
    with pytest.raises(ValueError, match="no ID column 'id'"):
        hr.range_tensor(3).map(never).write_json(str(tmp_path / "a"))
    assert not (tmp_path / "called").exists()
    pq.write_table(pa.table({"id": [[1]]}), tmp_path / "lists.parquet")
    with pytest.raises(ValueError, match="no plain values"):
        hr.read_parquet(str(tmp_path / "lists.parquet")).write_json(str(tmp_path / "a"))


def test_groups_are_of_rows_that_are_new(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)

    def write(count: int, to: str) -> list[tuple[int, int]]:
        numbers = hr.range(count).map(lambda row: {**row, "key": row["id"] % 2})
        groups = numbers.groupby("key").map_groups(
            lambda group: {"id": group["id"][:1], "count": group["id"][:1] * 0 + len(group["id"])}
        )
        groups.write_json(str(tmp_path / to))
        rows = hr.read_json(str(tmp_path / to)).take_all()
        return sorted((row["id"], row["count"]) for row in rows)

    assert write(10, "a") == [(0, 5), (1, 5)]
    # Only 0 and 1 were written, by the ids.
    assert write(20, "b") == [(2, 9), (3, 9)]


@pytest.mark.parametrize("verb", ["join", "zip"])
def test_rows_of_several_reads(tmp_path: pathlib.Path, context: hr.DataContext, verb: str) -> None:
    context.checkpoint_config = config(tmp_path)
    other = hr.range(5).rename_columns({"id": "k"})
    if verb == "zip":
        both = hr.range(5).zip(other)
    else:
        both = hr.range(5).join(other, "inner", 2, on=("id",), right_on=("k",))
    with pytest.raises(InvalidCheckpointingOperators, match=verb):
        both.write_json(str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_nulls_are_never_done(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    for turn in range(2):
        pq.write_table(pa.table({"id": [turn, None]}), tmp_path / f"{turn}.parquet")
        path = str(tmp_path / f"{turn}.parquet")
        hr.read_parquet(path).write_parquet(str(tmp_path / "out"))
    context.checkpoint_config = None
    found = [row["id"] for row in hr.read_parquet(str(tmp_path / "out")).take_all()]
    assert sorted(found, key=str) == [0, 1, None, None]
    assert noted(tmp_path) == [0, 1]


def test_what_is_written_is_not_overwritten(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    context.checkpoint_config = config(tmp_path)
    for again in (False, True):
        for ending in ("", ".py"):  # Of the engine's writer, and of one in Python.
            provider = hr.datasource.FilenameProvider(file_format="json") if ending else None
            context.checkpoint_config = CheckpointConfig(
                "id", str(tmp_path / f"done{ending}"), delete_checkpoint_on_success=False
            )
            write = hr.range(3).write_json
            out, mode = str(tmp_path / f"out{ending}"), hr.SaveMode.OVERWRITE
            if again:
                with pytest.raises(ValueError, match="would remove these rows"):
                    write(out, mode=mode, filename_provider=provider)
            else:
                write(out, mode=mode, filename_provider=provider)
            assert ids(pathlib.Path(out)) == [0, 1, 2]


def test_two_checkpoints(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    with pytest.raises(ValueError, match="give one of them"):
        hr.range(3).write_json(str(tmp_path / "a"), checkpoint=str(tmp_path / "b"))
    assert not list(tmp_path.iterdir())


def test_the_directory_stays_when_nothing_is_written(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    context.checkpoint_config = config(tmp_path)
    hr.range(3).write_json(str(tmp_path / "a"))
    context.checkpoint_config = config(tmp_path, delete_checkpoint_on_success=True)
    hr.range(5).write_json(str(tmp_path / "a"), mode=hr.SaveMode.IGNORE)
    assert noted(tmp_path) == [0, 1, 2]
    provider = hr.datasource.FilenameProvider()
    hr.range(5).write_json(str(tmp_path / "a"), mode=hr.SaveMode.IGNORE, filename_provider=provider)
    assert noted(tmp_path) == [0, 1, 2]


def test_data_is_not_written_where_ids_are_removed(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    context.checkpoint_config = config(tmp_path, delete_checkpoint_on_success=True)
    with pytest.raises(ValueError, match="must not be in that of the checkpoint"):
        hr.range(3).write_json(str(tmp_path / "done" / "out"))


def test_blocks_that_fail(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    context.max_errored_blocks = 1
    try:
        with pytest.raises(NotImplementedError, match="max_errored_blocks"):
            hr.range(3).write_json(str(tmp_path / "a"))
    finally:
        context.max_errored_blocks = 0


DIES = """
import os, sys, headrace as hr
from headrace._internal.id_checkpoint import IdNotes
from headrace.checkpoint import CheckpointConfig
from pyarrow import fs

base, when, kind = sys.argv[1:]
setattr(IdNotes, when, lambda *args: os._exit(9))
other = fs.SubTreeFileSystem("/", fs.LocalFileSystem()) if kind == "other" else None
context = hr.DataContext.get_current()
context.checkpoint_config = CheckpointConfig(
    "id", base + "/done", delete_checkpoint_on_success=False, override_filesystem=other
)
provider = hr.datasource.FilenameProvider() if kind == "python" else None
hr.range(10).write_json(base + "/a", filename_provider=provider)
"""


@pytest.mark.parametrize("kind", ["engine", "python", "other"])
@pytest.mark.parametrize("when", ["commit", "take_for"])
def test_a_process_that_dies(
    tmp_path: pathlib.Path, context: hr.DataContext, when: str, kind: str
) -> None:
    """Before its files are committed, or after."""
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), when, kind], timeout=120)
    assert died.returncode == 9
    system = fs.SubTreeFileSystem("/", fs.LocalFileSystem()) if kind == "other" else None
    context.checkpoint_config = config(tmp_path, override_filesystem=system)
    # Elsewhere, as where it wrote would be looked at anyway.
    hr.range(12).write_json(str(tmp_path / "b"))
    assert ids(tmp_path / "b") == list(range(10 if when == "commit" else 0, 12))
    assert noted(tmp_path) == list(range(12))
    assert not [path for path in (tmp_path / "done").iterdir() if path.is_dir()]


def test_ids_that_are_not_whole_do_not_count(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    (tmp_path / "done").mkdir()
    recorder = IdRecorder(
        "id", fs.LocalFileSystem(), str(tmp_path / "temporary"), str(tmp_path / "done")
    )

    def dies(table: pa.Table, path: str, **options: Any) -> None:
        pathlib.Path(path).write_bytes(b"PAR1")
        raise SystemExit

    ids = [pa.chunked_array([[1, 2]])]
    with monkeypatch.context() as patched:
        patched.setattr(pq, "write_table", dies)
        with pytest.raises(SystemExit):
            recorder.note(ids)
    assert noted(tmp_path) == []
    recorder.note(ids)
    assert noted(tmp_path) == [1, 2]


def test_ids_are_joined(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    hr.range(40, override_num_blocks=4).write_json(str(tmp_path / "a"))
    assert len(list((tmp_path / "done").iterdir())) == 1
    hr.range(80, override_num_blocks=4).write_datasink(hr.datasource.DummyOutputDatasink())
    assert len(list((tmp_path / "done").iterdir())) == 2
    assert noted(tmp_path) == list(range(80))


@pytest.mark.parametrize(
    ("first", "then", "left"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), pa.array(["a", "c"]), ["c"]),
        (pa.array(["1", "x"]), pa.array([1, 2]), [2]),
        (pa.array([1, 7]), pa.array(["1", "07", "y"]), ["07", "y"]),
        (pa.array([1.0, 2.5]), pa.array([1, 2]), [2]),
        (pa.array([1, 2], pa.int8()), pa.array([1.0, 2.5]), [2.5]),
        (pa.array([2**63, 5], pa.uint64()), pa.array([2**63 + 1, 5, 2**63], pa.uint64()), None),
        (pa.array([b"a"]), pa.array(["a"]), ["a"]),
    ],
)
def test_types_of_ids(
    tmp_path: pathlib.Path, context: hr.DataContext, first: Any, then: Any, left: list[Any] | None
) -> None:
    for name, values in (("a", first), ("b", then)):
        context.checkpoint_config = config(tmp_path)
        pq.write_table(pa.table({"id": values}), tmp_path / f"{name}.parquet")
        rows = hr.read_parquet(str(tmp_path / f"{name}.parquet"))
        rows.write_parquet(str(tmp_path / name))
    context.checkpoint_config = None
    found = [row["id"] for row in hr.read_parquet(str(tmp_path / "b")).take_all()]
    assert found == ([2**63 + 1] if left is None else left)


def test_a_worker_prepares_the_ids_once(
    tmp_path: pathlib.Path, context: hr.DataContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pa.table({"id": [5, 6]})
    for values in ([5], ["5"]):
        done = IdSet.of([pa.chunked_array([pa.array(values)])])
        done.save(fs.LocalFileSystem(), str(tmp_path / "ids"))
        step = _NotDone("id", (fs.LocalFileSystem(), str(tmp_path / "ids")))
        assert step(rows)["id"].to_pylist() == [6]
        monkeypatch.setattr(IdSet, "load", None)
        assert step(rows)["id"].to_pylist() == [6]
        monkeypatch.undo()


def test_plans_deeper_than_the_stack(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    numbers = hr.range(3)
    for _ in range(sys.getrecursionlimit() + 200):
        numbers = numbers.rename_columns({"id": "id"})
    numbers.write_json(str(tmp_path / "a"))
    assert noted(tmp_path) == [0, 1, 2]


def test_statistics_are_of_the_write(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    for rows in (hr.range(3), hr.from_items([{"id": 7}])):
        rows.write_json(str(tmp_path / "a"))
        assert "Write" in rows.stats()


def test_data_in_memory_is_written_whole(
    tmp_path: pathlib.Path, context: hr.DataContext, caplog: Any
) -> None:
    context.checkpoint_config = config(tmp_path)
    hr.from_items([{"id": 1}]).write_json(str(tmp_path / "a"))
    assert ids(tmp_path / "a") == [1]
    assert "its checkpoint_config is not used" in caplog.text


def test_the_id_column_must_be_there(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    with pytest.raises(ValueError, match="no ID column 'id'"):
        hr.range(3).rename_columns({"id": "x"}).write_json(str(tmp_path / "a"))


def test_configurations(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = CheckpointConfig.DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidCheckpointingConfig, match="non-empty string"):
        CheckpointConfig(checkpoint_path=str(tmp_path))
    with pytest.raises(InvalidCheckpointingConfig, match="env var is not set"):
        CheckpointConfig("id")
    monkeypatch.setenv(variable, str(tmp_path))
    made = CheckpointConfig("id")
    assert made.checkpoint_path == f"{tmp_path}/ray_data_checkpoint"
    assert made.backend is CheckpointBackend.FILE_STORAGE
