"""The Python API over Ray: the same rows as on one machine, and clear errors."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as data

ray = pytest.importorskip("ray")

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("cluster")]

ROWS = 10_000


class AddOnce:
    """Adds a number; says in which process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"y": batch["id"] + self.number, "pid": np.full(len(batch["id"]), os.getpid())}


def mark(batch: dict[str, Any]) -> dict[str, Any]:
    """Adds the process and the node where it runs."""
    count = len(batch["id"])
    node = ray.get_runtime_context().get_node_id()
    return {**batch, "pid": np.full(count, os.getpid()), "node": np.full(count, node)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for i in range(4):
        ids = np.arange(i * ROWS, (i + 1) * ROWS)
        pq.write_table(pa.table({"id": ids, "k": ids % 7}), folder / f"{i}.parquet")
    return folder


def test_read_filter_map_runs_on_the_nodes_and_not_here(files: Path) -> None:
    rows = data.read_parquet(str(files)).filter(expr="k == 3").map_batches(mark).take_all()
    assert sorted(row["id"] for row in rows) == [i for i in range(4 * ROWS) if i % 7 == 3]
    assert os.getpid() not in {row["pid"] for row in rows}


def test_tasks_run_on_more_than_one_node() -> None:
    rows = data.range(3_000, override_num_blocks=12).map_batches(mark).take_all()
    assert len({row["node"] for row in rows}) > 1


def test_write_parquet(files: Path, tmp_path: Path) -> None:
    data.read_parquet(str(files)).map_batches(mark).write_parquet(str(tmp_path / "out"))
    written = pq.read_table(tmp_path / "out")
    assert sorted(written["id"].to_pylist()) == list(range(4 * ROWS))


def test_a_class_is_made_once_in_an_actor() -> None:
    ds = data.range(ROWS, override_num_blocks=8)
    rows = ds.map_batches(AddOnce, fn_constructor_args=(5,), concurrency=1).take_all()
    assert sorted(row["y"] for row in rows) == [i + 5 for i in range(ROWS)]
    assert len({row["pid"] for row in rows}) == 1


def test_sort_groupby_shuffle_join(files: Path) -> None:
    ds = data.read_parquet(str(files))
    top = ds.sort("id", descending=True).take(2)
    assert [row["id"] for row in top] == [4 * ROWS - 1, 4 * ROWS - 2]
    sums = {row["k"]: row["sum(id)"] for row in ds.groupby("k").sum("id").take_all()}
    assert sums == {k: sum(range(k, 4 * ROWS, 7)) for k in range(7)}
    shuffled = [row["id"] for row in data.range(ROWS).random_shuffle(seed=1).take_all()]
    assert shuffled != sorted(shuffled)
    assert sorted(shuffled) == list(range(ROWS))
    right = data.range(500).map(lambda row: {"id": row["id"], "z": row["id"] * 3})
    joined = data.range(1000).join(right, join_type="inner", num_partitions=2, on=("id",))
    assert sorted(row["z"] for row in joined.take_all()) == [3 * i for i in range(500)]


def test_what_a_function_raises_comes_back() -> None:
    def fail(batch: Any) -> Any:
        raise ValueError("of row 17")

    with pytest.raises(ValueError, match="of row 17"):
        data.range(100).map_batches(fail).take_all()
    assert data.range(10).map(lambda row: row).count() == 10


def test_runs_that_end_early_leave_the_cluster_free(files: Path) -> None:
    ds = data.read_parquet(str(files)).map_batches(mark, batch_size=100)
    assert [row["id"] for row in ds.take(5)] == list(range(5))
    batches = iter(ds.iter_batches(batch_size=100))
    next(batches)
    del batches
    assert ds.count() == 4 * ROWS


def test_a_worker_dies_once(tmp_path: Path) -> None:
    died = tmp_path / "died"

    def die(batch: dict[str, Any]) -> dict[str, Any]:
        if 5_000 in batch["id"] and not died.exists():
            died.touch()
            os._exit(1)
        return batch

    rows = data.range(ROWS, override_num_blocks=10).map_batches(die, batch_size=100).take_all()
    assert died.exists()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))


def test_a_node_dies_in_the_midst(cluster: Any) -> None:
    def slowly(batch: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.1)  # So that tasks run on the node when it dies.
        return batch

    node = cluster.add_node(num_cpus=1, object_store_memory=80 << 20, include_dashboard=False)
    cluster.wait_for_nodes()
    ds = data.range(4_000, override_num_blocks=40).map_batches(slowly, batch_size=None)
    rows = ds.iter_rows()
    ids = [next(rows)["id"]]
    cluster.remove_node(node)
    ids += [row["id"] for row in rows]
    assert sorted(ids) == list(range(4_000))


def test_shards_are_read_by_tasks_of_ray() -> None:
    @ray.remote(num_cpus=0)
    def count(shard: Any) -> int:
        return sum(len(batch["id"]) for batch in shard.iter_batches(batch_size=10))

    shards = data.range(1_000).streaming_split(2, equal=True)
    assert ray.get([count.remote(shard) for shard in shards], timeout=30) == [500, 500]


def test_what_no_node_has_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"no node of the Ray cluster has .* CPU 2"):
        data.range(10).map(lambda row: row, num_cpus=2).take_all()
    with pytest.raises(ValueError, match="not enough missing"):
        data.range(10).map(lambda row: row, resources={"missing": 1}).take_all()


def test_a_memory_limit_is_refused() -> None:
    options = data.DataContext.get_current().execution_options
    options.memory_limit = 10**9
    try:
        with pytest.raises(NotImplementedError, match=r"the ray backend does not measure"):
            data.range(10).take_all()
    finally:
        options.memory_limit = None
    assert data.range(10).count() == 10


def test_the_import_does_not_load_ray() -> None:
    code = "import headrace, sys; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
