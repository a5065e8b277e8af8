"""DataFrames given to `from_pandas` come back with the types that they had.

A frame becomes an Arrow table; the pandas types of its columns travel in the schema's metadata, so
that they can be given back as long as a column's Arrow type is what it was. Columns from elsewhere,
frames that functions return among them, have Arrow's types in pandas.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"headrace.pandas"


def remember_types(table: pa.Table, frame: pd.DataFrame) -> pa.Table:
    """Returns the table of a frame with the frame's types noted. Strings are `string`, where they
    fit into one chunk of it."""
    for i, field in enumerate(table.schema):
        if pa.types.is_large_string(field.type):
            try:
                table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
            except pa.ArrowInvalid:
                continue
    types = {
        str(name): [str(dtype), str(table.schema.field(i).type)]
        for i, (name, dtype) in enumerate(frame.dtypes.items())
        if _is_native(dtype) or _is_of_objects(dtype, table.schema.field(i).type)
    }
    if not types:
        return table
    metadata = {**(table.schema.metadata or {}), _KEY: json.dumps(types).encode()}
    return table.replace_schema_metadata(metadata)


def forget_types(table: pa.Table) -> pa.Table:
    """Returns the table without the note, for files and groups."""
    metadata = dict(table.schema.metadata or {})
    if metadata.pop(_KEY, None) is None:
        return table
    return table.replace_schema_metadata(metadata or None)


def with_remembered_types(frame: pd.DataFrame, table: pa.Table) -> pd.DataFrame:
    """Returns the frame made of `table`, its columns with the types that the table remembers."""
    noted = (table.schema.metadata or {}).get(_KEY)
    if noted is None:
        return frame
    for name, (dtype, arrow_type) in json.loads(noted).items():
        index = table.schema.get_field_index(name)
        if index < 0 or str(table.schema.field(index).type) != arrow_type:
            continue
        if dtype == "object":
            frame[name] = _objects(table.column(index))
            continue
        if (dtype == "bool" or dtype.startswith(("int", "uint"))) and table.column(
            index
        ).null_count:
            continue
        frame[name] = frame[name].astype(dtype)
    return frame


def object_columns(schema: pa.Schema) -> set[str]:
    """Returns the columns that were objects in a frame and are lists or structs in Arrow."""
    noted = json.loads((schema.metadata or {}).get(_KEY, b"{}"))
    return {
        name
        for name, (dtype, arrow_type) in noted.items()
        if dtype == "object"
        and (index := schema.get_field_index(name)) >= 0
        and str(schema.field(index).type) == arrow_type
    }


def _objects(column: pa.ChunkedArray) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(column.to_pylist(), dtype=object)


def _is_of_objects(dtype: Any, type_: pa.DataType) -> bool:
    return str(dtype) == "object" and (pa.types.is_nested(type_))


def _is_native(dtype: Any) -> bool:
    """True for numpy's types and pandas' strings, whose names say all."""
    return str(dtype) in ("str", "string") or (
        getattr(dtype, "kind", "O") in "biufmM" and not hasattr(dtype, "pyarrow_dtype")
    )
