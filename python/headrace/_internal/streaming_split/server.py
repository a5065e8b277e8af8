"""Lends a coordinator to other processes: a thread that accepts, a thread a connection, and a
thread that sends while a connection iterates.

It ends by itself when nobody can come any more: no iterator here, no connection, no lease and no
lifeline. A lease stands for an iterator that was pickled and has not been heard of yet; it ends
with its first connection, or after a while. A lifeline stands for the iterators that a forked child
has copies of; its other end is the child's, and ends with it.
"""

from __future__ import annotations

import hmac
import os
import pickle
import secrets
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from headrace import _core
from headrace._internal.errors import parts_of
from headrace._internal.streaming_split import wire
from headrace._internal.streaming_split.client import Address
from headrace._internal.streaming_split.coordinator import Consumer, Visit
from headrace._internal.streaming_split.wire import Closed, Kind, Purpose

if TYPE_CHECKING:
    from headrace._internal.streaming_split.coordinator import Coordinator

LEASE_SECONDS = 600.0  # A process may take that long to start and unpickle.
_LOOK_SECONDS = 0.2
_HELLO_SECONDS = 10.0
_CLOSE_SECONDS = 2.0


class Server:
    """Serves until nobody can come any more, or `close`."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        name = f"headrace-split-{os.getpid()}-{secrets.token_hex(8)}"
        self._listening = [wire.listen(name)]
        network = _network_host()
        if network is not None:
            self._listening.append(wire.listen_to_network(network))
        self.address = Address(
            name,
            secrets.token_bytes(16),
            os.getpid(),
            wire.machine(),
            None if network is None else self._listening[1].getsockname()[:2],
        )
        self._lock = coordinator.lock
        self._leases: dict[bytes, tuple[int, float]] = {}  # → rank, when it ends.
        # → thread, rank, name of the process.
        self._connections: dict[socket.socket, tuple[threading.Thread, int, str]] = {}
        self._lifelines: dict[socket.socket, set[int]] = {}  # → ranks.
        self._closing = False
        self._thread = threading.Thread(target=self._accept, name="headrace-split-server")
        self._thread.daemon = True
        self._thread.start()

    # ---- Who can come

    def lease(self, rank: int, lease: bytes) -> None:
        """Notes that an iterator of the rank is on its way to another process."""
        self._coordinator.expect(rank)
        with self._lock:
            self._leases[lease] = (rank, time.monotonic() + LEASE_SECONDS)

    def claim(self, lease: bytes) -> None:
        """Notes that the iterator has arrived."""
        with self._lock:
            self._leases.pop(lease, None)

    def lifeline(self, ranks: set[int]) -> socket.socket:
        """Returns the child's end of a lifeline; the parent has to close its copy of it."""
        here, there = wire.lifeline()
        with self._lock:
            self._lifelines[here] = ranks
        return there

    def stands_for(self, rank: int) -> bool:
        """Returns True if another process can still iterate the rank."""
        with self._lock:
            self._drop_old_leases()
            self._drop_cut_lifelines()
            return (
                any(of == rank for of, _ in self._leases.values())
                or any(of == rank for _, of, _ in self._connections.values())
                or any(rank in ranks for ranks in self._lifelines.values())
            )

    def _drop_old_leases(self) -> None:
        now = time.monotonic()
        self._leases = {k: v for k, v in self._leases.items() if v[1] > now}

    def _drop_cut_lifelines(self) -> None:
        if not self._lifelines:
            return
        poller = select.poll()
        ends = {sock.fileno(): sock for sock in self._lifelines}
        for descriptor in ends:
            poller.register(descriptor, select.POLLIN)
        for descriptor, _ in poller.poll(0):
            sock = ends[descriptor]
            del self._lifelines[sock]
            sock.close()

    # ---- Connections

    def _accept(self) -> None:
        poller = select.poll()
        for listening in self._listening:
            poller.register(listening, select.POLLIN)
        while not self._is_needless():
            ready = {descriptor for descriptor, _ in poller.poll(_LOOK_SECONDS * 1000)}
            for listening in self._listening:
                if listening.fileno() in ready:
                    self._admit(wire.accept(listening))
        for listening in self._listening:
            listening.close()
        for sock in self._lifelines:
            sock.close()
        self._coordinator.server_has_ended()

    def _admit(self, sock: socket.socket | None) -> None:
        if sock is None:
            return
        thread = threading.Thread(
            target=self._serve, args=(sock,), name="headrace-split-client", daemon=True
        )
        with self._lock:
            self._connections[sock] = (thread, -1, "")
        thread.start()

    def _is_needless(self) -> bool:
        with self._lock:
            self._drop_old_leases()
            self._drop_cut_lifelines()
            here = any(self._coordinator.has_iterators(i) for i in range(self._coordinator.n))
            needless = not (here or self._leases or self._connections or self._lifelines)
            return self._closing or needless

    def _serve(self, sock: socket.socket) -> None:
        try:
            hello = wire.receive_hello(sock, _HELLO_SECONDS)
            if len(hello) != wire.HELLO.size:
                return
            secret, lease, purpose, rank, depth, pid, host = wire.HELLO.unpack(hello)
            if not hmac.compare_digest(secret, self.address.secret) or rank >= self._coordinator.n:
                return
            wire.keep_alive(sock)
            elsewhere = host.rstrip(b"\0").decode()
            name = f"process {pid} on {elsewhere}" if elsewhere else f"process {pid}"
            with self._lock:
                thread, _, _ = self._connections[sock]
                self._connections[sock] = (thread, rank, name)
                self._leases.pop(lease, None)
            consumer = Consumer(name, _asker(weakref.ref(self), name))
            if purpose == Purpose.PRESENCE:
                self._attend(sock, rank, consumer)
            elif purpose == Purpose.ITERATION:
                self._iterate(sock, self._coordinator.visit(rank, consumer, depth))
            else:
                self._answer(sock, Purpose(purpose))
        except (Closed, OSError, ValueError):
            pass  # Whoever it was, it is gone, or speaks another language.
        finally:
            with self._lock:
                del self._connections[sock]
            sock.close()

    def is_connected(self, process: str) -> bool:
        with self._lock:
            return any(of == process for _, _, of in self._connections.values())

    def _attend(self, sock: socket.socket, rank: int, consumer: Consumer) -> None:
        self._coordinator.expect(rank)
        wire.send(sock, Kind.WELCOME)
        try:
            kind, _, _ = wire.receive(sock)
        except Closed:
            kind = Kind.END
        if kind != Kind.BYE and not self._closing:
            self._coordinator.lose(rank, consumer)

    def _answer(self, sock: socket.socket, purpose: Purpose) -> None:
        dataset = self._coordinator.dataset
        try:
            if purpose == Purpose.SCHEMA:
                wire.send(sock, Kind.VALUE, pickle.dumps(dataset.schema()))
            elif purpose == Purpose.STATS:
                wire.send(sock, Kind.VALUE, pickle.dumps(dataset.stats()))
            else:
                import cloudpickle

                wire.send(sock, Kind.VALUE, cloudpickle.dumps(dataset.context))
        except Closed:
            raise
        except BaseException as error:
            wire.send(sock, Kind.ERROR, pickle.dumps(parts_of(error)))

    # ---- One iteration

    def _iterate(self, sock: socket.socket, visit: Visit) -> None:
        credit = threading.Semaphore(visit.depth)
        # One in the reader's hand, one being written.
        lender = wire.Lender(visit.depth + 2)
        sender = threading.Thread(
            target=self._send_tables,
            args=(sock, visit, credit, lender),
            name="headrace-split-sender",
            daemon=True,
        )
        sender.start()
        try:
            while True:
                kind, payload, _ = wire.receive(sock)
                if kind == Kind.LEAVE:
                    visit.leave()
                    break
                if kind == Kind.RETURNED:
                    lender.take_back(payload)
                else:
                    credit.release()
        except Closed:
            if not self._closing:  # Else the sender still has to say why.
                visit.lose()
        finally:
            credit.release()  # A sender that waits for it sees that the visit is over.
            sender.join()

    def _send_tables(
        self,
        sock: socket.socket,
        visit: Visit,
        credit: threading.Semaphore,
        lender: wire.Lender,
    ) -> None:
        try:
            if not visit.begin():
                return
            wire.send(sock, Kind.BEGUN)
            while True:
                credit.acquire()
                table = visit.next()
                if table is None:
                    break
                lender.send(sock, table)
                del table  # Held no longer than until it is sent.
            if visit.has_all:
                wire.send(sock, Kind.END)
        except Closed:
            pass  # The thread that receives sees it, too.
        except BaseException as error:  # What a user's function raised, too.
            visit.leave()
            try:
                wire.send(sock, Kind.ERROR, pickle.dumps(parts_of(error)))
            except Closed:
                pass

    # ---- The end

    def close(self) -> None:
        """Ends all connections; the coordinator is closed already, and told so. Idempotent."""
        self._closing = True
        self._thread.join()
        with self._lock:
            open_now = [(sock, entry[0]) for sock, entry in self._connections.items()]
        for sock, _ in open_now:
            try:
                sock.shutdown(socket.SHUT_RD)  # What is under way to the other end arrives.
            except OSError:
                pass
        for _, thread in open_now:
            thread.join(_CLOSE_SECONDS)


def _network_host() -> str | None:
    """Returns the address at which other machines reach this one; None where there are none."""
    if _core.backend() != "ray":
        return None
    import ray

    return str(ray.util.get_node_ip_address())


def _asker(server: weakref.ref[Server], process: str) -> Callable[[], bool]:
    """Returns a function that tells if a process is connected; it does not keep the server."""

    def is_connected() -> bool:
        found = server()
        return found is not None and found.is_connected(process)

    return is_connected
