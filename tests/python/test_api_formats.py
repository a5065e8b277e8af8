"""Databases and formats that Python libraries read and write."""

from __future__ import annotations

import io
import pickle
import sqlite3
import sys
import tarfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import headrace
from headrace._internal import tfrecords
from headrace._internal.webdataset import decode, encode

# ---- ORC ------------------------------------------------------------------------------------


def test_orc_there_and_back(tmp_path: Path) -> None:
    from pyarrow import orc

    rows = [{"a": i, "s": None if i % 3 == 0 else str(i)} for i in range(10)]
    headrace.from_items(rows, override_num_blocks=2).write_orc(
        str(tmp_path), compression="zstd", arrow_orc_args_fn=lambda: {"stripe_size": 1 << 20}
    )
    paths = sorted(tmp_path.iterdir())
    assert [path.suffix for path in paths] == [".orc", ".orc"]
    assert orc.ORCFile(paths[0]).compression == "ZSTD"
    (tmp_path / "other.txt").write_text("no ORC")
    ds = headrace.read_orc(str(tmp_path), include_paths=True)
    got = sorted(ds.take_all(), key=lambda row: row["a"])
    assert [{"a": row["a"], "s": row["s"]} for row in got] == rows
    assert {row["path"] for row in got} == {str(path) for path in paths}
    whole = headrace.from_items(rows, override_num_blocks=1)
    assert headrace.read_orc(str(tmp_path)).schema() == whole.schema()


def test_what_is_no_orc_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.orc").write_text("no ORC")
    with pytest.raises((OSError, ValueError)):
        headrace.read_orc(str(tmp_path)).take_all()
    with pytest.raises(TypeError, match="nonsense"):
        headrace.range(3).write_orc(str(tmp_path / "out"), nonsense=1)
    with pytest.raises(FileNotFoundError):
        headrace.read_orc(str(tmp_path / "missing"))


# ---- SQL ------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Callable[[], sqlite3.Connection]:
    path = tmp_path / "movies.db"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path)

    with connect() as connection:
        connection.execute("CREATE TABLE m(t, y, s)")
        rows = [("a", 1, 1.5), ("b", 2, None), ("c", 3, 2.5)]
        connection.executemany("INSERT INTO m VALUES(?, ?, ?)", rows)
    return connect


def test_queries_and_their_parameters(database: Any) -> None:
    everything = headrace.read_sql("SELECT * FROM m", database)
    assert everything.take_all() == [
        {"t": "a", "y": 1, "s": 1.5},
        {"t": "b", "y": 2, "s": None},
        {"t": "c", "y": 3, "s": 2.5},
    ]
    later = headrace.read_sql("SELECT y FROM m WHERE y >= ?", database, sql_params=(2,))
    assert later.take_all() == [{"y": 2}, {"y": 3}]
    last = headrace.read_sql("SELECT y FROM m WHERE y = :y", database, sql_params={"y": 3})
    assert last.take_all() == [{"y": 3}]
    nothing = headrace.read_sql("SELECT * FROM m WHERE y > 9", database)
    assert nothing.take_all() == []
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        headrace.read_sql("SELECT * FROM q", database).take_all()


def test_shards_read_each_row_once(database: Any) -> None:
    with pytest.raises(ValueError, match="shard_keys"):
        headrace.read_sql("SELECT * FROM m", database, override_num_blocks=2)
    ds = headrace.read_sql(
        "SELECT * FROM m",
        database,
        shard_keys=["y"],
        shard_hash_fn="unicode",
        override_num_blocks=2,
    ).materialize()
    assert sorted(row["y"] for row in ds.take_all()) == [1, 2, 3]
    assert ds.num_blocks() == 2
    # SQLite has no MD5: one task reads all.
    whole = headrace.read_sql("SELECT * FROM m", database, shard_keys=["y"], override_num_blocks=2)
    assert whole.materialize().num_blocks() == 1


def test_rows_are_inserted_in_their_transaction(database: Any) -> None:
    headrace.range(3000).write_sql("INSERT INTO m VALUES('x', ?, NULL)", database)
    assert database().execute("SELECT COUNT(*), SUM(y) FROM m WHERE t = 'x'").fetchone() == (
        3000,
        sum(range(3000)),
    )
    with database() as connection:
        connection.execute("CREATE TABLE few(n CHECK(n < 2000))")
    with pytest.raises(sqlite3.IntegrityError):
        headrace.range(3000, override_num_blocks=1).write_sql("INSERT INTO few VALUES(?)", database)
    assert database().execute("SELECT COUNT(*) FROM few").fetchone() == (0,)


