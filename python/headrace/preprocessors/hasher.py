"""`FeatureHasher`: many columns of counts become one short vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from headrace.preprocessor import SerializablePreprocessorBase
from headrace.preprocessors.base import as_floats, described, with_column
from headrace.preprocessors.tokens import simple_hash
from headrace.preprocessors.version_support import SerializablePreprocessor
from headrace.util.data_batch_conversion import BatchFormat

if TYPE_CHECKING:
    import pandas as pd


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.feature_hasher")
class FeatureHasher(SerializablePreprocessorBase):
    """Adds the columns' values of a row at the places that the hashes of their names say.

    Args:
        columns: columns of numbers, such as counts of tokens.
        num_features: the length of the vectors; different columns may share a place.
        output_column: the result's column, vectors of int64 or, if a column is none of integers,
            float64. The others stay.
    """

    _is_fittable = False

    def __init__(self, columns: list[str], num_features: int, output_column: str) -> None:
        super().__init__()
        self._columns = columns
        self._num_features = num_features
        self._output_column = output_column

    @property
    def columns(self) -> list[str]:
        return self._columns

    @property
    def num_features(self) -> int:
        return self._num_features

    @property
    def output_column(self) -> str:
        return self._output_column

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            num_features=self._num_features,
            output_column=self._output_column,
        )

    def get_input_columns(self) -> list[str]:
        return self._columns

    def get_output_columns(self) -> list[str]:
        return [self._output_column]

    def _form_for_datasets(self) -> BatchFormat:
        # A DataFrame would hold an array for each row.
        return BatchFormat.ARROW

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        from headrace._internal.convert import ndarray_to_arrow, table_to_pandas

        vectors = self._vectors(table_to_pandas(table.select(self._columns)))
        return with_column(table, self._output_column, ndarray_to_arrow(vectors))

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        vectors = self._vectors(frame)
        return frame.assign(**{self._output_column: list(vectors)})

    def _vectors(self, frame: pd.DataFrame) -> np.ndarray:
        """Returns (rows, num_features)."""
        vectors = np.zeros((len(frame), self._num_features), np.float64)
        whole = True
        for column in self._columns:
            values = frame[column]
            whole = whole and getattr(values.dtype, "kind", "O") in "iub"
            vectors[:, simple_hash(column, self._num_features)] += as_floats(values)
        if whole and not np.isnan(vectors).any():
            return vectors.astype(np.int64)
        return vectors
