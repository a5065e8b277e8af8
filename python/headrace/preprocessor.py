"""`Preprocessor`: a transformation that learns from a dataset what it then does to batches.

    scaler = StandardScaler(["age"]).fit(ds)
    ds = scaler.transform(ds)
    batch = scaler.transform_batch(batch)

A fitted preprocessor is a small value: it can be pickled, and used in other processes. Those of the
package are in `headrace.preprocessors`.
"""

from __future__ import annotations

import abc
import base64
import pickle
import warnings
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.util.data_batch_conversion import TENSOR_COLUMN_NAME, BatchFormat

if TYPE_CHECKING:
    import pandas as pd

    from headrace.dataset import Dataset

__all__ = [
    "Preprocessor",
    "PreprocessorNotFittedException",
    "SerializablePreprocessorBase",
    "SerializationFormat",
]


class PreprocessorNotFittedException(RuntimeError):
    """A preprocessor was to transform before it was fitted."""


class Preprocessor(abc.ABC):  # noqa: B024
    """A transformation of rows, perhaps with a state that `fit` learns.

    A subclass gives `_fit(ds)`, which sets `self.stats_`, or has `_is_fittable = False`; and one of
    `_transform_pandas(frame)`, `_transform_numpy(batch)` and `_transform_arrow(table)`, each of
    which returns a batch of its form. With several, `preferred_batch_format` chooses.
    """

    _is_fittable = True

    class FitStatus(str, Enum):
        """What is known of the state."""

        NOT_FITTABLE = "NOT_FITTABLE"
        NOT_FITTED = "NOT_FITTED"
        # Of a chain: some of its preprocessors are.
        PARTIALLY_FITTED = "PARTIALLY_FITTED"
        FITTED = "FITTED"

    def __init__(self) -> None:
        self.stats_: dict[str, Any] = {}

    # ---- What it is

    def fit_status(self) -> Preprocessor.FitStatus:
        """Returns whether there is a state, and whether one is needed."""
        if not self._is_fittable:
            return Preprocessor.FitStatus.NOT_FITTABLE
        fitted = getattr(self, "_fitted", False) or any(
            name.endswith("_") and not name.startswith("_") and (name != "stats_" or value)
            for name, value in vars(self).items()
        )
        return Preprocessor.FitStatus.FITTED if fitted else Preprocessor.FitStatus.NOT_FITTED

    def has_stats(self) -> bool:
        """Returns True if `stats_`, the learnt state, has entries."""
        return bool(getattr(self, "stats_", None))

    def get_input_columns(self) -> list[str]:
        """Returns the columns that are read; [] if that is not known."""
        return getattr(self, "columns", [])

    def get_output_columns(self) -> list[str]:
        """Returns the columns that are written; [] if that is not known."""
        return getattr(self, "output_columns", [])

    @classmethod
    def preferred_batch_format(cls) -> BatchFormat:
        """Returns the form that is worked on where there is a choice: pandas."""
        return BatchFormat.PANDAS

    # ---- What it does

    def fit(self, ds: Dataset) -> Preprocessor:
        """Learns the state from all rows of `ds`, now, and returns self.

        An earlier state is replaced, with a warning. Nothing runs if there is no state to learn.
        """
        status = self.fit_status()
        if status == Preprocessor.FitStatus.NOT_FITTABLE:
            return self
        if status != Preprocessor.FitStatus.NOT_FITTED:
            warnings.warn(
                "`fit` was called before on this preprocessor, or on one of those that it chains: "
                "what it learnt then is replaced.",
                stacklevel=2,
            )
        self._fit(ds)
        self._fitted = True
        return self

    def fit_transform(
        self,
        ds: Dataset,
        *,
        transform_num_cpus: float | None = None,
        transform_memory: float | None = None,
        transform_batch_size: int | None = None,
        transform_concurrency: int | None = None,
    ) -> Dataset:
        """Fits, then transforms the same dataset; arguments as of `transform`."""
        self.fit(ds)
        return self.transform(
            ds,
            batch_size=transform_batch_size,
            num_cpus=transform_num_cpus,
            memory=transform_memory,
            concurrency=transform_concurrency,
        )

    def transform(
        self,
        ds: Dataset,
        *,
        batch_size: int | None = None,
        num_cpus: float | None = None,
        memory: float | None = None,
        concurrency: int | None = None,
    ) -> Dataset:
        """Returns the transformed dataset; as other verbs of a dataset, it runs nothing.

        Args:
            batch_size: rows a batch; None: whole blocks.
            num_cpus, memory: what each task takes: cpus, and bytes of heap.
            concurrency: the most tasks at once.

        Raises:
            PreprocessorNotFittedException: it is not fitted, or not wholly.
        """
        if not self._may_transform():
            raise PreprocessorNotFittedException(
                "`fit` must be called before `transform`; `fit_transform` does both"
            )
        given = {
            "batch_size": batch_size,
            "num_cpus": num_cpus,
            "memory": memory,
            "concurrency": concurrency,
        }
        return self._transform(
            ds, {key: value for key, value in given.items() if value is not None}
        )

    def transform_batch(self, data: Any) -> Any:
        """Returns one batch transformed, in the form that the preprocessor works on.

        Args:
            data: a DataFrame, `pyarrow.Table`, dict of arrays, or array. A DataFrame gives a
                DataFrame.

        Raises:
            PreprocessorNotFittedException: it is not fitted, or not wholly.
            ValueError: `data` is none of these.
        """
        if not self._may_transform():
            raise PreprocessorNotFittedException("`fit` must be called before `transform_batch`.")
        return self._transform_batch(data)

    # ---- For subclasses

    def _fit(self, ds: Dataset) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not say how it is fitted")

    def _transform_pandas(self, frame: pd.DataFrame) -> pd.DataFrame:
        raise NotImplementedError

    def _transform_numpy(self, batch: Any) -> Any:
        raise NotImplementedError

    def _transform_arrow(self, table: pa.Table) -> pa.Table:
        raise NotImplementedError

    def _get_transform_config(self) -> dict[str, Any]:
        """Returns arguments of `Dataset.map_batches` for `transform`."""
        return {}

    # ---- How

    def _may_transform(self) -> bool:
        return self.fit_status() in (
            Preprocessor.FitStatus.FITTED,
            Preprocessor.FitStatus.NOT_FITTABLE,
        )

    def _implements(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(Preprocessor, name)

    def _determine_transform_to_use(self) -> BatchFormat:
        methods = {
            BatchFormat.PANDAS: "_transform_pandas",
            BatchFormat.NUMPY: "_transform_numpy",
            BatchFormat.ARROW: "_transform_arrow",
        }
        there = [form for form, name in methods.items() if self._implements(name)]
        if not there:
            raise NotImplementedError(
                f"{type(self).__name__} implements none of `_transform_pandas`, "
                "`_transform_numpy` and `_transform_arrow`: one of them is needed to transform."
            )
        preferred = self.preferred_batch_format()
        return preferred if preferred in there else there[0]

    def _form_for_datasets(self) -> BatchFormat:
        """Returns the form that `transform` works on; `transform_batch` has the preferred one."""
        return self._determine_transform_to_use()

    def _transform(self, ds: Dataset, arguments: dict[str, Any]) -> Dataset:
        form = self._form_for_datasets()
        return ds.map_batches(
            _Transformation(self, form),
            batch_format="pyarrow" if form == BatchFormat.ARROW else form.value,
            **{**self._get_transform_config(), **arguments},
        )

    def _transform_batch(self, data: Any) -> Any:
        is_frame = hasattr(data, "iloc") and hasattr(data, "columns")
        if not is_frame and not isinstance(data, (pa.Table, dict, np.ndarray)):
            raise ValueError(
                "`transform_batch` takes a pandas DataFrame, a pyarrow Table, a numpy array or a "
                f"dict of arrays, got: {type(data)}"
            )
        form = self._determine_transform_to_use()
        if form == BatchFormat.ARROW and is_frame and self._implements("_transform_pandas"):
            form = BatchFormat.PANDAS
        if form == BatchFormat.PANDAS:
            return self._transform_pandas(_as_frame(data))
        if form == BatchFormat.NUMPY:
            return self._transform_numpy(_as_arrays(data))
        table = self._transform_arrow(_as_table(data))
        return table.to_pandas() if is_frame else table

    # ---- As bytes

    def serialize(self) -> str | bytes:
        """Returns the preprocessor with its state, for `deserialize`."""
        return base64.b64encode(pickle.dumps(self)).decode("ascii")

    @staticmethod
    def deserialize(serialized: str | bytes) -> Preprocessor:
        """Returns the preprocessor that `serialize` was called on.

        Load only what you trust: what was serialized may run code.
        """
        if isinstance(serialized, bytes) and serialized.startswith(_MAGIC):
            return SerializablePreprocessorBase.deserialize(serialized)
        return pickle.loads(base64.b64decode(serialized))


class SerializationFormat(Enum):
    """How the state of a preprocessor is written."""

    CLOUDPICKLE = "cloudpickle"
    PICKLE = "pickle"


_MAGIC = b"CPKL:"


class SerializablePreprocessorBase(Preprocessor, abc.ABC):
    """A preprocessor that is serialized by name, version and fields, not by its class's module.

    Decorate a subclass with `version_support.SerializablePreprocessor`.
    """

    MAGIC_CLOUDPICKLE = _MAGIC
    SERIALIZER_FORMAT_VERSION = 1
    SerializationFormat = SerializationFormat
    _identifier = ""
    _version = 1

    @classmethod
    def get_preprocessor_class_id(cls) -> str:
        """Returns the name that serialized preprocessors of this class bear."""
        return cls._identifier or f"{cls.__module__}.{cls.__qualname__}"

    @classmethod
    def set_preprocessor_class_id(cls, identifier: str) -> None:
        cls._identifier = identifier

    @classmethod
    def get_version(cls) -> int:
        """Returns the version of the fields."""
        return cls._version

    @classmethod
    def set_version(cls, version: int) -> None:
        cls._version = version

    def _get_serializable_fields(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "stats_"}

    def _set_serializable_fields(self, fields: dict[str, Any], version: int) -> None:
        vars(self).update(fields)

    def serialize(self) -> bytes:
        """Returns a tag, and pickled by cloudpickle: type, version, fields and stats."""
        import cloudpickle

        content = {
            "serializer_format_version": self.SERIALIZER_FORMAT_VERSION,
            "type": self.get_preprocessor_class_id(),
            "version": self.get_version(),
            "fields": self._get_serializable_fields(),
            "stats": getattr(self, "stats_", None),
        }
        return _MAGIC + cloudpickle.dumps(content)

    @staticmethod
    def deserialize(serialized: str | bytes) -> Preprocessor:
        """Returns the preprocessor that `serialize` was called on.

        Load only what you trust: what was serialized may run code.

        Raises:
            ValueError: these are no bytes of `serialize`, or of a later version.
            UnknownPreprocessorError: no class bears the name; it is a ValueError.
        """
        from headrace.preprocessors.version_support import class_of

        if isinstance(serialized, str):
            return Preprocessor.deserialize(serialized)
        if not serialized.startswith(_MAGIC):
            raise ValueError(f"This is no serialized preprocessor: {serialized[:50]!r}...")
        content = pickle.loads(serialized[len(_MAGIC) :])
        cls = class_of(content["type"])
        known = SerializablePreprocessorBase.SERIALIZER_FORMAT_VERSION
        if content["serializer_format_version"] > known or content["version"] > cls.get_version():
            raise ValueError(
                f"'{content['type']}' was serialized by a later version of the package: version "
                f"{content['version']}, known is {cls.get_version()}"
            )
        made = cls.__new__(cls)
        if content["stats"] is not None:
            made.stats_ = content["stats"]
        made._set_serializable_fields(content["fields"], content["version"])
        return made


class _Transformation:
    """What `transform` gives to `map_batches`; it shows as the preprocessor's class."""

    def __init__(self, preprocessor: Preprocessor, form: BatchFormat) -> None:
        self.__name__ = type(preprocessor).__name__
        self._preprocessor = preprocessor
        self._form = form

    def __call__(self, batch: Any) -> Any:
        if self._form == BatchFormat.PANDAS:
            return self._preprocessor._transform_pandas(batch)
        if self._form == BatchFormat.NUMPY:
            return self._preprocessor._transform_numpy(batch)
        return self._preprocessor._transform_arrow(batch)


def _as_frame(data: Any) -> pd.DataFrame:
    import pandas as pd

    if isinstance(data, pa.Table):
        return data.to_pandas()
    if isinstance(data, np.ndarray):
        data = {TENSOR_COLUMN_NAME: data}
    if isinstance(data, dict):
        return pd.DataFrame(
            {name: list(part) if np.ndim(part) > 1 else part for name, part in data.items()}
        )
    return data


def _as_table(data: Any) -> pa.Table:
    from headrace._internal.convert import batch_to_table

    if isinstance(data, np.ndarray):
        data = {TENSOR_COLUMN_NAME: data}
    return batch_to_table(data)


def _as_arrays(data: Any) -> Any:
    """Returns a dict of arrays; an array stays one, and a frame of one column becomes one."""
    from headrace._internal.convert import batch_to_table, table_to_batch

    if isinstance(data, (dict, np.ndarray)):
        return data
    arrays = table_to_batch(batch_to_table(data), "numpy", zero_copy_batch=False)
    if not isinstance(data, pa.Table) and len(arrays) == 1:
        return next(iter(arrays.values()))
    return arrays
