"""Programs of users whose functions return unusual values, and what becomes of them."""

import dataclasses
import datetime
import decimal
import enum
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa


def _of_rows(ray_data, *values):
    table = dict(enumerate(values))
    ds = ray_data.range(len(values), override_num_blocks=1)
    out = ds.map(lambda row: {"v": table[int(row["id"])]})
    return {"schema": out.schema(), "rows": out.take_all()}


def _of_batch(ray_data, values):
    ds = ray_data.range(2, override_num_blocks=1).map_batches(lambda batch: {"v": values})
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_times_of_milliseconds(ray_data, tmp_path):
    first = datetime.datetime(2024, 1, 1, 12, 0, 0, 5000)
    return _of_rows(ray_data, first, datetime.datetime(2024, 1, 1, 12))


def case_times_in_a_batch(ray_data, tmp_path):
    return _of_batch(ray_data, [datetime.datetime(2024, 1, 1, 12), datetime.datetime(2024, 1, 2)])


def case_times_and_none(ray_data, tmp_path):
    return _of_rows(ray_data, datetime.datetime(2024, 1, 1, 12), None)


def case_timestamps_of_pandas(ray_data, tmp_path):
    return _of_rows(ray_data, pd.Timestamp("2024-01-01 12:00:01"), pd.Timestamp("2024-01-02 01:00"))


def case_decimals(ray_data, tmp_path):
    return _of_rows(ray_data, decimal.Decimal("1.50"), decimal.Decimal("22.125"))


def case_identities(ray_data, tmp_path):
    return _of_rows(ray_data, uuid.UUID(int=1), uuid.UUID(int=2))["rows"]


class _Color(enum.Enum):
    RED = 1


@dataclasses.dataclass
class _Point:
    x: int


def case_enums_and_dataclasses(ray_data, tmp_path):
    rows = _of_rows(ray_data, _Color.RED, _Point(3))["rows"]
    return [type(row["v"]).__name__ for row in rows]


def case_half_floats(ray_data, tmp_path):
    return _of_batch(ray_data, np.array([1.5, 2.5], np.float16))


def case_numpy_text(ray_data, tmp_path):
    return _of_batch(ray_data, np.array(["a", "bcd"]))


def case_numpy_bytes(ray_data, tmp_path):
    return _of_batch(ray_data, np.array([b"a", b"bcd"]))


def case_lists_of_dicts(ray_data, tmp_path):
    return _of_batch(ray_data, [[{"a": 1}], [{"a": 2}, {"a": 3}]])


def case_dicts_of_different_keys(ray_data, tmp_path):
    return _of_rows(ray_data, {"a": 1}, {"b": "x"})


def case_lists_of_lists(ray_data, tmp_path):
    return _of_batch(ray_data, [[[1, 2], [3]], []])


def case_flags_and_none(ray_data, tmp_path):
    return _of_batch(ray_data, [True, None])


def case_numbers_and_nan(ray_data, tmp_path):
    return _of_batch(ray_data, [1, float("nan")])


def case_arrow_columns_in_a_dict(ray_data, tmp_path):
    return _of_batch(ray_data, pa.array([1, None], pa.int8()))


def case_series_in_a_dict(ray_data, tmp_path):
    return _of_batch(ray_data, pd.Series(["x", None]))


def case_frame_with_an_index(ray_data, tmp_path):
    def frame(batch):
        return pd.DataFrame({"v": [1, 2], "w": ["a", "b"]}, index=[5, 9])

    ds = ray_data.range(2, override_num_blocks=1).map_batches(frame)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_frame_of_nullable_types(ray_data, tmp_path):
    def frame(batch):
        return pd.DataFrame(
            {
                "i": pd.array([1, None], dtype="Int64"),
                "b": pd.array([True, None], dtype="boolean"),
                "s": pd.array(["x", None], dtype="string"),
                "t": pd.to_datetime(["2024-01-01 10:00", None]),
            }
        )

    ds = ray_data.range(2, override_num_blocks=1).map_batches(frame)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_frame_of_arrays(ray_data, tmp_path):
    def frame(batch):
        return pd.DataFrame({"v": [np.ones(2), np.zeros(2)], "l": [[1], [2, 3]]})

    ds = ray_data.range(2, override_num_blocks=1).map_batches(frame)
    return {"schema": ds.schema(), "rows": ds.take_all()}


def case_scalars_of_arrow(ray_data, tmp_path):
    return _of_rows(ray_data, pa.scalar(1), pa.scalar(2))["rows"]


def case_large_numbers(ray_data, tmp_path):
    return _of_rows(ray_data, 2**63, 1)


def case_durations(ray_data, tmp_path):
    return _of_rows(ray_data, datetime.timedelta(seconds=1), datetime.timedelta(milliseconds=5))


def case_dates(ray_data, tmp_path):
    return _of_rows(ray_data, datetime.date(2024, 1, 1), datetime.date(2024, 1, 2))


def case_tuples(ray_data, tmp_path):
    return _of_rows(ray_data, (1, 2), (3,))


def case_numbers_and_text(ray_data, tmp_path):
    return _of_rows(ray_data, 1, "x")


def case_row_of_extra_keys(ray_data, tmp_path):
    def change(row):
        return row | ({"odd": True} if row["id"] % 2 else {})

    ds = ray_data.range(4, override_num_blocks=1).map(change)
    return {"schema": ds.schema(), "rows": ds.take_all()}
