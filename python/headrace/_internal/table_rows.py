"""Some of a table's rows. Arrow's own slices, takes and joins lose count where a table has rows but
no columns: a slice is as long as asked, whatever there is, and the others are empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

_PLAIN_TYPES = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def slice_rows(table: pa.Table, begin: int, rows: int | None = None) -> pa.Table:
    """Returns at most `rows` rows from row `begin` on, without a copy; None: all that are left."""
    left = max(0, table.num_rows - begin)
    return table.slice(begin, left if rows is None else max(0, min(rows, left)))


def take_rows(table: pa.Table, indices: Sequence[int] | np.ndarray) -> pa.Table:
    """Returns these rows, in this order."""
    if not table.num_columns or not len(indices):
        return table.slice(0, len(indices))
    try:
        return table.take(pa.array(indices, pa.int64()))
    except pa.ArrowNotImplementedError:  # For views of strings.
        return pa.concat_tables([table.slice(index, 1) for index in indices])


def copy_row(table: pa.Table, index: int) -> pa.Table:
    """Returns one row in memory of its own, so that the table can go."""
    row = table.slice(index, 1)
    for i, field in enumerate(table.schema):
        # A view would have the texts of all rows with it.
        if plain := _PLAIN_TYPES.get(field.type):
            row = row.set_column(i, field.with_type(plain), row.column(i).cast(plain))
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, row.schema) as writer:
        writer.write_table(row)
    return pa.ipc.open_stream(stream.getvalue()).read_all()
