"""Rows on which functions fail: the run fails, or they are left out, or kept as dead letters."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr

ATTENDED = pytest.mark.usefixtures("nothing_left")
ROWS = 60
BAD = {7, 8, 31, 59}
GOOD = [i for i in range(ROWS) if i not in BAD]

Row = dict[str, Any]


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three files of 20 rows."""
    folder = tmp_path / "source"
    folder.mkdir()
    for part in range(3):
        table = pa.table({"id": np.arange(part * 20, part * 20 + 20), "part": [part] * 20})
        pq.write_table(table, folder / f"part-{part}.parquet")
    return folder


def check(value: int) -> int:
    if value in BAD:
        raise ValueError(f"bad {value}")
    return value


def on_row(row: Row) -> Row:
    return {"id": check(row["id"])}


def on_batch(batch: Row) -> Row:
    return {"id": np.array([check(value) for value in batch["id"].tolist()], np.int64)}


def in_parts(batch: Row) -> Iterator[Row]:
    for value in batch["id"].tolist():
        yield {"id": np.array([check(value)])}


async def async_row(row: Row) -> Row:
    return on_row(row)


async def async_batch(batch: Row) -> Row:
    return on_batch(batch)


class OnRow:
    def __call__(self, row: Row) -> Row:
        return on_row(row)


class OnBatch:
    def __call__(self, batch: Row) -> Row:
        return on_batch(batch)


CALLS = {
    "map": lambda ds, how: ds.map(on_row, on_error=how),
    "map of a class": lambda ds, how: ds.map(OnRow, concurrency=1, on_error=how),
    "map, async": lambda ds, how: ds.map(async_row, on_error=how),
    "flat_map": lambda ds, how: ds.flat_map(lambda row: iter([on_row(row)]), on_error=how),
    "filter": lambda ds, how: ds.filter(lambda row: on_row(row) is not None, on_error=how),
    "filter of a class": lambda ds, how: ds.filter(OnRow, concurrency=1, on_error=how),
    "map_batches": lambda ds, how: ds.map_batches(on_batch, on_error=how),
    "batches of 7": lambda ds, how: ds.map_batches(on_batch, batch_size=7, on_error=how),
    "batches in parts": lambda ds, how: ds.map_batches(in_parts, on_error=how),
    "batches of a class": lambda ds, how: ds.map_batches(OnBatch, concurrency=2, on_error=how),
    "batches, async": lambda ds, how: ds.map_batches(async_batch, batch_size=9, on_error=how),
    "pandas": lambda ds, how: ds.map_batches(
        lambda frame: frame[frame["id"].map(check) >= 0], batch_format="pandas", on_error=how
    ),
}


def ids(rows: list[Row]) -> list[int]:
    return sorted(row["id"] for row in rows)


def letters_in(folder: pathlib.Path) -> list[Row]:
    rows = hr.read_parquet(str(folder)).take_all() if folder.exists() else []
    return sorted(rows, key=lambda row: row["id"])


# ---- What is left out --------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_bad_rows_are_left_out(call: str, source: pathlib.Path, caplog: Any) -> None:
    ds = CALLS[call](hr.read_parquet(str(source)), "skip")
    assert ids(ds.take_all()) == GOOD
    assert "Rows left out by on_error: 4, of these 0 kept as dead letters" in ds.stats()
    assert "left out 4 rows on which it failed" in caplog.text


