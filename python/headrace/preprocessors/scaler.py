"""Scalers: each column is shifted and divided by what its values say.

Missing values stay missing and do not count; results are float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.preprocessors.base import (
    ColumnsPreprocessor,
    as_floats,
    described,
    fold,
    missing_as_none,
    with_column,
)
from headrace.preprocessors.version_support import SerializablePreprocessor
from headrace.util.data_batch_conversion import BatchFormat

if TYPE_CHECKING:
    import pandas as pd

    from headrace.dataset import Dataset

_QUANTILES = ("low_quantile", "median", "high_quantile")


class _Scaler(ColumnsPreprocessor):
    """Makes (x - center) / scale of each column; a scale of 0 counts as 1."""

    def _center_and_scale(self, column: str) -> tuple[Any, Any]:
        """Returns what `stats_` says of a column; None for what is not known."""
        raise NotImplementedError

    def _numbers(self, column: str) -> tuple[float, float]:
        """Returns center and scale to compute with: nan makes all values missing."""
        center, scale = self._center_and_scale(column)
        if center is None or scale is None:
            return float("nan"), float("nan")
        return float(center), float(scale) or 1.0

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        inputs = {column: frame[column] for column in self._columns}
        for column, output in zip(self._columns, self._output_columns, strict=True):
            center, scale = self._numbers(column)
            frame[output] = (as_floats(inputs[column]) - center) / scale
        return frame


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.standard_scaler")
class StandardScaler(_Scaler):
    """Makes of each column one with mean 0 and standard deviation 1 (of the population).

    A column of equal values becomes 0. With nan among the values, all become missing.

    Args:
        columns: columns of numbers.
        output_columns: the results' columns; None: in place.
    """

    def __init__(self, columns: list[str], output_columns: list[str] | None = None) -> None:
        super().__init__(columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        from headrace.aggregate import Mean, Std

        found = fold(
            ds, [*map(Mean, self._columns), *(Std(name, ddof=0) for name in self._columns)]
        )
        self.stats_ = {name: missing_as_none(value) for name, value in found.items()}

    def _center_and_scale(self, column: str) -> tuple[Any, Any]:
        return self.stats_[f"mean({column})"], self.stats_[f"std({column})"]

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        inputs = {column: table.column(column) for column in self._columns}
        for column, output in zip(self._columns, self._output_columns, strict=True):
            center, scale = self._numbers(column)
            if np.isnan(center) or np.isnan(scale):
                scaled = pa.nulls(table.num_rows, pa.float64())
            else:
                values = pc.cast(inputs[column], pa.float64())
                scaled = pc.divide(pc.subtract(values, center), scale)
            table = with_column(table, output, scaled)
        return table

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        return BatchFormat.ARROW


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.min_max_scaler")
class MinMaxScaler(_Scaler):
    """Makes of each column one from 0, its least value, to 1, its greatest.

    A column of equal values becomes 0.

    Args:
        columns: columns of numbers.
        output_columns: the results' columns; None: in place.
    """

    def __init__(self, columns: list[str], output_columns: list[str] | None = None) -> None:
        super().__init__(columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        from headrace.aggregate import Max, Min

        self.stats_ = fold(ds, [*map(Min, self._columns), *map(Max, self._columns)])

    def _center_and_scale(self, column: str) -> tuple[Any, Any]:
        least, greatest = self.stats_[f"min({column})"], self.stats_[f"max({column})"]
        return least, None if least is None else float(greatest) - float(least)


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.max_abs_scaler")
class MaxAbsScaler(_Scaler):
    """Divides each column by its greatest magnitude; a column of zeros stays.

    Args:
        columns: columns of numbers.
        output_columns: the results' columns; None: in place.
    """

    def __init__(self, columns: list[str], output_columns: list[str] | None = None) -> None:
        super().__init__(columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        from headrace.aggregate import AbsMax

        self.stats_ = fold(ds, list(map(AbsMax, self._columns)))

    def _center_and_scale(self, column: str) -> tuple[Any, Any]:
        return 0.0, self.stats_[f"abs_max({column})"]


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.robust_scaler")
class RobustScaler(_Scaler):
    """Makes of each column one with median 0 and a distance of 1 between two quantiles.

    The quantiles are of a sketch (`headrace.aggregate.ApproximateQuantile`). A column whose
    quantiles are equal is only shifted.

    Args:
        columns: columns of numbers.
        quantile_range: the lower and the upper quantile, shares in [0, 1]; `fit` raises ValueError
            for others.
        output_columns: the results' columns; None: in place.
        quantile_precision: values that the sketch keeps; the more, the closer.
    """

    DEFAULT_QUANTILE_PRECISION = 800

    def __init__(
        self,
        columns: list[str],
        quantile_range: tuple[float, float] = (0.25, 0.75),
        output_columns: list[str] | None = None,
        quantile_precision: int = DEFAULT_QUANTILE_PRECISION,
    ) -> None:
        super().__init__(columns, output_columns)
        self._quantile_range = quantile_range
        self._quantile_precision = quantile_precision

    @property
    def quantile_range(self) -> tuple[float, float]:
        return self._quantile_range

    @property
    def quantile_precision(self) -> int:
        return self._quantile_precision

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            quantile_range=self._quantile_range,
            output_columns=self._output_columns,
        )

    def _fit(self, ds: Dataset) -> None:
        from headrace.aggregate import ApproximateQuantile

        low, high = self._quantile_range
        shares = [low, 0.5, high]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"quantile_range must be of shares in [0, 1], got: {(low, high)}")
        found = fold(
            ds,
            [ApproximateQuantile(c, shares, self._quantile_precision, c) for c in self._columns],
        )
        self.stats_ = {}
        for column in self._columns:
            quantiles = found[column] or [None] * 3
            for name, value in zip(_QUANTILES, quantiles, strict=True):
                self.stats_[f"{name}({column})"] = value

    def _center_and_scale(self, column: str) -> tuple[Any, Any]:
        low, median, high = (self.stats_[f"{name}({column})"] for name in _QUANTILES)
        return median, None if low is None else high - low
