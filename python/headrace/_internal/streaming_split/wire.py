"""Messages between the server of a split and its clients, on sequenced-packet sockets.

A message is a kind and bytes. Up to INLINE_BYTES travel in the packet; more of them lie in a memory
file whose descriptor travels, so that a block costs one copy, into shared memory, which the reader
maps. The kernel frees it with the last mapping, whoever dies.

Sockets are in the abstract namespace, which leaves no files. They are closed in forked children:
the end of a process must show at the other end.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
import threading
import weakref
from typing import Any

import pyarrow as pa

INLINE_BYTES = 16 << 10
_HEADER = struct.Struct("<BQ")  # Kind, bytes of the payload.
HELLO = struct.Struct("<16s16sBIIQ")  # Secret, lease, purpose, rank, depth, process.

_ABSTRACT = "\0"


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


def close_in_children(sock: socket.socket) -> None:
    """Notes a socket that is this process's alone. The caller holds off forks."""
    _sockets.add(sock)


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
    try:
        sock.connect(_ABSTRACT + name)
        sock.send(hello)
    except OSError as error:
        sock.close()
        raise Closed from error
    return sock


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
    if size <= INLINE_BYTES:
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
    """Sends a TABLE. Raises Closed if nobody reads any more."""
    if table.nbytes <= INLINE_BYTES // 2:
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
        socket.send_fds(sock, parts, descriptors)
    except OSError as error:
        raise Closed from error


def receive(sock: socket.socket) -> tuple[Kind, pa.Buffer]:
    """Waits for a message; its payload may be a mapping. Raises Closed at the end."""
    try:
        data, descriptors, _, _ = socket.recv_fds(
            sock, _HEADER.size + INLINE_BYTES, 1, socket.MSG_CMSG_CLOEXEC
        )
    except OSError as error:
        raise Closed from error
    if not data:
        raise Closed
    number, size = _HEADER.unpack_from(data)
    if size <= INLINE_BYTES:
        return Kind(number), pa.py_buffer(data)[_HEADER.size :]
    if not descriptors:
        raise OSError("no descriptor is free to map a block of a streaming split")
    try:
        # The mapping lives as long as a buffer of it; the descriptor does not.
        with pa.memory_map(f"/proc/self/fd/{descriptors[0]}") as file:
            return Kind(number), file.read_buffer(size)
    finally:
        os.close(descriptors[0])


def read_table(payload: pa.Buffer) -> pa.Table:
    """Returns the table of a TABLE; its columns lie in `payload`."""
    return pa.ipc.open_stream(payload).read_all()
