"""Aggregations that keep a sketch of bounded size: quantiles and the most frequent values.

The quantile sketch is a stack of compactors, as in Karnin, Lang and Liberty, "Optimal Quantile
Approximation in Streams" (2016): values at level i stand for 2^i values each. The counter of
frequent values is that of Misra and Gries (1982), with the median as what is taken away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from headrace._internal.aggregate_base import AggregateFnV2, default_name, target_column
from headrace.block import Block, BlockAccessor


class QuantileSketch:
    """Numbers of which about `precision` are kept for each level.

    The rank of a quantile is off by about 1.7 / `precision` of the values.
    """

    def __init__(self, precision: int) -> None:
        self._precision = max(2, precision)
        self._levels: list[np.ndarray] = [np.empty(0)]
        self._keep_odd = False

    def add(self, values: np.ndarray) -> None:
        """Adds numbers; nan does not count."""
        values = values[~np.isnan(values)]
        self._levels[0] = np.concatenate([self._levels[0], values])
        self._compact()

    def merge(self, other: QuantileSketch) -> None:
        """Adds the numbers of another sketch."""
        while len(self._levels) < len(other._levels):
            self._levels.append(np.empty(0))
        for level, values in enumerate(other._levels):
            self._levels[level] = np.concatenate([self._levels[level], values])
        self._compact()

    def _compact(self) -> None:
        level = 0
        while level < len(self._levels):
            values = self._levels[level]
            if len(values) > self._precision:
                values = np.sort(values)
                paired = len(values) // 2 * 2
                # By turns the lower and the upper of two neighbours, so that the errors cancel out.
                promoted = values[int(self._keep_odd) : paired : 2]
                self._keep_odd = not self._keep_odd
                self._levels[level] = values[paired:]
                if level + 1 == len(self._levels):
                    self._levels.append(np.empty(0))
                self._levels[level + 1] = np.concatenate([self._levels[level + 1], promoted])
            level += 1

    def quantiles(self, shares: Iterable[float]) -> list[float] | None:
        """Returns for each share the value with so many values below it; None without values."""
        values = np.concatenate(self._levels)
        if len(values) == 0:
            return None
        weights = np.concatenate(
            [np.full(len(part), 1 << level) for level, part in enumerate(self._levels)]
        )
        order = np.argsort(values, kind="stable")
        values, below = values[order], np.cumsum(weights[order])
        ranks = np.searchsorted(below, [math.floor(q * below[-1]) for q in shares], side="right")
        return [float(values[min(int(rank), len(values) - 1)]) for rank in ranks]


class FrequentValues:
    """Counts values; where there are too many different ones, the rare are forgotten."""

    def __init__(self, log_capacity: int) -> None:
        self._capacity = max(4, 3 * (1 << log_capacity) // 4)
        self._counts: dict[Any, int] = {}
        self._taken = 0  # From each of the counts, in all.

    def add(self, value: Any, count: int) -> None:
        self._counts[value] = self._counts.get(value, 0) + count
        if len(self._counts) > self._capacity:
            self._forget()

    def merge(self, other: FrequentValues) -> None:
        for value, count in other._counts.items():
            self.add(value, count)
        self._taken += other._taken

    def _forget(self) -> None:
        median = sorted(self._counts.values())[len(self._counts) // 2]
        self._taken += median
        self._counts = {v: count - median for v, count in self._counts.items() if count > median}

    def top(self, k: int) -> list[tuple[Any, int]]:
        """Returns the `k` most frequent values and their counts, which may be too large by as much
        as was forgotten."""
        ranked = sorted(self._counts.items(), key=lambda item: -item[1])
        return [(value, count + self._taken) for value, count in ranked[:k]]


class ApproximateQuantile(AggregateFnV2[QuantileSketch, list[float]]):
    """Quantiles of a column of numbers, as a list, about right; nulls and nan do not count.

    Args:
        quantiles: shares in [0, 1].
        quantile_precision: values kept; the more, the closer.
    """

    def __init__(
        self,
        on: str,
        quantiles: list[float],
        quantile_precision: int = 800,
        alias_name: str | None = None,
    ) -> None:
        self._quantiles = list(quantiles)
        self._precision = quantile_precision
        super().__init__(
            default_name("approx_quantile", on, alias_name),
            lambda: QuantileSketch(quantile_precision),
            on=on,
            ignore_nulls=True,
        )

    def aggregate_block(self, block: Block) -> QuantileSketch:
        values = BlockAccessor.for_block(block).to_arrow().column(self.get_target_column())
        is_number = pa.types.is_primitive(values.type) or pa.types.is_decimal(values.type)
        if not is_number and not pa.types.is_null(values.type):
            raise ValueError(
                f"ApproximateQuantile needs a column of numbers: '{self.get_target_column()}' is "
                f"{values.type}"
            )
        sketch = QuantileSketch(self._precision)
        sketch.add(values.drop_null().cast(pa.float64()).to_numpy())
        return sketch

    def combine(self, current_accumulator: QuantileSketch, new: QuantileSketch) -> QuantileSketch:
        current_accumulator.merge(new)
        return current_accumulator

    def finalize(self, accumulator: QuantileSketch) -> list[float] | None:  # type: ignore[override]
        return accumulator.quantiles(self._quantiles)


class ApproximateTopK(AggregateFnV2[FrequentValues, list[dict[str, Any]]]):
    """The `k` most frequent values of a column, as a list of {column: value, "count": n}.

    Args:
        log_capacity: about 3/4 of 2^log_capacity different values are counted exactly.
        encode_lists: count the elements of lists, not the lists.
    """

    def __init__(
        self,
        on: str,
        k: int,
        log_capacity: int = 15,
        alias_name: str | None = None,
        encode_lists: bool = False,
    ) -> None:
        self._k = k
        self._log_capacity = log_capacity
        self._flatten = encode_lists
        super().__init__(
            default_name("approx_topk", on, alias_name),
            lambda: FrequentValues(log_capacity),
            on=on,
            ignore_nulls=True,
        )

    def aggregate_block(self, block: Block) -> FrequentValues:
        column = target_column(self, block)
        values = column.dropna()
        if self._flatten and column.is_composed_of_lists():
            values = values.combine_chunks().flatten()
        counter = FrequentValues(self._log_capacity)
        try:
            for pair in values.value_counts().to_pylist():
                counter.add(_as_key(pair["values"]), pair["counts"])
        except pa.ArrowNotImplementedError:
            for value in values.to_pylist():
                counter.add(_as_key(value), 1)
        return counter

    def combine(self, current_accumulator: FrequentValues, new: FrequentValues) -> FrequentValues:
        current_accumulator.merge(new)
        return current_accumulator

    def finalize(self, accumulator: FrequentValues) -> list[dict[str, Any]]:
        column = str(self.get_target_column())
        return [
            {column: _as_value(value), "count": count} for value, count in accumulator.top(self._k)
        ]


def _as_key(value: Any) -> Any:
    """Lists are counted as tuples, dicts as tuples of their items; nan is one value."""
    if isinstance(value, float) and math.isnan(value):
        return math.nan
    if isinstance(value, list):
        return tuple(map(_as_key, value))
    if isinstance(value, dict):
        return _Fields((name, _as_key(part)) for name, part in value.items())
    return value


class _Fields(tuple):
    """The items of a dict."""


def _as_value(key: Any) -> Any:
    if isinstance(key, _Fields):
        return {name: _as_value(part) for name, part in key}
    return [_as_value(part) for part in key] if isinstance(key, tuple) else key
