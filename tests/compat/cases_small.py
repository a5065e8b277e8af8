"""Many small programs in few cases: expressions by type, odd values, files, wrong arguments."""

import collections
import datetime
import decimal
import fractions
import gzip
import operator
import os
import pathlib
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from corpus import rows, stdout_of, sub


def _outcome(call):
    try:
        return call()
    except Exception:
        return "raises"


def _seen(ds):
    return {"s": ds.schema(), "r": ds.take_all(), "p": ds.to_pandas(), "np": ds.take_batch(3)}


def _frame(n=12):
    return pd.DataFrame(
        {
            "a": np.arange(n),
            "b": np.linspace(0, 1, n),
            "c": [["x", "y", None][i % 3] for i in range(n)],
            "d": np.arange(n) % 2 == 0,
        }
    )


def _table():
    return pa.table(
        {
            "i": pa.array([1, -2, None, 4], pa.int64()),
            "i8": pa.array([1, 2, 3, None], pa.int8()),
            "u": pa.array([1, 2, 3, 4], pa.uint32()),
            "f": pa.array([1.5, float("nan"), None, -0.5]),
            "f32": pa.array([0.1, 0.2, 0.3, None], pa.float32()),
            "s": ["Ab c", "", None, "émile"],
            "b": [True, False, None, True],
            "l": [[1, 2], [], None, [3]],
            "st": [{"x": 1, "y": "a"}, {"x": None, "y": "b"}, None, {"x": 3, "y": None}],
            "d": pa.array([0, 19000, None, 1], pa.date32()),
            "t": pa.array([0, 10**15, None, 1], pa.timestamp("us")),
            "m": pa.array(
                [[("k", 1)], [], None, [("a", 2), ("b", 3)]], pa.map_(pa.string(), pa.int64())
            ),
            "dec": pa.array(
                [decimal.Decimal("1.10"), None, decimal.Decimal("2.00"), decimal.Decimal("-3.5")],
                pa.decimal128(8, 2),
            ),
            "bin": [b"ab", b"", None, b"\x00"],
            "ls": [["b", "a"], None, ["z"], []],
        }
    )


def _many(ray_data, exprs):
    """Returns type and values of each expression as a column."""
    ds = ray_data.from_arrow(_table())
    out = {}
    for name, make in exprs.items():
        try:
            d = ds.with_column("x", make()).select_columns(["x"])
            out[name] = {"t": d.schema(), "v": [r["x"] for r in d.take_all()]}
        except Exception:
            out[name] = "raises"
    return out


