"""The tests of this folder run on a Ray cluster of this machine; without Ray there are none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import pytest
import ray_cluster

try:
    importlib.import_module("ray.cluster_utils")  # Of "ray" alone, this folder has the name.
except ImportError:
    collect_ignore_glob = ["test_*.py"]


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
