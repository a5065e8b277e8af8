"""The Python half of a task: unpickles the user's functions and turns batches into calls.

The C++ pipeline pulls: it asks a call for its next output table, the call asks for its next input
batch. Nothing is computed ahead, except that async functions have several batches in the air.
A `Runtime` lives as long as its process; instances of classes live in it.
"""

from __future__ import annotations

import collections
import functools
import inspect
import pickle
import reprlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace import _core
from headrace._internal import convert
from headrace._internal.errors import describe
from headrace._internal.table_rows import slice_rows, take_rows

if TYPE_CHECKING:
    import asyncio

# Rows that are Python objects at one time: enough to make the cost per chunk vanish, few enough
# that their memory is used again and again.
ROWS_AT_ONCE = 16384
# Batches, or rows, of an async function that are in the air at one time.
ASYNC_IN_FLIGHT = 16

# Functions of earlier runs, with all that their closures hold, are not kept for ever.
FUNCTIONS_KEPT = 32

Call = Callable[[Iterator[_core.Batch]], Iterable[pa.Table]]


class Runtime:
    """The user's functions in this process. See `_core.run_worker` for the methods' contract."""

    def __init__(self, inline: bool = False) -> None:
        self._inline = inline  # In the user's own process.
        self._instances: dict[int, Call] = {}
        self._calls: dict[int, Call] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed: str | None = None  # The row that failed, in words.
        self._late: _core.Batch | None = None  # The batch that failed, if it is not the last read.

    def resolve(self, function: _core.Function) -> Call:
        """Returns the call for `function`; makes the instance of a class at the first time."""
        if function.is_class:
            if function.id not in self._instances:
                self._instances[function.id] = self._make(function)
            return self._instances[function.id]
        call = self._calls.pop(function.id, None) or self._make(function)
        self._calls[function.id] = call  # The last one is that which was used last.
        if len(self._calls) > FUNCTIONS_KEPT:
            del self._calls[next(iter(self._calls))]
        return call

    def unpickle_filesystem(self, data: bytes) -> pa.fs.FileSystem:
        return pickle.loads(data)

    def describe_failure(
        self, error: BaseException, function: _core.Function, batch: _core.Batch | None
    ) -> dict[str, Any]:
        """Says what failed and on which data: the offending row if it is known, else the batch."""
        failed, self._failed = self._failed, None
        late, self._late = self._late, None
        batch = late or batch
        lines = []
        if batch is not None:
            origin = batch.origin
            shown = function.batch_format if function.kind == "map_batches" else ""
            data = failed or _describe_batch(batch, shown)
            lines = [line for line in (origin, data) if line]
        # The engine puts the operator before it: in the line of the origin, else in its own.
        lines = lines or [""]
        if not self._inline:
            lines.append(
                "to reproduce: headrace.DataContext.get_current().inline_mode = True runs "
                f"{function.name} in your own process, where a debugger stops in it"
            )
        return describe(error, "\n".join(lines))

    def close(self) -> None:
        """Lets the instances go."""
        self._instances.clear()
        self._calls.clear()

    # ---- By kind.

    def _make(self, function: _core.Function) -> Call:
        kind = function.kind
        target = pickle.loads(function.payload)
        if kind == "read":
            return functools.partial(_read, target)
        if kind == "write":
            return functools.partial(_write, target)
        fn, args, kwargs, constructor_args, constructor_kwargs = target
        if function.is_class:
            fn = fn(*constructor_args, **constructor_kwargs)
        is_async = _is_async(fn)
        if args or kwargs:
            fn = _bound(fn, args, kwargs)
        if function.on_error:
            policy, retries = pickle.loads(function.on_error)
            if retries is not None:
                fn = retries.wrap_async(fn) if is_async else retries.wrap(fn)
            if policy != "raise":
                return self._tolerant(policy, function, fn, is_async)
        if kind == "map_batches":
            calls = self._map_batches_async if is_async else self._map_batches
            return functools.partial(calls, fn, function.batch_format, function.zero_copy_batch)
        by_row = {
            "map_rows": self._map_rows,
            "flat_map_rows": self._flat_map_rows,
            "filter_rows": self._filter_rows,
        }[kind]
        if is_async:
            return functools.partial(self._rows_async, fn, kind)
        return functools.partial(by_row, fn)

    def _tolerant(
        self, policy: Any, function: _core.Function, fn: Callable[[Any], Any], is_async: bool
    ) -> Call:
        """Returns a call that leaves out the rows on which `fn` fails."""
        from headrace._internal import tolerant
        from headrace._internal.dead_letters import Letters

        kind = function.kind

        def wait(result: Any) -> Any:
            return self._run(_all_batches(result))

        def make(letters: Letters) -> tolerant.BatchCalls:
            shape = function.batch_format, function.zero_copy_batch
            return tolerant.BatchCalls(fn, *shape, wait, letters)

        def send(work: Any) -> Any:
            import asyncio

            return asyncio.run_coroutine_threadsafe(_all_batches(work), self._event_loop())

        def call(batches: Any) -> Iterator[pa.Table]:
            letters = Letters(policy, function, batches)
            if kind == "map_batches" and is_async:
                return tolerant.map_batches_async(make, send, ASYNC_IN_FLIGHT, letters, batches)
            if kind == "map_batches":
                return tolerant.map_batches(make, letters, batches)
            return tolerant.map_rows(rows, kind, ROWS_AT_ONCE, letters, batches)

        def rows(table: pa.Table) -> list[Any]:
            if not is_async:
                return tolerant.call_each(fn, kind, table)
            work = _call_each(fn, kind, _core.rows_of(table), return_exceptions=True)
            return [tolerant.as_failed(result) for result in self._run(work)]

        return call

    def _map_batches(
        self,
        fn: Callable[[Any], Any],
        batch_format: str,
        zero_copy: bool,
        batches: Iterator[_core.Batch],
    ) -> Iterator[pa.Table]:
        for batch in batches:
            data = convert.table_to_batch(batch.table, batch_format, zero_copy)
            result = fn(data)
            if isinstance(result, Iterator):
                for part in result:
                    yield convert.batch_to_table(part)
            else:
                if inspect.iscoroutine(result) or hasattr(result, "__anext__"):
                    result = self._run(_all_batches(result))
                    yield from map(convert.batch_to_table, result)
                    continue
                yield convert.batch_to_table(result)

    def _chunks(self, batches: Iterator[_core.Batch]) -> Iterator[pa.Table]:
        for batch in batches:
            table = batch.table
            for begin in range(0, table.num_rows, ROWS_AT_ONCE):
                yield slice_rows(table, begin, ROWS_AT_ONCE)

    def _map_rows(self, fn: Callable[[Any], Any], batches: Iterator[_core.Batch]) -> Iterator:
        for table in self._chunks(batches):
            rows = _core.rows_of(table)
            try:
                results = [fn(row) for row in rows]
            except BaseException:
                self._note_row(table, rows.row - 1)
                raise
            yield self._checked(results, table)

    def _flat_map_rows(self, fn: Callable[[Any], Any], batches: Iterator[_core.Batch]) -> Iterator:
        for table in self._chunks(batches):
            rows = _core.rows_of(table)
            results: list[Any] = []
            try:
                for row in rows:
                    results.extend(fn(row))
                    if len(results) >= ROWS_AT_ONCE:
                        yield convert.dicts_to_table(results)
                        results = []
            except GeneratorExit:
                raise
            except BaseException:
                self._note_row(table, rows.row - 1)
                raise
            if results:
                yield convert.dicts_to_table(results)

    def _filter_rows(self, fn: Callable[[Any], Any], batches: Iterator[_core.Batch]) -> Iterator:
        for table in self._chunks(batches):
            rows = _core.rows_of(table)
            try:
                keep = [bool(fn(row)) for row in rows]
            except BaseException:
                self._note_row(table, rows.row - 1)
                raise
            if all(keep):
                yield table
            else:
                yield take_rows(table, np.flatnonzero(keep))

    def _checked(self, results: list[Any], table: pa.Table) -> pa.Table:
        """Returns one result per row of `table` as a table."""
        try:
            return convert.dicts_to_table(results)
        except ValueError:
            for index, result in enumerate(results):
                if not isinstance(result, Mapping):
                    self._note_row(table, index)
                    break
            raise

    def _note_row(self, table: pa.Table, index: int) -> None:
        if 0 <= index < table.num_rows:
            row = next(iter(_core.rows_of(slice_rows(table, index, 1))))
            self._failed = f"row: {_short.repr(row)}"

    # ---- Async functions: one event loop in a thread of its own, made when it is needed, which
    # is after the fork.

    def _event_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="async", daemon=True).start()
        return self._loop

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        import asyncio

        return asyncio.run_coroutine_threadsafe(work, self._event_loop()).result()

    def _map_batches_async(
        self,
        fn: Callable[[Any], Any],
        batch_format: str,
        zero_copy: bool,
        batches: Iterator[_core.Batch],
    ) -> Iterator[pa.Table]:
        """Keeps batches in the air, and gives results in the order of the batches."""
        import asyncio

        loop = self._event_loop()
        in_air: collections.deque[Any] = collections.deque()
        try:
            for batch in batches:
                data = convert.table_to_batch(batch.table, batch_format, zero_copy)
                work = _all_batches(fn(data))
                in_air.append((asyncio.run_coroutine_threadsafe(work, loop), batch))
                if len(in_air) >= ASYNC_IN_FLIGHT:
                    yield from self._landed(in_air)
            while in_air:
                yield from self._landed(in_air)
        finally:
            for future, _ in in_air:
                future.cancel()

    def _landed(self, in_air: collections.deque[Any]) -> Iterator[pa.Table]:
        future, batch = in_air.popleft()
        try:
            results = future.result()
        except BaseException:
            self._late = batch
            raise
        yield from map(convert.batch_to_table, results)

    def _rows_async(
        self, fn: Callable[[Any], Any], kind: str, batches: Iterator[_core.Batch]
    ) -> Iterator[pa.Table]:
        for table in self._chunks(batches):
            results = self._run(_call_each(fn, kind, _core.rows_of(table)))
            if kind == "map_rows":
                yield self._checked(results, table)
            elif kind == "flat_map_rows":
                yield convert.dicts_to_table([row for part in results for row in part])
            else:
                yield take_rows(table, np.flatnonzero([bool(keep) for keep in results]))


