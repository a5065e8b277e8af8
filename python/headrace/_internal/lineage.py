"""How a dataset was made, so that it can be pickled: the verb and its arguments.

A dataset is a handle on a plan that lives in this process. Pickled, it is the chain of verbs that
made it; unpickled, they are called again. Blocks in memory travel as Arrow tables.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from headrace._internal.runtime import with_placing

_F = TypeVar("_F", bound=Callable[..., Any])


def recorded(verb: _F) -> _F:
    """Decorates a function or method that returns a dataset: the result remembers the call."""

    @functools.wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = verb(*args, **(with_placing(kwargs) if kwargs else kwargs))
        if getattr(result, "_recipe", True) is None:
            result._recipe = (call, args, kwargs)
        return result

    return cast(_F, call)


def replay(verb: Callable[..., Any], args: Any, kwargs: Any, state: dict[str, Any]) -> Any:
    """Calls `verb` again, under the context that the dataset had."""
    from headrace.context import DataContext

    with DataContext.current(state["context"]):
        result = verb(*args, **kwargs)
    result._context = state["context"]
    result._name = state["name"]
    return result
