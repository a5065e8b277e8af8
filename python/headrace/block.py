"""Blocks: the tables that flow through a pipeline, and how to look at them."""

from __future__ import annotations

import random as _random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "DEFAULT_BATCH_FORMAT",
    "VALID_BATCH_FORMATS",
    "BatchFormat",
    "Block",
    "BlockAccessor",
    "BlockColumnAccessor",
    "BlockExecStats",
    "BlockMetadata",
    "BlockMetadataWithSchema",
    "BlockStats",
    "BlockType",
    "CustomOpStats",
    "DataBatch",
    "Schema",
    "TaskExecWorkerStats",
    "to_stats",
]

#: A block as user code gets and gives it.
Block = Union[pa.Table, "pd.DataFrame"]
#: A batch as user code gets and gives it.
DataBatch = Union[pa.Table, "pd.DataFrame", dict[str, "np.ndarray"]]
#: The schema of a block.
Schema: TypeAlias = type | pa.Schema

DEFAULT_BATCH_FORMAT = "numpy"
VALID_BATCH_FORMATS = ["pandas", "pyarrow", "numpy", "cudf", None]


class BlockType(Enum):
    """What a block is made of."""

    ARROW = "arrow"
    PANDAS = "pandas"


class BatchFormat(str, Enum):
    """What a batch is made of."""

    ARROW = "pyarrow"
    PANDAS = "pandas"
    NUMPY = "numpy"
    CUDF = "cudf"


@dataclass
class CustomOpStats:
    """Base of what an operator of the user reports."""


@dataclass
class TaskExecWorkerStats:
    """What a task cost in its worker."""

    task_wall_time_s: float
    max_uss_bytes: int | None = None
    custom_op_stats: list[CustomOpStats] = field(default_factory=list)


@dataclass
class BlockExecStats:
    """What a block cost: seconds of wall and cpu time."""

    task_idx: int | None = None
    node_id: str = "local"
    start_time_s: float | None = None
    end_time_s: float | None = None
    wall_time_s: float | None = None
    block_transform_time_s: float | None = 0
    input_prep_time_s: float | None = None
    function_body_time_s: float | None = None
    output_build_time_s: float | None = None
    stage_time_s: tuple[float, ...] | None = None
    block_ser_time_s: float | None = None
    cpu_time_s: float | None = None

    @staticmethod
    def builder() -> _BlockExecStatsBuilder:
        """Returns a clock that starts now; its `build()` gives the stats."""
        return _BlockExecStatsBuilder()


class _BlockExecStatsBuilder:
    def __init__(self) -> None:
        import time

        self._start = time.perf_counter()
        self._start_cpu = time.process_time()

    def build(self) -> BlockExecStats:
        import time

        end = time.perf_counter()
        return BlockExecStats(
            start_time_s=self._start,
            end_time_s=end,
            wall_time_s=end - self._start,
            cpu_time_s=time.process_time() - self._start_cpu,
        )


@dataclass
class BlockStats:
    """Rows, bytes and cost of a block; None: unknown."""

    num_rows: int | None
    size_bytes: int | None
    exec_stats: BlockExecStats | None
    task_exec_stats: TaskExecWorkerStats | None = None


@dataclass
class BlockMetadata(BlockStats):
    """What is known of a block beside its rows. None: unknown; `input_files`: where from."""

    input_files: Any = None

    def __post_init__(self) -> None:
        if self.input_files is None:
            self.input_files = []

    def to_stats(self) -> BlockStats:
        return BlockStats(self.num_rows, self.size_bytes, self.exec_stats, self.task_exec_stats)


@dataclass
class BlockMetadataWithSchema(BlockMetadata):
    """Metadata and the schema."""

    schema: Schema | None = None

    @property
    def metadata(self) -> BlockMetadata:
        return BlockMetadata(
            self.num_rows,
            self.size_bytes,
            self.exec_stats,
            self.task_exec_stats,
            self.input_files,
        )

    @staticmethod
    def from_metadata(
        metadata: BlockMetadata, schema: Schema | None = None
    ) -> BlockMetadataWithSchema:
        return BlockMetadataWithSchema(
            metadata.num_rows,
            metadata.size_bytes,
            metadata.exec_stats,
            metadata.task_exec_stats,
            metadata.input_files,
            schema,
        )

    @staticmethod
    def from_block(
        block: Block,
        block_exec_stats: BlockExecStats | None = None,
        task_exec_stats: TaskExecWorkerStats | None = None,
    ) -> BlockMetadataWithSchema:
        accessor = BlockAccessor.for_block(block)
        metadata = accessor.get_metadata(None, block_exec_stats, task_exec_stats)
        return BlockMetadataWithSchema.from_metadata(metadata, accessor.schema())


