"""Headrace over Ray Core beside ray.data, on the same Ray cluster of three nodes on this machine.

    python bench/ray_cluster.py [--scale X] [--runs N] [--only NAME ...] [--data DIR]

Needs both in one environment, as `make test-ray` makes it. Every run has a process and a cluster of
its own: three nodes with one CPU and 1 GiB for objects each, whose workers are warm (a small stream
and a small sort have run). The engines take turns. CPU seconds are those of the driver and all of
the cluster's processes during the run. Memory is the peak of their proportional set sizes, in one
more run of each; it includes what the idle cluster had, some 1 GiB.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

import generate
import run
import worker

HERE = Path(__file__).parent
ENGINES = ("headrace", "ray")
NODES = 3
STORE_BYTES = 1 << 30
PROBE_SECONDS = 0.2
CLOCK_TICK_SECONDS = 0.01  # In which the system counts.
WORKLOADS = (
    "02_small_python_first",
    "06_parquet_numpy",
    "08_iter_batches",
    "20_groupby_100k",
    "21_groupby_10m",
    "22_sort_float",
    "26_shuffle",
)


# ---- One run, in a process of its own ----------------------------------------------------------


class Meter:
    """What this process and its descendants use: CPU seconds and, if asked, the peak of memory."""

    def __init__(self, measure_memory: bool) -> None:
        self._root = psutil.Process()
        self._stop = threading.Event()
        self._measure_memory = measure_memory
        self._peak_bytes = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = self._cpu_seconds()
        self._now = dict(self._before)

    def _cpu_seconds(self) -> dict[psutil.Process, float]:
        seconds = {}
        for process in [self._root, *self._root.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.Error:  # It has just ended.
                continue
            seconds[process] = times.user + times.system
        return seconds

    def _watch(self) -> None:
        """Looks often, for a process that ends takes its last numbers along."""
        while not self._stop.wait(PROBE_SECONDS):
            self._look()

    def _look(self) -> None:
        self._now.update(self._cpu_seconds())
        if self._measure_memory:
            self._peak_bytes = max(self._peak_bytes, run.tree_bytes(self._root))

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def answer(self) -> dict[str, Any]:
        used = sum(self._now.values()) - sum(self._before.values())
        return {"cpu_seconds": max(used, CLOCK_TICK_SECONDS), "peak_bytes": self._peak_bytes}


def connect(engine: str, address: str) -> Any:
    """Returns the module with the dataset API, on the cluster."""
    if engine == "ray":
        import ray
        from ray import data

        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    else:
        import headrace as data  # type: ignore[no-redef]

        data.init(backend="ray", address=address, log_to_driver=False, logging_level="ERROR")
    data.DataContext.get_current().enable_progress_bars = False
    return data


def warm_up(data: Any) -> None:
    """Makes each node start a worker, and the workers import what they need."""

    def linger(batch: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.2)
        return batch

    data.range(900, override_num_blocks=9).map_batches(linger).sort("id").materialize()


def run_one(path: str, engine: str, source: str, output: str, n: int, memory: bool) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    for _ in range(NODES):
        cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, include_dashboard=False)
    cluster.wait_for_nodes()
    data = connect(engine, cluster.address)
    warm_up(data)
    with Meter(memory) as meter:
        result, seconds = worker.execute(path, engine, data, source, output, n)
    answer = {"seconds": seconds, "result": result, **meter.answer()}
    print(worker.MARKER + json.dumps(answer), flush=True)


# ---- All runs ----------------------------------------------------------------------------------


def take_turn(path: Path, engine: str, options: argparse.Namespace, memory: bool) -> dict[str, Any]:
    """Returns what one run says, or {"failure": text}."""
    workload = worker.tomllib.loads(path.read_text())
    n = worker.size_of(workload, engine, options.scale)
    source = generate.ensure(workload["data"], n, options.data)
    output = tempfile.mkdtemp(prefix="output-", dir=options.data)
    command = [sys.executable, __file__, "--one", str(path), engine, str(source), output, str(n)]
    try:
        answer, _ = run.run_once([*command, str(int(memory))], False, options.timeout)
    finally:
        shutil.rmtree(output, ignore_errors=True)
    wrong = (
        ""
        if "failure" in answer
        else run.difference(answer["result"], run.expected_of(workload, n))
    )
    return {"failure": wrong} if wrong else answer


def report(name: str, answers: dict[str, list[dict[str, Any]]]) -> str:
    """Returns a row of the table: medians, their range, and the ratios. The memory run is first."""
    cells, numbers = [], {}
    for engine in ENGINES:
        memory, *timed = answers[engine]
        failures = [answer["failure"] for answer in answers[engine] if "failure" in answer]
        if failures:
            cells.append(failures[0])
            continue
        seconds = [answer["seconds"] for answer in timed]
        cpu = statistics.median(answer["cpu_seconds"] for answer in timed)
        mib = memory["peak_bytes"] / 2**20
        numbers[engine] = (statistics.median(seconds), cpu, mib)
        low, high = min(seconds), max(seconds)
        cells.append(f"{numbers[engine][0]:.2f} s ({low:.2f} … {high:.2f}), {cpu:.1f}, {mib:,.0f}")
    ratios = "–"
    if len(numbers) == len(ENGINES):
        pairs = zip(*(numbers[engine] for engine in ENGINES), strict=True)
        ratios = ", ".join(f"{theirs / ours:.1f} ×" for ours, theirs in pairs)
    return f"| {name} | {' | '.join(cells)} | {ratios} |"


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        workload, engine, source, output, n, memory = sys.argv[2:]
        return run_one(workload, engine, source, output, int(n), memory == "1")
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", type=float, default=0.04, help="factor on every size")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each engine")
    parser.add_argument("--only", nargs="*", default=list(WORKLOADS), help="names of workloads")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one run")
    parser.add_argument("--data", type=Path, default=HERE / "data")
    options = parser.parse_args()
    options.data = options.data.resolve()
    options.data.mkdir(parents=True, exist_ok=True)
    print(f"{run.machine()}; load average {os.getloadavg()[0]:.1f}; scale {options.scale}")
    columns = [f"{engine}: wall, CPU s, MiB" for engine in ("headrace", "ray.data")]
    print(f"| workload | {' | '.join(columns)} | ray.data / headrace |")
    print("| --- | ---: | ---: | ---: |")
    for name in options.only:
        path = HERE / "workloads" / f"{name}.toml"
        answers: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
        for turn in range(options.runs + 1):
            for engine in ENGINES:
                if answers[engine] and "failure" in answers[engine][-1]:
                    continue
                answer = take_turn(path, engine, options, memory=turn == 0)
                answers[engine].append(answer)
                said = answer.get("failure") or f"{answer['seconds']:.2f} s"
                print(f"{name} {engine} {turn}: {said}", file=sys.stderr)
        print(report(name, answers), flush=True)


if __name__ == "__main__":
    main()
