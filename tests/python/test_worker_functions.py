"""The Python half of a task, without the engine: functions over batches and rows."""

import asyncio
import itertools
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from headrace import _core
from headrace._internal import worker

_ids = itertools.count(1)


def function(kind, fn, args=(), kwargs=None, *, batch_format="numpy", is_class=False, made_of=()):
    if kind in ("read", "write"):
        target = fn
    else:
        target = (fn, args, kwargs or {}, made_of, {})
    return SimpleNamespace(
        id=next(_ids),
        kind=kind,
        name="f",
        payload=cloudpickle.dumps(target),
        is_class=is_class,
        batch_rows=0,
        batch_format=batch_format,
        zero_copy_batch=True,
        on_error=b"",
    )


def batch(table, payload=None, origin=""):
    return SimpleNamespace(table=table, payload=payload, files=[], first_row=0, origin=origin)


def run(spec, tables, runtime=None):
    runtime = runtime or worker.Runtime()
    return list(runtime.resolve(spec)(iter([batch(table) for table in tables])))


def rows(tables):
    return [row for table in tables for row in _core.rows_of(table)]


IDS = pa.table({"id": [0, 1, 2]})


@pytest.mark.parametrize(
    ("batch_format", "kind"), [("numpy", dict), ("pandas", pd.DataFrame), ("pyarrow", pa.Table)]
)
def test_batches_have_the_asked_format(batch_format, kind):
    seen = []
    spec = function("map_batches", lambda b: b, batch_format=batch_format)
    runtime = worker.Runtime()
    call = runtime._make(spec)
    out = list(call(iter([batch(IDS)])))
    assert rows(out) == [{"id": 0}, {"id": 1}, {"id": 2}]
    probe = function(
        "map_batches", lambda b: {"kind": [type(b).__name__]}, batch_format=batch_format
    )
    seen = rows(run(probe, [IDS]))
    assert seen == [{"kind": kind.__name__}]


def test_arguments_follow_the_batch():
    spec = function(
        "map_batches", lambda b, add, *, times: {"x": (b["id"] + add) * times}, (1,), {"times": 10}
    )
    assert rows(run(spec, [IDS])) == [{"x": 10}, {"x": 20}, {"x": 30}]


def test_generators_give_several_batches_and_are_pulled():
    pulled = []

    def gen(b):
        for i in b["id"]:
            pulled.append(int(i))
            yield {"x": np.array([i])}

    # Called without pickling, so that `pulled` is this one.
    call = worker.Runtime()._map_batches(gen, "numpy", True, iter([batch(IDS)]))
    assert next(call).to_pydict() == {"x": [0]}
    assert pulled == [0]
    assert len(list(call)) == 2


@pytest.mark.parametrize("result", [None, 1, "text", [1], np.arange(2), {"x": 1}, {"x": "a"}])
def test_what_is_no_batch_is_refused(result):
    with pytest.raises(ValueError):
        run(function("map_batches", lambda b: result), [IDS])


def test_class_instances_are_made_once():
    class Counter:
        def __init__(self, start):
            self.count = start

        def __call__(self, b):
            self.count += 1
            return {"n": [self.count]}

    spec = function("map_batches", Counter, is_class=True, made_of=(10,))
    runtime = worker.Runtime()
    assert rows(run(spec, [IDS, IDS], runtime)) == [{"n": 11}, {"n": 12}]
    assert rows(run(spec, [IDS], runtime)) == [{"n": 13}]


def test_functions_of_earlier_runs_are_forgotten_and_instances_are_not():
    class Same:
        def __call__(self, b):
            return b

    runtime = worker.Runtime()
    instance = function("map_batches", Same, is_class=True)
    kept = runtime.resolve(instance)
    first, used = function("map_batches", len), function("map_batches", len)
    calls = [runtime.resolve(first), runtime.resolve(used)]
    for _ in range(worker.FUNCTIONS_KEPT):
        runtime.resolve(function("map_batches", len))
        runtime.resolve(used)
    assert runtime.resolve(first) is not calls[0]
    assert runtime.resolve(used) is calls[1]
    assert runtime.resolve(instance) is kept