def test_what_is_no_connection() -> None:
    with pytest.raises(TypeError, match="has no close"):
        headrace.read_sql("SELECT 1", lambda: 5).take_all()


# ---- TFRecord -------------------------------------------------------------------------------


def _reference_example() -> bytes:
    """{"i": [1, -1], "f": [0.5], "b": [b"x"]}, field by field."""
    ints = b"\x0a\x0b" + b"\x01" + b"\xff" * 9 + b"\x01"  # Packed varints.
    floats = b"\x0a\x04\x00\x00\x00\x3f"
    texts = b"\x0a\x01x"
    entries = b""
    for name, field, data in ((b"i", 3, ints), (b"f", 2, floats), (b"b", 1, texts)):
        feature = bytes([field << 3 | 2, len(data)]) + data
        entry = b"\x0a\x01" + name + b"\x12" + bytes([len(feature)]) + feature
        entries += b"\x0a" + bytes([len(entry)]) + entry
    return b"\x0a" + bytes([len(entries)]) + entries


def test_examples_have_the_form_of_protocol_buffers() -> None:
    kinds = {"i": 3, "f": 2, "b": 1}
    row = {"i": [1, -1], "f": 0.5, "b": b"x"}
    assert tfrecords.make_example(row, kinds) == _reference_example()
    assert tfrecords.parse_example(_reference_example()) == {
        "i": (3, [1, -1]),
        "f": (2, [0.5]),
        "b": (1, [b"x"]),
    }
    unpacked = b"\x0a\x0b\x0a\x09\x0a\x01i\x12\x04\x1a\x02\x08\x07"
    assert tfrecords.parse_example(unpacked) == {"i": (3, [7])}


def test_checksums_are_those_of_the_standard() -> None:
    assert tfrecords._slow_crc32c(b"123456789") == 0xE3069283
    assert tfrecords._slow_crc32c(b"\0" * 32) == 0x8A9136AA
    # The head of a frame of no bytes as TensorFlow writes it.
    assert tfrecords.frame(b"")[:12].hex() == "000000000000000029039807"


def test_tfrecords_there_and_back(tmp_path: Path) -> None:
    rows = [
        {"i": i, "f": i / 2, "s": f"v{i}", "b": bytes([i]), "l": [i] * (i % 3), "n": None}
        for i in range(6)
    ]
    headrace.from_items(rows, override_num_blocks=1).write_tfrecords(str(tmp_path))
    [path] = tmp_path.iterdir()
    assert path.suffix == ".tfrecords"
    got = headrace.read_tfrecords(str(tmp_path)).take_all()
    assert got == [
        {"i": r["i"], "f": r["f"], "s": r["s"].encode(), "b": r["b"], "l": r["l"]} for r in rows
    ]
    schema = types.SimpleNamespace(
        feature=[types.SimpleNamespace(name="i", type=2), types.SimpleNamespace(name="x", type=1)]
    )
    chosen = headrace.read_tfrecords(str(tmp_path), tf_schema=schema)
    assert chosen.take(1) == [{"i": 0, "x": None}]
    assert chosen.schema().base_schema.field("x").type == pa.binary()  # type: ignore[union-attr]


def test_compressed_and_damaged_tfrecords(tmp_path: Path) -> None:
    import gzip

    example = tfrecords.frame(_reference_example())
    (tmp_path / "a.tfrecords.gz").write_bytes(gzip.compress(example * 2))
    ds = headrace.read_tfrecords(
        str(tmp_path), arrow_open_stream_args={"compression": "gzip"}, include_paths=True
    )
    assert [row["f"] for row in ds.take_all()] == [0.5, 0.5]
    for number, damaged in enumerate((example[:-1], b"\x01" + example[1:], b"short")):
        path = tmp_path / f"bad{number}"
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"bad{number} is no TFRecord file"):
            headrace.read_tfrecords(str(path)).take_all()
    (tmp_path / "other").write_bytes(tfrecords.frame(b"\x12\x01x"))
    with pytest.raises(ValueError, match=r"no tf\.train\.Example"):
        headrace.read_tfrecords(str(tmp_path / "other")).take_all()


