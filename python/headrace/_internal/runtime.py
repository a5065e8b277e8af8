"""The process's engine: what it may use, its start and its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from headrace import _core

if TYPE_CHECKING:
    from headrace.context import DataContext

_BACKENDS = ("local", "ray")

# Arguments of verbs that say where, or in what, a worker of a cluster runs: those that are no
# entries of `ray_remote_args`.
_PLACING = frozenset({"accelerator_type", "fallback_strategy", "label_selector", "runtime_env"})

# Of the next session: what init() said of its backend. None: nothing.
_state: dict[str, Any] = {"initialized": False, "backend": None, "address": None, "options": {}}


def init(
    *,
    backend: str | None = None,
    address: str | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: int | None = None,
    object_store_memory: int | None = None,
    spill_directory: str | None = None,
    resources: dict[str, float] | None = None,
    ignore_reinit_error: bool = False,
    **options: Any,
) -> None:
    """Says where the engine runs and what it may use. Optional, and only before the first dataset.

    Args:
        backend: "local" is this machine, the default; "ray" is a Ray cluster: all tasks run in its
            workers, and all blocks lie in its object store.
        address: of the Ray cluster, as `ray.init` takes it; implies backend="ray". Default: the
            cluster that this process is connected to, or that RAY_ADDRESS names, or a new one on
            this machine, to which the amounts below then apply.
        num_cpus: cores; default: those of the process.
        num_gpus: GPUs; default: none.
        memory: bytes of heap for tasks that ask for memory; default: the machine's.
        object_store_memory: bytes for blocks in memory; default: 30 % of the machine's.
        spill_directory: where blocks go that have no room; default: the temporary directory.
        resources: other resources by name.
        ignore_reinit_error: do nothing if the engine runs already.
        options: further arguments of `ray.init`, which mean nothing to the local backend.

    The environment sets defaults: HEADRACE_BACKEND, HEADRACE_NUM_CPUS, HEADRACE_NUM_GPUS,
    HEADRACE_OBJECT_STORE_MEMORY, HEADRACE_SPILL_DIRECTORY.

    Raises:
        RuntimeError: the engine runs already.
        ValueError: a negative amount, or an unknown backend.
        ImportError: backend="ray", and Ray is not installed, or too old.
        ConnectionError: there is no Ray cluster at `address`.
    """
    if backend is None and address is not None:
        backend = "ray"
    check_backend_name(backend)
    if address is not None and backend != "ray":
        raise ValueError(f"address={address!r} is that of a Ray cluster, but backend={backend!r}")
    amounts = {"num_cpus": num_cpus, "num_gpus": num_gpus, "memory": memory}
    amounts["object_store_memory"] = object_store_memory
    for name, amount in amounts.items():
        if amount is not None and amount < 0:
            raise ValueError(f"{name} must be >= 0, got: {amount}")
    try:
        _core.configure(
            cpus=_or_environment(num_cpus, "NUM_CPUS"),
            gpus=_or_environment(num_gpus, "NUM_GPUS"),
            memory=int(memory or 0),
            custom=resources,
            object_store_bytes=int(_or_environment(object_store_memory, "OBJECT_STORE_MEMORY")),
            spill_directory=spill_directory or os.environ.get("HEADRACE_SPILL_DIRECTORY", ""),
        )
    except RuntimeError:
        if not ignore_reinit_error:
            raise
        _state["initialized"] = True
        return
    _state["backend"] = backend
    _state["address"] = address
    _state["options"] = {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "object_store_memory": object_store_memory,
        "resources": resources,
        **options,
    }
    if backend == "ray":
        try:
            _core.capacity()  # Connects now, so that what is wrong shows here.
        except BaseException:
            _state.update(backend=None, address=None, options={})
            raise
    _state["initialized"] = True


def is_initialized() -> bool:
    """Returns True if `init` was called since the last `shutdown`."""
    return _state["initialized"]


def shutdown() -> None:
    """Ends worker processes, frees all blocks and removes files; the next use starts anew.

    Called at exit, too. Materialized datasets are gone afterwards.
    """
    _state.update(initialized=False, backend=None, address=None, options={})
    _core.shutdown()


def check_backend_name(name: str | None) -> None:
    """Raises ValueError for what is no backend."""
    if name is not None and name not in _BACKENDS:
        raise ValueError(f"backend must be one of {_BACKENDS}, got: {name!r}")


def chosen_backend() -> str:
    """Returns the backend of the next session: what `init` said, else the current context."""
    from headrace.context import DataContext

    name = _state["backend"] or DataContext.get_current().backend
    check_backend_name(name)
    return name or "local"


def check_backend(asked: str | None) -> None:
    """Raises RuntimeError if this process runs on another backend than a dataset asks for."""
    check_backend_name(asked)
    running = _core.backend()
    if asked and running and asked != running:
        raise RuntimeError(
            f"DataContext.backend is {asked!r}, but headrace runs on the backend {running!r} in "
            "this process: call headrace.shutdown() first, which frees its blocks"
        )


def with_placing(arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a verb with those that say where, or in what, its tasks run on a
    cluster among its `ray_remote_args`. One machine has one place."""
    given = {name for name in _PLACING if arguments.get(name) is not None}
    if not given or chosen_backend() != "ray":
        return arguments
    remote = {**(arguments.get("ray_remote_args") or {}), **{n: arguments[n] for n in given}}
    rest = {name: value for name, value in arguments.items() if name not in given}
    return {**rest, "ray_remote_args": remote}


def place_on_cluster(remote_args: dict[str, Any]) -> bytes:
    """Returns what of an operator's remote arguments says where its tasks run, for the bridge;
    nothing on this machine."""
    if not remote_args or chosen_backend() != "ray":
        return b""
    from headrace._internal.ray_backend import asking

    return asking.place_of(remote_args)


def asked_of_cluster(context: DataContext) -> bytes:
    """Returns what a run under `context` asks of the cluster, for the bridge."""
    if chosen_backend() != "ray":
        return b""
    from headrace._internal.ray_backend import asking

    return asking.asked_by(context)


def connect() -> Any:
    """Returns the bridge to the cluster of the new session, None for this machine. The engine calls
    it when it makes a session."""
    if chosen_backend() == "local":
        return None
    from headrace._internal.ray_backend import connect

    return connect.connect(_state["address"], **_state["options"])


def configure_from_environment() -> None:
    """Applies the environment's settings, if there are any, when the package is imported."""
    names = ("NUM_CPUS", "NUM_GPUS", "OBJECT_STORE_MEMORY", "SPILL_DIRECTORY")
    if any(os.environ.get(f"HEADRACE_{name}") for name in names):
        init(ignore_reinit_error=True)
        _state["initialized"] = False


def _or_environment(value: float | None, name: str) -> float:
    if value is not None:
        return value
    return float(os.environ.get(f"HEADRACE_{name}") or 0)
