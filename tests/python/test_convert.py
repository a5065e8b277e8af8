"""Conversions between Arrow tables, numpy and pandas batches, rows and Python objects."""

import datetime
import decimal
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import _core
from headrace._internal import convert
from headrace._internal.object_type import ObjectType


class Thing:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Thing) and self.value == other.value

    def __repr__(self):  # Part of the names of tests, which are the same in each process.
        return f"Thing({self.value})"

    __hash__ = None


def column_of(values):
    return convert.rows_to_table([{"x": value} for value in values]).column("x")


def rows_of(column):
    return [row["x"] for row in _core.rows_of(pa.table({"x": column}))]


def batch_of(column):
    return convert.table_to_batch(pa.table({"x": column}), "numpy")["x"]


ZONED = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)

# Values, the type of their column, and its numpy batch's dtype.
PLAIN = [
    ([1, 2], pa.int64(), "int64"),
    ([1, None], pa.int64(), "float64"),
    ([1.5, 2.0], pa.float64(), "float64"),
    ([True, False], pa.bool_(), "bool"),
    ([True, None], pa.bool_(), "object"),
    (["a", "ü"], pa.string(), "object"),
    (["a", None], pa.string(), "object"),
    ([b"a", b"\x00"], pa.binary(), "object"),
    ([None, None], pa.null(), "float32"),
    ([2**62, -(2**63)], pa.int64(), "int64"),
    ([datetime.datetime(2020, 1, 1, 2, 3, 4, 567)] * 2, pa.timestamp("us"), "datetime64[us]"),
    ([datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)], pa.timestamp("s"), None),
    ([datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us"), None),
    ([datetime.date(2020, 2, 29), datetime.date(1899, 3, 1)], pa.date32(), "datetime64[D]"),
    ([datetime.time(1, 2, 3)], pa.time64("us"), "object"),
    ([datetime.timedelta(seconds=1, microseconds=5)], pa.duration("us"), "timedelta64[us]"),
    ([ZONED], pa.timestamp("us", "UTC"), None),
    ([decimal.Decimal("1.50"), decimal.Decimal("2.25")], pa.decimal128(3, 2), "object"),
    ([[1, 2], [3]], pa.list_(pa.int64()), "object"),
    ([[1, None], None, []], pa.list_(pa.int64()), "object"),
    ([["a"], []], pa.list_(pa.string()), "object"),
    ([[[1], []], []], pa.list_(pa.list_(pa.int64())), "object"),
    ([{"a": 1, "b": "x"}, {"a": 2, "b": None}], None, "object"),
    ([{"a": [1], "b": {"c": b"y"}}, None], None, "object"),
    ([{}, {}], pa.struct([]), "object"),
    ([uuid.UUID(int=1), uuid.UUID(int=2)], pa.uuid(), "object"),
]


@pytest.mark.parametrize(("values", "type_", "dtype"), PLAIN, ids=str)
def test_python_values_survive(values, type_, dtype):
    column = column_of(values)
    assert rows_of(column) == values
    if type_ is not None:
        assert column.type == type_
    if dtype is not None:
        assert batch_of(column).dtype == dtype


OBJECTS = [
    [Thing(1), None],
    [1, "a"],
    [True, 2],
    ["a", float("inf")],
    [2**64, 1],
    [1j, 2j],
    [int, str],
    [[1, "a"], [2, "b"]],
    [[Thing(1)], []],
    [np.datetime64("2020-01-01")],
]


@pytest.mark.parametrize("values", OBJECTS, ids=str)
def test_what_arrow_has_no_type_for_is_an_object(values):
    column = column_of(values)
    assert column.type == ObjectType()
    assert rows_of(column) == values
    batch = batch_of(column)
    assert batch.dtype == object
    assert list(batch) == values
    again = convert.batch_to_table({"x": batch}).column("x")
    assert again.type == column.type
    assert again.to_pylist() == values
    assert pa.table({"x": column}).to_pylist() == [{"x": value} for value in values]


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int32", "float16", "float32", "float64", "bool", "datetime64[ns]"]
)
@pytest.mark.parametrize("shape", [(2,), (2, 3), (1, 1, 4), (0,), (2, 0)], ids=str)
def test_tensors_are_stacked(dtype, shape):
    stacked = np.arange(3 * int(np.prod(shape))).reshape(3, *shape).astype(dtype)
    for column in (
        convert.batch_to_table({"x": stacked}).column("x"),
        column_of(list(stacked)),
        convert.list_to_arrow(list(stacked)),
    ):
        assert convert.is_fixed_tensor(column.type)
        if isinstance(column, pa.Array):
            column = pa.chunked_array([column])
        batch = batch_of(column)
        assert batch.dtype == stacked.dtype
        np.testing.assert_array_equal(batch, stacked)
        np.testing.assert_array_equal(batch_of(column.slice(1)), stacked[1:])
        rows = rows_of(column.slice(2))
        np.testing.assert_array_equal(rows[0], stacked[2])


