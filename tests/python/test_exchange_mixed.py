"""Tables in blocks of differing types, made at random: each operator against plain Python over the
values, whatever the types that they came in."""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import itertools
import math
from typing import Any

import pyarrow as pa
import pytest
from exchange_tables import plain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace
from headrace.aggregate import Count, CountDistinct, Max, Min, Sum, Unique

pytestmark = pytest.mark.usefixtures("settings")

FEW = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))

_EPOCH = datetime.datetime(2000, 1, 1)
_INTS = st.integers(-3, 3)
_QUARTERS = st.integers(-8, 8).map(lambda n: n / 4)
_FLOATS = st.one_of(_QUARTERS, st.sampled_from([math.nan, -0.0, 1e300, -math.inf]))
_DECIMALS = st.integers(-8, 8).map(lambda n: decimal.Decimal(n) / 4)
_TEXTS = st.sampled_from(["", "a", "b", "ab", "a\0", "ä", "zebra" * 4])
_TIMES = st.integers(-3, 3).map(lambda n: _EPOCH + datetime.timedelta(hours=n))
_DATES = st.integers(-3, 3).map(lambda n: _EPOCH.date() + datetime.timedelta(days=n))
_SPANS = st.integers(-3, 3).map(lambda n: datetime.timedelta(seconds=n))

# Types whose values are to meet, by what they hold.
_FAMILIES: dict[str, list[tuple[pa.DataType, st.SearchStrategy[Any]]]] = {
    "number": [
        (pa.int8(), _INTS),
        (pa.int64(), _INTS),
        (pa.uint16(), st.integers(0, 3)),
        (pa.float32(), _QUARTERS),
        (pa.float64(), _FLOATS),
    ],
    "decimal": [
        (pa.decimal128(9, 2), _DECIMALS),
        (pa.decimal128(12, 3), _DECIMALS),
        (pa.decimal256(40, 5), _DECIMALS),
        (pa.int32(), _INTS),
    ],
    "text": [
        (pa.string(), _TEXTS),
        (pa.large_string(), _TEXTS),
        (pa.string_view(), _TEXTS),
        (pa.dictionary(pa.int8(), pa.string()), _TEXTS),
        (pa.dictionary(pa.int32(), pa.string()), _TEXTS),
    ],
    "time": [(pa.timestamp(unit), _TIMES) for unit in ("s", "ms", "us")],
    "date": [(pa.date32(), _DATES), (pa.date64(), _DATES)],
    "span": [(pa.duration(unit), _SPANS) for unit in ("s", "ms", "us")],
}
_NESTED: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.list_(pa.int64()), st.lists(_INTS, max_size=2)),
    (pa.list_(pa.float64()), st.lists(_QUARTERS, max_size=2)),
    (pa.large_list(pa.int8()), st.lists(_INTS, max_size=2)),
]
_STRUCTS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.struct([("x", pa.int8())]), st.fixed_dictionaries({"x": _INTS})),
    (pa.struct([("x", pa.float64())]), st.fixed_dictionaries({"x": _QUARTERS})),
    (
        pa.struct([("y", pa.string()), ("x", pa.int64())]),
        st.fixed_dictionaries({"y": st.none(), "x": _INTS}),
    ),
]


@st.composite
def _arrays(draw: st.DrawFn, family: list[Any], rows: int) -> pa.Array:
    """Draws one block's column: of one of the types, or of nulls."""
    choice = draw(st.integers(0, len(family)))
    if choice == len(family):
        return pa.nulls(rows)
    type_, values = family[choice]
    drawn = draw(st.lists(st.one_of(st.none(), values), min_size=rows, max_size=rows))
    if pa.types.is_dictionary(type_):
        return pa.array(drawn, pa.string()).dictionary_encode().cast(type_)
    return pa.array(drawn, type_)


