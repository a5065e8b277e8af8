"""The verbs of a dataset that write it to files or to a sink of the user.

Arguments that several verbs share:
    path: the directory to write to; files get names that no other run uses.
    filesystem: a `pyarrow.fs` or fsspec file system; default: from the path.
    try_create_dir: creates the directory; False: FileNotFoundError if it is missing.
    arrow_open_stream_args: arguments for the file system's `open_output_stream`.
    filename_provider: a `FilenameProvider` for the names.
    min_rows_per_file: the least number of rows a file, but for the last ones.
    ray_remote_args, concurrency: resources of the tasks, and the most tasks at once.
    mode: a `SaveMode`, default APPEND.
    checkpoint: a local directory in which the write keeps account of what is written; see below.
The files appear under their names only when all tasks have ended well; a run that fails leaves
none. A process that dies while files get their names leaves a list of them, which this package's
readers obey: they see all of the write or nothing of it. The next write to the directory ends
what dead processes of this host began, and removes what they left.

Where a write overwrites, a reader that has listed the old files, and not yet opened all of them,
raises FileNotFoundError when they go; done again it finds the new ones. Readers other than this
package's may also see some of both for a moment.

This holds for sinks of files in Python too, and for a `Datasink` of your own as far as it does so
itself. A file whose name stands there already, by a `filename_provider`, takes its place.

With a checkpoint a write that was killed, or failed, goes on when it is done again with the same
directory. Read tasks whose files are written do not run again, and the result is the same, file by
file; once it is done, repeating it does nothing, and a warning says so.
    What it goes by: the read tasks, and the blocks of data in memory. Batches and files have no
        rows of two of them, so `min_rows_per_file` and `batch_size` hold within each.
    Operators that need all of their input (sort, shuffle, aggregate, join, limit, ...): their
        output is kept in the checkpoint's directory, as it is, until the write is done. A write
        goes on from the last such operator that was complete; one that was not begins again.
    What is done again: what ran, and blocks that waited between operators that run in tasks of
        their own (before and after actors), up to the memory budget.
    Functions must not remember what they saw before.
    Raises ValueError if the files that are read (by size and time), the functions (as far as their
        code and values can be seen), the plan or the options have changed; the message says what.
        RuntimeError if another process writes with the checkpoint.
    It survives the death of any process. A power cut may take, as of any write, what the disk
        had not got yet: files that are not as long as they were are written again, but not those
        of a write that was done.
"""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.compute import TaskPoolStrategy
from headrace._internal.csv_options import csv_write_options
from headrace._internal.id_checkpoint import (
    IdNotes,
    IdRecorder,
    RowsToWrite,
    rows_to_write,
)
from headrace._internal.native_write import NativeWrite, refuse_checkpoint
from headrace._internal.plan_building import make_placement, pickle_function
from headrace._internal.run import Run
from headrace._internal.savemode import SaveMode

if TYPE_CHECKING:
    from headrace._internal.dead_letters import RunLetters
    from headrace.context import DataContext
    from headrace.datasource.datasink import Datasink
    from headrace.datasource.file_datasink import FileDatasink
    from headrace.datasource.filename_provider import FilenameProvider


_PARQUET_OPTIONS = {
    "allow_truncated_timestamps",
    "coerce_timestamps",
    "compression",
    "compression_level",
    "data_page_size",
    "row_group_size",
    "store_schema",
    "use_deprecated_int96_timestamps",
    "use_dictionary",
    "version",
    "write_statistics",
}


