"""What the functions of `read_api.py` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace._internal import paths as _paths
from headrace._internal import sources as _sources
from headrace._internal.compute import TaskPoolStrategy
from headrace._internal.plan_building import make_placement
from headrace.block import BlockAccessor
from headrace.context import DataContext
from headrace.dataset import Dataset
from headrace.datasource.partitioning import (
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
)


@dataclass(frozen=True)
class FileArguments:
    """Which files, and what of their paths."""

    filesystem: Any
    partition_filter: PathPartitionFilter | None
    partitioning: Partitioning | None
    include_paths: bool
    ignore_missing_paths: bool
    shuffle: Any
    file_extensions: list[str] | None


@dataclass(frozen=True)
class TaskArguments:
    """What each read task takes."""

    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: float | None = None
    resources: dict[str, float] | None = None
    ray_remote_args: dict[str, Any] | None = None


@dataclass(frozen=True)
class BlockArguments:
    """How many blocks, and how many tasks at once."""

    parallelism: int
    override_num_blocks: int | None
    concurrency: int | None


def read_files(
    format: str,
    paths: Any,
    files: FileArguments,
    tasks: TaskArguments,
    blocks: BlockArguments,
    *,
    options: dict[str, Any] | None = None,
    schema: pa.Schema | None = None,
    columns: list[str] | None = None,
) -> Dataset:
    """Makes the dataset of files that the engine reads itself."""
    partitioning = files.partitioning
    named = partitioning is None or partitioning.style is PartitionStyle.HIVE
    source = _sources.make_file_source(
        format,
        paths,
        filesystem=files.filesystem,
        options=options,
        partition_filter=files.partition_filter,
        partitioning=partitioning if named else None,
        include_paths=files.include_paths or not named,
        ignore_missing_paths=files.ignore_missing_paths,
        shuffle=files.shuffle,
        file_extensions=files.file_extensions,
        schema=schema,
    )
    ds = read_source(source, blocks, tasks, columns=columns)
    if named or partitioning is None:
        return ds
    # The engine knows "key=value" directories only: others are read off the path.
    fill = _PathValues(partitioning, files.include_paths)
    return ds.map_batches(fill, batch_format="pyarrow")


class _PathValues:
    """Adds the values that stand in the column "path"."""

    def __init__(self, partitioning: Partitioning, keep_path: bool) -> None:
        self._parse = PathPartitionParser(partitioning)
        self._keep_path = keep_path
        self.__name__ = "partition_values"

    def __call__(self, table: pa.Table) -> pa.Table:
        names = self._parse.scheme.field_names or []
        values = [self._parse(path) for path in table.column("path").to_pylist()]
        if not self._keep_path:
            table = table.drop_columns(["path"])
        for name in names:
            if name not in table.column_names:
                table = table.append_column(name, pa.array([row.get(name) for row in values]))
        return table


def read_source(
    source: _core.Source,
    blocks: BlockArguments,
    tasks: TaskArguments | None = None,
    *,
    columns: list[str] | None = None,
) -> Dataset:
    """Makes the dataset of a source."""
    concurrency, tasks = blocks.concurrency, tasks or TaskArguments()
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
        raise ValueError(f"`concurrency` must be an integer >= 1, got: {concurrency}")
    placement = make_placement(
        TaskPoolStrategy(concurrency),
        num_cpus=tasks.num_cpus,
        num_gpus=tasks.num_gpus,
        memory=tasks.memory,
        resources=tasks.resources,
        ray_remote_args=tasks.ray_remote_args,
    )
    plan = _core.Plan.read(
        source,
        columns=columns,
        parallelism=_sources.asked_blocks(blocks.parallelism, blocks.override_num_blocks),
        placement=placement,
    )
    plan.validate()
    return Dataset(plan, DataContext.get_current().copy())


def auto_parallelism(source: Any, context: DataContext) -> int:
    """Chooses the number of read tasks: enough for all cores, blocks neither huge nor tiny."""
    try:
        num_bytes = source.estimate_inmemory_data_size()
    except NotImplementedError:
        num_bytes = None
    cores = max(1, int(_core.capacity().cpu))
    count = context.read_op_min_num_blocks
    if num_bytes:
        count = min(count, max(1, num_bytes // max(1, context.target_min_block_size)))
        if context.target_max_block_size:
            count = max(count, -(-num_bytes // context.target_max_block_size))
    return max(count, 2 * cores)


def compression(open_args: dict[str, Any] | None) -> dict[str, Any]:
    """Returns what the engine takes of `arrow_open_stream_args`; ValueError for unknown ones."""
    arguments = dict(open_args or {})
    arguments.pop("buffer_size", None)
    options = {}
    if "compression" in arguments:
        options["compression"] = arguments.pop("compression") or "none"
    if arguments:
        raise ValueError(f"Unknown arrow_open_stream_args: {sorted(arguments)}")
    return options


def pick(arguments: dict[str, Any], known: set[str], verb: str) -> dict[str, Any]:
    unknown = set(arguments) - known - {"use_threads", "fragment_readahead", "batch_readahead"}
    if unknown:
        raise ValueError(f"{verb}() got unknown arguments: {sorted(unknown)}")
    return {key: arguments[key] for key in known if key in arguments}


def without(paths: Any, skip_paths: str | list[str] | None) -> Any:
    if not skip_paths:
        return paths
    skipped = set(_paths.to_path_list(skip_paths))
    return [path for path in _paths.to_path_list(paths) if path not in skipped]


class TensorCaster:
    """Turns columns of bytes into columns of tensors."""

    def __init__(self, columns: dict[str, tuple[Any, tuple[int, ...]]]) -> None:
        self._columns = columns
        self.__name__ = "cast_tensors"

    def __call__(self, table: pa.Table) -> pa.Table:
        import numpy as np

        for name, (dtype, shape) in self._columns.items():
            buffers = table.column(name).to_pylist()
            stacked = np.stack([np.frombuffer(b, dtype=dtype).reshape(shape) for b in buffers])
            column = BlockAccessor.batch_to_arrow_block({name: stacked}).column(0)
            table = table.set_column(table.schema.get_field_index(name), name, column)
        return table
