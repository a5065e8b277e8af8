"""The coordinator of a split as another process sees it: connections to its server."""

from __future__ import annotations

import atexit
import os
import pickle
import select
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from headrace._internal.errors import rebuild
from headrace._internal.streaming_split import wire
from headrace._internal.streaming_split.wire import Closed, Kind, Purpose
from headrace.exceptions import StreamingSplitError

_LOOK_MILLIS = 100
_DEPTH_MAX = 1 << 16


@dataclass(frozen=True)
class Address:
    """Where the coordinator of a split is found, and the key to it."""

    name: str
    secret: bytes
    pid: int
    machine: str
    network: tuple[str, int] | None  # For other machines; None: they cannot come.

    def connect(self, purpose: Purpose, rank: int, depth: int, lease: bytes) -> socket.socket:
        """Raises Closed if nobody listens."""
        is_here = wire.machine() == self.machine
        host = b"" if is_here else socket.gethostname().encode()[:64]
        hello = wire.HELLO.pack(self.secret, lease, purpose, rank, depth, os.getpid(), host)
        if is_here:
            return wire.connect(self.name, hello)
        if self.network is None:
            raise StreamingSplitError(
                f"the streaming split of process {self.pid} is on another machine, and only on a "
                "Ray cluster can its iterators be used from others"
            )
        return wire.connect_to(self.network, hello)

    def is_gone(self) -> StreamingSplitError:
        return StreamingSplitError(
            f"process {self.pid}, which runs the streaming split, has ended, or it let go of all "
            "iterators"
        )


class Client:
    """One iterator of one rank in this process. Connections are made by this process, whichever
    it was forked from."""

    def __init__(self, address: Address, rank: int, lease: bytes) -> None:
        self.address = address
        self._rank = rank
        self._lease = lease
        self._pid = os.getpid()
        self._presence: socket.socket | None = None

    def attend(self) -> None:
        """Tells the server that this rank has an iterator here, until this object is gone.

        Raises StreamingSplitError if there is no server.
        """
        if self._presence is not None and self._pid == os.getpid():
            return
        sock = self._connect(Purpose.PRESENCE)
        try:
            wire.receive(sock)
        except Closed:
            raise self.address.is_gone() from None
        self._presence, self._pid = sock, os.getpid()
        _hold(sock, Kind.BYE)
        weakref.finalize(self, _part, sock).atexit = False

    def attend_if_there(self) -> None:
        """The same, and no error: it comes when the iterator is used."""
        try:
            self.attend()
        except StreamingSplitError:
            pass

    def ask(self, purpose: Purpose) -> Any:
        """Returns the SCHEMA, STATS or CONTEXT of the dataset."""
        sock = self._connect(purpose)
        try:
            kind, payload, _ = wire.receive(sock)
        except Closed:
            raise self.address.is_gone() from None
        finally:
            sock.close()
        value = pickle.loads(payload)
        if kind == Kind.ERROR:
            raise rebuild(value)
        return value

    def tables(self, depth: int, cancelled: threading.Event | None) -> Iterator[pa.Table]:
        """Waits for an epoch and yields the rank's tables; see `Visit` for the errors."""
        self.attend()
        sock = self._connect(Purpose.ITERATION, min(depth, _DEPTH_MAX))
        _hold(sock, Kind.LEAVE)
        borrower = wire.Borrower(sock)
        try:
            while True:
                message = self._receive(sock, cancelled)
                if message is None:
                    return
                kind, payload, memory = message
                if kind in (Kind.TABLE, Kind.LOAN):
                    if kind == Kind.LOAN:
                        table = borrower.read_table(payload, memory)
                    else:
                        table = wire.read_table(payload)
                    del message, payload, memory
                    _say(sock, Kind.CREDIT)
                    yield table
                    del table
                elif kind == Kind.ERROR:
                    raise rebuild(pickle.loads(payload))
                elif kind == Kind.END:
                    return
        except Closed:
            raise self.address.is_gone() from None
        finally:
            _part(sock)

    def _connect(self, purpose: Purpose, depth: int = 1) -> socket.socket:
        try:
            return self.address.connect(purpose, self._rank, depth, self._lease)
        except Closed:
            raise self.address.is_gone() from None

    def _receive(
        self, sock: socket.socket, cancelled: threading.Event | None
    ) -> tuple[Kind, pa.Buffer, pa.Buffer | None] | None:
        if cancelled is not None:
            poller = select.poll()
            poller.register(sock, select.POLLIN)
            while not poller.poll(_LOOK_MILLIS):
                if cancelled.is_set():
                    return None
        return wire.receive(sock)


# ---- Taking leave ----------------------------------------------------------------------------

# What this process has open, with the word that says that it ends as it should: a connection that
# closes without it is one whose process died.
_open: dict[socket.socket, Kind] = {}
_registered_by = 0  # The process that said it wants to be called when it ends.


def _hold(sock: socket.socket, last_word: Kind) -> None:
    global _registered_by
    _open[sock] = last_word
    if _registered_by == os.getpid():
        return
    if _registered_by == 0:
        atexit.register(_part_all)
    _registered_by = os.getpid()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # Its processes run no exit handlers but their own.
        util.Finalize(None, _part_all, exitpriority=0)


def _say(sock: socket.socket, word: Kind) -> None:
    try:
        wire.send(sock, word)
    except Closed:
        pass  # What the other end said before it left is still to be read.


def _part(sock: socket.socket) -> None:
    last_word = _open.pop(sock, None)
    if last_word is None:
        return
    _say(sock, last_word)
    wire.hang_up(sock)
    sock.close()


def _part_all() -> None:
    for sock in list(_open):
        _part(sock)


# A forked child has copies of the parent's connections; their end is not the child's to tell.
os.register_at_fork(after_in_child=_open.clear)
