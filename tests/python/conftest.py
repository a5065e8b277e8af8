"""Shared fixtures of the Python tests."""

from __future__ import annotations

import gc
import os
import pathlib
import tempfile
from collections.abc import Iterator

import pytest
from leftovers import descendants, mapped_segments, wait_until

headrace = pytest.importorskip("headrace")


@pytest.fixture(scope="session", autouse=True)
def engine() -> Iterator[None]:
    """Ends the engine after the last test; no worker process may be left."""
    yield
    from headrace import _core

    pids = _core.worker_pids()
    headrace.shutdown()
    left = [pid for pid in pids if pathlib.Path(f"/proc/{pid}").exists()]
    assert left == []


@pytest.fixture
def table_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with three Parquet files of ten rows: i = 0 to 29, s = str(i), k = i % 3."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for part in range(3):
        rows = range(10 * part, 10 * part + 10)
        table = pa.table({"i": list(rows), "s": [str(i) for i in rows], "k": [i % 3 for i in rows]})
        pq.write_table(table, tmp_path / f"part-{part}.parquet", row_group_size=4)
    return tmp_path


# ---- What a failed run may leave ---------------------------------------------------------------


@pytest.fixture
def nothing_left(tmp_path: pathlib.Path) -> Iterator[None]:
    """After the test: no block, process, segment or temporary file more, and a pipeline runs."""
    from headrace import _core

    gc.collect()
    objects = _core.store_stats()["objects"]
    yield
    gc.collect()
    assert _core.store_stats()["objects"] <= objects
    assert _core.store_stats()["spilled_bytes"] == 0
    # The template, and a worker per cpu.
    pool = int(_core.capacity().cpu) + 1
    wait_until(lambda: len(_core.worker_pids()) <= pool, "workers beyond the pool")
    wait_until(lambda: descendants(os.getpid()) <= set(_core.worker_pids()), "other processes")
    wait_until(lambda: len(mapped_segments()) <= pool + 1, "segments of workers that are gone")
    assert list(tmp_path.rglob(".headrace*")) == []
    spilled = pathlib.Path(tempfile.gettempdir()).glob(f"headrace-spill-{os.getpid()}-*/*")
    assert [path for path in spilled if path.name != "lock"] == []
    rows = headrace.range(7, override_num_blocks=2).map(lambda row: {"x": row["id"]}).take_all()
    assert [row["x"] for row in rows] == list(range(7))