def test_values_that_no_example_holds(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'d' holds a dict"):
        headrace.from_items([{"d": {"a": 1}}]).write_tfrecords(str(tmp_path))


# ---- WebDataset -------------------------------------------------------------------------------


def _tar(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return _tar(
        tmp_path / "a.tar",
        {
            "001.txt": b"hi",
            "001.json": b'{"k": [1, 2]}',
            "001.cls": b"3",
            "002.txt": b"yo",
            "002.cls": b"4",
            "d/003.seg.txt": b"zz",
            "d/003.bin": b"\x00\x01",
        },
    )


def _without_url(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leaves out the file, and what is null."""
    return [{k: v for k, v in row.items() if k != "__url__" and v is not None} for row in rows]


def test_samples_are_members_of_one_key(archive: str) -> None:
    rows = headrace.read_webdataset(archive).take_all()
    assert {row["__url__"] for row in rows} == {archive}
    assert _without_url(rows) == [
        {"__key__": "001", "txt": "hi", "json": {"k": [1, 2]}, "cls": 3},
        {"__key__": "002", "txt": "yo", "cls": 4},
        {"__key__": "d/003", "seg.txt": "zz", "bin": b"\x00\x01"},
    ]
    raw = headrace.read_webdataset(archive, decoder=None).take(1)
    assert raw[0]["json"] == b'{"k": [1, 2]}'


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"suffixes": ["txt"]}, [{"txt": "hi"}, {"txt": "yo"}, {}]),
        ({"suffixes": ["*.txt"]}, [{"txt": "hi"}, {"txt": "yo"}, {"seg.txt": "zz"}]),
        ({"fileselect": ["*.cls"]}, [{"cls": 3}, {"cls": 4}]),
        ({"fileselect": lambda name: "seg" in name}, [{"seg.txt": "zz"}]),
        (
            {
                "filerename": lambda name: name.replace(".txt", ".text"),
                "fileselect": ["*.text"],
            },
            [{"text": "hi"}, {"text": "yo"}, {"seg.text": "zz"}],
        ),
        ({"filerename": [(r"\.txt$", ".x")], "suffixes": ["x"]}, [{"x": b"hi"}, {"x": b"yo"}, {}]),
    ],
)
def test_members_are_chosen_and_renamed(
    arguments: dict[str, Any], expected: list[Any], archive: str
) -> None:
    rows = _without_url(headrace.read_webdataset(archive, **arguments).take_all())
    assert [{k: v for k, v in row.items() if k != "__key__"} for row in rows] == expected


def test_decoders_of_the_user(archive: str) -> None:
    ds = headrace.read_webdataset(archive, decoder=[True, lambda s: {"n": s.get("cls")}])
    assert [row["n"] for row in ds.take_all()] == [3, 4, None]
    expanded = headrace.read_webdataset(archive, fileselect=["*.json"], expand_json=True)
    assert list(expanded.take(1)[0]["k"]) == [1, 2]


def test_damaged_samples(tmp_path: Path) -> None:
    twice = tmp_path / "twice.tar"
    with tarfile.open(twice, "w") as made:
        for _ in range(2):
            made.addfile(tarfile.TarInfo("1.txt"), io.BytesIO())
    with pytest.raises(ValueError, match="duplicate file name"):
        headrace.read_webdataset(str(twice)).take_all()
    path = _tar(tmp_path / "pickle.tar", {"1.pkl": pickle.dumps(1)})
    with pytest.raises(ValueError, match="pickles"):
        headrace.read_webdataset(path).take_all()
    assert headrace.read_webdataset(
        path, decoder=lambda s: {"v": pickle.loads(s["pkl"])}
    ).take_all() == [{"v": 1}]


def test_webdatasets_there_and_back(tmp_path: Path) -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    rows = [
        {"__key__": f"k{i}", "txt": f"t{i}", "cls": i, "json": {"i": [i]}, "npy": pixels + i}
        | {"png": pixels, "bin": b"b"}
        for i in range(3)
    ]
    headrace.from_items(rows, override_num_blocks=1).write_webdataset(str(tmp_path))
    [path] = tmp_path.iterdir()
    with tarfile.open(path) as made:
        names = made.getnames()
        assert names[:6] == ["k0.txt", "k0.cls", "k0.json", "k0.npy", "k0.png", "k0.bin"]
    got = headrace.read_webdataset(str(tmp_path)).take_all()
    for row, expected in zip(got, rows, strict=True):
        assert row.pop("__url__") == str(path)
        for name in ("npy", "png"):
            assert np.array_equal(row.pop(name), expected[name])
        assert row == {k: v for k, v in expected.items() if k not in ("npy", "png")}


def test_encoders_of_the_user(tmp_path: Path) -> None:
    ds = headrace.from_items([{"txt": "hi"}])
    ds.write_webdataset(str(tmp_path), encoder=lambda s: {**s, "txt": s["txt"].upper()})
    [row] = headrace.read_webdataset(str(tmp_path)).take_all()
    assert row["txt"] == "HI"
    assert len(row["__key__"]) == 32
    with pytest.raises(ValueError, match="give an encoder"):
        headrace.from_items([{"id": 4}]).write_webdataset(str(tmp_path))


def test_extensions_decode_as_they_encode() -> None:
    for column, value in (("txt", "é"), ("cls", 7), ("json", [1, {"a": None}]), ("x.json", 3)):
        assert decode(column, encode(column, value)) == value
    assert encode("json", {"a": np.arange(2), "b": np.float64(0.5)}) == b'{"a": [0, 1], "b": 0.5}'
    assert decode("jpeg", b"raw") == b"raw"
    with pytest.raises(ValueError, match="int"):
        decode("cls", b"x")


# ---- Tensors of other libraries -----------------------------------------------------------------


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorflow", "jax"):
        monkeypatch.setitem(sys.modules, name, None)
    ds = headrace.range(3)
    with pytest.raises(ImportError, match="tensorflow"):
        ds.iter_tf_batches()
    with pytest.raises(ImportError, match="tensorflow"):
        ds.iterator().to_tf("id", "id")
    with pytest.raises(ImportError, match="jax"):
        ds.iter_jax_batches()


def test_jax_batches_are_cast_and_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("jax")
    fake.numpy = np  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jax", fake)
    monkeypatch.setitem(sys.modules, "jax.numpy", np)
    ds = headrace.range(5, override_num_blocks=1)
    batches = list(ds.iter_jax_batches(batch_size=3, dtypes=np.int8, paddings={"id": -1}))
    assert [b["id"].tolist() for b in batches] == [[0, 1, 2], [3, 4, -1]]
    assert batches[0]["id"].dtype == np.int8
    sizes = [len(n) for n in ds.iter_jax_batches(batch_size=3, collate_fn=lambda b: b["id"])]
    assert sizes == [3, 2]
    with pytest.raises(ValueError, match="collate_fn"):
        ds.iter_jax_batches(collate_fn=len, dtypes=np.int8)
    with pytest.raises(ValueError, match="is no tensor"):
        list(headrace.from_items(["a"]).iter_jax_batches())


class _FakeTensorFlow(types.ModuleType):
    """The few functions of TensorFlow that are called, over numpy."""

    def __init__(self) -> None:
        super().__init__("tensorflow")
        spec = lambda **given: types.SimpleNamespace(**given)  # noqa: E731
        self.TensorSpec = self.RaggedTensorSpec = spec
        self.string = "string"
        self.dtypes = types.SimpleNamespace(as_dtype=np.dtype)
        self.convert_to_tensor = np.asarray
        self.cast = lambda values, dtype: values if dtype == "string" else values.astype(dtype)

        def from_generator(generate: Any, output_signature: Any) -> Any:
            made = types.SimpleNamespace(rows=generate, signature=output_signature)
            made.with_options = lambda options: made
            return made

        self.data = types.SimpleNamespace(
            Dataset=types.SimpleNamespace(from_generator=from_generator),
            Options=lambda: types.SimpleNamespace(experimental_distribute=types.SimpleNamespace()),
            experimental=types.SimpleNamespace(AutoShardPolicy=types.SimpleNamespace(OFF=0)),
        )


def test_tensorflow_gets_features_labels_and_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", _FakeTensorFlow())
    ds = headrace.from_items(
        [{"x": i, "v": np.full(2, i, np.float32), "s": str(i)} for i in range(4)],
        override_num_blocks=1,
    )
    [batch] = ds.select_columns(["x"]).iter_tf_batches(dtypes={"x": np.int8})
    assert batch["x"].dtype == np.int8
    assert batch["x"].tolist() == [0, 1, 2, 3]
    made = ds.to_tf(["x", "v"], "s", additional_columns="x", batch_size=3)
    features, label, additional = made.signature
    assert (features["x"].shape, features["x"].dtype) == ((None,), np.int64)
    assert (features["v"].shape, features["v"].dtype) == ((None, 2), np.float32)
    assert (label.dtype, additional.dtype) == ("string", np.int64)
    first, second = made.rows()
    assert first[0]["v"].shape == (3, 2)
    assert (first[1].tolist(), second[2].tolist()) == (["0", "1", "2"], [3])
    with pytest.raises(ValueError, match="You specified 'q'"):
        ds.to_tf("q", "x")


def test_elements_of_tensorflow_are_items() -> None:
    class Elements:
        def as_numpy_iterator(self) -> Any:
            return iter([{"a": np.int64(1)}, {"a": np.int64(2)}])

    assert headrace.from_tf(Elements()).take_all() == [{"a": 1}, {"a": 2}]
