"""`Normalizer`: several columns of a row as a vector of length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrace.preprocessors.base import ColumnsPreprocessor, as_floats, described
from headrace.preprocessors.version_support import SerializablePreprocessor

if TYPE_CHECKING:
    import pandas as pd

_NORMS = {
    "l1": lambda values: np.nansum(np.abs(values), axis=1),
    "l2": lambda values: np.sqrt(np.nansum(np.square(values), axis=1)),
    "max": lambda values: np.nanmax(np.abs(values), axis=1, initial=-np.inf),
}


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.normalizer")
class Normalizer(ColumnsPreprocessor):
    """Divides the columns' values in each row by their norm.

    A missing value stays missing and does not count. A row of zeros becomes missing values.

    Args:
        columns: columns of numbers.
        norm: "l1" (sum of magnitudes), "l2" (root of the sum of squares) or "max" (the greatest
            magnitude); else ValueError.
        output_columns: the results' columns; None: in place.
    """

    _is_fittable = False

    def __init__(
        self, columns: list[str], norm: str = "l2", *, output_columns: list[str] | None = None
    ) -> None:
        super().__init__(columns, output_columns)
        if norm not in _NORMS:
            raise ValueError(f"Norm {norm} is not supported: one of {list(_NORMS)} is needed.")
        self._norm = norm

    @property
    def norm(self) -> str:
        return self._norm

    def __repr__(self) -> str:
        return described(
            self, columns=self._columns, norm=self._norm, output_columns=self._output_columns
        )

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        parts = [as_floats(frame[column]) for column in self._columns]
        if not parts:
            return frame
        values = np.stack(parts, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = values / _NORMS[self._norm](values)[:, np.newaxis]
        for i, output in enumerate(self._output_columns):
            frame[output] = scaled[:, i]
        return frame
