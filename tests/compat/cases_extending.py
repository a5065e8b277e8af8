"""Programs of users that build on the library: sources, sinks, preprocessors, types."""

import io
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from corpus import error_of, rows, sub


def case_file_based_source_of_images(ray_data, tmp_path):
    from PIL import Image

    builder = sub(ray_data, "datasource")

    class Source(builder.FileBasedDatasource):
        def __init__(self, paths, mode, **options):
            super().__init__(paths, file_extensions=["png"], **options)
            self.mode = mode

        def _read_stream(self, f, path):
            image = Image.open(io.BytesIO(f.readall())).convert(self.mode)
            yield pa.table({"size": [image.size[0]], "mode": [image.mode]})

    for i in range(2):
        Image.new("RGB", (i + 1, 2)).save(tmp_path / f"{i}.png")
    (tmp_path / "note.txt").write_text("x")
    ds = ray_data.read_datasource(Source(str(tmp_path), "L", include_paths=True))
    return {"columns": ds.columns(), "sizes": sorted(row["size"] for row in ds.take_all())}


def case_file_based_source_of_block_builder(ray_data, tmp_path):
    class Source(sub(ray_data, "datasource").FileBasedDatasource):
        def _read_stream(self, f, path):
            for line in f.readall().decode().splitlines():
                yield pd.DataFrame({"line": [line], "n": [len(line)]})

    (tmp_path / "a.txt").write_text("x\nyyy\n")
    ds = ray_data.read_datasource(Source([str(tmp_path / "a.txt")]))
    return ds.take_all()


def case_file_based_source_partitioned(ray_data, tmp_path):
    module = sub(ray_data, "datasource")

    class Source(module.FileBasedDatasource):
        def _read_stream(self, f, path):
            yield pa.table({"n": [len(f.readall())]})

    (tmp_path / "k=1").mkdir()
    (tmp_path / "k=1" / "a.bin").write_bytes(b"abc")
    source = Source(str(tmp_path), partitioning=module.Partitioning("hive"))
    return ray_data.read_datasource(source).take_all()


def case_source_with_many_tasks(ray_data, tmp_path):
    from_block = sub(ray_data, "block").BlockMetadata

    class Numbers(ray_data.Datasource):
        def __init__(self, n):
            self.n = n

        def get_name(self):
            return "Numbers"

        def estimate_inmemory_data_size(self):
            return 8 * self.n

        def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
            tasks = []
            for part in np.array_split(np.arange(self.n), max(1, min(parallelism, 3))):
                metadata = from_block(len(part), part.nbytes, None, None)
                tasks.append(
                    ray_data.ReadTask(
                        lambda part=part: [pa.table({"v": part})],
                        metadata,
                        schema=pa.schema([("v", pa.int64())]),
                    )
                )
            return tasks

    ds = ray_data.read_datasource(Numbers(10), override_num_blocks=3)
    return {"schema": ds.schema(), "blocks": ds.materialize().num_blocks(), "sum": ds.sum("v")}


def case_sink_that_counts(ray_data, tmp_path):
    class Counter(ray_data.Datasink):
        def on_write_start(self, schema=None):
            (tmp_path / "started").write_text("yes")

        def write(self, blocks, ctx):
            accessor = sub(ray_data, "block").BlockAccessor
            return sum(accessor.for_block(block).num_rows() for block in blocks)

        def on_write_complete(self, result):
            (tmp_path / "done").write_text(
                f"{result.num_rows} {sum(result.write_returns)} {type(result).__name__}"
            )

    ray_data.range(7, override_num_blocks=2).write_datasink(Counter())
    return [(tmp_path / "started").read_text(), (tmp_path / "done").read_text()]


def case_sink_names(ray_data, tmp_path):
    class Quiet(ray_data.Datasink):
        def write(self, blocks, ctx):
            list(blocks)

    sink = Quiet()
    return [sink.get_name(), sink.supports_distributed_writes, sink.min_rows_per_write]


