"""Writes that are killed at random moments, and go on.

HEADRACE_KILLS says how many moments; the seed of each is in the name of its test.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr

KILLS = int(os.environ.get("HEADRACE_KILLS", "4"))
SCRIPT = pathlib.Path(__file__).with_name("checkpoint_job.py")
ROWS = 1200
PARTS = 240
CPUS = 2


class Job:
    """One write, which can be run several times by processes of their own."""

    def __init__(self, room: pathlib.Path, plan: str, **settings: Any) -> None:
        self.room = room
        room.mkdir(parents=True, exist_ok=True)
        self.target = room / "out"
        self.checkpoint = room / "checkpoint"
        self.job = {
            "folder": str(room),
            "plan": plan,
            "parts": PARTS,
            "cpus": CPUS,
            "format": "parquet",
            "target": str(self.target),
            "checkpoint": str(self.checkpoint),
            **settings,
        }

    def start(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        path = self.room / "job.json"
        path.write_text(json.dumps({**self.job, **changes}))
        return subprocess.run(
            [sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True, timeout=120
        )

    def finish(self, **changes: Any) -> dict[str, int]:
        """Runs to the end; returns how many steps and file operations there were."""
        ended = self.start(**changes)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    def die(self, at: str, number: int) -> bool:
        """Runs until it is killed; returns False if it was at its end before."""
        ended = self.start(kill={"at": at, "number": number})
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        return ended.returncode != 0

    def files(self) -> dict[str, bytes]:
        """The files by their names without the run's own part."""
        found = {}
        for path in self.target.rglob("*"):
            relative = path.relative_to(self.target)
            assert not relative.parts[0].startswith(".headrace-"), relative
            if path.is_file():
                name = relative.name.partition("_")[2]
                found[str(relative.with_name(name))] = path.read_bytes()
        return found

    def calls(self) -> list[tuple[str, int]]:
        """(kind, first row) of every call of a function, in all runs."""
        log = self.room / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def pieces(self) -> int:
        """How many pieces the manifest has on record."""
        manifest = self.checkpoint / "manifest"
        if not manifest.exists():
            return 0
        return sum(line.startswith("piece\t") for line in manifest.read_text().splitlines())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """240 files of 5 rows."""
    folder = tmp_path_factory.mktemp("source")
    size = ROWS // PARTS
    for part in range(PARTS):
        table = pa.table({"id": np.arange(part * size, (part + 1) * size)})
        pq.write_table(table, folder / f"part-{part:03}.parquet")
    return folder


Undisturbed = collections.namedtuple("Undisturbed", "files counts calls")
_undisturbed: dict[str, Undisturbed] = {}


