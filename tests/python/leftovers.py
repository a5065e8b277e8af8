"""What tests of errors look at: what is printed, and what a run left."""

from __future__ import annotations

import pathlib
import re
import time
import traceback
from collections.abc import Callable


def told(error: BaseException) -> str:
    """What Python prints of an error that nobody catches."""
    return "".join(traceback.format_exception(error))


def processes(of: Callable[[int, int, int], bool]) -> set[int]:
    """Returns the processes, zombies too, of which `of(pid, parent, session)` holds."""
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and of(int(entry.name), int(fields[1]), int(fields[3])):
            found.add(int(entry.name))
    return found


def descendants(root: int) -> set[int]:
    """Returns the processes under `root`, zombies too."""
    parents: dict[int, int] = {}
    processes(lambda pid, parent, _: parents.setdefault(pid, parent) < 0)
    found: set[int] = set()
    level = {root}
    while level := {pid for pid, parent in parents.items() if parent in level} - found:
        found |= level
    return found


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Returns as soon as `holds()`; fails after 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def mapped_segments() -> set[str]:
    """Returns the shared-memory segments that this process has mapped, by inode."""
    maps = pathlib.Path("/proc/self/maps").read_text()
    return set(re.findall(r"(\d+) +/memfd:\S+", maps))
