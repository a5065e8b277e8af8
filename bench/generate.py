"""Makes the input of the workloads: the same bytes for the same name and size.

    python bench/generate.py NAME N DIRECTORY

The columns that results depend on follow from the row's number, so that every expected result is
a formula of n; the others are noise that does not compress.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILES = 16
ROW_GROUP = 250_000


def numbers(n: int, directory: Path) -> None:
    """Parquet, 16 files: id int64, x float64 (0 … 999, each equally often), y and z noise."""
    noise = np.random.default_rng(1)
    for number, ids in enumerate(np.array_split(np.arange(n, dtype=np.int64), FILES)):
        table = pa.table(
            {
                "id": ids,
                "x": (ids * 7919 % 1000).astype(np.float64),
                "y": noise.random(len(ids)),
                "z": noise.random(len(ids)),
            }
        )
        pq.write_table(
            table,
            directory / f"part-{number:02}.parquet",
            row_group_size=ROW_GROUP,
            use_dictionary=["x"],
        )


def names(n: int, directory: Path) -> None:
    """Parquet, 8 files: id int64, name string of 9 letters."""
    for number, ids in enumerate(np.array_split(np.arange(n, dtype=np.int64), 8)):
        table = pa.table({"id": ids, "name": [f"name-{value % 10000:04}" for value in ids]})
        pq.write_table(table, directory / f"part-{number}.parquet", row_group_size=ROW_GROUP)


def images(n: int, directory: Path) -> None:
    """JPEG files of 500 × 375 pixels: soft clouds, so that they compress like photographs."""
    from PIL import Image

    noise = np.random.default_rng(2)
    for number in range(n):
        coarse = noise.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        grain = noise.integers(-8, 9, (375, 500, 1))
        pixels = np.clip(np.asarray(image).astype(np.int16) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(directory / f"{number:05}.jpg", quality=90)


def keys(n: int, directory: Path) -> None:
    """Three tables as Parquet, with keys in no order.

    main/: n rows; id int64 (each once), k int64 (100,000 values), g int64 (a tenth of n values),
    x float64 noise, s string of 10 letters. small/: a row for each k; k int64, label string.
    other/: n rows; id int64 (each once), w float64 (half the id).
    """
    noise = np.random.default_rng(3)
    for folder in ("main", "small", "other"):
        (directory / folder).mkdir(exist_ok=True)
    order, other_order = noise.permutation(n), noise.permutation(n)
    for number, ids in enumerate(np.array_split(order, FILES)):
        letters = noise.integers(97, 123, (len(ids), 10), dtype=np.uint8)
        table = pa.table(
            {
                "id": ids,
                "k": ids % 100_000,
                "g": ids % max(1, n // 10),
                "x": noise.random(len(ids)),
                "s": pa.array(letters.view("S10").ravel()).cast(pa.string()),
            }
        )
        name = f"part-{number:02}.parquet"
        pq.write_table(table, directory / "main" / name, row_group_size=ROW_GROUP)
    for number, ids in enumerate(np.array_split(other_order, FILES)):
        table = pa.table({"id": ids, "w": ids / 2})
        name = f"part-{number:02}.parquet"
        pq.write_table(table, directory / "other" / name, row_group_size=ROW_GROUP)
    k = np.arange(min(n, 100_000))
    table = pa.table({"k": k, "label": [f"label-{value}" for value in k]})
    pq.write_table(table, directory / "small" / "part-00.parquet")


def nothing(n: int, directory: Path) -> None:
    """For workloads that make their data while reading."""


GENERATORS: dict[str, Callable[[int, Path], None]] = {
    "numbers": numbers,
    "names": names,
    "images": images,
    "keys": keys,
    "nothing": nothing,
}


def ensure(name: str, n: int, root: Path) -> Path:
    """Returns the directory with the data, made now if it is not there."""
    directory = root / f"{name}-{n}"
    if not directory.exists():
        unfinished = root / f"{name}-{n}.unfinished"
        unfinished.mkdir(parents=True, exist_ok=True)
        GENERATORS[name](n, unfinished)
        unfinished.rename(directory)
    return directory


if __name__ == "__main__":
    print(ensure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
