"""CSV files read by `pyarrow.csv` in workers: where a Python function is asked about bad lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headrace._internal.read_files import BlockArguments, FileArguments, TaskArguments, read_source
from headrace._internal.sources import asked_blocks, make_python_source
from headrace.block import Block
from headrace.dataset import Dataset
from headrace.datasource.file_based_datasource import FileBasedDatasource


class _CsvDatasource(FileBasedDatasource):
    """Reads blocks as `pyarrow.csv.open_csv` gives them.

    Args:
        csv_args: `read_options`, `parse_options` and `convert_options`.
    """

    def __init__(self, paths: str | list[str], csv_args: dict[str, Any], **arguments: Any) -> None:
        super().__init__(paths, **arguments)
        self._csv_args = csv_args

    def get_name(self) -> str:
        return "CSV"

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        from pyarrow import csv

        with csv.open_csv(f, **self._csv_args) as reader:
            empty = reader.schema.empty_table()
            read = 0
            for batch in reader:
                read += 1
                yield pa.Table.from_batches([batch])
            if read == 0:
                yield empty


def asks_a_function(csv_args: dict[str, Any]) -> bool:
    """Returns whether the options have a function for lines of a wrong number of values."""
    return getattr(csv_args.get("parse_options"), "invalid_row_handler", None) is not None


def read_csv_in_python(
    paths: str | list[str],
    csv_args: dict[str, Any],
    open_args: dict[str, Any] | None,
    files: FileArguments,
    tasks: TaskArguments,
    blocks: BlockArguments,
) -> Dataset:
    """Reads the files with the arguments of `read_csv`."""
    datasource = _CsvDatasource(
        paths,
        csv_args,
        filesystem=files.filesystem,
        open_stream_args=open_args,
        partition_filter=files.partition_filter,
        partitioning=files.partitioning,
        ignore_missing_paths=files.ignore_missing_paths,
        shuffle=files.shuffle,
        include_paths=files.include_paths,
        file_extensions=files.file_extensions,
    )
    asked = asked_blocks(blocks.parallelism, blocks.override_num_blocks)
    count = asked if asked > 0 else len(datasource._file_sizes())
    source = make_python_source(datasource.get_name(), datasource.get_read_tasks(count))
    return read_source(source, blocks, tasks)
