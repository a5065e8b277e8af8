"""The tests of this folder run on a Ray cluster of this machine; without Ray they are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

pytest.importorskip("ray")
pytest.importorskip("headrace")

import ray_cluster


@pytest.fixture(scope="session", autouse=True)
def cluster() -> Iterator[object]:
    """The cluster, with Headrace on it."""
    import headrace

    made = ray_cluster.cluster()
    if headrace._core.backend() != "ray":
        headrace.init(backend="ray")
    yield made
    headrace.shutdown()
    if "HEADRACE_BACKEND" not in os.environ:  # Else the plugin ends it.
        ray_cluster.shut_down()
