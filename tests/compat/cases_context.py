"""Settings: DataContext, ExecutionOptions, strategies."""

from corpus import error_of, rows, sub


def case_current_is_one_object(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    return [context is ray_data.DataContext.get_current(), type(context).__name__]


def case_defaults(ray_data, tmp_path):
    context = ray_data.DataContext()
    names = ["target_max_block_size", "target_min_block_size", "read_op_min_num_blocks"]
    names += ["max_errored_blocks", "enable_tensor_extension_casting"]
    return {name: getattr(context, name) for name in names}


def case_setting_is_kept(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    before = context.target_max_block_size
    context.target_max_block_size = 1024 * 1024
    try:
        return ray_data.DataContext.get_current().target_max_block_size
    finally:
        context.target_max_block_size = before


def case_block_size_splits_blocks(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    before = context.target_max_block_size
    context.target_max_block_size = 10_000
    try:
        ds = ray_data.range(10_000, override_num_blocks=1).map_batches(lambda b: b).materialize()
        return {"more_than_one": ds.num_blocks() > 1, "count": ds.count()}
    finally:
        context.target_max_block_size = before


def case_preserve_order(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    before = context.execution_options.preserve_order
    context.execution_options.preserve_order = True
    try:
        ds = ray_data.range(200, override_num_blocks=20).map_batches(lambda b: b)
        return [row["id"] for row in ds.take_all()] == list(range(200))
    finally:
        context.execution_options.preserve_order = before


def case_max_errored_blocks(ray_data, tmp_path):
    def fail(row):
        if row["id"] == 0:
            raise ValueError("zero")
        return row

    context = ray_data.DataContext.get_current()
    before = context.max_errored_blocks
    context.max_errored_blocks = 1
    try:
        ds = ray_data.range(4, override_num_blocks=4).map(fail)
        return rows(ds)
    finally:
        context.max_errored_blocks = before


def case_execution_options_defaults(ray_data, tmp_path):
    options = ray_data.ExecutionOptions()
    return {
        "preserve_order": options.preserve_order,
        "locality_with_output": options.locality_with_output,
        "actor_locality_enabled": options.actor_locality_enabled,
        "verbose_progress": type(options.verbose_progress),
    }


def case_execution_resources(ray_data, tmp_path):
    resources = ray_data.ExecutionResources(cpu=2, gpu=0, object_store_memory=1024)
    return {
        "cpu": resources.cpu,
        "gpu": resources.gpu,
        "store": int(resources.object_store_memory),
        "equal": resources == ray_data.ExecutionResources(cpu=2, gpu=0, object_store_memory=1024),
        "zero": ray_data.ExecutionResources.zero().cpu,
    }


def case_execution_resources_arithmetic(ray_data, tmp_path):
    kind = ray_data.ExecutionResources
    a = kind(cpu=2, object_store_memory=100)
    b = kind(cpu=1, object_store_memory=50)
    return [a.add(b).cpu, a.subtract(b).cpu, a.scale(2).cpu, b.satisfies_limit(a), a.max(b).cpu]


def case_resource_limits(ray_data, tmp_path):
    context = ray_data.DataContext.get_current()
    before = context.execution_options.resource_limits
    context.execution_options.resource_limits = ray_data.ExecutionResources(cpu=1)
    try:
        return ray_data.range(10).map(lambda row: row).count()
    finally:
        context.execution_options.resource_limits = before


def case_unknown_setting(ray_data, tmp_path):
    context = ray_data.DataContext()
    return error_of(lambda: context.a_setting_that_is_none)


def case_custom_config(ray_data, tmp_path):
    context = ray_data.DataContext()
    context.set_config("mine", 5)
    found = [context.get_config("mine"), context.get_config("other", "default")]
    context.remove_config("mine")
    return [*found, context.get_config("mine")]


def case_context_module(ray_data, tmp_path):
    kind = sub(ray_data, "context").DataContext
    return kind is ray_data.DataContext


def case_dataset_keeps_its_context(ray_data, tmp_path):
    ds = ray_data.range(3)
    return {"class": type(ds.context).__name__, "own": ds.context.target_min_block_size}


def case_strategies(ray_data, tmp_path):
    actors = ray_data.ActorPoolStrategy(min_size=1, max_size=4)
    return {
        "min": actors.min_size,
        "max": actors.max_size,
        "fixed": ray_data.ActorPoolStrategy(size=3).max_size,
        "equal": ray_data.ActorPoolStrategy(size=3) == ray_data.ActorPoolStrategy(size=3),
        "different": ray_data.ActorPoolStrategy(size=3) == ray_data.ActorPoolStrategy(size=2),
        "tasks": ray_data.TaskPoolStrategy(size=3).size,
    }


def case_names_at_the_top(ray_data, tmp_path):
    names = """
        ActorPoolStrategy DataContext DataIterator Dataset Datasink Datasource ExecutionOptions
        ExecutionResources FileShuffleConfig NodeIdStr ReadTask SaveMode Schema TaskPoolStrategy
        from_arrow from_blocks from_items from_numpy from_pandas from_torch range range_tensor
        read_binary_files read_csv read_datasource read_images read_json read_numpy read_parquet
        read_text
    """
    return {name: hasattr(ray_data, name) for name in names.split()}


def case_names_in_modules(ray_data, tmp_path):
    wanted = {
        "aggregate": "AggregateFn AggregateFnV2 Count Max Mean Min Quantile Std Sum Unique AbsMax",
        "block": "Block BlockAccessor BlockMetadata",
        "context": "DataContext DatasetContext",
        "dataset": "Dataset MaterializedDataset Schema",
        "datasource": "Datasource Datasink ReadTask Partitioning PartitionStyle FilenameProvider "
        "BlockBasedFileDatasink RowBasedFileDatasink PathPartitionFilter PathPartitionParser",
        "datatype": "DataType",
        "exceptions": "RayDataUserCodeException",
        "expressions": "col lit udf download star Expr",
        "iterator": "DataIterator",
        "read_api": "read_parquet from_items range",
    }
    return {
        f"{module}.{name}": hasattr(sub(ray_data, module), name)
        for module, names in wanted.items()
        for name in names.split()
    }


def case_save_mode(ray_data, tmp_path):
    return {mode.name: mode.value for mode in ray_data.SaveMode}


def case_data_types(ray_data, tmp_path):
    import pyarrow as pa

    kind = sub(ray_data, "datatype").DataType
    return {
        "same": kind.int64() == kind.from_arrow(pa.int64()),
        "different": kind.int64() == kind.float64(),
        "arrow": str(kind.string().to_arrow_dtype()),
        "numpy": str(kind.float32().to_numpy_dtype()),
        "is_arrow": kind.int64().is_arrow_type(),
    }
