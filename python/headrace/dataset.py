"""`Dataset`: a handle on a logical plan; immutable, lazy and cheap."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace._internal import convert, frames
from headrace._internal.dataset_consume import ConsumeMixin, RefBundle
from headrace._internal.dataset_exchange import ExchangeMixin
from headrace._internal.dataset_mix import MixMixin
from headrace._internal.dataset_split import SplitMixin
from headrace._internal.dataset_transform import TransformMixin
from headrace._internal.dataset_write import WriteMixin
from headrace._internal.dataset_write_formats import WriteFormatsMixin
from headrace._internal.plan_building import make_options
from headrace._internal.stats import RunStats
from headrace._internal.tensor_batches import TensorBatchesMixin
from headrace.context import DataContext

__all__ = ["Dataset", "MaterializedDataset", "RefBundle", "Schema"]


# So many rows are looked at for a column whose first value says nothing of its type.
_ROWS_THAT_TELL_TYPES = 1000


class Schema:
    """Names and types of a dataset's columns.

    `base_schema` is the `pyarrow.Schema`. Tensors show as their own types.
    """

    def __init__(self, base_schema: pa.Schema, *, data_context: DataContext | None = None) -> None:
        self.base_schema = base_schema

    @property
    def names(self) -> list[str]:
        return list(self.base_schema.names)

    @property
    def types(self) -> list[Any]:
        """Arrow's types; `object` for columns of a DataFrame that hold lists or dicts."""
        objects = frames.object_columns(self.base_schema)
        return [object if f.name in objects else f.type for f in self.base_schema]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.base_schema.equals(other.base_schema)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = ["Column", "------", *self.names]
        types = ["Type", "----", *(type_name(dtype) for dtype in self.types)]
        width = max(len(name) for name in names)
        lines = [f"{n:<{width}}  {t}" for n, t in zip(names, types, strict=True)]
        return "\n".join(lines)


def _schema_of(plan: _core.Plan) -> pa.Schema | None:
    """Returns the schema of a plan's rows as far as it follows from the plan.

    Blocks in memory and the inputs of a union may differ: the plan itself knows the first one's
    schema only.
    """
    if plan.kind == "input_data":
        return _joined_schema([block.schema for block in plan.blocks() or []])
    if plan.kind == "union":
        schemas = [_schema_of(part) for part in plan.inputs]
        known = [schema for schema in schemas if schema is not None]
        return _joined_schema(known) if len(known) == len(schemas) else plan.infer_schema()
    return plan.infer_schema()


def _joined_schema(schemas: list[pa.Schema]) -> pa.Schema | None:
    """Returns the schema of the rows of all blocks together; None for no blocks."""
    if not schemas:
        return None
    first = schemas[0]
    if all(schema.equals(first) for schema in schemas[1:]):
        return first
    return convert.concat_tables([schema.empty_table() for schema in schemas]).schema


def _has_nulls_only(dtype: pa.DataType) -> bool:
    if pa.types.is_null(dtype):
        return True
    return any(_has_nulls_only(dtype.field(i).type) for i in range(dtype.num_fields))


def type_name(dtype: Any) -> str:
    """Returns the name of a column's type as `Schema` shows it."""
    if isinstance(dtype, type):
        return str(dtype)
    if isinstance(dtype, pa.FixedShapeTensorType):
        return f"ArrowTensorTypeV2(shape={tuple(dtype.shape)}, dtype={dtype.value_type})"
    if isinstance(dtype, pa.BaseExtensionType):
        if dtype.extension_name == "arrow.variable_shape_tensor":
            fields = dtype.storage_type
            ndim = fields.field("shape").type.list_size
            values = fields.field("data").type.value_type
            return f"ArrowVariableShapedTensorType(ndim={ndim}, dtype={values})"
        return f"extension<{dtype.extension_name}>"
    return str(dtype)


