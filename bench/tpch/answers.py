"""What the rows of an answer are, and how two answers differ."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Sequence
from typing import Any

TOLERANCE = 1e-9

Row = Sequence[Any]


def plain(value: Any) -> Any:
    """Returns a value as JSON has it: numbers of any kind as numbers, dates as text."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()[:10]
    return value


def rows_of(rows: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """Returns the values of rows, without their names: engines name columns as they like."""
    return [[plain(value) for value in row.values()] for row in rows]


def sort_columns(sql: str, names: Sequence[str]) -> list[int]:
    """Returns the places of the columns that the last ORDER BY of a query sorts by."""
    found = re.findall(r"^order by (.+)$", sql, re.MULTILINE)
    if not found:
        return []
    return [names.index(part.split()[0]) for part in found[-1].split(",")]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    if is_number(one) and is_number(other):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def any_order(row: Row) -> tuple[list[str], list[float]]:
    """A sort key by which nearly equal rows of two answers come to the same place."""
    return [str(v) for v in row if not is_number(v)], [float(v) for v in row if is_number(v)]


def difference(got: Sequence[Row], expected: Sequence[Row], sorted_by: Sequence[int] = ()) -> str:
    """Says how an answer differs from what it must be, or returns "".

    Rows that are equal in the columns `sorted_by` may stand in any order.
    """
    if len(got) != len(expected):
        return f"wrong answer: {len(got)} rows, not {len(expected)}"
    for number, (row, wanted) in enumerate(zip(got, expected, strict=True)):
        if len(row) != len(wanted):
            return f"wrong answer: {len(row)} columns, not {len(wanted)}"
        if not all(same(row[i], wanted[i]) for i in sorted_by):
            return f"wrong order: row {number} is {row}, not {wanted}"
    pairs = zip(sorted(got, key=any_order), sorted(expected, key=any_order), strict=True)
    for row, wanted in pairs:
        if not all(map(same, row, wanted)):
            return f"wrong answer: a row is {row}, not {wanted}"
    return ""
