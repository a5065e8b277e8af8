"""Checkpoints within one process: stages of every kind of block, dead letters, lost files, commits
that were begun. See test_checkpoint.py for writes that are killed."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr

ROWS = 12


def read_ids(folder: pathlib.Path) -> list[int]:
    return sorted(row["id"] for row in hr.read_parquet(str(folder)).take_all())


def nothing() -> hr.Dataset:
    return hr.range(6, override_num_blocks=2).map_batches(lambda b: b).filter(lambda row: False)


UNLIKE = {
    "no columns": lambda: hr.range(5).drop_columns(["id"]).repartition(2),
    "other types": lambda: (
        hr.from_items([{"k": 1}]).union(hr.from_items([{"k": "x"}])).repartition(2)
    ),
    "other columns": lambda: (
        hr.from_items([{"k": 1}]).union(hr.from_items([{"b": "x"}])).repartition(2)
    ),
    "other shapes": lambda: hr.from_items(
        [{"k": i, "t": np.ones((i + 1, 2))} for i in range(3)], override_num_blocks=3
    ).sort("k"),
    "large integers": lambda: hr.from_items([{"k": 2**70}, {"k": 1}]).repartition(2),
    "empty structs": lambda: hr.range(4).map(lambda row: {**row, "s": {}}).sort("id"),
    "intervals": lambda: hr.from_arrow(
        pa.table({"k": [2, 1], "i": pa.array([pa.MonthDayNano([1, 2, 3])] * 2)})
    ).sort("k"),
    "no rows": lambda: nothing().random_shuffle().sort("id"),
    "no rows to join": lambda: (
        nothing().random_shuffle().join(hr.range(10), "right_outer", 1, on=("id",))
    ),
}


@pytest.mark.parametrize("plan", UNLIKE)
def test_a_stage_keeps_all_blocks(plan: str, tmp_path: pathlib.Path) -> None:
    def written(name: str, **options: Any) -> list[str]:
        ds = UNLIKE[plan]().map(lambda row: {"text": repr(sorted(row.items(), key=str))})
        ds.write_json(str(tmp_path / name), **options)
        lines = [path.read_text().splitlines() for path in (tmp_path / name).glob("*.json")]
        return sorted(line for some in lines for line in some)

    assert written("staged", checkpoint=str(tmp_path / "c")) == written("plain")


class Stop(Exception):
    """In the place of a kill."""


@pytest.mark.parametrize("damage", ["cut", "lost", "lost, with letters"])
def test_a_lost_stage_is_done_again(damage: str, tmp_path: pathlib.Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()

    def stop(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if flag.exists() and batch["id"].max() > 10:
            raise Stop
        return batch

    def write() -> None:
        ds = hr.range(20, override_num_blocks=2)
        ds = ds.map(fail, on_error=hr.DeadLetters(tmp_path / "letters"))
        ds = ds.sort("id").repartition(3).map_batches(stop)
        ds.write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))

    with pytest.raises(Stop):
        write()
    files = [path for path in (tmp_path / "c").glob("stage-*/*") if path.is_file()]
    letters = list((tmp_path / "letters").rglob("*.parquet"))
    assert files
    assert len(letters) == 2
    for path in files:
        if damage == "cut":
            os.truncate(path, 100)
        else:
            path.unlink()
    if damage == "lost, with letters":
        letters[0].unlink()
    flag.unlink()
    write()
    assert read_ids(tmp_path / "out") == [i for i in range(20) if i % 10 != 3]
    assert read_ids(tmp_path / "letters") == [3, 13]


def fail(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] % 10 == 3:
        raise ValueError("a bad row")
    return row


@pytest.mark.parametrize("where", ["out", "letters"])
def test_letters_of_a_stage_stay(where: str, tmp_path: pathlib.Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()

    def stop(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if flag.exists():
            raise Stop
        return batch

    def write() -> None:
        ds = hr.range(20, override_num_blocks=2)
        ds = ds.map(fail, on_error=hr.DeadLetters(tmp_path / where)).sort("id").map_batches(stop)
        ds.write_json(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))

    with pytest.raises(Stop):
        write()
    flag.unlink()
    write()
    assert len(list((tmp_path / "out").glob("*.json"))) > 0
    letters = [pq.read_table(path) for path in (tmp_path / where).glob("*.parquet")]
    assert sorted(id for table in letters for id in table["id"].to_pylist()) == [3, 13]


def test_letters_of_equal_branches_are_apart(tmp_path: pathlib.Path) -> None:
    ds = hr.range(20, override_num_blocks=2)
    ds = ds.map(fail, on_error=hr.DeadLetters(tmp_path / "letters"))
    both = ds.sort("id").union(ds.sort("id"), ds)
    both.write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
    assert len(read_ids(tmp_path / "out")) == 3 * 18
    assert read_ids(tmp_path / "letters") == [3, 3, 3, 13, 13, 13]


@pytest.fixture
def stopped_commits(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the driver die when it has begun a commit, until it is undone."""
    from headrace._internal import checkpoint

    def commit(self: Any, mode: str) -> None:
        self._append([["committing"]])
        moves = []
        for files in self._pieces.values():
            for path, temporary, _, size in files:
                time = os.stat(temporary).st_mtime_ns
                moves.append(["move", temporary, path, str(size), str(time), ""])
        log = os.path.join(self._directory, f".headrace-{self.attempt}", "commit")
        checkpoint._core.RecordLog.create(log, [*moves, ["end"]])
        raise Stop

    monkeypatch.setattr(checkpoint.Checkpoint, "commit", commit)
    return monkeypatch


