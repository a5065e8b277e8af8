"""Exchanges of many times the memory: sort, shuffle and join, beside DuckDB with the same limit.

    python bench/external.py [--rows N] [--limit BYTES] [--shape narrow|wide] [--blocks]
                             [--engines headrace,duckdb] [--data DIRECTORY] [CASE ...]

Each reads Parquet and writes Parquet, in a process of its own. For Headrace the limit is that of
the whole job, `ExecutionOptions.memory_limit`; with --blocks, that of blocks only. For DuckDB it
is `memory_limit`. Of each: the peak memory of its process tree as PSS (see bench/memory_limit.py),
what it wrote besides its output, and the megabytes of input (as in memory) for each second of cpu.
A run fails if its result is wrong or files are left where it spilled.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from memory_limit import pss, tree

MB = 1_000_000
FILES = 32
ROW_GROUP = 250_000
SAMPLE_SECONDS = 0.05
CASES = ("sort", "shuffle", "join")
# Bytes of a row as Arrow has it.
ROW_BYTES = {"narrow": 46, "wide": 1032}
RIGHT_BYTES = 16


# ---- Data ---------------------------------------------------------------------------------------


def scrambled(numbers: Any) -> Any:
    """Returns another int64 for each, in no order (the finalizer of SplitMix64: a bijection)."""
    x = numbers.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))).view(np.int64)


def left_rows(shape: str, first: int, last: int, noise: Any) -> Any:
    """Narrow: id, k, g int64, x float64, s string of 10 letters. Wide: id, x, a hundred float64 of
    two digits, and a text of 200 letters in words."""
    import pyarrow as pa

    numbers = np.arange(first, last, dtype=np.int64)
    columns = {"id": scrambled(numbers), "x": noise.random(len(numbers))}
    if shape == "narrow":
        letters = noise.integers(97, 123, (len(numbers), 10), dtype=np.uint8)
        columns["k"] = numbers % 100_000
        columns["g"] = numbers // 10
        columns["s"] = pa.array(letters.view("S10").ravel()).cast(pa.string())
        return pa.table(columns)
    for i in range(101):
        columns[f"c{i}"] = np.round(noise.random(len(numbers)), 2)
    words = [f"word{i:05} " for i in range(1000)]
    chosen = noise.integers(0, len(words), (len(numbers), 20))
    columns["text"] = ["".join(words[i] for i in row) for row in chosen]
    return pa.table(columns)


def right_rows(first: int, last: int, rows: int) -> Any:
    """The ids of the left table in another order, and w float64."""
    import pyarrow as pa

    step = next(s for s in (7_919_333_331, 7_919_333_333, 7_919_333_339) if np.gcd(s, rows) == 1)
    numbers = np.arange(first, last, dtype=np.int64) * (step % rows) % rows
    return pa.table({"id": scrambled(numbers), "w": numbers / 2})


def ensure_data(root: pathlib.Path, shape: str, rows: int) -> pathlib.Path:
    """Returns the directory with the tables left/ and right/, made now if it is not there."""
    import pyarrow.parquet as pq

    directory = root / f"{shape}-{rows}"
    if directory.exists():
        return directory
    unfinished = root / f"{shape}-{rows}.unfinished"
    noise = np.random.default_rng(3)
    for side in ("left", "right"):
        (unfinished / side).mkdir(parents=True, exist_ok=True)
        for number in range(FILES):
            begin, end = rows * number // FILES, rows * (number + 1) // FILES
            writer = None
            for first in range(begin, end, ROW_GROUP):
                last = min(end, first + ROW_GROUP)
                made = (
                    left_rows(shape, first, last, noise)
                    if side == "left"
                    else right_rows(first, last, rows)
                )
                path = unfinished / side / f"part-{number:02}.parquet"
                writer = writer or pq.ParquetWriter(path, made.schema, use_dictionary=False)
                writer.write_table(made)
            if writer:
                writer.close()
    unfinished.rename(directory)
    return directory


# ---- The cases: run in a process of their own ---------------------------------------------------


def run_headrace(case: str, source: str, output: str, arguments: argparse.Namespace) -> None:
    import headrace
    from headrace import _core

    context = headrace.DataContext.get_current()
    context.enable_progress_bars = False
    options = context.execution_options
    if arguments.blocks:
        options.resource_limits = headrace.ExecutionResources(object_store_memory=arguments.limit)
    else:
        options.memory_limit = arguments.limit
    dataset = headrace.read_parquet(source + "/left")
    if case == "sort":
        dataset = dataset.sort("x")
    elif case == "shuffle":
        dataset = dataset.random_shuffle(seed=1)
    else:
        other = headrace.read_parquet(source + "/right")
        dataset = dataset.join(other, "inner", num_partitions=arguments.partitions, on=("id",))
    dataset.write_parquet(output)
    stats = _core.store_stats()
    assert stats["spilled_bytes"] == 0, "spilled blocks are left"
    print(json.dumps({"store_spilled": stats["spilled_bytes_total"]}))


def run_duckdb(case: str, source: str, output: str, arguments: argparse.Namespace) -> None:
    import duckdb

    duckdb.sql(
        f"set memory_limit = '{arguments.limit} B'; set temp_directory = '{os.environ['TMPDIR']}';"
        "set preserve_insertion_order = false"
    )
    left, right = f"'{source}/left/*.parquet'", f"'{source}/right/*.parquet'"
    query = {
        "sort": f"from {left} order by x",
        "shuffle": f"from {left} order by random()",
        "join": f"from {left} join {right} using (id)",
    }[case]
    pathlib.Path(output).mkdir(parents=True)
    duckdb.sql(f"copy ({query}) to '{output}/out.parquet' (format parquet, compression snappy)")


RUNNERS = {"headrace": run_headrace, "duckdb": run_duckdb}


def run_case(arguments: argparse.Namespace) -> None:
    """Runs one case in this process; its last line of output has figures."""
    engine, case, source, output = arguments.case
    RUNNERS[engine](case, source, output, arguments)
    io = dict(line.split(": ") for line in pathlib.Path("/proc/self/io").read_text().splitlines())
    print(json.dumps({"written": int(io["wchar"]), "read": int(io["rchar"])}))


# ---- Around them --------------------------------------------------------------------------------


def batches_in_order(output: pathlib.Path, columns: list[str]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    for path in sorted(output.rglob("*.parquet")):
        yield from pq.ParquetFile(path).iter_batches(columns=columns, batch_size=1 << 20)


def check_result(case: str, output: pathlib.Path, rows: int) -> str:
    """Returns what is wrong with a result, or nothing."""
    seen, last, in_place = 0, -1.0, 0
    total = np.int64(0)
    for batch in batches_in_order(output, ["id", "w" if case == "join" else "x"]):
        ids, values = (column.to_numpy() for column in batch.columns)
        with np.errstate(over="ignore"):
            total += ids.sum()
        if case == "sort":
            if len(values) and (values[0] < last or (np.diff(values) < 0).any()):
                return "not sorted"
            last = values[-1] if len(values) else last
        elif case == "join" and (scrambled((values * 2).astype(np.int64)) != ids).any():
            return "rows do not fit together"
        else:
            expected = scrambled(np.arange(seen, seen + len(ids), dtype=np.int64))
            in_place += int((expected == ids).sum())
        seen += len(ids)
    if seen != rows:
        return f"{seen} rows of {rows}"
    expected_total = np.int64(0)
    for first in range(0, rows, 1 << 22):
        ids = scrambled(np.arange(first, min(rows, first + (1 << 22)), dtype=np.int64))
        with np.errstate(over="ignore"):
            expected_total += ids.sum()
    if total != expected_total:
        return "other rows"
    return "not shuffled" if case == "shuffle" and in_place > 100 else ""


def measure(engine: str, case: str, arguments: argparse.Namespace) -> dict[str, Any]:
    root = pathlib.Path(arguments.data)
    source = ensure_data(root, arguments.shape, arguments.rows)
    output, spill = root / "output", root / "spill"
    for directory in (output, spill):
        shutil.rmtree(directory, ignore_errors=True)
    spill.mkdir()
    options = ["--limit", str(arguments.limit), "--partitions", str(arguments.partitions)]
    options += ["--blocks"] if arguments.blocks else []
    command = [sys.executable, __file__, *options, "--case", engine, case, source, output]
    started = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command],
        env=os.environ | {"TMPDIR": str(spill)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = 0
    before = os.times()
    while process.poll() is None:
        peak = max(peak, sum(pss(pid) for pid in tree(process.pid)))
        if time.monotonic() - started > arguments.timeout:
            process.kill()
        time.sleep(SAMPLE_SECONDS)
    seconds = time.monotonic() - started
    out, errors = process.communicate()
    after = os.times()
    figures: dict[str, Any] = {"engine": engine, "case": case, "peak": peak, "seconds": seconds}
    figures["cpu"] = sum(after[2:4]) - sum(before[2:4])
    for line in out.splitlines():
        if line.startswith("{"):
            figures |= json.loads(line)
    rows = arguments.rows * ROW_BYTES[arguments.shape]
    figures["input"] = rows + (arguments.rows * RIGHT_BYTES if case == "join" else 0)
    written = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    figures["spilled"] = max(0, figures.get("written", 0) - written)
    left = [path.name for path in spill.iterdir()]
    figures["wrong"] = (
        f"exit {process.returncode}: {errors[-1500:]}"
        if process.returncode != 0
        else check_result(case, output, arguments.rows)
        if not arguments.unchecked
        else ""
    )
    if left and engine == "headrace":
        figures["wrong"] += f" left: {left}"
    for directory in (output, spill):
        shutil.rmtree(directory, ignore_errors=True)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--rows", type=int, default=435_000_000)
    parser.add_argument("--limit", type=int, default=2000 * MB)
    parser.add_argument("--shape", choices=list(ROW_BYTES), default="narrow")
    parser.add_argument("--blocks", action="store_true", help="Headrace: the limit is of blocks")
    parser.add_argument("--partitions", type=int, default=256, help="Headrace: of a join")
    parser.add_argument("--engines", default="headrace,duckdb")
    parser.add_argument("--data", default="/tmp/headrace-external")
    parser.add_argument("--timeout", type=float, default=3600)
    parser.add_argument("--unchecked", action="store_true", help="do not read the results")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        run_case(arguments)
        return 0
    print(f"{arguments.rows} rows, {arguments.shape}, limit {arguments.limit / MB:.0f} MB")
    print("case     engine     input MB  peak MB  spilled  of input  seconds   cpu s  MB/cpu s")
    bad = 0
    for case in arguments.names or CASES:
        for engine in arguments.engines.split(","):
            f = measure(engine, case, arguments)
            print(
                f"{case:8} {engine:9} {f['input'] / MB:9.0f} {f['peak'] / MB:8.0f} "
                f"{f['spilled'] / MB:8.0f} {f['spilled'] / f['input']:9.2f} {f['seconds']:8.1f} "
                f"{f['cpu']:7.1f} {f['input'] / MB / max(0.01, f['cpu']):9.1f}"
                + (f"   FAILED: {f['wrong']}" if f["wrong"] else ""),
                flush=True,
            )
            bad += bool(f["wrong"])
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
