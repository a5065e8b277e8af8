"""Runs the workloads beside the peers and writes bench/RESULTS.md.

    python bench/run.py [--scale X] [--runs N] [--only NAME ...] [--peers PYTHON] [--output FILE]

Every run is a process of its own, so no engine warms another's caches; engines take turns, so a
slow minute of the machine hits all. Times are of runs without a probe; one more run of each engine
measures memory: the sum of the proportional set sizes (PSS) of the whole process tree, in which a
page shared by several processes counts once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

import generate
import report
import worker

HERE = Path(__file__).parent
ENGINES = ("headrace", "ray", "daft", "polars", "duckdb", "pyarrow")
PROBE_SECONDS = 0.05


@dataclass
class Outcome:
    """What one engine did on one workload."""

    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)
    n: int = 0
    failure: str = ""


def tree_bytes(root: psutil.Process) -> int:
    """Returns the PSS of a process and all its descendants."""
    total = 0
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, OSError):  # It has ended.
            continue
    return total


def watch_memory(pid: int, stop: threading.Event, peak: list[int]) -> None:
    try:
        root = psutil.Process(pid)
    except psutil.Error:
        return
    while not stop.wait(PROBE_SECONDS):
        peak[0] = max(peak[0], tree_bytes(root))


def end_tree(process: subprocess.Popen[str]) -> None:
    """Ends a run that took too long, with everything that it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        family = []
    process.kill()
    for child in family:
        try:
            child.kill()
        except psutil.Error:
            continue


def run_once(
    command: list[str], measure_memory: bool, timeout: float
) -> tuple[dict[str, Any], int]:
    """Runs one worker; returns its answer, or {"failure": text}, and the peak of its tree."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "RAY_DEDUP_LOGS": "0"}
    stop, peak = threading.Event(), [0]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    watcher = threading.Thread(target=watch_memory, args=(process.pid, stop, peak))
    if measure_memory:
        watcher.start()
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        end_tree(process)
        process.communicate()
        return {"failure": f"no end in {timeout:.0f} s"}, peak[0]
    finally:
        stop.set()
        if measure_memory:
            watcher.join()
    for line in output.splitlines():
        if line.startswith(worker.MARKER):
            return json.loads(line.removeprefix(worker.MARKER)), peak[0]
    lines = [line for line in errors.splitlines() if line.strip()]
    return {"failure": lines[-1] if lines else f"exit code {process.returncode}"}, peak[0]


def expected_of(workload: dict[str, Any], n: int) -> dict[str, Any]:
    """Evaluates the formulas of the expected result."""
    formulas = workload.get("expected", {})
    return {name: eval(formula, {"n": n}) for name, formula in formulas.items()}


def difference(result: dict[str, Any], expected: dict[str, Any]) -> str:
    """Says how a result differs from what it must be, or returns ""."""
    for name, value in expected.items():
        got = result.get(name)
        close = isinstance(got, int | float) and abs(got - value) <= 1e-6 * max(1, abs(value))
        if not close:
            return f"wrong result: {name} is {got}, not {value}"
    return ""


@dataclass
class Runner:
    python: dict[str, str]  # Engine → interpreter.
    scale: float
    runs: int
    timeout: float
    root: Path

    def measure(self, path: Path) -> dict[str, Outcome]:
        """Runs one workload with every engine that it has code for, in turns."""
        workload = worker.tomllib.loads(path.read_text())
        outcomes = {
            engine: Outcome(n=worker.size_of(workload, engine, self.scale))
            for engine in ENGINES
            if engine in self.python and worker.section_of(workload, engine)
        }
        for turn in range(workload.get("runs", self.runs) + 1):
            for engine, outcome in outcomes.items():
                if not outcome.failure:
                    self.take_turn(path, workload, engine, outcome, measure_memory=turn == 0)
        return outcomes

    def take_turn(
        self,
        path: Path,
        workload: dict[str, Any],
        engine: str,
        outcome: Outcome,
        measure_memory: bool,
    ) -> None:
        source = generate.ensure(workload["data"], outcome.n, self.root)
        output = Path(tempfile.mkdtemp(prefix="output-", dir=self.root))
        command = [self.python[engine], str(HERE / "worker.py"), str(path), engine]
        command += [str(source), str(output), str(outcome.n)]
        try:
            answer, peak = run_once(command, measure_memory, self.timeout)
        finally:
            shutil.rmtree(output, ignore_errors=True)
        if "failure" not in answer:
            wrong = difference(answer["result"], expected_of(workload, outcome.n))
            if wrong:
                answer = {"failure": wrong}
        if "failure" in answer:
            outcome.failure = answer["failure"]
        elif measure_memory:
            outcome.peak_bytes = peak  # Slowed by the probe, so its time does not count.
        else:
            outcome.seconds.append(answer["seconds"])
            outcome.results.append(answer["result"])
        shown = answer.get("failure") or f"{answer['seconds']:.3f} s"
        kind = "memory" if measure_memory else "time"
        print(f"  {path.stem:<22} {engine:<9} {kind:<7} {shown}", flush=True)


def versions(python: dict[str, str]) -> dict[str, str]:
    """Returns the installed version of each engine."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    found = {}
    for engine, interpreter in python.items():
        done = subprocess.run(
            [interpreter, "-c", code, engine], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            found[engine] = done.stdout.strip()
    return found


def machine() -> str:
    """Describes where the numbers come from."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = psutil.virtual_memory().total / 2**30
    cpus = len(os.sched_getaffinity(0))
    return f"{cpus} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every size")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each engine")
    parser.add_argument("--only", nargs="*", default=[], help="names of workloads")
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run")
    parser.add_argument("--data", type=Path, default=HERE / "data")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    parser.add_argument("--cpp", type=Path, help="the built C++ benchmark")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    python = dict.fromkeys(ENGINES, options.peers)
    python["headrace"] = sys.executable
    installed = versions({engine: python[engine] for engine in options.engines})
    for engine in options.engines:
        if engine not in installed:
            print(f"{engine} is not installed in {python[engine]}: left out", file=sys.stderr)
    options.data.mkdir(parents=True, exist_ok=True)
    runner = Runner(
        python={engine: python[engine] for engine in installed},
        scale=options.scale,
        runs=options.runs,
        timeout=options.timeout,
        root=options.data.resolve(),
    )
    workloads = sorted((HERE / "workloads").glob("*.toml"))
    rows = []
    for path in workloads:
        if options.only and path.stem not in options.only:
            continue
        outcomes = runner.measure(path)
        rows.append(report.Row(worker.tomllib.loads(path.read_text()), outcomes))
    cpp = run_cpp(options.cpp) if options.cpp else ""
    header = report.Header(
        machine=machine(),
        versions=installed,
        when=time.strftime("%Y-%m-%d"),
        command=report.command_line(options.scale, options.runs, options.only),
        load=os.getloadavg()[0],
    )
    text = report.render(header, rows, statistics.median, cpp)
    options.output.write_text(text)
    print(text)
    failed = [row for row in rows if row.outcomes.get("headrace", Outcome()).failure]
    return 1 if failed else 0


def run_cpp(program: Path) -> str:
    done = subprocess.run(
        [str(program), "--benchmark_counters_tabular=true"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
