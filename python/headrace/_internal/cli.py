"""The command `headrace`: what a recorded run did.

A run is recorded by HEADRACE_EVENT_LOG=file, or `DataContext.event_log_path`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from headrace import _core

_EPILOG = """\
HEADRACE_EVENT_LOG=run.log records each run of a process: the first in run.log, the next ones in
run.2.log, run.3.log, ...; {pid} in the name stands for the number of the process.
"""


class _Problem(Exception):
    """What ends the command with exit code 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code: 0; 1 for a log that cannot be read, is not whole,
    or replays otherwise; 2 for wrong arguments (raised as SystemExit)."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except _Problem as problem:
        print(f"headrace {options.command}: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # As of `| head`.
        sys.stderr.close()
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headrace",
        description="Tells what a recorded run did.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser(
        "replay",
        help="run the scheduler over the log: is it the same run, and what did it do?",
    )
    replay.add_argument("file", type=Path)
    replay.add_argument("--slices", type=_positive, default=20, help="lines per operator (20)")
    replay.set_defaults(run=_replay)
    trace = commands.add_parser("trace", help="write a trace for Perfetto or chrome://tracing")
    trace.add_argument("file", type=Path)
    trace.add_argument("-o", "--output", type=Path, required=True, help="the JSON file to write")
    trace.set_defaults(run=_trace)
    for command in (replay, trace):
        command.add_argument(
            "--partial",
            action="store_true",
            help="take a log that ends before its run, as of a process that was killed",
        )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _read(options: argparse.Namespace, slices: int) -> tuple[bytes, _core.Replayed]:
    """Returns the log and its replay."""
    try:
        log = options.file.read_bytes()
        replayed = _core.replay_log(log, slices)
    except (OSError, ValueError) as error:
        raise _Problem(f"{options.file}: {_text(error)}") from None
    if replayed.cut and not options.partial:
        raise _Problem(
            f"{options.file}: the event log ends before its run: {replayed.cut}. "
            "--partial takes what there is."
        )
    return log, replayed


def _text(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _replay(options: argparse.Namespace) -> None:
    _, replayed = _read(options, options.slices)
    print(replayed.text)
    if replayed.difference:
        raise _Problem(f"{options.file}: {replayed.difference}")
    ending = f", up to where it ends: {replayed.cut}" if replayed.cut else ""
    print(f"{replayed.events} events replayed, with the same actions{ending}.")


def _trace(options: argparse.Namespace) -> None:
    log, replayed = _read(options, 1)
    if replayed.difference:
        raise _Problem(f"{options.file}: {replayed.difference}")
    try:
        options.output.write_bytes(_core.trace_log(log))
    except OSError as error:
        raise _Problem(f"{options.output}: {_text(error)}") from None
    print(f"wrote {options.output}: open it in https://ui.perfetto.dev or chrome://tracing")