def to_stats(metas: list[BlockMetadata]) -> list[BlockStats]:
    return [meta.to_stats() for meta in metas]


class BlockAccessor:
    """Looks at a block: rows, sizes, conversions, slices. Tables are never copied to look."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @staticmethod
    def for_block(block: Any) -> BlockAccessor:
        """Returns the accessor of a table, DataFrame, record batch, or IPC bytes.

        Raises TypeError for other things.
        """
        if isinstance(block, BlockAccessor):
            return block
        if isinstance(block, bytes):
            block = pa.ipc.open_stream(block).read_all()
        return BlockAccessor(BlockAccessor.batch_to_arrow_block(block))

    @classmethod
    def batch_to_block(cls, batch: Any, block_type: BlockType | None = None) -> Block:
        """Returns a batch of any format as a block."""
        table = cls.batch_to_arrow_block(batch)
        return cls(table).to_pandas() if block_type is BlockType.PANDAS else table

    @classmethod
    def batch_to_arrow_block(cls, batch: Any) -> pa.Table:
        if isinstance(batch, pa.Table):
            return batch
        from headrace._internal import convert

        return convert.batch_to_table(batch)

    @classmethod
    def batch_to_pandas_block(cls, batch: Any) -> pd.DataFrame:
        return cls(cls.batch_to_arrow_block(batch)).to_pandas()

    @staticmethod
    def builder() -> _BlockBuilder:
        """Returns a builder: `add(row)`, `add_block(block)`, `build()`."""
        return _BlockBuilder()

    # ---- Sizes and schema

    def num_rows(self) -> int:
        return self._table.num_rows

    def size_bytes(self) -> int:
        return self._table.nbytes

    def schema(self) -> pa.Schema:
        return self._table.schema

    def block_type(self) -> BlockType:
        return BlockType.ARROW

    def column_names(self) -> list[str]:
        return self._table.column_names

    def get_metadata(
        self,
        input_files: list[str] | None = None,
        block_exec_stats: BlockExecStats | None = None,
        task_exec_stats: TaskExecWorkerStats | None = None,
    ) -> BlockMetadata:
        return BlockMetadata(
            self.num_rows(), self.size_bytes(), block_exec_stats, task_exec_stats, input_files
        )

    # ---- Conversions

    def iter_rows(self, public_row_format: bool = True) -> Iterator[dict[str, Any]]:
        """Yields rows as dicts of Python scalars, and numpy arrays for tensors."""
        from headrace import _core

        return iter(_core.rows_of(self._table))

    def to_arrow(self) -> pa.Table:
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        return self.to_batch_format("pandas")

    def to_numpy(self, columns: str | list[str] | None = None) -> Any:
        """Returns a dict of arrays, or one array for one column name.

        Raises ValueError for columns that do not exist.
        """
        wanted = [columns] if isinstance(columns, str) else columns
        missing = [name for name in wanted or [] if name not in self._table.column_names]
        if missing:
            raise ValueError(
                f"Cannot find column {missing[0]}, available columns: {self._table.column_names}"
            )
        table = self._table if wanted is None else self._table.select(wanted)
        batch = BlockAccessor(table).to_batch_format("numpy")
        return batch[columns] if isinstance(columns, str) else batch

    def to_block(self) -> Block:
        return self._table

    def to_default(self) -> Block:
        return self._table

    def to_batch_format(self, batch_format: str | None) -> Any:
        """Returns the rows as "numpy", "pandas", "pyarrow" or None (as they are)."""
        from headrace._internal import convert
        from headrace._internal.plan_building import check_batch_format

        return convert.table_to_batch(self._table, check_batch_format(batch_format), True)

    # ---- Rows and columns

    def slice(self, start: int, end: int, copy: bool = False) -> Block:
        """Returns the rows from `start` to `end`, without a copy unless asked."""
        from headrace._internal.table_rows import slice_rows, take_rows

        part = slice_rows(self._table, start, max(0, end - start))
        return take_rows(part, range(part.num_rows)) if copy else part

    def take(self, indices: list[int]) -> Block:
        from headrace._internal.table_rows import take_rows

        return take_rows(self._table, indices)

    def select(self, columns: list[Any]) -> Block:
        """Returns these columns. Raises ValueError for what is no name."""
        if not all(isinstance(name, str) for name in columns):
            raise ValueError(
                "Columns must be a list of column name strings when aggregating on Arrow blocks, "
                f"but got: {columns}."
            )
        return self._table.select(columns)

    def drop(self, columns: list[str]) -> Block:
        return self._table.drop_columns(columns)

    def rename_columns(self, columns_rename: dict[str, str]) -> Block:
        return self._table.rename_columns(
            [columns_rename.get(name, name) for name in self._table.column_names]
        )

    def upsert_column(self, column_name: str, column_data: Any) -> Block:
        """Returns the block with the column replaced or appended."""
        index = self._table.schema.get_field_index(column_name)
        if index < 0:
            return self._table.append_column(column_name, column_data)
        return self._table.set_column(index, column_name, column_data)

    def random_shuffle(self, random_seed: int | None) -> Block:
        order = list(range(self.num_rows()))
        _random.Random(random_seed).shuffle(order)
        return self.take(order)

    def sample(self, n_samples: int, sort_key: Any) -> Block:
        """Returns at most `n_samples` rows of the key's columns, drawn without replacement."""
        rows = _random.sample(range(self.num_rows()), min(n_samples, self.num_rows()))
        names = [name for name, _ in _sort_columns(sort_key)]
        return self._table.select(names).take(pa.array(rows, pa.int64()))

    def sort(self, sort_key: Any) -> Block:
        """Returns the rows in order.

        Args:
            sort_key: a column, several, or an object with `get_columns()` and `get_descending()`.
        """
        order = [
            (name, "descending" if descending else "ascending")
            for name, descending in _sort_columns(sort_key)
        ]
        return self._table.sort_by(order)

    def zip(self, other: Block) -> Block:
        """Returns both blocks' columns side by side; doubled names get "_1", "_2", ...

        Raises ValueError if the numbers of rows differ.
        """
        right = BlockAccessor.for_block(other).to_arrow()
        if right.num_rows != self.num_rows():
            raise ValueError(
                f"Cannot zip a block of {self.num_rows()} rows with one of {right.num_rows} rows"
            )
        result = self._table
        for name in right.column_names:
            free, number = name, 1
            while free in result.column_names:
                free, number = f"{name}_{number}", number + 1
            result = result.append_column(free, right.column(name))
        return result

    # ---- Folds over one column

    def column(self, on: str) -> BlockColumnAccessor:
        """Returns the accessor of a column. Raises ValueError if there is none."""
        if on not in self._table.column_names:
            raise ValueError(
                f"Cannot find column {on!r} in the block: it has {self._table.column_names}"
            )
        return BlockColumnAccessor(self._table.column(on))

    def count(self, on: str | None, ignore_nulls: bool = False) -> int | None:
        if on is None:
            return self.num_rows()
        return self.column(on).count(ignore_nulls=ignore_nulls)

    def sum(self, on: str, ignore_nulls: bool) -> Any:
        return self.column(on).sum(ignore_nulls=ignore_nulls)

    def min(self, on: str, ignore_nulls: bool) -> Any:
        return self.column(on).min(ignore_nulls=ignore_nulls)

    def max(self, on: str, ignore_nulls: bool) -> Any:
        return self.column(on).max(ignore_nulls=ignore_nulls)

    def mean(self, on: str, ignore_nulls: bool) -> Any:
        return self.column(on).mean(ignore_nulls=ignore_nulls)

    def sum_of_squared_diffs_from_mean(self, on: str, ignore_nulls: bool, mean: Any = None) -> Any:
        return self.column(on).sum_of_squared_diffs_from_mean(ignore_nulls=ignore_nulls, mean=mean)


