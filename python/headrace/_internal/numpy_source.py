"""`.npy` files that need numpy itself to read: pickled objects, or arguments of `numpy.load`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.block import Block, BlockAccessor
from headrace.datasource.file_based_datasource import FileBasedDatasource


class NumpyDatasource(FileBasedDatasource):
    """Reads each file by `numpy.load` with `numpy_load_args`, into the column "data"."""

    def __init__(
        self, paths: Any, *, numpy_load_args: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(paths, **kwargs)
        self._numpy_load_args = dict(numpy_load_args or {})

    def get_name(self) -> str:
        return "Numpy"

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        array = np.load(io.BytesIO(f.read()), **self._numpy_load_args)
        yield BlockAccessor.batch_to_arrow_block({"data": array})
