"""Runs programs written for ray.data against Headrace and compares with the recording."""

from __future__ import annotations

import importlib.util
import inspect
import json
import pathlib
import sys
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import corpus

headrace = pytest.importorskip("headrace")
pytest.importorskip("PIL", reason="the cases of images need pillow")
pytest.importorskip("pandas", minversion="3", reason="the recording has the types of pandas 3")
HAS_TORCH = importlib.util.find_spec("torch") is not None

# Where Headrace differs and the difference stands for now, with the reason.
DIFFERS: dict[str, str] = {
    "transforming-rows_with_times_of_a_zone": "ray.data drops the time zone of rows' datetimes",
    "transforming-errored_blocks_are_skipped": "ray.data counts the rows of blocks that fail, too",
    "returning-series_in_a_dict": "ray.data makes objects of text in a Series, and nan of None",
    "groupby-std_with_nulls": "with nan among the values the deviation is nan, not None",
}


def _parameter(module: Any, name: str) -> Any:
    identity = f"{module.__name__.removeprefix('cases_')}-{name}"
    reason = DIFFERS.get(identity)
    marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
    return pytest.param(module, name, id=identity, marks=marks)


RECORDED = [
    _parameter(module, name) for module in corpus.modules() for name in corpus.cases_of(module)
]


def _expected(module: Any, name: str) -> Any:
    path = corpus.EXPECTED / f"{module.__name__}.json"
    recording = json.loads(path.read_text())
    assert name in recording, f"{name} is not in {path.name}: run record.py"
    return recording[name]


@pytest.mark.parametrize(("module", "name"), RECORDED)
def test_same_as_ray_data(module: Any, name: str, tmp_path: pathlib.Path) -> None:
    expected = _expected(module, name)
    case = corpus.cases_of(module)[name]
    if not HAS_TORCH and inspect.isfunction(case) and "torch" in inspect.getsource(case):
        pytest.skip("needs torch")
    got = corpus.run_case(case, headrace, tmp_path)
    lines = corpus.differences(expected, json.loads(json.dumps(got)))
    if lines:  # Neither promises the order of blocks where it is not asked for.
        headrace.DataContext.get_current().execution_options.preserve_order = True
        (tmp_path / "in_order").mkdir()
        got = corpus.run_case(case, headrace, tmp_path / "in_order")
        lines = corpus.differences(expected, json.loads(json.dumps(got)))
    if lines:
        pytest.fail("\n".join(lines[:20]), pytrace=False)


def test_a_changed_value_is_seen() -> None:
    """The comparison itself can fail: values, missing keys, lost base classes, lengths."""
    assert corpus.differences({"a": ["int 1"]}, {"a": ["int 2"]})
    assert corpus.differences({"a": 1, "b": 2}, {"a": 1})
    assert corpus.differences({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert corpus.differences([1, 2], [1])
    error = {"raises": ["ValueError"], "mentions": []}
    assert corpus.differences(error, {"raises": ["OSError"], "mentions": []})
    assert not corpus.differences(error, {"raises": ["OSError", "ValueError"], "mentions": []})
