"""Encoders, the categorizer and the discretizers.

What ray.data 2.60 gives for the same data is in tests/compat/cases_preprocessors.py.
"""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace as data
from headrace.preprocessor import PreprocessorNotFittedException
from headrace.preprocessors import (
    Categorizer,
    CustomKBinsDiscretizer,
    LabelEncoder,
    MultiHotEncoder,
    OneHotEncoder,
    OrdinalEncoder,
    UniformKBinsDiscretizer,
)

pd = pytest.importorskip("pandas")

ANY_DATA = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


def dataset(**columns: list) -> data.Dataset:
    """Returns the columns in two blocks."""
    table = pa.table(columns)
    half = table.num_rows // 2
    return data.from_arrow([table.slice(0, half), table.slice(half)])


def column(ds: data.Dataset, name: str) -> list:
    return [row[name] for row in ds.take_all()]


@ANY_DATA
@given(st.lists(st.text(max_size=3) | st.sampled_from("abc"), min_size=1, max_size=30))
def test_numbers_are_places_in_the_sorted_values(values: list[str]) -> None:
    ds = dataset(v=values)
    places = {value: i for i, value in enumerate(sorted(set(values)))}
    expected = [places[value] for value in values]
    ordinal = OrdinalEncoder(["v"], output_columns=["o"]).fit(ds)
    assert ordinal.stats_ == {"unique_values(v)": places}
    assert column(ordinal.transform(ds), "o") == expected
    label = LabelEncoder("v", output_column="o").fit(ds)
    assert column(label.transform(ds), "o") == expected
    assert column(label.inverse_transform(label.transform(ds).drop_columns(["v"])), "v") == values
    one_hot = column(OneHotEncoder(["v"]).fit_transform(ds), "v")
    assert np.array_equal(np.array(list(one_hot)), np.eye(len(places), dtype=np.uint8)[expected])


@ANY_DATA
@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=5), min_size=1, max_size=20))
def test_lists(values: list[list[str]]) -> None:
    ds = dataset(v=pa.array(values, pa.list_(pa.string())))
    known = sorted({part for value in values for part in value})
    encoded = column(OrdinalEncoder(["v"]).fit_transform(ds), "v")
    assert [list(row) for row in encoded] == [[known.index(p) for p in row] for row in values]
    counted = column(MultiHotEncoder(["v"]).fit_transform(ds), "v")
    assert [list(row) for row in counted] == [[row.count(k) for k in known] for row in values]


def test_a_list_may_be_a_category() -> None:
    ds = dataset(v=[["b", "a"], ["b"], ["b"], []])
    encoder = OrdinalEncoder(["v"], encode_lists=False).fit(ds)
    assert encoder.stats_ == {"unique_values(v)": {(): 0, ("b",): 1, ("b", "a"): 2}}
    assert column(encoder.transform(ds), "v") == [2, 1, 1, 0]
    one_hot = OneHotEncoder(["v"]).fit(ds)
    assert [list(row) for row in column(one_hot.transform(ds), "v")] == [
        [0, 0, 1],
        [0, 1, 0],
        [0, 1, 0],
        [1, 0, 0],
    ]
    assert one_hot.safe_get(["b"], one_hot.stats_["unique_values(v)"]) == 1


def test_arrays_are_lists() -> None:
    """Rows of equal length from numpy are tensors, others ragged ones."""
    table = data.from_numpy(np.array([[3, 1], [1, 1]]))
    assert [list(r) for r in column(MultiHotEncoder(["data"]).fit_transform(table), "data")] == [
        [1, 1],
        [2, 0],
    ]
    assert [list(r) for r in column(OrdinalEncoder(["data"]).fit_transform(table), "data")] == [
        [1, 0],
        [0, 0],
    ]
    ragged = data.range(3).map_batches(lambda b: {"v": [np.arange(i + 1) for i in b["id"]]})
    encoder = MultiHotEncoder(["v"]).fit(ragged)
    assert [list(row) for row in column(encoder.transform(ragged), "v")] == [
        [1, 0, 0],
        [1, 1, 0],
        [1, 1, 1],
    ]


def test_lists_of_frames() -> None:
    encoder = MultiHotEncoder(["v"]).fit(dataset(v=[["x", "y"], ["z"]]))
    frame = pd.DataFrame({"v": [["x", "unknown"], ["y", "y"]]})
    assert encoder.transform_batch(frame)["v"].tolist() == [[1, 0, 0], [0, 2, 0]]
    arrays = pd.DataFrame({"v": [np.array(["x"]), np.array(["z", "z"])]})
    assert encoder.transform_batch(arrays)["v"].tolist() == [[1, 0, 0], [0, 0, 2]]


def test_the_most_frequent_are_kept() -> None:
    ds = dataset(v=["a", "b", "b", "c", "c", "d"])
    for most, kept in ((2, "bc"), (3, "abc"), (1, "b")):  # Of equals the first met.
        encoder = OneHotEncoder(["v"], max_categories={"v": most}).fit(ds)
        assert encoder.stats_ == {"unique_values(v)": {k: i for i, k in enumerate(kept)}}
    rest = [list(row) for row in column(encoder.transform(ds), "v")]
    assert rest == [[0], [1], [1], [0], [0], [0]]


