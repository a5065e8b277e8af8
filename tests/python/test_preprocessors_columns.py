"""The imputer, the concatenator, and what makes vectors of texts and images."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest

import headrace as data
from headrace.preprocessors import (
    Concatenator,
    CountVectorizer,
    FeatureHasher,
    HashingVectorizer,
    SimpleImputer,
    Tokenizer,
    TorchVisionPreprocessor,
)

pd = pytest.importorskip("pandas")


def texts(*values: str | None) -> data.Dataset:
    return data.from_arrow([pa.table({"t": pa.array([v], pa.string())}) for v in values])


def lists(ds: data.Dataset, name: str = "t") -> list:
    return [None if row[name] is None else list(row[name]) for row in ds.take_all()]


def column(ds: data.Dataset, name: str) -> list:
    return [row[name] for row in ds.take_all()]


def test_imputer_keeps_types() -> None:
    for dtype in (pa.int32(), pa.float32(), pa.decimal128(5, 2)):
        ds = data.from_arrow(pa.table({"v": pa.array([1, None, 4], dtype)}))
        made = SimpleImputer(["v"]).fit_transform(ds)
        assert float(column(made, "v")[1]) == (2.0 if dtype == pa.int32() else 2.5)
        assert made.schema().base_schema.field("v").type == dtype


def test_imputer_of_nulls_only() -> None:
    ds = data.from_arrow(pa.table({"v": pa.array([None, None], pa.float64())}))
    for strategy in ("mean", "most_frequent"):
        imputer = SimpleImputer(["v"], strategy).fit(ds)
        with pytest.raises(ValueError, match="Column v has no fill value"):
            imputer.transform(ds).take_all()


def test_most_frequent_in_order_of_blocks() -> None:
    ds = data.from_arrow([pa.table({"v": [part]}) for part in ["c", "b", "b", "c", None, None]])
    imputer = SimpleImputer(["v"], "most_frequent").fit(ds)
    assert imputer.stats_ == {"most_frequent(v)": "c"}
    assert column(imputer.transform(ds), "v") == ["c", "b", "b", "c", "c", "c"]


def test_concatenator() -> None:
    ds = data.from_arrow(
        pa.table({"a": pa.array([1, None], pa.int64()), "b": [True, False], "s": ["x", "y"]})
    )
    made = Concatenator(["b", "a"]).transform(ds)
    assert made.columns() == ["s", "concat_out"]
    assert np.array_equal(column(made, "concat_out"), [[1.0, 1.0], [0.0, np.nan]], equal_nan=True)
    tensors = data.from_numpy(np.arange(12.0).reshape(3, 2, 2))
    flat = Concatenator(["data"], flatten=True, dtype=np.float32).transform(tensors)
    assert np.array_equal(column(flat, "concat_out"), np.arange(12).reshape(3, 4))
    assert column(flat, "concat_out")[0].dtype == np.float32
    assert repr(Concatenator(["a"], "v", flatten=True)) == (
        "Concatenator(output_column_name=v, columns=['a'], flatten=True)"
    )


def test_tokenizer() -> None:
    ds = texts("a  b", None, "")
    assert lists(Tokenizer(["t"]).transform(ds)) == [["a", "", "b"], None, [""]]
    assert lists(Tokenizer(["t"], str.split).transform(ds)) == [["a", "b"], None, []]


def test_count_vectorizer_counts() -> None:
    ds = texts("b a b", "c c c", None, "a d")
    vectorizer = CountVectorizer(["t"], output_columns=["v"]).fit(ds)
    assert vectorizer.stats_ == {"token_counts(t)": {"c": 3, "b": 2, "a": 2, "d": 1}}
    assert list(vectorizer.stats_["token_counts(t)"]) == ["c", "b", "a", "d"]
    assert lists(vectorizer.transform(ds), "v") == [[0, 2, 1, 0], [3, 0, 0, 0], None, [0, 0, 1, 1]]
    assert lists(CountVectorizer(["t"], max_features=1).fit_transform(ds)) == [[0], [3], None, [0]]


def test_count_vectorizer_of_two_columns() -> None:
    ds = data.from_items([{"t": "a b", "u": "x"}, {"t": "b d", "u": "x y"}])
    made = CountVectorizer(["t", "u"]).fit_transform(ds)
    assert lists(made, "t") == [[1, 1, 0], [1, 0, 1]]
    assert lists(made, "u") == [[1, 0], [1, 1]]


def test_texts_are_tokenized_in_workers() -> None:
    def with_process(text: str) -> list[str]:
        return [*text.split(), str(os.getpid())]

    vectorizer = CountVectorizer(["t"], with_process).fit(texts("a", "a"))
    assert str(os.getpid()) not in vectorizer.stats_["token_counts(t)"]


def test_hashes() -> None:
    """The places are those of ray.data 2.60."""
    hasher = FeatureHasher(["a", "b", "token", "x1"], 8, "h")
    frame = pd.DataFrame({"a": [1, 2], "b": [10, 0], "token": [100, 0], "x1": [1000, 0], "z": 1})
    made = hasher.transform_batch(frame)
    assert [row.tolist() for row in made["h"]] == [
        [100, 0, 0, 1, 0, 1010, 0, 0],
        [0, 0, 0, 2, 0, 0, 0, 0],
    ]
    assert made["z"].tolist() == [1, 1]
    assert made["h"][0].dtype == np.int64
    vectors = HashingVectorizer(["t"], 8).transform(texts("a b a", "c c c", None))
    assert lists(vectors) == [[0, 0, 0, 2, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 3, 0], None]


def test_images_of_several_sizes() -> None:
    torch = pytest.importorskip("torch")
    ds = data.from_numpy(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))

    def crop(image: object) -> object:
        tensor = torch.as_tensor(image)
        return tensor[: 1 + int(tensor[0, 0, 0]) // 12]

    made = TorchVisionPreprocessor(["data"], crop, ["cropped"]).transform(ds)
    assert [row["cropped"].shape for row in made.take_all()] == [(1, 2, 3), (2, 2, 3)]
    wrong = TorchVisionPreprocessor(["data"], lambda image: [1])
    with pytest.raises(ValueError, match="`list`"):
        wrong.transform(ds).take_all()
