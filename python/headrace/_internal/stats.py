"""Statistics of runs, as text and as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headrace import _core
from headrace._internal.execution_options import format_bytes


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


@dataclass(frozen=True)
class RunStats:
    """What one run did."""

    operators: list[OperatorStats]
    elapsed_s: float
    peak_store_bytes: int

    @staticmethod
    def of(execution: _core.Execution) -> RunStats:
        return RunStats(
            [_operator_stats(state) for state in execution.snapshot()],
            execution.elapsed_seconds,
            execution.peak_charged_bytes,
        )

    def to_text(self) -> str:
        """Returns the text of `Dataset.stats()`."""
        lines = []
        for number, operator in enumerate(self.operators, start=1):
            lines += _operator_lines(number, operator, self.elapsed_s)
        if self.operators:
            rows = self.operators[-1].rows
            rate = rows / self.elapsed_s if self.elapsed_s > 0 else 0.0
            lines += [
                "",
                "Dataset throughput:",
                f"\t* Headrace throughput: {rate:.6g} rows/s",
                f"* Total time: {format_seconds(self.elapsed_s)}",
                f"* Peak object store use: {format_bytes(self.peak_store_bytes)}",
            ]
        return "\n".join(lines) + "\n" if lines else ""


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
    )


def _operator_lines(number: int, operator: OperatorStats, elapsed_s: float) -> list[str]:
    lines = [
        f"Operator {number} {operator.name}: {operator.tasks} tasks executed, "
        f"{operator.blocks} blocks produced in {format_seconds(elapsed_s)}",
        f"* Remote wall time: {format_seconds(operator.wall_s)} total",
        f"* Remote cpu time: {format_seconds(operator.cpu_s)} total",
        f"* UDF time: {format_seconds(operator.function_s)} total",
        f"* Output num rows: {operator.rows} total",
        f"* Output size bytes: {operator.bytes} total",
    ]
    if operator.blocks:
        rows, size = operator.rows / operator.blocks, operator.bytes / operator.blocks
        lines.append(f"* Output per block: {rows:.6g} rows, {format_bytes(size)} mean")
    if operator.peak_heap_bytes:
        lines.append(f"* Peak heap memory: {format_bytes(operator.peak_heap_bytes)}")
    if operator.failed_tasks or operator.retried_tasks:
        lines.append(
            f"* Failed tasks: {operator.failed_tasks}, run again: {operator.retried_tasks}"
        )
    if operator.wait_s:
        waits = sorted(operator.wait_s.items(), key=lambda item: -item[1])
        text = ", ".join(f"{reason} {format_seconds(seconds)}" for reason, seconds in waits)
        lines.append(f"* Waited for: {text}")
    if operator.wall_s > 0:
        lines += [
            "* Operator throughput:",
            f"\t* Total output num rows: {operator.rows} rows",
            f"\t* Headrace throughput: {operator.rows / max(elapsed_s, 1e-9):.6g} rows/s",
            f"\t* Estimated single task throughput: {operator.rows / operator.wall_s:.6g} rows/s",
        ]
    return lines


def format_seconds(seconds: float) -> str:
    """Prints a duration as "3.2s", "15.01ms" or "7.5us"."""
    if seconds >= 1:
        return f"{seconds:.2f}s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f}ms"
    return f"{seconds * 1e6:.2f}us"
