"""Making datasets: from ranges, objects in memory, files and sources of the user.

Arguments that several functions share:
    filesystem: a `pyarrow.fs` or fsspec file system; default: from the paths.
    parallelism, override_num_blocks: the number of blocks to read, -1 and None: chosen by size.
    num_cpus, num_gpus, memory (bytes), resources: what each read task takes.
    concurrency: the most read tasks at once.
    partition_filter: keeps files by the values in their paths.
    partitioning: how paths hold columns; None: they hold none.
    include_paths: adds the column "path".
    ignore_missing_paths: skips paths that do not exist.
    shuffle: "files" or a `FileShuffleConfig`: reads files in random order.
    file_extensions: skips other files, None: reads all.
A missing path raises FileNotFoundError, an empty set of files ValueError, when the function is
called; a corrupt file raises when it is read.
"""

from __future__ import annotations

from typing import Any, Literal

import pyarrow as pa

from headrace import _core
from headrace._internal import sources as _sources
from headrace._internal.compute import ComputeStrategy, TaskPoolStrategy
from headrace._internal.from_api import (
    asked_blocks,
    from_arrow,
    from_arrow_refs,
    from_blocks,
    from_daft,
    from_huggingface,
    from_items,
    from_numpy,
    from_numpy_refs,
    from_pandas,
    from_pandas_refs,
)
from headrace._internal.lineage import recorded
from headrace._internal.plan_building import make_placement
from headrace.block import BlockAccessor
from headrace.context import DataContext
from headrace.dataset import Dataset
from headrace.datasource.datasource import Datasource
from headrace.datasource.file_based_datasource import FileShuffleConfig
from headrace.datasource.partitioning import Partitioning, PartitionStyle, PathPartitionFilter

__all__ = [
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_daft",
    "from_huggingface",
    "from_items",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_torch",
    "range",
    "range_tensor",
    "read_binary_files",
    "read_csv",
    "read_datasource",
    "read_images",
    "read_json",
    "read_numpy",
    "read_parquet",
    "read_text",
]

INT32_MAX = 2**31 - 1
JSON_FILE_EXTENSIONS = [
    "json",
    "jsonl",
    "json.gz",
    "jsonl.gz",
    "json.br",
    "jsonl.br",
    "json.zst",
    "jsonl.zst",
    "json.lz4",
    "jsonl.lz4",
]
_IMAGE_FILE_EXTENSIONS = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif"]
_Shuffle = Literal["files"] | FileShuffleConfig | None


def _hive() -> Partitioning:
    return Partitioning(PartitionStyle.HIVE)


HIVE_PARTITIONING = _hive()


# ---- Ranges and objects in memory -----------------------------------------------------------


