"""Between Arrow tables and what users hold: numpy batches, DataFrames, rows, any Python object.

One canonical type per idea: an array of more than one dimension is Arrow's fixed-shape tensor;
arrays of one rank and different shapes are its variable-shape tensor; what Arrow has no type for
is an extension column of pickled objects. Reading gives views of Arrow's memory where it can.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace import _core
from headrace._internal.object_type import OBJECT_NAME, objects_to_arrow
from headrace._internal.times import in_their_unit

if TYPE_CHECKING:
    import pandas as pd

VARIABLE_TENSOR_NAME = "arrow.variable_shape_tensor"

_NUMBERS: dict[pa.DataType, np.dtype] = {
    pa.from_numpy_dtype(np.dtype(code)): np.dtype(code) for code in "bhilBHILefd"
}
_NUMBER_TYPES = {dtype: type_ for type_, dtype in _NUMBERS.items()}

_CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)


def is_object_type(type_: pa.DataType) -> bool:
    return isinstance(type_, pa.BaseExtensionType) and type_.extension_name == OBJECT_NAME


def is_fixed_tensor(type_: pa.DataType) -> bool:
    return isinstance(type_, pa.FixedShapeTensorType)


def is_variable_tensor(type_: pa.DataType) -> bool:
    return isinstance(type_, pa.BaseExtensionType) and type_.extension_name == VARIABLE_TENSOR_NAME


def is_tensor(type_: pa.DataType) -> bool:
    return is_fixed_tensor(type_) or is_variable_tensor(type_)


def _object_array(values: Sequence[Any]) -> np.ndarray:
    # Assigned one by one, because numpy would look into arrays and lists of equal length.
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


# ---- Arrow to numpy -------------------------------------------------------------------------


def _flat_to_numpy(values: pa.Array) -> np.ndarray:
    dtype = _NUMBERS.get(values.type)
    if dtype is not None and values.null_count == 0:
        return _numbers_view(values, dtype)
    return values.to_numpy(zero_copy_only=False)


def _fixed_tensors(chunk: pa.ExtensionArray) -> np.ndarray:
    """Returns (rows, *shape); rows that are null make it an object array of tensors and None."""
    type_ = chunk.type
    shape = tuple(type_.shape)
    storage = chunk.storage
    if storage.null_count:
        tensors = _fixed_tensors(pa.ExtensionArray.from_storage(type_, storage.drop_null()))
        found = iter(tensors)
        return _object_array([next(found) if ok else None for ok in storage.is_valid().to_pylist()])
    stacked = _flat_to_numpy(storage.flatten()).reshape((len(storage), *shape))
    permutation = type_.permutation
    if permutation is not None and list(permutation) != list(range(len(shape))):
        # The stored shape is that of the physical layout.
        stacked = stacked.transpose((0, *(1 + np.argsort(permutation))))
    return stacked


def _variable_tensors(chunk: pa.ExtensionArray) -> np.ndarray:
    """Returns an object array of tensors, views of the column's values."""
    storage = chunk.storage
    data, shapes = storage.field("data"), storage.field("shape")
    ndim = shapes.type.list_size
    flat = _flat_to_numpy(data.values)
    offsets = data.offsets.to_numpy()
    first = shapes.offset * ndim
    dims = shapes.values.to_numpy(zero_copy_only=False)[first : first + len(shapes) * ndim]
    dims = dims.reshape((len(storage), ndim))
    valid = storage.is_valid().to_numpy(zero_copy_only=False)
    tensors = np.empty(len(storage), dtype=object)
    for i in range(len(storage)):
        if valid[i]:
            tensors[i] = flat[offsets[i] : offsets[i + 1]].reshape(dims[i])
    return tensors


def _chunk_to_numpy(chunk: pa.Array) -> np.ndarray:
    type_ = chunk.type
    if isinstance(type_, pa.BaseExtensionType):
        if is_fixed_tensor(type_):
            return _fixed_tensors(chunk)
        if is_variable_tensor(type_):
            return _variable_tensors(chunk)
        if is_object_type(type_):
            return _object_array(object_values(chunk))
        return _chunk_to_numpy(chunk.storage)
    if pa.types.is_null(type_):
        return np.full(len(chunk), np.nan, dtype=np.float32)
    return _flat_to_numpy(chunk)


