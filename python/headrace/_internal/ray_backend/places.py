"""Where tasks go: the options that Ray gets, what there is, and whether a task can ever start."""

from __future__ import annotations

import re
from typing import Any

import ray
from ray.util.placement_group import placement_group_table
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from headrace import _core
from headrace._internal.ray_backend.asking import Asked

Amounts = dict[str, float]

_SYSTEM_RESOURCES = frozenset({"CPU", "GPU", "memory", "object_store_memory"})
_BEYOND = 1 << 50  # More than there is of anything.
# What a task asks for beside GPUs where it asks for a kind of them, as in Ray.
_OF_ACCELERATOR = 0.001


def live_nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


# ---- What there is --------------------------------------------------------------------------


def there_is(asked: Asked) -> Amounts:
    """Returns what the run's tasks and actors share, less what its driver holds of it."""
    return _less(_all_there_is(asked), asked.held)


def there_may_be(asked: Asked) -> Amounts:
    """Returns the same of the cluster once it has grown as far as it can."""
    now = there_is(asked)
    if asked.group is not None:
        return now
    most = _least_upper_bound(now, most_by_autoscaler() or {})
    return {name: amount for name, amount in most.items() if amount > 0}


def store_bytes(asked: Asked) -> int:
    """Returns the memory for objects of the cluster; of a placement group, as large a part of it
    as the group has of the cpus or gpus."""
    cluster = ray.cluster_resources()
    memory = cluster.get("object_store_memory", 0)
    if asked.group is None:
        return int(memory)
    group = _all_there_is(asked)
    parts = [group.get(name, 0) / cluster[name] for name in ("CPU", "GPU") if cluster.get(name)]
    return int(memory * max(parts, default=1))


def most_by_autoscaler() -> Amounts | None:
    """Returns what all nodes have that an autoscaler may start; None if there is none."""
    most = ray._private.state.state.get_max_resources_from_cluster_config()
    return {name: float(min(amount, _BEYOND)) for name, amount in most.items()} if most else None


def _all_there_is(asked: Asked) -> Amounts:
    if asked.group is None:
        return dict(ray.cluster_resources())
    amounts: Amounts = {}
    for bundle in _bundles(asked.group):
        for name, amount in bundle.items():
            amounts[name] = amounts.get(name, 0) + amount
    return amounts


def _bundles(group: Any) -> list[Amounts]:
    bundles = placement_group_table(group).get("bundles")
    if not bundles:
        raise ValueError(f"the placement group {group.id.hex()} does not exist any more")
    return list(bundles.values())


def _less(amounts: Amounts, held: Amounts) -> Amounts:
    return {name: max(0.0, amount - held.get(name, 0)) for name, amount in amounts.items()}


def _least_upper_bound(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


# ---- Options --------------------------------------------------------------------------------


def options_for(
    cost: _core.Resources, place: dict[str, Any], asked: Asked, *, large: bool
) -> dict[str, Any]:
    """Returns the options of a task or actor of Ray.

    Args:
        place: what its operator asks for.
        large: its inputs are, so that it should be where they are.
    """
    options: dict[str, Any] = {"num_cpus": cost.cpu, **place}
    if cost.gpu:
        options["num_gpus"] = cost.gpu
    if cost.memory:
        options["memory"] = cost.memory
    if cost.custom:
        options["resources"] = dict(cost.custom)
    strategy = place.get("scheduling_strategy")
    if strategy is None:
        strategy = asked.large_strategy if large else asked.strategy
    if asked.group is not None and (strategy is None or isinstance(strategy, str)):
        strategy = PlacementGroupSchedulingStrategy(
            asked.group, placement_group_capture_child_tasks=True
        )
    options["scheduling_strategy"] = strategy
    if asked.label_selector and isinstance(strategy, str):
        options["label_selector"] = {**asked.label_selector, **(place.get("label_selector") or {})}
    return options


def amounts_of(cost: _core.Resources) -> Amounts:
    asked = {"CPU": cost.cpu, "GPU": cost.gpu, "memory": cost.memory, **cost.custom}
    return {name: amount for name, amount in asked.items() if amount > 0}


def to_resources(amounts: Amounts) -> _core.Resources:
    return _core.Resources(
        cpu=amounts.get("CPU", 0),
        gpu=amounts.get("GPU", 0),
        memory=int(amounts.get("memory", 0)),
        custom={name: amount for name, amount in amounts.items() if name not in _SYSTEM_RESOURCES},
    )


def differ(one: Amounts, other: Amounts) -> bool:
    """Returns True if tasks would see a difference; an object store's size is none."""
    return repr(to_resources(one)) != repr(to_resources(other))


# ---- Whether it can start -------------------------------------------------------------------


def check_fits(cost: _core.Resources, options: dict[str, Any]) -> None:
    """Raises ValueError if a task with `options` would wait for ever: nothing of what it may run on
    has what it asks for, and no autoscaler could bring a node that has."""
    asked = amounts_of(cost)
    if options.get("accelerator_type"):
        asked[f"accelerator_type:{options['accelerator_type']}"] = _OF_ACCELERATOR
    strategy = options["scheduling_strategy"]
    group = isinstance(strategy, PlacementGroupSchedulingStrategy) and strategy.placement_group
    if group:
        where, kind = _bundles(group), "no bundle of the placement group"
        index = strategy.placement_group_bundle_index
        where = where if index < 0 else where[index : index + 1]
    else:
        nodes = [node for node in live_nodes() if _may_run_on(node, options)]
        where, kind = [node["Resources"] for node in nodes], "no node of the Ray cluster"
        if not nodes and not options.get("fallback_strategy") and not most_by_autoscaler():
            raise ValueError(f"{kind} is what {_wishes(options)} asks for")
    if any(all(has.get(name, 0) >= asked[name] for name in asked) for has in where):
        return
    if not group and (options.get("fallback_strategy") or most_by_autoscaler()):
        return
    most = {name: max((has.get(name, 0) for has in where), default=0) for name in asked}
    shortages = [f"{name} {asked[name]:g} (the most is {most[name]:g})" for name in asked]
    raise ValueError(f"{kind} has what one task or actor asks for: " + ", ".join(shortages))


def _wishes(options: dict[str, Any]) -> str:
    strategy = options["scheduling_strategy"]
    if isinstance(strategy, NodeAffinitySchedulingStrategy):
        return f"scheduling_strategy=NodeAffinitySchedulingStrategy({strategy.node_id!r})"
    return f"label_selector={options.get('label_selector')}"


def _may_run_on(node: dict[str, Any], options: dict[str, Any]) -> bool:
    strategy = options["scheduling_strategy"]
    if isinstance(strategy, NodeAffinitySchedulingStrategy) and not strategy.soft:
        return node["NodeID"] == strategy.node_id
    labels = node.get("Labels") or {}
    selector = options.get("label_selector") or {}
    return all(matches(labels.get(name), wish) for name, wish in selector.items())


def matches(label: str | None, wish: str) -> bool:
    """Returns True if a node's label is what a selector wishes, in Ray's form: "a", "!a", "in(a,b)"
    or "!in(a,b)"."""
    positive = not wish.startswith("!")
    wish = wish.removeprefix("!")
    listed = re.fullmatch(r"in\((.*)\)", wish)
    values = [value.strip() for value in listed[1].split(",")] if listed else [wish]
    return (label in values) == positive
