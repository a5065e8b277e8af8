"""`DataType`: the type of a column or expression, whatever library it comes from."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import pyarrow as pa

from headrace._internal.scalars import scalar_of

__all__ = ["DataType", "TypeCategory"]


class TypeCategory(str, Enum):
    """Families of types."""

    LIST = "list"
    LARGE_LIST = "large_list"
    STRUCT = "struct"
    MAP = "map"
    TENSOR = "tensor"
    TEMPORAL = "temporal"


@dataclass(frozen=True)
class DataType:
    """An Arrow type, a numpy dtype, or a Python class.

    Args:
        _physical_dtype: a `pyarrow.DataType`, a `numpy.dtype` or a class; `object` is "unknown".
    """

    _physical_dtype: Any

    def __post_init__(self) -> None:
        import numpy as np

        if not isinstance(self._physical_dtype, (pa.DataType, np.dtype, type)):
            raise TypeError(
                "DataType supports only PyArrow DataType, NumPy dtype, or Python type, but was "
                f"given type {type(self._physical_dtype)}."
            )

    # DataType.int64() and so on; defined below.
    int8: ClassVar[Callable[[], DataType]]
    int16: ClassVar[Callable[[], DataType]]
    int32: ClassVar[Callable[[], DataType]]
    int64: ClassVar[Callable[[], DataType]]
    uint8: ClassVar[Callable[[], DataType]]
    uint16: ClassVar[Callable[[], DataType]]
    uint32: ClassVar[Callable[[], DataType]]
    uint64: ClassVar[Callable[[], DataType]]
    float32: ClassVar[Callable[[], DataType]]
    float64: ClassVar[Callable[[], DataType]]
    string: ClassVar[Callable[[], DataType]]
    binary: ClassVar[Callable[[], DataType]]
    bool: ClassVar[Callable[[], DataType]]

    @classmethod
    def from_arrow(cls, arrow_type: pa.DataType) -> DataType:
        return cls(arrow_type)

    @classmethod
    def from_numpy(cls, numpy_dtype: Any) -> DataType:
        import numpy as np

        return cls(np.dtype(numpy_dtype))

    @classmethod
    def from_dtype(cls, dtype: Any) -> DataType | None:
        """Wraps an Arrow type, a numpy dtype or its name, or a class; None for None."""
        if dtype is None or isinstance(dtype, DataType):
            return dtype
        if isinstance(dtype, (pa.DataType, type)):
            return cls(dtype)
        return cls.from_numpy(dtype)

    @classmethod
    def infer_dtype(cls, value: Any) -> DataType:
        """Returns the type that Arrow gives to `value`, else its class."""
        if hasattr(value, "dtype") and hasattr(value, "shape"):
            if getattr(value, "ndim", 0) > 0:
                return cls.tensor(tuple(value.shape), cls.from_numpy(value.dtype))
            return cls.from_numpy(value.dtype)
        try:
            return cls(scalar_of(value).type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            return cls(type(value))

    def is_arrow_type(self) -> builtins.bool:
        return isinstance(self._physical_dtype, pa.DataType)

    def is_numpy_type(self) -> builtins.bool:
        return not self.is_arrow_type() and not self.is_python_type()

    def is_python_type(self) -> builtins.bool:
        return isinstance(self._physical_dtype, type)

    def to_arrow_dtype(self, values: Any = None) -> pa.DataType | None:
        """Returns the Arrow type; for a Python class the one inferred from `values`, if given.

        None if it is not known.
        """
        if self.is_arrow_type():
            return self._physical_dtype
        if self.is_numpy_type():
            return pa.from_numpy_dtype(self._physical_dtype)
        known = {int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}
        known[builtins.bool] = pa.bool_()
        if self._physical_dtype in known:
            return known[self._physical_dtype]
        return None if values is None else pa.array(values).type

    def to_numpy_dtype(self) -> Any:
        import numpy as np

        if self.is_arrow_type():
            try:
                return np.dtype(self._physical_dtype.to_pandas_dtype())
            except NotImplementedError:
                return np.dtype(object)
        return np.dtype(self._physical_dtype)

    def to_python_type(self) -> type:
        """Returns the class of a Python type; raises ValueError for others."""
        if not self.is_python_type():
            raise ValueError(f"DataType {self} is not a Python type")
        return self._physical_dtype

    @classmethod
    def list(cls, value_type: DataType) -> DataType:
        return cls(pa.list_(_arrow(value_type)))

    @classmethod
    def large_list(cls, value_type: DataType) -> DataType:
        return cls(pa.large_list(_arrow(value_type)))

    @classmethod
    def fixed_size_list(cls, value_type: DataType, list_size: int) -> DataType:
        return cls(pa.list_(_arrow(value_type), list_size))

    @classmethod
    def struct(cls, fields: builtins.list[tuple[str, DataType]]) -> DataType:
        return cls(pa.struct([(name, _arrow(dtype)) for name, dtype in fields]))

    @classmethod
    def map(cls, key_type: DataType, value_type: DataType) -> DataType:
        return cls(pa.map_(_arrow(key_type), _arrow(value_type)))

    @classmethod
    def tensor(cls, shape: tuple[int, ...], dtype: DataType) -> DataType:
        return cls(pa.fixed_shape_tensor(_arrow(dtype), shape))

    @classmethod
    def variable_shaped_tensor(cls, dtype: DataType, ndim: int = 2) -> DataType:
        """Tensors of `ndim` axes whose sizes differ."""
        from headrace import _core

        return cls(_core.variable_shape_tensor(_arrow(dtype), ndim))

    @classmethod
    def temporal(
        cls, temporal_type: str, unit: str | None = None, tz: str | None = None
    ) -> DataType:
        """Makes "timestamp", "date32", "date64", "time32", "time64" or "duration"."""
        kind = temporal_type.lower()
        if kind == "timestamp":
            return cls(pa.timestamp(unit or "us", tz=tz))
        if kind in ("date32", "date64"):
            return cls(getattr(pa, kind)())
        if kind in ("time32", "time64", "duration"):
            default = {"time32": "s", "time64": "us", "duration": "us"}[kind]
            return cls(getattr(pa, kind)(unit or default))
        raise ValueError(
            f"Invalid temporal type '{temporal_type}'. Supported: timestamp, date32, date64, "
            "time32, time64, duration"
        )

    def is_of(self, category: TypeCategory | str) -> builtins.bool:
        """Returns True if the Arrow type is of the family `category`."""
        if not self.is_arrow_type():
            return False
        types = pa.types
        dtype = self._physical_dtype
        checks = {
            TypeCategory.LIST: types.is_list(dtype) or types.is_fixed_size_list(dtype),
            TypeCategory.LARGE_LIST: types.is_large_list(dtype),
            TypeCategory.STRUCT: types.is_struct(dtype),
            TypeCategory.MAP: types.is_map(dtype),
            TypeCategory.TENSOR: isinstance(dtype, pa.BaseExtensionType)
            and "tensor" in dtype.extension_name,
            TypeCategory.TEMPORAL: types.is_temporal(dtype),
        }
        return checks[TypeCategory(category)]

    def is_list_type(self) -> builtins.bool:
        return self.is_of(TypeCategory.LIST) or self.is_of(TypeCategory.LARGE_LIST)

    def is_struct_type(self) -> builtins.bool:
        return self.is_of(TypeCategory.STRUCT)

    def is_map_type(self) -> builtins.bool:
        return self.is_of(TypeCategory.MAP)

    def is_tensor_type(self) -> builtins.bool:
        return self.is_of(TypeCategory.TENSOR)

    # ---- Of the Arrow type that a numpy dtype or a Python class stands for, too

    def _is(self, *checks: Callable[[pa.DataType], builtins.bool]) -> builtins.bool:
        try:
            dtype = self.to_arrow_dtype()
        except pa.ArrowNotImplementedError:  # An array of objects may hold anything.
            return False
        return dtype is not None and any(check(dtype) for check in checks)

    def is_numerical_type(self) -> builtins.bool:
        types = pa.types
        return self._is(types.is_integer, types.is_floating, types.is_decimal)

    def is_integer_type(self) -> builtins.bool:
        return self._is(pa.types.is_integer)

    def is_uint64_type(self) -> builtins.bool:
        return self._is(pa.types.is_uint64)

    def is_floating_type(self) -> builtins.bool:
        return self._is(pa.types.is_floating)

    def is_boolean_type(self) -> builtins.bool:
        return self._is(pa.types.is_boolean)

    def is_temporal_type(self) -> builtins.bool:
        return self._is(pa.types.is_temporal)

    def is_null_type(self) -> builtins.bool:
        return self._is(pa.types.is_null)

    def is_nested_type(self) -> builtins.bool:
        """Returns True for lists, structs, maps and unions."""
        return self._is(pa.types.is_nested)

    def is_string_type(self) -> builtins.bool:
        """Returns True for strings, and for dictionaries of strings."""
        types = pa.types

        def is_coded_string(dtype: pa.DataType) -> builtins.bool:
            return types.is_dictionary(dtype) and DataType(dtype.value_type).is_string_type()

        return self._is(types.is_string, types.is_large_string, is_coded_string)

    def is_binary_type(self) -> builtins.bool:
        types = pa.types
        return self._is(types.is_binary, types.is_large_binary, types.is_fixed_size_binary)

    def __repr__(self) -> str:
        if self.is_arrow_type():
            dtype = self._physical_dtype
            if isinstance(dtype, pa.FixedShapeTensorType):
                dtype = f"ArrowTensorType(shape={tuple(dtype.shape)}, dtype={dtype.value_type})"
            return f"DataType(arrow:{dtype})"
        if self.is_numpy_type():
            return f"DataType(numpy:{self._physical_dtype})"
        return f"DataType(python:{self._physical_dtype.__name__})"

    __str__ = __repr__


def _arrow(dtype: DataType) -> pa.DataType:
    arrow_type = dtype.to_arrow_dtype()
    if arrow_type is None:
        raise ValueError(f"{dtype} has no Arrow type")
    return arrow_type


def _maker(arrow_type: pa.DataType) -> Callable[[type[DataType]], DataType]:
    def make(cls: type[DataType]) -> DataType:
        return cls(arrow_type)

    return make


def _add_simple_types() -> None:
    bits = (8, 16, 32, 64)
    names = [f"{sign}int{n}" for sign in ("", "u") for n in bits]
    for name in [*names, "float32", "float64", "string", "binary", "bool"]:
        arrow_type = getattr(pa, "bool_" if name == "bool" else name)()
        setattr(DataType, name, classmethod(_maker(arrow_type)))


_add_simple_types()
