"""A Ray cluster of three nodes with one CPU each, on this machine, for the life of a test run.

As a pytest plugin (`-p ray_cluster`) it makes any test of the Python API run on that cluster.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

NODES = 3
OBJECT_STORE_BYTES = 160 * 1024 * 1024

_cluster: Any = None


def cluster() -> Any:
    """Returns the cluster, started at the first call."""
    global _cluster
    if _cluster is None:
        from ray.cluster_utils import Cluster

        _cluster = Cluster()
        for _ in range(NODES):
            add_node()
        _cluster.wait_for_nodes()
        os.environ["RAY_ADDRESS"] = _cluster.address
    return _cluster


def add_node(**options: Any) -> Any:
    """Adds a node of one CPU."""
    given = {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES, **options}
    return _cluster.add_node(include_dashboard=False, **given)


def pytest_configure(config: pytest.Config) -> None:
    cluster()
    os.environ["HEADRACE_BACKEND"] = "ray"


def pytest_unconfigure(config: pytest.Config) -> None:
    import headrace

    headrace.shutdown()
    shut_down()


def shut_down() -> None:
    """Ends the cluster's processes."""
    global _cluster
    if _cluster is not None:
        _cluster.shutdown()
    _cluster = None
