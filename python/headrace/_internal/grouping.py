"""Functions of groups, as they run in workers: over blocks that hold whole groups, sorted by keys.

Each is what `map_batches` calls with whole Arrow tables.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal import convert
from headrace._internal.frames import forget_types
from headrace._internal.table_rows import slice_rows

if TYPE_CHECKING:
    from headrace.aggregate import AggregateFn

# Small results are joined up to about so many rows or results: a table of its own for each group
# would cost more than the groups.
_ROWS_JOINED = 16384
_RESULTS_JOINED = 1024


class GroupFunction:
    """Calls a function for each group of a block.

    Args:
        fn: gets a group as a batch; returns a batch, or yields several.
        keys: rows equal in these columns are a group. None: all rows.
        batch_format: "numpy", "pandas" or "pyarrow".
        zero_copy_batch: hand out read-only views.
    """

    def __init__(
        self, fn: Callable[..., Any], keys: list[str], batch_format: str, zero_copy_batch: bool
    ) -> None:
        self._fn = fn
        self._keys = keys
        self._batch_format = batch_format
        self._zero_copy = zero_copy_batch

    def __call__(self, table: pa.Table, *args: Any, **kwargs: Any) -> Iterator[pa.Table]:
        pending: list[pa.Table] = []
        rows = 0
        table = forget_types(table)  # A group's columns have Arrow's types in pandas.
        for group in groups_of(table, self._keys, self._batch_format, self._zero_copy):
            for result in _results(self._fn(group, *args, **kwargs)):
                made = convert.batch_to_table(result)
                pending.append(made)
                rows += made.num_rows
                if rows >= _ROWS_JOINED or len(pending) >= _RESULTS_JOINED:
                    yield convert.concat_tables(pending)
                    pending, rows = [], 0
        if pending:
            yield convert.concat_tables(pending)


class GroupActor(GroupFunction):
    """The same for a class, of which it makes the instance."""

    def __init__(
        self,
        fn: type,
        keys: list[str],
        batch_format: str,
        zero_copy_batch: bool,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        super().__init__(fn(*args, **kwargs), keys, batch_format, zero_copy_batch)


def _results(result: Any) -> Iterator[Any]:
    if isinstance(result, Iterator):
        yield from result
    elif inspect.isawaitable(result) or hasattr(result, "__anext__"):
        raise TypeError("map_groups() takes no async functions")
    else:
        yield result


def groups_of(
    table: pa.Table, keys: list[str], batch_format: str, zero_copy_batch: bool
) -> Iterator[Any]:
    """Yields the groups of a sorted block as batches."""
    starts = _core.group_starts(table, keys)
    bounds = list(zip(starts, [*starts[1:], table.num_rows], strict=True))
    # Converting all rows at once is cheaper, if it gives each group what it alone would get: what
    # a column becomes may depend on its nulls.
    at_once = len(bounds) > 1 and all(map(_converts_alike, table.columns))
    if at_once and batch_format == "numpy":
        columns = convert.table_to_batch(table, "numpy", zero_copy_batch)
        for begin, end in bounds:
            yield {name: values[begin:end] for name, values in columns.items()}
    elif at_once and batch_format == "pandas":
        frame = convert.table_to_batch(table, "pandas", zero_copy_batch)
        for begin, end in bounds:
            yield frame.iloc[begin:end].reset_index(drop=True)
    else:
        for begin, end in bounds:
            group = slice_rows(table, begin, end - begin)
            yield convert.table_to_batch(group, batch_format, zero_copy_batch)


def _converts_alike(column: pa.ChunkedArray) -> bool:
    dtype = column.type
    return column.null_count == 0 and (
        pa.types.is_primitive(dtype) or pa.types.is_string(dtype) or pa.types.is_large_string(dtype)
    )


class FoldGroups:
    """Folds each group by aggregations of Python, into a row of keys and results."""

    def __init__(self, aggs: Sequence[AggregateFn], names: list[str], keys: list[str]) -> None:
        self._aggs = list(aggs)
        self._names = names
        self._keys = keys

    def __call__(self, table: pa.Table) -> pa.Table:
        starts = _core.group_starts(table, self._keys)
        ends = [*starts[1:], table.num_rows]
        results: list[list[Any]] = [[] for _ in self._aggs]
        keys = self._key_values(table, starts)
        for begin, end, key in zip(starts, ends, keys, strict=True):
            group = slice_rows(table, begin, end - begin)
            for agg, column in zip(self._aggs, results, strict=True):
                folded = agg.accumulate_block(agg.init(key), group)
                # Through `merge`, as where a group's rows lie in several blocks.
                column.append(agg.finalize(agg.merge(agg.init(key), folded)))
        firsts = table.select(self._keys).take(pa.array(starts, pa.int64()))
        columns = dict(zip(self._keys, firsts.columns, strict=True))
        fields = [agg.output_field(table.schema) for agg in self._aggs]
        for name, values, field in zip(self._names, results, fields, strict=True):
            columns[name] = _result_column(values, field)
        return pa.table(columns)

    def _key_values(self, table: pa.Table, starts: list[int]) -> list[Any]:
        """Returns what `init` gets: the key's value, a tuple of several, () for none."""
        rows = _core.rows_of(table.select(self._keys).take(pa.array(starts, pa.int64())))
        if not self._keys:
            return [()] * len(starts)
        if len(self._keys) == 1:
            return [row[self._keys[0]] for row in rows]
        return [tuple(row.values()) for row in rows]


def _result_column(values: list[Any], field: pa.Field | None) -> pa.Array:
    if field is not None:
        try:
            return pa.array(values, field.type)
        except (pa.ArrowException, TypeError, ValueError):
            pass
    return convert.list_to_arrow(values)


class MarkTrain:
    """Adds a column that says which rows of a group are for training: all but the last ones."""

    def __init__(self, column: str, test_share: float) -> None:
        self._column = column
        self._test_share = test_share

    def __call__(self, group: pa.Table) -> pa.Table:
        train = group.num_rows - int(group.num_rows * self._test_share)
        marks = pa.array([row < train for row in range(group.num_rows)], pa.bool_())
        return group.append_column(self._column, marks)
