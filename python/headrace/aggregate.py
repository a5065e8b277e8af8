"""Aggregations: folds of rows into one value, for `Dataset.aggregate`.

An aggregation is made of four functions: a zero, one that folds a block, one that joins two
accumulators, one that finishes. Each is called on whole blocks, with Arrow's functions inside.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from enum import Enum
from typing import Any

import pyarrow as pa

from headrace._internal.aggregate_base import (
    AggregateFn,
    AggregateFnV2,
    VectorizedAggregateFnV2,
    default_name,
    target_column,
)
from headrace._internal.approximate import ApproximateQuantile, ApproximateTopK
from headrace._internal.convert import concat_tables
from headrace.block import Block, BlockAccessor, BlockColumnAccessor

__all__ = [
    "AbsMax",
    "AggregateFn",
    "AggregateFnV2",
    "ApproximateQuantile",
    "ApproximateTopK",
    "AsList",
    "Count",
    "CountDistinct",
    "Max",
    "Mean",
    "Min",
    "MissingValuePercentage",
    "Quantile",
    "Std",
    "Sum",
    "Unique",
    "ValueCounter",
    "VectorizedAggregateFnV2",
    "ZeroPercentage",
]


class Count(AggregateFnV2[int, int]):
    """The number of rows, or of a column's values (with `ignore_nulls`, of those not null)."""

    needs_rows = False

    def __init__(
        self, on: str | None = None, ignore_nulls: bool = False, alias_name: str | None = None
    ) -> None:
        name = default_name("count", on, alias_name)
        super().__init__(name, lambda: 0, on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> int | None:
        accessor = BlockAccessor.for_block(block)
        return accessor.count(self._target_col_name, self._ignore_nulls)

    def combine(self, current_accumulator: int, new: int) -> int:
        return current_accumulator + new

    def _result_without_rows(self) -> int:
        return 0


class Sum(AggregateFnV2[Any, Any]):
    """The sum of a column."""

    def __init__(
        self, on: str | None = None, ignore_nulls: bool = True, alias_name: str | None = None
    ) -> None:
        super().__init__(
            default_name("sum", on, alias_name), lambda: 0, on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> Any:
        return target_column(self, block).sum(ignore_nulls=self._ignore_nulls)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return current_accumulator + new


class Min(AggregateFnV2[Any, Any]):
    """The least value of a column."""

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
        zero_factory: Callable[[], Any] = lambda: float("+inf"),
    ) -> None:
        super().__init__(
            default_name("min", on, alias_name), zero_factory, on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> Any:
        return target_column(self, block).min(ignore_nulls=self._ignore_nulls)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return min(current_accumulator, new)


class Max(AggregateFnV2[Any, Any]):
    """The greatest value of a column."""

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
        zero_factory: Callable[[], Any] = lambda: float("-inf"),
    ) -> None:
        super().__init__(
            default_name("max", on, alias_name), zero_factory, on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> Any:
        return target_column(self, block).max(ignore_nulls=self._ignore_nulls)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return max(current_accumulator, new)


class Mean(AggregateFnV2[list[Any], float]):
    """The mean of a column."""

    def __init__(
        self, on: str | None = None, ignore_nulls: bool = True, alias_name: str | None = None
    ) -> None:
        super().__init__(
            default_name("mean", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> list[Any] | None:
        column = target_column(self, block)
        total = column.sum(ignore_nulls=self._ignore_nulls)
        count = column.count(ignore_nulls=self._ignore_nulls)
        return None if total is None or not count else [total, count]

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        return [current_accumulator[0] + new[0], current_accumulator[1] + new[1]]

    def finalize(self, accumulator: list[Any]) -> float:
        total, count = accumulator
        return total / count if count else math.nan


class Std(AggregateFnV2[list[float], float]):
    """The standard deviation of a column, by Welford's method over blocks.

    Args:
        ddof: lost degrees of freedom; nan where there are no more rows than those.
    """

    def __init__(
        self,
        on: str | None = None,
        ddof: int = 1,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
    ) -> None:
        super().__init__(
            default_name("std", on, alias_name), lambda: [0, 0, 0], on=on, ignore_nulls=ignore_nulls
        )
        self._ddof = ddof

    def aggregate_block(self, block: Block) -> list[float] | None:
        column = target_column(self, block)
        count = column.count(ignore_nulls=self._ignore_nulls)
        mean = column.mean(ignore_nulls=self._ignore_nulls)
        if not count or mean is None:
            return None
        squares = column.sum_of_squared_diffs_from_mean(ignore_nulls=self._ignore_nulls, mean=mean)
        return [squares, mean, count]

    def combine(self, current_accumulator: list[float], new: list[float]) -> list[float]:
        squares_a, mean_a, count_a = current_accumulator
        squares_b, mean_b, count_b = new
        delta = mean_b - mean_a
        count = count_a + count_b
        mean = (mean_a * count_a + mean_b * count_b) / count
        squares = squares_a + squares_b + delta**2 * count_a * count_b / count
        return [squares, mean, count]

    def finalize(self, accumulator: list[float]) -> float:
        squares, _, count = accumulator
        return math.sqrt(squares / (count - self._ddof)) if count > self._ddof else math.nan


class AbsMax(AggregateFnV2[Any, Any]):
    """The greatest magnitude of a column."""

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
        zero_factory: Callable[[], Any] = lambda: 0,
    ) -> None:
        super().__init__(
            default_name("abs_max", on, alias_name), zero_factory, on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> Any:
        column = target_column(self, block)
        least = column.min(ignore_nulls=self._ignore_nulls)
        greatest = column.max(ignore_nulls=self._ignore_nulls)
        return None if least is None or greatest is None else max(abs(least), abs(greatest))

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        return max(current_accumulator, new)


class Quantile(AggregateFnV2[list[Any], Any]):
    """The quantile `q` of a column, exactly, between neighbours by linear interpolation.

    Keeps all values of the column in memory.
    """

    def __init__(
        self,
        on: str | None = None,
        q: float = 0.5,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
    ) -> None:
        super().__init__(
            default_name("quantile", on, alias_name), list, on=on, ignore_nulls=ignore_nulls
        )
        self._q = q

    def aggregate_block(self, block: Block) -> list[pa.Array] | None:
        values = BlockAccessor.for_block(block).to_arrow().column(self.get_target_column())
        if values.null_count and not self._ignore_nulls:
            return None
        return list(values.drop_null().chunks)

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        return [*current_accumulator, *new]

    def finalize(self, accumulator: list[Any]) -> Any:
        # Blocks may have other types than their neighbours, or null where one has no values.
        tables = [pa.table({"values": chunk}) for chunk in accumulator]
        values = concat_tables(tables).column("values") if tables else pa.chunked_array([[]])
        if len(values) == 0:
            return None
        return BlockColumnAccessor(values).quantile(q=self._q, ignore_nulls=True)


class Unique(AggregateFnV2[dict[Any, Any], list[Any]]):
    """The different values of a column, in order of their first rows.

    Args:
        ignore_nulls: leave out null.
        encode_lists: how lists count: `FLATTEN` (True): their elements; `HASH`: each list.
    """

    class ListEncodingMode(str, Enum):
        """How lists count."""

        FLATTEN = "FLATTEN"
        HASH = "HASH"

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = False,
        alias_name: str | None = None,
        encode_lists: bool | Unique.ListEncodingMode | None = None,
    ) -> None:
        super().__init__(
            default_name("unique", on, alias_name), dict, on=on, ignore_nulls=ignore_nulls
        )
        self._flatten = encode_lists is True or encode_lists == Unique.ListEncodingMode.FLATTEN

    def aggregate_block(self, block: Block) -> dict[Any, Any]:
        column = target_column(self, block)
        if column.is_composed_of_lists() and self._flatten:
            column = BlockColumnAccessor.for_column(column.flatten())
        if column.is_composed_of_lists():
            values = column.to_pylist()
        else:
            values = _unique_values(column)
        ordered: dict[Any, Any] = {}
        for value in values:
            ordered.setdefault(_hashable(value), value)
        if self._ignore_nulls:
            ordered.pop(None, None)
        return ordered

    def combine(self, current_accumulator: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Any]:
        return _merge_first(current_accumulator, new)

    def finalize(self, accumulator: dict[Any, Any]) -> list[Any]:
        return list(accumulator.values())

    def _result_without_rows(self) -> list[Any]:
        return []


class CountDistinct(AggregateFnV2[dict[Any, Any], int]):
    """The number of different values of a column."""

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(
            default_name("count_distinct", on, alias_name), dict, on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> dict[Any, Any]:
        values = {_hashable(v): None for v in _unique_values(target_column(self, block))}
        if self._ignore_nulls:
            values.pop(None, None)
        return values

    def combine(self, current_accumulator: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Any]:
        current_accumulator.update(new)
        return current_accumulator

    def finalize(self, accumulator: dict[Any, Any]) -> int:
        return len(accumulator)

    def _result_without_rows(self) -> int:
        return 0


class AsList(AggregateFnV2[list[Any], list[Any]]):
    """All values of a column as a list."""

    def __init__(self, on: str, alias_name: str | None = None, ignore_nulls: bool = False) -> None:
        super().__init__(
            default_name("list", on, alias_name), list, on=on, ignore_nulls=ignore_nulls
        )

    def aggregate_block(self, block: Block) -> list[Any]:
        column = target_column(self, block)
        if self._ignore_nulls:
            column = BlockColumnAccessor.for_column(column.dropna())
        return column.to_pylist()

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        current_accumulator.extend(new)
        return current_accumulator


class ValueCounter(AggregateFnV2[dict[Any, int], dict[str, list[Any]]]):
    """The values of a column and how often each occurs: {"values": [...], "counts": [...]}."""

    def __init__(self, on: str, alias_name: str | None = None) -> None:
        super().__init__(
            default_name("value_counter", on, alias_name), dict, on=on, ignore_nulls=True
        )

    def aggregate_block(self, block: Block) -> dict[Any, int] | None:
        counted = target_column(self, block).value_counts()
        if counted is None:
            return None
        return dict(zip(counted["values"], counted["counts"], strict=True))

    def combine(self, current_accumulator: dict[Any, int], new: dict[Any, int]) -> dict[Any, int]:
        for value, count in new.items():
            current_accumulator[value] = current_accumulator.get(value, 0) + count
        return current_accumulator

    def finalize(self, accumulator: dict[Any, int]) -> dict[str, list[Any]]:
        return {"values": list(accumulator), "counts": list(accumulator.values())}


class _Share(AggregateFnV2[list[int], float]):
    """A share of rows, in percent: an accumulator of [those, all]."""

    def combine(self, current_accumulator: list[int], new: list[int]) -> list[int]:
        return [current_accumulator[0] + new[0], current_accumulator[1] + new[1]]

    def finalize(self, accumulator: list[int]) -> float | None:
        those, all_rows = accumulator
        return those / all_rows * 100.0 if all_rows else None


class MissingValuePercentage(_Share):
    """The percentage of nulls and nans in a column."""

    def __init__(self, on: str, alias_name: str | None = None) -> None:
        super().__init__(
            default_name("missing_pct", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=False
        )

    def aggregate_block(self, block: Block) -> list[int]:
        import pyarrow.compute as pc

        values = BlockAccessor.for_block(block).to_arrow().column(self.get_target_column())
        missing = pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0
        return [missing, len(values)]


class ZeroPercentage(_Share):
    """The percentage of zeros in a column of numbers."""

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(
            default_name("zero_pct", on, alias_name),
            lambda: [0, 0],
            on=on,
            ignore_nulls=ignore_nulls,
        )

    def aggregate_block(self, block: Block) -> list[int]:
        import pyarrow.compute as pc

        values = BlockAccessor.for_block(block).to_arrow().column(self.get_target_column())
        zeros = pc.sum(pc.equal(values, 0)).as_py() or 0
        rows = pc.count(values, mode="only_valid" if self._ignore_nulls else "all").as_py()
        return [zeros, rows]


def _unique_values(column: BlockColumnAccessor) -> list[Any]:
    try:
        return column.unique().to_pylist()
    except pa.ArrowNotImplementedError:
        return column.to_pylist()


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return pickle.dumps(value)
    return value


def _merge_first(first: dict[Any, Any], second: dict[Any, Any]) -> dict[Any, Any]:
    for key, value in second.items():
        first.setdefault(key, value)
    return first
