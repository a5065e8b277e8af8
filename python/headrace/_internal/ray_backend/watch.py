"""Looks after the cluster: is its head there, how large is it, should it grow.

Two threads, which end with the last job, so with the session, whose own storage is one. One knocks
at the head's door, which never takes long; the other asks Ray, which may wait for a lost head for a
minute.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import ray
from ray.autoscaler.sdk import request_resources

from headrace._internal.ray_backend import places

if TYPE_CHECKING:
    from headrace._internal.ray_backend.bridge import Job

_logger = logging.getLogger("headrace")

_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 2.0  # That the head may take.
# How long a head may be away: one that keeps its state elsewhere can be started again.
HEAD_SECONDS = 10.0
# A request to the autoscaler holds for all of the cluster until the next one, of anybody: so it is
# said again while it is wanted.
_REPEAT_SECONDS = 5.0
# Shortages that are over by the next look are none. Nodes are asked for in steps: more of them when
# these are there.
_LOOKS_SHORT = 2
MOST_BUNDLES = 256


class Watch:
    """The watch of one bridge. Threads: all methods from any thread.

    Args:
        head: where the head of the cluster listens: host and port.
    """

    def __init__(self, head: str) -> None:
        self._head = head
        self._lock = threading.Lock()
        self._jobs: list[Job] = []
        self._ended = threading.Event()
        self._lost: ConnectionError | None = None
        self._looks_short = 0
        self._asked_at: float | None = None  # When the autoscaler was asked for something.

    def add(self, job: Job) -> None:
        with self._lock:
            self._jobs.append(job)
            if len(self._jobs) > 1:
                return
            self._ended = threading.Event()
            for name, look in (("head", self._look_for_head), ("cluster", self._look_at_cluster)):
                threading.Thread(
                    target=self._run, args=(look, self._ended), name=f"headrace-{name}", daemon=True
                ).start()

    def remove(self, job: Job) -> None:
        with self._lock:
            if job in self._jobs:
                self._jobs.remove(job)
            left = list(self._jobs)
            if not left:
                self._ended.set()
        if self._lost is None and not any(each.wanted() for each in left):
            self._stop_asking()

    def check(self) -> None:
        """Raises ConnectionError if the head is lost."""
        if self._lost is not None:
            raise self._lost

    def _run(self, look: Callable[[], None], ended: threading.Event) -> None:
        while not ended.wait(_LOOK_SECONDS) and self._lost is None:
            try:
                look()
            except Exception as error:  # Of Ray, while a cluster changes or goes.
                _logger.debug("a look at the Ray cluster failed: %s", error)

    def _running(self) -> list[Job]:
        with self._lock:
            return list(self._jobs)

    # ---- The head

    def _look_for_head(self) -> None:
        since = time.monotonic()
        while not _answers(self._head):
            if time.monotonic() - since > HEAD_SECONDS:
                self._lost = ConnectionError(
                    f"the head of the Ray cluster at {self._head} is lost: it has not answered for "
                    f"{HEAD_SECONDS:.0f} s. What was not written is lost; start the cluster, call "
                    "headrace.shutdown(), and run again"
                )
                for job in self._running():
                    job.lose(self._lost)
                return
            time.sleep(_LOOK_SECONDS / 4)

    # ---- Its size

    def _look_at_cluster(self) -> None:
        jobs = self._running()
        for job in jobs:
            job.tell_capacity()
        wanted: list[places.Amounts] = []
        for job in jobs:
            wanted += job.wanted()
        if not wanted:
            self._looks_short = 0
            self._stop_asking()
            return
        self._looks_short += 1
        now = time.monotonic()
        is_due = self._asked_at is None or now - self._asked_at >= _REPEAT_SECONDS
        if self._looks_short < _LOOKS_SHORT or not is_due:
            return
        # Room for all that there is, and for what waits.
        held = [_whole(node["Resources"]) for node in places.live_nodes()]
        bundles = [bundle for bundle in held if bundle] + wanted[:MOST_BUNDLES]
        request_resources(bundles=bundles)
        self._asked_at = now

    def _stop_asking(self) -> None:
        if self._asked_at is None:
            return
        self._asked_at = None
        try:
            request_resources(bundles=[])
        except Exception as error:
            _logger.debug("a request to the autoscaler could not be taken back: %s", error)


def _whole(amounts: places.Amounts) -> places.Amounts:
    """Returns what of a node an autoscaler knows: cpus, gpus, and resources with a user's name."""
    return {
        name: amount
        for name, amount in amounts.items()
        if not name.startswith(("node:", "accelerator_type:", "object_store", "memory"))
        and "_group_" not in name
        and amount > 0
    }


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def head_address() -> str:
    return str(ray.get_runtime_context().gcs_address)
