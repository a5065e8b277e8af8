"""What workers take over from the user's process: interpreter, module path, working directory."""

from __future__ import annotations

import os
import pickle
import sys

# Flags of the interpreter that no option of its command line stands for.
_NO_OPTIONS = ("hash_randomization", "utf8_mode", "int_max_str_digits", "gil")


def template_command() -> list[str]:
    """Returns the command of the worker template: this interpreter with its options, made to find
    modules where this process finds them; none if the interpreter's file is not known."""
    if not sys.executable:
        return []
    code = (
        f"import os, sys; sys.path[:] = {sys.path!r}; os.environ['HEADRACE_LAZY_IMPORT'] = '1'; "
        "from headrace._internal import template; template.main()"
    )
    return [sys.executable, *_interpreter_options(), "-c", code]


def _interpreter_options() -> list[str]:
    """Returns the options that this interpreter was started with."""
    flags = {name for name in dir(sys.flags) if _is_flag(name) and getattr(sys.flags, name)}
    if not (sys.warnoptions or sys._xoptions or flags - {"dont_write_bytecode"}):
        return ["-B"] if flags else []  # Which images of containers often ask for.
    import subprocess  # Takes longer to import than a small job to run.

    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined, no-any-return]


def _is_flag(name: str) -> bool:
    return not (name.startswith(("_", "n_")) or name in ("count", "index", *_NO_OPTIONS))


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
