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
    columns = [list(column) for column in zip(*files, strict=True)] or [[]] * 4
    return pa.table(dict(zip(WRITTEN_SCHEMA.names, columns, strict=True)), WRITTEN_SCHEMA)


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
        from pyarrow import fs

        [found], self.filesystem = _paths.resolve([path], filesystem)
        self.path = _paths.normal_directory(found)
        is_local = type(self.filesystem) is fs.LocalFileSystem
        self.core_filesystem = None if is_local else self.filesystem
        self.temporary = f"{uuid.uuid4().hex}-{_core.owner_tag()}"

    @property
    def temporary_path(self) -> str:
        return f"{self.path}/.headrace-{self.temporary}"

    def prepare(self, mode: SaveMode, try_create_dir: bool) -> bool:
        """Cleans up after writers that died, and returns False if the mode says to write nothing.

        Raises:
            FileExistsError: a file has the name.
            ValueError: the directory exists, and the mode is ERROR.
            FileNotFoundError: it does not, and is not to be created.
        """
        from pyarrow import fs

        kind = self.filesystem.get_file_info(self.path).type
        if kind == fs.FileType.Directory:
            _core.recover_writes(self.core_filesystem, self.path)
            kind = self.filesystem.get_file_info(self.path).type
        if kind == fs.FileType.File:
            raise FileExistsError(f"Not a directory: {self.path}")
        if kind != fs.FileType.NotFound:
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
        try:
            _core.abort_write(self.core_filesystem, self.path, self.temporary)
        except OSError as error:
            # What failed first is what the user must know.
            logger.warning("Cannot clean up %s: %s", self.path, error)