def test_other_types_than_were_fitted() -> None:
    encoder = OrdinalEncoder(["v"]).fit(dataset(v=pa.array([300, 5], pa.int64())))
    small = data.from_arrow(pa.table({"v": pa.array([5, 7], pa.int8())}))
    assert column(encoder.transform(small), "v") == [0, None]
    words = OrdinalEncoder(["v"]).fit(dataset(v=["p", "q"]))
    coded = data.from_arrow(pa.table({"v": pa.array(["q", "z"]).dictionary_encode()}))
    assert column(words.transform(coded), "v") == [1, None]
    large = data.from_arrow(pa.table({"v": pa.array(["q"], pa.large_string())}))
    assert column(words.transform(large), "v") == [1]


@pytest.mark.parametrize("kind", [OrdinalEncoder, OneHotEncoder, MultiHotEncoder])
@pytest.mark.parametrize(
    "missing", [["a", None], [1.0, float("nan")], [["a"], None], [["a", None]]]
)
def test_missing_values_are_no_category(kind: type, missing: list) -> None:
    ds = data.from_arrow(pa.table({"v": missing}))
    if missing == [["a", None]] and kind is OneHotEncoder:
        return  # The list is the value.
    with pytest.raises(ValueError, match="null values"):
        kind(["v"]).fit(ds).transform(ds).take_all()


def test_labels_before_fitting() -> None:
    with pytest.raises(PreprocessorNotFittedException):
        LabelEncoder("v").inverse_transform(dataset(v=[1, 2]))
    encoder = LabelEncoder("v").fit(dataset(v=["p", "q"]))
    numbers = data.from_items([{"v": 1}, {"v": 7}])
    assert column(encoder.inverse_transform(numbers), "v") == ["q", None]


def test_categorizer() -> None:
    ds = dataset(s=["b", None, "a", "b"], f=[0.5, float("nan"), None, 2.0])
    categorizer = Categorizer(["s", "f"], output_columns=["x", "y"]).fit(ds)
    assert {name: list(d.categories) for name, d in categorizer.stats_.items()} == {
        "s": ["a", "b"],
        "f": [0.5, 2.0],
    }
    made = categorizer.transform(ds)
    assert column(made, "x") == ["b", None, "a", "b"]
    assert column(made, "y") == [0.5, None, None, 2.0]
    assert pa.types.is_dictionary(made.schema().base_schema.field("x").type)
    frame = categorizer.transform_batch(pd.DataFrame({"s": ["a", "new"], "f": [2.0, 0.5]}))
    assert str(frame["x"].dtype) == "category"
    assert frame["x"].isna().tolist() == [False, True]


@ANY_DATA
@given(
    st.lists(st.none() | st.floats(-10, 10), min_size=1, max_size=30),
    st.lists(st.integers(-8, 8), min_size=2, max_size=6, unique=True).map(sorted),
    st.booleans(),
)
def test_custom_bins(values: list[float | None], edges: list[int], right: bool) -> None:
    made = CustomKBinsDiscretizer(["v"], edges, right=right, output_columns=["o"]).transform(
        data.from_arrow(pa.table({"v": pa.array(values, pa.float64())}))
    )

    def place(value: float | None) -> int | None:
        for i, (low, high) in enumerate(itertools.pairwise(edges)):
            if value is not None and (low < value <= high if right else low <= value < high):
                return i
        return None

    assert column(made, "o") == [place(value) for value in values]


@ANY_DATA
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30), st.integers(1, 7), st.booleans())
def test_uniform_bins_are_those_of_pandas(values: list[int], bins: int, right: bool) -> None:
    ds = dataset(v=values)
    binner = UniformKBinsDiscretizer(["v"], bins, right=right).fit(ds)
    expected, edges = pd.cut(
        np.array(values, np.float64), bins, right=right, labels=False, retbins=True
    )
    assert np.allclose(binner.stats_["v"], edges)
    assert column(binner.transform(ds), "v") == expected.tolist()


def test_bins_as_types_and_names() -> None:
    frame = pd.DataFrame({"v": [1, 2, 4]})
    small = CustomKBinsDiscretizer(["v"], [0, 2, 5], dtypes={"v": np.int8}).transform_batch(frame)
    assert small["v"].dtype == np.int8
    named = CustomKBinsDiscretizer(
        ["v"], [0, 2, 5], dtypes={"v": pd.CategoricalDtype(["low", "high"], ordered=True)}
    ).transform_batch(frame)
    assert named["v"].tolist() == ["low", "low", "high"]
    intervals = pd.IntervalIndex.from_tuples([(0, 1), (1, 3)])
    made = CustomKBinsDiscretizer(["v"], intervals).transform_batch(frame)
    assert made["v"].tolist()[:2] == [0, 1]
    assert np.isnan(made["v"].tolist()[2])


def test_bins_of_what_has_no_numbers() -> None:
    with pytest.raises(ValueError, match="no values"):
        UniformKBinsDiscretizer(["v"], 2).fit(dataset(v=pa.array([None, None], pa.int64())))
    with pytest.raises(TypeError):
        UniformKBinsDiscretizer(["v"], 2).fit(dataset(v=["a", "b"]))
