"""Recorded runs: replayed, shown, and turned into traces."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace import _core
from headrace._internal.cli import main

HEADER = struct.Struct("<BIQ")  # Of a record: kind, checksum, length.
MAGIC = b"HRLOG008"


@pytest.fixture
def log(settings: Any, tmp_path: Path) -> Path:
    """Where the runs of the test are recorded."""
    settings.event_log_path = str(tmp_path / "run.log")
    return tmp_path / "run.log"


class Adder:
    def __init__(self) -> None:
        self.amount = 1

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"id": batch["id"] + self.amount}


def run_pipeline() -> headrace.Dataset:
    """Reads, maps in tasks and in actors, and sorts 1,000 rows."""
    ds = headrace.range(1000, override_num_blocks=8).map_batches(lambda b: b, num_cpus=0.5)
    ds = ds.map_batches(Adder, concurrency=2, num_cpus=0.25).sort("id", descending=True)
    return ds.materialize()


def records(data: bytes) -> list[tuple[int, bytes]]:
    """(offset, body) of each record of a log."""
    assert data.startswith(MAGIC)
    at = len(MAGIC)
    found = []
    while at < len(data):
        _, _, length = HEADER.unpack_from(data, at)
        found.append((at, data[at + HEADER.size : at + HEADER.size + length]))
        at += HEADER.size + length
    return found


def with_record(data: bytes, offset: int, body: bytes) -> bytes:
    """The log with another body, and the checksum that it then has, in one record."""
    kind, _, length = HEADER.unpack_from(data, offset)
    checksum = ((2166136261 ^ kind) * 16777619) & 0xFFFFFFFF
    for byte in body:
        checksum = ((checksum ^ byte) * 16777619) & 0xFFFFFFFF
    rest = data[offset + HEADER.size + length :]
    return data[:offset] + HEADER.pack(kind, checksum, len(body)) + body + rest


# ---- Recording ------------------------------------------------------------------------------


def test_each_run_has_a_file_of_its_own(settings: Any, tmp_path: Path) -> None:
    settings.event_log_path = str(tmp_path / "a.b" / "run-{pid}.log")
    (tmp_path / "a.b").mkdir()
    for _ in range(3):
        headrace.range(10).take_all()
    pid = os.getpid()
    names = [f"run-{pid}.2.log", f"run-{pid}.3.log", f"run-{pid}.log"]
    assert sorted(path.name for path in (tmp_path / "a.b").iterdir()) == names
    settings.event_log_path = str(tmp_path / "a.b" / "bare")
    for _ in range(2):
        headrace.range(10).take_all()
    assert (tmp_path / "a.b" / "bare.2").exists()


def test_a_log_that_cannot_be_written_fails_the_run(settings: Any, tmp_path: Path) -> None:
    settings.event_log_path = str(tmp_path / "nowhere" / "run.log")
    with pytest.raises(FileNotFoundError, match=r"event log.*nowhere"):
        headrace.range(10).take_all()


def test_a_log_holds_no_function_and_no_row(log: Path) -> None:
    ds = headrace.from_items([{"word": "unspeakable_value"}])
    ds.map(lambda row: {"word": row["word"] + "unspeakable_constant"}).take_all()
    data = log.read_bytes()
    assert b"unspeakable" not in data
    assert b"MapBatches" in data or b"Map(" in data


def test_the_environment_and_the_command(tmp_path: Path) -> None:
    log, trace = tmp_path / "run.log", tmp_path / "trace.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADRACE_EVENT_LOG": str(log),
    }
    program = "import headrace; headrace.range(100).take_all()"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)
    for arguments, said in (
        (["replay", log], "with the same actions"),
        (["trace", log, "-o", trace], "perfetto"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "headrace", *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
    assert json.loads(trace.read_text())["traceEvents"]


def test_runs_inside_of_workers_are_not_recorded(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    program = """if True:
        import os, headrace
        def nested(batch):
            count = len(headrace.range(7).take_all())
            return {"n": [count], "log": [os.environ["HEADRACE_EVENT_LOG"]]}
        rows = headrace.range(3, override_num_blocks=1).map_batches(nested).take_all()
        assert rows == [{"n": 7, "log": ""}], rows
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADRACE_EVENT_LOG": str(log),
    }
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)
    assert [path.name for path in tmp_path.iterdir()] == ["run.log"]
    assert b"nested" in log.read_bytes()


