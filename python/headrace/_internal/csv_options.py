"""The options of `pyarrow.csv` and `pyarrow.json` as options of the engine's readers."""

from __future__ import annotations

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


def to_options(arguments: dict[str, Any]) -> tuple[dict[str, Any], pa.Schema | None]:
    """Returns what differs from pyarrow's defaults, and the types asked for.

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
    types = getattr(convert, "column_types", None)
    return options, pa.schema(list(types.items())) if types else None


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
