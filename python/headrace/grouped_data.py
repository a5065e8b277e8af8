"""`GroupedData`: rows in groups of equal keys, as `Dataset.groupby` gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from headrace._internal.dataset_exchange import key_list
from headrace._internal.lineage import recorded
from headrace._internal.native_aggregates import check_columns, native_specs, result_names
from headrace._internal.plan_building import check_batch_format, choose_compute, function_name

if TYPE_CHECKING:
    from headrace.aggregate import AggregateFn
    from headrace.dataset import Dataset
    from headrace.expressions import Expr

__all__ = ["GroupedData", "GroupedDataset"]


class GroupedData:
    """The rows of a dataset in groups of equal keys; null keys are a group, and so are nan ones.

    Groups come out in no order that is promised.

    Args:
        dataset: the rows.
        key: a column, or several; None: all rows are one group.
        num_partitions: into so many tasks the groups are shared out; None: by their size.
    """

    def __init__(
        self, dataset: Dataset, key: str | list[str] | None, *, num_partitions: int | None
    ) -> None:
        self._dataset = dataset
        self._key = key
        self._num_partitions = num_partitions

    def __repr__(self) -> str:
        return f"GroupedData(dataset={self._dataset!r}, key={self._key!r})"

    @property
    def _keys(self) -> list[str]:
        return [] if self._key is None else key_list(self._key)

    def _partitions(self) -> int:
        if self._num_partitions is None:
            return -1
        if self._num_partitions < 1:
            raise ValueError("`num_partitions` must be a positive integer")
        return int(self._num_partitions)

    def _groups(self) -> Dataset:
        """Returns the rows in blocks of whole groups."""
        plan, keys = self._dataset._plan, self._keys
        whole = plan.group(keys, self._partitions()) if keys else plan.repartition(blocks=1)
        return self._dataset._with_plan(whole)

    # ---- Folds

    @recorded
    def aggregate(self, *aggs: AggregateFn) -> Dataset:
        """Folds each group into a row: its keys, then the result of each of `aggs`.

        Those of `headrace.aggregate` are folded by the engine; if one is made of Python functions,
        workers fold all of them over whole groups. A name that occurs again gets "_2", "_3", …
        """
        keys = self._keys
        names = result_names(aggs, keys)
        schema = self._dataset._known_schema()
        if schema is not None:
            check_columns(aggs, schema.names)
        specs = native_specs(aggs, names)
        if specs is not None:
            plan = self._dataset._plan.aggregate(keys, specs, self._partitions())
            return self._dataset._with_plan(plan)
        from headrace._internal.grouping import FoldGroups

        fold = FoldGroups(aggs, names, keys)
        return self._groups()._map_tables(fold, "aggregate", None, None, {})

    def _aggregate_on(self, agg_cls: Any, on: str | list[str] | None, **kwargs: Any) -> Dataset:
        if on is None:
            every = self._dataset._schema_for(agg_cls.__name__.lower()).names
            columns = [name for name in every if name not in self._keys]
        else:
            columns = [on] if isinstance(on, str) else list(on)
        if not columns:
            raise ValueError("At least 1 column to aggregate on has to be provided")
        return self.aggregate(*(agg_cls(name, **kwargs) for name in columns))

    def count(self) -> Dataset:
        """Returns the number of rows of each group, in the column "count()"."""
        from headrace.aggregate import Count

        return self.aggregate(Count())

    def sum(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the sums of each group.

        Args:
            on: a column, or several; default: all but the keys.
            ignore_nulls: False: a null makes the result null.
        """
        from headrace.aggregate import Sum

        return self._aggregate_on(Sum, on, ignore_nulls=ignore_nulls)

    def min(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the least values of each group; arguments as of `sum`."""
        from headrace.aggregate import Min

        return self._aggregate_on(Min, on, ignore_nulls=ignore_nulls)

    def max(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the greatest values of each group; arguments as of `sum`."""
        from headrace.aggregate import Max

        return self._aggregate_on(Max, on, ignore_nulls=ignore_nulls)

    def mean(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Dataset:
        """Returns the means of each group; arguments as of `sum`."""
        from headrace.aggregate import Mean

        return self._aggregate_on(Mean, on, ignore_nulls=ignore_nulls)

    def std(
        self, on: str | list[str] | None = None, ddof: int = 1, ignore_nulls: bool = True
    ) -> Dataset:
        """Returns the standard deviations of each group, with `ddof` lost degrees of freedom."""
        from headrace.aggregate import Std

        return self._aggregate_on(Std, on, ddof=ddof, ignore_nulls=ignore_nulls)

    # ---- Functions

    @recorded
    def map_groups(
        self,
        fn: Any,
        *,
        zero_copy_batch: bool = True,
        compute: Any = None,
        batch_format: str | None = "default",
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        fn_constructor_args: Iterable[Any] | None = None,
        fn_constructor_kwargs: dict[str, Any] | None = None,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        memory: float | None = None,
        concurrency: int | tuple[int, ...] | None = None,
        resources: dict[str, float] | None = None,
        ray_remote_args_fn: Any = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Calls `fn` with each group, a batch, and takes the batch that it returns or those that
        it yields.

        A group must fit into the memory of a worker; its rows are in their order of before. The
        arguments are those of `Dataset.map_batches`, but the default format is "pandas".
        """
        from headrace._internal.grouping import GroupActor, GroupFunction
        from headrace._internal.transform_arguments import resource_arguments

        if not callable(fn):
            raise ValueError(
                f"fn must be a UserDefinedFunction, but got {type(fn).__name__} instead."
            )
        as_frames = batch_format in ("default", "native")
        chosen = "pandas" if as_frames else check_batch_format(batch_format)
        strategy = choose_compute(fn, compute, concurrency)
        arguments: dict[str, Any] = {"fn_args": fn_args, "fn_kwargs": fn_kwargs}
        wrapped: Any
        if isinstance(fn, type):
            wrapped = GroupActor
            given = (tuple(fn_constructor_args or ()), dict(fn_constructor_kwargs or {}))
            arguments["fn_constructor_args"] = (fn, self._keys, chosen, zero_copy_batch, *given)
        else:
            if fn_constructor_args is not None or fn_constructor_kwargs is not None:
                raise ValueError(
                    "``fn_constructor_args`` and ``fn_constructor_kwargs`` can only be specified "
                    f"if providing a callable class instance for ``fn``, but got: {fn}."
                )
            wrapped = GroupFunction(fn, self._keys, chosen, zero_copy_batch)
        return self._groups()._map(
            "map_batches",
            wrapped,
            strategy,
            None,
            arguments,
            resource_arguments(
                num_cpus, num_gpus, memory, resources, ray_remote_args_fn, ray_remote_args
            ),
            batch={"batch_format": "pyarrow"},
            name=function_name(fn),
        )

    def with_column(self, column_name: str, expr: Expr, **ray_remote_args: Any) -> Dataset:
        """Returns the rows, group by group, with a column more, or another of that name."""
        return self._groups().with_column(column_name, expr, **ray_remote_args)


GroupedDataset = GroupedData
