"""Scalars of plain values are those of pyarrow, and cost no import."""

import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from headrace._internal.scalars import scalar_of


@pytest.mark.parametrize(
    "value",
    [
        *[0, -1, 2**63 - 1, -(2**63), 1.5, float("inf"), True, False, "", "é × ≤", None, b"x"],
        *[date(1994, 1, 1), date(1, 1, 1), datetime(2020, 1, 1), Decimal("0.05"), Decimal(24)],
        *[Decimal("-1.50"), Decimal("1E+3"), Decimal("0.000"), Decimal("1E-37"), Decimal("1E+50")],
        *[
            [1, 2],
            [1, 2.0],
            ["a", "é", ""],
            [True, False],
            [date(1994, 1, 1)],
            [None, 1],
            [],
            [[1]],
        ],
        *[[Decimal("1.5")], [Decimal(1), Decimal("2.5")]],
    ],
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
        "import datetime, decimal\n"
        "from headrace.expressions import col, lit\n"
        "ds = headrace.range(9).filter(expr=col('id').is_in([1, 2]))\n"
        "for value in (datetime.date(1994, 1, 1), decimal.Decimal('0.05')):\n"
        "    assert len(ds.with_column('x', lit(value) == lit(value)).take(5)) == 2\n"
        "assert 'pandas' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
