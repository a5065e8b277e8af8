"""From the arguments of a verb to what the plan takes: functions, placements, options."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from headrace import _core
from headrace._internal.compute import ActorPoolStrategy, ComputeStrategy, TaskPoolStrategy
from headrace._internal.dead_letters import policy_of
from headrace._internal.policy import policy_parts
from headrace._internal.runtime import (
    asked_of_cluster,
    check_backend,
    chosen_backend,
    place_on_cluster,
)
from headrace.context import DataContext

VALID_BATCH_FORMATS = ["pandas", "pyarrow", "numpy", "cudf", None]

# Names of Ray's remote arguments that change nothing on one machine.
_IGNORED_REMOTE_ARGS = frozenset(
    {
        "accelerator_type",
        "enable_task_events",
        "fallback_strategy",
        "label_selector",
        "max_calls",
        "max_concurrency",
        "max_restarts",
        "max_retries",
        "max_task_retries",
        "name",
        "num_returns",
        "retry_exceptions",
        "runtime_env",
        "scheduling_strategy",
        "_labels",
        "_metadata",
    }
)
_MAX_UNBOUNDED_ACTORS = 1024


def check_batch_format(batch_format: str | None) -> str:
    """Returns the format's name; "default" is "numpy", None is "pyarrow". ValueError for others."""
    if batch_format == "default":
        return "numpy"
    if batch_format not in VALID_BATCH_FORMATS or batch_format == "cudf":
        raise ValueError(
            f"The given batch format {batch_format} isn't allowed (must be one of "
            f"{VALID_BATCH_FORMATS})."
        )
    return batch_format or "pyarrow"


def is_callable_class(fn: Any) -> bool:
    return isinstance(fn, type)


def function_name(fn: Any) -> str:
    """Returns the name that operators show: of the function, the class, or the object's class."""
    if isinstance(fn, functools.partial):
        return function_name(fn.func)
    if inspect.ismethod(fn):
        owner = fn.__self__
        owner_name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        return f"{owner_name}.{fn.__name__}"
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def make_function(
    kind: str,
    fn: Any,
    *,
    fn_args: Iterable[Any] | None = None,
    fn_kwargs: dict[str, Any] | None = None,
    fn_constructor_args: Iterable[Any] | None = None,
    fn_constructor_kwargs: dict[str, Any] | None = None,
    batch_rows: int = 0,
    batch_format: str = "pyarrow",
    zero_copy_batch: bool = True,
    name: str | None = None,
    on_error: bytes = b"",
) -> _core.Function:
    """Pickles `fn` and its arguments now, so that later changes to them do not count.

    Raises:
        ValueError: constructor arguments for what is not a class, or `fn` is not callable.
        TypeError: `fn` cannot be pickled; names the function and the variable at fault.
    """
    shown = name or function_name(fn)
    if not callable(fn):
        raise ValueError(f"fn must be a UserDefinedFunction, but got {type(fn).__name__} instead.")
    is_class = is_callable_class(fn)
    for label, given in (
        ("fn_constructor_args", fn_constructor_args),
        ("fn_constructor_kwargs", fn_constructor_kwargs),
    ):
        if given is not None and not is_class:
            raise ValueError(
                f"``{label}`` can only be specified if providing a callable class instance for "
                f"``fn``, but got: {fn}."
            )
    payload = pickle_function(
        shown,
        (
            fn,
            tuple(fn_args or ()),
            dict(fn_kwargs or {}),
            tuple(fn_constructor_args or ()),
            dict(fn_constructor_kwargs or {}),
        ),
    )
    return _core.Function(
        kind=kind,
        name=shown,
        payload=payload,
        is_class=is_class,
        batch_rows=batch_rows,
        batch_format=batch_format,
        zero_copy_batch=zero_copy_batch,
        on_error=on_error,
        drops_rows=policy_of(on_error) != "raise",
    )


def pickle_function(name: str, value: Any) -> bytes:
    """Returns `value` pickled for a worker; TypeError that names what cannot be."""
    import cloudpickle

    try:
        return cloudpickle.dumps(value)
    except Exception as error:
        culprits = ", ".join(_find_unpicklable(value)) or "one of its variables"
        raise TypeError(
            f"The function '{name}' cannot be sent to a worker process: {culprits} cannot be "
            f"pickled ({type(error).__name__}: {error}). Create it inside the function, or in "
            "__init__ of a class."
        ) from error


