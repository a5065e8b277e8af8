"""Sorts of thousands of runs under a budget of a few blocks: they are merged in passes, and the
result is that of a sort in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import headrace
from headrace import _core

_BLOCKS = 2_500
_ROWS = 500_000
_BUDGET = 4 << 20


def _table() -> pa.Table:
    """Rows of about 55 bytes: `k` (each 20 times), `text` (of `k`, some null), `at` (the row)."""
    k = np.random.default_rng(7).integers(0, _ROWS // 20, _ROWS)
    names = pc.binary_join_element_wise("name", pc.cast(pa.array(k % 5_000), pa.string()), "-")
    text = pc.if_else(pa.array(k % 11 == 0), None, names)
    pad = pc.binary_join_element_wise("and so on", pc.cast(pa.array(k), pa.string()), "-")
    return pa.table({"k": k, "text": text, "pad": pad, "at": np.arange(_ROWS)})


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return _table()


def _sorted(table: pa.Table, keys: list[str], descending: list[bool]) -> tuple[pa.Table, float]:
    """Returns the table, sorted from blocks of a few rows, and the spilled share of its bytes."""
    before = _core.store_stats()["spilled_bytes_total"]
    blocks = [
        table.slice(_ROWS * i // _BLOCKS, _ROWS * (i + 1) // _BLOCKS - _ROWS * i // _BLOCKS)
        for i in range(_BLOCKS)
    ]
    options = headrace.DataContext.get_current().execution_options
    options.resource_limits = headrace.ExecutionResources(object_store_memory=_BUDGET)
    dataset = headrace.from_arrow(blocks).sort(keys, descending=descending)
    made = pa.concat_tables(dataset.iter_batches(batch_size=None, batch_format="pyarrow"))
    spilled = _core.store_stats()["spilled_bytes_total"] - before
    return made.combine_chunks(), spilled / table.nbytes


@pytest.mark.parametrize(
    ("keys", "descending"),
    [(["k"], [False]), (["text", "k"], [True, False])],
    ids=["number", "text_and_number"],
)
def test_sort_in_passes(table: pa.Table, keys: list[str], descending: list[bool]) -> None:
    made, spilled = _sorted(table, keys, descending)
    # The row's number last: so that equal keys are in their order, as in a stable sort.
    order = pc.sort_indices(
        table,
        sort_keys=[
            *(
                (key, "descending" if down else "ascending")
                for key, down in zip(keys, descending, strict=True)
            ),
            ("at", "ascending"),
        ],
    )
    assert made.equals(table.take(order).combine_chunks())
    # All of it twice or three times, compressed; a merge of four at a time would write six.
    assert 0.5 < spilled < 3
