"""`Dataset.streaming_split` in one process: what each rank gets, epochs, ends, errors, waits."""

from __future__ import annotations

import gc
import itertools
import logging
import pickle
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leftovers import wait_until

import headrace
from headrace._internal.streaming_split.coordinator import Consumer, Coordinator
from headrace._internal.streaming_split.dealing import Dealer, EqualDealer, OnDemandDealer
from headrace.exceptions import ExecutionTimeoutError, StreamingSplitError, UserCodeException

SECONDS = 30  # After which a test has hung.


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    yield
    gc.collect()
    wait_until(lambda: not split_threads(), f"threads of a split are left: {split_threads()}")


def split_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("headrace-split")]


def at_once(iterators: list[Any], *functions: Callable[[Any], Any]) -> list[Any]:
    """Calls a function of each iterator in a thread of its own; returns results, or errors."""
    results: list[Any] = [None] * len(iterators)

    def call(rank: int) -> None:
        try:
            results[rank] = functions[min(rank, len(functions) - 1)](iterators[rank])
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(iterators))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        assert not thread.is_alive(), "a consumer hangs"
    return results


def ids(iterator: Any) -> list[int]:
    return [row["id"] for row in iterator.iter_rows()]


def joined(shares: Iterable[list[int]]) -> list[int]:
    return [row for share in shares for row in share]


def of_sizes(sizes: list[int]) -> Any:
    """A dataset of blocks of these numbers of rows: id = 0, 1, …"""
    ends = np.cumsum([0, *sizes])
    tables = [pa.table({"id": np.arange(a, b)}) for a, b in itertools.pairwise(ends)]
    return headrace.from_arrow(tables)


