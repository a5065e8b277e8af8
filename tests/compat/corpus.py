"""What the cases share: the registry, and small helpers that look at a library from outside.

A case is a function `case_name(ray_data, tmp_path)` in a file `cases_*.py`. It is written as a
user of `ray.data` would write it, takes the library as an argument, and returns something
that `describe` understands.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pathlib
import signal
import types
from collections.abc import Callable, Iterator
from typing import Any

from describe import Raw, Unordered, describe

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
Case = Callable[[types.ModuleType, pathlib.Path], Any]

# Names that say something to a user. Classes of one library only are left out of a recording.
_PUBLIC_ERRORS = {
    name
    for name, kind in vars(__import__("builtins")).items()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception
}


def sub(ray_data: types.ModuleType, name: str) -> types.ModuleType:
    """Returns the submodule `name` of the library: `sub(ray_data, "expressions")`."""
    return importlib.import_module(f"{ray_data.__name__}.{name}")


def unordered(items: Any) -> Unordered:
    """Marks items whose order the library does not promise."""
    return Unordered(items)


def rows(dataset: Any) -> Unordered:
    """Returns all rows of a dataset, in any order."""
    return Unordered(dataset.take_all())


def error_of(call: Callable[[], Any], *mentions: str) -> Any:
    """Runs `call` and describes how it failed: public base classes, and which words it says."""
    try:
        value = call()
    except Exception as error:
        return describe_error(error, mentions)
    return {"returned": value}


def describe_error(error: BaseException, mentions: tuple[str, ...] = ()) -> Raw:
    """Returns the builtin classes that `error` is an instance of, and its words of interest.

    A word counts as said by the text, by a note, or by the name of a class of the error.
    """
    lineage = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _PUBLIC_ERRORS]
    classes = [kind.__name__ for kind in type(error).__mro__]
    text = "\n".join([str(error), *getattr(error, "__notes__", []), *classes])
    said = [word for word in mentions if word.lower() in text.lower()]
    return Raw({"raises": sorted(set(lineage)), "mentions": said})


def fails(call: Callable[[], Any]) -> bool:
    """Returns whether `call` raises, where the class of the error is of no interest."""
    try:
        call()
    except Exception:
        return True
    return False


def stdout_of(call: Callable[[], Any]) -> str:
    """Returns what `call` prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        call()
    return out.getvalue()


def files_under(folder: Any) -> Raw:
    """Returns how many files of each extension lie in each folder below `folder`."""
    counts: dict[str, int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            where = os.path.relpath(parent, folder)
            key = f"{where}/*{''.join(pathlib.Path(name).suffixes)}"
            counts[key] = counts.get(key, 0) + 1
    return Raw(dict(sorted(counts.items())))


def modules() -> list[types.ModuleType]:
    """Imports and returns all files of cases."""
    return [importlib.import_module(path.stem) for path in sorted(HERE.glob("cases_*.py"))]


def cases_of(module: types.ModuleType) -> dict[str, Case]:
    """Returns the cases of one file by their names without the prefix."""
    prefix = "case_"
    return {
        name[len(prefix) :]: function
        for name, function in vars(module).items()
        if name.startswith(prefix) and callable(function)
    }


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Interrupts the main thread with TimeoutError after `seconds`."""

    def stop(signum: int, frame: Any) -> None:
        raise TimeoutError(f"no result after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_case(
    case: Case, ray_data: types.ModuleType, tmp_path: pathlib.Path, seconds: int = 60
) -> Any:
    """Runs one case and returns its JSON form; an exception that leaves the case is described."""
    with time_limit(seconds):
        try:
            return describe(case(ray_data, tmp_path))
        except TimeoutError:
            raise
        except Exception as error:
            return {"case raises": describe(describe_error(error))}


def differences(expected: Any, got: Any, where: str = "") -> list[str]:
    """Returns one line per place where `got` differs from `expected`.

    An exception may have more builtin base classes than expected, never fewer.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        if "raises" in expected and "raises" in got:
            return _error_differences(expected, got, where)
        lines = []
        for key in [*expected, *(k for k in got if k not in expected)]:
            place = f"{where}.{key}" if where else key
            if key not in got:
                lines.append(f"{place}: missing, expected {expected[key]}")
            elif key not in expected:
                lines.append(f"{place}: unexpected {got[key]}")
            else:
                lines += differences(expected[key], got[key], place)
        if not lines and list(expected) != list(got):
            lines.append(f"{where}: order of keys {list(expected)} became {list(got)}")
        return lines
    if isinstance(expected, list) and isinstance(got, list):
        lines = []
        if len(expected) != len(got):
            lines.append(f"{where}: {len(expected)} items expected, got {len(got)}")
        for i, (a, b) in enumerate(zip(expected, got, strict=False)):
            lines += differences(a, b, f"{where}[{i}]")
        return lines
    return [] if expected == got else [f"{where}: expected {expected!r}, got {got!r}"]


def _error_differences(expected: Any, got: Any, where: str) -> list[str]:
    lines = []
    lost = [name for name in expected["raises"] if name not in got["raises"]]
    if lost:
        lines.append(f"{where}: raises {got['raises']}, expected also {lost}")
    unsaid = [word for word in expected["mentions"] if word not in got["mentions"]]
    if unsaid:
        lines.append(f"{where}: the error does not mention {unsaid}")
    return lines
