"""The epochs of a split: who waits, who reads, who is lost. In the process that made the split.

A consumer's iteration is a `Visit`. An epoch begins when a visit of every rank waits for it: then
one thread runs the dataset and deals its blocks into queues, a few pieces ahead of each rank.

    made ──begin──▶ waits ──all wait──▶ reads ──end, error, leave──▶ over
                      └──leave, error────────────────────────────────▲

Threads: everything from any thread. One lock guards all state; blocks are fetched, and the dataset
runs, outside of it.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace._internal.errors import parts_of, rebuild
from headrace._internal.streaming_split.dealing import Piece, make_dealer
from headrace.exceptions import ExecutionTimeoutError, StreamingSplitError

if TYPE_CHECKING:
    from headrace._internal.streaming_split.client import Address
    from headrace._internal.streaming_split.server import Server
    from headrace.dataset import Dataset

_logger = logging.getLogger("headrace")

_LOOK_SECONDS = 0.2  # How often a wait looks for what nobody tells it of.

MOVED_ON = "Invalid iterator: the dataset has moved on to another epoch."


class Consumer:
    """Who iterates: what messages call it, and whether it can go on."""

    def __init__(self, name: str, is_alive: Callable[[], bool]) -> None:
        self.name = name
        self.is_alive = is_alive

    @staticmethod
    def of_this_thread() -> Consumer:
        thread = threading.current_thread()
        return Consumer(f"thread {thread.name} of process {os.getpid()}", thread.is_alive)


class Visit:
    """One iteration of one rank, from the wait for the epoch to its end."""

    def __init__(self, coordinator: Coordinator, rank: int, consumer: Consumer, depth: int) -> None:
        self._coordinator = coordinator
        self.rank = rank
        self.consumer = consumer
        self.depth = depth  # How many pieces may wait in the queue.
        self.queue: deque[Piece] = deque()
        self.epoch: _Epoch | None = None  # Set when it begins.
        self.is_over = False
        self.is_overtaken = False  # By the rank's next visit.
        self.has_all = False  # It took all that was dealt to it, and the epoch has ended.

    def begin(self, cancelled: threading.Event | None = None) -> bool:
        """Waits until all ranks wait, which begins the epoch; False if left or cancelled first.

        Raises StreamingSplitError if a rank is lost, ExecutionTimeoutError if one does not come
        and nobody stands for it, ValueError if the rank waits already.
        """
        return self._coordinator._begin(self, cancelled)

    def next(self, cancelled: threading.Event | None = None) -> pa.Table | None:
        """Waits for the next rows; None at the end of the epoch, or if left or cancelled.

        Raises what the run raises, StreamingSplitError if a rank is lost, ValueError if the rank
        is in another epoch by now.
        """
        piece = self._coordinator._next(self, cancelled)
        return None if piece is None else piece.table()

    def leave(self) -> None:
        """Ends the visit: the rank takes no more of this epoch. Idempotent."""
        self._coordinator._leave(self)

    def lose(self) -> None:
        """Says that the consumer died. Nothing happens if the visit is over."""
        self._coordinator._lose(self.rank, self.consumer, self)


class _Rank:
    """What is known of one rank."""

    def __init__(self) -> None:
        self.visit: Visit | None = None  # Until it is over.
        self.consumer: Consumer | None = None  # The last.
        self.lost: str | None = None  # Who died, until another can come.

    @property
    def waiting(self) -> bool:
        return self.visit is not None and self.visit.epoch is None

    @property
    def reading(self) -> bool:
        return self.visit is not None and self.visit.epoch is not None

    @property
    def has_room(self) -> bool:
        return self.reading and len(self.visit.queue) < self.visit.depth  # type: ignore[union-attr]

    @property
    def name(self) -> str:
        return "" if self.consumer is None else f" ({self.consumer.name})"

    @property
    def is_alive(self) -> bool:
        return self.consumer is not None and self.consumer.is_alive()


class _Epoch:
    """One run of the dataset."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.cancelled = threading.Event()
        self.error: dict[str, Any] | None = None
        self.ended = False
        self.stalled_since: float | None = None  # Since when no block is dealt: queues are full.
        self.warned: set[int] = set()  # Ranks.


