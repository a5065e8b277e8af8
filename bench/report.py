"""The table of results as Markdown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

COLUMNS = ("headrace", "ray", "daft", "polars", "duckdb", "pyarrow")
Median = Callable[[list[float]], float]


@dataclass
class Header:
    machine: str
    versions: dict[str, str]
    when: str
    command: str
    load: float


@dataclass
class Row:
    workload: dict[str, Any]
    outcomes: dict[str, Any]  # Engine → run.Outcome.


def command_line(scale: float, runs: int, only: list[str]) -> str:
    command = f"make bench SCALE={scale:g}"
    arguments = [f"--runs {runs}"] if runs != 3 else []
    if only:
        arguments.append("--only " + " ".join(only))
    return command + (f" ARGS='{' '.join(arguments)}'" if arguments else "")


def show_seconds(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.2f} s"


def show_time(row: Row, engine: str, median: Median) -> str:
    """Median, then lowest and highest in parentheses; of `metric` where the workload has one."""
    outcome = row.outcomes.get(engine)
    if outcome is None:
        return "–"
    if outcome.failure:
        return f"failed: {outcome.failure[:60]}"
    metric = row.workload.get("metric")
    if metric is None:
        values, show = outcome.seconds, show_seconds
    elif metric["unit"] == "%":
        values = [result[metric["name"]] for result in outcome.results]
        show = "{:.1f} %".format
    else:
        values = [seconds / outcome.n for seconds in outcome.seconds]
        show = show_seconds
    return f"{show(median(values))} ({show(min(values))} … {show(max(values))})"


def ratio(row: Row, engine: str, median: Median) -> str:
    """How many times longer `engine` took than Headrace, for the same amount of work."""
    ours, theirs = row.outcomes.get("headrace"), row.outcomes.get(engine)
    if not ours or not theirs or ours.failure or theirs.failure or not ours.seconds:
        return "–"
    mine = median(ours.seconds) / ours.n
    return f"{median(theirs.seconds) / theirs.n / mine:.1f} ×"


def show_memory(row: Row, engine: str) -> str:
    outcome = row.outcomes.get(engine)
    if outcome is None or outcome.failure or outcome.peak_bytes == 0:
        return "–"
    return f"{outcome.peak_bytes / 2**20:,.0f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def render(header: Header, rows: list[Row], median: Median, cpp: str) -> str:
    engines = [engine for engine in COLUMNS if engine in header.versions]
    times = [
        [row.workload["title"], *(show_time(row, engine, median) for engine in engines)]
        for row in rows
    ]
    others = [engine for engine in engines if engine != "headrace"]
    ratios = [
        [row.workload["title"], *(ratio(row, engine, median) for engine in others)]
        + [row.workload.get("bar", "–")]
        for row in rows
    ]
    memory = [
        [row.workload["title"], *(show_memory(row, engine) for engine in engines)] for row in rows
    ]
    notes = [
        f"- {row.workload['title']}: {row.workload['about']}"
        for row in rows
        if "about" in row.workload
    ]
    names = ", ".join(f"{engine} {version}" for engine, version in header.versions.items())
    parts = [
        "# Results",
        f"Made by `{header.command}` on {header.when}: {header.machine}; load average"
        f" {header.load:.1f} at the end. {names}.",
        "Every run is a process of its own; the engines take turns. Ray's cluster is up before the"
        " clock starts. bench/run.py says how time and memory are measured.",
        "## Time: median (lowest … highest)",
        table(["workload", *engines], times),
        "## Times as long as Headrace, for the same amount of work",
        table(["workload", *others, "bar"], ratios),
        "## Peak memory of the whole process tree, MiB",
        table(["workload", *engines], memory),
    ]
    if cpp:
        parts += ["## Cost of one task, in C++", f"```\n{cpp.strip()}\n```"]
    if notes:
        parts += ["## Notes", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"