def case_arithmetic_of_types(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    c, _lit = (e.col, e.lit)
    return _many(
        ray_data,
        {
            "i/i8": lambda: c("i") / c("i8"),
            "i//i8": lambda: c("i") // c("i8"),
            "i%3": lambda: c("i") % 3,
            "i**": lambda: c("i").power(2),
            "2-i": lambda: 2 - c("i"),
            "2/i": lambda: 2 / c("i"),
            "u-5": lambda: c("u") - 5,
            "i8+200": lambda: c("i8") + 200,
            "i8*i8": lambda: c("i8") * c("i8"),
            "f+f32": lambda: c("f") + c("f32"),
            "f//": lambda: c("f") // 1,
            "neg": lambda: -c("i"),
            "negu": lambda: -c("u"),
            "dec+1": lambda: c("dec") + 1,
            "dec*f": lambda: c("dec") * c("f"),
            "b+b": lambda: c("b") + c("b"),
            "s+s": lambda: c("s") + "!",
            "s*2": lambda: c("s") * 2,
            "i+s": lambda: c("i") + c("s"),
            "t+td": lambda: c("t") + datetime.timedelta(days=1),
            "t-t": lambda: c("t") - c("t"),
            "d-d": lambda: c("d") - c("d"),
        },
    )


def case_comparisons_and_literals(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    c, lit = (e.col, e.lit)
    return _many(
        ray_data,
        {
            "i==f": lambda: c("i") == c("f"),
            "f==f": lambda: c("f") == c("f"),
            "s<": lambda: c("s") < "b",
            "t>": lambda: c("t") > datetime.datetime(1990, 1, 1),
            "d>": lambda: c("d") >= datetime.date(1970, 1, 2),
            "in none": lambda: c("i").is_in([1, None]),
            "notin": lambda: c("s").not_in(["", "x"]),
            "in empty": lambda: c("i").is_in([]),
            "b&": lambda: c("b") & (c("i") > 0),
            "b|": lambda: c("b") | (c("i") > 0),
            "~b": lambda: ~c("b"),
            "null": lambda: c("l").is_null(),
            "notnull": lambda: c("st").is_not_null(),
            "==None": lambda: operator.eq(c("i"), None),
            "!=": lambda: c("s") != "",
            "bin": lambda: c("bin") == b"ab",
            "dec": lambda: c("dec") > 1,
            "lit": lambda: lit(None),
            "lit s": lambda: lit("k"),
            "lit f": lambda: lit(1.5),
            "lit list": lambda: lit([1, 2]),
            "lit date": lambda: lit(datetime.date(2024, 1, 1)),
            "lit dict": lambda: lit({"a": 1}),
            "lit np": lambda: lit(np.float32(2)),
            "lit b": lambda: lit(True),
            "lit bytes": lambda: lit(b"x"),
            "lit dec": lambda: lit(decimal.Decimal("1.5")),
        },
    )


def case_numbers(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    c = e.col
    return _many(
        ray_data,
        {
            "ceil": lambda: c("f").ceil(),
            "ceil i": lambda: c("i").ceil(),
            "round": lambda: c("f").round(),
            "round 1": lambda: c("f32").round(1),
            "trunc": lambda: c("f").trunc(),
            "sign": lambda: c("i").sign(),
            "abs": lambda: c("i").abs(),
            "abs f": lambda: c("f").abs(),
            "ln": lambda: c("u").ln(),
            "exp": lambda: c("i").exp(),
            "sin": lambda: c("f").sin(),
            "cast bad": lambda: c("s").cast(pa.int64()),
            "cast safe": lambda: c("f").cast(pa.int64()),
            "floor": lambda: c("f").floor(),
            "dec round": lambda: c("dec").round(1),
            "dec abs": lambda: c("dec").abs(),
            "hash": lambda: c("i").hash(),
            "fill": lambda: c("i").fill_null(0),
            "between": lambda: c("i").between(1, 2),
            "coalesce": lambda: c("i").coalesce(c("u")),
            "if": lambda: e.when(c("i") > 0, 1),
        },
    )


def case_texts(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    s = e.col("s").str
    return _many(
        ray_data,
        {
            "len": lambda: s.len(),
            "blen": lambda: s.byte_len(),
            "up": lambda: s.upper(),
            "cap": lambda: s.capitalize(),
            "title": lambda: s.title(),
            "swap": lambda: s.swapcase(),
            "rev": lambda: s.reverse(),
            "slice": lambda: s.slice(1, 3),
            "slice neg": lambda: s.slice(-2),
            "slice step": lambda: s.slice(0, 4, 2),
            "split": lambda: s.split(" "),
            "split ws": lambda: s.split_whitespace(),
            "split max": lambda: s.split("b", max_splits=1),
            "find": lambda: s.find("c"),
            "count": lambda: s.count("b"),
            "starts": lambda: s.starts_with("A"),
            "contains": lambda: s.contains("B", ignore_case=True),
            "match": lambda: s.match("A%"),
            "regex": lambda: s.match_regex("^[A-Z]"),
            "rep": lambda: s.replace("b", "XX"),
            "rep re": lambda: s.replace_regex("[aeé]", "_"),
            "pad": lambda: s.pad(6, "*"),
            "lpad": lambda: s.lpad(6, "0"),
            "rpad": lambda: s.rpad(6, "."),
            "center": lambda: s.center(7, "-"),
            "strip": lambda: s.strip(),
            "strip c": lambda: s.strip("c"),
            "repeat": lambda: s.repeat(2),
            "isalpha": lambda: s.is_alpha(),
            "isupper": lambda: s.is_upper(),
        },
    )


def case_lists_structs_and_times(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    c = e.col
    return _many(
        ray_data,
        {
            "len": lambda: c("l").list.len(),
            "get": lambda: c("l").list.get(0),
            "idx": lambda: c("l").list[0],
            "neg": lambda: c("l").list.get(-1),
            "slice": lambda: c("l").list.slice(0, 1),
            "sl": lambda: c("l").list[0:1],
            "sort": lambda: c("ls").list.sort(),
            "sort desc": lambda: c("ls").list.sort(order="descending"),
            "field": lambda: c("st").struct.field("x"),
            "fidx": lambda: c("st").struct["y"],
            "fbad": lambda: c("st").struct["zz"],
            "keys": lambda: c("m").map.keys(),
            "values": lambda: c("m").map.values(),
            "flatten": lambda: c("l").list.flatten(),
            "strf": lambda: c("t").dt.strftime("%Y/%m"),
            "floor": lambda: c("t").dt.floor("hour"),
            "ceil": lambda: c("t").dt.ceil("day"),
            "round": lambda: c("t").dt.round("month"),
            "dow": lambda: c("t").dt.day_of_week(),
            "quarter": lambda: c("d").dt.quarter(),
            "strd": lambda: c("d").dt.strftime("%d"),
        },
    )


def case_arrays_of_dtypes(ray_data, tmp_path):
    kinds = [
        "int8",
        "uint8",
        "int16",
        "uint64",
        "float16",
        "float32",
        "bool",
        "datetime64[s]",
        "datetime64[D]",
        "datetime64[ns]",
        "timedelta64[ms]",
        "S3",
        "U3",
    ]
    ds = ray_data.range(3, override_num_blocks=1)

    def made(kind):
        def convert(batch):
            if kind[0] in "SU":
                return {"x": np.array(["a", "bb", "ccc"], dtype=kind)}
            return {"x": np.arange(3).astype(kind)}

        return _seen(ds.map_batches(convert))

    return {kind: made(kind) for kind in kinds}


def case_frames_of_dtypes(ray_data, tmp_path):
    makers = {
        "Int64": lambda: pd.array([1, None, 3], dtype="Int64"),
        "Float32": lambda: pd.array([1, None, 3], dtype="Float32"),
        "boolean": lambda: pd.array([True, None, False], dtype="boolean"),
        "catint": lambda: pd.Categorical([3, 1, 3]),
        "tz": lambda: pd.to_datetime(["2024-01-01", None, "2024-02-01"]).tz_localize("UTC"),
        "td": lambda: pd.to_timedelta([1, None, 3], unit="h"),
        "lists": lambda: [[1], [2, 3], []],
        "arrays": lambda: list(np.ones((3, 2))),
        "ragged": lambda: [np.ones(1), np.ones(2), np.ones(3)],
        "dec": lambda: [decimal.Decimal(1), None, decimal.Decimal("2.5")],
        "date": lambda: [datetime.date(2024, 1, 1), None, datetime.date(2024, 1, 3)],
        "mixnum": lambda: [1, 2.5, None],
        "intobj": lambda: pd.Series([1, None, 3], dtype=object),
        "bytes": lambda: [b"a", None, b""],
        "bool obj": lambda: [True, None, False],
        "arrow": lambda: pd.array([1, None, 3], dtype="int32[pyarrow]"),
        "arrow str": lambda: pd.array(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())),
        "arrow list": lambda: pd.array([[1], None, [2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
        "nan str": lambda: ["a", float("nan"), "b"],
        "emptystr": lambda: ["", "", ""],
        "allnone": lambda: [None] * 3,
    }
    ds = ray_data.range(3, override_num_blocks=1)
    only_given = []
    only_returned = [
        "boolean",
        "catint",
        "tz",
        "lists",
        "dec",
        "date",
        "intobj",
        "bytes",
        "bool obj",
        "arrow str",
        "arrow list",
        "nan str",
        "allnone",
    ]

    def returned(make):
        return ds.map_batches(lambda batch: pd.DataFrame({"x": make()}), batch_format="pandas")

    def given(make):
        made = ray_data.from_pandas(pd.DataFrame({"x": make()}))
        return {"s": made.schema(), "r": made.take_all(), "np": made.take_batch(3)}

    return {
        "returned": {k: _seen(returned(m)) for k, m in makers.items() if k not in only_given},
        "given": {k: given(m) for k, m in makers.items() if k not in only_returned},
    }


def case_arrow_types(ray_data, tmp_path):
    arrays = {
        "large": pa.array(["a", None], pa.large_string()),
        "view": pa.array(["a", None], pa.string_view()),
        "fsb": pa.array([b"ab", None], pa.binary(2)),
        "fsl": pa.array([[1, 2], None], pa.list_(pa.int32(), 2)),
        "fsl full": pa.array([[1, 2], [3, 4]], pa.list_(pa.int32(), 2)),
        "ll": pa.array([[1], None], pa.large_list(pa.int8())),
        "time32": pa.array([1, None], pa.time32("s")),
        "time64": pa.array([1, None], pa.time64("us")),
        "dur": pa.array([1, None], pa.duration("ms")),
        "date64": pa.array([0, None], pa.date64()),
        "dec256": pa.array([decimal.Decimal("1.1"), None], pa.decimal256(40, 1)),
        "half": pa.array([np.float16(1), None], pa.float16()),
        "null": pa.nulls(2),
        "struct": pa.array([{"a": [1]}, None]),
        "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8())),
        "bool": pa.array([True, None]),
        "interval": pa.array([pa.MonthDayNano([1, 2, 3]), None]),
        "ree": pa.RunEndEncodedArray.from_arrays([1, 2], ["a", "b"]),
        "uuid": pa.array([b"0" * 16, None], pa.uuid()),
        "fst": pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8).reshape(2, 2, 2)),
        "lsd": pa.array([{"a": 1}, {"a": 2}]),
        "lls": pa.array([[{"a": 1}], []]),
        "bool8": pa.array([1, 0], pa.int8()).cast(pa.bool_()),
    }

    def uses(ds):
        return {
            "s": _outcome(lambda: ds.schema()),
            "r": _outcome(lambda: ds.take_all()),
            "b": _outcome(lambda: ds.take_batch(2)),
            "p": _outcome(lambda: ds.take_batch(2, batch_format="pandas")),
            "m": _outcome(lambda: ds.map(lambda r: {"y": r["x"]}).schema()),
            "mb": _outcome(lambda: ds.map_batches(lambda b: b).take_all()),
        }

    return {k: uses(ray_data.from_arrow(pa.table({"x": a}))) for k, a in arrays.items()}


def case_functions_of_groups(ray_data, tmp_path):
    ds = ray_data.from_pandas(_frame())
    return {
        k: _outcome(f)
        for k, f in {
            "np": lambda: rows(
                ds.groupby("c").map_groups(lambda g: {"c": [g["c"][0]], "n": [len(g["a"])]})
            ),
            "pd series": lambda: rows(
                ds.groupby("c").map_groups(
                    lambda g: g.mean(numeric_only=True).to_frame().T, batch_format="pandas"
                )
            ),
            "pa": lambda: rows(
                ds.groupby("d").map_groups(lambda t: t.slice(0, 1), batch_format="pyarrow")
            ),
            "pd dropna": lambda: rows(
                ds.groupby("c").map_groups(
                    lambda g: g.describe().reset_index()[["index", "a"]].head(1),
                    batch_format="pandas",
                )
            ),
            "args": lambda: rows(
                ds.groupby("d").map_groups(
                    lambda g, by, m=1: {"x": [g["a"].sum() * by + m]},
                    fn_args=[2],
                    fn_kwargs={"m": 5},
                )
            ),
            "empty": lambda: rows(ds.groupby("d").map_groups(lambda g: {"x": []})),
            "none key": lambda: rows(ds.groupby(None).map_groups(lambda g: {"x": [len(g["a"])]})),
            "list": lambda: rows(ds.groupby("d").map_groups(lambda g: [1])),
            "scalar": lambda: rows(ds.groupby("d").map_groups(lambda g: {"x": 1})),
            "bad fmt": lambda: rows(ds.groupby("d").map_groups(lambda g: g, batch_format="nope")),
            "raise": lambda: rows(ds.groupby("d").map_groups(lambda g: g["zz"])),
            "gen": lambda: rows(
                ds.groupby("d").map_groups(lambda g: (x for x in [{"y": [1]}, {"y": [2]}]))
            ),
            "index": lambda: rows(
                ds.groupby("d").map_groups(
                    lambda g: g.set_index("a").tail(1), batch_format="pandas"
                )
            ),
        }.items()
    }


def case_verbs_of_groups(ray_data, tmp_path):
    ds = ray_data.from_pandas(_frame())

    def g():
        return ds.groupby("c")

    return {
        k: _outcome(f)
        for k, f in {
            "count": lambda: rows(g().count()),
            "sum": lambda: rows(g().sum("a")),
            "sum many": lambda: rows(g().sum(["a", "b"])),
            "sum all": lambda: rows(g().sum()),
            "mean all": lambda: rows(ds.groupby("d").mean()),
            "max": lambda: rows(g().max("b")),
            "min none": lambda: rows(g().min(on="a", ignore_nulls=False)),
            "std": lambda: rows(g().std("a", ddof=0)),
            "std1": lambda: rows(g().std("b")),
            "bool sum": lambda: rows(g().sum("d")),
            "str sum": lambda: rows(ds.groupby("d").sum("c")),
            "missing": lambda: rows(g().sum("zz")),
            "key same": lambda: rows(g().max("c")),
            "nparts": lambda: rows(ds.groupby("d", num_partitions=2).count()),
            "float key": lambda: rows(ds.groupby("b").count().limit(1)).items.__len__(),
            "bool key": lambda: rows(ds.groupby("d").count()),
            "agg str": lambda: rows(g().aggregate("count")),
            "global sum": lambda: ds.sum("a"),
            "global many": lambda: ds.sum(["a", "b"]),
            "global all": lambda: ds.select_columns(["a", "b"]).sum(),
            "global max": lambda: ds.max("c"),
            "global std": lambda: ds.std("b", ddof=0),
            "global mean": lambda: ds.mean(["a", "d"]),
            "agg": lambda: ds.aggregate(
                sub(ray_data, "aggregate").Count(), sub(ray_data, "aggregate").Sum("a")
            ),
            "min ign": lambda: ds.min("c", ignore_nulls=False),
            "empty sum": lambda: ds.filter(lambda r: False).sum("a"),
            "unique": lambda: sorted(map(str, ds.unique("c"))),
            "unique bool": lambda: sorted(ds.unique("d")),
            "unique ign": lambda: sorted(map(str, ds.unique("c", ignore_nulls=True))),
        }.items()
    }


def case_orders(ray_data, tmp_path):
    ds = ray_data.from_pandas(_frame())
    return {
        k: _outcome(f)
        for k, f in {
            "str": lambda: [r["c"] for r in ds.sort("c").take_all()],
            "str desc": lambda: [r["c"] for r in ds.sort("c", descending=True).take_all()],
            "two": lambda: [
                (r["d"], r["a"]) for r in ds.sort(["d", "a"], descending=[True, False]).take_all()
            ],
            "missing": lambda: ds.sort("zz").take_all(),
            "bool": lambda: [r["d"] for r in ds.sort("d").take_all()],
            "nan": lambda: [
                r["x"]
                for r in ray_data.from_items([{"x": v} for v in [1.0, float("nan"), None, 0.5]])
                .sort("x")
                .take_all()
            ],
            "nan desc": lambda: [
                r["x"]
                for r in ray_data.from_items([{"x": v} for v in [1.0, float("nan"), None, 0.5]])
                .sort("x", descending=True)
                .take_all()
            ],
            "list col": lambda: ray_data.from_items([{"x": [2]}, {"x": [1]}]).sort("x").take_all(),
            "tensor": lambda: ray_data.range_tensor(3).sort("data").take_all(),
            "bounds": lambda: [b.count() for b in [ds.sort("a", boundaries=[4, 8]).materialize()]],
            "bounds blocks": lambda: ds.sort("a", boundaries=[4, 8]).materialize().num_blocks(),
            "bytes": lambda: ray_data.from_items([{"x": b"b"}, {"x": b"a"}]).sort("x").take_all(),
            "date": lambda: (
                ray_data.from_items(
                    [{"x": datetime.date(2024, 1, 2)}, {"x": datetime.date(2024, 1, 1)}]
                )
                .sort("x")
                .take_all()
            ),
            "dict": lambda: (
                ray_data.from_items([{"x": {"a": 2}}, {"x": {"a": 1}}]).sort("x").take_all()
            ),
            "str long": lambda: [
                r["x"]
                for r in ray_data.from_items([{"x": "é"}, {"x": "z"}, {"x": "A"}])
                .sort("x")
                .take_all()
            ],
        }.items()
    }


def case_tensors(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.arange(24, dtype=np.float32).reshape(4, 2, 3))
    sub(ray_data, "expressions")
    return {
        k: _outcome(f)
        for k, f in {
            "s": lambda: ds.schema(),
            "r": lambda: ds.take(1),
            "pd": lambda: ds.to_pandas(),
            "pa": lambda: type(ds.take_batch(2, batch_format="pyarrow")).__name__,
            "map": lambda: ds.map(lambda r: {"m": r["data"].mean(), "t": r["data"].T}).schema(),
            "mapr": lambda: ds.map(lambda r: {"m": r["data"].mean(), "t": r["data"].T}).take(1),
            "flat": lambda: ds.flat_map(lambda r: [{"x": v} for v in r["data"]]).take(2),
            "filter": lambda: ds.filter(lambda r: r["data"].sum() > 20).count(),
            "ragged": lambda: ds.map(
                lambda r: {"x": np.ones((int(r["data"][0, 0]) % 4 + 1, 2))}
            ).schema(),
            "ragged b": lambda: ds.map(
                lambda r: {"x": np.ones((int(r["data"][0, 0]) % 4 + 1, 2))}
            ).take_batch(4),
            "mean": lambda: ds.mean("data"),
            "sum": lambda: ds.sum("data"),
            "parquet": lambda: (
                ds.write_parquet(str(tmp_path / "p")),
                ray_data.read_parquet(str(tmp_path / "p")).schema(),
            )[1],
            "parquet r": lambda: ray_data.read_parquet(str(tmp_path / "p")).take(1),
            "zip": lambda: ds.zip(ds).take(1),
            "union r": lambda: ds.union(
                ray_data.from_numpy(np.ones((1, 3, 2), np.float32))
            ).take_batch(5),
            "udf bool": lambda: ds.map_batches(lambda b: {"m": b["data"] > 5}).schema(),
            "string t": lambda: ds.map_batches(
                lambda b: {"m": np.array([["a", "b"]] * len(b["data"]))}
            ).take(1),
            "csv": lambda: ds.write_csv(str(tmp_path / "c")),
            "json": lambda: ds.write_json(str(tmp_path / "j")),
            "json r": lambda: ray_data.read_json(str(tmp_path / "j")).take(1),
        }.items()
    }


def case_parquet_files(ray_data, tmp_path):
    p = tmp_path / "p"
    p.mkdir()
    pq.write_table(pa.Table.from_pandas(_frame()), p / "1.parquet", row_group_size=5)
    pq.write_table(
        pa.Table.from_pandas(_frame()).append_column("z", pa.array(range(12))), p / "2.parquet"
    )
    R = ray_data.read_parquet
    e = sub(ray_data, "expressions")
    return {
        k: _outcome(f)
        for k, f in {
            "both": lambda: (lambda d: [d.schema(), d.count()])(R(str(p))),
            "cols": lambda: R(str(p), columns=["b", "a"]).schema(),
            "cols str": lambda: R(str(p / "1.parquet"), columns="a").schema(),
            "cols empty": lambda: R(str(p), columns=[]).count(),
            "filter e": lambda: (
                R(str(p / "1.parquet")).filter(expr=e.col("a") > 9).select_columns(["a"]).take_all()
            ),
            "include": lambda: sorted(
                {os.path.basename(r["path"]) for r in R(str(p), include_paths=True).take_all()}
            ),
            "include cols": lambda: R(str(p), include_paths=True, columns=["a"]).schema(),
            "schema arg": lambda: R(
                str(p / "1.parquet"), schema=pa.schema([("a", pa.int64())])
            ).take(1),
            "dsk": lambda: R(str(p / "1.parquet"), dataset_kwargs={"nope": 1}).count(),
            "arrow args": lambda: R(str(p / "1.parquet"), use_threads=False).count(),
            "text": lambda: ray_data.read_text(str(p / "1.parquet")).count(),
            "tensor": lambda: R(
                str(p / "1.parquet"), tensor_column_schema={"nope": (np.int8, (1,))}
            ).count(),
            "ray_args": lambda: R(str(p / "1.parquet"), ray_remote_args={"num_cpus": 0.5}).count(),
            "limit": lambda: R(str(p)).limit(3).take_all(),
            "sel": lambda: R(str(p)).select_columns(["d"]).schema(),
            "rename": lambda: R(str(p)).rename_columns({"a": "A"}).schema(),
            "pandas meta": lambda: R(str(p / "1.parquet")).schema().base_schema.metadata is None,
            "sum z": lambda: R(str(p)).sum("z"),
            "min": lambda: R(str(p)).min("c"),
        }.items()
    }


def case_csv_files(ray_data, tmp_path):
    c = pyarrow.csv

    def w(n, t):
        (tmp_path / n).write_text(t)
        return str(tmp_path / n)

    R = ray_data.read_csv
    return {
        k: _outcome(lambda f=f: (lambda d: {"s": d.schema(), "r": d.take_all()})(f()))
        for k, f in {
            "types": lambda: R(
                w(
                    "1.csv",
                    "a,b,c,d,e,f,g\n1,2.5,x,true,2024-01-01,2024-01-01 10:00:00,\n"
                    '-1,1e3,"q,r",false,2024-02-30,2024-01-01T10:00:00Z,\n',
                )
            ),
            "dates": lambda: R(
                w(
                    "2.csv",
                    "d,t\n2024-01-01,2024-01-01 10:00:00\n2024-01-02,2024-01-01 11:30:00.5\n",
                )
            ),
            "nulls": lambda: R(w("3.csv", "a,b,c\n1,NA,\n,x,null\n3,N/A,nan\n")),
            "quotes": lambda: R(w("5.csv", 'a,b\n"x\ny",1\n"p""q",2\n')),
            "bom": lambda: R(w("6.csv", "\ufeffa,b\n1,2\n")),
            "crlf": lambda: R(w("7.csv", "a,b\r\n1,2\r\n")),
            "noname": lambda: R(w("8.csv", ",b\n1,2\n")),
            "bigint": lambda: R(w("9.csv", "a\n99999999999999999999\n1\n")),
            "one col": lambda: R(w("10.csv", "a\n1\n\n3\n")),
            "spaces": lambda: R(w("11.csv", "a , b\n 1, x\n")),
            "tab": lambda: R(
                w("12.csv", "a\tb\n1\t2\n"), parse_options=c.ParseOptions(delimiter="\t")
            ),
            "names": lambda: R(
                w("13.csv", "1,2\n3,4\n"),
                read_options=c.ReadOptions(autogenerate_column_names=True),
            ),
            "conv": lambda: R(
                w("14.csv", "a,b\n1,2\n"),
                convert_options=c.ConvertOptions(
                    column_types={"a": pa.string(), "b": pa.float32()}
                ),
            ),
            "leading0": lambda: R(w("15.csv", "z\n007\n08\n")),
            "bools": lambda: R(w("16.csv", "z\nTrue\nFALSE\n")),
            "mixed": lambda: R(w("17.csv", "z\n1\nx\n")),
            "zone": lambda: R(w("18.csv", "z\n2024-01-01T00:00:00+02:00\n")),
            "time": lambda: R(w("19.csv", "z\n10:11:12\n")),
            "inf": lambda: R(w("20.csv", "z\ninf\n-inf\nnan\n")),
            "two cols": lambda: R([w("23.csv", "a,b\n1,2\n"), w("24.csv", "b,a\n5,6\n")]).sort("a"),
            "gz": lambda: (lambda p: (gzip.open(p, "wt").write("a\n1\n"), R(p))[1])(
                str(tmp_path / "z.csv.gz")
            ),
            "txt ext": lambda: R(w("25.txt", "a\n1\n")),
        }.items()
    }


def case_json_files(ray_data, tmp_path):

    def w(n, t):
        (tmp_path / n).write_text(t)
        return str(tmp_path / n)

    R = ray_data.read_json
    return {
        k: _outcome(lambda f=f: (lambda d: {"s": d.schema(), "r": d.take_all()})(f()))
        for k, f in {
            "missing": lambda: R(w("1.json", '{"a":1}\n{"b":"x"}\n')),
            "arr": lambda: R(w("2.json", '[{"a":1},{"a":2}]')),
            "nested": lambda: R(w("3.json", '{"a":{"b":[1,2,{"c":1}]}}')),
            "mixed": lambda: R(w("4.json", '{"a":1}\n{"a":"x"}\n')),
            "mixnum": lambda: R(w("5.json", '{"a":1}\n{"a":2.5}\n')),
            "null": lambda: R(w("6.json", '{"a":null}\n{"a":null}\n')),
            "ts": lambda: R(w("7.json", '{"a":"2024-01-01"}\n{"a":"2024-01-01 10:00:00"}\n')),
            "ts2": lambda: R(w("7b.json", '{"a":"2024-01-01T10:00:00Z"}\n')),
            "empty arr": lambda: R(w("9.json", "[]")),
            "scalars": lambda: R(w("10.json", "1\n2\n")),
            "arr scal": lambda: R(w("11.json", "[1,2]")),
            "big": lambda: R(w("12.json", '{"a":99999999999999999999}')),
            "uni": lambda: R(w("13.json", '{"é":"\\u00e9\\ud83d\\ude00"}')),
            "dup": lambda: R(w("14.json", '{"a":1,"a":2}')),
            "blank": lambda: R(w("15.json", '\n{"a":1}\n\n{"a":2}\n\n')),
            "empty list": lambda: R(w("16.json", '{"a":[]}\n{"a":[1]}\n')),
            "bool": lambda: R(w("17.json", '{"a":true}\n{"a":null}\n')),
            "pretty": lambda: R(w("18.json", '{\n "a": 1,\n "b": [1,\n2]\n}')),
            "empty": lambda: R(w("19.json", "")),
            "broken": lambda: R(w("20.json", '{"a":1')),
            "lines": lambda: R(w("21.json", '{"a":1}\n{"a":2}'), lines=True),
            "linesF": lambda: R(w("22.json", '[{"a":1}]'), lines=False),
            "ext": lambda: R(w("23.jsonl", '{"a":1}\n')),
            "struct diff": lambda: R(w("24.json", '{"a":{"x":1}}\n{"a":{"y":2}}\n')),
        }.items()
    }


def case_text_and_binary_files(ray_data, tmp_path):

    def w(n, t):
        (tmp_path / n).write_bytes(t)
        return str(tmp_path / n)

    return {
        k: _outcome(lambda f=f: (lambda d: {"s": d.schema(), "r": d.take_all()})(f()))
        for k, f in {
            "t": lambda: ray_data.read_text(w("a.txt", b"x\n\ny")),
            "keep": lambda: ray_data.read_text(w("b.txt", b"x\n\ny\n"), drop_empty_lines=False),
            "crlf": lambda: ray_data.read_text(w("c.txt", b"x\r\ny\r\n")),
            "latin": lambda: ray_data.read_text(w("f.txt", b"\xe9\n"), encoding="latin-1"),
            "bad": lambda: ray_data.read_text(w("g.txt", b"\xe9\n")),
            "ws": lambda: ray_data.read_text(w("i.txt", b"  \n\t\nx ")),
            "bin": lambda: ray_data.read_binary_files(w("j.bin", b"\x00\x01")),
            "bin e": lambda: ray_data.read_binary_files(w("k.bin", b"")),
            "bin p": lambda: ray_data.read_binary_files(w("l.bin", b"q"), include_paths=True).map(
                lambda r: {"p": os.path.basename(r["path"]), "n": len(r["bytes"])}
            ),
            "np": lambda: ray_data.read_numpy(
                (np.save(tmp_path / "m.npy", np.arange(4).reshape(2, 2)), str(tmp_path / "m.npy"))[
                    1
                ]
            ),
            "np obj": lambda: ray_data.read_numpy(
                (
                    np.save(tmp_path / "n.npy", np.array([1, "x"], dtype=object)),
                    str(tmp_path / "n.npy"),
                )[1],
                allow_pickle=True,
            ),
        }.items()
    }


def case_parts(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=10)
    return {
        k: _outcome(f)
        for k, f in {
            "l": lambda: [r["id"] for r in ds.limit(3).take_all()],
            "ll": lambda: ds.limit(30).limit(5).count(),
            "lm": lambda: ds.limit(5).map(lambda r: r).count(),
            "ml": lambda: ds.map(lambda r: r).limit(5).count(),
            "take 25": lambda: len(ds.take(25)),
            "take default": lambda: len(ds.take()),
            "take_batch": lambda: len(ds.take_batch()["id"]),
            "show": lambda: stdout_of(lambda: ds.show(2)),
            "limit shuffle": lambda: ds.random_shuffle(seed=1).limit(4).count(),
            "limit repart": lambda: ds.limit(7).repartition(3).materialize().num_blocks(),
            "split idx": lambda: [x.count() for x in ds.split_at_indices([0, 50, 100, 200])],
            "prop": lambda: [x.count() for x in ds.split_proportionately([0.2, 0.5])],
            "tts shuf": lambda: [x.count() for x in ds.train_test_split(0.3, shuffle=True, seed=5)],
            "tts strat": lambda: [
                x.count()
                for x in ds.map(lambda r: {"k": r["id"] % 4}).train_test_split(0.25, stratify="k")
            ],
            "union lim": lambda: ds.limit(2).union(ds.limit(3)).count(),
            "limit None": lambda: ds.limit(None).count(),
            "limit big": lambda: ds.limit(10**12).count(),
            "sample seed": lambda: (
                ds.random_sample(0.1, seed=1).count() == ds.random_sample(0.1, seed=1).count()
            ),
            "rand blk": lambda: sorted(
                r["id"] for r in ds.randomize_block_order(seed=3).take_all()
            )[:3],
        }.items()
    }


def case_preprocessors(ray_data, tmp_path):
    P = sub(ray_data, "preprocessors")
    ds = ray_data.from_items(
        [
            {"a": 1.0, "b": 10, "s": "x", "l": ["p", "q"], "t": "hello world"},
            {"a": None, "b": 20, "s": "y", "l": ["p"], "t": "hello"},
            {"a": 3.0, "b": 30, "s": "x", "l": [], "t": "a b c"},
        ]
    )

    def go(p, d=ds):

        def f():
            r = p.fit_transform(d)
            return {
                "s": r.schema(),
                "r": r.take_all(),
                "repr": repr(p),
                "stats": dict(sorted(getattr(p, "stats_", {}).items())),
            }

        return _outcome(f)

    return {
        k: go(m()) if callable(m) else m
        for k, m in {
            "std": lambda: P.StandardScaler(["a", "b"]),
            "std out": lambda: P.StandardScaler(["b"], output_columns=["bs"]),
            "minmax": lambda: P.MinMaxScaler(["b"]),
            "maxabs": lambda: P.MaxAbsScaler(["a", "b"]),
            "ord": lambda: P.OrdinalEncoder(["s"]),
            "onehot": lambda: P.OneHotEncoder(["s"], output_columns=["so"]),
            "onehot max": lambda: P.OneHotEncoder(["s"], max_categories={"s": 1}),
            "multi": lambda: P.MultiHotEncoder(["l"]),
            "label": lambda: P.LabelEncoder("s"),
            "cat": lambda: P.Categorizer(["s"]),
            "imp": lambda: P.SimpleImputer(["a"]),
            "imp c": lambda: P.SimpleImputer(["a"], strategy="constant", fill_value=-1),
            "imp mf": lambda: P.SimpleImputer(["a"], strategy="most_frequent"),
            "norm": lambda: P.Normalizer(["b"], norm="l1"),
            "power": lambda: P.PowerTransformer(["b"], power=0.5),
            "kbins": lambda: P.UniformKBinsDiscretizer(["b"], bins=2),
            "cbins": lambda: P.CustomKBinsDiscretizer(["b"], bins=[0, 15, 40]),
            "concat drop": lambda: P.Concatenator(
                ["b", "a"], output_column_name="v", dtype=np.float16
            ),
            "tok": lambda: P.Tokenizer(["t"]),
            "hash": lambda: P.HashingVectorizer(["t"], num_features=4),
            "fh": lambda: P.FeatureHasher(["b"], num_features=3, output_column="h"),
            "bad col": lambda: P.StandardScaler(["zz"]),
            "str col": lambda: P.StandardScaler(["s"]),
        }.items()
    }


def case_written_text(ray_data, tmp_path):
    ds = ray_data.from_pandas(_frame()).repartition(1)

    e = ray_data.from_items(
        [
            {
                "x": 1,
                "t": datetime.datetime(2024, 1, 1, 12),
                "l": [1, 2],
                "d": {"a": 1},
                "n": None,
                "dec": decimal.Decimal("1.5"),
                "by": b"q",
                "day": datetime.date(2024, 1, 1),
                "td": datetime.timedelta(seconds=5),
                "f": float("nan"),
            }
        ]
    )

    def text(n, f, **k):

        def go():
            f(str(tmp_path / n))
            return [
                open(os.path.join(d, x)).read()
                for d, _, fs in os.walk(tmp_path / n)
                for x in sorted(fs)
            ]

        return _outcome(go)

    return {
        "csv t": text("h", ds.limit(4).write_csv),
        "json td": text("k", e.select_columns(["td"]).write_json),
        "csv nested": text("l", e.select_columns(["l"]).write_csv),
        "csv types": text("m", e.select_columns(["x", "t", "n", "dec", "day", "f"]).write_csv),
        "csv td": text("n", e.select_columns(["td"]).write_csv),
        "json by": text("o", e.select_columns(["by"]).write_json),
        "json orient": text(
            "q", lambda p: ds.limit(2).write_json(p, orient="columns", lines=False)
        ),
        "csv opts": text(
            "r",
            lambda p: ds.limit(2).write_csv(
                p,
                arrow_csv_args_fn=lambda: {
                    "write_options": pyarrow.csv.WriteOptions(include_header=False, delimiter=";")
                },
            ),
        ),
        "json index": text(
            "s",
            lambda p: ds.limit(2).write_json(
                p,
                pandas_json_args_fn=lambda: {
                    "orient": "records",
                    "lines": True,
                    "double_precision": 2,
                },
            ),
        ),
    }


def case_wrong_arguments(ray_data, tmp_path):
    ds = ray_data.range(4)
    return {
        k: _outcome(f)
        for k, f in {
            "take_batch fmt": lambda: ds.take_batch(2, batch_format="nope"),
            "take_all limit": lambda: ds.take_all(limit=2),
            "to_pandas limit": lambda: ds.to_pandas(limit=2),
            "rename list": lambda: ds.rename_columns(["a", "b"]).take_all(),
            "rename empty": lambda: ds.rename_columns({}),
            "rename dupe": lambda: ds.rename_columns({"id": "a", "x": "a"}),
            "rename nonstr": lambda: ds.rename_columns({"id": 3}),
            "rename none": lambda: ds.rename_columns(None),
            "select dup": lambda: ds.select_columns(["id", "id"]),
            "select int": lambda: ds.select_columns([1]),
            "select none": lambda: ds.select_columns(None),
            "drop dup": lambda: ds.drop_columns(["id", "id"]),
            "drop str": lambda: ds.drop_columns("id").schema(),
            "repart float": lambda: ds.repartition(2.0).num_blocks(),
            "union bad": lambda: ds.union(3),
            "zip bad": lambda: ds.zip(3),
            "sort none": lambda: ds.sort(None).take_all(),
            "sort mism": lambda: ds.sort(["id"], descending=[True, False]).take_all(),
            "agg none": lambda: ds.aggregate(),
            "agg bad": lambda: ds.aggregate("sum"),
            "group x": lambda: ds.groupby("x").count().take_all(),
            "sum str": lambda: ds.map(lambda r: {"s": "a"}).sum("s"),
            "mean str": lambda: ds.map(lambda r: {"s": "a"}).mean("s"),
            "std str": lambda: ds.map(lambda r: {"s": "a"}).std("s"),
            "unique x": lambda: ds.unique("x"),
            "add_column exists": lambda: ds.add_column("id", lambda b: b["id"] + 1).take_all(),
            "add_column fmt": lambda: ds.add_column("x", lambda b: b["id"], batch_format="rows"),
            "filter str": lambda: ds.filter("id > 1").take_all(),
            "filter expr+fn": lambda: ds.filter(fn=lambda r: True, expr="id > 1"),
            "sample 2": lambda: ds.random_sample(2),
            "sample 1": lambda: ds.random_sample(1.0).count(),
            "sample 0": lambda: ds.random_sample(0.0).count(),
            "tts int": lambda: [x.count() for x in ds.train_test_split(1)],
            "tts int big": lambda: ds.train_test_split(10),
            "tts 1.0": lambda: ds.train_test_split(1.0),
            "split str": lambda: ds.split("2"),
            "split loc": lambda: ds.split(2, locality_hints=[1]),
            "split_at neg": lambda: ds.split_at_indices([-1]),
            "split_at empty": lambda: ds.split_at_indices([]),
            "split_prop empty": lambda: ds.split_proportionately([]),
            "split_prop 0": lambda: ds.split_proportionately([0.0, 0.5]),
            "iter prefetch neg": lambda: list(ds.iter_batches(prefetch_batches=-1)),
            "iter buf": lambda: len(
                list(ds.iter_batches(batch_size=4, local_shuffle_buffer_size=2))
            ),
            "iter buf none": lambda: len(
                list(ds.iter_batches(batch_size=None, local_shuffle_buffer_size=2))
            ),
            "show 0": lambda: ds.show(0),
            "take 0": lambda: ds.take(0),
            "join type": lambda: ds.join(ds, "sideways", 1, on=("id",)),
            "join on": lambda: ds.join(ds, "inner", 1, on=("x",)).take_all(),
            "join on str": lambda: ds.join(ds, "inner", 1, on="id").take_all(),
            "join parts": lambda: ds.join(ds, "inner", 0, on=("id",)),
        }.items()
    }


def case_wrong_makers(ray_data, tmp_path):
    return {
        k: _outcome(f)
        for k, f in {
            "range float": lambda: ray_data.range(3.0).take_all(),
            "from_items str": lambda: ray_data.from_items("abc").take_all(),
            "from_items none": lambda: ray_data.from_items(None),
            "from_items mixed": lambda: ray_data.from_items([1, "a"]).take_all(),
            "from_items mixed2": lambda: ray_data.from_items([{"a": 1}, 2]).take_all(),
            "from_pandas list": lambda: ray_data.from_pandas([1]),
            "from_pandas empty": lambda: ray_data.from_pandas(pd.DataFrame()).take_all(),
            "from_pandas empty cols": lambda: ray_data.from_pandas(
                pd.DataFrame({"a": []})
            ).schema(),
            "from_numpy scalar": lambda: ray_data.from_numpy(np.array(3)).take_all(),
            "from_numpy list": lambda: ray_data.from_numpy([1, 2]).take_all(),
            "from_numpy empty": lambda: ray_data.from_numpy(np.array([])).take_all(),
            "from_arrow bytes": lambda: ray_data.from_arrow(b"abc"),
            "from_arrow []": lambda: ray_data.from_arrow([]).count(),
            "from_pandas []": lambda: ray_data.from_pandas([]).count(),
            "from_torch": lambda: ray_data.from_torch([1, 2]).take_all(),
            "from_huggingface": lambda: ray_data.from_huggingface(3),
            "read_text bytes": lambda: ray_data.read_text(b"x"),
            "read_csv dict": lambda: ray_data.read_csv({"a": 1}),
            "read_parquet mixed": lambda: ray_data.read_parquet(["a", 3]),
            "override 0": lambda: ray_data.range(3, override_num_blocks=0),
            "concurrency 0": lambda: ray_data.range(3, concurrency=0),
            "read_api_unknown": lambda: ray_data.read_text("x", nosuch=3),
            "read_parallelism": lambda: ray_data.range(3, parallelism=2).num_blocks(),
        }.items()
    }


def case_results_of_functions(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)

    def b(v):
        return lambda: ds.map_batches(lambda x: v).take_all()

    return {
        k: _outcome(f)
        for k, f in {
            "b none": b(None),
            "b list": b([1]),
            "b str": b("x"),
            "b int": b(3),
            "b empty dict": b({}),
            "b tuple": b(({"a": [1]},)),
            "b np": b(np.arange(3)),
            "b series": b(pd.Series([1, 2])),
            "b 0d": b({"a": np.array(1)}),
            "b scalars": b({"a": 1}),
            "b str val": b({"a": "xyz"}),
            "b lens": b({"a": [1, 2], "b": [1]}),
            "b int key": b({1: [1]}),
            "b set": b({"a": {1, 2}}),
            "b range": b({"a": range(3)}),
            "b nested": b({"a": [{"x": 1}, {"y": 2}]}),
            "b tuples": b({"a": [(1, 2), (3, 4)]}),
            "b df": b(pd.DataFrame({"a": [1, 2]})),
            "b dfidx": b(pd.DataFrame({"a": [1, 2]}, index=["x", "y"])),
            "b arr": b({"a": pa.array([1, 2])}),
            "b chunk": b({"a": pa.chunked_array([[1], [2]])}),
            "b none list": b({"a": [None, None]}),
            "b mixed": b({"a": [1, "x"]}),
            "b mixed2": b({"a": [1, None, 2.5]}),
            "b dict of dict": b({"a": {"x": [1]}}),
            "b dts": b({"a": [datetime.datetime(2024, 1, 1)]}),
            "b bytes": b({"a": [b"1", b"22"]}),
        }.items()
    }


def case_rows_of_functions(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)

    def m(v):
        return lambda: ds.map(lambda x: v).take_all()

    return {
        k: _outcome(f)
        for k, f in {
            "m none": m(None),
            "m list": m([1]),
            "m tuple": m((1,)),
            "m key": m({1: 2}),
            "m np": m(np.arange(2)),
            "m series": m(pd.Series({"a": 1})),
            "m od": m(collections.OrderedDict(a=1)),
            "m set": m({"a": {1}}),
            "m tuple v": m({"a": (1, 2)}),
            "m 0d": m({"a": np.array(3)}),
            "m frac": m({"a": fractions.Fraction(1, 2)}),
            "m cplx": m({"a": 1j}),
            "m path": m({"a": pathlib.PurePosixPath("/x")}),
            "m uuid": m({"a": uuid.UUID(int=5)}),
            "m dec": m({"a": decimal.Decimal("1.5")}),
            "m time": m({"a": datetime.time(1, 2)}),
            "m td": m({"a": datetime.timedelta(1)}),
            "m range": m({"a": range(3)}),
            "m gen": m({"a": None}),
            "m ddict": m(collections.defaultdict(int, a=1)),
            "m bytes": m({"a": bytearray(b"x")}),
            "m mv": m({"a": memoryview(b"x")}),
            "m nan": m({"a": float("nan")}),
            "m npstr": m({"a": np.str_("x")}),
            "m npbool": m({"a": np.bool_(True)}),
            "m dt64": m({"a": np.datetime64("2024-01-01")}),
            "m td64": m({"a": np.timedelta64(3, "s")}),
            "m f16": m({"a": np.float16(1.5)}),
            "m pdts": m({"a": pd.Timestamp("2024-01-01")}),
            "m pdna": m({"a": pd.NA}),
            "m nat": m({"a": pd.NaT}),
            "m pascalar": m({"a": pa.scalar(3)}),
            "m counter": m({"a": collections.Counter("aab")}),
            "m emptylist": m({"a": []}),
            "m listnone": m({"a": [None]}),
            "m emptydict": m({"a": {}}),
            "m emptyarr": m({"a": np.array([])}),
            "m nested arr": m({"a": {"x": np.arange(2)}}),
            "m list arr": m({"a": [np.arange(2), np.arange(2)]}),
            "m list ragged": m({"a": [np.arange(2), np.arange(3)]}),
        }.items()
    }


def case_nothing(ray_data, tmp_path):
    ds = ray_data.range(3)
    e = ray_data.from_items([])
    return {
        k: _outcome(f)
        for k, f in {
            "len": lambda: len(ds),
            "iter": lambda: iter(ds),
            "getitem": lambda: ds["id"],
            "in": lambda: 3 in ds,
            "eq": lambda: ds == ray_data.range(3),
            "hash": lambda: isinstance(hash(ds), int),
            "bool": lambda: bool(e),
            "e schema": lambda: e.schema(),
            "e count": lambda: e.count(),
            "e take": lambda: e.take(3),
            "e take_batch": lambda: e.take_batch(),
            "e pandas": lambda: e.to_pandas(),
            "e sum": lambda: e.sum("a"),
            "e columns": lambda: e.columns(),
            "e max": lambda: e.max(),
            "e sort": lambda: e.sort("a").take_all(),
            "e group": lambda: e.groupby("a").count().take_all(),
            "e iter": lambda: list(e.iter_batches()),
            "e split": lambda: [x.count() for x in e.split(2)],
            "e mat": lambda: repr(e.materialize()),
            "e size": lambda: e.size_bytes(),
            "e blocks": lambda: e.materialize().num_blocks(),
            "e union": lambda: e.union(ds).take_all(),
            "e map": lambda: e.map(lambda r: r).take_all(),
            "e parquet": lambda: e.write_parquet(str(tmp_path / "e")),
            "e show": lambda: stdout_of(lambda: e.show()),
            "e shuffle": lambda: e.random_shuffle().take_all(),
            "e join": lambda: e.join(ds, "inner", 1, on=("id",)).take_all(),
            "e tts": lambda: [x.count() for x in e.train_test_split(0.5)],
            "e summary": lambda: type(e.summary()).__name__,
            "num_blocks lazy": lambda: ds.num_blocks(),
            "num_blocks mat": lambda: ds.materialize().num_blocks(),
            "names": lambda: [ds.name, ds.dataset_name if hasattr(ds, "dataset_name") else 0],
            "iterator repr": lambda: repr(ds.iterator()),
            "grouped repr": lambda: str(type(ds.groupby("id")).__name__),
            "schema none": lambda: ds.map(lambda r: r).schema(fetch_if_missing=False),
            "input_files": lambda: ds.input_files(),
            "context": lambda: type(ds.context).__name__,
            "get refs": lambda: len(ds.to_pandas_refs()),
            "np refs": lambda: len(ds.to_numpy_refs(column="id")),
            "tf": lambda: ds.to_tf("a", "b"),
            "spark": lambda: ds.to_spark(3),
            "iter_tf": lambda: next(iter(ds.iter_tf_batches())),
            "to_torch": lambda: ds.to_torch(),
            "serialize": lambda: ds.has_serializable_lineage(),
            "deser": lambda: ray_data.Dataset.deserialize_lineage(
                ds.serialize_lineage()
            ).take_all(),
            "get_internal": lambda: len(ds.get_internal_block_refs()),
            "set_name": lambda: ds.set_name("a"),
        }.items()
    }
