"""Sources of files written in Python: a subclass reads one open file."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from headrace._internal import paths as _paths
from headrace.block import Block, BlockAccessor, BlockMetadata
from headrace.datasource.datasource import Datasource, ReadTask
from headrace.datasource.file_meta_provider import (
    BaseFileMetadataProvider,
    DefaultFileMetadataProvider,
)
from headrace.datasource.partitioning import (
    Partitioning,
    PathPartitionFilter,
    PathPartitionParser,
)

if TYPE_CHECKING:
    from headrace.context import DataContext

FILE_SIZE_FETCH_PARALLELIZATION_THRESHOLD = 16
PATHS_PER_FILE_SIZE_FETCH_TASK = 16


@dataclass
class FileShuffleConfig:
    """How the order of files is drawn.

    Args:
        seed: the same order in every run; None: another one each time.
        reseed_after_execution: each execution of a dataset draws another order from the seed.
    """

    seed: int | None = None
    reseed_after_execution: bool = True

    def __post_init__(self) -> None:
        if self.seed is not None and not isinstance(self.seed, int):
            raise ValueError("Seed must be an integer or None.")

    def get_seed(self, execution_idx: int = 0) -> int | None:
        if self.seed is None:
            return None
        return hash((self.seed, execution_idx)) if self.reseed_after_execution else self.seed


def check_shuffle(shuffle: Any) -> None:
    """Raises ValueError for what is neither None, "files" nor a FileShuffleConfig."""
    if shuffle is None or shuffle == "files" or isinstance(shuffle, FileShuffleConfig):
        return
    raise ValueError(
        f"Invalid value for 'shuffle': {shuffle}. Valid values are None, 'files', "
        "`FileShuffleConfig`."
    )


def shuffle_seed(shuffle: Any) -> int | None:
    """Returns the seed for the order of files; None: keep the order."""
    check_shuffle(shuffle)
    if shuffle is None:
        return None
    seed = shuffle.get_seed() if isinstance(shuffle, FileShuffleConfig) else None
    return (time.time_ns() if seed is None else seed) & ((1 << 63) - 1)


class FileBasedDatasource(Datasource):
    """A source of files. A subclass gives `_read_stream(file, path)`, which yields blocks.

    Args:
        paths: files, directories, globs or URIs.
        filesystem: default: from the paths.
        schema: the schema of the rows, if known.
        open_stream_args: arguments for `filesystem.open_input_stream`.
        meta_provider: lists files.
        partition_filter: keeps files by the values in their paths.
        partitioning: adds the values in paths as columns.
        ignore_missing_paths: skip paths that do not exist.
        shuffle: draw the order of files.
        include_paths: add a column "path".
        file_extensions: skip other files in directories.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: there is no file to read.
    """

    _WRITE_FILE_PER_ROW = False
    _FILE_EXTENSIONS: str | list[str] | None = None
    _NUM_THREADS_PER_TASK = 0

    def __init__(
        self,
        paths: str | list[str],
        *,
        filesystem: Any = None,
        schema: Any = None,
        open_stream_args: dict[str, Any] | None = None,
        meta_provider: BaseFileMetadataProvider | None = None,
        partition_filter: PathPartitionFilter | None = None,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
        shuffle: Literal["files"] | FileShuffleConfig | None = None,
        include_paths: bool = False,
        file_extensions: list[str] | None = None,
    ) -> None:
        check_shuffle(shuffle)
        given = _paths.to_path_list(paths)
        resolved, self._filesystem = _paths.resolve(given, filesystem)
        provider = meta_provider or DefaultFileMetadataProvider()
        files = list(
            provider.expand_paths(resolved, self._filesystem, partitioning, ignore_missing_paths)
        )
        if ignore_missing_paths and not files:
            _paths.check_found(given, files, None, True)
        if file_extensions is not None:
            endings = tuple("." + e.lower().lstrip(".") for e in file_extensions)
            files = [item for item in files if item[0].lower().endswith(endings)]
        if partition_filter is not None:
            kept = set(partition_filter([path for path, _ in files]))
            files = [item for item in files if item[0] in kept]
        _paths.check_found(given, files, file_extensions, ignore_missing_paths)
        self._files = files
        self._schema = schema
        self._open_stream_args = dict(open_stream_args or {})
        self._partitioning = partitioning
        self._include_paths = include_paths
        self._shuffle = shuffle

    # ---- For subclasses

    def _read_stream(self, f: pa.NativeFile, path: str) -> Iterator[Block]:
        """Yields the blocks of one file."""
        raise NotImplementedError(
            "Subclasses of FileBasedDatasource must implement _read_stream()."
        )

    def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> pa.NativeFile:
        """Opens one file as a stream; compression comes from the name unless given."""
        compression = self.resolve_compression(path, open_args)
        open_args.pop("compression", None)
        return filesystem.open_input_stream(path, compression=compression, **open_args)

    def resolve_compression(self, path: str, open_args: dict[str, Any]) -> str | None:
        """Returns the compression asked for, else the one that the name's ending says."""
        if "compression" in open_args:
            return open_args["compression"]
        try:
            return pa.Codec.detect(path).name
        except (ValueError, TypeError):
            return None

    # ---- Datasource

    def _paths(self) -> list[str]:
        return [path for path, _ in self._files]

    def _file_sizes(self) -> list[int]:
        return [size for _, size in self._files]

    def estimate_inmemory_data_size(self) -> int | None:
        return sum(self._file_sizes())

    def _rows_per_file(self) -> int | None:
        return None

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        files = list(self._files)
        reader = copy.copy(self)
        reader._files = []  # Each task carries the paths of its own files only.
        seed = shuffle_seed(self._shuffle)
        if seed is not None:
            random.Random(seed).shuffle(files)
        parallelism = max(1, min(parallelism, len(files)))
        rows_per_file = self._rows_per_file()
        tasks = []
        for index in range(parallelism):
            begin = index * len(files) // parallelism
            end = (index + 1) * len(files) // parallelism
            group = files[begin:end]
            metadata = BlockMetadata(
                num_rows=None if rows_per_file is None else rows_per_file * len(group),
                size_bytes=sum(size for _, size in group),
                exec_stats=None,
                input_files=[path for path, _ in group],
            )
            schema = self._schema if isinstance(self._schema, pa.Schema) else None
            read = reader._make_read_fn([path for path, _ in group])
            tasks.append(ReadTask(read, metadata, schema, per_task_row_limit))
        return tasks

    def _make_read_fn(self, paths: list[str]) -> Callable[[], Iterable[Block]]:
        def read() -> Iterator[Block]:
            for path in paths:
                with self._open_input_source(
                    self._filesystem, path, **dict(self._open_stream_args)
                ) as stream:
                    for block in self._read_stream(stream, path):
                        yield self._with_path_columns(block, path)

        return read

    def _with_path_columns(self, block: Block, path: str) -> Block:
        columns: dict[str, Any] = {}
        if self._partitioning is not None:
            columns.update(PathPartitionParser(self._partitioning)(path))
        if self._include_paths:
            columns["path"] = path
        if not columns:
            return block
        table = BlockAccessor.for_block(block).to_arrow()
        for name, value in columns.items():
            if name in table.column_names:
                continue
            table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
        return table