# ---- Parts ----------------------------------------------------------------------------------


def _read(read: Callable[[bytes], Iterable[Any]], batches: Iterator[_core.Batch]) -> Iterator:
    for batch in batches:
        for block in read(batch.payload or b""):
            yield convert.batch_to_table(block)


def _write(write: Callable[..., Any], batches: _core.Batches) -> Iterator[pa.Table]:
    import cloudpickle

    result = write((batch.table for batch in batches), batches.task_number)
    yield pa.table({"result": pa.array([cloudpickle.dumps(result)], pa.binary())})


def _bound(fn: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Callable[[Any], Any]:
    def call(data: Any) -> Any:
        return fn(data, *args, **kwargs)

    return call


def _is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    for candidate in (fn, getattr(type(fn), "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
            return True
    return False


async def _all_batches(result: Any) -> list[Any]:
    """Awaits what an async function returned: a batch, or a stream of them."""
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterator):
        return [part async for part in result]
    return list(result) if isinstance(result, Iterator) else [result]


async def _call_each(
    fn: Callable[[Any], Any], kind: str, rows: Iterable[Any], return_exceptions: bool = False
) -> list[Any]:
    import asyncio

    gate = asyncio.Semaphore(ASYNC_IN_FLIGHT)

    async def one(row: Any) -> Any:
        async with gate:
            result = fn(row)
            if isinstance(result, AsyncIterator):
                return [part async for part in result]
            return await result

    return await asyncio.gather(*[one(row) for row in rows], return_exceptions=return_exceptions)


class _Short(reprlib.Repr):
    """Cuts long values short: a row or a batch in a line or two."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxdict = 12
        self.maxlist = self.maxtuple = 6

    def repr_ndarray(self, value: np.ndarray, level: int) -> str:
        if value.size <= 8:
            return " ".join(repr(value).split())
        return f"array(shape={value.shape}, dtype={value.dtype})"


_short = _Short()


def _describe_batch(batch: _core.Batch, batch_format: str) -> str:
    """The first rows of a batch, in its words, cut short."""
    if batch.payload is not None:
        return ""
    table = batch.table
    if table.num_rows == 0:
        return "batch: no rows"
    try:
        row = _short.repr(next(iter(_core.rows_of(slice_rows(table, 0, 1)))))
    except Exception:
        row = "<cannot be shown>"
    shown = f" as {batch_format}" if batch_format else ""
    return f"batch of {table.num_rows} rows{shown}, the first: {row}"
