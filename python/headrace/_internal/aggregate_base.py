"""What aggregations are made of; `headrace.aggregate` has those that there are."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pyarrow as pa

from headrace.block import Block, BlockAccessor, BlockColumnAccessor

AccumulatorType = TypeVar("AccumulatorType")
AggOutputType = TypeVar("AggOutputType")


class AggregateFn:
    """An aggregation made of functions.

    Args:
        init: makes the accumulator for a key (None for all rows).
        merge: joins two accumulators.
        name: the result's name.
        accumulate_row: folds a row (a dict) into an accumulator.
        accumulate_block: folds a block; give one of the two.
        finalize: makes the result of an accumulator; default: it is the result.
    """

    needs_rows = True

    def __init__(
        self,
        init: Callable[[Any], Any],
        merge: Callable[[Any, Any], Any],
        name: str,
        accumulate_row: Callable[[Any, dict[str, Any]], Any] | None = None,
        accumulate_block: Callable[[Any, Block], Any] | None = None,
        finalize: Callable[[Any], Any] | None = None,
    ) -> None:
        if (accumulate_row is None) == (accumulate_block is None):
            raise ValueError("Exactly one of accumulate_row or accumulate_block must be provided.")
        if accumulate_block is None:
            fold_row = accumulate_row

            def accumulate_block(accumulator: Any, block: Block) -> Any:
                for row in BlockAccessor.for_block(block).iter_rows(public_row_format=False):
                    accumulator = fold_row(accumulator, row)  # type: ignore[misc]
                return accumulator

        if not isinstance(name, str):
            raise TypeError(f"`name` must be provided and be a string, got: {name!r}")
        self.name = name
        self.init = init
        self.merge = merge
        self.accumulate_block = accumulate_block
        self.finalize = finalize or (lambda accumulator: accumulator)

    def output_field(self, input_schema: pa.Schema) -> pa.Field | None:
        """Returns the field of the result; None if its type is not known before running."""
        return None

    def _validate(self, schema: Any) -> None:
        """Raises ValueError if the rows of `schema` cannot be folded."""


class AggregateFnV2(AggregateFn, abc.ABC, Generic[AccumulatorType, AggOutputType]):
    """An aggregation as a class: give `aggregate_block`, `combine` and, if need be, `finalize`.

    Args:
        name: the result's name.
        zero_factory: makes the accumulator of no rows.
        on: the column; None: whole rows.
        ignore_nulls: skip nulls; else a null makes the result null.
    """

    def __init__(
        self,
        name: str,
        zero_factory: Callable[[], AccumulatorType],
        *,
        on: str | None,
        ignore_nulls: bool,
    ) -> None:
        if not name:
            raise ValueError(f"Non-empty string has to be provided as name (got {name})")
        self._target_col_name = on
        self._ignore_nulls = ignore_nulls
        self._zero_factory = zero_factory
        finish = self.finalize
        super().__init__(
            init=lambda key: _Partial(None, zero_factory()),
            merge=self._merge,
            name=name,
            accumulate_block=self._accumulate,
            finalize=lambda partial: self._finish(partial, finish),
        )

    def get_target_column(self) -> str | None:
        return self._target_col_name

    def get_agg_name(self) -> str:
        """Returns the kind's short name: "sum" of "sum(x)"."""
        return self.name.split("(")[0]

    @abc.abstractmethod
    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """Joins two accumulators."""

    @abc.abstractmethod
    def aggregate_block(self, block: Block) -> Any:
        """Folds a block into an accumulator; None for a null."""

    def finalize(self, accumulator: Any) -> Any:
        """Makes the result of an accumulator."""
        return accumulator

    # An accumulator that never met a row is none; with nulls counted, a null wins over all.

    def _accumulate(self, partial: _Partial, block: Block) -> _Partial:
        return self._merge(partial, _Partial(True, self.aggregate_block(block)))

    def _merge(self, a: _Partial, b: _Partial) -> _Partial:
        if a.met_rows is None:
            return b
        if b.met_rows is None:
            return a
        if a.value is None or b.value is None:
            if not self._ignore_nulls:
                return _Partial(True, None)
            return b if a.value is None else a
        return _Partial(True, self.combine(a.value, b.value))

    def _finish(self, partial: _Partial, finish: Callable[[Any], Any]) -> Any:
        if partial.met_rows is None:
            return self._result_without_rows()
        return None if partial.value is None else finish(partial.value)

    def _result_without_rows(self) -> Any:
        return None


class _Partial:
    """An accumulator, and whether it met rows."""

    __slots__ = ("met_rows", "value")

    def __init__(self, met_rows: bool | None, value: Any) -> None:
        self.met_rows = met_rows
        self.value = value


class VectorizedAggregateFnV2(AggregateFnV2[AccumulatorType, AggOutputType]):
    """An aggregation over the column's accessor; give `_aggregate_column`."""

    def aggregate_block(self, block: Block) -> Any:
        return self._aggregate_column(target_column(self, block))

    def _aggregate_column(self, column: BlockColumnAccessor) -> Any:
        raise NotImplementedError


def target_column(agg: AggregateFnV2[Any, Any], block: Block) -> BlockColumnAccessor:
    """Returns the column that `agg` folds. ValueError if it has none."""
    name = agg.get_target_column()
    if name is None:
        raise ValueError(f"{type(agg).__name__} needs a column")
    return BlockAccessor.for_block(block).column(name)


def default_name(kind: str, on: str | None, alias_name: str | None) -> str:
    """Returns "kind(column)", or the alias."""
    return alias_name or f"{kind}({on or ''})"
