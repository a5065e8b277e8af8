"""Exceptions across processes: described where they happen, raised again where the user waits.

The user gets an exception of the type that the function raised, which is a `UserCodeException` too.
Its cause is the exception itself, with the frames of the process in which it happened, so that
Python shows those first.
"""

from __future__ import annotations

import builtins
import os
import pickle
import sys
import traceback
import types
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LINKS_MAX = 8
_FRAMES_MAX = 200
_TOLD = "_headrace_told"  # Of types made here: what to add to the exception's own text.
_SHOWS_NOTES = sys.version_info >= (3, 11)  # Below an exception's text, in tracebacks.

Frame = tuple[str, str, int]  # File, function, line.


class RemoteContext(Exception):
    """Where a function failed; shown between the function's own error and the one raised."""


# ---- Where it happens -----------------------------------------------------------------------


def describe(error: BaseException, context: str = "") -> dict[str, Any]:
    """Returns what `rebuild` needs: message, context, traceback (text) and exception (bytes)."""
    links: list[tuple[bytes, list[Frame], bool]] = []
    link: BaseException | None = error
    while link is not None and len(links) < _LINKS_MAX:
        following, is_cause = _next_link(link)
        links.append((_pickle_exception(link), _user_frames(link.__traceback__), is_cause))
        link = following
    return {
        "message": _first_text(error),
        "context": context,
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        "exception": pickle.dumps(links),
    }


def _next_link(error: BaseException) -> tuple[BaseException | None, bool]:
    if error.__cause__ is not None:
        return error.__cause__, True
    if error.__suppress_context__:
        return None, False
    return error.__context__, False


def _first_text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "<its text cannot be had>"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _user_frames(tb: types.TracebackType | None) -> list[Frame]:
    """Returns the frames outside of this package, outermost first."""
    frames = [
        (frame.f_code.co_filename, frame.f_code.co_name, line)
        for frame, line in traceback.walk_tb(tb)
        if not frame.f_code.co_filename.startswith(_PACKAGE)
    ]
    return frames[-_FRAMES_MAX:]


def _pickle_exception(error: BaseException) -> bytes:
    """Pickles the exception, or the nearest builtin one with its text if it cannot travel."""
    import cloudpickle

    try:
        data = cloudpickle.dumps(error)
        # Classes whose __init__ asks for more than `args` pickle well, and fail to come back.
        if isinstance(pickle.loads(data), BaseException):
            return data
    except Exception:
        pass
    return pickle.dumps(_builtin_like(error))


def _builtin_like(error: BaseException) -> BaseException:
    text = _first_text(error)
    for base in type(error).__mro__:
        if base.__module__ == "builtins" and issubclass(base, BaseException):
            try:
                return base(text)
            except Exception:
                continue
    return RuntimeError(text)


# ---- Where it is raised ---------------------------------------------------------------------


def rebuild(parts: dict[str, Any]) -> BaseException:
    """Returns the exception to raise for a failure.

    Args:
        parts: message, context and traceback (str), exception (bytes or None), kind
            ("user_error", "worker_lost" or "other") and fallback, the exception to raise where
            there is none of the user's.
    """
    if parts["kind"] == "worker_lost":
        return _annotated(_worker_died(parts["message"]), parts["context"])
    error = _unpickle(parts["exception"]) if parts["exception"] is not None else None
    if error is None:
        error = parts["fallback"]
        if parts["traceback"]:
            error.__cause__ = RemoteContext("\n" + parts["traceback"])
        return _annotated(error, parts["context"])
    if isinstance(error, SystemExit):
        return _annotated(_no_exit(error), parts["context"])
    if not isinstance(error, Exception) or parts["kind"] != "user_error":
        return _annotated(error, parts["context"])
    raised = _as_user_code_exception(error)
    raised.__cause__ = error
    return _annotated(raised, parts["context"])


def parts_of(raised: BaseException) -> dict[str, Any]:
    """Returns what `rebuild` needs to make another exception like `raised`, which was raised here:
    for each of several threads, or for other processes."""
    from headrace.exceptions import UserCodeException

    notes = list(getattr(raised, "__notes__", []))
    cause = raised.__cause__
    if isinstance(cause, RemoteContext):  # Where notes are not shown.
        cause = cause.__cause__
    is_user_error = isinstance(raised, UserCodeException) and cause is not None
    parts = describe(cause if is_user_error and cause is not None else raised, "\n".join(notes))
    parts["kind"] = "user_error" if is_user_error else "other"
    parts["fallback"] = None
    return parts


