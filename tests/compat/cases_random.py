"""Random programs: chains of verbs over small tables, each from a seed.

The generator keeps track of the columns that exist, so that every program is valid. Order is
asked for (`preserve_order`) and compared until a step that does not keep it.
"""

import functools
import hashlib
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from corpus import rows, sub
from describe import Raw, describe

_SEEDS = 160
_FAILS_IN_RAY_DATA = {107}  # A tensor column of an empty pandas batch.
_ROWS_SHOWN = 6


def _table(rng, n):
    """Returns a table with integers, floats, texts and a list column, with some nulls."""
    ints = [rng.randrange(-20, 50) for _ in range(n)]
    holes = [None if rng.random() < 0.2 else rng.randrange(10) for _ in range(n)]
    floats = [None if rng.random() < 0.1 else rng.randrange(-50, 50) / 4 for _ in range(n)]
    texts = [None if rng.random() < 0.1 else rng.choice("xyz") * rng.randrange(3) for _ in ints]
    lists = [[rng.randrange(5)] * rng.randrange(1, 3) for _ in range(n)]
    return pa.table(
        {
            "k": list(range(n)),
            "a": ints,
            "h": pa.array(holes, pa.int64()),
            "f": pa.array(floats, pa.float64()),
            "s": pa.array(texts, pa.string()),
            "l": pa.array(lists, pa.list_(pa.int64())),
        }
    )


