"""ORC files, by `pyarrow.orc`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headrace._internal.frames import forget_types
from headrace.block import Block, BlockAccessor
from headrace.datasource.file_based_datasource import FileBasedDatasource
from headrace.datasource.file_datasink import BlockBasedFileDatasink


class ORCDatasource(FileBasedDatasource):
    """Reads a block a stripe."""

    def get_name(self) -> str:
        return "ORC"

    def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> pa.NativeFile:
        return filesystem.open_input_file(path, **open_args)

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        from pyarrow import orc

        file = orc.ORCFile(f)
        for stripe in range(file.nstripes):
            yield pa.Table.from_batches([file.read_stripe(stripe)])
        if file.nstripes == 0:
            yield file.schema.empty_table()


class ORCDatasink(BlockBasedFileDatasink):
    """Writes by `pyarrow.orc.write_table` with `writer_args`."""

    def __init__(self, path: str, *, writer_args: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(path, file_format="orc", **kwargs)
        self._writer_args = writer_args

    def get_name(self) -> str:
        return "ORC"

    def write_block_to_file(self, block: BlockAccessor, file: pa.NativeFile) -> None:
        from pyarrow import orc

        orc.write_table(forget_types(block.to_arrow()), file, **self._writer_args)
