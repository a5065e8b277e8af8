"""Names that programs look up: settings, expression functions, classes."""

from corpus import sub

_SETTINGS = """
    target_max_block_size target_min_block_size read_op_min_num_blocks enable_progress_bars
    execution_options max_errored_blocks use_push_based_shuffle enable_pandas_block
    enable_tensor_extension_casting default_hash_shuffle_parallelism scheduling_strategy
    eager_free decoding_size_estimation min_parallelism use_ray_tqdm
    enable_operator_progress_bars enable_progress_bar_name_truncation actor_prefetcher_enabled
    log_internal_stack_trace_to_stdout raise_original_map_exception print_on_execution_start
    s3_try_create_dir streaming_read_buffer_size write_file_retry_on_errors retried_io_errors
    max_tasks_in_flight_per_actor op_resource_reservation_enabled op_resource_reservation_ratio
    wait_for_min_actors_s actor_task_retry_on_errors enable_get_object_locations_for_metrics
    verbose_stats_logs trace_allocations warn_on_driver_memory_usage_bytes
    optimize_fuse_stages enable_fallback_to_arrow_object_ext_type
    use_arrow_tensor_v2 use_arrow_native_fixed_shape_tensor_type use_polars use_polars_sort
    batch_to_block_arrow_format max_num_blocks_in_streaming_gen_buffer
"""


def case_settings(ray_data, tmp_path):
    """Only the settings that ray.data has are recorded."""
    context = ray_data.DataContext()
    simple = (int, float, str, bool, type(None))
    out = {}
    for name in _SETTINGS.split():
        if hasattr(context, name):
            value = getattr(context, name)
            out[name] = value if isinstance(value, simple) else "set"
    return out


def case_expression_methods(ray_data, tmp_path):
    names = """
        abs acos alias arr asin atan cast ceil cos dt exp floor is_in is_not_null is_null list
        ln log10 log2 map name negate not_in power round sign sin str struct structurally_equals
        tan to_pyarrow trunc data_type
    """
    expression = sub(ray_data, "expressions").col("a")
    return {name: hasattr(expression, name) for name in names.split()}


def case_string_methods(ray_data, tmp_path):
    names = """
        byte_len capitalize center contains count count_regex ends_with extract find find_regex
        is_alnum is_alpha is_ascii is_decimal is_digit is_lower is_numeric is_printable is_space
        is_title is_upper len lower lpad lstrip match match_regex pad repeat replace
        replace_regex replace_slice reverse rpad rstrip slice split split_regex
        split_whitespace starts_with strip swapcase title upper
    """
    functions = sub(ray_data, "expressions").col("a").str
    return {name: hasattr(functions, name) for name in names.split()}


def case_other_namespaces(ray_data, tmp_path):
    expression = sub(ray_data, "expressions").col("a")
    wanted = {
        "dt": "year month day hour minute second strftime floor ceil round",
        "list": "len get slice sort flatten",
        "struct": "field",
        "map": "keys values",
        "arr": "to_list",
    }
    return {
        space: {name: hasattr(getattr(expression, space), name) for name in names.split()}
        for space, names in wanted.items()
    }


def case_expression_functions(ray_data, tmp_path):
    names = "col lit udf pyarrow_udf star download random uuid monotonically_increasing_id unnest"
    module = sub(ray_data, "expressions")
    return {name: hasattr(module, name) for name in names.split()}


def case_data_type_makers(ray_data, tmp_path):
    names = """
        int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 string bool binary
        list struct map tensor from_arrow from_numpy temporal date timestamp
    """
    kind = sub(ray_data, "datatype").DataType
    return {name: hasattr(kind, name) for name in names.split() if hasattr(kind, name)}


def case_aggregates(ray_data, tmp_path):
    names = """
        AbsMax AggregateFn AggregateFnV2 AsList Count CountDistinct Max Mean Min Quantile Std
        Sum Unique MissingValuePercentage ZeroPercentage
    """
    module = sub(ray_data, "aggregate")
    return {name: hasattr(module, name) for name in names.split()}


def case_names_of_aggregate_columns(ray_data, tmp_path):
    aggregate = sub(ray_data, "aggregate")
    makers = {
        "count": aggregate.Count(),
        "count_on": aggregate.Count("a"),
        "sum": aggregate.Sum("a"),
        "mean": aggregate.Mean("a"),
        "std": aggregate.Std("a"),
        "quantile": aggregate.Quantile("a"),
        "unique": aggregate.Unique("a"),
        "alias": aggregate.Max("a", alias_name="top"),
    }
    return {name: maker.name for name, maker in makers.items()}


def case_classes_of_modules(ray_data, tmp_path):
    wanted = {
        "block": "Block BlockAccessor BlockMetadata BlockExecStats",
        "datasource": "BaseFileMetadataProvider BlockBasedFileDatasink DefaultFileMetadataProvider "
        "FileBasedDatasource FileMetadataProvider FileShuffleConfig PartitionStyle Partitioning "
        "PathPartitionFilter PathPartitionParser RandomIntRowDatasource RowBasedFileDatasink "
        "SaveMode WriteResult DummyOutputDatasink Reader",
        "datasource.partitioning": "Partitioning PartitionStyle PathPartitionFilter",
        "datasource.file_datasink": "BlockBasedFileDatasink RowBasedFileDatasink",
        "datasource.filename_provider": "FilenameProvider",
        "datasource.datasource": "Datasource ReadTask",
        "datasource.datasink": "Datasink WriteResult",
        "datasource.file_based_datasource": "FileBasedDatasource FileShuffleConfig",
        "collate_fn": "ArrowBatchCollateFn NumpyBatchCollateFn PandasBatchCollateFn CollateFn",
        "exceptions": "RayDataUserCodeException SystemException",
        "iterator": "DataIterator",
    }
    found = {}
    for module, names in wanted.items():
        for name in names.split():
            found[f"{module}.{name}"] = hasattr(sub(ray_data, module), name)
    return found


def case_strategies_text(ray_data, tmp_path):
    return {
        "resources": repr(ray_data.ExecutionResources(cpu=1, gpu=0)),
        "tasks": type(repr(ray_data.TaskPoolStrategy(size=2))).__name__,
    }
