"""A run of a plan as the package consumes it: blocks, progress and statistics."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from headrace import _core
from headrace._internal.dead_letters import RunLetters
from headrace._internal.plan_building import make_options
from headrace._internal.progress import ProgressDisplay, wants_progress
from headrace._internal.stats import RunStats
from headrace._internal.write_directory import WrittenFile

if TYPE_CHECKING:
    from headrace.context import DataContext

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LOOKS = 0.1

# How many blocks to ask for at once where all are taken as they come: the budget bounds them.
TAKES_ALL = 128


@dataclasses.dataclass
class Resume:
    """How to go on where another run of the plan was stopped.

    Attributes:
        done: the positions of the pieces to leave out; None: the plan has no pieces.
        seed: of the random numbers that each run draws anew.
    """

    done: list[tuple[int, ...]] | None
    seed: int


class Run:
    """Runs a plan within a `with` block; leaving it stops what still runs.

    Args:
        plan: what to run.
        context: the settings.
        title: shown above the progress bars.
        on_stats: gets the statistics when the run is over, however it ended.
        resume: what to leave out; with it the run tells which pieces have ended.
        keeps_letters: the caller commits `letters`, or removes them, when the run is over.
        name: of the run, in the names of temporary files; default: a new one.

    Attributes:
        letters: the dead letters of the tasks that have ended.
    """

    def __init__(
        self,
        plan: _core.Plan,
        context: DataContext,
        title: str = "",
        on_stats: Callable[[RunStats], None] | None = None,
        resume: Resume | None = None,
        keeps_letters: bool = False,
        name: str = "",
    ) -> None:
        self.letters = RunLetters(plan, name)
        self._keeps_letters = keeps_letters
        self._resume = resume
        self._plan = plan
        self._context = context
        self._title = title
        self._on_stats = on_stats
        self._execution: _core.Execution | None = None
        self._progress: ProgressDisplay | None = None

    def __enter__(self) -> Run:
        prepare_workers()
        options = make_options(self._context)
        options.run_name = self.letters.run_name
        self.letters.prepare()
        if self._resume is None:
            self._execution = self._plan.execute(options)
        else:
            options.seed = self._resume.seed
            self._execution = self._plan.execute(options, self._resume.done)
        self._context._execution_idx += 1
        if wants_progress(self._context):
            self._progress = ProgressDisplay(self._execution.snapshot, self._context, self._title)
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        execution, self._execution = self._execution, None
        if execution is None:
            return
        try:
            execution.stop()
        finally:
            if self._progress is not None:
                self._progress.stop()
        stats = RunStats.of(execution)
        if self._on_stats is not None:
            self._on_stats(stats)
        failed = kind is not None and not issubclass(kind, GeneratorExit)
        if self.letters.has_policy:
            self._end_letters(execution, stats, failed)

    def _end_letters(self, execution: _core.Execution, stats: RunStats, failed: bool) -> None:
        if failed:
            if not self._keeps_letters:
                self.letters.remove()
            return
        self.letters.add(record for _, record in execution.take_letters())
        if not self._keeps_letters:
            self.letters.commit()
        for operator in stats.operators:
            if operator.errored_rows:
                logger.warning(
                    "%s: left out %d rows on which it failed, and kept %d of them as dead letters.",
                    operator.name,
                    operator.errored_rows,
                    operator.letter_rows,
                )

    def blocks(
        self, prefetch: int = TAKES_ALL, cancelled: threading.Event | None = None
    ) -> Iterator[_core.BlockRef]:
        """Yields the output blocks; `prefetch` more may be made ready meanwhile.

        `cancelled` ends the wait for the next block from another thread.
        """
        execution = self._execution
        if execution is None:
            raise RuntimeError("the run is over")
        if cancelled is None:
            while (block := execution.next(prefetch)) is not None:
                yield block
            return
        while not cancelled.is_set():
            block, ended = execution.poll(_SECONDS_BETWEEN_LOOKS, prefetch)
            if block is not None:
                yield block
            elif ended:
                return

    def waves(self) -> Iterator[list[_core.BlockRef]]:
        """Yields the output blocks, as many as there are; none when that takes long."""
        execution = self._execution
        if execution is None:
            raise RuntimeError("the run is over")
        ended = False
        while not ended:
            wave = []
            block, ended = execution.poll(_SECONDS_BETWEEN_LOOKS, TAKES_ALL)
            while block is not None:
                wave.append(block)
                block, ended = execution.poll(0, TAKES_ALL)
            yield wave

    def take_ended_pieces(self) -> list[tuple[int, ...]]:
        """The pieces whose blocks were all given, since the last call."""
        if self._execution is None:
            raise RuntimeError("the run is over")
        return [tuple(piece) for piece in self._execution.take_ended_pieces()]

    def take_letters(self) -> list[tuple[tuple[int, ...], WrittenFile]]:
        """The files of dead letters of tasks that have ended, since the last call, at least those
        of the pieces that `take_ended_pieces` gave before: (piece, file)."""
        if self._execution is None:
            raise RuntimeError("the run is over")
        letters = self._execution.take_letters()
        files = self.letters.take(record for _, record in letters)
        return [(tuple(piece), file) for (piece, _), file in zip(letters, files, strict=True)]


def run_blocks(
    plan: _core.Plan,
    context: DataContext,
    *,
    title: str = "",
    prefetch: int = TAKES_ALL,
    on_stats: Callable[[RunStats], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Iterator[_core.BlockRef]:
    """Runs `plan` and yields its blocks; stops it when the iteration ends or is left."""
    kept = plan.blocks() if plan.kind == "input_data" else None
    if kept is not None:
        yield from kept
        return
    with Run(plan, context, title, on_stats) as run:
        yield from run.blocks(prefetch, cancelled)


def prepare_workers() -> None:
    """Tells the engine what new workers need: where modules are imported from."""
    from headrace._internal import worker_setup

    _core.set_worker_setup(worker_setup.setup_payload())
