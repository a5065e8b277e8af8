"""The driver's side: orders of the engine become Ray tasks, and their fates become events.

The engine's thread calls all methods, a few of them for each task; see runtime/bridge/bridge.h for
what each promises. Nothing here waits: Ray calls back when the next output of a task exists, and
the callback leaves a hint and wakes the engine, which then calls `Job.poll`.
"""

from __future__ import annotations

import collections
import itertools
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import ray
from ray import exceptions as ray_errors

from headrace import _core
from headrace._internal import worker_setup
from headrace._internal.ray_backend import asking, places, remote, watch

# Outputs, of two objects each, that a task may have made and nobody has read.
_OBJECTS_AHEAD = 4
# How often Ray runs a task again whose worker or node died, or whose blocks a dead node had; and
# starts an actor again. Tasks that the engine starts again after that come on top.
_RETRIES = 3
# How long cancelled tasks may go on before their processes are killed.
_SECONDS_TO_END = 3.0
# A program with more bytes is an object of its own, and not a part of each task.
_LARGE_RECORD_BYTES = 64 * 1024
# Of the memory for objects; the rest is for blocks that tasks have made and nobody has read, for
# the inputs of running tasks, and for other users of the cluster.
_STORE_SHARE = 0.5
# How long one wait for a block lasts before the cluster is looked at.
_GET_SECONDS = 5.0

Event = tuple[Any, ...]


class Bridge:
    """One session's connection.

    Args:
        owns: the connection ends with the session.
    """

    name = "ray"

    def __init__(self, owns: bool) -> None:
        self._owns = owns
        self._token = uuid.uuid4().hex
        self._objects: dict[int, Any] = {}
        self._watch = watch.Watch(watch.head_address())
        self._numbers = itertools.count(1)
        expected = remote.versions()
        self._task = ray.remote(remote.task_function(expected))
        self._actor = ray.remote(remote.actor_class(expected))

    def open_job(self, wake: Callable[[], None], asked: bytes) -> Job:
        return Job(self, wake, asking.read_asked(asked))

    def put(self, table: pa.Table) -> int:
        self.check_open()
        return self.hold(ray.put(remote.pack(table)))

    def get(self, number: int) -> pa.Table:
        self.check_open()
        while True:
            try:
                return remote.unpack(ray.get(self._objects[number], timeout=_GET_SECONDS))
            except ray_errors.GetTimeoutError:
                self._watch.check()

    def release(self, numbers: list[int]) -> None:
        for number in numbers:
            self._objects.pop(number, None)

    def capacity(self, asked: bytes) -> _core.Resources:
        self.check_open()
        return places.to_resources(places.there_is(asking.read_asked(asked)))

    def possible_capacity(self, asked: bytes) -> _core.Resources:
        self.check_open()
        return places.to_resources(places.there_may_be(asking.read_asked(asked)))

    def store_bytes(self, asked: bytes) -> int:
        self.check_open()
        return int(places.store_bytes(asking.read_asked(asked)) * _STORE_SHARE)

    def close(self) -> None:
        self._objects.clear()
        if self._owns and ray.is_initialized():
            ray.shutdown()

    # ---- For jobs.

    @property
    def token(self) -> str:
        """Tells this driver from others whose tasks run in the same workers."""
        return self._token

    @property
    def task(self) -> Any:
        return self._task

    @property
    def actor(self) -> Any:
        return self._actor

    @property
    def watch(self) -> watch.Watch:
        return self._watch

    def hold(self, ref: Any) -> int:
        """Keeps `ref` until `release`; returns its number."""
        number = next(self._numbers)
        self._objects[number] = ref
        return number

    def refs(self, numbers: list[int]) -> list[Any]:
        return [self._objects[number] for number in numbers]

    def check_open(self) -> None:
        """Ray's own calls would start a new cluster, or wait for a lost one."""
        self._watch.check()
        if not ray.is_initialized():
            raise RuntimeError(
                "the connection to the Ray cluster was closed (ray.shutdown()); call "
                "headrace.shutdown(), too, before a new run"
            )


