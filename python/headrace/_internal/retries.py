"""Calls of the user's functions that are made again when they fail.

`DataContext.retried_map_errors` says which errors, `max_map_retries` how often; for classes also
`actor_task_retry_on_errors`, as often as `max_task_attempts` allows. Between calls a worker waits
0.1 s, 0.2 s, 0.4 s, ..., at most 32 s.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from headrace.context import DataContext

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 32.0


@dataclasses.dataclass(frozen=True)
class Retries:
    """Which errors of a function let it be called again.

    Attributes:
        patterns: of "Type: text" of the error: a part of it, or a regular expression where it is
            one; None: any.
        times: how often, for errors that fit one.
        types: of errors.
        times_of_types: how often, for these.
    """

    patterns: tuple[str, ...] | None
    times: int
    types: tuple[type[BaseException], ...] = ()
    times_of_types: int = 0

    @staticmethod
    def of(context: DataContext, is_class: bool) -> Retries | None:
        """Returns what the settings say; None for no retries.

        Raises TypeError for settings that are no bool or list, or of the wrong things.
        """
        chosen = context.retried_map_errors
        if not isinstance(chosen, bool) and (
            # A text would be taken for a list of letters.
            isinstance(chosen, str) or not all(isinstance(item, str) for item in chosen)
        ):
            raise TypeError(f"retried_map_errors must be a bool or patterns, got: {chosen!r}")
        types = context.actor_task_retry_on_errors if is_class else False
        classes = (Exception,) if types is True else tuple(types or ())
        if not all(isinstance(kind, type) for kind in classes):
            raise TypeError(f"actor_task_retry_on_errors must be a bool or classes, got: {types!r}")
        times = context.max_map_retries if chosen else 0
        times_of_types = context.max_task_attempts - 1 if classes else 0
        if times <= 0 and times_of_types <= 0:
            return None
        patterns = None if chosen is True else tuple(chosen or ())
        return Retries(patterns, times, classes, times_of_types)

    def wrap(self, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Returns a function that calls `fn`, each time on the data as it was."""

        def call(data: Any) -> Any:
            for number in range(self._most + 1):
                try:
                    result = fn(_copy(data))
                    return iter(list(result)) if isinstance(result, Iterator) else result
                except Exception as error:
                    if not self._fits(error, number):
                        raise
                time.sleep(_wait(number))
            raise AssertionError("the last call returns or raises")

        return call

    def wrap_async(self, fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The same for an async function, or one that returns an async iterator."""

        async def call(data: Any) -> Any:
            import asyncio

            for number in range(self._most + 1):
                try:
                    result = fn(_copy(data))
                    if isinstance(result, AsyncIterator):
                        return iter([part async for part in result])
                    return await result
                except Exception as error:
                    if not self._fits(error, number):
                        raise
                await asyncio.sleep(_wait(number))
            raise AssertionError("the last call returns or raises")

        return call

    @property
    def _most(self) -> int:
        return max(self.times, self.times_of_types)

    def _fits(self, error: Exception, number: int) -> bool:
        """Returns whether to call again after call `number` failed."""
        if number < self.times_of_types and isinstance(error, self.types):
            return True
        text = f"{type(error).__name__}: {error}"
        return number < self.times and (
            self.patterns is None or any(_fits_pattern(text, pattern) for pattern in self.patterns)
        )


def _fits_pattern(text: str, pattern: str) -> bool:
    if pattern in text:
        return True
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False  # A pattern such as "*busy*" is but a part of a text.


def _wait(number: int) -> float:
    return min(_FIRST_WAIT_S * 2**number, _LONGEST_WAIT_S)


def _copy(data: Any) -> Any:
    """Returns a copy of a row or a batch: of all in it that a function may change."""
    if isinstance(data, Mapping):
        return {key: _copy_values(value) for key, value in data.items()}
    if not type(data).__module__.startswith("pandas"):
        return data  # Arrow's tables do not change.
    frame = data.copy()
    for name in data.columns[data.dtypes == np.dtype(object)]:
        frame[name] = copy.deepcopy(data[name].to_numpy())
    return frame


def _copy_values(values: Any) -> Any:
    if isinstance(values, np.ndarray) and values.dtype.kind != "O" and not values.flags.writeable:
        return values
    return copy.deepcopy(values)
