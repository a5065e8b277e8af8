"""Arrow scalars of plain Python values, without the import that `pa.scalar` starts.

The first value that pyarrow converts makes it import pandas, where that is installed: half a second
in a process that may never use it. Values of the plain types are laid out here instead.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa


def scalar_of(value: Any) -> pa.Scalar:
    """Returns what `pa.scalar(value)` returns, and raises what it raises."""
    kind = type(value)
    if kind is int and -(1 << 63) <= value < 1 << 63:
        return _fixed(pa.int64(), struct.pack("<q", value))
    if kind is float:
        return _fixed(pa.float64(), struct.pack("<d", value))
    if kind is bool:
        return _fixed(pa.bool_(), b"\1" if value else b"\0")
    if kind is str:
        text = value.encode()
        offsets = struct.pack("<ii", 0, len(text))
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
        return pa.Array.from_buffers(pa.string(), 1, buffers)[0]
    return pa.scalar(value)


def _fixed(arrow_type: pa.DataType, data: bytes) -> pa.Scalar:
    return pa.Array.from_buffers(arrow_type, 1, [None, pa.py_buffer(data)])[0]
