"""Exceptions of the user's functions: what travels, and what is raised again."""

import linecache
import traceback
from types import SimpleNamespace

import pyarrow as pa
import pytest

from headrace._internal import errors, worker
from headrace.exceptions import UserCodeException


class OwnError(Exception):
    """Takes two arguments and so does not come back from a plain pickle of `args`."""

    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")
        self.code = code


class Unpicklable(ValueError):
    def __init__(self, text):
        super().__init__(text)
        self.lock = __import__("threading").Lock()


def failing(error):
    raise error


def own_text(raised):
    """Its text, without what stands behind it where Python does not show notes."""
    return str(raised).partition("\noperator ")[0]


def travel(error, context="operator Map(f)", kind="user_error"):
    """Raises `error`, describes it, and returns what the user would get."""
    try:
        failing(error)
    except BaseException as raised:
        parts = errors.describe(raised, context)
    return errors.rebuild({**parts, "kind": kind, "fallback": RuntimeError(parts["message"])})


def printed(error):
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        KeyError("k"),
        ValueError(),
        OSError(2, "No such file", "/x"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ImportError("no", name="m"),
        StopIteration(3),
        AssertionError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_own_type_is_raised(error):
    raised = travel(error)
    assert isinstance(raised, type(error))
    assert isinstance(raised, UserCodeException)
    assert own_text(raised) == str(error)
    assert raised.args == error.args
    assert type(raised).__name__ == type(error).__name__
    assert type(raised.__cause__) is type(error)
    for attribute in ("errno", "filename", "start", "name", "value"):
        if hasattr(error, attribute):
            assert getattr(raised, attribute) == getattr(error, attribute)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad value"),
        KeyError("name"),
        FileNotFoundError(2, "No such file", "x.bin"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        StopIteration(5),
        AssertionError(),
        OwnError(7, "seven"),
        UserCodeException("own"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("kind", ["user_error", "other", "worker_lost"])
def test_where_notes_are_not_shown_the_text_names_the_operator(error, kind, monkeypatch):
    monkeypatch.setattr(errors, "_SHOWS_NOTES", False)
    raised = travel(error, "operator Map(f), file x.parquet", kind)
    again = errors.rebuild(errors.parts_of(raised))
    for shown in (raised, again):
        assert printed(shown).count("operator Map(f), file x.parquet") >= 1
        if kind == "user_error":
            assert str(shown).count("operator Map(f), file x.parquet") == 1
            assert isinstance(shown, UserCodeException)


def test_the_users_frames_come_first():
    text = printed(travel(ZeroDivisionError("by zero")))
    assert "in failing" in text
    line = linecache.getline(__file__, failing.__code__.co_firstlineno + 1).strip()
    assert line == "raise error"
    assert text.index(line) < text.index("operator Map(f)")
    assert text.index("direct cause") < text.index("operator Map(f)")


def test_frames_of_this_package_are_left_out():
    runtime = worker.Runtime()
    with pytest.raises(TypeError) as caught:
        runtime._map_batches(1, "nonsense", True, iter(())).send(1)
    frames = errors._user_frames(caught.value.__traceback__)
    assert all("headrace/_internal" not in file for file, _, _ in frames)


def test_types_that_do_not_pickle_become_the_nearest_builtin():
    raised = travel(Unpicklable("held a lock"))
    assert isinstance(raised, ValueError)
    assert "held a lock" in str(raised)


def test_types_with_other_constructors_come_back_or_become_the_nearest_builtin():
    raised = travel(OwnError(7, "seven"))
    assert isinstance(raised, UserCodeException)
    assert "7: seven" in str(raised)


def test_chains_travel():
    try:
        try:
            failing(KeyError("inner"))
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as outer:
        raised = travel(outer)
    assert isinstance(raised.__cause__.__cause__, KeyError)
    assert "inner" in printed(raised)


def test_the_context_is_shown():
    assert "file x.parquet, rows 1–3" in printed(
        travel(ValueError("v"), "file x.parquet, rows 1–3")
    )


def test_interrupts_stay_what_they_are():
    raised = travel(KeyboardInterrupt())
    assert type(raised) is KeyboardInterrupt


def test_an_exit_of_the_function_is_no_exit_of_the_program():
    raised = travel(SystemExit(3), "operator Map(f)")
    assert type(raised) is UserCodeException
    assert own_text(raised) == "the function called sys.exit(3)"
    assert type(raised.__cause__) is SystemExit
    assert "operator Map(f)" in printed(raised)


def test_a_lost_worker_has_its_own_type():
    parts = {"message": "gone", "context": "", "traceback": "", "exception": None}
    raised = errors.rebuild({**parts, "kind": "worker_lost", "fallback": RuntimeError("gone")})
    assert not isinstance(raised, UserCodeException)
    assert "gone" in str(raised)


def test_failures_without_exception_use_the_fallback():
    parts = {"message": "m", "context": "in file y", "traceback": "", "exception": None}
    raised = errors.rebuild({**parts, "kind": "other", "fallback": FileNotFoundError("m")})
    assert type(raised) is FileNotFoundError
    assert "in file y" in printed(raised)


def test_the_offending_row_is_named_and_cut_short():
    runtime = worker.Runtime()
    table = pa.table({"id": list(range(20000)), "text": ["x" * 10000] * 20000})
    batch = SimpleNamespace(table=table, payload=None, origin="file a.csv, rows 0–19999")

    def fail_late(row):
        if row["id"] == 17000:
            raise LookupError("late")
        return row

    spec = SimpleNamespace(name="fail_late", kind="map_rows", batch_format="")
    with pytest.raises(LookupError) as caught:
        list(runtime._map_rows(fail_late, iter([batch])))
    context = runtime.describe_failure(caught.value, spec, batch)["context"]
    assert "'id': 17000" in context
    assert "file a.csv" in context
    assert "inline_mode" in context
    assert len(context) < 1000
