"""Sinks of files written in Python: a subclass writes one row, or one block, to an open file.

Each attempt at a task writes to a temporary directory of its own; files get to their places when
all tasks have ended well: readers see all of a write or nothing of it, also where its process was
killed, and a task that runs again has its files once. A file whose name stands there already takes
its place.
"""

from __future__ import annotations

import functools
import logging
import posixpath
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from headrace._internal.savemode import SaveMode
from headrace._internal.write_directory import WriteDirectory, as_table
from headrace.block import Block, BlockAccessor
from headrace.datasource.datasink import Datasink, TaskContext, WriteResult
from headrace.datasource.filename_provider import FilenameProvider, row_name

logger = logging.getLogger(__name__)

WRITE_UUID_KWARG_NAME = "write_uuid"


class FileDatasink(Datasink[None]):
    """What the two kinds share."""

    def __init__(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        dataset_uuid: str | None = None,
        file_format: str | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """
        Args:
            path: the directory to write to.
            filesystem: default: from the path.
            try_create_dir: create the directory.
            open_stream_args: arguments for `filesystem.open_output_stream`.
            filename_provider: names the files.
            dataset_uuid: first part of the names.
            file_format: ending of the names.
            mode: what to do where the directory exists.
        """
        self.unresolved_path = path
        self._directory = WriteDirectory(path, filesystem)
        self.path = self._directory.path
        self.filesystem = self._directory.filesystem
        self.try_create_dir = try_create_dir
        self.open_stream_args = dict(open_stream_args or {})
        self.filename_provider = filename_provider or FilenameProvider(
            dataset_uuid=dataset_uuid or uuid.uuid4().hex, file_format=file_format
        )
        self.dataset_uuid = dataset_uuid
        self.file_format = file_format
        self.mode = mode
        self.has_created_dir = False
        self._skip_write = False
        # Of the attempt at a task that runs: its directory, (path, temporary path) of its files.
        self._attempt = uuid.uuid4().hex
        self._written: list[tuple[str, str]] = []

    def open_output_stream(self, path: str) -> pa.NativeFile:
        """Opens a file to write."""
        return self.filesystem.open_output_stream(path, **self.open_stream_args)

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Creates the directory. ValueError if it exists and the mode is ERROR."""
        from pyarrow import fs

        if not self._directory.prepare(self.mode, self.try_create_dir):
            self._skip_write = True
            return
        exists = self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound
        if self.try_create_dir and not exists:
            self.filesystem.create_dir(self.path, recursive=True)
            self.has_created_dir = True

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        if self._skip_write:
            return
        for block_index, block in enumerate(blocks):
            accessor = BlockAccessor.for_block(block)
            if accessor.num_rows() > 0:
                self.write_block(accessor, block_index, ctx)

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        """Writes one block."""
        raise NotImplementedError

    def task_name(self, ctx: TaskContext) -> str:
        """Returns the name that the provider gives to the file of a task."""
        return self.filename_provider.get_filename_for_task(
            ctx.kwargs[WRITE_UUID_KWARG_NAME], ctx.task_idx
        )

    def _write_file(self, name: str, fill: Callable[[pa.NativeFile], None]) -> None:
        """Writes one file by `fill`. `name` may have directories."""
        temporary = f"{self._directory.temporary_path}/{self._attempt}/{name}"
        self.filesystem.create_dir(posixpath.dirname(temporary), recursive=True)
        with self.open_output_stream(temporary) as file:
            fill(file)
        self._written.append((posixpath.join(self.path, name), temporary))

    def take_written(self) -> list[tuple[str, str]]:
        """Gives (path, temporary path) of the files that were written since the last call. What
        comes then is of another attempt."""
        written, self._written = self._written, []
        self._attempt = uuid.uuid4().hex
        return written

    def commit(self, written: list[tuple[str, str]], more: pa.Table) -> None:
        """Gives the files of all tasks their names, and those of `more`, in one step."""
        files = dict(written)
        if len(files) < len(written):
            logger.warning(
                "The filename_provider gave %d files only %d names: what was written last under a "
                "name is kept.",
                len(written),
                len(files),
            )
        mine = as_table((path, temporary, 0, 0) for path, temporary in files.items())
        self._directory.commit(pa.concat_tables([mine, more]), self.mode)

    def abort(self) -> None:
        """Removes what tasks wrote, and a directory of ours."""
        self._directory.abort()
        self._remove_empty()

    def on_write_complete(self, write_result: WriteResult[None]) -> None:
        """Removes an empty directory of ours. The files stand."""
        if write_result.num_rows == 0:
            self._remove_empty()

    def _remove_empty(self) -> None:
        from pyarrow import fs

        selector = fs.FileSelector(self.path, allow_not_found=True)
        if self.has_created_dir and not self.filesystem.get_file_info(selector):
            self.filesystem.delete_dir(self.path)

    @property
    def supports_distributed_writes(self) -> bool:
        return True


class RowBasedFileDatasink(FileDatasink):
    """Writes one file a row. A subclass gives `write_row_to_file(row, file)`."""

    def write_row_to_file(self, row: dict[str, Any], file: pa.NativeFile) -> None:
        """Writes a row to an open file."""
        raise NotImplementedError

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        task_name = self.task_name(ctx)
        for row_index, row in enumerate(block.iter_rows(public_row_format=False)):
            name = row_name(task_name, block_index, row_index)
            self._write_file(name, functools.partial(self.write_row_to_file, row))


class BlockBasedFileDatasink(FileDatasink):
    """Writes the rows of each task to one file.

    A subclass gives `write_block_to_file(block, file)`.

    Args:
        min_rows_per_file: blocks are joined up to this many rows; default: as they come.
    """

    def __init__(
        self, path: str, *, min_rows_per_file: int | None = None, **file_datasink_kwargs: Any
    ) -> None:
        super().__init__(path, **file_datasink_kwargs)
        self._min_rows_per_file = min_rows_per_file

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        """Writes a block to an open file."""
        raise NotImplementedError

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        builder = BlockAccessor.builder()
        for block in blocks:
            builder.add_block(block)
        if builder.num_rows() > 0:
            super().write([builder.build()], ctx)

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        self._write_file(self.task_name(ctx), lambda file: self.write_block_to_file(block, file))

    @property
    def min_rows_per_write(self) -> int | None:
        return self._min_rows_per_file
