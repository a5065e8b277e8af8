"""`Dataset.streaming_split` across processes: forked, spawned, started by hand; deaths and ends."""

from __future__ import annotations

import base64
import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leftovers import descendants, wait_until

import headrace
from headrace import _core
from headrace._internal.streaming_split import server
from headrace.exceptions import StreamingSplitError, UserCodeException

SECONDS = 60  # After which a test has hung.


def split_sockets() -> set[str]:
    lines = Path("/proc/net/unix").read_text().splitlines()
    name = f"@headrace-split-{os.getpid()}-"
    return {line.rpartition(" ")[2] for line in lines if name in line}


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture(scope="module", autouse=True)
def multiprocessing_ends() -> Iterator[None]:
    """Ends what multiprocessing keeps running; other tests count processes."""
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def nothing_of_a_split_left() -> Iterator[None]:
    gc.collect()
    objects = _core.store_stats()["objects"]
    yield
    gc.collect()
    # The last connection's end is noticed, and with it the server's.
    wait_until(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("headrace-split")],
        f"threads of a split are left: {threading.enumerate()}",
    )
    wait_until(lambda: not split_sockets(), f"sockets are left: {split_sockets()}")
    assert _core.store_stats()["objects"] <= objects


@pytest.fixture
def far(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where asked for, other processes are as on another machine: they come over the network."""
    if request.param:
        make = server.Address
        monkeypatch.setattr(server, "_network_host", lambda: "127.0.0.1")
        monkeypatch.setattr(server, "Address", lambda *at: make(*at[:3], "another", at[4]))


def near_and_far(test: Any) -> Any:
    """Makes a test run with its processes on this machine, and as on another one."""
    as_asked = pytest.mark.parametrize("far", [False, True], ids=["near", "far"], indirect=True)
    return pytest.mark.usefixtures("far")(as_asked(test))


class Consumers:
    """Processes, one a rank, each of which sends what `function(iterator)` returns or raises."""

    def __init__(self, how: str, iterators: list[Any], function: Callable[[Any], Any]) -> None:
        context: Any = multiprocessing.get_context(how)
        self.pipes, self.processes = [], []
        for iterator in iterators:
            here, there = context.Pipe()
            process = context.Process(target=_consume, args=(function, iterator, there))
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)

    def results(self) -> list[Any]:
        """Returns results or errors; "died" for a process that sent nothing."""
        return [self.result(rank) for rank in range(len(self.pipes))]

    def result(self, rank: int) -> Any:
        assert self.pipes[rank].poll(SECONDS), f"rank {rank} hangs"
        try:
            return self.pipes[rank].recv()
        except EOFError:
            return "died"

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join(SECONDS)
            process.close()


@pytest.fixture
def consumers() -> Iterator[Callable[..., Consumers]]:
    with contextlib.ExitStack() as made:

        def start(how: str, iterators: list[Any], function: Callable[[Any], Any]) -> Consumers:
            started = Consumers(how, iterators, function)
            made.callback(started.close)
            return started

        yield start


def _consume(function: Callable[[Any], Any], iterator: Any, pipe: Any) -> None:
    try:
        result = function(iterator)
    except Exception as error:
        is_user_error = isinstance(error, UserCodeException)
        result = (type(error).__name__, str(error), is_user_error, getattr(error, "__notes__", []))
    pipe.send(result)


def ids(iterator: Any) -> list[int]:
    return [row["id"] for row in iterator.iter_rows()]


def three_epochs(iterator: Any) -> list[list[int]]:
    return [ids(iterator) for _ in range(3)]


# ---- What arrives -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["spawn", "fork", "forkserver"])
@pytest.mark.parametrize("equal", [False, True])
def test_processes_share_several_epochs(
    how: str, equal: bool, consumers: Callable[..., Consumers]
) -> None:
    ds = headrace.range(61, override_num_blocks=9).map_batches(lambda batch: batch)
    # Nothing but the processes holds the iterators.
    started = consumers(how, ds.streaming_split(2, equal=equal), three_epochs)
    for epoch in zip(*started.results(), strict=True):
        rows = sorted(row for share in epoch for row in share)
        if equal:
            assert [len(share) for share in epoch] == [30, 30]
            assert len(set(rows)) == 60
        else:
            assert rows == list(range(61))


def test_a_process_and_a_thread_share_a_split(consumers: Callable[..., Consumers]) -> None:
    here, there = headrace.range(50, override_num_blocks=10).streaming_split(2, equal=True)
    started = consumers("spawn", [there], three_epochs)
    mine = three_epochs(here)
    (theirs,) = started.results()
    for own, other in zip(mine, theirs, strict=True):
        assert (len(own), len(other)) == (25, 25)
        assert len({*own, *other}) == 50


def test_a_program_started_by_hand_gets_a_plain_pickle() -> None:
    program = textwrap.dedent("""
        import base64, pickle, sys
        iterator = pickle.loads(base64.b64decode(sys.stdin.read()))
        for _ in range(2):
            print(sum(len(batch["id"]) for batch in iterator.iter_batches(batch_size=4)))
        """)
    shards = headrace.range(40, override_num_blocks=8).streaming_split(2, equal=True)
    texts = [base64.b64encode(pickle.dumps(shard)) for shard in shards]
    del shards
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in texts
    ]
    for process, text in zip(programs, texts, strict=True):
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
    for process in programs:
        assert process.stdout is not None
        assert process.stdout.read().split() == [b"20", b"20"]
        process.stdout.close()
        assert process.wait(SECONDS) == 0


def all_kinds() -> pa.Table:
    rows = 40_000
    tensors = np.arange(rows * 4, dtype=np.float32).reshape(rows, 2, 2)
    return pa.table(
        {
            "i": np.arange(rows),
            "s": [f"row {i}" if i % 3 else None for i in range(rows)],
            "d": pa.array([f"k{i % 5}" for i in range(rows)]).dictionary_encode(),
            "l": [[i] * (i % 3) for i in range(rows)],
            "t": pa.FixedShapeTensorArray.from_numpy_ndarray(tensors),
        }
    )


def sorted_table(iterator: Any) -> pa.Table:
    tables = list(iterator.iter_batches(batch_size=None, batch_format="pyarrow"))
    return pa.concat_tables(tables).sort_by("i").combine_chunks()


@near_and_far
def test_columns_of_all_kinds_arrive_as_they_are(consumers: Callable[..., Consumers]) -> None:
    table = all_kinds()
    ds = headrace.from_arrow([table.slice(0, 15_000), table.slice(15_000)])
    results = consumers("spawn", ds.streaming_split(2, equal=True), sorted_table).results()
    assert [part.num_rows for part in results] == [20_000, 20_000]
    assert pa.concat_tables(results).sort_by("i").combine_chunks().equals(table.combine_chunks())


def rows_and_sum(iterator: Any) -> tuple[int, int]:
    ids = [i for batch in iterator.iter_batches(batch_size=None) for i in batch["id"].tolist()]
    return len(ids), sum(ids)


@near_and_far
def test_blocks_of_all_sizes_arrive(consumers: Callable[..., Consumers]) -> None:
    """In a packet, in a file, in lent memory, and at the borders between them."""
    sizes = [1, 900, 1000, 1020, 1030, 1500, 1900, 2000, 2100, 5000, 16_000, 17_000, 200_000]
    ds = headrace.from_arrow([pa.table({"id": np.arange(size)}) for size in sizes])
    results = consumers("fork", ds.streaming_split(2), rows_and_sum).results()
    assert sum(rows for rows, _ in results) == sum(sizes)
    assert sum(total for _, total in results) == sum(size * (size - 1) // 2 for size in sizes)


def wide(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"id": batch["id"], "x": np.repeat(batch["id"][:, None], 20, axis=1)}


def keep_some(iterator: Any) -> int:
    """Returns the rows, whose memory must not be used again while the batches are kept."""
    rows = 0
    kept: list[tuple[dict[str, np.ndarray], np.ndarray]] = []

    def are_as_they_were() -> bool:
        return all(
            (batch["id"] == were).all() and (batch["x"] == were[:, None]).all()
            for batch, were in kept
        )

    for number, batch in enumerate(iterator.iter_batches(batch_size=700)):
        rows += len(batch["id"])
        kept.append((batch, batch["id"].copy()))
        if number % 5 == 4:
            assert are_as_they_were()
            kept = kept[1::3]
    assert are_as_they_were()
    return rows


def test_lent_memory_is_not_written_while_it_is_looked_at(
    consumers: Callable[..., Consumers],
) -> None:
    ds = headrace.range(120_000, override_num_blocks=60).map_batches(wide, batch_size=None)
    assert sum(consumers("spawn", ds.streaming_split(2), keep_some).results()) == 120_000


def all_methods(iterator: Any) -> Any:
    torch = pytest.importorskip("torch")
    batch = next(iter(iterator.iter_torch_batches(batch_size=10, device="cpu")))["id"]
    assert isinstance(batch, torch.Tensor)
    kept = iterator.materialize()
    again = pickle.loads(pickle.dumps(iterator))
    return (
        (len(batch), kept.count(), kept.sum("id"), len(ids(again))),
        (iterator.schema().names, iterator.world_size(), "ReadRange" in iterator.stats()),
        iterator.get_context().max_task_attempts,
        sum(len(frame) for frame in iterator.iter_batches(batch_format="pandas")),
    )


@near_and_far
def test_all_methods_work_in_another_process(consumers: Callable[..., Consumers]) -> None:
    ds = headrace.range(40, override_num_blocks=4)
    ds.context.max_task_attempts = 9
    results = consumers("spawn", ds.streaming_split(2, equal=True), all_methods).results()
    assert sum(result[0][2] for result in results) == 780
    for (batch, count, _, again), facts, attempts, frames in results:
        assert (batch, count, again, frames) == (10, 20, 20, 20)
        assert facts == (["id"], 2, True)
        assert attempts == 9


def test_workers_of_a_torch_loader_are_ranks() -> None:
    torch = pytest.importorskip("torch")

    class Shards(torch.utils.data.IterableDataset):  # type: ignore[misc]
        def __init__(self, shards: list[Any]) -> None:
            self._shards = shards

        def __iter__(self) -> Iterator[Any]:
            shard = self._shards[torch.utils.data.get_worker_info().id]
            return iter(shard.iter_torch_batches(batch_size=5, device="cpu"))

    shards = headrace.range(40, override_num_blocks=8).streaming_split(2, equal=True)
    loader = torch.utils.data.DataLoader(Shards(shards), batch_size=None, num_workers=2)
    for _ in range(2):
        assert sorted(int(i) for batch in loader for i in batch["id"]) == list(range(40))


# ---- Early ends and errors --------------------------------------------------------------------


def break_early_then_read(iterator: Any) -> int:
    for _ in iterator.iter_rows():
        break
    return len(ids(iterator))


def read_twice(iterator: Any) -> int:
    ids(iterator)
    return len(ids(iterator))


def break_in_rank_0(iterator: Any) -> int:
    return break_early_then_read(iterator) if iterator._rank == 0 else read_twice(iterator)


@near_and_far
def test_an_early_break_in_one_process(consumers: Callable[..., Consumers]) -> None:
    shards = headrace.range(100, override_num_blocks=20).streaming_split(2, equal=True)
    assert consumers("fork", shards, break_in_rank_0).results() == [50, 50]


def fail_at_13(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 13:
        raise LookupError("no thirteen")
    return row


@near_and_far
def test_a_function_that_raises_raises_in_every_process(
    consumers: Callable[..., Consumers],
) -> None:
    ds = headrace.range(40, override_num_blocks=8).map(fail_at_13)
    here, *there = ds.streaming_split(3)
    started = consumers("spawn", there, ids)
    with pytest.raises(LookupError) as caught:
        ids(here)
    notes = getattr(caught.value, "__notes__", [])
    assert started.results() == [("LookupError", "no thirteen", True, notes)] * 2


def raise_interrupt(row: dict[str, Any]) -> dict[str, Any]:
    raise KeyboardInterrupt


def what_is_raised(iterator: Any) -> tuple[str, str, list[str]]:
    try:
        ids(iterator)
    except BaseException as error:
        return type(error).__name__, str(error), getattr(error, "__notes__", [])
    raise AssertionError("nothing is raised")


def no_parquet(directory: Path) -> Any:
    pq.write_table(pa.table({"id": [1]}), directory / "a.parquet")
    ds = headrace.read_parquet(str(directory))
    (directory / "a.parquet").write_bytes(b"no Parquet")
    return ds


@pytest.mark.parametrize("failing", ["a file", "KeyboardInterrupt"])
def test_other_failures_are_told_alike(
    failing: str, tmp_path: Path, consumers: Callable[..., Consumers]
) -> None:
    ds = no_parquet(tmp_path) if failing == "a file" else headrace.range(4).map(raise_interrupt)
    here, there = ds.streaming_split(2)
    started = consumers("fork", [there], what_is_raised)
    mine = what_is_raised(here)
    assert started.result(0) == mine
    assert len(mine[2]) == len(set(mine[2]))


def die_in_rank_1(iterator: Any) -> list[int]:
    for row in iterator.iter_rows():
        if iterator._rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        assert row is not None
    return []


@pytest.mark.parametrize("how", ["spawn", "fork"])
def test_a_consumer_that_dies_is_named_to_the_others(
    how: str, consumers: Callable[..., Consumers]
) -> None:
    ds = headrace.range(4_000_000, override_num_blocks=400).map_batches(lambda batch: batch)
    shards = ds.streaming_split(3, equal=True)
    started = consumers(how, shards[1:], die_in_rank_1)
    died = started.processes[0].pid
    text = f"rank 1 of the streaming split died: process {died}"
    with pytest.raises(StreamingSplitError, match=text):
        ids(shards[0])
    assert started.results() == ["died", ("StreamingSplitError", text, False, [])]
    # Nor do the others wait for it before the next epoch.
    with pytest.raises(StreamingSplitError, match=text):
        ids(shards[0])


def read_once_and_die(iterator: Any) -> None:
    ids(iterator)
    os.kill(os.getpid(), signal.SIGKILL)


@near_and_far
def test_a_consumer_that_dies_between_epochs(consumers: Callable[..., Consumers]) -> None:
    here, there = headrace.range(20, override_num_blocks=4).streaming_split(2)
    started = consumers("spawn", [there], read_once_and_die)
    ids(here)
    with pytest.raises(StreamingSplitError, match=f"rank 1 .* process {started.processes[0].pid}"):
        ids(here)
    # Another process takes its place.
    started = consumers("spawn", [there], ids)
    assert sorted(ids(here) + started.result(0)) == list(range(20))


@near_and_far
def test_nobody_is_left_who_could_come(consumers: Callable[..., Consumers]) -> None:
    here, there = headrace.range(20, override_num_blocks=4).streaming_split(2)
    started = consumers("spawn", [there], ids)
    del there
    ids(here)
    started.result(0)
    with pytest.raises(StreamingSplitError, match=r"rank 0 .* rank 1 in vain"):
        ids(here)


# ---- The end of the process that made the split -------------------------------------------------

MAKER = r"""
import multiprocessing, os, signal, sys, threading, time
import headrace

def read(iterator, pipe):
    try:
        for number, row in enumerate(iterator.iter_rows()):
            if number == 0:
                pipe.send("reads")
    except Exception as error:
        os.write(1, f"{type(error).__name__}: {error}\n".encode())  # In one piece.

if __name__ == "__main__":
    ds = headrace.range(40_000_000, override_num_blocks=400).map_batches(lambda batch: batch)
    shards = ds.streaming_split(2)
    context = multiprocessing.get_context(sys.argv[1])
    pipes = [context.Pipe() for _ in shards]
    for shard, (_, there) in zip(shards, pipes):
        context.Process(target=read, args=(shard, there)).start()
    assert [here.recv() for here, _ in pipes] == ["reads", "reads"]
    print("maker", os.getpid(), flush=True)
    {end}
"""


@pytest.mark.parametrize("how", ["spawn", "fork"])
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)", "close"])
def test_consumers_are_told_when_the_maker_ends(how: str, end: str, tmp_path: Path) -> None:
    if end == "close":  # Its exit handlers run before it waits for the processes.
        end = "from headrace._internal.streaming_split import coordinator; coordinator._close_all()"
    script = tmp_path / "maker.py"
    script.write_text(MAKER.replace("{end}", end))
    done = subprocess.run(
        [sys.executable, str(script), how], capture_output=True, timeout=SECONDS, text=True
    )
    maker, *told = done.stdout.splitlines()
    pid = maker.split()[1]
    expected = f"StreamingSplitError: process {pid}, which runs the streaming split, has ended"
    assert len(told) == 2, done.stderr
    assert [line[: len(expected)] for line in told] == [expected] * 2


class ReadWhenTold:
    """Reads a row, says so, and reads on when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.has_begun, self.may_go_on = directory / "begun", directory / "go"

    def __call__(self, iterator: Any) -> int:
        rows = 0
        for _ in iterator.iter_rows():
            if rows == 0:
                self.has_begun.touch()
                wait_until(self.may_go_on.exists, "told to go on")
            rows += 1
        return rows


@near_and_far
def test_a_reader_that_was_busy_when_the_split_was_closed_is_told(
    tmp_path: Path, consumers: Callable[..., Consumers]
) -> None:
    (shard,) = headrace.range(1000, override_num_blocks=100).streaming_split(1)
    read = ReadWhenTold(tmp_path)
    started = consumers("fork", [shard], read)
    wait_until(read.has_begun.exists, "the reader has begun")
    shard._home.close("the split is closed")
    read.may_go_on.touch()
    assert started.result(0)[:2] == ("StreamingSplitError", "the split is closed")


def test_a_pickle_of_a_process_that_is_gone() -> None:
    program = textwrap.dedent("""
        import pickle, sys, headrace
        sys.stdout.buffer.write(pickle.dumps(headrace.range(3).streaming_split(2)))
        """)
    made = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, timeout=SECONDS)
    shards = pickle.loads(made.stdout)
    assert repr(shards[1]) == "SplitDataIterator(rank=1, world_size=2)"
    with pytest.raises(StreamingSplitError, match="which runs the streaming split, has ended"):
        ids(shards[0])


