"""Messages between the server of a split and its clients: on sequenced-packet sockets within a
machine, on TCP connections between machines.

A message is a kind and bytes. Up to INLINE_BYTES travel in the packet; more of them lie in a memory
file whose descriptor travels, so that a block costs one copy, into shared memory, which the reader
maps. The kernel frees it with the last mapping, whoever dies. Memory for tables is lent: the reader
says when nothing refers to a table any more, and the next one is written over it, which is faster
than new memory. A reader that keeps its tables gets a file for each. Between machines, all bytes of
a message are in the stream.

Sockets within a machine are in the abstract namespace, which leaves no files. All are closed in
forked children: the end of a process must show at the other end.
"""

from __future__ import annotations

import enum
import mmap
import os
import socket
import struct
import threading
import weakref
from typing import Any

import pyarrow as pa

INLINE_BYTES = 16 << 10
LOAN_BYTES = 128 << 10  # Smaller tables are not worth the bookkeeping.
_HEADER = struct.Struct("<BQ")  # Kind, bytes of the payload.
_LOAN = struct.Struct("<IQ")  # Slot, bytes of the table.
# Secret, lease, purpose, rank, depth, process, and its host if that is another.
HELLO = struct.Struct("<16s16sBIIQ64s")

_ABSTRACT = "\0"
# A machine that is gone ends no connection: it is asked whether it lives after so many seconds
# without a word, and again, and given up after so many.
_SILENT_SECONDS, _AGAIN_SECONDS, _GIVE_UP_SECONDS = 10, 5, 30
_CONNECT_SECONDS = 10.0


class Purpose(enum.IntEnum):
    """What a connection is for: its first message says so."""

    PRESENCE = 1  # As long as an iterator lives in a process. Ends by BYE.
    ITERATION = 2  # One visit: BEGUN, then TABLE …, END. CREDIT for each table, LEAVE to end early.
    SCHEMA = 3
    STATS = 4
    CONTEXT = 5


class Kind(enum.IntEnum):
    """What a message says."""

    BYE = 1
    CREDIT = 2
    LEAVE = 3
    WELCOME = 4
    BEGUN = 5
    TABLE = 6  # An Arrow stream.
    END = 7
    ERROR = 8  # Pickled parts of an exception.
    VALUE = 9  # Pickled.
    LOAN = 10  # A table in lent memory, whose descriptor travels with the first.
    RETURNED = 11  # The memory of a LOAN is not used any more.


class Closed(Exception):
    """The other end is gone."""


# ---- Sockets that do not outlive a fork ------------------------------------------------------

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
# Held while a descriptor is made, and by a thread that forks: the child knows all of them.
_fork_lock = threading.RLock()


def lock_before_fork() -> None:
    _fork_lock.acquire()


def unlock_after_fork() -> None:
    _fork_lock.release()


def close_in_child() -> None:
    """Closes the parent's sockets in a child that was forked."""
    global _fork_lock
    _fork_lock = threading.RLock()
    for sock in list(_sockets):
        sock.close()
    _sockets.clear()


def lifeline() -> tuple[socket.socket, socket.socket]:
    """Returns two ends of a connection: one that stays here, and one for the next child."""
    with _fork_lock:
        here, there = socket.socketpair()
        _sockets.add(here)
    return here, there


def listen(name: str) -> socket.socket:
    """Returns a listening socket of that name."""
    with _fork_lock:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _sockets.add(sock)
    sock.bind(_ABSTRACT + name)
    sock.listen(128)
    sock.setblocking(False)
    return sock


def accept(listening: socket.socket) -> socket.socket | None:
    """Returns the next connection; None if there is none after all."""
    with _fork_lock:
        try:
            sock, _ = listening.accept()
        except OSError:
            return None
        _sockets.add(sock)
    sock.setblocking(True)
    return sock


def connect(name: str, hello: bytes) -> socket.socket:
    """Returns a connection that has introduced itself. Raises Closed if nobody listens."""
    with _fork_lock:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _sockets.add(sock)
    return _introduce(sock, _ABSTRACT + name, hello)


def _introduce(sock: socket.socket, address: Any, hello: bytes) -> socket.socket:
    try:
        sock.connect(address)
        sock.sendall(hello)
    except OSError as error:
        sock.close()
        raise Closed from error
    return sock


