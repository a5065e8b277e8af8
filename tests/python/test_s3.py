"""Files in an object store: the same readers and writers over an S3 server of this process."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

import headrace

moto_server = pytest.importorskip("moto.server")

BUCKET = "bucket"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Gives host:port of an S3 server that keeps its objects in memory."""
    running = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str) -> pyarrow.fs.FileSystem:
    """Gives a file system with an empty bucket."""
    made = pyarrow.fs.S3FileSystem(
        access_key="key",
        secret_key="secret",
        endpoint_override=server,
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )
    made.create_dir(BUCKET)
    made.delete_dir_contents(BUCKET)
    return made


def files(s3: pyarrow.fs.FileSystem, folder: str) -> list[str]:
    """Returns the names of the files in a folder, sorted."""
    found = s3.get_file_info(pyarrow.fs.FileSelector(f"{BUCKET}/{folder}", recursive=True))
    return sorted(info.base_name for info in found if info.type == pyarrow.fs.FileType.File)


def ids(dataset: Any) -> list[int]:
    return sorted(row["id"] for row in dataset.take_all())


@pytest.mark.parametrize("kind", ["parquet", "csv", "json"])
def test_what_is_written_is_read_back(s3: Any, kind: str) -> None:
    ds = headrace.range(1000, override_num_blocks=4).map_batches(
        lambda batch: {"id": batch["id"], "half": batch["id"] / 2}
    )
    getattr(ds, f"write_{kind}")(f"{BUCKET}/out", filesystem=s3)
    assert len(files(s3, "out")) == 4
    back = getattr(headrace, f"read_{kind}")(f"{BUCKET}/out", filesystem=s3)
    assert ids(back) == list(range(1000))
    assert back.sum("half") == sum(range(1000)) / 2


def test_an_address_says_it_all(s3: Any, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    where = f"endpoint_override={server.replace(':', '%3A')}&scheme=http&region=us-east-1"
    headrace.range(10).write_parquet(f"s3://{BUCKET}/by-address?{where}")
    assert ids(headrace.read_parquet(f"s3://{BUCKET}/by-address?{where}")) == list(range(10))
    assert files(s3, "by-address") != []


def test_filters_and_columns_reach_the_files(s3: Any) -> None:
    table = pa.table({"id": np.arange(100), "text": [str(i) for i in range(100)]})
    pq.write_table(table, f"{BUCKET}/one.parquet", filesystem=s3, row_group_size=10)
    ds = headrace.read_parquet(f"{BUCKET}/one.parquet", filesystem=s3, columns=["id"])
    assert ids(ds.filter(expr="id >= 95")) == [95, 96, 97, 98, 99]
    assert ds.count() == 100
    with_paths = headrace.read_parquet(f"{BUCKET}/", filesystem=s3, include_paths=True)
    assert with_paths.take(1)[0]["path"].endswith("bucket/one.parquet")


def test_whole_files_and_python_readers(s3: Any) -> None:
    for name, content in {"a.txt": b"one\ntwo", "b.txt": b"three"}.items():
        with s3.open_output_stream(f"{BUCKET}/texts/{name}") as out:
            out.write(content)
    with s3.open_output_stream(f"{BUCKET}/arrays/x.npy") as out:
        sink = pa.BufferOutputStream()
        np.save(sink, np.arange(6).reshape(3, 2))
        out.write(sink.getvalue())
    texts = headrace.read_text(f"{BUCKET}/texts", filesystem=s3)
    assert sorted(row["text"] for row in texts.take_all()) == ["one", "three", "two"]
    blobs = headrace.read_binary_files(f"{BUCKET}/texts", filesystem=s3, include_paths=True)
    assert {pathlib.PurePath(row["path"]).name: row["bytes"] for row in blobs.take_all()} == {
        "a.txt": b"one\ntwo",
        "b.txt": b"three",
    }
    assert headrace.read_numpy(f"{BUCKET}/arrays", filesystem=s3).count() == 3


def test_modes_of_a_write(s3: Any) -> None:
    def write(n: int, **options: Any) -> None:
        headrace.range(n).write_parquet(f"{BUCKET}/m", filesystem=s3, **options)

    def read() -> list[int]:
        return ids(headrace.read_parquet(f"{BUCKET}/m", filesystem=s3))

    write(3)
    write(2, mode="append")
    assert read() == [0, 0, 1, 1, 2]
    write(4, mode="overwrite")
    assert read() == [0, 1, 2, 3]
    write(9, mode="ignore")
    assert read() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="exist"):
        write(9, mode="error")


def test_a_failed_write_leaves_no_object(s3: Any) -> None:
    def fails_late(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 99:
            raise ValueError("the last row")
        return row

    ds = headrace.range(100, override_num_blocks=10).map(fails_late)
    with pytest.raises(ValueError, match="the last row"):
        ds.write_parquet(f"{BUCKET}/failed", filesystem=s3)
    assert files(s3, "failed") == []


def test_errors_name_the_object(s3: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.parquet"):
        headrace.read_parquet(f"{BUCKET}/missing.parquet", filesystem=s3).count()
    with s3.open_output_stream(f"{BUCKET}/bad.parquet") as out:
        out.write(b"not a Parquet file at all")
    with pytest.raises(Exception, match=r"bad\.parquet"):
        headrace.read_parquet(f"{BUCKET}/bad.parquet", filesystem=s3).take_all()
    with pytest.raises(Exception, match=r"(?i)no such bucket|nowhere|bucket"):
        headrace.read_text("nowhere/x.txt", filesystem=s3).take_all()
