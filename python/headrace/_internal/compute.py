"""Where a transform runs: in stateless tasks, or in a pool of actors."""

from __future__ import annotations

import math
from typing import Any


class ComputeStrategy:
    """Base of `TaskPoolStrategy` and `ActorPoolStrategy`."""


class TaskPoolStrategy(ComputeStrategy):
    """Runs a function in stateless tasks.

    Args:
        size: The most tasks at once; default: as many as resources allow.
    """

    def __init__(self, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError("`size` must be >= 1", size)
        self.size = size

    def __eq__(self, other: Any) -> bool:
        return (isinstance(other, TaskPoolStrategy) and self.size == other.size) or (
            other == "tasks" and self.size is None
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TaskPoolStrategy(size={self.size})"


class ActorPoolStrategy(ComputeStrategy):
    """Runs a class in actors: workers that keep their instance.

    Args:
        size: A fixed number of actors; not together with the other sizes.
        min_size: The least number of actors, default 1.
        max_size: The most actors, default unbounded.
        initial_size: Actors to start with, default `min_size`.
        max_tasks_in_flight_per_actor: Tasks running at and sent ahead to one actor, default 2.
        max_concurrent_calls_per_actor: Accepted for compatibility.
        enable_true_multi_threading: Accepted for compatibility.
    """

    def __init__(
        self,
        *,
        size: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        initial_size: int | None = None,
        max_tasks_in_flight_per_actor: int | None = None,
        max_concurrent_calls_per_actor: int | None = None,
        enable_true_multi_threading: bool | None = None,
    ) -> None:
        if size is not None:
            if size < 1:
                raise ValueError("size must be >= 1", size)
            if any(given is not None for given in (min_size, max_size, initial_size)):
                raise ValueError(
                    "min_size, max_size, and initial_size cannot be set at the same time as `size`"
                )
            min_size = max_size = initial_size = size
        if min_size is not None and min_size < 1:
            raise ValueError("min_size must be >= 1", min_size)
        if max_size is not None and max_size < (min_size or 1):
            raise ValueError("min_size must be <= max_size", min_size, max_size)
        if max_tasks_in_flight_per_actor is not None and max_tasks_in_flight_per_actor < 1:
            raise ValueError(
                "max_tasks_in_flight_per_actor must be >= 1, got: ", max_tasks_in_flight_per_actor
            )
        self.min_size: int = min_size or 1
        self.max_size: float = math.inf if max_size is None else max_size
        self.initial_size: int = self.min_size if initial_size is None else initial_size
        if self.initial_size < self.min_size:
            raise ValueError(
                f"initial_size ({self.initial_size}) must be >= min_size ({self.min_size})"
            )
        if self.initial_size > self.max_size:
            raise ValueError(
                f"initial_size ({self.initial_size}) must be <= max_size ({self.max_size})"
            )
        self.max_tasks_in_flight_per_actor = max_tasks_in_flight_per_actor
        self.max_concurrent_calls_per_actor = max_concurrent_calls_per_actor
        self._enable_true_multi_threading = bool(enable_true_multi_threading)

    @property
    def enable_true_multi_threading(self) -> bool:
        return self._enable_true_multi_threading

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, ActorPoolStrategy) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ActorPoolStrategy(min_size={self.min_size}, max_size={self.max_size}, "
            f"initial_size={self.initial_size}, "
            f"max_tasks_in_flight_per_actor={self.max_tasks_in_flight_per_actor})"
        )
