"""Shared by the Python tests and those of the API: no test sees the settings of another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def settings() -> Iterator[object]:
    """Gives each test settings of its own, and puts back those of the process."""
    context = pytest.importorskip("headrace.context").DataContext
    before = context.get_current()
    mine = before.copy()
    mine.enable_progress_bars = False
    context._set_current(mine)
    yield mine
    context._set_current(before)
