"""Names and defaults of arguments, as programs pass them."""

import inspect

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, fails, rows, stdout_of

_METHODS = {
    "map": "fn compute fn_args fn_kwargs fn_constructor_args fn_constructor_kwargs num_cpus "
    "num_gpus memory concurrency ray_remote_args_fn",
    "map_batches": "fn batch_size compute batch_format zero_copy_batch fn_args fn_kwargs "
    "fn_constructor_args fn_constructor_kwargs num_cpus num_gpus memory concurrency "
    "udf_modifying_row_count ray_remote_args_fn",
    "flat_map": "fn compute fn_args fn_kwargs fn_constructor_args fn_constructor_kwargs num_cpus "
    "num_gpus memory concurrency ray_remote_args_fn",
    "filter": "fn expr compute fn_args fn_kwargs fn_constructor_args fn_constructor_kwargs "
    "num_cpus num_gpus memory concurrency ray_remote_args_fn",
    "with_column": "column_name expr",
    "add_column": "col fn batch_format compute concurrency",
    "drop_columns": "cols compute concurrency",
    "select_columns": "cols compute concurrency",
    "rename_columns": "names concurrency",
    "limit": "limit",
    "take": "limit",
    "take_all": "limit",
    "take_batch": "batch_size batch_format",
    "show": "limit",
    "schema": "fetch_if_missing",
    "columns": "fetch_if_missing",
    "sum": "on ignore_nulls",
    "min": "on ignore_nulls",
    "max": "on ignore_nulls",
    "mean": "on ignore_nulls",
    "std": "on ddof ignore_nulls",
    "unique": "column",
    "iter_batches": "prefetch_batches batch_size batch_format drop_last "
    "local_shuffle_buffer_size local_shuffle_seed",
    "iter_torch_batches": "prefetch_batches batch_size dtypes device collate_fn drop_last "
    "local_shuffle_buffer_size local_shuffle_seed pin_memory",
    "to_pandas": "limit",
    "to_numpy_refs": "column",
    "write_parquet": "path partition_cols filesystem try_create_dir arrow_open_stream_args "
    "filename_provider arrow_parquet_args_fn min_rows_per_file max_rows_per_file "
    "ray_remote_args concurrency mode",
    "write_csv": "path filesystem try_create_dir arrow_open_stream_args filename_provider "
    "arrow_csv_args_fn min_rows_per_file ray_remote_args concurrency mode",
    "write_json": "path filesystem try_create_dir arrow_open_stream_args filename_provider "
    "pandas_json_args_fn min_rows_per_file ray_remote_args concurrency mode",
    "write_numpy": "path column filesystem try_create_dir arrow_open_stream_args "
    "filename_provider min_rows_per_file ray_remote_args concurrency mode",
    "write_images": "path column file_format filesystem try_create_dir arrow_open_stream_args "
    "filename_provider ray_remote_args concurrency mode",
    "write_datasink": "datasink ray_remote_args concurrency",
}

_FUNCTIONS = {
    "range": "n parallelism concurrency override_num_blocks",
    "range_tensor": "n shape parallelism concurrency override_num_blocks",
    "from_items": "items parallelism override_num_blocks",
    "from_pandas": "dfs override_num_blocks",
    "from_arrow": "tables override_num_blocks",
    "from_numpy": "ndarrays",
    "from_blocks": "blocks",
    "from_torch": "dataset local_read",
    "read_datasource": "datasource parallelism ray_remote_args concurrency override_num_blocks",
    "read_parquet": "paths filesystem columns parallelism ray_remote_args partition_filter "
    "partitioning shuffle include_paths file_extensions concurrency override_num_blocks filter",
    "read_csv": "paths filesystem parallelism ray_remote_args arrow_open_stream_args "
    "partition_filter partitioning include_paths ignore_missing_paths shuffle file_extensions "
    "concurrency override_num_blocks",
    "read_json": "paths lines filesystem parallelism ray_remote_args arrow_open_stream_args "
    "partition_filter partitioning include_paths ignore_missing_paths shuffle file_extensions "
    "concurrency override_num_blocks",
    "read_text": "paths encoding drop_empty_lines filesystem parallelism ray_remote_args "
    "arrow_open_stream_args partition_filter partitioning include_paths ignore_missing_paths "
    "shuffle file_extensions concurrency override_num_blocks",
    "read_binary_files": "paths include_paths filesystem parallelism ray_remote_args "
    "arrow_open_stream_args partition_filter partitioning ignore_missing_paths shuffle "
    "file_extensions concurrency override_num_blocks",
    "read_numpy": "paths filesystem parallelism arrow_open_stream_args partition_filter "
    "partitioning include_paths ignore_missing_paths shuffle file_extensions concurrency "
    "override_num_blocks",
    "read_images": "paths filesystem parallelism partition_filter partitioning size mode "
    "include_paths ignore_missing_paths shuffle file_extensions concurrency "
    "override_num_blocks ray_remote_args arrow_open_stream_args",
}


