"""Answers TPC-H's 22 queries beside the peers, checks them, and writes bench/tpch/RESULTS.md.

    python bench/tpch/run.py [--scale-factor X] [--runs N] [--only N ...] [--engines NAME ...]
        [--peers PYTHON] [--timeout SECONDS] [--output FILE]

DuckDB's answers are what those of the others must be. Time and memory are measured as bench/run.py
does: every run is a process of its own, the engines take turns.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import report as texts
from bench import run as measuring
from bench.tpch import answers, data, one_query, report

HERE = Path(__file__).parent
ENGINES = ("headrace", "duckdb", "polars", "daft", "ray", "pyarrow")
READER = "pyarrow"  # It only reads, and answers nothing.
REFERENCE = "duckdb"
QUERIES = range(1, 23)


@dataclass
class Runner:
    python: dict[str, str]  # Engine → interpreter.
    folder: Path
    scale_factor: float
    runs: int
    timeout: float
    expected: dict[int, dict[str, Any]] = field(default_factory=dict)  # DuckDB's answers.

    def measure(self, number: int, engines: list[str]) -> dict[str, measuring.Outcome]:
        """Answers one query with every engine, in turns: first for memory, then for time."""
        outcomes = {engine: measuring.Outcome(n=1) for engine in engines}
        if REFERENCE in outcomes:  # It goes first: the others are checked by its answer.
            outcomes = {REFERENCE: outcomes[REFERENCE], **outcomes}
        if REFERENCE not in engines:
            self.take_turn(number, REFERENCE, measuring.Outcome(), measure_memory=False)
        for turn in range(self.runs + 1):
            for engine, outcome in outcomes.items():
                if not outcome.failure:
                    self.take_turn(number, engine, outcome, measure_memory=turn == 0)
        return outcomes

    def take_turn(
        self, number: int, engine: str, outcome: measuring.Outcome, measure_memory: bool
    ) -> None:
        command = [self.python[engine], str(HERE / "one_query.py"), engine, str(number)]
        command += [str(self.folder), f"{self.scale_factor:g}"]
        answer, peak = measuring.run_once(command, measure_memory, self.timeout)
        if "failure" in answer:
            outcome.failure = answer["failure"]
        elif engine == REFERENCE:
            self.expected.setdefault(number, answer)
        if engine != READER:
            outcome.failure = outcome.failure or self.check(number, answer)
        if outcome.failure:
            shown = outcome.failure
        elif measure_memory:
            outcome.peak_bytes = peak  # Slowed by the probe, so its time does not count.
            shown = f"{peak / 2**20:,.0f} MiB"
        else:
            outcome.seconds.append(answer["seconds"])
            shown = texts.show_seconds(answer["seconds"])
        print(f"  Q{number:<3} {engine:<9} {shown}", flush=True)

    def check(self, number: int, answer: dict[str, Any]) -> str:
        """Says how an answer differs from DuckDB's, or returns ""."""
        expected = self.expected.get(number)
        if expected is None:
            return f"{REFERENCE} has no answer to check this one by"
        sql = one_query.sql_of(number, self.scale_factor)
        places = answers.sort_columns(sql, expected["names"])
        return answers.difference(answer["rows"], expected["rows"], places)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale-factor", type=float, default=1.0, help="1: 6 M lines, 0.35 GB")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each engine")
    parser.add_argument("--only", type=int, nargs="*", default=list(QUERIES), help="numbers")
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one run")
    parser.add_argument("--data", type=Path, default=HERE.parent / "data")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    python = dict.fromkeys(ENGINES, options.peers)
    python["headrace"] = python[READER] = sys.executable  # They have one Arrow.
    installed = measuring.versions({engine: python[engine] for engine in options.engines})
    for engine in options.engines:
        if engine not in installed:
            print(f"{engine} is not installed in {python[engine]}: left out", file=sys.stderr)
    options.data.mkdir(parents=True, exist_ok=True)
    folder = data.ensure(options.scale_factor, options.data.resolve())
    runner = Runner(python, folder, options.scale_factor, options.runs, options.timeout)
    outcomes = {number: runner.measure(number, list(installed)) for number in options.only}
    arguments = sys.argv[1:]
    header = texts.Header(
        machine=measuring.machine(),
        versions=installed,
        when=time.strftime("%Y-%m-%d"),
        command=shlex.join(["make", "tpch", "ARGS=" + shlex.join(without_paths(arguments))]),
        load=os.getloadavg()[0],
    )
    text = report.render(header, options.scale_factor, outcomes)
    options.output.write_text(text)
    print(text)
    failed = [row for row in outcomes.values() if "headrace" in row and row["headrace"].failure]
    return 1 if failed else 0


def without_paths(arguments: list[str]) -> list[str]:
    """Leaves out the options that say where things lie on this machine."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if argument.startswith("--"):
            skip = argument in ("--peers", "--data", "--output")
        if not skip:
            kept.append(argument)
    return kept


if __name__ == "__main__":
    sys.exit(main())
