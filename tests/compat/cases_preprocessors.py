"""Preprocessors: what they learn, what they make of a dataset and of a batch."""

import numpy as np
import pandas as pd
import pyarrow as pa
from corpus import error_of, fails, sub


def _numbers(ray_data):
    table = {
        "i": pa.array([1, 2, None, -4], pa.int64()),
        "f": pa.array([1.0, None, 3.5, 4.0]),
        "c": pa.array([5, 5, 5, 5], pa.int32()),
        "s": ["x", "y", None, "x"],
    }
    return ray_data.from_arrow(pa.table(table))


def _words(ray_data):
    table = {
        "m": ["q", "p", "r", "q"],
        "n": [3, 1, 2, 3],
        "b": [True, False, True, True],
        "l": [["x", "y"], ["y"], [], ["z", "x", "x"]],
    }
    return ray_data.from_arrow(pa.table(table))


def _texts(ray_data):
    return ray_data.from_arrow(pa.table({"w": ["a b a", "b c", "a", "c  c c"]}))


def _made(preprocessor, ds):
    """What a preprocessor says of itself and makes of a dataset."""
    if preprocessor.fit_status().name != "NOT_FITTABLE":
        preprocessor = preprocessor.fit(ds)
    made = preprocessor.transform(ds)
    return {
        "text": repr(preprocessor),
        "status": preprocessor.fit_status().name,
        "stats": dict(preprocessor.stats_),
        "columns": [preprocessor.get_input_columns(), preprocessor.get_output_columns()],
        "rows": made.take_all(),
        "schema": made.schema(),
    }


def _each(ray_data, ds, name, *arguments, **options):
    kind = getattr(sub(ray_data, "preprocessors"), name)
    return _made(kind(*arguments, **options), ds)


def case_standard_scaler(ray_data, tmp_path):
    ds = _numbers(ray_data)
    return _each(ray_data, ds, "StandardScaler", ["i", "f", "c"], output_columns=["x", "y", "z"])


def case_standard_scaler_in_place(ray_data, tmp_path):
    return _each(ray_data, _numbers(ray_data), "StandardScaler", ["f", "c"])


def case_min_max_scaler(ray_data, tmp_path):
    ds = _numbers(ray_data)
    return _each(ray_data, ds, "MinMaxScaler", ["i", "f", "c"], output_columns=["x", "y", "z"])


def case_max_abs_scaler(ray_data, tmp_path):
    return _each(ray_data, _numbers(ray_data), "MaxAbsScaler", ["i", "f", "c"])


def case_normalizer(ray_data, tmp_path):
    ds = _numbers(ray_data)
    return [_each(ray_data, ds, "Normalizer", ["i", "c"], norm=n) for n in ("l1", "l2", "max")]


def case_power_transformer(ray_data, tmp_path):
    ds = _numbers(ray_data)
    return [
        _each(ray_data, ds, "PowerTransformer", ["i", "f"], power, "yeo-johnson")
        for power in (0, 0.5, 1, 2)
    ] + [_each(ray_data, ds, "PowerTransformer", ["i", "f"], p, "box-cox") for p in (0, 0.5, 2)]


