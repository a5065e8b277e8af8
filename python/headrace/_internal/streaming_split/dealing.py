"""Which rows go to which rank. Plain values: no thread, no lock; the same blocks, the same deal.

A dealer keeps count of the rows that each rank got. It deals whole blocks where it can; a block
that has to be cut is cut without a copy.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headrace._internal.table_rows import slice_rows

# What an equal deal holds back until it comes out even; beyond either, blocks are cut.
_HELD_BLOCKS_PER_RANK = 2
_HELD_BYTES = 64 << 20


@dataclass(frozen=True)
class Piece:
    """The rows from `begin` to `end` of a block: a `BlockRef`, or what has `get` and `num_rows`."""

    block: Any
    begin: int
    end: int

    @property
    def num_rows(self) -> int:
        return self.end - self.begin

    @property
    def num_bytes(self) -> int:
        """An estimate: the block's bytes by the share of its rows."""
        return self.block.num_bytes * self.num_rows // max(1, self.block.num_rows)

    def table(self) -> pa.Table:
        whole = self.block.get()
        if self.num_rows == self.block.num_rows:
            return whole
        return slice_rows(whole, self.begin, self.num_rows)


Dealt = list[tuple[int, Piece]]  # (rank, rows), in order.


class Dealer(abc.ABC):
    """Deals the blocks of one epoch to the ranks 0 to n - 1."""

    def __init__(self, n: int) -> None:
        self.rows = [0] * n

    @abc.abstractmethod
    def wants(self, roomy: Sequence[bool], reading: Sequence[bool]) -> bool:
        """Returns True if one more block can be dealt: `roomy[rank]` says that the rank's queue
        has room, `reading[rank]` that the rank still takes part."""

    @abc.abstractmethod
    def add(self, block: Any, roomy: Sequence[bool]) -> Dealt:
        """Takes a block that is not empty, and returns what is dealt now."""

    def finish(self) -> Dealt:
        """Returns what is dealt when there are no more blocks."""
        return []

    def _least(self, ranks: Container[int]) -> int:
        return min((rows, rank) for rank, rows in enumerate(self.rows) if rank in ranks)[1]


class OnDemandDealer(Dealer):
    """A block goes to the rank with the fewest rows among those whose queues have room: in turn as
    long as all keep up, more to the quick where one is slow."""

    def wants(self, roomy: Sequence[bool], reading: Sequence[bool]) -> bool:
        return any(roomy)

    def add(self, block: Any, roomy: Sequence[bool]) -> Dealt:
        rank = self._least([rank for rank, has_room in enumerate(roomy) if has_room])
        self.rows[rank] += block.num_rows
        return [(rank, Piece(block, 0, block.num_rows))]


class OrderedDealer(Dealer):
    """A block goes to the rank with the fewest rows, whoever waits: the deal depends on nothing
    but the blocks and their order."""

    def wants(self, roomy: Sequence[bool], reading: Sequence[bool]) -> bool:
        target = self._least(range(len(self.rows)))
        return roomy[target] or not reading[target]

    def add(self, block: Any, roomy: Sequence[bool]) -> Dealt:
        rank = self._least(range(len(self.rows)))
        self.rows[rank] += block.num_rows
        return [(rank, Piece(block, 0, block.num_rows))]


class EqualDealer(Dealer):
    """Each rank gets the same number of rows, exactly; fewer than n rows are left over.

    Invariant: the rows held back suffice to bring every rank to the count of the first. A block is
    dealt whole if that holds afterwards; blocks held back are cut when there are too many, or at
    the end. Whoever waits: the deal depends on nothing but the blocks and their order.
    """

    def __init__(self, n: int, held_bytes: int = _HELD_BYTES) -> None:
        super().__init__(n)
        self._held: deque[Piece] = deque()
        self._held_rows = 0
        self._held_blocks_max = _HELD_BLOCKS_PER_RANK * n
        self._held_bytes_max = held_bytes

    def wants(self, roomy: Sequence[bool], reading: Sequence[bool]) -> bool:
        return all(has_room or not reads for has_room, reads in zip(roomy, reading, strict=True))

    def add(self, block: Any, roomy: Sequence[bool]) -> Dealt:
        self._held.append(Piece(block, 0, block.num_rows))
        self._held_rows += block.num_rows
        dealt: Dealt = []
        while self._held:
            rank = self._least(range(len(self.rows)))
            rows = self._held[0].num_rows
            first = max(*self.rows, self.rows[rank] + rows)
            # What all others need to come level, once these rows are dealt.
            needed = first * len(self.rows) - sum(self.rows) - rows
            if self._held_rows - rows < needed:
                break
            dealt.append((rank, self._take(self._held[0].num_rows)))
            self.rows[rank] += rows
        held_bytes = sum(piece.num_bytes for piece in self._held)
        if len(self._held) > self._held_blocks_max or held_bytes > self._held_bytes_max:
            dealt += self._level()
        return dealt

    def finish(self) -> Dealt:
        return self._level()

    def _level(self) -> Dealt:
        """Deals all that is held but for the rest, and brings all ranks to one count."""
        goal = (sum(self.rows) + self._held_rows) // len(self.rows)
        dealt: Dealt = []
        for rank in range(len(self.rows)):
            while self.rows[rank] < goal:
                piece = self._take(goal - self.rows[rank])
                self.rows[rank] += piece.num_rows
                dealt.append((rank, piece))
        return dealt

    def _take(self, rows: int) -> Piece:
        """Returns the first rows held, of one block, at most `rows`."""
        head = self._held.popleft()
        if head.num_rows > rows:
            self._held.appendleft(Piece(head.block, head.begin + rows, head.end))
            head = Piece(head.block, head.begin, head.begin + rows)
        self._held_rows -= head.num_rows
        return head


def make_dealer(n: int, *, equal: bool, preserve_order: bool) -> Dealer:
    """Returns the dealer of one epoch."""
    if equal:
        return EqualDealer(n)
    return OrderedDealer(n) if preserve_order else OnDemandDealer(n)
