"""Iterating over a dataset: rows, batches, torch batches."""

import numpy as np
from corpus import error_of, fails, rows, unordered


def _ten(ray_data):
    return ray_data.range(10, override_num_blocks=1)


def case_iter_rows(ray_data, tmp_path):
    return [row["id"] for row in _ten(ray_data).iter_rows()]


def case_iter_rows_kind(ray_data, tmp_path):
    found = [type(row).__name__ for row in _ten(ray_data).limit(1).iter_rows()]
    return found


def case_iter_rows_twice(ray_data, tmp_path):
    ds = _ten(ray_data)
    return [sum(r["id"] for r in ds.iter_rows()), sum(r["id"] for r in ds.iter_rows())]


def case_iter_rows_of_transforms(ray_data, tmp_path):
    ds = ray_data.range(6).map(lambda row: {"v": row["id"] * 2})
    return unordered(ds.iter_rows())


def case_iter_rows_left_half_way(ray_data, tmp_path):
    ds = ray_data.range(1000, override_num_blocks=10)
    for row in ds.iter_rows():
        first = row
        break
    return {"keys": list(first), "after": ds.count()}


def case_iter_batches_default(ray_data, tmp_path):
    return list(_ten(ray_data).iter_batches())


def case_iter_batches_default_size(ray_data, tmp_path):
    ds = ray_data.range(600, override_num_blocks=1)
    return [len(batch["id"]) for batch in ds.iter_batches()]


def case_iter_batches_size(ray_data, tmp_path):
    return list(_ten(ray_data).iter_batches(batch_size=4))


def case_iter_batches_drop_last(ray_data, tmp_path):
    return list(_ten(ray_data).iter_batches(batch_size=4, drop_last=True))


def case_iter_batches_size_none(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=2)
    return sorted(len(batch["id"]) for batch in ds.iter_batches(batch_size=None))


def case_iter_batches_over_blocks(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=5)
    return [len(batch["id"]) for batch in ds.iter_batches(batch_size=4)]


def case_iter_batches_pandas(ray_data, tmp_path):
    return list(_ten(ray_data).iter_batches(batch_size=6, batch_format="pandas"))


def case_iter_batches_pyarrow(ray_data, tmp_path):
    return list(_ten(ray_data).iter_batches(batch_size=6, batch_format="pyarrow"))


def case_iter_batches_bad_format(ray_data, tmp_path):
    return error_of(lambda: list(_ten(ray_data).iter_batches(batch_format="polars")))


def case_iter_batches_format_none(ray_data, tmp_path):
    batches = list(_ten(ray_data).iter_batches(batch_format=None))
    return [type(batch).__name__ for batch in batches]


def case_iter_batches_prefetch(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=10)
    return {
        n: sum(int(b["id"].sum()) for b in ds.iter_batches(batch_size=7, prefetch_batches=n))
        for n in (0, 1, 4)
    }


def case_iter_batches_local_shuffle(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=1)
    seen = []
    for batch in ds.iter_batches(batch_size=10, local_shuffle_buffer_size=50):
        seen.extend(batch["id"].tolist())
    return {"all": sorted(seen) == list(range(100)), "shuffled": seen != list(range(100))}


def case_iter_batches_local_shuffle_seed(ray_data, tmp_path):
    ds = ray_data.range(100, override_num_blocks=1)

    def order():
        batches = ds.iter_batches(batch_size=10, local_shuffle_buffer_size=50, local_shuffle_seed=7)
        return [int(v) for batch in batches for v in batch["id"]]

    first = order()
    return {"same": first == order(), "all": sorted(first) == list(range(100))}


def case_iter_batches_local_shuffle_without_size(ray_data, tmp_path):
    return error_of(
        lambda: list(_ten(ray_data).iter_batches(batch_size=None, local_shuffle_buffer_size=5))
    )


def case_iter_batches_local_shuffle_drop_last(ray_data, tmp_path):
    ds = ray_data.range(25, override_num_blocks=1)
    batches = ds.iter_batches(batch_size=10, drop_last=True, local_shuffle_buffer_size=20)
    return [len(batch["id"]) for batch in batches]


def case_iter_batches_iterable_twice(ray_data, tmp_path):
    batches = _ten(ray_data).iter_batches(batch_size=5)
    return [len(list(batches)), len(list(batches))]


def case_iter_batches_of_strings(ray_data, tmp_path):
    ds = ray_data.from_items([{"s": "a", "n": 1}, {"s": None, "n": None}], override_num_blocks=1)
    return list(ds.iter_batches())


def case_iter_batches_of_tensors(ray_data, tmp_path):
    ds = ray_data.range_tensor(5, shape=(2, 2), override_num_blocks=1)
    return [batch["data"].shape for batch in ds.iter_batches(batch_size=2)]


def case_iter_batches_of_ragged_tensors(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.arange(n)} for n in (1, 2, 3)], override_num_blocks=1)
    return list(ds.iter_batches(batch_size=2))


def case_iter_batches_empty(ray_data, tmp_path):
    ds = ray_data.range(10).filter(lambda row: False)
    return {"batches": list(ds.iter_batches()), "rows": list(ds.iter_rows())}