def _find_unpicklable(value: Any) -> list[str]:
    """Names the variables and arguments that fail to pickle by themselves."""
    fn, *arguments = value if isinstance(value, tuple) else (value,)
    labels = ("fn_args", "fn_kwargs", "fn_constructor_args", "fn_constructor_kwargs")
    culprits = [
        f"{label}={argument!r:.80}"
        for label, argument in zip(labels, arguments, strict=False)
        if not _pickles(argument)
    ]
    for holder in _code_holders(fn):
        try:
            variables = inspect.getclosurevars(holder)
        except (TypeError, ValueError):
            continue
        for scope, names in (("variable", variables.nonlocals), ("global", variables.globals)):
            culprits += [
                f"{scope} '{key}' of type {type(held).__name__}"
                for key, held in names.items()
                if not _pickles(held)
            ]
    if not culprits and hasattr(fn, "__dict__") and not isinstance(fn, type):
        culprits += [
            f"attribute '{key}' of type {type(held).__name__}"
            for key, held in vars(fn).items()
            if not _pickles(held)
        ]
    return culprits


def _code_holders(fn: Any) -> list[Any]:
    if isinstance(fn, functools.partial):
        return [fn.func]
    if isinstance(fn, type):
        return [member for member in vars(fn).values() if inspect.isfunction(member)]
    return [fn if inspect.isroutine(fn) else type(fn).__call__]


def _pickles(value: Any) -> bool:
    import cloudpickle

    try:
        cloudpickle.dumps(value)
    except Exception:
        return False
    return True


# ---- Where it runs --------------------------------------------------------------------------


def choose_compute(
    fn: Any,
    compute: Any,
    concurrency: Any,
) -> ComputeStrategy:
    """Returns the strategy that `compute` or `concurrency` ask for.

    Raises:
        ValueError: a class with tasks, a function with actors, or a `concurrency` that is no
            number or tuple of numbers, or out of range.
    """
    is_class = is_callable_class(fn)
    if compute is not None:
        if isinstance(compute, ActorPoolStrategy) and not is_class:
            raise ValueError(
                f"You specified the function {fn} as your UDF with the compute {compute}, but "
                "headrace can't schedule regular functions with the actor pool strategy. To fix "
                "this error, pass a TaskPoolStrategy to compute or None to use the default "
                "compute strategy."
            )
        if isinstance(compute, TaskPoolStrategy) and is_class:
            raise ValueError(
                f"You specified the callable class {fn} as your UDF with the compute {compute}, "
                "but headrace can't schedule callable classes with the task pool strategy. To "
                "fix this error, pass an ActorPoolStrategy to compute or None to use the "
                "default compute strategy."
            )
        if not isinstance(compute, ComputeStrategy):
            raise ValueError(
                f"compute must be a TaskPoolStrategy or an ActorPoolStrategy, was: {compute!r}."
            )
        return compute
    if concurrency is None:
        return ActorPoolStrategy(min_size=1) if is_class else TaskPoolStrategy()
    if isinstance(concurrency, tuple):
        return _pool_of_range(fn, is_class, concurrency)
    if isinstance(concurrency, int) and not isinstance(concurrency, bool):
        return ActorPoolStrategy(size=concurrency) if is_class else TaskPoolStrategy(concurrency)
    raise ValueError(
        "``concurrency`` is expected to be set as an integer or a tuple of integers, but got: "
        f"{concurrency}."
    )


def _pool_of_range(fn: Any, is_class: bool, concurrency: tuple[Any, ...]) -> ActorPoolStrategy:
    if not is_class:
        raise ValueError(
            f"``concurrency`` is set as a tuple of integers, but ``fn`` is not a callable class: "
            f"{fn}. Use ``concurrency=n`` to control maximum number of workers to use."
        )
    if len(concurrency) not in (2, 3) or not all(isinstance(c, int) for c in concurrency):
        raise ValueError(
            f"``concurrency`` is expected to be set as a tuple of integers, but got: {concurrency}."
        )
    least, most, *first = concurrency
    return ActorPoolStrategy(
        min_size=least, max_size=most, initial_size=first[0] if first else None
    )


