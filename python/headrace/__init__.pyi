from headrace._internal.compute import ActorPoolStrategy, TaskPoolStrategy
from headrace._internal.dataset_mix import MixStoppingCondition
from headrace._internal.dead_letters import DeadLetters
from headrace._internal.execution_options import ExecutionOptions, ExecutionResources
from headrace._internal.policy import BackpressurePolicy
from headrace._internal.refs import ObjectRef, get, put
from headrace._internal.runtime import init, is_initialized, shutdown
from headrace._internal.savemode import SaveMode, SinkMode
from headrace._internal.seeds import RandomSeedConfig
from headrace._internal.summary import DatasetSummary
from headrace.context import DataContext, DatasetContext
from headrace.dataset import Dataset, MaterializedDataset, Schema
from headrace.datasource import (
    BlockBasedFileDatasink,
    Datasink,
    Datasource,
    FileShuffleConfig,
    ReadTask,
    RowBasedFileDatasink,
)
from headrace.iterator import DataIterator, DatasetIterator
from headrace.preprocessor import Preprocessor
from headrace.read_api import (
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
    from_torch,
    range,
    range_tensor,
    read_binary_files,
    read_csv,
    read_datasource,
    read_images,
    read_json,
    read_numpy,
    read_orc,
    read_parquet,
    read_sql,
    read_text,
    read_tfrecords,
    read_webdataset,
)

__version__: str
NodeIdStr = str

__all__ = [
    "ActorPoolStrategy",
    "BackpressurePolicy",
    "BlockBasedFileDatasink",
    "DataContext",
    "DataIterator",
    "Dataset",
    "DatasetContext",
    "DatasetIterator",
    "DatasetSummary",
    "Datasink",
    "Datasource",
    "DeadLetters",
    "ExecutionOptions",
    "ExecutionResources",
    "FileShuffleConfig",
    "MaterializedDataset",
    "MixStoppingCondition",
    "NodeIdStr",
    "ObjectRef",
    "Preprocessor",
    "RandomSeedConfig",
    "ReadTask",
    "RowBasedFileDatasink",
    "SaveMode",
    "Schema",
    "SinkMode",
    "TaskPoolStrategy",
    "__version__",
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
    "get",
    "init",
    "is_initialized",
    "put",
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
    "shutdown",
]
