"""Answers one query once, in this process, with one engine; prints one line of JSON.

    python bench/tpch/one_query.py ENGINE NUMBER FOLDER SCALE_FACTOR

Headrace and Ray Data run the same program, queries/qNN.py, the others sql/qNN.sql. The clock
starts when the engine is imported, and Ray's cluster up; it ends with all rows in memory. As engine
`pyarrow` computes nothing: it reads the columns that the program reads, as a measure of what
reading with Arrow costs.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import worker
from bench.tpch import answers

HERE = Path(__file__).parent

Rows = list[dict[str, Any]]
Answer = Callable[[], Rows]  # Hands over the rows, after the clock has stopped.


def sql_of(number: int, scale_factor: float) -> str:
    """Returns the text of a query; of Q11, the fraction depends on the scale factor."""
    text = (HERE / "sql" / f"q{number:02}.sql").read_text()
    return text.replace("{fraction}", f"{0.0001 / scale_factor:.12f}")


def dataset_answer(engine: str, number: int, folder: Path, scale_factor: float) -> Answer:
    if engine == "ray":  # The program's imports give it Ray Data in the place of Headrace.
        for part in ("", ".aggregate", ".datatype", ".expressions"):
            sys.modules["headrace" + part] = importlib.import_module("ray.data" + part)
    from bench.tpch.tables import Tables

    join_tasks = 2 * len(os.sched_getaffinity(0)) if engine == "ray" else 0
    tables = Tables(folder, scale_factor, join_tasks)
    module = importlib.import_module(f"bench.tpch.queries.q{number:02}")
    answer = module.query(tables).materialize()
    return answer.take_all  # type: ignore[no-any-return]


def duckdb_answer(sql: str, files: dict[str, str]) -> Answer:
    import duckdb

    connection = duckdb.connect()
    for name, path in files.items():
        connection.execute(f"create view {name} as from '{path}'")
    return connection.sql(sql).to_arrow_table().to_pylist  # type: ignore[no-any-return]


def polars_answer(sql: str, files: dict[str, str]) -> Answer:
    import polars

    context = polars.SQLContext({name: polars.scan_parquet(path) for name, path in files.items()})
    return context.execute(sql).collect(engine="streaming").to_dicts  # type: ignore[no-any-return]


def daft_answer(sql: str, files: dict[str, str]) -> Answer:
    import daft

    tables = {name: daft.read_parquet(path) for name, path in files.items()}
    return daft.sql(sql, **tables).collect().to_pylist  # type: ignore[no-any-return]


def reads_of(number: int) -> list[tuple[str, ...]]:
    """Returns what the program of a query reads: a table and its columns each time."""
    program = ast.parse((HERE / "queries" / f"q{number:02}.py").read_text())
    calls = [node for node in ast.walk(program) if isinstance(node, ast.Call)]
    reads = [call for call in calls if ast.unparse(call.func) == "tables.read"]
    return [tuple(map(ast.literal_eval, call.args)) for call in reads]


def pyarrow_reads(number: int, files: dict[str, str]) -> Answer:
    from pyarrow import parquet

    for name, *columns in reads_of(number):
        parquet.read_table(files[name], columns=columns)
    return list


SQL_ENGINES = {"duckdb": duckdb_answer, "polars": polars_answer, "daft": daft_answer}


def main() -> None:
    engine, number = sys.argv[1], int(sys.argv[2])
    folder, scale_factor = Path(sys.argv[3]), float(sys.argv[4])
    files = {path.stem: str(path) for path in sorted(folder.glob("*.parquet"))}
    sql = sql_of(number, scale_factor)
    worker.prepare("pyarrow.dataset" if engine == "pyarrow" else engine)
    start = time.perf_counter()
    if engine in SQL_ENGINES:
        answer = SQL_ENGINES[engine](sql, files)
    elif engine == "pyarrow":
        answer = pyarrow_reads(number, files)
    else:
        answer = dataset_answer(engine, number, folder, scale_factor)
    seconds = time.perf_counter() - start
    rows = answer()
    result = {
        "seconds": seconds,
        "names": list(rows[0]) if rows else [],
        "rows": answers.rows_of(rows),
    }
    print(worker.MARKER + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
