"""Row functions: map, flat_map, filter."""

import numpy as np
from corpus import error_of, rows, unordered


def case_map_lambda(ray_data, tmp_path):
    ds = ray_data.range(4).map(lambda row: {"double": row["id"] * 2})
    return {"rows": rows(ds), "schema": ds.schema()}


def case_map_changes_row_in_place(ray_data, tmp_path):
    def parse(row):
        row["path"] = f"item-{row['id']}.txt"
        return row

    return rows(ray_data.range(3).map(parse))


def case_map_value_types_inside(ray_data, tmp_path):
    def kinds(row):
        return {key: type(value).__name__ for key, value in row.items()}

    items = [{"i": 1, "f": 0.5, "s": "x", "b": b"y", "n": None, "l": [1], "a": np.zeros(2)}]
    return ray_data.from_items(items).map(kinds).take_all()


def case_map_row_is_a_dict(ray_data, tmp_path):
    ds = ray_data.range(1).map(lambda row: {"dict": isinstance(row, dict), "keys": list(row)})
    return ds.take_all()


def case_map_class(ray_data, tmp_path):
    class AddN:
        def __init__(self, n, scale=1):
            self.n = n
            self.scale = scale

        def __call__(self, row):
            return {"v": row["id"] * self.scale + self.n}

    ds = ray_data.range(4).map(
        AddN,
        concurrency=1,
        fn_constructor_args=(10,),
        fn_constructor_kwargs={"scale": 2},
    )
    return rows(ds)


def case_map_fn_args(ray_data, tmp_path):
    def add(row, n, times=1):
        return {"v": (row["id"] + n) * times}

    return rows(ray_data.range(3).map(add, fn_args=[5], fn_kwargs={"times": 3}))


def case_map_returns_numpy_scalars(ray_data, tmp_path):
    ds = ray_data.range(2).map(lambda row: {"v": np.float32(row["id"]) / 2})
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_returns_arrays(ray_data, tmp_path):
    ds = ray_data.range(2).map(lambda row: {"v": np.full((2, 2), row["id"], dtype=np.uint8)})
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_returns_ragged_arrays(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)
    return rows(ds.map(lambda row: {"v": np.ones((row["id"] + 1, 2))}))


def case_map_returns_lists(ray_data, tmp_path):
    ds = ray_data.range(2).map(lambda row: {"v": [row["id"]] * 2})
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_returns_nested_dict(ray_data, tmp_path):
    ds = ray_data.range(2).map(lambda row: {"p": {"x": row["id"], "y": "z"}})
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_returns_none_values(ray_data, tmp_path):
    ds = ray_data.range(3, override_num_blocks=1)
    ds = ds.map(lambda row: {"v": None if row["id"] == 1 else row["id"]})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_map_returns_strings_and_bytes(ray_data, tmp_path):
    ds = ray_data.range(2).map(lambda row: {"s": str(row["id"]), "b": bytes([row["id"]])})
    return {"schema": ds.schema(), "rows": rows(ds)}


def case_map_returns_not_a_dict(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(2).map(lambda row: row["id"]).take_all(), "dict")


def case_map_returns_none(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(2).map(lambda row: None).take_all())


def case_map_raises(ray_data, tmp_path):
    def fail(row):
        raise ValueError("a bad row")

    return error_of(lambda: ray_data.range(2).map(fail).take_all(), "a bad row", "ValueError")


def case_map_missing_key(ray_data, tmp_path):
    return error_of(
        lambda: ray_data.range(2).map(lambda row: {"v": row["nope"]}).take_all(), "nope", "KeyError"
    )


def case_map_not_callable(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(2).map(5).take_all())


def case_map_class_without_concurrency(ray_data, tmp_path):
    class Identity:
        def __call__(self, row):
            return row

    return error_of(lambda: rows(ray_data.range(3).map(Identity)))


def case_map_instance_of_a_class(ray_data, tmp_path):
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, row):
            return {"v": row["id"] + self.n}

    return error_of(lambda: rows(ray_data.range(3).map(Adder(3))))


def case_map_method(ray_data, tmp_path):
    class Tool:
        def run(self, row):
            return {"v": row["id"] + 1}

    return rows(ray_data.range(3).map(Tool().run))


def case_map_chain(ray_data, tmp_path):
    ds = ray_data.range(10).map(lambda r: {"a": r["id"] + 1}).map(lambda r: {"b": r["a"] * 2})
    return {"sum": ds.sum("b"), "count": ds.count()}


