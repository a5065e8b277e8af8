"""`Dataset.summary`: what stands in each column, in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.aggregate import (
    AggregateFnV2,
    ApproximateQuantile,
    ApproximateTopK,
    Count,
    Max,
    Mean,
    Min,
    MissingValuePercentage,
    Std,
    ZeroPercentage,
)

if TYPE_CHECKING:
    import pandas as pd

    from headrace.datatype import DataType

Aggregations = Callable[[str], list[AggregateFnV2[Any, Any]]]
_FREQUENT = 3


class DatasetSummary:
    """Statistics of columns: a name such as "mean", and its value for each column that has it.

    Attributes:
        dataset_schema: the schema of the dataset.
        columns: the columns that were looked at.
    """

    STATISTIC_COLUMN = "statistic"

    def __init__(
        self,
        statistics: dict[str, dict[str, Any]],
        dataset_schema: pa.Schema,
        columns: list[str],
    ) -> None:
        self._statistics = statistics  # column → statistic → value
        self.dataset_schema = dataset_schema
        self.columns = columns

    def _names(self) -> list[str]:
        return sorted({name for values in self._statistics.values() for name in values})

    def to_pandas(self) -> pd.DataFrame:
        """Returns a row for each statistic, and a column for each column; missing values None."""
        import pandas as pd

        names = self._names()
        table: dict[str, Any] = {self.STATISTIC_COLUMN: names}
        for column in self.columns:
            values = [self._statistics[column].get(name) for name in names]
            table[column] = pd.Series(values, dtype=object)
        return pd.DataFrame(table)

    def get_column_stats(self, column: str) -> pd.DataFrame:
        """Returns the statistics of one column, in the columns "statistic" and "value".

        Raises ValueError for a column that was not looked at.
        """
        import pandas as pd

        if column not in self._statistics:
            raise ValueError(f"Column '{column}' not found in summary tables")
        names = self._names()
        values = [self._statistics[column].get(name) for name in names]
        return pd.DataFrame({self.STATISTIC_COLUMN: names, "value": pd.Series(values)})

    def __repr__(self) -> str:
        lines = [
            f"{column}: " + ", ".join(f"{name}={value}" for name, value in sorted(values.items()))
            for column, values in self._statistics.items()
        ]
        return "DatasetSummary(\n  " + "\n  ".join(lines) + "\n)"


def summarize(
    dataset: Any,
    columns: list[str] | None,
    overrides: Mapping[DataType, Aggregations] | None,
) -> DatasetSummary:
    """Runs `dataset` once and returns the statistics of its columns; see `Dataset.summary`."""
    known = dataset.schema()
    if known is None:
        raise ValueError("Dataset must have a schema to determine column types")
    schema: pa.Schema = known.base_schema
    chosen = schema.names if columns is None else list(columns)
    unknown = {name for name in chosen if name not in schema.names}
    if unknown:
        raise ValueError(f"Columns {unknown} not found in dataset schema")
    by_column = {name: _aggregations(name, schema.field(name).type, overrides) for name in chosen}
    by_column = {name: aggs for name, aggs in by_column.items() if aggs}
    if not by_column:
        raise ValueError(
            "summary() requires at least one column with a supported type. Columns provided: "
            f"{chosen}. Check that the specified columns exist and have supported types (numeric, "
            "string, binary, or temporal). Columns with None or object types are skipped."
        )
    folded = dataset.aggregate(*(agg for aggs in by_column.values() for agg in aggs))
    statistics: dict[str, dict[str, Any]] = {}
    for name, aggs in by_column.items():
        values: dict[str, Any] = {}
        for agg in aggs:
            label, value = agg.get_agg_name(), folded[agg.name]
            if isinstance(value, (list, tuple)):
                values |= {f"{label}[{i}]": part for i, part in enumerate(value)}
            else:
                values[label] = value
        statistics[name] = values
    return DatasetSummary(statistics, schema, list(by_column))


def _aggregations(
    name: str, dtype: pa.DataType, overrides: Mapping[DataType, Aggregations] | None
) -> list[AggregateFnV2[Any, Any]]:
    for kind, make in (overrides or {}).items():
        if kind.is_arrow_type() and kind.to_arrow_dtype() == dtype:
            return make(name)
    every: list[AggregateFnV2[Any, Any]] = [
        Count(on=name, ignore_nulls=False),
        MissingValuePercentage(on=name),
    ]
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return [
            *every,
            Mean(on=name),
            Min(on=name),
            Max(on=name),
            Std(on=name, ddof=0),
            ApproximateQuantile(on=name, quantiles=[0.5]),
            ZeroPercentage(on=name),
        ]
    if pa.types.is_boolean(dtype):
        return [*every, Mean(on=name)]
    if pa.types.is_temporal(dtype):
        return [*every, Min(on=name), Max(on=name)]
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_binary(dtype):
        return [*every, ApproximateTopK(on=name, k=_FREQUENT)]
    return []
