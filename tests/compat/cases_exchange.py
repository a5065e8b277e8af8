"""Repartition, shuffles, sorts, zips, joins and splits."""

import numpy as np
import pyarrow as pa
from corpus import error_of, fails, rows, sub

_BLOCKS = 4


def _range(ray_data):
    return ray_data.range(20, override_num_blocks=_BLOCKS)


def _nulls(ray_data):
    table = {
        "k": [1, None, 2, 1, None],
        "v": [1.0, 2.0, None, 4.0, float("nan")],
        "s": ["a", "b", None, "a", "c"],
    }
    return ray_data.from_arrow(pa.table(table))


def _ids(ds, name="id"):
    return [row[name] for row in ds.take_all()]


def _sizes(ds):
    """Returns how many rows each block has."""
    return [len(batch["id"]) for batch in ds.iter_batches(batch_size=None)]


# ---- Repartition


def case_repartition_blocks(ray_data, tmp_path):
    return {n: _range(ray_data).repartition(n).materialize().num_blocks() for n in (1, 2, 7, 30)}


def case_repartition_keeps_order(ray_data, tmp_path):
    ds = _range(ray_data)
    ds.context.execution_options.preserve_order = True
    return [_ids(ds.repartition(n)) for n in (1, 3, 7)]


def case_repartition_of_nothing(ray_data, tmp_path):
    return ray_data.range(0).repartition(3).count()


def case_repartition_shuffled(ray_data, tmp_path):
    ds = _range(ray_data).repartition(3, shuffle=True)
    return {"blocks": ds.materialize().num_blocks(), "rows": rows(ds)}


def case_repartition_target_rows(ray_data, tmp_path):
    ds = _range(ray_data).repartition(target_num_rows_per_block=7, strict=True)
    return {"largest": max(_sizes(ds)), "rows": rows(ds)}


def case_repartition_keys(ray_data, tmp_path):
    ds = ray_data.from_items([{"id": i % 5, "v": i} for i in range(40)], override_num_blocks=4)
    parts = [
        set(batch["id"].tolist())
        for batch in ds.repartition(3, keys=["id"]).iter_batches(batch_size=None)
    ]
    return {
        "values": sorted(value for part in parts for value in part),
        "blocks": ds.repartition(3, keys=["id"]).materialize().num_blocks(),
    }


def case_repartition_keys_sorted(ray_data, tmp_path):
    ds = _range(ray_data).random_shuffle(seed=1).repartition(3, keys=["id"], sort=True)
    parts = [batch["id"].tolist() for batch in ds.iter_batches(batch_size=None)]
    return {"sorted": all(part == sorted(part) for part in parts), "rows": rows(ds)}


def case_repartition_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    return [
        error_of(lambda: ds.repartition()),
        error_of(lambda: ds.repartition(2, target_num_rows_per_block=3)),
        error_of(lambda: ds.repartition(target_num_rows_per_block=3, shuffle=True)),
        error_of(lambda: ds.repartition(target_num_rows_per_block=0).take_all()),
        error_of(lambda: ds.repartition(keys=["id"])),
        fails(lambda: ds.repartition(3, keys=["nope"]).take_all()),
    ]


# ---- Shuffles


def case_random_shuffle(ray_data, tmp_path):
    ds = _range(ray_data)
    shuffled = ds.random_shuffle(seed=3)
    return {
        "rows": rows(shuffled),
        "moved": _ids(shuffled) != list(range(20)),
        "again": _ids(shuffled) == _ids(ds.random_shuffle(seed=3)),
        "count": ds.random_shuffle().count(),
        "schema": shuffled.schema().names,
    }


def case_random_shuffle_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    return [
        error_of(lambda: ds.random_shuffle(seed="x").take_all()),
        error_of(lambda: ds.random_shuffle(1)),
        error_of(lambda: ds.random_shuffle(num_blocks=3)),
        ds.random_shuffle(num_cpus=1).count(),
        ray_data.range(0).random_shuffle().take_all(),
    ]


def case_randomize_block_order(ray_data, tmp_path):
    ds = _range(ray_data).materialize().randomize_block_order(seed=0)
    got = _ids(ds)
    return {
        "rows": rows(ds),
        "blocks_are_whole": all(
            got[i : i + 5] == list(range(got[i], got[i] + 5)) for i in range(0, 20, 5)
        ),
    }


