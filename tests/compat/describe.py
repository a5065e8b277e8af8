"""Turns any result of a program into plain JSON, the same for two libraries.

Every value keeps its type name, so that a Python int, a numpy int64 and a 0-d array
differ. Arrow types that both libraries spell differently (tensor and object extension
types) are written in one neutral form.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import pathlib
import re
from typing import Any

import numpy as np
import pyarrow as pa


class Unordered:
    """Marks a list whose order is not promised."""

    def __init__(self, items: Any) -> None:
        self.items = list(items)


class Raw:
    """Marks a value that is already plain JSON."""

    def __init__(self, value: Any) -> None:
        self.value = value


def describe(value: Any) -> Any:
    """Returns the JSON form of `value`; types that it does not know give their name only."""
    if isinstance(value, Raw):
        return value.value
    if isinstance(value, Unordered):
        items = [describe(item) for item in value.items]
        return {"unordered": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}
    for describer in (_scalar, _numpy, _arrow, _pandas, _torch, _container):
        found = describer(value)
        if found is not None:
            return found
    return f"{type(value).__name__} object"


def _number(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return format(value, ".9g")


def _scalar(value: Any) -> Any:
    if value is None:
        return "None"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    kind = type(value)
    if kind is bool or kind is int:
        return f"{kind.__name__} {value}"
    if kind is float:
        return f"float {_number(value)}"
    if kind is complex:
        return f"complex {value}"
    if kind is str:
        return f"str {value!r}"
    if kind is bytes or kind is bytearray:
        return f"{kind.__name__} {bytes(value)!r}"
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal)):
        return f"{kind.__name__} {value}"
    if isinstance(value, pathlib.PurePath):
        return f"path {value.name}"
    if isinstance(value, type):
        return f"class {value.__name__}"
    return None


def _numpy(value: Any) -> Any:
    if isinstance(value, np.dtype):
        return f"dtype {value}"
    if isinstance(value, np.ndarray):
        shape = "x".join(str(n) for n in value.shape)
        name = f"ndarray {value.dtype} ({shape})"
        if value.dtype == object:
            return {name: [describe(item) for item in value.ravel()]}
        return {name: json.dumps(_plain(value.tolist()))}
    if isinstance(value, np.generic):
        item = value.item()
        text = _number(item) if isinstance(item, float) else repr(item)
        if isinstance(value, (np.datetime64, np.timedelta64)):
            text = str(value)
        return f"np.{value.dtype} {text}"
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return _number(value)
    return value if isinstance(value, (int, str, bool)) else str(value)


def type_text(kind: Any) -> str:
    """Returns a neutral name for an Arrow type or for the Python class that stands for objects."""
    if isinstance(kind, type):
        return kind.__name__
    text = str(kind)
    ndim = re.search(r"Variable\w*Tensor\w*\(ndim=(\d+), dtype=(\w+)\)", text)
    if ndim:
        return f"ragged_tensor(ndim={ndim[1]}, {ndim[2]})"
    if isinstance(kind, pa.BaseExtensionType):
        return _extension_text(kind)
    return text


def _extension_text(kind: Any) -> str:
    name = f"{kind.extension_name} {type(kind).__name__}".lower()
    if "variable" in name and "tensor" in name:
        value_type = kind.storage_type.field(0).type.value_type
        ndim = kind.storage_type.field(1).type.list_size
        return f"ragged_tensor(ndim={ndim}, {value_type})"
    if "tensor" in name:
        value_type = getattr(kind, "value_type", None) or kind.scalar_type
        return f"tensor({tuple(kind.shape)}, {value_type})"
    if "object" in name:
        return "object"
    return f"extension {kind.extension_name}"


def _schema(names: Any, types: Any) -> dict[str, str]:
    return {str(name): type_text(kind) for name, kind in zip(names, types, strict=True)}


def _arrow(value: Any) -> Any:
    if isinstance(value, pa.Schema):
        return {"pyarrow.Schema": _schema(value.names, value.types)}
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        schema = _schema(value.schema.names, value.schema.types)
        rows: Any = f"{value.num_rows} rows"
        if not any(isinstance(kind, pa.BaseExtensionType) for kind in value.schema.types):
            rows = describe(value.to_pylist())
        return {type(value).__name__: schema, "rows": rows}
    if isinstance(value, pa.DataType):
        return f"type {type_text(value)}"
    if isinstance(value, pa.Scalar):
        return f"pyarrow scalar {value}"
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return {f"pyarrow array {type_text(value.type)}": describe(value.to_pylist())}
    if type(value).__name__ == "Schema" and hasattr(value, "base_schema"):
        return {"Schema": _schema(value.names, value.types)}
    return None


def _pandas(value: Any) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return None
    if isinstance(value, pd.DataFrame):
        types = {str(name): _pandas_type(kind) for name, kind in value.dtypes.items()}
        rows = [[describe(item) for item in row] for row in value.itertuples(index=False)]
        return {"DataFrame": types, "index": type(value.index).__name__, "rows": rows}
    if isinstance(value, pd.Series):
        return {f"Series {_pandas_type(value.dtype)}": [describe(item) for item in value]}
    if value is pd.NA or value is pd.NaT:
        return str(value)
    if isinstance(value, (pd.Timestamp, pd.Timedelta)):
        return f"{type(value).__name__} {value}"
    return None


def _pandas_type(kind: Any) -> str:
    text = str(kind)
    return "tensor" if "Tensor" in text or "numpy.ndarray" in text else text


def _torch(value: Any) -> Any:
    if not type(value).__module__.startswith("torch"):
        return None
    import torch

    if isinstance(value, torch.Tensor):
        shape = "x".join(str(n) for n in value.shape)
        name = f"torch {value.dtype} ({shape}) on {value.device.type}"
        return {name: json.dumps(_plain(value.tolist()))}
    return f"torch {value}"


def _container(value: Any) -> Any:
    if isinstance(value, dict):
        out = {str(key): describe(item) for key, item in value.items()}
        return out if type(value) is dict else {type(value).__name__: out}
    if isinstance(value, tuple):
        return {"tuple": [describe(item) for item in value]}
    if isinstance(value, list):
        return [describe(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {type(value).__name__: sorted(json.dumps(describe(item)) for item in value)}
    return None
