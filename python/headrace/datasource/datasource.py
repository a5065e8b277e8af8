"""Sources written in Python: `Datasource` makes `ReadTask`s, workers run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.block import Block, BlockMetadata, Schema

if TYPE_CHECKING:
    from headrace.context import DataContext
    from headrace.expressions import Expr


class ReadTask:
    """A piece of a source: called in a worker, it yields blocks.

    Args:
        read_fn: takes nothing and returns blocks (tables or DataFrames); it is pickled.
        metadata: what is known of the rows before reading.
        schema: their schema, if known.
        per_task_row_limit: reading stops after this many rows; None: never.
    """

    def __init__(
        self,
        read_fn: Callable[[], Iterable[Block]],
        metadata: BlockMetadata,
        schema: Schema | None = None,
        per_task_row_limit: int | None = None,
    ) -> None:
        self._read_fn = read_fn
        self._metadata = metadata
        self._schema = schema
        self._per_task_row_limit = per_task_row_limit

    @property
    def metadata(self) -> BlockMetadata:
        return self._metadata

    @property
    def schema(self) -> Schema | None:
        return self._schema

    @property
    def read_fn(self) -> Callable[[], Iterable[Block]]:
        return self._read_fn

    @property
    def per_task_row_limit(self) -> int | None:
        return self._per_task_row_limit

    def __call__(self) -> Iterator[Block]:
        """Reads. Raises ValueError if the function returns no iterable of blocks."""
        result = self._read_fn()
        if isinstance(result, pa.Table) or not hasattr(result, "__iter__"):
            raise ValueError(
                "Read function must return Iterable[Block], got: "
                f"{type(result).__name__}. Probably you need to return `[block]` instead of "
                "`block`."
            )
        left = self._per_task_row_limit
        for block in result:
            if left is None:
                yield block
                continue
            if left <= 0:
                return
            rows = len(block)
            yield block if rows <= left else block[:left]
            left -= rows


class Datasource:
    """A source of blocks. Subclasses give `get_read_tasks` and `estimate_inmemory_data_size`."""

    def get_name(self) -> str:
        """Returns the name in operators: "Read" + name. Default: the class, less "Datasource"."""
        name = type(self).__name__
        return name[: -len("Datasource")] if name.endswith("Datasource") else name

    def estimate_inmemory_data_size(self) -> int | None:
        """Returns the bytes of all rows in memory, None if unknown."""
        raise NotImplementedError

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """Returns the pieces to read, about `parallelism` of them."""
        raise NotImplementedError

    @property
    def supports_distributed_reads(self) -> bool:
        """False: read tasks need this machine."""
        return True

    @property
    def should_create_reader(self) -> bool:
        """True if the older `create_reader` is what a subclass gives."""
        has_tasks = type(self).get_read_tasks is not Datasource.get_read_tasks
        has_reader = type(self).create_reader is not Datasource.create_reader
        return has_reader and not has_tasks

    def create_reader(self, **read_args: Any) -> Reader:
        """The older way: returns a `Reader`."""
        return _TaskReader(self, **read_args)

    def prepare_read(self, parallelism: int, **read_args: Any) -> list[ReadTask]:
        """The oldest way: returns the read tasks."""
        raise NotImplementedError

    def supports_predicate_pushdown(self) -> bool:
        return False

    def supports_projection_pushdown(self) -> bool:
        return False

    def get_current_predicate(self) -> Expr | None:
        return None

    def get_projection_map(self) -> dict[str, str] | None:
        return None

    def apply_predicate(self, predicate_expr: Expr) -> Datasource:
        """Returns this source with a predicate. Requires: `supports_predicate_pushdown()`."""
        raise ValueError(f"{self.get_name()} does not support predicate pushdown")

    def apply_projection(self, projection_map: dict[str, str] | None) -> Datasource:
        """Returns this source with fewer columns. Requires: `supports_projection_pushdown()`."""
        raise ValueError(f"{self.get_name()} does not support projection pushdown")


class Reader:
    """The older half of a source: makes the read tasks."""

    def estimate_inmemory_data_size(self) -> int | None:
        """Returns the bytes of all rows in memory, None if unknown."""
        raise NotImplementedError

    def get_read_tasks(self, parallelism: int) -> list[ReadTask]:
        """Returns about `parallelism` pieces to read."""
        raise NotImplementedError


class _TaskReader(Reader):
    """Serves `prepare_read` of the oldest sources."""

    def __init__(self, datasource: Datasource, **read_args: Any) -> None:
        self._datasource = datasource
        self._read_args = read_args

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int) -> list[ReadTask]:
        return self._datasource.prepare_read(parallelism, **self._read_args)


class RandomIntRowDatasource(Datasource):
    """Rows of random 64-bit numbers in the columns c_0, c_1, ...; for benchmarks and tests."""

    def __init__(self, n: int, num_columns: int) -> None:
        self._n = n
        self._num_columns = num_columns

    def estimate_inmemory_data_size(self) -> int | None:
        return self._n * self._num_columns * 8

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        columns = self._num_columns
        rows_each = max(1, -(-self._n // max(1, parallelism)))
        schema = pa.schema([(f"c_{i}", pa.int64()) for i in range(columns)])

        def make(count: int, seed: int) -> Callable[[], Iterable[Block]]:
            def read() -> Iterable[Block]:
                import numpy as np

                draw = np.random.default_rng(seed)
                limit = np.iinfo(np.int64).max
                data = [draw.integers(limit, size=count) for _ in range(columns)]
                return [pa.Table.from_arrays([pa.array(c) for c in data], schema=schema)]

            return read

        tasks = []
        for start in range(0, self._n, rows_each):
            count = min(rows_each, self._n - start)
            metadata = BlockMetadata(
                num_rows=count, size_bytes=8 * count * columns, exec_stats=None
            )
            tasks.append(ReadTask(make(count, start), metadata, schema, per_task_row_limit))
        return tasks
