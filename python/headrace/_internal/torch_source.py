"""A torch Dataset as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from headrace.block import Block, BlockAccessor, BlockMetadata
from headrace.context import DataContext
from headrace.datasource.datasource import Datasource, ReadTask

_ROWS_PER_BLOCK = 1000


class TorchDatasource(Datasource):
    """Reads a map-style or iterable torch Dataset, in order, in one task; column "item"."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def get_name(self) -> str:
        return "Torch"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        dataset = self._dataset
        num_rows = len(dataset) if hasattr(dataset, "__len__") else None

        def read() -> Iterator[Block]:
            builder = BlockAccessor.builder()
            for item in _items(dataset):
                builder.add({"item": item})
                if builder.num_rows() >= _ROWS_PER_BLOCK:
                    yield builder.build()
                    builder = BlockAccessor.builder()
            if builder.num_rows():
                yield builder.build()

        metadata = BlockMetadata(num_rows=num_rows, size_bytes=None, exec_stats=None)
        return [ReadTask(read, metadata, None, per_task_row_limit)]


def _items(dataset: Any) -> Iterable[Any]:
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return (dataset[i] for i in range(len(dataset)))
    return iter(dataset)
