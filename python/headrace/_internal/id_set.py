"""Sets of ids of rows: made once a write in the driver, loaded once a worker.

Whole numbers are a sorted array, which all workers of a machine share where it lies on a local
disk; other values are a hash set. Ids of different types are equal if they are so as numbers, or as
texts: 7, 7.0 and "7", but not "07". Nulls and nan are in no set.
"""

from __future__ import annotations

import decimal
import pickle
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # Fits 64 bits.
_FLOAT_IS_WHOLE_BELOW = 2.0**53


def plain_ids(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Returns ids without dictionaries, run lengths and extension types.

    Raises ValueError for lists, structs and the like.
    """
    import pyarrow.compute as pc

    while True:
        dtype = column.type
        if isinstance(dtype, pa.BaseExtensionType):
            chunks = [chunk.storage for chunk in column.chunks]
            column = pa.chunked_array(chunks, dtype.storage_type)
        elif pa.types.is_dictionary(dtype):
            column = column.cast(dtype.value_type)
        elif pa.types.is_run_end_encoded(dtype):
            chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
            column = pa.chunked_array(chunks, dtype.value_type)
        elif pa.types.is_nested(dtype):
            raise ValueError(f"The ID column '{name}' has no plain values, but {dtype}")
        else:
            return column


class IdSet:
    """Which ids there are.

    Args:
        numbers: whole numbers, int64, sorted.
        others: values of all other kinds, and numbers that int64 does not hold.
    """

    def __init__(self, numbers: np.ndarray, others: frozenset[Any]) -> None:
        self._numbers = numbers
        self._others = others

    @staticmethod
    def of(columns: Iterable[pa.ChunkedArray]) -> IdSet:
        """Makes the set of the values of columns that `plain_ids` gave."""
        numbers: list[np.ndarray] = []
        others: set[Any] = set()
        for column in columns:
            whole, known = _whole_numbers(column)
            numbers.append(whole[known])
            if not known.all():
                rest = column.filter(pa.array(~known))
                others.update(value for value in rest.to_pylist() if value is not None)
        joined = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
        joined.sort()
        return IdSet(joined, frozenset(others))

    def __bool__(self) -> bool:
        return bool(len(self._numbers) or self._others)

    def contains(self, column: pa.ChunkedArray) -> np.ndarray:
        """Returns for each value of a column that `plain_ids` gave whether it is in the set."""
        whole, known = _whole_numbers(column)
        found = self._have_numbers(whole) & known
        if not known.all() or self._others:
            values = column.to_pylist()
            if self._others:
                found |= np.fromiter(map(self._is_other, values), bool, len(values))
            if len(self._numbers):
                texts = [_as_number(value) for value in values]
                read = np.array([number is not None for number in texts], bool)
                as_numbers = np.array([number or 0 for number in texts], np.int64)
                found |= self._have_numbers(as_numbers) & read
        return found

    def _have_numbers(self, values: np.ndarray) -> np.ndarray:
        if not len(self._numbers):
            return np.zeros(len(values), bool)
        places = np.searchsorted(self._numbers, values)
        found: np.ndarray = self._numbers[np.minimum(places, len(self._numbers) - 1)] == values
        return found

    def _is_other(self, value: Any) -> bool:
        if value is None:
            return False
        if value in self._others:
            return True
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return isinstance(value, int) and str(value) in self._others

    def save(self, filesystem: pa.fs.FileSystem, path: str) -> None:
        """Writes the set to two files that begin with `path`."""
        table = pa.table({"id": self._numbers})
        with (
            filesystem.open_output_stream(path + ".arrow") as out,
            pa.ipc.new_file(out, table.schema) as writer,
        ):
            writer.write_table(table)
        with filesystem.open_output_stream(path + ".pickle") as out:
            out.write(pickle.dumps(self._others))

    @staticmethod
    def load(filesystem: pa.fs.FileSystem, path: str) -> IdSet:
        """Reads what `save` wrote."""
        from pyarrow import fs

        if isinstance(filesystem, fs.LocalFileSystem):
            file = pa.memory_map(path + ".arrow")
        else:
            file = filesystem.open_input_file(path + ".arrow")
        column = pa.ipc.open_file(file).read_all().column("id")
        numbers = column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()
        with filesystem.open_input_stream(path + ".pickle") as stream:
            others = pickle.loads(stream.read())
        return IdSet(numbers, others)


def _whole_numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values as int64, and which of them are whole numbers that fit."""
    import pyarrow.compute as pc

    size, dtype = len(column), column.type
    if pa.types.is_integer(dtype):
        known = pc.is_valid(column)
        if pa.types.is_uint64(dtype):
            fits = pc.less_equal(column, pa.scalar(2**63 - 1, pa.uint64()))
            known = pc.and_(known, pc.fill_null(fits, False))
        column = pc.if_else(known, column, pa.scalar(0, dtype))
        return _numpy(column.cast(pa.int64())), _numpy(known)
    if pa.types.is_floating(dtype):
        values = _numpy(column.cast(pa.float64()).fill_null(np.nan))
        below = np.abs(values) < _FLOAT_IS_WHOLE_BELOW
        known = below & (np.floor(values) == values)
        return np.where(known, values, 0).astype(np.int64), known
    return np.zeros(size, np.int64), np.zeros(size, bool)


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy())


def _as_number(value: Any) -> int | None:
    """Returns the whole number that a text or a decimal number stands for."""
    if isinstance(value, str):
        return int(value) if _WHOLE_NUMBER.fullmatch(value) else None
    if isinstance(value, decimal.Decimal) and value.is_finite() and abs(value) < 1 << 63:
        return int(value) if value == int(value) else None
    return None


def by_type(columns: Sequence[pa.ChunkedArray]) -> list[pa.ChunkedArray]:
    """Joins the columns that have the same type."""
    chunks: dict[pa.DataType, list[pa.Array]] = {}
    for column in columns:
        chunks.setdefault(column.type, []).extend(column.chunks)
    return [pa.chunked_array(parts, dtype) for dtype, parts in chunks.items()]
