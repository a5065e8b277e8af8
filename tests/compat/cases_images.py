"""Images and other tensors."""

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, rows, unordered
from PIL import Image


def _image(path, width=6, height=4, mode="RGB", value=10):
    Image.new(mode, (width, height), value if mode == "L" else (value,) * len(mode)).save(path)


def case_read(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    ds = ray_data.read_images(str(tmp_path))
    image = ds.take(1)[0]["image"]
    return {"columns": ds.columns(), "shape": image.shape, "dtype": image.dtype, "v": image[0, 0]}


def case_read_schema(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    _image(tmp_path / "b.png", value=20)
    ds = ray_data.read_images(str(tmp_path))
    return {"schema": ds.schema(), "count": ds.count()}


def case_read_size(ray_data, tmp_path):
    _image(tmp_path / "a.png", 6, 4)
    _image(tmp_path / "b.png", 9, 5)
    ds = ray_data.read_images(str(tmp_path), size=(8, 7))
    return unordered(row["image"].shape for row in ds.take_all())


def case_read_modes(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    shapes = {}
    for mode in ("L", "RGB", "RGBA"):
        ds = ray_data.read_images(str(tmp_path), mode=mode)
        shapes[mode] = ds.take(1)[0]["image"].shape
    return shapes


def case_read_grey(ray_data, tmp_path):
    _image(tmp_path / "a.png", mode="L", value=99)
    image = ray_data.read_images(str(tmp_path)).take(1)[0]["image"]
    return {"shape": image.shape, "value": int(image[0, 0])}


def case_read_ragged(ray_data, tmp_path):
    _image(tmp_path / "a.png", 6, 4)
    _image(tmp_path / "b.png", 9, 5)
    ds = ray_data.read_images(str(tmp_path), override_num_blocks=1)
    return unordered(row["image"].shape for row in ds.take_all())


def case_read_include_paths(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    row = ray_data.read_images(str(tmp_path), include_paths=True).take(1)[0]
    return {"columns": list(row), "name": row["path"].rsplit("/", 1)[-1]}


def case_read_skips_other_files(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    _image(tmp_path / "b.jpg")
    (tmp_path / "notes.txt").write_text("x")
    return ray_data.read_images(str(tmp_path)).count()


def case_read_classes_of_folders(ray_data, tmp_path):
    from corpus import sub

    partitioning = sub(ray_data, "datasource").Partitioning
    root = tmp_path / "root"
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        _image(root / label / "1.png")
    ds = ray_data.read_images(
        str(root), partitioning=partitioning("dir", field_names=["class"], base_dir=str(root))
    )
    return unordered(row["class"] for row in ds.take_all())


def case_read_corrupt(ray_data, tmp_path):
    (tmp_path / "a.png").write_bytes(b"not an image")
    return error_of(lambda: ray_data.read_images(str(tmp_path)).take_all())


def case_read_bad_size(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    return [
        error_of(lambda: ray_data.read_images(str(tmp_path), size=(0, 4)).take_all()),
        error_of(lambda: ray_data.read_images(str(tmp_path), size=(4,)).take_all()),
    ]


def case_preprocess(ray_data, tmp_path):
    for i in range(3):
        _image(tmp_path / f"{i}.png", value=i * 50)

    def normalise(batch):
        images = batch["image"].astype(np.float32) / 255
        return {"mean": images.mean(axis=(1, 2, 3)), "shape": [str(images.shape[1:])] * len(images)}

    return rows(ray_data.read_images(str(tmp_path)).map_batches(normalise))


def case_resize_by_row(ray_data, tmp_path):
    _image(tmp_path / "a.png", 12, 8)

    def resize(row):
        small = Image.fromarray(row["image"]).resize((3, 2))
        return {"image": np.asarray(small), "kind": type(row["image"]).__name__}

    row = ray_data.read_images(str(tmp_path)).map(resize).take(1)[0]
    return {"shape": row["image"].shape, "kind": row["kind"], "dtype": row["image"].dtype}


def case_binary_files_decoded(ray_data, tmp_path):
    _image(tmp_path / "a.png", 5, 3)

    def decode(row):
        import io

        return {"size": list(Image.open(io.BytesIO(row["bytes"])).size)}

    return ray_data.read_binary_files(str(tmp_path)).map(decode).take_all()


def case_batch_inference(ray_data, tmp_path):
    import torch

    class Classifier:
        def __init__(self, scale):
            self.model = torch.nn.Flatten()
            self.scale = scale

        def __call__(self, batch):
            with torch.inference_mode():
                flat = self.model(torch.as_tensor(batch["data"]).float())
            return {"score": (flat.sum(dim=1) * self.scale).numpy(), "data": batch["data"]}

    ds = ray_data.range_tensor(6, shape=(2, 2), override_num_blocks=2)
    ds = ds.map_batches(Classifier, concurrency=1, batch_size=2, fn_constructor_args=(0.5,))
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_image_batch_pandas(ray_data, tmp_path):
    _image(tmp_path / "a.png")
    df = ray_data.read_images(str(tmp_path)).take_batch(1, batch_format="pandas")
    value = df["image"].iloc[0]
    return {"shape": np.asarray(value).shape, "columns": list(df.columns)}


def case_tensor_dtypes(ray_data, tmp_path):
    found = {}
    for kind in ("bool", "uint8", "int16", "float16", "float32", "float64"):
        ds = ray_data.from_numpy(np.ones((2, 2), dtype=kind))
        found[kind] = {"row": ds.take(1)[0]["data"], "batch": ds.take_batch(2)["data"]}
    return found


def case_tensor_of_high_rank(ray_data, tmp_path):
    array = np.arange(48).reshape(2, 2, 3, 4)
    ds = ray_data.from_numpy(array)
    return {"schema": ds.schema(), "same": bool((ds.take_batch(2)["data"] == array).all())}


def case_tensor_not_contiguous(ray_data, tmp_path):
    array = np.arange(12).reshape(3, 4).T
    ds = ray_data.from_numpy(array)
    return ds.take_all()


def case_tensor_with_string_column(ray_data, tmp_path):
    ds = ray_data.range_tensor(2, shape=(2,), override_num_blocks=1)
    ds = ds.map_batches(lambda b: {**b, "name": np.array(["a", "b"])})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_tensor_filter_and_limit(ray_data, tmp_path):
    ds = ray_data.range_tensor(6, shape=(2,), override_num_blocks=1)
    return ds.filter(lambda row: row["data"][0] % 2 == 0).limit(2).take_all()


def case_tensor_flat_map(ray_data, tmp_path):
    ds = ray_data.range_tensor(2, shape=(2,), override_num_blocks=1)
    return ds.flat_map(lambda row: [{"v": row["data"]}, {"v": row["data"] + 10}]).take_all()


def case_tensor_different_shapes_in_blocks(ray_data, tmp_path):
    a = ray_data.from_numpy(np.zeros((2, 2)))
    b = ray_data.from_numpy(np.ones((1, 3)))
    return rows(a.union(b))


def case_tensor_different_shapes_batched(ray_data, tmp_path):
    a = ray_data.from_numpy(np.zeros((2, 2)))
    b = ray_data.from_numpy(np.ones((1, 3)))
    batches = list(a.union(b).iter_batches(batch_size=3))
    return {"n": len(batches), "dtype": batches[0]["data"].dtype, "rows": len(batches[0]["data"])}


def case_tensor_ragged_second_dimension(ray_data, tmp_path):
    items = [{"v": np.ones((2, n), dtype=np.int32)} for n in (1, 3)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all(), "batch": ds.take_batch(2)}


def case_tensor_different_ranks(ray_data, tmp_path):
    items = [{"v": np.ones(2)}, {"v": np.ones((2, 2))}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return error_of(lambda: ds.take_all())


def case_tensor_different_dtypes(ray_data, tmp_path):
    items = [{"v": np.ones(2, dtype=np.int64)}, {"v": np.full(2, 0.5)}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return error_of(lambda: ds.take_all())


def case_tensor_with_missing_row(ray_data, tmp_path):
    items = [{"v": np.ones(2)}, {"v": None}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return error_of(lambda: ds.take_all())


def case_tensor_of_zero_dimensions(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.array(3)}, {"v": np.array(4)}], override_num_blocks=1)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_tensor_of_no_elements(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.zeros((0,))}, {"v": np.zeros((0,))}], override_num_blocks=1)
    return ds.take_all()


def case_tensor_of_strings(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.array(["a", "bc"])}], override_num_blocks=1)
    return error_of(lambda: ds.take_all())


def case_tensor_of_objects(ray_data, tmp_path):
    ds = ray_data.from_items([{"v": np.array([1, "x", None], dtype=object)}])
    return error_of(lambda: ds.take_all())


def case_tensor_is_writable_in_rows(ray_data, tmp_path):
    def change(row):
        value = np.array(row["data"])
        value[0] = 9
        return {"data": value}

    return rows(ray_data.range_tensor(2, shape=(2,)).map(change))


def case_pandas_column_of_arrays(ray_data, tmp_path):
    df = pd.DataFrame({"v": [np.ones(2), np.zeros(2)], "n": [1, 2]})
    ds = ray_data.from_pandas(df)
    return {"rows": ds.take_all(), "batch": ds.take_batch(2)}


def case_pandas_batch_returns_arrays(ray_data, tmp_path):
    def make(df):
        return pd.DataFrame({"v": [np.full(2, i) for i in df["id"]]})

    ds = ray_data.range(2, override_num_blocks=1).map_batches(make, batch_format="pandas")
    return {"rows": ds.take_all(), "batch": ds.take_batch(2)}


def case_arrow_fixed_shape_tensor(ray_data, tmp_path):
    array = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8.0).reshape(2, 2, 2))
    ds = ray_data.from_arrow(pa.table({"t": array}))
    return {"rows": ds.take_all(), "batch": ds.take_batch(2)}


def case_arrow_fixed_size_list(ray_data, tmp_path):
    kind = pa.list_(pa.float32(), 2)
    ds = ray_data.from_arrow(pa.table({"v": pa.array([[1, 2], [3, 4]], kind)}))
    return {"schema": ds.schema(), "rows": ds.take_all(), "batch": ds.take_batch(2)}


def case_embeddings(ray_data, tmp_path):
    texts = [{"text": t} for t in ("a b c", "d e", "f")]

    class Embed:
        def __call__(self, batch):
            size = [len(t.split()) for t in batch["text"]]
            batch["vector"] = np.stack([np.full(4, n, dtype=np.float32) for n in size])
            return batch

    ds = ray_data.from_items(texts).map_batches(Embed, concurrency=1, batch_size=2)
    return rows(ds)
