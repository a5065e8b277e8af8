"""Datasets by turns: in which order their blocks come."""

import pyarrow as pa
from corpus import error_of, fails


def _numbers(ray_data, rows, start, blocks=1):
    """Blocks of equal size; ray.data keeps the order of blocks that exist."""
    size = rows // blocks
    starts = range(start, start + rows, size)
    return ray_data.from_arrow([pa.table({"id": [*range(at, at + size)]}) for at in starts])


def _ids(ds):
    return [row["id"] for row in ds.take_all()]


def case_equal_weights(ray_data, tmp_path):
    a, b = _numbers(ray_data, 20, 0, 4), _numbers(ray_data, 20, 1000, 2)
    return _ids(a.mix(b))


def case_weights(ray_data, tmp_path):
    a, b = _numbers(ray_data, 20, 0, 4), _numbers(ray_data, 20, 1000, 2)
    return [_ids(a.mix(b, weights=w)) for w in ([0.75, 0.25], [1, 3], [0.9, 0.1], [0.3, 0.7])]


def case_three(ray_data, tmp_path):
    sizes = ((30, 6), (20, 2), (9, 3))
    a, b, c = (_numbers(ray_data, n, 1000 * i, k) for i, (n, k) in enumerate(sizes))
    return _ids(a.mix(b, c, weights=[0.6, 0.3, 0.1]))


def case_alone_and_with_itself(ray_data, tmp_path):
    a = _numbers(ray_data, 6, 0, 2)
    return [_ids(a.mix()), _ids(a.mix(a)), a.mix(a).count()]


def case_then_more(ray_data, tmp_path):
    a, b = _numbers(ray_data, 20, 0, 4), _numbers(ray_data, 20, 1000, 4)
    mixed = a.mix(b)
    return {
        "limit": _ids(mixed.limit(8)),
        "map": sum(row["id"] for row in mixed.map(lambda r: {"id": r["id"] * 2}).take_all()),
        "sum": mixed.sum("id"),
        "count": mixed.count(),
        "columns": mixed.columns(),
    }


def case_wrong_arguments(ray_data, tmp_path):
    a, b = _numbers(ray_data, 4, 0), _numbers(ray_data, 4, 10)
    return {
        "few": error_of(lambda: a.mix(b, weights=[1.0]), "weights"),
        "negative": error_of(lambda: a.mix(b, weights=[1.0, -1]), "positive"),
        "zero": error_of(lambda: a.mix(b, weights=[1.0, 0]), "positive"),
        "number": fails(lambda: a.mix(5)),
    }


def case_conditions(ray_data, tmp_path):
    return {kind.name: kind.value for kind in ray_data.MixStoppingCondition}
