"""What goes wrong in users' programs: each error says what failed and where, and leaves nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from leftovers import told

import headrace
from headrace import _core
from headrace.block import BlockMetadata
from headrace.datasource import Datasink, Datasource, ReadTask
from headrace.exceptions import UserCodeException
from headrace.expressions import col

pytestmark = pytest.mark.usefixtures("nothing_left")

Row = dict[str, Any]


@pytest.fixture
def numbers(tmp_path: Path) -> str:
    """A directory with one Parquet file of 30 rows: id = 0 to 29, text of 5,000 characters."""
    folder = tmp_path / "numbers"
    folder.mkdir()
    table = pa.table({"id": list(range(30)), "text": [f"{i:05000}" for i in range(30)]})
    pq.write_table(table, folder / "a.parquet", row_group_size=10)
    return str(folder)


# ---- Files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read", ["parquet", "csv", "json", "text", "binary_files", "numpy", "images"]
)
def test_missing_paths_and_empty_directories(read: str, tmp_path: Path) -> None:
    reader = getattr(headrace, f"read_{read}")
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        reader(str(tmp_path / "no-such-file")).take_all()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"No (input )?files found"):
        reader(str(empty)).take_all()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and no footer PAR1" * 9])
def test_a_corrupt_footer_names_the_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read Parquet file .*broken\.parquet"):
        headrace.read_parquet(str(tmp_path)).take_all()


def test_corrupt_data_pages_name_operator_and_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.parquet"
    text = [f"v{i * 7919 % 1000003}" for i in range(50_000)]
    pq.write_table(pa.table({"s": text}), path, compression="snappy", use_dictionary=False)
    content = bytearray(path.read_bytes())
    for at in range(200, len(content) // 2, 97):
        content[at] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(OSError) as caught:
        headrace.read_parquet(str(tmp_path)).materialize()
    assert "operator ReadParquet" in told(caught.value)
    assert "broken.parquet" in told(caught.value)


def test_a_file_that_goes_away_is_named(numbers: str) -> None:
    ds = headrace.read_parquet(numbers)
    os.remove(Path(numbers) / "a.parquet")
    with pytest.raises(FileNotFoundError, match=r"a\.parquet"):
        ds.take_all()


def test_types_that_do_not_merge_name_both_files_and_the_field(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "1.parquet")
    with pytest.raises(TypeError, match=r"0\.parquet.*1\.parquet.*Field a.*int64 vs string"):
        headrace.read_parquet(str(tmp_path)).take_all()


def test_columns_of_some_files_are_null_in_the_others_and_numbers_widen(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"b": ["x"], "a": [1.5]}), tmp_path / "1.parquet")
    rows = headrace.read_parquet(str(tmp_path)).take_all()
    assert rows == [{"a": 1.0, "b": None}, {"a": 1.5, "b": "x"}]


@pytest.mark.parametrize(
    ("read", "name", "content", "words"),
    [
        ("csv", "a.csv", "a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("json", "a.json", '{"a": 1}\n{"a": \n', "JSON parse error"),
    ],
)
def test_text_that_does_not_parse(
    read: str, name: str, content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words) as caught:
        getattr(headrace, f"read_{read}")(str(tmp_path)).take_all()
    assert name in told(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: 1 // col("id"), r"divide by zero \(column 'x' = .*1 / id.*\)"),
        (lambda: col("text").cast(pa.int64()), r"'a' as a scalar of type int64 \(column 'x' = "),
        (lambda: col("text") - 1, r"\(column 'x' = text - 1\)"),
    ],
    ids=["value", "cast", "type"],
)
def test_an_expression_that_fails_is_named(make: Callable[[], Any], words: str) -> None:
    ds = headrace.from_items([{"id": 0, "text": "a"}])
    with pytest.raises((ValueError, NotImplementedError, TypeError), match=words) as caught:
        ds.with_column("x", make()).take_all()
    assert "operator Project, row 0" in told(caught.value)


# ---- Misspelt columns -----------------------------------------------------------------------

MISSPELT: dict[str, Callable[[headrace.Dataset], object]] = {
    "select_columns": lambda ds: ds.select_columns(["idd"]).take_all(),
    "drop_columns": lambda ds: ds.drop_columns(["idd"]).take_all(),
    "rename_columns": lambda ds: ds.rename_columns({"idd": "x"}).take_all(),
    "with_column": lambda ds: ds.with_column("x", col("idd") + 1).take_all(),
    "filter expression": lambda ds: ds.filter(expr=col("idd") > 1).take_all(),
    "filter text": lambda ds: ds.filter(expr="idd > 1").take_all(),
    "map_batches": lambda ds: ds.map_batches(lambda batch: {"x": batch["idd"]}).take_all(),
    "map": lambda ds: ds.map(lambda row: {"x": row["idd"]}).take_all(),
    "flat_map": lambda ds: ds.flat_map(lambda row: [{"x": row["idd"]}]).take_all(),
    "filter function": lambda ds: ds.filter(lambda row: row["idd"] > 1).take_all(),
    "add_column": lambda ds: ds.add_column("x", lambda frame: frame["idd"]).take_all(),
    "sum": lambda ds: ds.sum("idd"),
    "min": lambda ds: ds.min("idd"),
    "max": lambda ds: ds.max("idd"),
    "mean": lambda ds: ds.mean("idd"),
    "std": lambda ds: ds.std("idd"),
}


@pytest.mark.parametrize("known", [True, False], ids=["schema known", "schema unknown"])
@pytest.mark.parametrize("verb", MISSPELT)
def test_a_misspelt_column_is_named(verb: str, known: bool, numbers: str) -> None:
    ds = headrace.read_parquet(numbers, columns=["id"])
    if not known:
        ds = ds.map_batches(lambda batch: batch)
    with pytest.raises((KeyError, ValueError), match="'idd'") as caught:
        MISSPELT[verb](ds)
    assert "'id'" in told(caught.value), "what there is, or the row"


def test_misspelt_columns_of_a_read_come_with_a_guess(numbers: str) -> None:
    with pytest.raises(KeyError, match=r"idd.*Did you mean 'id'"):
        headrace.read_parquet(numbers, columns=["text", "idd"]).take_all()


# ---- Functions that raise -------------------------------------------------------------------


def raise_at_17(row: Row) -> Row:
    if row["id"] == 17:
        raise LookupError("seventeen")
    return row


def raise_in_batch(batch: Row) -> Row:
    if 17 in batch["id"]:
        raise LookupError("seventeen")
    return batch


def raise_late(batch: Row) -> Iterator[Row]:
    yield {"id": batch["id"]}
    yield raise_in_batch(batch)


async def raise_async(batch: Row) -> Row:
    return raise_in_batch(batch)


class RaiseInCall:
    def __call__(self, batch: Row) -> Row:
        return raise_in_batch(batch)


class RaiseInRow:
    def __call__(self, row: Row) -> Row:
        return raise_at_17(row)


RAISING: dict[str, tuple[str, Callable[[headrace.Dataset], headrace.Dataset]]] = {
    "map": ("Map(raise_at_17)", lambda ds: ds.map(raise_at_17)),
    "flat_map": ("FlatMap", lambda ds: ds.flat_map(lambda row: [raise_at_17(row)] * 2)),
    "filter": ("Filter", lambda ds: ds.filter(lambda row: bool(raise_at_17(row)))),
    "map_batches": (
        "MapBatches(raise_in_batch)",
        lambda ds: ds.map_batches(raise_in_batch, batch_size=4),
    ),
    "generator": ("MapBatches(raise_late)", lambda ds: ds.map_batches(raise_late, batch_size=4)),
    "async": ("MapBatches(raise_async)", lambda ds: ds.map_batches(raise_async, batch_size=4)),
    "actor": (
        "MapBatches(RaiseInCall)",
        lambda ds: ds.map_batches(RaiseInCall, batch_size=4, concurrency=1),
    ),
    "actor by row": ("Map(RaiseInRow)", lambda ds: ds.map(RaiseInRow, concurrency=1)),
}


@pytest.mark.parametrize("verb", RAISING)
def test_a_raising_function_is_shown_first_and_its_data_last(verb: str, numbers: str) -> None:
    operator, apply = RAISING[verb]
    with pytest.raises(LookupError, match="seventeen") as caught:
        apply(headrace.read_parquet(numbers)).take_all()
    assert isinstance(caught.value, UserCodeException)
    text = told(caught.value)
    own, _, after = text.partition("direct cause")
    assert own.startswith("Traceback")
    assert 'raise LookupError("seventeen")' in own
    assert f'File "{__file__}"' in own
    assert "headrace/_internal" not in own
    assert "operator ReadParquet" in after
    assert operator in after
    assert "a.parquet, rows " in after
    by_row = operator.startswith(("Map(", "FlatMap", "Filter"))
    assert ("row: {'id': 17, " if by_row else "the first: {'id': 16, ") in after
    assert "..." in after
    assert "0" * 300 not in after, "a value of 5,000 characters"


def test_the_range_of_rows_is_that_of_the_batch(numbers: str) -> None:
    with pytest.raises(LookupError) as caught:
        headrace.read_parquet(numbers).map_batches(raise_in_batch, batch_size=4).take_all()
    assert "a.parquet, rows 16–19" in told(caught.value)


@pytest.mark.parametrize("consume", ["count", "materialize", "schema", "to_pandas", "show", "sum"])
def test_every_consumer_raises_what_the_function_raised(consume: str) -> None:
    def fail(batch: Row) -> Row:
        raise ZeroDivisionError

    ds = headrace.range(30).map_batches(fail)
    with pytest.raises(ZeroDivisionError):
        getattr(ds, consume)(*(["id"] if consume == "sum" else []))


@pytest.mark.parametrize("how", ["parquet", "csv", "json", "numpy"])
def test_a_write_whose_function_fails_leaves_no_file(how: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ds = headrace.range(30, override_num_blocks=6).map(raise_at_17)
    with pytest.raises(LookupError):
        getattr(ds, f"write_{how}")(str(out), **({"column": "id"} if how == "numpy" else {}))
    assert [path for path in out.rglob("*") if path.is_file()] == []


class TwoArguments(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")


class WithLock(ValueError):
    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.lock = threading.Lock()


class Plain(Exception):
    def __init__(self) -> None:
        super().__init__("plain words")
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("make", "types", "words"),
    [
        (lambda: TwoArguments(7, "seven"), (UserCodeException,), "7: seven"),
        (lambda: WithLock("held"), (UserCodeException, ValueError), "WithLock: held"),
        (lambda: Plain(), (UserCodeException,), "(?m)^Plain: plain words$"),
        (lambda: Exception("bare"), (UserCodeException,), "(?m)^bare$"),
        (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), (UnicodeDecodeError,), "bad"),
    ],
    ids=["two arguments", "a lock", "a lock, no type near", "Exception", "UnicodeDecodeError"],
)
def test_exceptions_that_do_not_pickle(make: Any, types: tuple[type, ...], words: str) -> None:
    def fail(row: Row) -> Row:
        raise make()

    with pytest.raises(types, match=words) as caught:
        headrace.range(3).map(fail).take_all()
    assert all(isinstance(caught.value, kind) for kind in types)
    assert "raise make()" in told(caught.value)
    assert "operator ReadRange->Map(fail)" in told(caught.value)


def test_sys_exit_in_a_function_does_not_end_the_program() -> None:
    def leave(row: Row) -> Row:
        sys.exit(0)

    with pytest.raises(UserCodeException, match=r"sys\.exit\(0\)") as caught:
        headrace.range(3).map(leave).take_all()
    assert "Map(leave)" in told(caught.value)


def test_failing_tasks_are_passed_over_when_asked(settings: Any) -> None:
    def run(allowed: int, bad: set[int]) -> int:
        def fail(batch: Row) -> Row:
            if bad & set(batch["id"].tolist()):
                raise ValueError("bad block")
            return batch

        settings.max_errored_blocks = allowed
        return headrace.range(100, override_num_blocks=10).map_batches(fail).count()

    assert run(1, {17}) == 90
    assert run(-1, {17, 55, 99}) == 70
    with pytest.raises(ValueError, match="bad block"):
        run(0, {17})
    with pytest.raises(ValueError, match="bad block"):
        run(1, {17, 55})


class BadSource(Datasource):
    def __init__(self, at: str) -> None:
        self.at = at

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ReadTask]:
        if self.at == "plan":
            raise LookupError("bad source")

        def read() -> Iterator[pa.Table]:
            yield pa.table({"a": [1]})
            raise LookupError("bad source")

        metadata = BlockMetadata(num_rows=1, size_bytes=8, input_files=["f1"], exec_stats=None)
        return [ReadTask(read, metadata)]


@pytest.mark.parametrize("at", ["plan", "read"])
def test_a_source_of_the_user_that_raises(at: str) -> None:
    with pytest.raises(LookupError, match="bad source") as caught:
        headrace.read_datasource(BadSource(at)).take_all()
    assert ("operator ReadBadSource, file f1" in told(caught.value)) == (at == "read")


class BadSink(Datasink):
    def __init__(self, at: str) -> None:
        self.at = at
        self.heard: list[Exception] = []

    def on_write_start(self, *args: Any, **kwargs: Any) -> None:
        self._perhaps("start")

    def write(self, blocks: Any, ctx: Any) -> None:
        self._perhaps("write")

    def on_write_complete(self, write_result: Any) -> None:
        self._perhaps("complete")

    def on_write_failed(self, error: Exception) -> None:
        self.heard.append(error)

    def _perhaps(self, at: str) -> None:
        if self.at == at:
            raise LookupError("bad sink")


@pytest.mark.parametrize("at", ["start", "write", "complete"])
def test_a_sink_of_the_user_that_raises(at: str) -> None:
    sink = BadSink(at)
    with pytest.raises(LookupError, match="bad sink") as caught:
        headrace.range(30).write_datasink(sink)
    assert len(sink.heard) == (at == "write")
    assert ("operator ReadRange->Write\n" in told(caught.value)) == (at == "write")


def test_inline_failures_tell_the_same_without_advice(settings: Any) -> None:
    settings.inline_mode = True
    with pytest.raises(LookupError) as caught:
        headrace.range(30, override_num_blocks=3).map(raise_at_17).take_all()
    text = told(caught.value)
    assert text.index('raise LookupError("seventeen")') < text.index("direct cause")
    assert "operator ReadRange->Map(raise_at_17), rows 10–19\nrow: {'id': 17}" in text
    assert "to reproduce" not in text


# ---- Wrong results --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (3, "type <class 'int'>"),
        (None, "type <class 'NoneType'>"),
        ([1, 2], "a list of objects is not allowed"),
        ({"a": 3}, "key 'a' is of type <class 'int'>"),
        ({"a": [1, 2], "b": [1]}, r"same length.*\{'a': 2, 'b': 1\}"),
        ({"a": np.arange(3), "b": np.arange(4)}, r"same length.*\{'a': 3, 'b': 4\}"),
    ],
    ids=["int", "None", "list", "scalar column", "ragged lists", "ragged arrays"],
)
@pytest.mark.parametrize("is_actor", [False, True])
def test_batches_of_the_wrong_kind(is_actor: bool, result: Any, words: str) -> None:
    class Give:
        def __call__(self, batch: Row) -> Any:
            return result

    ds = headrace.range(30)
    mapped = ds.map_batches(Give, concurrency=1) if is_actor else ds.map_batches(lambda b: result)
    with pytest.raises(ValueError, match=words) as caught:
        mapped.take_all()
    assert f"MapBatches({'Give' if is_actor else '<lambda>'})" in told(caught.value)


@pytest.mark.parametrize("result", [3, None, "text", [1]])
def test_rows_of_the_wrong_kind_name_the_row(result: Any) -> None:
    ds = headrace.range(30, override_num_blocks=1)
    with pytest.raises(ValueError, match=r"Wrap them in a dict") as caught:
        ds.map(lambda row: result if row["id"] == 17 else row).take_all()
    assert "operator ReadRange->Map(<lambda>)" in told(caught.value)
    assert "row: {'id': 17}" in told(caught.value)


def test_flat_map_wants_rows() -> None:
    with pytest.raises(TypeError, match="not iterable") as caught:
        headrace.range(30).flat_map(lambda row: row["id"]).take_all()
    assert "row: {'id': " in told(caught.value)
    with pytest.raises(ValueError, match="Wrap them in a dict"):
        headrace.range(30).flat_map(lambda row: [row["id"]]).take_all()


# ---- Before the start -----------------------------------------------------------------------


def test_functions_that_do_not_pickle_name_function_and_variable() -> None:
    lock = threading.Lock()
    for verb in ("map", "flat_map", "filter", "map_batches"):

        def locked(row: Row) -> Row:
            with lock:
                return row

        with pytest.raises(TypeError, match=r"locked.*variable 'lock' of type lock"):
            getattr(headrace.range(3), verb)(locked)
    with pytest.raises(TypeError, match="lock"):
        headrace.range(3).map(lambda row, key: row, fn_args=[lock])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"num_cpus": 1000}, "cpu=1000"),
        ({"num_gpus": 4, "batch_size": 8}, "gpu=4"),
        ({"memory": 1 << 60}, f"memory={1 << 60}"),
        ({"resources": {"tpu": 1}}, "tpu=1"),
    ],
    ids=lambda value: str(value),
)
@pytest.mark.parametrize("is_actor", [False, True])
def test_more_than_there_is_is_refused_before_the_start(
    is_actor: bool, asked: dict[str, Any], said: str, tmp_path: Path
) -> None:
    flag = tmp_path / "ran"

    class Touch:
        def __call__(self, batch: Row) -> Row:
            flag.touch()
            return batch

    touch = Touch()
    ds = headrace.range(30, override_num_blocks=3).map_batches(lambda b: touch(b))
    after = (
        ds.map_batches(Touch, concurrency=1, **asked)
        if is_actor
        else ds.map_batches(lambda b: touch(b), **asked)
    )
    with pytest.raises(ValueError, match=rf"MapBatches.*asks for .*{said}") as caught:
        after.take_all()
    assert f"there is only cpu={_core.capacity().cpu:g}" in str(caught.value)
    assert not flag.exists()


# ---- Iterators left half way ----------------------------------------------------------------

ITERATORS: dict[str, Callable[[headrace.Dataset], Iterator[Any]]] = {
    "rows": lambda ds: iter(ds.iter_rows()),
    "batches": lambda ds: iter(ds.iter_batches(batch_size=10)),
    "no prefetch": lambda ds: iter(ds.iter_batches(batch_size=10, prefetch_batches=0)),
    "shuffled": lambda ds: iter(ds.iter_batches(batch_size=10, local_shuffle_buffer_size=50)),
    "bundles": lambda ds: iter(ds.iter_internal_ref_bundles()),
}


@pytest.mark.parametrize("kind", ITERATORS)
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_an_iterator_left_half_way(kind: str, taken: int) -> None:
    ds = headrace.range(100_000, override_num_blocks=100)
    iterator = ITERATORS[kind](ds.map_batches(lambda batch: batch))
    for _ in range(taken):
        next(iterator)
    del iterator


def test_two_iterators_left_at_different_places() -> None:
    ds = headrace.range(10_000, override_num_blocks=50).map_batches(lambda batch: batch)
    first, second = iter(ds.iter_rows()), iter(ds.iter_rows())
    taken = [next(first)["id"], *(next(second)["id"] for _ in range(3))]
    del first
    assert sorted([*taken[1:], *(row["id"] for row in second)]) == list(range(10_000))


def test_a_consumer_that_raises() -> None:
    def consume() -> None:
        for _ in headrace.range(1000, override_num_blocks=20).map(lambda row: row).iter_rows():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
