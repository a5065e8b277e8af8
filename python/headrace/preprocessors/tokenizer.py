"""`Tokenizer`: texts become lists of tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.preprocessors.base import ColumnsPreprocessor, described, with_column
from headrace.preprocessors.tokens import simple_split_tokenizer
from headrace.preprocessors.version_support import SerializablePreprocessor
from headrace.util.data_batch_conversion import BatchFormat

if TYPE_CHECKING:
    import pandas as pd


class TextPreprocessor(ColumnsPreprocessor):
    """A preprocessor that tokenizes columns of text; null stays null."""

    def __init__(
        self,
        columns: list[str],
        tokenization_fn: Callable[[str], list[str]] | None,
        output_columns: list[str] | None,
    ) -> None:
        super().__init__(columns, output_columns)
        self._tokenization_fn = tokenization_fn or simple_split_tokenizer

    @property
    def tokenization_fn(self) -> Callable[[str], list[str]]:
        return self._tokenization_fn

    @property
    def _shown_fn(self) -> _Name:
        return _Name(getattr(self._tokenization_fn, "__name__", repr(self._tokenization_fn)))

    def _encoded(self, values: list[str | None], column: str) -> pa.Array:
        """Returns a column of lists of the rows' texts; those of null are null."""
        raise NotImplementedError

    def _form_for_datasets(self) -> BatchFormat:
        # A DataFrame would hold a Python list for each row.
        return BatchFormat.ARROW

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        inputs = [table.column(column).to_pylist() for column in self._columns]
        for values, column, output in zip(inputs, self._columns, self._output_columns, strict=True):
            table = with_column(table, output, self._encoded(values, column))
        return table

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd

        frame = frame.copy(deep=False)
        inputs = [texts(frame[column]) for column in self._columns]
        for values, column, output in zip(inputs, self._columns, self._output_columns, strict=True):
            made = self._encoded(values, column).to_pylist()
            frame[output] = pd.Series(made, index=frame.index, dtype=object)
        return frame


class _Name(str):
    """A text that shows without quotes."""

    def __repr__(self) -> str:
        return str(self)


def texts(series: pd.Series) -> list[Any]:
    """Returns the values of a column as they are; what is missing as None."""
    import pandas as pd

    values = series.astype(object)
    return values.where(~pd.isna(values), None).tolist()


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.tokenizer")
class Tokenizer(TextPreprocessor):
    """Makes of each text the list of its tokens; null stays null.

    Args:
        columns: columns of text.
        tokenization_fn: from a text to its tokens; default: what stands between single spaces.
        output_columns: the results' columns; None: in place.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        tokenization_fn: Callable[[str], list[str]] | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, tokenization_fn, output_columns)

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            tokenization_fn=self._shown_fn,
            output_columns=self._output_columns,
        )

    def _encoded(self, values: list[str | None], column: str) -> pa.Array:
        from headrace._internal.convert import list_to_arrow

        # No list is kept for each row: the collector of garbage would look at all of them.
        flat: list[Any] = []
        ends = [0]
        for text in values:
            if text is not None:
                flat.extend(self._tokenization_fn(text))
            ends.append(len(flat))
        tokens = list_to_arrow(flat) if flat else pa.array([], pa.string())
        return lists_of(tokens, ends, values)


def lists_of(elements: pa.Array, ends: Any, values: list[str | None]) -> pa.Array:
    """Returns a column of lists: that of row i has the elements from ends[i] to ends[i + 1], and is
    null where values[i] is None."""
    null = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), elements, mask=null)
