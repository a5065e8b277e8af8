"""Calls of the user's functions that leave out the rows on which they fail.

Rows: what raises, or returns what is no row, is left out; the function is called once on each.
Batches: a function that fails on a batch is called again on its halves, and on theirs, until the
rows on which it fails are alone. What it returned, or yielded, for a part that failed is dropped.
"""

from __future__ import annotations

import collections
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace._internal import convert
from headrace._internal.dead_letters import Letters
from headrace._internal.table_rows import slice_rows, take_rows

# Makes what an async function returned a result: awaits it.
Await = Callable[[Any], Any]


class _Failed:
    """In the place of a result."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except MemoryError:
        raise  # Not the row's fault: another attempt may have more.
    except Exception as error:
        return _Failed(error)


# ---- Batches -----------------------------------------------------------------------------------


class BatchCalls:
    """Calls `fn` on tables as batches."""

    def __init__(
        self,
        fn: Callable[[Any], Any],
        batch_format: str,
        zero_copy: bool,
        wait: Await,
        letters: Letters,
    ) -> None:
        self._fn = fn
        self._format = batch_format
        self._zero_copy = zero_copy
        self._wait = wait
        self._letters = letters

    def start(self, table: pa.Table) -> Any:
        """Calls `fn`; what it returns may be a coroutine."""
        return _attempt(
            lambda: self._fn(convert.table_to_batch(table, self._format, self._zero_copy))
        )

    def finish(self, batch: _core.Batch, started: Any) -> Iterator[pa.Table]:
        """Yields the results of the call on the whole batch, or of those on its parts."""
        yield from self._finish(batch, 0, batch.table, started)

    def _finish(
        self, batch: _core.Batch, begin: int, table: pa.Table, started: Any
    ) -> Iterator[pa.Table]:
        if not isinstance(started, _Failed):
            started = _attempt(lambda: self._results(started))
        if not isinstance(started, _Failed):
            yield from started
        elif table.num_rows == 1:
            self._letters.add(batch, begin, started.error)
        elif table.num_rows > 1:
            half = table.num_rows // 2
            for offset, part in ((0, slice_rows(table, 0, half)), (half, slice_rows(table, half))):
                yield from self._finish(batch, begin + offset, part, self.start(part))

    def _results(self, result: Any) -> list[pa.Table]:
        if inspect.isawaitable(result) or hasattr(result, "__anext__"):
            result = iter(self._wait(result))
        parts = result if isinstance(result, Iterator) else [result]
        return [convert.batch_to_table(part) for part in parts]


def map_batches(
    make: Callable[[Letters], BatchCalls], letters: Letters, batches: Iterable[_core.Batch]
) -> Iterator[pa.Table]:
    calls = make(letters)
    for batch in batches:
        yield from calls.finish(batch, calls.start(batch.table))
    letters.close()


def map_batches_async(
    make: Callable[[Letters], BatchCalls],
    send: Callable[[Any], Any],
    in_flight: int,
    letters: Letters,
    batches: Iterable[_core.Batch],
) -> Iterator[pa.Table]:
    """Keeps batches in the air, and gives results in the order of the batches. `send` starts a
    coroutine and returns its future."""
    calls = make(letters)
    in_air: collections.deque[Any] = collections.deque()

    def landed() -> Iterator[pa.Table]:
        batch, future = in_air.popleft()
        if not isinstance(future, _Failed):
            future = _attempt(lambda: iter(future.result()))
        yield from calls.finish(batch, future)

    try:
        for batch in batches:
            started = calls.start(batch.table)
            in_air.append((batch, started if isinstance(started, _Failed) else send(started)))
            if len(in_air) >= in_flight:
                yield from landed()
        while in_air:
            yield from landed()
    finally:
        for _, future in in_air:
            if not isinstance(future, _Failed):
                future.cancel()
    letters.close()


# ---- Rows --------------------------------------------------------------------------------------

# Returns a result, or an exception, for each row of a table.
RowCalls = Callable[[pa.Table], list[Any]]


def call_each(fn: Callable[[Any], Any], kind: str, table: pa.Table) -> list[Any]:
    finish = {"flat_map_rows": list, "filter_rows": bool}.get(kind)
    call = fn if finish is None else lambda row: finish(fn(row))
    return [_attempt(functools.partial(call, row)) for row in _core.rows_of(table)]


def as_failed(result: Any) -> Any:
    """Returns what `asyncio.gather(return_exceptions=True)` gave, as the others do."""
    if isinstance(result, MemoryError) or (
        isinstance(result, BaseException) and not isinstance(result, Exception)
    ):
        raise result
    return _Failed(result) if isinstance(result, Exception) else result


def map_rows(
    calls: RowCalls,
    kind: str,
    rows_at_once: int,
    letters: Letters,
    batches: Iterable[_core.Batch],
) -> Iterator[pa.Table]:
    """`rows_at_once`: so many are Python objects at one time."""
    for batch in batches:
        for begin in range(0, batch.table.num_rows, rows_at_once):
            table = slice_rows(batch.table, begin, rows_at_once)
            good: list[tuple[int, Any]] = []
            for index, result in enumerate(calls(table)):
                if isinstance(result, _Failed):
                    letters.add(batch, begin + index, result.error)
                else:
                    good.append((index, result))
            if kind == "filter_rows":
                kept = [index for index, keep in good if keep]
                yield table if len(kept) == table.num_rows else take_rows(table, kept)
            else:
                yield from _tables(good, kind == "flat_map_rows", batch, begin, letters)
    letters.close()


def _tables(
    results: list[tuple[int, Any]], flat: bool, batch: _core.Batch, begin: int, letters: Letters
) -> Iterator[pa.Table]:
    """Yields results as tables, without those that are no rows."""

    def convert_all() -> pa.Table:
        if flat:
            return convert.dicts_to_table([row for _, rows in results for row in rows])
        return convert.dicts_to_table([row for _, row in results])

    if flat and not any(rows for _, rows in results):
        return
    table = _attempt(convert_all)
    if not isinstance(table, _Failed):
        if results:
            yield table
    elif len(results) == 1:
        letters.add(batch, begin + results[0][0], table.error)
    else:
        half = len(results) // 2
        for part in (results[:half], results[half:]):
            yield from _tables(part, flat, batch, begin, letters)
