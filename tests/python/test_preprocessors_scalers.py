"""Scalers, the normalizer and the power transformer, against the formulas in numpy.

What ray.data 2.60 gives for the same data is in tests/compat/cases_preprocessors.py.
"""

from __future__ import annotations

import math
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace as data
from headrace.preprocessors import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

pd = pytest.importorskip("pandas")

NUMBERS = st.lists(
    st.none() | st.floats(-1e6, 1e6, allow_subnormal=False, width=32), min_size=1, max_size=60
)
ANY_DATA = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))


def dataset(values: list[float | None], blocks: int = 3) -> data.Dataset:
    size = max(1, -(-len(values) // blocks))
    parts = [values[at : at + size] for at in range(0, len(values), size)]
    return data.from_arrow([pa.table({"x": pa.array(part, pa.float64())}) for part in parts])


def column(ds: data.Dataset, name: str = "y") -> list[float | None]:
    return [row[name] for row in ds.take_all()]


def expected_of(values: list[float | None], center: float, scale: float) -> list[float | None]:
    return [None if v is None else (v - center) / (scale or 1.0) for v in values]


def check(got: list[float | None], expected: list[float | None]) -> None:
    assert [v is None for v in got] == [v is None for v in expected]
    for a, b in zip(got, expected, strict=True):
        if a is not None and b is not None:
            assert math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)


@ANY_DATA
@given(NUMBERS)
def test_standard_scaler(values: list[float | None]) -> None:
    known = np.array([v for v in values if v is not None])
    scaler = StandardScaler(["x"], ["y"]).fit(dataset(values))
    if len(known) == 0:
        assert scaler.stats_ == {"mean(x)": None, "std(x)": None}
        return
    if known.std() < 1e-9 * max(1.0, abs(known.mean())):
        return  # The deviation is only an error of rounding.
    expected = expected_of(values, known.mean(), known.std())
    check(column(scaler.transform(dataset(values))), expected)


@ANY_DATA
@given(NUMBERS)
def test_min_max_and_max_abs_scaler(values: list[float | None]) -> None:
    known = [v for v in values if v is not None] or [0.0]
    ds = dataset(values)
    low, high = min(known), max(known)
    check(
        column(MinMaxScaler(["x"], ["y"]).fit_transform(ds)), expected_of(values, low, high - low)
    )
    check(
        column(MaxAbsScaler(["x"], ["y"]).fit_transform(ds)),
        expected_of(values, 0.0, max(map(abs, known))),
    )


def test_one_pass_learns_all_columns(tmp_path: pathlib.Path) -> None:
    """The dataset's function is called once for each row, whatever the number of columns."""
    seen = tmp_path / "seen"

    def note(batch: dict) -> dict:
        with open(seen, "a") as file:
            file.writelines(f"{i}\n" for i in batch["id"])
        return {"a": batch["id"], "b": batch["id"] * 2}

    ds = data.range(100).map_batches(note)
    kinds = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
    for kind in kinds:
        kind(["a", "b"]).fit(ds)
        assert sorted(map(int, seen.read_text().split())) == list(range(100)), kind
        seen.unlink()


def test_unsigned_values_below_the_fitted_ones() -> None:
    fitted = data.from_arrow(pa.table({"x": pa.array([100, 200], pa.uint8())}))
    scaler = MinMaxScaler(["x"]).fit(fitted)
    other = data.from_arrow(pa.table({"x": pa.array([0, 250], pa.uint8())}))
    assert column(scaler.transform(other), "x") == [-1.0, 1.5]
    assert scaler.transform_batch(pd.DataFrame({"x": np.array([0], np.uint8)}))["x"][0] == -1.0


def test_nan_is_missing() -> None:
    ds = data.from_arrow(pa.table({"x": [1.0, math.nan, 3.0]}))
    assert column(MinMaxScaler(["x"], ["y"]).fit_transform(ds)) == [0.0, None, 1.0]
    scaler = StandardScaler(["x"], ["y"]).fit(ds)
    assert scaler.stats_ == {"mean(x)": None, "std(x)": None}
    assert column(scaler.transform(ds)) == [None, None, None]


@pytest.mark.parametrize(
    ("rows", "quantiles"),
    [
        # As ray.data 2.60 with datasketches gave them, for (0.25, 0.75) and then (0.1, 0.9).
        (1, [(0.0, 0.0, 0.0), (0.0, 0.0, 0.0)]),
        (2, [(0.0, 1.0, 1.0), (0.0, 1.0, 1.0)]),
        (4, [(1.0, 2.0, 3.0), (0.0, 2.0, 3.0)]),
        (5, [(1.0, 2.0, 3.0), (0.0, 2.0, 4.0)]),
        (10, [(2.0, 5.0, 7.0), (1.0, 5.0, 9.0)]),
        (11, [(2.0, 5.0, 8.0), (1.0, 5.0, 9.0)]),
        (20, [(5.0, 10.0, 15.0), (2.0, 10.0, 18.0)]),
    ],
)
def test_robust_scaler(rows: int, quantiles: list[tuple[float, float, float]]) -> None:
    ds = data.range(rows)
    for shares, (low, median, high) in zip([(0.25, 0.75), (0.1, 0.9)], quantiles, strict=True):
        scaler = RobustScaler(["id"], shares, output_columns=["y"]).fit(ds)
        assert scaler.stats_ == {
            "low_quantile(id)": low,
            "median(id)": median,
            "high_quantile(id)": high,
        }
        expected = expected_of([float(i) for i in range(rows)], median, high - low)
        check(column(scaler.transform(ds)), expected)


def test_robust_scaler_of_many_rows() -> None:
    scaler = RobustScaler(["id"]).fit(data.range(10_000).random_shuffle(seed=3))
    for name, rank in (("low_quantile", 2500), ("median", 5000), ("high_quantile", 7500)):
        assert abs(scaler.stats_[f"{name}(id)"] - rank) < 10_000 * 1.7 / 800


def test_robust_scaler_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match="shares"):
        RobustScaler(["id"], (0.25, 75)).fit(data.range(4))
    assert RobustScaler(["a"], quantile_precision=10).quantile_precision == 10


