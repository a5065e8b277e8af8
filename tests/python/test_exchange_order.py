"""Sorts, shuffles and cuts of tables made at random, against Python's own sort."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import pyarrow as pa
import pytest
from exchange_tables import FEW, KEY_COLUMNS, datasets, in_order, plain, row_set
from hypothesis import given
from hypothesis import strategies as st

import headrace

pytestmark = pytest.mark.usefixtures("settings")


def _rank(value: Any) -> int:
    """Values, then nan, then null, whatever the direction."""
    if value is None:
        return 2
    return 1 if isinstance(value, float) and math.isnan(value) else 0


def _compare(a: dict[str, Any], b: dict[str, Any], keys: list[tuple[str, bool]]) -> int:
    for name, descending in keys:
        x, y = a[name], b[name]
        if _rank(x) != _rank(y):
            return _rank(x) - _rank(y)
        if _rank(x) == 0 and x != y:
            if isinstance(x, str):
                x, y = x.encode(), y.encode()
            return (1 if x > y else -1) * (-1 if descending else 1)
    return 0


def _sorted(table: pa.Table, keys: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    return sorted(
        table.to_pylist(), key=functools.cmp_to_key(functools.partial(_compare, keys=keys))
    )


def _numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [row["n"] for row in rows]


KEYS = st.lists(
    st.tuples(st.sampled_from(KEY_COLUMNS), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda key: key[0],
)


@FEW
@given(drawn=datasets(), keys=KEYS)
def test_sort(drawn: Any, keys: list[tuple[str, bool]]) -> None:
    table, ds = drawn
    got = in_order(ds.sort([name for name, _ in keys], descending=[down for _, down in keys]))
    expected = _sorted(table, keys)
    assert _numbers(got) == _numbers(expected)
    assert list(map(plain, got)) == list(map(plain, expected))


@FEW
@given(drawn=datasets(), keys=KEYS, rows=st.integers(0, 12))
def test_limit_of_a_sort(drawn: Any, keys: list[tuple[str, bool]], rows: int) -> None:
    table, ds = drawn
    made = ds.sort([name for name, _ in keys], descending=[down for _, down in keys]).limit(rows)
    assert _numbers(in_order(made)) == _numbers(_sorted(table, keys)[:rows])


@FEW
@given(drawn=datasets(), cuts=st.lists(st.integers(-2, 2), max_size=3), down=st.booleans())
def test_sort_with_boundaries(drawn: Any, cuts: list[int], down: bool) -> None:
    table, ds = drawn
    made = ds.sort("k", descending=down, boundaries=cuts).materialize()
    assert _numbers(in_order(made)) == _numbers(_sorted(table, [("k", down)]))
    bounds = sorted(set(cuts), reverse=down)
    if not bounds:
        return
    blocks = [block.get().column("k").to_pylist() for block in made._plan.blocks()]
    filled = [[key for key in keys if key is not None] for keys in blocks]
    places = [[sum(_beyond(key, bound, down) for bound in bounds) for key in f] for f in filled]
    # No block crosses a boundary, and no boundary leaves its keys in two blocks.
    assert all(len(set(place)) <= 1 for place in places)
    firsts = [place[0] for place in places if place]
    assert firsts == sorted(set(firsts))


def _beyond(key: int, bound: int, down: bool) -> bool:
    return key < bound if down else key >= bound


@FEW
@given(drawn=datasets(), seed=st.integers(0, 1 << 70))
def test_random_shuffle(drawn: Any, seed: int) -> None:
    table, ds = drawn
    got = in_order(ds.random_shuffle(seed=seed))
    assert row_set(got) == row_set(table.to_pylist())
    assert _numbers(got) == _numbers(in_order(ds.random_shuffle(seed=seed)))


def test_a_shuffle_moves_rows_and_each_run_differs() -> None:
    ds = headrace.range(5000, override_num_blocks=20)
    one = [row["id"] for row in in_order(ds.random_shuffle(seed=1))]
    assert one != [row["id"] for row in in_order(ds.random_shuffle(seed=2))]
    # Neighbours come apart, and rows go everywhere.
    assert sum(abs(a - b) == 1 for a, b in itertools.pairwise(one)) < 50
    assert 1000 < sum(abs(i - id) for i, id in enumerate(one)) / 5000 < 2400
    unseeded = ds.random_shuffle()
    assert in_order(unseeded) != in_order(unseeded)


@pytest.mark.parametrize("blocks", [1, 3, 50])
def test_a_seed_gives_one_order_whatever_the_machine(blocks: int) -> None:
    ds = headrace.range(1000, override_num_blocks=blocks).materialize()
    first = in_order(ds.random_shuffle(seed=7))
    narrow = ds.random_shuffle(seed=7)
    narrow.context.execution_options.resource_limits = headrace.ExecutionResources(cpu=1)
    assert in_order(narrow) == first


@FEW
@given(drawn=datasets(), blocks=st.integers(1, 60))
def test_repartition(drawn: Any, blocks: int) -> None:
    table, ds = drawn
    made = ds.repartition(blocks).materialize()
    assert made.num_blocks() == blocks
    assert plain(in_order(made)) == plain(in_order(ds))
    sizes = [block.num_rows for block in made._plan.blocks()]
    assert max(sizes) - min(sizes) <= 1 or table.num_rows == 0


@FEW
@given(drawn=datasets(), rows=st.integers(1, 50))
def test_repartition_by_rows(drawn: Any, rows: int) -> None:
    _table, ds = drawn
    made = ds.repartition(target_num_rows_per_block=rows).materialize()
    sizes = [block.num_rows for block in made._plan.blocks() if block.num_rows]
    assert plain(in_order(made)) == plain(in_order(ds))
    assert all(size == rows for size in sizes[:-1])
    assert all(0 < size <= rows for size in sizes[-1:])


@FEW
@given(drawn=datasets(), blocks=st.integers(1, 9), seed=st.booleans())
def test_repartition_with_shuffle(drawn: Any, blocks: int, seed: bool) -> None:
    table, ds = drawn
    made = ds.repartition(blocks, shuffle=True).materialize()
    assert made.num_blocks() == blocks
    assert row_set(in_order(made)) == row_set(table.to_pylist())


@FEW
@given(
    drawn=datasets(),
    blocks=st.integers(1, 9),
    keys=st.lists(st.sampled_from([*KEY_COLUMNS, "l"]), min_size=1, max_size=2, unique=True),
    sort=st.booleans(),
)
def test_repartition_by_keys(drawn: Any, blocks: int, keys: list[str], sort: bool) -> None:
    table, ds = drawn
    if sort and "l" in keys:
        return
    made = ds.repartition(blocks, keys=keys, sort=sort).materialize()
    assert made.num_blocks() == blocks
    assert row_set(in_order(made)) == row_set(table.to_pylist())
    homes: dict[Any, int] = {}
    for number, block in enumerate(made._plan.blocks()):
        for row in block.get().to_pylist():
            key = tuple(plain(row[name]) for name in keys)
            assert homes.setdefault(key, number) == number


@FEW
@given(drawn=datasets(), seed=st.integers(0, 99))
def test_randomize_block_order(drawn: Any, seed: int) -> None:
    _, ds = drawn
    made = ds.randomize_block_order(seed=seed).materialize()

    def contents(dataset: Any) -> list[Any]:
        tables = [block.get() for block in dataset._plan.blocks()]
        return [plain(table.to_pylist()) for table in tables if table.num_rows]

    assert sorted(contents(made)) == sorted(contents(ds))
    assert contents(made) == contents(ds.randomize_block_order(seed=seed).materialize())


# ---- Cuts and zips


@FEW
@given(drawn=datasets(), n=st.integers(1, 12), equal=st.booleans())
def test_split(drawn: Any, n: int, equal: bool) -> None:
    table, ds = drawn
    parts = ds.split(n, equal=equal)
    assert len(parts) == n
    rows = [row for part in parts for row in in_order(part)]
    if not equal:
        assert list(map(plain, rows)) == list(map(plain, table.to_pylist()))
        return
    assert {part.count() for part in parts} == {table.num_rows // n}
    assert _numbers(rows) == list(range(table.num_rows // n * n))


@FEW
@given(drawn=datasets(), indices=st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_split_at_indices(drawn: Any, indices: list[int]) -> None:
    table, ds = drawn
    indices.sort()
    parts = ds.split_at_indices(indices)
    bounds = [0, *(min(i, table.num_rows) for i in indices), table.num_rows]
    expected = [list(range(a, b)) for a, b in itertools.pairwise(bounds)]
    assert [_numbers(in_order(part)) for part in parts] == expected


@FEW
@given(drawn=datasets(), size=st.floats(0.05, 0.95), shuffle=st.booleans())
def test_train_test_split(drawn: Any, size: float, shuffle: bool) -> None:
    table, ds = drawn
    if table.num_rows < 2 or int(table.num_rows * (1 - size)) == 0:
        return
    train, test = ds.train_test_split(size, shuffle=shuffle, seed=1)
    assert train.count() == min(int(table.num_rows * (1 - size)), table.num_rows - 1)
    together = [row["n"] for part in (train, test) for row in in_order(part)]
    assert sorted(together) == list(range(table.num_rows))
    if not shuffle:
        assert together == list(range(table.num_rows))


@FEW
@given(drawn=datasets(), size=st.floats(0.05, 0.95))
def test_stratified_split(drawn: Any, size: float) -> None:
    table, ds = drawn
    train, test = ds.train_test_split(size, stratify="s")
    counts: dict[Any, list[int]] = {}
    for place, part in enumerate((train, test)):
        for row in in_order(part):
            counts.setdefault(plain(row["s"]), [0, 0])[place] += 1
    for key, (kept, held) in counts.items():
        every = sum(plain(row["s"]) == key for row in table.to_pylist())
        assert kept + held == every
        assert held == int(every * size)


@FEW
@given(data=st.data(), drawn=datasets())
def test_zip(data: st.DataObject, drawn: Any) -> None:
    from exchange_tables import cuts

    table, ds = drawn
    other = table.select(["n", "s"]).rename_columns(["n", "t"])
    other_ds = headrace.from_arrow(data.draw(cuts(other)))
    got = in_order(ds.zip(other_ds, other_ds))
    expected = [
        {**row, "n_1": row["n"], "t": row["s"], "n_2": row["n"], "t_1": row["s"]}
        for row in table.to_pylist()
    ]
    assert list(map(plain, got)) == list(map(plain, expected))


def test_zip_of_different_lengths_fails() -> None:
    one, two = headrace.range(5), headrace.range(7)
    with pytest.raises(ValueError, match=r"5.*7"):
        one.zip(two)
    hidden = headrace.range(7).map_batches(lambda batch: batch)
    with pytest.raises(ValueError, match="rows"):
        one.zip(hidden).take_all()


def test_hundreds_of_blocks() -> None:
    ds = headrace.range(3000, override_num_blocks=600).materialize()
    assert ds.num_blocks() == 600
    down = [row["id"] for row in in_order(ds.sort("id", descending=True))]
    assert down == list(range(2999, -1, -1))
    assert sorted(row["id"] for row in in_order(ds.random_shuffle(seed=1))) == list(range(3000))
    assert ds.repartition(7).materialize().num_blocks() == 7
    assert [row["id"] for row in in_order(ds.repartition(7))] == list(range(3000))


def test_exchanges_follow_each_other() -> None:
    ds = headrace.range(500, override_num_blocks=10).random_shuffle(seed=1).repartition(3)
    made = ds.map_batches(lambda batch: {"id": batch["id"], "r": batch["id"] % 7})
    made = made.sort(["r", "id"], descending=[True, False])
    expected = sorted(range(500), key=lambda i: (-(i % 7), i))
    assert [row["id"] for row in in_order(made)] == expected
    assert [row["id"] for row in made.limit(5).take_all()] == expected[:5]


def test_an_unknown_column_is_named() -> None:
    ds = headrace.range(5)
    hidden = ds.map_batches(lambda batch: batch)
    for verb in ("sort", "groupby"):
        with pytest.raises(ValueError, match=r"nope(.|\n)*id"):
            getattr(ds, verb)("nope")
    with pytest.raises((ValueError, KeyError), match=r"nope(.|\n)*id"):
        hidden.sort("nope").take_all()
    with pytest.raises((ValueError, KeyError), match=r"nope(.|\n)*id"):
        hidden.groupby("nope").count().take_all()
    with pytest.raises((ValueError, KeyError), match=r"nope(.|\n)*id"):
        hidden.join(ds, "inner", 1, on=("nope",), right_on=("id",)).take_all()


@FEW
@given(drawn=datasets(), share=st.floats(0, 1), seed=st.integers(0, 1 << 40))
def test_random_sample(drawn: Any, share: float, seed: int) -> None:
    table, ds = drawn
    if table.num_rows == 0:
        return
    got = _numbers(in_order(ds.random_sample(share, seed=seed)))
    assert got == sorted(set(got))
    assert set(got) <= set(range(table.num_rows))
    assert got == _numbers(in_order(ds.random_sample(share, seed=seed)))


def test_a_sample_has_about_its_share() -> None:
    ds = headrace.range(20000, override_num_blocks=10)
    assert 4500 < ds.random_sample(0.25, seed=1).count() < 5500
    train, test = ds.streaming_train_test_split(0.25, seed=1)
    together = [row["id"] for part in (train, test) for row in in_order(part)]
    assert sorted(together) == list(range(20000))
    assert 4500 < test.count() < 5500


_NOTHING = {
    "no blocks": lambda: headrace.from_blocks([]),
    "empty range": lambda: headrace.range(0),
    "filtered": lambda: headrace.range(5).filter(expr="id > 9"),
    "mapped": lambda: headrace.range(5).map_batches(lambda batch: {"id": batch["id"][:0]}),
}


@pytest.mark.parametrize("make", _NOTHING.values(), ids=_NOTHING)
def test_every_verb_of_nothing(make: Any) -> None:
    ds, some = make(), headrace.range(3)
    grouped = ds.groupby("id")
    for made in (
        ds.sort("id"),
        ds.sort("id", boundaries=[1]) if ds.schema() else ds,
        ds.random_shuffle(seed=1),
        ds.randomize_block_order(seed=1),
        ds.repartition(3),
        ds.repartition(3, keys=["id"], sort=True),
        ds.repartition(3, shuffle=True),
        ds.repartition(target_num_rows_per_block=3),
        grouped.count(),
        grouped.map_groups(lambda batch: {"x": [1]}),
        ds.groupby(None).map_groups(lambda batch: {"x": [1]}),
        ds.join(some, "inner", 1),
        ds.join(some, "left_outer", 2),
        ds.zip(ds),
        ds.limit(3).sort("id").limit(2),
    ):
        assert in_order(made) == []
        assert made.count() == 0
    assert [row["id"] for row in in_order(some.join(ds, "left_outer", 1).sort("id"))] == [0, 1, 2]
    assert ds.sum("id") is None
    assert ds.unique("id") == []
    assert [part.count() for part in ds.split(2)] == [0, 0]
    assert [part.count() for part in ds.split_at_indices([2])] == [0, 0]
