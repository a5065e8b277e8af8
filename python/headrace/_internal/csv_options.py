"""The options of `pyarrow.csv` and `pyarrow.json` as options of the engine's readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

_CSV_PARSE = (
    "delimiter",
    "quote_char",
    "double_quote",
    "escape_char",
    "newlines_in_values",
    "ignore_empty_lines",
)
_CSV_READ = (
    "block_size",
    "skip_rows",
    "skip_rows_after_names",
    "column_names",
    "autogenerate_column_names",
)
_CSV_CONVERT = (
    "check_utf8",
    "null_values",
    "true_values",
    "false_values",
    "strings_can_be_null",
    "quoted_strings_can_be_null",
    "auto_dict_encode",
    "include_columns",
    "include_missing_columns",
    "decimal_point",
)


_CSV_WRITE = ("include_header", "batch_size", "delimiter", "quoting_style")


def csv_write_options(arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the engine's options for `pyarrow.csv.write_csv` arguments; None if it has not all
    of them."""
    from pyarrow import csv

    if not set(arguments) <= {"write_options"}:
        return None
    options: dict[str, Any] = {}
    given = arguments.get("write_options")
    if isinstance(given, dict):
        given = csv.WriteOptions(**given)
    _take_changes(options, given, csv.WriteOptions(), _CSV_WRITE)
    return options


def to_options(
    arguments: dict[str, Any], first_file: Callable[[], Any]
) -> tuple[dict[str, Any], pa.Schema | None]:
    """Returns what differs from pyarrow's defaults, and the schema where types are asked for.

    `first_file` opens a file to read the names and the other types from.

    Raises ValueError for arguments that `pyarrow.csv` does not have either.
    """
    from pyarrow import csv

    arguments = dict(arguments)
    parse = arguments.pop("parse_options", None)
    read = arguments.pop("read_options", None)
    convert = arguments.pop("convert_options", None)
    if arguments:
        raise ValueError(f"read_csv() got unknown arguments: {sorted(arguments)}")
    options: dict[str, Any] = {}
    _take_changes(options, parse, csv.ParseOptions(), _CSV_PARSE)
    _take_changes(options, read, csv.ReadOptions(), _CSV_READ)
    _take_changes(options, convert, csv.ConvertOptions(), _CSV_CONVERT)
    parsers = getattr(convert, "timestamp_parsers", None)
    if parsers:
        options["timestamp_parsers"] = [
            "ISO8601" if parser is csv.ISO8601 else parser for parser in parsers
        ]
    if not getattr(convert, "column_types", None):
        return options, None
    with first_file() as stream, csv.open_csv(stream, read, parse, convert) as reader:
        return options, reader.schema


def json_options(arguments: dict[str, Any]) -> tuple[dict[str, Any], pa.Schema | None]:
    """The same for `pyarrow.json`."""
    from pyarrow import json

    arguments = dict(arguments)
    parse = arguments.pop("parse_options", None)
    read = arguments.pop("read_options", None)
    if arguments:
        raise ValueError(f"read_json() got unknown arguments: {sorted(arguments)}")
    options: dict[str, Any] = {}
    _take_changes(options, read, json.ReadOptions(), ("block_size",))
    _take_changes(options, parse, json.ParseOptions(), ("unexpected_field_behavior",))
    return options, getattr(parse, "explicit_schema", None)


def _take_changes(
    options: dict[str, Any], given: Any, default: Any, names: tuple[str, ...]
) -> None:
    if given is None:
        return
    for name in names:
        value = getattr(given, name)
        if value != getattr(default, name):
            options[name] = value
