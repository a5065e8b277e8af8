"""Digests of functions: equal in every process, different when something has changed."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import types
import unittest.mock
from collections.abc import Callable
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from headrace._internal.fingerprint import _Walk, fingerprint, table_fingerprint

PROGRAM = """
import dataclasses, datetime, enum, functools, json, pathlib, re
import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
from headrace._internal.fingerprint import fingerprint

class Color(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Settings:
    a: int = 3
    names: frozenset = frozenset({"x", "y", "zebra"})
    when: datetime.date = datetime.date(2020, 1, 1)

WORDS = {"a", "b", "cc", "dd"}

class Base:
    table = {"k": {1, 2, 3}}
    def find(self):
        return WORDS

class Model(Base):
    def __init__(self, settings):
        self.settings = settings
        self.weights = np.arange(5)
    def __call__(self, batch):
        return helper(batch) + len(re.compile("a+").pattern)

def helper(batch):
    return np.sum(batch) + json.loads("1") + factorial(3)

def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)

@functools.wraps(helper)
def wrapped(x):
    return x in {"p", "q", "r"}

values = [
    Model, Model(Settings()), functools.partial(helper, 3), wrapped, factorial, lambda: Color.RED,
    Settings(), pd.DataFrame({"a": [1, 2], "s": ["x", None]}), pa.table({"a": [1]}),
    np.random.default_rng(3), pathlib.Path("/a"), Model(Settings()).__call__, {"x": {1.5, "y"}},
    (Model, ("a",), {"k": 2}), re.compile("x"),
]
try:
    import torch
    values += [torch.arange(4), torch.nn.Linear(2, 2).to(torch.bfloat16).__class__]
except ImportError:
    pass
copies = [cloudpickle.loads(cloudpickle.dumps(value)) for value in values]
print([fingerprint(value) for value in copies])
"""


def test_is_equal_in_every_process() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    digests = json.loads(printed[0].replace("'", '"'))
    assert len(set(digests)) == len(digests) >= 15


def made(code: str) -> str:
    """Returns the digest of `f` of a program, as a worker gets it."""
    room: dict[str, object] = {"__name__": "__main__"}
    exec(textwrap.dedent(code), room)
    return fingerprint(cloudpickle.loads(cloudpickle.dumps(room["f"])))


CODE = """
    import math
    LIMITS = {"low": 1}
    def helper(x, y=2):
        return [x + y + 1 for x in range(LIMITS["low"])]
    class Step:
        size = 3
        def run(self):
            return math.floor(2.5)
        _depth = 5
    def f(x):
        return helper(x), Step().run()
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("y=2", "y=3"),
        ("+ 1 for", "+ 2 for"),
        ('"low": 1', '"low": 2'),
        ("size = 3", "size = 4"),
        ("2.5", "2.6"),
        ("floor", "ceil"),
        ("_depth = 5", "_depth = 6"),
        ("return helper(x),", "return helper(x + 1),"),
    ],
)
def test_differs_by_what_the_function_reaches(before: str, after: str) -> None:
    assert before in CODE
    assert made(CODE) == made(CODE)
    assert made(CODE.replace(before, after)) != made(CODE)


def test_does_not_differ_by_where_the_code_stands() -> None:
    assert made("# A comment.\n" + textwrap.dedent(CODE)) == made(CODE)


def test_values() -> None:
    assert fingerprint(1) != fingerprint(1.0)
    assert fingerprint((1, 2)) != fingerprint([1, 2])
    assert fingerprint(np.arange(4)) != fingerprint(np.arange(4).reshape(2, 2))
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    loop: list[object] = [1]
    loop.append(loop)
    assert fingerprint(loop) == fingerprint(loop)


def test_follows_caches() -> None:
    def digest(code: str) -> str:
        # Such a function is pickled by its name, of a module that workers import.
        room: dict[str, object] = {"__name__": "__main__"}
        exec(textwrap.dedent(code), room)
        return fingerprint(room["f"])

    code = """
        import functools
        @functools.lru_cache(maxsize=8)
        def f(x):
            return x + 6
    """
    assert digest(code) == digest(code)
    assert digest(code) != digest(code.replace("x + 6", "x + 7"))


def test_sets_may_hold_what_names_them() -> None:
    code = """
        SEEN = set()
        def g(x):
            return SEEN, x + 1
        def f(x):
            return SEEN
        SEEN |= {f, g}
    """
    assert made(code) == made(code)
    assert made(code) != made(code.replace("x + 1", "x + 2"))


def test_tables_are_equal_however_they_are_cut() -> None:
    table = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    cut = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert table_fingerprint(cut) == table_fingerprint(table)
    assert table_fingerprint(table.slice(0, 2)) != table_fingerprint(table)
    assert table_fingerprint(table.rename_columns(["a", "c"])) != table_fingerprint(table)


