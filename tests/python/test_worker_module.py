"""The module against its stub, and its behaviour under threads."""

import ast
import pathlib
import threading

import pyarrow as pa
import pytest

import headrace
from headrace import _core

STUB = pathlib.Path(headrace.__file__).parent / "_core.pyi"


def stub_names():
    """Yields (class or None, name) of all that the stub declares."""
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield None, node.name
        elif isinstance(node, ast.AnnAssign):
            yield None, node.target.id
        elif isinstance(node, ast.ClassDef):
            yield None, node.name
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield node.name, member.name
                elif isinstance(member, ast.AnnAssign):
                    yield node.name, member.target.id


@pytest.mark.parametrize(("owner", "name"), sorted(set(stub_names()), key=str), ids=str)
def test_the_module_has_what_its_stub_says(owner, name):
    if name == "__getattr__":
        pytest.skip("stands for many attributes")
    assert hasattr(getattr(_core, owner) if owner else _core, name)


def test_the_stub_says_what_the_module_has():
    declared = {name for owner, name in stub_names() if owner is None}
    assert {name for name in vars(_core) if not name.startswith("__")} <= declared


def test_tables_cross_without_a_copy():
    table = pa.table({"x": list(range(1000)), "s": ["text"] * 1000})
    block = _core.put(table)
    assert block.num_rows == 1000
    back = block.get()
    assert back.equals(table)
    addresses = [
        [buffer.address for buffer in column.chunk(0).buffers() if buffer is not None]
        for column in (table.column(1), back.column(1))
    ]
    assert addresses[0] == addresses[1]


def test_runs_in_several_threads_share_the_engine():
    failures = []

    def consume(offset):
        try:
            ds = headrace.range(500).map_batches(lambda b: {"x": b["id"] + offset})
            for _ in range(3):
                assert sorted(row["x"] for row in ds.take_all()) == [offset + i for i in range(500)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=consume, args=(1000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_expressions_evaluate_without_a_run():
    e = _core.Expr
    total = e.call("add", [e.column("x"), e.literal(pa.scalar(1))])
    assert total.evaluate(pa.table({"x": [1, 2]})).to_pylist() == [2, 3]
    assert total.columns() == ["x"]
    assert total.equals(e.call("add", [e.column("x"), e.literal(pa.scalar(1))]))
    assert not total.equals(e.column("x"))
    assert e.cast(e.column("x"), pa.string()).evaluate(pa.table({"x": [1]})).to_pylist() == ["1"]
    assert e.is_in(e.column("x"), pa.array([2])).evaluate(pa.table({"x": [1, 2]})).to_pylist() == [
        False,
        True,
    ]
    case = e.case([(e.is_in(e.column("x"), pa.array([1])), e.literal(pa.scalar("one")))], None)
    assert case.evaluate(pa.table({"x": [1, 2]})).to_pylist() == ["one", None]
    with pytest.raises(KeyError, match="missing"):
        e.column("missing").evaluate(pa.table({"x": [1]}))


def test_amounts_are_rounded_to_thousandths_and_never_to_nothing():
    amounts = _core.Resources(cpu=0.0001, gpu=0.5, memory=7, custom={"tpu": 2})
    assert (amounts.cpu, amounts.gpu, amounts.memory, amounts.custom) == (
        0.0001,
        0.5,
        7,
        {"tpu": 2},
    )
    assert "cpu=0.001" in repr(amounts)
    options = _core.ExecutionOptions()
    assert options.resource_limits is None
    options.resource_limits = _core.Resources(cpu=float("inf"), gpu=1)
    assert options.resource_limits.gpu == 1
    options.resource_limits = None
    assert options.resource_limits is None


def test_sources_shuffle_by_a_seed(tmp_path):
    for i in range(20):
        (tmp_path / f"{i:02}.txt").write_text(f"{i}\n")
    source = _core.file_source("text", [str(tmp_path)])
    once, again, other = source.shuffled(1), source.shuffled(1), source.shuffled(2)
    assert once.paths == again.paths != other.paths
    assert sorted(once.paths) == source.paths != once.paths
    assert source.num_units == once.num_units == 20