@st.composite
def mixed(draw: st.DrawFn, family: str, rows_max: int = 8) -> list[pa.Table]:
    """Draws blocks with the key "k", "v" of mixed numbers, "l" of lists, "p" of structs, "n", the
    row's number, and in some of them "x"."""
    columns = {"k": _FAMILIES[family], "v": _FAMILIES["number"], "l": _NESTED, "p": _STRUCTS}
    blocks = []
    number = itertools.count()
    for block in range(draw(st.integers(1, 5))):
        rows = draw(st.integers(0, rows_max)) if block else draw(st.integers(1, rows_max))
        table: dict[str, Any] = {}
        for name, types in columns.items():
            table[name] = draw(_arrays(types, rows))
        table["n"] = pa.array([next(number) for _ in range(rows)], pa.int64())
        if draw(st.booleans()):
            table["x"] = draw(_arrays(_FAMILIES["decimal"], rows))
        blocks.append(pa.table(table))
    return blocks


FAMILIES = pytest.mark.parametrize("family", list(_FAMILIES))
COLUMNS = ("k", "v", "l", "p", "n", "x")


def _rows(blocks: list[pa.Table]) -> list[dict[str, Any]]:
    rows = [row for block in blocks for row in block.to_pylist()]
    return [{name: row.get(name) for name in COLUMNS} for row in rows]


def _same(value: Any) -> Any:
    """As `plain`, but fields that are null are as if they were not there."""
    if isinstance(value, dict):
        kept = {name: part for name, part in sorted(value.items()) if part is not None}
        return ("struct", tuple((name, _same(part)) for name, part in kept.items()))
    return plain(value)


def _form(row: dict[str, Any]) -> Any:
    return tuple((name, _same(row.get(name))) for name in COLUMNS)


def _forms(rows: list[dict[str, Any]]) -> list[Any]:
    return sorted(map(_form, rows))


def _out(dataset: Any) -> list[dict[str, Any]]:
    return dataset._to_table().to_pylist()


def _rank(value: Any) -> int:
    if value is None:
        return 2
    return 1 if isinstance(value, float) and math.isnan(value) else 0


def _compare(a: dict[str, Any], b: dict[str, Any], down: bool) -> int:
    x, y = a["k"], b["k"]
    if _rank(x) != _rank(y) or _rank(x):
        return _rank(x) - _rank(y)
    if isinstance(x, str):
        x, y = x.encode(), y.encode()
    return ((x > y) - (x < y)) * (-1 if down else 1)


@FAMILIES
@FEW
@given(data=st.data(), down=st.booleans(), small=st.booleans())
def test_sort(family: str, data: st.DataObject, down: bool, small: bool) -> None:
    blocks = data.draw(mixed(family))
    if small:  # Each row is a block, so that tasks see but some of the types.
        blocks = [block.slice(i, 1) for block in blocks for i in range(block.num_rows)]
    expected = sorted(
        _rows(blocks), key=functools.cmp_to_key(functools.partial(_compare, down=down))
    )
    got = _out(headrace.from_arrow(blocks).sort("k", descending=down))
    assert list(map(_form, got)) == list(map(_form, expected))


@FAMILIES
@FEW
@given(data=st.data())
def test_what_only_moves_rows(family: str, data: st.DataObject) -> None:
    blocks = data.draw(mixed(family))
    ds = headrace.from_arrow(blocks)
    rows = _rows(blocks)
    assert _forms(_out(ds.random_shuffle(seed=data.draw(st.integers(0, 99))))) == _forms(rows)
    assert list(map(_form, _out(ds.repartition(2)))) == list(map(_form, rows))
    assert _forms(_out(ds.repartition(2, shuffle=True))) == _forms(rows)
    assert _forms(_out(ds.union(ds))) == _forms(rows + rows)
    batches = list(ds.iter_batches(batch_size=3, batch_format="pyarrow"))
    assert [_form(row) for batch in batches for row in batch.to_pylist()] == list(map(_form, rows))
    assert ds.to_pandas().shape[0] == len(rows)


@FAMILIES
@FEW
@given(data=st.data())
def test_equal_keys_meet_in_one_block(family: str, data: st.DataObject) -> None:
    blocks = data.draw(mixed(family))
    made = headrace.from_arrow(blocks).repartition(5, keys=["k"]).materialize()
    assert _forms(_out(made)) == _forms(_rows(blocks))
    where: dict[Any, set[int]] = collections.defaultdict(set)
    for number, block in enumerate(made._plan.blocks()):
        for value in block.get().column("k").to_pylist():
            where[_same(value)].add(number)
    assert all(len(numbers) == 1 for numbers in where.values())


