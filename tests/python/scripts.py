"""Programs that use the engine, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from leftovers import processes, wait_until

PREAMBLE = """
import gc, glob, os, sys, time, traceback
import numpy as np
import headrace
from headrace import _core

headrace.DataContext.get_current().enable_progress_bars = False


def next_pipeline():
    gc.collect()
    assert _core.store_stats()["objects"] == 0, _core.store_stats()
    rows = headrace.range(9, override_num_blocks=3).map(lambda row: {"x": row["id"]}).take_all()
    assert [row["x"] for row in rows] == list(range(9))
    print("next", flush=True)


def told(error):
    return "".join(traceback.format_exception(error))
"""


class Script:
    """A program under way, and what it left when it was over."""

    def __init__(self, text: str, room: Path, command: Sequence[str] = ()) -> None:
        self._room = room
        for name in ("cwd", "tmp"):
            (room / name).mkdir(exist_ok=True)
        path = room / "script.py"
        path.write_text(PREAMBLE + textwrap.dedent(text))
        self.process = subprocess.Popen(
            [*command, sys.executable, str(path)],
            cwd=room / "cwd",
            env={**os.environ, "TMPDIR": str(room / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def finish(self, status: int = 0) -> tuple[str, str]:
        """Waits for the end; returns output and errors. Nothing may be left."""
        try:
            out, err = self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        assert self.process.returncode == status, out + err
        session = self.process.pid
        wait_until(lambda: not processes(lambda _, __, of: of == session), "processes are left")
        for name in ("cwd", "tmp"):
            assert list((self._room / name).iterdir()) == [], err
        return out, err
