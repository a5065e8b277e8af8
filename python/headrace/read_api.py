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

import codecs
from typing import Any, Literal

from headrace._internal import sources as _sources
from headrace._internal.compute import ComputeStrategy, TaskPoolStrategy
from headrace._internal.from_api import (
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
    from_tf,
    range,
    range_tensor,
)
from headrace._internal.lineage import recorded
from headrace._internal.read_files import (
    BlockArguments,
    FileArguments,
    TaskArguments,
    TensorCaster,
    auto_parallelism,
    compression,
    pick,
    read_files,
    read_source,
    without,
)
from headrace._internal.read_formats import read_orc, read_sql, read_tfrecords, read_webdataset
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
    "from_tf",
    "from_torch",
    "range",
    "range_tensor",
    "read_binary_files",
    "read_csv",
    "read_datasource",
    "read_images",
    "read_json",
    "read_numpy",
    "read_orc",
    "read_parquet",
    "read_sql",
    "read_text",
    "read_tfrecords",
    "read_webdataset",
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
    options = pick(arguments | to_batches, {"batch_size", "pre_buffer"}, "read_parquet")
    if isinstance(columns, str):
        columns = [columns]
    if columns is not None and include_paths and "path" not in columns:
        columns = [*columns, "path"]
    files = FileArguments(
        filesystem,
        partition_filter,
        partitioning,
        include_paths,
        ignore_missing_paths,
        shuffle,
        file_extensions,
    )
    tasks = TaskArguments(num_cpus, num_gpus, memory, resources, ray_remote_args)
    blocks = BlockArguments(parallelism, override_num_blocks, concurrency)
    ds = read_files(
        "parquet",
        without(paths, skip_paths),
        files,
        tasks,
        blocks,
        options=options,
        schema=schema,
        columns=columns,
    )
    if predicate is not None:
        ds = ds._filter_by_any(predicate)
    if tensor_column_schema:
        ds = ds.map_batches(TensorCaster(tensor_column_schema), batch_format="pyarrow")
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
    from headrace._internal import csv_options, python_csv

    files = FileArguments(
        filesystem,
        partition_filter,
        partitioning,
        include_paths,
        ignore_missing_paths,
        shuffle,
        file_extensions,
    )
    tasks = TaskArguments(num_cpus, num_gpus, memory, resources, ray_remote_args)
    blocks = BlockArguments(parallelism, override_num_blocks, concurrency)
    opens = arrow_open_stream_args
    if python_csv.asks_a_function(arrow_csv_args):
        return python_csv.read_csv_in_python(paths, arrow_csv_args, opens, files, tasks, blocks)

    def first_file() -> Any:
        return _sources.open_first(paths, filesystem, file_extensions, opens)

    options, schema = csv_options.to_options(arrow_csv_args, first_file)
    return read_files(
        "csv",
        paths,
        files,
        tasks,
        blocks,
        options=options | compression(opens),
        schema=schema,
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
    files = FileArguments(
        filesystem,
        partition_filter,
        partitioning,
        include_paths,
        ignore_missing_paths,
        shuffle,
        file_extensions,
    )
    tasks = TaskArguments(num_cpus, num_gpus, memory, resources, ray_remote_args)
    blocks = BlockArguments(parallelism, override_num_blocks, concurrency)
    return read_files(
        "json",
        paths,
        files,
        tasks,
        blocks,
        options=options | compression(arrow_open_stream_args),
        schema=schema,
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
    files = FileArguments(
        filesystem,
        partition_filter,
        partitioning,
        include_paths,
        ignore_missing_paths,
        shuffle,
        file_extensions,
    )
    tasks = TaskArguments(num_cpus, num_gpus, memory, resources, ray_remote_args)
    blocks = BlockArguments(parallelism, override_num_blocks, concurrency)
    return read_files(
        "text",
        paths,
        files,
        tasks,
        blocks,
        options={"encoding": codecs.lookup(encoding).name, "drop_empty_lines": drop_empty_lines}
        | compression(arrow_open_stream_args),
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
    files = FileArguments(
        filesystem,
        partition_filter,
        partitioning,
        include_paths,
        ignore_missing_paths,
        shuffle,
        file_extensions,
    )
    tasks = TaskArguments(num_cpus, num_gpus, memory, resources, ray_remote_args)
    blocks = BlockArguments(parallelism, override_num_blocks, concurrency)
    return read_files(
        "binary",
        paths,
        files,
        tasks,
        blocks,
        options=compression(arrow_open_stream_args),
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
    blocks = BlockArguments(parallelism, override_num_blocks, concurrency)
    if not (allow_pickle or numpy_load_args):
        files = FileArguments(
            filesystem,
            partition_filter,
            partitioning,
            include_paths,
            ignore_missing_paths,
            shuffle,
            file_extensions,
        )
        options = compression(arrow_open_stream_args)
        return read_files("numpy", paths, files, TaskArguments(), blocks, options=options)
    from headrace._internal.numpy_source import NumpyDatasource

    datasource = NumpyDatasource(
        paths,
        numpy_load_args={"allow_pickle": allow_pickle, **numpy_load_args},
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
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
        concurrency=concurrency,
        override_num_blocks=override_num_blocks,
    )


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
    asked = _sources.asked_blocks(parallelism, override_num_blocks)
    count = asked if asked > 0 else auto_parallelism(maker, context)
    source = _sources.make_python_source(datasource.get_name(), maker.get_read_tasks(count))
    if compute is not None and concurrency is None and isinstance(compute, TaskPoolStrategy):
        concurrency = compute.size
    tasks = TaskArguments(num_cpus, num_gpus, memory, resources, ray_remote_args)
    blocks = BlockArguments(-1, asked if asked > 0 else None, concurrency)
    return read_source(source, blocks, tasks)
