"""Writes with `DataContext.checkpoint_config`: what was written, by the ids of rows.

The plan to write has a step behind each read that leaves out the rows whose ids are noted. The ids
of what is written are noted in Parquet files, in a temporary directory of the write first:

    files     a step before the write notes ids (sinks in Python: each task, when it has written);
              they are joined, and committed in one list with the data
    others    each task notes its ids for good when it has written

    {checkpoint_path}/{random}.parquet        ids that count
    {checkpoint_path}/.headrace-{write}/      ids of a write that has not ended; the set of ids to
                                              leave out; `place`: where the data goes
"""

from __future__ import annotations

import contextlib
import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core, checkpoint
from headrace._internal import paths as _paths
from headrace._internal import write_directory
from headrace._internal.id_set import IdSet, by_type, plain_ids
from headrace._internal.write_directory import WriteDirectory, WrittenFile, as_table

if TYPE_CHECKING:
    from headrace.checkpoint import CheckpointConfig
    from headrace.context import DataContext

logger = logging.getLogger(__name__)
_TEMPORARY = ".headrace-"
_PLACE = "place"
_SEVERAL_ROWS = ("join", "zip")


class _NotOfReadsAlone(Exception):
    """Some rows of the plan do not come from a read."""


class RowsToWrite:
    """What a write verb is to write.

    Attributes:
        plan: yields the rows.
        context: to run it under.
        notes: takes the ids of what is written; None: they are not noted.
    """

    def __init__(
        self, plan: _core.Plan, context: DataContext, notes: IdNotes | None = None
    ) -> None:
        self.plan = plan
        self.context = context
        self.notes = notes


@contextmanager
def rows_to_write(
    dataset: Any, mode: Any, directory: WriteDirectory | None, note_in_plan: bool
) -> Iterator[RowsToWrite]:
    """Yields what is to be written of `dataset`: all of it, or what is not written already by the
    ids of its checkpoint_config. What is neither there nor committed when the block ends goes.

    Args:
        mode: a SaveMode, or what a sink has in its place.
        directory: where files go. None: to a sink that is not all or nothing.
        note_in_plan: a step of the plan notes ids; else the sink does.

    Raises:
        ValueError: the id column is missing or has no plain values; or what stands would be
            overwritten; or the checkpoint's directory is around the one to write.
        InvalidCheckpointingOperators: the plan joins or zips several reads.
        NotImplementedError: blocks that fail are to be left out.
    """
    config: CheckpointConfig | None = dataset._context.checkpoint_config
    plan, context = dataset._plan, dataset._context
    if config is None:
        yield RowsToWrite(plan, context)
        return
    reads = _reads(plan)
    if reads is None:
        logger.warning("The dataset is not made of reads alone: its checkpoint_config is not used.")
        yield RowsToWrite(plan, context)
        return
    if context.max_errored_blocks:
        raise NotImplementedError(
            "checkpoint_config and max_errored_blocks together: ids of blocks that fail would count"
        )
    for known in (below.infer_schema() for below in [*reads, plan]):
        if known is not None:
            _check_column(known, config.id_column)
    notes = IdNotes(config, directory)
    done = notes.recover()
    if done and getattr(mode, "name", str(mode)).upper() == "OVERWRITE":
        raise ValueError(
            f"{config.checkpoint_path} has ids of rows that are written: mode='overwrite' would "
            "remove these rows, and not write them again. Remove the ids, or append."
        )
    try:
        steps = _Steps(context)
        left = _made_again(plan, steps, _NotDone(config.id_column, notes.prepare(done)))
        if note_in_plan:
            left = steps.put(left, _Note(notes.recorder()))
        yield RowsToWrite(left, context, notes)
    finally:
        notes.remove()


# ---- The directory of ids --------------------------------------------------------------------