def _numbers_view(chunk: pa.Array, dtype: np.dtype) -> np.ndarray:
    """Returns a read-only view; unlike `to_numpy` without importing pandas, which is slow."""
    if len(chunk) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(chunk.buffers()[1], dtype, len(chunk), chunk.offset * dtype.itemsize)
    values.flags.writeable = False
    return values


def object_values(chunk: pa.ExtensionArray) -> list[Any]:
    """Returns the objects of a column of pickled objects."""
    return [None if data is None else pickle.loads(data) for data in chunk.storage.to_pylist()]


def column_to_numpy(column: pa.ChunkedArray | pa.Array, zero_copy: bool = True) -> np.ndarray:
    """Returns one value per row along the first axis.

    Fixed-shape tensors are stacked; variable-shape ones, strings, lists, structs and objects are
    object arrays. Numbers with nulls become floats with nan; booleans with nulls objects.

    Args:
        zero_copy: the result may be a read-only view of Arrow's memory. Else it is writable.
    """
    if isinstance(column, pa.Array):
        values = _chunk_to_numpy(column)
    elif column.num_chunks == 1:
        values = _chunk_to_numpy(column.chunk(0))
    elif (
        isinstance(column.type, pa.BaseExtensionType)
        or pa.types.is_null(column.type)
        or (column.num_chunks > 1 and column.type in _NUMBERS)
    ):
        values = _joined([_chunk_to_numpy(chunk) for chunk in column.chunks], column.type)
    else:
        values = column.to_numpy()
    if not zero_copy and not values.flags.writeable:
        values = values.copy()
    return values


def _joined(parts: list[np.ndarray], type_: pa.DataType) -> np.ndarray:
    if not parts:
        return _chunk_to_numpy(empty_array(type_))
    if any(part.dtype == object for part in parts):
        return _object_array([value for part in parts for value in part])
    return np.concatenate(parts)


