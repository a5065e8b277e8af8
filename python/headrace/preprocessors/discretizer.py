"""Discretizers: numbers become the numbers of the bins that they are in.

Arguments that both share:
    right: bins have their upper edges, not their lower ones.
    include_lowest: with `right`, the first bin has its lower edge too.
    duplicates: of equal edges: "raise" (ValueError) or "drop" all but one.
    dtypes: column → a type of integers, or a `pandas.CategoricalDtype` whose categories are the
        bins' names. A column with values in no bin, or missing, cannot be of integers: it has
        float64 with missing values.
    output_columns: the results' columns; None: in place.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from headrace.preprocessors.base import (
    ColumnsPreprocessor,
    as_floats,
    described,
    fold,
    missing_as_none,
)
from headrace.preprocessors.version_support import SerializablePreprocessor

if TYPE_CHECKING:
    import pandas as pd

    from headrace.dataset import Dataset

    Edges: TypeAlias = Iterable[float] | pd.IntervalIndex
    Dtypes: TypeAlias = dict[str, pd.CategoricalDtype | type[np.integer]]


class _Discretizer(ColumnsPreprocessor):
    def __init__(
        self,
        columns: list[str],
        bins: Any,
        right: bool,
        include_lowest: bool,
        duplicates: str,
        dtypes: Dtypes | None,
        output_columns: list[str] | None,
    ) -> None:
        super().__init__(columns, output_columns)
        self._bins = bins
        self._right = right
        self._include_lowest = include_lowest
        self._duplicates = duplicates
        self._dtypes = dtypes
        if isinstance(bins, dict) and not set(columns) <= set(bins):
            raise ValueError(
                "If `bins` is a dictionary, all elements of `columns` must be present in it."
            )

    @property
    def right(self) -> bool:
        return self._right

    @property
    def include_lowest(self) -> bool:
        return self._include_lowest

    @property
    def duplicates(self) -> str:
        return self._duplicates

    @property
    def dtypes(self) -> Dtypes | None:
        return self._dtypes

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            bins=self._bins,
            right=self._right,
            include_lowest=self._include_lowest,
            duplicates=self._duplicates,
            dtypes=self._dtypes,
            output_columns=self._output_columns,
        )

    def _edges(self, column: str) -> Any:
        raise NotImplementedError

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        inputs = [frame[column] for column in self._columns]
        for values, column, output in zip(inputs, self._columns, self._output_columns, strict=True):
            dtype = (self._dtypes or {}).get(column)
            frame[output] = self._cut(values, self._edges(column), dtype)
        return frame

    def _cut(self, values: pd.Series, edges: Any, dtype: Any) -> Any:
        import pandas as pd

        names = isinstance(dtype, pd.CategoricalDtype)
        numeric = getattr(values.dtype, "kind", "O") in "biufO"
        found = pd.cut(
            as_floats(values) if numeric else values,
            edges,
            right=self._right,
            labels=dtype.categories if names else False,
            include_lowest=self._include_lowest,
            duplicates=self._duplicates,
            ordered=bool(dtype.ordered) if names else True,
        )
        if names:
            return found
        codes = np.asarray(getattr(found, "codes", found), np.float64)
        codes = np.where(codes < 0, np.nan, codes)
        if np.isnan(codes).any():
            return codes
        return codes.astype(np.int64 if dtype is None else dtype)


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.custom_kbins_discretizer")
class CustomKBinsDiscretizer(_Discretizer):
    """Makes of each number that of its bin, of bins with given edges; none: missing.

    Args:
        columns: columns of numbers.
        bins: rising edges, or an `IntervalIndex`, for all columns, or one for each by name;
            ValueError where a column's is not there.
        right, include_lowest, duplicates, dtypes, output_columns: see the module.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        bins: Edges | dict[str, Edges],
        *,
        right: bool = True,
        include_lowest: bool = False,
        duplicates: str = "raise",
        dtypes: Dtypes | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, bins, right, include_lowest, duplicates, dtypes, output_columns)

    @property
    def bins(self) -> Edges | dict[str, Edges]:
        return self._bins

    def _edges(self, column: str) -> Any:
        return self._bins[column] if isinstance(self._bins, dict) else self._bins


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.uniform_kbins_discretizer")
class UniformKBinsDiscretizer(_Discretizer):
    """Makes of each number that of its bin, of bins of equal width from the least to the greatest.

    The outermost edge that a bin would lack is moved outwards by a thousandth of the range, so that
    all of the fitted values have a bin. `stats_` has each column's edges.

    Args:
        columns: columns of numbers.
        bins: their number for all columns, or for each by name; ValueError where a column's is
            not there, and `fit` raises TypeError for what is no integer.
        right, include_lowest, duplicates, dtypes, output_columns: see the module.
    """

    def __init__(
        self,
        columns: list[str],
        bins: int | dict[str, int],
        *,
        right: bool = True,
        include_lowest: bool = False,
        duplicates: str = "raise",
        dtypes: Dtypes | None = None,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, bins, right, include_lowest, duplicates, dtypes, output_columns)

    @property
    def bins(self) -> int | dict[str, int]:
        return self._bins

    def _fit(self, ds: Dataset) -> None:
        from headrace.aggregate import Max, Min

        per_column = self._bins
        if not isinstance(per_column, dict):
            per_column = dict.fromkeys(self._columns, self._bins)
        for count in per_column.values():
            if not isinstance(count, numbers.Integral):
                raise TypeError(f"`bins` must be an integer or a dict of integers, got {count}")
        found = fold(ds, [*map(Min, per_column), *map(Max, per_column)])
        self.stats_ = {
            column: uniform_edges(
                column, found[f"min({column})"], found[f"max({column})"], count, self._right
            )
            for column, count in per_column.items()
        }

    def _edges(self, column: str) -> Any:
        return self.stats_[column]


def uniform_edges(column: str, least: Any, greatest: Any, count: int, right: bool) -> np.ndarray:
    """Returns the `count` + 1 edges of equal bins.

    Raises TypeError for bounds that are no numbers, ValueError for none.
    """
    if missing_as_none(least) is None or missing_as_none(greatest) is None:
        raise ValueError(f"Column '{column}' has no values to make bins of.")
    if not isinstance(least, numbers.Number):
        raise TypeError(f"Column '{column}' has no numbers, but {type(least).__name__}")
    low, high = float(least), float(greatest)  # type: ignore[arg-type]
    if low == high:
        margin = 0.001 * abs(low) or 0.001
        return np.linspace(low - margin, high + margin, count + 1)
    edges = np.linspace(low, high, count + 1)
    if right:
        edges[0] -= 0.001 * (high - low)
    else:
        edges[-1] += 0.001 * (high - low)
    return edges
