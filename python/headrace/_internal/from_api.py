"""Making datasets of objects in memory."""

from __future__ import annotations

import builtins
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.lineage import recorded
from headrace._internal.read_files import BlockArguments, read_source
from headrace._internal.refs import to_value
from headrace._internal.sources import asked_blocks, asked_or_none
from headrace._internal.table_rows import slice_rows
from headrace.block import BlockAccessor
from headrace.context import DataContext
from headrace.dataset import Dataset, MaterializedDataset

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_MAX_ITEM_BLOCKS = 200


@recorded
def range(
    n: int,
    *,
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """Makes the numbers 0 to n-1 in the column "id" (int64)."""
    return _range(n, (), BlockArguments(parallelism, override_num_blocks, concurrency))


@recorded
def range_tensor(
    n: int,
    *,
    shape: tuple[int, ...] = (1,),
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """Makes n tensors of `shape`, each filled with its row's number, in the column "data"."""
    return _range(n, tuple(shape), BlockArguments(parallelism, override_num_blocks, concurrency))


def _range(n: int, shape: tuple[int, ...], blocks: BlockArguments) -> Dataset:
    units = asked_blocks(blocks.parallelism, blocks.override_num_blocks)
    return read_source(_core.range_source(max(0, math.ceil(n)), shape, units), blocks)


@recorded
def from_items(
    items: list[Any], *, parallelism: int = -1, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Makes a row of each item: dicts are rows; others become the column "item".

    Args:
        override_num_blocks: the number of blocks; default: one for each item, 200 at most.
    """
    from headrace._internal import convert

    items = list(items)
    asked = asked_blocks(parallelism, override_num_blocks)
    count = min(len(items), _MAX_ITEM_BLOCKS if asked <= 0 else asked)
    rows = [item if isinstance(item, dict) else {"item": item} for item in items]
    blocks = [convert.rows_to_table(rows[begin:end]) for begin, end in _even_cuts(len(rows), count)]
    return _from_tables(blocks, "FromItems")


@recorded
def from_pandas(
    dfs: pd.DataFrame | list[pd.DataFrame], override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Makes a dataset of DataFrames, a block each; an index is dropped.

    Raises ValueError for column names that are not strings.
    """
    from headrace._internal import convert, frames

    given = [dfs] if not isinstance(dfs, (list, tuple)) else list(dfs)
    for frame in given:
        if not hasattr(frame, "dtypes"):
            raise TypeError(f"from_pandas() needs DataFrames, got: {type(frame).__name__}")
    tables = [frames.remember_types(convert.batch_to_table(frame), frame) for frame in given]
    return _from_tables(_recut(tables, override_num_blocks), "FromPandas")


@recorded
def from_arrow(
    tables: pa.Table | bytes | list[pa.Table | bytes], *, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Makes a dataset of Arrow tables, or of bytes in the IPC stream format, a block each.

    Anything with `__arrow_c_stream__` is taken, too.
    """
    given = [tables] if not isinstance(tables, (list, tuple)) else list(tables)
    read = [_to_table(table) for table in given]
    return _from_tables(_recut(read, override_num_blocks), "FromArrow")


@recorded
def from_numpy(ndarrays: np.ndarray | list[np.ndarray]) -> MaterializedDataset:
    """Makes a dataset of arrays, a block each: a row per element of the first axis, column
    "data"."""
    arrays = ndarrays if isinstance(ndarrays, (list, tuple)) else [ndarrays]
    tables = [BlockAccessor.batch_to_arrow_block({"data": array}) for array in arrays]
    return _from_tables(tables, "FromNumpy")


@recorded
def from_blocks(blocks: list[Any]) -> MaterializedDataset:
    """Makes a dataset of tables and DataFrames, a block each."""
    tables = [BlockAccessor.for_block(block).to_arrow() for block in blocks]
    return _from_tables(tables, "FromBlocks")


@recorded
def from_pandas_refs(dfs: Any) -> MaterializedDataset:
    """Like `from_pandas`, of references to DataFrames."""
    return from_pandas([to_value(ref) for ref in _as_list(dfs)])


@recorded
def from_arrow_refs(tables: Any) -> MaterializedDataset:
    """Like `from_arrow`, of references to tables; blocks of the store are shared, not copied."""
    refs = _as_list(tables)
    if all(getattr(ref, "block", None) is not None for ref in refs):
        return _from_blocks([ref.block for ref in refs], "FromArrow")
    return from_arrow([to_value(ref) for ref in refs])


@recorded
def from_numpy_refs(ndarrays: Any) -> MaterializedDataset:
    """Like `from_numpy`, of references to arrays."""
    return from_numpy([to_value(ref) for ref in _as_list(ndarrays)])


@recorded
def from_huggingface(
    dataset: Any,
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """Makes a dataset of a Hugging Face `datasets.Dataset`, whose Arrow table is shared.

    Raises TypeError for other things (a DatasetDict: choose a split).
    """
    data = getattr(dataset, "data", None)
    table = getattr(data, "table", None)
    if not isinstance(table, pa.Table):
        raise TypeError(
            "`dataset` must be a `datasets.Dataset`, but got "
            f"{type(dataset).__name__}. To use one split of a DatasetDict, pass dataset['train']."
        )
    if getattr(dataset, "_indices", None) is not None:
        table = dataset.with_format("arrow")[:]
    plain = pa.table(dict(zip(table.column_names, table.columns, strict=True)))
    return from_arrow(plain, override_num_blocks=asked_or_none(parallelism, override_num_blocks))


@recorded
def from_tf(dataset: Any) -> MaterializedDataset:
    """Makes a dataset of a `tf.data.Dataset`, which is read now: its elements, as numpy gives them,
    in the column "item", or dicts as rows."""
    return from_items(list(dataset.as_numpy_iterator()))


@recorded
def from_daft(df: Any) -> Dataset:
    """Makes a dataset of a Daft DataFrame, which is computed now."""
    return from_arrow(df.to_arrow())


def _from_tables(tables: Iterable[pa.Table], name: str) -> MaterializedDataset:
    return _from_blocks([_core.put(table) for table in tables], name)


def _from_blocks(blocks: list[_core.BlockRef], name: str) -> MaterializedDataset:
    plan = _core.Plan.input_data(blocks, name)
    return MaterializedDataset(plan, DataContext.get_current().copy())


def _even_cuts(total: int, count: int) -> Iterable[tuple[int, int]]:
    return ((i * total // count, (i + 1) * total // count) for i in builtins.range(max(0, count)))


def _recut(tables: list[pa.Table], count: int | None) -> list[pa.Table]:
    """Returns the rows of the tables in `count` tables, without copying; None: as they are."""
    if count is None:
        return tables
    from headrace._internal import convert

    whole = convert.concat_tables(tables)
    count = max(1, min(count, whole.num_rows))
    return [
        slice_rows(whole, begin, end - begin) for begin, end in _even_cuts(whole.num_rows, count)
    ]


def _to_table(table: Any) -> pa.Table:
    if isinstance(table, str):
        raise TypeError("from_arrow() needs tables, not text")
    if hasattr(table, "__arrow_c_stream__") and not isinstance(table, pa.Table):
        return pa.table(table)
    return BlockAccessor.for_block(table).to_arrow()


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
