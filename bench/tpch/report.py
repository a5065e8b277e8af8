"""The table of results as Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable

from bench import report as texts
from bench.run import Outcome

Outcomes = dict[int, dict[str, Outcome]]  # Query → engine → what it did.
Cell = Callable[[dict[str, Outcome], str], str]


def seconds_of(row: dict[str, Outcome], engine: str) -> float | None:
    """Returns the median time, or None without one."""
    outcome = row.get(engine)
    if outcome is None or outcome.failure or not outcome.seconds:
        return None
    return statistics.median(outcome.seconds)


def show_time(row: dict[str, Outcome], engine: str) -> str:
    """Median, then lowest and highest in parentheses."""
    seconds = seconds_of(row, engine)
    if seconds is None:
        return f"failed: {row[engine].failure[:60]}".replace("|", "/") if engine in row else "–"
    lowest, highest = min(row[engine].seconds), max(row[engine].seconds)
    return f"{seconds:.3f} ({lowest:.3f} … {highest:.3f})"


def show_ratio(row: dict[str, Outcome], engine: str) -> str:
    ours, theirs = seconds_of(row, "headrace"), seconds_of(row, engine)
    return f"{theirs / ours:.2f} ×" if ours and theirs else "–"


def show_memory(row: dict[str, Outcome], engine: str) -> str:
    outcome = row.get(engine)
    if outcome is None or outcome.failure or not outcome.peak_bytes:
        return "–"
    return f"{outcome.peak_bytes / 2**20:,.0f}"


def mean_ratio(outcomes: Outcomes, engine: str) -> str:
    """Returns the geometric mean of the ratios, and of how many queries."""
    ratios = []
    for row in outcomes.values():
        ours, theirs = seconds_of(row, "headrace"), seconds_of(row, engine)
        if ours and theirs:
            ratios.append(theirs / ours)
    if not ratios:
        return "–"
    return f"{math.exp(statistics.fmean(map(math.log, ratios))):.2f} × of {len(ratios)}"


def total(outcomes: Outcomes, engine: str) -> str:
    times = [seconds_of(row, engine) for row in outcomes.values()]
    known = [seconds for seconds in times if seconds is not None]
    return f"{sum(known):.2f} of {len(known)}"


def lines(outcomes: Outcomes, engines: Iterable[str], cell: Cell) -> list[list[str]]:
    shown = list(engines)
    return [
        [f"Q{number}", *(cell(row, engine) for engine in shown)] for number, row in outcomes.items()
    ]


def render(header: texts.Header, scale_factor: float, outcomes: Outcomes) -> str:
    engines = list(header.versions)
    others = [engine for engine in engines if engine != "headrace"]
    names = ", ".join(f"{engine} {version}" for engine, version in header.versions.items())
    times = lines(outcomes, engines, show_time)
    times.append(["**all**", *(total(outcomes, engine) for engine in engines)])
    ratios = lines(outcomes, others, show_ratio)
    ratios.append(["**geometric mean**", *(mean_ratio(outcomes, engine) for engine in others)])
    parts = [
        f"# TPC-H, scale factor {scale_factor:g}",
        f"Made by `{header.command}` on {header.when}: {header.machine}; load average"
        f" {header.load:.1f} at the end. {names}.",
        "Headrace and Ray Data run the programs in queries/, the others the SQL in sql/, over the"
        " same Parquet files. Every answer is compared with DuckDB's. Each run is a process of its"
        " own, the engines take turns; the clock starts after the imports, and ends with the rows"
        " in memory. The column pyarrow, where there is one, is no answer: it is the time in which"
        " Arrow's reader, with all cores, reads the columns that Headrace's program reads.",
        "## Seconds: median (lowest … highest)",
        texts.table(["query", *engines], times),
        "## Times as long as Headrace",
        texts.table(["query", *others], ratios),
        "## Peak memory of the whole process tree, MiB",
        texts.table(["query", *engines], lines(outcomes, engines, show_memory)),
    ]
    return "\n\n".join(parts) + "\n"
