"""Digests of functions: equal in every process, different when something has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import cloudpickle
import numpy as np
import pyarrow as pa
import pytest

from headrace._internal.fingerprint import fingerprint, table_fingerprint

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
