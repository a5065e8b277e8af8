"""The state of the user's process that its workers take over: module path, working directory."""

from __future__ import annotations

import os
import pickle
import sys


def setup_payload() -> bytes:
    """Returns what a worker needs to import what this process can import."""
    try:
        directory = os.getcwd()
    except OSError:
        directory = ""
    return pickle.dumps((list(sys.path), directory))


def apply_setup(payload: bytes) -> None:
    """Takes over the module path and the working directory of the process that asked."""
    if not payload:
        return
    sys_path, directory = pickle.loads(payload)
    sys.path[:] = sys_path
    if directory:
        try:
            os.chdir(directory)
        except OSError:
            pass  # It is gone; paths that are not relative to it still work.
