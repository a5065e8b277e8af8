"""`TensorArray` and `PythonObjectArray` in pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from headrace.extensions import PythonObjectArray, TensorArray, TensorDtype


def uniform() -> TensorArray:
    return TensorArray(np.arange(4, dtype=np.int32).reshape(2, 2))


def ragged() -> TensorArray:
    return TensorArray([np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])])


def listed(array: Any) -> list[Any]:
    return [np.asarray(tensor).tolist() for tensor in array]


@pytest.mark.parametrize("dtype", ["int64", "float32", "<U1", "datetime64[ns]", "bool"])
def test_types_are_read_from_their_names(dtype: str) -> None:
    for shape in [(), (2,), (2, None)]:
        made = TensorDtype(shape, dtype)
        assert TensorDtype.construct_from_string(made.name) == made
    assert pd.Series([], dtype=TensorDtype((2,), "int32").name).dtype == TensorDtype((2,), "int32")


@pytest.mark.parametrize("name", ["int64", "TensorDtype(shape=(x,), dtype=int64)"])
def test_other_names_are_no_types(name: str) -> None:
    with pytest.raises(TypeError):
        TensorDtype.construct_from_string(name)


def test_joined_arrays_keep_their_type() -> None:
    empty = TensorArray(np.zeros((0, 2), np.int32))
    join = TensorArray._concat_same_type
    assert join([empty, empty]).dtype == TensorDtype((2,), "int32")
    assert join([ragged()[:0], ragged()]).dtype == TensorDtype((None,), "float64")
    assert ragged()[[]].numpy_dtype == "float64"
    assert ragged()[[]].numpy_ndim == 1
    assert listed(join([uniform(), ragged()])) == [[0, 1], [2, 3], [1, 2], [3, 4, 5]]
    many = [np.ones((2, 3), np.float32)] * 3
    assert join([TensorArray(rows) for rows in many]).dtype == TensorDtype((3,), "float32")


def test_rows_that_are_missing() -> None:
    frame = pd.DataFrame({"u": uniform(), "r": ragged()}).reindex([1, 0, 7])
    assert listed(frame["u"])[:2] == [[2, 3], [0, 1]]
    assert frame["u"].isna().tolist()[2]
    assert listed(frame["r"])[:2] == [[3, 4, 5], [1, 2]]
    assert frame["r"].isna().tolist()[2]
    assert frame["u"].dtype == TensorDtype((2,), "float64")
    assert listed(uniform().take([-1, 1], True, 9)) == [[9, 9], [2, 3]]
    assert uniform().take([-1], True, 9).numpy_dtype == "int32"
    assert listed(ragged().take([-1, 0], True, [7.0])) == [[7], [1, 2]]
    assert listed(uniform().take([-1, 0])) == [[2, 3], [0, 1]]
    assert np.isnan(TensorArray(np.zeros((0, 2))).take([-1], True).to_numpy()).shape == (1, 2)
    days = TensorArray(np.array([["2020-01-01"]], "M8[D]")).take([0, -1], True)
    assert days.numpy_dtype == "M8[D]"
    assert days.isna().tolist() == [False, True]
    with pytest.raises(ValueError, match="begin at -1"):
        uniform().take([-2], True)
    with pytest.raises(IndexError):
        uniform().take([2, -1], True)


def test_tensors_of_several_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one rank; these have \[1, 2\]"):
        TensorArray([np.ones(2), np.ones((2, 2))])
    array = ragged()
    with pytest.raises(ValueError, match="one rank"):
        array[0] = np.ones((1, 2))
    assert listed(array) == listed(ragged())


@pytest.mark.parametrize("make", [uniform, ragged])
@pytest.mark.parametrize(
    "function",
    [
        lambda a: -a,
        lambda a: +a,
        abs,
        np.exp,
        lambda a: a + 1,
        lambda a: 2 - a,
        lambda a: a * a,
        lambda a: a == a,
        lambda a: a == 2,
        lambda a: np.add(a, a),
        lambda a: np.add(np.float64(1), a),
        lambda a: np.add(a, 1, dtype=np.float64),
    ],
)
def test_numpys_functions(make: Callable[[], TensorArray], function: Callable[[Any], Any]) -> None:
    expected = [function(np.asarray(tensor)).tolist() for tensor in make()]
    found = function(make())
    assert isinstance(found, TensorArray)
    assert listed(found) == expected
    series = function(pd.Series(make()))
    assert isinstance(series.dtype, TensorDtype)
    assert listed(series) == expected


def test_more_of_numpys_functions() -> None:
    assert listed(~TensorArray(np.array([[True, False]]))) == [[False, True]]
    assert listed(np.modf(ragged() + 0.5)[0]) == [[0.5] * 2, [0.5] * 3]
    assert np.add.reduce(uniform()).tolist() == [2, 4]
    out = uniform()
    np.add(out, 1, out=out._tensor)
    assert listed(out) == [[1, 2], [3, 4]]
    assert listed(ragged() + np.array([10, 20])) == [[11, 12], [23, 24, 25]]
    assert (uniform()[0] + 1).tolist() == [1, 2]
    with pytest.raises(ValueError, match="Lengths must match"):
        ragged() + uniform()[:1]


@pytest.mark.parametrize("make", [uniform, ragged])
def test_copies_are_apart(make: Callable[[], TensorArray]) -> None:
    array = make()
    for copy in (
        array.copy(),
        TensorArray(array.to_numpy(copy=True)),
        TensorArray(np.array(array, copy=True)),
    ):
        copy._tensor[0][0] = 99
        copy[1] = 98
        assert listed(copy) != listed(array) == listed(make())


def test_setting_tensors_of_several_shapes() -> None:
    array = ragged()
    array[0] = np.ones(1)
    array[1:] = 7
    assert listed(array) == [[1], [7, 7, 7]]
    array[:] = [np.ones(2), np.ones(3)]
    assert listed(array) == [[1, 1], [1, 1, 1]]
    assert array.astype(TensorDtype((None,), "int8")).numpy_dtype == "int8"


def test_objects_compare_by_row() -> None:
    array = PythonObjectArray([np.zeros(2), 1, [np.zeros(2)], None])
    assert (array == array).tolist() == [True] * 4
    other = PythonObjectArray([np.ones(2), 1, 2, np.zeros(1)])
    assert (array == other).tolist() == [False, True, False, False]
    assert (array != other).tolist() == [True, False, True, True]
    assert (pd.Series(array) == 1).tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="Lengths must match"):
        _ = array == [1, 2]
