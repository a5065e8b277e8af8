"""Arrow's tensor types by the names of ray.data.

Each class stands for a type or array of Arrow: making one gives Arrow's own object, and
`isinstance` says whether an object is of that kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

import numpy as np
import pyarrow as pa

from headrace import _core
from headrace._internal import convert

FixedShapeTensorType = pa.FixedShapeTensorType


class ArrowConversionError(Exception):
    """Values cannot become a column of Arrow.

    Args:
        data_str: the values, as text; it is cut after 200 characters.
        column_name: the column, if known.
        pa_type: the type that was tried, if any.
    """

    MAX_DATA_STR_LEN = 200

    def __init__(
        self, data_str: str, column_name: str | None = None, pa_type: pa.DataType | None = None
    ) -> None:
        if len(data_str) > self.MAX_DATA_STR_LEN:
            data_str = data_str[: self.MAX_DATA_STR_LEN] + "..."
        where = "" if column_name is None else f" of column '{column_name}'"
        target = "" if pa_type is None else f" of type {pa_type}"
        super().__init__(f"Error converting data{where} to Arrow{target}: {data_str}")


class FixedShapeTensorFormat(Enum):
    """The Arrow types of tensors of one shape. Headrace makes ARROW_NATIVE ones."""

    V1 = "v1"
    V2 = "v2"
    ARROW_NATIVE = "arrow_native"


class _TypeOfArrow(type):
    """Classes whose instances are types that `_is` recognises."""

    _is: Callable[[pa.DataType], bool]

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, pa.DataType) and cls._is(instance)


class _ArrayOfArrow(type):
    """Classes whose instances are arrays of a type that `_is` recognises."""

    _is: Callable[[pa.DataType], bool]

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, pa.Array) and cls._is(instance.type)


class ArrowTensorType(metaclass=_TypeOfArrow):
    """`ArrowTensorType(shape, dtype)` is `pyarrow.fixed_shape_tensor(dtype, shape)`."""

    _is = staticmethod(convert.is_fixed_tensor)

    def __new__(cls, shape: tuple[int, ...], dtype: pa.DataType) -> Any:
        return pa.fixed_shape_tensor(dtype, shape)


class ArrowTensorTypeV2(ArrowTensorType):
    """The same: Headrace has one type for tensors of one shape."""


class ArrowVariableShapedTensorType(metaclass=_TypeOfArrow):
    """`ArrowVariableShapedTensorType(dtype, ndim)` is Arrow's variable-shape tensor."""

    _is = staticmethod(convert.is_variable_tensor)

    def __new__(cls, dtype: pa.DataType, ndim: int) -> Any:
        return _core.variable_shape_tensor(dtype, ndim)


class ArrowTensorArray(metaclass=_ArrayOfArrow):
    """Makes and recognises columns of tensors of one shape."""

    _is = staticmethod(convert.is_fixed_tensor)

    @classmethod
    def from_numpy(
        cls, arr: np.ndarray | Iterable[np.ndarray], *, column_name: str | None = None
    ) -> pa.ExtensionArray:
        """Returns a column of the arrays: fixed-shape tensors, or variable-shape ones where the
        shapes differ.

        Raises ArrowConversionError for values that Arrow has no tensors of.
        """
        made: Any = None
        if isinstance(arr, np.ndarray) and arr.dtype != object and arr.ndim > 0:
            made = convert.tensors_to_arrow(arr) if arr.ndim > 1 else pa.array(arr)
        elif not isinstance(arr, np.ndarray) or arr.ndim > 0:
            made = convert.list_to_arrow([np.asarray(value) for value in arr])
        if made is None or convert.is_object_type(made.type):
            raise ArrowConversionError(str(arr), column_name)
        return made


class ArrowVariableShapedTensorArray(metaclass=_ArrayOfArrow):
    """Makes and recognises columns of tensors of different shapes."""

    _is = staticmethod(convert.is_variable_tensor)

    @classmethod
    def from_numpy(cls, arr: np.ndarray | Sequence[np.ndarray]) -> pa.ExtensionArray:
        """Returns a column of the arrays, which are all of one rank.

        Raises:
            ValueError: there are no arrays, or they differ in rank or are of no type of Arrow.
        """
        tensors = [np.asarray(value) for value in arr]
        if not tensors:
            raise ValueError("Creating an empty ragged tensor array is not supported.")
        made = convert.ragged_tensors_to_arrow(tensors)
        if made is None:
            shapes = [tensor.shape for tensor in tensors]
            raise ValueError(
                "ArrowVariableShapedTensorArray only supports tensors of one rank and of types "
                f"that Arrow has, but got the shapes {shapes}."
            )
        return made


def create_arrow_fixed_shape_tensor_type(
    shape: tuple[int, ...], dtype: pa.DataType
) -> pa.ExtensionType:
    """Returns the type of a column of tensors of `shape`."""
    return pa.fixed_shape_tensor(dtype, shape)


def get_arrow_extension_tensor_types() -> tuple[type, ...]:
    """Returns the classes that recognise the types of columns of tensors."""
    return ArrowTensorType, ArrowTensorTypeV2, ArrowVariableShapedTensorType, FixedShapeTensorType
