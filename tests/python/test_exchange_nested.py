"""Blocks that meet whose columns are coded or nested, and differ within."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import headrace
from headrace._internal.images import _ImageColumn

pytestmark = pytest.mark.usefixtures("settings")


def _blocks(*columns: dict[str, Any]) -> headrace.Dataset:
    return headrace.from_arrow([pa.table(block) for block in columns])


@pytest.mark.parametrize("code", [-1, 0x7FFFFFFF])
def test_what_lies_under_a_null_code_is_no_index(code: int) -> None:
    codes = pa.Array.from_buffers(
        pa.int32(), 2, [pa.py_buffer(b"\1"), pa.py_buffer(np.array([0, code], np.int32))]
    )
    coded = pa.DictionaryArray.from_arrays(codes, pa.array(["a"]), safe=False)
    other = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(["b"]))
    rows = _blocks({"k": coded}, {"k": other}).repartition(1).take_all()
    assert [row["k"] for row in rows] == ["a", None, "b"]


def test_categories_with_missing_values_sort() -> None:
    first = pa.array(pd.Categorical(["b", None, "a"]))
    second = pa.array(pd.Categorical(["c", "a", None]))
    rows = _blocks({"k": first}, {"k": second}).sort("k").take_all()
    assert [row["k"] for row in rows] == ["a", "a", "b", "c", None, None]


def test_coded_structs_group() -> None:
    values = pa.array([{"x": 1}, {"x": 2}])
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), values)
    rows = _blocks({"k": coded, "v": [1, 2, 3]}).groupby("k").sum("v").take_all()
    assert {row["k"]["x"]: row["sum(v)"] for row in rows} == {1: 4, 2: 2}


def test_coded_keys_go_on_when_a_value_gets_wider() -> None:
    def block(begin: int, values: pa.DataType) -> dict[str, Any]:
        names = pa.array([f"k{i}" for i in range(begin, begin + 100)])
        keys = pa.DictionaryArray.from_arrays(pa.array(range(100), pa.int8()), names)
        return {"k": keys, "v": pa.array([1] * 100, values)}

    ds = _blocks(block(0, pa.int64()), block(100, pa.int64()), block(0, pa.float64()))
    rows = ds.groupby("k", 1).sum("v").take_all()
    assert sorted(row["sum(v)"] for row in rows) == [1] * 100 + [2] * 100


def test_codes_of_one_value_are_one_group() -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0]), pa.array(["a", "a", "b"]))
    groups = (
        _blocks({"k": coded})
        .groupby("k")
        .map_groups(lambda group: {"n": [len(group["k"])]}, batch_format="numpy")
    )
    assert sorted(row["n"] for row in groups.take_all()) == [1, 3]


def test_entries_of_maps_have_any_names() -> None:
    named = pa.map_(pa.field("k", pa.string(), nullable=False), pa.field("v", pa.int32()))
    first = pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))
    second = pa.array([[("b", 2)]], named)
    rows = _blocks({"m": first}, {"m": second}).repartition(1).take_all()
    assert [row["m"] for row in rows] == [[("a", 1)], [("b", 2)]]


def test_values_before_a_slice_are_not_converted() -> None:
    cut = pa.array([[2**60 + 1], [1], None, [2, 3]]).slice(1)
    rows = _blocks({"x": cut}, {"x": [[0.5]]}).repartition(1).take_all()
    assert [row["x"] for row in rows] == [[1.0], None, [2.0, 3.0], [0.5]]


@pytest.mark.parametrize("floats", [pa.float32(), pa.float64()], ids=str)
def test_decimals_beside_floats_are_no_keys(floats: pa.DataType) -> None:
    tenths = pa.array([decimal.Decimal("0.1"), decimal.Decimal("0.7")])
    ds = _blocks({"k": tenths}, {"k": pa.array([0.1, 0.7], floats)})
    with pytest.raises(TypeError, match=r"column 'k'.*decimal128.*(float|double)"):
        ds.groupby("k", 8).count().take_all()
    with pytest.raises(TypeError, match="decimal128"):
        _blocks({"k": tenths}).join(
            _blocks({"k": pa.array([0.1], floats)}), "inner", 8, on=("k",)
        ).take_all()


def test_images_in_another_byte_order() -> None:
    column = _ImageColumn(1)
    column.append(np.array([[1, 256, 513]], ">u2"))
    assert column.to_arrow().to_numpy_ndarray().tolist() == [[[1, 256, 513]]]


def test_an_image_without_pixels() -> None:
    column = _ImageColumn(2)
    column.append(np.empty((0, 2), np.uint8))
    assert len(column.to_arrow()) == 1


def test_an_error_whose_text_is_no_utf8() -> None:
    def fail(batch: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no file \udcff here")

    with pytest.raises(ValueError, match=r"no file .* here"):
        headrace.range(3).map_batches(fail).map_batches(lambda batch: batch).take_all()
