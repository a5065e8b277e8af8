"""From batches to torch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def make_finisher(
    collate_fn: Any, dtypes: Any, device: Any, pin_memory: bool
) -> tuple[str, Callable[[Any], Any]]:
    """Returns the format of batches to take and the function that makes tensors of them.

    Raises ValueError for a `collate_fn` together with `dtypes` or `pin_memory`.
    """
    from headrace.collate_fn import ArrowBatchCollateFn, PandasBatchCollateFn

    if collate_fn is None:
        target = _device(device)
        return "numpy", lambda batch: to_tensors(batch, dtypes, target, pin_memory)
    if dtypes is not None:
        raise ValueError(
            "collate_fn cannot be used with dtypes. The output of the collate_fn is used as is."
        )
    if pin_memory:
        raise ValueError("pin_memory is only supported when using the default collate_fn.")
    target = None if isinstance(device, str) and device == "auto" else device
    batch_format = "numpy"
    if isinstance(collate_fn, ArrowBatchCollateFn):
        batch_format = "pyarrow"
    elif isinstance(collate_fn, PandasBatchCollateFn):
        batch_format = "pandas"

    def finish(batch: Any) -> Any:
        made = collate_fn(batch)
        return made if target is None else _move(made, target)

    return batch_format, finish


def to_tensors(
    batch: Mapping[str, np.ndarray], dtypes: Any, device: Any, pin_memory: bool
) -> dict[str, Any]:
    """Returns the batch as tensors. TypeError for a column that is none."""
    tensors = {}
    for name, values in batch.items():
        dtype = dtypes.get(name) if isinstance(dtypes, dict) else dtypes
        tensors[name] = _to_tensor(name, values, dtype, device, pin_memory)
    return tensors


def _to_tensor(name: str, values: np.ndarray, dtype: Any, device: Any, pin_memory: bool) -> Any:
    import torch

    if values.dtype == object:
        values = _stacked(name, values)
    if values.dtype.kind in "USMm":
        raise TypeError(
            f"Column '{name}' of type {values.dtype} is no tensor. Drop it, or give a collate_fn."
        )
    if values.dtype in (np.uint16, np.uint32, np.uint64) and dtype is None:
        values = values.astype(np.int64 if values.dtype != np.uint16 else np.int32)
    # Torch takes no read-only arrays without a warning: a copy is owed to the caller anyway.
    if not values.flags.writeable or not values.flags.c_contiguous:
        values = values.copy(order="C")
    tensor = torch.from_numpy(values)
    if dtype is not None:
        tensor = tensor.to(dtype=dtype)
    if pin_memory and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor if device is None else tensor.to(device=device, non_blocking=pin_memory)


def _stacked(name: str, values: np.ndarray) -> np.ndarray:
    try:
        stacked = np.stack([np.asarray(value) for value in values])
    except ValueError as error:
        raise RuntimeError(
            f"Column '{name}' holds arrays of different shapes: give a collate_fn that pads them."
        ) from error
    if stacked.dtype == object or stacked.dtype.kind in "US":
        raise TypeError(
            f"Column '{name}' holds {type(values[0]).__name__} objects, which are no tensors. Drop "
            "it, or give a collate_fn."
        )
    return stacked


def _device(device: Any) -> Any:
    import torch

    if isinstance(device, str) and device == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else None
    return device


def _move(value: Any, device: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _move(item, device) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_move(item, device) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_move(item, device) for item in value)
    return value
