"""`TensorArray`: a column of tensors in pandas."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype

from headrace._internal import convert

_NAME = re.compile(r"^(?:TensorDtype|numpy\.ndarray)\(shape=\((.*?)\), dtype=(\w+)\)$")


@register_extension_dtype
class TensorDtype(ExtensionDtype):
    """The type of a `TensorArray`.

    Args:
        shape: of one tensor; None in it where the tensors differ.
        dtype: of the values.
    """

    def __init__(self, shape: tuple[int | None, ...], dtype: Any) -> None:
        self._shape = tuple(shape)
        self._dtype = np.dtype(dtype)

    @property
    def type(self) -> Any:
        return TensorArrayElement

    @property
    def element_dtype(self) -> np.dtype:
        return self._dtype

    @property
    def element_shape(self) -> tuple[int | None, ...]:
        return self._shape

    @property
    def is_variable_shaped(self) -> bool:
        return any(size is None for size in self._shape)

    @property
    def name(self) -> str:
        return f"TensorDtype(shape={self._shape}, dtype={self._dtype})"

    @classmethod
    def construct_from_string(cls, string: str) -> TensorDtype:
        if not isinstance(string, str):
            raise TypeError(f"'construct_from_string' expects a string, got {type(string)}")
        found = _NAME.match(string)
        if found is None:
            raise TypeError(f"Cannot construct a '{cls.__name__}' from '{string}'")
        sizes = [size.strip() for size in found[1].split(",") if size.strip()]
        return cls(tuple(None if s == "None" else int(s) for s in sizes), np.dtype(found[2]))

    @classmethod
    def construct_array_type(cls) -> Any:
        return TensorArray

    def __from_arrow__(self, array: Any) -> TensorArray:
        return TensorArray(convert.column_to_numpy(array))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            try:
                other = TensorDtype.construct_from_string(other)
            except TypeError:
                return False
        return (
            isinstance(other, TensorDtype)
            and self._shape == other._shape
            and self._dtype == other._dtype
        )

    def __hash__(self) -> int:
        return hash((self._shape, self._dtype))

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class TensorArrayElement:
    """One tensor of a `TensorArray`; numpy takes it as an array."""

    def __init__(self, values: np.ndarray) -> None:
        self._tensor = values

    def to_numpy(self) -> np.ndarray:
        """Returns the tensor."""
        return np.asarray(self._tensor)

    @property
    def numpy_dtype(self) -> np.dtype:
        return self._tensor.dtype

    @property
    def numpy_shape(self) -> tuple[int, ...]:
        return self._tensor.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None, **_: Any) -> np.ndarray:
        values = np.asarray(self._tensor, dtype=dtype)
        return values.copy() if copy and values is self._tensor else values

    def __len__(self) -> int:
        return len(self._tensor)

    def __getitem__(self, item: Any) -> Any:
        return self._tensor[item]

    def __repr__(self) -> str:
        return repr(self._tensor)

    def __str__(self) -> str:
        return str(self._tensor)


class TensorArray(ExtensionArray):
    """A column of tensors: (rows, *shape), or an object array of tensors of one rank.

    Arithmetic and comparisons are numpy's on all tensors at once.

    Args:
        values: an array whose first axis are the rows, or a sequence of tensors.

    Raises TypeError for anything else, and for values that are no tensors.
    """

    def __init__(self, values: Any) -> None:
        if isinstance(values, TensorArrayElement):
            values = [values]
        if isinstance(values, pd.Series):
            values = values.to_list()
        if isinstance(values, (list, tuple)):
            values = _stacked(values)
        if not isinstance(values, np.ndarray) or values.ndim == 0:
            raise TypeError(
                "Expected a numpy.ndarray or a sequence of them of at least one dimension, "
                f"but got {type(values).__name__}."
            )
        self._tensor = _stacked(list(values)) if values.dtype == object else values

    @classmethod
    def _from_sequence(
        cls, scalars: Sequence[Any], *, dtype: Any = None, copy: bool = False
    ) -> TensorArray:
        values = _stacked(list(scalars))
        if isinstance(dtype, TensorDtype) and values.dtype != object:
            values = values.astype(dtype.element_dtype)
        return cls(values.copy() if copy else values)

    @classmethod
    def _from_factorized(cls, values: Any, original: Any) -> TensorArray:
        raise NotImplementedError("tensors have no factors")

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[TensorArray]) -> TensorArray:
        return cls(_stacked([tensor for array in to_concat for tensor in array._tensor]))

    @property
    def is_variable_shaped(self) -> bool:
        return self._tensor.dtype == object

    @property
    def numpy_dtype(self) -> np.dtype:
        return self.dtype.element_dtype

    @property
    def numpy_shape(self) -> tuple[int | None, ...]:
        return self.dtype.element_shape

    @property
    def numpy_ndim(self) -> int:
        return len(self.dtype.element_shape)

    @property
    def dtype(self) -> TensorDtype:
        if not self.is_variable_shaped:
            return TensorDtype(self._tensor.shape[1:], self._tensor.dtype)
        shapes = [tensor.shape for tensor in self._tensor]
        joined = [s[0] if len(set(s)) == 1 else None for s in zip(*shapes, strict=True)]
        return TensorDtype(tuple(joined), self._tensor[0].dtype)

    @property
    def nbytes(self) -> int:
        if self.is_variable_shaped:
            return sum(tensor.nbytes for tensor in self._tensor)
        return self._tensor.nbytes

    def __len__(self) -> int:
        return len(self._tensor)

    def __getitem__(self, item: Any) -> Any:
        item = pd.api.indexers.check_array_indexer(self, item)
        found = self._tensor[item]
        one = np.ndim(item) == 0 and not isinstance(item, slice)
        return TensorArrayElement(found) if one else type(self)(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        key = pd.api.indexers.check_array_indexer(self, key)
        self._tensor[key] = _plain(value)

    def __contains__(self, item: Any) -> bool:
        wanted = np.asarray(_plain(item))
        return any(np.array_equal(tensor, wanted) for tensor in self._tensor)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._tensor, dtype=dtype)

    def __repr__(self) -> str:
        return repr(self._tensor)

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default
    ) -> np.ndarray:
        """Returns (rows, *shape), or an object array where the shapes differ."""
        values = self._tensor if dtype is None else self._tensor.astype(dtype)
        return values.copy() if copy and values is self._tensor else values

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Returns the values as another type of tensor, as text, or as an array of objects."""
        dtype = pd.api.types.pandas_dtype(dtype)
        if isinstance(dtype, TensorDtype):
            return type(self)(self._tensor.astype(dtype.element_dtype, copy=copy))
        if pd.api.types.is_object_dtype(dtype):
            return convert._object_array([TensorArrayElement(tensor) for tensor in self._tensor])
        if pd.api.types.is_string_dtype(dtype):
            return pd.array([str(tensor) for tensor in self._tensor], dtype=dtype)
        return self._tensor.astype(dtype, copy=copy)

    def isna(self) -> Any:
        """Returns per row whether all values of the tensor are missing."""
        if self.is_variable_shaped:
            return np.array([bool(np.all(pd.isna(tensor))) for tensor in self._tensor], dtype=bool)
        axes = tuple(range(1, self._tensor.ndim))
        return np.all(pd.isna(self._tensor), axis=axes) if axes else pd.isna(self._tensor)

    def take(
        self, indices: Sequence[int], allow_fill: bool = False, fill_value: Any = None
    ) -> TensorArray:
        """Returns the tensors at `indices`; -1 is `fill_value` (default: nan) with `allow_fill`."""
        wanted = np.asarray(indices, dtype=np.intp)
        if not allow_fill or not (wanted == -1).any():
            return type(self)(self._tensor[wanted])
        fill = np.nan if fill_value is None or fill_value is pd.NA else _plain(fill_value)
        taken = [
            np.full_like(
                self._tensor[0], fill, dtype=np.result_type(self._tensor.dtype, type(fill))
            )
            if i == -1
            else self._tensor[i]
            for i in wanted
        ]
        return type(self)(_stacked(taken))

    def copy(self) -> TensorArray:
        return type(self)(self._tensor.copy())

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """`numpy.any` of all values."""
        return _as_tensors(self._tensor.any(axis=axis, out=out, keepdims=keepdims))

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        """`numpy.all` of all values."""
        return _as_tensors(self._tensor.all(axis=axis, out=out, keepdims=keepdims))

    def _reduce(self, name: str, *, skipna: bool = True, **kwargs: Any) -> Any:
        known = {"sum", "all", "any", "min", "max", "mean", "median", "prod", "std", "var"}
        if name not in known:
            raise NotImplementedError(f"'{name}' aggregate is not implemented.")
        found = getattr(np, name)(self._tensor, axis=0, **kwargs)
        return TensorArrayElement(found) if isinstance(found, np.ndarray) else found

    def __arrow_array__(self, type: Any = None) -> Any:
        return convert.column_to_arrow(self._tensor)


