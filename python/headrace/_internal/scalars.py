"""Arrow scalars and arrays of plain Python values, without the import that `pa.scalar` starts.

The first value that pyarrow converts makes it import pandas, where that is installed: half a second
in a process that may never use it. Values of the plain types, and lists of them, are laid out here
instead.
"""

from __future__ import annotations

import struct
from datetime import date
from decimal import Decimal
from itertools import accumulate
from typing import Any

import pyarrow as pa

_EPOCH = date(1970, 1, 1).toordinal()
_DECIMAL128_DIGITS = 38


def scalar_of(value: Any) -> pa.Scalar:
    """Returns what `pa.scalar(value)` returns, and raises what it raises."""
    if type(value) is list and value:
        items = _plain_array(value)
        if items is None:
            return pa.scalar(value)
        ends = _fixed(pa.int32(), struct.pack("<ii", 0, len(value)))
        return pa.ListArray.from_arrays(ends, items)[0]
    array = _plain_array([value])
    return pa.scalar(value) if array is None else array[0]


def array_of(values: list[Any]) -> pa.Array:
    """Returns what `pa.array(values)` returns, and raises what it raises."""
    array = _plain_array(values) if values else None
    return pa.array(values) if array is None else array


def _plain_array(values: list[Any]) -> pa.Array | None:
    """Returns the array of values of one plain type; None for others."""
    kind = type(values[0])
    if any(type(value) is not kind for value in values):
        return None
    if kind is int and all(-(1 << 63) <= value < 1 << 63 for value in values):
        return _fixed(pa.int64(), struct.pack(f"<{len(values)}q", *values))
    if kind is float:
        return _fixed(pa.float64(), struct.pack(f"<{len(values)}d", *values))
    if kind is date:
        days = [value.toordinal() - _EPOCH for value in values]
        return _fixed(pa.date32(), struct.pack(f"<{len(values)}i", *days))
    if kind is str:
        return _texts(values)
    if len(values) == 1 and kind is bool:
        return pa.Array.from_buffers(pa.bool_(), 1, [None, pa.py_buffer(bytes(values))])
    if len(values) == 1 and kind is Decimal:
        return _decimal(values[0])
    return None


def _fixed(arrow_type: pa.DataType, data: bytes) -> pa.Array:
    rows = len(data) * 8 // arrow_type.bit_width
    return pa.Array.from_buffers(arrow_type, rows, [None, pa.py_buffer(data)])


def _texts(values: list[str]) -> pa.Array:
    texts = [value.encode() for value in values]
    ends = [0, *accumulate(map(len, texts))]
    offsets = pa.py_buffer(struct.pack(f"<{len(ends)}i", *ends))
    buffers = [None, offsets, pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(values), buffers)


def _decimal(value: Decimal) -> pa.Array | None:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):  # Not a number, or infinite.
        return None
    scale = max(0, -exponent)
    precision = max(len(digits) + max(0, exponent), scale)
    if precision > _DECIMAL128_DIGITS:
        return None
    unscaled = int("".join(map(str, digits))) * 10 ** max(0, exponent) * (-1 if sign else 1)
    return _fixed(pa.decimal128(precision, scale), unscaled.to_bytes(16, "little", signed=True))
