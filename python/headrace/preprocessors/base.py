"""What the package's preprocessors share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.preprocessor import SerializablePreprocessorBase

if TYPE_CHECKING:
    import pandas as pd

    from headrace.aggregate import AggregateFn
    from headrace.dataset import Dataset


class ColumnsPreprocessor(SerializablePreprocessorBase):
    """A preprocessor that makes one column of each of some.

    Args:
        columns: what is read.
        output_columns: what is written, one for each of `columns`; None: the columns themselves.
            ValueError if there are more or fewer.
    """

    def __init__(self, columns: list[str], output_columns: list[str] | None) -> None:
        super().__init__()
        self._columns = columns
        self._output_columns = paired_columns(columns, output_columns)

    @property
    def columns(self) -> list[str]:
        return self._columns

    @property
    def output_columns(self) -> list[str]:
        return self._output_columns

    def __repr__(self) -> str:
        return described(self, columns=self._columns, output_columns=self._output_columns)


def paired_columns(columns: list[str], output_columns: list[str] | None) -> list[str]:
    """Returns `output_columns`, by default `columns`. ValueError for another number of them."""
    if not output_columns:
        return columns
    if len(output_columns) != len(columns):
        raise ValueError(
            "Invalid output_columns: Got len(columns) != len(output_columns). There must be one "
            f"for each of {columns}, got: {output_columns}"
        )
    return output_columns


def described(preprocessor: Any, **fields: Any) -> str:
    """Returns the text of `repr`: the class and the fields."""
    shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{type(preprocessor).__name__}({shown})"


def with_column(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Returns the table with a column in place of that of this name, or as its last."""
    at = table.schema.get_field_index(name)
    if at < 0:
        return table.append_column(name, values)
    return table.set_column(at, name, values)


def fold(ds: Dataset, aggs: list[AggregateFn]) -> dict[str, Any]:
    """Folds the rows of `ds` in one pass; {} if there is nothing to fold."""
    return ds.aggregate(*aggs) if aggs else {}


def as_floats(series: pd.Series) -> np.ndarray:
    """Returns a column of numbers as float64, what is missing as nan.

    Raises TypeError or ValueError for what is no number.
    """
    dtype = series.dtype
    if getattr(dtype, "kind", "O") in "biuf":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if getattr(dtype, "kind", "O") in "mMSU":
        raise TypeError(f"Column '{series.name}' has no numbers, but {dtype}")
    return np.array([np.nan if value is None else value for value in _objects(series)], np.float64)


def _objects(series: pd.Series) -> list[Any]:
    return series.to_numpy(dtype=object, na_value=None).tolist()


def missing_as_none(value: Any) -> Any:
    """Returns a statistic, and None for one that is nan."""
    return None if isinstance(value, float) and np.isnan(value) else value