# ---- Sort


def case_sort(ray_data, tmp_path):
    ds = ray_data.from_items([{"id": i * 7 % 20} for i in range(20)], override_num_blocks=3)
    return [_ids(ds.sort("id")), _ids(ds.sort("id", descending=True)), _ids(ds.sort(["id"]))]


def case_sort_nulls(ray_data, tmp_path):
    ds = _nulls(ray_data)
    return {
        "k": ds.sort("k").take_all(),
        "k_down": ds.sort("k", descending=True).take_all(),
        "v": ds.sort("v").take_all(),
        "v_down": ds.sort("v", descending=True).take_all(),
        "s": ds.sort("s").take_all(),
        "s_down": ds.sort("s", descending=True).take_all(),
    }


def case_sort_several(ray_data, tmp_path):
    items = [{"a": i % 3, "b": i % 4, "c": "xyz"[i % 3]} for i in range(12)]
    ds = ray_data.from_items(items, override_num_blocks=3)
    return [
        ds.sort(["a", "b"]).take_all(),
        ds.sort(["a", "b"], descending=[True, False]).take_all(),
        ds.sort(["c", "b"], descending=[False, True]).take_all(),
        ds.sort(["a", "b"], descending=True).take_all(),
    ]


def case_sort_is_stable(ray_data, tmp_path):
    items = [{"a": i % 2, "i": i} for i in range(20)]
    ds = ray_data.from_items(items, override_num_blocks=5)
    return _ids(ds.sort("a"), "i")


def case_sort_types(ray_data, tmp_path):
    table = pa.table(
        {
            "b": [True, False, None],
            "d": pa.array([3, 1, 2], pa.date32()),
            "t": pa.array([3, 1, 2], pa.timestamp("ms")),
            "x": pa.array([b"b", b"", b"a"], pa.binary()),
            "n": [1, 2, 3],
        }
    )
    ds = ray_data.from_arrow(table)
    return {name: _ids(ds.sort(name), "n") for name in ("b", "d", "t", "x")}


def case_sort_boundaries(ray_data, tmp_path):
    ds = _range(ray_data)

    def blocks(**kwargs):
        parts = ds.sort("id", **kwargs).materialize().iter_batches(batch_size=None)
        return [part["id"].tolist() for part in parts]

    return {
        "up": blocks(boundaries=[5, 12]),
        "down": blocks(boundaries=[5, 12], descending=True),
        "floats": blocks(boundaries=[5.5, 12]),
        "not_in_order": blocks(boundaries=[12, 5]),
        "text": error_of(lambda: blocks(boundaries=["x"])),
    }


def case_sort_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    return [
        error_of(lambda: ds.sort(None)),
        error_of(lambda: ds.sort(3)),
        error_of(lambda: ds.sort(["id"], descending=[True, False])),
        error_of(lambda: ds.sort("nope").take_all(), "nope", "id"),
        error_of(lambda: ds.map(lambda row: row).sort("nope").take_all(), "nope", "id"),
        fails(lambda: ray_data.from_items([{"b": [2]}, {"b": [1]}]).sort("b").take_all()),
        ray_data.range(0).sort("id").take_all(),
        ds.sort("id").limit(3).take_all(),
    ]


# ---- Zip and join


def case_zip(ray_data, tmp_path):
    a = ray_data.range(5, override_num_blocks=2)
    b = ray_data.range(5, override_num_blocks=3)
    named = ray_data.from_items([{"a": 1, "a_1": 2}])
    return [
        a.zip(b).take_all(),
        a.zip(b, b).take_all(),
        named.zip(ray_data.from_items([{"a": 3}])).take_all(),
    ]


def case_zip_errors(ray_data, tmp_path):
    a = ray_data.range(3)
    return [
        error_of(lambda: a.zip(ray_data.range(4)).take_all(), "3", "4"),
        fails(lambda: a.zip(5)),
        fails(lambda: a.zip(ray_data.range(4).map(lambda row: row)).take_all()),
    ]


