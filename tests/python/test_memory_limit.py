"""A memory limit of the whole job: what is held, who is stopped for it, what the user is told.

Limits are set a little above what the processes of this test hold, so that they bind; whole jobs
in processes of their own run in bench/memory_limit.py, two of them here.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from leftovers import descendants, told

import headrace

BENCH = pathlib.Path(__file__).parents[2] / "bench" / "memory_limit.py"
MB = 1_000_000
TOLERANCE = 1.05
# What a function may take between two looks of a watch that waits for a cpu. As much is added to
# the share of this process when others end, with which it shares the pages of libraries.
UNSEEN = 20 * MB


def held_bytes() -> int:
    """Returns what this process and those under it hold: shared pages count once."""
    total = 0
    for pid in {os.getpid(), *descendants(os.getpid())}:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"^Pss: +(\d+)", text, re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


class Peak:
    """The most that was seen to be held; `samples` says how often it was looked at."""

    def __init__(self) -> None:
        self.bytes = 0
        self.samples = 0

    def look(self) -> None:
        self.bytes = max(self.bytes, held_bytes())
        self.samples += 1


@contextmanager
def watched() -> Iterator[Peak]:
    """Looks at what is held all the time, in a thread."""
    peak = Peak()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


@pytest.fixture
def limit(settings: Any) -> Any:
    """Sets the memory limit to what the engine holds with its workers, and `more`; returns it."""

    def set_limit(more: int) -> int:
        # The workers are there, and have imported what they need.
        headrace.range(64, override_num_blocks=64).map_batches(lambda batch: batch).take_all()
        settings.execution_options.memory_limit = held_bytes() + more
        return settings.execution_options.memory_limit

    return set_limit


def plus_one(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"id": batch["id"] + 1}


def sum_of(dataset: headrace.Dataset, batch_size: int | None = None) -> tuple[int, int]:
    """Returns the number of rows and the sum of `id`."""
    rows, total = 0, 0
    for batch in dataset.iter_batches(batch_size=batch_size):
        rows += len(batch["id"])
        total += int(batch["id"].sum())
    return rows, total


def expected(rows: int) -> tuple[int, int]:
    """Returns sum_of() the numbers from 1 to `rows`."""
    return rows, rows * (rows + 1) // 2


def attempts(directory: pathlib.Path, name: str) -> int:
    return len(list(directory.glob(f"{name}-*")))


def note(directory: str, name: str) -> int:
    """Notes a call, on disk, and returns how many there have been with this one."""
    number = 1
    while True:
        try:
            os.close(os.open(f"{directory}/{name}-{number}", os.O_CREAT | os.O_EXCL))
            return number
        except FileExistsError:
            number += 1


def looks_of(driver: int) -> str:
    """Returns how often the thread that measures has slept: it changes with each look."""
    for thread in pathlib.Path(f"/proc/{driver}/task").iterdir():
        if (thread / "comm").read_text() == "headrace-memory\n":
            status = (thread / "status").read_text()
            return re.findall(r"^voluntary_ctxt_switches:.*", status, re.MULTILINE)[0]
    raise AssertionError("nobody measures")


def grow_until_stopped(driver: int) -> None:
    """Grows by a MB for each look, so that the peak does not tell how busy the machine is."""
    held = []
    while True:
        held.append(np.ones(MB, np.uint8))
        seen = looks_of(driver)
        while looks_of(driver) == seen:
            time.sleep(0.001)


def test_a_function_that_holds_many_times_its_batch(limit: Any) -> None:
    # A batch has 8 MB, its function holds 64, and blocks are there too: two at once hardly fit.
    most = limit(180 * MB)
    rows = 12_000_000

    def hold(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        held = [batch["id"] + i for i in range(1, 9)]
        return {"id": held[0]}

    with watched() as peak:
        ds = headrace.range(rows).map_batches(hold, batch_size=1_000_000)
        assert sum_of(ds) == expected(rows)
    assert peak.samples > 5
    assert peak.bytes <= most * TOLERANCE


def test_a_task_past_its_allowance_is_stopped_and_its_rows_come_once(
    limit: Any, tmp_path: pathlib.Path
) -> None:
    most = limit(200 * MB)
    directory, driver = str(tmp_path), os.getpid()

    def grow(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if 70 in batch["id"] and note(directory, "grow") == 1:
            grow_until_stopped(driver)
        return batch

    ds = headrace.range(100, override_num_blocks=10).map_batches(grow, batch_size=None)
    with watched() as peak:
        ds = ds.materialize()
    assert sorted(row["id"] for row in ds.take_all()) == list(range(100))
    assert attempts(tmp_path, "grow") == 2
    assert "run again: 1" in ds.stats()
    assert peak.bytes <= most * TOLERANCE + UNSEEN


def test_an_actor_past_its_allowance_is_replaced(limit: Any, tmp_path: pathlib.Path) -> None:
    limit(200 * MB)
    directory, driver = str(tmp_path), os.getpid()

    class Grow:
        def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            if 70 in batch["id"] and note(directory, "grow") == 1:
                grow_until_stopped(driver)
            return batch

    ds = headrace.range(100, override_num_blocks=10)
    ds = ds.map_batches(Grow, batch_size=None, concurrency=1)
    assert sorted(row["id"] for row in ds.take_all()) == list(range(100))
    assert attempts(tmp_path, "grow") == 2


@pytest.mark.parametrize("compute", ["tasks", "actors"])
def test_what_does_not_fit_alone_fails_and_says_why(
    limit: Any, tmp_path: pathlib.Path, nothing_left: None, compute: str
) -> None:
    most = limit(150 * MB)
    directory, driver = str(tmp_path), os.getpid()

    def too_much(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        note(directory, "run")
        grow_until_stopped(driver)
        return batch

    class TooMuch:
        def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return too_much(batch)

    ds = headrace.range(10, override_num_blocks=1)
    if compute == "tasks":
        ds = ds.map_batches(too_much)
    else:
        ds = ds.map_batches(TooMuch, concurrency=1)
    with watched() as peak, pytest.raises(MemoryError) as caught:
        ds.take_all()
    text = told(caught.value)
    name = "too_much" if compute == "tasks" else "TooMuch"
    assert re.search(rf"MapBatches\({name}\) needs more memory than there is", text), text
    held = re.search(r"held (\d+)\.\d MB when it was stopped", text)
    assert held is not None, text
    assert int(held[1]) > 50
    assert f"memory_limit is {most / 1e6:.1f} MB" in text
    assert f"MapBatches({name}), rows 0–9" in text
    assert "ExecutionOptions.memory_limit" in text
    assert "batch_size" in text
    assert 2 <= attempts(tmp_path, "run") <= 5
    assert peak.bytes <= most * TOLERANCE + UNSEEN


def test_an_actor_that_fits_nowhere_fails_the_run(limit: Any, nothing_left: None) -> None:
    driver = os.getpid()

    class Grow:
        def __init__(self) -> None:
            grow_until_stopped(driver)

        def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return batch

    limit(150 * MB)
    with pytest.raises(MemoryError, match="an actor held"):
        headrace.range(10).map_batches(Grow, concurrency=1).materialize()


def test_a_slow_consumer(limit: Any) -> None:
    most = limit(100 * MB)
    rows = 25_000_000  # 200 MB, twice what may be held of them.
    peak = Peak()
    seen = 0
    ds = headrace.range(rows).map_batches(plus_one, batch_size=None)
    for batch in ds.iter_batches(batch_size=rows // 50, prefetch_batches=2):
        seen += len(batch["id"])
        for _ in range(5):  # That is slow enough.
            peak.look()
    assert seen == rows
    assert peak.bytes <= most * TOLERANCE + UNSEEN


def test_two_data_sets_at_once(limit: Any) -> None:
    most = limit(160 * MB)
    rows = 12_000_000
    both = threading.Barrier(2)
    done: list[tuple[int, int]] = []

    def consume() -> None:
        ds = headrace.range(rows).map_batches(plus_one, batch_size=None)
        batches = iter(ds.iter_batches(batch_size=None))
        first = next(batches)
        both.wait(60)  # Both are under way.
        count, total = len(first["id"]), int(first["id"].sum())
        for batch in batches:
            count += len(batch["id"])
            total += int(batch["id"].sum())
        done.append((count, total))

    threads = [threading.Thread(target=consume) for _ in range(2)]
    with watched() as peak:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert done == [expected(rows), expected(rows)]
    assert peak.bytes <= most * TOLERANCE


def test_a_limit_below_what_a_plan_needs_is_an_error_before_it_starts(settings: Any) -> None:
    settings.execution_options.memory_limit = 10 * MB
    ds = headrace.range(10).map_batches(plus_one)
    with pytest.raises(ValueError, match=r"needs [\d.]+ MB .*memory_limit is 10\.0 MB"):
        ds.take_all()


def test_an_engine_above_the_limit_is_an_error(settings: Any) -> None:
    settings.execution_options.memory_limit = MB
    with pytest.raises(ValueError, match="the engine itself exceeds"):
        headrace.range(10).materialize()


def test_memory_that_a_function_asks_for_must_fit(limit: Any) -> None:
    limit(200 * MB)
    ds = headrace.range(10).map_batches(plus_one, memory=2_000 * MB)
    with pytest.raises(ValueError, match=r"2000\.0 MB asked for by memory=.*memory_limit"):
        ds.take_all()


@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_is_positive(settings: Any, value: int) -> None:
    settings.execution_options.memory_limit = value
    with pytest.raises(ValueError, match="memory_limit must be > 0"):
        settings.execution_options.validate()


def test_statistics_know_the_heap(limit: Any) -> None:
    def hold(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        held = np.ones(200 * MB, np.uint8)
        return {"id": batch["id"] + int(held[-1])}

    limit(1000 * MB)
    stats = headrace.range(10).map_batches(hold).materialize().stats()
    assert "Peak heap memory usage" in stats


@pytest.mark.parametrize("case", ["large_row", "tiny_files"])
def test_the_process_tree_of_a_job_stays_below_its_limit(case: str) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--scale", "small", "--json", "--timeout", "80", case],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    figures = json.loads(done.stdout)
    assert figures["ok"], figures["output"]
    assert figures["samples"] > 10
    assert figures["within"], (figures["peak"], figures["limit"])


def test_without_a_limit_nothing_is_stopped(settings: Any) -> None:
    assert settings.execution_options.memory_limit is None
    ds = headrace.range(4_000_000).map_batches(plus_one, batch_size=1_000_000)
    assert sum_of(ds) == expected(4_000_000)
