"""Writes with `DataContext.checkpoint_config`: what was written, by the ids of rows.

The dataset is made again by the verbs that made it, with a step behind each read that leaves out
the rows whose ids are noted, and one before the write that notes ids. Notes of a write lie in a
directory of their own until its files stand.
"""

from __future__ import annotations

import copy
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace._internal import paths as _paths
from headrace.context import DataContext

if TYPE_CHECKING:
    from headrace.checkpoint import CheckpointConfig

logger = logging.getLogger(__name__)
_PENDING = "pending-"


class _CannotBeMadeAgain(Exception):
    """Some rows of the dataset do not come from a read."""


@contextmanager
def checkpointed(dataset: Any, config: CheckpointConfig) -> Iterator[Any]:
    """Yields the dataset to write in the place of `dataset`; its rows are noted if the block ends
    well. A dataset that does not come from reads alone is yielded as it is, with a warning."""
    ids = _Ids(config)
    context = dataset._context.copy()
    context.checkpoint_config = None
    try:
        with DataContext.current(context):
            left = _made_again(dataset, _NotDone(ids))
            noted = left.map_batches(_Note(ids), batch_format="pyarrow", batch_size=None)
    except _CannotBeMadeAgain:
        logger.warning("The dataset is not made of reads alone: its checkpoint_config is not used.")
        left = copy.copy(dataset)
        left._context = context
        yield left
        return
    noted._context, noted._name = context, dataset._name
    try:
        yield noted
    except BaseException:
        ids.drop()
        raise
    ids.commit(config.delete_checkpoint_on_success)
    dataset._stats = noted._stats


class _Ids:
    """The directory of noted ids, and of those that this write notes."""

    def __init__(self, config: CheckpointConfig) -> None:
        resolved, self._filesystem = _paths.resolve([config.checkpoint_path], config.filesystem)
        self.column = config.id_column
        self._path = resolved[0].rstrip("/")
        self._pending = f"{self._path}/{_PENDING}{uuid.uuid4().hex}"
        self._chosen = config.checkpoint_path_partition_filter

    def read(self) -> pa.ChunkedArray:
        """Returns the ids that are noted."""
        import pyarrow.parquet as pq

        parts = [
            pq.read_table(path, filesystem=self._filesystem, columns=[self.column])[self.column]
            for path in self._files(self._path)
        ]
        return pa.chunked_array([chunk for part in parts for chunk in part.chunks] or [pa.nulls(0)])

    def note(self, ids: pa.ChunkedArray) -> None:
        """Writes ids down, to count when the write is done."""
        import pyarrow.parquet as pq

        self._filesystem.create_dir(self._pending, recursive=True)
        path = f"{self._pending}/{uuid.uuid4().hex}.parquet"
        pq.write_table(pa.table({self.column: ids}), path, filesystem=self._filesystem)

    def commit(self, delete: bool) -> None:
        """Makes this write's ids count, or removes all of them where they are not needed again."""
        from pyarrow import fs

        if delete:
            if self._filesystem.get_file_info(self._path).type == fs.FileType.Directory:
                self._filesystem.delete_dir(self._path)
            return
        for path in self._files(self._pending):
            self._filesystem.move(path, f"{self._path}/{path.rpartition('/')[2]}")
        self.drop()

    def drop(self) -> None:
        """Removes what this write noted."""
        from pyarrow import fs

        if self._filesystem.get_file_info(self._pending).type == fs.FileType.Directory:
            self._filesystem.delete_dir(self._pending)

    def _files(self, directory: str) -> list[str]:
        from pyarrow import fs

        recursive = self._chosen is not None and directory == self._path
        selector = fs.FileSelector(directory, allow_not_found=True, recursive=recursive)
        found = [
            info.path
            for info in self._filesystem.get_file_info(selector)
            if info.type == fs.FileType.File and f"/{_PENDING}" not in info.path[len(directory) :]
        ]
        return sorted(self._chosen(found) if recursive else found)


class _NotDone:
    """Leaves out rows whose ids are noted."""

    def __init__(self, ids: _Ids) -> None:
        self._ids = ids
        self._done: pa.ChunkedArray | None = None

    def __call__(self, table: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        if self._done is None:
            self._done = self._ids.read()
        if len(self._done) == 0:
            return table
        column = _id_column(table, self._ids.column)
        return table.filter(pc.invert(pc.is_in(column, self._done.cast(column.type))))


class _Note:
    """Notes the ids of the rows that come by."""

    def __init__(self, ids: _Ids) -> None:
        self._ids = ids

    def __call__(self, table: pa.Table) -> pa.Table:
        if table.num_rows:
            self._ids.note(_id_column(table, self._ids.column))
        return table


def _id_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise ValueError(f"There is no ID column '{name}' among {table.column_names}")
    return table.column(name)


def _made_again(dataset: Any, step: _NotDone) -> Any:
    """Returns the dataset with `step` behind each of its reads."""
    from headrace.dataset import Dataset

    if dataset._recipe is None:
        raise _CannotBeMadeAgain
    verb, args, kwargs = dataset._recipe
    inputs = 0

    def replace(value: Any) -> Any:
        nonlocal inputs
        if isinstance(value, Dataset):
            inputs += 1
            return _made_again(value, step)
        if isinstance(value, (list, tuple)) and any(isinstance(v, Dataset) for v in value):
            return type(value)(replace(v) for v in value)
        return value

    new_args = [replace(value) for value in args]
    new_kwargs = {name: replace(value) for name, value in kwargs.items()}
    if inputs:
        return verb(*new_args, **new_kwargs)
    if not _is_a_read(dataset._plan):
        raise _CannotBeMadeAgain
    return dataset.map_batches(step, batch_format="pyarrow", batch_size=None)


def _is_a_read(plan: Any) -> bool:
    while plan.kind != "read":
        if len(plan.inputs) != 1:
            return False
        plan = plan.inputs[0]
    return True