def test_the_command_is_where_the_package_says() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'headrace = "headrace._internal.cli:main"' in text.split("[project.scripts]")[1]


# ---- Replaying ------------------------------------------------------------------------------


def test_replay_tells_what_the_run_did(log: Path, capsys: Any) -> None:
    run_pipeline()
    assert main(["replay", str(log), "--slices", "7"]) == 0
    out = capsys.readouterr().out
    assert "ReadRange" in out
    assert "Adder" in out
    assert "#" in out  # Bars.
    assert "* Waited for:" in out
    assert "with the same actions" in out
    replayed = _core.replay_log(log.read_bytes(), 7)
    tables = replayed.text.split("Operator 1 ")[0]
    assert tables.count("\n") == 2 + replayed.operators * (7 + 3)  # Name, head, slices, a gap.
    assert replayed.cut == replayed.difference == ""
    assert replayed.elapsed_seconds > 0


@pytest.mark.parametrize(
    "verb",
    [
        lambda ds: ds.sort("id").take_all(),
        lambda ds: ds.random_shuffle(seed=1).take_all(),
        lambda ds: ds.groupby("k").sum("id").take_all(),
        lambda ds: ds.zip(headrace.range(500).rename_columns({"id": "z"})).take_all(),
        lambda ds: ds.join(ds, "inner", num_partitions=3, on=("id", "k")).take_all(),
        lambda ds: ds.union(headrace.range(500)).limit(300).take_all(),
        lambda ds: ds.repartition(3).take_all(),
        lambda ds: next(iter(ds.iter_batches(batch_size=10))),
        lambda ds: ds.materialize().map(lambda row: row).take_all(),
    ],
)
def test_every_kind_of_run_replays(log: Path, verb: Any) -> None:
    ds = headrace.range(500, override_num_blocks=6)
    verb(ds.map_batches(lambda b: {**b, "k": b["id"] % 3}))
    logs = sorted(log.parent.glob("run*.log"))
    assert logs
    for path in logs:
        replayed = _core.replay_log(path.read_bytes())
        assert (replayed.difference, replayed.cut) == ("", "")


def test_runs_over_blocks_of_several_schemas_replay(log: Path) -> None:
    """What an exchange decides depends on the schemas of its blocks."""
    import pandas as pd

    ints = headrace.from_pandas([pd.DataFrame({"x": [3, 1]}), pd.DataFrame({"x": [2, 5]})])
    floats = headrace.from_pandas([pd.DataFrame({"x": [0.5, 4.5]})])
    ds = ints.map_batches(lambda b: b).union(floats.map_batches(lambda b: b)).sort("x")
    assert [row["x"] for row in ds.take_all()] == [0.5, 1, 2, 3, 4.5, 5]
    replayed = _core.replay_log(log.read_bytes())
    assert (replayed.difference, replayed.cut) == ("", "")


def test_a_run_without_tasks_replays(log: Path, capsys: Any) -> None:
    assert headrace.range(0).take_all() == []
    assert headrace.from_items([1]).limit(0).map(lambda row: row).take_all() == []
    for path in log.parent.glob("run*.log"):
        assert main(["replay", str(path)]) == 0
        assert "operators" in capsys.readouterr().out
        check_trace(json.loads(_core.trace_log(path.read_bytes())))


def test_a_plan_that_cannot_run_leaves_a_log_that_says_so(log: Path, capsys: Any) -> None:
    with pytest.raises(ValueError, match="gpu"):
        headrace.range(10).map_batches(lambda b: b, num_gpus=100, batch_size=1).take_all()
    assert main(["replay", str(log)]) == 1
    assert main(["replay", str(log), "--partial"]) == 1
    assert "gpu" in capsys.readouterr().err


def test_a_run_that_failed_replays(log: Path, capsys: Any) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 77:
            raise ValueError("seventy-seven")
        return row

    with pytest.raises(ValueError, match="seventy-seven"):
        headrace.range(100, override_num_blocks=10).map(fail).take_all()
    assert main(["replay", str(log)]) == 0
    assert "Tasks failed: 1" in capsys.readouterr().out


def test_a_run_whose_worker_died_replays(log: Path, tmp_path: Path) -> None:
    mark = tmp_path / "died"

    def die_once(batch: dict[str, Any]) -> dict[str, Any]:
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return batch
        os._exit(1)

    ds = headrace.range(100, override_num_blocks=5).map_batches(die_once).materialize()
    assert ds.count() == 100
    replayed = _core.replay_log(log.read_bytes())
    assert (replayed.difference, replayed.cut) == ("", "")
    assert "run again: 1" in replayed.text