class Dataset(
    TransformMixin,
    ExchangeMixin,
    MixMixin,
    ConsumeMixin,
    SplitMixin,
    TensorBatchesMixin,
    WriteMixin,
    WriteFormatsMixin,
):
    """Rows to come: what to read and what to do with them.

    Each verb returns a new dataset; nothing runs before a verb asks for rows, and each such verb
    runs the whole anew, unless the dataset was materialized. Make datasets by `headrace.range`,
    `read_*` and `from_*`.
    """

    def __init__(
        self, plan: _core.Plan, context: DataContext | None = None, name: str | None = None
    ) -> None:
        self._plan = plan
        self._context = context or DataContext.get_current().copy()
        self._name = name
        self._uuid = uuid.uuid4().hex
        self._source_name: str | None = None  # Of the dataset that this one was made of.
        self._stats: RunStats | None = None
        self._schema: Schema | None = None
        # The verb and arguments that made this dataset, see _internal/lineage.py.
        self._recipe: Any = None

    def _tensor_batches(self, batch_format: str, finish: Callable[[Any], Any], options: Any) -> Any:
        return self.iterator()._tensor_batches(batch_format, finish, options)

    def _with_plan(self, plan: _core.Plan) -> Dataset:
        plan.validate()
        made = Dataset(plan, self._context.copy(), None)
        made._source_name = self._name or self._source_name
        return made

    # ---- What it is

    @property
    def context(self) -> DataContext:
        """The settings of this dataset: a copy of those that were current when it was made."""
        return self._context

    @property
    def name(self) -> str | None:
        """The name that progress bars show."""
        return self._name

    def set_name(self, name: str | None) -> None:
        """Names the dataset, for progress bars."""
        self._name = name

    @property
    def _dataset_name(self) -> str | None:
        return self._name

    def get_dataset_id(self) -> str:
        """Returns an id that no other dataset has."""
        return f"{self._name or 'dataset'}_{self._uuid}_0"

    def schema(self, fetch_if_missing: bool = True) -> Schema | None:
        """Returns the schema; None for a dataset without rows and types.

        Where it does not follow from the plan, the first rows are computed, unless
        `fetch_if_missing` is false.
        """
        known = self._known_schema()
        if known is not None:
            return Schema(known, data_context=self._context)
        if self._schema is None and fetch_if_missing:
            self._schema = self._fetch_schema()
        return self._schema

    def _known_schema(self) -> pa.Schema | None:
        if self._schema is not None:
            return self._schema.base_schema
        return _schema_of(self._plan)

    def _fetch_schema(self) -> Schema | None:
        found = self._schema_of_first(1)
        if found is not None and any(map(_has_nulls_only, found.types)):
            found = self._schema_of_first(_ROWS_THAT_TELL_TYPES)
        if found is None:
            return None
        return Schema(found, data_context=self._context)

    def _schema_of_first(self, rows: int) -> pa.Schema | None:
        blocks = self._blocks(self._plan.limit(rows))
        return _joined_schema([b.schema for b in blocks if len(b.schema.names) > 0])

    def _schema_for(self, verb: str) -> pa.Schema:
        schema = self.schema()
        if schema is None:
            raise ValueError(f"{verb}() needs to know the columns, but there are none.")
        return schema.base_schema

    def columns(self, fetch_if_missing: bool = True) -> list[str] | None:
        """Returns the column names; see `schema`."""
        schema = self.schema(fetch_if_missing)
        return None if schema is None else schema.names

    def types(self, fetch_if_missing: bool = True) -> list[Any] | None:
        """Returns the column types; see `schema`."""
        schema = self.schema(fetch_if_missing)
        return None if schema is None else schema.types

    def num_blocks(self) -> int:
        """Raises NotImplementedError: how many blocks there are shows when they are made."""
        raise NotImplementedError(
            "Number of blocks is only available for `MaterializedDataset`, because the number of "
            "blocks may dynamically change during execution. Call `ds.materialize()` to get a "
            "`MaterializedDataset`."
        )

    # ---- What it does

    def explain(self) -> None:
        """Prints the plan in four stages: logical, optimized, physical, optimized."""
        for title, text in self._plan.explain(make_options(self._context)):
            print(f"-------- {title} --------")
            print(text)

    def stats(self) -> str:
        """Returns the statistics of the last run as text; "" if none has run."""
        return "" if self._stats is None else self._stats.to_text()

    def get_stats_summary(self, detail: bool = False) -> RunStats | None:
        """Returns the statistics of the last run as values; None if none has run."""
        return self._stats

    # ---- Copies

    @staticmethod
    def copy(ds: Dataset, _deep_copy: bool = False, _as: type | None = None) -> Dataset:
        """Returns another handle on the same plan."""
        target = _as or type(ds)
        made = target(ds._plan, ds._context.copy() if _deep_copy else ds._context, ds._name)
        made._stats, made._schema, made._recipe = ds._stats, ds._schema, ds._recipe
        return made

    def __copy__(self) -> Dataset:
        return Dataset.copy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Dataset:
        return Dataset.copy(self, _deep_copy=True)

    def __reduce__(self) -> Any:
        from headrace._internal.lineage import replay

        if self._recipe is None:
            raise TypeError("this dataset cannot be pickled: how it was made is not known")
        verb, args, kwargs = self._recipe
        return replay, (verb, args, kwargs, {"context": self._context, "name": self._name})

    def has_serializable_lineage(self) -> bool:
        """Returns True if the dataset can be pickled as the verbs that made it."""
        return self._recipe is not None

    def serialize_lineage(self) -> bytes:
        """Returns the dataset as bytes, for `deserialize_lineage` in another process."""
        import cloudpickle

        return cloudpickle.dumps(self)

    @staticmethod
    def deserialize_lineage(serialized_ds: bytes) -> Dataset:
        """Returns a dataset that does what the serialized one does."""
        import pickle

        return pickle.loads(serialized_ds)

    # ---- As an object

    def __len__(self) -> int:
        raise AttributeError(
            "Use `ds.count()` to compute the length of a distributed Dataset. This may be an "
            "expensive operation."
        )

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            "`Dataset` objects aren't iterable. To iterate records, call `ds.iter_rows()` or "
            "`ds.iter_batches()`."
        )

    def __bool__(self) -> bool:
        # Not by __len__, which raises.
        return True

    def __repr__(self) -> str:
        from headrace._internal.representation import describe, describe_plan

        schema = self._known_schema()
        count = self._plan.infer_row_count()
        if schema is not None and schema.names:
            names = [type_name(dtype) for dtype in schema.types]
            drawn = describe(schema, count, self._rows_at_hand(), names)
            return drawn if self._name is None else f"name: {self._name}\n{drawn}"
        return describe_plan(self._plan, self._leaf())

    __str__ = __repr__

    def _rows_at_hand(self) -> list[dict[str, Any]] | None:
        return None

    def _leaf(self) -> str:
        plan = self._plan
        while plan.kind not in ("read", "input_data", "union"):
            plan = plan.inputs[0]
        schema, count = plan.infer_schema(), plan.infer_row_count()
        rows = "?" if count is None else str(count)
        if schema is None:
            columns = "Unknown schema"
        else:
            pairs = zip(schema.names, schema.types, strict=True)
            columns = "{" + ", ".join(f"{name}: {type_name(dtype)}" for name, dtype in pairs) + "}"
        name = self._name or self._source_name
        shown = "" if name is None else f"name={name}, "
        return f"{type(self).__name__}({shown}num_rows={rows}, schema={columns})"