class _Program:
    """A dataset that grows by random steps, and the kinds of its columns."""

    def __init__(self, ray_data, rng, tmp_path):
        self.ray_data = ray_data
        self.rng = rng
        self.tmp_path = tmp_path
        self.col = sub(ray_data, "expressions").col
        table = _table(rng, rng.choice([0, 1, 7, 40, 200]) or 3)
        self.kinds = {"k": "int", "a": "int", "h": "hole", "f": "float", "s": "text", "l": "list"}
        blocks = rng.choice([1, 1, 2, 5])
        step = -(-table.num_rows // blocks)
        parts = [table.slice(i, step) for i in range(0, table.num_rows, step)]
        self.ds = ray_data.from_arrow(parts)
        self.ordered = True
        self.made = 0

    def pick(self, *kinds):
        names = [name for name, kind in self.kinds.items() if kind in kinds]
        return self.rng.choice(names) if names else None

    def new_name(self):
        self.made += 1
        return f"n{self.made}"


def _computed_column(p):
    name, other, out = p.pick("int"), p.pick("int", "hole"), p.new_name()
    n = p.rng.randrange(1, 9)
    makers = [
        (lambda: p.col(name) + n, "int"),
        (lambda: n - p.col(name), "int"),
        (lambda: p.col(name) * p.col(other), p.kinds[other]),
        (lambda: p.col(name) / 2.0, "float"),
        (lambda: (p.col(name) > n) & (p.col(name) < 30), "bool"),
        (lambda: p.col(other).is_null(), "bool"),
        (lambda: p.col(name).is_in([1, 2, n]), "bool"),
    ]
    make, kind = p.rng.choice(makers)
    p.ds = p.ds.with_column(out, make())
    p.kinds[out] = kind


def _text_column(p):
    name = p.pick("text")
    if name is None:
        return
    out = p.new_name()
    text = p.col(name).str
    p.ds = p.ds.with_column(
        out, p.rng.choice([text.upper(), text.replace("x", "--"), text.slice(0, 1)])
    )
    p.kinds[out] = "text"


def _expression_filter(p):
    name, hole, text = p.pick("int"), p.pick("hole", "float"), p.pick("text")
    choices = [p.col(name) > p.rng.randrange(-10, 20), p.col(name) % 3 != 0]
    if hole:
        choices += [p.col(hole).is_not_null(), p.col(hole) >= 2]
    if text:
        choices += [p.col(text) != "x", p.col(text).is_in(["x", "y", "yy"])]
    p.ds = p.ds.filter(expr=p.rng.choice(choices))


def _text_filter(p):
    name, n = p.pick("int"), p.rng.randrange(-10, 20)
    text = p.rng.choice([f"{name} > {n}", f"{name} != {n} and {name} < 40", f"not {name} == {n}"])
    p.ds = p.ds.filter(expr=text)


def _row_filter(p):
    name, n = p.pick("int"), p.rng.randrange(2, 5)
    p.ds = p.ds.filter(lambda row: row[name] % n != 0)


def _row_function(p):
    name, out, n = p.pick("int"), p.new_name(), p.rng.randrange(5)
    p.ds = p.ds.map(lambda row: {**row, out: row[name] * 2 + n})
    p.kinds[out] = "int"


def _row_text(p):
    name, out = p.pick("int"), p.new_name()
    p.ds = p.ds.map(lambda row: {**row, out: f"v{row[name]}"})
    p.kinds[out] = "text"


def _rows_repeated(p):
    name = p.pick("int")
    p.ds = p.ds.flat_map(lambda row: [row] * (abs(row[name]) % 3))


def _list_exploded(p):
    name = p.pick("list")
    if name is None:
        return
    out = p.new_name()
    kept = [other for other, kind in p.kinds.items() if kind != "list"]
    p.ds = p.ds.flat_map(
        lambda row: [{**{k: row[k] for k in kept}, out: value} for value in row[name]]
    )
    p.kinds = {k: p.kinds[k] for k in kept} | {out: "int"}


def _numpy_batches(p):
    name, out, size = p.pick("int"), p.new_name(), p.rng.choice([None, 3, 16])
    kept = [other for other, kind in p.kinds.items() if kind in ("int", "text", "bool")]

    def make(batch):
        result = {k: batch[k] for k in kept}
        result[out] = batch[name].astype(np.float32) / 4
        return result

    p.ds = p.ds.map_batches(make, batch_size=size)
    p.kinds = {k: p.kinds[k] for k in kept} | {out: "float"}


def _tensor_batches(p):
    name, out = p.pick("int"), p.new_name()
    kept = [other for other, kind in p.kinds.items() if kind in ("int", "text", "bool")]

    def make(batch):
        result = {k: batch[k] for k in kept}
        result[out] = np.stack([batch[name], batch[name] + 1], axis=1)
        return result

    p.ds = p.ds.map_batches(make)
    p.kinds = {k: p.kinds[k] for k in kept} | {out: "tensor"}


def _arrow_batches(p):
    name, out, size = p.pick("int"), p.new_name(), p.rng.choice([None, 5])
    p.ds = p.ds.map_batches(
        lambda table: table.append_column(out, pc.abs(table[name])),
        batch_format="pyarrow",
        batch_size=size,
    )
    p.kinds[out] = "int"


def _pandas_batches(p):
    name, n = p.pick("int"), p.rng.randrange(10)
    p.ds = p.ds.map_batches(lambda df: df[df[name] > n], batch_format="pandas")


def _batch_generator(p):
    size = p.rng.randrange(1, 5)

    def halves(table):
        yield table.slice(0, size)
        yield table.slice(size)

    p.ds = p.ds.map_batches(halves, batch_format="pyarrow", batch_size=8)


def _select(p):
    keep = p.pick("int")
    names = [n for n in p.kinds if n == keep or p.rng.random() < 0.7]
    p.rng.shuffle(names)
    p.ds = p.ds.select_columns(names)
    p.kinds = {name: p.kinds[name] for name in names}


def _drop(p):
    keep = p.pick("int")
    names = [n for n in p.kinds if n != keep and p.rng.random() < 0.3]
    if names:
        p.ds = p.ds.drop_columns(names)
        p.kinds = {name: kind for name, kind in p.kinds.items() if name not in names}


def _rename(p):
    name, out = p.rng.choice(list(p.kinds)), p.new_name()
    p.ds = p.ds.rename_columns({name: out})
    p.kinds = {(out if n == name else n): kind for n, kind in p.kinds.items()}


def _limit(p):
    if p.ordered:
        p.ds = p.ds.limit(p.rng.randrange(1, 60))


def _union(p):
    if p.rng.random() < 0.5:
        p.ds = p.ds.union(p.ds)
        p.ordered = False


def _materialize(p):
    p.ds = p.ds.materialize()


def _through_parquet(p):
    path = str(p.tmp_path / p.new_name())
    if p.ds.count() == 0:
        return
    p.ds.write_parquet(path)
    p.ds = p.ray_data.read_parquet(path)
    p.ordered = False


_STEPS = [
    *[_computed_column, _expression_filter, _row_function, _numpy_batches] * 2,
    *[_text_column, _text_filter, _row_filter, _row_text, _rows_repeated, _list_exploded],
    *[_tensor_batches, _arrow_batches, _pandas_batches, _batch_generator, _select, _drop],
    *[_rename, _limit, _union, _materialize, _through_parquet],
]


def _short(found):
    """Returns the first rows as they are and all of them as a digest."""
    items = found["unordered"] if isinstance(found, dict) else found
    digest = hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]
    kind = "unordered" if isinstance(found, dict) else "ordered"
    return {"digest": f"{kind} {digest}", "first": items[:_ROWS_SHOWN]}


def _run(seed, ray_data, tmp_path):
    options = ray_data.DataContext.get_current().execution_options
    before = options.preserve_order
    options.preserve_order = True
    try:
        rng = random.Random(seed)
        program = _Program(ray_data, rng, tmp_path)
        for _ in range(rng.randrange(2, 9)):
            rng.choice(_STEPS)(program)
        ds = program.ds
        found = ds.take_all() if program.ordered else rows(ds)
        total = ds.sum(program.pick("int"))
        return {"rows": Raw(_short(describe(found))), "count": ds.count(), "total": total}
    finally:
        options.preserve_order = before


for _seed in set(range(_SEEDS)) - _FAILS_IN_RAY_DATA:
    globals()[f"case_{_seed:03}"] = functools.partial(_run, _seed)
