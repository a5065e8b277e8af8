"""What a death costs: a worker or a node of a Ray cluster is killed at a random moment of a run.

    python bench/ray_faults.py [--kills N] [--plans NAME ...] [--victims NAME ...] [--tuned]

Needs Headrace and Ray in one environment, as `make test-ray` makes it. The cluster has a head and
two more nodes, on this machine, with one CPU each; the two can die. A run sends 6,000 rows in 60
blocks through a function that takes 0.1 s for a block: alone, before a sort, or before a group-by
whose function takes 2 ms for each of 30 groups. Each kill is one run: the moment is random between
a tenth and nine tenths of what the plan takes undisturbed, the victim is a random process that runs
a task, or a random node. The rows are checked, and the table says what a kill cost: its run's
seconds less the median of the undisturbed runs. A node that died is replaced after the run, so what
the run lacks until its end is a part of the loss.

Ray notices that a node is dead when it has not answered for some 13 s; --tuned makes that 2 s.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
from ray.cluster_utils import Cluster

import headrace

sys.path.insert(0, str(Path(__file__).parent))

import run

BLOCKS = 60
ROWS = 6_000
GROUPS = 30
BLOCK_SECONDS = 0.1
STORE_BYTES = 160 * 2**20
UNDISTURBED_RUNS = 3
TUNED = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


# ---- The plans ---------------------------------------------------------------------------------


def widen(batch: dict[str, Any]) -> dict[str, Any]:
    """Takes a while, and adds a text that makes Ray keep the block in a node's memory."""
    time.sleep(BLOCK_SECONDS)
    return {**batch, "text": np.full(len(batch["id"]), "x" * 2_000)}


def total(group: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.002)
    return {"key": group["id"][:1] % GROUPS, "sum": [group["id"].sum()]}


def dataset() -> headrace.Dataset:
    return headrace.range(ROWS, override_num_blocks=BLOCKS).map_batches(widen)


def stream() -> bool:
    return sorted(row["id"] for row in dataset().iter_rows()) == list(range(ROWS))


def sort() -> bool:
    rows = dataset().sort("id", descending=True).iter_rows()
    return [row["id"] for row in rows] == list(range(ROWS))[::-1]


def groups() -> bool:
    keyed = dataset().map_batches(lambda batch: {**batch, "key": batch["id"] % GROUPS})
    rows = keyed.groupby("key").map_groups(total, batch_format="numpy").iter_rows()
    return {row["key"]: row["sum"] for row in rows} == {
        key: sum(range(key, ROWS, GROUPS)) for key in range(GROUPS)
    }


PLANS: dict[str, Callable[[], bool]] = {"stream": stream, "sort": sort, "groups": groups}


def seconds_of(plan: str) -> float:
    start = time.perf_counter()
    if not PLANS[plan]():
        raise SystemExit(f"{plan}: the rows are wrong")
    return time.perf_counter() - start


# ---- The deaths --------------------------------------------------------------------------------


class Victims:
    """The cluster, and what can die of it."""

    def __init__(self, tuned: bool, chance: random.Random) -> None:
        self._chance = chance
        self._cluster = Cluster()
        self._add(_system_config=TUNED if tuned else None)
        for _ in range(2):
            self._add()
        self._cluster.wait_for_nodes()

    def _add(self, **options: Any) -> None:
        size = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        self._cluster.add_node(**size, include_dashboard=False, **options)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def kill_worker(self) -> bool:
        """Returns True if there was a process that runs a task."""
        at_work = []
        for process in psutil.Process().children(recursive=True):
            try:
                title = " ".join(process.cmdline()).lower()
            except psutil.Error:  # It has just ended.
                continue
            if title.startswith("ray::headrace"):
                at_work.append(process)
        if at_work:
            self._chance.choice(sorted(at_work, key=lambda process: process.pid)).kill()
        return bool(at_work)

    def kill_node(self) -> bool:
        nodes = sorted(self._cluster.worker_nodes, key=lambda node: node.node_id)
        self._cluster.remove_node(self._chance.choice(nodes), allow_graceful=False)
        return True

    def replace(self) -> None:
        """Brings the cluster back to three nodes, whose workers have done a task each."""
        while len(self._cluster.list_all_nodes()) < 3:
            self._add()
        self._cluster.wait_for_nodes(timeout=60)
        headrace.range(ROWS, override_num_blocks=9).map_batches(widen).sort("id").materialize()

    def shut_down(self) -> None:
        self._cluster.shutdown()


def lost_seconds(plan: str, kill: Callable[[], bool], moment: float, undisturbed: float) -> float:
    """Runs the plan with a kill after `moment` seconds, or as soon as there is a victim then."""
    killed = threading.Event()
    over = threading.Event()

    def wait_and_kill() -> None:
        over.wait(moment)
        while not over.is_set():
            if kill():
                return killed.set()

    killing = threading.Thread(target=wait_and_kill)
    killing.start()
    try:
        seconds = seconds_of(plan)
    finally:
        over.set()
        killing.join()
    if not killed.is_set():
        raise SystemExit(f"{plan}: the run was over before anything was killed")
    return seconds - undisturbed


def measure(plan: str, victim: str, kills: int, victims: Victims, chance: random.Random) -> str:
    """Returns a row of the table."""
    victims.replace()
    undisturbed = statistics.median(seconds_of(plan) for _ in range(UNDISTURBED_RUNS))
    kill = victims.kill_worker if victim == "worker" else victims.kill_node
    lost = []
    for number in range(kills):
        moment = undisturbed * chance.uniform(0.1, 0.9)
        lost.append(lost_seconds(plan, kill, moment, undisturbed))
        said = f"{plan}, {victim} {number}: at {moment:.2f} s, lost {lost[-1]:.2f} s"
        print(said, file=sys.stderr, flush=True)
        victims.replace()
    cells = [f"{value:.1f}" for value in (undisturbed, statistics.median(lost), max(lost))]
    return f"| {plan} | {victim} | {kills} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="of each plan and kind of victim")
    parser.add_argument("--plans", nargs="*", choices=PLANS, default=list(PLANS))
    parser.add_argument("--victims", nargs="*", default=["worker", "node"])
    parser.add_argument("--tuned", action="store_true", help="dead nodes are noticed soon")
    parser.add_argument("--seed", type=int, default=0, help="of moments and victims")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    victims = Victims(options.tuned, chance)
    headrace.init(
        backend="ray", address=victims.address, log_to_driver=False, logging_level="ERROR"
    )
    headrace.DataContext.get_current().enable_progress_bars = False
    print(f"{run.machine()}; Ray {ray.__version__}; load average {os.getloadavg()[0]:.1f}")
    print("| plan | dies | kills | s undisturbed | s lost, median | s lost, most |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    try:
        for plan in options.plans:
            for victim in options.victims:
                print(measure(plan, victim, options.kills, victims, chance), flush=True)
    finally:
        headrace.shutdown()
        victims.shut_down()


if __name__ == "__main__":
    main()
