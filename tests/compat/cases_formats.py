"""ORC, SQL and WebDataset."""

import io
import os
import sqlite3
import tarfile

import numpy as np
import pyarrow as pa
from corpus import error_of, rows


def _without_file(found):
    """Leaves out where a sample was read, and values that it has not."""
    return [
        {k: v for k, v in row.items() if k not in ("__url__", "path") and v is not None}
        for row in found
    ]


# ---- ORC


def _orc(tmp_path):
    from pyarrow import orc

    table = pa.table({"a": [1, 2, 3], "s": ["x", None, "z"], "f": [0.5, 1.5, None]})
    orc.write_table(table, str(tmp_path / "a.orc"))
    return str(tmp_path)


def case_orc(ray_data, tmp_path):
    ds = ray_data.read_orc(_orc(tmp_path))
    return {"schema": ds.schema(), "rows": rows(ds), "count": ds.count()}


def case_orc_extensions_and_paths(ray_data, tmp_path):
    directory = _orc(tmp_path)
    (tmp_path / "b.txt").write_text("no ORC")
    ds = ray_data.read_orc(directory, include_paths=True)
    return [os.path.basename(row["path"]) for row in ds.take_all()]


def case_orc_that_is_none(ray_data, tmp_path):
    (tmp_path / "a.orc").write_text("no ORC")
    return error_of(lambda: ray_data.read_orc(str(tmp_path)).take_all())


def case_orc_written(ray_data, tmp_path):
    from pyarrow import orc

    ray_data.range(5, override_num_blocks=1).write_orc(str(tmp_path / "o"), compression="zstd")
    [path] = (tmp_path / "o").iterdir()
    file = orc.ORCFile(str(path))
    return {
        "compression": file.compression,
        "rows": file.read().to_pylist(),
        "ending": path.suffix,
    }


def case_orc_arguments(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(5).write_orc(str(tmp_path / "o"), nonsense=1))


# ---- SQL


def _database(tmp_path):
    path = str(tmp_path / "m.db")
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE m(t, y, s)")
        values = [("a", 1, 1.5), ("b", 2, None), ("c", 3, 2.5)]
        connection.executemany("INSERT INTO m VALUES(?, ?, ?)", values)
    return lambda: sqlite3.connect(path)


def case_sql(ray_data, tmp_path):
    ds = ray_data.read_sql("SELECT * FROM m", _database(tmp_path))
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_sql_parameters(ray_data, tmp_path):
    connect = _database(tmp_path)
    return [
        ray_data.read_sql("SELECT * FROM m WHERE y >= ?", connect, sql_params=(2,)).take_all(),
        ray_data.read_sql("SELECT * FROM m WHERE y = :y", connect, sql_params={"y": 3}).take_all(),
        ray_data.read_sql("SELECT y, COUNT(*) FROM m GROUP BY y", connect).take_all(),
    ]


def case_sql_without_rows(ray_data, tmp_path):
    return ray_data.read_sql("SELECT * FROM m WHERE y > 9", _database(tmp_path)).take_all()


def case_sql_shards(ray_data, tmp_path):
    connect = _database(tmp_path)
    ds = ray_data.read_sql(
        "SELECT * FROM m",
        connect,
        shard_keys=["y"],
        shard_hash_fn="unicode",
        override_num_blocks=2,
    )
    return {
        "rows": sorted(row["y"] for row in ds.take_all()),
        "without_keys": error_of(
            lambda: ray_data.read_sql("SELECT * FROM m", connect, override_num_blocks=2)
        ),
    }


def case_sql_errors(ray_data, tmp_path):
    connect = _database(tmp_path)
    return [
        error_of(lambda: ray_data.read_sql("SELECT * FROM q", connect).take_all()),
        error_of(lambda: ray_data.range(3).write_sql("INSERT INTO q VALUES(?)", connect)),
    ]


def case_sql_written(ray_data, tmp_path):
    connect = _database(tmp_path)
    items = [{"t": "d", "y": 4, "s": 0.5}, {"t": "e", "y": 5, "s": None}]
    ray_data.from_items(items, override_num_blocks=1).write_sql(
        "INSERT INTO m VALUES(?, ?, ?)", connect
    )
    return connect().execute("SELECT * FROM m WHERE y > 3 ORDER BY y").fetchall()


# ---- WebDataset


def _tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return str(path)


def _archive(tmp_path):
    return _tar(
        tmp_path / "a.tar",
        [
            ("001.txt", b"hi"),
            ("001.json", b'{"k": [1, 2]}'),
            ("001.cls", b"3"),
            ("002.txt", b"yo"),
            ("002.cls", b"4"),
            ("d/003.seg.txt", b"zz"),
            ("d/003.bin", b"\x00\x01"),
        ],
    )


def case_webdataset_raw(ray_data, tmp_path):
    return _without_file(ray_data.read_webdataset(_archive(tmp_path), decoder=None).take_all())


def case_webdataset_decoded(ray_data, tmp_path):
    ds = ray_data.read_webdataset(_archive(tmp_path), suffixes=["txt", "json", "seg.txt", "bin"])
    return _without_file(ds.take_all())


