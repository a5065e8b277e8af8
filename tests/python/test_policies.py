"""Policies of the user: what they see, what they hold back, and what becomes of their errors."""

from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import headrace
from headrace import _core
from headrace.exceptions import UserCodeException

ROOT = Path(__file__).resolve().parents[2]


class Watching(headrace.BackpressurePolicy):
    """Keeps the views it was shown; allows what `allows` says."""

    def __init__(self, allows: Any = lambda op, view: True) -> None:
        self.allows = allows
        self.seen: list[tuple[Any, Any]] = []

    def may_start(self, op: Any, view: Any) -> bool:
        self.seen.append((op, view))
        return self.allows(op, view)


def ids(rows: int = 100, blocks: int = 10) -> headrace.Dataset:
    return headrace.range(rows, override_num_blocks=blocks)


def sorted_ids(ds: headrace.Dataset) -> list[int]:
    return sorted(row["id"] for row in ds.take_all())


def test_a_policy_sees_the_plan(settings: Any) -> None:
    policy = Watching()
    settings.backpressure_policies.append(policy)
    ds = ids().map_batches(lambda b: b, concurrency=3)
    ds = ds.map_batches(lambda b: b, num_cpus=0.25, concurrency=2)
    assert sorted_ids(ds) == list(range(100))
    _op, view = policy.seen[-1]
    assert [load.index for load in view.operators] == [0, 1]
    assert view.operators[0].name.startswith("ReadRange")
    assert [load.num_cpus for load in view.operators] == [1, 0.25]
    assert view.budget_bytes > 0
    assert max(view.operators[0].tasks_done for _, view in policy.seen) > 0
    assert max(view.charged_bytes for _, view in policy.seen) > 0
    assert {op.index for op, _ in policy.seen} == {0, 1}


@pytest.mark.parametrize("inline", [False, True])
def test_one_task_at_a_time(settings: Any, inline: bool) -> None:
    settings.inline_mode = inline
    policy = Watching(lambda op, view: sum(load.tasks_running for load in view.operators) == 0)
    settings.backpressure_policies = [policy]
    settings.event_log_path = ""
    assert sorted_ids(ids().map(lambda row: row)) == list(range(100))
    assert max(sum(x.tasks_running for x in view.operators) for _, view in policy.seen) <= 1


def test_a_policy_that_always_says_no_stalls_nothing(settings: Any) -> None:
    settings.backpressure_policies = [Watching(lambda op, view: False)]
    ds = ids(30, 3).map(lambda row: row).materialize()
    assert sorted_ids(ds) == list(range(30))
    assert "policy" in ds.stats()  # Among the reasons to wait.


def test_credit_may_be_cut(settings: Any) -> None:
    offers = []

    class Sparing(headrace.BackpressurePolicy):
        def credit_bytes(self, op: Any, offered: int, view: Any) -> int:
            offers.append(offered)
            return min(offered, 100)

    settings.backpressure_policies = [Sparing()]
    settings.target_max_block_size = 800  # So that a task has many blocks.
    settings.target_min_block_size = 1
    assert sorted_ids(ids(2000, 2)) == list(range(2000))
    assert len(offers) > 4
    assert all(offered > 0 for offered in offers)


def test_an_exception_fails_the_run_and_names_the_policy(settings: Any) -> None:
    class Dividing(headrace.BackpressurePolicy):
        def may_start(self, op: Any, view: Any) -> bool:
            done = sum(load.tasks_done for load in view.operators)
            return 1 / max(0, 2 - done) > 0  # Several may have ended since it was asked last.

    settings.backpressure_policies = [Dividing()]
    with pytest.raises(ZeroDivisionError) as caught:
        ids().take_all()
    assert isinstance(caught.value, UserCodeException)
    told = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "policy Dividing" in told
    assert "operator ReadRange" in told
    settings.backpressure_policies = []
    assert sorted_ids(ids()) == list(range(100))


@pytest.mark.parametrize("answer", [None, 1, "yes"])
def test_may_start_must_answer_true_or_false(settings: Any, answer: Any) -> None:
    settings.backpressure_policies = [Watching(lambda op, view: answer)]
    with pytest.raises(TypeError, match="True or False"):
        ids().take_all()


def test_credit_must_be_a_number(settings: Any) -> None:
    class Wordy(headrace.BackpressurePolicy):
        def credit_bytes(self, op: Any, offered: int, view: Any) -> Any:
            return "all"

    settings.backpressure_policies = [Wordy()]
    with pytest.raises(TypeError, match="number of bytes"):
        ids().take_all()