@ANY_DATA
@given(st.lists(st.tuples(st.integers(-100, 100), st.floats(-50, 50)), min_size=1, max_size=20))
def test_normalizer(rows: list[tuple[int, float]]) -> None:
    matrix = np.array(rows, np.float64)
    ds = data.from_arrow(pa.table({"a": [r[0] for r in rows], "b": [r[1] for r in rows]}))
    norms = {
        "l1": np.abs(matrix).sum(axis=1),
        "l2": np.sqrt((matrix**2).sum(axis=1)),
        "max": np.abs(matrix).max(axis=1),
    }
    for name, norm in norms.items():
        made = Normalizer(["a", "b"], name).transform(ds).take_all()
        for row, vector, length in zip(made, matrix, norm, strict=True):
            if length == 0:
                assert row == {"a": None, "b": None}
            else:
                assert np.allclose([row["a"], row["b"]], vector / length, rtol=1e-9)


@pytest.mark.parametrize("power", [-1, 0, 0.5, 1, 2, 3])
def test_power_transformer(power: float) -> None:
    def yeo_johnson(x: float) -> float:
        if x >= 0:
            return math.log(x + 1) if power == 0 else ((x + 1) ** power - 1) / power
        other = 2 - power
        return -math.log(1 - x) if other == 0 else -((1 - x) ** other - 1) / other

    values = [-3.0, -0.5, 0.0, 0.25, 1.0, 7.0]
    ds = dataset([*values, None])
    made = column(PowerTransformer(["x"], power, output_columns=["y"]).transform(ds))
    check(made, [*map(yeo_johnson, values), None])
    positive = [0.5, 1.0, 4.0]
    made = column(PowerTransformer(["x"], power, "box-cox").transform(dataset(positive)), "x")
    box_cox = [math.log(x) if power == 0 else (x**power - 1) / power for x in positive]
    check(made, box_cox)


def test_box_cox_is_not_defined_below_zero() -> None:
    made = PowerTransformer(["x"], 0.5, "box-cox").transform(dataset([-4.0, 4.0]))
    assert column(made, "x") == [None, 2.0]
    small = data.from_arrow(pa.table({"x": pa.array([3, 250], pa.uint8())}))
    made = PowerTransformer(["x"], 2, "box-cox").transform(small)
    assert column(made, "x") == [4.0, 31249.5]


def test_texts_are_no_numbers() -> None:
    ds = data.from_items([{"s": "a"}])
    with pytest.raises(TypeError, match="'s'"):
        StandardScaler(["s"]).fit(ds)
    with pytest.raises((TypeError, ValueError)):
        Normalizer(["s"]).transform(ds).take_all()
