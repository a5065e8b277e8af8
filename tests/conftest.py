"""Shared by the Python tests and those of the API: no test sees the settings of another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def settings() -> Iterator[object]:
    """Gives each test settings of its own, and puts back those of the process."""
    try:
        from headrace.context import DataContext
    except ImportError:  # Tests of the package need none.
        yield None
        return
    before = DataContext.get_current()
    mine = before.copy()
    mine.enable_progress_bars = False
    DataContext._set_current(mine)
    yield mine
    DataContext._set_current(before)
