"""Processes that end: workers, templates and constructors; Ctrl-C, full disks, ends of programs.

What a test cannot try on itself is a script that runs in a session, a working directory and a
temporary directory of its own; afterwards none of them may hold anything.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leftovers import told
from scripts import Script

import headrace
from headrace.exceptions import WorkerDiedError

ATTENDED = pytest.mark.usefixtures("nothing_left")

Row = dict[str, Any]


# ---- Processes that die ---------------------------------------------------------------------

DEATHS: dict[str, tuple[Callable[[], object], str]] = {
    "os._exit": (lambda: os._exit(3), "status 3"),
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal 9"),
    "segfault": (lambda: ctypes.string_at(0), "signal 11"),
}


@pytest.mark.parametrize("death", DEATHS)
@ATTENDED
def test_a_worker_that_always_dies_names_the_operator(death: str, tmp_path: Path) -> None:
    die, words = DEATHS[death]
    pq.write_table(pa.table({"id": [1, 2, 3]}), tmp_path / "a.parquet")
    with pytest.raises(WorkerDiedError, match=words) as caught:
        headrace.read_parquet(str(tmp_path)).map_batches(lambda batch: die()).take_all()
    assert str(caught.value).startswith("ReadParquet->MapBatches(<lambda>): worker process ")
    text = told(caught.value)
    assert "operator ReadParquet->MapBatches(<lambda>), file " in text
    assert "a.parquet, rows 0–2, after 4 attempts" in text


SOURCES: dict[str, tuple[Callable[[str], headrace.Dataset], str]] = {
    "a range": (lambda path: headrace.range(30, override_num_blocks=1), ", rows 0–29, "),
    "items": (
        lambda path: headrace.from_items(list(range(30)), override_num_blocks=1),
        ", rows 0–29 of the task's input, ",
    ),
    "kept blocks": (
        lambda path: headrace.read_parquet(path).materialize(),
        ", rows 0–29 of the task's input, from PATH/a.parquet, ",
    ),
    "groups": (
        lambda path: headrace.read_parquet(path).repartition(1, shuffle=True),
        ", rows 0–29 of the task's input, ",
    ),
}


@pytest.mark.parametrize("source", SOURCES)
@ATTENDED
def test_what_a_dead_worker_worked_on_is_named(source: str, tmp_path: Path) -> None:
    make, words = SOURCES[source]
    pq.write_table(pa.table({"id": list(range(30))}), tmp_path / "a.parquet")
    with pytest.raises(WorkerDiedError, match="status 3") as caught:
        make(str(tmp_path)).map_batches(lambda batch: os._exit(3), batch_size=None).take_all()
    assert words.replace("PATH", str(tmp_path)) in told(caught.value)


@ATTENDED
def test_an_actor_that_always_dies_names_the_operator() -> None:
    class Die:
        def __call__(self, batch: Row) -> Row:
            os._exit(4)

    with pytest.raises(WorkerDiedError, match="status 4") as caught:
        headrace.range(30).map_batches(Die, concurrency=1).take_all()
    assert "MapBatches(Die)" in told(caught.value)


@ATTENDED
def test_a_template_that_is_killed_is_started_again(tmp_path: Path) -> None:
    flag = str(tmp_path / "died")

    def kill_template(row: Row) -> Row:
        if row["id"] == 50 and not os.path.exists(flag):
            Path(flag).touch()
            os.kill(os.getppid(), signal.SIGKILL)
        return row

    ds = headrace.range(100, override_num_blocks=10)
    assert [row["id"] for row in ds.map(kill_template).take_all()] == list(range(100))
    assert os.path.exists(flag)


@ATTENDED
def test_a_function_that_closes_all_files_ends_its_worker() -> None:
    with pytest.raises(WorkerDiedError) as caught:
        headrace.range(3).map(lambda row: os.closerange(3, 256)).take_all()
    assert "operator ReadRange->Map(<lambda>)" in told(caught.value)


@ATTENDED
def test_a_constructor_that_raises() -> None:
    class NoModel:
        def __init__(self) -> None:
            raise RuntimeError("there is no model")

        def __call__(self, batch: Row) -> Row:
            return batch

    with pytest.raises(RuntimeError, match="there is no model") as caught:
        headrace.range(30).map_batches(NoModel, concurrency=2).take_all()
    own, _, after = told(caught.value).partition("direct cause")
    assert 'raise RuntimeError("there is no model")' in own
    assert "MapBatches(NoModel), while an actor started" in after


@ATTENDED
def test_a_constructor_that_dies() -> None:
    class Die:
        def __init__(self) -> None:
            os._exit(5)

        def __call__(self, batch: Row) -> Row:
            return batch

    with pytest.raises(WorkerDiedError, match=r"MapBatches\(Die\): .* status 5(\n|$)") as caught:
        headrace.range(30).map_batches(Die, concurrency=1).take_all()
    assert "MapBatches(Die), while an actor started" in told(caught.value)


def die_once(flag: str) -> None:
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("is_actor", [False, True])
@ATTENDED
def test_a_worker_killed_in_mid_run_costs_and_doubles_no_row(
    is_actor: bool, tmp_path: Path
) -> None:
    flag = str(tmp_path / "died")

    class Half:
        """Dies between its outputs, some of which are out by then."""

        def __call__(self, batch: Row) -> Iterator[Row]:
            for i in range(6):
                if i == 4 and 50 in batch["id"]:
                    die_once(flag)
                ids = batch["id"] * 6 + i
                yield {"id": ids, "big": np.zeros((len(ids), 40_000), np.uint8)}

    half = Half()
    ds = headrace.range(100, override_num_blocks=10)
    ds.context.target_max_block_size = 1 << 18
    ds.context.target_min_block_size = 1
    mapped = ds.map_batches(Half, concurrency=2) if is_actor else ds.map_batches(lambda b: half(b))
    seen = [int(i) for batch in mapped.iter_batches(batch_size=7) for i in batch["id"]]
    assert os.path.exists(flag)
    assert sorted(seen) == list(range(600))


@ATTENDED
def test_files_of_a_killed_worker_are_not_doubled(tmp_path: Path) -> None:
    flag, out = str(tmp_path / "died"), tmp_path / "out"

    def once(batch: Row) -> Row:
        if 50 in batch["id"]:
            die_once(flag)
        return batch

    headrace.range(100, override_num_blocks=10).map_batches(once).write_parquet(str(out))
    assert os.path.exists(flag)
    assert sorted(pq.read_table(out).column("id").to_pylist()) == list(range(100))


# ---- Ctrl-C ---------------------------------------------------------------------------------

SLEEPERS = {
    "map": "map(lambda row: sleep())",
    "map_batches": "map_batches(lambda batch: sleep())",
    "actor": "map_batches(Sleep, concurrency=1)",
    "constructor": "map_batches(SleepAtStart, concurrency=1)",
}
SLEEP = """
def sleep():
    print("sleeping", flush=True)
    time.sleep(600)

