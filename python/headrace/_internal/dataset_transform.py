"""The verbs of a dataset that make another one. Nothing runs here.

Arguments that several verbs share:
    fn: a function, or a class that is made once in each actor of a pool.
    fn_args, fn_kwargs: further arguments of each call; fn_constructor_args,
        fn_constructor_kwargs: arguments of the class.
    compute: a `TaskPoolStrategy` or `ActorPoolStrategy`.
    concurrency: for a function, the most tasks at once; for a class, the number of actors, or
        (min, max) or (min, max, initial).
    num_cpus, num_gpus, memory (bytes), resources: what each task or actor takes; default: a cpu.
    on_error: what becomes of rows on which `fn` fails: "raise": the run fails; "skip": they are
        left out; `DeadLetters(directory)`: they are left out, and kept there with the reason. None,
        the default: what the context's `on_error` says, which is "raise". See below.
    Ray's remaining remote arguments are accepted where they mean nothing on one machine.
A function that cannot be pickled raises TypeError at once; a misspelt column raises at once where
the schema is known, else when the dataset runs.

Rows that are left out (`on_error`):
    Any exception counts, but for MemoryError, and so does a result that is no row or batch.
    map, flat_map, filter: `fn` is called once on each row; all that came of the row is left out.
    map_batches: where `fn` fails on a batch it is called again on each half, and on theirs, until
        the rows on which it fails are alone: it must take batches of any size, and see rows twice.
        What it returned or yielded for a part that failed is dropped.
    `Dataset.stats()` has their number, each once, also where workers were lost and tasks ran again;
        a warning tells it at the end of a run.
    Retries come first: what the context's `retried_map_errors` and `actor_task_retry_on_errors` say
        is called again; see DataContext.
    `max_errored_blocks` counts tasks that fail nevertheless, such as for lack of memory or because
        they cannot read; a class whose __init__ fails fails the run, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.dead_letters import DeadLetters, pickle_policy
from headrace._internal.lineage import recorded
from headrace._internal.plan_building import (
    check_batch_format,
    choose_compute,
    make_function,
    make_placement,
)
from headrace._internal.transform_arguments import (
    AddColumn,
    PyArrowFilter,
    function_arguments,
    native_placement,
    rename_pairs,
    resource_arguments,
)

if TYPE_CHECKING:
    from headrace.context import DataContext
    from headrace.dataset import Dataset
    from headrace.expressions import Expr, UnnestExpr

_AUTO_BATCH_ROWS = 1024
OnError = DeadLetters | str | None


class TransformMixin:
    """The transforming half of `Dataset`."""

    _plan: _core.Plan
    _context: DataContext

    def _with_plan(self, plan: _core.Plan) -> Dataset:
        raise NotImplementedError

    def _known_schema(self) -> pa.Schema | None:
        raise NotImplementedError

    # ---- By functions

    def _map(
        self,
        kind: str,
        fn: Any,
        compute: Any,
        concurrency: Any,
        function_args: dict[str, Any],
        resources: dict[str, Any],
        *,
        min_bundle_rows: int = -1,
        batch: dict[str, Any] | None = None,
        name: str | None = None,
        on_error: bytes = b"",
    ) -> Dataset:
        strategy = choose_compute(fn, compute, concurrency)
        remote_args_fn = resources.pop("ray_remote_args_fn", None)
        remote_args = dict(resources.pop("ray_remote_args", None) or {})
        if remote_args_fn is not None:
            remote_args |= remote_args_fn()
        placement = make_placement(
            strategy, ray_remote_args=remote_args, context=self._context, **resources
        )
        function = make_function(
            kind, fn, name=name, on_error=on_error, **function_args, **(batch or {})
        )
        _core.warm_up()
        return self._with_plan(self._plan.map(function, placement, min_bundle_rows))

    @recorded
    def map(
        self,
        fn: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, ...] | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        ray_remote_args_fn: Callable[[], dict[str, Any]] | None = None,
        on_error: OnError = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Calls `fn` on each row, a dict, and takes the dict that it returns."""
        return self._map(
            "map_rows",
            fn,
            compute,
            concurrency,
            function_arguments(fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs),
            resource_arguments(
                num_cpus, num_gpus, memory, resources, ray_remote_args_fn, ray_remote_args
            ),
            on_error=pickle_policy(on_error, self._context, fn),
        )

    @recorded
    def map_batches(
        self,
        fn: Any,
        *,
        batch_size: int | str | None = None,
        compute: Any = None,
        batch_format: str | None = "default",
        zero_copy_batch: bool = True,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, ...] | None = None,
        udf_modifying_row_count: bool = True,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        ray_remote_args_fn: Callable[[], dict[str, Any]] | None = None,
        on_error: OnError = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Calls `fn` on batches and takes the batch, or the batches, that it returns or yields.

        Args:
            batch_size: rows a batch (the last of a task may be smaller); None: whole blocks;
                "auto": 1024.
            batch_format: "numpy" or "default" (a dict of arrays), "pandas", "pyarrow", or None
                (as it is: pyarrow).
            zero_copy_batch: hand out read-only views of the block; False: a writable copy.
        """
        if isinstance(batch_size, str) and batch_size == "auto":
            batch_size = _AUTO_BATCH_ROWS
        if isinstance(batch_size, str):
            raise TypeError(f"batch_size must be an integer, None or 'auto', got: {batch_size!r}")
        if batch_size is not None and batch_size < 1:
            raise ValueError("Batch size can't be negative or 0")
        if batch_size is None and num_gpus:
            raise ValueError(
                "You must provide `batch_size` to `map_batches` when requesting GPUs. The best "
                "batch size depends on the model, data, and GPU used: take the largest one that "
                "does not run out of GPU memory."
            )
        rows = int(batch_size or 0)
        return self._map(
            "map_batches",
            fn,
            compute,
            concurrency,
            function_arguments(fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs),
            resource_arguments(
                num_cpus, num_gpus, memory, resources, ray_remote_args_fn, ray_remote_args
            ),
            batch={
                "batch_rows": rows,
                "batch_format": check_batch_format(batch_format),
                "zero_copy_batch": zero_copy_batch,
            },
            on_error=pickle_policy(on_error, self._context, fn),
        )

    map_batches_internal = map_batches

    @recorded
    def flat_map(
        self,
        fn: Any,
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, ...] | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        ray_remote_args_fn: Callable[[], dict[str, Any]] | None = None,
        on_error: OnError = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Calls `fn` on each row, a dict, and takes the dicts that it returns or yields."""
        return self._map(
            "flat_map_rows",
            fn,
            compute,
            concurrency,
            function_arguments(fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs),
            resource_arguments(
                num_cpus, num_gpus, memory, resources, ray_remote_args_fn, ray_remote_args
            ),
            on_error=pickle_policy(on_error, self._context, fn),
        )

    @recorded
    def filter(
        self,
        fn: Any = None,
        expr: str | Expr | None = None,
        *,
        compute: Any = None,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, ...] | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        ray_remote_args_fn: Callable[[], dict[str, Any]] | None = None,
        on_error: OnError = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Keeps the rows for which `fn` returns true, or `expr` is true.

        Args:
            fn: called on each row, a dict.
            expr: an expression, or one as text ("age > 30 and name in ['a', 'b']"); evaluated
                natively, and pushed down into the read where the format can.
        """
        if (fn is None) == (expr is None):
            raise ValueError("Exactly one of 'fn' or 'expr' must be provided.")
        function_args = function_arguments(
            fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs
        )
        given = resource_arguments(
            num_cpus, num_gpus, memory, resources, ray_remote_args_fn, ray_remote_args
        )
        if expr is None:
            if not callable(fn):
                raise ValueError(
                    f"fn must be a UserDefinedFunction, but got {type(fn).__name__} instead."
                )
            policy = pickle_policy(on_error, self._context, fn)
            return self._map(
                "filter_rows", fn, compute, concurrency, function_args, given, on_error=policy
            )
        if any(value is not None for value in function_args.values()):
            raise ValueError(
                "when 'expr' is used, 'fn_args/fn_kwargs' or "
                "'fn_constructor_args/fn_constructor_kwargs' cannot be used."
            )
        if on_error is not None:
            raise ValueError("when 'expr' is used, 'on_error' cannot be used.")
        return self._filter_expr(expr, compute, concurrency, given)

    def _filter_expr(
        self, expr: str | Expr, compute: Any, concurrency: Any, given: dict[str, Any]
    ) -> Dataset:
        from headrace._internal.expr.lowering import hoist_row_places, is_native, lower
        from headrace._internal.expr.nodes import Expr
        from headrace._internal.expr.parse import parse

        predicate = parse(expr) if isinstance(expr, str) else expr
        if not isinstance(predicate, Expr):
            raise TypeError(f"expr must be an Expr or a string, got: {type(expr).__name__}")
        if not is_native(predicate):
            [(_, rest)], places = hoist_row_places([("", predicate)])
            if places:
                names = [name for name, _ in places]
                placed = self._with_exprs(places, None, {}, "")
                return placed._filter_expr(rest, compute, concurrency, given).drop_columns(names)
            from headrace._internal.expr.python_eval import FilterTable

            return self._map_tables(FilterTable(predicate), "filter", compute, concurrency, given)
        placement = native_placement(compute, concurrency, given, self._context)
        native = lower(predicate, self._known_schema())
        return self._with_plan(self._plan.filter(native, placement))

    def _filter_by_any(self, predicate: Any) -> Dataset:
        """Filters by an expression of headrace or pyarrow."""
        from headrace._internal.expr.nodes import Expr

        if isinstance(predicate, (Expr, str)):
            return self.filter(expr=predicate)
        import pyarrow.compute as pc

        if not isinstance(predicate, pc.Expression):
            import pyarrow.parquet as pq

            predicate = pq.filters_to_expression(predicate)
        return self._map_tables(PyArrowFilter(predicate), "filter", None, None, {})

    def _map_tables(
        self,
        fn: Callable[[pa.Table], pa.Table],
        name: str,
        compute: Any,
        concurrency: Any,
        given: dict[str, Any],
    ) -> Dataset:
        return self._map(
            "map_batches",
            fn,
            compute,
            concurrency,
            {},
            given,
            batch={"batch_format": "pyarrow"},
            name=name,
        )

    # ---- Columns

    @recorded
    def with_column(
        self,
        column_name: str,
        expr: Expr,
        *,
        compute: Any = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Adds a column, or replaces the one of that name, by an expression."""
        given = resource_arguments(num_cpus, num_gpus, memory, resources, None, ray_remote_args)
        return self._with_exprs([(column_name, expr)], compute, given, f"WithColumn({column_name})")

    @recorded
    def with_columns(
        self,
        exprs: Mapping[str, Expr] | UnnestExpr | None = None,
        *more_exprs: Mapping[str, Expr] | UnnestExpr,
        compute: Any = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Adds or replaces columns: a dict of names and expressions, or the fields of a struct
        by `unnest()`. All read the columns as they were."""
        named: list[tuple[str, Expr]] = []
        for group in (exprs, *more_exprs):
            if group is None:
                continue
            if isinstance(group, Mapping):
                named += list(group.items())
                continue
            for single in group.expand_projection(self._schema_for("with_columns")):
                if single.name is None:
                    raise ValueError("with_columns() needs named expressions")
                named.append((single.name, single))
        if not named:
            raise ValueError("with_columns() needs at least one expression")
        given = resource_arguments(num_cpus, num_gpus, memory, resources, None, ray_remote_args)
        return self._with_exprs(named, compute, given, "WithColumns")

    def _schema_for(self, verb: str) -> pa.Schema:
        raise NotImplementedError

    def _with_exprs(
        self, named: list[tuple[str, Expr]], compute: Any, given: dict[str, Any], label: str
    ) -> Dataset:
        from headrace._internal.expr.lowering import hoist_row_places, is_native, lower
        from headrace._internal.expr.nodes import Expr
        from headrace._internal.expr.special_nodes import StarExpr, UnnestExpr

        for name, expr in named:
            if not isinstance(expr, Expr):
                raise TypeError(
                    f"with_column() needs an expression for '{name}', got: {type(expr).__name__}; "
                    "wrap a constant by lit()"
                )
            if isinstance(expr, (StarExpr, UnnestExpr)):
                raise ValueError(f"{expr.label()} makes several columns and has no one name")
        schema = self._known_schema()
        if all(is_native(expr) for _, expr in named):
            lowered = [(name, lower(expr, schema)) for name, expr in named]
            placement = native_placement(compute, None, given, self._context)
            return self._with_plan(
                self._plan.project(keep_rest=True, exprs=lowered, placement=placement)
            )
        rest, places = hoist_row_places(named)
        if places:
            names = [name for name, _ in places]
            placed = self._with_exprs(places, None, {}, "")
            return placed._with_exprs(rest, compute, given, label).drop_columns(names)
        from headrace._internal.expr.python_eval import ProjectTable

        return self._map_tables(ProjectTable(named, True), label, compute, None, given)

    @recorded
    def add_column(
        self,
        col: str,
        fn: Callable[[Any], Any],
        *,
        batch_format: str | None = "pandas",
        compute: Any = None,
        concurrency: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Adds a column, or replaces the one of that name, by a function of batches.

        Args:
            fn: gets a batch and returns a Series, an array, or a constant.
            batch_format: "pandas", "pyarrow" or "numpy".
        """
        if batch_format not in ("pandas", "pyarrow", "numpy"):
            raise ValueError(
                "batch_format argument must be on of ['pandas', 'pyarrow', 'numpy', 'cudf'], "
                f"got: {batch_format}"
            )
        if not callable(fn):
            raise ValueError(f"`fn` must be callable, got {fn}")
        given = resource_arguments(num_cpus, num_gpus, memory, resources, None, ray_remote_args)
        return self._map(
            "map_batches",
            AddColumn(col, fn),
            compute,
            concurrency,
            {},
            given,
            batch={"batch_format": batch_format, "zero_copy_batch": False},
            name="add_column",
        )

    @recorded
    def drop_columns(
        self,
        cols: list[str],
        *,
        compute: Any = None,
        concurrency: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Drops columns. KeyError for one that does not exist, ValueError for doubled names."""
        names = list(cols)
        if len(set(names)) != len(names):
            raise ValueError(f"drop_columns expects unique column names, got: {names}")
        schema = self._known_schema()
        missing = [name for name in names if schema is not None and name not in schema.names]
        if missing and schema is not None:
            raise KeyError(
                f"drop_columns: column(s) not found in dataset schema: {missing}. Available "
                f"columns: {schema.names}"
            )
        given = resource_arguments(num_cpus, num_gpus, memory, resources, None, ray_remote_args)
        placement = native_placement(compute, concurrency, given, self._context)
        return self._with_plan(self._plan.project(keep_rest=True, drop=names, placement=placement))

    @recorded
    def select_columns(
        self,
        cols: str | list[str],
        *,
        compute: Any = None,
        concurrency: int | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Keeps these columns, in this order; a Parquet read then reads no others."""
        if isinstance(cols, str):
            cols = [cols]
        if not isinstance(cols, list):
            raise TypeError("select_columns requires 'cols' to be a string or a list of strings.")
        if not all(isinstance(name, str) for name in cols):
            raise ValueError("select_columns requires all elements of 'cols' to be strings.")
        if len(set(cols)) != len(cols):
            raise ValueError(
                f"select_columns expected unique column names, got duplicate column names: {cols}"
            )
        given = resource_arguments(num_cpus, num_gpus, memory, resources, None, ray_remote_args)
        placement = native_placement(compute, concurrency, given, self._context)
        exprs = [(name, _core.Expr.column(name)) for name in cols]
        return self._with_plan(
            self._plan.project(keep_rest=False, exprs=exprs, placement=placement)
        )

    @recorded
    def rename_columns(
        self,
        names: list[str] | dict[str, str],
        *,
        concurrency: int | tuple[int, ...] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        label_selector: dict[str, str] | None = None,
        fallback_strategy: list[dict[str, Any]] | None = None,
        max_calls: int | None = None,
        resources: dict[str, float] | None = None,
        accelerator_type: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Renames columns: a dict of old and new names, or new names for all of them."""
        pairs = rename_pairs(names, lambda: self._schema_for("rename_columns").names)
        given = resource_arguments(num_cpus, num_gpus, memory, resources, None, ray_remote_args)
        placement = native_placement(None, concurrency, given, self._context)
        return self._with_plan(
            self._plan.project(keep_rest=True, rename=pairs, placement=placement)
        )

    # ---- Rows

    @recorded
    def limit(self, limit: int) -> Dataset:
        """Keeps the first `limit` rows, in order of the source; reads no more than it needs."""
        if limit < 0:
            limit = 0
        return self._with_plan(self._plan.limit(int(limit)))

    @recorded
    def union(self, *other: Dataset) -> Dataset:
        """Joins the rows of several datasets; columns that one lacks are null there."""
        for dataset in other:
            if not isinstance(dataset, TransformMixin):
                raise TypeError(f"union() needs datasets, got: {type(dataset).__name__}")
        plans = [self._plan, *(dataset._plan for dataset in other)]
        return self._with_plan(_core.Plan.union(plans))
