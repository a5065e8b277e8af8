"""Batches as tensors of TensorFlow and JAX: what `Dataset` and `DataIterator` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from headrace.dataset import Schema


class TensorBatchesMixin:
    """The verbs; the library is imported when one is called, ImportError if it is not there."""

    def _tensor_batches(self, batch_format: str, finish: Callable[[Any], Any], options: Any) -> Any:
        """Returns an iterable of batches, each made by `finish`."""
        raise NotImplementedError

    def schema(self) -> Schema | None:
        raise NotImplementedError

    def iter_tf_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Any:
        """Returns an iterable of dicts of TensorFlow tensors; ragged ones where arrays differ.

        Args:
            dtypes: the type of all tensors, or of some by name.

        Other arguments as of `iter_batches`.
        """
        tf = _tensorflow()

        def finish(batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
            return {name: _tf_tensor(tf, v, _of(dtypes, name)) for name, v in batch.items()}

        options = _options(
            prefetch_batches, batch_size, drop_last, local_shuffle_buffer_size, local_shuffle_seed
        )
        return self._tensor_batches("numpy", finish, options)

    def to_tf(
        self,
        feature_columns: str | list[str],
        label_columns: str | list[str],
        *,
        additional_columns: str | list[str] | None = None,
        prefetch_batches: int = 1,
        batch_size: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        feature_type_spec: Any = None,
        label_type_spec: Any = None,
        additional_type_spec: Any = None,
    ) -> Any:
        """Returns a `tf.data.Dataset` of (features, labels[, additional]), each a tensor for one
        name and a dict of tensors for a list of names.

        Args:
            feature_type_spec, label_type_spec, additional_type_spec: the `tf.TypeSpec`s; default:
                from the schema.

        Raises:
            ValueError: a column does not exist, or its type has no tensors.
        """
        tf = _tensorflow()
        groups = [(feature_columns, feature_type_spec), (label_columns, label_type_spec)]
        if additional_columns is not None:
            groups.append((additional_columns, additional_type_spec))
        schema = self.schema()
        fields = pa.schema([]) if schema is None else schema.base_schema
        specs = tuple(
            _tf_specs(tf, fields, columns) if spec is None else spec for columns, spec in groups
        )
        options = _options(
            prefetch_batches, batch_size, drop_last, local_shuffle_buffer_size, local_shuffle_seed
        )

        def finish(batch: Mapping[str, np.ndarray]) -> tuple[Any, ...]:
            return tuple(
                _tf_group(tf, batch, columns, spec)
                for (columns, _), spec in zip(groups, specs, strict=True)
            )

        def generate() -> Iterator[tuple[Any, ...]]:
            yield from self._tensor_batches("numpy", finish, options)

        made = tf.data.Dataset.from_generator(generate, output_signature=specs)
        policy = tf.data.Options()
        policy.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return made.with_options(policy)

    def iter_jax_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int = 256,
        dtypes: Any = None,
        collate_fn: Any = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        synchronize_batches: bool = False,
        paddings: Any = None,
    ) -> Any:
        """Returns an iterable of dicts of JAX arrays on the default device.

        Args:
            dtypes: the type of all arrays, or of some by name.
            collate_fn: makes the batch instead, of a dict of numpy arrays; what it returns is
                handed out as it is. Not together with `dtypes` or `paddings`.
            synchronize_batches: accepted; one process has nobody to wait for.
            paddings: a value, or values by name, that fill the last batch up to `batch_size`.

        Other arguments as of `iter_batches`. Raises ValueError for `collate_fn` with `dtypes` or
        `paddings`.
        """
        if collate_fn is not None and (dtypes is not None or paddings is not None):
            raise ValueError("collate_fn cannot be used with dtypes or paddings.")
        jnp = _jax_numpy()

        def finish(batch: Mapping[str, np.ndarray]) -> Any:
            if collate_fn is not None:
                return collate_fn(batch)
            made = {}
            for name, values in batch.items():
                values = _padded(_dense(name, values), batch_size, _of(paddings, name))
                made[name] = jnp.asarray(values, dtype=_of(dtypes, name))
            return made

        options = _options(
            prefetch_batches, batch_size, drop_last, local_shuffle_buffer_size, local_shuffle_seed
        )
        return self._tensor_batches("numpy", finish, options)


def _options(
    prefetch_batches: int,
    batch_size: int | None,
    drop_last: bool,
    local_shuffle_buffer_size: int | None,
    local_shuffle_seed: int | None,
) -> dict[str, Any]:
    return {
        "prefetch_batches": prefetch_batches,
        "batch_size": batch_size,
        "drop_last": drop_last,
        "local_shuffle_buffer_size": local_shuffle_buffer_size,
        "local_shuffle_seed": local_shuffle_seed,
    }


def _of(setting: Any, name: str) -> Any:
    return setting.get(name) if isinstance(setting, dict) else setting


def _dense(name: str, values: np.ndarray) -> np.ndarray:
    """Returns arrays of one shape as one. ValueError for others, and for what is no number."""
    if values.dtype == object:
        try:
            values = np.stack([np.asarray(value) for value in values])
        except ValueError as error:
            raise ValueError(f"Column '{name}' holds arrays of different shapes.") from error
    if values.dtype == object or values.dtype.kind in "USMm":
        raise ValueError(f"Column '{name}' of type {values.dtype} is no tensor: drop it.")
    return values


def _padded(values: np.ndarray, rows: int, padding: Any) -> np.ndarray:
    if padding is None or len(values) == rows:
        return values
    widths = [(0, rows - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, widths, constant_values=padding)


# ---- TensorFlow -----------------------------------------------------------------------------


def _tensorflow() -> Any:
    try:
        import tensorflow  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ModuleNotFoundError("tensors of TensorFlow need the package tensorflow") from error
    return tensorflow


def _jax_numpy() -> Any:
    try:
        import jax.numpy  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise ModuleNotFoundError("arrays of JAX need the package jax") from error
    return jax.numpy


def _tf_tensor(tf: Any, values: np.ndarray, dtype: Any) -> Any:
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
        if len({value.shape for value in values}) > 1:
            ragged = tf.ragged.stack([tf.convert_to_tensor(value) for value in values])
            return ragged if dtype is None else tf.cast(ragged, dtype)
        values = np.stack(list(values))
    tensor = tf.convert_to_tensor(values)
    return tensor if dtype is None else tf.cast(tensor, dtype)


def _tf_group(tf: Any, batch: Mapping[str, np.ndarray], columns: Any, spec: Any) -> Any:
    if isinstance(columns, str):
        return _tf_tensor(tf, batch[columns], spec.dtype)
    return {name: _tf_tensor(tf, batch[name], _of(spec, name).dtype) for name in columns}


def _tf_specs(tf: Any, fields: pa.Schema, columns: str | list[str]) -> Any:
    """Returns the specs of batches of these columns. ValueError for a column that is not there."""
    names = [columns] if isinstance(columns, str) else list(columns)
    for name in names:
        if name not in fields.names:
            raise ValueError(f"You specified '{name}', but there are only {fields.names}.")
    specs = {name: _tf_spec(tf, name, fields.field(name).type) for name in names}
    return specs[columns] if isinstance(columns, str) else specs


def _tf_spec(tf: Any, name: str, dtype: pa.DataType) -> Any:
    shape: tuple[int | None, ...] = (None,)
    ragged = False
    if isinstance(dtype, pa.FixedShapeTensorType):
        shape, dtype = (None, *dtype.shape), dtype.value_type
    elif isinstance(dtype, pa.BaseExtensionType):
        if dtype.extension_name != "arrow.variable_shape_tensor":
            raise ValueError(f"Column '{name}' of type {dtype} is no tensor.")
        ragged = True
        shape = (None,) * (1 + dtype.storage_type.field("shape").type.list_size)
        dtype = dtype.storage_type.field("data").type.value_type
    elif pa.types.is_fixed_size_list(dtype):
        shape, dtype = (None, dtype.list_size), dtype.value_type
    elif pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        ragged, shape, dtype = True, (None, None), dtype.value_type
    tf_dtype = _tf_dtype(tf, name, dtype)
    if ragged:
        return tf.RaggedTensorSpec(shape=shape, dtype=tf_dtype)
    return tf.TensorSpec(shape=shape, dtype=tf_dtype, name=name)


def _tf_dtype(tf: Any, name: str, dtype: pa.DataType) -> Any:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    if any(test(dtype) for test in texts):
        return tf.string
    try:
        return tf.dtypes.as_dtype(np.dtype(dtype.to_pandas_dtype()))
    except (NotImplementedError, TypeError) as error:
        raise ValueError(f"Column '{name}' of type {dtype} has no type in TensorFlow.") from error
