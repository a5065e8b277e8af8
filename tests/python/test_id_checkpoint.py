"""`DataContext.checkpoint_config`: rows whose ids are noted are not written again."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace as hr
from headrace.checkpoint import CheckpointBackend, CheckpointConfig, InvalidCheckpointingConfig


@pytest.fixture
def context() -> Iterator[hr.DataContext]:
    """The current context, without a checkpoint after the test."""
    current = hr.DataContext.get_current()
    yield current
    current.checkpoint_config = None


def config(tmp_path: pathlib.Path, **options: Any) -> CheckpointConfig:
    options = {"delete_checkpoint_on_success": False, **options}
    return CheckpointConfig("id", str(tmp_path / "done"), **options)


def noted(tmp_path: pathlib.Path) -> list[int]:
    tables = [pq.read_table(path) for path in (tmp_path / "done").glob("*.parquet")]
    return sorted(pa.concat_tables(tables)["id"].to_pylist()) if tables else []


def ids(path: pathlib.Path) -> list[int]:
    return sorted(row["id"] for row in hr.read_json(str(path)).take_all())


def test_a_write_leaves_out_what_was_written(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    seen = tmp_path / "seen"

    def note(row: dict[str, Any]) -> dict[str, Any]:
        with open(seen, "a") as out:
            out.write(f"{row['id']}\n")
        return row

    context.checkpoint_config = config(tmp_path)
    hr.range(10, override_num_blocks=2).write_json(str(tmp_path / "a"))
    assert noted(tmp_path) == list(range(10))
    both = hr.range(15, override_num_blocks=2).union(hr.range(5)).map(note)
    both.write_json(str(tmp_path / "b"))
    assert ids(tmp_path / "b") == list(range(10, 15))
    # Left out where they are read: the function is called for the others only.
    assert sorted(map(int, seen.read_text().split())) == list(range(10, 15))
    assert noted(tmp_path) == list(range(15))


def test_a_write_that_fails_notes_nothing(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 15:
            raise ValueError("bad row")
        return row

    context.checkpoint_config = config(tmp_path)
    hr.range(10).write_json(str(tmp_path / "a"))
    with pytest.raises(ValueError, match="bad row"):
        hr.range(20).map(fail).write_json(str(tmp_path / "b"))
    assert noted(tmp_path) == list(range(10))
    assert not [path for path in (tmp_path / "done").iterdir() if path.is_dir()]


def test_the_directory_goes_when_all_is_written(
    tmp_path: pathlib.Path, context: hr.DataContext
) -> None:
    context.checkpoint_config = config(tmp_path, delete_checkpoint_on_success=True)
    hr.range(10).write_json(str(tmp_path / "a"))
    assert not (tmp_path / "done").exists()
    assert ids(tmp_path / "a") == list(range(10))


def test_sinks_of_python_take_part(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    class Count(hr.Datasink[int]):
        def write(self, blocks: Any, ctx: Any) -> int:
            return sum(block.num_rows for block in blocks)

        def on_write_complete(self, write_result: Any) -> None:
            (tmp_path / "count").write_text(str(sum(write_result.write_returns)))

    context.checkpoint_config = config(tmp_path)
    hr.range(4).write_json(str(tmp_path / "a"))
    hr.range(10).write_datasink(Count())
    assert (tmp_path / "count").read_text() == "6"


def test_data_in_memory_is_written_whole(
    tmp_path: pathlib.Path, context: hr.DataContext, caplog: Any
) -> None:
    context.checkpoint_config = config(tmp_path)
    hr.from_items([{"id": 1}]).write_json(str(tmp_path / "a"))
    assert ids(tmp_path / "a") == [1]
    assert "its checkpoint_config is not used" in caplog.text


def test_the_id_column_must_be_there(tmp_path: pathlib.Path, context: hr.DataContext) -> None:
    context.checkpoint_config = config(tmp_path)
    with pytest.raises(ValueError, match="no ID column 'id'"):
        hr.range(3).rename_columns({"id": "x"}).write_json(str(tmp_path / "a"))


def test_configurations(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = CheckpointConfig.DEFAULT_CHECKPOINT_PATH_BUCKET_ENV_VAR
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidCheckpointingConfig, match="non-empty string"):
        CheckpointConfig(checkpoint_path=str(tmp_path))
    with pytest.raises(InvalidCheckpointingConfig, match="env var is not set"):
        CheckpointConfig("id")
    monkeypatch.setenv(variable, str(tmp_path))
    made = CheckpointConfig("id")
    assert made.checkpoint_path == f"{tmp_path}/ray_data_checkpoint"
    assert made.backend is CheckpointBackend.FILE_STORAGE
