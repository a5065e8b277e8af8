"""File formats written by Python libraries, for options that the engine's writers have not."""

from __future__ import annotations

import functools
import io
import posixpath
from typing import Any

import numpy as np
import pyarrow as pa

from headrace import _core
from headrace._internal.frames import forget_types
from headrace._internal.savemode import SaveMode
from headrace._internal.table_rows import slice_rows
from headrace.block import BlockAccessor
from headrace.datasource.datasink import TaskContext
from headrace.datasource.file_datasink import WRITE_UUID_KWARG_NAME, BlockBasedFileDatasink
from headrace.datasource.filename_provider import part_name


class ParquetDatasink(BlockBasedFileDatasink):
    """Writes by `pyarrow.parquet.write_table` with `writer_args`."""

    def __init__(
        self,
        path: str,
        *,
        writer_args: dict[str, Any],
        partition_cols: list[str] | None = None,
        max_rows_per_file: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(path, file_format="parquet", **kwargs)
        self._writer_args = writer_args
        self._partition_cols = partition_cols
        self._max_rows = max_rows_per_file

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        table = forget_types(block.to_arrow())
        name = self.task_name(ctx)
        self._check_name(name, ctx.kwargs[WRITE_UUID_KWARG_NAME])
        partitions = {"": table}
        if self._partition_cols:
            partitions = _core.split_by_partition(table, self._partition_cols)
        for directory, rows in partitions.items():
            step = self._max_rows or max(1, rows.num_rows)
            for part, begin in enumerate(range(0, rows.num_rows, step)):
                self._write_file(
                    posixpath.join(directory, part_name(name, part)),
                    functools.partial(self._fill, slice_rows(rows, begin, step)),
                )

    def _check_name(self, name: str, write_uuid: str) -> None:
        if write_uuid not in name and self.mode == SaveMode.APPEND:
            raise ValueError(
                f"The write's UUID '{write_uuid}' is not in the file name '{name}': files of "
                "another write could be replaced. Put `write_uuid` into the names that your "
                "FilenameProvider gives, or write with mode=SaveMode.OVERWRITE."
            )

    def _fill(self, table: pa.Table, file: pa.NativeFile) -> None:
        import pyarrow.parquet as pq

        pq.write_table(table, file, **self._writer_args)


class CsvDatasink(BlockBasedFileDatasink):
    """Writes by `pyarrow.csv.write_csv` with `writer_args`."""

    def __init__(self, path: str, *, writer_args: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(path, file_format="csv", **kwargs)
        self._writer_args = writer_args

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        from pyarrow import csv

        csv.write_csv(block.to_arrow(), file, **self._writer_args)


class JsonDatasink(BlockBasedFileDatasink):
    """Writes by `pandas.DataFrame.to_json` with `writer_args`."""

    def __init__(self, path: str, *, writer_args: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(path, file_format="json", **kwargs)
        self._writer_args = writer_args

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        arguments = {"orient": "records", "lines": True, **self._writer_args}
        buffer = io.BytesIO()
        block.to_pandas().to_json(buffer, **arguments)
        file.write(buffer.getvalue())


class NumpyDatasink(BlockBasedFileDatasink):
    """Writes one column by `numpy.save`."""

    def __init__(self, path: str, *, column: str, **kwargs: Any) -> None:
        super().__init__(path, file_format="npy", **kwargs)
        self._column = column

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        buffer = io.BytesIO()
        np.save(buffer, block.to_numpy(self._column))
        file.write(buffer.getvalue())