class _Task:
    """A task that was given to Ray and whose end was not told yet."""

    __slots__ = ("actor", "cancelled", "credit", "key", "outputs", "pair", "parked", "yielded")

    def __init__(self, key: int, outputs: Any, credit: int, actor: _Actor | None) -> None:
        self.key = key
        self.outputs = outputs  # Ray's generator of references.
        self.credit = credit
        self.yielded = 0
        self.pair: list[Any] = []  # References to the next output and its info.
        self.parked = False
        self.cancelled = False
        self.actor = actor


class _Program:
    """A program as workers get it, and what its operator asks for."""

    __slots__ = ("place", "record")

    def __init__(self, record: Any, place: bytes) -> None:
        self.record = record
        self.place = place


class _Actor:
    """An actor; `handle` is dropped when it should end, `ready` when it has started."""

    __slots__ = ("handle", "key", "lost", "ready", "stopping", "tasks")

    def __init__(self, key: int, handle: Any) -> None:
        self.key = key
        self.handle = handle
        self.ready: Any = None
        self.tasks: collections.deque[int] = collections.deque()  # In the order of their start.
        self.stopping = False
        self.lost = False


class Job:
    """The tasks and actors of one run. Threads: `lose`, `tell_capacity` and `wanted` are the
    watch's, the rest is one thread's at a time."""

    def __init__(self, bridge: Bridge, wake: Callable[[], None], asked: asking.Asked) -> None:
        self._bridge = bridge
        self._wake = wake
        self._asked = asked
        self._setup = worker_setup.setup_payload()
        self._programs: dict[int, _Program] = {}
        self._tasks: dict[int, _Task] = {}
        self._actors: dict[int, _Actor] = {}
        self._hints: collections.deque[int] = collections.deque()
        self._functions: dict[tuple[Any, ...], Any] = {}  # With their options, by what they cost.
        self._killer: threading.Timer | None = None
        self._kill = False
        self._lost: ConnectionError | None = None
        self._demands: list[tuple[_core.Resources, int]] = []
        self._known_capacity = places.there_is(asked)
        self._new_capacity: places.Amounts | None = None
        bridge.watch.add(self)

    def close(self) -> None:
        self._bridge.watch.remove(self)
        if self._killer is not None:
            self._killer.cancel()
        self._tasks.clear()
        for actor in list(self._actors.values()):
            self._drop_actor(actor)

    def register(self, key: int, program: bytes, place: bytes) -> None:
        self._bridge.check_open()
        record = remote.make_record(self._setup, program)
        # In a list, a reference is not replaced by what it refers to.
        large = len(record) > _LARGE_RECORD_BYTES
        self._programs[key] = _Program([ray.put(record)] if large else record, place)

    # ---- Tasks.

    def submit(
        self,
        key: int,
        program: int,
        order: bytes,
        inputs: list[int],
        input_bytes: int,
        cost: _core.Resources | None,
        credit: int,
        actor: int | None,
    ) -> None:
        self._bridge.check_open()
        known = self._programs[program]
        arguments = (self._bridge.token, program, known.record, order)
        blocks = self._bridge.refs(inputs)
        if actor is None:
            assert cost is not None
            function = self._function(cost, known.place, input_bytes >= self._asked.large_bytes)
            task = _Task(key, function.remote(*arguments, *blocks), credit, None)
        else:
            home = self._actors[actor]
            method = home.handle.run.options(
                num_returns="streaming", _generator_backpressure_num_objects=_OBJECTS_AHEAD
            )
            task = _Task(key, method.remote(*arguments, *blocks), credit, home)
            home.tasks.append(key)
            self._go_on(self._tasks.get(home.tasks[0]))
        self._tasks[key] = task
        self._watch(task)

    def grant(self, key: int, credit: int) -> None:
        task = self._tasks.get(key)
        if task is None:
            return
        task.credit = max(task.credit, credit)
        self._go_on(task)

    def cancel(self, key: int) -> None:
        task = self._tasks.get(key)
        if task is None or task.cancelled:
            return
        self._bridge.check_open()
        task.cancelled = True
        task.pair = []
        ray.cancel(task.outputs)
        self._call_back(task.outputs.completed(), key)
        if self._killer is None:
            self._killer = threading.Timer(_SECONDS_TO_END, self._ask_to_kill)
            self._killer.daemon = True
            self._killer.start()

    def _function(self, cost: _core.Resources, place: bytes, large: bool) -> Any:
        named = tuple(sorted(cost.custom.items()))
        key = (cost.cpu, cost.gpu, cost.memory, named, place, large)
        function = self._functions.get(key)
        if function is None:
            function = self._functions[key] = self._bridge.task.options(
                num_returns="streaming",
                max_retries=_RETRIES,
                _generator_backpressure_num_objects=_OBJECTS_AHEAD,
                **self._options(cost, place, large),
            )
        return function

    def _options(self, cost: _core.Resources, place: bytes, large: bool) -> dict[str, Any]:
        options = places.options_for(cost, asking.read_place(place), self._asked, large=large)
        places.check_fits(cost, options)
        return options

    def _watch(self, task: _Task) -> None:
        """Asks to be told when the next output of `task` exists, or its end."""
        task.pair = task.outputs._get_next_ref_n(2)
        self._call_back(task.pair[1], task.key)

    def _call_back(self, ref: Any, key: int) -> None:
        def hint(_: BaseException | None) -> None:  # In a thread of Ray's.
            self._hints.append(key)
            self._wake()

        ref._on_ready(hint)

    def _go_on(self, task: _Task | None) -> None:
        """Reads on where `task` waited for what it has now."""
        if task is not None and task.parked and not self._must_park(task):
            task.parked = False
            if not task.cancelled:
                self._watch(task)

    def _must_park(self, task: _Task) -> bool:
        """True without credit. A task that others wait behind in an actor goes on: they cannot
        give it what it waits for."""
        if task.actor is not None and len(task.actor.tasks) > 1:
            return False
        return task.yielded >= task.credit

    # ---- Actors.

    def create_actor(self, key: int, program: int, cost: _core.Resources) -> None:
        self._bridge.check_open()
        known = self._programs[program]
        made = self._bridge.actor.options(
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
            **self._options(cost, known.place, large=False),
        )
        actor = self._actors[key] = _Actor(key, made.remote())
        actor.ready = actor.handle.start.remote(self._bridge.token, program, known.record)
        self._call_back(actor.ready, key)

    def stop_actor(self, key: int) -> None:
        actor = self._actors.get(key)
        if actor is None:
            return
        actor.stopping = True
        if not actor.tasks:
            self._drop_actor(actor)

    def _drop_actor(self, actor: _Actor) -> None:
        self._actors.pop(actor.key, None)
        actor.handle = None  # Ray ends an actor that nobody knows any more.

    # ---- Events.

    def poll(self) -> list[Event]:
        """Returns what happened, see EventOf in bindings/bridge.cc. Raises ConnectionError if the
        head is lost."""
        if self._lost is not None:
            raise self._lost
        events: list[Event] = []
        amounts, self._new_capacity = self._new_capacity, None
        if amounts is not None:
            events.append(("capacity", 0, places.to_resources(amounts)))
        while self._hints:
            key = self._hints.popleft()
            task = self._tasks.get(key)
            if task is not None:
                self._advance(task, events)
            elif key in self._actors:
                self._meet_actor(self._actors[key], events)
        if self._kill:
            self._kill = False
            self._kill_cancelled(events)
        return events

    def _advance(self, task: _Task, events: list[Event]) -> None:
        if task.cancelled:
            if ray.wait([task.outputs.completed()], timeout=0, fetch_local=False)[0]:
                self._fail(task, "cancelled", "the task was cancelled", events)
            return
        if not task.pair:
            return
        block, info_ref = task.pair
        try:
            info = ray.get(info_ref)
        except ray_errors.ObjectRefStreamEndOfStreamError:
            return self._finish(task, block, events)
        except Exception as error:
            return self._fail(task, *_fate(error), events)
        try:
            task.outputs._consume_next_ref_n(2)
        except ValueError:  # The info was reported before the block: come again.
            return self._call_back(block, task.key)
        task.pair = []
        task.yielded += remote.SIZE.unpack_from(info)[0]
        events.append(("block", task.key, self._bridge.hold(block), info[remote.SIZE.size :]))
        if self._must_park(task):
            task.parked = True
            events.append(("parked", task.key, task.credit))
        else:
            self._watch(task)

    def _finish(self, task: _Task, report: Any, events: list[Event]) -> None:
        try:
            events.append(("ended", task.key, ray.get(report)))
        except Exception as error:
            return self._fail(task, *_fate(error), events)
        self._forget(task)

    def _fail(self, task: _Task, kind: str, message: str, events: list[Event]) -> None:
        events.append(("failed", task.key, kind, message))
        actor = task.actor
        if kind == "actor_lost":
            events[-1] = ("failed", task.key, "worker_lost", message)
            if actor is not None and not actor.lost:
                actor.lost = True
                events.append(("actor_lost", actor.key, "worker_lost", message))
        self._forget(task)

    def _forget(self, task: _Task) -> None:
        del self._tasks[task.key]
        task.outputs = None
        actor = task.actor
        if actor is None:
            return
        actor.tasks.remove(task.key)
        if not actor.tasks and (actor.stopping or actor.lost):
            self._drop_actor(actor)

    def _meet_actor(self, actor: _Actor, events: list[Event]) -> None:
        ready, actor.ready = actor.ready, None
        if ready is None:
            return
        try:
            refusal = ray.get(ready)
        except Exception as error:
            kind, message = _fate(error)
            kind = "worker_lost" if kind == "actor_lost" else kind
            events.append(("actor_lost", actor.key, kind, message))
        else:
            if not refusal:
                events.append(("actor_ready", actor.key))
                return
            events.append(("actor_refused", actor.key, refusal))
        actor.lost = True
        if not actor.tasks:
            self._drop_actor(actor)

    # ---- The cluster.

    def want(self, demands: list[tuple[_core.Resources, int]]) -> None:
        """Notes what waits for resources: so many tasks or actors that ask for so much."""
        self._demands = demands

    def wanted(self) -> list[places.Amounts]:
        """Returns what an autoscaler should bring, one entry for each task or actor."""
        if self._asked.group is not None:  # A placement group does not grow.
            return []
        wanted = []
        for each, count in self._demands:
            wanted += [places.amounts_of(each)] * min(count, watch.MOST_BUNDLES)
        return [amounts for amounts in wanted if amounts]

    def tell_capacity(self) -> None:
        """Looks whether what there is has changed."""
        now = places.there_is(self._asked)
        if places.differ(now, self._known_capacity):
            self._known_capacity = self._new_capacity = now
            self._wake()

    def lose(self, why: ConnectionError) -> None:
        """Ends everything with this error."""
        self._lost = why
        self._wake()

    # ---- Tasks that do not end.

    def _ask_to_kill(self) -> None:
        self._kill = True
        self._wake()

    def _kill_cancelled(self, events: list[Event]) -> None:
        self._killer = None
        for task in [task for task in self._tasks.values() if task.cancelled]:
            if task.actor is None:
                ray.cancel(task.outputs, force=True)
            elif not task.actor.lost:
                task.actor.lost = True
                ray.kill(task.actor.handle)
                message = "its process was killed: a cancelled task did not end"
                events.append(("actor_lost", task.actor.key, "worker_lost", message))


# ---- Parts ----------------------------------------------------------------------------------


def _fate(error: BaseException) -> tuple[str, str]:
    """Returns the kind of the failure that Ray reports for a task or actor, and what to say."""
    first_line = str(error).strip().split("\n")[0]
    if isinstance(error, ray_errors.TaskCancelledError):
        return "cancelled", "the task was cancelled"
    if isinstance(error, ray_errors.ActorDiedError):
        return "actor_lost", f"the actor died: {first_line}"
    if isinstance(error, ray_errors.RayTaskError):  # Not the user's: those are in a report.
        return "system", str(error.cause or error)
    lost = (
        ray_errors.WorkerCrashedError,
        ray_errors.NodeDiedError,
        ray_errors.OutOfMemoryError,
        ray_errors.ObjectLostError,
        ray_errors.ActorUnavailableError,
        ray_errors.LocalRayletDiedError,
    )
    replay = getattr(ray_errors, "StreamingGeneratorReplayInconsistentError", ())
    if isinstance(error, lost) or (replay and isinstance(error, replay)):
        return "worker_lost", f"{type(error).__name__}: {first_line}"
    return "system", f"{type(error).__name__}: {error}"