def case_iter_batches_left_half_way(ray_data, tmp_path):
    ds = ray_data.range(1000, override_num_blocks=10)
    for batch in ds.iter_batches(batch_size=10):
        size = len(batch["id"])
        break
    return {"size": size, "after": ds.sum("id")}


def case_iter_batches_raises(ray_data, tmp_path):
    def fail(row):
        if row["id"] == 7:
            raise ValueError("seven")
        return row

    ds = ray_data.range(10, override_num_blocks=1).map(fail)
    return error_of(lambda: list(ds.iter_batches(batch_size=2)), "seven")


def case_iterator(ray_data, tmp_path):
    iterator = ray_data.range(10, override_num_blocks=1).iterator()
    return {
        "batches": [len(batch["id"]) for batch in iterator.iter_batches(batch_size=4)],
        "rows": len(list(iterator.iter_rows())),
        "schema": iterator.schema(),
        "is_iterator": isinstance(iterator, ray_data.DataIterator),
    }


def case_iterator_materialize(ray_data, tmp_path):
    ds = ray_data.range(10).iterator().materialize()
    return {"class": type(ds).__name__, "count": ds.count()}


def case_epochs(ray_data, tmp_path):
    ds = ray_data.range(8, override_num_blocks=2).map_batches(lambda b: {"v": b["id"] + 1})
    return [sum(int(b["v"].sum()) for b in ds.iter_batches(batch_size=3)) for _ in range(3)]


def case_torch_default(ray_data, tmp_path):
    return list(_ten(ray_data).iter_torch_batches(batch_size=6))


def case_torch_default_size(ray_data, tmp_path):
    ds = ray_data.range(300, override_num_blocks=1)
    return [len(batch["id"]) for batch in ds.iter_torch_batches()]


def case_torch_dtypes(ray_data, tmp_path):
    import torch

    return list(_ten(ray_data).iter_torch_batches(batch_size=10, dtypes=torch.float32))


def case_torch_dtypes_by_column(ray_data, tmp_path):
    import torch

    ds = ray_data.from_items([{"a": 1, "b": 0.5}, {"a": 2, "b": 1.5}], override_num_blocks=1)
    kinds = {"a": torch.int32, "b": torch.float16}
    return list(ds.iter_torch_batches(dtypes=kinds))


def case_torch_of_types(ray_data, tmp_path):
    def make(batch):
        kinds = ["bool", "uint8", "int8", "int16", "int32", "float16", "float32", "float64"]
        return {kind: batch["id"].astype(kind) for kind in kinds}

    ds = ray_data.range(2, override_num_blocks=1).map_batches(make)
    return list(ds.iter_torch_batches())


def case_torch_tensors(ray_data, tmp_path):
    ds = ray_data.range_tensor(3, shape=(2, 2), override_num_blocks=1)
    return list(ds.iter_torch_batches(batch_size=2))


def case_torch_drop_last(ray_data, tmp_path):
    batches = _ten(ray_data).iter_torch_batches(batch_size=4, drop_last=True)
    return [tuple(batch["id"].shape) for batch in batches]


def case_torch_strings(ray_data, tmp_path):
    ds = ray_data.from_items([{"s": "a"}, {"s": "b"}], override_num_blocks=1)
    return error_of(lambda: list(ds.iter_torch_batches()))


def case_torch_ragged(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.arange(n)} for n in (1, 2)], override_num_blocks=1)
    return fails(lambda: list(ds.iter_torch_batches()))


def case_torch_device(ray_data, tmp_path):
    batches = _ten(ray_data).iter_torch_batches(batch_size=10, device="cpu")
    return [str(batch["id"].device) for batch in batches]


def case_torch_collate(ray_data, tmp_path):
    import torch

    def collate(batch):
        return torch.stack([torch.as_tensor(batch["id"]), torch.as_tensor(batch["id"]) * 2])

    return list(_ten(ray_data).iter_torch_batches(batch_size=5, collate_fn=collate))


def case_torch_collate_with_dtypes(ray_data, tmp_path):
    import torch

    return error_of(
        lambda: list(
            _ten(ray_data).iter_torch_batches(collate_fn=lambda b: b, dtypes=torch.float32)
        )
    )


def case_torch_local_shuffle(ray_data, tmp_path):
    ds = ray_data.range(60, override_num_blocks=1)
    seen = []
    for batch in ds.iter_torch_batches(batch_size=10, local_shuffle_buffer_size=30):
        seen.extend(batch["id"].tolist())
    return {"all": sorted(seen) == list(range(60)), "shuffled": seen != list(range(60))}


