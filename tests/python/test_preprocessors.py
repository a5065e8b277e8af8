"""The base of preprocessors: states, forms of batches, bytes, worker processes and chains."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import headrace as data
from headrace import preprocessors
from headrace.preprocessor import (
    Preprocessor,
    PreprocessorNotFittedException,
    SerializablePreprocessorBase,
)
from headrace.preprocessors import version_support
from headrace.util.data_batch_conversion import BatchFormat

pd = pytest.importorskip("pandas")


def words() -> data.Dataset:
    columns = {
        "n": [3.0, 1.0, 2.0, 3.0],
        "m": ["q", "p", "r", "q"],
        "l": [["x", "y"], ["y"], [], ["z"]],
        "t": ["a b", "b c", "a", "c"],
    }
    return data.from_arrow(pa.table(columns))


def identity(image: object) -> object:
    return image


EVERY: list[Preprocessor] = [
    preprocessors.Categorizer(["m"]),
    preprocessors.Chain(preprocessors.MinMaxScaler(["n"]), preprocessors.LabelEncoder("m")),
    preprocessors.Concatenator(["n"]),
    preprocessors.CountVectorizer(["t"]),
    preprocessors.CustomKBinsDiscretizer(["n"], [0, 2, 4]),
    preprocessors.FeatureHasher(["n"], 4, "h"),
    preprocessors.HashingVectorizer(["t"], 4),
    preprocessors.LabelEncoder("m"),
    preprocessors.MaxAbsScaler(["n"]),
    preprocessors.MinMaxScaler(["n"]),
    preprocessors.MultiHotEncoder(["l"]),
    preprocessors.Normalizer(["n"]),
    preprocessors.OneHotEncoder(["m"]),
    preprocessors.OrdinalEncoder(["m", "l"]),
    preprocessors.PowerTransformer(["n"], 0.5),
    preprocessors.RobustScaler(["n"]),
    preprocessors.SimpleImputer(["n"]),
    preprocessors.StandardScaler(["n"]),
    preprocessors.Tokenizer(["t"]),
    preprocessors.UniformKBinsDiscretizer(["n"], 2),
]


def fitted(preprocessor: Preprocessor) -> Preprocessor:
    copy = pickle.loads(pickle.dumps(preprocessor))
    return copy.fit(words())


def plain(rows: list[dict]) -> list[dict]:
    return [
        {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in rows
    ]


def test_every_one_is_tried() -> None:
    tried = {type(preprocessor).__name__ for preprocessor in EVERY}
    assert tried == set(preprocessors.__all__) - {"TorchVisionPreprocessor"}


@pytest.mark.parametrize("preprocessor", EVERY, ids=lambda p: type(p).__name__)
def test_bytes_and_processes(preprocessor: Preprocessor) -> None:
    """What comes back from bytes does the same, also as the function of a worker process."""
    made = fitted(preprocessor)
    expected = plain(made.transform(words()).take_all())
    for copy in (
        Preprocessor.deserialize(made.serialize()),
        type(made).deserialize(made.serialize()),
        pickle.loads(pickle.dumps(made)),
    ):
        assert type(copy) is type(made)
        assert copy.fit_status() == made.fit_status()
        assert repr(copy) == repr(made)
        assert plain(copy.transform(words()).take_all()) == expected

    def in_worker(batch: pa.Table) -> object:
        made_there = copy.transform_batch(batch)
        return made_there.assign(pid=os.getpid()) if hasattr(made_there, "assign") else made_there

    rows = words().map_batches(in_worker, batch_format="pyarrow").take_all()
    assert all(row.pop("pid", None) != os.getpid() for row in rows)
    assert list(rows[0]) == list(expected[0])


@pytest.mark.parametrize("preprocessor", EVERY, ids=lambda p: type(p).__name__)
def test_states(preprocessor: Preprocessor) -> None:
    new = pickle.loads(pickle.dumps(preprocessor))
    status = new.fit_status()
    if status == Preprocessor.FitStatus.NOT_FITTABLE:
        assert not new.has_stats()
        assert new.fit(words()) is new
    else:
        assert status == Preprocessor.FitStatus.NOT_FITTED
        for use in (new.transform, new.transform_batch):
            with pytest.raises(PreprocessorNotFittedException, match="`fit` must be called"):
                use(words())
        new.fit(words())
        assert new.fit_status() == Preprocessor.FitStatus.FITTED
        with pytest.warns(UserWarning, match="is replaced"):
            new.fit(words())
    assert new.transform(words()).count() == 4


@pytest.mark.parametrize("preprocessor", EVERY, ids=lambda p: type(p).__name__)
def test_batches_are_not_changed(preprocessor: Preprocessor) -> None:
    frame = words().to_pandas()
    before = frame.copy()
    made = fitted(preprocessor).transform_batch(frame)
    assert isinstance(made, pd.DataFrame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("preprocessor", EVERY, ids=lambda p: type(p).__name__)
def test_absent_columns_and_batches_without_rows(preprocessor: Preprocessor) -> None:
    made = fitted(preprocessor)
    empty = words().to_pandas().iloc[:0]
    assert len(made.transform_batch(empty)) == 0
    if not isinstance(made, preprocessors.SimpleImputer):
        with pytest.raises(KeyError):
            made.transform_batch(empty[[]])


def test_a_refitted_one_forgets() -> None:
    encoder = preprocessors.OrdinalEncoder(["m"]).fit(words())
    with pytest.warns(UserWarning, match="is replaced"):
        encoder.fit(data.from_items([{"m": "only"}]))
    assert encoder.stats_ == {"unique_values(m)": {"only": 0}}


def test_unknown_bytes() -> None:
    with pytest.raises(ValueError, match="no serialized preprocessor"):
        SerializablePreprocessorBase.deserialize(b"zzzz")
    content = {"type": "none.such", "version": 1, "fields": {}, "stats": {}}
    content["serializer_format_version"] = 1
    with pytest.raises(version_support.UnknownPreprocessorError, match=r"none\.such") as error:
        Preprocessor.deserialize(b"CPKL:" + pickle.dumps(content))
    assert error.value.preprocessor_type == "none.such"
    content["type"] = preprocessors.MinMaxScaler.get_preprocessor_class_id()
    content["version"] = 99
    with pytest.raises(ValueError, match="later version"):
        Preprocessor.deserialize(b"CPKL:" + pickle.dumps(content))


@version_support.SerializablePreprocessor(version=3, identifier="tests.adder")
class Adder(SerializablePreprocessorBase):
    """Adds what was most."""

    def __init__(self, column: str) -> None:
        super().__init__()
        self._column = column

    def _fit(self, ds: data.Dataset) -> None:
        self.stats_ = {"max": ds.max(self._column)}

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        import pyarrow.compute as pc

        at = table.schema.get_field_index(self._column)
        return table.set_column(at, self._column, pc.add(table[self._column], self.stats_["max"]))


def test_one_of_a_user() -> None:
    adder = Adder("id").fit(data.range(5))
    assert [row["id"] for row in adder.transform(data.range(3)).take_all()] == [4, 5, 6]
    copy = Preprocessor.deserialize(adder.serialize())
    assert isinstance(copy, Adder)
    assert (copy.stats_, copy.get_version()) == ({"max": 4}, 3)
    assert adder.transform_batch({"id": np.array([1])})["id"].to_pylist() == [5]
    assert adder.transform_batch(pd.DataFrame({"id": [1]}))["id"].tolist() == [5]


class Forms(Preprocessor):
    """Says which form it was given."""

    _is_fittable = False

    def _transform_numpy(self, batch: object) -> object:
        return {"form": np.array([type(batch).__name__])}

    def _transform_pandas(self, frame: object) -> object:
        return pd.DataFrame({"form": [type(frame).__name__]})


class NumpyForms(Forms):
    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        return BatchFormat.NUMPY


def test_the_preferred_form() -> None:
    ds = data.range(2, override_num_blocks=1)
    assert Forms().transform(ds).take_all() == [{"form": "DataFrame"}]
    assert NumpyForms().transform(ds).take_all() == [{"form": "dict"}]
    for batch in ({"a": np.ones(2)}, pa.table({"a": [1], "b": [2]})):
        assert NumpyForms().transform_batch(batch)["form"].tolist() == ["dict"]
        assert Forms().transform_batch(batch)["form"].tolist() == ["DataFrame"]
    # An array, or a frame with one column, is an array.
    for batch in (np.ones(2), pd.DataFrame({"a": [1, 2]})):
        assert NumpyForms().transform_batch(batch)["form"].tolist() == ["ndarray"]


def test_chain_of_chains() -> None:
    inner = preprocessors.Chain(
        preprocessors.SimpleImputer(["n"]), preprocessors.StandardScaler(["n"])
    )
    chain = preprocessors.Chain(inner, preprocessors.Concatenator(["n"]))
    assert chain.fit_status() == Preprocessor.FitStatus.NOT_FITTED
    assert chain.fit(words()).fit_status() == Preprocessor.FitStatus.FITTED
    values = np.array([3.0, 1.0, 2.0, 3.0])
    expected = (values - values.mean()) / values.std()
    got = [row["concat_out"][0] for row in chain.transform(words()).take_all()]
    assert np.allclose(got, expected)
    with pytest.raises(TypeError):
        chain.fit_transform(words(), transform_batch_size=1)  # type: ignore[call-arg]


def test_options_of_transform() -> None:
    scaler = preprocessors.MaxAbsScaler(["id"]).fit(data.range(9))
    made = scaler.transform(
        data.range(9), batch_size=2, num_cpus=0.5, memory=1 << 20, concurrency=1
    )
    assert made.sum("id") == 36 / 8
    assert "MapBatches(MaxAbsScaler)" in made._plan.name


def test_signatures() -> None:
    assert str(inspect.signature(Preprocessor.fit)).startswith("(self, ds")
    names = list(inspect.signature(Preprocessor.fit_transform).parameters)
    assert names == [
        "self",
        "ds",
        "transform_num_cpus",
        "transform_memory",
        "transform_batch_size",
        "transform_concurrency",
    ]


def test_the_package_does_not_need_pandas() -> None:
    code = (
        "import sys, headrace, headrace.preprocessors as p\n"
        "assert 'pandas' not in sys.modules and 'torch' not in sys.modules\n"
        "ds = headrace.range(4)\n"
        "encoder = p.OneHotEncoder(['id']).fit(ds)\n"
        "assert 'pandas' not in sys.modules\n"
        "assert 'headrace.preprocessors.torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ.copy())
