"""Progress bars in a terminal while a run lasts: one for each operator.

A thread asks the engine for a snapshot a few times a second. Where the output is no terminal, or
bars are off, there is no thread and no cost.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headrace._internal.execution_options import format_bytes

if TYPE_CHECKING:
    from headrace.context import DataContext

_SECONDS_BETWEEN = 0.2
_SECONDS_BEFORE_FIRST = 0.3  # A shorter run shows nothing.
_NAME_LENGTH = 60


def wants_progress(context: DataContext) -> bool:
    """True if bars are on and stderr is a terminal, or HEADRACE_FORCE_PROGRESS is set."""
    if not context.enable_progress_bars:
        return False
    return bool(os.environ.get("HEADRACE_FORCE_PROGRESS")) or sys.stderr.isatty()


class ProgressDisplay:
    """Shows what `snapshot` tells until it is stopped.

    Args:
        snapshot: returns the operators' states; called from the display's own thread.
        context: the settings of names and operator bars.
        title: shown above the bars.
    """

    def __init__(
        self, snapshot: Callable[[], list[Any]], context: DataContext, title: str = ""
    ) -> None:
        self._snapshot = snapshot
        self._only_last = not context.enable_operator_progress_bars
        self._cut_names = context.enable_progress_bar_name_truncation
        self._title = title
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="headrace-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Shows the last state and returns when the thread has ended."""
        self._ended.set()
        self._thread.join()

    def _show(self) -> None:
        if self._ended.wait(_SECONDS_BEFORE_FIRST):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        bars: dict[int, Any] = {}
        with progress:
            if self._title:
                progress.console.print(f"Running {self._title}")
            while not self._ended.wait(_SECONDS_BETWEEN):
                self._update(progress, bars)
            self._update(progress, bars)

    def _update(self, progress: Any, bars: dict[int, Any]) -> None:
        states = self._snapshot()
        shown = list(enumerate(states))[-1:] if self._only_last else list(enumerate(states))
        for number, state in shown:
            total = state.tasks_total if state.tasks_total >= 0 else None
            if number not in bars:
                bars[number] = progress.add_task(self._name(state.name), counts="", total=total)
            done = state.tasks_done + state.tasks_failed
            progress.update(bars[number], completed=done, total=total, counts=counts_of(state))
        progress.refresh()

    def _name(self, name: str) -> str:
        if self._cut_names and len(name) > _NAME_LENGTH:
            return name[: _NAME_LENGTH - 1] + "…"
        return name


def counts_of(state: Any) -> str:
    """Returns the short text beside an operator's bar."""
    parts = [f"{state.output_rows:,} rows", format_bytes(state.output_bytes)]
    if state.tasks_running:
        parts.append(f"{state.tasks_running} running")
    if state.actors_ready or state.actors_starting:
        parts.append(f"{state.actors_ready} actors")
    waits_for = str(state.waits_for)
    if not state.tasks_running and waits_for not in ("none", "kNone", "", "finished"):
        parts.append(f"[{waits_for}]".replace("[", "\\["))
    return ", ".join(parts)