# ---- Shares ---------------------------------------------------------------------------------


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_all_rows_once_in_each_of_several_epochs(n: int, equal: bool) -> None:
    shards = headrace.range(31, override_num_blocks=7).streaming_split(n, equal=equal)
    for _ in range(3):
        shares = at_once(shards, ids)
        rows = sorted(joined(shares))
        assert len(set(rows)) == len(rows)
        if equal:
            assert [len(share) for share in shares] == [31 // n] * n
            assert set(rows) <= set(range(31))
        else:
            assert rows == list(range(31))


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_equal_shares_are_exact_and_disjoint(sizes: list[int], n: int) -> None:
    shares = at_once(of_sizes(sizes).streaming_split(n, equal=True), ids)
    assert [len(share) for share in shares] == [sum(sizes) // n] * n
    rows = joined(shares)
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(range(sum(sizes)))


class FakeBlock:
    def __init__(self, begin: int, end: int, num_bytes: int = 1) -> None:
        self._table = pa.table({"id": np.arange(begin, end)})
        self.num_rows = end - begin
        self.num_bytes = num_bytes

    def get(self) -> pa.Table:
        return self._table


def fake_blocks(sizes: list[int]) -> list[FakeBlock]:
    ends = np.cumsum([0, *sizes]).tolist()
    return [FakeBlock(a, b) for a, b in itertools.pairwise(ends)]


@given(st.lists(st.integers(1, 1000), max_size=60), st.integers(1, 6))
@settings(deadline=None)
def test_an_equal_deal_holds_few_blocks_and_comes_out_even(sizes: list[int], n: int) -> None:
    dealer = EqualDealer(n)
    dealt: dict[int, list[int]] = {rank: [] for rank in range(n)}
    given_rows = 0
    for block in fake_blocks(sizes):
        given_rows += block.num_rows
        for rank, piece in dealer.add(block, [True] * n):
            dealt[rank] += piece.table()["id"].to_pylist()
        assert len(dealer._held) <= 2 * n
        held = given_rows - sum(dealer.rows)
        assert held >= max(dealer.rows) * n - sum(dealer.rows), "it could not come out even"
    for rank, piece in dealer.finish():
        dealt[rank] += piece.table()["id"].to_pylist()
    assert [len(rows) for rows in dealt.values()] == [sum(sizes) // n] * n
    rows = joined(dealt.values())
    assert len(set(rows)) == len(rows)


def test_an_equal_deal_cuts_large_blocks_rather_than_hold_them() -> None:
    dealer = EqualDealer(4, held_bytes=100)
    dealt = dealer.add(FakeBlock(0, 10, num_bytes=1000), [True] * 4)
    assert [(rank, piece.num_rows) for rank, piece in dealt] == [(rank, 2) for rank in range(4)]


def test_a_deal_on_demand_passes_over_full_queues() -> None:
    dealer: Dealer = OnDemandDealer(3)
    first, second, third = fake_blocks([5, 5, 5])
    assert [rank for rank, _ in dealer.add(first, [True] * 3)] == [0]
    assert [rank for rank, _ in dealer.add(second, [False, False, True])] == [2]
    assert [rank for rank, _ in dealer.add(third, [True, False, True])] == [0]
    assert not dealer.wants([False] * 3, [True] * 3)


def test_fewer_blocks_than_ranks() -> None:
    shares = at_once(headrace.range(4, override_num_blocks=2).streaming_split(4), ids)
    assert sorted(map(sorted, shares)) == [[], [], [0, 1], [2, 3]]
    shares = at_once(headrace.range(3, override_num_blocks=1).streaming_split(4, equal=True), ids)
    assert shares == [[], [], [], []]


def test_a_split_goes_with_its_iterators() -> None:
    shards = headrace.range(10).materialize().streaming_split(2)
    at_once(shards, ids)
    split = weakref.ref(split_of(shards))
    gc.disable()
    try:
        del shards
        assert split() is None, "blocks wait for the garbage collector"
    finally:
        gc.enable()


@pytest.mark.parametrize("equal", [False, True])
def test_no_rows(equal: bool) -> None:
    shards = headrace.range(0).streaming_split(2, equal=equal)
    assert at_once(shards, ids) == [[], []]
    assert at_once(shards, lambda it: list(it.iter_batches())) == [[], []]
    assert at_once(shards, lambda it: it.materialize().count()) == [0, 0]


def test_skewed_blocks_are_shared_equally() -> None:
    shares = at_once(of_sizes([1000, 1, 1, 1, 500, 2]).streaming_split(3, equal=True), ids)
    assert [len(share) for share in shares] == [1505 // 3] * 3


def test_a_quick_rank_gets_the_rows_that_a_slow_one_does_not_take() -> None:
    quick, slow = headrace.range(400, override_num_blocks=40).streaming_split(2)
    quick_has_ended = threading.Event()

    def wait_after_the_first(iterator: Any) -> int:
        taken = 0
        for _ in iterator.iter_rows():
            assert taken or quick_has_ended.wait(SECONDS)
            taken += 1
        return taken

    def take_all(iterator: Any) -> int:
        taken = len(ids(iterator))
        quick_has_ended.set()
        return taken

    of_quick, of_slow = at_once([quick, slow], take_all, wait_after_the_first)
    assert of_quick + of_slow == 400
    assert of_slow <= 20, "one block in hand, one in the queue"


@pytest.mark.parametrize("equal", [False, True])
def test_with_preserve_order_each_epoch_deals_alike(equal: bool) -> None:
    ds = headrace.range(100, override_num_blocks=13)
    ds.context.execution_options.preserve_order = True
    shards = ds.streaming_split(3, equal=equal)
    first = at_once(shards, ids)
    assert [at_once(shards, ids) for _ in range(3)] == [first] * 3
    assert all(share == sorted(share) for share in first)


def test_a_shuffle_without_a_seed_is_another_in_each_epoch() -> None:
    ds = headrace.range(200, override_num_blocks=4)
    ds.context.execution_options.preserve_order = True
    shards = ds.random_shuffle().streaming_split(2, equal=True)
    first, second = at_once(shards, ids), at_once(shards, ids)
    assert first != second
    assert sorted(joined(first)) == sorted(joined(second)) == list(range(200))
    shards = ds.random_shuffle(seed=7).streaming_split(2, equal=True)
    assert at_once(shards, ids) == at_once(shards, ids)


# ---- The methods of a shard -------------------------------------------------------------------


def test_all_methods_work_on_a_shard() -> None:
    torch = pytest.importorskip("torch")
    ds = headrace.range(40, override_num_blocks=4).map_batches(
        lambda batch: {"id": batch["id"], "x": np.ones((len(batch["id"]), 2))}
    )
    shards = ds.streaming_split(2, equal=True)
    lengths = at_once(
        shards, lambda it: [len(b["id"]) for b in it.iter_batches(batch_size=8, drop_last=True)]
    )
    assert lengths == [[8, 8], [8, 8]]
    frames = at_once(shards, lambda it: list(it.iter_batches(batch_format="pandas")))
    assert [len(frame) for (frame,) in frames] == [20, 20]
    tensors = at_once(shards, lambda it: next(iter(it.iter_torch_batches(batch_size=20)))["x"])
    assert all(torch.equal(t, torch.ones(20, 2, dtype=torch.float64)) for t in tensors)
    shuffled = at_once(
        shards,
        lambda it: len(list(it.iter_batches(batch_size=5, local_shuffle_buffer_size=10))),
    )
    assert shuffled == [4, 4]
    assert [it.count() for it in at_once(shards, lambda it: it.materialize())] == [20, 20]
    for rank, shard in enumerate(shards):
        assert shard.schema() == ds.schema()
        assert "ReadRange" in shard.stats()
        assert shard.world_size() == 2
        assert isinstance(shard.get_context(), headrace.DataContext)
        assert repr(shard) == f"SplitDataIterator(rank={rank}, world_size=2)"
        with pytest.raises(TypeError, match="aren't iterable"):
            iter(shard)


def test_settings_are_those_when_it_was_split() -> None:
    ds = headrace.range(3)
    (shard,) = ds.streaming_split(1)
    ds.context.max_task_attempts = 77
    assert shard.get_context().max_task_attempts != 77


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="not positive"):
        headrace.range(3).streaming_split(0)
    with pytest.raises(ValueError, match="must have length `n`"):
        headrace.range(3).streaming_split(2, locality_hints=["here"])
    assert len(headrace.range(3).streaming_split(2, locality_hints=["here", "there"])) == 2


def test_a_pickle_is_the_same_rank_in_the_same_process() -> None:
    shards = pickle.loads(pickle.dumps(headrace.range(10).streaming_split(2, equal=True)))
    assert [len(share) for share in at_once(shards, ids)] == [5, 5]


def test_inline_mode() -> None:
    ds = headrace.range(10, override_num_blocks=2)
    ds.context.inline_mode = True
    shares = at_once(ds.map(lambda row: {"id": row["id"] + 1}).streaming_split(2), ids)
    assert sorted(joined(shares)) == list(range(1, 11))


# ---- Early ends -------------------------------------------------------------------------------


def first_row(iterator: Any) -> int:
    return next(iter(iterator.iter_rows()))["id"]


@pytest.mark.usefixtures("nothing_left")
def test_one_that_leaves_early_does_not_stop_the_others() -> None:
    shards = headrace.range(100, override_num_blocks=20).streaming_split(2, equal=True)
    assert len(at_once(shards, first_row, ids)[1]) == 50
    assert [len(share) for share in at_once(shards, ids)] == [50, 50]
    shards = headrace.range(100, override_num_blocks=20).streaming_split(2)
    assert len(at_once(shards, first_row, ids)[1]) >= 85, "all but what the first had at hand"
    wait_until(lambda: not split_threads(), "the run ends")


@pytest.mark.usefixtures("nothing_left")
def test_all_leave_early_and_the_run_ends() -> None:
    ds = headrace.range(1_000_000, override_num_blocks=100).map_batches(lambda batch: batch)
    shards = ds.streaming_split(3)
    for _ in range(3):
        assert all(isinstance(row, int) for row in at_once(shards, first_row))
    wait_until(lambda: not split_threads(), "the run ends")


def test_an_iteration_that_is_overtaken_says_so() -> None:
    (shard,) = headrace.range(100, override_num_blocks=20).streaming_split(1)
    old = iter(shard.iter_rows())
    next(old)
    assert len(ids(shard)) == 100
    with pytest.raises(ValueError, match="moved on to another epoch"):
        list(old)


def test_two_consumers_of_one_rank() -> None:
    shards = headrace.range(10).streaming_split(2)

    def come_when_the_first_waits(iterator: Any) -> list[int]:
        wait_until(lambda: split_of(shards)._ranks[0].waiting, "rank 0 waits")
        with pytest.raises(ValueError, match=r"Rank 0 waits for the next epoch already \(thread"):
            ids(shards[0])
        return ids(iterator)

    assert sorted(joined(at_once(shards, ids, come_when_the_first_waits))) == list(range(10))


@pytest.mark.usefixtures("nothing_left")
def test_a_function_that_raises_raises_in_all() -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 13:
            raise KeyError("no thirteen")
        return row

    shards = headrace.range(40, override_num_blocks=8).map(fail).streaming_split(3, equal=True)
    for _ in range(2):
        errors = at_once(shards, ids)
        assert len({id(error) for error in errors}) == 3
        for error in errors:
            assert isinstance(error, KeyError)
            assert isinstance(error, UserCodeException)
            assert str(error) == "'no thirteen'"
            assert isinstance(error.__cause__, KeyError)
            assert getattr(error, "__notes__", []) == getattr(errors[0], "__notes__", [])
    wait_until(lambda: not split_threads(), "the run ends")


# ---- Waits ------------------------------------------------------------------------------------


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.got_one = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.got_one.set()


@pytest.fixture
def warnings_told() -> Iterator[Records]:
    handler = Records()
    logging.getLogger("headrace").addHandler(handler)
    yield handler
    logging.getLogger("headrace").removeHandler(handler)


def test_a_rank_that_does_not_come_is_named(warnings_told: Records) -> None:
    ds = headrace.range(10)
    ds.context.streaming_split_warn_after_s = 0
    shards = ds.streaming_split(2)

    def come_late(iterator: Any) -> list[int]:
        assert warnings_told.got_one.wait(SECONDS)
        return ids(iterator)

    assert sorted(joined(at_once(shards, ids, come_late))) == list(range(10))
    (text,) = [text for text in warnings_told.texts if "has not asked" in text]
    assert text.startswith("rank 0 ")
    assert "for rank 1, which has not asked for epoch 1" in text


def test_a_rank_that_holds_up_an_equal_split_is_named(warnings_told: Records) -> None:
    ds = headrace.range(100, override_num_blocks=20)
    ds.context.streaming_split_warn_after_s = 0
    shards = ds.streaming_split(2, equal=True)
    accusation = re.compile(r"rank 0 .* for rank 1 \(thread .*, which does not take its rows")

    def lag(iterator: Any) -> int:
        rows = 0
        for _ in iterator.iter_rows():
            rows += 1
            wait_until(lambda: any(map(accusation.search, warnings_told.texts)), "rank 1 is named")
        return rows

    assert at_once(shards, lambda it: len(ids(it)), lag) == [50, 50]


def test_nobody_waits_for_ever_for_a_rank_without_a_consumer() -> None:
    ds = headrace.range(10)
    ds.context.execution_no_progress_timeout_s = 0
    shards = ds.streaming_split(2)
    with pytest.raises(ExecutionTimeoutError, match="for rank 1, which has not asked for epoch 1"):
        ids(shards[0])


def test_a_rank_whose_iterator_is_gone_is_not_waited_for() -> None:
    shard = headrace.range(10).streaming_split(2)[0]
    gc.collect()
    with pytest.raises(StreamingSplitError, match="no iterator of that rank is left"):
        ids(shard)


def test_a_wait_for_the_others_can_be_cancelled() -> None:
    shards = headrace.range(10).streaming_split(2)
    cancelled = threading.Event()
    waiter = threading.Thread(target=lambda: list(shards[0]._tables(1, cancelled)))
    waiter.start()
    wait_until(lambda: split_of(shards)._ranks[0].waiting, "rank 0 waits")
    cancelled.set()
    waiter.join(SECONDS)
    assert not waiter.is_alive()
    assert sorted(joined(at_once(shards, ids))) == list(range(10))


def split_of(shards: list[Any]) -> Coordinator:
    return shards[0]._home


# ---- What is ahead ----------------------------------------------------------------------------


class CountingSource:
    """Stands for a dataset of blocks of a row; each pull checks how many are ahead."""

    def __init__(self, blocks: int, bound: int) -> None:
        self.context = headrace.DataContext()
        self._rows = blocks
        self._bound = bound
        self.taken = [0, 0]
        self.most_ahead = 0

    def _blocks(self, plan: Any, prefetch: int, cancelled: threading.Event) -> Iterator[FakeBlock]:
        for row in range(self._rows):
            self.most_ahead = max(self.most_ahead, row + 1 - sum(self.taken))
            assert self.most_ahead <= self._bound, "too many blocks are ahead"
            yield FakeBlock(row, row + 1)


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_few_blocks_are_ahead_of_the_consumers(depth: int, equal: bool) -> None:
    # In the queues; one in each hand, not counted yet; held back until it comes out even.
    source = CountingSource(500, bound=2 * depth + 2 + (4 if equal else 0))
    coordinator = Coordinator(source, 2, equal)  # type: ignore[arg-type]

    def take_all(rank: int) -> int:
        visit = coordinator.visit(rank, Consumer.of_this_thread(), depth)
        assert visit.begin()
        while (table := visit.next()) is not None:
            source.taken[rank] += table.num_rows
        return source.taken[rank]

    stands = [FakeBlock(0, 0), FakeBlock(0, 0)]
    for rank, stand in enumerate(stands):
        coordinator.attach(rank, stand)
    assert sum(at_once([0, 1], take_all)) == 500
    assert source.most_ahead >= 1
