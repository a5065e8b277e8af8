"""`PowerTransformer`: makes a skewed distribution more like a normal one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from headrace.preprocessors.base import ColumnsPreprocessor, as_floats, described
from headrace.preprocessors.version_support import SerializablePreprocessor

if TYPE_CHECKING:
    import pandas as pd

_METHODS = ("yeo-johnson", "box-cox")


@SerializablePreprocessor(version=1, identifier="headrace.preprocessors.power_transformer")
class PowerTransformer(ColumnsPreprocessor):
    """Raises columns to a power, so that 0 is the logarithm and 1 changes the shape of nothing.

    Missing values, and those where the transform is not defined, are missing in the result.

    Args:
        columns: columns of numbers.
        power: the exponent, lambda in the literature.
        method: "yeo-johnson", for all numbers, or "box-cox", for positive ones; else ValueError.
        output_columns: the results' columns; None: in place.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: list[str],
        power: float,
        method: str = "yeo-johnson",
        *,
        output_columns: list[str] | None = None,
    ) -> None:
        super().__init__(columns, output_columns)
        if method not in _METHODS:
            raise ValueError(
                f"Method {method} is not supported: one of {list(_METHODS)} is needed."
            )
        self._power = power
        self._method = method

    @property
    def power(self) -> float:
        return self._power

    @property
    def method(self) -> str:
        return self._method

    def __repr__(self) -> str:
        return described(
            self,
            columns=self._columns,
            power=self._power,
            method=self._method,
            output_columns=self._output_columns,
        )

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy(deep=False)
        transform = box_cox if self._method == "box-cox" else yeo_johnson
        inputs = [as_floats(frame[column]) for column in self._columns]
        for values, output in zip(inputs, self._output_columns, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                frame[output] = transform(values, self._power)
        return frame


def box_cox(values: np.ndarray, power: float) -> np.ndarray:
    """Returns (x^power - 1) / power, for a power of 0 its limit log(x)."""
    return np.log(values) if power == 0 else (np.power(values, float(power)) - 1) / power


def yeo_johnson(values: np.ndarray, power: float) -> np.ndarray:
    """Returns Box-Cox of x + 1 for x >= 0; below, that of 1 - x by the power 2 - power, negated."""
    result = np.full(values.shape, np.nan)
    above, below = values >= 0, values < 0
    result[above] = box_cox(values[above] + 1, power)
    result[below] = -box_cox(1 - values[below], 2 - power)
    return result
