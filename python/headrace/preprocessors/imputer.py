"""`SimpleImputer`: puts a value where one is missing."""

from __future__ import annotations

import decimal
import numbers
from typing import TYPE_CHECKING, Any

from headrace.preprocessors.base import ColumnsPreprocessor, described, fold, missing_as_none
from headrace.preprocessors.version_support import SerializablePreprocessor

if TYPE_CHECKING:
    import pandas as pd

    from headrace.dataset import Dataset

_STRATEGIES = ("mean", "most_frequent", "constant")


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.simple_imputer")
class SimpleImputer(ColumnsPreprocessor):
    """Replaces nulls; a column that a batch lacks is made of the value alone.

    A column of integers stays one: the fraction of the mean is dropped.

    Args:
        columns: the columns.
        strategy: "mean" (of a column of numbers), "most_frequent" (of equals the first met) or
            "constant"; else ValueError.
        fill_value: of "constant"; there ValueError if None.
        output_columns: the results' columns; None: in place.

    A batch where the fitted data had no value to learn from raises ValueError.
    """

    def __init__(
        self,
        columns: list[str],
        strategy: str = "mean",
        fill_value: str | numbers.Number | None = None,
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, output_columns)
        if strategy not in _STRATEGIES:
            raise ValueError(
                f"Strategy {strategy} is not supported: one of {list(_STRATEGIES)} is needed."
            )
        if strategy == "constant":
            if fill_value is None:
                raise ValueError('`fill_value` must be set when using "constant" strategy.')
            self._is_fittable = False
        self._strategy = strategy
        self._fill_value = fill_value

    @property
    def strategy(self) -> str:
        return self._strategy

    @property
    def fill_value(self) -> str | numbers.Number | None:
        return self._fill_value

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            strategy=self._strategy,
            fill_value=self._fill_value,
            output_columns=self._output_columns,
        )

    def _fit(self, ds: Dataset) -> None:
        from headrace.aggregate import Mean, ValueCounter

        if self._strategy == "mean":
            found = fold(ds, list(map(Mean, self._columns)))
            self.stats_ = {name: missing_as_none(value) for name, value in found.items()}
            return
        found = fold(ds, [ValueCounter(name, alias_name=name) for name in self._columns])
        self.stats_ = {f"most_frequent({name})": _most_frequent(found[name]) for name in found}

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        inputs = {name: frame[name] for name in self._columns if name in frame.columns}
        for column, output in zip(self._columns, self._output_columns, strict=True):
            value = self._value_of(column)
            frame[output] = _filled(inputs[column], value) if column in inputs else value
        return frame

    def _value_of(self, column: str) -> Any:
        if self._strategy == "constant":
            return self._fill_value
        value = self.stats_[f"{self._strategy}({column})"]
        if value is None:
            raise ValueError(
                f"Column {column} has no fill value. Check the data used to fit the SimpleImputer."
            )
        return value


def _filled(series: pd.Series, value: Any) -> pd.Series:
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype) and value not in dtype.categories:
        series = series.cat.add_categories(value)
    if hasattr(dtype, "pyarrow_dtype"):
        if dtype.kind in "iu" and isinstance(value, float):
            value = int(value)
        elif dtype.type is decimal.Decimal and isinstance(value, float):
            value = decimal.Decimal(str(value))
    elif dtype.kind in "fiu" and isinstance(value, str):
        series = series.astype(object)
    return series.fillna(value).infer_objects()


def _most_frequent(counted: dict[str, list[Any]] | None) -> Any:
    if not counted or not counted["values"]:
        return None
    pairs = list(zip(counted["values"], counted["counts"], strict=True))
    known = [pair for pair in pairs if missing_as_none(pair[0]) is not None]
    return max(known, key=lambda pair: pair[1])[0] if known else None
