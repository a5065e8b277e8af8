"""Names of the files that a write makes."""

from __future__ import annotations

import posixpath
from typing import Any

from headrace.block import Block


class FilenameProvider:
    """Names written files. A subclass gives `get_filename_for_task`.

    Names must be different for different arguments, and equal for equal ones: a task that runs
    again must write the same files. Where a task writes several files, a number is put before the
    ending of its name.

    Args:
        dataset_uuid: first part of the names.
        file_format: their ending, without dot.
    """

    def __init__(self, dataset_uuid: str | None = None, file_format: str | None = None) -> None:
        self.dataset_uuid = dataset_uuid
        self.file_format = file_format

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        """Returns the name for the rows of a task."""
        first = f"{self.dataset_uuid}_" if self.dataset_uuid is not None else ""
        ending = f".{self.file_format}" if self.file_format is not None else ""
        return f"{first}{write_uuid}_{task_index:06}{ending}"

    def get_filename_for_block(
        self, block: Block | None, write_uuid: str, task_index: int, block_index: int
    ) -> str:
        """Not called: the name of a task is the name of its file, as in ray.data 2.60."""
        raise NotImplementedError

    def get_filename_for_row(
        self,
        row: dict[str, Any],
        write_uuid: str,
        task_index: int,
        block_index: int,
        row_index: int,
    ) -> str:
        """Not called: see `row_name`."""
        raise NotImplementedError


def split_ending(name: str) -> tuple[str, str]:
    """Returns a name, which may be in a folder, and its ending with the dot, "" if it has none."""
    return posixpath.splitext(name)


def row_name(task_name: str, block_index: int, row_index: int) -> str:
    """Returns the name of the file of one row: the task's with two numbers."""
    stem, ending = split_ending(task_name)
    return f"{stem}_{block_index:06}_{row_index:06}{ending}"


def part_name(task_name: str, part: int) -> str:
    """Returns the name of one Parquet file of a task: "{i}" in the task's name is its number, which
    else is put before the ending.

    Raises ValueError for a name with a dot besides that of its ending.
    """
    if "{i}" in task_name:
        name = task_name if "parquet" in task_name else f"{task_name}.parquet"
        return name.replace("{i}", str(part))
    if "parquet" not in task_name:
        return f"{task_name}-{part}.parquet"
    stem, ending = split_ending(task_name)
    if "." in posixpath.basename(stem):
        raise ValueError(f"Filename should not contain a dot: {task_name}")
    return f"{stem}-{part}{ending}"
