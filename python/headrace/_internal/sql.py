"""Databases, through connections of Python's DB API 2 (PEP 249)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from headrace._internal import convert
from headrace._internal.table_rows import slice_rows
from headrace.block import Block, BlockAccessor, BlockMetadata
from headrace.datasource.datasink import Datasink, TaskContext
from headrace.datasource.datasource import Datasource, ReadTask

_ROWS_PER_BLOCK = 1 << 16
_ROWS_PER_INSERT = 1024


class SQLDatasource(Datasource):
    """Reads the rows of a query, in one task or in one a shard.

    Args:
        sql: the query.
        connection_factory: makes a connection; called in workers.
        sql_params: bound to the query, in the connector's style.
        shard_keys: columns whose hash says in which shard a row is.
        shard_hash_fn: the database's function that hashes to a number.
    """

    def __init__(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        sql_params: Any = None,
        shard_keys: list[str] | None = None,
        shard_hash_fn: str = "MD5",
    ) -> None:
        self._sql = sql
        self._connect = connection_factory
        self._params = sql_params
        self._shard_keys = list(shard_keys or [])
        self._hash = shard_hash_fn

    def get_name(self) -> str:
        return "SQL"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        shards = self._shards(parallelism)
        return [
            ReadTask(
                _Query(query, self._params, self._connect),
                BlockMetadata(None, None, None),
                None,
                per_task_row_limit,
            )
            for query in shards
        ]

    def _shards(self, count: int) -> list[str]:
        """Returns a query a shard; the query itself where the database cannot shard."""
        if count <= 1 or not self._shard_keys:
            return [self._sql]
        # A remainder for each key, so that no two keys can run together into one text.
        remainders = [f"MOD(ABS({self._hash}({key})), {count})" for key in self._shard_keys]
        queries = [
            f"SELECT * FROM ({self._sql}) AS rows_of_query "
            f"WHERE MOD({' + '.join(remainders)}, {count}) = {shard}"
            for shard in range(count)
        ]
        try:
            with _cursor(self._connect) as cursor:
                _execute(cursor, queries[0], self._params)
                cursor.fetchone()
        except Exception:  # Of the connector's own; what is wrong with the query shows later.
            return [self._sql]
        return queries


class _Query:
    """Runs one query in a worker."""

    def __init__(self, sql: str, params: Any, connect: Callable[[], Any]) -> None:
        self._sql = sql
        self._params = params
        self._connect = connect

    def __call__(self) -> Iterator[Block]:
        with _cursor(self._connect) as cursor:
            _execute(cursor, self._sql, self._params)
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(_ROWS_PER_BLOCK):
                yield convert.dicts_to_table([dict(zip(names, row, strict=True)) for row in rows])


class SQLDatasink(Datasink[None]):
    """Executes a statement for the rows, whose values are its parameters."""

    def __init__(self, sql: str, connection_factory: Callable[[], Any]) -> None:
        self._sql = sql
        self._connect = connection_factory

    def get_name(self) -> str:
        return "SQL"

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        with _cursor(self._connect) as cursor:
            for block in blocks:
                table = BlockAccessor.for_block(block).to_arrow()
                for begin in range(0, table.num_rows, _ROWS_PER_INSERT):
                    cursor.executemany(
                        self._sql, _values(slice_rows(table, begin, _ROWS_PER_INSERT))
                    )


def _values(table: pa.Table) -> list[tuple[Any, ...]]:
    rows = BlockAccessor.for_block(table).iter_rows(public_row_format=False)
    return [tuple(row.values()) for row in rows]


def _execute(cursor: Any, sql: str, params: Any) -> None:
    if params is None:
        cursor.execute(sql)
    else:
        cursor.execute(sql, params)


@contextmanager
def _cursor(connect: Callable[[], Any]) -> Iterator[Any]:
    """Gives a cursor; commits at the end, rolls back after an error. TypeError without them."""
    connection = connect()
    missing = [n for n in ("close", "commit", "cursor") if not hasattr(connection, n)]
    if missing:
        raise TypeError(
            "`connection_factory` made no connection of DB API 2: its "
            f"{type(connection).__name__} has no {missing[0]}()"
        )
    try:
        yield connection.cursor()
        connection.commit()
    except Exception:
        # Optional in DB API 2, as are transactions.
        if hasattr(connection, "rollback"):
            connection.rollback()
        raise
    finally:
        connection.close()