def test_another_write_is_refused_when_a_commit_was_begun(
    tmp_path: pathlib.Path, stopped_commits: Any
) -> None:
    def write(factor: int) -> None:
        ds = hr.range(10, override_num_blocks=2).map_batches(lambda b: {"id": b["id"] * factor})
        ds.write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))

    with pytest.raises(Stop):
        write(1)
    stopped_commits.undo()
    with pytest.raises(ValueError, match=r"is of another write: function .* has changed"):
        write(100)
    assert read_ids(tmp_path / "out") == list(range(10))


def test_a_commit_that_was_not_recorded_goes_on(tmp_path: pathlib.Path) -> None:
    files = tmp_path / "files"
    hr.range(ROWS, override_num_blocks=3).write_parquet(str(files))

    def write(factor: int = 2) -> None:
        ds = hr.read_parquet(str(files)).map_batches(lambda b: {"id": b["id"] * factor})
        ds.write_parquet(str(files), mode="overwrite", checkpoint=str(tmp_path / "c"))

    write()
    manifest = tmp_path / "c" / "manifest"
    lines = manifest.read_bytes().splitlines(keepends=True)
    assert lines[-1].startswith(b"done")
    manifest.write_bytes(b"".join(lines[:-1]))
    write()
    assert read_ids(files) == [2 * i for i in range(ROWS)]
    manifest.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(ValueError, match=r"is of another write: function .* has changed"):
        write(3)


@pytest.mark.parametrize("mode", ["append", "error", "ignore"])
def test_an_empty_directory_stays_the_users(mode: str, tmp_path: pathlib.Path) -> None:
    from headrace import _core

    place, pid, start = _core.owner_tag().rsplit("-", 2)
    out = tmp_path / "out"
    left = out / f".headrace-run-{place}-{pid}-{int(start) - 1}"
    left.mkdir(parents=True)
    out.chmod(0o2770)
    inode = out.stat().st_ino
    hr.range(3).write_parquet(str(out), mode=mode, try_create_dir=False)
    assert read_ids(out) == [0, 1, 2]
    assert not left.exists()
    assert (out.stat().st_ino, out.stat().st_mode & 0o7777) == (inode, 0o2770)


def test_what_is_nested_too_deep_is_not_compared(tmp_path: pathlib.Path) -> None:
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]

    def same(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return batch if deep else {}

    hr.range(3).map_batches(same).write_json(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
    assert hr.read_json(str(tmp_path / "out")).count() == 3


def test_a_plan_may_be_deeper_than_the_stack(tmp_path: pathlib.Path) -> None:
    ds = hr.range(6, override_num_blocks=2).random_shuffle(seed=1)
    for _ in range(sys.getrecursionlimit() + 200):
        ds = ds.rename_columns({"id": "id"})
    for _ in range(2):
        ds.write_parquet(str(tmp_path / "out"), mode="overwrite", checkpoint=str(tmp_path / "c"))
        assert read_ids(tmp_path / "out") == list(range(6))


def test_stages_of_several_inputs_are_apart(tmp_path: pathlib.Path) -> None:
    def sides() -> hr.Dataset:
        def stop(row: dict[str, Any]) -> dict[str, Any]:
            if (tmp_path / "stops").exists():
                raise ValueError
            return row

        def shuffled(first: int) -> hr.Dataset:
            items = hr.from_items([{"id": first + i} for i in range(3)])
            return items.repartition(2).map(lambda row: row).sort("id")

        joined = shuffled(0).union(shuffled(3), shuffled(6).map(lambda row: row))
        return joined.map(stop)

    (tmp_path / "stops").touch()
    with pytest.raises(hr.exceptions.UserCodeException):
        sides().write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
    assert len(list((tmp_path / "c").glob("stage-*"))) == 3
    (tmp_path / "stops").unlink()
    sides().write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
    assert read_ids(tmp_path / "out") == list(range(9))


def test_a_lock_that_cannot_be_had_is_not_held(tmp_path: pathlib.Path) -> None:
    (tmp_path / "c" / "lock").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            hr.range(10).write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))


def test_what_is_retried_goes_on_in_another_process(tmp_path: pathlib.Path) -> None:
    """Pickles of a class of `__main__` are not equal in two processes."""
    program = """
        import os, sys
        import headrace as hr

        ROOM = sys.argv[1]

        class Lost(Exception):
            pass

        class Same:
            def __call__(self, batch):
                if os.path.exists(ROOM + "/flag"):
                    raise LookupError
                return batch

        hr.DataContext.get_current().actor_task_retry_on_errors = [Lost]
        ds = hr.range(10, override_num_blocks=2).map_batches(Same, concurrency=1)
        ds.write_parquet(ROOM + "/out", checkpoint=ROOM + "/c")
    """
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(program))

    def start() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(script), str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    flag = tmp_path / "flag"
    flag.touch()
    assert "LookupError" in start().stderr
    flag.unlink()
    ended = start()
    assert ended.returncode == 0, ended.stderr
    assert read_ids(tmp_path / "out") == list(range(10))