def _sides(ray_data):
    left = ray_data.from_items([{"id": i, "v": i * 10} for i in range(4)])
    right = ray_data.from_items([{"id": i, "w": i * 7} for i in [1, 1, 3, 5]])
    return left, right


_JOINS = (
    "inner",
    "left_outer",
    "right_outer",
    "full_outer",
    "left_semi",
    "right_semi",
    "left_anti",
    "right_anti",
)


def _join_case(kind):
    """Returns a case of one type of join: with one key, another name, two keys, null keys."""

    def case(ray_data, tmp_path):
        left, right = _sides(ray_data)
        other = right.rename_columns({"id": "rid"})
        few = ray_data.from_items([{"a": i % 3, "b": i % 2, "x": i} for i in range(8)])
        more = ray_data.from_items([{"a": i % 3, "b": 0, "y": i} for i in range(4)])
        nulls = _nulls(ray_data)
        renamed = nulls.rename_columns({"v": "v2", "s": "s2"})
        return {
            "one": rows(left.join(right, kind, 1, on=("id",))),
            "other_name": rows(left.join(other, kind, 1, on=("id",), right_on=("rid",))),
            "two": rows(few.join(more, kind, 1, on=("a", "b"))),
            "nulls": rows(nulls.join(renamed, kind, 1, on=("k",))),
        }

    return case


for _kind in _JOINS:
    globals()[f"case_join_{_kind}"] = _join_case(_kind)


def case_join_suffixes(ray_data, tmp_path):
    left, right = _sides(ray_data)
    right = right.rename_columns({"w": "v"})
    return {
        "left": rows(left.join(right, "inner", 1, on=("id",), left_suffix="_l")),
        "right": rows(left.join(right, "inner", 1, on=("id",), right_suffix="_r")),
        "both": rows(left.join(right, "inner", 1, left_suffix="_l", right_suffix="_r")),
        "semi": rows(left.join(right, "left_semi", 1, on=("id",))),
        "none": fails(lambda: left.join(right, "inner", 1, on=("id",)).take_all()),
    }


def case_join_of_nothing(ray_data, tmp_path):
    left, right = _sides(ray_data)
    none = right.filter(expr="id > 100")
    return {
        "outer": rows(left.join(none, "left_outer", 1, on=("id",))),
        "inner": rows(left.join(none, "inner", 1, on=("id",))),
    }


def case_join_errors(ray_data, tmp_path):
    left, right = _sides(ray_data)
    texts = ray_data.from_items([{"id": "1", "w": 2}])
    return [
        error_of(lambda: left.join(right, "outer", 2), "outer", "full_outer"),
        error_of(lambda: left.join(right, "inner", 1, on="id")),
        fails(lambda: left.join(right, "inner", 1, on=("nope",)).take_all()),
        fails(lambda: left.join(right, "inner", 1, ("id",), ("id", "w")).take_all()),
        fails(lambda: left.join(texts, "inner", 2).take_all()),
        error_of(lambda: left.join(texts, "inner", 1, validate_schemas=True)),
        fails(lambda: left.join(5, "inner", 2)),
    ]


# ---- Splits


def _parts(parts):
    return [_ids(part) for part in parts]


def case_split(ray_data, tmp_path):
    ds = _range(ray_data).materialize()
    return {
        "by_blocks": {n: [part.count() for part in ds.split(n)] for n in (1, 2, 3, 4, 6)},
        "equal": {n: [part.count() for part in ds.split(n, equal=True)] for n in (1, 3, 7)},
        "rows": _parts(ds.split(3, equal=True)),
        "few": [part.count() for part in ray_data.range(2).split(3, equal=True)],
        "nothing": [part.count() for part in ray_data.range(0).split(2, equal=True)],
        "type": type(ds.split(2)[0]).__name__,
    }


def case_split_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    return [
        error_of(lambda: ds.split(0)),
        error_of(lambda: ds.split(-1)),
        error_of(lambda: ds.split(2, locality_hints=[1])),
    ]


def case_split_at_indices(ray_data, tmp_path):
    ds = _range(ray_data)
    return {
        str(indices): _parts(ds.split_at_indices(indices))
        for indices in ([3, 10], [0], [3, 3], [3, 50], [5, 10], [20])
    }


def case_split_at_indices_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    return [error_of(lambda i=i: ds.split_at_indices(i)) for i in ([], [-1], [5, 3])]