def undecodable(message: str) -> UnicodeDecodeError:
    """Returns the exception for bytes that are no text."""
    from headrace.exceptions import TextDecodeError

    return TextDecodeError("unknown", b"", 0, 0, message)


def _worker_died(message: str) -> BaseException:
    from headrace.exceptions import WorkerDiedError

    return WorkerDiedError(message)


def _no_exit(error: SystemExit) -> BaseException:
    """Raised as it is, it would end the user's program without a word."""
    from headrace.exceptions import UserCodeException

    raised = UserCodeException(f"the function called sys.exit({error.code!r})")
    raised.__cause__ = error
    return raised


def _annotated(error: BaseException, context: str) -> BaseException:
    """Notes `context` on the exception; where Python does not show notes, also in its text."""
    notes: list[str] = error.__dict__.setdefault("__notes__", [])
    if not context or context in notes:
        return error
    notes.append(context)
    if not _SHOWS_NOTES:
        _add_to_text(error, "\n" + context)
    return error


def _add_to_text(error: BaseException, text: str) -> None:
    if text in _first_text(error):
        return
    if hasattr(type(error), _TOLD):
        setattr(error, _TOLD, text)
    elif isinstance(error, OSError) and error.strerror is not None:
        error.strerror = f"{error.strerror}{text}"
    elif len(error.args) == 1 and isinstance(error.args[0], str):
        error.args = (error.args[0] + text,)
    if text in _first_text(error):
        return
    told = RemoteContext(text)  # Its type makes the text from something else.
    told.__cause__ = error.__cause__
    error.__cause__ = told


def _unpickle(data: bytes) -> BaseException | None:
    try:
        links = [
            (pickle.loads(pickled), frames, is_cause)
            for pickled, frames, is_cause in pickle.loads(data)
        ]
    except Exception:
        return None
    errors = [_with_frames(error, frames) for error, frames, _ in links]
    for i in range(len(errors) - 1):
        if links[i][2]:
            errors[i].__cause__ = errors[i + 1]
        else:
            errors[i].__context__ = errors[i + 1]
    return errors[0]


def _with_frames(error: BaseException, frames: list[Frame]) -> BaseException:
    """Gives `error` a traceback that prints, and opens in a debugger, like the one it had."""
    tb: types.TracebackType | None = None
    for file, name, line in reversed(frames):
        frame = _frame_at(file, name, line)
        if frame is not None:
            tb = types.TracebackType(tb, frame, frame.f_lasti, line)
    return error.with_traceback(tb)


def _frame_at(file: str, name: str, line: int) -> types.FrameType | None:
    """Returns a frame that says to be in function `name` at a line of `file`: of code compiled to
    raise there."""
    try:
        module = compile("\n" * (max(line, 1) - 1) + "raise _Here", file, "exec")
        code = module.replace(co_name=name)
        if sys.version_info >= (3, 11):
            code = code.replace(co_qualname=name)
        exec(code, {"_Here": _Here, "__name__": name})
    except _Here as here:
        tb = here.__traceback__
        while tb is not None and tb.tb_next is not None:
            tb = tb.tb_next
        return tb.tb_frame if tb is not None else None
    except Exception:
        return None
    return None


class _Here(Exception):
    pass


def _as_user_code_exception(error: Exception) -> Exception:
    """Returns an exception of `error`'s own type and of `UserCodeException`, equal to `error`."""
    from headrace.exceptions import UserCodeException

    if isinstance(error, UserCodeException):
        return error
    own = type(error)
    if issubclass(UserCodeException, own):
        return UserCodeException(*error.args)
    try:
        members = {
            "__module__": own.__module__,
            "__qualname__": own.__qualname__,
            "__doc__": own.__doc__,
            "__reduce__": lambda self: error.__reduce__(),
            "__str__": lambda self: own.__str__(self) + getattr(self, _TOLD),
            _TOLD: "",
        }
        both: Any = type(own.__name__, (own, UserCodeException), members)
        reduced: Any = error.__reduce__()
        _, args, *state = reduced
        raised = both.__new__(both, *args)
        _run_builtin_init(raised, args)
        if state:
            raised.__setstate__(state[0])
        raised.args = error.args
        raised.__dict__.pop("__notes__", None)
    except Exception:
        # Types that cannot be subclassed, or whose __new__ wants something else.
        return UserCodeException(_first_text(error))
    return raised


def _run_builtin_init(raised: BaseException, args: tuple[Any, ...]) -> None:
    """Runs the nearest builtin type's __init__, which keeps state beside __dict__."""
    for base in type(raised).__mro__:
        if getattr(builtins, base.__name__, None) is base:
            try:
                base.__init__(raised, *args)  # type: ignore[misc]
            except TypeError:
                pass
            return
