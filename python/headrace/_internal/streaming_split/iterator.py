"""The `DataIterator` of one rank of a streaming split."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.streaming_split import wire
from headrace._internal.streaming_split.client import Address, Client
from headrace._internal.streaming_split.coordinator import (
    Consumer,
    Coordinator,
    live_coordinators,
)
from headrace._internal.streaming_split.wire import Purpose
from headrace.iterator import DataIterator

if TYPE_CHECKING:
    from headrace.context import DataContext
    from headrace.dataset import Dataset, MaterializedDataset, Schema


class SplitDataIterator(DataIterator):
    """Iterates over one rank's share of a dataset, at the same time as the other ranks.

    An iteration begins when all ranks have asked for one. It can be pickled: in another process, of
    the same machine or of the same Ray cluster, it goes on to read from the process that made the
    split, as long as that lives.
    """

    def __init__(
        self, rank: int, world_size: int, home: Coordinator | Address, lease: bytes = bytes(16)
    ) -> None:
        self._rank = rank
        self._world_size = world_size
        self._home = home
        self._lease = lease
        self._client: Client | None = None
        if isinstance(home, Coordinator):
            home.attach(rank, self)

    def world_size(self) -> int:
        """Returns the number of ranks."""
        return self._world_size

    def _tables(self, prefetch: int, cancelled: threading.Event | None) -> Iterator[pa.Table]:
        home = self._coordinator()
        if home is None:
            yield from self._remote().tables(prefetch, cancelled)
            return
        visit = home.visit(self._rank, Consumer.of_this_thread(), prefetch)
        try:
            if not visit.begin(cancelled):
                return
            while (table := visit.next(cancelled)) is not None:
                yield table
                del table
        finally:
            visit.leave()

    def stats(self) -> str:
        home = self._coordinator()
        return self._remote().ask(Purpose.STATS) if home is None else home.dataset.stats()

    def schema(self) -> Schema | None:
        home = self._coordinator()
        return self._remote().ask(Purpose.SCHEMA) if home is None else home.dataset.schema()

    def get_context(self) -> DataContext:
        home = self._coordinator()
        return self._remote().ask(Purpose.CONTEXT) if home is None else home.dataset.context

    def materialize(self) -> MaterializedDataset:
        """Iterates once, as every rank has to, and keeps the share's blocks in the object store of
        this process."""
        from headrace.dataset import MaterializedDataset

        blocks = [_core.put(table) for table in self._tables(1, None)]
        return MaterializedDataset(_core.Plan.input_data(blocks), self.get_context().copy())

    # ---- Here or elsewhere

    def _coordinator(self) -> Coordinator | None:
        """Returns the coordinator if it lives in this process."""
        home = self._home
        return home if isinstance(home, Coordinator) and home.pid == os.getpid() else None

    def _remote(self) -> Client:
        if self._client is None:
            home = self._home
            if isinstance(home, Coordinator):  # It was the parent's.
                home = home.address
            self._client = Client(home, self._rank, self._lease)
        return self._client

    def __reduce__(self) -> Any:
        lease = secrets.token_bytes(16)
        home = self._coordinator()
        if home is None:
            address = self._remote().address
        else:
            home.server().lease(self._rank, lease)
            address = home.address
        return _rebuild, (self._rank, self._world_size, address, lease)

    def __repr__(self) -> str:
        return f"SplitDataIterator(rank={self._rank}, world_size={self._world_size})"


def make_split(
    dataset: Dataset, n: int, equal: bool, locality_hints: list[Any] | None
) -> list[DataIterator]:
    """Returns the iterators of a new split; see `Dataset.streaming_split`."""
    if n <= 0:
        raise ValueError(f"The number of splits {n} is not positive.")
    if locality_hints is not None and len(locality_hints) != n:
        raise ValueError(f"Locality hints list must have length `n`: len({locality_hints}) != {n}")
    coordinator = Coordinator(type(dataset).copy(dataset, _deep_copy=True), n, equal)
    return [SplitDataIterator(rank, n, coordinator) for rank in range(n)]


def _rebuild(rank: int, world_size: int, address: Address, lease: bytes) -> SplitDataIterator:
    for coordinator in live_coordinators():
        if coordinator.is_at(address):
            made = SplitDataIterator(rank, world_size, coordinator)
            coordinator.server().claim(lease)
            return made
    made = SplitDataIterator(rank, world_size, address, lease)
    made._remote().attend_if_there()
    return made


# ---- Forks: a child has a copy of each iterator, and none of the threads -----------------------

_lifelines: list[socket.socket] = []  # In a child, as long as it lives.
_for_child: list[socket.socket] = []


def _before_fork() -> None:
    for coordinator in live_coordinators():
        ranks = {rank for rank in range(coordinator.n) if coordinator.has_iterators(rank)}
        if ranks and not coordinator.is_closed:
            _for_child.append(coordinator.server().lifeline(ranks))
    wire.lock_before_fork()  # Last: servers take this lock, too.


def _after_in_parent() -> None:
    for sock in _for_child:
        sock.close()
    _for_child.clear()
    wire.unlock_after_fork()


def _after_in_child() -> None:
    wire.close_in_child()
    _lifelines.extend(_for_child)
    _for_child.clear()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