def case_map_empty_input(ray_data, tmp_path):
    ds = ray_data.range(5).filter(lambda row: False).map(lambda row: {"v": 1})
    return {"rows": ds.take_all(), "count": ds.count()}


def case_map_different_keys(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds = ds.map(lambda row: {"a": 1} if row["id"] == 0 else {"b": 2})
    return error_of(lambda: ds.take_all())


def case_map_int_then_float(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds = ds.map(lambda row: {"v": 1 if row["id"] == 0 else 2.5})
    return ds.take_all()


def case_map_int_then_string(ray_data, tmp_path):
    ds = ray_data.range(2, override_num_blocks=1)
    ds = ds.map(lambda row: {"v": 1 if row["id"] == 0 else "x"})
    return error_of(lambda: ds.take_all())


def case_map_objects(ray_data, tmp_path):
    class Thing:
        def __init__(self, n):
            self.n = n

    ds = ray_data.range(3, override_num_blocks=1).map(lambda row: {"o": Thing(row["id"])})
    return ds.map(lambda row: {"n": row["o"].n + 1}).take_all()


def case_map_two_concurrency(ray_data, tmp_path):
    return rows(ray_data.range(6).map(lambda row: {"v": row["id"]}, concurrency=2))


def case_flat_map(ray_data, tmp_path):
    def twice(row):
        return [row] * 2

    ds = ray_data.range(3).flat_map(twice)
    return {"rows": rows(ds), "count": ds.count(), "schema": ds.schema()}


def case_flat_map_generator(ray_data, tmp_path):
    def count_up(row):
        for i in range(row["id"]):
            yield {"i": i, "of": row["id"]}

    return rows(ray_data.range(4).flat_map(count_up))


def case_flat_map_empty_lists(ray_data, tmp_path):
    ds = ray_data.range(3).flat_map(lambda row: [])
    return {"rows": ds.take_all(), "count": ds.count()}


def case_flat_map_wrong_return(ray_data, tmp_path):
    return [
        error_of(lambda: ray_data.range(2).flat_map(lambda row: row["id"]).take_all()),
        error_of(lambda: ray_data.range(2).flat_map(lambda row: [row["id"]]).take_all()),
    ]


def case_flat_map_class(ray_data, tmp_path):
    class Repeat:
        def __init__(self, n):
            self.n = n

        def __call__(self, row):
            return [{"v": row["id"] * 10 + i} for i in range(self.n)]

    return rows(ray_data.range(2).flat_map(Repeat, concurrency=1, fn_constructor_args=[2]))


def case_flat_map_words(ray_data, tmp_path):
    lines = [{"line": "the quick fox"}, {"line": "jumps"}, {"line": ""}]
    ds = ray_data.from_items(lines)
    return rows(ds.flat_map(lambda row: [{"word": w} for w in row["line"].split()]))


def case_filter_function(ray_data, tmp_path):
    ds = ray_data.range(10).filter(lambda row: row["id"] % 3 == 0)
    return {"rows": rows(ds), "count": ds.count(), "schema": ds.schema()}


def case_filter_class(ray_data, tmp_path):
    class Above:
        def __init__(self, n):
            self.n = n

        def __call__(self, row):
            return row["id"] > self.n

    return rows(ray_data.range(6).filter(Above, concurrency=1, fn_constructor_args=[3]))


def case_filter_fn_args(ray_data, tmp_path):
    def between(row, low, high=100):
        return low <= row["id"] < high

    return rows(ray_data.range(10).filter(between, fn_args=[3], fn_kwargs={"high": 6}))


def case_filter_returns_numpy_bool(ray_data, tmp_path):
    return rows(ray_data.range(4).filter(lambda row: np.bool_(row["id"] > 1)))


def case_filter_returns_truthy(ray_data, tmp_path):
    return error_of(lambda: unordered(ray_data.range(4).filter(lambda row: row["id"]).take_all()))


def case_filter_all_out(ray_data, tmp_path):
    ds = ray_data.range(4).filter(lambda row: False)
    return {"rows": ds.take_all(), "count": ds.count(), "schema": ds.schema()}


def case_filter_without_arguments(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(4).filter())


def case_filter_function_and_expression(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(4).filter(lambda row: True, expr="id > 1"))


def case_filter_raises(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(4).filter(lambda row: row["nope"]).take_all(), "nope")


def case_filter_tensor_rows(ray_data, tmp_path):
    ds = ray_data.range_tensor(5, shape=(2,)).filter(lambda row: row["data"].sum() > 4)
    return rows(ds)