@pytest.mark.parametrize(
    "code",
    [
        "def h(a, b): return a > b + 1\nkey = functools.cmp_to_key(h)\ndef f(x): return key(x)",
        "class M(type):\n    def __call__(cls, x): return x + 1\nclass f(metaclass=M): pass",
        "class I(int):\n    def add(self, x): return x + 1\ni = I(3)\ndef f(x): return i.add(x)",
        "class S(str): pass\ns = S('x')\ns.a = {'k': '+ 1'}\ndef f(x): return s.a",
        "def f(x): return f.a\nf.a = '+ 1'",
        "@functools.singledispatch\ndef f(x): return 0\n@f.register(int)\ndef _(x): return x + 1",
    ],
)
def test_follows_what_python_hides(code: str) -> None:
    def digest(code: str) -> str:
        room: dict[str, object] = {"__name__": "__main__", "functools": functools}
        exec(code, room)
        return fingerprint(room["f"])

    assert digest(code) == digest(code)
    assert digest(code) != digest(code.replace("+ 1", "+ 2"))


def test_differs_by_what_is_in_a_try() -> None:
    code = """
        def f(x):
            try:
                y = g(x)
                y = h(y)
            except ValueError:
                y = None
            return y
    """
    apart = """
        def f(x):
            try:
                y = g(x)
            except ValueError:
                y = None
            else:
                y = h(y)
            return y
    """
    assert made(code) == made(code)
    assert made(apart) != made(code)


@pytest.fixture
def own_package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that writes modules of a package, imports it, and returns the digest of its f."""
    numbers = itertools.count()

    def make(folder: str = "", **modules: str) -> str:
        root = tmp_path / str(next(numbers)) / folder
        (root / "own_package" / "inner").mkdir(parents=True)
        for name, source in modules.items():
            path = root / "own_package" / (name.replace("__", "/") + ".py")
            path.write_text(textwrap.dedent(source))
        with monkeypatch.context() as patched:
            patched.syspath_prepend(root)
            importlib.invalidate_caches()
            found = fingerprint(importlib.import_module("own_package.a").f)
        for name in [name for name in sys.modules if _is_own_package(name)]:
            del sys.modules[name]
        return found

    def _is_own_package(name: str) -> bool:
        return name.partition(".")[0] == "own_package"

    return make


@pytest.mark.parametrize(
    "source",
    [
        "from own_package import b\ndef f(x): return b.g(x)",
        "import own_package.b\ndef f(x): return own_package.b.g(x)",
        "from own_package import b\ndef f(x): return call(b)\ndef call(m): return m.g(1)",
        "from own_package import b\nclass A:\n    m = b\ndef f(x): return A.m.g(x)",
        "def f(x):\n    from own_package.b import g\n    return g(x)",
        "def f(x):\n    from . import b\n    return b.g(x)",
    ],
)
def test_follows_the_users_modules(source: str, own_package: Callable[..., str]) -> None:
    before = own_package(a=source, b="def g(x): return 1\nrest = 1")
    assert own_package(a=source, b="def g(x): return 1\nrest = 1") == before
    assert own_package(a=source, b="def g(x): return 2\nrest = 1") != before


def test_has_of_the_users_modules_what_is_named(own_package: Callable[..., str]) -> None:
    source = "from own_package import b\ndef f(x): return b.g(x)"
    before = own_package(a=source, b="def g(x): return h() + 1\ndef h(): return 3\nrest = 1")
    assert (
        own_package(a=source, b="def g(x): return h() + 1\ndef h(): return 3\nrest = 2") == before
    )
    assert (
        own_package(a=source, b="def g(x): return h() + 1\ndef h(): return 4\nrest = 1") != before
    )


def test_globals_of_libraries_do_not_matter(own_package: Callable[..., str]) -> None:
    library = "SEEN = {number}\ndef f(x): return SEEN, {number} and x + {added}"
    source = library.replace("{number} and ", "")
    place = "lib/site-packages"
    before = own_package(place, a=source.format(number=1, added=1))
    assert own_package(place, a=source.format(number=2, added=1)) == before
    assert own_package(place, a=source.format(number=2, added=2)) != before
    assert own_package(a=source.format(number=1, added=1)) != own_package(
        a=source.format(number=2, added=1)
    )


def test_follows_what_libraries_wrap() -> None:
    def digest(added: int) -> str:
        room: dict[str, Any] = {"__name__": "somewhere"}
        exec("def wrap(g):\n    def run(x): return g(x)\n    return run", room)
        own: dict[str, Any] = {"__name__": "__main__", "wrap": room["wrap"]}
        exec(f"@wrap\ndef f(x): return x + {added}", own)
        return fingerprint(own["f"])

    library = types.ModuleType("somewhere")
    library.__file__ = "/lib/site-packages/somewhere.py"
    with unittest.mock.patch.dict(sys.modules, {"somewhere": library}):
        assert digest(1) == digest(1) != digest(2)


def test_shared_parts_of_sets_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    parts = _Walk._parts
    monkeypatch.setattr(_Walk, "_parts", lambda self, v: (read.append(id(v)), parts(self, v))[1])
    shared = ("shared",)
    fingerprint({(i, shared) for i in range(9)})
    assert read.count(id(shared)) == 1
