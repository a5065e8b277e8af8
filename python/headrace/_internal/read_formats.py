"""The functions of `read_api.py` for databases and for formats that Python libraries read.

Arguments that they share with the others are explained there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from headrace._internal.lineage import recorded
from headrace.datasource.datasource import Datasource

if TYPE_CHECKING:
    from headrace.dataset import Dataset
    from headrace.datasource.file_based_datasource import FileShuffleConfig
    from headrace.datasource.partitioning import Partitioning, PathPartitionFilter


def _read(datasource: Datasource, **arguments: Any) -> Dataset:
    from headrace.read_api import read_datasource

    return read_datasource(datasource, **arguments)


@recorded
def read_orc(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Literal["files"] | FileShuffleConfig | None = None,
    file_extensions: list[str] | None = ["orc"],  # noqa: B006
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
    """Reads ORC files, a block a stripe."""
    from headrace._internal.orc import ORCDatasource

    datasource = ORCDatasource(
        paths,
        filesystem=filesystem,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read(
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
def read_sql(
    sql: str,
    connection_factory: Callable[[], Any],
    *,
    sql_params: Any = None,
    shard_keys: list[str] | None = None,
    shard_hash_fn: str = "MD5",
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
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
    """Reads the rows of a query.

    Args:
        sql: the query.
        connection_factory: makes a connection of Python's DB API 2; called in workers.
        sql_params: bound to the query, in the connector's style.
        shard_keys: columns by whose hash the rows are split over `override_num_blocks` tasks,
            where the database has MOD, ABS and CONCAT; else one task reads all.
        shard_hash_fn: the database's function that hashes a key to a number.

    Raises:
        ValueError: several blocks without `shard_keys`.
    """
    from headrace._internal.sql import SQLDatasource

    asked = override_num_blocks if override_num_blocks is not None else parallelism
    if asked > 1 and not shard_keys:
        raise ValueError("shard_keys must be provided when override_num_blocks > 1")
    return _read(
        SQLDatasource(sql, connection_factory, sql_params, shard_keys, shard_hash_fn),
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
def read_tfrecords(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    tf_schema: Any = None,
    shuffle: Literal["files"] | FileShuffleConfig | None = None,
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
    """Reads TFRecord files of `tf.train.Example` messages, a column a feature.

    A feature with at most one value in all messages of a block is a column of values, else one of
    lists: bytes, float or int64. Needs no TensorFlow.

    Args:
        arrow_open_stream_args: `compression`: decompresses the files.
        tf_schema: a `tensorflow_metadata` Schema: which features to take, and their types.

    Raises:
        ValueError: when it runs: a file is damaged, or a message no Example.
    """
    from headrace._internal.tfrecords import TFRecordDatasource

    datasource = TFRecordDatasource(
        paths,
        tf_schema=tf_schema,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read(
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
def read_webdataset(
    paths: str | list[str],
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    decoder: bool | str | Callable[..., Any] | list[Any] | None = True,
    fileselect: list[str] | Callable[[str], bool] | None = None,
    filerename: list[tuple[str, str]] | Callable[[str], str] | None = None,
    suffixes: list[str] | Callable[[str], bool] | None = None,
    verbose_open: bool = False,
    shuffle: Literal["files"] | FileShuffleConfig | None = None,
    include_paths: bool = False,
    file_extensions: list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    expand_json: bool = False,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Reads WebDataset tar files: members "key.column" of one key, side by side, are a row.

    Rows have the columns "__key__" and "__url__" (the file) besides.

    Args:
        decoder: True: decodes values by the column's last extension (txt, cls, json, npy, jpg,
            png, mp, ...); None: leaves bytes; a string: how images are decoded ("rgb", "pil",
            "l"); a function of samples (dicts); or a list of these.
        fileselect, suffixes: patterns, or a function: which members, which columns, to take.
        filerename: pairs for `re.sub`, or a function of names of members.
        verbose_open: print the paths that are opened.
        expand_json: the keys of the column "json" become columns.

    Raises:
        ValueError: when it runs: a sample has a column twice, or holds pickles.
    """
    from headrace._internal.webdataset import WebDatasetDatasource

    datasource = WebDatasetDatasource(
        paths,
        decoder=decoder,
        fileselect=fileselect,
        filerename=filerename,
        suffixes=suffixes,
        verbose_open=verbose_open,
        expand_json=expand_json,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        shuffle=shuffle,
        include_paths=include_paths,
        file_extensions=file_extensions,
    )
    return _read(
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
