"""Some of a table's rows. Arrow's own slices, takes and joins lose count where a table has rows but
no columns: a slice is as long as asked, whatever there is, and the others are empty."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def slice_rows(table: pa.Table, begin: int, rows: int | None = None) -> pa.Table:
    """Returns at most `rows` rows from row `begin` on, without a copy; None: all that are left."""
    left = max(0, table.num_rows - begin)
    return table.slice(begin, left if rows is None else max(0, min(rows, left)))


def take_rows(table: pa.Table, indices: Sequence[int]) -> pa.Table:
    """Returns these rows, in this order, as a copy."""
    if not table.num_columns:
        return table.slice(0, len(indices))
    return table.take(pa.array(indices, pa.int64()))
