"""Runs one workload once, in this process, with one engine; prints one line of JSON.

    python bench/worker.py WORKLOAD.toml ENGINE SOURCE OUTPUT N

The workload's code sees `data` (the dataset API, for headrace and ray), `source`, `output` (an
empty directory), `n` (the scaled size) and `cpus`; it leaves its answer in `result`. The clock
covers the section `run` only: imports, function definitions and Ray's cluster come before it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MARKER = "@result "
DATASET_ENGINES = ("headrace", "ray")


def section_of(workload: dict[str, Any], engine: str) -> dict[str, Any] | None:
    """Returns the code for `engine`: its own, or that of the dataset API."""
    own = workload["engine"].get(engine)
    if own is None and engine in DATASET_ENGINES:
        own = workload["engine"].get("dataset")
    return own


def size_of(workload: dict[str, Any], engine: str, scale: float) -> int:
    """Returns `n`: a multiple of the step that keeps the expected result exact."""
    section = section_of(workload, engine) or {}
    step = workload.get("step", 1)
    if not workload.get("scales", True):
        return workload["n"]
    return max(step, round(section.get("n", workload["n"]) * scale / step) * step)


def prepare(engine: str) -> Any:
    """Imports the engine and makes it ready; returns the module with the dataset API, if any."""
    cpus = len(os.sched_getaffinity(0))
    if engine == "ray":
        import ray

        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        from ray import data
    elif engine == "headrace":
        import headrace as data  # type: ignore[no-redef]
    else:
        importlib.import_module(engine)
        return None
    data.DataContext.get_current().enable_progress_bars = False
    return data


def execute(
    path: str, engine: str, data: Any, source: str, output: str, n: int
) -> tuple[dict[str, Any], float]:
    """Runs a workload; returns its answer and the seconds of the section `run`."""
    workload = tomllib.loads(Path(path).read_text())
    section = section_of(workload, engine)
    if section is None:
        raise SystemExit(f"{path} has no code for {engine}")
    # The functions of the workload live in __main__, as in a user's script.
    scope = sys.modules["__main__"].__dict__
    scope.update(data=data, source=source, output=output, n=n)
    scope.update(cpus=len(os.sched_getaffinity(0)), result={}, Path=Path)
    exec(compile(workload.get("setup", ""), path, "exec"), scope)
    exec(compile(section.get("setup", ""), path, "exec"), scope)
    run = compile(section["run"], path, "exec")
    for _ in range(workload.get("warm_up_runs", 0)):
        exec(run, scope)

    start = time.perf_counter()
    exec(run, scope)
    seconds = time.perf_counter() - start

    exec(compile(workload.get("check", ""), path, "exec"), scope)
    exec(compile(section.get("check", ""), path, "exec"), scope)
    return scope["result"], seconds


def main() -> None:
    path, engine, source, output, n = sys.argv[1:6]
    imported = time.perf_counter()
    data = prepare(engine)
    imported = time.perf_counter() - imported
    result, seconds = execute(path, engine, data, source, output, int(n))
    answer = {"seconds": seconds, "import_seconds": imported, "result": result}
    print(MARKER + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
