"""`PythonObjectArray`: a column of any objects in pandas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype

from headrace._internal import object_type


@register_extension_dtype
class PythonObjectDtype(ExtensionDtype):
    """The type of a `PythonObjectArray`; its name is "python_object()"."""

    @property
    def type(self) -> Any:
        return object

    @property
    def name(self) -> str:
        return "python_object()"

    @classmethod
    def construct_array_type(cls) -> Any:
        return PythonObjectArray

    @classmethod
    def construct_from_string(cls, string: str) -> PythonObjectDtype:
        if string != "python_object()":
            raise TypeError(f"Cannot construct a '{cls.__name__}' from '{string}'")
        return cls()

    def __from_arrow__(self, array: Any) -> PythonObjectArray:
        return PythonObjectArray(array.to_pylist())


class PythonObjectArray(ExtensionArray):
    """A column of any objects; None is missing."""

    def __init__(self, values: Iterable[Any]) -> None:
        given = list(values)
        self.values = np.empty(len(given), dtype=object)
        for i, value in enumerate(given):
            self.values[i] = value

    @classmethod
    def _from_sequence(
        cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False
    ) -> PythonObjectArray:
        return cls(scalars)

    @classmethod
    def _from_factorized(cls, values: Any, original: Any) -> PythonObjectArray:
        return cls(values)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[PythonObjectArray]) -> PythonObjectArray:
        return cls(value for array in to_concat for value in array.values)

    def __getitem__(self, item: Any) -> Any:
        item = pd.api.indexers.check_array_indexer(self, item)
        found = self.values[item]
        return found if np.ndim(item) == 0 and not isinstance(item, slice) else type(self)(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[key] = value

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: Any) -> Any:
        """Per row; arrays are equal if all of their values are.

        Raises ValueError for values of another length.
        """
        if isinstance(other, (pd.Series, pd.DataFrame, pd.Index)):
            return NotImplemented
        if isinstance(other, PythonObjectArray):
            other = other.values
        if not isinstance(other, (list, tuple, np.ndarray)):
            other = [other] * len(self)
        if len(other) != len(self):
            raise ValueError(f"Lengths must match: {len(self)} and {len(other)}.")
        return np.array([_are_equal(*pair) for pair in zip(self.values, other, strict=True)], bool)

    def __ne__(self, other: Any) -> Any:
        equal = self == other
        return equal if equal is NotImplemented else ~equal

    def to_numpy(self, dtype: Any = None, copy: bool = False, na_value: Any = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype) if copy or dtype is not None else self.values

    @property
    def dtype(self) -> PythonObjectDtype:
        return PythonObjectDtype()

    @property
    def nbytes(self) -> int:
        return self.values.nbytes

    def isna(self) -> np.ndarray:
        return np.array([value is None for value in self.values], dtype=bool)

    def take(
        self, indices: Any, allow_fill: bool = False, fill_value: Any = None
    ) -> PythonObjectArray:
        return type(self)(
            fill_value if allow_fill and i == -1 else self.values[i] for i in np.asarray(indices)
        )

    def copy(self) -> PythonObjectArray:
        """Returns an array of the same objects, as pandas' copies of columns of objects are."""
        return type(self)(self.values)

    def __arrow_array__(self, type: Any = None) -> Any:
        return object_type.objects_to_arrow(self.values)


def _are_equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    try:
        return bool(one == other)
    except ValueError:  # Arrays in other objects.
        return one is other
