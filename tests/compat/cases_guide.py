"""Whole programs as the user guides have them: several verbs together."""

import collections
import datetime
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from corpus import error_of, files_under, rows, stdout_of, sub

_IRIS = """sepal length (cm),sepal width (cm),petal length (cm),petal width (cm),target
5.1,3.5,1.4,0.2,0
4.9,3.0,1.4,0.2,0
6.4,3.2,4.5,1.5,1
6.9,3.1,4.9,1.5,1
5.8,2.7,5.1,1.9,2
7.1,3.0,5.9,2.1,2
"""


def _iris(ray_data, tmp_path):
    (tmp_path / "iris.csv").write_text(_IRIS)
    return ray_data.read_csv(str(tmp_path / "iris.csv"), override_num_blocks=1)


def case_quick_start(ray_data, tmp_path):
    ds = _iris(ray_data, tmp_path)

    def transform_batch(batch):
        length = batch["petal length (cm)"]
        width = batch["petal width (cm)"]
        batch["petal area (cm^2)"] = length * width
        return batch

    out = ds.map_batches(transform_batch)
    printed = stdout_of(lambda: out.show(limit=1))
    out.write_parquet(str(tmp_path / "out"))
    return {
        "printed": printed,
        "columns": out.columns(),
        "files": files_under(tmp_path / "out"),
        "schema": str(ds.schema()),
    }


def case_inspect_rows_and_batches(ray_data, tmp_path):
    ds = _iris(ray_data, tmp_path)
    batch = ds.take_batch(batch_size=2)
    return {"rows": ds.take(limit=1), "batch": batch, "count": ds.count()}