def test_what_is_no_policy_is_refused(settings: Any) -> None:
    settings.backpressure_policies = [object()]
    with pytest.raises(TypeError, match="must be a BackpressurePolicy"):
        ids().take_all()


def test_copies_of_the_settings_share_the_policies(settings: Any) -> None:
    policy = Watching()
    settings.backpressure_policies = [policy]
    assert settings.copy().backpressure_policies == [policy]
    assert copy.deepcopy(settings).backpressure_policies == [policy]


def test_policies_do_not_travel(settings: Any) -> None:
    policy = Watching()
    policy.seen = threading.Lock()  # type: ignore[assignment]
    ds = ids()
    ds.context.backpressure_policies = [policy]
    again = pickle.loads(pickle.dumps(ds))
    assert again.context.backpressure_policies == []
    assert ds.context.backpressure_policies == [policy]
    assert sorted_ids(again) == list(range(100))


def test_a_policy_and_a_watcher_do_not_wait_for_each_other(settings: Any) -> None:
    """The scheduler asks with the GIL, while another thread, that has it, looks at the run."""
    settings.backpressure_policies = [Watching()]
    from headrace._internal.plan_building import make_options

    plan = _core.Plan.read(_core.range_source(20_000), parallelism=500)
    execution = plan.execute(make_options(settings))
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            execution.snapshot()
            _ = execution.peak_charged_bytes

    watchers = [threading.Thread(target=watch) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    rows = 0
    while (block := execution.next()) is not None:
        rows += block.num_rows
    over.set()
    for watcher in watchers:
        watcher.join()
    assert rows == 20_000


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_policy_may_free_the_run_that_asks_it(settings: Any) -> None:
    """A collector of garbage runs wherever it likes: in the driver it meets its own run."""
    abandoned = threading.Event()
    freed = threading.Event()

    class Collecting(headrace.BackpressurePolicy):
        def may_start(self, op: Any, view: Any) -> bool:
            if abandoned.is_set() and not freed.is_set():
                gc.collect()
            return True

    class Box:
        pass

    settings.backpressure_policies = [Collecting()]
    gc.disable()
    try:
        box = Box()
        box.itself = box  # type: ignore[attr-defined]
        batches = ids(100_000, 2000).map_batches(lambda b: b, num_cpus=0.5).iter_batches()
        box.batches = iter(batches)  # type: ignore[attr-defined]
        next(box.batches)  # type: ignore[attr-defined]
        weakref.finalize(box, freed.set)
        del box, batches
        abandoned.set()
        assert freed.wait(60)
    finally:
        gc.enable()
    settings.backpressure_policies = []
    assert sorted_ids(ids()) == list(range(100))


# ---- The smallest engine --------------------------------------------------------------------


def run_minimal_engine(log: Path, policies: str) -> tuple[list[int], dict[str, Any]]:
    """Returns the rows and the trace of the example, on 8 cpus."""
    code = (
        "import json, minimal_engine as m\n"
        f"print(json.dumps([int(r['data']) for r in m.build({policies}).take_all()]))\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "examples"), *sys.path]),
        "HEADRACE_NUM_CPUS": "8",
        "HEADRACE_EVENT_LOG": str(log),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), json.loads(_core.trace_log(log.read_bytes()))


def peaks(trace: dict[str, Any]) -> tuple[int, int]:
    """The most tasks that ran at once, and the most bytes charged."""
    of_run = [e for e in trace["traceEvents"] if e["ph"] == "C" and e["pid"] == 1]
    tasks = max(e["args"]["running"] for e in of_run if e["name"] == "tasks")
    return tasks, max(e["args"]["bytes"] for e in of_run if e["name"] == "charged")


def test_the_minimal_engine_stays_within_its_limits(tmp_path: Path) -> None:
    rows, trace = run_minimal_engine(tmp_path / "run.log", "")
    assert sorted(rows) == (np.arange(296) * 2 + 10).tolist()
    tasks, charged = peaks(trace)
    assert tasks == 3
    assert 592 <= charged <= 3000


def test_without_its_policy_the_minimal_engine_passes_them(tmp_path: Path) -> None:
    rows, trace = run_minimal_engine(tmp_path / "run.log", "[]")
    assert sorted(rows) == (np.arange(296) * 2 + 10).tolist()
    tasks, charged = peaks(trace)
    assert tasks > 3
    assert charged > 3000


def test_the_minimal_engine_is_short() -> None:
    assert len((ROOT / "examples" / "minimal_engine.py").read_text().splitlines()) <= 60