class WriteMixin:
    """The writing part of `Dataset`."""

    _plan: _core.Plan
    _context: DataContext
    _name: str | None
    _keep_stats: Any

    def write_parquet(
        self,
        path: str,
        *,
        partition_cols: list[str] | None = None,
        filesystem: Any = None,
        catalog: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        arrow_parquet_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        max_rows_per_file: int | None = None,
        min_bytes_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        checkpoint: str | None = None,
        **arrow_parquet_args: Any,
    ) -> None:
        """Writes Parquet files.

        Args:
            partition_cols: columns that become "key=value" directories.
            max_rows_per_file: the most rows a file.
            arrow_parquet_args: `compression` ("snappy", "zstd", "gzip", "none", ...),
                `compression_level`, `row_group_size`, and what `pyarrow.parquet.ParquetWriter`
                takes besides.
        """
        if catalog is not None:
            raise NotImplementedError("write_parquet() has no `catalog`")
        least = min_rows(min_rows_per_file, num_rows_per_file)
        if least is not None and max_rows_per_file is not None and least > max_rows_per_file:
            raise ValueError(
                f"min_rows_per_file ({least}) cannot be greater than max_rows_per_file "
                f"({max_rows_per_file})"
            )
        arguments = dict(arrow_parquet_args) | (
            arrow_parquet_args_fn() if arrow_parquet_args_fn is not None else {}
        )
        native = _PARQUET_OPTIONS
        if _is_native(arguments, native, filename_provider, arrow_open_stream_args):
            options = dict(arguments)
            if partition_cols:
                options["partition_cols"] = list(partition_cols)
            if max_rows_per_file is not None:
                options["max_rows_per_file"] = max_rows_per_file
            self._write_native(
                "parquet",
                "Parquet",
                path,
                filesystem,
                options,
                least,
                mode,
                concurrency,
                ray_remote_args,
                try_create_dir,
                checkpoint,
            )
            return
        refuse_checkpoint(checkpoint)
        from headrace._internal.file_sinks import ParquetDatasink

        sink = ParquetDatasink(
            path,
            writer_args=arguments,
            partition_cols=partition_cols,
            max_rows_per_file=max_rows_per_file,
            min_rows_per_file=least,
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_csv(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        arrow_csv_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        checkpoint: str | None = None,
        **arrow_csv_args: Any,
    ) -> None:
        """Writes CSV files with a header. `arrow_csv_args`: `write_options` of `pyarrow.csv`."""
        least = min_rows(min_rows_per_file, num_rows_per_file)
        arguments = dict(arrow_csv_args) | (
            arrow_csv_args_fn() if arrow_csv_args_fn is not None else {}
        )
        options = csv_write_options(arguments)
        if options is not None and _is_native({}, set(), filename_provider, arrow_open_stream_args):
            self._write_native(
                "csv",
                "CSV",
                path,
                filesystem,
                options,
                least,
                mode,
                concurrency,
                ray_remote_args,
                try_create_dir,
                checkpoint,
            )
            return
        refuse_checkpoint(checkpoint)
        from headrace._internal.file_sinks import CsvDatasink

        sink = CsvDatasink(
            path,
            writer_args=arguments,
            min_rows_per_file=least,
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_json(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        pandas_json_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        checkpoint: str | None = None,
        **pandas_json_args: Any,
    ) -> None:
        """Writes files of JSON lines. `pandas_json_args`: of `pandas.DataFrame.to_json`."""
        least = min_rows(min_rows_per_file, num_rows_per_file)
        arguments = dict(pandas_json_args) | (
            pandas_json_args_fn() if pandas_json_args_fn is not None else {}
        )
        if _is_native(arguments, set(), filename_provider, arrow_open_stream_args):
            self._write_native(
                "json",
                "JSON",
                path,
                filesystem,
                {},
                least,
                mode,
                concurrency,
                ray_remote_args,
                try_create_dir,
                checkpoint,
            )
            return
        refuse_checkpoint(checkpoint)
        from headrace._internal.file_sinks import JsonDatasink

        sink = JsonDatasink(
            path,
            writer_args=arguments,
            min_rows_per_file=least,
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_numpy(
        self,
        path: str,
        *,
        column: str,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        checkpoint: str | None = None,
    ) -> None:
        """Writes one column to `.npy` files. ValueError if there is none of that name."""
        least = min_rows(min_rows_per_file, num_rows_per_file)
        known = self._known_schema()
        if known is not None and column not in known.names:
            raise ValueError(f"Column '{column}' does not exist: there are {known.names}.")
        if _is_native({}, set(), filename_provider, arrow_open_stream_args):
            self._write_native(
                "numpy",
                "Numpy",
                path,
                filesystem,
                {"column": column},
                least,
                mode,
                concurrency,
                ray_remote_args,
                try_create_dir,
                checkpoint,
            )
            return
        refuse_checkpoint(checkpoint)
        from headrace._internal.file_sinks import NumpyDatasink

        sink = NumpyDatasink(
            path,
            column=column,
            min_rows_per_file=least,
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_images(
        self,
        path: str,
        column: str,
        file_format: str = "png",
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Writes a column of pixels as image files, one a row; needs Pillow."""
        from headrace._internal.images import ImageDatasink

        known = self._known_schema()
        if known is not None and column not in known.names:
            raise KeyError(f"Column '{column}' does not exist: there are {known.names}.")
        sink = ImageDatasink(
            path,
            column,
            file_format,
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    # ---- A sink of the user

    def write_datasink(
        self,
        datasink: Datasink[Any],
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes to a sink written in Python, in worker processes."""
        from headrace.datasource.datasink import WriteResult
        from headrace.datasource.file_datasink import FileDatasink

        directory = datasink._directory if isinstance(datasink, FileDatasink) else None
        placement = self._write_placement(concurrency, ray_remote_args)
        with rows_to_write(self, getattr(datasink, "mode", None), directory, False) as rows:
            datasink.on_write_start(self._known_schema())
            if getattr(datasink, "_skip_write", False):
                return
            results = self._run_sink(datasink, rows, placement)
            datasink.on_write_complete(
                WriteResult(
                    num_rows=sum(result.num_rows for result in results),
                    size_bytes=sum(result.num_bytes for result in results),
                    write_returns=[result.value for result in results],
                )
            )
            if rows.notes is not None:
                noted = [path for result in results for path in result.id_files]
                rows.notes.end(noted if directory is None else ())

    def _run_sink(
        self, datasink: Datasink[Any], rows: RowsToWrite, placement: _core.Placement
    ) -> list[_TaskResult]:
        """Runs the tasks of a sink that was started, and commits its files."""
        from headrace.datasource.file_datasink import FileDatasink

        files = datasink if isinstance(datasink, FileDatasink) else None
        name = datasink.get_name()
        recorder = None if rows.notes is None else rows.notes.recorder()
        letters: RunLetters | None = None
        try:
            function = _core.Function(
                kind="write",
                name=name,
                payload=pickle_function(name, _SinkWriter(datasink, uuid.uuid4().hex, recorder)),
            )
            target = _core.WriteTarget(format="python", name=name, function=function)
            plan = rows.plan.write(target, placement, datasink.min_rows_per_write or 0)
            run = Run(
                plan, rows.context, self._name or "", on_stats=self._keep_stats, keeps_letters=True
            )
            letters = run.letters
            results = _results_of(run)
            if files is not None:
                _commit_files(files, results, letters, rows.notes)
            letters.commit()
        except BaseException as error:
            if files is not None:
                files.abort()
            if letters is not None:
                letters.remove()
            if isinstance(error, Exception):
                datasink.on_write_failed(error)
            raise
        return results

    def _known_schema(self) -> pa.Schema | None:
        raise NotImplementedError

    # ---- What they share

    def _write_native(
        self,
        format: str,
        name: str,
        path: str,
        filesystem: Any,
        options: dict[str, Any],
        min_rows_per_file: int | None,
        mode: SaveMode,
        concurrency: int | None,
        ray_remote_args: dict[str, Any] | None,
        try_create_dir: bool = True,
        checkpoint: str | None = None,
    ) -> None:
        write = NativeWrite(
            format,
            name,
            path,
            filesystem,
            options,
            min_rows_per_file,
            SaveMode(mode),
            try_create_dir,
        )
        placement = self._write_placement(concurrency, ray_remote_args)
        title = self._name or ""
        if checkpoint is None:
            with rows_to_write(self, write.mode, write.directory, True) as rows:
                write.run(rows.plan, placement, rows.context, title, self._keep_stats, rows.notes)
            return
        if self._context.checkpoint_config is not None:
            raise ValueError(
                "`checkpoint` and the context's checkpoint_config are two ways to go on with a "
                "write: give one of them"
            )
        write.resume(checkpoint, self._plan, placement, self._context, title, self._keep_stats)

    def _write_placement(
        self, concurrency: int | None, ray_remote_args: dict[str, Any] | None
    ) -> _core.Placement:
        return make_placement(
            TaskPoolStrategy(concurrency), ray_remote_args=ray_remote_args, context=self._context
        )


class _TaskResult:
    """What one task of a sink of the user returned, and what it wrote."""

    def __init__(
        self,
        value: Any,
        num_rows: int,
        num_bytes: int,
        files: list[tuple[str, str]],
        id_files: list[str],
    ) -> None:
        self.value = value
        self.num_rows = num_rows
        self.num_bytes = num_bytes
        self.files = files
        self.id_files = id_files


def _results_of(run: Run) -> list[_TaskResult]:
    """Runs the tasks of a sink of the user; their results are in order of the data."""
    with run:
        found = [(block.position, block.get()) for block in run.blocks()]
    found.sort(key=lambda item: item[0])
    return [pickle.loads(data) for _, table in found for data in table.column("result").to_pylist()]


def _commit_files(
    files: FileDatasink, results: list[_TaskResult], letters: RunLetters, notes: IdNotes | None
) -> None:
    """Commits the files of all tasks, with dead letters and ids in the same list."""
    written = [file for result in results for file in result.files]
    kept = dict(written)
    more = [letters.take_for(files.filesystem)]
    if notes is not None:
        # Not the ids of rows whose file gave its name to another task's.
        whole = [r for r in results if all(kept[path] == file for path, file in r.files)]
        more.append(notes.take_for(list(kept), [path for r in whole for path in r.id_files]))
    files.commit(written, pa.concat_tables(more))
    if notes is not None:
        notes.commit()


class _SinkWriter:
    """Calls a sink's `write` in a worker, once a task, and notes the ids of what it wrote."""

    def __init__(self, datasink: Any, write_uuid: str, recorder: IdRecorder | None) -> None:
        self._datasink = datasink
        self._write_uuid = write_uuid
        self._recorder = recorder

    def __call__(self, tables: Iterator[pa.Table], task_number: int) -> _TaskResult:
        from headrace.datasource.datasink import TaskContext

        counted = _Counted(tables, self._recorder)
        context = TaskContext(task_idx=task_number, kwargs={"write_uuid": self._write_uuid})
        take_written = getattr(self._datasink, "take_written", list)
        take_written()  # Of a task before that failed.
        value = self._datasink.write(counted, context)
        files: list[tuple[str, str]] = take_written()
        id_files = [] if self._recorder is None else self._recorder.note(counted.ids)
        return _TaskResult(value, counted.num_rows, counted.num_bytes, files, id_files)


class _Counted:
    """Blocks on their way to a sink, counted; with their ids if there is a recorder."""

    def __init__(self, tables: Iterator[pa.Table], recorder: IdRecorder | None) -> None:
        self._tables = iter(tables)
        self._recorder = recorder
        self.ids: list[pa.ChunkedArray] = []
        self.num_rows = 0
        self.num_bytes = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> pa.Table:
        table = next(self._tables)
        self.num_rows += table.num_rows
        self.num_bytes += table.nbytes
        if self._recorder is not None and table.num_rows:
            self.ids.append(self._recorder.ids_of(table))
        return table


def _is_native(
    arguments: dict[str, Any],
    known: set[str],
    filename_provider: Any,
    open_stream_args: dict[str, Any] | None,
) -> bool:
    if filename_provider is not None or open_stream_args:
        return False
    return set(arguments) <= known and all(
        isinstance(value, (bool, int, str)) for value in arguments.values()
    )


def sink_args(
    filesystem: Any,
    try_create_dir: bool,
    open_stream_args: dict[str, Any] | None,
    filename_provider: Any,
    mode: SaveMode,
) -> dict[str, Any]:
    return {
        "filesystem": filesystem,
        "try_create_dir": try_create_dir,
        "open_stream_args": open_stream_args,
        "filename_provider": filename_provider,
        "mode": SaveMode(mode),
    }


def min_rows(min_rows_per_file: int | None, num_rows_per_file: int | None) -> int | None:
    """Returns the one that is given. ValueError for both, and for numbers below 1."""
    if min_rows_per_file is not None and num_rows_per_file is not None:
        raise ValueError(
            "Cannot specify both `num_rows_per_file` and `min_rows_per_file`. Use "
            "`min_rows_per_file` as `num_rows_per_file` is deprecated."
        )
    least = num_rows_per_file if min_rows_per_file is None else min_rows_per_file
    if least is not None and least < 1:
        raise ValueError(f"min_rows_per_file must be >= 1, got: {least}")
    return least
