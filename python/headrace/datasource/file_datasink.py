"""Sinks of files written in Python: a subclass writes one row, or one block, to an open file.

A file is written under a temporary name beside its own and renamed when it is whole: what stands
under a final name is never cut short, and a task that runs again replaces its own files.
"""

from __future__ import annotations

import functools
import posixpath
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from headrace._internal import paths as _paths
from headrace._internal.savemode import SaveMode
from headrace.block import Block, BlockAccessor
from headrace.datasource.datasink import Datasink, TaskContext, WriteResult
from headrace.datasource.filename_provider import FilenameProvider

WRITE_UUID_KWARG_NAME = "write_uuid"


class _FileDatasink(Datasink[None]):
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
        [self.path], self.filesystem = _paths.resolve([path], filesystem)
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
        self._before: list[str] = []

    def open_output_stream(self, path: str) -> pa.NativeFile:
        """Opens a file to write."""
        return self.filesystem.open_output_stream(path, **self.open_stream_args)

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Creates the directory. ValueError if it exists and the mode is ERROR."""
        from pyarrow import fs

        exists = self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound
        if exists and self.mode is SaveMode.ERROR:
            raise ValueError(
                f"Path {self.path} already exists. If this is unexpected, use mode='ignore' to "
                "ignore those files"
            )
        if exists and self.mode is SaveMode.IGNORE:
            self._skip_write = True
            return
        if exists and self.mode is SaveMode.OVERWRITE:
            self._before = [path for path, _ in _paths.list_files([self.path], self.filesystem)]
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

    def _write_file(self, name: str, fill: Callable[[pa.NativeFile], None]) -> None:
        """Writes one file by `fill`, under a temporary name until it is whole."""
        final = posixpath.join(self.path, name)
        temporary = posixpath.join(self.path, f".{name}.{uuid.uuid4().hex}.tmp")
        try:
            with self.open_output_stream(temporary) as file:
                fill(file)
            self.filesystem.move(temporary, final)
        except BaseException:
            self._delete(temporary)
            raise

    def on_write_complete(self, write_result: WriteResult[None]) -> None:
        """Removes what stood there before, in mode OVERWRITE, and an empty directory of ours."""
        from pyarrow import fs

        for path in self._before:
            self._delete(path)
        if self.has_created_dir and write_result.num_rows == 0:
            selector = fs.FileSelector(self.path, allow_not_found=True)
            if not self.filesystem.get_file_info(selector):
                self.filesystem.delete_dir(self.path)

    def _delete(self, path: str) -> None:
        try:
            self.filesystem.delete_file(path)
        except OSError:
            pass

    @property
    def supports_distributed_writes(self) -> bool:
        return True


class RowBasedFileDatasink(_FileDatasink):
    """Writes one file a row. A subclass gives `write_row_to_file(row, file)`."""

    def write_row_to_file(self, row: dict[str, Any], file: pa.NativeFile) -> None:
        """Writes a row to an open file."""
        raise NotImplementedError

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        for row_index, row in enumerate(block.iter_rows(public_row_format=False)):
            name = self.filename_provider.get_filename_for_row(
                row, ctx.kwargs[WRITE_UUID_KWARG_NAME], ctx.task_idx, block_index, row_index
            )
            self._write_file(name, functools.partial(self.write_row_to_file, row))


class BlockBasedFileDatasink(_FileDatasink):
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
        name = self.filename_provider.get_filename_for_block(
            block.to_block(), ctx.kwargs[WRITE_UUID_KWARG_NAME], ctx.task_idx, block_index
        )
        self._write_file(name, lambda file: self.write_block_to_file(block, file))

    @property
    def min_rows_per_write(self) -> int | None:
        return self._min_rows_per_file
