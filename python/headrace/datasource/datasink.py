"""Sinks written in Python: workers call `write`, the driver starts and completes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pyarrow as pa

from headrace.block import Block

WriteReturnType = TypeVar("WriteReturnType")


@dataclass
class TaskContext:
    """What a task knows of itself: its number, its operator, and the write that it is part of."""

    task_idx: int
    op_name: str = "Write"
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class WriteResult(Generic[WriteReturnType]):
    """What was written: rows, bytes in memory, and what each task returned, in order of tasks."""

    num_rows: int
    size_bytes: int
    write_returns: list[WriteReturnType]

    @classmethod
    def combine(cls, *wrs: WriteResult[Any]) -> WriteResult[Any]:
        return WriteResult(
            num_rows=sum(result.num_rows for result in wrs),
            size_bytes=sum(result.size_bytes for result in wrs),
            write_returns=[value for result in wrs for value in result.write_returns],
        )


class Datasink(Generic[WriteReturnType]):
    """A place to write to.

    `on_write_start` runs in the driver before any task, `write` in workers (it may run again for
    the same blocks when a worker is lost), then `on_write_complete` or `on_write_failed` in the
    driver. The sink is pickled for the workers.
    """

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Prepares. `schema` is that of the rows, if known."""

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> WriteReturnType:
        """Writes blocks; what it returns must be picklable."""
        raise NotImplementedError

    def on_write_complete(self, write_result: WriteResult[WriteReturnType]) -> None:
        """Commits: all tasks have ended well."""

    def on_write_failed(self, error: Exception) -> None:
        """Cleans up: a task failed. The error is raised afterwards."""

    def get_name(self) -> str:
        """Returns the name in logs: the class, less "_" and "Datasink"."""
        name = type(self).__name__.removeprefix("_")
        return name[: -len("Datasink")] if name.endswith("Datasink") else name

    @property
    def supports_distributed_writes(self) -> bool:
        """False: tasks need this machine."""
        return True

    @property
    def min_rows_per_write(self) -> int | None:
        """The least number of rows for one call of `write`; None: any."""
        return None

    @property
    def min_bytes_per_write(self) -> int | None:
        return None


class DummyOutputDatasink(Datasink[None]):
    """Counts rows and writes nothing; for tests."""

    def __init__(self) -> None:
        self.num_ok = 0
        self.num_failed = 0
        self.rows_written = 0

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        for _ in blocks:
            pass

    def on_write_complete(self, write_result: WriteResult[None]) -> None:
        self.num_ok += 1
        self.rows_written += write_result.num_rows

    def on_write_failed(self, error: Exception) -> None:
        self.num_failed += 1