def receive_hello(sock: socket.socket, seconds: float) -> bytes:
    """Returns how the other end introduces itself; nothing if it does not do so in time."""
    sock.settimeout(seconds)
    try:
        if _is_stream(sock):
            return bytes(_read(sock, HELLO.size))
        return sock.recv(HELLO.size)
    except (OSError, Closed):
        return b""
    finally:
        sock.settimeout(None)


# ---- Between machines ------------------------------------------------------------------------


def machine() -> str:
    """Names what has one kernel and one network: what sockets with a name reach."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/net')}"
    except OSError:
        return socket.gethostname()


def listen_to_network(host: str) -> socket.socket:
    """Returns a socket that listens at any free port of that address."""
    with _fork_lock:
        sock = socket.create_server((host, 0), family=_family(host), backlog=128)
        _sockets.add(sock)
    sock.setblocking(False)
    return sock


def connect_to(address: tuple[str, int], hello: bytes) -> socket.socket:
    """As `connect`, to a socket that listens to the network."""
    with _fork_lock:
        sock = socket.socket(_family(address[0]), socket.SOCK_STREAM)
        _sockets.add(sock)
    sock.settimeout(_CONNECT_SECONDS)
    _introduce(sock, address, hello)
    sock.settimeout(None)
    keep_alive(sock)
    return sock


def keep_alive(sock: socket.socket) -> None:
    """Makes a connection end when the machine at its other end has gone; no effect within one."""
    if not _is_stream(sock):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_NODELAY, 1),
        (socket.TCP_KEEPIDLE, _SILENT_SECONDS),
        (socket.TCP_KEEPINTVL, _AGAIN_SECONDS),
        (socket.TCP_USER_TIMEOUT, _GIVE_UP_SECONDS * 1000),
    ):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_stream(sock: socket.socket) -> bool:
    return sock.family != socket.AF_UNIX


def _read(sock: socket.socket, size: int) -> memoryview:
    """Returns the next `size` bytes. Raises Closed at the end."""
    buffer = memoryview(bytearray(size))
    done = 0
    while done < size:
        count = sock.recv_into(buffer[done:])
        if count == 0:
            raise Closed
        done += count
    return buffer


def hang_up(sock: socket.socket) -> None:
    """Ends the connection for both, and wakes the thread that reads it."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


# ---- Messages --------------------------------------------------------------------------------


def send(sock: socket.socket, kind: Kind, payload: bytes | pa.Buffer = b"") -> None:
    """Sends a message. Raises Closed if nobody reads any more."""
    size = len(payload)
    header = _HEADER.pack(kind, size)
    if size <= INLINE_BYTES or _is_stream(sock):
        _send(sock, [header, payload], [])
        return
    descriptor = _memory_file()
    try:
        with pa.OSFile(f"/proc/self/fd/{descriptor}", "wb") as file:
            file.write(payload)
        _send(sock, [header], [descriptor])
    finally:
        os.close(descriptor)


def send_table(sock: socket.socket, table: pa.Table) -> None:
    """Sends a table as it is. Raises Closed if nobody reads any more."""
    if table.nbytes <= INLINE_BYTES // 2 or _is_stream(sock):
        stream = pa.BufferOutputStream()
        _write_stream(stream, table)
        send(sock, Kind.TABLE, stream.getvalue())
        return
    descriptor = _memory_file()
    try:
        with pa.OSFile(f"/proc/self/fd/{descriptor}", "wb") as file:
            _write_stream(file, table)
        size = os.fstat(descriptor).st_size
        _send(sock, [_HEADER.pack(Kind.TABLE, size)], [descriptor])
    finally:
        os.close(descriptor)


def _memory_file() -> int:
    with _fork_lock:
        return os.memfd_create("headrace-split", os.MFD_CLOEXEC)


def _write_stream(sink: Any, table: pa.Table) -> None:
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _send(sock: socket.socket, parts: list[Any], descriptors: list[int]) -> None:
    try:
        if _is_stream(sock):
            for part in parts:
                sock.sendall(part)
        else:
            socket.send_fds(sock, parts, descriptors)
    except OSError as error:
        raise Closed from error


