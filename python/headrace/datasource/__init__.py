"""Sources and sinks that users write, and what they are made of."""

from typing import Any

from headrace._internal.savemode import SaveMode
from headrace.datasource.datasink import (
    Datasink,
    DummyOutputDatasink,
    WriteResult,
    WriteReturnType,
)
from headrace.datasource.datasource import (
    Datasource,
    RandomIntRowDatasource,
    Reader,
    ReadTask,
)
from headrace.datasource.file_based_datasource import FileBasedDatasource, FileShuffleConfig
from headrace.datasource.file_datasink import BlockBasedFileDatasink, RowBasedFileDatasink
from headrace.datasource.file_meta_provider import (
    BaseFileMetadataProvider,
    DefaultFileMetadataProvider,
    FileMetadataProvider,
)
from headrace.datasource.filename_provider import FilenameProvider
from headrace.datasource.partitioning import (
    Partitioning,
    PartitionStyle,
    PathPartitionFilter,
    PathPartitionParser,
)

Connection = Any  # What `read_sql` gets from its factory: a connection of Python's DB API 2.

__all__ = [
    "BaseFileMetadataProvider",
    "BlockBasedFileDatasink",
    "Connection",
    "Datasink",
    "Datasource",
    "DefaultFileMetadataProvider",
    "DummyOutputDatasink",
    "FileBasedDatasource",
    "FileMetadataProvider",
    "FileShuffleConfig",
    "FilenameProvider",
    "PartitionStyle",
    "Partitioning",
    "PathPartitionFilter",
    "PathPartitionParser",
    "RandomIntRowDatasource",
    "ReadTask",
    "Reader",
    "RowBasedFileDatasink",
    "SaveMode",
    "WriteResult",
    "WriteReturnType",
]
