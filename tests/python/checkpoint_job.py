"""A write that a test kills: started as a process of its own by test_checkpoint.py.

    python checkpoint_job.py JOB.json

The job says what to do; "kill" says when this process kills itself: {"at": "call", "number": n}
when its functions were called n times in all, in whatever process; {"at": "step", "number": n} at
the n-th Python call or return of the driver's thread inside the package; {"at": "file", "number":
n} before the n-th operation of the target's file system. "count" instead of "kill" prints how many
steps and file operations there are.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import signal
import sys
import threading
from typing import Any

import numpy as np
from pyarrow import fs

import headrace
from headrace.context import DataContext
from headrace.datasource import FilenameProvider


def note(folder: str, kind: str, first: int) -> None:
    """Notes a call in the log; kills what the job says is to be killed at it."""
    log = os.open(os.path.join(folder, "calls"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, f"{kind:>5} {first:>9}\n".encode())
    number = os.fstat(log).st_size // 16
    os.close(log)
    with open(os.path.join(folder, "kill")) as file:
        kill = json.load(file)
    if kill["at"] == "call" and number == kill["number"]:
        os.kill(kill["driver"], signal.SIGKILL)
        signal.pause()  # Dies with the driver.
    if kill["at"] == "worker" and number % kill["number"] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def work() -> None:
    """Takes some milliseconds, as tasks do that are worth a checkpoint."""
    hashlib.sha256(bytes(8 << 20)).digest()


ROWS = 1200


class Doubler:
    """A function as a class, for actors."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        work()
        note(self.folder, "actor", int(batch["id"][0]))
        return {"id": batch["id"], "y": batch["id"] * 2}