class BlockColumnAccessor:
    """Folds over one column. With `ignore_nulls` false, one null makes the result null."""

    def __init__(self, col: pa.ChunkedArray) -> None:
        self._column = col

    @staticmethod
    def for_column(col: Any) -> BlockColumnAccessor:
        """Returns the accessor of an Arrow array or a pandas Series."""
        if isinstance(col, pa.Array):
            col = pa.chunked_array([col])
        elif not isinstance(col, pa.ChunkedArray):
            col = pa.chunked_array([pa.array(col)])
        return BlockColumnAccessor(col)

    def _fold(self, function: str, ignore_nulls: bool, as_py: bool, **options: Any) -> Any:
        import pyarrow.compute as pc

        result = getattr(pc, function)(self._column, skip_nulls=ignore_nulls, **options)
        return result.as_py() if as_py else result

    def count(self, *, ignore_nulls: bool, as_py: bool = True) -> int | None:
        import pyarrow.compute as pc

        result = pc.count(self._column, mode="only_valid" if ignore_nulls else "all")
        return result.as_py() if as_py else result

    def sum(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        return self._fold("sum", ignore_nulls, as_py)

    def min(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        return self._fold("min", ignore_nulls, as_py)

    def max(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        return self._fold("max", ignore_nulls, as_py)

    def mean(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        return self._fold("mean", ignore_nulls, as_py)

    def quantile(self, *, q: float, ignore_nulls: bool, as_py: bool = True) -> Any:
        import pyarrow.compute as pc

        result = pc.quantile(self._column, q=q, skip_nulls=ignore_nulls)
        return result[0].as_py() if as_py else result[0]

    def sum_of_squared_diffs_from_mean(
        self, *, ignore_nulls: bool, mean: Any = None, as_py: bool = True
    ) -> Any:
        import pyarrow.compute as pc

        if mean is None:
            mean = self.mean(ignore_nulls=ignore_nulls)
        if mean is None:
            return None
        differences = pc.subtract(pc.cast(self._column, pa.float64()), float(mean))
        result = pc.sum(pc.multiply(differences, differences), skip_nulls=ignore_nulls)
        return result.as_py() if as_py else result

    def unique(self) -> pa.Array:
        return self._column.unique()

    def value_counts(self) -> dict[str, list[Any]] | None:
        """Returns {"values": [...], "counts": [...]}; None for no rows."""
        counts = self._column.value_counts()
        if len(counts) == 0:
            return None
        return {
            "values": counts.field("values").to_pylist(),
            "counts": counts.field("counts").to_pylist(),
        }

    def is_composed_of_lists(self) -> bool:
        types = pa.types
        dtype = self._column.type
        return types.is_list(dtype) or types.is_large_list(dtype) or types.is_fixed_size_list(dtype)

    def flatten(self) -> pa.ChunkedArray:
        import pyarrow.compute as pc

        return pc.list_flatten(self._column)

    def dropna(self) -> pa.ChunkedArray:
        return self._column.drop_null()

    def hash(self) -> pa.Array:
        """Returns a 64-bit hash of each value, the same in every process."""
        import hashlib
        import pickle

        def digest(value: Any) -> int:
            data = hashlib.blake2b(pickle.dumps(value, protocol=4), digest_size=8).digest()
            return int.from_bytes(data, "little", signed=True)

        return pa.array([digest(value) for value in self._column.to_pylist()], pa.int64())

    def to_pylist(self) -> list[Any]:
        return self._column.to_pylist()

    def to_numpy(self, zero_copy_only: bool = False) -> np.ndarray:
        return self._column.to_numpy(zero_copy_only=zero_copy_only)


class _BlockBuilder:
    """Collects rows and blocks into one block."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(dict(row))

    def add_block(self, block: Block) -> None:
        self._close_rows()
        self._tables.append(BlockAccessor.for_block(block).to_arrow())

    def add_batch(self, batch: DataBatch) -> None:
        self._close_rows()
        self._tables.append(BlockAccessor.batch_to_arrow_block(batch))

    def num_rows(self) -> int:
        return len(self._rows) + sum(table.num_rows for table in self._tables)

    def get_estimated_memory_usage(self) -> int:
        return sum(table.nbytes for table in self._tables)

    def build(self) -> Block:
        self._close_rows()
        if not self._tables:
            return pa.table({})
        from headrace._internal import convert

        return convert.concat_tables(self._tables)

    def _close_rows(self) -> None:
        if self._rows:
            from headrace._internal import convert

            self._tables.append(convert.rows_to_table(self._rows))
            self._rows = []


def iter_tables(blocks: Iterable[Any]) -> Iterator[pa.Table]:
    """Yields blocks of any kind as tables."""
    for block in blocks:
        yield BlockAccessor.for_block(block).to_arrow()


def _sort_columns(sort_key: Any) -> list[tuple[str, bool]]:
    """The columns of a key, and whether each goes down."""
    if isinstance(sort_key, str):
        return [(sort_key, False)]
    if hasattr(sort_key, "get_columns"):
        return list(zip(sort_key.get_columns(), sort_key.get_descending(), strict=True))
    return [(name, False) for name in sort_key]