def test_tensors_of_several_chunks_are_stacked():
    parts = [np.arange(4).reshape(2, 2), np.arange(6).reshape(3, 2)]
    table = pa.concat_tables([convert.batch_to_table({"x": part}) for part in parts])
    np.testing.assert_array_equal(
        convert.table_to_batch(table, "numpy")["x"], np.concatenate(parts)
    )


def test_tensor_batches_share_arrows_memory():
    stacked = np.arange(6.0).reshape(3, 2)
    table = convert.batch_to_table({"x": stacked, "y": np.arange(3)})
    assert np.shares_memory(convert.table_to_batch(table, "numpy")["x"], stacked)
    copies = convert.table_to_batch(table, "numpy", zero_copy_batch=False)
    assert all(copy.flags.writeable for copy in copies.values())
    assert not np.shares_memory(copies["x"], stacked)


def test_ragged_tensors_are_object_arrays():
    tensors = [np.ones((1, 2)), np.zeros((3, 2)), np.full((0, 2), 7.0)]
    column = column_of(tensors)
    assert convert.is_variable_tensor(column.type)
    for offset in (0, 1):
        for got in (batch_of(column.slice(offset)), rows_of(column.slice(offset))):
            for tensor, want in zip(got, tensors[offset:], strict=True):
                np.testing.assert_array_equal(tensor, want)


def test_ragged_tensors_survive_ipc():
    table = pa.table({"x": column_of([np.ones(1), np.ones(2)]), "o": column_of([Thing(1), 2])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    back = pa.ipc.open_stream(sink.getvalue()).read_all()
    assert back.schema == table.schema
    rows = list(_core.rows_of(back))
    np.testing.assert_array_equal(rows[1]["x"], np.ones(2))
    assert [row["o"] for row in rows] == [Thing(1), 2]


@pytest.mark.parametrize(
    "values",
    [
        [np.ones(2), None],
        [np.ones(2), np.ones((2, 2))],
        [np.array(["a", "b"]), np.array(["c", "d"])],
        [np.array([1, "a"], dtype=object), np.array([2, "b"], dtype=object)],
    ],
    ids=["null", "ranks", "text", "objects"],
)
def test_other_arrays_are_objects(values):
    column = column_of(values)
    assert column.type == ObjectType()
    for got, want in zip(rows_of(column), values, strict=True):
        np.testing.assert_array_equal(got, want)


def test_arrays_without_dimensions_are_scalars():
    assert column_of([np.array(1), np.array(2)]).type == pa.int64()


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "float16", "float32", "bool"])
def test_numpy_scalars_keep_their_type(dtype):
    values = list(np.array([1, 0], dtype=dtype))
    assert column_of(values).type == pa.from_numpy_dtype(dtype)
    assert rows_of(column_of([*values, None])) == [1, 0, None]
    assert column_of([*values, None]).type == pa.from_numpy_dtype(dtype)


def test_missing_keys_are_null_and_keys_keep_their_order():
    table = convert.rows_to_table([{"b": "x"}, {"a": 1, "b": "y"}, {}])
    assert table.to_pydict() == {"b": ["x", "y", None], "a": [None, 1, None]}


def test_items_that_are_no_dicts_become_a_column():
    assert convert.rows_to_table([1, 2]).to_pydict() == {"item": [1, 2]}
    with pytest.raises(ValueError, match="standalone"):
        convert.dicts_to_table([{"a": 1}, 2])


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"x": [1, 2], "y": [1, 2, 3]}, "'x': 2.*'y': 3"),
        ({"x": np.arange(2), "y": np.arange(3)}, "'x': 2.*'y': 3"),
        ({"x": 1}, "'x' is of type <class 'int'>"),
        ({"x": "abc"}, "'x' is of type <class 'str'>"),
        ({"x": (1, 2)}, "'x' is of type <class 'tuple'>"),
        ({1: [1]}, "must be strings"),
        (pd.DataFrame({1: [1]}), "must be strings"),
        (None, "NoneType"),
        ("text", "<class 'str'>"),
        (np.arange(3), "standalone numpy arrays"),
        ([1, 2], "list of objects"),
    ],
    ids=str,
)
def test_what_is_no_batch_is_a_value_error(batch, words):
    with pytest.raises(ValueError, match=words):
        convert.batch_to_table(batch)


