"""TPC-H's 22 queries at scale factor 0.01: the answers are DuckDB's, over the generator's files."""

from __future__ import annotations

import importlib
import pathlib
import sys
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

from bench.tpch import answers, data, one_query
from bench.tpch.tables import Tables

pytest.importorskip("duckdb")

SCALE_FACTOR = 0.01
QUERIES = range(1, 23)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The files as the generator makes them: strings are views, decimals whole numbers."""
    folder = tmp_path_factory.mktemp("tpch")
    try:
        data.generate(SCALE_FACTOR, folder)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return Tables(folder, SCALE_FACTOR)


def expected(tables: Tables, number: int) -> list[dict[str, Any]]:
    files = {path.stem: str(path) for path in tables.folder.glob("*.parquet")}
    return one_query.duckdb_answer(one_query.sql_of(number, SCALE_FACTOR), files)()


@pytest.mark.parametrize("number", QUERIES)
def test_answer(tables: Tables, number: int) -> None:
    module = importlib.import_module(f"bench.tpch.queries.q{number:02}")
    wanted = expected(tables, number)
    assert wanted
    got = module.query(tables).materialize().take_all()
    places = answers.sort_columns(one_query.sql_of(number, SCALE_FACTOR), list(wanted[0]))
    assert answers.difference(answers.rows_of(got), answers.rows_of(wanted), places) == ""


@pytest.mark.parametrize("number", QUERIES)
def test_sql_is_whole(number: int) -> None:
    text = one_query.sql_of(number, SCALE_FACTOR)
    assert text.startswith(("select", "with"))
    assert "{" not in text


def test_differences_are_found() -> None:
    rows = [["a", 1.0], ["b", 2.0], ["c", 2.0]]
    assert answers.difference(rows, rows, [1]) == ""
    assert answers.difference([rows[0], rows[2], rows[1]], rows, [1]) == ""
    assert answers.difference(rows[::-1], rows) == ""
    assert "wrong order" in answers.difference(rows[::-1], rows, [1])
    assert "2 rows, not 3" in answers.difference(rows[:2], rows)
    assert "wrong answer" in answers.difference([["a", 1.0], ["b", 2.0], ["d", 2.0]], rows)
    assert "wrong answer" in answers.difference([["a", 1.00001], *rows[1:]], rows)
    assert answers.difference([["a", 1.0 + 1e-12], *rows[1:]], rows, [1]) == ""
    assert "columns" in answers.difference([[*row, 0] for row in rows], rows)


def test_sort_columns_are_those_of_the_last_order_by() -> None:
    sql = "select a, b\nfrom (\n  select 1\n  order by b\n)\norder by b desc, a\nlimit 3\n"
    assert answers.sort_columns(sql, ["a", "b"]) == [1, 0]
    assert answers.sort_columns("select a\nfrom t\n", ["a"]) == []