class IdRecorder:
    """Notes ids, in workers.

    Args:
        column: the ids.
        temporary: where files are written; it must exist, but in object stores.
        directory: where they go when they are whole; None: they stay.
    """

    def __init__(
        self, column: str, filesystem: Any, temporary: str, directory: str | None = None
    ) -> None:
        self._column = column
        self._filesystem = filesystem
        self._temporary = temporary
        self._directory = directory

    def ids_of(self, table: pa.Table) -> pa.ChunkedArray:
        """Returns the ids of rows, without nulls. ValueError if there are none."""
        return plain_ids(_id_column(table, self._column), self._column).drop_null()

    def note(self, ids: Sequence[pa.ChunkedArray]) -> list[str]:
        """Writes ids down; returns the paths of the files."""
        paths = []
        for column in by_type(ids):
            if len(column):
                name = f"{uuid.uuid4().hex}.parquet"
                path = f"{self._temporary}/{name}"
                _write_ids(self._filesystem, path, self._column, column)
                if self._directory is not None:
                    self._filesystem.move(path, f"{self._directory}/{name}")
                    path = f"{self._directory}/{name}"
                paths.append(path)
        return paths


class IdNotes:
    """The directory of ids, and those of one write. `directory`: of the files of this write."""

    def __init__(self, config: CheckpointConfig, directory: WriteDirectory | None) -> None:
        [found], self._filesystem = _paths.resolve([config.checkpoint_path], config.filesystem)
        self._path = _paths.normal_directory(found)
        self._column = config.id_column
        self._chosen = config.checkpoint_path_partition_filter
        self._delete = config.delete_checkpoint_on_success
        self._directory = directory
        self._name = write_directory.new_name()
        self._temporary = write_directory.temporary_path(self._path, self._name)
        self._waiting: list[tuple[str, str]] = []  # Path, temporary path.
        self._data_stands = False
        to = "" if directory is None else directory.path
        if self._is_with_data() and f"{to}/".startswith(f"{self._path}/"):
            raise ValueError(
                f"the directory to write, {to}, must not be in that of the checkpoint, {self._path}"
            )

    def _is_with_data(self) -> bool:
        to = self._directory
        return to is not None and bool(to.filesystem.equals(self._filesystem))

    def recover(self) -> IdSet:
        """Ends what dead processes began, and returns the ids that count."""
        from pyarrow import fs

        if self._directory is not None:
            write_directory.recover(self._directory.path, self._directory.filesystem)
        selector = fs.FileSelector(self._path, allow_not_found=True)
        is_file = self._filesystem.get_file_info(self._path).type == fs.FileType.File
        for info in [] if is_file else self._filesystem.get_file_info(selector):
            if info.type == fs.FileType.Directory and info.base_name.startswith(_TEMPORARY):
                # There may be none, or half of one.
                with contextlib.suppress(OSError, ValueError):
                    self._end_commit(f"{info.path}/{_PLACE}")
        write_directory.recover(self._path, self._filesystem)
        return IdSet.of(map(self._read, self._files()))

    def _end_commit(self, place: str) -> None:
        """Ends the commit of the write, perhaps a dead one, that left `place`."""
        with self._filesystem.open_input_stream(place) as stream:
            place_of = json.loads(stream.read())
        if place_of["with data"]:
            # The list of its commit lies where its data went.
            write_directory.recover(place_of["directory"], self._filesystem)
            return
        to = self._directory
        if to is None or to.filesystem.type_name != place_of["filesystem"]:
            return
        write_directory.recover(place_of["directory"], to.filesystem)
        if to.filesystem.get_file_info(place_of["file"]).is_file:
            self._move(place_of["moves"])

    def _move(self, moves: Iterable[Sequence[str]]) -> None:
        for path, temporary in moves:
            try:
                self._filesystem.move(temporary, path)
            except OSError:
                # Another write has ended this one's commit.
                if not self._filesystem.get_file_info(path).is_file:
                    raise

    def _note_place(self, **more: Any) -> None:
        """Leaves word for those who come after a death of this process."""
        to = self._directory
        if to is None:
            return
        place = {
            "with data": self._is_with_data(),
            "filesystem": to.filesystem.type_name,
            "directory": to.path,
            **more,
        }
        with self._filesystem.open_output_stream(f"{self._temporary}/{_PLACE}") as out:
            out.write(json.dumps(place).encode())

    def prepare(self, done: IdSet) -> tuple[Any, str] | None:
        """Makes the directory of the write. Returns the place of the ids to leave out, if any."""
        self._filesystem.create_dir(self._temporary, recursive=True)
        if self._is_with_data():
            self._note_place()
        if not done:
            return None
        done.save(self._filesystem, f"{self._temporary}/done")
        return self._filesystem, f"{self._temporary}/done"

    def recorder(self) -> IdRecorder:
        """Returns what notes ids: until the commit if files are written, else for good."""
        to = self._path if self._directory is None else None
        return IdRecorder(self._column, self._filesystem, self._temporary, to)

    def take_for(self, data: Sequence[str], paths: list[str] | None = None) -> pa.Table:
        """Returns files of ids to be committed together with files of data, if they are of their
        file system; else `commit` does it.

        Args:
            data: the paths that the files of data will have.
            paths: what the recorder wrote; default: all that it wrote.
        """
        files = self._joined(self._noted() if paths is None else paths)
        if self._is_with_data():
            return as_table(files)
        self._waiting = [(path, temporary) for path, temporary, _, _ in files]
        if self._directory is not None:
            there = self._directory.filesystem
            new = next((path for path in data if not there.get_file_info(path).is_file), None)
            if new is not None:
                self._note_place(file=new, moves=self._waiting)
        return as_table([])

    def commit(self) -> None:
        """Makes the ids count that were not committed with the data, which stands."""
        self._data_stands = True
        self._move(self._waiting)
        self._waiting = []

    def end(self, paths: Sequence[str] = ()) -> None:
        """Joins ids in files `paths`, which count; or removes all ids that count, where they are
        not needed again."""
        if self._delete:
            self._filesystem.delete_dir(self._path)
        elif len(paths) > 1:
            self._move((path, temporary) for path, temporary, _, _ in self._joined(paths))
            for path in paths:
                self._filesystem.delete_file(path)

    def remove(self) -> None:
        """Removes what was not committed."""
        if self._waiting and self._data_stands:
            return  # Ids of rows that are written: the next write takes them from there.
        write_directory.abort(self._path, self._filesystem, self._name)

    def _joined(self, paths: Sequence[str]) -> list[WrittenFile]:
        files = []
        for column in by_type([self._read(path) for path in paths]):
            name = f"{uuid.uuid4().hex}.parquet"
            temporary = f"{self._temporary}/{name}"
            _write_ids(self._filesystem, temporary, self._column, column)
            size = self._filesystem.get_file_info(temporary).size
            files.append((f"{self._path}/{name}", temporary, len(column), size))
        return files

    def _read(self, path: str) -> pa.ChunkedArray:
        import pyarrow.parquet as pq

        with self._filesystem.open_input_file(path) as file:
            found = pq.ParquetFile(file)
            if self._column not in found.schema_arrow.names:
                raise ValueError(f"{path} has no IDs of the column '{self._column}'")
            return plain_ids(found.read(columns=[self._column])[self._column], self._column)

    def _noted(self) -> list[str]:
        from pyarrow import fs

        infos = self._filesystem.get_file_info(fs.FileSelector(self._temporary))
        return sorted(info.path for info in infos if info.extension == "parquet")

    def _files(self) -> list[str]:
        from pyarrow import fs

        recursive = self._chosen is not None
        selector = fs.FileSelector(self._path, allow_not_found=True, recursive=recursive)
        found = [
            info.path
            for info in self._filesystem.get_file_info(selector)
            if info.type == fs.FileType.File
            and info.extension == "parquet"
            and f"/{_TEMPORARY}" not in info.path[len(self._path) :]
        ]
        return sorted(self._chosen(found) if recursive else found)