@recorded
def range(
    n: int,
    *,
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """Makes the numbers 0 to n-1 in the column "id" (int64)."""
    source = _core.range_source(max(0, n))
    return _read(source, parallelism, override_num_blocks, concurrency)


@recorded
def range_tensor(
    n: int,
    *,
    shape: tuple[int, ...] = (1,),
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """Makes n tensors of `shape`, each filled with its row's number, in the column "data"."""
    source = _core.range_source(max(0, n), tuple(shape))
    return _read(source, parallelism, override_num_blocks, concurrency)


@recorded
def from_torch(dataset: Any, local_read: bool = False) -> Dataset:
    """Makes a dataset of a torch Dataset: its items in the column "item", read in one task."""
    from headrace._internal.torch_source import TorchDatasource

    return read_datasource(TorchDatasource(dataset), override_num_blocks=1)


# ---- Files ----------------------------------------------------------------------------------


@recorded
def read_parquet(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    catalog: Any = None,
    columns: list[str] | None = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    tensor_column_schema: dict[str, tuple[Any, tuple[int, ...]]] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = HIVE_PARTITIONING,
    shuffle: _Shuffle = None,
    include_paths: bool = False,
    include_row_hash: bool = False,
    file_extensions: list[str] | None = ["parquet"],  # noqa: B006
    ignore_missing_paths: bool = False,
    skip_paths: str | list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_parquet_args: Any,
) -> Dataset:
    """Reads Parquet files; `select_columns` and filters by expressions read only what they need.

    Args:
        columns: the columns to read, default all. A misspelt one raises.
        tensor_column_schema: columns of bytes that hold tensors: name to (dtype, shape).
        skip_paths: files not to read.
        arrow_parquet_args: `filter` (an expression of pyarrow or headrace), `schema`,
            `batch_size` (rows) and `pre_buffer`.

    Raises:
        ValueError: arguments that are not known; NotImplementedError: `catalog` and
        `include_row_hash`.
    """
    if catalog is not None or include_row_hash:
        raise NotImplementedError("read_parquet() has no `catalog` and no `include_row_hash`")
    arguments = dict(arrow_parquet_args)
    predicate = arguments.pop("filter", None)
    schema = arguments.pop("schema", None)
    dataset_kwargs = arguments.pop("dataset_kwargs", None) or {}
    predicate = dataset_kwargs.get("filters", predicate)
    udf = arguments.pop("_block_udf", None)
    to_batches = arguments.pop("to_batches_kwargs", None) or {}
    options = _pick(arguments | to_batches, {"batch_size", "pre_buffer"}, "read_parquet")
    source = _sources.make_file_source(
        "parquet",
        _without(paths, skip_paths),
        filesystem=filesystem,
        options=options,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
        schema=schema,
    )
    if columns is not None and include_paths and "path" not in columns:
        columns = [*columns, "path"]
    ds = _read(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        columns=columns,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )
    if predicate is not None:
        ds = ds._filter_by_any(predicate)
    if tensor_column_schema:
        ds = ds.map_batches(_TensorCaster(tensor_column_schema), batch_format="pyarrow")
    return ds if udf is None else ds.map_batches(udf, batch_format="pyarrow")


@recorded
def read_csv(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = HIVE_PARTITIONING,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: _Shuffle = None,
    file_extensions: list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_csv_args: Any,
) -> Dataset:
    """Reads CSV files; compression comes from the file name.

    Args:
        arrow_open_stream_args: `compression`.
        arrow_csv_args: `read_options`, `parse_options`, `convert_options` of `pyarrow.csv`.
    """
    from headrace._internal.csv_options import to_options

    options, schema = to_options(arrow_csv_args)
    source = _sources.make_file_source(
        "csv",
        paths,
        filesystem=filesystem,
        options=options | _compression(arrow_open_stream_args),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
        schema=schema,
    )
    return _read(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )


@recorded
def read_json(
    paths: str | list[str],
    *,
    lines: bool = False,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = HIVE_PARTITIONING,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: _Shuffle = None,
    file_extensions: list[str] | None = JSON_FILE_EXTENSIONS,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_json_args: Any,
) -> Dataset:
    """Reads JSON files: an object a line, or arrays of objects; which one, each file tells.

    Args:
        lines: accepted; files of lines are recognised.
        arrow_open_stream_args: `compression`; default: from the file name.
        arrow_json_args: `read_options`, `parse_options` of `pyarrow.json`.
    """
    from headrace._internal.csv_options import json_options

    options, schema = json_options(arrow_json_args)
    source = _sources.make_file_source(
        "json",
        paths,
        filesystem=filesystem,
        options=options | _compression(arrow_open_stream_args),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
        schema=schema,
    )
    return _read(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )


@recorded
def read_text(
    paths: str | list[str],
    *,
    encoding: str = "utf-8",
    drop_empty_lines: bool = True,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: _Shuffle = None,
    file_extensions: list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads lines of text into the column "text"; drops empty ones unless told not to."""
    source = _sources.make_file_source(
        "text",
        paths,
        filesystem=filesystem,
        options={"encoding": encoding, "drop_empty_lines": drop_empty_lines}
        | _compression(arrow_open_stream_args),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )


@recorded
def read_binary_files(
    paths: str | list[str],
    *,
    include_paths: bool = False,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    ignore_missing_paths: bool = False,
    shuffle: _Shuffle = None,
    file_extensions: list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads whole files into the column "bytes", a row each.

    Args:
        arrow_open_stream_args: `compression`: decompresses the files.
    """
    source = _sources.make_file_source(
        "binary",
        paths,
        filesystem=filesystem,
        options=_compression(arrow_open_stream_args),
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )


@recorded
def read_numpy(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: _Shuffle = None,
    file_extensions: list[str] | None = ["npy"],  # noqa: B006
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    allow_pickle: bool = False,
    **numpy_load_args: Any,
) -> Dataset:
    """Reads `.npy` files: a row per element of the first axis, column "data".

    Args:
        allow_pickle, numpy_load_args: arguments of `numpy.load`; files are then read by numpy
            in worker processes.
    """
    common: dict[str, Any] = {
        "filesystem": filesystem,
        "partition_filter": partition_filter,
        "partitioning": partitioning,
        "include_paths": include_paths,
        "ignore_missing_paths": ignore_missing_paths,
        "shuffle": shuffle,
        "file_extensions": file_extensions,
    }
    if allow_pickle or numpy_load_args or _sources.needs_python_listing(partitioning):
        from headrace._internal.numpy_source import NumpyDatasource

        load_args = {"allow_pickle": allow_pickle, **numpy_load_args}
        return read_datasource(
            NumpyDatasource(paths, numpy_load_args=load_args, **common),
            parallelism=parallelism,
            concurrency=concurrency,
            override_num_blocks=override_num_blocks,
        )
    source = _sources.make_file_source(
        "numpy", paths, options=_compression(arrow_open_stream_args), **common
    )
    return _read(source, parallelism, override_num_blocks, concurrency)


@recorded
def read_images(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_file_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: _Shuffle = None,
    file_extensions: list[str] | None = _IMAGE_FILE_EXTENSIONS,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads images into the column "image": uint8 arrays (height, width[, channels]).

    Args:
        size: (height, width) to resize to; default: as they are.
        mode: Pillow's mode, such as "RGB"; default: as they are.
    """
    from headrace._internal.images import ImageDatasource

    datasource = ImageDatasource(
        paths,
        size=size,
        mode=mode,
        filesystem=filesystem,
        open_stream_args=arrow_open_file_args,
        partition_filter=partition_filter,
        partitioning=partitioning,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        include_paths=include_paths,
        file_extensions=file_extensions,
    )
    return read_datasource(
        datasource,
        parallelism=parallelism,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        concurrency=concurrency,
        override_num_blocks=override_num_blocks,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )


@recorded
def read_datasource(
    datasource: Datasource,
    *,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    compute: ComputeStrategy | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **read_args: Any,
) -> Dataset:
    """Reads a source written in Python, in worker processes.

    Args:
        read_args: arguments of the source's `create_reader`, for sources of the older kind.
    """
    context = DataContext.get_current()
    maker: Any = datasource
    if datasource.should_create_reader or type(datasource).prepare_read is not (
        Datasource.prepare_read
    ):
        maker = datasource.create_reader(**read_args)
    asked = asked_blocks(parallelism, override_num_blocks)
    count = asked if asked > 0 else _auto_parallelism(maker, context)
    source = _sources.make_python_source(datasource.get_name(), maker.get_read_tasks(count))
    if compute is not None and concurrency is None and isinstance(compute, TaskPoolStrategy):
        concurrency = compute.size
    return _read(
        source,
        -1,
        asked if asked > 0 else None,
        concurrency,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )


# ---- What they share ------------------------------------------------------------------------


def _read(
    source: _core.Source,
    parallelism: int,
    override_num_blocks: int | None,
    concurrency: int | None,
    *,
    columns: list[str] | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
        raise ValueError(f"`concurrency` must be an integer >= 1, got: {concurrency}")
    placement = make_placement(
        TaskPoolStrategy(concurrency),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory,
        resources=resources,
        ray_remote_args=ray_remote_args,
    )
    plan = _core.Plan.read(
        source,
        columns=columns,
        parallelism=asked_blocks(parallelism, override_num_blocks),
        placement=placement,
    )
    plan.validate()
    return Dataset(plan, DataContext.get_current().copy())


def _auto_parallelism(source: Any, context: DataContext) -> int:
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


def _compression(open_args: dict[str, Any] | None) -> dict[str, Any]:
    """Returns what the engine takes of `arrow_open_stream_args`; ValueError for unknown ones."""
    arguments = dict(open_args or {})
    arguments.pop("buffer_size", None)
    options = {}
    if "compression" in arguments:
        options["compression"] = arguments.pop("compression") or "none"
    if arguments:
        raise ValueError(f"Unknown arrow_open_stream_args: {sorted(arguments)}")
    return options


def _pick(arguments: dict[str, Any], known: set[str], verb: str) -> dict[str, Any]:
    unknown = set(arguments) - known - {"use_threads", "fragment_readahead", "batch_readahead"}
    if unknown:
        raise ValueError(f"{verb}() got unknown arguments: {sorted(unknown)}")
    return {key: arguments[key] for key in known if key in arguments}


def _without(paths: Any, skip_paths: str | list[str] | None) -> Any:
    if not skip_paths:
        return paths
    from headrace._internal import paths as _paths

    skipped = set(_paths.to_path_list(skip_paths))
    return [path for path in _paths.to_path_list(paths) if path not in skipped]


class _TensorCaster:
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
