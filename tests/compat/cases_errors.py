"""What a program sees when something goes wrong, and that the next pipeline runs."""

import pathlib
import threading

import numpy as np
from corpus import error_of, fails, rows, sub


def _both(ray_data, error):
    """Describes an error and shows that the library still works after it."""
    return {"error": error, "next": rows(ray_data.range(2))}


def case_row_function(ray_data, tmp_path):
    def parse(row):
        return {"v": int("x1")}

    return _both(ray_data, error_of(lambda: ray_data.range(3).map(parse).take_all(), "x1", "parse"))


def case_batch_function(ray_data, tmp_path):
    def divide(batch):
        raise ZeroDivisionError("by zero here")

    ds = ray_data.range(3).map_batches(divide)
    return _both(ray_data, error_of(lambda: ds.take_all(), "by zero here", "divide"))


def case_flat_map_function(ray_data, tmp_path):
    def words(row):
        return row["id"].split()

    ds = ray_data.range(3).flat_map(words)
    return _both(ray_data, error_of(lambda: ds.take_all(), "split", "words"))


def case_filter_function(ray_data, tmp_path):
    def keep(row):
        return row["missing"]

    return _both(ray_data, error_of(lambda: ray_data.range(3).filter(keep).take_all(), "missing"))


def case_class_call(ray_data, tmp_path):
    class Model:
        def __call__(self, batch):
            raise RuntimeError("model exploded")

    ds = ray_data.range(3).map_batches(Model, concurrency=1)
    return _both(ray_data, error_of(lambda: ds.take_all(), "model exploded"))


def case_class_constructor(ray_data, tmp_path):
    class Model:
        def __init__(self, path):
            self.weights = pathlib.Path(path).read_bytes()

        def __call__(self, batch):
            return batch

    ds = ray_data.range(3).map_batches(
        Model, concurrency=1, fn_constructor_args=[str(tmp_path / "weights.bin")]
    )
    return _both(ray_data, error_of(lambda: ds.take_all(), "weights.bin"))


def case_generator_half_way(ray_data, tmp_path):
    def make(batch):
        yield {"v": np.array([1])}
        raise ValueError("second batch")

    ds = ray_data.range(3, override_num_blocks=1).map_batches(make)
    return _both(ray_data, error_of(lambda: ds.take_all(), "second batch"))


def case_coroutine(ray_data, tmp_path):
    class Slow:
        async def __call__(self, batch):
            raise ValueError("in a coroutine")
            yield batch

    ds = ray_data.range(3).map_batches(Slow, concurrency=1)
    return _both(ray_data, error_of(lambda: ds.take_all(), "in a coroutine"))


def case_own_exception_class(ray_data, tmp_path):
    class BadRow(Exception):
        def __init__(self, row, reason):
            super().__init__(row, reason)

    def check(row):
        raise BadRow(row["id"], "unacceptable")

    ds = ray_data.range(1).map(check)
    return _both(ray_data, error_of(lambda: ds.take_all(), "unacceptable", "BadRow"))


def case_every_way_to_consume(ray_data, tmp_path):
    def fail(row):
        raise ValueError("no luck")

    ds = ray_data.range(3).map(fail)
    ways = {
        "take": lambda: ds.take(1),
        "take_batch": lambda: ds.take_batch(1),
        "materialize": lambda: ds.materialize(),
        "schema": lambda: ds.schema(),
        "sum": lambda: ds.sum("id"),
        "iter_rows": lambda: list(ds.iter_rows()),
        "iter_batches": lambda: list(ds.iter_batches()),
        "iter_torch_batches": lambda: list(ds.iter_torch_batches()),
        "to_pandas": lambda: ds.to_pandas(),
        "show": lambda: ds.show(),
        "write": lambda: ds.write_parquet(str(tmp_path / "out")),
    }
    return {name: error_of(way, "no luck") for name, way in ways.items()}


