"""What users ask of a cluster: for a run, and for the tasks of one operator.

Both cross the engine as bytes, which it only compares: they are made here and read by the bridge.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.context import DataContext

#: Arguments of `ray.remote` that say where, or in what, the tasks of one operator run.
PLACING = frozenset(
    {
        "accelerator_type",
        "fallback_strategy",
        "label_selector",
        "runtime_env",
        "scheduling_strategy",
    }
)


@dataclass(frozen=True)
class Asked:
    """What a run asks for where its operators ask for nothing."""

    strategy: Any = "SPREAD"
    #: With inputs of so many bytes a task goes to where they are.
    large_strategy: Any = "DEFAULT"
    large_bytes: int = 50 * 1024 * 1024
    label_selector: dict[str, str] | None = None
    #: The only resources that the run uses; None: the cluster.
    group: Any = None
    #: What the task or actor that runs the driver holds of them.
    held: dict[str, float] = field(default_factory=dict)


def asked_by(context: DataContext) -> bytes:
    """Returns what a run under `context` asks for. Requires a call by the run's user: a task or
    actor of Ray knows its placement group."""
    import ray
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    strategy, group = context.scheduling_strategy, None
    held: dict[str, float] = {}
    if ray.is_initialized():
        group, held = _surroundings(ray)
    if isinstance(strategy, PlacementGroupSchedulingStrategy):
        group, strategy = strategy.placement_group, Asked.strategy
    return pickle.dumps(
        Asked(
            strategy=strategy,
            large_strategy=context.scheduling_strategy_large_args,
            large_bytes=context.large_args_threshold,
            label_selector=context.execution_options.label_selector,
            group=group,
            held=held,
        )
    )


def _surroundings(ray: Any) -> tuple[Any, dict[str, float]]:
    """Returns the placement group in which this task or actor runs, if its children are to stay
    there, and what it holds."""
    worker = ray._private.worker.global_worker
    if worker.mode != ray.WORKER_MODE:
        return None, {}
    held = ray.get_runtime_context().get_assigned_resources()
    group = ray.util.get_current_placement_group()
    if group is not None and not worker.should_capture_child_tasks_in_placement_group:
        group = None
    return group, held


def read_asked(asked: bytes) -> Asked:
    return pickle.loads(asked) if asked else Asked()


def place_of(remote_args: dict[str, Any]) -> bytes:
    """Returns the placing ones of an operator's remote arguments; equal bytes for equal ones."""
    import cloudpickle

    found = {name: remote_args[name] for name in sorted(PLACING) if remote_args.get(name)}
    return cloudpickle.dumps(found) if found else b""


def read_place(place: bytes) -> dict[str, Any]:
    return pickle.loads(place) if place else {}
