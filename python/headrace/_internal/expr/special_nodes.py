"""Nodes that no Arrow function stands for: downloads, chance, and several columns at once."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import pyarrow as pa

from headrace._internal.expr.nodes import ColumnExpr, Expr
from headrace._internal.expr.values import value_class
from headrace.datatype import DataType

_UNKNOWN = DataType(object)


@value_class(frozen=True, eq=False, repr=False)
class DownloadExpr(Expr):
    """The bytes behind the URIs of a column; null where the URI cannot be read."""

    data_type: DataType = field(default=DataType(pa.binary()), kw_only=True)
    uri_column_name: str
    filesystem: Any = None

    def children(self) -> list[Expr]:
        return [ColumnExpr(self.uri_column_name)]

    def branches(self) -> list[tuple[str, Expr]]:
        return []

    def label(self) -> str:
        return f"DOWNLOAD({self.uri_column_name!r})"

    def _own_state(self) -> Any:
        return self.uri_column_name

    def nullable(self, input_schema: pa.Schema) -> bool:
        return True


@value_class(frozen=True, eq=False, repr=False)
class UUIDExpr(Expr):
    """A random UUID (version 4) a row, as a string."""

    data_type: DataType = field(default=DataType(pa.string()), kw_only=True)

    def label(self) -> str:
        return "UUID()"

    def is_idempotent(self) -> bool:
        return False


@value_class(frozen=True, eq=False, repr=False)
class RandomExpr(Expr):
    """A random number in [0, 1) a row; see `headrace.expressions.random`."""

    data_type: DataType = field(default=DataType(pa.float64()), kw_only=True)
    seed: int | None = None
    reseed_after_execution: bool = True

    def label(self) -> str:
        if self.seed is None:
            return "RANDOM()"
        return f"RANDOM(seed={self.seed}, reseed_after_execution={self.reseed_after_execution})"

    def _own_state(self) -> Any:
        return self.seed, self.reseed_after_execution

    def is_idempotent(self) -> bool:
        return False

    def nullable(self, input_schema: pa.Schema) -> bool:
        return False


@value_class(frozen=True, eq=False, repr=False)
class MonotonicallyIncreasingIdExpr(Expr):
    """A number a row that no other row of the run has, increasing within each task."""

    data_type: DataType = field(default=DataType(pa.int64()), kw_only=True)

    def label(self) -> str:
        return "MONOTONICALLY_INCREASING_ID()"

    def structurally_equals(self, other: Any) -> bool:
        return False

    def is_idempotent(self) -> bool:
        return False

    def nullable(self, input_schema: pa.Schema) -> bool:
        return False


@value_class(frozen=True, eq=False, repr=False)
class StarExpr(Expr):
    """All columns of the input, in a projection."""

    data_type: DataType = field(default=_UNKNOWN, kw_only=True)

    def label(self) -> str:
        return "COL(*)"

    def expand_projection(self, input_schema: pa.Schema | None) -> list[Expr]:
        if input_schema is None:
            return [self]
        return [ColumnExpr(name) for name in input_schema.names]


@value_class(frozen=True, eq=False, repr=False)
class UnnestExpr(Expr):
    """One column for each field of a struct, in a projection."""

    data_type: DataType = field(default=_UNKNOWN, kw_only=True)
    expr: Expr

    def children(self) -> list[Expr]:
        return [self.expr]

    def label(self) -> str:
        return "UNNEST"

    def alias(self, name: str) -> Expr:
        raise ValueError("unnest() makes several columns and cannot be given one name")

    def expand_projection(self, input_schema: pa.Schema | None) -> list[Expr]:
        if input_schema is None:
            return [self]
        struct_type = self.expr.get_type(input_schema)
        if struct_type is None or not pa.types.is_struct(struct_type):
            raise TypeError(f"unnest() needs a struct, got: {struct_type}")
        return [self.expr.struct[field.name].alias(field.name) for field in struct_type]
