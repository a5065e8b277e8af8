"""Text that Parquet files hold as codes of dictionaries reads, filters and groups as text."""

from __future__ import annotations

import pathlib
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import headrace
from headrace.aggregate import Max
from headrace.expressions import Expr, col, lit

_FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_TEXTS = st.sampled_from(
    [None, "", "a", "b", "é", "sixteen bytes ok", "seventeen letters", "A" * 5000]
)


@st.composite
def _files(draw: st.DrawFn, text: pa.DataType | None = None) -> list[tuple[pa.Table, dict]]:
    """Tables of columns s, t (text) and i (int64, row numbers), and how each is written."""
    files = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(0, 24))
        repeat = draw(st.sampled_from([1, 1, 7]))
        columns = [draw(st.lists(_TEXTS, min_size=rows, max_size=rows)) * repeat for _ in "st"]
        kind = text or draw(
            st.sampled_from([pa.string(), pa.string(), pa.binary(), pa.large_string()])
        )
        text = kind
        if pa.types.is_binary(kind):
            columns = [[v if v is None else v.encode() for v in column] for column in columns]
        table = pa.table(
            {
                "s": pa.array(columns[0], kind),
                "t": pa.array(columns[1], kind),
                "i": pa.array(range(rows * repeat), pa.int64()),
            }
        )
        options = {
            # Each group of rows is a task of its own, each time that the files are read.
            "row_group_size": max(1, -(-rows * repeat // draw(st.integers(1, 6)))),
            "use_dictionary": draw(st.sampled_from([True, True, ["s"], False])),
            # Small ones make the writer give up on the dictionary within a column chunk.
            "dictionary_pagesize_limit": draw(st.sampled_from([2**20, 2**20, 40])),
            "write_batch_size": draw(st.sampled_from([1024, 3])),
            "store_schema": draw(st.booleans()) or not pa.types.is_string(kind),
        }
        files.append((table, options))
    return files


def _read(files: list[tuple[pa.Table, dict]], use: Callable[[headrace.Dataset, pa.Table], None]):
    with tempfile.TemporaryDirectory() as folder:
        for part, (table, options) in enumerate(files):
            pq.write_table(table, pathlib.Path(folder) / f"{part}.parquet", **options)
        use(headrace.read_parquet(folder), pa.concat_tables(table for table, _ in files))


def _table(ds: headrace.Dataset, schema: pa.Schema) -> pa.Table:
    tables = list(ds.iter_batches(batch_size=None, batch_format="pyarrow"))
    for table in tables:
        if table.num_rows:
            assert table.schema.remove_metadata().types == schema.types
            table.validate(full=True)
    return pa.concat_tables([schema.empty_table(), *tables])


def _sorted(table: pa.Table) -> list[Any]:
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


@_FEW
@given(files=_files())
def test_text_reads_as_text(files: Any) -> None:
    def use(ds: headrace.Dataset, whole: pa.Table) -> None:
        assert ds.schema().base_schema.remove_metadata() == whole.schema
        assert _sorted(_table(ds, whole.schema)) == _sorted(whole)
        narrow = whole.select(["t"])
        assert _sorted(_table(ds.select_columns(["t"]), narrow.schema)) == _sorted(narrow)

    _read(files, use)


_PREDICATES: list[tuple[Expr, Callable[[Any, Any, int], Any]]] = [
    (col("s") == "a", lambda s, t, i: s is not None and s == "a"),
    (col("s") != "a", lambda s, t, i: s is not None and s != "a"),
    (col("s").is_null(), lambda s, t, i: s is None),
    (col("s").is_not_null() & (col("i") > 3), lambda s, t, i: s is not None and i > 3),
    (col("s").is_in(["", "é", "nowhere"]), lambda s, t, i: s in ("", "é", "nowhere")),
    (col("s").str.contains("teen"), lambda s, t, i: s is not None and "teen" in s),
    (col("s").str.upper() == "A", lambda s, t, i: s is not None and s.upper() == "A"),
    (col("s") == col("t"), lambda s, t, i: None not in (s, t) and s == t),
    (
        (col("s") == "b") | (col("t") < "b"),
        lambda s, t, i: (s is not None and s == "b") or (t is not None and t < "b"),
    ),
    (col("s").str.len() + col("i") > 9, lambda s, t, i: s is not None and len(s) + i > 9),
    (lit("a") < col("s"), lambda s, t, i: s is not None and s > "a"),
    (~(col("s") != "b"), lambda s, t, i: s is not None and s == "b"),
    ((col("s") == "") & col("s").is_not_null(), lambda s, t, i: s == ""),
    ((col("s") == "a") | (col("i") > 1), lambda s, t, i: i > 1 or s == "a"),
    (col("s").str.starts_with("A"), lambda s, t, i: s is not None and s.startswith("A")),
    (lit("a") < lit("b"), lambda s, t, i: True),
]


@_FEW
@given(files=_files(pa.string()), which=st.integers(0, len(_PREDICATES) - 1), narrow=st.booleans())
def test_filters_judge_the_text(files: Any, which: int, narrow: bool) -> None:
    expr, holds = _PREDICATES[which]

    def use(ds: headrace.Dataset, whole: pa.Table) -> None:
        mask = [bool(holds(**row)) for row in whole.to_pylist()]
        wanted = whole.filter(pa.array(mask, pa.bool_()))
        got = ds.filter(expr=expr)
        if narrow:
            got, wanted = got.select_columns(["t", "i"]), wanted.select(["t", "i"])
        assert _sorted(_table(got, wanted.schema)) == _sorted(wanted)
        longer = got.with_column("more", col("t").str.upper())
        assert [row["more"] for row in longer.take_all()] == [
            None if row["t"] is None else row["t"].upper() for row in got.take_all()
        ]

    _read(files, use)


@_FEW
@given(
    files=_files(),
    keys=st.sampled_from([["s"], ["t", "s"], ["s", "i"], ["i", "t"]]),
    least=st.sampled_from([None, 4]),
)
def test_groups_are_those_of_the_text(files: Any, keys: list[str], least: int | None) -> None:
    def use(ds: headrace.Dataset, whole: pa.Table) -> None:
        if least is not None:
            ds, whole = ds.filter(expr=col("i") >= least), whole.filter(pc.field("i") >= least)
        count: Counter[Any] = Counter()
        for row in whole.to_pylist():
            count[tuple(row[key] for key in keys)] += 1
        got = ds.groupby(keys).count()
        rows = got.take_all()
        assert {tuple(row[key] for key in keys): row["count()"] for row in rows} == dict(count)
        assert len(rows) == len(count)
        if rows:
            types = got.schema().base_schema
            assert [types.field(key).type for key in keys] == [
                whole.schema.field(key).type for key in keys
            ]

    _read(files, use)


def test_dictionaries_of_the_user_stay(tmp_path: pathlib.Path) -> None:
    table = pa.table({"d": pa.array(["x", None, "y", "x"]).dictionary_encode(), "s": ["q"] * 4})
    pq.write_table(table, tmp_path / "one.parquet")
    ds = headrace.read_parquet(str(tmp_path))
    assert ds.schema().base_schema.remove_metadata().types == table.schema.types
    kept = ds.filter(expr=col("s") == "q")
    assert _table(kept, table.schema).to_pylist() == table.to_pylist()
    counts = ds.groupby("d").count()
    assert counts.schema().base_schema.field("d").type == table.schema.field("d").type
    assert {row["d"]: row["count()"] for row in counts.take_all()} == {"x": 2, "y": 1, None: 1}


def test_a_key_that_is_also_an_argument(tmp_path: pathlib.Path) -> None:
    table = pa.table({"s": ["b", "a", None, "b"], "t": ["x", "y", "z", None]})
    pq.write_table(table, tmp_path / "one.parquet", row_group_size=2)
    ds = headrace.read_parquet(str(tmp_path))
    rows = ds.groupby("s").aggregate(Max("s", alias_name="m"), Max("t", alias_name="u")).take_all()
    assert {row["s"]: (row["m"], row["u"]) for row in rows} == {
        "a": ("a", "y"),
        "b": ("b", "x"),
        None: (None, "z"),
    }


def test_a_value_that_no_row_has_raises_nothing(tmp_path: pathlib.Path) -> None:
    numbers = pa.array(["1", "2", "x"] + ["1"] * 20)
    pq.write_table(pa.table({"s": numbers, "i": range(23)}), tmp_path / "one.parquet")
    ds = headrace.read_parquet(str(tmp_path)).filter(expr=col("i") > 2)
    assert ds.filter(expr=col("s").cast(pa.int64()) == 1).count() == 20


def test_a_value_that_only_the_dictionary_has_raises_nothing(tmp_path: pathlib.Path) -> None:
    """A writer may keep values that no row has."""
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1] * 4), ["1", "2", "three"])
    pq.write_table(pa.table({"s": words}), tmp_path / "one.parquet", store_schema=False)
    ds = headrace.read_parquet(str(tmp_path))
    number = col("s").cast(pa.int64())
    assert ds.with_column("i", number).filter(expr=col("i") == 2).count() == 8
    assert ds.filter(expr=number == 2).count() == 8