def make_dataset(job: dict[str, Any]) -> headrace.Dataset:
    folder = job["folder"]
    change = job.get("change", 0)

    def triple(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        work()
        note(folder, "batch", int(batch["id"][0]))
        return {"id": batch["id"], "x": batch["id"] * 3 + change}

    def after(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        work()
        note(folder, "after", int(batch["id"][0]))
        return {**batch, "z": batch["id"] + 1}

    def spread(group: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"id": group["id"], "spread": group["id"] - group["id"].min()}

    def read() -> headrace.Dataset:
        return headrace.read_parquet(job["source"], override_num_blocks=job["parts"])

    def chosen(row: dict[str, Any]) -> bool:
        return bool(row["id"] % 3)

    plans = {
        "fused": lambda: read().map_batches(triple),
        "filtered": lambda: read().map_batches(triple).filter(chosen),
        "native": lambda: read().filter(expr=headrace.expressions.col("id") % 2 == 0),
        "actors": lambda: (
            read()
            .map_batches(Doubler, fn_constructor_args=(folder,), concurrency=2)
            .filter(expr=headrace.expressions.col("y") > 100)
        ),
        "batches": lambda: read().map_batches(triple, batch_size=70),
        "union": lambda: (
            read().map_batches(triple).union(headrace.range(500, override_num_blocks=10))
        ),
        "memory": lambda: headrace.from_items(
            [{"id": i} for i in range(600)], override_num_blocks=12
        ).map_batches(triple),
        "limited": lambda: read().map_batches(triple).limit(500).map_batches(after),
        "sorted": lambda: (
            read().map_batches(triple).sort("x", descending=True).repartition(20).map_batches(after)
        ),
        "shuffled": lambda: read().random_shuffle(seed=4).repartition(20).map_batches(after),
        "grouped": lambda: (
            read()
            .add_column("k", lambda batch: batch["id"] % 17, batch_format="numpy")
            .groupby("k", num_partitions=8)
            .map_groups(spread, batch_format="numpy")
            .map_batches(after)
        ),
        "joined": lambda: (
            read()
            .map_batches(triple)
            .join(headrace.range(ROWS // 2, override_num_blocks=4), "inner", 3, ("id",))
            .map_batches(after)
        ),
        "emptied": lambda: read().filter(expr=headrace.expressions.col("id") < 0).sort("id"),
    }
    plans |= lettered_plans(folder, read().map_batches(triple), after)
    return plans[job["plan"]]()


def fail(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] % 10 == 3:
        raise ValueError("a bad row")
    return row


def fail_more(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] % 10 == 7:
        raise ValueError("another bad row")
    return row


def lettered_plans(folder: str, tripled: headrace.Dataset, after: Any) -> dict[str, Any]:
    """Plans with rows on which functions fail."""
    letters = headrace.DeadLetters(os.path.join(folder, "letters"))
    first = tripled.map(fail, on_error=letters)
    more = headrace.range(100, override_num_blocks=10).map(fail, on_error=letters)
    plans = {
        "lettered": lambda: first.map_batches(
            Doubler, fn_constructor_args=(folder,), concurrency=2
        ),
        "lettered, joined": lambda: first.union(more).map_batches(after, num_cpus=0.5),
        "lettered, sorted": lambda: first.sort("id").repartition(20).map_batches(after),
    }
    return {
        name: lambda plan=plan: plan().map(fail_more, on_error=letters)
        for name, plan in plans.items()
    }


class Numbered(FilenameProvider):
    """The same names in each run."""

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        return f"part-{task_index}.json"


class CountedHandler(fs.FileSystemHandler):
    """The local file system, which calls `before(name)` before each operation."""

    def __init__(self, before: Any) -> None:
        self.inner = fs.LocalFileSystem()
        self.before = before

    def __reduce__(self) -> Any:
        return CountedHandler, (do_nothing,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CountedHandler)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def get_type_name(self) -> str:
        return "counted"

    def normalize_path(self, path: str) -> str:
        return path

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.before(name)
        return getattr(self.inner, name)(*args, **kwargs)

    def get_file_info(self, paths: list[str]) -> Any:
        return self._call("get_file_info", paths)

    def get_file_info_selector(self, selector: Any) -> Any:
        return self._call("get_file_info", selector)

    def create_dir(self, path: str, recursive: bool) -> None:
        self._call("create_dir", path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self._call("delete_dir", path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._call("delete_dir_contents", path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self._call("delete_file", path)

    def move(self, src: str, dest: str) -> None:
        self._call("move", src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self._call("copy_file", src, dest)

    def open_input_stream(self, path: str) -> Any:
        return self._call("open_input_stream", path)

    def open_input_file(self, path: str) -> Any:
        return self._call("open_input_file", path)

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return self._call("open_output_stream", path)

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        return self._call("open_append_stream", path)


def do_nothing(name: str) -> None:
    """In workers nothing is counted."""


class Counter:
    """Counts what happens in this process, and kills it at a number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self._lock = threading.Lock()

    def step(self, *_: Any) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.number:
                os.kill(os.getpid(), signal.SIGKILL)

    def profile(self, frame: Any, event: str, _: Any) -> None:
        if str(frame.f_globals.get("__name__")).startswith("headrace"):
            self.step()


def main() -> None:
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    kill = job.get("kill", {"at": "never"})
    pathlib.Path(job["folder"], "kill").write_text(json.dumps({**kill, "driver": os.getpid()}))
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_task_attempts = 20
    headrace.init(num_cpus=job.get("cpus", 2))
    number = kill.get("number", -1)
    files = Counter(number if kill["at"] == "file" else -1)
    steps = Counter(number if kill["at"] == "step" else -1)
    options = dict(job.get("options", {}))
    if job.get("counted_files"):
        options["filesystem"] = fs.PyFileSystem(CountedHandler(files.step))
    if job.get("numbered"):
        options["filename_provider"] = Numbered()
    if job.get("checkpoint"):
        options["checkpoint"] = job["checkpoint"]
    write = getattr(make_dataset(job), f"write_{job['format']}")
    sys.setprofile(steps.profile)
    write(job["target"], **options)
    sys.setprofile(None)
    print(json.dumps({"steps": steps.count, "files": files.count}))


if __name__ == "__main__":
    main()
