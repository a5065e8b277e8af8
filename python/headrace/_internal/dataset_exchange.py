"""The verbs of a dataset that need all of its rows before they yield one. Nothing runs here,
except in the verbs that cut a dataset into materialized ones (`_internal/dataset_split.py`).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal.lineage import recorded
from headrace._internal.plan_building import make_placement
from headrace._internal.scalars import scalar_of
from headrace._internal.seeds import chance, plan_seed

if TYPE_CHECKING:
    from headrace._internal.seeds import RandomSeedConfig
    from headrace.context import DataContext
    from headrace.dataset import Dataset
    from headrace.grouped_data import GroupedData

JOIN_TYPES = (
    "inner",
    "left_outer",
    "right_outer",
    "full_outer",
    "left_semi",
    "right_semi",
    "left_anti",
    "right_anti",
)


class ExchangeMixin:
    """The reordering half of `Dataset`."""

    _plan: _core.Plan
    _context: DataContext

    def _with_plan(self, plan: _core.Plan) -> Dataset:
        raise NotImplementedError

    def _known_schema(self) -> pa.Schema | None:
        raise NotImplementedError

    def _schema_for(self, verb: str) -> pa.Schema:
        raise NotImplementedError

    @recorded
    def repartition(
        self,
        num_blocks: int | None = None,
        target_num_rows_per_block: int | None = None,
        *,
        strict: bool = False,
        shuffle: bool = False,
        keys: list[str] | None = None,
        sort: bool = False,
    ) -> Dataset:
        """Cuts the rows into other blocks.

        Args:
            num_blocks: this many, of about equal numbers of rows, some perhaps without any.
            target_num_rows_per_block: instead, blocks of this many rows; only the last has fewer.
            strict: accepted; blocks have exactly the asked rows anyhow.
            shuffle: rows go to the blocks at random; else they keep their order.
            keys: columns; rows that are equal in them go to the same of the `num_blocks`.
            sort: with `keys`, sorts each block by them.

        Raises:
            ValueError: none or both of the numbers, one below 1, or `shuffle` with
                `target_num_rows_per_block`.
        """
        if target_num_rows_per_block is None and num_blocks is None:
            raise ValueError("Either `num_blocks` or `target_num_rows_per_block` must be set")
        if target_num_rows_per_block is not None:
            if num_blocks is not None:
                raise ValueError(
                    "Only one of `num_blocks` or `target_num_rows_per_block` must be set, but not "
                    "both."
                )
            if shuffle:
                raise ValueError("`shuffle` must be False when `target_num_rows_per_block` is set.")
            rows = _positive("target_num_rows_per_block", target_num_rows_per_block)
            return self._with_plan(self._plan.repartition(rows_per_block=rows))
        blocks = _positive("num_blocks", num_blocks)
        if not keys:
            return self._with_plan(
                self._plan.repartition(blocks=blocks, shuffle=shuffle, seed=plan_seed(None))
            )
        names = self._existing(key_list(keys), "repartition")
        return self._with_plan(self._plan.repartition(blocks=blocks, keys=names, sort=sort))

    @recorded
    def random_shuffle(
        self,
        *,
        seed: int | RandomSeedConfig | None = None,
        num_blocks: int | None = None,
        **ray_remote_args: Any,
    ) -> Dataset:
        """Puts all rows in random order.

        Args:
            seed: the order depends on it and the rows alone; None: each run has another.
            num_blocks: not supported, as in Ray Data: use `repartition`.
        """
        if num_blocks is not None:
            raise DeprecationWarning(
                "`num_blocks` parameter is deprecated: random_shuffle() does not support to change "
                "the number of output blocks. Use repartition() instead."
            )
        placement = None
        if ray_remote_args:
            placement = make_placement(ray_remote_args=ray_remote_args, context=self._context)
        return self._with_plan(self._plan.random_shuffle(plan_seed(seed), -1, placement))

    @recorded
    def randomize_block_order(self, *, seed: int | RandomSeedConfig | None = None) -> Dataset:
        """Puts the blocks, as they are, in random order."""
        return self._with_plan(self._plan.randomize_blocks(plan_seed(seed)))

    @recorded
    def sort(
        self,
        key: str | list[str],
        descending: bool | list[bool] = False,
        boundaries: list[int | float] | None = None,
    ) -> Dataset:
        """Sorts the rows, stably; nan and then null come last, in either direction.

        Args:
            key: a column, or several.
            descending: for all keys, or one for each.
            boundaries: values of the first key, a number, where the output is cut into blocks: one
                more than there are boundaries, each from one of them on to below the next.
        """
        if key is None:
            raise ValueError("The 'key' parameter cannot be None for sorting.")
        names = key_list(key)
        if isinstance(descending, bool):
            directions = [descending] * len(names)
        else:
            directions = [bool(flag) for flag in descending]
            if len(directions) != len(names):
                raise ValueError("Length of `descending` does not match the length of the key.")
        self._existing(names, "sort")
        if not names:
            return self._with_plan(self._plan)
        encoded: list[bytes] = []
        if boundaries:
            encoded = self._boundaries(names[0], directions[0], boundaries)
        keys = [(name, down, False) for name, down in zip(names, directions, strict=True)]
        return self._with_plan(self._plan.sort(keys, encoded))

    def _boundaries(self, name: str, descending: bool, values: Sequence[Any]) -> list[bytes]:
        for value in values:
            if not isinstance(value, numbers.Real):
                raise ValueError("The type of items in boundaries must be int or float.")
        schema = self._schema_for("sort")
        dtype = schema.field(self._existing([name], "sort")[0]).type
        if pa.types.is_integer(dtype):
            cuts = pa.array(sorted({math.ceil(value) for value in values}), pa.int64())
        elif pa.types.is_floating(dtype):
            cuts = pa.array(sorted({float(value) for value in values}), pa.float64())
        else:
            raise ValueError(f"boundaries need a column of numbers, '{name}' is {dtype}")
        return _core.sort_boundaries(cuts, descending)

    def groupby(
        self, key: str | list[str] | None, num_partitions: int | None = None
    ) -> GroupedData:
        """Returns the rows as groups of equal keys, to be folded or mapped.

        Args:
            key: a column, or several; None: all rows are one group.
            num_partitions: into so many tasks the groups are shared out; default: by their size.
        """
        from headrace.grouped_data import GroupedData

        names = [] if key is None else key_list(key)
        self._existing(names, "groupby")
        return GroupedData(self, key, num_partitions=num_partitions)  # type: ignore[arg-type]

    @recorded
    def join(
        self,
        ds: Dataset,
        join_type: str,
        num_partitions: int,
        on: tuple[str, ...] = ("id",),
        right_on: tuple[str, ...] | None = None,
        left_suffix: str | None = None,
        right_suffix: str | None = None,
        *,
        partition_size_hint: int | None = None,
        aggregator_ray_remote_args: dict[str, Any] | None = None,
        validate_schemas: bool = False,
    ) -> Dataset:
        """Joins rows with those of `ds` that have equal keys; a null key matches nothing.

        The result has the columns of the left side, then those of `ds` that are no keys; a right
        outer join has the keys of `ds` instead of its own, semi and anti joins one side's columns.

        Args:
            join_type: "inner", "left_outer", "right_outer", "full_outer", "left_semi",
                "right_semi", "left_anti" or "right_anti".
            num_partitions: into so many tasks the rows are shared out; 0: by their size.
            on: key columns; `right_on`: those of `ds`, if they have other names.
            left_suffix, right_suffix: put after the names of columns that both sides have.
            partition_size_hint, aggregator_ray_remote_args: accepted, without effect.
            validate_schemas: compare the types of the keys now, which may run the first rows.
        """
        if not isinstance(ds, ExchangeMixin):
            raise TypeError(f"join() needs a dataset, got: {type(ds).__name__}")
        if join_type not in JOIN_TYPES:
            raise ValueError(
                f"Invalid join type: '{join_type}'. Supported join types are: "
                f"{', '.join(JOIN_TYPES)}."
            )
        left_keys = _join_keys("on", on)
        right_keys = left_keys if right_on is None else _join_keys("right_on", right_on)
        if len(left_keys) != len(right_keys):
            raise ValueError(
                f"`on` and `right_on` must have as many columns: {left_keys}, {right_keys}"
            )
        if validate_schemas:
            _check_join_schemas(
                self._schema_for("join"), ds._schema_for("join"), left_keys, right_keys
            )
        plan = self._plan.join(
            ds._plan,
            join_type,
            left_keys,
            right_keys,
            left_suffix or "",
            right_suffix or "",
            num_partitions if num_partitions and num_partitions > 0 else -1,
        )
        return self._with_plan(plan)

    @recorded
    def zip(self, *other: Dataset) -> Dataset:
        """Puts the columns of other datasets beside those of this one, row by row.

        A name that is taken gets "_1", "_2", … All must have as many rows: ValueError.
        """
        for dataset in other:
            if not isinstance(dataset, ExchangeMixin):
                raise TypeError(f"zip() needs datasets, got: {type(dataset).__name__}")
        if not other:
            return self._with_plan(self._plan)
        counts = [dataset._plan.infer_row_count() for dataset in (self, *other)]
        known = [count for count in counts if count is not None]
        if len(set(known)) > 1:
            raise ValueError(
                "Cannot zip datasets of different number of rows: " + ", ".join(map(str, known))
            )
        return self._with_plan(_core.Plan.zip([self._plan, *(d._plan for d in other)]))

    @recorded
    def random_sample(
        self, fraction: float, *, seed: int | RandomSeedConfig | None = None
    ) -> Dataset:
        """Keeps each row with the probability `fraction`.

        Args:
            fraction: in [0, 1]; else ValueError.
            seed: the choice depends on it and the rows' places alone; None: each run has another.
        """
        if fraction < 0 or fraction > 1:
            raise ValueError("Fraction must be between 0 and 1.")
        if self._plan.infer_row_count() == 0:
            raise ValueError("Cannot sample from an empty Dataset.")
        if fraction == 1:
            return self._with_plan(self._plan)
        return self._with_plan(self._plan.filter(below(chance(seed), fraction)))

    def _existing(self, names: list[str], verb: str) -> list[str]:
        schema = self._known_schema()
        missing = [name for name in names if schema is not None and name not in schema.names]
        if missing and schema is not None:
            raise ValueError(
                f"{verb}: you specified the column '{missing[0]}', but there's no such column in "
                f"the dataset. The dataset has columns: {schema.names}"
            )
        return names


def key_list(key: Any) -> list[str]:
    """Returns one key or several as a list. ValueError for what is no name."""
    names = [key] if isinstance(key, str) else key
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"Key must be a string or a list of strings, but got {key}.")
    return list(names)


def below(value: _core.Expr, bound: float) -> _core.Expr:
    """Returns the expression value < bound."""
    return _core.Expr.call("less", [value, _core.Expr.literal(scalar_of(float(bound)))])


def _positive(label: str, value: Any) -> int:
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{label} must be positive, got {value}")
    return int(value)


def _join_keys(label: str, names: Any) -> list[str]:
    if not isinstance(names, (list, tuple)):
        raise ValueError(f"Expected tuple or list as `{label}` (got {type(names).__name__})")
    if not names:
        raise ValueError(f"At least 1 column name expected as `{label}`.")
    return key_list(names)


def _check_join_schemas(
    left: pa.Schema, right: pa.Schema, left_keys: list[str], right_keys: list[str]
) -> None:
    for name, other in zip(left_keys, right_keys, strict=True):
        there = name in left.names and other in right.names
        if not there or left.field(name).type != right.field(other).type:
            raise ValueError(
                "Key columns are expected to be present and have the same types in both left and "
                f"right operands of the join operation: left has {left}, but right has {right}"
            )
