"""What a job with a memory limit holds at most: six pipelines that are hard on memory.

    python bench/memory_limit.py [--scale small|full] [--limit BYTES] [NAME ...]

Each runs in a process of its own with `ExecutionOptions.memory_limit`. While it runs, the memory of
its process tree is sampled: the sum of the processes' PSS, in which shared pages count once. A case
fails if its result is wrong, or its peak is above the limit and 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

MB = 1_000_000
TOLERANCE = 1.05
SAMPLE_SECONDS = 0.02

# name: limit in MB and size at each scale. What the size means is each case's own.
SIZES: dict[str, dict[str, tuple[int, int]]] = {
    "stream": {"small": (700, 60_000_000), "full": (1000, 2_500_000_000)},
    "heavy_function": {"small": (500, 60_000_000), "full": (2000, 400_000_000)},
    "large_row": {"small": (700, 64 * MB), "full": (2000, 512 * MB)},
    "tiny_files": {"small": (600, 100), "full": (1000, 1000)},
    "slow_consumer": {"small": (700, 40_000_000), "full": (1000, 400_000_000)},
    "two_at_once": {"small": (800, 30_000_000), "full": (1000, 600_000_000)},
}


# ---- The cases: run in a process of their own ---------------------------------------------------


def stream(size: int) -> None:
    """`size` numbers of 8 bytes, through a Python function, to a consumer."""
    check_numbers(numbers(size).map_batches(plus_one, batch_size=None), size)


def heavy_function(size: int) -> None:
    """`size` numbers in 20 batches, through a function that holds five times its batch: two of its
    tasks at a time would not fit in."""

    def hold(batch: dict[str, Any]) -> dict[str, Any]:
        held = [batch["id"] + i for i in range(5)]
        time.sleep(0.02)
        return {"id": held[1]}

    check_numbers(numbers(size).map_batches(hold, batch_size=size // 20), size)


def large_row(size: int) -> None:
    """A thousand rows of a few bytes, and one of `size` among them."""
    import pyarrow.compute as pc

    import headrace

    def grow(row: dict[str, Any]) -> dict[str, Any]:
        return {"id": row["id"], "data": b"x" * (size if row["id"] == 500 else 10)}

    seen, total = 0, 0
    # As Arrow: a copy for Python would be memory of the consumer's own.
    for batch in headrace.range(1000).map(grow).iter_batches(batch_format="pyarrow"):
        seen += batch.num_rows
        total += sum(pc.binary_length(batch["data"]).to_pylist())
    assert (seen, total) == (1000, 9990 + size), (seen, total)


def tiny_files(size: int) -> None:
    """`size` Parquet files of a hundred rows, through a Python function."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    import headrace

    with tempfile.TemporaryDirectory() as directory:
        for number in range(size):
            ids = pa.array(range(100 * number, 100 * number + 100))
            pq.write_table(pa.table({"id": ids}), f"{directory}/{number:05}.parquet")
        dataset = headrace.read_parquet(directory)
        check_numbers(dataset.map_batches(plus_one, batch_size=None), 100 * size)


def slow_consumer(size: int) -> None:
    """`size` numbers, to a consumer that works on each batch for longer than it takes to make."""
    batches = 40
    seen = 0
    dataset = numbers(size).map_batches(plus_one, batch_size=None)
    for batch in dataset.iter_batches(batch_size=size // batches, prefetch_batches=4):
        time.sleep(0.1)
        seen += len(batch["id"])
    assert seen == size, seen


def two_at_once(size: int) -> None:
    """Two data sets of `size` numbers each, consumed by two threads."""
    import threading

    done: list[bool] = []

    def consume() -> None:
        check_numbers(numbers(size).map_batches(plus_one, batch_size=None), size)
        done.append(True)

    threads = [threading.Thread(target=consume) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2


CASES: dict[str, Callable[[int], None]] = {
    case.__name__: case
    for case in (stream, heavy_function, large_row, tiny_files, slow_consumer, two_at_once)
}


def numbers(size: int) -> Any:
    import headrace

    return headrace.range(size)


def plus_one(batch: dict[str, Any]) -> dict[str, Any]:
    return {"id": batch["id"] + 1}


def check_numbers(dataset: Any, size: int) -> None:
    seen, total = 0, 0
    for batch in dataset.iter_batches(batch_size=None):
        seen += len(batch["id"])
        total += int(batch["id"].sum())
    assert seen == size, (seen, size)
    assert total == size * (size + 1) // 2, total


def run_case(name: str, size: int, limit: int) -> None:
    """Runs one case in this process, under the limit."""
    import headrace

    context = headrace.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.memory_limit = limit
    CASES[name](size)


# ---- Around them --------------------------------------------------------------------------------


def tree(root: int) -> list[int]:
    """Returns the process ids under `root`, and its own."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def pss(pid: int) -> int:
    """Returns the bytes of a process, shared pages divided by those who share; 0 if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(name: str, size: int, limit: int, timeout: float) -> dict[str, Any]:
    """Runs a case and returns its figures."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--case", name, "--size", str(size), "--limit", str(limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak, samples = 0, 0
    while process.poll() is None:
        peak = max(peak, sum(pss(pid) for pid in tree(process.pid)))
        samples += 1
        if time.monotonic() - started > timeout:
            process.kill()
        time.sleep(SAMPLE_SECONDS)
    output = process.stdout.read() if process.stdout else ""
    return {
        "case": name,
        "ok": process.returncode == 0,
        "limit": limit,
        "peak": peak,
        "within": peak <= limit * TOLERANCE,
        "seconds": time.monotonic() - started,
        "samples": samples,
        "output": output[-4000:],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="cases; default: all")
    parser.add_argument("--scale", choices=("small", "full"), default="full")
    parser.add_argument("--limit", type=int, help="bytes; default: the case's own")
    parser.add_argument("--size", type=int, help="default: the scale's")
    parser.add_argument("--timeout", type=float, default=600)
    parser.add_argument("--json", action="store_true", help="figures as lines of JSON")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run_case(arguments.case, arguments.size, arguments.limit)
        return 0
    if not arguments.json:
        print(f"{'case':16} {'limit MB':>9} {'peak MB':>9} {'of limit':>9} {'seconds':>8}")
    bad = 0
    for name in arguments.names or list(CASES):
        limit, size = SIZES[name][arguments.scale]
        figures = measure(
            name, arguments.size or size, arguments.limit or limit * MB, arguments.timeout
        )
        if arguments.json:
            print(json.dumps(figures), flush=True)
            continue
        share = figures["peak"] / figures["limit"]
        word = "" if figures["ok"] and figures["within"] else "   FAILED"
        print(
            f"{name:16} {figures['limit'] / MB:9.0f} {figures['peak'] / MB:9.0f} "
            f"{share:9.1%} {figures['seconds']:8.1f}{word}",
            flush=True,
        )
        if word:
            bad += 1
            print(figures["output"])
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
