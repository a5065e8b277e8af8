"""Exchanges of ten times a budget of 4 MiB: what they hold goes to disk, and no row is lost."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import headrace
from headrace import Dataset
from headrace.aggregate import Count, Sum

_ROWS = 800_000
_FILES = 8
_BUDGET = 4 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Rows of about 50 bytes: `id`, `k` (the ids in no order), `g` (each four times), `text`."""
    path = tmp_path_factory.mktemp("rows")
    order = np.random.default_rng(5).permutation(_ROWS)
    for part, ids in enumerate(np.array_split(np.arange(_ROWS), _FILES)):
        k = pa.array(order[ids])
        text = pc.binary_join_element_wise("text", pc.cast(k, pa.string()), "and more", "-")
        rows = {"id": ids, "k": k, "g": pc.cast(pc.divide(k, 4), pa.int64()), "text": text}
        pq.write_table(pa.table(rows), path / f"{part}.parquet", row_group_size=20_000)
    return path


def _ids(ds: Dataset) -> np.ndarray:
    return np.concatenate([b["id"] for b in ds.iter_batches(batch_size=None)])


def _sort(ds: Dataset) -> Dataset:
    made = ds.sort("k")
    k = np.concatenate([batch["k"] for batch in made.iter_batches(batch_size=None)])
    assert np.array_equal(k, np.arange(_ROWS))
    return made


def _sort_texts(ds: Dataset) -> Dataset:
    made = ds.sort("text", descending=True)
    last = None
    for batch in made.iter_batches(batch_size=None, batch_format="pyarrow"):
        texts = batch.column("text").combine_chunks()
        assert last is None or last >= texts[0].as_py()
        assert pc.all(pc.greater_equal(texts[:-1], texts[1:])).as_py() is not False
        last = texts[-1].as_py()
    assert made.count() == _ROWS
    return made


def _shuffle(ds: Dataset) -> Dataset:
    made = ds.random_shuffle(seed=1)
    ids = _ids(made)
    assert not np.array_equal(ids, np.arange(_ROWS))
    assert np.array_equal(np.sort(ids), np.arange(_ROWS))
    return made


def _group(ds: Dataset) -> Dataset:
    made = ds.groupby("g").aggregate(Count(alias_name="n"), Sum("k", alias_name="k"))
    rows = 0
    for batch in made.iter_batches(batch_size=None):
        assert (batch["n"] == 4).all()
        assert (batch["k"] == 16 * batch["g"] + 6).all()
        rows += len(batch["g"])
    assert rows == _ROWS // 4
    return made


def _join(ds: Dataset) -> Dataset:
    other = ds.select_columns(["k", "g"]).rename_columns({"k": "id", "g": "other"})
    made = ds.join(other, "inner", 0, ("id",))
    rows = 0
    for batch in made.iter_batches(batch_size=None):
        assert (batch["id"] // 4 == batch["other"]).all()
        rows += len(batch["id"])
    assert rows == _ROWS
    return made


@pytest.mark.parametrize("run", [_sort, _sort_texts, _shuffle, _group, _join])
def test_ten_times_the_budget(folder: pathlib.Path, run: Callable[[Dataset], Dataset]) -> None:
    options = headrace.DataContext.get_current().execution_options
    options.resource_limits = headrace.ExecutionResources(object_store_memory=_BUDGET)
    made = run(headrace.read_parquet(str(folder)))
    assert "spilled" in made.stats(), made.stats()