def case_row_file_sink(ray_data, tmp_path):
    class Texts(ray_data.RowBasedFileDatasink):
        def __init__(self, path, column, file_format):
            super().__init__(path, file_format=file_format)
            self.column = column

        def write_row_to_file(self, row, file):
            file.write(str(row[self.column]).encode())

    ds = ray_data.from_items([{"t": "a"}, {"t": "b"}])
    ds.write_datasink(Texts(str(tmp_path / "out"), "t", "txt"))
    return sorted(p.read_text() for p in (tmp_path / "out").glob("*.txt"))


def case_block_file_sink(ray_data, tmp_path):
    class Tables(ray_data.BlockBasedFileDatasink):
        def write_block_to_file(self, block, file):
            block.to_pandas().to_csv(file, index=False)

    ds = ray_data.range(3, override_num_blocks=1)
    ds.write_datasink(Tables(str(tmp_path / "out"), file_format="csv"))
    return [p.read_text() for p in (tmp_path / "out").glob("*.csv")]


def case_block_accessor_of_kinds(ray_data, tmp_path):
    accessor = sub(ray_data, "block").BlockAccessor
    out = {}
    for name, block in (
        ("arrow", pa.table({"a": [3, 1, 2], "b": list("xyz")})),
        ("pandas", pd.DataFrame({"a": [3, 1, 2], "b": list("xyz")})),
    ):
        it = accessor.for_block(block)
        out[name] = {
            "rows": it.num_rows(),
            "slice": accessor.for_block(it.slice(1, 2)).num_rows(),
            "take": accessor.for_block(it.take([2, 0])).to_arrow(),
            "select": accessor.for_block(it.select(["b"])).to_arrow(),
            "numpy": it.to_numpy("a"),
            "both": it.to_numpy(["a", "b"]),
            "names": it.column_names(),
            "iter": [dict(row) for row in it.iter_rows(public_row_format=True)],
            "batch": it.to_batch_format("numpy"),
        }
    return out


def case_blocks_of_batches(ray_data, tmp_path):
    accessor = sub(ray_data, "block").BlockAccessor
    made = accessor.batch_to_block({"a": np.arange(3), "t": np.ones((3, 2))})
    return [type(made).__name__, accessor.for_block(made).schema()]


def case_preprocessor_of_users(ray_data, tmp_path):
    class Center(ray_data.Preprocessor):
        def __init__(self, column):
            super().__init__()
            self.column = column

        def _fit(self, ds):
            self.stats_ = {"mean": ds.mean(self.column)}
            return self

        def _transform_pandas(self, frame):
            frame[self.column] = frame[self.column] - self.stats_["mean"]
            return frame

    ds = ray_data.from_items([{"x": float(i)} for i in range(3)])
    center = Center("x")
    before = error_of(lambda: center.transform(ds).take_all())
    out = center.fit_transform(ds)
    return {
        "before": before,
        "rows": out.take_all(),
        "status": center.fit_status().name,
        "batch": center.transform_batch(pd.DataFrame({"x": [5.0]})),
        "fitted": isinstance(center.fit(ds), ray_data.Preprocessor),
    }


def case_preprocessor_of_numpy(ray_data, tmp_path):
    class Double(ray_data.Preprocessor):
        _is_fittable = False

        def _transform_numpy(self, batch):
            batch["x"] = batch["x"] * 2
            return batch

    ds = ray_data.from_items([{"x": 1}, {"x": 2}])
    return [Double().transform(ds).take_all(), Double().transform_batch({"x": np.array([4])})]


