"""The verbs of a dataset that cut it into several; they run it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace import _core
from headrace._internal.dataset_exchange import below
from headrace._internal.seeds import fixed_chance
from headrace._internal.table_rows import slice_rows

if TYPE_CHECKING:
    from headrace.context import DataContext
    from headrace.dataset import Dataset, MaterializedDataset
    from headrace.iterator import DataIterator

_TRAIN_COLUMN = "__headrace_is_train"


class SplitMixin:
    """The cutting half of `Dataset`."""

    _plan: _core.Plan
    _context: DataContext

    def materialize(self) -> MaterializedDataset:
        raise NotImplementedError

    def split(
        self, n: int, *, equal: bool = False, locality_hints: list[Any] | None = None
    ) -> list[MaterializedDataset]:
        """Runs the dataset and returns its blocks as `n` datasets, in order.

        Args:
            equal: each gets exactly as many rows; what is left over (fewer than `n`) is dropped.
            locality_hints: one for each; without effect on one machine.
        """
        if n <= 0:
            raise ValueError(f"The number of splits {n} is not positive.")
        if locality_hints is not None and len(locality_hints) != n:
            raise ValueError(
                f"The length of locality_hints {len(locality_hints)} doesn't equal the number of "
                f"splits {n}."
            )
        blocks = self._ordered_blocks()
        if equal:
            rows = sum(block.num_rows for block in blocks) // n
            return self._parts(_cut(blocks, [rows * i for i in range(1, n + 1)])[:n])
        few, more = divmod(len(blocks), n)
        sizes = [few + 1] * more + [few] * (n - more)
        ends = list(itertools.accumulate(sizes))
        return self._parts(
            [blocks[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        )

    def streaming_split(
        self: Any, n: int, *, equal: bool = False, locality_hints: list[Any] | None = None
    ) -> list[DataIterator]:
        """Returns `n` iterators that share each run of the dataset, for as many consumers at once.

        A consumer is a thread, or another process of this machine or, with the backend "ray", of
        any node of the cluster: an iterator can be pickled, and reads from this process as long as
        it lives. An iteration begins when all `n` have asked for one, and runs the dataset once;
        each further iteration runs it again. A consumer that leaves early does not stop the others;
        one that dies, or a function that fails, raises in all of them. One that lags is named in a
        warning after `DataContext.streaming_split_warn_after_s`.

        Args:
            equal: each gets exactly as many rows; what is left over (fewer than `n`) is dropped,
                and blocks are cut. False: whole blocks go to those with the fewest rows, and more
                to the quick where one is slow; with `ExecutionOptions.preserve_order`, only by
                rows, so that each epoch deals alike.
            locality_hints: one for each; without effect on one machine.

        Raises ValueError if `n` is not positive, or for another number of hints. Iterating raises
        StreamingSplitError if a consumer, or the process that made the split, is lost.
        """
        from headrace._internal.streaming_split.iterator import make_split

        return make_split(self, n, equal, locality_hints)

    def split_at_indices(self, indices: list[int]) -> list[MaterializedDataset]:
        """Runs the dataset and cuts it before these rows: one part more than indices.

        Raises ValueError if they are none, negative, or not in ascending order.
        """
        if len(indices) < 1:
            raise ValueError("indices must be at least of length 1")
        if sorted(indices) != list(indices):
            raise ValueError("indices must be sorted")
        if indices[0] < 0:
            raise ValueError("indices must be positive")
        return self._parts(_cut(self._ordered_blocks(), indices))

    def split_proportionately(self, proportions: list[float]) -> list[MaterializedDataset]:
        """Runs the dataset and cuts it into parts of these shares, and one of the rest.

        Raises ValueError if they are none, not above 0, not below 1 together, or if a part would
        have no rows.
        """
        if len(proportions) < 1:
            raise ValueError("proportions must be at least of length 1")
        if any(share <= 0 for share in proportions):
            raise ValueError("proportions must be bigger than 0")
        if sum(proportions) >= 1:
            raise ValueError("proportions must sum to less than 1")
        blocks = self._ordered_blocks()
        total = sum(block.num_rows for block in blocks)
        indices = [int(total * share) for share in itertools.accumulate(proportions)]
        # No part may be empty: one that is takes a row from the part before it.
        after = total
        for i in reversed(range(len(indices))):
            indices[i] = after = min(indices[i], after - 1)
        if after <= 0:
            raise ValueError("Couldn't create non-empty splits with the given proportions.")
        return self._parts(_cut(blocks, indices))

    def train_test_split(
        self,
        test_size: int | float,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        stratify: str | None = None,
    ) -> tuple[Any, Any]:
        """Runs the dataset and returns its rows for training and, the last ones, for testing.

        Args:
            test_size: a share between 0 and 1, or a number of rows below that of the dataset.
            shuffle: take the rows in random order, by `seed`.
            stratify: a column; each of its values has the same share of rows for testing.
        """
        if not isinstance(test_size, (int, float)):
            raise TypeError(f"`test_size` must be int or float got {type(test_size)}.")
        if stratify is not None and shuffle:
            raise ValueError(
                "Cannot specify both 'shuffle=True' and 'stratify' parameters. Stratified "
                "splitting maintains class proportions and is incompatible with shuffling."
            )
        if isinstance(test_size, float) and not 0 < test_size < 1:
            raise ValueError(
                "If `test_size` is a float, it must be bigger than 0 and smaller than 1. Got "
                f"{test_size}."
            )
        dataset: Any = self
        if shuffle:
            dataset = dataset.random_shuffle(seed=seed)
        if stratify is not None:
            return dataset._stratified(test_size, stratify)
        if isinstance(test_size, float):
            first, second = dataset.split_proportionately([1 - test_size])
            return first, second
        kept = dataset.materialize()
        first, second = kept.split_at_indices([kept._train_rows(test_size)])
        return first, second

    def _train_rows(self: Any, test_rows: int) -> int:
        total: int = self.count()
        if not 0 < test_rows < total:
            raise ValueError(
                "If `test_size` is an int, it must be bigger than 0 and smaller than the size of "
                f"the dataset ({total}). Got {test_rows}."
            )
        return total - test_rows

    def _stratified(self: Any, test_size: int | float, stratify: str) -> tuple[Dataset, Dataset]:
        from headrace._internal.grouping import MarkTrain
        from headrace.expressions import col

        groups = self.groupby(stratify)
        if isinstance(test_size, int):
            kept = self.materialize()
            rows = kept._train_rows(test_size)
            groups, test_size = kept.groupby(stratify), test_size / (rows + test_size)
        mark = MarkTrain(_TRAIN_COLUMN, test_size)
        marked = groups.map_groups(mark, batch_format="pyarrow").materialize()
        train = marked.filter(expr=col(_TRAIN_COLUMN)).drop_columns([_TRAIN_COLUMN])
        test = marked.filter(expr=~col(_TRAIN_COLUMN)).drop_columns([_TRAIN_COLUMN])
        return train, test

    def streaming_train_test_split(
        self: Any,
        test_size: float,
        *,
        split_type: str = "random",
        hash_column: str | None = None,
        seed: int | None = None,
        **ray_remote_kwargs: Any,
    ) -> tuple[Dataset, Dataset]:
        """Returns datasets of the rows for training and for testing; runs nothing.

        Args:
            test_size: the share for testing, between 0 and 1.
            split_type: "random": each row by chance; "hash": by the value of `hash_column`, so
                that rows stay where they are when others come or go.
            seed: of the chance; None: drawn now.
        """
        from headrace._internal.splitting import HashPart

        if not 0 < test_size < 1:
            raise ValueError("test_size must be between 0 and 1.")
        if split_type == "hash":
            if hash_column is None:
                raise ValueError("hash_column is required for hash split")
            parts = [HashPart(hash_column, test_size, test) for test in (False, True)]
            train, test = (
                self.map_batches(part, batch_size=None, batch_format="pyarrow", **ray_remote_kwargs)
                for part in parts
            )
            return train, test
        if split_type != "random":
            raise ValueError(f"Invalid split type: {split_type}")
        if hash_column is not None:
            raise ValueError("hash_column is not supported for random split")
        for_training = below(fixed_chance(seed), 1 - test_size)
        for_testing = _core.Expr.call("invert", [for_training])
        return (
            self._with_plan(self._plan.filter(for_training)),
            self._with_plan(self._plan.filter(for_testing)),
        )

    def _ordered_blocks(self) -> list[_core.BlockRef]:
        return [block for block in self.materialize()._plan.blocks() or [] if block.num_rows]

    def _parts(self, parts: Sequence[Sequence[_core.BlockRef]]) -> list[MaterializedDataset]:
        from headrace.dataset import MaterializedDataset

        return [
            MaterializedDataset(_core.Plan.input_data(list(part)), self._context.copy())
            for part in parts
        ]


def _cut(blocks: list[_core.BlockRef], indices: Sequence[int]) -> list[list[_core.BlockRef]]:
    """Cuts before the rows `indices`, which ascend. Only blocks with a cut inside are copied."""
    parts: list[list[_core.BlockRef]] = [[]]
    pending = list(indices)
    row = 0
    for block in blocks:
        begin = 0
        while pending and pending[0] < row + block.num_rows:
            end = pending.pop(0) - row
            if end > begin:
                parts[-1].append(_piece(block, begin, end))
            parts.append([])
            begin = end
        parts[-1].append(_piece(block, begin, block.num_rows))
        row += block.num_rows
    parts.extend([] for _ in pending)
    return parts


def _piece(block: _core.BlockRef, begin: int, end: int) -> _core.BlockRef:
    if begin == 0 and end == block.num_rows:
        return block
    return _core.put(slice_rows(block.get(), begin, end - begin))
