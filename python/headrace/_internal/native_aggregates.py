"""Which aggregations the engine folds itself, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace import aggregate as kinds
from headrace.aggregate import AggregateFn, AggregateFnV2

# (kind, column, name, ignore nulls, parameter): see AggregateSpec in protocol/exchange.h.
Spec = tuple[str, str, str, bool, float]

_KINDS = {
    kinds.Sum: "sum",
    kinds.Min: "min",
    kinds.Max: "max",
    kinds.Mean: "mean",
    kinds.Std: "std",
    kinds.AbsMax: "abs_max",
    kinds.Quantile: "quantile",
    kinds.Unique: "unique",
    kinds.AsList: "list",
    kinds.CountDistinct: "count_distinct",
    kinds.MissingValuePercentage: "missing_share",
    kinds.ZeroPercentage: "zero_share",
}


def native_spec(agg: AggregateFn, name: str) -> Spec | None:
    """Returns the engine's form of `agg`; None for one that needs Python. A subclass of ours may
    do something else, so it needs Python."""
    if not isinstance(agg, AggregateFnV2):
        return None
    column, ignore_nulls = agg.get_target_column() or "", agg._ignore_nulls
    if type(agg) is kinds.Count:
        # A count with nulls is one of rows.
        return ("count", column if ignore_nulls else "", name, True, 0.0)
    kind = _KINDS.get(type(agg))
    if kind is None or not column:
        return None
    if isinstance(agg, kinds.Unique) and agg._flatten:
        return None
    parameter = 0.0
    if isinstance(agg, kinds.Std):
        parameter = float(agg._ddof)
    elif isinstance(agg, kinds.Quantile):
        parameter = float(agg._q)
    return (kind, column, name, ignore_nulls, parameter)


def native_specs(aggs: Iterable[AggregateFn], names: Iterable[str]) -> list[Spec] | None:
    """Returns the forms of all of `aggs`; None if one of them needs Python."""
    specs = []
    for agg, name in zip(aggs, names, strict=True):
        spec = native_spec(agg, name)
        if spec is None:
            return None
        specs.append(spec)
    return specs


def result_names(aggs: Sequence[Any], taken: Iterable[str] = ()) -> list[str]:
    """Returns the names of the result columns: a name that is taken gets "_2", "_3", …

    Raises TypeError for what is no aggregation.
    """
    names: list[str] = []
    seen = set(taken)
    for agg in aggs:
        if not isinstance(agg, AggregateFn):
            raise TypeError(f"an AggregateFn is needed, got: {type(agg).__name__}")
        name, count = agg.name, 1
        while name in seen:
            count += 1
            name = f"{agg.name}_{count}"
        seen.add(name)
        names.append(name)
    return names


def check_columns(aggs: Iterable[AggregateFn], columns: list[str]) -> None:
    """Raises ValueError for an aggregation of a column that is not among `columns`."""
    for agg in aggs:
        target = agg.get_target_column() if isinstance(agg, AggregateFnV2) else None
        if target is not None and target not in columns:
            raise ValueError(
                f"Column '{target}' does not exist: the dataset has the columns {columns}."
            )
