"""`ExecutionOptions.memory_limit`: what a job holds, what is stopped, what the user is told.

The cases of bench/memory_limit.py run here at a size of seconds, in processes of their own, whose
whole tree is measured from outside.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import headrace

BENCH = pathlib.Path(__file__).parents[2] / "bench" / "memory_limit.py"
MB = 1_000_000


@pytest.mark.parametrize(
    "case",
    ["stream", "heavy_function", "large_row", "tiny_files", "slow_consumer", "two_at_once"],
)
def test_the_process_tree_stays_below_the_limit(case: str) -> None:
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


def limit_to(context: headrace.DataContext, limit: int) -> None:
    context.execution_options.memory_limit = limit


def used_now() -> int:
    """What the processes of this test hold already, about: nothing of it is a run's."""
    sys.path.insert(0, str(BENCH.parent))
    try:
        from memory_limit import pss, tree
    finally:
        sys.path.pop(0)
    import os

    return sum(pss(pid) for pid in tree(os.getpid()))


def test_a_task_that_surprises_is_stopped_and_run_again(
    settings: headrace.DataContext, tmp_path: pathlib.Path
) -> None:
    """Rows come once, though the task with row 3 is stopped in its first attempt, as the marks say:
    there it holds more than there is."""

    def grow(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        first = int(batch["id"][0])
        again = (tmp_path / str(first)).exists()
        with open(tmp_path / str(first), "a") as marks:
            marks.write("x")
        held = np.ones((900 if first == 3 and not again else 20) * MB, np.uint8)
        return {"id": batch["id"] + int(held[-1]) - 1}

    limit_to(settings, used_now() + 600 * MB)
    rows = headrace.range(8, override_num_blocks=8).map_batches(grow, batch_size=1).take_all()
    assert sorted(row["id"] for row in rows) == list(range(8))
    assert len((tmp_path / "3").read_text()) > 1, "it was never stopped"


def test_a_function_that_fits_nowhere_fails_the_run(settings: headrace.DataContext) -> None:
    def greedy(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        held = [np.ones(50 * MB, np.uint8) for _ in range(200)]
        return {"id": batch["id"] + len(held)}

    limit_to(settings, used_now() + 400 * MB)
    with pytest.raises(MemoryError) as raised:
        headrace.range(10).map_batches(greedy).materialize()
    text = str(raised.value) + "\n".join(getattr(raised.value, "__notes__", []))
    for part in ("greedy", "memory_limit is", "blocks", "batch_size", "memory="):
        assert part in text
    # The engine works on.
    assert headrace.range(5).map_batches(lambda batch: batch).count() == 5


def test_an_actor_that_fits_nowhere_fails_the_run(settings: headrace.DataContext) -> None:
    class Greedy:
        def __init__(self) -> None:
            self.held = [np.ones(50 * MB, np.uint8) for _ in range(200)]

        def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return batch

    limit_to(settings, used_now() + 400 * MB)
    with pytest.raises(MemoryError, match="an actor held"):
        headrace.range(10).map_batches(Greedy, concurrency=1).materialize()


def test_what_cannot_fit_is_refused_before_it_starts(settings: headrace.DataContext) -> None:
    limit_to(settings, used_now() + 300 * MB)
    dataset = headrace.range(10).map_batches(lambda batch: batch, memory=2000 * MB)
    with pytest.raises(ValueError, match=r"each task needs .*memory=.*memory_limit is"):
        dataset.materialize()


def test_an_engine_above_the_limit_is_refused(settings: headrace.DataContext) -> None:
    limit_to(settings, 1 * MB)
    with pytest.raises(ValueError, match="the engine itself exceeds"):
        headrace.range(10).materialize()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_positive(settings: headrace.DataContext, limit: int) -> None:
    limit_to(settings, limit)
    with pytest.raises(ValueError, match="memory_limit must be > 0"):
        headrace.range(10).materialize()


def test_statistics_know_the_heap(settings: headrace.DataContext) -> None:
    def hold(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        held = np.ones(200 * MB, np.uint8)
        return {"id": batch["id"] + int(held[-1])}

    limit_to(settings, used_now() + 1000 * MB)
    stats = headrace.range(10).map_batches(hold).materialize().stats()
    assert "Peak heap memory usage" in stats