def _write_ids(filesystem: Any, path: str, name: str, column: pa.ChunkedArray) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({name: column}), path, filesystem=filesystem)


# ---- The plan --------------------------------------------------------------------------------


class _NotDone:
    """Leaves out rows whose ids are noted. `place`: of an IdSet; None: there are none."""

    def __init__(self, column: str, place: tuple[Any, str] | None) -> None:
        self._column = column
        self._place = place
        self._done: IdSet | None = None

    def __call__(self, table: pa.Table) -> pa.Table:
        if table.num_rows == 0:
            return table
        column = plain_ids(_id_column(table, self._column), self._column)
        if self._place is None:
            return table
        if self._done is None:
            self._done = IdSet.load(*self._place)
        return table.filter(pa.array(~self._done.contains(column)))


class _Note:
    """Notes the ids of the rows that come by."""

    def __init__(self, recorder: IdRecorder) -> None:
        self._recorder = recorder

    def __call__(self, table: pa.Table) -> pa.Table:
        if table.num_rows:
            self._recorder.note([self._recorder.ids_of(table)])
        return table


class _Steps:
    """Puts functions of ours into a plan: where they fail the write does, whatever is to become of
    the user's."""

    def __init__(self, context: DataContext) -> None:
        self._context = context.copy()
        self._context.on_error = "raise"
        self._context.retried_map_errors = False

    def put(self, plan: _core.Plan, step: _NotDone | _Note) -> _core.Plan:
        """Returns `plan` with a function of tables behind it."""
        from headrace.dataset import Dataset

        over = Dataset(plan, self._context)
        return over.map_batches(step, batch_format="pyarrow", batch_size=None)._plan


