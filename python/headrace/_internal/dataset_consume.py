"""The verbs of a dataset that run it: rows, batches, tables, counts, folds.

Verbs that return all rows return them in order of the source; verbs that stream yield them as they
come, unless `ExecutionOptions.preserve_order` is set.

Rows are dicts of Python scalars, and numpy arrays for tensors; see `block.py` for batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from headrace import _core
from headrace._internal.plan_building import check_batch_format
from headrace._internal.refs import ObjectRef
from headrace._internal.run import TAKES_ALL, run_blocks
from headrace._internal.stats import RunStats

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from headrace._internal.summary import Aggregations, DatasetSummary
    from headrace.aggregate import AggregateFn
    from headrace.context import DataContext
    from headrace.dataset import MaterializedDataset, Schema
    from headrace.datatype import DataType
    from headrace.iterator import DataIterator


class ConsumeMixin:
    """The running half of `Dataset`."""

    _plan: _core.Plan
    _context: DataContext
    _name: str | None
    _stats: RunStats | None

    def schema(self, fetch_if_missing: bool = True) -> Schema | None:
        raise NotImplementedError

    # ---- Running

    def _blocks(
        self, plan: _core.Plan | None = None, prefetch: int = TAKES_ALL, cancelled: Any = None
    ) -> Iterator[_core.BlockRef]:
        """Runs this dataset, or `plan` in its name, and yields references to blocks."""
        return run_blocks(
            plan or self._plan,
            self._context,
            title=self._name or "",
            prefetch=prefetch,
            on_stats=self._keep_stats,
            cancelled=cancelled,
        )

    def _tables(
        self, plan: _core.Plan | None = None, prefetch: int = TAKES_ALL, cancelled: Any = None
    ) -> Iterator[pa.Table]:
        for block in self._blocks(plan, prefetch, cancelled):
            yield block.get()

    def _collected(self, plan: _core.Plan | None = None) -> list[_core.BlockRef]:
        """Runs and returns all blocks in order of the source: who waits for all of them gets
        them in order at no cost."""
        plan = plan or self._plan
        blocks = list(self._blocks(plan))
        if plan.kind != "input_data":
            blocks.sort(key=lambda block: block.position)
        return blocks

    def _keep_stats(self, stats: RunStats) -> None:
        self._stats = stats

    # ---- Rows

    def take(self, limit: int = 20) -> list[dict[str, Any]]:
        """Returns the first `limit` rows."""
        if limit <= 0:
            return []
        rows: list[dict[str, Any]] = []
        for block in self._collected(self._plan.limit(limit)):
            rows.extend(_core.rows_of(block.get()))
        return rows

    def take_all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Returns all rows. ValueError if there are more than `limit`."""
        rows: list[dict[str, Any]] = []
        plan = self._plan if limit is None else self._plan.limit(limit + 1)
        for block in self._collected(plan):
            rows.extend(_core.rows_of(block.get()))
        if limit is not None and len(rows) > limit:
            raise ValueError(f"The dataset has more than the given limit of {limit} records.")
        return rows

    def take_batch(self, batch_size: int = 20, *, batch_format: str | None = "default") -> Any:
        """Returns the first `batch_size` rows as one batch. ValueError if there is none."""
        chosen = check_batch_format(batch_format)
        blocks = self._collected(self._plan.limit(batch_size))
        tables = [block.get() for block in blocks if block.num_rows]
        if not tables:
            raise ValueError("The dataset is empty.")
        from headrace._internal import convert

        return convert.table_to_batch(convert.concat_tables(tables), chosen)

    def show(self, limit: int = 20) -> None:
        """Prints the first `limit` rows."""
        for row in self.take(limit):
            print(row)

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """Yields rows."""
        return self.iterator().iter_rows().__iter__()

    # ---- Batches

    def iterator(self) -> DataIterator:
        """Returns an iterator that can be used again and again; each use runs the dataset."""
        from headrace.iterator import DatasetDataIterator

        return DatasetDataIterator(self)  # type: ignore[arg-type]

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: str | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        _collate_fn: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Returns an iterable of batches; see `DataIterator.iter_batches`."""
        return self.iterator()._iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            batch_format=batch_format,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            finish=_collate_fn,
        )

    def iter_torch_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        device: Any = "auto",
        collate_fn: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        pin_memory: bool = False,
    ) -> Any:
        """Returns an iterable of batches of torch tensors; see `DataIterator`."""
        return self.iterator().iter_torch_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            dtypes=dtypes,
            device=device,
            collate_fn=collate_fn,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            pin_memory=pin_memory,
        )

    def iter_internal_ref_bundles(self) -> Iterator[RefBundle]:
        """Yields the blocks as they come, one a bundle, in the store."""
        for block in self._blocks():
            yield RefBundle(block)

    def get_internal_block_refs(self) -> list[ObjectRef[pa.Table]]:
        """Returns references to all blocks."""
        return [ObjectRef(block) for block in self._collected()]

    # ---- Whole tables

    def materialize(self) -> MaterializedDataset:
        """Runs the dataset and keeps its blocks in the object store, which may spill them."""
        from headrace.dataset import MaterializedDataset

        plan = _core.Plan.input_data(self._collected())
        result = MaterializedDataset(plan, self._context.copy(), self._name)
        result._stats = self._stats
        return result

    def to_pandas(self, limit: int | None = None) -> pd.DataFrame:
        """Returns all rows as one DataFrame. ValueError if there are more than `limit`."""
        from headrace._internal import convert

        if limit is not None:
            count = self.count()
            if count > limit:
                raise ValueError(
                    f"the dataset has more than the given limit of {limit} rows: {count}. If you "
                    f"are sure that a DataFrame with {count} rows will fit in local memory, set "
                    "ds.to_pandas(limit=None) to disable limits."
                )
        return convert.table_to_batch(self._to_table(), "pandas", False)

    def _to_table(self) -> pa.Table:
        from headrace._internal import convert

        tables = [block.get() for block in self._collected()]
        filled = [table for table in tables if table.num_rows] or tables[:1]
        return convert.concat_tables(filled) if filled else pa.table({})

    def to_arrow_refs(self) -> list[ObjectRef[pa.Table]]:
        """Returns references to the blocks; `headrace.get(refs)` gives the tables."""
        return self.get_internal_block_refs()

    def to_pandas_refs(self) -> list[ObjectRef[pd.DataFrame]]:
        """Returns references to DataFrames, one a block."""
        from headrace._internal import convert

        return [
            ObjectRef(block, convert=lambda table: convert.table_to_batch(table, "pandas", False))
            for block in self._collected()
        ]

    def to_numpy_refs(self, *, column: str | None = None) -> list[ObjectRef[np.ndarray]]:
        """Returns references to dicts of arrays, or to arrays of one `column`, one a block."""
        from headrace.block import BlockAccessor

        return [
            ObjectRef(block, convert=lambda table: BlockAccessor(table).to_numpy(column))
            for block in self._collected()
        ]

    def to_daft(self) -> Any:
        """Returns all rows as a Daft DataFrame."""
        import daft

        return daft.from_arrow(self._to_table())

    # ---- Numbers

    def count(self) -> int:
        """Returns the number of rows: from metadata where it is known, else by running without
        the columns."""
        known = self._plan.infer_row_count()
        # A task that may fail would take its rows with it.
        if known is not None and self._context.max_errored_blocks == 0:
            return known
        return sum(block.num_rows for block in self._blocks(self._without_columns()))

    def _without_columns(self) -> _core.Plan:
        plan = self._plan
        while plan.kind == "limit" and plan.inputs:
            plan = plan.inputs[0]
        if plan.kind in ("map", "input_data", "write"):
            return self._plan
        return self._plan.project(keep_rest=False, exprs=[])

    def size_bytes(self) -> int:
        """Returns the bytes of all blocks in memory, or an estimate from the source's files."""
        blocks = self._plan.blocks() if self._plan.kind == "input_data" else None
        if blocks is None and self._plan.kind == "read":
            estimate = getattr(self._plan.source(), "num_bytes", -1)
            if estimate >= 0:
                return int(estimate)
        found = self._blocks() if blocks is None else iter(blocks)
        return sum(block.num_bytes for block in found)

    def input_files(self) -> list[str]:
        """Returns the files that are read, in order, each once."""
        files: dict[str, None] = {}
        pending = [self._plan]
        while pending:
            plan = pending.pop()
            source = plan.source() if plan.kind == "read" else None
            if source is not None:
                files.update(dict.fromkeys(source.paths))
            for block in (plan.blocks() or []) if plan.kind == "input_data" else []:
                files.update(dict.fromkeys(block.input_files))
            pending.extend(plan.inputs)
        return [path for path in files if path]

    # ---- Folds

    def aggregate(self, *aggs: AggregateFn) -> Any:
        """Folds all rows by each of `aggs`; returns a dict of their names and results."""
        from headrace._internal.folds import fold

        if not aggs:
            raise ValueError("aggregate() needs at least one aggregation")
        return fold(self, aggs)

    def summary(
        self,
        columns: list[str] | None = None,
        override_dtype_agg_mapping: dict[DataType, Aggregations] | None = None,
    ) -> DatasetSummary:
        """Runs the dataset and returns statistics of its columns.

        Args:
            columns: default: all whose types have statistics. ValueError for one that is not there.
            override_dtype_agg_mapping: for columns of a type, a function from the column's name to
                its aggregations.
        """
        from headrace._internal.summary import summarize

        return summarize(self, columns, override_dtype_agg_mapping)

    def _fold_columns(self, make: Any, on: str | list[str] | None, **kwargs: Any) -> Any:
        from headrace._internal.folds import fold

        if on is None:
            known = self.schema()
            if known is None:
                return None
            columns = known.names
        else:
            columns = [on] if isinstance(on, str) else list(on)
        if not columns:
            raise ValueError("At least 1 column to aggregate on has to be provided")
        result = fold(self, [make(name, **kwargs) for name in columns])
        if result is None or len(result) > 1:
            return result
        return next(iter(result.values()))

    def sum(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """Returns the sum of a column, or a dict for several; None without rows.

        Args:
            on: a column, or several; default: all.
            ignore_nulls: False: a null makes the result None.
        """
        from headrace.aggregate import Sum

        return self._fold_columns(Sum, on, ignore_nulls=ignore_nulls)

    def min(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """Returns the least value; arguments as of `sum`."""
        from headrace.aggregate import Min

        return self._fold_columns(Min, on, ignore_nulls=ignore_nulls)

    def max(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """Returns the greatest value; arguments as of `sum`."""
        from headrace.aggregate import Max

        return self._fold_columns(Max, on, ignore_nulls=ignore_nulls)

    def mean(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """Returns the mean; arguments as of `sum`."""
        from headrace.aggregate import Mean

        return self._fold_columns(Mean, on, ignore_nulls=ignore_nulls)

    def std(
        self, on: str | list[str] | None = None, ddof: int = 1, ignore_nulls: bool = True
    ) -> Any:
        """Returns the standard deviation with `ddof` lost degrees of freedom; nan where there are
        no more rows than those."""
        from headrace.aggregate import Std

        return self._fold_columns(Std, on, ddof=ddof, ignore_nulls=ignore_nulls)

    def unique(self, column: str, ignore_nulls: bool = False) -> list[Any]:
        """Returns the different values of a column, in no order that is promised."""
        from headrace.aggregate import Unique

        result = self.aggregate(Unique(column, ignore_nulls=ignore_nulls))
        return next(iter(result.values())) or []


class BlockEntry(NamedTuple):
    """A reference to a block, and what is known of it."""

    ref: ObjectRef[pa.Table]
    metadata: Any


class RefBundle:
    """A block that travels as a reference: `block_refs`, `metadata`, `schema`."""

    def __init__(self, block: _core.BlockRef) -> None:
        self._block = block

    @property
    def block_refs(self) -> list[ObjectRef[pa.Table]]:
        return [ObjectRef(self._block)]

    @property
    def metadata(self) -> list[Any]:
        from headrace.block import BlockMetadata

        block = self._block
        return [BlockMetadata(block.num_rows, block.num_bytes, None, None, block.input_files)]

    @property
    def blocks(self) -> tuple[BlockEntry, ...]:
        return tuple(map(BlockEntry, self.block_refs, self.metadata))

    @property
    def schema(self) -> pa.Schema:
        return self._block.schema

    @property
    def position(self) -> tuple[int, ...]:
        """Where the block comes from: equal in every run of the same plan."""
        return self._block.position

    def num_rows(self) -> int:
        return self._block.num_rows

    def size_bytes(self) -> int:
        return self._block.num_bytes

    def __len__(self) -> int:
        return 1