@pytest.fixture
def undisturbed(source: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Returns what a plan's write gives when nothing happens to it."""

    def of(plan: str, **settings: Any) -> Undisturbed:
        key = json.dumps([plan, settings], sort_keys=True)
        if key not in _undisturbed:
            room = tmp_path_factory.mktemp("undisturbed")
            job = Job(room, plan, source=str(source), **settings)
            counts = job.finish()
            _undisturbed[key] = Undisturbed(job.files(), counts, len(job.calls()))
        return _undisturbed[key]

    return of


def read_ids(folder: pathlib.Path) -> list[int]:
    return sorted(row["id"] for row in hr.read_parquet(str(folder)).take_all())


# ---- Killed at random moments ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_killed_driver_goes_on(
    seed: int, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    rng = random.Random(seed)
    plan = rng.choice(["fused", "filtered", "actors", "batches", "union", "memory"])
    whole = undisturbed(plan)
    job = Job(tmp_path, plan, source=str(source))
    kills = 0
    while kills < 3:
        at = rng.choice(["call", "call", "step"])
        most = len(job.calls()) + whole.calls if at == "call" else whole.counts["steps"]
        first = len(job.calls()) + 1 if at == "call" else 1
        if not job.die(at, rng.randint(first, most)):
            break
        kills += 1
        if rng.random() < 0.5:
            break
    job.finish()
    assert job.files() == whole.files
    again = len(job.calls()) - whole.calls
    print(f"seed {seed}: {plan}, {kills} kills, {again} of {whole.calls} calls again")
    # What ran when the driver died, and what ended since its consumer last had a cpu: a few tasks,
    # but on a machine that is busy with other things there is no telling how many.
    assert again <= kills * (4 * CPUS + 0.25 * whole.calls)


@pytest.mark.parametrize("plan", ["lettered", "lettered, joined", "lettered, sorted"])
@pytest.mark.parametrize("seed", range(max(1, KILLS // 2)))
def test_dead_letters_go_on(
    plan: str, seed: int, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    rng = random.Random(f"{plan} {seed}")
    job = Job(tmp_path / "job", plan, source=str(source))
    calls = 40
    for _ in range(3):
        job.die(*rng.choice([("call", len(job.calls()) + rng.randint(1, calls)), ("step", 6000)]))
        calls = 120
    job.finish()
    ids = [*range(ROWS), *(range(100) if plan == "lettered, joined" else ())]
    assert read_ids(job.target) == sorted(i for i in ids if i % 10 not in (3, 7))
    assert read_ids(tmp_path / "job" / "letters") == sorted(i for i in ids if i % 10 in (3, 7))
    assert not list((tmp_path / "job").rglob(".headrace-*"))


def test_lost_letters_are_written_again(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = Job(tmp_path, "lettered", source=str(source))
    assert job.die("call", 60)
    letters = list((tmp_path / "letters").rglob("*.parquet"))
    assert letters
    letters[0].unlink()
    job.finish()
    assert len(read_ids(tmp_path / "letters")) == 2 * ROWS // 10


def test_letters_of_a_removed_checkpoint_go(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = Job(tmp_path, "lettered", source=str(source))
    assert job.die("call", 60)
    assert list((tmp_path / "letters").rglob(".headrace-*"))
    shutil.rmtree(job.checkpoint)
    job.finish()
    assert len(read_ids(tmp_path / "letters")) == 2 * ROWS // 10
    assert not list((tmp_path / "letters").rglob(".headrace-*"))


@pytest.mark.parametrize("plan", ["fused", "actors", "batches"])
def test_killed_workers_do_not_show(
    plan: str, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    job = Job(tmp_path, plan, source=str(source))
    job.finish(kill={"at": "worker", "number": 70})
    whole = undisturbed(plan)
    assert len(job.calls()) > whole.calls
    assert job.files() == whole.files


@pytest.mark.parametrize("form", ["csv", "json", "numpy"])
def test_every_format_goes_on(
    form: str, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    options = {"column": "x"} if form == "numpy" else {}
    settings = {"format": form, "options": options}
    whole = undisturbed("fused", **settings)
    job = Job(tmp_path, "fused", source=str(source), **settings)
    assert job.die("call", 30)
    job.finish()
    assert job.files() == whole.files


def test_partitions_go_on(source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any) -> None:
    settings = {"options": {"partition_cols": ["x"], "max_rows_per_file": 7}, "parts": 4}
    whole = undisturbed("fused", **settings)
    job = Job(tmp_path, "fused", source=str(source), **settings)
    assert job.die("call", 3)
    job.finish()
    assert job.files() == whole.files


def test_files_of_a_least_size_go_on(
    source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    settings = {"options": {"min_rows_per_file": 50}, "parts": 20}
    whole = undisturbed("fused", **settings)
    assert len(whole.files) == 20  # Of 60 rows: none has rows of two read tasks.
    job = Job(tmp_path, "fused", source=str(source), **settings)
    assert job.die("call", 9)
    job.finish()
    assert job.files() == whole.files


@pytest.mark.parametrize("plan", ["memory", "union"])
def test_every_source_goes_on(
    plan: str, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    whole = undisturbed(plan)
    for number in (5, 9):
        job = Job(tmp_path / str(number), plan, source=str(source))
        assert job.die("call", number)
        assert job.pieces() > 0
        job.finish()
        assert job.files() == whole.files


def test_what_is_recorded_is_not_done_again(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = Job(tmp_path, "fused", source=str(source))
    assert job.die("call", 40)
    recorded, called = job.pieces(), len(job.calls())
    assert 10 < recorded < 40
    job.finish()
    assert len(set(job.calls())) == PARTS
    assert len(job.calls()) == called + PARTS - recorded


def test_a_finished_write_does_nothing(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = Job(tmp_path, "fused", source=str(source))
    job.finish()
    before = job.files()
    ended = job.start()
    assert ended.returncode == 0
    assert "Nothing to write" in ended.stderr
    assert len(job.calls()) == PARTS
    assert job.files() == before


# ---- What makes a checkpoint another's ---------------------------------------------------------


def killed(source: pathlib.Path, room: pathlib.Path) -> Job:
    job = Job(room, "fused", source=str(source))
    assert job.die("call", 10)
    return job


def copied(source: pathlib.Path, room: pathlib.Path) -> pathlib.Path:
    room.mkdir()
    for path in source.iterdir():
        (room / path.name).write_bytes(path.read_bytes())
    return room


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"change": 1}, "function 'triple' has changed"),
        ({"plan": "filtered"}, "function 'chosen' is new"),
        ({"options": {"compression": "gzip"}}, "setting 'options' has changed"),
        ({"options": {"mode": "overwrite"}}, "setting 'mode' has changed"),
        ({"target": "elsewhere"}, "setting 'path' has changed"),
        ({"parts": 30}, "operator 'ReadParquet->MapBatches(triple)->Write' has changed"),
    ],
)
def test_a_changed_plan_is_refused(
    changes: dict[str, Any], told: str, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    job = killed(source, tmp_path / "job")
    if "target" in changes:
        changes = {"target": str(tmp_path / "elsewhere")}
    ended = job.start(**changes)
    assert ended.returncode == 1
    assert "is of another write" in ended.stderr
    assert told in ended.stderr
    job.finish()


def test_changed_files_are_refused(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    files = copied(source, tmp_path / "files")
    job = killed(files, tmp_path / "job")
    pq.write_table(pa.table({"id": np.arange(3)}), files / "part-007.parquet")
    (files / "part-009.parquet").unlink()
    pq.write_table(pa.table({"id": np.arange(3)}), files / "part-900.parquet")
    ended = job.start()
    assert ended.returncode == 1
    for told in (
        f"file '{files}/part-007.parquet' has changed",
        f"file '{files}/part-009.parquet' is not there any more",
        f"file '{files}/part-900.parquet' is new",
    ):
        assert told in ended.stderr


# ---- Operators that need all of their input ----------------------------------------------------

STAGED = ["limited", "sorted", "shuffled", "grouped", "joined"]


@pytest.mark.parametrize("plan", STAGED)
def test_a_complete_stage_is_not_done_again(
    plan: str, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    whole = undisturbed(plan)
    job = Job(tmp_path, plan, source=str(source))
    assert job.die("call", whole.calls - 1)
    before = collections.Counter(job.calls())
    assert list(job.checkpoint.glob("stage-*"))
    job.finish()
    assert job.files() == whole.files
    again = collections.Counter(job.calls()) - before
    assert {kind for kind, _ in again} == {"after"}
    assert not list(job.checkpoint.glob("stage-*"))


@pytest.mark.parametrize("seed", range(max(2, KILLS // 5)))
def test_a_plan_in_stages_goes_on(
    seed: int, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    rng = random.Random(1000 + seed)
    plan = rng.choice(STAGED)
    whole = undisturbed(plan)
    job = Job(tmp_path, plan, source=str(source))
    at = rng.choice(["call", "step"])
    number = rng.randint(1, whole.calls if at == "call" else whole.counts["steps"])
    died = job.die(at, number)
    job.finish()
    print(f"seed {seed}: {plan}, killed at {at} {number}: {died}")
    assert job.files() == whole.files


def test_a_stage_without_rows(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = Job(tmp_path, "emptied", source=str(source))
    job.finish()
    assert job.files() == {}
    assert "Nothing to write" in job.start().stderr


def test_stages_give_what_the_plan_gives(tmp_path: pathlib.Path) -> None:
    """With tensors, nested columns and whole groups, and several stages."""
    tensors = [np.full((2, 3), i, np.float32) for i in range(40)]
    rows = [{"id": i, "t": tensors[i], "n": {"a": [i]}, "k": i % 3} for i in range(40)]
    dataset = hr.from_items(rows, override_num_blocks=5).sort("id", descending=True)
    dataset = dataset.groupby("k").map_groups(
        lambda group: {"k": group["k"][:1], "t": group["t"].sum(0)[None], "n": [len(group["k"])]},
        batch_format="numpy",
    )
    dataset = dataset.union(hr.range(5).map(lambda row: {"k": row["id"] + 10}))
    dataset.write_parquet(str(tmp_path / "plain"))
    dataset.write_parquet(str(tmp_path / "staged"), checkpoint=str(tmp_path / "c"))
    plain, staged = (
        hr.read_parquet(str(tmp_path / name)).sort("k").take_all() for name in ("plain", "staged")
    )
    assert len(plain) == 8
    for one, other in zip(plain, staged, strict=True):
        np.testing.assert_equal(one, other)


def test_a_damaged_manifest_is_refused(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = killed(source, tmp_path)
    manifest = job.checkpoint / "manifest"
    text = manifest.read_text()
    manifest.write_text(text.replace("\npiece\t", "\npeace\t", 1))
    ended = job.start()
    assert ended.returncode == 1
    assert "is damaged" in ended.stderr
    manifest.write_text(text + "piece\t7")  # Torn while it was written.
    job.finish()


def test_lost_files_are_written_again(
    source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    job = killed(source, tmp_path)
    lost = sorted(job.target.rglob("*.parquet"))[:2]
    lost[0].unlink()
    lost[1].write_bytes(b"PAR1")
    job.finish()
    assert job.files() == undisturbed("fused").files


def test_one_checkpoint_has_one_writer(tmp_path: pathlib.Path) -> None:
    from headrace._internal.checkpoint import Checkpoint

    with Checkpoint(tmp_path / "c", str(tmp_path / "out"), pa.fs.LocalFileSystem(), {}):
        with pytest.raises(RuntimeError, match="in use by this process"):
            hr.range(10).write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
    hr.range(10).write_parquet(str(tmp_path / "out"), checkpoint=str(tmp_path / "c"))
    assert read_ids(tmp_path / "out") == list(range(10))


def test_a_writer_in_python_has_no_checkpoint(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="checkpoint is not supported"):
        hr.range(10).write_csv(
            str(tmp_path / "out"),
            checkpoint=str(tmp_path / "c"),
            arrow_open_stream_args={"compression": "gzip"},
        )
    with pytest.raises(ValueError, match="must be a local directory"):
        hr.range(10).write_csv(str(tmp_path / "out"), checkpoint="s3://bucket/c")


# ---- Save modes under a kill -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["append", "overwrite", "ignore", "error"])
@pytest.mark.parametrize("seed", range(max(1, KILLS // 4)))
def test_a_killed_write_is_seen_whole_or_not_at_all(
    mode: str, seed: int, source: pathlib.Path, tmp_path: pathlib.Path, undisturbed: Any
) -> None:
    settings = {"counted_files": True, "checkpoint": None, "parts": 8}
    operations = undisturbed("native", **settings).counts["files"]
    job = Job(tmp_path, "native", source=str(source), **settings, options={"mode": mode})
    old: list[int] = []
    if mode in ("append", "overwrite"):
        old = list(range(5000, 5020))
        hr.from_items([{"id": i} for i in old], override_num_blocks=4).write_parquet(
            str(job.target)
        )
    new = [*range(0, ROWS, 2)]
    result = sorted(old + new) if mode == "append" else new
    rng = random.Random(f"{mode} {seed}")
    # Overwriting has more operations than the append that was counted. Most moments are late:
    # then the commit is under way.
    most = operations + (8 if mode == "overwrite" else 0)
    number = 1 + int((most - 1) * rng.random() ** 0.5)
    died = job.die("file", number)
    has_files = job.target.exists() and any(job.target.rglob("*.parquet"))
    seen = read_ids(job.target) if has_files and visible(job.target) else []
    print(f"{mode} {seed}: killed at {number} of {operations}: {len(seen)} rows")
    assert seen in (old, result)
    if mode == "overwrite" and seen == old:
        assert len(list(job.target.glob("*.parquet"))) >= 4
    if died:
        # The next write ends what was begun, or removes it.
        hr.from_items([{"id": 9999}]).write_parquet(str(job.target))
        assert read_ids(job.target) in ([*old, 9999], [*result, 9999])
        assert not list(job.target.glob(".headrace-*"))


@pytest.mark.parametrize("seed", range(max(2, KILLS // 5)))
def test_overwriting_what_is_read_goes_on(
    seed: int, source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    settings = {"counted_files": True, "parts": 8, "options": {"mode": "overwrite"}}
    expected = [*range(0, ROWS, 2)]
    whole = copied(source, tmp_path / "whole")
    counted = Job(tmp_path / "counted", "native", source=str(whole), target=str(whole), **settings)
    operations = counted.finish()["files"]
    assert read_ids(whole) == expected
    files = copied(source, tmp_path / "files")
    job = Job(tmp_path / "job", "native", source=str(files), target=str(files), **settings)
    # Most of the operations are of the commit: a move or a removal each.
    died = job.die("file", random.Random(seed).randint(1, operations))
    assert read_ids(files) in (list(range(ROWS)), expected)
    if died:
        job.finish()
    assert read_ids(files) == expected
    assert not list(files.glob(".headrace-*"))


def test_a_removed_checkpoint_leaves_nothing(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    job = killed(source, tmp_path)
    assert list(job.target.glob(".headrace-*"))
    hr.range(3).write_parquet(str(job.target))
    assert list(job.target.glob(".headrace-*"))
    shutil.rmtree(job.checkpoint)
    hr.range(3).write_parquet(str(job.target))
    assert not list(job.target.glob(".headrace-*"))
    job.finish()


def visible(folder: pathlib.Path) -> bool:
    from headrace._internal import paths

    return bool(paths.list_files([str(folder)], pa.fs.LocalFileSystem()))


def test_a_living_writer_is_left_alone(tmp_path: pathlib.Path) -> None:
    from headrace import _core

    mine = tmp_path / f".headrace-run-{_core.owner_tag()}"
    place, pid, start = _core.owner_tag().rsplit("-", 2)
    gone = tmp_path / f".headrace-run-{place}-{pid}-{int(start) - 1}"
    other_host = tmp_path / f".headrace-run-elsewhere-{pid}-{int(start) - 1}"
    checkpoint = tmp_path / ".headrace-checkpoint-ab12-0"
    for folder in (mine, gone, other_host, checkpoint):
        folder.mkdir()
        (folder / "file.parquet").write_bytes(b"")
    hr.range(3).write_parquet(str(tmp_path))
    assert not gone.exists()
    for folder in (mine, other_host, checkpoint):
        assert folder.exists()
    assert read_ids(tmp_path) == [0, 1, 2]