def test_a_run_with_policies_replays_without_them(settings: Any, log: Path) -> None:
    class Moody(headrace.BackpressurePolicy):
        asked = 0

        def may_start(self, op: Any, view: Any) -> bool:
            self.asked += 1
            return self.asked % 3 != 0

        def credit_bytes(self, op: Any, offered: int, view: Any) -> int:
            return offered // (1 + self.asked % 2)

    class Failing(headrace.BackpressurePolicy):
        def may_start(self, op: Any, view: Any) -> bool:
            if view.operators[0].tasks_done >= 2:
                raise LookupError("enough")
            return True

    settings.backpressure_policies = [Moody()]
    run_pipeline()
    settings.backpressure_policies = [Moody(), Failing()]
    with pytest.raises(LookupError, match="enough"):
        run_pipeline()
    for path in (log, log.with_suffix(".2.log")):
        replayed = _core.replay_log(path.read_bytes())
        assert (replayed.difference, replayed.cut) == ("", "")


def test_a_replay_that_differs_says_where(log: Path, capsys: Any) -> None:
    run_pipeline()
    data = log.read_bytes()
    offset, body = next((at, body) for at, body in records(data) if b" credit=" in body)
    log.write_bytes(with_record(data, offset, body + b"0"))
    assert main(["replay", str(log)]) == 1
    error = capsys.readouterr().err
    assert "the replay differs from the log" in error
    assert f'the log has "{body.decode()}0", the replay gave "{body.decode()}"' in error
    trace = log.with_suffix(".json")
    assert main(["trace", str(log), "-o", str(trace)]) == 1
    assert not trace.exists()


