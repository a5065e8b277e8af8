"""Whole programs as users write them: reports, features, duplicates, joins, training data."""

import hashlib
import json
import os
import re

import numpy as np
import pandas as pd
from corpus import error_of, files_under, rows, sub


def _orders(n=40):
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "order_id": np.arange(n, dtype="int64"),
            "customer": [f"c{i % 7}" for i in range(n)],
            "amount": np.round(rng.uniform(1, 100, n), 2),
            "qty": rng.integers(1, 5, n).astype("int32"),
            "when": pd.date_range("2024-01-01", periods=n, freq="7h"),
            "note": [None if i % 5 == 0 else f"n{i % 3}" for i in range(n)],
        }
    )


def case_csv_to_partitions(ray_data, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    _orders().iloc[:20].to_csv(source / "a.csv", index=False)
    _orders().iloc[20:].to_csv(source / "b.csv", index=False)
    ds = ray_data.read_csv(str(source)).filter(lambda row: row["amount"] > 10)
    ds = ds.add_column("total", lambda batch: batch["amount"] * batch["qty"])
    ds = ds.map_batches(
        lambda df: df.assign(day=df["when"].dt.date.astype(str)), batch_format="pandas"
    )
    ds.write_parquet(str(tmp_path / "out"), partition_cols=["customer"])
    back = ray_data.read_parquet(str(tmp_path / "out"))
    return {"names": back.columns(), "total": round(back.sum("total"), 4), "rows": rows(back)}


def case_report_of_customers(ray_data, tmp_path):
    agg = sub(ray_data, "aggregate")
    report = (
        ray_data.from_pandas(_orders())
        .groupby("customer")
        .aggregate(
            agg.Count(),
            agg.Sum("amount"),
            agg.Mean("qty"),
            agg.Max("when"),
            agg.Min("note"),
            agg.Count("note"),
            agg.Std("amount", ddof=0),
        )
    )
    return report.sort("customer").take_all()


def case_best_orders_of_groups(ray_data, tmp_path):
    def best(group):
        return group.sort_values("amount", ascending=False).head(2)

    grouped = ray_data.from_pandas(_orders()).groupby(["customer", "qty"])
    return rows(grouped.map_groups(best, batch_format="pandas"))


def case_scores_within_groups(ray_data, tmp_path):
    """Without a format a group is a DataFrame: the deviation is that of a sample."""

    def score(group):
        amount = group["amount"]
        return {
            "customer": group["customer"],
            "z": (amount - amount.mean()) / amount.std(),
            "rank": np.argsort(np.argsort(amount)),
        }

    ds = ray_data.from_pandas(_orders()).groupby("customer").map_groups(score)
    return {"schema": ds.columns(), "rows": rows(ds)}


def case_kinds_of_groups(ray_data, tmp_path):
    frame = pd.DataFrame({"k": ["a", "b", "a"], "v": [1.0, 2.0, 3.0]})

    def look(group):
        return {
            "group": [type(group).__name__],
            "column": [type(group["v"]).__name__],
            "dtype": [str(group["v"].dtype)],
            "first": [int(group["v"].iloc[0])],
        }

    makers = {
        "frame": ray_data.from_pandas(frame),
        "items": ray_data.from_items(frame.to_dict("records")),
        "batches": ray_data.from_pandas(frame).map_batches(lambda batch: batch),
    }
    return {name: rows(ds.groupby("k").map_groups(look)) for name, ds in makers.items()}


def case_groups_by_methods_of_frames(ray_data, tmp_path):
    ds = ray_data.from_pandas(_orders().drop(columns=["when"]))
    grouped = ds.groupby("customer")
    return {
        "tail": rows(grouped.map_groups(lambda df: df.tail(1))),
        "assign": grouped.map_groups(lambda df: df.assign(n=len(df))).columns(),
        "loc": rows(grouped.map_groups(lambda df: df.loc[df["amount"].idxmax()].to_frame().T)),
        "agg": rows(grouped.map_groups(lambda df: {"m": [df["qty"].max()], "n": [len(df)]})),
        "index": rows(grouped.map_groups(lambda df: df.set_index("order_id").head(1))),
        "numeric": rows(grouped.map_groups(lambda df: df.mean(numeric_only=True).to_frame().T)),
    }


def case_frame_types_in_groups(ray_data, tmp_path):
    frame = pd.DataFrame({"k": [1, 1, 2], "flag": [True, False, True], "v": [1.5, 2.5, 3.5]})
    ds = ray_data.from_pandas(frame).groupby("k")

    def look(group):
        return {"name": list(group.columns), "dtype": [str(kind) for kind in group.dtypes]}

    return {
        "default": rows(ds.map_groups(look)),
        "pandas": rows(ds.map_groups(look, batch_format="pandas")),
        "mean": rows(
            ds.map_groups(lambda g: g.mean(numeric_only=True).to_frame().T, batch_format="pandas")
        ),
    }


def case_duplicates_by_hash(ray_data, tmp_path):
    texts = ["hello world", "Hello  World", "other", "other ", "third", "THIRD", "x"]

    def key(row):
        text = re.sub(r"\s+", " ", row["text"].strip().lower())
        return {**row, "hash": hashlib.md5(text.encode()).hexdigest()}

    ds = ray_data.from_items([{"id": i, "text": text} for i, text in enumerate(texts)]).map(key)
    kept = ds.groupby("hash").map_groups(lambda group: group.sort_values("id").head(1))
    return kept.drop_columns(["hash"]).sort("id").take_all()


def case_duplicates_by_bands(ray_data, tmp_path):
    texts = ["the quick brown fox jumps", "the quick brown fox leaps", "lorem ipsum", "alone"]

    def sign(batch):
        words = [text.split() for text in batch["text"]]
        least = [min(hashlib.sha1(w.encode()).digest()[0] for w in line) for line in words]
        batch["sign"] = np.array(least, dtype=np.uint32)
        return batch

    def bands(row):
        for i in range(2):
            yield {"band": f"{i}-{row['sign'] >> (4 * i) & 0xF}", "id": row["id"]}

    ds = ray_data.from_items([{"id": i, "text": text} for i, text in enumerate(texts)])
    pairs = (
        ds.map_batches(sign)
        .flat_map(bands)
        .groupby("band")
        .map_groups(lambda g: {"ids": [sorted(g["id"].tolist())], "n": [len(g["id"])]})
    )
    return rows(pairs)


def case_features_of_orders(ray_data, tmp_path):
    pre = sub(ray_data, "preprocessors")
    chain = pre.Chain(
        pre.SimpleImputer(columns=["note"], strategy="most_frequent"),
        pre.OneHotEncoder(columns=["note"]),
        pre.StandardScaler(columns=["amount"]),
        pre.Concatenator(
            columns=["amount", "qty"], output_column_name="features", dtype=np.float32
        ),
    )
    out = chain.fit_transform(ray_data.from_pandas(_orders()))
    return {"columns": out.columns(), "rows": out.sort("order_id").take(3)}


def case_vectors_with_gaps(ray_data, tmp_path):
    pre = sub(ray_data, "preprocessors")
    ds = ray_data.from_items([{"a": 1.0, "b": 10}, {"a": None, "b": 20}, {"a": 3.0, "b": 30}])
    return pre.Concatenator(["a", "b"]).fit_transform(ds).take_all()


def case_images_to_arrays(ray_data, tmp_path):
    from PIL import Image

    for i in range(6):
        pixels = np.full((8 + i, 10, 3), i * 10, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}_class{i % 2}.png")
    ds = ray_data.read_images(str(tmp_path), include_paths=True, mode="RGB")

    def prepare(row):
        name = os.path.basename(row.pop("path"))
        image = np.asarray(Image.fromarray(row["image"]).resize((4, 4)))
        return {"image": image.astype(np.float32) / 255, "kind": name.split("_")[1][:6]}

    ds = ds.map(prepare)
    return {
        "schema": ds.schema(),
        "counts": ds.groupby("kind").count().sort("kind").take_all(),
        "means": sorted(round(float(row["image"].mean()), 6) for row in ds.iter_rows()),
    }


def case_lines_and_words(ray_data, tmp_path):
    (tmp_path / "t.txt").write_text("one two\n\nthree  four five\n  six\n")
    col = sub(ray_data, "expressions").col
    ds = ray_data.read_text(str(tmp_path / "t.txt"), drop_empty_lines=False)
    words = ds.flat_map(lambda row: [{"w": word} for word in row["text"].split()])
    lines = ds.with_column("n", col("text").str.len())
    return {
        "lines": lines.with_column("upper", col("text").str.upper()).take_all(),
        "words": words.groupby("w").count().sort("w").to_pandas(),
    }


def case_events_of_json(ray_data, tmp_path):
    events = [
        {
            "t": f"2024-05-01T00:00:0{i}",
            "user": {"id": i % 3, "tags": ["a"] * (i % 3)},
            "v": i or None,
        }
        for i in range(6)
    ]
    (tmp_path / "e.jsonl").write_text("\n".join(json.dumps(event) for event in events))
    ds = ray_data.read_json(str(tmp_path / "e.jsonl"))
    flat = ds.map(
        lambda row: {"id": row["user"]["id"], "n": len(row["user"]["tags"]), "v": row["v"]}
    )
    return {
        "schema": ds.schema(),
        "rows": ds.take_all(),
        "flat": flat.take_all(),
        "sums": flat.groupby("id").sum("n").sort("id").take_all(),
    }


def case_orders_with_cities(ray_data, tmp_path):
    orders = ray_data.from_items(_orders()[["order_id", "customer"]].to_dict("records"))
    cities = ray_data.from_items(
        [{"customer": f"c{i}", "city": ["rome", "oslo"][i % 2]} for i in range(5)]
    )
    kinds = ("inner", "left_outer", "left_anti", "left_semi")
    return {
        kind: rows(
            orders.join(cities, kind, 2, on=("customer",)).filter(lambda r: r["order_id"] < 9)
        )
        for kind in kinds
    }


def case_join_of_other_names(ray_data, tmp_path):
    left = ray_data.from_items([{"id": i, "v": i * i} for i in range(6)])
    right = ray_data.from_items([{"key": i, "v": -i} for i in range(3, 9)])
    joined = left.join(
        right,
        "full_outer",
        2,
        on=("id",),
        right_on=("key",),
        left_suffix="_l",
        right_suffix="_r",
    )
    return {"schema": joined.schema(), "rows": rows(joined)}


def case_tokens_packed(ray_data, tmp_path):
    ds = ray_data.from_items([{"text": text} for text in ["a bb ccc", "d", "ee ff", "g hhh i j"]])

    def lengths(batch):
        return {"ids": [np.array([len(w) for w in text.split()]) for text in batch["text"]]}

    def pack(batch):
        flat = np.concatenate(list(batch["ids"]))
        return {"packed": flat[: len(flat) // 3 * 3].reshape(-1, 3)}

    tokens = ds.repartition(1).map_batches(lengths)
    packed = tokens.map_batches(pack, batch_size=None)
    return {"tokens": tokens.take_all(), "schema": packed.schema(), "packed": packed.take_all()}


def case_three_formats(ray_data, tmp_path):
    ds = ray_data.from_items(_orders()[["order_id", "amount", "customer"]].to_dict("records"))
    ds = ds.repartition(2)
    out = {}
    for name in ("parquet", "csv", "json"):
        folder = str(tmp_path / name)
        getattr(ds, f"write_{name}")(folder)
        back = getattr(ray_data, f"read_{name}")(folder)
        out[name] = [back.schema(), back.count(), round(back.sum("amount"), 3), files_under(folder)]
    return out


def case_own_source_of_squares(ray_data, tmp_path):
    import pyarrow as pa

    datasource, block = sub(ray_data, "datasource"), sub(ray_data, "block")

    class Squares(datasource.Datasource):
        def __init__(self, n):
            super().__init__()
            self._n = n

        def estimate_inmemory_data_size(self):
            return self._n * 8

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            tasks = []
            for part in np.array_split(np.arange(self._n), 2):

                def read(part=part):
                    yield pa.table({"i": part, "square": part**2})

                metadata = block.BlockMetadata(
                    num_rows=len(part), size_bytes=len(part) * 16, input_files=None, exec_stats=None
                )
                tasks.append(datasource.ReadTask(read, metadata))
            return tasks

    ds = ray_data.read_datasource(Squares(7))
    return [ds.count(), ds.schema(), rows(ds), ds.sum("square"), Squares(1).get_name()]


def case_own_aggregation(ray_data, tmp_path):
    agg, block = sub(ray_data, "aggregate"), sub(ray_data, "block")

    class Spread(agg.AggregateFnV2):
        def __init__(self, on, alias_name=None):
            super().__init__(
                alias_name or f"spread({on})",
                zero_factory=lambda: [float("inf"), float("-inf")],
                on=on,
                ignore_nulls=True,
            )

        def aggregate_block(self, block_):
            column = block.BlockAccessor.for_block(block_).to_pandas()[self._target_col_name]
            return [column.min(), column.max()]

        def combine(self, one, other):
            return [min(one[0], other[0]), max(one[1], other[1])]

        def finalize(self, accumulator):
            return accumulator[1] - accumulator[0]

    ds = ray_data.from_pandas(_orders())
    return {
        "groups": rows(ds.groupby("customer").aggregate(Spread("qty"), Spread("order_id", "ids"))),
        "all": ds.aggregate(Spread("amount")),
        "whole": ds.aggregate(Spread("qty", "q")),
    }


def case_frame_comes_back_as_it_was(ray_data, tmp_path):
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int64"),
            "b": pd.array([True, None, False], dtype="boolean"),
            "f": pd.array([1.5, None, 3.5], dtype="Float32"),
            "s": pd.array(["x", None, "y"], dtype="string"),
            "t": pd.to_datetime(["2024-01-01", None, "2024-01-03"]),
            "d": pd.to_timedelta([1, 2, None], unit="s"),
        }
    )
    return ray_data.from_pandas(frame).to_pandas()


def case_small_mistakes(ray_data, tmp_path):
    ds = ray_data.range(3)
    return {
        "path": error_of(lambda: ds.write_parquet(3)),
        "no path": error_of(lambda: ds.write_csv(None)),
        "float": ray_data.range(3.0).take_all(),
        "empty": [ray_data.from_items([]).max(), ray_data.from_items([]).sum()],
        "columns": error_of(lambda: ds.rename_columns(["a", "b"]), "length"),
        "limit": error_of(lambda: ds.take_all(limit=2), "limit"),
    }


def case_schema_of_a_union(ray_data, tmp_path):
    def items(*values):
        return ray_data.from_items([{"x": value} for value in values])

    numbers = items(1, 2)
    other = ray_data.from_items([{"y": "s"}])
    return {
        "float": numbers.union(items(2.5)).schema(),
        "null": items(None).union(numbers).schema(),
        "column": numbers.union(other).schema(),
        "three": numbers.union(items(2.5), other).schema(),
        "same": numbers.union(numbers).schema(),
        "rows": rows(numbers.union(items(2.5))),
    }
