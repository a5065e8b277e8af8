"""DataFrames that come back with the types that they had.

A frame becomes an Arrow table; the pandas types of its columns travel in the schema's metadata, so
that the driver can give them back as long as a column's Arrow type is what it was. Columns from
elsewhere keep Arrow's types in pandas.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace._internal import convert

if TYPE_CHECKING:
    import pandas as pd

_KEY = b"headrace.pandas"


def from_frame(frame: pd.DataFrame) -> pa.Table:
    """Returns the frame as a table that remembers its types. Strings are `string`, where they
    fit into one chunk of it."""
    table = convert.batch_to_table(frame)
    for i, field in enumerate(table.schema):
        if pa.types.is_large_string(field.type):
            try:
                table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
            except pa.ArrowInvalid:
                continue
    types = {
        str(name): [str(dtype), str(table.schema.field(str(name)).type)]
        for name, dtype in frame.dtypes.items()
        if _is_native(dtype)
    }
    metadata = {**(table.schema.metadata or {}), _KEY: json.dumps(types).encode()}
    return table.replace_schema_metadata(metadata)


def to_batch(table: pa.Table, batch_format: str, zero_copy: bool = True) -> Any:
    """Like `convert.table_to_batch`; frames get back the types that they had."""
    batch = convert.table_to_batch(table, batch_format, zero_copy)
    metadata = table.schema.metadata or {}
    if batch_format != "pandas" or _KEY not in metadata:
        return batch
    for name, (dtype, arrow_type) in json.loads(metadata[_KEY]).items():
        index = table.schema.get_field_index(name)
        if index < 0 or str(table.schema.field(index).type) != arrow_type:
            continue
        if dtype.startswith(("int", "uint", "bool")) and table.column(index).null_count:
            continue
        batch[name] = batch[name].astype(dtype)
    return batch


def _is_native(dtype: Any) -> bool:
    """True for numpy's types and pandas' strings, whose names say all."""
    return (
        str(dtype) == "str"
        or (getattr(dtype, "kind", "O") in "biufM"
        and not hasattr(dtype, "pyarrow_dtype"))
    )
