"""Programs of users with a mistake in them: which error they see, and when."""

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, sub


def case_readers_of_wrong_paths(ray_data, tmp_path):
    missing = str(tmp_path / "none")
    names = "parquet csv json text numpy images binary_files"
    readers = {name: getattr(ray_data, f"read_{name}") for name in names.split()}
    return {
        name: [
            error_of(lambda read=read: read(missing).take_all(), "none"),
            error_of(lambda read=read: read(3)),
            error_of(lambda read=read: read([])),
            error_of(lambda read=read: read(None)),
        ]
        for name, read in readers.items()
    }


def case_makers_of_wrong_things(ray_data, tmp_path):
    return {
        "items": error_of(lambda: ray_data.from_items(3)),
        "arrow": error_of(lambda: ray_data.from_arrow("text")),
        "negative": error_of(lambda: ray_data.range(-5).take_all()),
        "tensor": error_of(lambda: ray_data.range_tensor(2, shape=3).take_all()),
    }


def case_columns_that_are_missing(ray_data, tmp_path):
    ds = ray_data.range(3)
    e = sub(ray_data, "expressions")
    return {
        "select": error_of(lambda: ds.select_columns(["x"]).take_all(), "x"),
        "drop": error_of(lambda: ds.drop_columns(["x"]).take_all(), "x"),
        "rename": error_of(lambda: ds.rename_columns({"x": "y"}).take_all(), "x"),
        "sum": error_of(lambda: ds.sum("x"), "x"),
        "unique": error_of(lambda: ds.unique("x"), "x"),
        "filter": error_of(lambda: ds.filter(expr=e.col("x") > 1).take_all(), "x"),
        "with": error_of(lambda: ds.with_column("y", e.col("x")).take_all(), "x"),
        "map": error_of(lambda: ds.map(lambda r: {"y": r["x"]}).take_all(), "KeyError"),
    }


def case_verbs_of_wrong_arguments(ray_data, tmp_path):
    ds = ray_data.range(6, override_num_blocks=2)
    return {
        "filter": error_of(lambda: ds.filter()),
        "limit": error_of(lambda: ds.limit("3").take_all()),
        "take": error_of(lambda: ds.take(-1)),
        "take_batch": error_of(lambda: ds.take_batch(0)),
        "batch_size": error_of(lambda: ds.map_batches(lambda b: b, batch_size=0).take_all()),
        "batch_format": error_of(lambda: ds.map_batches(lambda b: b, batch_format="rows")),
        "repartition": error_of(lambda: ds.repartition()),
        "repartition both": error_of(lambda: ds.repartition(2, target_num_rows_per_block=3)),
        "split": error_of(lambda: ds.split(0)),
        "split indices": error_of(lambda: ds.split_at_indices([3, 1])),
        "split proportions": error_of(lambda: ds.split_proportionately([0.5, 0.6])),
        "test_size": error_of(lambda: ds.train_test_split(1.5)),
        "test_size zero": error_of(lambda: ds.train_test_split(0)),
        "zip": error_of(lambda: ds.zip(ray_data.range(2)).take_all()),
        "sort": error_of(lambda: ds.sort(3).take_all()),
        "groupby": error_of(lambda: ds.groupby(3)),
        "random_sample": error_of(lambda: ds.random_sample(-0.1)),
        "iter_batches format": error_of(lambda: next(iter(ds.iter_batches(batch_format="x")))),
        "add_column": error_of(lambda: ds.add_column("x", 3).take_all()),
        "show": error_of(lambda: ds.show("x")),
    }


def case_functions_that_return_wrong_things(ray_data, tmp_path):
    ds = ray_data.range(2)
    return {
        "map number": error_of(lambda: ds.map(lambda r: 3).take_all()),
        "map list": error_of(lambda: ds.map(lambda r: [r]).take_all()),
        "map none": error_of(lambda: ds.map(lambda r: None).take_all()),
        "flat_map dict": error_of(lambda: ds.flat_map(lambda r: r).take_all()),
        "flat_map numbers": error_of(lambda: ds.flat_map(lambda r: [1]).take_all()),
        "batches list": error_of(lambda: ds.map_batches(lambda b: [1]).take_all()),
        "batches array": error_of(lambda: ds.map_batches(lambda b: b["id"]).take_all()),
        "batches lengths": error_of(
            lambda: ds.map_batches(lambda b: {"a": [1], "b": [1, 2]}).take_all()
        ),
        "batches scalar": error_of(lambda: ds.map_batches(lambda b: {"a": 1}).take_all()),
        "filter": error_of(lambda: ds.filter(lambda r: "yes").take_all()),
    }


def case_class_without_call(ray_data, tmp_path):
    class Nothing:
        pass

    class Fails:
        def __init__(self):
            raise OSError("no model")

        def __call__(self, batch):
            return batch

    ds = ray_data.range(2)
    return [
        error_of(lambda: ds.map_batches(Nothing, concurrency=1).take_all()),
        error_of(lambda: ds.map_batches(Nothing()).take_all()),
        error_of(lambda: ds.map_batches(Fails, concurrency=1).take_all(), "no model"),
    ]


def case_arguments_of_constructors_of_functions(ray_data, tmp_path):
    ds = ray_data.range(2)
    return [
        error_of(lambda: ds.map_batches(lambda b: b, fn_constructor_args=(1,))),
        error_of(lambda: ds.map_batches(lambda b, x: b).take_all()),
        error_of(lambda: ds.map_batches(lambda b: b, fn_args=(1,)).take_all()),
    ]


