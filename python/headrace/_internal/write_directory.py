"""The directory of a write: what stands there before, and how the new files appear; see
data/consume/commit.h."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace._internal import paths as _paths
from headrace._internal.savemode import SaveMode

logger = logging.getLogger(__name__)

WrittenFile = tuple[str, str, int, int]  # Path, temporary path, rows, bytes.

# The columns of `commit`.
WRITTEN_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("temporary_path", pa.string()),
        ("num_rows", pa.int64()),
        ("num_bytes", pa.int64()),
    ]
)


def as_table(files: Iterable[WrittenFile]) -> pa.Table:
    """Returns files as `commit` takes them."""
    columns = [list(column) for column in zip(*files, strict=True)]
    if not columns:  # Arrays of Python values import pandas: a third of a short write.
        return pa.Table.from_batches([], WRITTEN_SCHEMA)
    return pa.table(dict(zip(WRITTEN_SCHEMA.names, columns, strict=True)), WRITTEN_SCHEMA)


def new_name() -> str:
    """Returns the name of a new write: what its temporary directories have behind ".headrace-"."""
    return f"{uuid.uuid4().hex}-{_core.owner_tag()}"


def temporary_path(directory: str, name: str) -> str:
    """Returns the temporary directory of the write `name` in a directory."""
    return f"{directory}/.headrace-{name}"


def recover(directory: str, filesystem: Any) -> bool:
    """Cleans up after writers to `directory` that died; returns True if there were any.
    FileExistsError for a file."""
    from pyarrow import fs

    kind = filesystem.get_file_info(directory).type
    if kind == fs.FileType.File:
        raise FileExistsError(f"Not a directory: {directory}")
    if kind == fs.FileType.NotFound:
        return False
    return _core.recover_writes(_paths.for_core(filesystem), directory)


def abort(directory: str, filesystem: Any, name: str) -> None:
    """Removes the temporary files of the write `name`; warns where that fails."""
    try:
        _core.abort_write(_paths.for_core(filesystem), directory, name)
    except OSError as error:
        # What failed first is what the user must know.
        logger.warning("Cannot clean up %s: %s", directory, error)


# File systems whose directories are but parts of names.
_OBJECT_STORES = ("s3", "gcs", "abfs")


class WriteDirectory:
    """One write to a directory.

    Args:
        path: the directory.
        filesystem: a `pyarrow.fs` or fsspec file system; default: from the path.

    Attributes:
        path: as the file system writes it.
        filesystem: a `pyarrow.fs` file system.
        core_filesystem: the same for the engine: None for the local one.
        temporary: what the name of the temporary directory has behind ".headrace-".
    """

    def __init__(self, path: str, filesystem: Any) -> None:
        [found], self.filesystem = _paths.resolve(_paths.to_path_list(path), filesystem)
        self.path = _paths.normal_directory(found)
        self.core_filesystem = _paths.for_core(self.filesystem)
        self.temporary = new_name()

    @property
    def temporary_path(self) -> str:
        return temporary_path(self.path, self.temporary)

    def prepare(self, mode: SaveMode, try_create_dir: bool) -> bool:
        """Cleans up after writers that died, and returns False if the mode says to write nothing.

        Raises:
            FileExistsError: a file has the name.
            ValueError: the directory exists, and the mode is ERROR.
            FileNotFoundError: it does not, and is not to be created.
        """
        from pyarrow import fs

        recovered = recover(self.path, self.filesystem)
        if self.filesystem.get_file_info(self.path).type != fs.FileType.NotFound:
            if recovered and not self.filesystem.get_file_info(fs.FileSelector(self.path)):
                return True  # Nothing but what a writer left that died.
            if mode is SaveMode.ERROR:
                raise ValueError(
                    f"Path {self.path} already exists. If this is unexpected, use mode='ignore' to "
                    "ignore those files"
                )
            return mode is not SaveMode.IGNORE
        if not try_create_dir and self.filesystem.type_name not in _OBJECT_STORES:
            raise FileNotFoundError(f"No such directory: {self.path}")
        return True

    def commit(self, written: pa.Table, mode: SaveMode) -> None:
        """Gives the files their names, all or none; `written` has WRITTEN_SCHEMA."""
        _core.commit_write(
            self.core_filesystem, self.path, self.temporary, written, SaveMode(mode).value
        )

    def abort(self) -> None:
        """Removes the temporary files."""
        abort(self.path, self.filesystem, self.temporary)