def case_unknown_methods(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    return {
        "norm": error_of(lambda: module.Normalizer(["i"], norm="l3"), "l3"),
        "power": error_of(lambda: module.PowerTransformer(["i"], 2, "log"), "log"),
        "strategy": error_of(lambda: module.SimpleImputer(["i"], "median"), "median"),
        "no_value": error_of(lambda: module.SimpleImputer(["i"], "constant"), "fill_value"),
        "columns": error_of(
            lambda: module.MinMaxScaler(["i", "f"], output_columns=["x"]), "output_columns"
        ),
    }


def case_simple_imputer(ray_data, tmp_path):
    ds = _numbers(ray_data)
    return {
        "mean": _each(ray_data, ds, "SimpleImputer", ["i", "f"], output_columns=["x", "y"]),
        "frequent": _each(ray_data, ds, "SimpleImputer", ["s", "f"], strategy="most_frequent"),
        "constant": _each(
            ray_data, ds, "SimpleImputer", ["s"], strategy="constant", fill_value="-"
        ),
    }


def case_simple_imputer_of_frames(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    imputer = module.SimpleImputer(["a"]).fit(ray_data.from_items([{"a": 1.0}, {"a": 3.0}]))
    constant = module.SimpleImputer(["a"], "constant", "u")
    frames = {
        "null": pd.DataFrame({"a": [None, 1.0]}),
        "absent": pd.DataFrame({"b": [None, 1.0]}),
        "text": pd.DataFrame({"a": ["x", None]}),
    }
    return {
        "mean": [imputer.transform_batch(frames[name].copy()) for name in ("null", "absent")],
        "constant": [constant.transform_batch(frames[name].copy()) for name in ("absent", "text")],
    }


def case_simple_imputer_without_values(ray_data, tmp_path):
    ds = ray_data.from_items([{"a": None, "b": 1}, {"a": None, "b": 2}])
    imputer = sub(ray_data, "preprocessors").SimpleImputer(["a"])
    return fails(lambda: imputer.fit_transform(ds).take_all())


def case_ordinal_encoder(ray_data, tmp_path):
    ds = _words(ray_data)
    return [
        _each(ray_data, ds, "OrdinalEncoder", ["m", "n", "b", "l"]),
        _each(ray_data, ds, "OrdinalEncoder", ["m", "l"], output_columns=["x", "y"])["rows"],
    ]


def case_one_hot_encoder(ray_data, tmp_path):
    ds = _words(ray_data)
    return [
        _each(ray_data, ds, "OneHotEncoder", ["m", "n", "b"]),
        _each(ray_data, ds, "OneHotEncoder", ["m"], max_categories={"m": 2}, output_columns=["x"]),
    ]


def case_multi_hot_encoder(ray_data, tmp_path):
    ds = _words(ray_data)
    return [
        _each(ray_data, ds, "MultiHotEncoder", ["l", "m"]),
        _each(ray_data, ds, "MultiHotEncoder", ["l"], max_categories={"l": 2}),
    ]


def case_label_encoder(ray_data, tmp_path):
    ds = _words(ray_data)
    encoder = sub(ray_data, "preprocessors").LabelEncoder("m", output_column="y").fit(ds)
    return {
        "in_place": _each(ray_data, ds, "LabelEncoder", "n"),
        "back": [row["m"] for row in encoder.inverse_transform(encoder.transform(ds)).take_all()],
        "text": repr(encoder),
        "columns": [encoder.get_input_columns(), encoder.get_output_columns()],
    }


def case_values_that_were_not_fitted(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    known = ray_data.from_items([{"m": "p"}, {"m": "q"}])
    other = ray_data.from_items([{"m": "q"}, {"m": "zz"}])
    out = {}
    for name in ("OrdinalEncoder", "OneHotEncoder", "MultiHotEncoder"):
        encoder = getattr(module, name)(["m"]).fit(known)
        out[name] = encoder.transform(other).take_all()
    label = module.LabelEncoder("m").fit(known)
    out["LabelEncoder"] = [row["m"] is None for row in label.transform(other).take_all()]
    one_hot = module.OneHotEncoder(["m"]).fit(known)
    out["safe_get"] = [one_hot.safe_get(v, {"p": 0, "q": 1}) for v in ("q", "zz")]
    return out


def case_nulls_are_no_category(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    null = ray_data.from_items([{"m": "p"}, {"m": None}])
    known = ray_data.from_items([{"m": "p"}])
    out = {}
    for name in ("OrdinalEncoder", "OneHotEncoder", "MultiHotEncoder"):
        encoder = getattr(module, name)(["m"])
        out[name] = [
            error_of(lambda e=encoder: e.fit(null), "null values"),
            error_of(
                lambda e=encoder: e.fit(known).transform_batch(pd.DataFrame({"m": ["p", None]})),
                "null values",
            ),
        ]
    out["LabelEncoder"] = error_of(lambda: module.LabelEncoder("m").fit(null), "null values")
    return out


def case_unknown_max_categories(ray_data, tmp_path):
    encoder = sub(ray_data, "preprocessors").OneHotEncoder(["m"], max_categories={"zz": 3})
    return error_of(lambda: encoder.fit(_words(ray_data)), "zz")


def case_categorizer(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    ds = _words(ray_data).select_columns(["m", "n"])
    given = module.Categorizer(["m"], {"m": pd.CategoricalDtype(["p", "q"], ordered=True)})
    learnt = module.Categorizer(["m", "n"]).fit(ds)
    return {
        "given": given.fit_transform(ds).take_all(),
        "learnt": learnt.transform(ds).take_all(),
        "categories": {name: list(d.categories) for name, d in learnt.stats_.items()},
        "nulls": list(module.Categorizer(["s"]).fit(_numbers(ray_data)).stats_["s"].categories),
    }


def case_custom_bins(ray_data, tmp_path):
    ds = _numbers(ray_data).select_columns(["f"])
    module = sub(ray_data, "preprocessors")
    named = {"f": pd.CategoricalDtype(["low", "high"], ordered=True)}
    options = [{}, {"right": False}, {"include_lowest": True}, {"dtypes": named}]
    made = [module.CustomKBinsDiscretizer(["f"], [1.0, 3.0, 4.0], **o) for o in options]
    return [binner.transform(ds).take_all() for binner in made]


def case_uniform_bins(ray_data, tmp_path):
    ds = _numbers(ray_data).select_columns(["i", "f", "c"])
    module = sub(ray_data, "preprocessors")
    out = []
    for options in ({}, {"right": False}, {"dtypes": dict.fromkeys("ifc", np.int64)}):
        binner = module.UniformKBinsDiscretizer(["i", "f", "c"], 3, **options).fit(ds)
        out.append([binner.stats_, binner.transform(ds).take_all()])
    by_name = module.UniformKBinsDiscretizer(["i", "c"], {"i": 2, "c": 4}).fit(ds)
    return [*out, by_name.stats_]


def case_wrong_bins(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    ds = _numbers(ray_data)

    def custom(bins, **options):
        return module.CustomKBinsDiscretizer(["f"], bins, **options).transform(ds).take_all()

    return {
        "missing": error_of(lambda: custom({"i": [1, 2]}), "columns"),
        "text": error_of(lambda: module.UniformKBinsDiscretizer(["f"], "3").fit(ds), "integer"),
        "equal": fails(lambda: custom([1, 1, 3])),
        "dropped": custom([1.0, 1.0, 4.0], duplicates="drop"),
    }


def case_concatenator(ray_data, tmp_path):
    table = {"a": [1, 2], "b": pa.array([1, 2], pa.uint8()), "f": [0.5, 1.5], "l": [[1.0, 2.0]] * 2}
    ds = ray_data.from_arrow(pa.table(table))
    made = [
        _each(ray_data, ds, "Concatenator", ["a", "b"]),
        _each(ray_data, ds, "Concatenator", ["a", "f"], output_column_name="v", dtype=np.float32),
        _each(ray_data, ds, "Concatenator", ["f", "l"], flatten=True, raise_if_missing=True),
    ]
    kind = sub(ray_data, "preprocessors").Concatenator
    frame = pd.DataFrame({"a": [1]})
    return [
        *made,
        error_of(lambda: kind(["a", "zz"]).transform_batch(frame), "zz"),
        error_of(lambda: kind(["a", "zz"], raise_if_missing=True).transform_batch(frame), "zz"),
    ]


def case_tokenizer(ray_data, tmp_path):
    ds = _texts(ray_data)
    return [
        _each(ray_data, ds, "Tokenizer", ["w"]),
        _each(ray_data, ds, "Tokenizer", ["w"], list, ["o"]),
        _each(ray_data, _numbers(ray_data), "Tokenizer", ["s"])["rows"],
    ]


def case_hashing_vectorizer(ray_data, tmp_path):
    ds = _texts(ray_data)
    return [
        _each(ray_data, ds, "HashingVectorizer", ["w"], 3),
        _each(ray_data, ds, "HashingVectorizer", ["w"], 8, list, output_columns=["o"]),
        _each(ray_data, _numbers(ray_data), "HashingVectorizer", ["s"], 4)["rows"],
    ]


def case_feature_hasher(ray_data, tmp_path):
    ds = _numbers(ray_data).select_columns(["i", "f", "c"])
    return _each(ray_data, ds, "FeatureHasher", ["f", "c"], 4, "h")


def case_count_vectorizer(ray_data, tmp_path):
    """Of the rows, only frames: with Arrow's types ray.data has NA where a token does not occur."""
    module = sub(ray_data, "preprocessors")
    out = []
    for options in ({}, {"max_features": 2}, {"tokenization_fn": list}):
        vectorizer = module.CountVectorizer(["w"], **options).fit(_texts(ray_data))
        frame = vectorizer.transform_batch(pd.DataFrame({"w": ["c zz a", "b b"]}))
        stats = {name: dict(counts) for name, counts in vectorizer.stats_.items()}
        out.append([repr(vectorizer), stats, [list(map(int, row)) for row in frame["w"]]])
    return out


def case_chain(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    ds = _words(ray_data)
    chain = module.Chain(
        module.MinMaxScaler(["n"]), module.OrdinalEncoder(["m"]), module.Concatenator(["n", "m"])
    )
    before = chain.fit_status().name
    unfitted = error_of(lambda: chain.transform(ds))
    made = chain.fit_transform(ds).take_all()
    return {
        "status": [before, chain.fit_status().name],
        "unfitted": unfitted,
        "rows": made,
        "again": chain.transform(ds).take_all(),
        "batch": chain.transform_batch(pd.DataFrame({"n": [1, 3], "m": ["q", "p"]})),
        "columns": [chain.get_input_columns(), chain.get_output_columns()],
        "parts": [type(part).__name__ for part in chain.preprocessors],
    }


def case_chain_status(ray_data, tmp_path):
    module = sub(ray_data, "preprocessors")
    fitted = module.StandardScaler(["n"]).fit(_words(ray_data))
    tokens, labels = module.Tokenizer(["m"]), module.LabelEncoder("m")
    chains = [[fitted, labels], [fitted], [fitted, tokens], [tokens], [tokens, labels], []]
    return [module.Chain(*parts).fit_status().name for parts in chains]


def case_forms_of_batches(ray_data, tmp_path):
    """Which form each preprocessor prefers, and what comes out for what goes in."""
    module = sub(ray_data, "preprocessors")
    ds = ray_data.from_items([{"a": 1.0}, {"a": 3.0}])
    batches = {
        "frame": lambda: pd.DataFrame({"a": [1.0, 3.0]}),
        "table": lambda: pa.table({"a": [1.0, 3.0]}),
        "arrays": lambda: {"a": np.array([1.0, 3.0])},
    }
    out = {}
    for name in ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "OrdinalEncoder"):
        made = getattr(module, name)(["a"]).fit(ds)
        out[name] = {form: made.transform_batch(batch()) for form, batch in batches.items()}
        out[name]["prefers"] = made.preferred_batch_format().value
    out["list"] = error_of(lambda: made.transform_batch([1]))
    return out


def case_not_fitted(ray_data, tmp_path):
    scaler = sub(ray_data, "preprocessors").StandardScaler(["i"])
    ds = _numbers(ray_data)
    return {
        "status": [scaler.fit_status().name, scaler.has_stats()],
        "transform": error_of(lambda: scaler.transform(ds), "fit"),
        "batch": error_of(lambda: scaler.transform_batch(pd.DataFrame({"i": [1]})), "fit"),
        "unknown": error_of(lambda: scaler.fit(ds.select_columns(["f"])), "'i'"),
        "fitted": [scaler.fit(ds).fit_status().name, scaler.has_stats()],
        "absent": fails(lambda: scaler.transform(ds.select_columns(["f"])).take_all()),
    }


def case_of_users(ray_data, tmp_path):
    class Shift(ray_data.Preprocessor):
        def _fit(self, ds):
            self.stats_ = {"mean": ds.mean("f")}
            return self

        def _transform_pandas(self, frame):
            return frame.assign(f=frame["f"] - self.stats_["mean"])

    class Double(ray_data.Preprocessor):
        _is_fittable = False

        def _transform_numpy(self, batch):
            return {"f": batch["f"] * 2}

    class Nothing(ray_data.Preprocessor):
        _is_fittable = False

    ds = _numbers(ray_data).select_columns(["f"])
    shift = Shift()
    return {
        "status": [shift.fit_status().name, Double().fit_status().name],
        "shift": shift.fit_transform(ds).take_all(),
        "double": Double().fit_transform(ds).take_all(),
        "batch": Double().transform_batch({"f": np.array([1.0])}),
        "nothing": error_of(lambda: Nothing().transform(ds).take_all()),
        "columns": [shift.get_input_columns(), shift.get_output_columns()],
    }


def case_transform_options(ray_data, tmp_path):
    scaler = sub(ray_data, "preprocessors").MinMaxScaler(["id"])
    ds = ray_data.range(10)
    made = scaler.fit_transform(ds, transform_batch_size=3, transform_num_cpus=1)
    again = scaler.transform(ds, batch_size=4, concurrency=1, num_cpus=0.5)
    return [sum(row["id"] for row in d.take_all()) for d in (made, again)]


def case_torch_vision(ray_data, tmp_path):
    import torch

    kind = sub(ray_data, "preprocessors").TorchVisionPreprocessor
    ds = ray_data.from_numpy(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))

    def to_tensor(image):
        if not isinstance(image, np.ndarray):
            raise TypeError("an array is needed")
        return torch.as_tensor(image.copy()).permute(2, 0, 1) / 2

    each = kind(["data"], transform=lambda image: torch.as_tensor(image).float() + 1)
    whole = kind(["data"], lambda images: images.float().mean(dim=(1, 2, 3)), ["m"], batched=True)
    return {
        "each": each.transform(ds).take_all(),
        "whole": whole.transform(ds).take_all(),
        "arrays_only": kind(["data"], to_tensor).transform(ds).take_all(),
        "batch": each.transform_batch({"data": np.zeros((1, 2, 2, 3), np.uint8)}),
        "list": fails(lambda: kind(["data"], lambda image: [1]).transform(ds).take_all()),
        "columns": [whole.get_input_columns(), whole.get_output_columns()],
        "prefers": each.preferred_batch_format().value,
    }
