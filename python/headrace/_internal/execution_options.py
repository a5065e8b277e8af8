"""How much a run may use: `ExecutionResources` and `ExecutionOptions`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

_NAMES = ("cpu", "gpu", "object_store_memory", "memory")


class ExecutionResources:
    """Amounts of cpu, gpu (cores, devices), object-store bytes and heap bytes.

    An amount that is not given counts as zero; `for_limits` makes it infinite instead.
    """

    def __init__(
        self,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> None:
        self._cpu = _rounded(cpu)
        self._gpu = _rounded(gpu)
        self._object_store_memory = _whole(object_store_memory)
        self._memory = _whole(memory)

    @property
    def cpu(self) -> float:
        return self._cpu or 0.0

    @property
    def gpu(self) -> float:
        return self._gpu or 0.0

    @property
    def object_store_memory(self) -> float:
        return self._object_store_memory or 0.0

    @property
    def memory(self) -> float:
        return self._memory or 0.0

    @classmethod
    def from_resource_dict(cls, resource_dict: dict[str, float]) -> ExecutionResources:
        """Reads the keys "CPU", "GPU", "object_store_memory" and "memory"."""
        return cls(
            cpu=resource_dict.get("CPU", 0),
            gpu=resource_dict.get("GPU", 0),
            object_store_memory=resource_dict.get("object_store_memory", 0),
            memory=resource_dict.get("memory", 0),
        )

    @classmethod
    def for_limits(
        cls,
        cpu: float | None = None,
        gpu: float | None = None,
        object_store_memory: float | None = None,
        memory: float | None = None,
    ) -> ExecutionResources:
        """Amounts as limits: what is not given is infinite."""
        amounts = (cpu, gpu, object_store_memory, memory)
        return cls(*(math.inf if amount is None else amount for amount in amounts))

    @classmethod
    def zero(cls) -> ExecutionResources:
        return cls(0.0, 0.0, 0.0, 0.0)

    @classmethod
    def inf(cls) -> ExecutionResources:
        return cls(math.inf, math.inf, math.inf, math.inf)

    @classmethod
    def combine(
        cls, resources: Iterable[ExecutionResources], fn: Callable[[float, float], float]
    ) -> ExecutionResources | None:
        """Folds the amounts by `fn`; None for no resources."""
        result: ExecutionResources | None = None
        for item in resources:
            result = item if result is None else result._zip(item, fn)
        return result

    @classmethod
    def combine_sum(cls, resources: Iterable[ExecutionResources]) -> ExecutionResources:
        return cls.combine(resources, lambda a, b: a + b) or cls.zero()

    def to_resource_dict(self) -> dict[str, float]:
        return {
            "CPU": self.cpu,
            "GPU": self.gpu,
            "object_store_memory": self.object_store_memory,
            "memory": self.memory,
        }

    def add(self, other: ExecutionResources) -> ExecutionResources:
        return self._zip(other, lambda a, b: a + b)

    def subtract(self, other: ExecutionResources) -> ExecutionResources:
        return self._zip(other, lambda a, b: a - b)

    def max(self, other: ExecutionResources) -> ExecutionResources:
        return self._zip(other, max)

    def min(self, other: ExecutionResources) -> ExecutionResources:
        return self._zip(other, min)

    def scale(self, f: float) -> ExecutionResources:
        return ExecutionResources(
            **{name: 0 if f == 0 else getattr(self, name) * f for name in _NAMES}
        )

    def floordiv(self, other: ExecutionResources) -> ExecutionResources:
        """How often `other` fits, by amount; infinite where `other` asks nothing."""

        def divide(a: float, b: float) -> float:
            return math.inf if b == 0 or math.isinf(a) else a // b

        return self._zip(other, divide)

    def is_zero(self) -> bool:
        return all(getattr(self, name) == 0 for name in _NAMES)

    def is_non_negative(self) -> bool:
        return all(getattr(self, name) >= 0 for name in _NAMES)

    def satisfies_limit(
        self, limit: ExecutionResources, *, ignore_object_store_memory: bool = False
    ) -> bool:
        """True if no amount is above that of `limit`."""
        names = [n for n in _NAMES if not (ignore_object_store_memory and n == _NAMES[2])]
        return all(getattr(self, name) <= getattr(limit, name) for name in names)

    def copy(
        self,
        cpu: float | None = None,
        gpu: float | None = None,
        memory: float | None = None,
        object_store_memory: float | None = None,
    ) -> ExecutionResources:
        """Returns a copy with the given amounts replaced."""
        return ExecutionResources(
            cpu=self.cpu if cpu is None else cpu,
            gpu=self.gpu if gpu is None else gpu,
            object_store_memory=(
                self.object_store_memory if object_store_memory is None else object_store_memory
            ),
            memory=self.memory if memory is None else memory,
        )

    def object_store_memory_str(self) -> str:
        return format_bytes(self.object_store_memory)

    def memory_str(self) -> str:
        return format_bytes(self.memory)

    def _zip(
        self, other: ExecutionResources, fn: Callable[[float, float], float]
    ) -> ExecutionResources:
        return ExecutionResources(
            **{name: fn(getattr(self, name), getattr(other, name)) for name in _NAMES}
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExecutionResources):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _NAMES)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in _NAMES))

    def __repr__(self) -> str:
        return (
            f"ExecutionResources(cpu={self.cpu}, gpu={self.gpu}, "
            f"object_store_memory={self.object_store_memory_str()}, "
            f"memory={self.memory_str()})"
        )


class ExecutionOptions:
    """How a run behaves.

    Args:
        resource_limits: The most that the run may use; default: no limit.
        exclude_resources: What is left to others; default: nothing.
        preserve_order: Blocks leave in the order of the source. Default False.
        actor_locality_enabled: Accepted; one machine has one locality.
        verbose_progress: Show one bar per operator; default True.
        label_selector: On a Ray cluster, labels of the nodes that tasks run on, beside those that
            an operator asks for. One machine has no labels.
        memory_limit: Bytes of memory that the whole job may hold; default None: no limit, but for
            that of blocks (`resource_limits.object_store_memory`). Headrace's own: `ray.data` has
            no such option.

    What counts towards `memory_limit` is what the machine would get back if the job ended: of this
    process, of the worker processes and of the template that they are forked from, their own memory
    and their part of what they share (the sum of their PSS): blocks, spill buffers, prefetched
    batches, the heaps of functions and of actors with their models, the interpreter and the
    libraries that it has loaded, and what your own code holds here. Processes that a function
    starts by itself do not count, nor do memory of a GPU or the page cache of files.

    With it blocks get at most half of what the engine leaves of it, and none is made larger than
    1/32 of it (or `target_min_block_size`, if that is more). What a function's tasks hold is
    measured and learned; a task starts when what it is expected to hold fits in, and one alone may
    always run. Where the limit would be passed, the task that is furthest above what was expected
    is stopped and run again with more room, at last alone. Its inputs and outputs are neither lost
    nor doubled; side effects of a function that was stopped stay. If it does not fit even alone,
    the run fails with a MemoryError that says which operator, what it held, and what would help; a
    limit that is below what the plan needs from the start is a ValueError. `memory=` of an operator
    says what a task or an actor needs before any has run. Several runs at a time share the smallest
    of their limits. On a Ray cluster, whose processes Headrace does not measure, a run with a limit
    is a NotImplementedError: `resource_limits.object_store_memory` and `memory=` hold there.
    """

    def __init__(
        self,
        resource_limits: ExecutionResources | None = None,
        exclude_resources: ExecutionResources | None = None,
        preserve_order: bool = False,
        actor_locality_enabled: bool = True,
        verbose_progress: bool | None = None,
        label_selector: dict[str, str] | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self.resource_limits = resource_limits or ExecutionResources.for_limits()
        self.exclude_resources = exclude_resources or ExecutionResources.zero()
        self.preserve_order = preserve_order
        self.actor_locality_enabled = actor_locality_enabled
        self.locality_with_output: bool | list[str] = False
        self.verbose_progress = True if verbose_progress is None else verbose_progress
        self.label_selector = label_selector
        self.memory_limit = memory_limit

    @property
    def resource_limits(self) -> ExecutionResources:
        return self._resource_limits

    @resource_limits.setter
    def resource_limits(self, value: ExecutionResources) -> None:
        self._resource_limits = ExecutionResources.for_limits(
            cpu=value._cpu,
            gpu=value._gpu,
            object_store_memory=value._object_store_memory,
            memory=value._memory,
        )

    def is_resource_limits_default(self) -> bool:
        return self._resource_limits == ExecutionResources.for_limits()

    def validate(self) -> None:
        """Raises ValueError if an amount is both limited and partly excluded, or the memory limit
        is not positive."""
        if self.memory_limit is not None and self.memory_limit <= 0:
            raise ValueError(f"memory_limit must be > 0, got: {self.memory_limit}")
        for name in ("cpu", "gpu", "object_store_memory"):
            limited = not math.isinf(getattr(self.resource_limits, name))
            if limited and getattr(self.exclude_resources, name) > 0:
                raise ValueError(
                    f"Resource limits and exclude_resources cannot both be set for {name}: "
                    f"{self.resource_limits} and {self.exclude_resources}."
                )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExecutionOptions):
            return NotImplemented
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ExecutionOptions(resource_limits={self.resource_limits}, "
            f"exclude_resources={self.exclude_resources}, "
            f"preserve_order={self.preserve_order}, "
            f"actor_locality_enabled={self.actor_locality_enabled}, "
            f"verbose_progress={self.verbose_progress}, label_selector={self.label_selector}, "
            f"memory_limit={self.memory_limit})"
        )


def format_bytes(num_bytes: float) -> str:
    """Prints a number of bytes as "1.5KiB", "inf" for no bound."""
    if math.isinf(num_bytes):
        return "inf"
    value = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}TiB"


def _rounded(amount: float | None) -> float | None:
    return None if amount is None else round(amount, 5)


def _whole(amount: float | None) -> float | None:
    if amount is None or math.isinf(amount):
        return amount
    return round(amount) if isinstance(amount, int) else float(round(amount))
