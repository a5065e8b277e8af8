"""`Dataset.mix`: the order of blocks, the ends, and what stands after it.

The literals are what ray.data 2.60 gave for the same blocks.
"""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace as data

SHORTEST = data.MixStoppingCondition.STOP_ON_SHORTEST
LONGEST = data.MixStoppingCondition.STOP_ON_LONGEST_DROP


def blocks(sizes: list[int], letter: str) -> data.Dataset:
    """Returns a dataset of blocks of these sizes."""
    rows = [f"{letter}{i}" for i in range(sum(sizes))]
    tables = []
    for size in sizes:
        tables.append(pa.table({"id": pa.array(rows[:size], pa.string())}))
        rows = rows[size:]
    return data.from_arrow(tables)


def turns(mixed: data.Dataset) -> str:
    """Returns the blocks as "A5 B10": the letter of their rows, and how many."""
    found = []
    for table in mixed.materialize().iter_batches(batch_size=None, batch_format="pyarrow"):
        letters = {name[0] for name in table["id"].to_pylist()}
        assert len(letters) <= 1, "a block of several inputs"
        if letters:
            found.append(f"{letters.pop()}{table.num_rows}")
    return " ".join(found)


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        ([[5] * 4, [10] * 2], None, "A5 B10 A5 A5 B10 A5"),
        ([[5] * 4, [10] * 2], [1, 3], "B10 A5 B10 A5 A5 A5"),
        ([[5] * 4, [5] * 8], [1, 3], "B5 A5 B5 B5 B5 A5 B5 B5 B5 A5 B5 A5"),
        ([[5] * 8, [5] * 4], [3, 1], "A5 B5 A5 A5 A5 B5 A5 A5 A5 B5 A5 B5"),
        ([[2, 1, 1, 1], [5, 1, 1, 1, 1, 1]], [0.3, 0.7], "B5 A2 A1 B1 B1 B1 A1 B1 B1 A1"),
        ([[5] * 4, [4] * 2], None, "A5 B4 B4 A5 A5 A5"),
        ([[5] * 6, [10] * 2, [3] * 3], [0.6, 0.3, 0.1], "A5 B10 A5 A5 C3 A5 C3 A5 B10 A5 C3"),
        ([[1] * 4, [1] * 4, [1] * 2], [0.4, 0.2, 0.4], "A1 C1 B1 A1 C1 A1 B1 A1 B1 B1"),
    ],
)
def test_the_one_that_lacks_most_has_its_turn(
    sizes: list[list[int]], weights: list[float] | None, expected: str
) -> None:
    first, *others = (blocks(part, letter) for part, letter in zip(sizes, "ABC", strict=False))
    assert turns(first.mix(*others, weights=weights)) == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([[10], [4]], "A10"),
        ([[4], [10]], "A4"),
        ([[5] * 4, [4] * 2], "A5 B4 B4"),
        ([[1] * 10, [1] * 3], "A1 B1 A1 B1 A1 B1"),
        ([[5], []], ""),
    ],
)
def test_shortest_ends_with_the_first_that_has_no_more(
    sizes: list[list[int]], expected: str
) -> None:
    first, second = (blocks(part, letter) for part, letter in zip(sizes, "AB", strict=True))
    assert turns(first.mix(second, stopping_condition=SHORTEST)) == expected


def test_shortest_of_three_by_weight() -> None:
    """1,000 + 1,667 + 1,000 + 5,000 rows: then the third has no more."""
    sizes = ([1000] * 5, [1667, 1667, 1666], [5000])
    a, b, c = (blocks(part, letter) for part, letter in zip(sizes, "ABC", strict=True))
    mixed = a.mix(b, c, weights=[0.6, 0.3, 0.1], stopping_condition=SHORTEST)
    assert turns(mixed) == "A1000 B1667 A1000 C5000"
    assert mixed.count() == 8667


def test_the_condition_may_be_its_value() -> None:
    a, b = blocks([2, 2], "A"), blocks([2], "B")
    assert turns(a.mix(b, stopping_condition=SHORTEST.value)) == "A2 B2"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="never"):
        a.mix(b, stopping_condition="never")  # type: ignore[arg-type]


