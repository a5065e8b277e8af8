"""File formats written by Python libraries, for options that the engine's writers have not."""

from __future__ import annotations

import functools
import io
import posixpath
from typing import Any

import numpy as np
import pyarrow as pa

from headrace._internal.frames import forget_types
from headrace._internal.table_rows import slice_rows
from headrace.block import BlockAccessor
from headrace.datasource.datasink import TaskContext
from headrace.datasource.file_datasink import WRITE_UUID_KWARG_NAME, BlockBasedFileDatasink


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
        step = self._max_rows or max(1, table.num_rows)
        for part, begin in enumerate(range(0, table.num_rows, step)):
            name = self.filename_provider.get_filename_for_block(
                None, ctx.kwargs[WRITE_UUID_KWARG_NAME], ctx.task_idx, block_index
            )
            if step < table.num_rows:
                name = name.replace(".parquet", f"-{part}.parquet")
            self._write_part(slice_rows(table, begin, step), name)

    def _write_part(self, table: pa.Table, name: str) -> None:
        if not self._partition_cols:
            self._write_file(name, lambda file: self._fill(table, file))
            return
        keys = table.select(self._partition_cols)
        rows: dict[tuple[Any, ...], list[int]] = {}
        for i, row in enumerate(
            zip(*(keys.column(k).to_pylist() for k in keys.column_names), strict=True)
        ):
            rows.setdefault(row, []).append(i)
        rest = table.drop_columns(self._partition_cols)
        for values, indices in rows.items():
            directory = "/".join(
                f"{key}={value}" for key, value in zip(self._partition_cols, values, strict=True)
            )
            part = rest.take(pa.array(indices))
            self._write_file(
                posixpath.join(directory, name),
                functools.partial(self._fill, part),
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
        if arguments["orient"] != "records":
            arguments["lines"] = False
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