class MaterializedDataset(Dataset):
    """A dataset whose blocks are in the object store."""

    def num_blocks(self) -> int:
        """Returns the number of blocks."""
        return len(self._plan.blocks() or [])

    def materialize(self) -> MaterializedDataset:
        """Returns itself."""
        return self

    def _rows_at_hand(self) -> list[dict[str, Any]] | None:
        from headrace._internal.representation import ROWS_SHOWN

        blocks = [block for block in self._plan.blocks() or [] if block.num_rows > 0]
        if sum(block.num_rows for block in blocks) <= ROWS_SHOWN:
            return [row for block in blocks for row in _core.rows_of(block.get())]
        half = ROWS_SHOWN // 2
        first: list[dict[str, Any]] = []
        last: list[dict[str, Any]] = []
        for block in blocks:
            if len(first) < half:
                first += _core.rows_of(block.get().slice(0, half - len(first)))
        for block in reversed(blocks):
            if len(last) < half:
                rest = half - len(last)
                last[:0] = _core.rows_of(block.get().slice(max(0, block.num_rows - rest)))
        return first + last

    def __reduce__(self) -> Any:
        tables = [block.get() for block in self._plan.blocks() or []]
        return _rebuild_materialized, (tables, self._plan.name, self._context, self._name)

    def has_serializable_lineage(self) -> bool:
        return False


def _rebuild_materialized(
    tables: list[pa.Table], plan_name: str, context: DataContext, name: str | None
) -> MaterializedDataset:
    plan = _core.Plan.input_data([_core.put(table) for table in tables], plan_name)
    return MaterializedDataset(plan, context, name)