def _accepted(function, names):
    """Returns for each name whether the function takes it as a keyword."""
    signature = inspect.signature(function)
    found = {}
    for name in names.split():
        found[name] = not fails(lambda name=name: signature.bind_partial(**{name: None}))
    return found


def _defaults(function, names):
    parameters = inspect.signature(function).parameters
    simple = (int, float, str, bool, type(None))
    return {
        name: parameters[name].default
        for name in names.split()
        if name in parameters and isinstance(parameters[name].default, simple)
    }


def case_names_of_methods(ray_data, tmp_path):
    return {
        method: _accepted(getattr(ray_data.Dataset, method), names)
        for method, names in _METHODS.items()
    }


def case_defaults_of_methods(ray_data, tmp_path):
    return {
        method: _defaults(getattr(ray_data.Dataset, method), names)
        for method, names in _METHODS.items()
    }


def case_names_of_functions(ray_data, tmp_path):
    return {
        function: _accepted(getattr(ray_data, function), names)
        for function, names in _FUNCTIONS.items()
    }


def case_defaults_of_functions(ray_data, tmp_path):
    return {
        function: _defaults(getattr(ray_data, function), names)
        for function, names in _FUNCTIONS.items()
    }


def case_names_of_the_iterator(ray_data, tmp_path):
    names = ["iter_batches", "iter_torch_batches", "iter_rows", "schema", "stats", "materialize"]
    return {
        name: _accepted(getattr(ray_data.DataIterator, name), _METHODS.get(name, ""))
        for name in names
    }


def case_methods_there_are(ray_data, tmp_path):
    names = """
        add_column columns count drop_columns explain filter flat_map input_files iter_batches
        iter_internal_ref_bundles iter_rows iter_torch_batches iterator limit map map_batches
        materialize max mean min name num_blocks rename_columns schema select_columns set_name
        show size_bytes stats std sum take take_all take_batch to_arrow_refs to_numpy_refs
        to_pandas union unique with_column write_csv write_datasink write_images write_json
        write_numpy write_parquet
    """
    return {name: hasattr(ray_data.Dataset, name) for name in names.split()}


def case_keywords_when_called(ray_data, tmp_path):
    ds = ray_data.range(n=6, override_num_blocks=1)
    return {
        "limit": ds.limit(limit=2).take_all(),
        "take": ds.take(limit=1),
        "take_batch": ds.take_batch(batch_size=2, batch_format="numpy"),
        "show": stdout_of(lambda: ds.show(limit=1)),
        "select": ds.select_columns(cols=["id"]).take(1),
        "drop": fails(lambda: ds.drop_columns(cols=["id"]).schema()),
        "rename": ds.rename_columns(names={"id": "x"}).columns(),
        "add": ds.add_column(col="y", fn=lambda df: df["id"] + 1).take(1),
        "map": ds.map(fn=lambda row: row).count(),
        "flat_map": ds.flat_map(fn=lambda row: [row]).count(),
        "filter": ds.filter(fn=lambda row: row["id"] > 3).count(),
        "sum": ds.sum(on="id"),
        "std": ds.std(on="id", ddof=0),
    }


def case_keywords_of_makers(ray_data, tmp_path):
    return {
        "items": rows(ray_data.from_items(items=[1])),
        "dfs": rows(ray_data.from_pandas(dfs=pd.DataFrame({"a": [1]}))),
        "tables": rows(ray_data.from_arrow(tables=pa.table({"a": [1]}))),
        "ndarrays": rows(ray_data.from_numpy(ndarrays=np.ones(1))),
        "tensor": rows(ray_data.range_tensor(n=1, shape=(1, 2))),
        "blocks": rows(ray_data.from_blocks(blocks=[pa.table({"a": [1]})])),
    }