def case_torch_training_loop(ray_data, tmp_path):
    import torch

    def make(batch):
        x = batch["id"].astype(np.float32) / 100
        return {"x": x, "y": 3 * x}

    ds = ray_data.range(100).map_batches(make)
    model = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        losses.append(0.0)
        for batch in ds.iter_torch_batches(batch_size=25):
            loss = torch.nn.functional.mse_loss(model(batch["x"][:, None])[:, 0], batch["y"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1] += float(loss.detach())
    return {"learned": losses[-1] < losses[0]}


def case_rows_of_union_iterated(ray_data, tmp_path):
    ds = ray_data.range(3).union(ray_data.range(2))
    return unordered(ds.iter_rows())


def case_iter_batches_matches_take_all(ray_data, tmp_path):
    ds = ray_data.range(30, override_num_blocks=3).filter(lambda row: row["id"] % 2 == 0)
    seen = [int(v) for batch in ds.iter_batches(batch_size=4) for v in batch["id"]]
    return {"sorted": sorted(seen), "rows": rows(ds)}


def case_torch_collate_classes(ray_data, tmp_path):
    import torch
    from corpus import sub

    module = sub(ray_data, "collate_fn")

    class FromNumpy(module.NumpyBatchCollateFn):
        def __call__(self, batch):
            return {"id": torch.as_tensor(batch["id"]) + 1}

    class FromArrow(module.ArrowBatchCollateFn):
        def __call__(self, batch):
            return torch.as_tensor(batch["id"].to_numpy())

    class FromPandas(module.PandasBatchCollateFn):
        def __call__(self, batch):
            return torch.as_tensor(batch["id"].to_numpy(dtype="int64"))

    return {
        kind.__name__: list(_ten(ray_data).iter_torch_batches(batch_size=5, collate_fn=kind()))
        for kind in (FromNumpy, FromArrow, FromPandas)
    }


def case_torch_result_is_iterable_again(ray_data, tmp_path):
    batches = _ten(ray_data).iter_torch_batches(batch_size=5)
    return [len(list(batches)), len(list(batches))]


def case_torch_nulls(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": 1.0}, {"v": None}], override_num_blocks=1)
    return list(ds.iter_torch_batches())


def case_torch_lists(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": [1, 2]}, {"v": [3, 4]}], override_num_blocks=1)
    return error_of(lambda: list(ds.iter_torch_batches()))


def case_torch_bad_dtype_column(ray_data, tmp_path):
    ds = _ten(ray_data)
    return fails(lambda: list(ds.iter_torch_batches(dtypes={"id": "float"})))


def case_torch_batch_size_none(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=2)
    return sorted(len(batch["id"]) for batch in ds.iter_torch_batches(batch_size=None))


def case_pandas_batches_of_tensors(ray_data, tmp_path):
    ds = ray_data.range_tensor(4, shape=(2,), override_num_blocks=1)
    batches = list(ds.iter_batches(batch_size=3, batch_format="pandas"))
    return [[np.asarray(value) for value in batch["data"]] for batch in batches]


def case_batches_can_be_changed(ray_data, tmp_path):
    out = []
    for batch in _ten(ray_data).iter_batches(batch_size=5):
        copy = {name: values.copy() for name, values in batch.items()}
        copy["id"] += 1
        out.append(copy["id"])
    return out


def case_batches_over_uneven_blocks(ray_data, tmp_path):
    parts = [ray_data.range(n, override_num_blocks=1) for n in (1, 5, 2, 7)]
    ds = parts[0].union(*parts[1:])
    return [len(batch["id"]) for batch in ds.iter_batches(batch_size=4)]


def case_batches_with_empty_blocks(ray_data, tmp_path):
    ds = ray_data.range(12, override_num_blocks=4).filter(lambda row: row["id"] >= 6)
    return [len(batch["id"]) for batch in ds.iter_batches(batch_size=4)]


def case_batches_of_different_types(ray_data, tmp_path):
    a = ray_data.from_items([{"v": 1}])
    b = ray_data.from_items([{"v": 2.5}])
    batches = list(a.union(b).iter_batches(batch_size=2))
    return [sorted(float(v) for v in batch["v"]) for batch in batches]


def case_generator_of_batches_is_lazy(ray_data, tmp_path):
    marker = tmp_path / "ran"

    def mark(batch):
        marker.touch()
        return batch

    batches = ray_data.range(3).map_batches(mark).iter_batches()
    before = marker.exists()
    list(batches)
    return [before, marker.exists()]


def case_next_on_batches(ray_data, tmp_path):
    batches = _ten(ray_data).iter_batches(batch_size=4)
    iterator = iter(batches)
    return [len(next(iterator)["id"]), len(next(iterator)["id"]), error_of(lambda: next(batches))]


def case_read_again_after_the_file_changed(ray_data, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("v\n1\n")
    ds = ray_data.read_csv(str(path))
    first = ds.take_all()
    path.write_text("v\n2\n")
    return [first, ds.take_all()]


def case_materialized_outlives_its_files(ray_data, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("v\n1\n")
    ds = ray_data.read_csv(str(path)).materialize()
    path.unlink()
    return [ds.take_all(), ds.map(lambda row: {"v": row["v"] + 1}).take_all()]


def case_references(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=2)
    return {
        "arrow": len(ds.to_arrow_refs()),
        "numpy": len(ds.to_numpy_refs()),
        "column": len(ds.to_numpy_refs(column="id")),
    }
