"""Python functions in worker processes and inline, straight on the module: what crosses over, what
goes wrong, and what is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import fs

from headrace import _core
from headrace.exceptions import UserCodeException, WorkerDiedError


def function(kind, fn, *args, name="f", is_class=False, constructor=(), **options):
    target = fn if kind in ("read", "write") else (fn, args, {}, constructor, {})
    return _core.Function(
        kind=kind, name=name, payload=cloudpickle.dumps(target), is_class=is_class, **options
    )


def ids(rows=100, parallelism=4):
    return _core.Plan.read(_core.range_source(rows), parallelism=parallelism)


def options(**settings):
    made = _core.ExecutionOptions()
    made.preserve_order = True
    for name, value in settings.items():
        setattr(made, name, value)
    return made


def run(plan, **settings):
    """Returns the rows of the plan, in order."""
    execution = plan.execute(options(**settings))
    rows = []
    while (block := execution.next()) is not None:
        rows += _core.rows_of(block.get())
    return rows


def processes():
    """The template and workers that still exist."""
    return [pid for pid in _core.worker_pids() if os.path.exists(f"/proc/{pid}")]


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def script(code, **more):
    """Starts `code` in an interpreter of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


@pytest.mark.parametrize("inline", [False, True], ids=["processes", "inline"])
class TestBothWays:
    def test_batches(self, inline):
        plan = ids().map(function("map_batches", lambda b: {"x": b["id"] * 2}))
        assert run(plan, inline_mode=inline) == [{"x": 2 * i} for i in range(100)]

    def test_rows(self, inline):
        plan = ids().map(function("map_rows", lambda r: {"x": str(r["id"])}))
        plan = plan.map(function("filter_rows", lambda r: r["x"].endswith("7")))
        plan = plan.map(function("flat_map_rows", lambda r: [r, r]))
        assert [row["x"] for row in run(plan, inline_mode=inline)][:4] == ["7", "7", "17", "17"]

    def test_batch_size(self, inline):
        plan = ids(parallelism=1).map(
            function("map_batches", lambda b: {"n": [len(b["id"])]}, batch_rows=30)
        )
        assert [row["n"] for row in run(plan, inline_mode=inline)] == [30, 30, 30, 10]

    def test_actors_keep_their_instance(self, inline):
        class Counter:
            def __init__(self, start):
                self.calls = start

            def __call__(self, batch):
                self.calls += 1
                return {"call": [self.calls]}

        plan = ids(40, 4).map(
            function("map_batches", Counter, is_class=True, constructor=(100,), batch_rows=10),
            _core.Placement(actors=(1, 1, 1)),
        )
        assert sorted(row["call"] for row in run(plan, inline_mode=inline)) == [101, 102, 103, 104]

    def test_objects_and_tensors_cross(self, inline):
        plan = ids(4, 1).map(
            function("map_rows", lambda r: {"o": {1, r["id"]}, "t": np.full((2, 2), r["id"])})
        )
        plan = plan.map(function("map_rows", lambda r: {"o": r["o"], "t": r["t"] + 1}))
        rows = run(plan, inline_mode=inline)
        assert sorted(rows[3]["o"]) == [1, 3]
        np.testing.assert_array_equal(rows[3]["t"], np.full((2, 2), 4))

    def test_a_failing_function_raises_its_own_error(self, inline):
        def divide(batch):
            return {"x": batch["id"] // 0 if batch["id"][0] >= 50 else {}["lost"]}

        with pytest.raises((KeyError, ZeroDivisionError, FloatingPointError)) as caught:
            run(
                ids().map(function("map_rows", lambda r: {"x": 1 // (r["id"] - 63)}, name="inv")),
                inline_mode=inline,
            )
        assert isinstance(caught.value, UserCodeException)
        text = "".join(__import__("traceback").format_exception(caught.value))
        assert "Map(inv)" in text
        assert "'id': 63" in text

    def test_an_actor_whose_constructor_fails(self, inline):
        class Broken:
            def __init__(self):
                raise LookupError("no model")

            def __call__(self, batch):
                return batch

        with pytest.raises(LookupError, match="no model"):
            run(
                ids().map(
                    function("map_batches", Broken, is_class=True, name="Broken"),
                    _core.Placement(actors=(1, 1, 1)),
                ),
                inline_mode=inline,
            )

    def test_sources_in_python(self, inline):
        def read(payload):
            for part in range(2):
                yield pa.table({"x": [f"{payload.decode()}{part}"]})

        source = _core.python_source(
            "Mine", function("read", read), [(b"a", -1, -1, []), (b"b", 2, 10, ["file"])]
        )
        rows = run(_core.Plan.read(source), inline_mode=inline)
        assert sorted(row["x"] for row in rows) == ["a0", "a1", "b0", "b1"]

    def test_sinks_in_python(self, inline):
        def write(tables, position):
            return sum(table.num_rows for table in tables)

        target = _core.WriteTarget(format="python", name="Mine", function=function("write", write))
        rows = run(ids().write(target), inline_mode=inline)
        assert sum(cloudpickle.loads(row["result"]) for row in rows) == 100

    def test_what_is_no_batch_is_refused(self, inline):
        with pytest.raises(ValueError, match="NoneType"):
            run(ids().map(function("map_batches", lambda b: None)), inline_mode=inline)


def test_functions_run_in_other_processes_with_this_ones_paths(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("VALUE = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def look(batch):
        import only_here

        return {"value": [only_here.VALUE], "cwd": [os.getcwd()], "pid": [os.getpid()]}

    rows = run(ids().map(function("map_batches", look)))
    assert {row["value"] for row in rows} == {42}
    assert {row["cwd"] for row in rows} == {str(tmp_path)}
    assert os.getpid() not in {row["pid"] for row in rows}


def test_workers_do_not_share_their_randomness():
    def draw(batch):
        import random

        time.sleep(0.05)
        drawn = np.random.random()  # noqa: NPY002
        return {"pid": [os.getpid()], "a": [random.random()], "b": [drawn]}

    by_process = {}
    for row in run(ids(64, 16).map(function("map_batches", draw))):
        by_process.setdefault(row["pid"], (row["a"], row["b"]))
    assert len({a for a, _ in by_process.values()}) == len(by_process)
    assert len({b for _, b in by_process.values()}) == len(by_process)


def test_a_killed_workers_rows_come_once(tmp_path):
    flag = str(tmp_path / "died")

    def die_once(batch):
        if batch["id"][0] == 50:
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return batch

    plan = ids(100, 10).map(function("map_batches", die_once))
    assert [row["id"] for row in run(plan)] == list(range(100))
    assert os.path.exists(flag)


def test_a_function_that_always_exits_is_an_error():
    with pytest.raises(WorkerDiedError, match="status 3"):
        run(ids().map(function("map_batches", lambda b: os._exit(3))))
    assert len(run(ids())) == 100


def test_leaving_early_frees_everything():
    before = _core.store_stats()["objects"]
    execution = ids(1000, 50).map(function("map_batches", lambda b: b)).execute(options())
    block = execution.next()
    assert block is not None
    del execution, block
    assert _core.store_stats()["objects"] == before
    assert len(run(ids())) == 100


def test_blocks_outlive_their_run():
    execution = ids(10, 1).map(function("map_batches", lambda b: b)).execute(options())
    block = execution.next()
    del execution
    again = _core.Plan.input_data([block, block])
    assert [row["id"] for row in run(again)] == [*range(10), *range(10)]
    assert again.blocks()[0] is block
    assert again.infer_row_count() == 20


def test_rules_in_python_rewrite_plans():
    seen = []

    def rewrite(plan):
        seen.append(plan.kind)
        return plan.inputs[0].limit(3) if plan.kind == "limit" else plan

    _core.add_rule("three", rewrite)
    try:
        with pytest.raises(ValueError, match="three"):
            _core.add_rule("three", rewrite)
        assert len(run(ids().limit(50))) == 3
        assert "read" in seen
    finally:
        assert _core.remove_rule("three")
    assert not _core.remove_rule("three")
    assert len(run(ids().limit(50))) == 50


def test_a_failing_rule_raises_its_error():
    def rewrite(plan):
        raise LookupError("bad rule")

    _core.add_rule("bad", rewrite)
    try:
        with pytest.raises(LookupError, match="bad rule"):
            run(ids())
    finally:
        _core.remove_rule("bad")


def test_file_systems_cross(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    for filesystem in (
        fs.LocalFileSystem(),
        fs.SubTreeFileSystem("/", fs.LocalFileSystem()),
        fs.PyFileSystem(fs.FSSpecHandler(__import__("fsspec").filesystem("file"))),
    ):
        source = _core.file_source("text", [str(tmp_path)], filesystem=filesystem)
        plan = _core.Plan.read(source).map(function("map_rows", lambda r: r))
        assert [row["text"] for row in run(plan)] == ["one", "two"]


def test_status_codes_become_the_exceptions_that_users_expect(tmp_path):
    with pytest.raises(FileNotFoundError):
        _core.file_source("text", [str(tmp_path / "missing")])
    with pytest.raises(KeyError, match="nope"):
        run(ids().filter(_core.Expr.column("nope")))
    with pytest.raises(ValueError, match="unknown kind"):
        function("nonsense", len)
    with pytest.raises(ValueError, match="negative"):
        _core.Placement(cost=_core.Resources(cpu=-1))
    with pytest.raises(ValueError):
        run(ids().map(function("map_batches", len), _core.Placement(_core.Resources(gpu=64))))


def test_configuration_is_for_before_the_start():
    run(ids())
    with pytest.raises(RuntimeError):
        _core.configure(cpus=1)


def test_shutdown_ends_processes_and_the_next_use_starts_anew():
    block = _core.put(pa.table({"x": [1]}))
    run(ids().map(function("map_batches", lambda b: b)))
    pids = processes()
    assert pids
    _core.shutdown()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
    with pytest.raises(RuntimeError, match="shut down"):
        block.get()
    with pytest.raises(ValueError, match="lost"):
        _core.Plan.input_data([block]).execute(options())
    assert len(run(ids().map(function("map_batches", lambda b: b)))) == 100


def test_prints_reach_the_terminal():
    process = script(
        """
        import headrace
        headrace.range(1).map(lambda r: print("from the worker") or r).take_all()
        """
    )
    out, err = process.communicate(timeout=60)
    assert "from the worker" in out, err
    assert process.returncode == 0


def test_ctrl_c_stops_a_sleeping_function_and_leaves_nothing():
    process = script(
        """
        import os, time
        import headrace
        from headrace import _core
        def sleep(row):
            print("pid", os.getpid(), flush=True)
            time.sleep(600)
        try:
            headrace.range(1).map(sleep).take_all()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            print(len(headrace.range(5).map(lambda r: r).take_all()), flush=True)
        """,
        start_new_session=True,
    )
    line = process.stdout.readline()
    assert line.startswith("pid"), process.stderr.read()
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.split() == ["interrupted", "5"], err
    wait_until(lambda: not os.path.exists(f"/proc/{line.split()[1]}"))


def test_a_forked_child_has_an_engine_of_its_own():
    process = script(
        """
        import os
        import headrace
        ds = headrace.range(10).map(lambda r: r)
        running = iter(ds.iter_rows())
        next(running)
        kept = headrace.range(10).materialize()
        pid = os.fork()
        if pid == 0:
            del running, kept
            assert len(ds.take_all()) == 10
            headrace.shutdown()
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert len(ds.take_all()) == 10 and kept.count() == 10
        print("fine")
        """
    )
    out, err = process.communicate(timeout=60)
    assert out.strip() == "fine", err
    assert process.returncode == 0, err


def test_a_killed_driver_leaves_no_process():
    process = script(
        """
        import os, time
        import headrace
        from headrace import _core
        def sleep(row):
            print(os.getpid(), os.getppid(), flush=True)
            time.sleep(600)
        headrace.range(1).map(sleep).take_all()
        """
    )
    pids = process.stdout.readline().split()
    assert len(pids) == 2, process.stderr.read()
    process.kill()
    process.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


def test_an_interpreter_that_ends_in_the_middle_leaves_no_process():
    process = script(
        """
        import headrace, os
        rows = headrace.range(1000, override_num_blocks=100).map(
            lambda r: {"worker": os.getpid(), "template": os.getppid()}
        ).iter_rows()
        row = next(rows)
        print(row["worker"], row["template"], flush=True)
        """
    )
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in out.split()))
