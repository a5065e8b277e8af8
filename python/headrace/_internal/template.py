"""The template process: a clean interpreter that has the slow imports done and forks workers.

Its last argument is the descriptor of its control socket. What crosses that is told in
runtime/local/template_protocol.h; the command is made by `worker_setup.template_command`.
"""

from __future__ import annotations

import signal

# First of all: Ctrl-C is for the user's process, which then ends this one.
signal.signal(signal.SIGINT, signal.SIG_IGN)

import errno  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import select  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402
import sys  # noqa: E402
from typing import NoReturn  # noqa: E402

import cloudpickle  # noqa: E402, F401
import numpy as np  # noqa: E402

from headrace import _core  # noqa: E402
from headrace._internal import worker, worker_setup  # noqa: E402

_REPLY = struct.Struct("<cqq")
_LENGTH = struct.Struct("<Q")
_FD_SIZE = struct.calcsize("i")


class Template:
    """Serves one control socket until it is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        # Objects that live so far are never collected, so forks share their pages for good.
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_out, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._wake_out in ready:
                self._reap()
            if self._control.fileno() in ready and not self._serve():
                self._end()
                return

    def _serve(self) -> bool:
        """Answers one request; False at the end of the socket."""
        try:
            message, ancillary, _, _ = self._control.recvmsg(1, socket.CMSG_SPACE(_FD_SIZE))
        except ConnectionError:
            return False
        if not message:
            return False
        descriptor = struct.unpack("i", ancillary[0][2][:_FD_SIZE])[0]
        template = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.close(descriptor)
            return self._reply(b"F", -1, error.errno or errno.EAGAIN)
        if pid == 0:
            self._become_worker(descriptor, template)
        self._children.add(pid)
        os.close(descriptor)
        return self._reply(b"F", pid, 0)

    def _reply(self, kind: bytes, pid: int, status: int) -> bool:
        try:
            self._control.send(_REPLY.pack(kind, pid, status))
        except OSError:
            return False
        return True

    def _reap(self) -> None:
        try:
            while os.read(self._wake_out, 4096):
                pass
        except BlockingIOError:
            pass
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._children.discard(pid)
            self._reply(b"X", pid, status)

    def _end(self) -> None:
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _become_worker(self, descriptor: int, template: int) -> NoReturn:
        code = 1
        try:
            if os.getppid() != template:  # Killed since: nobody would wait for this process.
                os._exit(code)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            os.close(self._wake_in)
            os.close(self._wake_out)
            code = run_worker(descriptor)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)


def run_worker(descriptor: int) -> int:
    """Runs in the forked child: takes over the setup, then serves tasks until the driver ends."""
    random.seed()
    if "numpy.random" in sys.modules:  # Else it seeds itself when this process imports it.
        np.random.seed()  # noqa: NPY002
    worker_setup.apply_setup(_read_setup(descriptor))
    # What users print appears when they print it, also where stdout is a pipe.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    runtime = worker.Runtime()
    code = _core.run_worker(descriptor, runtime)
    runtime.close()
    return code


def _read_setup(descriptor: int) -> bytes:
    (length,) = _LENGTH.unpack(_read_exactly(descriptor, _LENGTH.size))
    return _read_exactly(descriptor, length)


def _read_exactly(descriptor: int, size: int) -> bytes:
    parts = []
    while size > 0:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise EOFError("the driver closed the worker's socket")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[-1]))
    Template(control).run()


if __name__ == "__main__":
    main()
