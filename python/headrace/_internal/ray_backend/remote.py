"""The workers' side: runs task programs over blocks that Ray has brought.

`task_function` and `actor_class` make what is sent to the workers. They travel by value, so that a
worker without this package can say so; the rest of this module is imported there.
"""

from __future__ import annotations

import collections
import os
import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from headrace import _core

#: Before the info of each output: the bytes of its rows.
SIZE = struct.Struct("<q")

# Drivers of one Ray job share its workers: trainers, trials of a tuner. So many are remembered.
_DRIVERS_KEPT = 8
Versions = dict[str, str]


def versions() -> Versions:
    """Returns what driver and workers must have in common."""
    return {
        "Headrace": f"{_core.__version__} (wire {_core.BRIDGE_VERSION})",
        "pyarrow": pa.__version__,
    }


# ---- What travels by value ------------------------------------------------------------------


def _loader(expected: Versions) -> Callable[[], Any]:
    def load() -> Any:
        import os

        os.environ.setdefault("HEADRACE_LAZY_IMPORT", "1")
        try:
            from headrace._internal.ray_backend import remote
        except ImportError as error:
            import socket

            raise RuntimeError(
                f"Headrace cannot be imported on node {socket.gethostname()} ({error}): install "
                f"{expected['Headrace'].split()[0]} there, as where the job was started, or ship "
                "it with runtime_env={'py_modules': [headrace]}"
            ) from None
        remote.check_versions(expected)
        return remote

    return load


def task_function(expected: Versions) -> Callable[..., Iterator[Any]]:
    """Returns the function that a Ray task runs: a generator of outputs, see `run`."""
    load = _loader(expected)

    def headrace_task(driver: str, program: int, record: Any, order: bytes, *blocks: Any) -> Any:
        yield from load().run(driver, program, record, order, blocks)

    return headrace_task


def actor_class(expected: Versions) -> type:
    """Returns the class of a Ray actor that keeps instances of the user's classes."""
    load = _loader(expected)

    class HeadraceActor:
        def start(self, driver: str, program: int, record: Any) -> bytes:
            return load().start_actor(driver, program, record)

        def run(self, driver: str, program: int, record: Any, order: bytes, *blocks: Any) -> Any:
            yield from load().run(driver, program, record, order, blocks)

    return HeadraceActor


# ---- In the worker --------------------------------------------------------------------------


class _Driver:
    """What the tasks of one driver share in this process: functions, instances, programs."""

    def __init__(self) -> None:
        from headrace._internal.worker import Runtime

        self.worker = _core.RemoteWorker(Runtime())
        self.programs: dict[int, _core.RemoteProgram] = {}


_drivers: collections.OrderedDict[str, _Driver] = collections.OrderedDict()


def check_versions(expected: Versions) -> None:
    """Raises RuntimeError if this process has not what the driver has."""
    here = versions()
    for name, version in expected.items():
        if here[name] != version:
            import socket

            raise RuntimeError(
                f"the driver has {name} {version}, but node {socket.gethostname()} has "
                f"{here[name]}: install the same version on all nodes"
            )


def run(
    driver: str, program: int, record: Any, order: bytes, blocks: tuple[pa.Table, ...]
) -> Iterator[Any]:
    """Runs one task. Yields each output as two objects, a table and its info; and at the end the
    report of the task. What the user's function raises is in the report."""
    state = _driver(driver)
    loaded = _program(state, program, record)
    task = _core.RemoteTask(state.worker, loaded, order, [unpack(block) for block in blocks])
    del blocks
    while True:
        table, num_bytes, info = task.next()
        if table is None:
            yield info
            return
        yield pack(table)
        del table
        yield SIZE.pack(num_bytes) + info


def start_actor(driver: str, program: int, record: Any) -> bytes:
    """Makes the instances of the program's classes. Returns why that failed, or nothing."""
    state = _driver(driver)
    return state.worker.start_actor(_program(state, program, record))


def pack(table: pa.Table) -> Any:
    """Returns what goes into Ray's store for `table`: itself, or its Arrow stream where Ray, which
    has its own way with tables, does not know a type. Both are read without a copy."""
    if not any(map(_is_strange, table.schema.types)):
        return table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def unpack(block: Any) -> pa.Table:
    """Returns the table of what `pack` gave."""
    return block if isinstance(block, pa.Table) else pa.ipc.open_stream(block).read_all()


def _is_strange(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        known = isinstance(kind, (pa.ExtensionType, pa.FixedShapeTensorType))
        return not known or _is_strange(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _is_strange(kind.value_type)
    if any(is_kind(kind) for is_kind in _STRANGE):
        return True
    return any(_is_strange(kind.field(i).type) for i in range(kind.num_fields))


_STRANGE = (
    pa.types.is_string_view,
    pa.types.is_binary_view,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
    pa.types.is_run_end_encoded,
)


def make_record(setup: bytes, program: bytes) -> bytes:
    """Returns what a worker needs to know a program: also where its functions' modules are."""
    return pickle.dumps((setup, program))


def _driver(token: str) -> _Driver:
    state = _drivers.pop(token, None) or _Driver()
    _drivers[token] = state
    if len(_drivers) > _DRIVERS_KEPT:
        _drivers.popitem(last=False)
    return state


def _program(state: _Driver, number: int, record: Any) -> _core.RemoteProgram:
    loaded = state.programs.get(number)
    if loaded is None:
        if not isinstance(record, bytes):
            import ray

            record = ray.get(record[0])
        setup, program = pickle.loads(record)
        _apply_setup(setup)
        loaded = state.programs[number] = state.worker.load(program)
    return loaded


def _apply_setup(setup: bytes) -> None:
    """Makes modules and relative paths of the driver's be found, where they exist here."""
    # The runs that a function starts here are not recorded: they would replace the driver's logs.
    os.environ.pop("HEADRACE_EVENT_LOG", None)
    sys_path, directory = pickle.loads(setup)
    known = set(sys.path)
    sys.path += [entry for entry in sys_path if entry not in known and os.path.exists(entry)]
    if directory and os.path.isdir(directory):
        os.chdir(directory)
