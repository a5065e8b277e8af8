"""Calls of functions that fail are made again: on the same data, as often as was asked."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import headrace as hr

Row = dict[str, Any]


def ids(rows: list[Row]) -> list[int]:
    return sorted(row["id"] for row in rows)


class Flaky:
    """Fails at the first calls with each row, and changes what it gets before it does."""

    def __init__(self, folder: pathlib.Path, fails: int, error: type[Exception]) -> None:
        self.folder = folder
        self.fails = fails
        self.error = error

    def check(self, data: Row, first: int) -> None:
        calls = self.folder / f"{first}"
        with calls.open("ab") as file:
            file.write(b".")
        data["id"] = data["id"] + 1000
        if calls.stat().st_size <= self.fails:
            raise self.error("the service is busy, code 503")
        data["id"] = data["id"] - 1000

    def row(self, row: Row) -> Row:
        self.check(row, row["id"])
        return row

    def batch(self, batch: Row) -> Iterator[Row]:
        yield {"id": batch["id"][:1]}
        self.check(batch, int(batch["id"][0]))
        yield {"id": batch["id"][1:]}

    def frame(self, frame: Any) -> Any:
        self.check(frame, int(frame["id"].iloc[0]))
        return frame

    async def async_row(self, row: Row) -> Row:
        return self.row(row)


FLAKY = {
    "map": lambda ds, flaky: ds.map(flaky.row),
    "map, async": lambda ds, flaky: ds.map(flaky.async_row),
    "filter": lambda ds, flaky: ds.filter(lambda row: flaky.row(row) is not None),
    "map_batches": lambda ds, flaky: ds.map_batches(flaky.batch),
    "pandas": lambda ds, flaky: ds.map_batches(flaky.frame, batch_format="pandas"),
}


@pytest.mark.parametrize("call", FLAKY)
@pytest.mark.parametrize("patterns", [True, ["is busy"], ["code 5\\d\\d", "other"]])
def test_calls_are_made_again(
    call: str, patterns: Any, tmp_path: pathlib.Path, settings: Any
) -> None:
    settings.retried_map_errors = patterns
    settings.max_map_retries = 2
    ds = FLAKY[call](hr.range(6, override_num_blocks=2), Flaky(tmp_path, 2, OSError))
    assert ids(ds.take_all()) == list(range(6))
    assert {len(path.read_bytes()) for path in tmp_path.iterdir()} == {3}


def test_calls_get_the_data_as_it_was(tmp_path: pathlib.Path, settings: Any) -> None:
    def twice(change: Any) -> Any:
        calls = tmp_path / f"{len(list(tmp_path.iterdir()))}"

        def call(data: Any) -> Any:
            result = change(data)
            with calls.open("ab") as file:
                file.write(b".")
            if calls.stat().st_size == 1:
                raise OSError("busy")
            return result

        return call

    def row(row: Row) -> Row:
        row["l"].append(9)
        row["s"]["l"].append(9)
        return {"found": [row["l"], row["s"]["l"]]}

    def batch(batch: Row) -> Row:
        batch["o"][0].append(9)
        batch["t"] = batch["t"] + 1
        return {"found": [[*batch["o"][0], batch["t"][0]]]}

    settings.retried_map_errors, settings.max_map_retries = True, 1
    item = {"l": [1], "s": {"l": [1]}}
    found = hr.from_items([item]).map(twice(row)).take_all()
    assert found == [{"found": [[1, 9], [1, 9]]}]
    for batch_format in ("numpy", "pandas"):
        ds = hr.from_items([{"o": collections.deque([1]), "t": 1}])
        found = ds.map_batches(twice(batch), batch_format=batch_format).take_all()
        assert found == [{"found": [1, 9, 2]}], batch_format


def test_patterns_that_are_no_expressions(settings: Any) -> None:
    def busy(row: Row) -> Row:
        raise OSError("all lines *busy*")

    def other(row: Row) -> Row:
        raise LookupError("mine")

    settings.max_map_retries = 1
    settings.retried_map_errors = ["*busy*"]
    for function, error in ((busy, OSError), (other, LookupError)):
        with pytest.raises(error):
            hr.range(2).map(function).take_all()
    settings.retried_map_errors = "busy"
    with pytest.raises(TypeError, match="retried_map_errors"):
        hr.range(2).map(busy)


def test_calls_are_made_again_so_often(tmp_path: pathlib.Path, settings: Any) -> None:
    settings.max_map_retries = 1
    for patterns, calls in ((False, 1), (["something else"], 1), (["busy"], 2)):
        settings.retried_map_errors = patterns
        ds = hr.range(2, override_num_blocks=1)
        folder = tmp_path / f"{patterns}"
        folder.mkdir()
        flaky = Flaky(folder, 9, OSError)
        with pytest.raises(OSError, match="busy"):
            ds.map(flaky.row).take_all()
        assert len((folder / "0").read_bytes()) == calls
    # What fails each time is left out.
    assert ds.map(Flaky(folder, 9, OSError).row, on_error="skip").take_all() == []
    assert len((folder / "1").read_bytes()) == 2


@pytest.mark.parametrize("errors", [True, [KeyError, OSError]])
def test_calls_of_actors_are_made_again(errors: Any, tmp_path: pathlib.Path, settings: Any) -> None:
    class Model:
        def __init__(self) -> None:
            self.flaky = Flaky(tmp_path, 1, ConnectionError)

        def __call__(self, row: Row) -> Row:
            return self.flaky.row(row)

    settings.actor_task_retry_on_errors = errors
    ds = hr.range(6, override_num_blocks=2)
    assert ids(ds.map(Model, concurrency=1).take_all()) == list(range(6))
    settings.actor_task_retry_on_errors = [KeyError]
    (tmp_path / "0").unlink()
    with pytest.raises(ConnectionError):
        hr.range(6, override_num_blocks=2).map(Model, concurrency=1).take_all()
    settings.actor_task_retry_on_errors = ["KeyError"]
    with pytest.raises(TypeError, match="actor_task_retry_on_errors"):
        hr.range(6).map(Model, concurrency=1)