def case_preprocessor_saved_and_loaded(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    ds = ray_data.from_items([{"x": float(i), "k": "ab"[i % 2]} for i in range(4)])
    scaler = module.StandardScaler(["x"]).fit(ds)
    again = module.StandardScaler.deserialize(scaler.serialize())
    return [again.stats_, rows(pickle.loads(pickle.dumps(scaler)).transform(ds))]


def case_chain_of_preprocessors(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    ds = ray_data.from_items([{"x": float(i), "y": 1.0, "k": "ab"[i % 2]} for i in range(4)])
    chain = module.Chain(
        module.OrdinalEncoder(["k"]),
        module.MinMaxScaler(["x"]),
        module.Concatenator(["x", "y"], output_column_name="f"),
    )
    out = chain.fit_transform(ds)
    return {"schema": out.schema(), "rows": out.take_all(), "text": repr(chain)}


def case_expressions_of_guide(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    items = [{"x": 1, "y": 2.0, "s": "Ab"}, {"x": 3, "y": None, "s": None}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    out = (
        ds.with_column("sum", e.col("x") + e.col("y") * 2)
        .with_column("flag", (e.col("x") > 1) & e.col("y").is_null())
        .with_column("low", e.col("s").str.lower())
        .with_column("one", e.lit(1))
        .with_column("text", e.lit("t"))
    )
    return {"schema": out.schema(), "rows": out.take_all()}


def case_several_columns_at_once(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    ds = ray_data.range(2).with_columns({"a": e.col("id") + 1, "b": e.col("id") * e.lit(2.5)})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_udf_expressions(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    types = sub(ray_data, "datatype").DataType

    @e.udf(return_dtype=types.int64())
    def add_one(x: pa.Array) -> pa.Array:
        return pc.add(x, 1)

    @e.udf(types.string())
    def join(a, b):
        return pc.binary_join_element_wise(a, b, " ")

    ds = ray_data.from_items([{"x": 1, "a": "u", "b": "v"}])
    out = ds.with_column("y", add_one(e.col("x"))).with_column("c", join(e.col("a"), e.col("b")))
    return {"schema": out.schema(), "rows": out.take_all()}


def case_pyarrow_udf_expression(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    types = sub(ray_data, "datatype").DataType

    class Power:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return pc.power(x, self.n)

    power = e.udf(return_dtype=types.int64())(Power)
    return ray_data.range(3).with_column("p", power(2)(e.col("id"))).take_all()


def case_download_of_local_files(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    paths = []
    for i in range(3):
        path = tmp_path / f"{i}.bin"
        path.write_bytes(b"x" * i)
        paths.append(str(path))
    ds = ray_data.from_items([{"uri": path, "i": i} for i, path in enumerate(paths)])
    out = ds.with_column("bytes", e.download("uri"))
    return {"schema": out.schema(), "rows": rows(out.drop_columns(["uri"]))}


def case_download_of_missing_file(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    ds = ray_data.from_items([{"uri": str(tmp_path / "none.bin")}])
    return ds.with_column("bytes", e.download("uri")).select_columns(["bytes"]).take_all()


def case_select_by_expressions(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    ds = ray_data.from_items([{"x": 1, "y": 2}])
    return [
        error_of(lambda: ds.select_columns([e.col("x"), (e.col("y") + 1).alias("z")]).take_all()),
        error_of(lambda: ds.select_columns(e.col("x")).take_all()),
    ]


def case_sort_and_group_by_expressions(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    ds = ray_data.from_items([{"x": 1}, {"x": 2}])
    return [
        error_of(lambda: ds.sort(e.col("x")).take_all()),
        error_of(lambda: ds.groupby(e.col("x")).count().take_all()),
    ]


def case_expression_tree(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    tree = (e.col("x") + 1) * e.lit(2)
    return {
        "class": type(tree).__name__,
        "left": type(tree.left).__name__,
        "right": tree.right.value,
        "op": tree.op.name,
        "same": tree.structurally_equals((e.col("x") + 1) * e.lit(2)),
        "other": tree.structurally_equals(e.col("x")),
        "name": [e.col("x").name, tree.name, tree.alias("t").name],
        "text": repr(e.col("x")).split("\n")[0],
    }


def case_filter_expression_chain(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    ds = ray_data.range(10)
    return [
        ds.filter(expr=(e.col("id") > 3) & ~(e.col("id") == 7)).count(),
        ds.filter(expr=e.col("id").is_in([1, 5, 99])).count(),
        ds.filter(expr=(e.col("id") % 2 == 0) | (e.col("id") >= 8)).count(),
    ]


def case_data_types(ray_data, tmp_path):
    types = sub(ray_data, "datatype").DataType
    made = [
        types.int64(),
        types.string(),
        types.bool(),
        types.list(types.int32()),
        types.struct([("a", types.int8())]),
        types.map(types.string(), types.float32()),
        types.tensor((2, 3), types.float32()),
        types.temporal("timestamp", unit="s"),
        types.from_numpy(np.dtype("int16")),
        types.from_arrow(pa.date32()),
        types(int),
    ]
    return [
        [repr(t), t.is_arrow_type(), t.is_numpy_type(), t.is_python_type(), t.is_numerical_type()]
        for t in made
    ]


def case_data_type_predicates(ray_data, tmp_path):
    types = sub(ray_data, "datatype").DataType
    made = {
        "list": types.list(types.int32()),
        "int": types.int64(),
        "np": types.from_numpy("float32"),
    }
    names = "list struct map tensor temporal string numerical"
    return {
        key: {name: getattr(kind, f"is_{name}_type")() for name in names.split()}
        for key, kind in made.items()
    }


def case_variable_tensor_type(ray_data, tmp_path):
    types = sub(ray_data, "datatype").DataType
    kind = types.variable_shaped_tensor(types.float32(), ndim=2)
    return [kind.is_tensor_type(), kind.is_arrow_type(), kind.to_arrow_dtype()]


def case_tensor_array_in_frames(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    frame = pd.DataFrame({"i": [0, 1], "t": ext.TensorArray(np.arange(4.0).reshape(2, 2))})
    ds = ray_data.from_pandas(frame)
    return {
        "dtype": isinstance(frame["t"].dtype, ext.TensorDtype),
        "schema": ds.schema(),
        "rows": ds.take_all(),
        "batch": ds.take_batch(2),
    }


def case_tensor_array_of_pandas(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    array = ext.TensorArray(np.arange(6).reshape(3, 2))
    series = pd.Series(array)
    return {
        "shape": array.shape if hasattr(array, "shape") else None,
        "len": len(array),
        "element": array[1].to_numpy(),
        "numpy": array.to_numpy(),
        "take": array.take([2, 0]).to_numpy(),
        "plus": (series + 1).array.to_numpy(),
        "slice": array[1:].to_numpy(),
        "concat": pd.concat([series, series]).array.to_numpy(),
        "isna": np.asarray(array.isna()),
        "copy": array.copy().to_numpy(),
        "nbytes": array.nbytes,
        "any": array.any(),
        "all": array.all(),
        "text": str(array.dtype),
    }


def case_tensor_array_from_function(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")

    def make(frame):
        frame["t"] = ext.TensorArray(np.stack([np.full((2, 2), i) for i in frame["id"]]))
        return frame

    ds = ray_data.range(2).map_batches(make, batch_format="pandas")
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_arrow_tensor_array(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    array = ext.ArrowTensorArray.from_numpy(np.arange(8, dtype=np.int32).reshape(2, 2, 2))
    table = pa.table({"t": array})
    ds = ray_data.from_arrow(table)
    return {
        "kind": isinstance(array, pa.ExtensionArray),
        "type": array.type,
        "shape": tuple(array.type.shape),
        "rows": ds.take_all(),
        "schema": ds.schema(),
    }


def case_arrow_ragged_tensor_array(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    array = ext.ArrowVariableShapedTensorArray.from_numpy([np.ones((1, 2)), np.zeros((2, 2))])
    ds = ray_data.from_arrow(pa.table({"t": array}))
    return {"type": array.type, "rows": ds.take_all()}


def case_arrow_object_array(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    array = ext.ArrowPythonObjectArray.from_objects([{1, 2}, None, "x"])
    ds = ray_data.from_arrow(pa.table({"o": array}))
    return {"type": array.type, "values": array.to_pylist(), "rows": ds.take_all()}


def case_python_object_array(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    array = ext.PythonObjectArray([1, "x", {2}])
    return [len(array), array[1], array.take([2, 0]).to_numpy().tolist(), str(array.dtype)]


def case_extension_types_known(ray_data, tmp_path):
    ext = sub(ray_data, "extensions")
    ds = ray_data.from_numpy(np.ones((2, 3), np.float32))
    kind = ds.schema().types[0]
    ragged = ray_data.from_items([{"t": np.ones(1)}, {"t": np.ones(2)}])
    known = ext.get_arrow_extension_tensor_types()
    return [isinstance(kind, known), tuple(kind.shape), ragged.schema()]


def case_schema_of_blocks_that_differ(ray_data, tmp_path):
    numbers = [{"t": 1}, {"t": 2.5}, {"u": "x"}]
    return [
        ray_data.from_items(numbers).schema(),
        ray_data.from_items([{"t": None}, {"t": 2}]).schema(),
        ray_data.from_items(numbers).take_all(),
        ray_data.from_arrow([pa.table({"a": [1]}), pa.table({"a": [None]})]).schema(),
    ]


def case_sink_mode(ray_data, tmp_path):
    return [(mode.name, mode.value) for mode in ray_data.SinkMode]


def case_save_mode(ray_data, tmp_path):
    return [(mode.name, mode.value) for mode in ray_data.SaveMode]


def case_context_fields(ray_data, tmp_path):
    context = ray_data.DataContext.get_current().copy()
    context.target_max_block_size = 1024
    context.set_config("mine", 3)
    return [
        context.target_max_block_size,
        context.get_config("mine"),
        context.get_config("other", "none"),
        ray_data.DataContext.get_current().target_max_block_size != 1024,
        type(context.execution_options).__name__,
        context.execution_options.preserve_order,
    ]


def case_context_of_block_size(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    before = context.target_max_block_size
    context.target_max_block_size = 800
    try:
        ds = ray_data.range(1000, override_num_blocks=1).map_batches(lambda b: b).materialize()
        return ds.num_blocks() > 1
    finally:
        context.target_max_block_size = before


def case_context_current(ray_data, tmp_path):
    copy = ray_data.DataContext.get_current().copy()
    copy.max_errored_blocks = 7
    with ray_data.DataContext.current(copy):
        seen = ray_data.DataContext.get_current().max_errored_blocks
    return [seen, ray_data.DataContext.get_current().max_errored_blocks]


def case_resources_of_options(ray_data, tmp_path):
    options = ray_data.ExecutionOptions(
        resource_limits=ray_data.ExecutionResources(cpu=2, object_store_memory=1e9),
        preserve_order=True,
        verbose_progress=False,
    )
    return [
        options.resource_limits.cpu,
        options.resource_limits.gpu,
        options.resource_limits.object_store_memory,
        options.preserve_order,
        options.locality_with_output,
        repr(options.resource_limits),
        error_of(options.validate),
    ]


def case_checkpoint_config(ray_data, tmp_path):
    module = sub(ray_data, "checkpoint")
    config = module.CheckpointConfig(id_column="id", checkpoint_path=str(tmp_path / "ck"))
    return {
        "id": config.id_column,
        "backend": config.backend.name,
        "delete": config.delete_checkpoint_on_success,
        "threads": config.write_num_threads,
        "no id": error_of(lambda: module.CheckpointConfig(checkpoint_path=str(tmp_path))),
        "no path": error_of(lambda: module.CheckpointConfig(id_column="id")),
        "backends": [b.name for b in module.CheckpointBackend],
    }