def case_misspelt_column_in_each_verb(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(3)
    ways = {
        "select_columns": lambda: ds.select_columns(["idd"]).take_all(),
        "drop_columns": lambda: ds.drop_columns(["idd"]).take_all(),
        "rename_columns": lambda: ds.rename_columns({"idd": "x"}).take_all(),
        "with_column": lambda: ds.with_column("x", col("idd")).take_all(),
        "filter": lambda: ds.filter(expr=col("idd") > 1).take_all(),
        "filter_text": lambda: ds.filter(expr="idd > 1").take_all(),
        "sum": lambda: ds.sum("idd"),
        "mean": lambda: ds.mean("idd"),
        "unique": lambda: ds.unique("idd"),
        "map": lambda: ds.map(lambda row: {"v": row["idd"]}).take_all(),
        "map_batches": lambda: ds.map_batches(lambda b: {"v": b["idd"]}).take_all(),
        "add_column": lambda: ds.add_column("v", lambda df: df["idd"]).take_all(),
        "write_numpy": lambda: ds.write_numpy(str(tmp_path / "n"), column="idd"),
        "write_images": lambda: ds.write_images(str(tmp_path / "i"), "idd"),
    }
    return {name: error_of(way, "idd") for name, way in ways.items()}


def case_function_that_cannot_be_pickled(ray_data, tmp_path):
    lock = threading.Lock()

    def use(row):
        with lock:
            return row

    return _both(ray_data, error_of(lambda: ray_data.range(3).map(use).take_all()))


def case_instance_that_cannot_be_pickled(ray_data, tmp_path):
    class Tool:
        def __init__(self):
            self.lock = threading.Lock()

        def run(self, batch):
            return batch

    tool = Tool()
    return _both(ray_data, fails(lambda: ray_data.range(3).map_batches(tool.run).take_all()))


def case_result_of_wrong_kind(ray_data, tmp_path):
    ds = ray_data.range(3)
    ways = {
        "map_list": lambda: ds.map(lambda row: [1]).take_all(),
        "map_tuple": lambda: ds.map(lambda row: (1, 2)).take_all(),
        "map_string": lambda: ds.map(lambda row: "x").take_all(),
        "flat_map_dict": lambda: ds.flat_map(lambda row: row).take_all(),
        "flat_map_none": lambda: ds.flat_map(lambda row: None).take_all(),
        "batches_list": lambda: ds.map_batches(lambda b: [1]).take_all(),
        "batches_array": lambda: ds.map_batches(lambda b: b["id"]).take_all(),
        "batches_rows": lambda: ds.map_batches(lambda b: [{"id": 1}]).take_all(),
        "batches_string_value": lambda: ds.map_batches(lambda b: {"v": "x"}).take_all(),
        "batches_yield_number": lambda: ds.map_batches(lambda b: iter([5])).take_all(),
    }
    return {name: error_of(way) for name, way in ways.items()}


def case_lengths_differ(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)
    ways = {
        "arrays": lambda: ds.map_batches(lambda b: {"a": np.ones(3), "b": np.ones(2)}).take_all(),
        "lists": lambda: ds.map_batches(lambda b: {"a": [1, 2, 3], "b": [1]}).take_all(),
        "tensors": lambda: ds.map_batches(
            lambda b: {"a": np.ones((3, 2)), "b": np.ones((2, 2))}
        ).take_all(),
        "added": lambda: ds.map_batches(lambda b: {**b, "c": np.ones(1)}).take_all(),
    }
    return {name: error_of(way) for name, way in ways.items()}


def case_keys_that_are_no_text(ray_data, tmp_path):
    return {
        "map": error_of(lambda: ray_data.range(1).map(lambda row: {1: 2}).take_all()),
        "items": error_of(lambda: ray_data.from_items([{1: 2}]).take_all()),
    }


def case_stop_iteration_in_a_function(ray_data, tmp_path):
    def stop(row):
        raise StopIteration

    return fails(lambda: ray_data.range(3).map(stop).take_all())


def case_too_many_resources(ray_data, tmp_path):
    """A request that no machine here can hold is refused or would wait for ever."""
    negative = fails(lambda: ray_data.range(3).map(lambda row: row, num_cpus=-1).take_all())
    return {"negative": negative}


def case_retry_then_success(ray_data, tmp_path):
    marker = tmp_path / "seen"

    def once(row):
        if not marker.exists():
            marker.touch()
            raise ValueError("the first time")
        return row

    ds = ray_data.range(2, override_num_blocks=1).map(once)
    first = fails(lambda: ds.take_all())
    return {"first_failed": first, "second": ds.take_all()}


def case_exception_class_to_catch(ray_data, tmp_path):
    exceptions = sub(ray_data, "exceptions")
    return {
        "user_code": issubclass(exceptions.RayDataUserCodeException, Exception),
        "system": issubclass(exceptions.SystemException, Exception),
    }


def case_error_while_another_dataset_is_open(ray_data, tmp_path):
    def fail(row):
        raise ValueError("mine")

    good = iter(ray_data.range(10, override_num_blocks=1).iter_rows())
    first = next(good)
    error = error_of(lambda: ray_data.range(3).map(fail).take_all(), "mine")
    return {"first": first, "error": error, "rest": len(list(good))}


def case_two_iterators_at_once(ray_data, tmp_path):
    ds = ray_data.range(10, override_num_blocks=1)
    pairs = list(zip(ds.iter_rows(), ds.iter_rows(), strict=True))
    return all(a == b for a, b in pairs) and len(pairs)


def case_datasets_in_threads(ray_data, tmp_path):
    totals = []

    def work(n):
        totals.append(ray_data.range(n).map(lambda row: {"v": row["id"]}).sum("v"))

    threads = [threading.Thread(target=work, args=(n,)) for n in (5, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(totals)


def case_bool_of_a_dataset(ray_data, tmp_path):
    return error_of(lambda: bool(ray_data.range(3)))


def case_index_of_a_dataset(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(3)[0])


def case_unknown_method(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(3).collect(), "collect")


def case_dataset_made_by_hand(ray_data, tmp_path):
    return fails(lambda: ray_data.Dataset())


def case_calling_map_with_an_expression(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return fails(lambda: ray_data.range(3).map(col("id")).take_all())
