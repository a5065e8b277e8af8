"""The process's engine: what it may use, its start and its end."""

from __future__ import annotations

import os
from typing import Any

from headrace import _core

_state = {"initialized": False}


def init(
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: int | None = None,
    object_store_memory: int | None = None,
    spill_directory: str | None = None,
    resources: dict[str, float] | None = None,
    ignore_reinit_error: bool = False,
    **ignored: Any,
) -> None:
    """Says what the engine may use. Optional, and only before the first dataset runs.

    Args:
        num_cpus: cores; default: those of the process.
        num_gpus: GPUs; default: none.
        memory: bytes of heap for tasks that ask for memory; default: the machine's.
        object_store_memory: bytes for blocks in memory; default: 30 % of the machine's.
        spill_directory: where blocks go that have no room; default: the temporary directory.
        resources: other resources by name.
        ignore_reinit_error: do nothing if the engine runs already.
        ignored: further arguments of `ray.init`, which mean nothing here.

    The environment sets defaults: HEADRACE_NUM_CPUS, HEADRACE_NUM_GPUS,
    HEADRACE_OBJECT_STORE_MEMORY, HEADRACE_SPILL_DIRECTORY.

    Raises:
        RuntimeError: the engine runs already.
        ValueError: a negative amount.
    """
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


def is_initialized() -> bool:
    """Returns True if `init` was called since the last `shutdown`."""
    return _state["initialized"]


def shutdown() -> None:
    """Ends worker processes, frees all blocks and removes files; the next use starts anew.

    Called at exit, too. Materialized datasets are gone afterwards.
    """
    _state["initialized"] = False
    _core.shutdown()


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