def case_strategies_of_wrong_sizes(ray_data, tmp_path):
    pool, tasks = ray_data.ActorPoolStrategy, ray_data.TaskPoolStrategy
    return [
        error_of(lambda: pool(size=0)),
        error_of(lambda: pool(min_size=3, max_size=2)),
        error_of(lambda: pool(size=2, min_size=1)),
        error_of(lambda: pool(max_tasks_in_flight_per_actor=0)),
        error_of(lambda: tasks(size=0)),
        error_of(lambda: pool(min_size=0)),
        error_of(lambda: pool(initial_size=5, min_size=1, max_size=3)),
        pool(size=2) == pool(size=2),
    ]


def case_writers_of_wrong_arguments(ray_data, tmp_path):
    ds = ray_data.range(3)
    out = str(tmp_path / "out")
    return {
        "rows": error_of(lambda: ds.write_parquet(out, min_rows_per_file=0)),
        "rows both": error_of(
            lambda: ds.write_parquet(out, min_rows_per_file=5, max_rows_per_file=2)
        ),
        "column": error_of(lambda: ds.write_numpy(out, column="x"), "x"),
        "partition": error_of(lambda: ds.write_parquet(out, partition_cols=["x"]), "x"),
        "image": error_of(lambda: ds.write_images(out, column="x"), "x"),
        "datasink": error_of(lambda: ds.write_datasink("text")),
    }


def case_expressions_of_wrong_arguments(ray_data, tmp_path):
    e = sub(ray_data, "expressions")
    ds = ray_data.range(3)
    return {
        "number": error_of(lambda: e.col(3)),
        "and": error_of(lambda: bool(e.col("x") and e.col("y"))),
        "in": error_of(lambda: ds.filter(expr=e.col("id").is_in(3)).take_all()),
        "add text": error_of(lambda: ds.with_column("x", e.col("id") + "a").take_all()),
        "filter number": error_of(lambda: ds.filter(expr=3)),
        "filter both": error_of(lambda: ds.filter(lambda r: True, expr=e.col("id") > 1)),
        "unknown": error_of(lambda: e.col("id").no_such_method()),
        "str of numbers": error_of(lambda: ds.with_column("x", e.col("id").str.upper()).take_all()),
    }


def case_aggregations_of_wrong_columns(ray_data, tmp_path):
    agg = sub(ray_data, "aggregate")
    ds = ray_data.from_items([{"s": "a", "v": 1}], override_num_blocks=1)
    return {
        "max of text": error_of(lambda: ds.max("s")),
        "quantile": error_of(lambda: agg.Quantile("v", q=2.0)),
    }


def case_frames_of_wrong_names(ray_data, tmp_path):
    return [
        error_of(lambda: ray_data.from_pandas(pd.DataFrame({1: [1]}))),
        error_of(lambda: ray_data.from_items([{1: 2}]).take_all()),
    ]


def case_dataset_is_no_list(ray_data, tmp_path):
    ds = ray_data.range(3)
    return [
        error_of(lambda: len(ds)),
        error_of(lambda: list(ds)),
        error_of(lambda: ds[0]),
        error_of(lambda: ds + ds),
        bool(ds),
        error_of(lambda: ds.no_such_verb()),
    ]


def case_context_of_wrong_values(ray_data, tmp_path):
    context = ray_data.DataContext()
    limits = ray_data.ExecutionOptions(
        resource_limits=ray_data.ExecutionResources(cpu=1),
        exclude_resources=ray_data.ExecutionResources(cpu=1),
    )
    return [
        error_of(lambda: setattr(context, "shuffle_strategy", "none")),
        error_of(lambda: ray_data.DataContext(no_such_field=1)),
        error_of(limits.validate),
        error_of(lambda: context.get_config("none")),
        error_of(lambda: ray_data.RandomSeedConfig(seed="a")),
        error_of(lambda: ray_data.FileShuffleConfig(seed="a")),
    ]


def case_types_of_wrong_arguments(ray_data, tmp_path):
    types = sub(ray_data, "datatype").DataType
    return [
        error_of(lambda: types.temporal("century")),
        error_of(lambda: types.from_numpy("no_type")),
        error_of(lambda: types.from_arrow("int64")),
        error_of(lambda: types.int64().to_python_type()),
        error_of(lambda: types("int64")),
    ]


def case_partitionings_of_wrong_arguments(ray_data, tmp_path):
    module = sub(ray_data, "datasource")
    return [
        error_of(lambda: module.Partitioning("dir")),
        error_of(lambda: module.PathPartitionParser.of(style="dir")),
        error_of(lambda: module.PathPartitionFilter(None, 3)),
    ]


def case_tensor_values_of_wrong_shapes(ray_data, tmp_path):
    ds = ray_data.range(2)
    return [
        error_of(lambda: ds.map_batches(lambda b: {"t": np.float64(3)}).take_all()),
        error_of(lambda: ds.map_batches(lambda b: {"t": np.array(3)}).take_all()),
        error_of(lambda: ds.map_batches(lambda b: pa.table({"a": [1]}).column("a")).take_all()),
    ]


def case_closed_iterator(ray_data, tmp_path):
    batches = iter(ray_data.range(4).iter_batches(batch_size=2))
    next(batches)
    next(batches)
    return [error_of(lambda: next(batches)), error_of(lambda: next(batches))]