def case_webdataset_chosen(ray_data, tmp_path):
    path = _archive(tmp_path)
    return [
        _without_file(ray_data.read_webdataset(path, **arguments).take_all())
        for arguments in (
            {"suffixes": ["txt"]},
            {"suffixes": ["*.txt"]},
            {"fileselect": ["*.txt"]},
            {"fileselect": lambda name: "txt" in name},
            {"suffixes": ["text"], "filerename": lambda name: name.replace(".txt", ".text")},
        )
    ]


def case_webdataset_decoders(ray_data, tmp_path):
    path = _archive(tmp_path)
    return [
        ray_data.read_webdataset(path, decoder=lambda s: {"n": len(s)}).take(1),
        ray_data.read_webdataset(
            path, decoder=[True, lambda s: {"n": s.get("txt", "")}]
        ).take_all(),
    ]


def case_webdataset_extensions(ray_data, tmp_path):
    array = io.BytesIO()
    np.save(array, np.arange(6).reshape(2, 3))
    found = {}
    members = [
        ("npy", array.getvalue()),
        ("id", b"7"),
        ("cls2", b"9"),
        ("jsn", b"[1]"),
        ("transcript", b"t"),
        ("text", b"u"),
        ("TXT", b"x"),
        ("html", b"<>"),
        ("a.json", b'{"q": 1}'),
    ]
    for extension, data in members:
        path = _tar(tmp_path / "x.tar", [(f"1.{extension}", data)])
        found[extension] = _without_file(ray_data.read_webdataset(path).take_all())
    return found


def case_webdataset_images(ray_data, tmp_path):
    from PIL import Image

    image = io.BytesIO()
    Image.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3)).save(image, "PNG")
    path = _tar(tmp_path / "x.tar", [("1.png", image.getvalue())])
    return [
        _without_file(ray_data.read_webdataset(path, decoder=decoder).take_all())
        for decoder in (True, "rgb", "pil")
    ]


def case_webdataset_errors(ray_data, tmp_path):
    twice = _tar(tmp_path / "t.tar", [("1.txt", b"a"), ("1.txt", b"b")])
    pickled = _tar(tmp_path / "p.tar", [("1.pkl", b"\x80\x04K\x01.")])
    number = _tar(tmp_path / "n.tar", [("1.cls", b"x")])
    return [
        error_of(lambda path=path: ray_data.read_webdataset(path).take_all())
        for path in (twice, pickled, number)
    ]


def _members(directory):
    [path] = directory.iterdir()
    with tarfile.open(path) as archive:
        return [(m.name, archive.extractfile(m).read()) for m in archive]


def case_webdataset_written(ray_data, tmp_path):
    items = [
        {"__key__": "a", "txt": "hi", "json": {"k": 1}, "cls": 3, "bin": b"x", "foo": "str"},
        {"__key__": "b", "txt": "yo", "json": {"k": 2}, "cls": 4, "bin": b"y", "foo": "s"},
    ]
    ray_data.from_items(items, override_num_blocks=1).write_webdataset(str(tmp_path / "w"))
    return _members(tmp_path / "w")


def case_webdataset_encoders(ray_data, tmp_path):
    ds = ray_data.from_items([{"__key__": "a", "txt": "hi"}], override_num_blocks=1)
    upper = lambda s: {**s, "txt": s["txt"].upper().encode()}  # noqa: E731
    ds.write_webdataset(str(tmp_path / "w"), encoder=upper)
    ds.write_webdataset(str(tmp_path / "x"), encoder=False)
    raw = ray_data.from_items([{"__key__": "a", "txt": b"hi"}], override_num_blocks=1)
    raw.write_webdataset(str(tmp_path / "y"), encoder=None)
    return [_members(tmp_path / name) for name in "wxy"]


# ---- Numbers by place


def case_random_by_seed(ray_data, tmp_path):
    random = ray_data.expressions.random
    ds = ray_data.range(20, override_num_blocks=2)
    same = ds.with_column("r", random(seed=1, reseed_after_execution=False))
    anew = ds.with_column("r", random(seed=1))
    pair = ds.with_columns({"a": random(seed=1), "b": random(seed=1)}).take_all()
    return {
        "same": same.take_all() == same.take_all(),
        "anew": anew.take_all() == anew.take_all(),
        "pair": all(row["a"] == row["b"] for row in pair),
        "schema": anew.schema(),
    }


def case_ids_of_blocks(ray_data, tmp_path):
    ids = ray_data.expressions.monotonically_increasing_id
    ds = ray_data.range(12, override_num_blocks=3).with_column("n", ids())
    return {"rows": sorted((r["id"], r["n"]) for r in ds.take_all()), "schema": ds.schema()}


def case_filter_by_id(ray_data, tmp_path):
    ids = ray_data.expressions.monotonically_increasing_id
    ds = ray_data.range(10, override_num_blocks=1)
    return [
        ds.filter(expr=ids() < 2).take_all(),
        ds.with_column("n", ids() * 2).filter(expr=ray_data.expressions.col("id") > 7).take_all(),
    ]


def case_repr_of_place_functions(ray_data, tmp_path):
    e = ray_data.expressions
    return [
        repr(e.random()),
        repr(e.random(seed=3)),
        repr(e.monotonically_increasing_id() + 1),
        e.random(seed=1).structurally_equals(e.random(seed=1)),
        e.random(seed=1).structurally_equals(e.random(seed=2)),
        e.monotonically_increasing_id().structurally_equals(e.monotonically_increasing_id()),
        error_of(lambda: e.random().to_pyarrow()),
    ]