@pytest.mark.parametrize("call", CALLS)
@ATTENDED
def test_bad_rows_are_kept(call: str, source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    letters = tmp_path / "letters"
    ds = CALLS[call](hr.read_parquet(str(source)), hr.DeadLetters(letters))
    assert ids(ds.take_all()) == GOOD
    assert "Rows left out by on_error: 4, of these 4 kept as dead letters" in ds.stats()
    rows = letters_in(letters)
    assert [row["id"] for row in rows] == sorted(BAD)
    for row in rows:
        part, place = divmod(row["id"], 20)
        assert row["part"] == part
        assert row["_error_type"] == "ValueError"
        assert row["_error_message"] == f"bad {row['id']}"
        assert f"ValueError: bad {row['id']}" in row["_error_traceback"]
        assert row["_error_files"] == [str(source / f"part-{part}.parquet")]
        assert (row["_error_first_row"], row["_error_end_row"]) == (place, place + 1)
        assert row["_error_rows_of_file"] is True
        assert row["_error_operator"]
        assert row["_error_position"]


@pytest.mark.parametrize("call", CALLS)
def test_bad_rows_fail_the_run(call: str, source: pathlib.Path) -> None:
    for how in (None, "raise"):
        with pytest.raises(ValueError, match="bad"):
            CALLS[call](hr.read_parquet(str(source)), how).take_all()


def test_the_context_has_the_default(source: pathlib.Path, settings: Any) -> None:
    settings.on_error = "skip"
    ds = hr.read_parquet(str(source))
    assert ids(ds.map(on_row).take_all()) == GOOD
    with pytest.raises(ValueError, match="bad"):
        ds.map(on_row, on_error="raise").take_all()


def test_results_that_are_no_rows_are_bad() -> None:
    ds = hr.range(10, override_num_blocks=2)
    mapped = ds.map(lambda row: row["id"] if row["id"] == 3 else row, on_error="skip")
    assert ids(mapped.take_all()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    flat = ds.flat_map(lambda row: [row, row["id"]] if row["id"] == 3 else [row], on_error="skip")
    assert ids(flat.take_all()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    torn = ds.map_batches(
        lambda batch: {
            "id": batch["id"],
            "x": batch["id"][: len(batch["id"]) - (3 in batch["id"])],
        },
        on_error="skip",
    )
    assert ids(torn.take_all()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_what_a_bad_row_gave_before_is_dropped() -> None:
    def twice(row: Row) -> Iterator[Row]:
        yield {"id": row["id"]}
        check(row["id"])
        yield {"id": row["id"] + 1000}

    ds = hr.range(20, override_num_blocks=2).flat_map(twice, on_error="skip")
    good = [i for i in range(20) if i not in BAD]
    assert ids(ds.take_all()) == sorted([*good, *(i + 1000 for i in good)])


def test_a_batch_is_halved_until_bad_rows_are_alone(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "sizes"

    def fail(batch: Row) -> Row:
        with log.open("a") as file:
            file.write(f"{len(batch['id'])} ")
        return on_batch(batch)

    ds = hr.range(16, override_num_blocks=1).map_batches(fail, on_error="skip")
    assert ids(ds.take_all()) == [i for i in range(16) if i not in BAD]
    assert log.read_text() == "16 8 4 4 2 2 1 1 8 4 2 1 1 2 4 "


@pytest.mark.parametrize("how", ["skip", "letters", "blocks"])
def test_rows_that_are_left_out_are_not_counted_on(
    how: str, tmp_path: pathlib.Path, settings: Any
) -> None:
    bad = set(range(8)) if how == "blocks" else {0, 1, 2}

    def some(row: Row) -> Row:
        if row["id"] in bad:
            raise ValueError("bad")
        return row

    settings.max_errored_blocks = -1 if how == "blocks" else 0
    on_error = {"skip": "skip", "letters": hr.DeadLetters(tmp_path), "blocks": None}[how]
    ds = hr.range(32, override_num_blocks=4).map(some, on_error=on_error)
    left = [i for i in range(32) if i not in bad]
    assert ids(ds.take_all()) == left
    assert ds.count() == len(left)
    assert ds.sort("id").count() == len(left)
    assert [row["id"] for row in ds.limit(3).take_all()] == left[:3]
    assert [row["id"] for row in ds.take(3)] == left[:3]


def test_files_have_their_rows_behind_rows_that_are_left_out(tmp_path: pathlib.Path) -> None:
    ds = hr.range(60, override_num_blocks=12).random_shuffle(seed=1)
    ds.map(on_row, on_error="skip").write_parquet(tmp_path / "out", min_rows_per_file=5)
    counts = [pq.read_metadata(file).num_rows for file in (tmp_path / "out").glob("*.parquet")]
    assert sum(counts) == len(GOOD)
    assert sum(count < 5 for count in counts) <= 1


def test_all_rows_may_be_bad(tmp_path: pathlib.Path) -> None:
    def fail(row: Row) -> Row:
        raise LookupError("none is good")

    letters = tmp_path / "letters"
    ds = hr.range(50, override_num_blocks=5).map(fail, on_error=hr.DeadLetters(letters))
    assert ds.take_all() == []
    assert [row["id"] for row in letters_in(letters)] == list(range(50))


def test_memory_errors_are_not_the_rows_fault() -> None:
    def fail(row: Row) -> Row:
        raise MemoryError("too much")

    with pytest.raises(MemoryError):
        hr.range(3).map(fail, on_error="skip").take_all()


def test_a_constructor_that_fails_fails_the_run() -> None:
    class Bad:
        def __init__(self) -> None:
            raise LookupError("no model")

        def __call__(self, row: Row) -> Row:
            return row

    with pytest.raises(LookupError, match="no model"):
        hr.range(3).map(Bad, concurrency=1, on_error="skip").take_all()


@pytest.mark.parametrize("on_error", ["ignore", "letters/", 3, [hr.DeadLetters("x")]])
def test_what_on_error_may_be(on_error: Any) -> None:
    with pytest.raises(ValueError, match="'raise', 'skip' or DeadLetters"):
        hr.range(3).map(on_row, on_error=on_error)
    with pytest.raises(ValueError, match="'on_error' cannot be used"):
        hr.range(3).filter(expr="id > 1", on_error="skip")


# ---- Where letters come from -------------------------------------------------------------------


def test_behind_a_filter_the_row_lies_in_a_range(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    letters = tmp_path / "letters"
    ds = hr.read_parquet(str(source)).filter(expr="id != 9")
    ds.map(on_row, on_error=hr.DeadLetters(letters)).take_all()
    row = letters_in(letters)[0]
    assert row["id"] == 7
    assert row["_error_first_row"] <= 7 < row["_error_end_row"] <= 20
    exact = letters_in(letters)[2]  # Of a file that lost no row.
    assert (exact["id"], exact["_error_first_row"], exact["_error_end_row"]) == (31, 11, 12)


def test_letters_of_each_operator_and_branch(tmp_path: pathlib.Path) -> None:
    letters = hr.DeadLetters(tmp_path / "letters")
    one = hr.range(20, override_num_blocks=2).map(on_row, on_error=letters)
    both = one.union(one).map_batches(
        lambda batch: {
            "id": np.array([value + 0 // (value - 5) for value in batch["id"].tolist()])
        },
        on_error=letters,
    )
    good = [i for i in range(20) if i not in BAD and i != 5]
    assert ids(both.take_all()) == sorted(good * 2)
    assert ids(letters_in(tmp_path / "letters")) == [5, 5, 7, 7, 8, 8]


def test_letters_hold_what_rows_hold(tmp_path: pathlib.Path) -> None:
    def fail(row: Row) -> Row:
        raise ValueError("\ud800 \x00")

    rows = [{"id": 0, "image": np.ones((2, 3)), "text": "a", "more": {"x": [1, None]}}]
    letters = tmp_path / "letters"
    hr.from_items(rows).map(fail, on_error=hr.DeadLetters(letters)).take_all()
    [row] = letters_in(letters)
    assert row["image"].shape == (2, 3)
    assert row["more"] == {"x": [1, None]}
    # They can be tried again, and fail again.
    again = tmp_path / "again"
    hr.read_parquet(str(letters)).map(fail, on_error=hr.DeadLetters(again)).take_all()
    assert letters_in(again)[0]["_error_files"] != row["_error_files"]


ODD = {
    "no columns": pa.table({"x": [1, 2]}).select([]),
    "empty structs": pa.table({"x": pa.array([{}, {}], pa.struct([]))}),
    "intervals": pa.table({"x": pa.array([pa.MonthDayNano([1, 2, 3])] * 2)}),
    "views": pa.table({"x": pa.array(["a", "b"], pa.string_view())}),
}


@pytest.mark.parametrize("kind", ODD)
def test_letters_hold_what_parquet_does_not(kind: str, tmp_path: pathlib.Path) -> None:
    def fail(batch: pa.Table) -> pa.Table:
        raise ValueError("bad")

    letters = hr.DeadLetters(tmp_path / "letters")
    hr.from_arrow(ODD[kind]).map_batches(
        fail, batch_format="pyarrow", batch_size=1, on_error=letters
    ).take_all()
    rows = hr.read_parquet(str(tmp_path / "letters")).take_all()
    assert [row["_error_message"] for row in rows] == ["bad", "bad"]
    found = sorted(row["x"] for row in rows if "x" in row)
    values = [row.get("x") for row in ODD[kind].to_pylist()]
    shown = values if kind == "views" else [repr(value) for value in values]
    assert found == ([] if kind == "no columns" else shown)


def test_each_run_adds_letters(tmp_path: pathlib.Path) -> None:
    letters = tmp_path / "letters"
    ds = hr.range(20, override_num_blocks=2).map(on_row, on_error=hr.DeadLetters(letters))
    ds.take_all()
    ds.take_all()
    assert ids(letters_in(letters)) == [7, 7, 8, 8]


@ATTENDED
def test_a_run_that_is_left_early_cleans_up(tmp_path: pathlib.Path) -> None:
    letters = tmp_path / "letters"
    ds = hr.range(2000, override_num_blocks=40).map(on_row, on_error=hr.DeadLetters(letters))
    for batch in ds.iter_batches(batch_size=1):
        assert int(batch["id"][0]) not in BAD
        break
    ds.take(3)
    assert set(ids(letters_in(letters))) <= BAD


def test_each_epoch_of_a_split_adds_letters(tmp_path: pathlib.Path) -> None:
    letters = tmp_path / "letters"
    ds = hr.range(20, override_num_blocks=4).map(on_row, on_error=hr.DeadLetters(letters))
    [split] = ds.streaming_split(1)
    for _ in range(2):
        assert len(list(split.iter_rows())) == 18
    del split
    assert ids(letters_in(letters)) == [7, 7, 8, 8]


# ---- Rows neither lost nor doubled -------------------------------------------------------------


@ATTENDED
def test_a_run_that_fails_has_no_letters(tmp_path: pathlib.Path) -> None:
    def fail(batch: Row) -> Row:
        if 55 in batch["id"]:
            raise LookupError("the end")
        return batch

    letters = tmp_path / "letters"
    ds = hr.range(ROWS, override_num_blocks=6).map(on_row, on_error=hr.DeadLetters(letters))
    with pytest.raises(LookupError):
        ds.map_batches(fail).write_parquet(str(tmp_path / "out"))
    assert not list(letters.glob("*"))


@pytest.mark.parametrize("as_class", [False, True])
def test_killed_workers_do_not_show(tmp_path: pathlib.Path, as_class: bool) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()

    def fail(row: Row) -> Row:
        if row["id"] % 5 == 4:  # After bad rows, and before the task's end.
            try:
                (marks / str(row["id"])).touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_row(row)

    class Fail:
        def __call__(self, row: Row) -> Row:
            return fail(row)

    hr.DataContext.get_current().max_task_attempts = 20
    letters = tmp_path / "letters"
    how = hr.DeadLetters(letters)
    ds = hr.range(ROWS, override_num_blocks=6)
    ds = ds.map(Fail, concurrency=2, on_error=how) if as_class else ds.map(fail, on_error=how)
    out = tmp_path / "out"
    ds.write_parquet(str(out))
    assert len(list(marks.iterdir())) == ROWS // 5
    assert ids(hr.read_parquet(str(out)).take_all()) == GOOD
    assert ids(letters_in(letters)) == sorted(BAD)
    assert not list(tmp_path.rglob(".headrace-*"))


def test_tasks_that_fail_have_no_letters(settings: Any, tmp_path: pathlib.Path) -> None:
    def fail(batch: Row) -> Row:
        if 31 in batch["id"]:
            raise LookupError("a bad block")
        return batch

    settings.max_errored_blocks = 1
    letters = tmp_path / "letters"
    ds = hr.range(ROWS, override_num_blocks=6)
    ds = ds.map(
        lambda row: row if row["id"] == 31 else on_row(row), on_error=hr.DeadLetters(letters)
    )
    assert ds.map_batches(fail).count() == 50 - 3
    assert ids(letters_in(letters)) == [7, 8, 59]


JOB = """
    import os, signal, sys
    import headrace as hr
    from pyarrow import fs
    from checkpoint_job import CountedHandler, Counter

    folder, number = sys.argv[1], int(sys.argv[2])
    counter = Counter(number)
    files = fs.PyFileSystem(CountedHandler(counter.step))

    def fail(row):
        if row["id"] % 10 == 3:
            raise ValueError("bad")
        return row

    letters = hr.DeadLetters(folder + "/letters", filesystem=files)
    ds = hr.range(60, override_num_blocks=3).map(fail, on_error=letters)
    ds.write_parquet(folder + "/out", filesystem=files)
    print(counter.count)
"""


def run_job(folder: pathlib.Path, number: int) -> subprocess.CompletedProcess[str]:
    script = folder.parent / "job.py"
    script.write_text(textwrap.dedent(JOB))
    path = os.pathsep.join([str(pathlib.Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, str(script), str(folder), str(number)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.8, 0.9, 0.97])
def test_rows_and_letters_stand_together(share: float, tmp_path: pathlib.Path) -> None:
    whole = run_job(tmp_path / "whole", -1)
    assert whole.returncode == 0, whole.stderr
    folder = tmp_path / "killed"
    killed = run_job(folder, max(1, int(share * int(whole.stdout.split()[-1]))))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # Who runs it again has all rows once: of the result, and of the letters.
    again = run_job(folder, -1)
    assert again.returncode == 0, again.stderr
    rows = ids(hr.read_parquet(str(folder / "out")).take_all())
    letters = ids(letters_in(folder / "letters"))
    times = len(rows) // 54
    assert rows == sorted([i for i in range(60) if i % 10 != 3] * times)
    assert letters == sorted(list(range(3, 60, 10)) * times)


def test_letters_of_a_checkpoint_are_local(tmp_path: pathlib.Path) -> None:
    from pyarrow import fs

    below = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    letters = hr.DeadLetters("letters", filesystem=below)
    ds = hr.range(10).map(on_row, on_error=letters)
    with pytest.raises(ValueError, match="must go to the local file system"):
        ds.write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
