"""Statistics of runs, as text and as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace import _core


@dataclass(frozen=True)
class OperatorStats:
    """What one operator did. Times are seconds, summed over its tasks."""

    name: str
    tasks: int
    failed_tasks: int
    retried_tasks: int
    blocks: int
    rows: int
    bytes: int
    wall_s: float
    cpu_s: float
    function_s: float
    peak_heap_bytes: int
    wait_s: dict[str, float] = field(default_factory=dict)
    errored_rows: int = 0  # Left out by `on_error`.
    letter_rows: int = 0  # Of these, kept as dead letters.


@dataclass(frozen=True)
class RunStats:
    """What one run did."""

    operators: list[OperatorStats]
    elapsed_s: float
    peak_store_bytes: int
    text: str = ""

    @staticmethod
    def of(execution: _core.Execution) -> RunStats:
        return RunStats(
            [_operator_stats(state) for state in execution.snapshot()],
            execution.elapsed_seconds,
            execution.peak_charged_bytes,
            execution.statistics(),
        )

    def to_text(self) -> str:
        """Returns the text of `Dataset.stats()`."""
        return self.text


def _operator_stats(state: Any) -> OperatorStats:
    return OperatorStats(
        name=state.name,
        tasks=state.tasks_done,
        failed_tasks=state.tasks_failed,
        retried_tasks=state.tasks_retried,
        blocks=state.output_blocks,
        rows=state.output_rows,
        bytes=state.output_bytes,
        wall_s=state.wall_nanos / 1e9,
        cpu_s=state.cpu_nanos / 1e9,
        function_s=state.function_nanos / 1e9,
        peak_heap_bytes=state.peak_heap_bytes,
        wait_s=dict(state.wait_seconds),
        errored_rows=state.errored_rows,
        letter_rows=state.letter_rows,
    )
