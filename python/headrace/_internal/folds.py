"""Folds all rows of a dataset by aggregations: block by block, as the blocks come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace import _core
from headrace._internal.native_aggregates import Spec, native_specs, result_names

if TYPE_CHECKING:
    from headrace.aggregate import AggregateFn


def fold(dataset: Any, aggs: Sequence[AggregateFn]) -> dict[str, Any]:
    """Returns name → result; reads only the columns that the aggregations name.

    Raises ValueError for a column that does not exist.
    """
    plan = _needed_columns(dataset, aggs)
    specs = native_specs(aggs, result_names(aggs))
    if specs is not None:
        return _fold_natively(dataset, plan, specs)
    partials: list[tuple[tuple[int, ...], list[Any]]] = []
    for block in dataset._blocks(plan):
        if block.num_rows == 0:
            continue
        table = block.get()
        folded = [agg.accumulate_block(agg.init(None), table) for agg in aggs]
        partials.append((block.position, folded))
    # Joined in order of position, so that the result does not depend on timing.
    partials.sort(key=lambda partial: partial[0])
    accumulators = [agg.init(None) for agg in aggs]
    for _, folded in partials:
        for i, agg in enumerate(aggs):
            accumulators[i] = agg.merge(accumulators[i], folded[i])
    return {
        agg.name: _python_number(agg.finalize(accumulator))
        for agg, accumulator in zip(aggs, accumulators, strict=True)
    }


def _python_number(value: Any) -> Any:
    """Returns what a row would hold: Python's numbers in place of numpy's."""
    if isinstance(value, (np.number, np.bool_)) and not isinstance(value, np.timedelta64):
        return value.item()
    return value


def _fold_natively(dataset: Any, plan: _core.Plan, specs: list[Spec]) -> dict[str, Any]:
    """Folds in the engine: one row comes out."""
    results: dict[str, Any] = {}
    for block in dataset._blocks(plan.aggregate([], specs)):
        for row in _core.rows_of(block.get()):
            for name, value in row.items():
                results[name] = value.tolist() if isinstance(value, np.ndarray) else value
    return results


def _needed_columns(dataset: Any, aggs: Sequence[AggregateFn]) -> _core.Plan:
    """Returns the plan with only the columns needed; as it is where one wants whole rows."""
    columns: dict[str, None] = {}
    known = dataset._known_schema()
    for agg in aggs:
        target = agg.get_target_column() if hasattr(agg, "get_target_column") else None
        if target is None:
            if getattr(agg, "needs_rows", True):
                return dataset._plan
            continue
        if known is not None and target not in known.names:
            raise ValueError(
                f"Column '{target}' does not exist: the dataset has the columns {known.names}."
            )
        columns[target] = None
    if not columns:
        return dataset._without_columns()
    exprs = [(name, _core.Expr.column(name)) for name in columns]
    return dataset._plan.project(keep_rest=False, exprs=exprs)