def test_array_without_dimensions_is_no_column():
    with pytest.raises(TypeError):
        convert.batch_to_table({"x": np.array(5)})


@pytest.mark.parametrize(
    ("values", "type_", "rows"),
    [
        (np.array(["a", "b"]), pa.string(), ["a", "b"]),
        (np.array([b"a", b"bb"]), pa.binary(), [b"a", b"bb"]),
        (np.array(["a", None], dtype=object), pa.string(), ["a", None]),
        (
            np.array(["2020-01-01"], "datetime64[D]"),
            pa.timestamp("s"),
            [datetime.datetime(2020, 1, 1)],
        ),
        (np.array([1], "timedelta64[s]"), pa.duration("s"), [datetime.timedelta(seconds=1)]),
        (np.ma.array([1, 2], mask=[0, 1]), pa.int64(), [1, None]),
        (np.array([]), pa.float64(), []),
        ([], pa.null(), []),
        (pd.Series([1, 2]), pa.int64(), [1, 2]),
        (pa.chunked_array([[1], [2]]), pa.int64(), [1, 2]),
        (np.arange(6)[::2], pa.int64(), [0, 2, 4]),
        (np.array([[1], [2, 3], []], dtype=object), pa.list_(pa.int64()), [[1], [2, 3], []]),
    ],
    ids=str,
)
def test_columns_of_batches(values, type_, rows):
    column = convert.batch_to_table({"x": values}).column("x")
    assert column.type == type_
    assert rows_of(column) == rows


def test_data_frames_lose_their_index_only():
    frame = pd.DataFrame(
        {"i": [1, 2], "s": ["a", None], "o": [Thing(1), None], "t": [np.ones(2), np.zeros(2)]},
        index=[7, 8],
    )
    table = convert.batch_to_table(frame)
    assert table.column_names == ["i", "s", "o", "t"]
    assert table.schema.metadata is None
    rows = list(_core.rows_of(table))
    assert rows[1]["s"] is None
    assert rows[0]["o"] == Thing(1)
    np.testing.assert_array_equal(rows[1]["t"], np.zeros(2))


def test_pandas_batches_keep_arrows_types():
    table = pa.table({"i": [1, None], "s": ["a", "b"], "n": pa.nulls(2)}).append_column(
        "t", column_of([np.ones(2), np.ones(2)])
    )
    frame = convert.table_to_batch(table, "pandas")
    assert [str(dtype) for dtype in frame.dtypes] == [
        "int64[pyarrow]",
        "string[pyarrow]",
        "object",
        "object",
    ]
    assert convert.batch_to_table(frame).schema == table.schema
    assert len(convert.table_to_pandas(pa.table({"x": [1, 2]}).select([]))) in (0, 2)


def test_dictionary_columns_give_their_values():
    column = pa.chunked_array([pa.array(["a", "b", "a", None]).dictionary_encode()])
    assert rows_of(column) == ["a", "b", "a", None]
    assert list(batch_of(column)) == ["a", "b", "a", None]


def test_rows_cross_chunks_of_different_columns():
    table = pa.table(
        {
            "a": pa.chunked_array([[1, 2], [], [3, 4, 5]]),
            "b": pa.chunked_array([["v"], ["w", "x", "y"], ["z"]]),
        }
    )
    assert list(_core.rows_of(table)) == table.to_pylist()
    assert list(_core.rows_of(table.slice(1, 3))) == table.slice(1, 3).to_pylist()


def test_tables_of_other_types_are_joined():
    joined = convert.concat_tables(
        [pa.table({"x": [1]}), pa.table({"x": ["a"]}), pa.table({"y": [1.5]})]
    )
    assert list(_core.rows_of(joined)) == [
        {"x": 1, "y": None},
        {"x": "a", "y": None},
        {"x": None, "y": 1.5},
    ]


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(LEAVES), max_size=6))
def test_any_scalars_survive(values):
    got = rows_of(column_of(values)) if values else []
    # Text that is also valid as bytes joins a column of bytes; numbers join a column of floats.
    for have, want in zip(got, values, strict=True):
        if isinstance(want, str) and isinstance(have, bytes):
            have = have.decode()
        elif isinstance(want, bytes) and isinstance(have, str):
            have = have.encode()
        assert have == want


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=3) | st.none(), min_size=1, max_size=6))
def test_any_lists_survive(values):
    assert rows_of(column_of(values)) == values
