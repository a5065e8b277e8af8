"""From the arguments of `read_*` to a source of the engine."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace._internal import paths as _paths
from headrace._internal.plan_building import pickle_function
from headrace.block import iter_tables
from headrace.datasource.file_based_datasource import check_shuffle, shuffle_seed
from headrace.datasource.partitioning import (
    Partitioning,
    PathPartitionFilter,
    partition_schema,
)


def make_file_source(
    format: str,
    paths: Any,
    *,
    filesystem: Any = None,
    options: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Any = None,
    file_extensions: list[str] | None = None,
    schema: pa.Schema | None = None,
) -> _core.Source:
    """Lists the files and makes the source.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: no file is left to read, or `shuffle` is none.
    """
    check_shuffle(shuffle)
    given = _paths.to_path_list(paths)
    resolved, found_filesystem = _paths.resolve_for_core(given, filesystem)
    # The engine lists the files again cheaply: it gets them as they are.
    files = [
        path
        for path, _ in _paths.list_files(
            resolved,
            found_filesystem,
            file_extensions=file_extensions,
            ignore_missing_paths=ignore_missing_paths,
        )
    ]
    if partition_filter is not None:
        files = partition_filter(files)
    _paths.check_found(given, files, file_extensions, ignore_missing_paths)
    base, fields = _hive(partitioning, files)
    source = _core.file_source(
        format,
        files,
        filesystem=found_filesystem,
        options=options or {},
        include_paths=include_paths,
        partitioning_base=base,
        partition_schema=fields,
        schema=schema,
    )
    seed = shuffle_seed(shuffle)
    return source if seed is None else source.shuffled(seed)


def open_first(
    paths: Any, filesystem: Any, file_extensions: Any, open_args: dict[str, Any] | None
) -> pa.NativeFile:
    """Opens the first file, decompressed as its name or the arguments say."""
    resolved, found = _paths.resolve(_paths.to_path_list(paths), filesystem)
    files = _paths.list_files(resolved, found, file_extensions=file_extensions)
    _paths.check_found(resolved, files, file_extensions, False)
    return found.open_input_stream(files[0][0], **(open_args or {}))


def _hive(
    partitioning: Partitioning | None, files: list[str]
) -> tuple[str | None, pa.Schema | None]:
    if partitioning is None:
        return None, None
    fields = partition_schema(partitioning, files)
    return (None, None) if fields is None else (partitioning.normalized_base_dir, fields)


def make_python_source(
    name: str, tasks: Iterable[Any], schema: pa.Schema | None = None
) -> _core.Source:
    """Returns the source whose units are `ReadTask`s.

    Raises TypeError if a task cannot be pickled.
    """
    units = []
    schemas = []
    for task in tasks:
        metadata = task.metadata
        payload = pickle_function(f"{name} read task", task)
        units.append(
            (
                payload,
                -1 if metadata.num_rows is None else int(metadata.num_rows),
                -1 if metadata.size_bytes is None else int(metadata.size_bytes),
                list(metadata.input_files or []),
            )
        )
        schemas.append(task.schema)
    if schema is None and schemas and all(isinstance(found, pa.Schema) for found in schemas):
        first = schemas[0]
        schema = first if all(found.equals(first) for found in schemas) else None
    function = _core.Function(
        kind="read", name=name, payload=pickle_function(name, _run_read_task), is_class=False
    )
    return _core.python_source(name, function, units, schema)


def _run_read_task(payload: bytes) -> Iterator[pa.Table]:
    """Runs in a worker: one unit of a Python source."""
    return iter_tables(pickle.loads(payload)())


def asked_blocks(parallelism: int, override_num_blocks: int | None) -> int:
    """Returns the number of blocks asked for, -1 for none. ValueError for a number below 1."""
    if override_num_blocks is not None:
        if override_num_blocks < 1:
            raise ValueError(f"`override_num_blocks` must be >= 1, got: {override_num_blocks}")
        if parallelism == -1:
            return override_num_blocks
    if parallelism != -1 and parallelism < 1:
        raise ValueError(f"`parallelism` must be -1 or >= 1, got: {parallelism}")
    return parallelism


def asked_or_none(parallelism: int, override_num_blocks: int | None) -> int | None:
    asked = asked_blocks(parallelism, override_num_blocks)
    return asked if asked > 0 else None
