"""Iterating: `DataIterator`, what `Dataset.iterator()` gives to training loops."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace import _core
from headrace._internal import batching
from headrace._internal.plan_building import check_batch_format
from headrace._internal.prefetch import Prefetcher
from headrace._internal.tensor_batches import TensorBatchesMixin

if TYPE_CHECKING:
    from headrace.context import DataContext
    from headrace.dataset import Dataset, MaterializedDataset, Schema

__all__ = ["DataIterator", "DatasetIterator"]


class _Iterable:
    """Makes a new iterator at each use."""

    def __init__(self, make: Callable[[], Iterator[Any]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Any]:
        return self._make()


class DataIterator(TensorBatchesMixin, abc.ABC):
    """Iterates over a dataset in rows or batches; each iteration runs the dataset anew.

    Leaving an iteration early stops the run and returns its memory.
    """

    @abc.abstractmethod
    def _tables(self, prefetch: int, cancelled: threading.Event | None) -> Iterator[pa.Table]:
        """Runs and yields blocks."""

    @abc.abstractmethod
    def stats(self) -> str:
        """Returns the statistics of the last iteration as text."""

    @abc.abstractmethod
    def schema(self) -> Schema | None:
        """Returns the schema; None if there is none."""

    @abc.abstractmethod
    def get_context(self) -> DataContext:
        """Returns the settings."""

    @abc.abstractmethod
    def materialize(self) -> MaterializedDataset:
        """Runs and keeps the blocks in the object store."""

    def iter_rows(self) -> Any:
        """Returns an iterable of rows: dicts of Python scalars, and numpy arrays for tensors."""

        def rows() -> Iterator[dict[str, Any]]:
            for table in self._tables(1, None):
                yield from _core.rows_of(table)

        return _Iterable(rows)

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: str | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Any:
        """Returns an iterable of batches.

        Args:
            prefetch_batches: batches, or blocks, that are made ready ahead.
            batch_size: rows a batch, exactly, but for the last; None: one batch a block.
            batch_format: "numpy" or "default" (a dict of arrays, read-only views where that is
                possible), "pandas", "pyarrow", or None (as it is: pyarrow).
            drop_last: leave out the last batch if it is smaller.
            local_shuffle_buffer_size: draw rows from a buffer of at least this many rows.
            local_shuffle_seed: the seed of the drawing.
        """
        return self._iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            batch_format=batch_format,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
        )

    def _iter_batches(
        self,
        *,
        prefetch_batches: int,
        batch_size: int | None,
        batch_format: str | None,
        drop_last: bool,
        local_shuffle_buffer_size: int | None,
        local_shuffle_seed: int | None,
        finish: Callable[[Any], Any] | None = None,
    ) -> _Iterable:
        chosen = check_batch_format(batch_format)
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be >= 1 or None, got: {batch_size}")
        if local_shuffle_buffer_size is not None and batch_size is None:
            raise ValueError("Must specify a batch_size if using a local shuffle.")
        depth = max(0, prefetch_batches)

        def batches(cancelled: threading.Event | None) -> Iterator[Any]:
            tables = self._tables(max(1, depth), cancelled)
            if local_shuffle_buffer_size is not None and batch_size is not None:
                tables = batching.shuffled_tables(
                    tables, batch_size, local_shuffle_buffer_size, local_shuffle_seed
                )
            made = batching.batches(tables, batch_size, chosen, drop_last)
            if finish is None:
                yield from made
            else:
                for batch in made:
                    yield finish(batch)

        def iterate() -> Iterator[Any]:
            # Views of blocks cost less to make than to hand from thread to thread; the engine
            # makes blocks ahead anyway. A thread pays where batches are converted.
            if depth == 0 or (finish is None and chosen != "pandas"):
                return batches(None)
            return iter(Prefetcher(batches, depth))

        return _Iterable(iterate)

    def _tensor_batches(self, batch_format: str, finish: Callable[[Any], Any], options: Any) -> Any:
        return self._iter_batches(batch_format=batch_format, finish=finish, **options)

    def iter_torch_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        device: Any = "auto",
        collate_fn: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        pin_memory: bool = False,
    ) -> Any:
        """Returns an iterable of dicts of torch tensors.

        Args:
            dtypes: the type of all tensors, or of some by name.
            device: where the tensors go; "auto": a GPU if torch sees one, else the CPU.
            collate_fn: makes the batch instead: a function of a dict of numpy arrays, or a
                `CollateFn` that says what it takes. Not together with `dtypes`.
            pin_memory: page-lock CPU tensors first, for a faster way to the GPU.

        Other arguments as of `iter_batches`. Raises ValueError for `collate_fn` with `dtypes`,
        TypeError for a column that is no tensor (strings), RuntimeError for ragged arrays.
        """
        from headrace._internal.torch_batches import make_finisher

        batch_format, finish = make_finisher(collate_fn, dtypes, device, pin_memory)
        return self._iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            batch_format=batch_format,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            finish=finish,
        )

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"`{type(self).__name__}` objects aren't iterable. To iterate records, call "
            "`iter_rows()` or `iter_batches()`."
        )


class DatasetDataIterator(DataIterator):
    """Iterates over a dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def _tables(self, prefetch: int, cancelled: threading.Event | None) -> Iterator[pa.Table]:
        return self._dataset._tables(None, prefetch, cancelled)

    def stats(self) -> str:
        return self._dataset.stats()

    def schema(self) -> Schema | None:
        return self._dataset.schema()

    def get_context(self) -> DataContext:
        return self._dataset.context

    def materialize(self) -> MaterializedDataset:
        return self._dataset.materialize()

    def __repr__(self) -> str:
        return f"DataIterator({self._dataset!r})"


DatasetIterator = DataIterator
