"""Exchanges of more rows than the object store of a node, or the share of all, has room for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ray_cluster

import headrace

pytestmark = pytest.mark.timeout(300)

ROW_BYTES = 8 * 1024
ROWS = 2 * ray_cluster.OBJECT_STORE_BYTES // ROW_BYTES
KEYS = 50


def widen(batch: dict[str, Any]) -> dict[str, Any]:
    """Adds 8 KiB to each row, which its id decides."""
    ids = batch["id"]
    payload = np.repeat(ids[:, None], ROW_BYTES // 8, axis=1)
    return {"id": ids, "key": ids % KEYS, "payload": payload}


def dataset() -> headrace.Dataset:
    return headrace.range(ROWS, override_num_blocks=40).map_batches(widen, batch_size=256)


def check_payload(batch: dict[str, Any]) -> None:
    assert (batch["payload"] == batch["id"][:, None]).all()


def test_sort() -> None:
    expected = ROWS - 1
    for batch in dataset().sort("id", descending=True).iter_batches(batch_size=1_000):
        assert (batch["id"] == np.arange(expected, expected - len(batch["id"]), -1)).all()
        check_payload(batch)
        expected -= len(batch["id"])
    assert expected == -1


def test_random_shuffle() -> None:
    found = []
    for batch in dataset().random_shuffle(seed=1).iter_batches(batch_size=1_000):
        check_payload(batch)
        found.append(batch["id"])
    ids = np.concatenate(found)
    assert (ids != np.arange(ROWS)).any()
    assert (np.sort(ids) == np.arange(ROWS)).all()


def test_groups() -> None:
    def count(group: dict[str, Any]) -> dict[str, Any]:
        check_payload(group)
        return {"key": group["key"][:1], "rows": [len(group["id"])]}

    counted = {
        row["key"]: row["rows"]
        for row in dataset().groupby("key").map_groups(count, batch_format="numpy").take_all()
    }
    assert counted == {key: len(range(key, ROWS, KEYS)) for key in range(KEYS)}
