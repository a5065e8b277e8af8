"""Columns that stand in file paths: `year=2020/month=1/part.csv`."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

if TYPE_CHECKING:
    from headrace.expressions import Expr

PartitionDataType = type[int | float | str | bool]


class PartitionStyle(str, Enum):
    """How a path holds values: HIVE "key=value" directories, DIRECTORY values alone."""

    HIVE = "hive"
    DIRECTORY = "dir"


@dataclass
class Partitioning:
    """How paths hold columns.

    Args:
        style: HIVE or DIRECTORY.
        base_dir: only what comes below counts; default: the whole path.
        field_names: the columns, in order; required for DIRECTORY.
        field_types: Python types of columns, default str.
        filesystem: the file system of `base_dir`.
    """

    style: PartitionStyle
    base_dir: str | None = None
    field_names: list[str] | None = None
    field_types: dict[str, type] | None = None
    filesystem: Any = None

    def __post_init__(self) -> None:
        self.style = PartitionStyle(self.style)
        if self.base_dir is None:
            self.base_dir = ""
        if self.field_types is None:
            self.field_types = {}

    @property
    def normalized_base_dir(self) -> str:
        """`base_dir` as a path of the file system, with a slash at its end, or ""."""
        return _normalized_dir(self.base_dir or "", self.filesystem)

    @property
    def resolved_filesystem(self) -> Any:
        """The file system of `base_dir`."""
        from pyarrow import fs

        if self.filesystem is not None:
            return self.filesystem
        base = self.base_dir or ""
        return fs.FileSystem.from_uri(base)[0] if "://" in base else fs.LocalFileSystem()

    def to_pyarrow(self) -> Any:
        """Returns the same for `pyarrow.dataset`."""
        import pyarrow.dataset as ds

        fields = None
        if self.field_names:
            types = self.field_types or {}
            fields = pa.schema(
                [(name, _arrow_type(types.get(name, str))) for name in self.field_names]
            )
        if self.style is PartitionStyle.HIVE:
            return ds.HivePartitioning(fields) if fields else ds.HivePartitioning.discover()
        if fields is None:
            raise ValueError("Directory partitioning requires `field_names`")
        return ds.DirectoryPartitioning(fields)


class PathPartitionParser:
    """Reads the values out of paths."""

    @staticmethod
    def of(
        style: PartitionStyle = PartitionStyle.HIVE,
        base_dir: str | None = None,
        field_names: list[str] | None = None,
        field_types: dict[str, type] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionParser:
        scheme = Partitioning(style, base_dir, field_names, field_types, filesystem)
        return PathPartitionParser(scheme)

    def __init__(self, partitioning: Partitioning) -> None:
        """Raises ValueError for a style without its field names."""
        if partitioning.style is PartitionStyle.DIRECTORY and not partitioning.field_names:
            raise ValueError("Directory partitioning requires `field_names`")
        self._scheme = partitioning
        self._base = partitioning.normalized_base_dir

    @property
    def scheme(self) -> Partitioning:
        return self._scheme

    def __call__(self, path: str) -> dict[str, Any]:
        """Returns the values of `path`, {} if it is outside the base directory or has none.

        Raises ValueError if the names or their number differ from `field_names`.
        """
        base = self._base
        if base and not path.startswith(base):
            return {}
        directory = posixpath.dirname(path[len(base) :])
        if self._scheme.style is PartitionStyle.HIVE:
            values = self._parse_hive(directory)
        else:
            values = self._parse_directories(directory)
        types = self._scheme.field_types or {}
        return {
            key: _cast(value, types[key]) if key in types else value
            for key, value in values.items()
        }

    def _parse_hive(self, directory: str) -> dict[str, str]:
        parts = [part.split("=") for part in directory.split("/") if part.count("=") == 1]
        values = {key: unquote(value) for key, value in parts}
        names = self._scheme.field_names
        if names and values and list(values) != names:
            raise ValueError(
                f"Expected field names {names} but found {list(values)} in the path {directory!r}"
            )
        return values

    def _parse_directories(self, directory: str) -> dict[str, str]:
        names = self._scheme.field_names or []
        parts = [part for part in directory.split("/") if part]
        if not self._base:
            parts = parts[-len(names) :]
        if parts and len(parts) != len(names):
            raise ValueError(
                f"Expected {len(names)} partition value(s) but found {len(parts)}: {parts}."
            )
        return dict(zip(names, parts, strict=False))

    def evaluate_predicate_on_partition(self, path: str, predicate: Expr) -> bool:
        """Returns False only if the values of `path` make `predicate` false."""
        values = self(path)
        names = set(values)
        if not names:
            return True
        from headrace._internal.expr.lowering import lower

        native = lower(predicate)
        if not set(native.columns()) <= names:
            return True
        row = pa.table({key: [value] for key, value in values.items()})
        return native.evaluate(row)[0].as_py() is not False


class PathPartitionFilter:
    """Keeps paths by their values."""

    @staticmethod
    def of(
        filter_fn: Callable[[dict[str, str]], bool],
        style: PartitionStyle = PartitionStyle.HIVE,
        base_dir: str | None = None,
        field_names: list[str] | None = None,
        field_types: dict[str, type] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionFilter:
        """Makes a filter: `filter_fn` gets the values of a path ({} for none)."""
        parser = PathPartitionParser.of(style, base_dir, field_names, field_types, filesystem)
        return PathPartitionFilter(parser, filter_fn)

    def __init__(
        self,
        path_partition_parser: PathPartitionParser,
        filter_fn: Callable[[dict[str, str]], bool],
    ) -> None:
        self._parser = path_partition_parser
        self._filter_fn = filter_fn

    @property
    def parser(self) -> PathPartitionParser:
        return self._parser

    def apply(self, path: str) -> bool:
        return self._filter_fn(self._parser(path))

    def __call__(self, paths: list[str]) -> list[str]:
        return [path for path in paths if self.apply(path)]


def partition_schema(partitioning: Partitioning, paths: list[str]) -> pa.Schema | None:
    """Returns the columns that the paths hold, with their types; None for none."""
    parse = PathPartitionParser(partitioning)
    types = partitioning.field_types or {}
    names: dict[str, None] = {}
    for path in paths:
        names.update(dict.fromkeys(parse(path)))
    if not names:
        return None
    return pa.schema([(name, _arrow_type(types.get(name, str))) for name in names])


def _arrow_type(python_type: Any) -> pa.DataType:
    known = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    return known.get(python_type, python_type)


def _cast(value: str, target: Any) -> Any:
    if target is bool:
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise ValueError(f"Expected 'true' or 'false' for a partition value, got: {value!r}")
    return target(value)


def _normalized_dir(base_dir: str, filesystem: Any) -> str:
    if not base_dir:
        return ""
    if "://" in base_dir and filesystem is None:
        from pyarrow import fs

        base_dir = fs.FileSystem.from_uri(base_dir)[1]
    return base_dir.rstrip("/") + "/"