def test_async_functions_overlap_and_keep_the_order():
    class Model:
        def __init__(self):
            self.running = 0
            self.most = 0

        async def __call__(self, b):
            self.running += 1
            self.most = max(self.most, self.running)
            # The first batch is done last.
            for _ in range(50 - int(b["id"][0])):
                await asyncio.sleep(0)
            self.running -= 1
            return {"id": b["id"], "most": [self.most]}

    tables = [pa.table({"id": [i]}) for i in range(40)]
    out = rows(run(function("map_batches", Model, is_class=True), tables))
    assert [row["id"] for row in out] == list(range(40))
    assert max(row["most"] for row in out) > 1


def test_async_generators_give_several_batches():
    async def gen(b):
        for i in b["id"]:
            await asyncio.sleep(0)
            yield {"x": [int(i)]}

    assert rows(run(function("map_batches", gen), [IDS])) == [{"x": 0}, {"x": 1}, {"x": 2}]


def test_async_errors_come_out():
    async def fail(b):
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run(function("map_batches", fail), [IDS])


def test_rows_are_mapped():
    spec = function("map_rows", lambda r, k: {"x": r["id"] * k, "s": str(r["id"])}, (2,))
    assert rows(run(spec, [IDS])) == [
        {"x": 0, "s": "0"},
        {"x": 2, "s": "1"},
        {"x": 4, "s": "2"},
    ]


def test_many_rows_cross_the_chunk_size():
    table = pa.table({"id": np.arange(3 * worker.ROWS_AT_ONCE + 5)})
    out = run(function("map_rows", lambda r: r), [table])
    assert pa.concat_tables(out).equals(table)


@pytest.mark.parametrize("result", [1, None, [1], "a"])
def test_rows_must_be_dicts(result):
    with pytest.raises(ValueError, match="standalone Python objects"):
        run(function("map_rows", lambda r: result), [IDS])


def test_flat_map_takes_lists_and_generators():
    def twice(row):
        yield row
        yield {"id": -row["id"]}

    assert [r["id"] for r in rows(run(function("flat_map_rows", twice), [IDS]))] == [
        0,
        0,
        1,
        -1,
        2,
        -2,
    ]
    assert rows(run(function("flat_map_rows", lambda r: []), [IDS])) == []
    for wrong in (1, None):
        with pytest.raises(TypeError, match="not iterable"):
            run(function("flat_map_rows", lambda r, wrong=wrong: wrong), [IDS])


@pytest.mark.parametrize(
    ("keep", "ids"),
    [
        (lambda r: r["id"], [1, 2]),
        (lambda r: None, []),
        (lambda r: np.bool_(True), [0, 1, 2]),
        (lambda r: "yes", [0, 1, 2]),
    ],
)
def test_rows_are_kept_by_their_truth(keep, ids):
    assert [row["id"] for row in rows(run(function("filter_rows", keep), [IDS]))] == ids


def test_filtered_columns_keep_their_type():
    table = pa.table({"x": pa.array([1, 2], pa.int8())})
    out = run(function("filter_rows", lambda r: r["x"] == 1), [table])
    assert out[0].schema == table.schema


@pytest.mark.parametrize("kind", ["map_rows", "flat_map_rows", "filter_rows"])
def test_async_row_functions(kind):
    async def each(row):
        await asyncio.sleep(0)
        return {"map_rows": row, "flat_map_rows": [row], "filter_rows": True}[kind]

    assert rows(run(function(kind, each), [IDS])) == [{"id": 0}, {"id": 1}, {"id": 2}]


def test_read_units_become_tables():
    def read(payload):
        yield pa.table({"x": [payload.decode()]})
        yield {"x": np.array(["more"])}

    call = worker.Runtime().resolve(function("read", read))
    out = list(call(iter([batch(None, b"a"), batch(None, b"b")])))
    assert [row["x"] for row in rows(out)] == ["a", "more", "b", "more"]


def test_a_sink_is_called_once_with_all_tables():
    def write(tables, task_number):
        return [table.num_rows for table in tables], task_number

    class Batches(list):
        task_number = 7

    call = worker.Runtime().resolve(function("write", write))
    out = list(call(Batches([batch(IDS), batch(IDS)])))
    assert [cloudpickle.loads(row["result"]) for row in rows(out)] == [([3, 3], 7)]
