"""Rows on which a function of the user fails: what is to become of them, and where they are kept.

Workers write dead letters under temporary names and tell the engine, which passes on what tasks
that ended well told. The driver gives the files their names when the run is over:

    worker  Letters      {directory}/.headrace-{run}/{run}_{operator}_{position}_{part}.parquet
    driver  RunLetters   {directory}/{run}_{operator}_{position}_{part}.parquet

So a task that runs again has its letters once, and a run that fails has none.
"""

from __future__ import annotations

import collections
import os
import pickle
import posixpath
import re
import traceback
import uuid
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal import convert, write_directory
from headrace._internal import paths as _paths
from headrace._internal.frames import forget_types
from headrace._internal.retries import Retries
from headrace._internal.table_rows import copy_row
from headrace._internal.write_directory import WrittenFile, as_table

if TYPE_CHECKING:
    from headrace.context import DataContext

# Letters of a task are written when they have this many bytes, and at its end.
_PART_BYTES = 16 << 20
_TRACEBACK_CHARACTERS = 4000
_MESSAGE_CHARACTERS = 1000

_REASON_SCHEMA = pa.schema(
    [
        ("_error_type", pa.string()),
        ("_error_message", pa.string()),
        ("_error_traceback", pa.string()),
        ("_error_operator", pa.string()),
        ("_error_files", pa.list_(pa.string())),
        ("_error_first_row", pa.int64()),
        ("_error_end_row", pa.int64()),
        ("_error_rows_of_file", pa.bool_()),
        ("_error_position", pa.string()),
    ]
)


class DeadLetters:
    """`on_error=DeadLetters(directory)`: rows on which a function fails are left out of the data
    and kept in Parquet files of their own.

    A file has the columns of the rows, as the function got them (as texts, where Parquet has no
    such type: structs without fields, intervals), and:
        _error_type: the exception's class, such as "ValueError".
        _error_message: its text, up to 1000 characters.
        _error_traceback: the last 4000 characters of its traceback.
        _error_operator: the function's name.
        _error_files: the files that the row came from; usually one; null: none.
        _error_first_row, _error_end_row: where the row is: from this row, counted from 0, up to the
            one before that. They differ by one where that is known; a filter before the function
            leaves only a range. Null: not known.
        _error_rows_of_file: true: the rows are counted in the file; false: in the input of the
            task.
        _error_position: which task it was: the same in each run of the plan.

    Each run of the data set adds files, when it has ended well. Together with a write to files of
    the same file system they appear in one step; else just before or after the result.

    Args:
        path: the directory; made when there is something to write.
        filesystem: a `pyarrow.fs` or fsspec file system; default: from the path.
    """

    def __init__(self, path: str | os.PathLike[str], *, filesystem: Any = None) -> None:
        [found], self.filesystem = _paths.resolve([os.fspath(path)], filesystem)
        self.path = _paths.normal_directory(found)

    def __repr__(self) -> str:
        return f"DeadLetters({self.path!r})"


def pickle_policy(on_error: Any, context: DataContext, fn: Any) -> bytes:
    """Returns what is to become of errors of `fn`, as a function carries it: (policy, Retries or
    None), pickled; b"" for nothing.

    Args:
        on_error: "raise", "skip", a `DeadLetters`, or None for that of `context`.

    Raises ValueError for anything else.
    """
    import cloudpickle

    chosen = context.on_error if on_error is None else on_error
    if chosen in ("raise", "skip") or isinstance(chosen, DeadLetters):
        retries = Retries.of(context, isinstance(fn, type))
        if chosen == "raise" and retries is None:
            return b""
        return cloudpickle.dumps((chosen, retries))
    raise ValueError(
        "on_error must be 'raise', 'skip' or DeadLetters(directory), where the rows are to be "
        f"kept, but got: {chosen!r}"
    )


