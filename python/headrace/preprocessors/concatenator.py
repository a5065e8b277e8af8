"""`Concatenator`: several columns become one of vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.preprocessor import SerializablePreprocessorBase
from headrace.preprocessors.base import as_floats, with_column
from headrace.preprocessors.version_support import SerializablePreprocessor
from headrace.util.data_batch_conversion import BatchFormat

if TYPE_CHECKING:
    import pandas as pd


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.concatenator")
class Concatenator(SerializablePreprocessorBase):
    """Puts the columns' values of a row into a vector; the columns themselves are dropped.

    Args:
        columns: what to put together, in this order.
        output_column_name: the result's column, the last one.
        dtype: of the vectors; None: the one that has room for all of the columns. A missing number
            is nan.
        raise_if_missing: ValueError for a column that is not there; False: KeyError.
        flatten: columns of lists and arrays add their elements; False: as they are, to vectors of
            objects.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        output_column_name: str = "concat_out",
        dtype: np.dtype | None = None,
        raise_if_missing: bool = False,
        flatten: bool = False,
    ) -> None:
        super().__init__()
        self._columns = columns
        self._output_column_name = output_column_name
        self._dtype = dtype
        self._raise_if_missing = raise_if_missing
        self._flatten = flatten

    @property
    def columns(self) -> list[str]:
        return self._columns

    @property
    def output_column_name(self) -> str:
        return self._output_column_name

    @property
    def dtype(self) -> np.dtype | None:
        return self._dtype

    @property
    def raise_if_missing(self) -> bool:
        return self._raise_if_missing

    @property
    def flatten(self) -> bool:
        return self._flatten

    def __repr__(self) -> str:
        fields = []
        if self._output_column_name != "concat_out":
            fields.append(f"output_column_name={self._output_column_name}")
        fields.append(f"columns={self._columns}")
        if self._dtype is not None:
            fields.append(f"dtype={self._dtype}")
        fields += [
            f"{name}=True" for name in ("raise_if_missing", "flatten") if getattr(self, f"_{name}")
        ]
        return f"Concatenator({', '.join(fields)})"

    def get_input_columns(self) -> list[str]:
        return self._columns

    def get_output_columns(self) -> list[str]:
        return [self._output_column_name]

    def _check(self, there: Iterable[str]) -> None:
        missing = set(self._columns) - set(there)
        if missing and self._raise_if_missing:
            raise ValueError(f"Missing columns specified in '{self._columns}': {missing}")
        if missing:
            raise KeyError(", ".join(sorted(missing)))

    def _form_for_datasets(self) -> BatchFormat:
        # A DataFrame would hold an array for each row.
        return BatchFormat.ARROW

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        from headrace._internal.convert import list_to_arrow, table_to_pandas, tensors_to_arrow

        self._check(table.column_names)
        read = list(dict.fromkeys(self._columns))
        frame = table_to_pandas(pa.table({name: _typed(table.column(name)) for name in read}))
        vectors = self._vectors([_values(frame[column]) for column in self._columns])
        column = None if vectors.dtype == object else tensors_to_arrow(vectors)
        if column is None:
            column = list_to_arrow(list(vectors))
        return with_column(table.drop_columns(read), self._output_column_name, column)

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        self._check(frame.columns)
        vectors = self._vectors([_values(frame[column]) for column in self._columns])
        frame = frame.drop(columns=list(dict.fromkeys(self._columns)))
        frame[self._output_column_name] = list(vectors)
        return frame

    def _vectors(self, parts: list[np.ndarray]) -> np.ndarray:
        """Returns the rows' vectors: (rows, width), or of objects if a part is no number."""
        if not parts:
            raise ValueError("Concatenator needs at least one column.")
        if self._flatten:
            parts = [_flat(part) for part in parts]
            joined = np.concatenate(parts, axis=1)
        else:
            joined = np.stack(parts, axis=1)
        return joined if self._dtype is None else joined.astype(self._dtype)


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column without any value, whose type is not known, as missing numbers."""
    return column.cast(pa.float64()) if pa.types.is_null(column.type) else column


def _values(series: pd.Series) -> np.ndarray:
    """Returns a column as an array of numbers, nan for missing; of objects if it has others."""
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    if kind not in "biuf":
        return series.to_numpy(dtype=object)
    if series.isna().any():
        values = as_floats(series)
        return values.astype(np.float32) if kind == "f" and dtype.itemsize == 4 else values
    return series.to_numpy(dtype=getattr(dtype, "numpy_dtype", dtype))


def _flat(part: np.ndarray) -> np.ndarray:
    """Returns an array of (rows, width) of a column of numbers, lists or arrays."""
    if part.dtype != object:
        return part.reshape(len(part), 1)
    rows: list[Any] = [np.ravel(np.asarray(row)) for row in part]
    return np.stack(rows) if rows else np.empty((0, 0))