class Sleep:
    def __call__(self, batch):
        sleep()

class SleepAtStart:
    def __init__(self):
        sleep()
    def __call__(self, batch):
        return batch

def run():
    return headrace.range(4, override_num_blocks=1).VERB
"""


@pytest.mark.parametrize("group", [False, True], ids=["driver only", "whole group"])
@pytest.mark.parametrize("verb", SLEEPERS)
def test_ctrl_c_while_a_function_sleeps(verb: str, group: bool, tmp_path: Path) -> None:
    text = SLEEP.replace("VERB", SLEEPERS[verb]) + textwrap.dedent(
        """
        begin = None
        try:
            run().take_all()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        next_pipeline()
        """
    )
    script = Script(text, tmp_path)
    assert script.line() == "sleeping"
    # A terminal sends it to the whole group, `kill -INT` to the driver.
    (os.killpg if group else os.kill)(script.process.pid, signal.SIGINT)
    out, err = script.finish()
    assert out.split() == ["interrupted", "next"], err


def test_ctrl_c_that_nobody_catches_ends_the_program(tmp_path: Path) -> None:
    script = Script(SLEEP.replace("VERB", SLEEPERS["map"]) + "\nrun().take_all()\n", tmp_path)
    assert script.line() == "sleeping"
    os.killpg(script.process.pid, signal.SIGINT)
    _, err = script.finish(-signal.SIGINT)
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_ctrl_c_while_writing_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = f"""
    def slow(batch):
        if batch["id"][0]:
            print("sleeping", flush=True)
            time.sleep(600)
        return batch

    try:
        headrace.range(4, override_num_blocks=2).map_batches(slow).write_parquet({str(out)!r})
    except KeyboardInterrupt:
        pass
    next_pipeline()
    """
    script = Script(text, tmp_path)
    assert script.line() == "sleeping"
    os.kill(script.process.pid, signal.SIGINT)
    script.finish()
    assert [path for path in out.rglob("*") if path.is_file()] == []


# ---- Ends of programs -----------------------------------------------------------------------


def test_a_program_that_ends_leaves_nothing(tmp_path: Path) -> None:
    text = """
    ds = headrace.range(1000, override_num_blocks=20).map_batches(lambda batch: batch)
    kept = ds.materialize()
    rows = ds.iter_rows()
    next(iter(rows))
    """
    out, err = Script(text, tmp_path).finish()
    assert (out, err) == ("", "")


def test_a_program_that_fails_shows_the_users_frame_first(tmp_path: Path) -> None:
    text = """
    def bad(row):
        return {"x": 1 // row["id"]}

    headrace.range(3, override_num_blocks=1).map(bad).take_all()
    """
    _, err = Script(text, tmp_path).finish(1)
    assert err.index('return {"x": 1 // row["id"]}') < err.index("direct cause")
    assert "operator ReadRange->Map(bad)" in err
    assert "row: {'id': 0}" in err


def test_a_program_whose_workers_die_leaves_no_core_and_no_process(tmp_path: Path) -> None:
    text = """
    import ctypes
    try:
        headrace.range(3).map(lambda row: ctypes.string_at(0)).take_all()
    except headrace.exceptions.WorkerDiedError as error:
        print("Map(<lambda>)" in told(error))
        del error
    next_pipeline()
    """
    out, err = Script(text, tmp_path).finish()
    assert out.split() == ["True", "next"], err


# ---- Full disks -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """A command that runs another with a disk of 1 MiB at a path, which is gone afterwards."""
    path = tmp_path_factory.mktemp("small_disk")
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare")
    mount = f'mount -t tmpfs -o size=1m tmpfs "{path}" && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *user, "sh", "-c", mount, "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    return command, path


@pytest.mark.parametrize("is_python", [False, True], ids=["native", "function"])
@pytest.mark.parametrize("how", ["parquet", "csv", "json", "numpy"])
def test_a_disk_that_fills_up_while_writing(
    how: str, is_python: bool, small_disk: tuple[list[str], Path], tmp_path: Path
) -> None:
    command, disk = small_disk
    text = f"""
    def left():
        return [p for _, _, files in os.walk({str(disk)!r}) for p in files]

    ds = headrace.range(1_000_000, override_num_blocks=8)
    if {is_python}:
        ds = ds.map_batches(lambda batch: batch)
    options = {{"column": "id"}} if {how!r} == "numpy" else {{}}
    try:
        ds.write_{how}({str(disk / "out")!r}, **options)
    except OSError as error:
        print(told(error), flush=True)
        del error
    assert left() == [], left()
    next_pipeline()
    ds.limit(10).write_{how}({str(disk / "out")!r}, **options)
    assert len(left()) > 0
    """
    out, err = Script(text, tmp_path, command).finish()
    assert "No space left on device" in out, err
    assert str(disk / "out") in out
    assert "Write" in out
    assert "next" in out


@pytest.mark.parametrize("is_python", [False, True], ids=["native", "function"])
def test_a_disk_that_fills_up_while_spilling(
    is_python: bool, small_disk: tuple[list[str], Path], tmp_path: Path
) -> None:
    command, disk = small_disk
    text = f"""
    headrace.init(object_store_memory=20 << 20, spill_directory={str(disk)!r})
    if {is_python}:
        ds = headrace.range(40, override_num_blocks=40).map_batches(
            lambda batch: {{"x": np.random.default_rng(1).random((1, 250_000))}})
    else:
        ds = headrace.range(10_000_000, override_num_blocks=40)
    try:
        ds.materialize()
    except OSError as error:
        print(told(error), flush=True)
        del error
    next_pipeline()
    headrace.shutdown()
    assert os.listdir({str(disk)!r}) == []
    """
    out, err = Script(text, tmp_path, command).finish()
    assert f"cannot spill a block to {disk}" in out, err
    assert "No space left on device" in out
    assert "operator ReadRange" in out
    assert "next" in out


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = f"""
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    try:
        headrace.range(1_000_000, override_num_blocks=8).write_parquet({str(out)!r})
    except OSError as error:
        print(told(error))
        del error
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    next_pipeline()
    """
    said, err = Script(text, tmp_path).finish()
    assert "File too large" in said, err
    assert [path for path in out.rglob("*") if path.is_file()] == []


def test_spilled_blocks_come_back_and_their_files_go(tmp_path: Path) -> None:
    text = """
    headrace.init(object_store_memory=20 << 20)
    folder = os.environ["TMPDIR"]
    ds = headrace.range(40, override_num_blocks=40)
    kept = ds.map_batches(lambda b: {"x": np.full((1, 250_000), b["id"][0])}).materialize()
    assert _core.store_stats()["spilled_bytes"] > 0
    assert len(os.listdir(folder)) == 1
    seen = [int(x[0]) for batch in kept.iter_batches(batch_size=1) for x in batch["x"]]
    assert seen == list(range(40))
    del kept
    next_pipeline()
    files = [f for _, _, files in os.walk(folder) for f in files if f.endswith(".arrow")]
    assert files == [] and _core.store_stats()["spilled_bytes"] == 0
    """
    out, err = Script(text, tmp_path).finish()
    assert out.split() == ["next"], err
