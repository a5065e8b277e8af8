"""Who lists the files of a `FileBasedDatasource`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace._internal import paths as _paths
from headrace.block import BlockMetadata
from headrace.datasource.partitioning import Partitioning


class FileMetadataProvider:
    """Tells the metadata of the blocks that files will make."""

    def _get_block_metadata(self, paths: list[str], **kwargs: Any) -> BlockMetadata:
        raise NotImplementedError

    def __call__(self, paths: list[str], **kwargs: Any) -> BlockMetadata:
        return self._get_block_metadata(paths, **kwargs)


class BaseFileMetadataProvider(FileMetadataProvider):
    """Lists files, too."""

    def _get_block_metadata(  # type: ignore[override]
        self,
        paths: list[str],
        *,
        rows_per_file: int | None = None,
        file_sizes: list[int | None] | None = None,
    ) -> BlockMetadata:
        sizes = file_sizes or []
        known = bool(sizes) and all(size is not None for size in sizes)
        return BlockMetadata(
            num_rows=None if rows_per_file is None else len(paths) * rows_per_file,
            size_bytes=sum(size or 0 for size in sizes) if known else None,
            exec_stats=None,
            input_files=list(paths),
        )

    def expand_paths(
        self,
        paths: list[str],
        filesystem: Any,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
    ) -> Iterator[tuple[str, int]]:
        """Yields (path, bytes) of every file under `paths`."""
        raise NotImplementedError


class DefaultFileMetadataProvider(BaseFileMetadataProvider):
    """Lists files, directories and globs of any file system."""

    def expand_paths(
        self,
        paths: list[str],
        filesystem: Any,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
    ) -> Iterator[tuple[str, int]]:
        yield from _paths.list_files(paths, filesystem, ignore_missing_paths=ignore_missing_paths)
