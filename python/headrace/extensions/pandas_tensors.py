"""`TensorArray`: a column of tensors in pandas."""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray, ExtensionDtype, register_extension_dtype

from headrace._internal import convert

_NAME = re.compile(r"^(?:TensorDtype|numpy\.ndarray)\(shape=\((.*?)\), dtype=(.+)\)$")


_PANDAS = (pd.Series, pd.DataFrame, pd.Index)


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
        """The numpy type of the values."""
        return self._dtype

    @property
    def element_shape(self) -> tuple[int | None, ...]:
        """The shape of one tensor; None where the tensors differ."""
        return self._shape

    @property
    def is_variable_shaped(self) -> bool:
        """Whether the shapes of the tensors differ."""
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
        if not all(size == "None" or size.isdigit() for size in sizes):
            raise TypeError(f"Cannot construct a '{cls.__name__}' from '{string}'")
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


class TensorArrayElement(np.lib.mixins.NDArrayOperatorsMixin):
    """One tensor of a `TensorArray`; numpy takes it as an array, and operators give arrays."""

    def __init__(self, values: np.ndarray) -> None:
        self._tensor = values

    def to_numpy(self) -> np.ndarray:
        """Returns the tensor."""
        return np.asarray(self._tensor)

    @property
    def numpy_dtype(self) -> np.dtype:
        """The numpy type of the values."""
        return self._tensor.dtype

    @property
    def numpy_shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self._tensor.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None, **_: Any) -> np.ndarray:
        values = np.asarray(self._tensor, dtype=dtype)
        return values.copy() if copy and values is self._tensor else values

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, (*_PANDAS, TensorArray)) for value in inputs):
            return NotImplemented
        return getattr(ufunc, method)(*map(_plain, inputs), **kwargs)

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

    Arithmetic, comparisons and numpy's functions work on all tensors at once; where the shapes
    differ, on one tensor after the other, with what else there is of its row: the tensor of
    another `TensorArray`, or the value of an array of as many rows.

    Args:
        values: an array whose first axis are the rows, or a sequence of tensors.

    Raises TypeError for anything else, and for values that are no tensors; ValueError for tensors
    of several ranks.
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
        array = scalars if isinstance(scalars, cls) else cls(list(scalars))
        if isinstance(dtype, TensorDtype):
            if not len(array):
                return cls(_no_tensors(dtype))
            array = array._as_type(dtype.element_dtype)
        return array.copy() if copy else array

    @classmethod
    def _from_factorized(cls, values: Any, original: Any) -> TensorArray:
        raise NotImplementedError("tensors have no factors")

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[TensorArray]) -> TensorArray:
        some = [array._tensor for array in to_concat if len(array)] or [to_concat[0]._tensor]
        if any(a.dtype == object or a.shape[1:] != some[0].shape[1:] for a in some):
            return cls([tensor for array in some for tensor in array])
        return cls(np.concatenate(some))

    @property
    def is_variable_shaped(self) -> bool:
        """Whether the shapes of the tensors differ."""
        return self._tensor.dtype == object

    @property
    def numpy_dtype(self) -> np.dtype:
        """The numpy type of the values."""
        return self.dtype.element_dtype

    @property
    def numpy_shape(self) -> tuple[int | None, ...]:
        """The shape of one tensor; None where the tensors differ."""
        return self.dtype.element_shape

    @property
    def numpy_ndim(self) -> int:
        """The number of dimensions of one tensor."""
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
        if np.ndim(item) == 0 and not isinstance(item, slice):
            return TensorArrayElement(found)
        return type(self)(found if len(found) else _no_tensors(self.dtype))

    def __setitem__(self, key: Any, value: Any) -> None:
        key = pd.api.indexers.check_array_indexer(self, key)
        if not self.is_variable_shaped:
            self._tensor[key] = _plain(value)
            return
        rows = np.atleast_1d(np.arange(len(self))[key])
        one = np.ndim(key) == 0 and not isinstance(key, slice)
        if one or pd.api.types.is_scalar(value) or isinstance(value, TensorArrayElement):
            values = [_plain(value)] * len(rows)
        else:
            values = list(TensorArray(value)._tensor)
        # Into a new array, so that a value that does not fit changes nothing.
        changed = list(self._tensor)
        for row, tensor in zip(rows, values, strict=True):
            fills = pd.api.types.is_scalar(tensor)
            changed[row] = np.full_like(changed[row], tensor) if fills else tensor
        self._tensor = _stacked(changed)

    def __contains__(self, item: Any) -> bool:
        wanted = np.asarray(_plain(item))
        return any(np.array_equal(tensor, wanted) for tensor in self._tensor)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.to_numpy(dtype, copy=bool(copy))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, _PANDAS) for value in inputs):
            return NotImplemented
        if method != "__call__" or kwargs.get("out") is not None:
            if "out" in kwargs:
                kwargs["out"] = tuple(map(_plain, kwargs["out"]))
            return getattr(ufunc, method)(*map(_plain, inputs), **kwargs)
        return _each(functools.partial(ufunc, **kwargs), *inputs)

    def __neg__(self) -> TensorArray:
        return _each(operator.neg, self)

    def __pos__(self) -> TensorArray:
        return _each(operator.pos, self)

    def __invert__(self) -> TensorArray:
        return _each(operator.invert, self)

    def __abs__(self) -> TensorArray:
        return _each(operator.abs, self)

    def __repr__(self) -> str:
        return repr(self._tensor)

    def to_numpy(
        self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default
    ) -> np.ndarray:
        """Returns (rows, *shape), or an object array where the shapes differ."""
        wanted = None if dtype is None else np.dtype(dtype)
        if wanted is not None and wanted.hasobject and not self.is_variable_shaped:
            return self._tensor.astype(object)
        array = self if wanted is None or wanted.hasobject else self._as_type(wanted)
        return array.copy()._tensor if copy and array is self else array._tensor

    def _as_type(self, dtype: np.dtype) -> TensorArray:
        if dtype == self.numpy_dtype:
            return self
        return _each(lambda tensor: tensor.astype(dtype), self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """Returns the values as another type of tensor, as text, or as an array of objects."""
        dtype = pd.api.types.pandas_dtype(dtype)
        if isinstance(dtype, TensorDtype):
            array = self._as_type(dtype.element_dtype)
            return array.copy() if copy and array is self else array
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
        """Returns the tensors at `indices`; with `allow_fill`, -1 is `fill_value` (default: nan): a
        tensor, or a value that fills one of the others' shape, 1 where they differ.

        Raises IndexError for an index beyond the end; ValueError for one below -1 with
        `allow_fill`; TypeError for a `fill_value` that does not go with the values.
        """
        wanted = np.asarray(indices, dtype=np.intp)
        if not allow_fill:
            return self[wanted]
        if (wanted < -1).any():
            raise ValueError(f"With allow_fill, indices begin at -1; there is {wanted.min()}.")
        found = wanted != -1
        if found.all():
            return self[wanted]
        fill = self._filled(np.nan if _is_missing(fill_value) else _plain(fill_value))
        filled = self._concat_same_type([self[wanted[found]], type(self)([fill])])
        return filled[np.where(found, np.cumsum(found) - 1, -1)]

    def _filled(self, fill: Any) -> np.ndarray:
        if np.ndim(fill):
            return np.asarray(fill)
        dtype = self.numpy_dtype
        if dtype.kind in "mM" and _is_missing(fill):
            fill = np.array("NaT", dtype)
        shape = [1 if size is None else size for size in self.numpy_shape]
        return np.full(shape, fill, np.result_type(dtype, fill))

    def copy(self) -> TensorArray:
        if self.is_variable_shaped:
            return type(self)([tensor.copy() for tensor in self._tensor])
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
    if isinstance(found, tuple):
        return tuple(map(_as_tensors, found))
    return TensorArray(found) if isinstance(found, np.ndarray) and found.ndim else found


def _is_missing(value: Any) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def _no_tensors(dtype: TensorDtype) -> np.ndarray:
    """No rows, of a rank and a type."""
    return np.empty((0, *(size or 0 for size in dtype.element_shape)), dtype.element_dtype)


def _stacked(values: Sequence[Any]) -> np.ndarray:
    """One array of tensors of one shape, else an object array of tensors of one type."""
    tensors = [np.asarray(_plain(value)) for value in values]
    if any(tensor.dtype == object for tensor in tensors):
        raise TypeError("Expected tensors of numbers or text; these hold objects.")
    if len({tensor.shape for tensor in tensors}) <= 1:
        return np.stack(tensors) if tensors else np.empty((0,))
    ranks = {tensor.ndim for tensor in tensors}
    if len(ranks) > 1:
        raise ValueError(f"Expected tensors of one rank; these have {sorted(ranks)}.")
    dtype = np.result_type(*{tensor.dtype for tensor in tensors})
    return convert._object_array([tensor.astype(dtype, copy=False) for tensor in tensors])


def _each(function: Callable[..., Any], *operands: Any) -> Any:
    """Calls with all tensors, or row by row if there are some of several shapes; arrays of results
    are tensors."""
    plain = [_plain(operand) for operand in operands]
    sizes = [len(o) for o in operands if isinstance(o, TensorArray) and o.is_variable_shaped]
    if not sizes:
        return _as_tensors(function(*plain))

    def rows(given: Any, values: Any) -> Iterable[Any]:
        if isinstance(given, TensorArray):
            return values
        many = isinstance(given, (list, tuple)) or (isinstance(given, np.ndarray) and given.ndim)
        return values if many and len(values) == sizes[0] else itertools.repeat(values, sizes[0])

    if any(isinstance(o, TensorArray) and len(o) != sizes[0] for o in operands):
        raise ValueError(f"Lengths must match: one is {sizes[0]}.")
    found = [function(*row) for row in zip(*map(rows, operands, plain), strict=False)]
    if isinstance(found[0], tuple):
        return tuple(TensorArray(list(results)) for results in zip(*found, strict=True))
    return TensorArray(found)


def _operation(name: str, function: Callable[..., Any]) -> None:
    def method(self: TensorArray, other: Any) -> Any:
        if isinstance(other, _PANDAS):
            return NotImplemented
        return _each(function, self, other)

    method.__name__ = name
    setattr(TensorArray, name, method)


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
):
    _function = getattr(operator, f"__{_name}__")
    _operation(f"__{_name}__", _function)
    _operation(f"__r{_name}__", lambda a, b, function=_function: function(b, a))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _operation(f"__{_name}__", getattr(operator, _name))
