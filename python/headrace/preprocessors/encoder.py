"""Encoders: categories become numbers, or vectors with a place for each category.

Categories are the sorted values of the fitted data: `stats_` has them as value → number. Nulls are
no category: fitting or transforming them raises ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.preprocessor import (
    Preprocessor,
    PreprocessorNotFittedException,
    SerializablePreprocessorBase,
)
from headrace.preprocessors.base import ColumnsPreprocessor, described, with_column
from headrace.preprocessors.categories import (
    check_no_missing,
    codes_of,
    find_categories,
    hashable,
    is_list,
    list_parts,
    plain,
)
from headrace.preprocessors.version_support import SerializablePreprocessor
from headrace.util.data_batch_conversion import BatchFormat

if TYPE_CHECKING:
    import pandas as pd

    from headrace.dataset import Dataset


class _Encoder(ColumnsPreprocessor):
    """Learns `unique_values(column)`, and encodes columns of Arrow by it."""

    def _learn(self, ds: Dataset, most: dict[str, int] | None, flatten: bool) -> None:
        for column in most or {}:
            if column not in self._columns:
                raise ValueError(
                    f"You set `max_categories` for {column}, which is not present in "
                    f"{self._columns}."
                )
        found = find_categories(ds, self._columns, most, flatten=flatten)
        self.stats_ = {
            f"unique_values({column})": {value: i for i, value in enumerate(values)}
            for column, values in found.items()
        }

    def _encode(self, column: pa.ChunkedArray, categories: dict[Any, int]) -> pa.Array:
        raise NotImplementedError

    def _encoded(self, inputs: dict[str, pa.ChunkedArray]) -> list[tuple[str, pa.Array]]:
        inputs = {name: plain(column) for name, column in inputs.items()}
        check_no_missing(inputs, self._columns)
        return [
            (output, self._encode(inputs[column], self.stats_[f"unique_values({column})"]))
            for column, output in zip(self._columns, self._output_columns, strict=True)
        ]

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        for output, values in self._encoded({name: table.column(name) for name in self._columns}):
            table = with_column(table, output, values)
        return table

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        inputs = _arrow_columns(frame, self._columns)
        for output, values in self._encoded(inputs):
            frame[output] = self._as_pandas(values)
        return frame

    def _as_pandas(self, values: pa.Array) -> Any:
        return values.to_pandas().to_numpy()


def _arrow_columns(frame: pd.DataFrame, names: list[str]) -> dict[str, pa.ChunkedArray]:
    from headrace._internal.convert import series_to_arrow

    columns = {}
    for name in names:
        values = frame[name]
        if values.dtype == object:
            lists = [v.tolist() if isinstance(v, np.ndarray) else v for v in values]
            column = pa.array(lists, from_pandas=True)
        else:
            column = series_to_arrow(values)
        columns[name] = (
            column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
        )
    return columns


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.ordinal_encoder")
class OrdinalEncoder(_Encoder):
    """Makes of each value its category's number, int64; null for a value that was not fitted.

    Args:
        columns: columns of values that can be sorted.
        encode_lists: of a column of lists, encode the elements; False: a list is a category.
        output_columns: the results' columns; None: in place.
    """

    def __init__(
        self,
        columns: list[str],
        *,
        encode_lists: bool = True,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, output_columns)
        self._encode_lists = encode_lists

    @property
    def encode_lists(self) -> bool:
        return self._encode_lists

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            encode_lists=self._encode_lists,
            output_columns=self._output_columns,
        )

    def _fit(self, ds: Dataset) -> None:
        self._learn(ds, None, self._encode_lists)

    def _encode(self, column: pa.ChunkedArray, categories: dict[Any, int]) -> pa.Array:
        if not self._encode_lists or not is_list(column.type):
            return codes_of(column, categories)
        elements, lengths = list_parts(column)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), codes_of(elements, categories))

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        return BatchFormat.ARROW


class _CappedEncoder(_Encoder):
    """An encoder that may keep only the most frequent values of a column as categories."""

    def __init__(
        self,
        columns: list[str],
        *,
        max_categories: dict[str, int] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, output_columns)
        self._max_categories = max_categories or {}

    @property
    def max_categories(self) -> dict[str, int]:
        return self._max_categories

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            max_categories=self._max_categories,
            output_columns=self._output_columns,
        )


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.one_hot_encoder")
class OneHotEncoder(_CappedEncoder):
    """Makes of each value a list of uint8: 1 at its category's number, else 0.

    A value that was not fitted has zeros only.

    Args:
        columns: columns of values that can be sorted; a list is one value.
        max_categories: column → only so many of the most frequent values are categories.
        output_columns: the results' columns; None: in place.
    """

    def _fit(self, ds: Dataset) -> None:
        self._learn(ds, self._max_categories, False)

    def safe_get(self, v: Any, stats: dict[str, int]) -> int:
        """Returns the number of the category `v` in `stats`; -1 if it is none."""
        return stats.get(hashable(v), -1)

    def _encode(self, column: pa.ChunkedArray, categories: dict[Any, int]) -> pa.Array:
        codes = codes_of(column, categories).fill_null(-1).to_numpy(zero_copy_only=False)
        places = np.zeros((len(codes), len(categories)), np.uint8)
        known = np.flatnonzero(codes >= 0)
        places[known, codes[known]] = 1
        return pa.FixedSizeListArray.from_arrays(
            pa.array(places.reshape(-1)), type=pa.list_(pa.uint8(), len(categories))
        )

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        return BatchFormat.ARROW


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.multi_hot_encoder")
class MultiHotEncoder(_CappedEncoder):
    """Makes of each list of values a list of int64: how often each category occurs in it.

    A value that is no list counts as a list of it. Values that were not fitted do not count.

    Args:
        columns: columns of lists of values that can be sorted.
        max_categories: column → only so many of the most frequent values are categories.
        output_columns: the results' columns; None: in place.
    """

    def _fit(self, ds: Dataset) -> None:
        self._learn(ds, self._max_categories, True)

    def _as_pandas(self, values: pa.Array) -> Any:
        lists = np.empty(len(values), dtype=object)
        lists[:] = values.to_pylist()
        return lists

    def _encode(self, column: pa.ChunkedArray, categories: dict[Any, int]) -> pa.Array:
        if is_list(column.type):
            elements, lengths = list_parts(column)
        else:
            elements, lengths = column, np.ones(len(column), np.int64)
        codes = codes_of(elements, categories).fill_null(-1).to_numpy(zero_copy_only=False)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        width = len(categories)
        places = rows[codes >= 0] * width + codes[codes >= 0]
        counts = np.bincount(places, minlength=len(lengths) * width).astype(np.int64)
        offsets = np.arange(len(lengths) + 1, dtype=np.int32) * width
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(counts))


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.label_encoder")
class LabelEncoder(SerializablePreprocessorBase):
    """Makes of each label its category's number, int64; null for one that was not fitted.

    Args:
        label_column: a column of values that can be sorted.
        output_column: the result's column; None: in place.
    """

    def __init__(self, label_column: str, *, output_column: str | None = None) -> None:
        super().__init__()
        self._label_column = label_column
        self._output_column = output_column or label_column

    @property
    def label_column(self) -> str:
        return self._label_column

    @property
    def output_column(self) -> str:
        return self._output_column

    def __repr__(self) -> str:
        return described(self, label_column=self._label_column, output_column=self._output_column)

    def get_input_columns(self) -> list[str]:
        return [self._label_column]

    def get_output_columns(self) -> list[str]:
        return [self._output_column]

    def _fit(self, ds: Dataset) -> None:
        values = find_categories(ds, [self._label_column], flatten=False)[self._label_column]
        numbers = {value: i for i, value in enumerate(values)}
        self.stats_ = {f"unique_values({self._label_column})": numbers}

    @property
    def _categories(self) -> dict[Any, int]:
        return self.stats_[f"unique_values({self._label_column})"]

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        inputs = _arrow_columns(frame, [self._label_column])
        check_no_missing(inputs, [self._label_column])
        codes = codes_of(inputs[self._label_column], self._categories)
        frame[self._output_column] = codes.to_pandas().to_numpy()
        return frame

    def inverse_transform(self, ds: Dataset) -> Dataset:
        """Returns the dataset with the labels of the numbers; null for a number of no category.

        Raises PreprocessorNotFittedException if it is not fitted.
        """
        if self.fit_status() != Preprocessor.FitStatus.FITTED:
            raise PreprocessorNotFittedException("`fit` must be called before `inverse_transform`.")
        return ds.map_batches(_Labels(self), batch_format="pandas")


class _Labels:
    """Puts labels in the place of numbers."""

    __name__ = "LabelEncoder"

    def __init__(self, encoder: LabelEncoder) -> None:
        self._encoder = encoder

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        labels = {number: label for label, number in self._encoder._categories.items()}
        frame = frame.copy(deep=False)
        numbers = frame[self._encoder.output_column].tolist()
        found = [None if pd.isna(number) else labels.get(int(number)) for number in numbers]
        frame[self._encoder.label_column] = pd.Series(found, index=frame.index)
        return frame


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.categorizer")
class Categorizer(ColumnsPreprocessor):
    """Makes columns categorical, as pandas calls it; Arrow's dictionaries in a dataset.

    Values that are no category, and missing ones, are missing in the result.

    Args:
        columns: the columns.
        dtypes: column → its `pandas.CategoricalDtype`; categories of others are the sorted values
            of the fitted data.
        output_columns: the results' columns; None: in place.
    """

    def __init__(
        self,
        columns: list[str],
        dtypes: dict[str, pd.CategoricalDtype] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, output_columns)
        self._dtypes = dtypes or {}

    @property
    def dtypes(self) -> dict[str, pd.CategoricalDtype] | None:
        return self._dtypes

    def __repr__(self) -> str:
        return described(
            self, columns=self._columns, dtypes=self._dtypes, output_columns=self._output_columns
        )

    def _fit(self, ds: Dataset) -> None:
        import pandas as pd

        unknown = [column for column in self._columns if column not in self._dtypes]
        found = find_categories(ds, unknown, flatten=False, drop_missing=True)
        made = {column: pd.CategoricalDtype(values) for column, values in found.items()}
        self.stats_ = {**self._dtypes, **made}

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        frame = frame.copy(deep=False)
        inputs = [frame[column] for column in self._columns]
        for values, column, output in zip(inputs, self._columns, self._output_columns, strict=True):
            dtype = self.stats_[column]
            codes = dtype.categories.get_indexer(pd.Index(values.astype(object)))
            frame[output] = pd.Categorical.from_codes(codes, dtype=dtype)
        return frame
