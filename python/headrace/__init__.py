"""Headrace: a streaming data engine for machine learning, with the API of ray.data.

    import headrace as data

    ds = data.read_parquet("in/").map_batches(model, concurrency=2)
    ds.write_parquet("out/")

It runs in this process and needs no cluster; the engine is C++ (`headrace._core`).
"""

from __future__ import annotations

import importlib
import os
from typing import Any

# The engine links the Arrow libraries of this package: they must be there first.
import pyarrow as _pyarrow  # noqa: F401

from headrace import _core
from headrace._internal.runtime import configure_from_environment as _configure_from_environment

# Module → what is exported from it. A user's process imports all of it at once, so that the first
# job does not wait for it; the template of the workers asks by HEADRACE_LAZY_IMPORT that each is
# imported when it is first used (PEP 562). `__init__.pyi` has the same names for type checkers.
_EXPORTS = {
    "headrace._internal.compute": ("ActorPoolStrategy", "TaskPoolStrategy"),
    "headrace._internal.dead_letters": ("DeadLetters",),
    "headrace._internal.dataset_mix": ("MixStoppingCondition",),
    "headrace._internal.execution_options": ("ExecutionOptions", "ExecutionResources"),
    "headrace._internal.policy": ("BackpressurePolicy",),
    "headrace._internal.refs": ("ObjectRef", "get", "put"),
    "headrace._internal.runtime": ("init", "is_initialized", "shutdown"),
    "headrace._internal.savemode": ("SaveMode", "SinkMode"),
    "headrace._internal.seeds": ("RandomSeedConfig",),
    "headrace._internal.summary": ("DatasetSummary",),
    "headrace.context": ("DataContext", "DatasetContext"),
    "headrace.dataset": ("Dataset", "MaterializedDataset", "Schema"),
    "headrace.datasource": (
        "BlockBasedFileDatasink",
        "Datasink",
        "Datasource",
        "FileShuffleConfig",
        "ReadTask",
        "RowBasedFileDatasink",
    ),
    "headrace.iterator": ("DataIterator", "DatasetIterator"),
    "headrace.preprocessor": ("Preprocessor",),
    "headrace.read_api": (
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
    ),
}
# What most first jobs need besides.
_FOR_FIRST_JOB = ("aggregate", "expressions")
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}
_SUBMODULES = (
    "aggregate",
    "block",
    "checkpoint",
    "collate_fn",
    "constants",
    "context",
    "dataset",
    "datasource",
    "datatype",
    "exceptions",
    "expressions",
    "extensions",
    "grouped_data",
    "iterator",
    "preprocessor",
    "preprocessors",
    "read_api",
    "stats",
    "util",
)

__version__ = _core.__version__
NodeIdStr = str
__all__ = sorted([*_HOMES, "NodeIdStr", "__version__"])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"headrace.{name}")
    else:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})


_configure_from_environment()
if not os.environ.pop("HEADRACE_LAZY_IMPORT", ""):
    for _name in (*_HOMES, *_FOR_FIRST_JOB):
        __getattr__(_name)