INTERRUPTED = """
import threading, time, headrace
shards = headrace.range(10).streaming_split(2)

def tell():
    while not shards[0]._home._ranks[0].waiting:
        time.sleep(0.001)
    print("waits", flush=True)

try:
    threading.Thread(target=tell).start()
    list(shards[0].iter_batches({arguments}))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("arguments", ["", "batch_format='pandas'"])
def test_ctrl_c_ends_the_wait_for_the_others(arguments: str) -> None:
    program = INTERRUPTED.replace("{arguments}", arguments)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=SECONDS)[0] == "interrupted\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait(SECONDS)


# ---- What stays -------------------------------------------------------------------------------


@near_and_far
def test_no_descriptor_or_process_stays(consumers: Callable[..., Consumers]) -> None:
    def run() -> None:
        started = Consumers(
            "fork", headrace.range(100, override_num_blocks=9).streaming_split(2), ids
        )
        assert sorted(row for share in started.results() for row in share) == list(range(100))
        started.close()
        for pipe in started.pipes:
            pipe.close()
        gc.collect()
        wait_until(lambda: not split_sockets(), "a socket is left")

    run()
    files, processes = open_files(), descendants(os.getpid())
    for _ in range(3):
        run()
    wait_until(lambda: open_files() <= files, "descriptors are left")
    assert descendants(os.getpid()) <= processes
