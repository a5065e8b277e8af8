"""Python objects in Arrow columns: an extension type over their pickled bytes."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

OBJECT_NAME = "headrace.object"


class ObjectScalar(pa.ExtensionScalar):
    """One pickled object; `as_py()` is the object."""

    def as_py(self, **_: Any) -> Any:
        return None if self.value is None else pickle.loads(self.value.as_py())


class ObjectArray(pa.ExtensionArray):
    """A column of pickled objects."""

    @staticmethod
    def from_objects(objects: np.ndarray | Iterable[Any]) -> pa.ExtensionArray:
        """Returns a column of any objects; None is null."""
        return objects_to_arrow(objects)

    def objects(self) -> list[Any]:
        """Returns the objects, unpickled; None where it is null."""
        loads = pickle.loads
        return [None if data is None else loads(data) for data in self.storage.to_pylist()]

    def to_pylist(self, **_: Any) -> list[Any]:
        return self.objects()

    def to_numpy(self, zero_copy_only: bool = False, writable: bool = False) -> np.ndarray:
        objects = np.empty(len(self), dtype=object)
        for i, value in enumerate(self.objects()):
            objects[i] = value
        return objects


class ObjectType(pa.ExtensionType):
    """Any Python object, as its pickled bytes."""

    def __init__(self) -> None:
        super().__init__(pa.large_binary(), OBJECT_NAME)

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ObjectType:
        return cls()

    def __arrow_ext_class__(self) -> type:
        return ObjectArray

    def __arrow_ext_scalar_class__(self) -> type:
        return ObjectScalar

    def __reduce__(self) -> tuple[Any, ...]:
        return ObjectType, ()


try:
    pa.register_extension_type(ObjectType())
except pa.ArrowKeyError:
    pass  # The module was imported before, under another name or by a reload.


def objects_to_arrow(values: Iterable[Any]) -> pa.ExtensionArray:
    """Pickles each value; None becomes null."""
    import cloudpickle

    dumps = cloudpickle.dumps
    storage = pa.array(
        [None if value is None else dumps(value) for value in values], pa.large_binary()
    )
    return pa.ExtensionArray.from_storage(ObjectType(), storage)