class Coordinator:
    """One split. Lives as long as an iterator of it, here or in another process."""

    def __init__(self, dataset: Dataset, n: int, equal: bool) -> None:
        self.n = n
        self.pid = os.getpid()
        self.dataset = dataset
        self._equal = equal
        self._ranks = [_Rank() for _ in range(n)]
        self._iterators: list[weakref.WeakSet[Any]] = [weakref.WeakSet() for _ in range(n)]
        # Guards all state, the server's too. A thread may take it twice: the garbage collector
        # ends iterations wherever it runs.
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._making_server = threading.Lock()
        self._epoch = _Epoch(0)
        self._pump: threading.Thread | None = None
        self._closed = ""
        self._server: Server | None = None
        _coordinators.append(weakref.ref(self, _coordinators.remove))

    # ---- Who can come

    def attach(self, rank: int, iterator: Any) -> None:
        """Notes that `iterator`, of this process, stands for the rank as long as it lives."""
        self._iterators[rank].add(iterator)

    def has_iterators(self, rank: int) -> bool:
        """Returns True if an iterator of this process stands for the rank."""
        return len(self._iterators[rank]) > 0

    def server(self) -> Server:
        """Returns what lends this to other processes; starts it at the first call."""
        from headrace._internal.streaming_split.server import Server

        with self._making_server:
            server = self._server
            if server is None:
                self._check_open()
                server = self._server = Server(self)
            return server

    @property
    def is_closed(self) -> bool:
        return self._closed != ""

    def server_has_ended(self) -> None:
        """Nobody else can come any more."""
        with self._changed:
            self._server = None

    @property
    def address(self) -> Address:
        """Where other processes find this; only once there is a server."""
        assert self._server is not None
        return self._server.address

    def is_at(self, address: Address) -> bool:
        """Returns True if `address` is of this split."""
        return self._server is not None and self._server.address == address

    def lose(self, rank: int, consumer: Consumer) -> None:
        """Says that a process died that stood for the rank, in an epoch or not: who waits for it
        does so in vain."""
        last = self._ranks[rank].consumer
        if last is None or last.name == consumer.name:
            self._lose(rank, consumer, None)

    def expect(self, rank: int) -> None:
        """Says that an iterator of the rank is on its way to another process, or is there: it may
        take the place of one that died."""
        with self._changed:
            self._ranks[rank].lost = None

    def _can_come(self, rank: int) -> bool:
        if self.has_iterators(rank):
            return True
        server = self._server
        return server is not None and server.stands_for(rank)

    def visit(self, rank: int, consumer: Consumer, depth: int) -> Visit:
        """Returns a new iteration of the rank, in which `depth` pieces may wait in its queue."""
        return Visit(self, rank, consumer, max(1, depth))

    # ---- The wait for an epoch

    def _begin(self, visit: Visit, cancelled: threading.Event | None) -> bool:
        with self._changed:
            self._check_open()
            rank = self._ranks[visit.rank]
            if rank.waiting:
                raise ValueError(
                    f"Invalid iterator: too many concurrent consumers detected. Rank {visit.rank} "
                    f"waits for the next epoch already{rank.name}."
                )
            if rank.visit is not None:
                rank.visit.is_overtaken = True
                self._end(rank.visit)
            rank.visit, rank.consumer, rank.lost = visit, visit.consumer, None
            if all(other.waiting for other in self._ranks):
                self._start_epoch()
            self._changed.notify_all()
            try:
                return self._await_epoch(visit, cancelled)
            except BaseException:
                self._end(visit)
                raise

    def _await_epoch(self, visit: Visit, cancelled: threading.Event | None) -> bool:
        began = time.monotonic()
        while visit.epoch is None:
            self._check_open()
            if visit.is_over or (cancelled is not None and cancelled.is_set()):
                self._end(visit)
                return False
            missing = [i for i, rank in enumerate(self._ranks) if not rank.waiting]
            for i in missing:
                if self._ranks[i].lost is not None:
                    raise StreamingSplitError(self._ranks[i].lost)
                if not self._can_come(i):
                    raise StreamingSplitError(
                        f"rank {visit.rank} of the streaming split waits for rank {i} in vain: no "
                        "iterator of that rank is left in any process"
                    )
            self._watch(visit, missing, began, f"has not asked for epoch {self._epoch.number + 1}")
            self._changed.wait(_LOOK_SECONDS)
        return True

    def _start_epoch(self) -> None:
        before = self._pump
        epoch = self._epoch = _Epoch(self._epoch.number + 1)
        for rank in self._ranks:
            assert rank.visit is not None
            rank.visit.epoch = epoch
        self._pump = threading.Thread(
            target=self._run, args=(epoch, before), name="headrace-split", daemon=True
        )
        self._pump.start()

    # ---- Reading

    def _next(self, visit: Visit, cancelled: threading.Event | None) -> Piece | None:
        began = time.monotonic()
        with self._changed:
            while True:
                if visit.is_overtaken:
                    raise ValueError(MOVED_ON)
                if visit.is_over or (cancelled is not None and cancelled.is_set()):
                    return None
                epoch = visit.epoch
                assert epoch is not None
                if epoch.error is not None:
                    self._end(visit)
                    raise rebuild(epoch.error)
                if visit.queue:
                    self._changed.notify_all()
                    return visit.queue.popleft()
                if epoch.ended:
                    visit.has_all = True
                    self._end(visit)
                    return None
                self._check_open()
                if epoch.stalled_since is not None:
                    since = max(began, epoch.stalled_since)
                    self._watch(visit, self._with_full_queues(), since, "does not take its rows")
                self._changed.wait(_LOOK_SECONDS)

    def _with_full_queues(self) -> list[int]:
        return [i for i, rank in enumerate(self._ranks) if rank.reading and not rank.has_room]

    def _leave(self, visit: Visit) -> None:
        with self._changed:
            self._end(visit)

    def _end(self, visit: Visit) -> None:
        if visit.is_over:
            return
        visit.is_over = True
        visit.queue.clear()
        if self._ranks[visit.rank].visit is visit:
            self._ranks[visit.rank].visit = None
        if visit.epoch is not None and not any(rank.reading for rank in self._ranks):
            self._epoch.cancelled.set()
        self._changed.notify_all()

    def _lose(self, number: int, consumer: Consumer, visit: Visit | None) -> None:
        with self._changed:
            rank = self._ranks[number]
            if visit is not None and visit.is_over:
                return
            rank.lost = f"rank {number} of the streaming split died: {consumer.name}"
            if visit is not None:
                if visit.epoch is not None:
                    self._fail(visit.epoch, parts_of(StreamingSplitError(rank.lost)))
                self._end(visit)
            self._changed.notify_all()

    def _watch(self, visit: Visit, others: list[int], began: float, what: str) -> None:
        """Warns of each rank that keeps this one waiting, once an epoch; gives up on one that
        nobody iterates any more."""
        context = self.dataset.context
        warn_after, give_up_after = (
            context.streaming_split_warn_after_s,
            context.execution_no_progress_timeout_s,
        )
        if give_up_after < 0:  # Never.
            give_up_after = math.inf
        waited = time.monotonic() - began
        if waited < min(warn_after, give_up_after):
            return
        for i in others:
            rank = self._ranks[i]
            text = (
                f"rank {visit.rank} of the streaming split has waited {waited:.0f} s for rank {i}"
                f"{rank.name}, which {what}"
            )
            if waited >= give_up_after and not rank.is_alive:
                raise ExecutionTimeoutError(text)
            if waited >= warn_after and i not in self._epoch.warned:
                self._epoch.warned.add(i)
                _logger.warning("%s; all %d ranks must iterate at once", text, self.n)

    # ---- The run

    def _run(self, epoch: _Epoch, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # It ends: nobody reads that epoch any more.
        try:
            self._deal(epoch)
        except BaseException as error:
            with self._changed:
                self._fail(epoch, parts_of(error))
        with self._changed:
            epoch.ended = True
            self._changed.notify_all()

    def _deal(self, epoch: _Epoch) -> None:
        options = self.dataset.context.execution_options
        dealer = make_dealer(self.n, equal=self._equal, preserve_order=options.preserve_order)
        blocks = self.dataset._blocks(None, self.n, epoch.cancelled)
        try:
            while self._wait_for_room(epoch, dealer.wants):
                block = next(blocks, None)
                if block is None:
                    break
                if block.num_rows:
                    with self._changed:
                        roomy = [rank.has_room for rank in self._ranks]
                        if not any(roomy):  # The rank that had room is gone meanwhile.
                            roomy = [rank.reading for rank in self._ranks]
                        if any(roomy):
                            self._hand_out(epoch, dealer.add(block, roomy))
                del block
        finally:
            blocks.close()  # type: ignore[attr-defined]
        with self._changed:
            self._hand_out(epoch, dealer.finish())

    def _wait_for_room(
        self, epoch: _Epoch, wants: Callable[[list[bool], list[bool]], bool]
    ) -> bool:
        """Returns True when a block can be dealt, False when nobody wants one any more."""
        with self._changed:
            while not epoch.cancelled.is_set():
                reading = [rank.reading for rank in self._ranks]
                if wants([rank.has_room for rank in self._ranks], reading):
                    epoch.stalled_since = None
                    return True
                if epoch.stalled_since is None:
                    epoch.stalled_since = time.monotonic()
                self._changed.wait()
            return False

    def _hand_out(self, epoch: _Epoch, dealt: list[tuple[int, Piece]]) -> None:
        for number, piece in dealt:
            rank = self._ranks[number]
            if rank.reading and rank.visit is not None and rank.visit.epoch is epoch:
                rank.visit.queue.append(piece)
        self._changed.notify_all()

    def _fail(self, epoch: _Epoch, parts: dict[str, Any]) -> None:
        if epoch.error is None:
            epoch.error = parts
        epoch.cancelled.set()
        self._changed.notify_all()

    # ---- The end

    def _check_open(self) -> None:
        if self._closed:
            raise StreamingSplitError(self._closed)

    def close(self, why: str) -> None:
        """Ends the run, and all visits by an error that says why. Returns when no thread is left.
        Idempotent."""
        with self._changed:
            self._closed = self._closed or why
            self._fail(self._epoch, parts_of(StreamingSplitError(self._closed)))
            pump, server = self._pump, self._server
        if pump is not None:
            pump.join()
        if server is not None:
            server.close()


# Without a lock, which a forked child might find locked for ever.
_coordinators: list[weakref.ref[Coordinator]] = []


def live_coordinators() -> list[Coordinator]:
    """Returns the splits that this process made and that live."""
    found = [ref() for ref in list(_coordinators)]
    return [made for made in found if made is not None and made.pid == os.getpid()]


def _close_all() -> None:
    for coordinator in live_coordinators():
        coordinator.close(f"process {os.getpid()}, which runs the streaming split, has ended")


# Before the engine's end, which was registered earlier and so comes later.
atexit.register(_close_all)