def test_a_log_that_was_cut_is_an_error_unless_it_is_asked_for(log: Path, capsys: Any) -> None:
    run_pipeline()
    data = log.read_bytes()
    trace = log.with_suffix(".json")
    ends = [offset for offset, _ in records(data)]
    for size in (len(data) - 1, len(data) // 2, ends[-1]):
        log.write_bytes(data[:size])
        assert main(["replay", str(log)]) == 1
        assert "ends before its run" in capsys.readouterr().err
        assert main(["replay", str(log), "--partial"]) == 0
        assert "up to where it ends" in capsys.readouterr().out
        assert main(["trace", str(log), "-o", str(trace)]) == 1
        assert main(["trace", str(log), "-o", str(trace), "--partial"]) == 0
        check_trace(json.loads(trace.read_text()))


def test_the_log_of_a_killed_process_tells_up_to_its_end(tmp_path: Path, capsys: Any) -> None:
    log, mark = tmp_path / "run.log", tmp_path / "mark"
    os.mkfifo(mark)
    program = f"""if True:
        import headrace
        def hang(batch):
            open({str(mark)!r}, "w").close()  # Returns when it is read.
            open({str(mark)!r}, "w").close()  # Never returns.
        headrace.range(5, override_num_blocks=1).map_batches(hang).take_all()
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HEADRACE_EVENT_LOG": str(log),
    }
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        mark.read_bytes()
        process.kill()
    assert main(["replay", str(log)]) == 1
    assert "its process ended in mid-run" in capsys.readouterr().err
    assert main(["replay", str(log), "--partial"]) == 0
    assert main(["trace", str(log), "-o", str(tmp_path / "trace"), "--partial"]) == 0
    trace = json.loads((tmp_path / "trace").read_text())
    check_trace(trace)
    outcomes = [e["args"].get("outcome") for e in trace["traceEvents"] if e["ph"] == "X"]
    assert outcomes == ["not ended"]


def test_what_is_no_log_is_an_error(log: Path, capsys: Any) -> None:
    run_pipeline()
    data = log.read_bytes()
    offset = records(data)[5][0]
    for content, said in (
        (data[: offset + 20] + bytes([data[offset + 20] ^ 1]) + data[offset + 21 :], "checksum"),
        (data[:100], "cut off in its first record"),
        (MAGIC, "empty"),
        (b"HRLOG999" + data[8:], "another version"),
        (b"PAR1" + data, "not an event log"),
        (b"", "not an event log"),
    ):
        log.write_bytes(content)
        assert main(["replay", str(log), "--partial"]) == 1
        assert said in capsys.readouterr().err
    assert main(["replay", str(log.with_name("none.log"))]) == 1
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main(["replay"])
    assert usage.value.code == 2


# ---- Traces ---------------------------------------------------------------------------------


def check_trace(trace: dict[str, Any]) -> None:
    """Checks the rules of the trace event format for the kinds of events that we write, and that
    the spans of a thread do not overlap but where one lies in another."""
    assert set(trace) == {"traceEvents", "displayTimeUnit"}
    spans: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    named = set()
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str)
        assert event["name"]
        assert type(event["pid"]) is int
        assert type(event["tid"]) is int
        assert min(event["pid"], event["tid"]) > 0
        kind = event["ph"]
        if kind == "M":
            known = {
                "process_name": str,
                "thread_name": str,
                "process_sort_index": int,
                "thread_sort_index": int,
            }
            (value,) = event["args"].values()
            assert type(value) is known[event["name"]]
            if event["name"].endswith("_name"):
                named.add((event["name"], event["pid"], event["tid"]))
            continue
        assert event["ts"] >= 0
        assert ("process_name", event["pid"], 1) in named
        if kind == "X":
            assert event["dur"] >= 0
            assert ("thread_name", event["pid"], event["tid"]) in named
            spans[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
        elif kind == "C":
            assert event["args"]
            assert all(type(value) is int and value >= 0 for value in event["args"].values())
        else:
            assert kind == "i"
            assert event["s"] in ("g", "p", "t")
    for lane in spans.values():
        open_ends: list[float] = []
        for begin, end in sorted(lane, key=lambda span: (span[0], -span[1])):
            while open_ends and open_ends[-1] <= begin + 1e-6:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1] + 1e-6
            open_ends.append(end)


def traced(log: Path) -> list[dict[str, Any]]:
    trace = json.loads(_core.trace_log(log.read_bytes()))
    check_trace(trace)
    return trace["traceEvents"]


def test_a_trace_has_tasks_actors_and_counters(log: Path) -> None:
    run_pipeline()
    events = traced(log)
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    adders = [pid for pid, name in names.items() if "Adder" in name]
    assert len(adders) == 1
    assert any("Sort" in name for name in names.values())
    tasks = [e for e in events if e["ph"] == "X" and "outcome" in e["args"]]
    of_adder = [e for e in tasks if e["pid"] == adders[0]]
    assert len(of_adder) == 8
    assert sum(e["args"]["rows"] for e in of_adder) == 1000
    assert {e["args"]["outcome"] for e in tasks} == {"done"}
    lives = [e["name"] for e in events if e["ph"] == "X" and e["tid"] >= 1000]
    assert "starting" in lives
    assert "ready" in lives
    counters = {(e["pid"], e["name"]) for e in events if e["ph"] == "C"}
    assert (1, "charged") in counters
    for pid in names:
        assert pid == 1 or {(pid, "memory"), (pid, "queue"), (pid, "tasks")} <= counters
    last = {(e["pid"], e["name"]): e["args"] for e in events if e["ph"] == "C"}
    assert all(args["running"] == 0 for (_, name), args in last.items() if name == "tasks")
    assert any(e["ph"] == "i" and e["name"] == "finished" for e in events)


def test_a_trace_shows_failures_and_names_that_need_quotes(log: Path) -> None:
    def fail(row: Any) -> Any:
        raise ValueError('a "quoted"\\ \x01 message, \N{SNOWMAN}')

    with pytest.raises(ValueError, match="quoted"):
        headrace.range(10).map(fail).take_all()
    marks = {e["name"]: e["args"] for e in traced(log) if e["ph"] == "i"}
    assert 'a "quoted"\\ \x01 message, \N{SNOWMAN}' in marks["task failed"]["failure"]
    assert "quoted" in marks["failed"]["failure"]


def test_a_trace_shows_spills(settings: Any, log: Path) -> None:
    limits = headrace.ExecutionResources(object_store_memory=4 << 20)
    settings.execution_options.resource_limits = limits
    settings.target_max_block_size = 1 << 18
    ds = headrace.range(2_000_000, override_num_blocks=16).random_shuffle(seed=3)
    assert sum(batch["id"].size for batch in ds.iter_batches(batch_size=None)) == 2_000_000
    names = [e["name"] for e in traced(log) if e["ph"] == "i"]
    assert "spill ordered" in names
    assert "spilled" in names
