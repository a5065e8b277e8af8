"""The different values of columns: found in one pass over the rows, and looked up in a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.aggregate import AggregateFn, AggregateFnV2, Unique
from headrace.block import Block, BlockAccessor
from headrace.preprocessors.base import fold, missing_as_none

if TYPE_CHECKING:
    from headrace.dataset import Dataset


class CategoryCounts(AggregateFnV2[dict[Any, int], dict[Any, int]]):
    """How often each value of a column occurs, in order of the first ones; null is None.

    Args:
        flatten: of lists, the elements count, not the lists; a list counts as a tuple.
    """

    def __init__(self, on: str, flatten: bool) -> None:
        super().__init__(f"categories({on})", dict, on=on, ignore_nulls=False)
        self._flatten = flatten

    def aggregate_block(self, block: Block) -> dict[Any, int]:
        table = BlockAccessor.for_block(block).to_arrow()
        column = plain(table.column(str(self.get_target_column())))
        if self._flatten and is_list(column.type):
            column = pc.list_flatten(column)
        try:
            counted = pc.value_counts(column)
        except pa.ArrowNotImplementedError:
            return Counter(hashable(value) for value in column.to_pylist())
        values, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
        return dict(zip(values, counts, strict=True))

    def combine(self, current_accumulator: dict[Any, int], new: dict[Any, int]) -> dict[Any, int]:
        for value, count in new.items():
            current_accumulator[value] = current_accumulator.get(value, 0) + count
        return current_accumulator

    def _result_without_rows(self) -> dict[Any, int]:
        return {}


def find_categories(
    ds: Dataset,
    columns: Iterable[str],
    max_categories: Mapping[str, int] | None = None,
    *,
    flatten: bool,
    drop_missing: bool = False,
) -> dict[str, list[Any]]:
    """Returns the sorted values of each column.

    Args:
        max_categories: column → only so many of the most frequent values; nulls do not count.
        flatten: of lists, the elements are the values.
        drop_missing: leave nulls and nan out.

    Raises ValueError for nulls and nan that are not left out.
    """
    most = dict(max_categories or {})
    schema = ds._known_schema()
    aggs: dict[str, AggregateFn] = {}
    for column in columns:
        known = schema.field(column) if schema is not None and column in schema.names else None
        if known is not None and column not in most and _is_scalar(known.type):
            aggs[column] = Unique(column, alias_name=column)  # The engine folds it.
        else:
            aggs[column] = CategoryCounts(column, flatten)
    found = fold(ds, list(aggs.values()))
    categories = {}
    for column, agg in aggs.items():
        values: Any = found[agg.name] or {}
        if column in most:
            values.pop(None, None)
            values = [value for value, _ in Counter(values).most_common(most[column])]
        categories[column] = _sorted(map(hashable, values), drop_missing)
    return categories


def _sorted(values: Iterable[Any], drop_missing: bool) -> list[Any]:
    every = list(values)
    there = [value for value in every if missing_as_none(value) is not None]
    if len(there) < len(every) and not drop_missing:
        raise ValueError(
            "Unable to fit column because it contains null values. Consider imputing missing "
            "values first."
        )
    return sorted(there)


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column of tensors as one of lists, of their elements; others as they are."""
    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    chunks = [chunk.storage for chunk in column.chunks]
    if column.type.extension_name == "arrow.variable_shape_tensor":
        chunks = [chunk.field("data") for chunk in chunks]
    if not chunks:
        return column.cast(column.type.storage_type)
    return pa.chunked_array(chunks)


def is_list(dtype: pa.DataType) -> bool:
    return (
        pa.types.is_list(dtype)
        or pa.types.is_large_list(dtype)
        or pa.types.is_fixed_size_list(dtype)
    )


def _is_scalar(dtype: pa.DataType) -> bool:
    return not (pa.types.is_nested(dtype) or isinstance(dtype, pa.BaseExtensionType))


def hashable(value: Any) -> Any:
    """Returns the value as it stands among categories: lists as tuples."""
    if isinstance(value, (list, np.ndarray)):
        return tuple(hashable(part) for part in value)
    return value


def check_no_missing(columns: Mapping[str, pa.ChunkedArray], names: Iterable[str]) -> None:
    """Raises ValueError that names the columns with nulls or nan."""
    missing = [
        name
        for name in names
        if columns[name].null_count
        or (pa.types.is_floating(columns[name].type) and pc.any(pc.is_nan(columns[name])).as_py())
    ]
    if missing:
        raise ValueError(
            f"Unable to transform columns {missing} because they contain null values. Consider "
            "imputing missing values first."
        )


def codes_of(column: pa.ChunkedArray, categories: Mapping[Any, int]) -> pa.Array:
    """Returns the number of each value as int64; null for one that is no category."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    try:
        known = pa.array(list(categories), type=values.type)
        found = pc.index_in(values, value_set=known)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        numbers = [categories.get(hashable(value)) for value in values.to_pylist()]
        return pa.array(numbers, pa.int64())
    order = pa.array(list(categories.values()), pa.int64())
    return order.take(found)


def list_parts(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Returns the elements of a column of lists without nulls, and how many each list has."""
    lengths = pc.list_value_length(column).to_numpy().astype(np.int64)
    flat = pc.list_flatten(column)
    return flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat, lengths
