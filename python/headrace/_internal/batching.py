"""From blocks to batches of an exact size: slices without a copy where a batch lies in one block.

Numpy batches are cut from windows: some batches' worth of rows is converted at once, and each
batch is a view of the arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from headrace._internal import convert
from headrace._internal.table_rows import slice_rows, take_rows

_WINDOW_ROWS = 1 << 16
_SHUFFLE_COMPACTION = 1.5


def batches(
    tables: Iterable[pa.Table],
    batch_size: int | None,
    batch_format: str,
    drop_last: bool = False,
) -> Iterator[Any]:
    """Yields batches of `batch_size` rows in `batch_format`; the last may be smaller.

    Args:
        batch_size: None: one batch a block.
        drop_last: leave out the last batch if it is smaller.
    """
    if batch_size is None:
        for table in tables:
            if table.num_rows:
                yield convert.table_to_batch(table, batch_format)
        return
    for table in exact_tables(tables, _window_rows(batch_size, batch_format), batch_size):
        if table.num_rows < batch_size and drop_last:
            return
        yield from _cut(table, batch_size, batch_format, drop_last)


def _window_rows(batch_size: int, batch_format: str) -> int:
    """Returns how many rows to convert at once: whole batches."""
    if batch_format != "numpy":
        return batch_size
    return max(1, _WINDOW_ROWS // batch_size) * batch_size


def _cut(table: pa.Table, batch_size: int, batch_format: str, drop_last: bool) -> Iterator[Any]:
    whole = convert.table_to_batch(table, batch_format)
    rows = table.num_rows
    if rows <= batch_size:
        yield whole
        return
    for begin in range(0, rows, batch_size):
        end = begin + batch_size
        if end > rows and drop_last:
            return
        yield {name: values[begin:end] for name, values in whole.items()}


def exact_tables(
    tables: Iterable[pa.Table], window_rows: int, batch_size: int
) -> Iterator[pa.Table]:
    """Yields the rows in tables whose rows are multiples of `batch_size`, but for the last one.

    A table has at most `window_rows` rows, and holds parts of more than one block only for one
    batch, so that no more than that is copied to join them.
    """
    rest: list[pa.Table] = []
    rest_rows = 0
    for table in tables:
        begin = 0
        if rest_rows:
            begin = min(batch_size - rest_rows, table.num_rows)
            rest.append(slice_rows(table, 0, begin))
            rest_rows += begin
            if rest_rows < batch_size:
                continue
            yield convert.concat_tables(rest)
            rest, rest_rows = [], 0
        whole_end = begin + (table.num_rows - begin) // batch_size * batch_size
        while begin < whole_end:
            end = min(begin + window_rows, whole_end)
            yield slice_rows(table, begin, end - begin)
            begin = end
        if begin < table.num_rows:
            rest, rest_rows = [slice_rows(table, begin)], table.num_rows - begin
    if rest_rows:
        yield convert.concat_tables(rest)


def shuffled_tables(
    tables: Iterable[pa.Table], batch_size: int, buffer_rows: int, seed: int | None
) -> Iterator[pa.Table]:
    """Yields tables of `batch_size` rows drawn at random from a buffer of at least `buffer_rows`
    rows; the last may be smaller. Equal seeds and rows give equal batches.
    """
    import numpy as np

    draw = np.random.default_rng(seed)
    buffer: pa.Table | None = None  # In random order; drawn from the front.
    taken = 0
    added: list[pa.Table] = []
    added_rows = 0
    least = max(buffer_rows, batch_size)

    def left() -> int:
        return (buffer.num_rows - taken if buffer is not None else 0) + added_rows

    def mix() -> pa.Table:
        parts = list(added) if buffer is None else [slice_rows(buffer, taken), *added]
        whole = convert.concat_tables(parts)
        return take_rows(whole, draw.permutation(whole.num_rows))

    for table in tables:
        if not table.num_rows:
            continue
        added.append(table)
        added_rows += table.num_rows
        if left() < int(least * _SHUFFLE_COMPACTION):
            continue
        buffer, taken, added, added_rows = mix(), 0, [], 0
        while left() - batch_size >= least or left() >= int(least * _SHUFFLE_COMPACTION):
            yield slice_rows(buffer, taken, batch_size)
            taken += batch_size
    if added_rows:
        buffer, taken = mix(), 0
    while buffer is not None and taken < buffer.num_rows:
        yield slice_rows(buffer, taken, batch_size)
        taken += batch_size