def case_resource_arguments(ray_data, tmp_path):
    ds = ray_data.range(4)
    return {
        "num_gpus": rows(ds.map(lambda row: row, num_gpus=0)),
        "num_cpus": rows(ds.map(lambda row: row, num_cpus=1)),
        "memory": rows(ds.flat_map(lambda row: [row], memory=1000)),
        "remote_args": rows(ds.map_batches(lambda b: b, max_retries=2)),
        "remote_args_fn": rows(
            ds.map_batches(lambda b: b, ray_remote_args_fn=lambda: {"num_cpus": 0.5})
        ),
    }


def case_read_resource_arguments(ray_data, tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    path = str(tmp_path / "a.csv")
    return {
        "num_cpus": rows(ray_data.read_csv(path, num_cpus=0.5)),
        "remote_args": rows(ray_data.read_csv(path, ray_remote_args={"num_cpus": 0.5})),
        "parallelism": rows(ray_data.read_csv(path, parallelism=2)),
        "concurrency": rows(ray_data.read_csv(path, concurrency=1)),
    }


def case_unknown_arguments(ray_data, tmp_path):
    ds = ray_data.range(3)
    return [
        error_of(lambda: ds.limit(count=3)),
        error_of(lambda: ds.take(n=3)),
        error_of(lambda: ds.iter_batches(size=3)),
        error_of(lambda: ds.iter_batches(3)),
        error_of(lambda: ray_data.range(3, blocks=2)),
        error_of(lambda: ray_data.from_items([1], blocks=2)),
    ]


def case_missing_arguments(ray_data, tmp_path):
    ds = ray_data.range(3)
    return [
        error_of(lambda: ds.map()),
        error_of(lambda: ds.limit()),
        error_of(lambda: ds.select_columns()),
        error_of(lambda: ray_data.range()),
        error_of(lambda: ray_data.read_csv()),
        error_of(lambda: ds.write_parquet()),
    ]


def case_concurrency_forms(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            return batch

    ds = ray_data.range(6, override_num_blocks=3)
    strategy = ray_data.ActorPoolStrategy
    forms = {
        "int": lambda: ds.map_batches(Model, concurrency=2, num_cpus=0.25),
        "pair": lambda: ds.map_batches(Model, concurrency=(1, 2), num_cpus=0.25),
        "triple": lambda: ds.map_batches(Model, concurrency=(1, 3, 2), num_cpus=0.25),
        "none": lambda: ds.map_batches(Model, num_cpus=0.25),
        "size": lambda: ds.map_batches(Model, compute=strategy(size=2), num_cpus=0.25),
        "range": lambda: ds.map_batches(
            Model, compute=strategy(min_size=1, max_size=2), num_cpus=0.25
        ),
        "function": lambda: ds.map_batches(lambda b: b, concurrency=2),
        "function_pair": lambda: ds.map_batches(lambda b: b, concurrency=(1, 2)),
        "tasks": lambda: ds.map_batches(lambda b: b, compute=ray_data.TaskPoolStrategy(size=2)),
        "text": lambda: ds.map_batches(lambda b: b, compute="tasks"),
        "both": lambda: ds.map_batches(Model, compute=strategy(size=1), concurrency=1),
    }
    return {name: error_of(lambda make=make: rows(make())) for name, make in forms.items()}


def case_filter_expression_with_concurrency(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.range(6).filter(expr="id > 3", concurrency=2)))


def case_filter_expression_with_function_arguments(ray_data, tmp_path):
    return [
        error_of(lambda: ray_data.range(6).filter(expr="id > 3", fn_args=[1])),
        error_of(lambda: ray_data.range(6).filter(expr="id > 3", fn_constructor_args=[1])),
    ]


def case_batch_size_names(ray_data, tmp_path):
    ds = ray_data.range(3)
    return error_of(lambda: rows(ds.map_batches(lambda b: b, batch_size="default")))


def case_row_functions_take_no_batch_arguments(ray_data, tmp_path):
    return error_of(lambda: rows(ray_data.range(3).map(lambda row: row, batch_size=2)))
