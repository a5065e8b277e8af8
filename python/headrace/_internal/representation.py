"""How a dataset prints: its shape, its columns and, if they are in memory, its first rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

ROWS_SHOWN = 10
_CELL_LENGTH = 40


def describe(
    schema: pa.Schema,
    num_rows: int | None,
    rows: list[dict[str, Any]] | None,
    type_names: list[str],
) -> str:
    """Returns the drawing of a dataset with a known schema.

    `rows` only if it is materialized: all, or of more than ROWS_SHOWN the first and last halves.
    """
    shape = f"shape: ({'?' if num_rows is None else num_rows}, {len(schema.names)})"
    columns = len(schema.names)
    header = [[_cell(name) for name in schema.names], ["---"] * columns, [*map(_cell, type_names)]]
    body = []
    note = "(Dataset isn't materialized)"
    if rows is not None:
        body = [[_cell(row.get(name)) for name in schema.names] for row in rows]
        note = f"(Showing {len(body)} of {num_rows} rows)"
        if num_rows is not None and num_rows > len(rows):
            body.insert(ROWS_SHOWN // 2, ["…"] * columns)
    return "\n".join([shape, *_box(header, body), note])


def _cell(value: Any) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= _CELL_LENGTH else text[: _CELL_LENGTH - 1] + "…"


def _box(header: list[list[str]], body: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*header, *body, strict=True)]

    def rule(left: str, fill: str, cross: str, right: str) -> str:
        return left + cross.join(fill * (width + 2) for width in widths) + right

    def line(cells: list[str]) -> str:
        padded = (f" {cell:<{width}} " for cell, width in zip(cells, widths, strict=True))
        return "│" + "┆".join(padded) + "│"

    lines = [rule("╭", "─", "┬", "╮"), *map(line, header)]
    if body:
        lines += [rule("╞", "═", "╪", "╡"), *map(line, body)]
    return [*lines, rule("╰", "─", "┴", "╯")]


def describe_plan(plan: Any, leaf: str) -> str:
    """Returns the tree of operators over `leaf`, for a dataset whose schema is not known."""
    lines: list[str] = []
    depth = 0
    while plan.kind not in ("read", "input_data", "union"):
        lines.append(("   " * (depth - 1) + "+- " if depth else "") + _short_name(plan))
        plan = plan.inputs[0]
        depth += 1
    lines.append(("   " * (depth - 1) + "+- " if depth else "") + leaf)
    return "\n".join(lines)


def _short_name(plan: Any) -> str:
    return "Project" if plan.kind == "project" else plan.name