def case_split_proportionately(ray_data, tmp_path):
    ds = _range(ray_data)
    shares = ([0.2, 0.5], [0.1, 0.1, 0.1], [0.99], [0.5, 0.04])
    return {str(s): [p.count() for p in ds.split_proportionately(s)] for s in shares}


def case_split_proportionately_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    shares = ([], [0.5, 0.5], [-0.5, 0.5], [0.0, 0.5], [1], [0.01, 0.9])
    return [error_of(lambda s=s: ds.split_proportionately(s)) for s in shares]


def case_train_test_split(ray_data, tmp_path):
    ds = _range(ray_data)
    train, test = ds.train_test_split(0.3, shuffle=True, seed=1)
    return {
        "share": _parts(ds.train_test_split(0.25)),
        "rows": _parts(ds.train_test_split(6)),
        "little": [part.count() for part in ds.train_test_split(0.01)],
        "shuffled": [train.count(), test.count(), sorted(_ids(train) + _ids(test))],
    }


def case_train_test_split_errors(ray_data, tmp_path):
    ds = _range(ray_data)
    sizes = (0, 0.0, 1.0, -1, 20, 21, 1.5, "a", None)
    return {
        "sizes": [error_of(lambda s=s: ds.train_test_split(s)) for s in sizes],
        "both": error_of(lambda: ds.train_test_split(0.2, stratify="id", shuffle=True)),
        "column": error_of(lambda: ds.train_test_split(0.2, stratify="nope"), "nope"),
    }


def case_train_test_split_stratified(ray_data, tmp_path):
    items = [{"c": "a" if i % 5 else "b", "i": i} for i in range(50)]
    ds = ray_data.from_items(items)
    result = {}
    for size in (0.2, 0.25, 10):
        train, test = ds.train_test_split(size, stratify="c")
        result[size] = [rows(train), rows(test)]
    return result


def case_random_sample(ray_data, tmp_path):
    ds = ray_data.range(2000, override_num_blocks=5)
    got = _ids(ds.random_sample(0.25, seed=3))
    return {
        "about": 350 < len(got) < 650,
        "again": sorted(got) == sorted(_ids(ds.random_sample(0.25, seed=3))),
        "distinct": len(set(got)) == len(got),
        "ends": [ds.random_sample(0).count(), ds.random_sample(1).count()],
        "errors": [error_of(lambda f=f: ds.random_sample(f)) for f in (-1, 1.5, "a", None)],
        "empty": error_of(lambda: ray_data.range(0).random_sample(0.5)),
    }


def case_streaming_train_test_split(ray_data, tmp_path):
    ds = ray_data.range(1000, override_num_blocks=4)
    train, test = ds.streaming_train_test_split(0.2, seed=5)
    keyed = ds.streaming_train_test_split(0.2, split_type="hash", hash_column="id")
    return {
        "random": sorted(_ids(train) + _ids(test)) == list(range(1000)),
        "hash": sorted(_ids(keyed[0]) + _ids(keyed[1])) == list(range(1000)),
        "about": [100 < test.count() < 300, 100 < keyed[1].count() < 300],
        "errors": [
            error_of(lambda: ds.streaming_train_test_split(2)),
            error_of(lambda: ds.streaming_train_test_split(0.2, split_type="x")),
            error_of(lambda: ds.streaming_train_test_split(0.2, split_type="hash")),
            error_of(lambda: ds.streaming_train_test_split(0.2, hash_column="id")),
        ],
    }


def case_union_then_sort(ray_data, tmp_path):
    ds = ray_data.range(3).union(ray_data.range(2), ray_data.range(4))
    return [_ids(ds.sort("id")), ds.count()]


def case_exchange_of_tensors(ray_data, tmp_path):
    ds = ray_data.range_tensor(6, shape=(2, 2), override_num_blocks=2)
    with_id = ds.map(lambda row: {"id": int(row["data"][0, 0]), "t": row["data"]})
    col = sub(ray_data, "expressions").col
    shuffled = with_id.random_shuffle(seed=1).sort("id").filter(expr=col("id") > 3)
    return [np.asarray(row["t"]).tolist() for row in shuffled.take_all()]
