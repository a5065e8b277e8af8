"""Makes the tables of a scale factor with tpchgen-cli, as Parquet.

    python bench/tpch/data.py SCALE_FACTOR DIRECTORY

The generator says in its files that strings are to be read as views. Daft and Ray Data can do
nothing with these, so the files are written again, row group by row group, with plain strings.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PROGRAM = "tpchgen-cli"


def generator() -> str:
    """Returns the path of the generator: beside this interpreter, or anywhere."""
    found = shutil.which(PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(PROGRAM)
    if found is None:
        raise FileNotFoundError(f"{PROGRAM} is not there: pip install {PROGRAM}")
    return found


def with_plain_strings(source: Path, target: Path) -> None:
    file = pq.ParquetFile(source)
    schema = pa.schema(
        field.with_type(pa.string()) if field.type == pa.string_view() else field
        for field in file.schema_arrow
    )
    with pq.ParquetWriter(target, schema, store_decimal_as_integer=True) as writer:
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group).cast(schema))


def generate(scale_factor: float, directory: Path, *tables: str) -> None:
    """Writes one file for each of the tables, default: all, as the generator makes them."""
    command = [generator(), "parquet", "--scale-factor", f"{scale_factor:g}", "--quiet"]
    command += ["--output-dir", str(directory)]
    if tables:
        command += ["--tables", ",".join(tables)]
    subprocess.run(command, check=True)


def ensure(scale_factor: float, root: Path) -> Path:
    """Returns the directory with the eight files, made now if it is not there."""
    directory = root / f"tpch-{scale_factor:g}"
    if not directory.exists():
        made, unfinished = root / f"{directory.name}.made", root / f"{directory.name}.unfinished"
        for folder in (made, unfinished):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        generate(scale_factor, made)
        for path in sorted(made.glob("*.parquet")):
            with_plain_strings(path, unfinished / path.name)
            path.unlink()
        made.rmdir()
        unfinished.rename(directory)
    return directory


if __name__ == "__main__":
    print(ensure(float(sys.argv[1]), Path(sys.argv[2])))