def make_placement(
    compute: ComputeStrategy | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: dict[str, float] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    context: DataContext | None = None,
) -> _core.Placement:
    """Returns the placement of an operator's tasks.

    A task that asks for a gpu and no cpus takes no cpu, as in Ray.

    Raises:
        ValueError: negative amounts, or remote arguments that nothing knows.
    """
    remote = dict(ray_remote_args or {})
    where = place_on_cluster(remote)
    num_cpus = remote.pop("num_cpus", None) if num_cpus is None else num_cpus
    num_gpus = remote.pop("num_gpus", None) if num_gpus is None else num_gpus
    memory = remote.pop("memory", None) if memory is None else memory
    custom = dict(remote.pop("resources", None) or {}) | dict(resources or {})
    unknown = set(remote) - _IGNORED_REMOTE_ARGS - {"num_cpus", "num_gpus", "memory"}
    if unknown:
        raise ValueError(f"Unknown arguments: {sorted(unknown)}")
    for label, amount in (("num_cpus", num_cpus), ("num_gpus", num_gpus), ("memory", memory)):
        if amount is not None and amount < 0:
            raise ValueError(f"{label} must be >= 0, got: {amount}")
    cost: _core.Resources | None = None
    if any(amount is not None for amount in (num_cpus, num_gpus, memory)) or custom:
        default_cpus = 0.0 if num_gpus else 1.0
        cost = _core.Resources(
            cpu=default_cpus if num_cpus is None else float(num_cpus),
            gpu=float(num_gpus or 0),
            memory=int(memory or 0),
            custom=custom,
        )
    in_flight = (context or DataContext.get_current()).max_tasks_in_flight_per_actor or 2
    if isinstance(compute, ActorPoolStrategy):
        in_flight = compute.max_tasks_in_flight_per_actor or in_flight
        return _core.Placement(
            cost=cost,
            actors=(compute.min_size, _actor_bound(compute, cost), compute.initial_size),
            max_tasks_in_flight=in_flight,
            where=where,
        )
    max_tasks = compute.size if isinstance(compute, TaskPoolStrategy) else None
    return _core.Placement(
        cost=cost, max_tasks=max_tasks, max_tasks_in_flight=in_flight, where=where
    )


def _actor_bound(compute: ActorPoolStrategy, cost: _core.Resources | None) -> int:
    """An unbounded pool may have as many actors as the machine has room for."""
    if not math.isinf(compute.max_size):
        return int(compute.max_size)
    if chosen_backend() == "ray":  # It may grow: the scheduler starts what there is room for.
        return max(_MAX_UNBOUNDED_ACTORS, compute.min_size, compute.initial_size)
    there = _core.capacity()
    needed = cost or _core.Resources(cpu=1)
    bounds = [
        have / ask for ask, have in ((needed.cpu, there.cpu), (needed.gpu, there.gpu)) if ask > 0
    ]
    most = int(min(bounds)) if bounds else _MAX_UNBOUNDED_ACTORS
    return max(most, compute.min_size, compute.initial_size)


# ---- How it runs ----------------------------------------------------------------------------


def make_options(context: DataContext) -> _core.ExecutionOptions:
    """Returns the engine's options for a run under `context`.

    Raises ValueError if an amount is both limited and partly excluded.
    """
    check_backend(context.backend)
    asked = context.execution_options
    asked.validate()
    options = _core.ExecutionOptions()
    limits, excluded = asked.resource_limits, asked.exclude_resources
    if not all(math.isinf(x) for x in (limits.cpu, limits.gpu, limits.memory)):
        bounds = [0 if math.isinf(x) else x for x in (limits.cpu, limits.gpu, limits.memory)]
        options.resource_limits = _core.Resources(
            cpu=bounds[0], gpu=bounds[1], memory=int(bounds[2])
        )
    if not excluded.is_zero():
        options.exclude_resources = _core.Resources(
            cpu=excluded.cpu, gpu=excluded.gpu, memory=int(excluded.memory)
        )
    options.cluster = asked_of_cluster(context)
    options.object_store_bytes = _store_budget(context, options.cluster)
    options.memory_limit_bytes = int(asked.memory_limit or 0)
    options.reservation_ratio = context.op_resource_reservation_ratio
    options.preserve_order = asked.preserve_order
    options.target_min_block_bytes = context.target_min_block_size
    options.target_max_block_bytes = context.target_max_block_size or (1 << 62)
    options.read_op_min_num_blocks = context.read_op_min_num_blocks
    options.max_errored_blocks = context.max_errored_blocks
    options.max_task_attempts = context.max_task_attempts
    options.event_log_path = context.event_log_path
    options.seed = context._execution_idx
    if context.backpressure_policies:
        _core.set_policies(options, policy_parts(context.backpressure_policies))
    options.inline_mode = context.inline_mode
    if context.inline_mode:
        _serve_inline()
    return options


def _store_budget(context: DataContext, cluster: bytes) -> int:
    """Bytes for blocks; 0 leaves it to the engine."""
    limit = context.execution_options.resource_limits.object_store_memory
    fraction = context.override_object_store_memory_limit_fraction
    excluded = context.execution_options.exclude_resources.object_store_memory
    if math.isinf(limit) and fraction is None and not excluded:
        return 0
    there = _core.object_store_bytes(cluster)
    if math.isinf(limit):
        limit = there * (1.0 if fraction is None else fraction)
    return max(1, int(min(limit, there) - excluded))


def _serve_inline() -> None:
    from headrace._internal.worker import Runtime

    _core.set_inline_runtime(Runtime(inline=True))


def takes_context(fn: Callable[..., Any], name: str) -> bool:
    """Returns True if `fn` has a parameter called `name` or takes any keyword."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )
