"""Units of columns made of Python's datetimes."""

from __future__ import annotations

import pyarrow as pa

_MICROSECONDS = pa.timestamp("us")


def in_their_unit(times: pa.Array) -> pa.Array:
    """Returns microseconds as seconds or milliseconds if all of them are whole ones, as ray.data
    does, and other columns as they are. (ray.data makes dates of midnights, which stay times.)"""
    if times.type != _MICROSECONDS or times.null_count or len(times) == 0:
        return times
    numbers = times.cast(pa.int64()).to_numpy()
    for unit, size in (("s", 1_000_000), ("ms", 1000)):
        if not (numbers % size).any():
            return times.cast(pa.timestamp(unit))
    return times