def column_needs_tensor_extension(s: pd.Series) -> bool:
    """Returns whether a column holds tensors as objects."""
    return s.dtype == object and len(s) > 0 and isinstance(s.iloc[0], np.ndarray)


def _plain(value: Any) -> Any:
    return value._tensor if isinstance(value, (TensorArray, TensorArrayElement)) else value


def _as_tensors(found: Any) -> Any:
    return TensorArray(found) if isinstance(found, np.ndarray) else found


def _stacked(values: Sequence[Any]) -> np.ndarray:
    """One array of tensors of one shape, else an object array of tensors."""
    tensors = [np.asarray(_plain(value)) for value in values]
    if any(tensor.dtype == object for tensor in tensors):
        raise TypeError("Expected tensors of numbers or text; these hold objects.")
    if len({tensor.shape for tensor in tensors}) <= 1:
        return np.stack(tensors) if tensors else np.empty((0,))
    return convert._object_array(tensors)


def _operation(name: str, function: Callable[..., Any]) -> None:
    def method(self: TensorArray, other: Any) -> Any:
        if isinstance(other, (pd.Series, pd.DataFrame, pd.Index)):
            return NotImplemented
        return TensorArray(function(self._tensor, _plain(other)))

    method.__name__ = name
    setattr(TensorArray, name, method)


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    _function = getattr(operator, f"__{_name}__")
    _operation(f"__{_name}__", _function)
    _operation(f"__r{_name}__", lambda a, b, function=_function: function(b, a))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _operation(f"__{_name}__", getattr(operator, _name))
