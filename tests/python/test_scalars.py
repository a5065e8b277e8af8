"""Scalars of plain values are those of pyarrow, and cost no import."""

import subprocess
import sys

import pyarrow as pa
import pytest

from headrace._internal.scalars import scalar_of


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**63 - 1, -(2**63), 1.5, float("inf"), True, False, "", "é × ≤", None, b"x", [1, 2]],
)
def test_same_as_pyarrow(value):
    assert scalar_of(value).equals(pa.scalar(value))


def test_too_large_is_the_same_error():
    with pytest.raises(OverflowError):
        pa.scalar(2**64)
    with pytest.raises(OverflowError):
        scalar_of(2**64)


def test_small_native_job_imports_no_pandas():
    program = (
        "import sys, headrace\n"
        "assert len(headrace.range(100).filter(expr='id > 10').take(5)) == 5\n"
        "assert 'pandas' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