@pytest.mark.parametrize("key", ["k", "l", "p"])
@FAMILIES
@FEW
@given(data=st.data())
def test_groups(family: str, key: str, data: st.DataObject) -> None:
    blocks = data.draw(mixed(family))
    groups: dict[Any, list[Any]] = collections.defaultdict(list)
    for row in _rows(blocks):
        groups[_same(row[key])].append(row["v"])
    ds = headrace.from_arrow(blocks)
    made = _out(ds.groupby(key).aggregate(Count(alias_name="c"), Sum("v", alias_name="s")))
    counts = {_same(row[key]): (row["c"], row["s"]) for row in made}
    assert len(made) == len(groups)

    def total(values: list[Any]) -> Any:
        present = [value for value in values if value is not None]
        return plain(sum(present)) if present else plain(None)

    assert {k: (c, plain(s)) for k, (c, s) in counts.items()} == {
        k: (len(values), total(values)) for k, values in groups.items()
    }
    sizes = _out(ds.groupby(key).map_groups(lambda g: {"rows": [len(g["n"])]}))
    assert sorted(row["rows"] for row in sizes) == sorted(map(len, groups.values()))


@FAMILIES
@FEW
@given(data=st.data())
def test_folds_of_a_mixed_column(family: str, data: st.DataObject) -> None:
    blocks = data.draw(mixed(family))
    values = [row["k"] for row in _rows(blocks)]
    present = [value for value in values if value is not None]
    ds = headrace.from_arrow(blocks)
    folded = ds.aggregate(
        Min("k", alias_name="min"),
        Max("k", alias_name="max"),
        CountDistinct("k", alias_name="distinct"),
        Unique("k", alias_name="unique"),
    )
    distinct = {_same(value) for value in present}
    assert folded["distinct"] == len(distinct)
    assert {_same(value) for value in folded["unique"]} - {_same(None)} == distinct
    assert {_same(value) for value in ds.unique("k")} == {_same(value) for value in values}
    if not any(isinstance(value, float) and math.isnan(value) for value in present):
        text = any(isinstance(value, str) for value in present)
        order = (lambda value: value.encode()) if text else (lambda value: value)
        assert _same(folded["min"]) == _same(min(present, key=order, default=None))
        assert _same(folded["max"]) == _same(max(present, key=order, default=None))


@pytest.mark.parametrize("kind", ["inner", "full_outer", "left_semi", "right_anti"])
@FAMILIES
@FEW
@given(data=st.data())
def test_joins(family: str, kind: str, data: st.DataObject) -> None:
    sides = [data.draw(mixed(family, 5)) for _ in range(2)]
    left = [block.select(["k", "n"]) for block in sides[0]]
    right = [block.select(["k", "n"]).rename_columns(["k", "m"]) for block in sides[1]]
    keys = [[(_same(row["k"]), row["n"]) for row in _rows(side)] for side in sides]
    null = _same(None)
    pairs = [(a, b) for ka, a in keys[0] for kb, b in keys[1] if ka == kb and ka != null]
    met_left, met_right = {a for a, _ in pairs}, {b for _, b in pairs}
    expected: list[tuple[Any, Any]]
    if kind == "left_semi":
        expected = [(a, None) for a in met_left]
    elif kind == "right_anti":
        expected = [(None, b) for _, b in keys[1] if b not in met_right]
    else:
        expected = list(pairs)
        if kind == "full_outer":
            expected += [(a, None) for _, a in keys[0] if a not in met_left]
            expected += [(None, b) for _, b in keys[1] if b not in met_right]
    partitions = data.draw(st.integers(1, 4))
    joined = headrace.from_arrow(left).join(headrace.from_arrow(right), kind, partitions, on=("k",))
    got = [(row.get("n"), row.get("m")) for row in _out(joined)]
    assert sorted(got, key=str) == sorted(expected, key=str)


@FAMILIES
@FEW
@given(data=st.data())
def test_zip(family: str, data: st.DataObject) -> None:
    blocks = data.draw(mixed(family))
    rows = _rows(blocks)
    other = headrace.from_arrow(pa.table({"o": range(len(rows))}))
    got = _out(headrace.from_arrow(blocks).zip(other))
    assert [(_form(row), row["o"]) for row in got] == [
        (_form(row), number) for number, row in enumerate(rows)
    ]
