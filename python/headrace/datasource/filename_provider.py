"""Names of the files that a write makes."""

from __future__ import annotations

from typing import Any

from headrace.block import Block


class FilenameProvider:
    """Names written files. Subclasses give one or more of the three methods.

    Names must be different for different arguments, and equal for equal ones: a task that runs
    again must write the same files.

    Args:
        dataset_uuid: first part of the names.
        file_format: their ending, without dot.
    """

    def __init__(self, dataset_uuid: str | None = None, file_format: str | None = None) -> None:
        self._dataset_uuid = dataset_uuid
        self._file_format = file_format

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        """Returns the name for all rows of a task."""
        return self._name(write_uuid, f"{task_index:06}")

    def get_filename_for_block(
        self, block: Block | None, write_uuid: str, task_index: int, block_index: int
    ) -> str:
        """Returns the name for a block of a task."""
        if type(self).get_filename_for_task is not FilenameProvider.get_filename_for_task:
            return self.get_filename_for_task(write_uuid, task_index)
        return self._name(write_uuid, f"{task_index:06}_{block_index:06}")

    def get_filename_for_row(
        self,
        row: dict[str, Any],
        write_uuid: str,
        task_index: int,
        block_index: int,
        row_index: int,
    ) -> str:
        """Returns the name for one row."""
        return self._name(write_uuid, f"{task_index:06}_{block_index:06}_{row_index:06}")

    def _name(self, write_uuid: str, number: str) -> str:
        first = f"{self._dataset_uuid}_" if self._dataset_uuid else ""
        ending = f".{self._file_format}" if self._file_format else ""
        return f"{first}{write_uuid}_{number}{ending}"
