"""The verbs of a dataset that write it by Python libraries: databases and further formats.

Arguments that they share with the others are explained in `dataset_write.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace._internal.dataset_write import min_rows, sink_args
from headrace._internal.savemode import SaveMode

if TYPE_CHECKING:
    from headrace.datasource.datasink import Datasink
    from headrace.datasource.filename_provider import FilenameProvider


class WriteFormatsMixin:
    """More of the writing part of `Dataset`."""

    def write_datasink(
        self,
        datasink: Datasink[Any],
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        raise NotImplementedError

    def write_orc(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        arrow_orc_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
        **arrow_orc_args: Any,
    ) -> None:
        """Writes ORC files.

        Args:
            arrow_orc_args: arguments of `pyarrow.orc.write_table`, such as `compression`;
                arrow_orc_args_fn returns more of them.
        """
        from headrace._internal.orc import ORCDatasink

        more = arrow_orc_args_fn() if arrow_orc_args_fn is not None else {}
        sink = ORCDatasink(
            path,
            writer_args={**arrow_orc_args, **more},
            min_rows_per_file=min_rows(min_rows_per_file, None),
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_sql(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Executes a statement for each row, whose values, in order, are its parameters.

        Each task is one transaction; a task that runs again because its worker died may have
        committed before. With a `checkpoint_config` ids are noted after each task's commit.

        Args:
            sql: the statement, such as "INSERT INTO t VALUES(?, ?)".
            connection_factory: makes a connection of Python's DB API 2; called in workers.
        """
        from headrace._internal.sql import SQLDatasink

        sink = SQLDatasink(sql, connection_factory)
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_tfrecords(
        self,
        path: str,
        *,
        tf_schema: Any = None,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Writes TFRecord files of `tf.train.Example` messages, a feature a column.

        Columns may hold whole numbers, floats (kept in 32 bits), strings and bytes, and lists and
        arrays of these, whose shape is lost. Null is a feature without values.

        Args:
            tf_schema: a `tensorflow_metadata` Schema: the types of features.
        """
        from headrace._internal.tfrecords import TFRecordDatasink

        sink = TFRecordDatasink(
            path,
            tf_schema=tf_schema,
            min_rows_per_file=min_rows(min_rows_per_file, num_rows_per_file),
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_webdataset(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        min_rows_per_file: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        encoder: Any = True,
        concurrency: int | None = None,
        num_rows_per_file: int | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        """Writes WebDataset tar files: a member "key.column" for each value of a row.

        The key is the column "__key__", or random; other columns that begin with "__", and nulls,
        are left out.

        Args:
            encoder: True: encodes values by the column's last extension, the opposite of what
                `read_webdataset` does; None: values are bytes or strings; a function of samples
                (dicts); or a list of these.
        """
        from headrace._internal.webdataset import WebDatasetDatasink

        sink = WebDatasetDatasink(
            path,
            encoder=encoder,
            min_rows_per_file=min_rows(min_rows_per_file, num_rows_per_file),
            **sink_args(
                filesystem, try_create_dir, arrow_open_stream_args, filename_provider, mode
            ),
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)
