"""From the arguments of the transforming verbs to what `plan_building.py` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.compute import TaskPoolStrategy
from headrace._internal.plan_building import make_placement

if TYPE_CHECKING:
    from headrace.context import DataContext


class AddColumn:
    """Calls the user's function and puts its result into the batch."""

    def __init__(self, col: str, fn: Callable[[Any], Any]) -> None:
        self._col = col
        self._fn = fn

    def __call__(self, batch: Any) -> Any:
        column = self._fn(batch)
        if not isinstance(batch, pa.Table):
            batch[self._col] = column
            return batch
        from headrace.block import BlockAccessor

        if not isinstance(column, (pa.Array, pa.ChunkedArray)):
            column = BlockAccessor.batch_to_arrow_block({self._col: column}).column(0)
        return BlockAccessor.for_block(batch).upsert_column(self._col, column)


class PyArrowFilter:
    """Filters tables by an expression of pyarrow."""

    def __init__(self, predicate: Any) -> None:
        self._predicate = predicate

    def __call__(self, table: pa.Table) -> pa.Table:
        return table.filter(self._predicate)


def function_arguments(
    fn_args: Any, fn_kwargs: Any, fn_constructor_args: Any, fn_constructor_kwargs: Any
) -> dict[str, Any]:
    return {
        "fn_args": fn_args,
        "fn_kwargs": fn_kwargs,
        "fn_constructor_args": fn_constructor_args,
        "fn_constructor_kwargs": fn_constructor_kwargs,
    }


def resource_arguments(
    num_cpus: float | None,
    num_gpus: float | None,
    memory: float | None,
    resources: dict[str, float] | None,
    ray_remote_args_fn: Callable[[], dict[str, Any]] | None,
    ray_remote_args: dict[str, Any],
) -> dict[str, Any]:
    nested = ray_remote_args.pop("ray_remote_args", None) or {}
    return {
        "num_cpus": num_cpus,
        "num_gpus": num_gpus,
        "memory": memory,
        "resources": resources,
        "ray_remote_args_fn": ray_remote_args_fn,
        "ray_remote_args": {**nested, **ray_remote_args},
    }


def native_placement(
    compute: Any, concurrency: Any, given: dict[str, Any], context: DataContext
) -> _core.Placement | None:
    """Returns the placement of a native verb; None where nothing was asked, so that it fuses."""
    given = {key: value for key, value in given.items() if value}
    given.pop("ray_remote_args_fn", None)
    if compute is None and concurrency is None and not given:
        return None
    if isinstance(concurrency, tuple):
        concurrency = concurrency[1] if len(concurrency) > 1 else None
    strategy = compute if isinstance(compute, TaskPoolStrategy) else TaskPoolStrategy(concurrency)
    return make_placement(strategy, context=context, **given)


def rename_pairs(
    names: list[str] | dict[str, str], existing: Callable[[], list[str]]
) -> list[tuple[str, str]]:
    if isinstance(names, dict):
        if not names:
            raise ValueError("rename_columns received 'names' with no entries.")
        if not all(isinstance(a, str) and isinstance(b, str) for a, b in names.items()):
            raise ValueError(
                "rename_columns requires both keys and values in the 'names' to be strings."
            )
        if len(set(names.values())) != len(names):
            raise ValueError(f"rename_columns received duplicate values in the 'names': {names}")
        return list(names.items())
    if not isinstance(names, list):
        raise TypeError(
            "rename_columns expected names to be either List[str] or Dict[str, str], got "
            f"{type(names)}."
        )
    if not names:
        raise ValueError("rename_columns requires 'names' with at least one column name.")
    if len(set(names)) != len(names):
        raise ValueError(f"rename_columns received duplicate values in the 'names': {names}")
    if not all(isinstance(name, str) for name in names):
        raise ValueError("rename_columns requires all elements of 'names' to be strings.")
    current = existing()
    if len(current) != len(names):
        raise ValueError(
            f"rename_columns requires 'names': {names} length match current schema names: "
            f"{current}."
        )
    return list(zip(current, names, strict=True))
