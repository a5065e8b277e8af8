"""Functions that make training batches, for `iter_torch_batches`."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

DataBatchType = TypeVar("DataBatchType")

__all__ = [
    "ArrowBatchCollateFn",
    "CollateFn",
    "DefaultCollateFn",
    "NumpyBatchCollateFn",
    "PandasBatchCollateFn",
]


class CollateFn(abc.ABC, Generic[DataBatchType]):
    """Makes a training batch of a batch; a subclass of one of the three below says of which."""

    @abc.abstractmethod
    def __call__(self, batch: DataBatchType) -> Any:
        """Returns the training batch."""


class ArrowBatchCollateFn(CollateFn["pa.Table"]):
    """Takes `pyarrow.Table`s."""

    @abc.abstractmethod
    def __call__(self, batch: pa.Table) -> Any: ...


class NumpyBatchCollateFn(CollateFn[dict[str, "np.ndarray"]]):
    """Takes dicts of arrays."""

    @abc.abstractmethod
    def __call__(self, batch: dict[str, np.ndarray]) -> Any: ...


class PandasBatchCollateFn(CollateFn["pd.DataFrame"]):
    """Takes DataFrames."""

    @abc.abstractmethod
    def __call__(self, batch: pd.DataFrame) -> Any: ...


class DefaultCollateFn(NumpyBatchCollateFn):
    """Makes a dict of torch tensors.

    Args:
        dtypes: the type of all tensors, or of some by name.
        combine_chunks, num_workers: accepted; a column is one tensor always, made in this thread.
        device: where they go; None: the CPU.
        pin_memory: page-lock CPU tensors first.
    """

    def __init__(
        self,
        dtypes: Any = None,
        combine_chunks: bool = False,
        num_workers: int = 4,
        *,
        device: Any = None,
        pin_memory: bool = False,
    ) -> None:
        self.dtypes = dtypes
        self.device = device
        self.pin_memory = pin_memory

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
        from headrace._internal.torch_batches import to_tensors

        return to_tensors(batch, self.dtypes, self.device, self.pin_memory)
