"""Pipelines on a Ray cluster give what they give on this machine."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

import headrace
from headrace.exceptions import UserCodeException

pytestmark = pytest.mark.timeout(300)

ROWS = 400


def double(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, "y": batch["id"] * 2}


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"id": batch["id"] + self.amount}


def dataset() -> headrace.Dataset:
    return headrace.range(ROWS, override_num_blocks=8)


def ids(ds: headrace.Dataset) -> list[int]:
    return [row["id"] for row in ds.take_all()]


def test_files_through_a_function_into_files(tmp_path: pathlib.Path) -> None:
    for part in range(3):
        table = pa.table({"id": list(range(10 * part, 10 * part + 10))})
        (tmp_path / "in").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "in" / f"{part}.parquet")
    ds = headrace.read_parquet(str(tmp_path / "in")).filter(expr="id >= 5").map_batches(double)
    assert [row["y"] for row in ds.take_all()] == [2 * i for i in range(5, 30)]
    ds.write_parquet(str(tmp_path / "out"))
    assert sorted(pq.read_table(tmp_path / "out")["y"].to_pylist()) == [2 * i for i in range(5, 30)]
    assert list((tmp_path / "out").glob(".headrace*")) == []


def test_functions_run_in_workers_of_the_cluster() -> None:
    pids = {row["pid"] for row in dataset().map(lambda row: {"pid": os.getpid()}).take_all()}
    assert os.getpid() not in pids
    assert not pids & set(headrace._core.worker_pids())


def test_tasks_run_on_more_than_one_node() -> None:
    def where(row: dict[str, Any]) -> dict[str, Any]:
        return {"node": ray.get_runtime_context().get_node_id()}

    rows = headrace.range(3_000, override_num_blocks=12).map(where).take_all()
    assert len({row["node"] for row in rows}) > 1


def test_actors() -> None:
    ds = dataset().map_batches(Adder, fn_constructor_args=(1000,), concurrency=2)
    assert sorted(ids(ds)) == [1000 + i for i in range(ROWS)]


def test_a_class_is_made_once_in_an_actor() -> None:
    class Made:
        def __init__(self) -> None:
            self.made = os.urandom(8).hex()

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            return {"made": self.made}

    assert len({row["made"] for row in dataset().map(Made, concurrency=1).take_all()}) == 1


def test_shards_are_read_by_tasks_of_ray() -> None:
    @ray.remote(num_cpus=0)
    def count(shard: Any) -> int:
        return sum(len(batch["id"]) for batch in shard.iter_batches(batch_size=10))

    shards = dataset().streaming_split(2, equal=True)
    assert ray.get([count.remote(shard) for shard in shards], timeout=60) == [ROWS / 2] * 2


def test_exchanges() -> None:
    assert ids(dataset().sort("id", descending=True)) == list(range(ROWS - 1, -1, -1))
    assert sorted(ids(dataset().random_shuffle(seed=1))) == list(range(ROWS))
    groups = dataset().map_batches(lambda b: {"k": b["id"] % 7, "id": b["id"]}).groupby("k")
    counted = {row["k"]: row["count()"] for row in groups.count().take_all()}
    assert counted == {k: len(range(k, ROWS, 7)) for k in range(7)}
    other = headrace.from_items([{"id": i, "z": -i} for i in range(0, ROWS, 3)])
    joined = dataset().join(other, "inner", num_partitions=4, on=("id",)).take_all()
    assert sorted((row["id"], row["z"]) for row in joined) == [(i, -i) for i in range(0, ROWS, 3)]


def test_a_shuffle_is_the_same_at_any_place() -> None:
    """The seed and the data decide, not who runs what when."""
    shuffled = ids(dataset().random_shuffle(seed=7))
    assert shuffled == ids(dataset().random_shuffle(seed=7))
    code = (
        "import headrace, json; ds = headrace.range(400, override_num_blocks=8);"
        "print(json.dumps([r['id'] for r in ds.random_shuffle(seed=7).take_all()]))"
    )
    environment = {**os.environ, "HEADRACE_BACKEND": "local"}
    here = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert here.stdout.strip() == str(shuffled)


def test_batches_limits_and_what_is_kept() -> None:
    batches = list(dataset().iter_batches(batch_size=64))
    assert [len(batch["id"]) for batch in batches] == [64] * 6 + [16]
    assert ids(dataset().limit(5)) == [0, 1, 2, 3, 4]
    kept = dataset().map_batches(double).materialize()
    assert kept.count() == ROWS
    assert kept.sum("y") == ROWS * (ROWS - 1)


def test_rows_without_columns_are_counted() -> None:
    assert dataset().select_columns([]).materialize().count() == ROWS


def test_types_that_ray_does_not_know() -> None:
    texts = pa.array(["", "ä", None, "zebra" * 9], pa.string_view())
    lists = pa.array([[1], [], None, [2, 3]], pa.list_view(pa.int64()))
    table = pa.table({"text": texts, "nested": pa.StructArray.from_arrays([lists], ["list"])})
    kept = headrace.from_arrow([table, table.slice(1, 2)]).repartition(2).materialize()
    rows = table.to_pylist()
    assert kept.take_all() == rows + rows[1:3]


def test_an_early_end_leaves_nothing_running() -> None:
    iterator = iter(dataset().map_batches(double).iter_batches(batch_size=10))
    next(iterator)
    del iterator
    assert ids(dataset().limit(1)) == [0]


def test_the_users_exception_is_raised() -> None:
    def bad(batch: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason") as raised:
        dataset().map_batches(bad).take_all()
    assert isinstance(raised.value, UserCodeException)


def test_a_killed_worker_is_replaced(tmp_path: pathlib.Path) -> None:
    mark = tmp_path / "killed"

    def once(batch: dict[str, Any]) -> dict[str, Any]:
        if batch["id"][0] >= ROWS // 2 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    assert ids(dataset().map_batches(once)) == list(range(ROWS))
    assert mark.exists()


def test_a_killed_actor_is_replaced(tmp_path: pathlib.Path) -> None:
    mark = tmp_path / "killed"

    class Once:
        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            if batch["id"][0] >= ROWS // 2 and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return batch

    assert sorted(ids(dataset().map_batches(Once, concurrency=1))) == list(range(ROWS))
    assert mark.exists()


# ---- What is refused ---------------------------------------------------------------------------


def test_what_no_node_has_is_refused() -> None:
    """Three nodes of one CPU have three in all, but a task must fit into one."""
    with pytest.raises(Exception, match=r"no node of .* CPU 2 \(the most is 1\)"):
        dataset().map_batches(double, num_cpus=2).take_all()
    with pytest.raises(ValueError, match="not enough missing"):
        dataset().map_batches(double, resources={"missing": 1}).take_all()


def test_a_memory_limit_is_refused(settings: Any) -> None:
    settings.execution_options.memory_limit = 10**9
    with pytest.raises(NotImplementedError, match=r"the ray backend does not measure"):
        dataset().take_all()


def test_inline_mode_is_refused(settings: Any) -> None:
    settings.inline_mode = True
    with pytest.raises(NotImplementedError, match="inline_mode"):
        dataset().take_all()


def test_a_process_has_one_backend(settings: Any) -> None:
    settings.backend = "local"
    with pytest.raises(RuntimeError, match=r"headrace\.shutdown"):
        dataset().take_all()
    settings.backend = "spark"
    with pytest.raises(ValueError, match="backend must be one of"):
        dataset().take_all()


def run_python(code: str, **environment: str) -> str:
    """Runs `code` in a process of its own; returns the last line of what it says."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return (done.stdout + done.stderr).strip().split("\n")[-1]


def test_importing_headrace_does_not_import_ray() -> None:
    assert run_python("import headrace, sys; print('ray' in sys.modules)") == "False"


def test_no_cluster_at_the_address() -> None:
    said = run_python("import headrace; headrace.init(address='127.0.0.1:1')")
    assert "ConnectionError: there is no Ray cluster at '127.0.0.1:1'" in said


def test_a_ray_client_is_refused() -> None:
    said = run_python("import headrace; headrace.init(address='ray://127.0.0.1:1')")
    assert said.startswith("NotImplementedError: the driver must be a process of the cluster")


def test_without_ray() -> None:
    code = "import sys; sys.modules['ray'] = None; import headrace; headrace.init(backend='ray')"
    assert "ImportError: backend='ray' needs Ray, which is not installed" in run_python(code)


def test_a_worker_of_another_version_says_so() -> None:
    from headrace._internal.ray_backend import remote

    with pytest.raises(RuntimeError, match=r"the driver has Headrace 9\.9"):
        remote.check_versions({"Headrace": "9.9"})
