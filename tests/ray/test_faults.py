"""Workers and nodes of the cluster die in mid-run, and every row comes once all the same."""

from __future__ import annotations

import collections
import itertools
import os
import pathlib
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
import ray
import ray_cluster

import headrace

pytestmark = pytest.mark.timeout(300)

KILLS = 20
BLOCKS = 60
ROWS = 6_000


@pytest.fixture
def seed() -> int:
    """Of the moments and the victims; shown with a test that fails."""
    chosen = int(os.environ.get("HEADRACE_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"HEADRACE_FAULT_SEED={chosen}")
    return chosen


class Killer(threading.Thread):
    """Kills workers of the cluster, each one at work when it can be seen so, at random moments."""

    def __init__(self, seed: int) -> None:
        super().__init__(daemon=True)
        self._random = random.Random(seed)
        self._end = threading.Event()
        self.kills = 0

    def run(self) -> None:
        while self.kills < KILLS and not self._end.wait(self._random.uniform(0, 0.5)):
            self.kills += self._kill_one()

    def stop(self) -> None:
        self._end.set()
        self.join()

    def _kill_one(self) -> bool:
        titles = {}
        for process in psutil.Process().children(recursive=True):
            try:
                titles[process] = " ".join(process.cmdline())
            except psutil.Error:
                continue  # It has just ended.
        at_work = [p for p, title in titles.items() if title.lower().startswith("ray::headrace")]
        if not at_work:
            return False
        victim = self._random.choice(sorted(at_work, key=lambda process: process.pid))
        victim.kill()
        return True


@pytest.fixture
def killer(seed: int) -> Iterator[Killer]:
    made = Killer(seed)
    made.start()
    yield made
    made.stop()


class Work:
    """Takes a moment for each batch; in the last part of the rows, until `done` exists."""

    def __init__(self, done: pathlib.Path) -> None:
        self.done = done

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.02)
        while batch["id"][0] >= ROWS * 0.8 and not self.done.exists():
            time.sleep(0.02)
        return batch


def node_id() -> str:
    return ray.get_runtime_context().get_node_id()


def dataset() -> headrace.Dataset:
    return headrace.range(ROWS, override_num_blocks=BLOCKS)


def ids(ds: headrace.Dataset) -> list[int]:
    return [row["id"] for row in ds.iter_rows()]


# ---- Workers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("actors", [False, True])
def test_workers_die_all_the_time_in_one_run(
    actors: bool, killer: Killer, tmp_path: pathlib.Path
) -> None:
    done = tmp_path / "done"
    if actors:
        ds = dataset().map_batches(Work, fn_constructor_args=(done,), batch_size=50, concurrency=2)
    else:
        ds = dataset().map_batches(Work(done).__call__, batch_size=50)
    threading.Thread(target=lambda: (killer.join(), done.touch()), daemon=True).start()
    assert sorted(ids(ds)) == list(range(ROWS))
    assert killer.kills == KILLS


def test_files_are_written_once_while_workers_die(killer: Killer, tmp_path: pathlib.Path) -> None:
    done = tmp_path / "done"
    threading.Thread(target=lambda: (killer.join(), done.touch()), daemon=True).start()
    ds = dataset().map_batches(Work(done).__call__, batch_size=50)
    ds.write_parquet(str(tmp_path / "out"))
    assert killer.kills == KILLS
    assert sorted(ids(headrace.read_parquet(str(tmp_path / "out")))) == list(range(ROWS))


def widen(batch: dict[str, Any]) -> dict[str, Any]:
    """Adds a text that keeps blocks of 100 rows out of the messages: they lie in a node's store."""
    time.sleep(0.02)  # So that tasks run when a worker or a node dies.
    return {**batch, "text": np.full(len(batch["id"]), "x" * 2000)}


def total(group: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.02)
    return {"key": group["key"][:1] % 30, "id": [group["id"].sum()]}


def check_sort() -> None:
    assert ids(dataset().map_batches(widen).sort("id", descending=True)) == [*range(ROWS)][::-1]


def check_shuffle() -> None:
    assert sorted(ids(dataset().map_batches(widen).random_shuffle(seed=3))) == list(range(ROWS))


def check_groups() -> None:
    ds = dataset().map_batches(widen).map_batches(lambda b: {**b, "key": b["id"] % 30})
    sums = {
        row["key"]: row["id"]
        for row in ds.groupby("key").map_groups(total, batch_format="numpy").iter_rows()
    }
    assert sums == {key: sum(range(key, ROWS, 30)) for key in range(30)}


def test_workers_die_all_the_time_during_exchanges(killer: Killer) -> None:
    for check in itertools.cycle((check_sort, check_groups, check_shuffle)):
        check()
        if not killer.is_alive():
            break
    assert killer.kills == KILLS


# ---- Nodes -------------------------------------------------------------------------------------


@pytest.fixture
def two_more_nodes() -> Iterator[dict[str, Any]]:
    """Two nodes by their id, which alone have the resource `extra`."""
    nodes = [ray_cluster.add_node(resources={"extra": 1}) for _ in range(2)]
    ray_cluster.cluster().wait_for_nodes()
    yield {node.node_id: node for node in nodes}
    for node in nodes:
        if node in ray_cluster.cluster().worker_nodes:
            ray_cluster.cluster().remove_node(node)


class Noting:
    """Widens batches, and leaves a file for each call that says on which node it was."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        (self.folder / f"{node_id()}-{os.urandom(8).hex()}").touch()
        return widen(batch)

    def calls(self) -> collections.Counter[str]:
        return collections.Counter(path.name.split("-")[0] for path in self.folder.iterdir())


def test_blocks_of_a_dead_node_are_made_again(
    two_more_nodes: dict[str, Any], seed: int, tmp_path: pathlib.Path
) -> None:
    note = Noting(tmp_path)
    kept = dataset().map_batches(note.__call__, resources={"extra": 1}).materialize()
    before = note.calls()
    assert set(before) == set(two_more_nodes)
    dead = random.Random(seed).choice(sorted(two_more_nodes))
    ray_cluster.cluster().remove_node(two_more_nodes[dead])
    assert ids(kept.sort("id", descending=True)) == [*range(ROWS)][::-1]
    assert sorted(ids(kept)) == list(range(ROWS))
    assert note.calls().total() - before.total() == before[dead]


@pytest.mark.parametrize("plan", ["map", "sort", "groups"])
def test_a_node_dies_in_the_midst(
    plan: str, two_more_nodes: dict[str, Any], seed: int, tmp_path: pathlib.Path
) -> None:
    """After a part of the input was widened, on the nodes that can die only."""
    note = Noting(tmp_path)
    ds = dataset().map_batches(note.__call__, resources={"extra": 1})
    if plan == "sort":
        ds = ds.sort("id")
    if plan == "groups":
        ds = ds.map_batches(lambda b: {**b, "key": b["id"] % 30})
        ds = ds.groupby("key").map_groups(lambda group: group, batch_format="numpy")
    chance = random.Random(seed)
    dead = chance.choice(sorted(two_more_nodes))
    calls = chance.randrange(1, BLOCKS // 3)

    def end_node() -> None:
        while note.calls()[dead] < calls:
            time.sleep(0.01)
        ray_cluster.cluster().remove_node(two_more_nodes[dead])

    ending = threading.Thread(target=end_node, daemon=True)
    ending.start()
    found = ids(ds)
    ending.join()
    assert sorted(found) == list(range(ROWS))
    assert plan != "sort" or found == sorted(found)
    # An exchange needs the blocks that the dead node had; those of a stream may be read already.
    assert plan == "map" or note.calls().total() > BLOCKS
