"""Splits by hash, as they run in workers."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from headrace import _core

_HASHES = 1 << 64


class HashPart:
    """Keeps the rows for testing, or the others, by a hash of one column's values."""

    def __init__(self, column: str, test_size: float, test: bool) -> None:
        self._column = column
        self._bound = int((1 - test_size) * _HASHES)
        self._test = test

    def __call__(self, table: pa.Table) -> pa.Table:
        if table.num_rows == 0:
            return table
        if self._column not in table.column_names:
            raise ValueError(f"Key column {self._column} not found in {table.column_names}")
        keep = [
            (_hash(row[self._column]) >= self._bound) == self._test
            for row in _core.rows_of(table.select([self._column]))
        ]
        return table.filter(pa.array(keep, pa.bool_()))


def _hash(value: object) -> int:
    text = f"{type(value).__name__}:{value!r}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
