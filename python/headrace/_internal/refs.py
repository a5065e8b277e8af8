"""References to blocks and other results, for programs that pass them around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, overload

import pyarrow as pa

from headrace import _core

T = TypeVar("T")


class ObjectRef(Generic[T]):
    """A reference to a value: a block in the object store, or an object of this process.

    The last reference frees the block. `get(ref)` or `ref.get()` gives the value.
    """

    __slots__ = ("_block", "_convert", "_value")

    def __init__(
        self,
        block: _core.BlockRef | None = None,
        *,
        value: Any = None,
        convert: Callable[[pa.Table], Any] | None = None,
    ) -> None:
        self._block = block
        self._value = value
        self._convert = convert

    @property
    def block(self) -> _core.BlockRef | None:
        """The block, if this refers to one as it is."""
        return self._block if self._convert is None else None

    def get(self, timeout: float | None = None) -> T:
        """Returns the value. Blocks are there already, so `timeout` never passes."""
        if self._block is None:
            return self._value
        table = self._block.get()
        if self._convert is None:
            return table  # type: ignore[return-value]
        return self._convert(table)

    def __repr__(self) -> str:
        return f"ObjectRef({self._block if self._block is not None else type(self._value)})"


@overload
def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
def get(refs: Sequence[ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...
def get(refs: Any, *, timeout: float | None = None) -> Any:
    """Returns the value of a reference, or the values of a list of them.

    Raises TypeError for what is no reference.
    """
    if isinstance(refs, ObjectRef):
        return refs.get(timeout)
    if isinstance(refs, (list, tuple)):
        return [get(ref, timeout=timeout) for ref in refs]
    raise TypeError(f"get() needs an ObjectRef or a list of them, got: {type(refs).__name__}")


def put(value: Any) -> ObjectRef[Any]:
    """Returns a reference to `value`; a `pyarrow.Table` goes into the object store."""
    if isinstance(value, pa.Table):
        return ObjectRef(_core.put(value))
    return ObjectRef(value=value)


def to_value(value_or_ref: Any) -> Any:
    """Returns what a reference refers to; other things as they are."""
    return value_or_ref.get() if isinstance(value_or_ref, ObjectRef) else value_or_ref