def receive(sock: socket.socket) -> tuple[Kind, pa.Buffer, pa.Buffer | None]:
    """Waits for a message: its kind, its payload, which may be a mapping, and the memory that came
    with it. Raises Closed at the end."""
    try:
        if _is_stream(sock):
            number, size = _HEADER.unpack(_read(sock, _HEADER.size))
            return Kind(number), pa.py_buffer(_read(sock, size)), None
        data, descriptors = _receive(sock)
    except OSError as error:
        raise Closed from error
    if not data:
        raise Closed
    number, size = _HEADER.unpack_from(data)
    mapped = None
    if descriptors:
        try:
            # The mapping lives as long as a buffer of it; the descriptor does not.
            with pa.memory_map(f"/proc/self/fd/{descriptors[0]}") as file:
                mapped = file.read_buffer()
        finally:
            os.close(descriptors[0])
    if len(data) == _HEADER.size + size:  # All of it is in the packet.
        return Kind(number), pa.py_buffer(data)[_HEADER.size :], mapped
    if mapped is None:
        raise OSError("no descriptor is free to map a block of a streaming split")
    return Kind(number), mapped, None


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    size = _HEADER.size + INLINE_BYTES
    try:
        received = socket.recv_fds(sock, size, 1, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # Told once, where the other end did not read all; what it said before it left is there.
        received = socket.recv_fds(sock, size, 1, socket.MSG_CMSG_CLOEXEC)
    return received[0], received[1]


def read_table(payload: pa.Buffer) -> pa.Table:
    """Returns the table that was written; its columns lie in `payload`."""
    return pa.ipc.open_stream(payload).read_all()


# ---- Lent memory -----------------------------------------------------------------------------


class Lender:
    """The writer's end: the memory that one connection lends, at most `slots` tables at a time.

    Threads: `send` from one, `take_back` from any.
    """

    def __init__(self, slots: int) -> None:
        self._free = list(range(slots))
        self._memory: dict[int, mmap.mmap] = {}

    def send(self, sock: socket.socket, table: pa.Table) -> None:
        """Sends a table. Raises Closed if nobody reads any more."""
        if table.nbytes < LOAN_BYTES or not self._free or _is_stream(sock):
            send_table(sock, table)
            return
        counter = pa.MockOutputStream()
        _write_stream(counter, table)
        size = counter.size()
        slot = self._free.pop()
        descriptors = [] if self._fits(slot, size) else [self._make(slot, size)]
        try:
            with pa.FixedSizeBufferWriter(pa.py_buffer(self._memory[slot])) as writer:
                _write_stream(writer, table)
            loan = _LOAN.pack(slot, size)
            _send(sock, [_HEADER.pack(Kind.LOAN, len(loan)), loan], descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def take_back(self, payload: pa.Buffer) -> None:
        """Notes a RETURNED."""
        self._free.append(_LOAN.unpack(payload)[0])

    def _fits(self, slot: int, size: int) -> bool:
        return slot in self._memory and size <= len(self._memory[slot])

    def _make(self, slot: int, size: int) -> int:
        descriptor = _memory_file()
        room = size + size // 8  # The next table may be a little larger.
        os.ftruncate(descriptor, room)
        self._memory[slot] = mmap.mmap(descriptor, room)
        return descriptor


class Borrower:
    """The reader's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._memory: dict[int, pa.Buffer] = {}

    def read_table(self, payload: pa.Buffer, memory: pa.Buffer | None) -> pa.Table:
        """Returns the table of a LOAN; its memory goes back when nothing refers to it."""
        slot, size = _LOAN.unpack(payload)
        if memory is not None:
            self._memory[slot] = memory
        lent = _Lent(self._sock, bytes(payload), self._memory[slot])
        return read_table(pa.foreign_buffer(lent.memory.address, size, lent))


class _Lent:
    """Is alive as long as somebody refers to the table."""

    def __init__(self, sock: socket.socket, loan: bytes, memory: pa.Buffer) -> None:
        self._sock = sock
        self._loan = loan
        self.memory = memory

    def __del__(self) -> None:
        try:
            send(self._sock, Kind.RETURNED, self._loan)
        except Exception:
            pass  # Nobody waits for it any more.