def empty_array(type_: pa.DataType) -> pa.Array:
    """Returns an array of `type_` without values."""
    if isinstance(type_, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(type_, empty_array(type_.storage_type))
    return pa.array([], type_)


def row_values(array: pa.Array) -> Any:
    """Returns a sequence of the array's values as rows hold them: tensors as numpy views, objects
    themselves, else Python scalars."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        if is_tensor(type_):
            return _chunk_to_numpy(array)
        if is_object_type(type_):
            return object_values(array)
    return array.to_pylist()


# ---- Arrow to batches -----------------------------------------------------------------------


def table_to_numpy(table: pa.Table, zero_copy: bool = True) -> dict[str, np.ndarray]:
    """Returns {column: values}; see `column_to_numpy`."""
    columns = _core.numpy_views(table)
    for name, values in columns.items():
        if type(values) is not np.ndarray:
            columns[name] = column_to_numpy(values, zero_copy)
        elif not zero_copy:
            columns[name] = values.copy()
    return columns


def table_to_pandas(table: pa.Table) -> pd.DataFrame:
    """Returns a DataFrame whose columns keep Arrow's types; tensors and objects are `object`, and
    what came by `from_pandas` has the types that it had there."""
    import pandas as pd

    from headrace._internal import frames

    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        type_ = column.type
        if isinstance(type_, pa.BaseExtensionType):
            columns[name] = pd.Series(_rows_as_objects(column), dtype=object)
        elif pa.types.is_null(type_):
            columns[name] = pd.Series([None] * len(column), dtype=object)
        elif pa.types.is_dictionary(type_):
            columns[name] = column.to_pandas()
        else:
            columns[name] = pd.Series(pd.array(column, dtype=pd.ArrowDtype(type_)))
    if not columns:
        return pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    return frames.with_remembered_types(pd.DataFrame(columns, copy=False), table)


def _rows_as_objects(column: pa.ChunkedArray) -> np.ndarray:
    return _object_array(list(column_to_numpy(column)))


def table_to_batch(table: pa.Table, batch_format: str | None, zero_copy_batch: bool = True) -> Any:
    """Returns the rows as users asked for them.

    Args:
        batch_format: "numpy" (or "default"): dict of arrays. "pandas": DataFrame. "pyarrow" or
            None: the table itself.

    Raises ValueError for any other format.
    """
    if batch_format in ("numpy", "default"):
        return table_to_numpy(table, zero_copy_batch)
    if batch_format == "pandas":
        return table_to_pandas(table)
    if batch_format in ("pyarrow", "", None):
        return table
    raise ValueError(
        "The batch format must be one of 'numpy', 'pandas', 'pyarrow' or None, not "
        f"{batch_format!r}"
    )


# ---- Back to Arrow --------------------------------------------------------------------------


def tensors_to_arrow(stacked: np.ndarray) -> pa.ExtensionArray | None:
    """Returns a column of fixed-shape tensors from (rows, *shape); None if Arrow has no type for
    the values."""
    rows, *shape = stacked.shape
    if stacked.dtype.kind not in "biufMm" or stacked.dtype.itemsize > 8:
        return None
    size = int(np.prod(shape, dtype=np.int64))
    try:
        flat = pa.array(np.ascontiguousarray(stacked).reshape(-1))
        type_ = pa.fixed_shape_tensor(flat.type, shape)
        storage_type = type_.storage_type
        if size == 0:
            buffers = [None]
            storage = pa.Array.from_buffers(storage_type, rows, buffers, children=[flat])
        else:
            storage = pa.FixedSizeListArray.from_arrays(flat, type=storage_type)
        return pa.ExtensionArray.from_storage(type_, storage)
    except _CONVERSION_ERRORS:
        return None


def ragged_tensors_to_arrow(tensors: list[np.ndarray]) -> pa.ExtensionArray | None:
    """Returns a column of variable-shape tensors; None if they differ in rank or Arrow has no type
    for the values."""
    ndim = tensors[0].ndim
    if any(tensor.ndim != ndim for tensor in tensors):
        return None
    try:
        flat = np.concatenate([np.ravel(tensor) for tensor in tensors])
        if flat.dtype.kind not in "biufMm" or flat.dtype.itemsize > 8 or len(flat) > 2**31 - 1:
            return None
        values = pa.array(flat)
        offsets = np.zeros(len(tensors) + 1, dtype=np.int32)
        np.cumsum([tensor.size for tensor in tensors], out=offsets[1:])
        dims = np.array([tensor.shape for tensor in tensors], dtype=np.int32).reshape(-1)
        type_ = _core.variable_shape_tensor(values.type, ndim)
        data_field, shape_field = type_.storage_type
        storage = pa.StructArray.from_arrays(
            [
                pa.ListArray.from_arrays(pa.array(offsets), values).cast(data_field.type),
                pa.FixedSizeListArray.from_arrays(pa.array(dims), type=shape_field.type),
            ],
            fields=[data_field, shape_field],
        )
        return pa.ExtensionArray.from_storage(type_, storage)
    except _CONVERSION_ERRORS:
        return None


def _arrays_to_arrow(arrays: list[Any]) -> pa.Array:
    """Columns whose first value is an ndarray: stacked, ragged, or objects."""
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return objects_to_arrow(arrays)
    shape = arrays[0].shape
    column: pa.Array | None = None
    if all(array.shape == shape for array in arrays):
        if any(array.dtype == object for array in arrays):
            return objects_to_arrow(arrays)
        try:
            stacked = np.stack(arrays)
        except _CONVERSION_ERRORS:
            return objects_to_arrow(arrays)
        column = column_to_arrow(stacked) if not shape else tensors_to_arrow(stacked)
    else:
        column = ragged_tensors_to_arrow(arrays)
    return objects_to_arrow(arrays) if column is None else column


def _first_present(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def list_to_arrow(values: list[Any]) -> pa.Array:
    """Returns a column from Python values; None is null. What has no common Arrow type is kept as
    pickled objects."""
    array = _core.array_of(values)
    if array is not None:
        return array
    first = _first_present(values)
    if isinstance(first, np.ndarray):
        return _arrays_to_arrow(values)
    if isinstance(first, np.generic):
        column = _numpy_scalars_to_arrow(values)
        if column is not None:
            return column
    if hasattr(first, "__array__") and hasattr(first, "detach"):
        return _arrays_to_arrow([v if v is None else np.asarray(v) for v in values])
    if isinstance(first, np.datetime64):
        return objects_to_arrow(values)
    try:
        return in_their_unit(pa.array(values))
    except _CONVERSION_ERRORS:
        return objects_to_arrow(values)


def _numpy_scalars_to_arrow(values: list[Any]) -> pa.Array | None:
    """Scalars of one numpy type keep that type; None if they are of several."""
    present = [value for value in values if value is not None]
    kinds = {type(value) for value in present}
    if len(kinds) != 1:
        return None
    joined = np.array(present)
    if joined.dtype.kind == "M" and np.datetime_data(joined.dtype)[0] == "D":
        return None
    if len(present) == len(values):
        return ndarray_to_arrow(joined)
    if joined.dtype.kind not in "biufMm":
        return None
    filled = np.zeros(len(values), dtype=joined.dtype)
    mask = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    filled[~mask] = joined
    try:
        return pa.array(filled, mask=mask)
    except _CONVERSION_ERRORS:
        return None


def _is_masked(values: np.ndarray) -> bool:
    masked = sys.modules.get("numpy.ma")  # Slow to import, and not so before a user has one.
    return masked is not None and isinstance(values, masked.MaskedArray)


def ndarray_to_arrow(values: np.ndarray) -> pa.Array:
    """Returns a column with one value per row of the first axis; shares memory where it can.

    Raises TypeError for an array without dimensions.
    """
    if values.ndim == 0:
        raise TypeError("a column needs at least one dimension; got an array of shape ()")
    if type(values) is not np.ndarray and _is_masked(values):
        return list_to_arrow(values.tolist())
    if values.ndim > 1:
        column = None if values.dtype == object else tensors_to_arrow(values)
        return objects_to_arrow(list(values)) if column is None else column
    if values.dtype == object:
        return list_to_arrow(values.tolist() if _plain(values) else list(values))
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] in "DWMY":
        values = values.astype("datetime64[s]")
    type_ = _NUMBER_TYPES.get(values.dtype)
    if type_ is not None and values.flags.c_contiguous and len(values) > 0:
        # As `pa.array` would, but without importing pandas.
        return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values)], null_count=0)
    try:
        return pa.array(values)
    except _CONVERSION_ERRORS:
        return list_to_arrow(values.tolist())


def _plain(values: np.ndarray) -> bool:
    # tolist() would turn inner arrays without dimensions into scalars.
    return not any(isinstance(value, np.ndarray) for value in values)


def column_to_arrow(values: Any) -> pa.Array | pa.ChunkedArray:
    """Returns a column from a list, an array, a Series, a tensor or an Arrow array."""
    if isinstance(values, np.ndarray):
        return ndarray_to_arrow(values)
    if isinstance(values, list):
        return list_to_arrow(values)
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if hasattr(values, "iloc"):
        return series_to_arrow(values)
    if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    if hasattr(values, "detach"):
        return ndarray_to_arrow(values.detach().cpu().numpy())
    return ndarray_to_arrow(np.asarray(values))


def series_to_arrow(series: pd.Series) -> pa.Array | pa.ChunkedArray:
    """Returns a column from a pandas Series; missing values are null."""
    if series.dtype == object:
        values = series.tolist()
        if isinstance(_first_present(values), np.ndarray):
            return _arrays_to_arrow(values)
        try:
            return pa.Array.from_pandas(series)
        except _CONVERSION_ERRORS:
            return list_to_arrow(values)
    try:
        return pa.Array.from_pandas(series)
    except _CONVERSION_ERRORS:
        return list_to_arrow(series.tolist())


def frame_to_table(frame: pd.DataFrame) -> pa.Table:
    """Returns the columns of a DataFrame, without its index.

    Raises ValueError for column names that are not strings.
    """
    names = list(frame.columns)
    _check_names(names)
    if not names:
        return pa.table({})
    arrays = [series_to_arrow(frame.iloc[:, i]) for i in range(len(names))]
    return pa.Table.from_arrays(arrays, names=names)


def _check_names(names: Iterable[Any]) -> None:
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise ValueError(f"Column names must be strings; these are not: {wrong!r}")


def _is_frame(batch: Any) -> bool:
    return hasattr(batch, "iloc") and hasattr(batch, "columns")


def _is_column(values: Any) -> bool:
    return isinstance(values, (list, np.ndarray, pa.Array, pa.ChunkedArray)) or (
        hasattr(values, "__array__") and hasattr(values, "__len__")
    )


def dict_to_table(batch: Mapping[str, Any]) -> pa.Table:
    """Returns a table of the columns in `batch`.

    Raises:
        ValueError: a value that is no list or array, lengths that differ (each is named), or a
            name that is not a string.
    """
    if type(batch) is dict:
        table = _core.table_of_numbers(batch)
        if table is not None:
            return table
    columns: dict[str, Any] = {}
    lengths = set()
    for name, values in batch.items():
        if not isinstance(name, str):
            _check_names(batch)
        if type(values) is np.ndarray:
            column = ndarray_to_arrow(values)
        elif _is_column(values):
            column = column_to_arrow(values)
        else:
            raise ValueError(
                f"Error validating {_short(batch)}: all values of a `dict` that `map_batches` gets "
                f"from `fn` must be of type `list` or `np.ndarray`, but the one of key {name!r} is "
                f"of type {type(values)}. Convert it to a `np.ndarray` of one value per row."
            )
        columns[name] = column
        lengths.add(len(column))
    if len(lengths) > 1:
        told = ", ".join(f"{name!r}: {len(column)}" for name, column in columns.items())
        raise ValueError(f"All columns must be of the same length, but they have {{{told}}} rows")
    return pa.table(columns)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def batch_to_table(batch: Any) -> pa.Table:
    """Returns a batch as a table: a dict of columns, a DataFrame, a Table or a RecordBatch.

    Raises ValueError for anything else.
    """
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, pa.RecordBatch):
        return pa.Table.from_batches([batch])
    if isinstance(batch, Mapping):
        return dict_to_table(batch)
    if _is_frame(batch):
        return frame_to_table(batch) if hasattr(batch, "index") else batch.to_arrow()
    if isinstance(batch, np.ndarray):
        raise ValueError(
            f"Error validating {_short(batch)}: standalone numpy arrays are not allowed as "
            "batches. Return a dict of field -> array, e.g. `{'data': array}`."
        )
    if isinstance(batch, list):
        raise ValueError(
            f"Error validating {_short(batch)}: a list of objects is not allowed as a batch. "
            "Wrap it in a dict, e.g. `{'results': objects}`."
        )
    raise ValueError(
        f"The `fn` passed to `map_batches` returned a value of type {type(batch)}, which is no "
        "batch: `map_batches` expects `fn` to return a `pandas.DataFrame`, a `pyarrow.Table`, or a "
        "`dict[str, numpy.ndarray]`, or to yield such."
    )


def _finish_column(values: Any) -> pa.Array:
    return values if isinstance(values, pa.Array) else list_to_arrow(values)


def dicts_to_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Returns rows as a table; a key that a row lacks is null there.

    Raises ValueError for rows that are no mappings.
    """
    columns = _core.columns_of(rows)
    if isinstance(columns, int):
        rows = [_checked_row(row) for row in rows]
        columns = _core.columns_of(rows)
    assert isinstance(columns, dict)
    _check_names(columns)
    return pa.table({name: _finish_column(values) for name, values in columns.items()})


def _checked_row(row: Any) -> dict[str, Any]:
    if isinstance(row, Mapping):
        return dict(row)
    raise ValueError(
        f"Error validating {_short(row)}: standalone Python objects are not allowed as rows. "
        "Wrap them in a dict, e.g. return `{'item': item}` instead of just `item`."
    )


def rows_to_table(rows: Iterable[Any]) -> pa.Table:
    """Returns items as a table: of dicts their keys are the columns; of other items, the column
    "item"."""
    rows = list(rows)
    if all(isinstance(row, Mapping) for row in rows):
        return dicts_to_table(rows)
    return pa.table({"item": list_to_arrow(rows)})


def concat_tables(tables: list[pa.Table]) -> pa.Table:
    """Returns the tables one after the other; columns that one lacks are null there, and columns
    of different types become the wider one, or objects where there is none."""
    if not any(table.num_columns for table in tables):
        rows = sum(table.num_rows for table in tables)
        return tables[0].slice(0, rows) if tables else pa.table({})
    tables = [table for table in tables if table.num_columns or table.num_rows]
    try:
        return _core.join_tables(tables)
    except _CONVERSION_ERRORS:
        return _concat_by_column(tables)


def _concat_by_column(tables: list[pa.Table]) -> pa.Table:
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    columns = {}
    for name in names:
        parts = [
            table.column(name) if name in table.column_names else pa.nulls(table.num_rows)
            for table in tables
        ]
        chunks = [c for part in parts for c in (part.chunks if hasattr(part, "chunks") else [part])]
        values = [value for chunk in chunks for value in row_values(chunk)]
        columns[name] = list_to_arrow(values)
    return pa.table(columns)