def policy_of(on_error: bytes) -> Any:
    """Returns the policy, "raise", "skip" or a `DeadLetters`, of what `pickle_policy` made."""
    return pickle.loads(on_error)[0] if on_error else "raise"


# ---- In workers ------------------------------------------------------------------------------


class Letters:
    """The rows on which a function failed in one task. `policy`: "skip" or a DeadLetters."""

    def __init__(self, policy: Any, function: _core.Function, batches: _core.Batches) -> None:
        self._target: DeadLetters | None = policy if isinstance(policy, DeadLetters) else None
        self._operator = function.name
        self._number = function.id
        self._batches = batches
        self._rows = 0
        self._kept: list[pa.Table] = []
        self._kept_bytes = 0
        self._written: list[WrittenFile] = []

    def add(self, batch: _core.Batch, index: int, error: BaseException) -> None:
        """Takes row `index` of `batch`."""
        self._rows += 1
        if self._target is None:
            return
        letter = self._with_reason(copy_row(batch.table, index), batch, index, error)
        self._kept.append(letter)
        self._kept_bytes += letter.nbytes
        if self._kept_bytes >= _PART_BYTES:
            self._write()

    def close(self) -> None:
        """Writes what there is, and tells the engine: the function's part of the task is done."""
        self._write()
        if self._target is not None:
            for file in self._written:
                rows = file[2]
                # By its path: a file system may have secrets, which are not for an event log.
                letter = pickle.dumps((self._target.path, file))
                self._batches.note_errors(rows, rows, letter)
        elif self._rows:
            self._batches.note_errors(self._rows)

    def _with_reason(
        self, row: pa.Table, batch: _core.Batch, index: int, error: BaseException
    ) -> pa.Table:
        first, end = batch.first_row, batch.end_row
        if first >= 0 and end - first == batch.table.num_rows:
            first, end = first + index, first + index + 1
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        reason = {
            "_error_type": type(error).__name__,
            "_error_message": _text_of(error)[:_MESSAGE_CHARACTERS],
            "_error_traceback": text[-_TRACEBACK_CHARACTERS:],
            "_error_operator": self._operator,
            "_error_files": list(batch.files) or None,
            "_error_first_row": first if first >= 0 else None,
            "_error_end_row": end if end >= 0 else None,
            "_error_rows_of_file": batch.rows_of_file,
            "_error_position": self._batches.position,
        }
        columns = pa.Table.from_pylist([_writable(reason)], schema=_REASON_SCHEMA)
        kept = [i for i, name in enumerate(row.column_names) if name not in reason]
        return pa.Table.from_arrays(
            [*(row.column(i) for i in kept), *columns.columns],
            schema=pa.schema(
                [*(row.schema.field(i) for i in kept), *_REASON_SCHEMA], row.schema.metadata
            ),
        )

    def _write(self) -> None:
        if self._target is None or not self._kept:
            return
        run = self._batches.run_name
        name = re.sub(r"\W+", "-", self._operator)[:60]
        # "checkpoint-<run>-<attempt>" or "<run>-<process>".
        first = "-".join(run.split("-")[1:3]) if _is_resumed(run) else run.partition("-")[0]
        place = f"{self._batches.position}_{len(self._written)}"
        file = f"{first}_{name}-{self._number}_{place}.parquet"
        folder = write_directory.temporary_path(self._target.path, run)
        # Of every attempt its own, so that one that was lost cannot tear another's.
        temporary = f"{folder}/{uuid.uuid4().hex}.parquet"
        if not _is_resumed(run):
            self._target.filesystem.create_dir(folder, recursive=True)
        # Else the driver made it, and said in it whose it is: a worker that outlives it for a
        # moment must not make it again.
        table = forget_types(convert.concat_tables(self._kept))
        with self._target.filesystem.open_output_stream(temporary) as stream:
            stream.write(_as_parquet(table))
        final = posixpath.join(self._target.path, file)
        size = self._target.filesystem.get_file_info(temporary).size
        self._written.append((final, temporary, table.num_rows, size))
        self._kept, self._kept_bytes = [], 0


def _as_parquet(table: pa.Table) -> pa.Buffer:
    """Returns a file; columns of types that Parquet does not have are there as text."""
    try:
        return _encode(table)
    except pa.ArrowException:
        for i, field in enumerate(table.schema):
            try:
                _encode(table.select([i]))
            except pa.ArrowException:
                texts = [_readable(repr(value)) for value in table.column(i).to_pylist()]
                table = table.set_column(i, field.name, pa.array(texts, pa.string()))
        return _encode(table)


def _encode(table: pa.Table) -> pa.Buffer:
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue()


def _is_resumed(run: str) -> bool:
    return run.startswith("checkpoint-")


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<its text cannot be had>"


def _readable(text: str) -> str:
    """Without halves of characters, which no file can hold."""
    return text.encode(errors="replace").decode()


def _writable(reason: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _readable(value) if isinstance(value, str) else value for key, value in reason.items()
    }


# ---- In the driver ---------------------------------------------------------------------------


class RunLetters:
    """The dead letters of one run of a plan, which has `run_name` if it is given."""

    def __init__(self, plan: _core.Plan, run_name: str = "") -> None:
        self._targets: dict[str, DeadLetters] = {}
        self.has_policy = False
        for policy in _policies(plan):
            self.has_policy = True
            if isinstance(policy, DeadLetters):
                self._targets[policy.path] = policy
        if self.has_policy:
            run_name = run_name or write_directory.new_name()
        self.run_name = run_name
        self._written: list[tuple[DeadLetters, WrittenFile]] = []
        self._names: collections.Counter[str] = collections.Counter()

    def prepare(self) -> None:
        """Removes what processes that died have left. FileExistsError where a file is in the way of
        a directory."""
        for target in self._targets.values():
            write_directory.recover(target.path, target.filesystem)

    @property
    def targets(self) -> list[DeadLetters]:
        return list(self._targets.values())

    def add(self, records: Iterable[bytes]) -> None:
        """Takes what tasks told."""
        for record in records:
            target, (path, *rest) = pickle.loads(record)
            to = self._targets[target]
            # Tasks of two branches of a plan may have equal positions.
            number = self._names[path]
            self._names[path] += 1
            if number:
                path = f"{path.removesuffix('.parquet')}_{number}.parquet"
            self._written.append((to, (path, *rest)))

    def take(self, records: Iterable[bytes]) -> list[WrittenFile]:
        """Returns the files of which tasks told; they are not committed here."""
        before = len(self._written)
        self.add(records)
        files = [file for _, file in self._written[before:]]
        del self._written[before:]
        return files

    def take_for(self, filesystem: Any) -> pa.Table:
        """Returns the files of this file system, to be committed together with a write's; they are
        no longer committed here."""
        mine, others = [], []
        for target, file in self._written:
            if filesystem.equals(target.filesystem):
                mine.append(file)
            else:
                others.append((target, file))
        self._written = others
        return as_table(mine)

    def commit(self) -> None:
        """Gives the files their names, and removes what else the run has left."""
        for target in self._targets.values():
            mine = as_table(file for to, file in self._written if to.path == target.path)
            if mine.num_rows:
                core_filesystem = _paths.for_core(target.filesystem)
                _core.commit_write(core_filesystem, target.path, self.run_name, mine, "append")
        self._written = []
        self.remove()

    def remove(self) -> None:
        """Removes files that were not committed."""
        for target in self._targets.values():
            write_directory.abort(target.path, target.filesystem, self.run_name)


def _policies(plan: _core.Plan) -> Iterator[Any]:
    """Of all operators, from the last one down. (Plans may be deeper than Python's stack.)"""
    waiting = [plan]
    while waiting:
        below = waiting.pop()
        if (policy := policy_of(below.on_error)) != "raise":
            yield policy
        waiting.extend(reversed(below.inputs))
