"""`CheckpointConfig`: rows that a write has written are left out of the next one, by their ids.

    context = headrace.DataContext.get_current()
    context.checkpoint_config = CheckpointConfig(
        id_column="id", checkpoint_path="done/", delete_checkpoint_on_success=False
    )

Each write verb then leaves out the rows that it reads whose ids stand under the path, and notes
there the ids of the rows that it has written. When these count depends on what is written to:

    Files: with the files, all or nothing. A write that fails, or whose process dies, notes nothing,
        and leaves no rows. To go on in the midst of one, see `checkpoint=` of the write verbs;
        the two do not go together (ValueError).
    Databases, and a `Datasink` of your own: when the sink's `write` of a task has returned; those
        ids stay if the write fails. Rows of a task that failed in `write` may stand there and be
        written again; of a sink whose rows stand only once `on_write_complete` has ended well,
        rows of a write that failed would be left out: give such a sink no checkpoint.

A row is left out where it is read, so what comes of several rows, such as a group, is made of those
that are left. Rows whose id is null or nan are always written. Ids are equal as numbers or texts,
whatever their types: 7, 7.0 and "7", but not "07". A dataset with blocks in memory among its
sources is written whole, with a warning.

Write verbs raise:
    ValueError: a column of that name is not there, where rows are read or where they are written,
        or has lists, structs or the like; the mode is OVERWRITE, and there are ids already: what
        they stand for would be removed; or the files go below the path of the ids.
    InvalidCheckpointingOperators: several reads are joined or zipped.
    NotImplementedError: the context has `max_errored_blocks`.

A process that dies leaves a directory in the path, which the next write with the same path ends or
removes: one on the same host, and where the ids lie on another file system than the files, one to
that file system.
"""

from __future__ import annotations

import os
import warnings
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CheckpointBackend",
    "CheckpointConfig",
    "InvalidCheckpointingConfig",
    "InvalidCheckpointingOperators",
]


class InvalidCheckpointingConfig(Exception):
    """The configuration of a checkpoint says nothing that can be done."""


class InvalidCheckpointingOperators(Exception):
    """A plan cannot be checkpointed: it joins or zips several reads."""


class CheckpointBackend(Enum):
    """Where a checkpoint lies: files of a machine or of an object store."""

    CLOUD_OBJECT_STORAGE = "CLOUD_OBJECT_STORAGE"
    FILE_STORAGE = "FILE_STORAGE"


class CheckpointConfig:
    """Which column names a row, and where the ids of written rows are kept.

    Args:
        id_column: a column of the data as it is read, before a `_block_udf`, whose values are
            unique: numbers, texts, bytes, times; it must be there still when rows are written.
        checkpoint_path: a directory; default: "ray_data_checkpoint" below the directory in the
            environment variable `RAY_DATA_CHECKPOINT_PATH_BUCKET`.
        delete_checkpoint_on_success: remove the directory, with all that is in it, after a write
            that ended well; not after one that did nothing, by its mode.
        override_filesystem: the file system of the path.
        override_backend: deprecated; it follows from the path.
        write_num_threads: accepted; ids are written by the tasks that have the rows.
        checkpoint_path_partition_filter: chooses the files of ids to read, of the list of paths.
        checkpoint_filter_cls, checkpoint_manager_cls: not supported.

    Raises:
        InvalidCheckpointingConfig: no id column, no path, or a path of no file system.
        NotImplementedError: classes of one's own.
    """

    DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR = "RAY_DATA_CHECKPOINT_PATH_BUCKET"
    DEFAULT_CHECKPOINT_PATH_DIR = "ray_data_checkpoint"

    def __init__(
        self,
        id_column: str | None = None,
        checkpoint_path: str | None = None,
        *,
        delete_checkpoint_on_success: bool = True,
        override_filesystem: pa.fs.FileSystem | None = None,
        override_backend: CheckpointBackend | None = None,
        write_num_threads: int = 3,
        checkpoint_path_partition_filter: Any = None,
        checkpoint_filter_cls: type | None = None,
        checkpoint_manager_cls: type | None = None,
    ) -> None:
        if not isinstance(id_column, str) or not id_column:
            raise InvalidCheckpointingConfig(
                f"Checkpoint ID column must be a non-empty string, but got {id_column}"
            )
        if checkpoint_filter_cls is not None or checkpoint_manager_cls is not None:
            raise NotImplementedError(
                "CheckpointConfig() has no `checkpoint_filter_cls` and `checkpoint_manager_cls`"
            )
        if override_backend is not None:
            warnings.warn("`override_backend` is deprecated.", FutureWarning, stacklevel=2)
        self.id_column = id_column
        self.checkpoint_path = checkpoint_path or self._default_path()
        self.filesystem, self.backend = self._place(override_filesystem, override_backend)
        self.delete_checkpoint_on_success = delete_checkpoint_on_success
        self.write_num_threads = write_num_threads
        self.checkpoint_path_partition_filter = checkpoint_path_partition_filter

    def _default_path(self) -> str:
        bucket = os.environ.get(self.DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR)
        if bucket is None:
            raise InvalidCheckpointingConfig(
                f"`{self.DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR}` env var is not set, please "
                "explicitly set `CheckpointConfig.checkpoint_path`."
            )
        return f"{bucket}/{self.DEFAULT_CHECKPOINT_PATH_DIR}"

    def _place(
        self, filesystem: Any, backend: CheckpointBackend | None
    ) -> tuple[Any, CheckpointBackend]:
        from pyarrow import fs

        from headrace._internal import paths

        try:
            _, resolved = paths.resolve([self.checkpoint_path], filesystem)
        except (ValueError, TypeError, OSError) as error:
            raise InvalidCheckpointingConfig(
                f"Invalid checkpoint path: {self.checkpoint_path}. "
            ) from error
        if backend is None:
            local = isinstance(resolved, fs.LocalFileSystem)
            backend = (
                CheckpointBackend.FILE_STORAGE if local else CheckpointBackend.CLOUD_OBJECT_STORAGE
            )
        return resolved, backend
