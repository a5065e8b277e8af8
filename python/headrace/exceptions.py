"""Errors that the package raises beside Python's own.

A failing user function raises its own exception, with the user's frames; `UserCodeException` is a
base of what is raised then, beside the exception's own type, so that both `except ValueError` and
`except UserCodeException` work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])


class UserCodeException(Exception):
    """A function of the user failed. `__cause__` is the function's own exception."""


class RayDataUserCodeException(UserCodeException):
    """The older name of `UserCodeException`."""


class ColumnNotFoundError(KeyError, ValueError):
    """A column that a verb names is not there. Programs for Ray Data expect either base."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class SystemException(Exception):
    """The engine itself failed."""


class WorkerDiedError(SystemException):
    """A worker process ended while it ran a task, and did so again at every attempt."""


class StreamingSplitError(SystemException):
    """A consumer of a streaming split is lost, or the process that runs its dataset. Names it."""


class ExecutionTimeoutError(TimeoutError):
    """A run made no progress for `DataContext.execution_no_progress_timeout_s`."""


class TextDecodeError(UnicodeDecodeError):
    """Bytes of a file are no text in the encoding asked for. The reason says where; the bytes
    themselves, and their range, stay with the reader."""

    def __str__(self) -> str:
        return self.reason


def omit_traceback_stdout(fn: _F) -> _F:
    """Returns `fn` unchanged: errors here carry no internal frames that would have to be hidden."""
    return fn