def case_materialized_text(ray_data, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    return repr(ray_data.read_csv(str(tmp_path / "t.csv")).materialize())


def case_batch_inference_without_model(ray_data, tmp_path):
    ds = ray_data.from_numpy(np.ones((8, 10)))

    class Predictor:
        def __init__(self):
            self.model = lambda x: x.sum(axis=1)

        def __call__(self, batch):
            batch["output"] = self.model(batch["data"])
            return batch

    predictions = ds.map_batches(Predictor, compute=ray_data.ActorPoolStrategy(size=2))
    return sorted(float(row["output"]) for row in predictions.take_all())


def case_torch_predictor(ray_data, tmp_path):
    import torch

    class TorchPredictor:
        def __init__(self):
            torch.manual_seed(0)
            self.model = torch.nn.Linear(in_features=4, out_features=1)
            self.model.eval()

        def __call__(self, batch):
            tensor = torch.as_tensor(batch["data"], dtype=torch.float32)
            with torch.inference_mode():
                return {"output": self.model(tensor).numpy()}

    ds = ray_data.from_numpy(np.ones((3, 4)))
    out = ds.map_batches(TorchPredictor, concurrency=1)
    return {"schema": out.schema(), "rows": len(out.take_all())}


def case_word_count(ray_data, tmp_path):
    (tmp_path / "a.txt").write_text("the cat\nthe dog\n")
    (tmp_path / "b.txt").write_text("a cat\n")

    def words(row):
        return [{"word": word} for word in re.findall(r"\w+", row["text"])]

    ds = ray_data.read_text(str(tmp_path)).flat_map(words)
    counts = collections.Counter(row["word"] for row in ds.iter_rows())
    return dict(sorted(counts.items()))


def case_row_to_several_columns(ray_data, tmp_path):
    lines = [{"line": "2024-01-02 INFO start"}, {"line": "2024-01-03 WARN slow"}]

    def parse(row):
        date, level, text = row["line"].split(" ", 2)
        return {"date": datetime.date.fromisoformat(date), "level": level, "text": text}

    ds = ray_data.from_items(lines).map(parse)
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_drop_nulls(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": 1}, {"v": None}, {"v": 3}], override_num_blocks=1)
    out = ds.map_batches(lambda df: df.dropna(), batch_format="pandas")
    return {"count": out.count(), "sum": out.sum("v")}


def case_fill_nulls(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": 1.0}, {"v": None}], override_num_blocks=1)
    out = ds.map_batches(lambda df: df.fillna(0.0), batch_format="pandas")
    return rows(out)


def case_standardise(ray_data, tmp_path):
    ds = ray_data.range(100).map_batches(lambda b: {"x": b["id"].astype("float64")})
    mean, std = ds.mean("x"), ds.std("x")
    scaled = ds.map_batches(lambda b: {"x": (b["x"] - mean) / std})
    return {"mean": round(scaled.mean("x"), 6) + 0.0, "std": round(scaled.std("x"), 6)}


def case_one_hot(ray_data, tmp_path):
    ds = ray_data.from_items([{"c": c} for c in "abca"], override_num_blocks=1)
    values = sorted(ds.unique("c"))
    out = ds.map(lambda row: {f"is_{v}": int(row["c"] == v) for v in values})
    return out.take_all()


def case_expressions_pipeline(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    col, lit = expressions.col, expressions.lit
    items = [{"price": 10.0, "qty": 3, "sku": "A-1"}, {"price": 2.5, "qty": 0, "sku": "B-2"}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    ds = ds.with_column("total", col("price") * col("qty"))
    ds = ds.with_column("taxed", col("total") * lit(1.2))
    ds = ds.with_column("kind", col("sku").str.slice(0, 1))
    return ds.filter(expr=col("total") > 0).take_all()


def case_parquet_to_parquet(ray_data, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for i in range(3):
        table = pa.table({"id": list(range(i * 10, i * 10 + 10)), "v": np.arange(10) / 10})
        pq.write_table(table, source / f"{i}.parquet")
    col = sub(ray_data, "expressions").col
    ds = ray_data.read_parquet(str(source)).filter(expr=col("v") > 0.5)
    ds = ds.with_column("w", col("v") * 10).drop_columns(["v"])
    ds.write_parquet(str(tmp_path / "out"))
    back = ray_data.read_parquet(str(tmp_path / "out"))
    return {"count": back.count(), "sum": back.sum("w"), "columns": back.columns()}


def case_csv_to_json(ray_data, tmp_path):
    ds = _iris(ray_data, tmp_path).rename_columns({"sepal length (cm)": "sepal"})
    ds.select_columns(["sepal", "target"]).write_json(str(tmp_path / "out"))
    return rows(ray_data.read_json(str(tmp_path / "out")))


def case_training_batches(ray_data, tmp_path):
    ds = _iris(ray_data, tmp_path).materialize()
    sizes = []
    for _ in range(2):
        for batch in ds.iter_torch_batches(batch_size=4):
            sizes.append([len(batch["target"]), str(batch["target"].dtype)])
    return sizes


def case_tensors_to_torch(ray_data, tmp_path):
    ds = ray_data.range_tensor(4, shape=(3, 2, 2), override_num_blocks=1)
    shapes = [tuple(batch["data"].shape) for batch in ds.iter_torch_batches(batch_size=3)]
    return shapes


def case_two_outputs_of_one_dataset(ray_data, tmp_path):
    ds = ray_data.range(20).map(lambda row: {"id": row["id"], "even": row["id"] % 2 == 0})
    ds = ds.materialize()
    even = ds.filter(lambda row: row["even"])
    odd = ds.filter(lambda row: not row["even"])
    return {"even": even.sum("id"), "odd": odd.sum("id")}


def case_union_of_sources(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("v\n1\n2\n")
    pq.write_table(pa.table({"v": [3]}), tmp_path / "b.parquet")
    a = ray_data.read_csv(str(tmp_path / "a.csv"))
    b = ray_data.read_parquet(str(tmp_path / "b.parquet"))
    return a.union(b).sum("v")


def case_chained_actors(ray_data, tmp_path):
    class Add:
        def __init__(self, n):
            self.n = n

        def __call__(self, batch):
            return {"v": batch["v"] + self.n}

    ds = ray_data.range(20).rename_columns({"id": "v"})
    for n in (1, 10):
        ds = ds.map_batches(Add, concurrency=1, fn_constructor_args=[n], num_cpus=0.25)
    return ds.sum("v")


def case_download_like_step(ray_data, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text("x" * (i + 1))
    paths = [{"path": str(tmp_path / f"{i}.txt")} for i in range(3)]

    def load(row):
        with open(row["path"], "rb") as file:
            row["bytes"] = file.read()
        return row

    ds = ray_data.from_items(paths).map(load)
    return sorted(len(row["bytes"]) for row in ds.take_all())


def case_explode_column(ray_data, tmp_path):
    items = [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return ds.flat_map(lambda r: [{"id": r["id"], "tag": t} for t in r["tags"]]).take_all()


def case_pandas_group_inside_a_batch(ray_data, tmp_path):
    items = [{"g": "a", "v": 1}, {"g": "b", "v": 2}, {"g": "a", "v": 3}]

    def totals(df):
        return df.groupby("g", as_index=False)["v"].sum()

    ds = ray_data.from_items(items, override_num_blocks=1)
    return rows(ds.map_batches(totals, batch_format="pandas", batch_size=None))


def case_sample_first_n(ray_data, tmp_path):
    ds = ray_data.range(1000, override_num_blocks=10).limit(25)
    df = ds.to_pandas()
    return {"n": len(df), "unique": int(df["id"].nunique())}


def case_recover_after_an_error(ray_data, tmp_path):
    def fail(batch):
        raise RuntimeError("no")

    first = error_of(lambda: ray_data.range(3).map_batches(fail).take_all(), "no")
    return {"first": first, "then": rows(ray_data.range(3))}


def case_error_names_the_function_line(ray_data, tmp_path):
    def broken_parser(row):
        return {"v": int("not a number")}

    return error_of(
        lambda: ray_data.range(3).map(broken_parser).take_all(),
        "broken_parser",
        "not a number",
        "ValueError",
    )


def case_closure_and_module_state(ray_data, tmp_path):
    table = {0: "zero", 1: "one"}
    pattern = re.compile("o")

    def look(row):
        name = table.get(row["id"], "many")
        return {"name": name, "o": len(pattern.findall(name))}

    return rows(ray_data.range(3).map(look))


def case_large_object_in_closure(ray_data, tmp_path):
    weights = np.arange(100_000)
    ds = ray_data.range(4).map_batches(lambda b: {"w": weights[b["id"]]})
    return rows(ds)


def case_pandas_round_trip_of_types(ray_data, tmp_path):
    df = pd.DataFrame(
        {
            "s": ["a", "b"],
            "f": np.array([1, 2], dtype="float32"),
            "b": [True, False],
            "d": pd.to_datetime(["2024-01-01", "2024-06-01"]),
        }
    )
    out = ray_data.from_pandas(df).map_batches(lambda x: x, batch_format="pandas").to_pandas()
    return {"n": len(out), "rows": out.astype(object).to_dict("records")}


def case_write_partitioned_and_read_one(ray_data, tmp_path):
    items = [{"day": f"d{i % 3}", "v": i} for i in range(9)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    ds.write_parquet(str(tmp_path / "out"), partition_cols=["day"])
    col = sub(ray_data, "expressions").col
    back = ray_data.read_parquet(str(tmp_path / "out"))
    return rows(back.filter(expr=col("day") == "d1"))


def case_stats_after_iteration(ray_data, tmp_path):
    ds = ray_data.range(100).map_batches(lambda b: b)
    for _ in ds.iter_batches(batch_size=10):
        pass
    text = ds.stats()
    return {"has_operator": "MapBatches(<lambda>)" in text, "kind": type(text).__name__}


def case_long_chain_is_fused_and_right(ray_data, tmp_path):
    ds = ray_data.range(50)
    for _ in range(8):
        ds = ds.map(lambda row: {"id": row["id"] + 1})
    return ds.sum("id")


def case_string_keys_with_spaces(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.from_items([{"a b": 1, "c-d": 2}, {"a b": 5, "c-d": 6}], override_num_blocks=1)
    return ds.filter(expr=col("a b") > 2).with_column("e f", col("c-d") + 1).take_all()


def case_unicode(ray_data, tmp_path):
    ds = ray_data.from_items([{"ключ": "значение", "emoji": "🎉"}])
    ds.write_json(str(tmp_path / "out"))
    return {"rows": ds.take_all(), "back": rows(ray_data.read_json(str(tmp_path / "out")))}