def _id_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    _check_column(table.schema, name)
    return table.column(name)


def _check_column(schema: pa.Schema, name: str) -> None:
    if name not in schema.names:
        raise ValueError(f"There is no ID column '{name}' among {schema.names}")
    plain_ids(pa.chunked_array([], schema.field(name).type), name)


def _reads(plan: _core.Plan) -> list[_core.Plan] | None:
    """Returns the reads that the rows come from; None if some come from elsewhere.

    Raises InvalidCheckpointingOperators if rows of several reads become one.
    """
    reads: dict[int, _core.Plan] = {}
    joins: list[_core.Plan] = []
    of_reads_alone = True
    for node in _nodes(plan):
        if node.kind == "read":
            reads[id(node)] = node
        elif not node.inputs:
            of_reads_alone = False
        elif node.kind in _SEVERAL_ROWS:
            joins.append(node)
    if not of_reads_alone:
        return None
    if joins:
        raise checkpoint.InvalidCheckpointingOperators(
            f"checkpoint_config with {joins[0].kind}(): rows of several reads become one, so the "
            "id of one does not say whether it is written. Write without it, or write what is "
            "joined first."
        )
    return list(reads.values())


def _nodes(plan: _core.Plan) -> list[_core.Plan]:
    """Returns the nodes of a plan, each after its inputs. (Plans may be deeper than the stack.)"""
    nodes: list[_core.Plan] = []
    waiting = [(plan, False)]
    while waiting:
        node, ready = waiting.pop()
        if ready or not node.inputs:
            nodes.append(node)
        else:
            waiting.append((node, True))
            waiting.extend((below, False) for below in reversed(node.inputs))
    return nodes


def _made_again(plan: _core.Plan, steps: _Steps, step: _NotDone) -> _core.Plan:
    """Returns the plan with `step` behind each of its reads, and the filters right behind them,
    which reads take up."""
    made: list[tuple[_core.Plan, bool]] = []  # And whether `step` is still to come.
    for node in _nodes(plan):
        count = len(node.inputs)
        if not count:
            made.append((node, True))
            continue
        inputs, made[-count:] = made[-count:], []
        if node.kind == "filter" and inputs[0][1]:
            made.append((node.with_inputs([inputs[0][0]]), True))
            continue
        over = [steps.put(below, step) if open_ else below for below, open_ in inputs]
        made.append((node.with_inputs(over), False))
    [(last, open_)] = made
    return steps.put(last, step) if open_ else last
