"""Column expressions in with_column and filter, and filters written as text."""

import datetime

import pyarrow as pa
from corpus import error_of, fails, rows, sub


def _numbers(ray_data):
    items = [{"a": 1, "b": 2.5}, {"a": 7, "b": -1.0}, {"a": -4, "b": 0.5}]
    return ray_data.from_items(items, override_num_blocks=1)


def _nulls(ray_data):
    items = [{"a": 1, "b": None}, {"a": None, "b": 3}, {"a": 5, "b": 5}, {"a": None, "b": None}]
    return ray_data.from_items(items, override_num_blocks=1)


def _words(ray_data):
    items = [{"s": "  Apple pie "}, {"s": "banana"}, {"s": None}, {"s": ""}, {"s": "a-b-c"}]
    return ray_data.from_items(items, override_num_blocks=1)


def _column(ds, expression):
    """Returns the type and values of one computed column."""
    out = ds.with_column("out", expression)
    kind = dict(zip(out.schema().names, out.schema().types, strict=True))["out"]
    return {"type": kind, "values": [row["out"] for row in out.take_all()]}


def case_arithmetic(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    return {
        "add": _column(ds, col("a") + 1),
        "radd": _column(ds, 1 + col("a")),
        "sub": _column(ds, col("a") - col("b")),
        "rsub": _column(ds, 10 - col("a")),
        "mul": _column(ds, col("a") * 2.0),
        "rmul": _column(ds, 3 * col("a")),
        "div": _column(ds, col("a") / 2),
        "rdiv": _column(ds, 7 / col("b")),
        "floordiv": _column(ds, col("a") // 2),
        "floordiv_float": _column(ds, col("b") // 2),
        "rfloordiv": _column(ds, 9 // col("a")),
    }


def case_modulo(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    return {
        "mod": _column(ds, col("a") % 3),
        "mod_negative": _column(ds, col("a") % -3),
        "rmod": _column(ds, 10 % col("a")),
        "mod_float": _column(ds, col("b") % 2),
    }


def case_comparison(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    return {
        "gt": _column(ds, col("a") > 1),
        "ge": _column(ds, col("a") >= 1),
        "lt": _column(ds, col("a") < col("b")),
        "le": _column(ds, col("a") <= 1),
        "eq": _column(ds, col("a") == 7),
        "ne": _column(ds, col("a") != 7),
        "reversed": _column(ds, col("a") > 2),
    }


def case_boolean(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    return {
        "and": _column(ds, (col("a") > 0) & (col("b") > 0)),
        "or": _column(ds, (col("a") > 0) | (col("b") > 0)),
        "not": _column(ds, ~(col("a") > 0)),
    }


def case_arithmetic_with_nulls(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _nulls(ray_data)
    return {
        "add": _column(ds, col("a") + col("b")),
        "gt": _column(ds, col("a") > 1),
        "eq": _column(ds, col("a") == col("b")),
        "and": _column(ds, (col("a") > 1) & (col("b") > 1)),
        "or": _column(ds, (col("a") > 1) | (col("b") > 1)),
        "not": _column(ds, ~(col("a") > 1)),
    }


def case_is_null(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _nulls(ray_data)
    return {
        "is_null": _column(ds, col("a").is_null()),
        "is_not_null": _column(ds, col("a").is_not_null()),
    }


def case_is_in(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return {
        "is_in": _column(_numbers(ray_data), col("a").is_in([1, 7])),
        "not_in": _column(_numbers(ray_data), col("a").not_in([1, 7])),
        "nulls": _column(_nulls(ray_data), col("a").is_in([1])),
        "strings": _column(_words(ray_data), col("s").is_in(["banana", "kiwi"])),
    }


def case_literals(ray_data, tmp_path):
    lit = sub(ray_data, "expressions").lit
    ds = _numbers(ray_data)
    values = [1, 2.5, "x", True, None, b"y"]
    return [_column(ds, lit(value)) for value in values]


def case_literal_date(ray_data, tmp_path):
    lit = sub(ray_data, "expressions").lit
    ds = _numbers(ray_data)
    return _column(ds, lit(datetime.datetime(2024, 1, 2, 3, 4, 5)))


def case_division_by_zero(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    return {
        "integer": error_of(lambda: ds.with_column("out", col("a") / 0).take_all()),
        "float": error_of(lambda: ds.with_column("out", col("b") / 0.0).take_all()),
    }


def case_string_plus(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return _column(_words(ray_data), col("s") + "!")


def case_math_functions(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    b = col("b")
    return {
        "abs": _column(ds, col("a").abs()),
        "ceil": _column(ds, b.ceil()),
        "floor": _column(ds, b.floor()),
        "round": _column(ds, b.round()),
        "trunc": _column(ds, b.trunc()),
        "sign": _column(ds, col("a").sign()),
        "negate": _column(ds, col("a").negate()),
        "exp": _column(ds, b.exp()),
        "power": _column(ds, col("a").power(2)),
        "sin": _column(ds, b.sin()),
        "cos": _column(ds, b.cos()),
        "tan": _column(ds, b.tan()),
        "atan": _column(ds, b.atan()),
    }


def case_logarithms(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.from_items([{"v": 1.0}, {"v": 8.0}, {"v": 100.0}], override_num_blocks=1)
    return {
        "ln": _column(ds, col("v").ln()),
        "log2": _column(ds, col("v").log2()),
        "log10": _column(ds, col("v").log10()),
    }


def case_string_case_functions(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = _words(ray_data)
    return {
        "upper": _column(ds, s.str.upper()),
        "lower": _column(ds, s.str.lower()),
        "capitalize": _column(ds, s.str.capitalize()),
        "title": _column(ds, s.str.title()),
        "swapcase": _column(ds, s.str.swapcase()),
        "reverse": _column(ds, s.str.reverse()),
        "len": _column(ds, s.str.len()),
        "byte_len": _column(ds, s.str.byte_len()),
    }


def case_string_strip_and_pad(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = _words(ray_data)
    return {
        "strip": _column(ds, s.str.strip()),
        "lstrip": _column(ds, s.str.lstrip()),
        "rstrip": _column(ds, s.str.rstrip()),
        "strip_chars": _column(ds, s.str.strip("ac")),
        "pad": _column(ds, s.str.pad(8, "*")),
        "pad_left": _column(ds, s.str.pad(8, "*", "left")),
        "pad_both": _column(ds, s.str.pad(8, "*", "both")),
        "lpad": _column(ds, s.str.lpad(8, ".")),
        "center": _column(ds, s.str.center(8)),
        "repeat": _column(ds, s.str.repeat(2)),
    }


def case_string_search(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = _words(ray_data)
    return {
        "contains": _column(ds, s.str.contains("an")),
        "starts_with": _column(ds, s.str.starts_with("ba")),
        "ends_with": _column(ds, s.str.ends_with("a")),
        "match": _column(ds, s.str.match("%an%")),
        "find": _column(ds, s.str.find("a")),
        "count": _column(ds, s.str.count("a")),
        "match_regex": _column(ds, s.str.match_regex("[a-c]-")),
        "find_regex": _column(ds, s.str.find_regex("n+")),
        "count_regex": _column(ds, s.str.count_regex("[ab]")),
    }


def case_string_change(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = _words(ray_data)
    return {
        "replace": _column(ds, s.str.replace("a", "A")),
        "replace_regex": _column(ds, s.str.replace_regex("[abc]", "_")),
        "slice": _column(ds, s.str.slice(1, 3)),
        "split": _column(ds, s.str.split("-")),
        "split_whitespace": _column(ds, s.str.split_whitespace()),
        "replace_slice": _column(ds, s.str.replace_slice(0, 1, "#")),
    }


def case_string_tests(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    items = [{"s": v} for v in ("abc", "ABC", "a1", "12", " ", "", "é", None)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    names = "alpha alnum digit decimal numeric lower upper space ascii title printable"
    return {name: _column(ds, getattr(s.str, f"is_{name}")()) for name in names.split()}


def case_string_extract(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = ray_data.from_items([{"s": "k1=v1"}, {"s": "k2=v2"}], override_num_blocks=1)
    found = _column(ds, s.str.extract(r"(?P<key>\w+)=(?P<value>\w+)"))
    return found["values"]


def case_list_functions(ray_data, tmp_path):
    xs = sub(ray_data, "expressions").col("xs")
    items = [{"xs": [3, 1, 2]}, {"xs": [5, 4, 6, 7]}]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return {
        "len": _column(ds, xs.list.len()),
        "get": _column(ds, xs.list.get(1)),
        "item": _column(ds, xs.list[0]),
        "slice": _column(ds, xs.list.slice(0, 2)),
        "sort": _column(ds, xs.list.sort()),
        "sort_descending": _column(ds, xs.list.sort(order="descending")),
    }


def case_list_flatten(ray_data, tmp_path):
    xs = sub(ray_data, "expressions").col("xs")
    items = [{"xs": [[1], [2, 3]]}, {"xs": [[4]]}]
    return _column(ray_data.from_items(items, override_num_blocks=1), xs.list.flatten())


def case_list_len_with_nulls(ray_data, tmp_path):
    xs = sub(ray_data, "expressions").col("xs")
    ds = ray_data.from_items([{"xs": [1]}, {"xs": None}, {"xs": []}], override_num_blocks=1)
    return _column(ds, xs.list.len())


def case_struct_field(ray_data, tmp_path):
    p = sub(ray_data, "expressions").col("p")
    ds = ray_data.from_items([{"p": {"x": 1, "y": "a"}}, {"p": {"x": 2, "y": "b"}}])
    return {
        "field": rows(ds.with_column("out", p.struct.field("x"))),
        "item": rows(ds.with_column("out", p.struct["y"])),
    }


def case_datetime_functions(ray_data, tmp_path):
    t = sub(ray_data, "expressions").col("t")
    items = [
        {"t": datetime.datetime(2024, 2, 29, 13, 45, 59)},
        {"t": datetime.datetime(1999, 12, 31, 0, 0, 1)},
    ]
    ds = ray_data.from_items(items, override_num_blocks=1)
    parts = {
        name: _column(ds, getattr(t.dt, name)())["values"]
        for name in ("year", "month", "day", "hour", "minute", "second")
    }
    return {
        **parts,
        "strftime": _column(ds, t.dt.strftime("%Y/%m/%d")),
        "floor": _column(ds, t.dt.floor("hour"))["values"],
        "ceil": _column(ds, t.dt.ceil("day"))["values"],
        "round": _column(ds, t.dt.round("day"))["values"],
    }


def case_cast(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    data_type = sub(ray_data, "datatype").DataType
    ds = _numbers(ray_data)
    return {
        "to_string": _column(ds, col("a").cast(data_type.string())),
        "to_float": _column(ds, col("a").cast(data_type.float64())),
        "to_int_unsafe": _column(ds, col("b").cast(data_type.int64(), safe=False)),
        "to_int_safe": error_of(lambda: _column(ds, col("b").cast(data_type.int64()))),
    }


def case_with_column_replaces(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data).with_column("a", col("a") * 10)
    return {"columns": ds.columns(), "rows": ds.take_all()}


def case_with_column_chain(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data).with_column("c", col("a") + 1).with_column("d", col("c") * 2)
    return {"columns": ds.columns(), "rows": ds.take_all()}


def case_with_column_missing(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _numbers(ray_data)
    return error_of(lambda: ds.with_column("c", col("nope") + 1).take_all(), "nope")


def case_with_column_not_an_expression(ray_data, tmp_path):
    return fails(lambda: _numbers(ray_data).with_column("c", 5).take_all())


def case_with_column_udf(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    data_type = sub(ray_data, "datatype").DataType

    @expressions.udf(return_dtype=data_type.int64())
    def add_one(x: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        return pc.add(x, 1)

    return _column(_numbers(ray_data), add_one(expressions.col("a")))


def case_with_column_udf_in_an_expression(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    data_type = sub(ray_data, "datatype").DataType

    @expressions.udf(return_dtype=data_type.float64())
    def total(x, y):
        import pyarrow.compute as pc

        return pc.add(x, y)

    col = expressions.col
    return _column(_numbers(ray_data), total(col("a"), col("b")) * 2)


def case_alias_name(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    expression = (expressions.col("a") + 1).alias("next")
    return {"alias": expression.name, "column": expressions.col("a").name}


def case_structural_equality(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return [
        (col("a") + 1).structurally_equals(col("a") + 1),
        (col("a") + 1).structurally_equals(col("a") + 2),
        col("a").structurally_equals(col("b")),
        (col("a") > 1).structurally_equals(col("a") < 1),
    ]


def case_expression_truth_value(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return error_of(lambda: bool(col("a") > 1) and None)


def case_filter_expression(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(10)
    return {
        "gt": rows(ds.filter(expr=col("id") > 6)),
        "both": rows(ds.filter(expr=(col("id") > 2) & (col("id") < 5))),
        "either": rows(ds.filter(expr=(col("id") < 1) | (col("id") == 9))),
        "not": rows(ds.filter(expr=~(col("id") < 8))),
        "in": rows(ds.filter(expr=col("id").is_in([1, 5, 99]))),
        "arithmetic": rows(ds.filter(expr=col("id") % 4 == 0)),
    }


def case_filter_expression_nulls(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = _nulls(ray_data)
    return {
        "gt": ds.filter(expr=col("a") > 1).take_all(),
        "ne": ds.filter(expr=col("a") != 1).take_all(),
        "null": ds.filter(expr=col("a").is_null()).take_all(),
        "eq": ds.filter(expr=col("a") == col("b")).take_all(),
    }


def case_filter_expression_missing_column(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return error_of(lambda: ray_data.range(3).filter(expr=col("nope") > 1).take_all(), "nope")


def case_filter_expression_string_function(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return _words(ray_data).filter(expr=col("s").str.contains("an")).take_all()


def case_filter_text(ray_data, tmp_path):
    ds = ray_data.range(10)
    texts = [
        "id > 6",
        "id == 3",
        "id != 3 and id < 5",
        "id < 1 or id >= 9",
        "not id < 8",
        "id in [1, 5, 99]",
        "-id > -2",
    ]
    return {text: error_of(lambda text=text: rows(ds.filter(expr=text))) for text in texts}


def case_filter_text_strings(ray_data, tmp_path):
    ds = _words(ray_data)
    texts = ["s == 'banana'", "s != ''", 's in ["banana", "kiwi"]']
    return {text: error_of(lambda text=text: ds.filter(expr=text).take_all()) for text in texts}


def case_filter_text_nulls(ray_data, tmp_path):
    ds = _nulls(ray_data)
    texts = ["a > 1", "a == b", "is_null(a)", "is_valid(a)"]
    return {text: error_of(lambda text=text: ds.filter(expr=text).take_all()) for text in texts}


def case_filter_text_bad_syntax(ray_data, tmp_path):
    ds = ray_data.range(3)
    return [
        error_of(lambda: ds.filter(expr="id >").take_all()),
        error_of(lambda: ds.filter(expr="import os").take_all()),
        error_of(lambda: ds.filter(expr="").take_all()),
    ]


def case_filter_text_missing_column(ray_data, tmp_path):
    return error_of(lambda: ray_data.range(3).filter(expr="nope > 1").take_all(), "nope")


def case_filter_count_and_schema(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(100).filter(expr=col("id") < 10)
    return {"count": ds.count(), "schema": ds.schema(), "sum": ds.sum("id")}


def case_filter_keeps_nothing(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(5).filter(expr=col("id") > 100)
    return {"count": ds.count(), "rows": ds.take_all(), "columns": ds.columns()}


def case_star_and_select(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    ds = _numbers(ray_data)
    col = expressions.col
    return error_of(lambda: ds.select_columns([(col("a") + 1).alias("c")]).take_all())


def case_monotonically_increasing_id(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    ds = ray_data.range(4, override_num_blocks=1)
    out = ds.with_column("n", expressions.monotonically_increasing_id())
    return [row["n"] for row in out.take_all()]


def case_random_column(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    ds = ray_data.range(50).with_column("r", expressions.random())
    values = [row["r"] for row in ds.take_all()]
    return {"in_range": all(0 <= v < 1 for v in values), "differ": len(set(values)) > 40}


def case_uuid_column(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    ds = ray_data.range(5).with_column("u", expressions.uuid())
    values = [row["u"] for row in ds.take_all()]
    return {"lengths": sorted({len(v) for v in values}), "distinct": len(set(values))}


def case_repr_of_expressions(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    text = repr((col("a") + 1) > col("b"))
    return {"mentions": [word for word in ("a", "b", "1") if word in text]}


def case_download_expression(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    (tmp_path / "x.txt").write_bytes(b"hello")
    ds = ray_data.from_items([{"uri": str(tmp_path / "x.txt")}])
    out = ds.with_column("bytes", expressions.download("uri"))
    return [row["bytes"] for row in out.take_all()]


def case_tensor_arithmetic(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range_tensor(2, shape=(2,), override_num_blocks=1)
    return error_of(lambda: ds.with_column("out", col("data") + 1).take_all())


def case_to_pyarrow(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    return str(((col("a") > 1) & (col("b") < 2)).to_pyarrow())


def case_map_functions(ray_data, tmp_path):
    m = sub(ray_data, "expressions").col("m")
    kind = pa.map_(pa.string(), pa.int64())
    ds = ray_data.from_arrow(pa.table({"m": pa.array([[("a", 1), ("b", 2)]], kind)}))
    return {"keys": _column(ds, m.map.keys()), "values": _column(ds, m.map.values())}


def case_comparison_of_strings(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = _words(ray_data)
    return {
        "eq": ds.filter(expr=s == "banana").take_all(),
        "gt": ds.filter(expr=s > "a").take_all(),
        "ne": ds.filter(expr=s != "banana").take_all(),
    }


def case_comparison_of_times(ray_data, tmp_path):
    t = sub(ray_data, "expressions").col("t")
    items = [{"t": datetime.datetime(2024, 1, d)} for d in (1, 2, 3)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return {
        "gt": ds.filter(expr=t > datetime.datetime(2024, 1, 1, 12)).take_all(),
        "eq": ds.filter(expr=t == datetime.datetime(2024, 1, 2)).take_all(),
    }


def case_comparison_of_dates(ray_data, tmp_path):
    d = sub(ray_data, "expressions").col("d")
    items = [{"d": datetime.date(2024, 1, n)} for n in (1, 2, 3)]
    ds = ray_data.from_items(items, override_num_blocks=1)
    return ds.filter(expr=d >= datetime.date(2024, 1, 2)).take_all()


def case_difference_of_times(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    items = [{"a": datetime.datetime(2024, 1, 2), "b": datetime.datetime(2024, 1, 1)}]
    ds = ray_data.from_items(items)
    return _column(ds, col("a") - col("b"))["values"]


def case_is_in_forms(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    a = expressions.col("a")
    return {
        "empty": _column(_numbers(ray_data), a.is_in([])),
        "with_none": _column(_nulls(ray_data), a.is_in([1, None])),
        "not_in_nulls": _column(_nulls(ray_data), a.not_in([1])),
        "floats": _column(_numbers(ray_data), a.is_in([1.0, 7.0])),
        "tuple": error_of(lambda: _column(_numbers(ray_data), a.is_in((1, 7)))),
    }


def case_integer_overflow(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.from_items([{"a": 2**63 - 1}])
    return error_of(lambda: ds.with_column("out", col("a") + 1).take_all())


def case_types_that_do_not_fit(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.from_items([{"a": 1, "s": "x"}])
    return {
        "add": fails(lambda: ds.with_column("out", col("a") + col("s")).take_all()),
        "compare": fails(lambda: ds.filter(expr=col("a") > "x").take_all()),
        "and": fails(lambda: ds.with_column("out", col("a") & col("s")).take_all()),
        "filter": fails(lambda: ds.filter(expr=col("a") + 1).take_all()),
        "upper": fails(lambda: ds.with_column("out", col("a").str.upper()).take_all()),
    }


def case_small_integers_stay_small(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.from_arrow(pa.table({"a": pa.array([1, 2], pa.int8())}))
    return {
        "with_itself": _column(ds, col("a") + col("a")),
        "with_literal": _column(ds, col("a") + 1),
        "float32": _column(
            ray_data.from_arrow(pa.table({"a": pa.array([0.5], pa.float32())})), col("a") * 2.0
        ),
    }


def case_booleans_as_values(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.from_items([{"t": True}, {"t": False}, {"t": None}], override_num_blocks=1)
    return {
        "filter": ds.filter(expr=col("t")).take_all(),
        "not": ds.filter(expr=~col("t")).take_all(),
        "eq": ds.filter(expr=col("t") == True).take_all(),  # noqa: E712
    }


def case_cast_forms(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    kind = sub(ray_data, "datatype").DataType
    ds = ray_data.from_items([{"s": "12", "i": 1, "f": 2.0}], override_num_blocks=1)
    return {
        "string_to_int": _column(ds, col("s").cast(kind.int64())),
        "int_to_bool": _column(ds, col("i").cast(kind.bool())),
        "float_to_int": _column(ds, col("f").cast(kind.int32())),
        "arrow_type": _column(ds, col("i").cast(kind.from_arrow(pa.float32()))),
    }


def case_many_columns_at_once(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(3, override_num_blocks=1)
    for i in range(20):
        ds = ds.with_column(f"c{i}", col("id") + i)
    return {"columns": ds.columns(), "last": ds.take_all()[-1]["c19"]}


def case_column_used_after_it_is_replaced(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(3, override_num_blocks=1)
    ds = ds.with_column("a", col("id") + 1).with_column("id", col("a") * 10)
    return ds.with_column("b", col("id") + col("a")).take_all()


def case_drop_after_use(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(3, override_num_blocks=1)
    return ds.with_column("a", col("id") + 1).drop_columns(["id"]).take_all()


def case_expression_and_function_mixed(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(6, override_num_blocks=1)
    ds = ds.filter(expr=col("id") > 1).map(lambda row: {"v": row["id"] * 2})
    ds = ds.with_column("w", col("v") + 1).filter(lambda row: row["w"] != 7)
    return ds.filter(expr="w < 11").take_all()


def case_udf_class(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    kind = sub(ray_data, "datatype").DataType

    @expressions.udf(return_dtype=kind.int64())
    class Add:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            import pyarrow.compute as pc

            return pc.add(x, self.n)

    return _column(_numbers(ray_data), Add(5)(expressions.col("a")))["values"]


def case_udf_that_raises(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    kind = sub(ray_data, "datatype").DataType

    @expressions.udf(return_dtype=kind.int64())
    def fail(x):
        raise ValueError("udf failed")

    ds = _numbers(ray_data).with_column("out", fail(expressions.col("a")))
    return error_of(lambda: ds.take_all(), "udf failed")


def case_udf_on_numpy(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    kind = sub(ray_data, "datatype").DataType

    @expressions.udf(return_dtype=kind.float64())
    def root(x):
        import numpy as np

        return pa.array(np.sqrt(np.asarray(x)))

    ds = ray_data.from_items([{"v": 4.0}, {"v": 9.0}], override_num_blocks=1)
    return _column(ds, root(expressions.col("v")))


def case_list_slices(ray_data, tmp_path):
    xs = sub(ray_data, "expressions").col("xs")
    ds = ray_data.from_items([{"xs": [3, 1, 2]}, {"xs": [5, 4, 6]}], override_num_blocks=1)
    return {
        "stop": _column(ds, xs.list[:2])["values"],
        "both": _column(ds, xs.list[1:3])["values"],
        "step": error_of(lambda: _column(ds, xs.list.slice(0, 3, 2))["values"]),
    }


def case_string_of_unicode(ray_data, tmp_path):
    s = sub(ray_data, "expressions").col("s")
    ds = ray_data.from_items(
        [{"s": "ÉCOLE"}, {"s": "straße"}, {"s": "日本"}], override_num_blocks=1
    )
    return {
        "len": _column(ds, s.str.len())["values"],
        "bytes": _column(ds, s.str.byte_len())["values"],
        "lower": _column(ds, s.str.lower())["values"],
        "upper": _column(ds, s.str.upper())["values"],
        "slice": _column(ds, s.str.slice(0, 2))["values"],
    }


def case_filter_text_forms(ray_data, tmp_path):
    items = [{"a": i, "s": w, "f": i / 2, "t": i > 1} for i, w in enumerate("xyxz")]
    ds = ray_data.from_items(items, override_num_blocks=1)
    texts = [
        "a >= 1 and a <= 2",
        "a == 1 or s == 'z'",
        "not (a == 1)",
        "a > f",
        "f > 0.4",
        "a > -1",
        "t == True",
        "1 < a",
        "s == 'x' and not a > 1",
        "(a > 0 and a < 3) or s == 'z'",
    ]
    found = {}
    for text in texts:
        found[text] = error_of(
            lambda text=text: [row["a"] for row in ds.filter(expr=text).take_all()]
        )
    return found


def case_filter_bad_argument(ray_data, tmp_path):
    ds = ray_data.range(3)
    return [
        fails(lambda: ds.filter(5).take_all()),
        fails(lambda: ds.filter(expr=5).take_all()),
        fails(lambda: ds.filter("id > 1").take_all()),
    ]


def case_filters_one_after_another(ray_data, tmp_path):
    col = sub(ray_data, "expressions").col
    ds = ray_data.range(100)
    for n in (2, 3, 5):
        ds = ds.filter(expr=col("id") % n == 0)
    return {"count": ds.count(), "rows": rows(ds)}


def case_expression_object(ray_data, tmp_path):
    expressions = sub(ray_data, "expressions")
    expression = expressions.col("a") + 1
    return {
        "is_expr": isinstance(expression, expressions.Expr),
        "col": isinstance(expressions.col("a"), expressions.Expr),
        "lit": isinstance(expressions.lit(1), expressions.Expr),
        "equality_is_an_expression": isinstance(expression == 2, expressions.Expr),
        "name": expressions.col("a").name,
    }


def case_expressions_can_be_pickled(ray_data, tmp_path):
    import pickle

    col = sub(ray_data, "expressions").col
    expression = pickle.loads(pickle.dumps((col("id") + 1) > 2))
    return rows(ray_data.range(4).filter(expr=expression))