def test_wrong_arguments() -> None:
    a, b = blocks([1], "A"), blocks([1], "B")
    with pytest.raises(ValueError, match=r"datasets \(2\) must match number of weights \(1\)"):
        a.mix(b, weights=[1.0])
    for weights in ([1.0, 0.0], [1.0, -1.0], [1.0, float("inf")], [1.0, float("nan")]):
        with pytest.raises(ValueError, match="Weights must be positive"):
            a.mix(b, weights=weights)
    with pytest.raises(TypeError, match="int"):
        a.mix(5)  # type: ignore[arg-type]


def test_functions_and_exchanges_before_and_after() -> None:
    a = data.range(1000).map_batches(lambda b: {"id": b["id"] * 2}).sort("id")
    b = data.range(500).map(lambda row: {"id": row["id"] * 2 + 1})
    mixed = a.mix(b, weights=[2, 1]).map_batches(lambda b: {"id": b["id"], "half": b["id"] // 2})
    assert mixed.count() == 1500
    assert mixed.sum("id") == sum(range(0, 2000, 2)) + sum(range(1, 1000, 2))
    assert sorted(row["id"] for row in mixed.random_shuffle(seed=1).take_all()) == sorted(
        [*range(0, 2000, 2), *range(1, 1000, 2)]
    )


def test_a_filter_does_not_change_the_turns() -> None:
    """The turns go by the rows that are mixed, not by those that a later filter leaves."""
    a, b = blocks([4] * 3, "A"), blocks([4] * 3, "B")
    mixed = a.mix(b, weights=[2, 1], stopping_condition=SHORTEST)
    everything = [row["id"] for row in mixed.take_all()]
    kept = [row["id"] for row in mixed.filter(expr="id != 'A0'").take_all()]
    assert kept == [name for name in everything if name != "A0"]


def test_the_order_does_not_depend_on_timing() -> None:
    def slow_first(batch: dict) -> dict:
        # The first rows are worked on longest: their block ends last.
        rounds = 200_000 if batch["id"].min() == 0 else 1
        return {"id": batch["id"] + sum(0 for _ in range(rounds))}

    a = data.range(40, override_num_blocks=8).map_batches(slow_first)
    b = data.range(40, override_num_blocks=8).map_batches(lambda b: {"id": b["id"] + 100})
    rows = [row["id"] for row in a.mix(b).take_all()]
    expected = []
    for at in range(0, 40, 5):
        expected += [*range(at, at + 5), *range(at + 100, at + 105)]
    assert rows == expected


def test_a_dataset_with_itself_and_alone() -> None:
    a = blocks([2, 3], "A")
    assert turns(a.mix()) == "A2 A3"
    assert turns(a.mix(a)) == "A2 A2 A3 A3"


def test_schema_and_plan() -> None:
    a, b = blocks([2], "A"), blocks([2], "B")
    mixed = a.mix(b)
    assert mixed.columns() == ["id"]
    assert mixed._plan.kind == "mix"
    assert "MixOperator" in mixed._plan.explain(_options())[2][1]


def _options() -> object:
    from headrace import _core

    return _core.ExecutionOptions()


def test_a_mix_can_be_sent_as_its_verbs() -> None:
    mixed = data.range(4).mix(data.range(2), weights=[2, 1])
    again = data.Dataset.deserialize_lineage(mixed.serialize_lineage())
    assert again.take_all() == mixed.take_all()


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.lists(st.integers(1, 6), max_size=8), min_size=1, max_size=4),
    seed=st.lists(st.integers(1, 5), min_size=4, max_size=4),
    stop=st.sampled_from([SHORTEST, LONGEST]),
)
def test_any_mix(sizes: list[list[int]], seed: list[int], stop: data.MixStoppingCondition) -> None:
    """Against a list of what is left of each input."""
    weights = [float(w) for w in seed[: len(sizes)]]
    first, *others = (blocks(part, letter) for part, letter in zip(sizes, "ABCD", strict=False))
    left = [list(part) for part in sizes]
    taken = [0] * len(sizes)
    expected = []
    while any(left) and (stop == LONGEST or all(left)):
        shares = [w / sum(weights) for w in weights]
        there = [i for i in range(len(left)) if left[i]]
        turn = min(there, key=lambda i: (taken[i] - shares[i] * sum(taken), -shares[i], i))
        size = left[turn].pop(0)
        taken[turn] += size
        expected.append(f"{'ABCD'[turn]}{size}")
    mixed = first.mix(*others, weights=weights, stopping_condition=stop)
    assert turns(mixed) == " ".join(expected)
