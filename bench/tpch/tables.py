"""The eight tables of TPC-H as the queries see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import headrace as data

NAMES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


@dataclass(frozen=True)
class Tables:
    """The Parquet files of one scale factor: `folder`/`name`.parquet.

    Queries materialize what is small once it is filtered: a join gives each task all of a side
    that it knows to be small, and leaves the other where it is.
    """

    folder: Path
    scale_factor: float
    join_tasks: int = 0  # The `num_partitions` of a join; 0: by the sizes of its sides.

    def read(self, name: str, *columns: str) -> data.Dataset:
        """Returns some columns of a table."""
        return data.read_parquet(str(self.folder / f"{name}.parquet"), columns=list(columns))
